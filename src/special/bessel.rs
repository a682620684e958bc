//! Modified Bessel functions on the log scale: of the first kind, orders 0 and 1 apart from the others,
//! and of the second kind.
//!
//! Below 30 the power series, whose terms are all positive; above, Hankel's expansion, whose
//! smallest term at 30 is far below an ulp.
//!
//! Reference: [abramowitz1964, 9.6.10, 9.7.1].

use super::gamma::{LOG_SQRT_2_PI, lgamma};
use libm::{log, log1p};

const SWITCH: f64 = 30.0;
/// `log √(π/2)`.
const LOG_SQRT_HALF_PI: f64 = 0.225_791_352_644_727_44;

/// `log I₀(x)` for every `x`; even in `x`.
///
/// # Numerics
/// Relative error ≤ 16 ulp.
#[must_use]
pub fn log_bessel_i0(x: f64) -> f64 {
    let x = x.abs();
    if x < SWITCH {
        log1p(series_tail(0.0, 0.25 * x * x))
    } else if x == f64::INFINITY {
        x
    } else {
        x - 0.5 * log(x) - LOG_SQRT_2_PI + log1p(hankel_tail(0.0, x))
    }
}

/// `log I₁(x)` for `x ≥ 0`; `-∞` at 0, NaN below.
///
/// # Numerics
/// Error ≤ 16 ulp of `max(1, |value|)`.
#[must_use]
pub fn log_bessel_i1(x: f64) -> f64 {
    if x < 0.0 {
        f64::NAN
    } else if x < SWITCH {
        log(0.5 * x) + log1p(series_tail(1.0, 0.25 * x * x))
    } else if x == f64::INFINITY {
        x
    } else {
        x - 0.5 * log(x) - LOG_SQRT_2_PI + log1p(hankel_tail(1.0, x))
    }
}

/// `I₁(x) / I₀(x)`, the derivative of [`log_bessel_i0`]; odd in `x`.
///
/// # Numerics
/// Relative error ≤ 16 ulp; its own derivative is `1 - r/x - r²`, ½ at 0.
#[must_use]
pub fn bessel_i1_over_i0(x: f64) -> f64 {
    let t = x.abs();
    if t < SWITCH {
        let q = 0.25 * t * t;
        0.5 * x * ((1.0 + series_tail(1.0, q)) / (1.0 + series_tail(0.0, q)))
    } else if t == f64::INFINITY {
        x.signum()
    } else {
        x.signum() * ((1.0 + hankel_tail(1.0, t)) / (1.0 + hankel_tail(0.0, t)))
    }
}

/// `log I_ν(x)` for `ν ≥ 0`, `x ≥ 0`; `-∞` at 0 unless `ν` is 0, NaN outside.
///
/// # Numerics
/// Error ≤ 1e-13 of `max(1, |value|, x, ν log ν)`.
#[must_use]
pub fn log_bessel_i(nu: f64, x: f64) -> f64 {
    if !(nu >= 0.0 && x >= 0.0) || nu == f64::INFINITY {
        return f64::NAN;
    }
    if x == 0.0 || x == f64::INFINITY {
        return if x > 0.0 || nu == 0.0 { x } else { f64::NEG_INFINITY };
    }
    if x > SWITCH && x > 2.0 * nu * nu {
        return x - 0.5 * log(x) - LOG_SQRT_2_PI + log1p(hankel_tail(nu, x));
    }
    // The power series around its largest term, all terms positive.
    let q = 0.25 * x * x;
    let peak = libm::floor(0.5 * (libm::hypot(nu, x) - nu));
    let mut sum = 1.0;
    let (mut k, mut term) = (peak, 1.0);
    while term > 1e-18 * sum {
        k += 1.0;
        term *= q / (k * (nu + k));
        sum += term;
    }
    let (mut k, mut term) = (peak, 1.0);
    while k > 0.0 && term > 1e-18 * sum {
        term *= k * (nu + k) / q;
        sum += term;
        k -= 1.0;
    }
    (2.0 * peak + nu) * log(0.5 * x) - lgamma(peak + 1.0) - lgamma(nu + peak + 1.0) + log(sum)
}

/// `log K_ν(x)` for `x ≥ 0`; even in `ν`; `∞` at 0, NaN below.
///
/// # Numerics
/// Error ≤ 1e-13 of `max(1, |value|)`: the trapezoid rule for `∫₀^∞ exp(−x cosh t) cosh(νt) dt`, for
/// large x the asymptotic series.
///
/// # Reference
/// [abramowitz1964, 9.6.24, 9.7.2].
#[must_use]
pub fn log_bessel_k(nu: f64, x: f64) -> f64 {
    let nu = nu.abs();
    if !(x >= 0.0 && nu < f64::INFINITY) {
        return f64::NAN;
    }
    if x == 0.0 || x == f64::INFINITY {
        return if x == 0.0 { f64::INFINITY } else { f64::NEG_INFINITY };
    }
    if x > SWITCH && x > 2.0 * nu * nu {
        return LOG_SQRT_HALF_PI - 0.5 * log(x) - x + log1p(hankel_tail(nu, -x));
    }
    let exponent = |t: f64| nu * t - x * libm::cosh(t) + log1p(libm::exp(-2.0 * nu * t));
    let peak = libm::asinh(nu / x);
    let top = exponent(peak);
    // The peak is about as wide as this, and less than a unit falls off at each side.
    let h = 0.2 / libm::sqrt(libm::hypot(nu, x)).max(1.0);
    let start = libm::floor(peak / h);
    let mut sum = 0.0;
    let mut i = start;
    while i >= 0.0 {
        let term = libm::exp(exponent(i * h) - top);
        sum += if i == 0.0 { 0.5 * term } else { term };
        if term < 1e-18 {
            break;
        }
        i -= 1.0;
    }
    let mut i = start + 1.0;
    loop {
        let term = libm::exp(exponent(i * h) - top);
        sum += term;
        if term < 1e-18 * sum {
            break;
        }
        i += 1.0;
    }
    top + log(0.5 * h * sum)
}

/// `Σ_{k≥1} qᵏ / (k! (ν+1)…(ν+k))`, so that `I_ν(x) = (x/2)^ν/ν! (1 + this)` with `q = x²/4`.
fn series_tail(nu: f64, q: f64) -> f64 {
    let (mut k, mut term, mut sum) = (1.0, q / (nu + 1.0), 0.0);
    while term > 1e-18 * sum {
        sum += term;
        k += 1.0;
        term *= q / (k * (nu + k));
    }
    if q.is_nan() { q } else { sum }
}

/// `Σ_{k≥1} (-1)ᵏ aₖ(ν) / xᵏ`, so that `I_ν(x) = eˣ/√(2πx) (1 + this)`; at `−x` the same of
/// `K_ν(x) = √(π/2x) e⁻ˣ (1 + this)`.
fn hankel_tail(nu: f64, x: f64) -> f64 {
    let (mut k, mut term, mut sum) = (1.0, 1.0f64, 0.0);
    // At x ≥ 30 the terms pass below 1e-18 before the expansion starts to diverge.
    while term.abs() > 1e-18 && k < 40.0 {
        let odd = 2.0 * k - 1.0;
        term *= (odd * odd - 4.0 * nu * nu) / (8.0 * k * x);
        sum += term;
        k += 1.0;
    }
    if x.is_nan() { x } else { sum }
}
