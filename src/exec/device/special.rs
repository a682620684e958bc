//! Functions that dfdx lacks, composed of those that it has.
//!
//! Every formula is evaluated everywhere and the right one chosen afterwards; what the others make of
//! numbers that are not theirs, infinite or not, is dropped, since nothing here is differentiated (the
//! derivatives of a model are programs of their own). Errors are a few ulp of the result's terms: what
//! `crate::special` has of accuracy beside a zero is not reproduced.
//!
//! References: those of `crate::special`; [kahan1987, sec. 2] for `log1p` and `expm1`; arc tangent after Cephes
//! (S. Moshier, 1989).

#![allow(clippy::excessive_precision, reason = "coefficients as published")]

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2, FRAC_PI_4, LN_2, PI};

use dfdx::prelude::Device;

use super::array::{Array, Comparison, Number};
use super::tables;
use crate::special::{DIGAMMA_TAIL, QUANTILE};

/// `log √(2π)`.
const LOG_SQRT_2_PI: f64 = 0.918_938_533_204_672_7;
/// Terms by which the argument of a gamma function is moved up before Stirling's series.
const STEPS: u32 = 8;

impl<E: Number, D: Device<E>> Array<E, D> {
    /// `c[0] + c[1] x + …`
    fn horner(&self, c: &[f64]) -> Self {
        let (last, rest) = c.split_last().expect("a coefficient");
        rest.iter().rev().fold(self.like(*last), |sum, c| sum * self + *c)
    }

    /// `Σ cₖ Tₖ(u)` by Clenshaw's recurrence.
    fn chebyshev(&self, c: &[f64]) -> Self {
        let twice = self * 2.0;
        let (mut next, mut sum) = (self.like(0.0), self.like(0.0));
        for c in c[1..].iter().rev() {
            let now = &twice * &sum - &next + *c;
            next = std::mem::replace(&mut sum, now);
        }
        self * &sum - next + c[0]
    }

    /// 1 where the comparison with a number holds, of the type that chooses.
    fn pick(&self, below: f64, yes: impl FnOnce() -> Self, no: impl FnOnce() -> Self) -> Self {
        self.where_lt(below, &yes(), &no())
    }

    pub(super) fn sign(&self) -> Self {
        let one = self.like(1.0);
        let not_above = Self::choose(&self.lt(0.0), &-&one, self);
        Self::choose(&self.gt(0.0), &one, &not_above)
    }

    /// The nearest whole number, ties to even: what is left when a number without room for a fraction is
    /// added and taken away again.
    fn nearest(&self) -> Self {
        let no_fractions = E::epsilon().f64().recip();
        let rounded = (self + 1.5 * no_fractions) - 1.5 * no_fractions;
        self.abs().where_lt(no_fractions, &rounded, self)
    }

    pub(crate) fn floor(&self) -> Self {
        let nearest = self.nearest();
        &nearest - self.compare(Comparison::Less, &nearest)
    }

    pub(super) fn ceil(&self) -> Self {
        -(-self).floor()
    }

    pub(super) fn trunc(&self) -> Self {
        self.sign() * self.abs().floor()
    }

    /// Ties away from zero.
    pub(super) fn round(&self) -> Self {
        let size = self.abs();
        let down = size.floor();
        let up = (&size - &down).where_lt(0.5, &size.like(0.0), &size.like(1.0));
        self.sign() * (down + up)
    }

    pub(super) fn expm1(&self) -> Self {
        let u = self.exp();
        let minus = &u - 1.0;
        let near = &minus * self / u.ln();
        let near = Self::choose(&minus.eq(0.0), self, &near);
        self.abs().where_lt(1.0, &near, &minus)
    }

    pub(super) fn log1p(&self) -> Self {
        let u = self + 1.0;
        let log = u.ln();
        let near = &log * self / (&u - 1.0);
        let near = Self::choose(&u.eq(1.0), self, &near);
        self.abs().where_lt(1.0, &near, &log)
    }

    pub(super) fn log1p_exp(&self) -> Self {
        let tail = (-self.abs()).exp().log1p();
        tail + Self::choose(&self.gt(0.0), self, &self.like(0.0))
    }

    pub(super) fn log1m_exp(&self) -> Self {
        self.pick(-LN_2, || (-self.exp()).log1p(), || (-self.expm1()).ln())
    }

    pub(super) fn tan(&self) -> Self {
        self.sin() / self.cos()
    }

    pub(super) fn atan(&self) -> Self {
        const P: [f64; 5] = [
            -6.485_021_904_942_025e1,
            -1.228_866_684_490_136_2e2,
            -7.500_855_792_314_704_7e1,
            -1.615_753_718_733_365_1e1,
            -8.750_608_600_031_904e-1,
        ];
        const Q: [f64; 6] = [
            1.945_506_571_482_614e2,
            4.853_903_996_359_137e2,
            4.328_810_604_912_903e2,
            1.650_270_098_316_988_6e2,
            2.485_846_490_142_306_3e1,
            1.0,
        ];
        let (far, middle) = (2.414_213_562_373_095, 0.66);
        let size = self.abs();
        let near = |size: &Self, a: Self, b: Self, c: Self| {
            size.where_lt(middle, &a, &size.where_lt(far, &b, &c))
        };
        let reduced = near(&size, size.clone(), (&size - 1.0) / (&size + 1.0), -size.recip());
        let angle = near(&size, size.like(0.0), size.like(FRAC_PI_4), size.like(FRAC_PI_2));
        let z = reduced.square();
        let rest = &z * z.horner(&P) / z.horner(&Q);
        self.sign() * (angle + (&reduced * rest + reduced))
    }

    pub(super) fn asin(&self) -> Self {
        (self / ((-self + 1.0) * (self + 1.0)).sqrt()).atan()
    }

    pub(super) fn acos(&self) -> Self {
        ((-self + 1.0) / (self + 1.0)).sqrt().atan() * 2.0
    }

    pub(super) fn sinh(&self) -> Self {
        let e = self.expm1();
        let near = (&e + &e / (&e + 1.0)) * 0.5;
        self.abs().where_lt(1.0, &near, &((self.exp() - (-self).exp()) * 0.5))
    }

    pub(super) fn cosh(&self) -> Self {
        (self.exp() + (-self).exp()) * 0.5
    }

    /// The angle of the point `(x, self)`, both of one shape.
    pub(super) fn atan2(&self, x: &Self) -> Self {
        let y = self;
        let half_turn = Self::choose(&y.lt(0.0), &y.like(-PI), &y.like(PI));
        let angle = (y / x).atan();
        let angle = x.where_lt(0.0, &(&angle + half_turn), &angle);
        let on_axis = y.sign() * FRAC_PI_2;
        Self::choose(&x.eq(0.0), &on_axis, &angle)
    }

    /// `sin πx` and `cos πx`.
    fn sin_cos_pi(&self) -> (Self, Self) {
        let nearest = self.nearest();
        let t = (self - &nearest) * PI;
        // −1 where the nearest whole number is odd.
        let half = &nearest * 0.5;
        let sign = -((&half - half.floor()) * 4.0 - 1.0);
        (&sign * t.sin(), sign * t.cos())
    }

    /// What Stirling's formula for `log Γ` misses at `x ≥ 8`.
    fn stirling_error(&self) -> Self {
        const C: [f64; 10] = [
            1.0 / 12.0,
            -1.0 / 360.0,
            1.0 / 1260.0,
            -1.0 / 1680.0,
            1.0 / 1188.0,
            -691.0 / 360_360.0,
            1.0 / 156.0,
            -3617.0 / 122_400.0,
            43867.0 / 244_188.0,
            -174_611.0 / 125_400.0,
        ];
        let r = self.recip();
        r.square().horner(&C) * r
    }

    /// `log Γ(x)` for `x > 0`.
    fn lgamma_positive(&self) -> Self {
        let (few, one) = (f64::from(STEPS), self.like(1.0));
        let small = self.where_lt(few, self, &one);
        let product = (1..STEPS).fold(small.clone(), |p, k| p * (&small + f64::from(k)));
        let y = self.where_lt(few, &(self + few), self);
        let log = y.ln();
        let series = (&y - 0.5) * log - &y + LOG_SQRT_2_PI + y.stirling_error();
        let near = &series - product.ln();
        // ∞ − ∞ beyond the largest numbers.
        let series = Self::choose(&y.eq(f64::INFINITY), &y, &series);
        self.where_lt(few, &near, &series)
    }

    /// The argument mirrored at ½ where it is negative.
    fn reflected(&self) -> Self {
        self.where_lt(0.0, &(-self + 1.0), self)
    }

    pub(super) fn lgamma(&self) -> Self {
        let value = self.reflected().lgamma_positive();
        let below = -(self.sin_cos_pi().0.abs() * (1.0 / PI)).ln() - &value;
        self.where_lt(0.0, &below, &value)
    }

    fn digamma_positive(&self) -> Self {
        let steps = STEPS + 2;
        let y = self + f64::from(steps);
        let z = y.square().recip();
        let tail = y.ln() - y.recip() * 0.5 - z.horner(&DIGAMMA_TAIL) * z;
        (0..steps).rev().fold(tail, |sum, k| sum - (self + f64::from(k)).recip())
    }

    /// The `n`-th derivative of digamma.
    ///
    /// Below 0 by the reflection `ψ⁽ⁿ⁾(1 − x) − (−1)ⁿ ψ⁽ⁿ⁾(x) = (−1)ⁿ π dⁿ/dxⁿ cot πx`, in which the
    /// derivatives of the cotangent `c` are polynomials of it: `dc/dx = −π (1 + c²)`.
    pub(super) fn polygamma(&self, n: u8) -> Self {
        let y = self.reflected();
        let value = match n {
            0 => y.digamma_positive(),
            _ => {
                let factorial: f64 = (1..=n).map(f64::from).product();
                let sign = if n % 2 == 1 { 1.0 } else { -1.0 };
                y.zeta(u32::from(n) + 1) * (sign * factorial)
            }
        };
        let mut slope = vec![0.0, PI];
        for _ in 0..n {
            let mut next = vec![0.0; slope.len() + 1];
            for (k, c) in slope.iter().enumerate().skip(1) {
                let change = -PI * k as f64 * c;
                next[k - 1] += change;
                next[k + 1] += change;
            }
            slope = next;
        }
        let (s, c) = self.sin_cos_pi();
        let cot = (c / s).horner(&slope);
        let mirrored = if n.is_multiple_of(2) { &value - cot } else { -&value - cot };
        self.where_lt(0.0, &mirrored, &value)
    }

    /// The Hurwitz zeta function `Σ (x + k)^−s` for `x > 0`, by Euler and Maclaurin.
    fn zeta(&self, s: u32) -> Self {
        // B₂ⱼ/(2j)!.
        const C: [f64; 8] = [
            1.0 / 12.0,
            -1.0 / 720.0,
            1.0 / 30240.0,
            -1.0 / 1_209_600.0,
            1.0 / 47_900_160.0,
            -5.284_190_138_687_493e-10,
            1.338_253_653_068_467_9e-11,
            -3.389_680_296_322_582_7e-13,
        ];
        let power = |x: &Self| (1..s).fold(x.recip(), |p, _| p * x.recip());
        let steps = STEPS + s / 2 + 2;
        let w = self + f64::from(steps);
        let tail = power(&w);
        let mut sum = &tail * (&w * (1.0 / f64::from(s - 1)) + 0.5);
        let per = w.recip();
        let mut factor = tail * &per * f64::from(s);
        for (j, c) in C.iter().enumerate() {
            sum = sum + &factor * *c;
            let m = f64::from(s) + 2.0 * j as f64;
            factor = factor * (&per * (m + 1.0)) * (&per * (m + 2.0));
        }
        (0..steps).rev().fold(sum, |sum, k| sum + power(&(self + f64::from(k))))
    }

    /// `log B(a, b)`, for large arguments from the difference of Stirling's approximations.
    pub(super) fn lbeta(&self, other: &Self) -> Self {
        let (p, q) = (self.lower(other), self.upper(other));
        let sum = &p + &q;
        let plain = p.lgamma() + (q.lgamma() - sum.lgamma());
        let shift = q.stirling_error() - sum.stirling_error();
        let h = &p / &q;
        let one_large = p.lgamma() + &shift + &p - &p * sum.ln() - (&q - 0.5) * h.log1p();
        let log = (&h / (&h + 1.0)).ln();
        let both_large =
            -(q.ln() * 0.5) + LOG_SQRT_2_PI + p.stirling_error() + shift + (&p - 0.5) * log
                - &q * h.log1p();
        let large = p.where_lt(10.0, &one_large, &both_large);
        q.where_lt(10.0, &plain, &large)
    }

    /// The smaller; NaN if either is.
    pub(super) fn lower(&self, other: &Self) -> Self {
        Self::select(&self.compare(Comparison::LessOrEqual, other), self, &other.or_nan(self))
    }

    /// The larger; NaN if either is.
    pub(super) fn upper(&self, other: &Self) -> Self {
        Self::select(&other.compare(Comparison::LessOrEqual, self), self, &other.or_nan(self))
    }

    /// This; NaN where the other is.
    pub(super) fn or_nan(&self, other: &Self) -> Self {
        Self::select(&Self::truth(&other.is_nan()), other, self)
    }

    /// `exp(z²) erfc(z)` for `z ≥ 0`.
    fn erfcx(&self) -> Self {
        let t = (self + 2.0).recip() * 2.0;
        (&t * 2.0 - 1.0).chebyshev(&tables::ERFCX) * t
    }

    pub(super) fn erf(&self) -> Self {
        let near = (self.square() * 2.0 - 1.0).chebyshev(&tables::ERF) * self;
        self.abs().where_lt(1.0, &near, &(-self.erfc() + 1.0))
    }

    pub(super) fn erfc(&self) -> Self {
        let size = self.abs();
        let decay = (-size.square()).exp();
        // 0 × 0 rather than the NaN of an infinite argument.
        let above = Self::choose(&decay.eq(0.0), &decay, &(size.erfcx() * &decay));
        let above = above.or_nan(self);
        self.where_lt(0.0, &(-&above + 2.0), &above)
    }

    pub(super) fn normal_cdf(&self) -> Self {
        (self * -FRAC_1_SQRT_2).erfc() * 0.5
    }

    pub(super) fn normal_log_cdf(&self) -> Self {
        let tail = ((self * -FRAC_1_SQRT_2).abs().erfcx() * 0.5).ln() - self.square() * 0.5;
        let tail = Self::choose(&self.eq(f64::NEG_INFINITY), self, &tail);
        self.where_lt(-1.0, &tail, &(-(-self).normal_cdf()).log1p())
    }

    pub(super) fn normal_quantile(&self) -> Self {
        let [middle, far, farther] = &QUANTILE;
        let ratio = |x: Self, [p, q]: &[[f64; 8]; 2]| x.horner(p) / x.horner(q);
        let q = self - 0.5;
        let near = ratio(-q.square() + 0.180_625, middle) * &q;
        let tail = self.where_lt(0.5, self, &(-self + 1.0));
        let r = (-tail.ln()).sqrt();
        let outer = r.where_lt(5.0, &ratio(&r - 1.6, far), &ratio(&r - 5.0, farther));
        let outer = Self::choose(&tail.eq(0.0), &tail.like(f64::INFINITY), &outer);
        q.abs().where_lt(0.425, &near, &(q.sign() * outer))
    }

    /// The Bessel functions `exp(−|x|) I₀(x)` and `exp(−|x|) I₁(|x|)`, both times `√|x|` from 8 on.
    fn bessel(&self) -> (Self, Self) {
        let size = self.abs();
        let near = &size * 0.25 - 1.0;
        let far = size.recip() * 16.0 - 1.0;
        let of = |a: &[f64], b: &[f64]| size.pick(8.0, || near.chebyshev(a), || far.chebyshev(b));
        (of(&tables::I0_NEAR, &tables::I0_FAR), of(&tables::I1_NEAR, &tables::I1_FAR))
    }

    pub(super) fn log_bessel_i0(&self) -> Self {
        let size = self.abs();
        let root = size.pick(8.0, || size.like(0.0), || size.ln() * 0.5);
        self.bessel().0.ln() - root + size
    }

    pub(super) fn bessel_ratio(&self) -> Self {
        let (zero, one) = self.bessel();
        self.sign() * (one / zero)
    }

    /// `self^b`; with an exponent that is a known number, dfdx's own power.
    pub(super) fn power(&self, b: &Self, known: Option<f64>) -> Self {
        if let Some(exponent) = known {
            return Array(self.0.clone().powf(exponent));
        }
        let size = (self.abs().ln() * b).exp();
        // Of a negative number there are powers with whole exponents only.
        let half = b * 0.5;
        let odd = half.compare(Comparison::NotEqual, &half.floor());
        let sign = odd * -2.0 + 1.0;
        let whole = b.compare(Comparison::Equal, &b.floor());
        let negative = Self::select(&whole, &(&size * &sign), &size.like(f64::NAN));
        let below = &Self::truth(&self.lt(0.0));
        let value = Self::select(below, &negative, &size);
        // 0⁰ and 1^∞ are 1; the logarithm of 0 has no sign for 0^b.
        let zero = Self::truth(&b.eq(0.0));
        let one = Self::truth(&self.eq(1.0));
        let trivial = (zero + one).upper(&value.like(0.0));
        Self::select(&trivial, &value.like(1.0), &value)
    }

    pub(super) fn log_add_exp(&self, other: &Self) -> Self {
        let (hi, lo) = (self.upper(other), self.lower(other));
        let sum = &hi + (&lo - &hi).exp().log1p();
        let equal = hi.compare(Comparison::Equal, &lo);
        Self::select(&equal, &(hi + LN_2), &sum)
    }
}
