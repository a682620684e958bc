//! Error functions and the standard normal distribution.
//!
//! Everything in the normal's left tail goes through `erfcx`, the scaled complementary error
//! function, which is well conditioned there; the factor `exp(-x²/2)` is taken with the square
//! split in two, so that its relative error does not grow with x².
//!
//! Reference: rational approximations of fdlibm (Sun Microsystems, 1993) for `erfcx`;
//! \[wichura1988\] (AS 241) for the quantile.

#![allow(clippy::excessive_precision, reason = "coefficients as published")]

use super::gamma::horner;
use libm::{exp, log, log1p, sqrt};
use std::f64::consts::FRAC_1_SQRT_2;

/// `1 / √(2π)`.
const FRAC_1_SQRT_2_PI: f64 = 0.398_942_280_401_432_7;

/// The error function `2/√π ∫₀ˣ exp(-t²) dt`.
///
/// # Numerics
/// All `x`; relative error ≤ 2 ulp.
#[must_use]
pub fn erf(x: f64) -> f64 {
    libm::erf(x)
}

/// `1 - erf(x)`, without cancellation for large `x`.
///
/// # Numerics
/// All `x`; relative error ≤ 4 ulp until it underflows beyond 26.5.
#[must_use]
pub fn erfc(x: f64) -> f64 {
    libm::erfc(x)
}

/// `exp(x²) erfc(x)`, which decays like `1 / (x √π)`; `∞` below about −26.6.
///
/// # Numerics
/// Relative error ≤ 8 ulp for `x ≥ 0`; `2x²` ulp more below.
#[must_use]
pub fn erfcx(x: f64) -> f64 {
    // erfc(x) = exp(-x² - 0.5625 + R(1/x²)/S(1/x²)) / x on these two ranges in fdlibm. The second
    // approximation tends to the right limit, so it serves up to infinity.
    const RA: [f64; 8] = [
        -9.864_944_034_847_148_227_05e-03,
        -6.938_585_727_071_817_643_72e-01,
        -1.055_862_622_532_329_098_14e+01,
        -6.237_533_245_032_600_603_96e+01,
        -1.623_966_694_625_734_703_55e+02,
        -1.846_050_929_067_110_359_94e+02,
        -8.128_743_550_630_659_342_46e+01,
        -9.814_329_344_169_145_485_92e+00,
    ];
    const SA: [f64; 9] = [
        1.0,
        1.965_127_166_743_925_712_92e+01,
        1.376_577_541_435_190_426_00e+02,
        4.345_658_774_752_292_288_21e+02,
        6.453_872_717_332_678_803_36e+02,
        4.290_081_400_275_678_333_86e+02,
        1.086_350_055_417_794_351_34e+02,
        6.570_249_770_319_281_701_35e+00,
        -6.042_441_521_485_809_874_38e-02,
    ];
    const RB: [f64; 7] = [
        -9.864_942_924_700_099_285_97e-03,
        -7.992_832_376_805_230_065_74e-01,
        -1.775_795_491_775_475_198_89e+01,
        -1.606_363_848_558_219_160_62e+02,
        -6.375_664_433_683_896_277_22e+02,
        -1.025_095_131_611_077_249_54e+03,
        -4.835_191_916_086_513_970_19e+02,
    ];
    const SB: [f64; 8] = [
        1.0,
        3.033_806_074_348_245_829_24e+01,
        3.257_925_129_965_739_188_26e+02,
        1.536_729_586_084_436_959_94e+03,
        3.199_858_219_508_595_539_08e+03,
        2.553_050_406_433_164_425_83e+03,
        4.745_285_412_069_553_672_15e+02,
        -2.244_095_244_658_581_833_62e+01,
    ];
    if x < 1.25 {
        // Below −26.7 the square overflows the exponential; erfc is 2 there.
        return exp(x * x) * libm::erfc(x);
    }
    let s = 1.0 / (x * x);
    let ratio = if x < 1.0 / 0.35 {
        horner(&RA, s) / horner(&SA, s)
    } else {
        horner(&RB, s) / horner(&SB, s)
    };
    exp(ratio - 0.5625) / x
}

/// The standard normal distribution function `Φ(x)`.
///
/// # Numerics
/// All `x`; relative error ≤ 16 ulp down to where it becomes subnormal, about −37.5.
#[must_use]
pub fn std_normal_cdf(x: f64) -> f64 {
    if x < -1.0 {
        0.5 * erfcx(-x * FRAC_1_SQRT_2) * exp_neg_half_square(x)
    } else {
        0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
    }
}

/// `log Φ(x)`, accurate in both tails: about `-x²/2` far left, `-φ(x)/x` far right.
///
/// # Numerics
/// All `x`; relative error ≤ 16 ulp until it underflows beyond 38.
#[must_use]
pub fn std_normal_log_cdf(x: f64) -> f64 {
    if x < -1.0 {
        if x == f64::NEG_INFINITY {
            return x;
        }
        log(0.5 * erfcx(-x * FRAC_1_SQRT_2)) - 0.5 * x * x
    } else {
        log1p(-std_normal_cdf(-x))
    }
}

/// `log (1 - Φ(x)) = log Φ(-x)`.
///
/// # Numerics
/// As [`std_normal_log_cdf`].
#[must_use]
pub fn std_normal_log_ccdf(x: f64) -> f64 {
    std_normal_log_cdf(-x)
}

/// `φ(x) / Φ(x)`, the derivative of [`std_normal_log_cdf`]; about `-x` far left.
///
/// # Numerics
/// All `x`; relative error ≤ 16 ulp until it underflows beyond 38. Its own derivative is
/// `-h (x + h)`.
#[must_use]
pub fn inv_mills_ratio(x: f64) -> f64 {
    if x < -1.0 {
        if x == f64::NEG_INFINITY {
            return f64::INFINITY;
        }
        2.0 * FRAC_1_SQRT_2_PI / erfcx(-x * FRAC_1_SQRT_2)
    } else {
        FRAC_1_SQRT_2_PI * exp_neg_half_square(x) / std_normal_cdf(x)
    }
}

/// Numerators and denominators of PPND16, lowest power first: of `0.180625 − q²` in the middle, of `r − 1.6`
/// and `r − 5` further out [wichura1988, sec. 3].
pub(crate) const QUANTILE: [[[f64; 8]; 2]; 3] = [
    [
        [
            3.387_132_872_796_366_608_0,
            1.331_416_678_917_843_774_5e+2,
            1.971_590_950_306_551_442_7e+3,
            1.373_169_376_550_946_112_5e+4,
            4.592_195_393_154_987_145_7e+4,
            6.726_577_092_700_870_085_3e+4,
            3.343_057_558_358_812_810_5e+4,
            2.509_080_928_730_122_672_7e+3,
        ],
        [
            1.0,
            4.231_333_070_160_091_125_2e+1,
            6.871_870_074_920_579_083_0e+2,
            5.394_196_021_424_751_107_7e+3,
            2.121_379_430_158_659_586_7e+4,
            3.930_789_580_009_271_061_0e+4,
            2.872_908_573_572_194_267_4e+4,
            5.226_495_278_852_854_561_0e+3,
        ],
    ],
    [
        [
            1.423_437_110_749_683_577_34,
            4.630_337_846_156_545_295_90,
            5.769_497_221_460_691_405_50,
            3.647_848_324_763_204_605_04,
            1.270_458_252_452_368_382_58,
            2.417_807_251_774_506_117_70e-1,
            2.272_384_498_926_918_458_33e-2,
            7.745_450_142_783_414_076_40e-4,
        ],
        [
            1.0,
            2.053_191_626_637_758_821_87,
            1.676_384_830_183_803_849_40,
            6.897_673_349_851_000_045_50e-1,
            1.481_039_764_274_800_745_90e-1,
            1.519_866_656_361_645_719_66e-2,
            5.475_938_084_995_344_946_00e-4,
            1.050_750_071_644_416_843_24e-9,
        ],
    ],
    [
        [
            6.657_904_643_501_103_777_20,
            5.463_784_911_164_114_369_90,
            1.784_826_539_917_291_335_80,
            2.965_605_718_285_048_912_30e-1,
            2.653_218_952_657_612_309_30e-2,
            1.242_660_947_388_078_438_60e-3,
            2.711_555_568_743_487_578_15e-5,
            2.010_334_399_292_288_132_65e-7,
        ],
        [
            1.0,
            5.998_322_065_558_879_376_90e-1,
            1.369_298_809_227_358_053_10e-1,
            1.487_536_129_085_061_485_25e-2,
            7.868_691_311_456_132_591_00e-4,
            1.846_318_317_510_054_681_80e-5,
            1.421_511_758_316_445_888_70e-7,
            2.044_263_103_389_939_785_64e-15,
        ],
    ],
];

/// The standard normal quantile `Φ⁻¹(p)`; `∓∞` at 0 and 1, NaN outside `[0, 1]`.
///
/// # Numerics
/// Relative error ≤ 16 ulp, from the smallest positive double to one ulp below 1.
///
/// # Reference
/// \[wichura1988\], algorithm PPND16.
#[must_use]
pub fn std_normal_quantile(p: f64) -> f64 {
    let [[a, b], [c, d], [e, f]] = &QUANTILE;
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * horner(a, r) / horner(b, r);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    if tail == 0.0 {
        return f64::INFINITY.copysign(q);
    }
    let r = sqrt(-log(tail));
    let x = if r <= 5.0 {
        horner(c, r - 1.6) / horner(d, r - 1.6)
    } else {
        horner(e, r - 5.0) / horner(f, r - 5.0)
    };
    x.copysign(q)
}

/// `exp(-x²/2)` with relative error ≤ 2 ulp for every `x`.
///
/// The high half of x has 26 bits, so its square is exact and only small terms are rounded.
fn exp_neg_half_square(x: f64) -> f64 {
    let high = f64::from_bits(x.to_bits() & 0xffff_ffff_f800_0000);
    let value = exp(-0.5 * high * high) * exp(-0.5 * (x - high) * (x + high));
    // ∞ - ∞ in the low half.
    if x.is_infinite() { 0.0 } else { value }
}
