//! Double-exponential quadrature: integrals of smooth functions whose ends may be steep.
//!
//! Reference: [takahasi1974].

/// Steps are halved at most this often, from 1/2.
const LEVELS: u32 = 7;

/// `∫₀ᵇ f(v) dv`.
///
/// # Numerics
/// Relative error about 1e-14 for functions of one sign that are analytic inside.
pub(super) fn finite(b: f64, f: impl Fn(f64) -> f64) -> f64 {
    trapezoid(
        |t| {
            // b / (1 + exp(−π sinh t)), and its derivative by t.
            let e = libm::exp(-std::f64::consts::PI * libm::sinh(t));
            let v = b / (1.0 + e);
            (v, std::f64::consts::PI * libm::cosh(t) * v * e / (1.0 + e))
        },
        f,
    )
}

/// `∫₀^∞ f(v) dv` of a function that falls off at the scale `c`, exponentially or faster.
///
/// # Numerics
/// As [`finite`].
pub(super) fn half_line(c: f64, f: impl Fn(f64) -> f64) -> f64 {
    trapezoid(
        |t| {
            let e = libm::exp(-t);
            let v = c * libm::exp(t - e);
            (v, v * (1.0 + e))
        },
        f,
    )
}

/// The trapezoid rule over `t`, where `map` gives `v` and `dv/dt`, with ever smaller steps.
fn trapezoid(map: impl Fn(f64) -> (f64, f64), f: impl Fn(f64) -> f64) -> f64 {
    let term = |t: f64| {
        let (v, slope) = map(t);
        if slope > 0.0 && slope.is_finite() && v > 0.0 { slope * f(v) } else { 0.0 }
    };
    // Beyond ±6 the double exponential has left the range of f64.
    const REACH: f64 = 6.5;
    let mut h = 0.5;
    let mut sum = 0.0;
    let mut size = 0.0;
    let mut i = -REACH / h;
    while i * h <= REACH {
        let x = term(i * h);
        sum += x;
        size += x.abs();
        i += 1.0;
    }
    let mut before = sum * h;
    for _ in 0..LEVELS {
        let mut t = -REACH + 0.5 * h;
        while t < REACH {
            let x = term(t);
            sum += x;
            size += x.abs();
            t += h;
        }
        h *= 0.5;
        let now = sum * h;
        // The error falls as the square of that of the step before.
        if (now - before).abs() <= 1e-8 * size * h {
            return now;
        }
        before = now;
    }
    before
}
