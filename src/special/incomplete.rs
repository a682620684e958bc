//! Regularised incomplete gamma and beta functions.
//!
//! Each is a power `x^a …/Γ` times a series or a continued fraction. The power is taken in
//! Loader's saddle-point form when the parameters are large, where logarithms of its factors
//! would cancel; for a gamma parameter above 1e8 Temme's uniform expansion replaces the fraction.
//!
//! Reference: [loader2000] for the power; [temme1979] for large parameters;
//! [abramowitz1964, 6.5.29, 6.5.31, 26.5.8] for series and fractions.

use super::gamma::{lbeta, lgamma, lgamma_1p, stirling_error};
use libm::{erfc, exp, log, log1p, pow, sqrt};
use std::f64::consts::TAU;

/// Below this, logarithms of tails are taken factor by factor.
const TINY: f64 = 1e-280;

/// Above this `a`, Temme's expansion to two terms is exact to an ulp.
const LARGE: f64 = 1e8;

/// `P(a, x) = γ(a, x)/Γ(a)`, the cdf of a gamma variable of shape `a` and rate 1.
///
/// # Numerics
/// Domain `a ≥ 0`, `x ≥ 0`; NaN outside and at `a = x = 0`. Relative error ≤ 1e-12 while
/// the value is above 1e-280 and `a ≤ 1e8`, and above 1e-6 beyond.
#[must_use]
pub fn gamma_p(a: f64, x: f64) -> f64 {
    match incomplete_gamma(a, x) {
        Tail::Lower(p) | Tail::Both(p, _) => p,
        Tail::Upper(q) => 1.0 - q,
    }
}

/// `Q(a, x) = 1 - P(a, x)`, without cancellation in the right tail.
///
/// # Numerics
/// As [`gamma_p`].
#[must_use]
pub fn gamma_q(a: f64, x: f64) -> f64 {
    match incomplete_gamma(a, x) {
        Tail::Lower(p) => 1.0 - p,
        Tail::Upper(q) | Tail::Both(_, q) => q,
    }
}

/// `log P(a, x)`, also where `P` underflows.
///
/// # Numerics
/// As [`gamma_p`], of the greater of the result and 1 in size.
#[must_use]
pub fn log_gamma_p(a: f64, x: f64) -> f64 {
    match incomplete_gamma(a, x) {
        Tail::Lower(p) if p < TINY && x > 0.0 && a < f64::INFINITY => {
            log_gamma_power(a, x) + log(lower_series(a, x))
        }
        Tail::Lower(p) => log(p),
        Tail::Both(p, q) => log_of_tail(p, q),
        Tail::Upper(q) => log1p(-q),
    }
}

/// `log Q(a, x)`, also where `Q` underflows.
///
/// # Numerics
/// As [`log_gamma_p`].
#[must_use]
pub fn log_gamma_q(a: f64, x: f64) -> f64 {
    match incomplete_gamma(a, x) {
        Tail::Upper(q) if q < TINY && a > 0.0 && x < f64::INFINITY => {
            log_gamma_power(a, x) + log(a * upper_fraction(a, x))
        }
        Tail::Upper(q) => log(q),
        Tail::Both(p, q) => log_of_tail(q, p),
        Tail::Lower(p) => log1p(-p),
    }
}

/// `log p`, given also `q = 1 − p`.
fn log_of_tail(p: f64, q: f64) -> f64 {
    if p < 0.5 { log(p) } else { log1p(-q) }
}

/// `Iₓ(a, b)`, the cdf at `x` of a beta variable.
///
/// # Numerics
/// Domain `a, b ≥ 0`, not both 0, `0 ≤ x ≤ 1`; NaN outside. Relative error ≤ 1e-12 while the value
/// is above 1e-280 and `a, b ≤ 1e6`, growing like √(a + b) beyond. For the right tail use
/// `inc_beta(b, a, 1 - x)`.
#[must_use]
pub fn inc_beta(a: f64, b: f64, x: f64) -> f64 {
    if !(a >= 0.0 && b >= 0.0 && (0.0..=1.0).contains(&x)) || (a == 0.0 && b == 0.0) {
        return f64::NAN;
    }
    // All mass at 0 or at 1, where a cdf has its step: the limits in a and b come before those in x.
    if a == 0.0 {
        return 1.0;
    }
    if b == 0.0 {
        return 0.0;
    }
    if x == 0.0 || x == 1.0 {
        return x;
    }
    if b == f64::INFINITY {
        return if a == f64::INFINITY { f64::NAN } else { 1.0 };
    }
    if a == f64::INFINITY {
        return 0.0;
    }
    // Where the power underflows, the fraction may take long to no avail.
    let tail = |a, b, x, y| match beta_power(a, b, x, y) {
        0.0 => 0.0,
        power => power * beta_fraction(a, b, x),
    };
    if is_left(a, b, x) { tail(a, b, x, 1.0 - x) } else { 1.0 - tail(b, a, 1.0 - x, x) }
}

/// Whether `x` is on the left of the mean, where the fraction for `Iₓ(a, b)` converges fast.
fn is_left(a: f64, b: f64, x: f64) -> bool {
    x <= (a + 1.0) / (a + b + 2.0)
}

/// `log Iₓ(a, b)`, also where it underflows.
///
/// # Numerics
/// As [`inc_beta`], of the greater of the result and 1 in size.
#[must_use]
pub fn log_inc_beta(a: f64, b: f64, x: f64) -> f64 {
    let p = inc_beta(a, b, x);
    if p < TINY && x > 0.0 && a < f64::INFINITY && is_left(a, b, x) {
        log_beta_power(a, b, x, 1.0 - x) + log(beta_fraction(a, b, x))
    } else if p > 0.5 && p <= 1.0 && x < 1.0 && !is_left(a, b, x) {
        log1p(-beta_power(b, a, 1.0 - x, x) * beta_fraction(b, a, 1.0 - x))
    } else {
        log(p)
    }
}

/// The smaller of the two tails, as far as it is known which that is.
enum Tail {
    Lower(f64),
    Upper(f64),
    Both(f64, f64),
}

fn incomplete_gamma(a: f64, x: f64) -> Tail {
    if !(a >= 0.0 && x >= 0.0) || (a == 0.0 && x == 0.0) {
        return Tail::Lower(f64::NAN);
    }
    if x == 0.0 || a == f64::INFINITY {
        let both = a == f64::INFINITY && x == f64::INFINITY;
        return Tail::Lower(if both { f64::NAN } else { 0.0 });
    }
    if a == 0.0 || x == f64::INFINITY {
        return Tail::Upper(0.0);
    }
    if a > LARGE {
        return temme(a, x);
    }
    if x < a + 1.0 {
        let p = gamma_power(a, x) * lower_series(a, x);
        // With small a it is Q that is small.
        return if x < 1.5 && a < 1.0 { Tail::Both(p, small_upper(a, x)) } else { Tail::Lower(p) };
    }
    if x < 1.5 && a < 1.0 {
        return Tail::Upper(small_upper(a, x));
    }
    Tail::Upper(gamma_power(a, x) * a * upper_fraction(a, x))
}

/// `Σ xᵏ / ((a + 1)…(a + k))`, all terms positive: `P` over its power.
fn lower_series(a: f64, x: f64) -> f64 {
    let (mut k, mut term, mut sum) = (a, 1.0, 1.0);
    while term > 1e-17 * sum {
        k += 1.0;
        term *= x / k;
        sum += term;
    }
    sum
}

/// `1/(x + 1 - a - 1(1 - a)/(x + 3 - a - …))` by Lentz: `Q` over `a` times its power.
fn upper_fraction(a: f64, x: f64) -> f64 {
    let mut b = x + 1.0 - a;
    let mut c = f64::INFINITY;
    let mut d = 1.0 / b;
    let mut h = d;
    let mut i = 1.0;
    loop {
        let an = -i * (i - a);
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        h *= d * c;
        if (d * c - 1.0).abs() < 3e-16 || i > 1e6 {
            return h;
        }
        i += 1.0;
    }
}

/// `Q(a, x)` for `x < 1.5`, `a < 1`, where the fraction is slow: `1 - P` by P's alternating series
/// `P = x^a/Γ(a + 1) (1 + a Σ_{k≥1} (-x)ᵏ/((a + k) k!))`, with the part that would cancel as a → 0
/// written with `expm1`.
fn small_upper(a: f64, x: f64) -> f64 {
    let (mut k, mut term, mut sum) = (1.0, -x, 0.0);
    while libm::fabs(term) > 1e-18 {
        sum += term / (a + k);
        k += 1.0;
        term *= -x / k;
    }
    let log_power = a * log(x) - lgamma_1p(a);
    -libm::expm1(log_power) - a * exp(log_power) * sum
}

/// `x^a e^-x / Γ(a + 1)`, the Poisson probability of `a` at rate `x`.
fn gamma_power(a: f64, x: f64) -> f64 {
    if a >= 10.0 {
        exp(-stirling_error(a) - deviance(a, x)) / sqrt(TAU * a)
    } else if x < 700.0 {
        pow(x, a) * exp(-x) / libm::tgamma(a + 1.0)
    } else {
        exp(a * log(x) - x - lgamma(a + 1.0))
    }
}

/// The logarithm of [`gamma_power`].
fn log_gamma_power(a: f64, x: f64) -> f64 {
    if a >= 10.0 {
        -stirling_error(a) - deviance(a, x) - 0.5 * log(TAU * a)
    } else {
        a * log(x) - x - lgamma(a + 1.0)
    }
}

/// `a log(a/x) + x - a ≥ 0`, half the Poisson deviance, without cancellation near `a = x`.
///
/// # Reference
/// [loader2000], `bd0`.
fn deviance(a: f64, x: f64) -> f64 {
    let d = a - x;
    if d.abs() >= 0.1 * (a + x) {
        return a * log(a / x) - d;
    }
    let v = d / (a + x);
    let v2 = v * v;
    let (mut power, mut k, mut sum) = (2.0 * a * v, 1.0, d * v);
    loop {
        power *= v2;
        k += 2.0;
        let next = sum + power / k;
        if next == sum {
            return sum;
        }
        sum = next;
    }
}

/// Both tails for large `a`, from the normal approximation and its first two corrections.
///
/// # Reference
/// [temme1979, sec. 3].
fn temme(a: f64, x: f64) -> Tail {
    let d = deviance(a, x);
    let eta = sqrt(2.0 * d / a).copysign(x - a);
    let c0 = -1.0 / 3.0
        + eta * (1.0 / 12.0 + eta * (-2.0 / 135.0 + eta * (1.0 / 864.0 + eta * (1.0 / 2835.0))));
    let c1 = -1.0 / 540.0 - eta / 288.0;
    let correction = exp(-d) / sqrt(TAU * a) * (c0 + c1 / a);
    if x < a {
        Tail::Lower(0.5 * erfc(sqrt(d)) - correction)
    } else {
        Tail::Upper(0.5 * erfc(sqrt(d)) + correction)
    }
}

/// `x^a y^b / (a B(a, b))` with `y = 1 - x`.
fn beta_power(a: f64, b: f64, x: f64, y: f64) -> f64 {
    exp(log_beta_power(a, b, x, y))
}

/// The logarithm of [`beta_power`].
fn log_beta_power(a: f64, b: f64, x: f64, y: f64) -> f64 {
    if a >= 10.0 && b >= 10.0 {
        let n = a + b;
        let corr = stirling_error(n) - stirling_error(a) - stirling_error(b);
        corr - deviance(a, n * x) - deviance(b, n * y) + 0.5 * log(b / n / (TAU * a))
    } else {
        // Of x and y the smaller one is exact.
        let (log_x, log_y) = if x < y { (log(x), log1p(-x)) } else { (log1p(-y), log(y)) };
        a * log_x + b * log_y - lbeta(a, b) - log(a)
    }
}

/// The continued fraction that multiplies [`beta_power`], by Lentz.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let guard = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / guard(1.0 - (a + b) * x / (a + 1.0));
    let mut h = d;
    let mut m = 1.0;
    loop {
        // Factor by factor: the products overflow where parameters are beyond 1e154.
        let even = m / (a + 2.0 * m - 1.0) * ((b - m) / (a + 2.0 * m)) * x;
        d = 1.0 / guard(1.0 + even * d);
        c = guard(1.0 + even / c);
        h *= d * c;
        let odd = -(a + m) / (a + 2.0 * m) * ((a + b + m) / (a + 2.0 * m + 1.0)) * x;
        d = 1.0 / guard(1.0 + odd * d);
        c = guard(1.0 + odd / c);
        h *= d * c;
        let change = (d * c - 1.0).abs();
        if change < 3e-16 || change.is_nan() || m > 1e6 {
            return h;
        }
        m += 1.0;
    }
}
