//! The log-gamma function, its derivatives, and what is built from differences of log-gammas.
//!
//! Reference: [abramowitz1964, ch. 6]; [didonato1992] for log-beta without cancellation;
//! digamma's rational approximation on [1, 2] is Boost.Math's (J. Maddock, 2006).

#![allow(clippy::excessive_precision, reason = "coefficients as published")]

use libm::{cos, exp, floor, log, log1p, pow, sin};
use std::f64::consts::{FRAC_PI_2, PI};

/// `log √(2π)`.
pub(super) const LOG_SQRT_2_PI: f64 = 0.918_938_533_204_672_7;

/// `log |Γ(x)|`; `∞` at 0, −1, −2, …
///
/// # Numerics
/// For `x > 0` relative error ≤ 8 ulp, also around the zeros at 1 and 2. For `x < 0` error
/// ≤ 16 ulp of `max(1, |value|)`: the zeros there are not resolved.
#[must_use]
pub fn lgamma(x: f64) -> f64 {
    libm::lgamma(x)
}

/// Coefficients of the tail of digamma in 1/x²: Bernoulli numbers B₂ₖ/(2k).
pub(crate) const DIGAMMA_TAIL: [f64; 8] = [
    1.0 / 12.0,
    -1.0 / 120.0,
    1.0 / 252.0,
    -1.0 / 240.0,
    1.0 / 132.0,
    -691.0 / 32760.0,
    1.0 / 12.0,
    -3617.0 / 8160.0,
];

/// `ψ(x) = d log Γ(x) / dx`; `∓∞` at `±0`, NaN at −1, −2, …
///
/// # Numerics
/// For `x > 0` relative error ≤ 8 ulp, also around the zero at 1.46. For `x < 0` error ≤ 16 ulp
/// of `max(|ψ(1 - x)|, |π cot πx|)`.
#[must_use]
pub fn digamma(x: f64) -> f64 {
    if x == 0.0 {
        return -1.0 / x;
    }
    if x < 0.0 {
        let (s, c) = sin_cos_pi(x);
        return if s == 0.0 || x.is_infinite() { f64::NAN } else { digamma(1.0 - x) - PI * c / s };
    }
    if x >= 10.0 {
        let z = 1.0 / (x * x);
        return log(x) - 0.5 / x - z * horner(&DIGAMMA_TAIL, z);
    }
    // Step into [1, 2], where the root is; the steps all have one sign.
    let (mut x, mut steps) = (x, 0.0);
    if x < 1.0 {
        steps = -1.0 / x;
        x += 1.0;
    }
    while x > 2.0 {
        x -= 1.0;
        steps += 1.0 / x;
    }
    steps + digamma_near_root(x)
}

/// Digamma on [1, 2], as (x - root) times a rational function.
fn digamma_near_root(x: f64) -> f64 {
    // The root to three times the working precision, so that x - root is accurate beside it.
    const ROOT: [f64; 3] = [
        1_569_415_565.0 / 1_073_741_824.0,
        381_566_830.0 / 1_073_741_824.0 / 1_073_741_824.0,
        0.901_631_209_325_869_6e-19,
    ];
    const Y: f64 = 0.995_581_626_892_089_8;
    const P: [f64; 6] = [
        0.254_798_510_611_315_51,
        -0.325_550_311_868_044_9,
        -0.650_318_537_708_965_1,
        -0.289_191_264_447_747_84,
        -0.045_251_321_448_739_056,
        -0.002_071_332_116_774_595_2,
    ];
    const Q: [f64; 7] = [
        1.0,
        2.076_711_702_373_047,
        1.460_624_290_976_351_5,
        0.435_935_296_926_659_7,
        0.054_151_797_245_674_225,
        0.002_128_498_701_782_114_4,
        -0.557_898_413_216_755_1e-6,
    ];
    let g = x - ROOT[0] - ROOT[1] - ROOT[2];
    g * Y + g * horner(&P, x - 1.0) / horner(&Q, x - 1.0)
}

/// `ψ′(x)`, the derivative of [`digamma`]; `∞` at 0, −1, −2, …
///
/// # Numerics
/// Relative error ≤ 8 ulp for `x > 0`, ≤ 16 ulp below (the value is positive everywhere).
#[must_use]
pub fn trigamma(x: f64) -> f64 {
    if x <= 0.0 {
        if x == f64::NEG_INFINITY {
            return f64::NAN;
        }
        let s = sin_cos_pi(x).0;
        // π²/sin²πx ≥ π² exceeds ψ′(1 - x) ≤ π²/6, so the subtraction is benign.
        return PI / s * (PI / s) - trigamma(1.0 - x);
    }
    // Bernoulli numbers B₂ₖ.
    const C: [f64; 8] = [
        1.0 / 6.0,
        -1.0 / 30.0,
        1.0 / 42.0,
        -1.0 / 30.0,
        5.0 / 66.0,
        -691.0 / 2730.0,
        7.0 / 6.0,
        -3617.0 / 510.0,
    ];
    let (mut x, mut steps) = (x, 0.0);
    while x < 10.0 {
        steps += 1.0 / x / x;
        x += 1.0;
    }
    let r = 1.0 / x;
    let z = r * r;
    steps + (r + z * (0.5 + r * horner(&C, z)))
}

/// The `n`-th derivative of [`digamma`], `ψ⁽ⁿ⁾(x)`, for every real `x`.
///
/// At 0, −1, −2, … it is `∞` for odd `n` and NaN for even `n > 0` (the two sides differ), except
/// `-∞` at `+0`.
///
/// # Numerics
/// For `x > 0` relative error ≤ (16 + 2n) ulp while `n! x^-(n+1)` is in range. For `x < 0` the same
/// relative bound holds for odd `n`; for even `n` the value crosses zero between the poles and the
/// bound is in units of `n! dist^-(n+1)`, `dist` the distance to the nearest pole.
///
/// # Reference
/// `ψ⁽ⁿ⁾(x) = (-1)ⁿ⁺¹ n! ζ(n + 1, x)` [abramowitz1964, 6.4.10], extended to `x < 0` by
/// splitting the terms of ζ by their sign.
#[must_use]
pub fn polygamma(n: u32, x: f64) -> f64 {
    match n {
        0 => return digamma(x),
        1 => return trigamma(x),
        _ => {}
    }
    if x.is_nan() || x == f64::NEG_INFINITY {
        return f64::NAN;
    }
    if x == f64::INFINITY {
        return 0.0;
    }
    let odd = n % 2 == 1;
    let s = f64::from(n) + 1.0;
    let zeta = if x > 0.0 {
        hurwitz_zeta(s, x)
    } else if x == floor(x) {
        return match (odd, x == 0.0) {
            (true, _) => f64::INFINITY,
            (false, true) => -1.0 / x,
            (false, false) => f64::NAN,
        };
    } else {
        let below = x - floor(x);
        let above = libm::ceil(x) - x;
        let negative = hurwitz_zeta(s, above) - hurwitz_zeta(s, 1.0 - x);
        hurwitz_zeta(s, below) + if odd { negative } else { -negative }
    };
    let sign = if odd { 1.0 } else { -1.0 };
    if n <= 170 && zeta.is_finite() && zeta.abs() > f64::MIN_POSITIVE {
        sign * libm::tgamma(s) * zeta
    } else {
        sign * zeta.signum() * exp(lgamma(s) + log(zeta.abs()))
    }
}

/// The Hurwitz zeta function `Σ (q + k)^-s`, by Euler and Maclaurin, for `s ≥ 3`, `q > 0`.
fn hurwitz_zeta(s: f64, q: f64) -> f64 {
    // B₂ⱼ/(2j)!.
    const C: [f64; 10] = [
        1.0 / 12.0,
        -1.0 / 720.0,
        1.0 / 30240.0,
        -1.0 / 1_209_600.0,
        1.0 / 47_900_160.0,
        -5.284_190_138_687_493e-10,
        1.338_253_653_068_467_9e-11,
        -3.389_680_296_322_582_7e-13,
        8.586_062_056_277_845e-15,
        -2.174_868_698_558_062e-16,
    ];
    let (mut w, mut sum) = (q, 0.0);
    // The remainder falls like (s / 2πw)²⁰; the terms themselves may be negligible before that.
    while w < 8.0 + 0.5 * s {
        let term = pow(w, -s);
        if term < 1e-18 * sum {
            return sum;
        }
        sum += term;
        w += 1.0;
    }
    let tail = pow(w, -s);
    sum += tail * (w / (s - 1.0) + 0.5);
    let mut factor = tail * s / w;
    for (j, c) in C.iter().enumerate() {
        sum += c * factor;
        #[allow(clippy::cast_precision_loss, reason = "j < 10")]
        let m = s + 2.0 * j as f64;
        factor *= (m + 1.0) / w * ((m + 2.0) / w);
    }
    sum
}

/// `log B(a, b) = log Γ(a) + log Γ(b) - log Γ(a + b)` for `a, b ≥ 0`; `∞` if one is 0.
///
/// # Numerics
/// Error ≤ 32 ulp of `max(1, |value|)`; large arguments do not cancel, because the difference of
/// the Stirling approximations is taken symbolically.
///
/// # Reference
/// [didonato1992, sec. 4], in the form of R's `lbeta`.
#[must_use]
pub fn lbeta(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        return f64::NAN;
    }
    let (p, q) = if a < b { (a, b) } else { (b, a) };
    if p < 0.0 {
        f64::NAN
    } else if p == 0.0 {
        f64::INFINITY
    } else if q == f64::INFINITY {
        f64::NEG_INFINITY
    } else if p >= 10.0 {
        let corr = stirling_error(p) + (stirling_error(q) - stirling_error(p + q));
        // Written over q/p so that p + q may overflow.
        let h = p / q;
        -0.5 * log(q) + LOG_SQRT_2_PI + corr + (p - 0.5) * log(h / (1.0 + h)) - q * log1p(h)
    } else if q >= 10.0 {
        let corr = stirling_error(q) - stirling_error(p + q);
        // log Γ(q) - log Γ(p + q) = corr + p - p log(p + q) - (q - ½) log(1 + p/q).
        lgamma(p) + (corr + p - p * log(p + q) - (q - 0.5) * log1p(p / q))
    } else if p + q < 1.0 || p < 1e-3 {
        // Γ(p) and Γ(p + q) are both near a pole, or p is so small that the ratio of Γ(q) and
        // Γ(p + q) is best taken from logarithms.
        lgamma(p) + (lgamma(q) - lgamma(p + q))
    } else {
        log(libm::tgamma(p) * (libm::tgamma(q) / libm::tgamma(p + q)))
    }
}

/// `log (n choose k)` for real `n ≥ 0`, `-1 ≤ k ≤ n + 1`; `-∞` at the ends of that range.
///
/// # Numerics
/// Error ≤ 64 ulp of `max(1, |value|, log n)`; exactly 0 for `k = 0` and `k = n`.
#[must_use]
pub fn lchoose(n: f64, k: f64) -> f64 {
    if n >= 0.0 && n.is_finite() && (k == 0.0 || k == n) {
        return 0.0;
    }
    -log1p(n) - lbeta(n - k + 1.0, k + 1.0)
}

/// `log Γ(1 + x)` for `0 ≤ x ≤ 1`, accurate also where `1 + x` would round x away.
pub(super) fn lgamma_1p(x: f64) -> f64 {
    // -γ, then (-1)ᵏ ζ(k)/k.
    const C: [f64; 8] = [
        -0.577_215_664_901_532_9,
        0.822_467_033_424_113_2,
        -0.400_685_634_386_531_43,
        0.270_580_808_427_784_54,
        -0.207_385_551_028_673_98,
        0.169_557_176_997_408_2,
        -0.144_049_896_768_846_12,
        0.125_509_669_524_743_04,
    ];
    if x < 0.01 { x * horner(&C, x) } else { lgamma(1.0 + x) }
}

/// `log Γ(x) - (x - ½) log x + x - log √(2π)`: what Stirling's formula misses, for `x > 0`.
///
/// # Numerics
/// Absolute error ≤ 1e-16 for `x ≥ 10`, 1e-14 below.
pub(super) fn stirling_error(x: f64) -> f64 {
    // B₂ₖ/(2k(2k - 1)).
    const C: [f64; 8] = [
        1.0 / 12.0,
        -1.0 / 360.0,
        1.0 / 1260.0,
        -1.0 / 1680.0,
        1.0 / 1188.0,
        -691.0 / 360_360.0,
        1.0 / 156.0,
        -3617.0 / 122_400.0,
    ];
    if x >= 10.0 {
        let r = 1.0 / x;
        r * horner(&C, r * r)
    } else {
        lgamma(x) - (x - 0.5) * log(x) + x - LOG_SQRT_2_PI
    }
}

/// `c[0] + c[1] x + c[2] x² + …`
pub(super) fn horner(c: &[f64], x: f64) -> f64 {
    c.iter().rev().fold(0.0, |sum, &c| sum * x + c)
}

/// `(sin πx, cos πx)` with the argument reduced exactly; the sine is 0 at every integer.
fn sin_cos_pi(x: f64) -> (f64, f64) {
    let nearest = libm::round(x);
    let t = PI * (x - nearest);
    let sign = if libm::fmod(nearest, 2.0) == 0.0 { 1.0 } else { -1.0 };
    // Half-integers have an exact zero of the cosine.
    let c = if (t.abs() - FRAC_PI_2).abs() < 1e-300 { 0.0 } else { cos(t) };
    (sign * sin(t), sign * c)
}
