//! One seed → named, independent random streams, and random numbers addressed by key and counter. The
//! only place a generator is made.

use rand::{RngCore, SeedableRng};
use rand_distr::{Binomial, Distribution, Gamma, Poisson, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use sha2::{Digest, Sha256};

/// The generator of every stream; its algorithm is fixed, so a seed means the same draws in every release.
pub type Stream = Xoshiro256PlusPlus;

/// The random stream `name` of a run with the given seed.
///
/// Streams of different names are independent for all practical purposes (the state is a SHA-256 of
/// seed and name), so adding a consumer never changes the numbers that another one sees.
#[must_use]
pub fn stream(seed: u64, name: &str) -> Stream {
    let digest = Sha256::new().chain_update(seed.to_le_bytes()).chain_update(name).finalize();
    Stream::from_seed(digest.into())
}

/// Fills `out` with standard normal draws.
pub fn fill_std_normal<E: crate::real::Real>(rng: &mut impl RngCore, out: &mut [E]) {
    for x in out {
        let draw: f64 = StandardNormal.sample(rng);
        *x = E::of(draw);
    }
}

/// Bits of an addressed random number: what an `f64` between 0 and 2⁵² counts exactly, with half a unit
/// to spare, so that `(bits + ½) / 2⁵²` lies strictly between 0 and 1.
const BITS: u32 = 52;

/// Keys for [`bits`], one for each draw, from the stream `name` of a seed.
#[must_use]
pub fn keys(seed: u64, name: &str, draws: usize) -> Vec<f64> {
    let mut rng = stream(seed, name);
    (0..draws).map(|_| truncated(rng.next_u64())).collect()
}

/// The random whole number below 2⁵² that a key and a counter (whole numbers) address.
#[must_use]
pub fn bits(key: f64, counter: f64) -> f64 {
    truncated(mixed(mixed(key.to_bits()).wrapping_add(counter.to_bits())))
}

#[allow(clippy::cast_precision_loss, reason = "52 bits are exact")]
fn truncated(x: u64) -> f64 {
    (x >> (u64::BITS - BITS)) as f64
}

/// SplitMix64's increment and finaliser, a bijection that avalanches [steele2014].
fn mixed(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A generator of its own for the random number `bits`.
fn generator(bits: f64) -> Stream {
    Stream::seed_from_u64(bits.to_bits())
}

/// A gamma variate of the given shape, scale 1; NaN unless the shape is positive and finite.
#[must_use]
pub fn gamma(bits: f64, shape: f64) -> f64 {
    match Gamma::new(shape, 1.0) {
        Ok(gamma) if shape.is_finite() => gamma.sample(&mut generator(bits)),
        _ => f64::NAN,
    }
}

/// A Poisson variate; NaN unless the rate is non-negative and finite.
#[must_use]
pub fn poisson(bits: f64, rate: f64) -> f64 {
    if rate == 0.0 {
        return 0.0;
    }
    match Poisson::new(rate) {
        Ok(poisson) if rate.is_finite() => poisson.sample(&mut generator(bits)),
        _ => f64::NAN,
    }
}

/// A binomial variate; NaN unless there are 0 to 2⁵³ trials, with a probability.
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "whole numbers below 2^53"
)]
pub fn binomial(bits: f64, trials: f64, probability: f64) -> f64 {
    const MOST: f64 = (1_u64 << f64::MANTISSA_DIGITS) as f64;
    if !(0.0..=MOST).contains(&trials) {
        return f64::NAN;
    }
    match Binomial::new(trials as u64, probability) {
        Ok(binomial) => binomial.sample(&mut generator(bits)) as f64,
        Err(_) => f64::NAN,
    }
}
