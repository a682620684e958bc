//! `--infer nuts` on densities whose answers are known.

use std::ops::ControlFlow;
use std::sync::Arc;

use ppl::density::{LogDensity, Residuals};
use ppl::inference::{
    Fit, InferenceError, Monitor, Progress, Settings, Silent, Target, VerdictLevel, find,
};
use ppl::real::Real;

use crate::eight_schools::{self, EightSchools};

/// Runs nuts on a density.
fn nuts<T>(
    density: T,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<Fit, InferenceError>
where
    T: LogDensity<f64> + LogDensity<f32> + Clone + 'static,
{
    let f64: Arc<dyn LogDensity<f64>> = Arc::new(density.clone());
    let f32: Arc<dyn LogDensity<f32>> = Arc::new(density);
    find("nuts").unwrap().fit(Target { f64: &f64, f32: &f32 }, settings, monitor)
}

/// N(mean, sd²) in one dimension, undefined below `edge`.
#[derive(Clone)]
struct Normal {
    mean: f64,
    sd: f64,
    edge: f64,
}

impl<E: Real> LogDensity<E> for Normal {
    fn dim(&self) -> usize {
        1
    }
    fn log_density(&self, z: &[E], log_p: &mut [E]) {
        for (z, out) in z.iter().zip(log_p) {
            let x = z.f64();
            let value = -0.5 * ((x - self.mean) / self.sd).powi(2);
            *out = E::of(if x < self.edge { f64::NAN } else { value });
        }
    }
    fn score(&self, z: &[E], log_p: &mut [E], score: &mut [E]) {
        self.log_density(z, log_p);
        for (z, g) in z.iter().zip(score) {
            *g = E::of((self.mean - z.f64()) / self.sd.powi(2));
        }
    }
    fn hvp(&self, _: &Residuals<E>, v: &[E], out: &mut [E]) {
        for (v, o) in v.iter().zip(out) {
            *o = E::of(-v.f64() / self.sd.powi(2));
        }
    }
    fn explain_non_finite(&self, _: &[E]) -> Option<String> {
        Some("the edge".into())
    }
}

#[test]
fn eight_schools_matches_posteriordb() {
    let Some(reference) = eight_schools::reference() else { return };
    let fit = nuts(EightSchools, &Settings::default(), &mut Silent).unwrap();
    assert_eq!((fit.draws.len(), fit.chains), (40_000, 4));
    for (r, (mean, sd)) in reference.iter().zip(eight_schools::moments(&fit.draws)) {
        assert!((mean - r.mean).abs() < 0.1 * r.sd, "{r:?}: mean {mean}");
        assert!((sd / r.sd - 1.0).abs() < 0.1, "{r:?}: sd {sd}");
    }
    assert!(!fit.interrupted && fit.log_z.is_none());
    let mut log_p = vec![0.0; 4000];
    EightSchools.log_density(&fit.draws, &mut log_p);
    assert_eq!(fit.log_p, log_p);
}

#[test]
fn threads_do_not_change_the_draws_and_seeds_do() {
    let settings = |seed, threads| Settings {
        seed,
        threads,
        draws: 200,
        iterations: Some(100),
        ..Settings::default()
    };
    let draws =
        |seed, threads| nuts(EightSchools, &settings(seed, threads), &mut Silent).unwrap().draws;
    let one = draws(1, 1);
    assert_eq!(one, draws(1, 3));
    assert_ne!(one, draws(2, 1));
}

#[test]
fn a_gaussian_is_ok_and_a_nowhere_finite_density_an_error() {
    let normal = Normal { mean: 8.0, sd: 0.447, edge: f64::NEG_INFINITY };
    let fit = nuts(normal, &Settings::default(), &mut Silent).unwrap();
    assert_eq!(fit.verdict.level, VerdictLevel::Ok, "{:?}", fit.verdict);
    assert!(fit.verdict.next.is_none());
    let mean = fit.draws.iter().sum::<f64>() / 4000.0;
    assert!((mean - 8.0).abs() < 0.04, "{mean}");

    let nowhere = Normal { mean: 0.0, sd: 1.0, edge: f64::INFINITY };
    match nuts(nowhere, &Settings::default(), &mut Silent) {
        Err(InferenceError::NonFinite { tried, place }) => {
            assert!(tried >= 100);
            assert_eq!(place.as_deref(), Some("the edge"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn running_off_an_edge_is_a_divergence_and_no_ok() {
    let half = Normal { mean: 0.0, sd: 1.0, edge: 0.0 };
    let fit = nuts(half, &Settings::default(), &mut Silent).unwrap();
    assert!(fit.draws.iter().all(|x| *x >= 0.0));
    assert_ne!(fit.verdict.level, VerdictLevel::Ok, "{:?}", fit.verdict);
    assert!(fit.verdict.reasons.iter().any(|r| r.contains("diverged")), "{:?}", fit.verdict);
}

/// Stops after a number of transitions.
struct StopAfter(usize);

impl Monitor for StopAfter {
    fn progress(&mut self, progress: Progress<'_>) -> ControlFlow<()> {
        if progress.done >= self.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn an_interrupted_run_returns_what_there_is_and_is_never_ok() {
    let normal = Normal { mean: 1.0, sd: 1.0, edge: f64::NEG_INFINITY };
    let settings = Settings { draws: 400_000, iterations: Some(300), ..Settings::default() };
    let fit = nuts(normal.clone(), &settings, &mut StopAfter(4 * 1300)).unwrap();
    assert!(fit.interrupted);
    assert!(fit.draws.len() >= 4 * 999 && fit.draws.len() < 400_000, "{}", fit.draws.len());
    assert_eq!(fit.verdict.level, VerdictLevel::Doubtful, "{:?}", fit.verdict);

    let settings = Settings { iterations: Some(1_000_000), ..settings };
    let fit = nuts(normal, &settings, &mut StopAfter(400)).unwrap();
    assert!(fit.interrupted && !fit.draws.is_empty());
    assert_eq!(fit.verdict.level, VerdictLevel::Failed, "{:?}", fit.verdict);
}

#[test]
fn settings_are_checked() {
    let with = |name: &str, value: &str| {
        let mut settings = Settings::default();
        settings.options.insert(name.into(), value.into());
        nuts(EightSchools, &settings, &mut Silent)
    };
    for (name, value) in [("chains", "0"), ("chains", "four"), ("target-accept", "1.5")] {
        assert!(matches!(with(name, value), Err(InferenceError::Setting(_))), "{name}={value}");
    }
}
