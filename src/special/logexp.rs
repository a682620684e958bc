//! Logarithms of sums of exponentials, the logistic function, and `x log y` with `0 log 0 = 0`.
//!
//! Each has branches chosen so that no tail cancels, overflows or underflows early.
//!
//! Reference: [maechler2012] for `log1p_exp` and `log1m_exp`.

use libm::{exp, expm1, log, log1p};
use std::f64::consts::LN_2;

/// `log(1 + exp(x))`, the softplus function.
///
/// # Numerics
/// All `x`; relative error ≤ 4 ulp.
///
/// # Reference
/// [maechler2012, eq. 10].
#[must_use]
pub fn log1p_exp(x: f64) -> f64 {
    if x <= -37.0 {
        exp(x)
    } else if x <= 18.0 {
        log1p(exp(x))
    } else if x <= 33.3 {
        x + exp(-x)
    } else {
        x
    }
}

/// `log(1 - exp(x))` for `x ≤ 0`; `-∞` at 0, NaN above.
///
/// # Numerics
/// Relative error ≤ 4 ulp.
///
/// # Reference
/// [maechler2012, eq. 7].
#[must_use]
pub fn log1m_exp(x: f64) -> f64 {
    if x > -LN_2 { log(-expm1(x)) } else { log1p(-exp(x)) }
}

/// `log(exp(x) - 1)` for `x ≥ 0`, the inverse of [`log1p_exp`]; `-∞` at 0, NaN below.
///
/// # Numerics
/// Error ≤ 4 ulp of `max(1, |value|)`: the value crosses zero at `log 2`.
#[must_use]
pub fn log_expm1(x: f64) -> f64 {
    if x < 1.0 { log(expm1(x)) } else { x + log1p(-exp(-x)) }
}

/// `log(exp(a) + exp(b))`.
///
/// # Numerics
/// All `a`, `b`, infinities included; error ≤ 4 ulp of `max(|a|, |b|, 1)`.
#[must_use]
pub fn log_add_exp(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        return f64::NAN;
    }
    let (hi, lo) = if a > b { (a, b) } else { (b, a) };
    // Without this, two equal infinities would give ∞ - ∞.
    if hi.is_infinite() || lo == f64::NEG_INFINITY { hi } else { hi + log1p(exp(lo - hi)) }
}

/// `log(exp(a) - exp(b))` for `a ≥ b`; `-∞` where they are equal, NaN for `a < b`.
///
/// # Numerics
/// Error ≤ 4 ulp of `max(|a|, 1)` given that `b - a` is exact.
#[must_use]
pub fn log_diff_exp(a: f64, b: f64) -> f64 {
    if b == f64::NEG_INFINITY {
        a
    } else if a == f64::INFINITY {
        if b == a { f64::NAN } else { a }
    } else {
        a + log1m_exp(b - a)
    }
}

/// `log Σ exp(x[i])`; `-∞` for no terms.
///
/// # Numerics
/// Error ≤ (3 + `x.len()`) ulp of `max(1, |value|)`.
#[must_use]
pub fn log_sum_exp(x: &[f64]) -> f64 {
    let mut max = f64::NEG_INFINITY;
    for &v in x {
        if v.is_nan() {
            return v;
        }
        max = max.max(v);
    }
    if max.is_infinite() {
        return max;
    }
    max + log(x.iter().map(|&v| exp(v - max)).sum())
}

/// The logistic function `1 / (1 + exp(-x))`.
///
/// # Numerics
/// All `x`; relative error ≤ 4 ulp in both tails.
#[must_use]
pub fn inv_logit(x: f64) -> f64 {
    if x < 0.0 {
        let e = exp(x);
        e / (1.0 + e)
    } else {
        1.0 / (1.0 + exp(-x))
    }
}

/// `log(p / (1 - p))` for `0 ≤ p ≤ 1`; `-∞` and `∞` at the ends, NaN outside.
///
/// # Numerics
/// Relative error ≤ 4 ulp, also around the zero at ½.
#[must_use]
pub fn logit(p: f64) -> f64 {
    if (0.25..=0.75).contains(&p) {
        // 2p - 1 is exact here, so nothing is lost at the zero.
        log1p((2.0 * p - 1.0) / (1.0 - p))
    } else {
        log(p) - log1p(-p)
    }
}

/// The logarithm of the logistic function, `-log(1 + exp(-x))`.
///
/// # Numerics
/// All `x`; relative error ≤ 4 ulp.
#[must_use]
pub fn log_inv_logit(x: f64) -> f64 {
    -log1p_exp(-x)
}

/// `x log(y)`, and 0 where `x` is 0 whatever `y` is (short of NaN).
///
/// # Numerics
/// Relative error ≤ 2 ulp.
#[must_use]
pub fn xlogy(x: f64, y: f64) -> f64 {
    if x == 0.0 && !y.is_nan() { 0.0 } else { x * log(y) }
}

/// `x log(1 + y)`, and 0 where `x` is 0 whatever `y` is (short of NaN).
///
/// # Numerics
/// Relative error ≤ 2 ulp.
#[must_use]
pub fn xlog1py(x: f64, y: f64) -> f64 {
    if x == 0.0 && !y.is_nan() { 0.0 } else { x * log1p(y) }
}
