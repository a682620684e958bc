//! Owen's T function and the skew normal cdf, which is its complement in the tail.
//!
//! Both are `∫ exp(−h² (1 + x²)/2) / (2π (1 + x²)) dx`, up to `a` and from `a` on.
//!
//! Reference: [owen1956]; [azzalini1985] for the cdf.

use super::erf::std_normal_cdf;
use super::quadrature::finite;
use libm::exp;
use std::f64::consts::TAU;

/// `T(h, a)`; even in `h`, odd in `a`.
///
/// # Numerics
/// Relative error ≤ 1e-13 while the value is above 1e-300.
#[must_use]
pub fn owens_t(h: f64, a: f64) -> f64 {
    let (h, size) = (h.abs(), a.abs());
    let value = if h.is_nan() || a.is_nan() {
        f64::NAN
    } else if size <= 1.0 {
        density(h) * finite(size, |x| exp(-0.5 * h * h * x * x) / (1.0 + x * x))
    } else {
        // Without the complement, which is small where a is large.
        0.5 * std_normal_cdf(-h) - upper(h, size)
    };
    value.copysign(a)
}

/// The cdf at `z` of the standard skew normal distribution of shape `alpha`: `Φ(z) − 2 T(z, alpha)`.
///
/// # Numerics
/// Relative error ≤ 1e-13 while the value is above 1e-300.
#[must_use]
pub fn skew_normal_cdf(z: f64, alpha: f64) -> f64 {
    if z.is_nan() || alpha.is_nan() {
        f64::NAN
    } else if z > 0.0 {
        1.0 - skew_normal_cdf(-z, -alpha)
    } else if alpha > 0.0 {
        2.0 * upper(-z, alpha)
    } else {
        std_normal_cdf(z) + 2.0 * owens_t(z, -alpha)
    }
}

/// The integral from `a > 0` on, for `h ≥ 0`.
fn upper(h: f64, a: f64) -> f64 {
    let f = |x: f64| exp(-0.5 * h * h * x * (2.0 * a + x)) / (1.0 + (a + x) * (a + x));
    let weight = exp(-0.5 * h * h * (1.0 + a * a)) / TAU;
    if weight == 0.0 || h == f64::INFINITY || a == f64::INFINITY {
        return 0.0;
    }
    // Beyond 1 + a in 1/x, which makes the far end a finite one.
    let start = 1.0 + a;
    let near = finite(start, f);
    let far = |u: f64| {
        let x = 1.0 / u;
        let gauss = if h > 0.0 { exp(-0.5 * h * h * x * (2.0 * a + x)) } else { 1.0 };
        gauss / (u * u + (a * u + 1.0) * (a * u + 1.0))
    };
    let far = if h * start > 40.0 { 0.0 } else { finite(1.0 / start, far) };
    weight * (near + far)
}

/// `exp(−h²/2) / 2π`.
fn density(h: f64) -> f64 {
    exp(-0.5 * h * h) / TAU
}
