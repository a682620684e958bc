//! How much a run of the suite tries: a gate repeats the same cases on every machine, and
//! `PPL_SLOW=1` adds the comparisons of minutes and twenty times as many cases, new ones each time.

use proptest::test_runner::{Config, RngSeed};

/// Whether the comparisons that take minutes run; where they do not, says so.
pub(crate) fn slow() -> bool {
    let on = thorough();
    if !on {
        println!("skipped: set PPL_SLOW=1 to run this");
    }
    on
}

/// Whether `PPL_SLOW` is set, for a test that then does more.
pub(crate) fn thorough() -> bool {
    std::env::var_os("PPL_SLOW").is_some()
}

/// A property's settings: `cases` of them from a fixed seed, unless `PROPTEST_RNG_SEED` has another.
pub(crate) fn cases(cases: u32) -> Config {
    let defaults = Config { failure_persistence: None, ..Config::default() };
    if thorough() {
        return Config { cases: 20 * cases, ..defaults };
    }
    let rng_seed = match defaults.rng_seed {
        RngSeed::Random => RngSeed::Fixed(20_230_801),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    Config { cases, rng_seed, ..defaults }
}
