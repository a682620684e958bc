//! One seed → named, independent random streams. The only place a generator is made.

use rand::{RngCore, SeedableRng};
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
    use rand_distr::{Distribution, StandardNormal};
    for x in out {
        let draw: f64 = StandardNormal.sample(rng);
        *x = E::of(draw);
    }
}
