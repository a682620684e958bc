//! The explicit Runge–Kutta pair of Dormand and Prince, of order 5 with an estimate of order 4.
//!
//! Reference: [dormand1980], coefficients as in [hairer1993, table II.5.2]. Steps end exactly at the
//! times asked for, so there is no interpolation error.

use crate::ir::Tolerance;

use super::{System, error_norm, first_step, least_step, next_step};

/// Times of the stages, in steps.
pub(in crate::exec) const C: [f64; 6] = [0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0];

/// Weights of the earlier slopes in each stage; the last stage is the new state.
pub(in crate::exec) const A: [&[f64]; 6] = [
    &[0.2],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
    &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
    &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
];

/// Order 5 less order 4.
pub(in crate::exec) const E: [f64; 7] = [
    71.0 / 57600.0,
    0.0,
    -71.0 / 16695.0,
    71.0 / 1920.0,
    -17253.0 / 339_200.0,
    22.0 / 525.0,
    -1.0 / 40.0,
];

/// Calls `reached` with the state at each of `times`, until a step fails.
pub(super) fn solve(
    system: &mut dyn System,
    y: &mut [f64],
    times: &[f64],
    tolerance: Tolerance,
    reached: &mut dyn FnMut(&[f64]),
) {
    let n = y.len();
    let mut slopes = vec![0.0; 7 * n];
    let (mut stage, mut error) = (vec![0.0; n], vec![0.0; n]);
    let mut t = 0.0;
    // The step that the error control asks for; `None` before the first.
    let mut wanted: Option<f64> = None;
    for &end in times {
        if !end.is_finite() {
            return;
        }
        let span = end - t;
        if span != 0.0 && wanted.is_none() {
            system.slope(t, y, &mut slopes[..n]);
            wanted = Some(first_step(system, (t, span), y, &slopes[..n], 4.0, tolerance));
        }
        let mut h = wanted.unwrap_or(0.0);
        let mut steps = 0;
        let mut rejected = false;
        while t != end {
            let left = (end - t).abs();
            if steps == tolerance.most_steps || h.is_nan() || h < least_step(t).min(left) {
                return;
            }
            steps += 1;
            let size = next_step(h, left);
            let last = size == left;
            let step = size.copysign(end - t);
            for (s, (weights, c)) in A.iter().zip(C).enumerate() {
                for (i, x) in stage.iter_mut().enumerate() {
                    let sum: f64 =
                        weights.iter().enumerate().map(|(k, w)| w * slopes[k * n + i]).sum();
                    *x = y[i] + step * sum;
                }
                system.slope(t + c * step, &stage, &mut slopes[(s + 1) * n..(s + 2) * n]);
            }
            for (i, e) in error.iter_mut().enumerate() {
                let sum: f64 = E.iter().enumerate().map(|(k, w)| w * slopes[k * n + i]).sum();
                *e = step * sum;
            }
            let norm = error_norm(&error, y, &stage, tolerance);
            let most = if rejected { 1.0 } else { 10.0 };
            let factor = (0.9 * norm.powf(-0.2)).clamp(0.2, most);
            if norm <= 1.0 {
                t = if last { end } else { t + step };
                y.copy_from_slice(&stage);
                // The slope at the end is that at the next beginning.
                slopes.copy_within(6 * n.., 0);
                // A step cut short at a time says little about the next.
                h = if size < h { h.max(size * factor) } else { size * factor };
                rejected = false;
            } else {
                h = size * factor;
                rejected = true;
            }
        }
        wanted = wanted.map(|_| h);
        reached(y);
    }
}
