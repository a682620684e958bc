//! The root of an increasing function of one number, from anywhere: the doubles are bisected as the ordered
//! integers that their bits are, which takes 64 steps at most, and Newton's method hastens that wherever
//! it helps [press2007, sec. 9.4].

use super::newton::Equations;

/// No more evaluations than this: at least every second one halves what is left of the 2⁶⁴ numbers, until
/// Newton's steps converge.
const MOST: usize = 200;
/// A step of Newton's that does not make the residual smaller by this factor is followed by one that halves
/// what is left of the numbers: far from the root of a power it would take hundreds of them.
const FASTER: f64 = 0.1;
/// Newton's step is the last when it is this small beside the root: the next would be its square.
const SMALL: f64 = 1e-12;
/// But only where the residual is below this: a slope that has overflowed makes steps small everywhere.
const NEAR: f64 = 1e-3;

/// Replaces the guess `x` by the root, or by the least number at which the function is not negative if it
/// jumps; NaN where the function is not a number.
pub(in crate::exec) fn solve(system: &mut dyn Equations, x: &mut f64) {
    let (mut low, mut high) = (place(-f64::MAX), place(f64::MAX));
    let guess = if x.is_finite() { *x } else { 0.0 };
    let (mut at, mut known) = (guess, false);
    // The residual before a step of Newton's.
    let mut before: Option<f64> = None;
    for _ in 0..MOST {
        let (mut residual, mut slope) = ([f64::NAN], [f64::NAN]);
        system.evaluate(&[at], &mut residual, &mut slope);
        let (r, slope) = (residual[0], slope[0]);
        // Where it overflows, the root is on the side of the guess.
        let beyond = if r.is_nan() { at > guess } else { r >= 0.0 };
        known |= !r.is_nan();
        *(if beyond { &mut high } else { &mut low }) = place(at);
        let newton = at - r / slope;
        let inside = newton.is_finite() && low < place(newton) && place(newton) < high;
        let near = slope > 0.0 && slope.is_finite() && r.abs() < NEAR;
        if near && (newton - at).abs() <= SMALL * at.abs() {
            *x = if inside { newton } else { at };
            return;
        }
        if high - low <= 1 {
            break;
        }
        let fast = before.is_none_or(|before| r.abs() <= FASTER * before);
        if inside && fast {
            (at, before) = (newton, Some(r.abs()));
        } else {
            // The middle of the numbers, not of the line.
            (at, before) = (number(low + (high - low) / 2), None);
        }
    }
    *x = if known { number(high) } else { f64::NAN };
}

/// The position of a double among all, in order.
fn place(x: f64) -> i128 {
    let bits = i128::from(x.abs().to_bits());
    if x.is_sign_negative() { -bits } else { bits }
}

/// The double at a position.
fn number(place: i128) -> f64 {
    let size = f64::from_bits(u64::try_from(place.unsigned_abs()).unwrap_or(u64::MAX));
    if place < 0 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Of<F>(F, usize);

    impl<F: Fn(f64) -> (f64, f64)> Equations for Of<F> {
        fn evaluate(&mut self, x: &[f64], residuals: &mut [f64], jacobian: &mut [f64]) {
            self.1 += 1;
            (residuals[0], jacobian[0]) = (self.0)(x[0]);
        }
    }

    fn root(guess: f64, f: impl Fn(f64) -> (f64, f64)) -> (f64, usize) {
        let (mut x, mut system) = (guess, Of(f, 0));
        solve(&mut system, &mut x);
        (x, system.1)
    }

    #[test]
    fn roots_of_any_size_are_found_from_anywhere() {
        for wanted in [3.7e-300, 1e-9, 0.3, 5.0, 1e12, 2e250] {
            for guess in [0.0, -1e10, f64::NAN, 1e300] {
                for sign in [-1.0, 1.0] {
                    let (x, steps) = root(guess, |x| (x / wanted - sign, wanted.recip()));
                    assert!((x / wanted - sign).abs() < 1e-15, "{x} for {sign} {wanted}");
                    assert!(steps < 10, "{steps}");
                    let (x, steps) = root(guess, |x| {
                        let z = (x / wanted).clamp(-1e50, 1e50);
                        (z * z * z - sign, 3.0 * z * z / wanted)
                    });
                    assert!((x / wanted - sign).abs() < 1e-14, "{x} for {sign} {wanted}");
                    assert!(steps < 150, "{steps}");
                }
            }
        }
    }

    #[test]
    fn of_a_jump_the_upper_end_is_found() {
        for wanted in [-7.0, 0.0, 1.0, 4e9] {
            let (x, _) = root(0.5, |x| (if x.floor() >= wanted { 0.5 } else { -0.5 }, 0.0));
            assert!(x == wanted, "{x} for {wanted}");
        }
    }

    #[test]
    fn what_is_no_number_has_no_root() {
        assert!(root(1.0, |_| (f64::NAN, f64::NAN)).0.is_nan());
        // A function that is not known everywhere.
        let (x, _) = root(1.0, |x| if x > 1e3 { (f64::NAN, 0.0) } else { (x - 9.0, 1.0) });
        assert_eq!(x, 9.0);
    }
}
