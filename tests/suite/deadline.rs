//! Time limits: every method is done by its deadline, assessment included, however dear the density is.
//!
//! The clock is one that only evaluations of the density move, so no test depends on the machine's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ppl::density::{LogDensity, Residuals};
use ppl::inference::{
    Clock, Deadline, Fit, InferenceError, METHODS, Settings, Silent, Target, VerdictLevel, find,
};
use ppl::real::Real;

/// N(0, 1) in five dimensions with correlations of ½, every point of which takes its time.
struct Dear {
    clock: Arc<AtomicU64>,
    cost: Duration,
}

const DIM: usize = 5;

impl Dear {
    fn pay(&self, points: usize) {
        let cost = u64::try_from(self.cost.as_nanos()).unwrap() * points as u64;
        self.clock.fetch_add(cost, Ordering::Relaxed);
    }

    /// The precision matrix times a vector: covariance (I + 1 1ᵀ) / 2.
    fn apply<E: Real>(v: &[E], out: &mut [E]) {
        let total: E = v.iter().copied().sum();
        for (o, x) in out.iter_mut().zip(v) {
            *o = (*x - total * E::of(1.0 / (DIM as f64 + 1.0))) * E::of(2.0);
        }
    }
}

impl<E: Real> LogDensity<E> for Dear {
    fn dim(&self) -> usize {
        DIM
    }

    fn log_density(&self, z: &[E], log_p: &mut [E]) {
        self.score(z, log_p, &mut vec![E::zero(); z.len()]);
    }

    fn score(&self, z: &[E], log_p: &mut [E], score: &mut [E]) {
        self.pay(log_p.len());
        for ((z, l), s) in z.chunks_exact(DIM).zip(log_p).zip(score.chunks_exact_mut(DIM)) {
            Self::apply(z, s);
            s.iter_mut().for_each(|s| *s = -*s);
            *l = z.iter().zip(&*s).map(|(z, s)| *z * *s).sum::<E>() * E::of(0.5);
        }
    }

    fn hvp(&self, _: &Residuals<E>, v: &[E], out: &mut [E]) {
        self.pay(v.len() / DIM);
        for (v, o) in v.chunks_exact(DIM).zip(out.chunks_exact_mut(DIM)) {
            Self::apply(v, o);
            o.iter_mut().for_each(|o| *o = -*o);
        }
    }
}

/// A method on that density, and the time it took by its clock; without a limit where that is `None`.
fn run(
    method: &ppl::inference::Method,
    cost: Duration,
    limit: Option<Duration>,
    settings: Settings,
) -> (Result<Fit, InferenceError>, Duration) {
    let clock = Arc::new(AtomicU64::new(0));
    let deadline = limit.map_or_else(Deadline::never, |limit| {
        Deadline::by(Clock::Manual(Arc::clone(&clock)), limit)
    });
    let dear = || Dear { clock: Arc::clone(&clock), cost };
    let f64: Arc<dyn LogDensity<f64>> = Arc::new(dear());
    let f32: Arc<dyn LogDensity<f32>> = Arc::new(dear());
    let settings = Settings { deadline, ..settings };
    let fit = method.fit(Target { f64: &f64, f32: &f32 }, &settings, &mut Silent);
    (fit, Duration::from_nanos(clock.load(Ordering::Relaxed)))
}

#[test]
fn no_method_is_late() {
    let limit = Duration::from_secs(4);
    let settings = Settings { draws: 1000, ..Settings::default() };
    for method in METHODS {
        for cost in [1, 50].map(Duration::from_millis) {
            let (fit, took) = run(method, cost, Some(limit), settings.clone());
            let what = format!("{} at {cost:?} a point took {took:?}", method.name);
            assert!(took <= limit + Duration::from_millis(500), "{what}");
            match fit {
                Ok(fit) => {
                    let reasons = &fit.verdict.reasons;
                    let (draws, all) = (fit.log_p.len(), settings.draws);
                    assert!(draws >= 2 && fit.draws.len() == draws * DIM, "{what}: {draws} draws");
                    assert!(fit.log_p.iter().all(|l| l.is_finite()), "{what}");
                    let short = draws < all || fit.interrupted;
                    let said = reasons.iter().any(|r| r.contains("time"));
                    assert!(!short || said, "{what}: {draws} draws, {reasons:?}");
                    assert!(!short || fit.verdict.level > VerdictLevel::Ok, "{what}: {reasons:?}");
                }
                // Eighty points are too few for anything.
                Err(error) => {
                    assert!(
                        cost.as_millis() == 50 && error == InferenceError::NoTime,
                        "{what}: {error}"
                    );
                }
            }
        }
    }
}

/// A limit of so many times what a run takes leaves each of its parts enough: each has a share of it.
const LIMIT: u32 = 8;

/// Where the time suffices, a limit changes no bit.
#[test]
fn a_limit_that_is_not_reached_changes_nothing() {
    // One of each kind, and some that train so briefly that all before it takes longer.
    let names =
        ["ldvi", "cmcd", "sivi", "sivi-sm", "full-rank", "laplace", "pathfinder", "bam", "nuts"];
    for method in names.map(|name| find(name).unwrap()) {
        let settings = || {
            let iterations = if method.name == "nuts" { 150 } else { 60 };
            Settings { iterations: Some(iterations), draws: 500, ..Settings::default() }
        };
        let bits = |limit| {
            let (fit, took) = run(method, Duration::from_micros(10), limit, settings());
            let fit = fit.unwrap_or_else(|e| panic!("{}: {e}", method.name));
            let bits: Vec<u64> = fit.draws.iter().map(|x| x.to_bits()).collect();
            ((bits, fit.verdict), took)
        };
        let (unlimited, took) = bits(None);
        assert_eq!(unlimited, bits(Some(LIMIT * took)).0, "{}", method.name);
    }
}
