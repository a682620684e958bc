//! The number types that programs run in, with elementary functions that compilers can vectorise.
//!
//! The functions are plain scalar code without branches or calls, so that a loop over them becomes
//! vector instructions, and so that an element has the same bits in a vector loop, in its tail and on
//! its own. `mul_add` is one rounding everywhere (an instruction on every processor with FMA).
//!
//! Errors: at most 2 ulp for `exp`, `expm1`, `log`, `log1p`; 3 ulp for `inv_logit`, `tanh`, `log1p_exp`,
//! `log1m_exp` (`tests/suite/exec.rs`). The polynomial of `log` is that of fdlibm's `e_log.c`
//! (Sun Microsystems 1993); that of `exp` is Taylor's on `|r| ≤ log(2)/2`.

use pulp::Simd;

use crate::real::Real;

/// A [`Real`] that programs can be compiled for.
pub trait Element: Real {
    /// `eᵃ`.
    fn fast_exp(self) -> Self;
    /// `eᵃ − 1`.
    fn fast_expm1(self) -> Self;
    /// Natural logarithm.
    fn fast_log(self) -> Self;
    /// `log(1 + a)`.
    fn fast_log1p(self) -> Self;
    /// `self · a + b`, rounded once.
    fn fma(self, a: Self, b: Self) -> Self;

    /// `e^(−|a|)`; zero where that is less than the least normal number.
    fn fast_decay(self) -> Self;
    /// `1 / (1 + e⁻ᵃ)`, by [`fast_decay`](Self::fast_decay).
    fn fast_inv_logit(self) -> Self;
    /// `log(1 + eᵃ)` and its derivative `1 / (1 + e⁻ᵃ)`, which have most of their work in common.
    fn fast_softplus(self) -> (Self, Self);

    /// A vector register of an instruction set.
    type Vector<S: Simd>: Copy;
    /// Numbers in a vector.
    fn lanes<S: Simd>() -> usize;
    /// `x` in every lane.
    fn splat<S: Simd>(simd: S, x: Self) -> Self::Vector<S>;
    /// `a b + c`, rounded once, in every lane.
    fn fma_vector<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;
    /// The whole vectors that a slice begins with.
    fn vectors<S: Simd>(x: &[Self]) -> &[Self::Vector<S>];
    /// The whole vectors that a slice begins with, to be written.
    fn vectors_mut<S: Simd>(x: &mut [Self]) -> &mut [Self::Vector<S>];
    /// A slice of at most [`lanes`](Self::lanes) numbers, zeros after it.
    fn load<S: Simd>(simd: S, x: &[Self]) -> Self::Vector<S>;
    /// Writes the first lanes to a slice of at most that many.
    fn store<S: Simd>(simd: S, x: &mut [Self], vector: Self::Vector<S>);

    /// `log(1 + eᵃ)`.
    #[inline(always)]
    fn fast_log1p_exp(self) -> Self {
        let tail = (-self.abs()).fast_exp().fast_log1p();
        let positive = if self > Self::zero() { self } else { Self::zero() };
        if self.is_nan() { self } else { positive + tail }
    }

    /// `log(1 − eᵃ)`.
    #[inline(always)]
    fn fast_log1m_exp(self) -> Self {
        let near = (-self.fast_expm1()).fast_log();
        let far = (-self.fast_exp()).fast_log1p();
        if self > -Self::LN_2() { near } else { far }
    }

    /// Hyperbolic tangent.
    #[inline(always)]
    fn fast_tanh(self) -> Self {
        let two = Self::one() + Self::one();
        let t = (-two * self.abs()).fast_expm1();
        let magnitude = -t / (two + t);
        if self < Self::zero() {
            -magnitude
        } else if self > Self::zero() {
            magnitude
        } else {
            self
        }
    }
}

/// A polynomial, lowest coefficient first.
macro_rules! horner {
    ($x:expr; $last:expr) => { $last };
    ($x:expr; $first:expr, $($rest:expr),+) => { $x.mul_add(horner!($x; $($rest),+), $first) };
}

macro_rules! element {
    (
        $float:ident, $bits:ident, $int:ident,
        simd: $vector:ident $lanes:ident $splat:ident $mul_add:ident $as_simd:ident
            $as_mut_simd:ident $load:ident $store:ident,
        mantissa: $mantissa:literal, bias: $bias:literal, magic: $magic:expr,
        ln2: ($ln2_hi:expr, $ln2_lo:expr), exp_range: ($exp_min:expr, $exp_max:expr),
        exp: [$($taylor:expr),*], log: [$($lg:expr),*], atanh: [$($odd:expr),*],
        least_normal: $least:expr,
        subnormal_scale: $scale:expr, subnormal_shift: $shift:expr,
    ) => {
        impl Element for $float {
            type Vector<S: Simd> = S::$vector;

            #[inline(always)]
            fn lanes<S: Simd>() -> usize {
                S::$lanes
            }

            #[inline(always)]
            fn splat<S: Simd>(simd: S, x: Self) -> S::$vector {
                simd.$splat(x)
            }

            #[inline(always)]
            fn fma_vector<S: Simd>(
                simd: S,
                a: S::$vector,
                b: S::$vector,
                c: S::$vector,
            ) -> S::$vector {
                simd.$mul_add(a, b, c)
            }

            #[inline(always)]
            fn vectors<S: Simd>(x: &[Self]) -> &[S::$vector] {
                S::$as_simd(x).0
            }

            #[inline(always)]
            fn vectors_mut<S: Simd>(x: &mut [Self]) -> &mut [S::$vector] {
                S::$as_mut_simd(x).0
            }

            #[inline(always)]
            fn load<S: Simd>(simd: S, x: &[Self]) -> S::$vector {
                simd.$load(x)
            }

            #[inline(always)]
            fn store<S: Simd>(simd: S, x: &mut [Self], vector: S::$vector) {
                simd.$store(x, vector);
            }

            #[inline(always)]
            fn fma(self, a: Self, b: Self) -> Self {
                self.mul_add(a, b)
            }

            #[inline(always)]
            fn fast_exp(self) -> Self {
                let (q, k) = Reduce::reduce(self);
                // Two factors, so that neither leaves the range of normal numbers.
                let half = k >> 1;
                let y = (q + 1.0) * <$float as Power>::of(half);
                let y = y * <$float as Power>::of(k - half);
                let y = if self > $exp_max { $float::INFINITY } else { y };
                let y = if self < $exp_min { 0.0 } else { y };
                if self.is_nan() { self } else { y }
            }

            #[inline(always)]
            fn fast_expm1(self) -> Self {
                let (q, k) = Reduce::reduce(self);
                // 2ᵏ q + (2ᵏ − 1) at half scale, so that k may be one above the largest exponent.
                let s = <$float as Power>::of(if k < -($mantissa + 2) { -($mantissa + 2) } else { k } - 1);
                let y = 2.0 * s.mul_add(q, s - 0.5);
                let y = if k == 0 { q } else { y };
                let y = if self > $exp_max { $float::INFINITY } else { y };
                let y = if self < -($mantissa as $float) { -1.0 } else { y };
                if self.is_nan() || self == 0.0 { self } else { y }
            }

            #[inline(always)]
            fn fast_log(self) -> Self {
                let tiny = self < $float::MIN_POSITIVE;
                let x = if tiny { self * $scale } else { self };
                // x = 2ᵏ (1 + f) with 1 + f in [√½, √2).
                let offset = std::$float::consts::FRAC_1_SQRT_2.to_bits();
                let shifted = x.to_bits().wrapping_sub(offset) as $int;
                let k = shifted >> $mantissa;
                let m = $float::from_bits(x.to_bits().wrapping_sub((k << $mantissa) as $bits));
                let k = ($magic.to_bits().wrapping_add(k as $bits));
                let k = $float::from_bits(k) - $magic - if tiny { $shift } else { 0.0 };
                let f = m - 1.0;
                let s = f / (2.0 + f);
                let z = s * s;
                let r = z * horner!(z; $($lg),*);
                let half = 0.5 * f * f;
                let y = k * $ln2_hi - ((half - (s * (half + r) + k * $ln2_lo)) - f);
                let y = if self == $float::INFINITY { self } else { y };
                let y = if self == 0.0 { $float::NEG_INFINITY } else { y };
                if self < 0.0 || self.is_nan() { $float::NAN } else { y }
            }

            #[inline(always)]
            fn fast_decay(self) -> $float {
                // Below the least, k is out of range and the product means nothing; NaN stays NaN.
                let x = -self.abs();
                let shifted = x * std::$float::consts::LOG2_E + $magic;
                let k = shifted - $magic;
                let r = k.mul_add(-$ln2_lo, k.mul_add(-$ln2_hi, x));
                let q = r * r * horner!(r; $($taylor),*) + r;
                let k = (shifted.to_bits() as $int).wrapping_sub($magic.to_bits() as $int);
                let power = $float::from_bits((k.wrapping_add($bias) << $mantissa) as $bits);
                if x < $least { 0.0 } else { (q + 1.0) * power }
            }

            #[inline(always)]
            fn fast_inv_logit(self) -> $float {
                let e = self.fast_decay();
                let inverse = 1.0 / (1.0 + e);
                if self > 0.0 { inverse } else { e * inverse }
            }

            #[inline(always)]
            fn fast_softplus(self) -> ($float, $float) {
                let e = self.fast_decay();
                // log(1 + e) = 2 artanh(s), s = e / (2 + e) ≤ ⅓.
                let s = e / (2.0 + e);
                let z = s * s;
                let tail = 2.0 * s.mul_add(z * horner!(z; $($odd),*), s);
                let inverse = 1.0 / (1.0 + e);
                if self > 0.0 { (self + tail, inverse) } else { (tail, e * inverse) }
            }

            #[inline(always)]
            fn fast_log1p(self) -> Self {
                let u = 1.0 + self;
                // What rounding 1 + x lost, to first order [kahan].
                let lost = (self - (u - 1.0)) / u;
                let log = u.fast_log();
                let y = if u == 0.0 || u == $float::INFINITY { log } else { log + lost };
                if self == 0.0 { self } else { y }
            }
        }

        impl Reduce for $float {
            type Int = $int;
            #[inline(always)]
            fn reduce(self) -> ($float, $int) {
                let x = if self > $exp_max { $exp_max } else { self };
                // Below the least what follows is not used; a subnormal number would take a hundred cycles.
                let x = if x < $exp_min { 0.0 } else { x };
                let x = if self.is_nan() { 0.0 } else { x };
                // Adding 1.5·2^mantissa leaves the nearest integer in the low bits.
                let shifted = x * std::$float::consts::LOG2_E + $magic;
                let k = shifted - $magic;
                let r = k.mul_add(-$ln2_lo, k.mul_add(-$ln2_hi, x));
                let q = r * r * horner!(r; $($taylor),*) + r;
                (q, (shifted.to_bits() as $int).wrapping_sub($magic.to_bits() as $int))
            }
        }

        impl Power for $float {
            type Int = $int;
            #[inline(always)]
            fn of(k: $int) -> $float {
                $float::from_bits(((k + $bias) << $mantissa) as $bits)
            }
        }
    };
}

/// `eˣ = 2ᵏ (1 + q)` with `|q| < 0.42`.
trait Reduce: Sized {
    type Int;
    fn reduce(self) -> (Self, Self::Int);
}

/// `2ᵏ` for `k` in the range of normal exponents.
trait Power: Sized {
    type Int;
    fn of(k: Self::Int) -> Self;
}

element! {
    f64, u64, i64,
    simd: f64s F64_LANES splat_f64s mul_add_f64s as_simd_f64s as_mut_simd_f64s partial_load_f64s partial_store_f64s,
    mantissa: 52, bias: 1023, magic: 6_755_399_441_055_744.0_f64,
    ln2: (6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10),
    exp_range: (-745.133_219_101_941_2, 709.782_712_893_384),
    exp: [1.0 / 2.0, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5040.0, 1.0 / 40320.0, 1.0 / 362880.0, 1.0 / 3628800.0, 1.0 / 39916800.0, 1.0 / 479001600.0, 1.0 / 6227020800.0],
    log: [
        6.666_666_666_666_735e-1, 3.999_999_999_940_942e-1, 2.857_142_874_366_239e-1,
        2.222_219_843_214_978_4e-1, 1.818_357_216_161_805e-1, 1.531_383_769_920_937_3e-1,
        1.479_819_860_511_658_6e-1
    ],
    atanh: [1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0, 1.0 / 11.0, 1.0 / 13.0, 1.0 / 15.0, 1.0 / 17.0, 1.0 / 19.0, 1.0 / 21.0, 1.0 / 23.0, 1.0 / 25.0, 1.0 / 27.0, 1.0 / 29.0, 1.0 / 31.0],
    least_normal: -708.0,
    subnormal_scale: 18_014_398_509_481_984.0, subnormal_shift: 54.0,
}

element! {
    f32, u32, i32,
    simd: f32s F32_LANES splat_f32s mul_add_f32s as_simd_f32s as_mut_simd_f32s partial_load_f32s partial_store_f32s,
    mantissa: 23, bias: 127, magic: 12_582_912.0_f32,
    ln2: (6.931_381e-1, 9.058_001e-6),
    exp_range: (-103.972_08, 88.722_83),
    exp: [1.0 / 2.0, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0, 1.0 / 5040.0, 1.0 / 40320.0],
    log: [6.666_666e-1, 4.000_097e-1, 2.849_879_3e-1, 2.427_908e-1],
    atanh: [1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0, 1.0 / 11.0, 1.0 / 13.0, 1.0 / 15.0],
    least_normal: -87.0,
    subnormal_scale: 33_554_432.0, subnormal_shift: 25.0,
}
