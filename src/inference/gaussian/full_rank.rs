//! The Gaussian with any covariance that maximises the evidence lower bound.
//!
//! It starts from the mean-field fit with the correlations of the expected curvature, in whose
//! coordinates it is about standard normal, and trains in rounds like that one.

use std::sync::Arc;
use std::time::Instant;

use super::ascent::{Ascended, Rank, ascend, judge_ascent};
use super::conclude::Fitted;
use super::correlated;
use super::mean_field::{AGREEMENT, Config, GRAD_SAMPLES, ITERATIONS, RATE, start_mean_field};
use crate::density::{LogDensity, Part};
use crate::inference::affine::{Affine, Coordinates};
use crate::inference::assess::Checks;
use crate::inference::method::RESAMPLE;
use crate::inference::start::{self, Gaussian};
use crate::inference::tape::Element;
use crate::inference::train::Stop;
use crate::inference::weights::Resample;
use crate::inference::{Fit, InferenceError, Method, Monitor, Precision, Settings, Target};

/// The row of the method table.
pub const FULL_RANK: Method = Method {
    name: "full-rank",
    group: "Gaussian",
    summary: "The Gaussian with any covariance: mean-field with correlations.",
    paper: "Kucukelbir et al., JMLR 2017; stopping: Welandawe et al., JMLR 2024",
    options: &[ITERATIONS, RATE, GRAD_SAMPLES, AGREEMENT, RESAMPLE],
    run,
};

fn run(
    target: Target<'_>,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<Fit, InferenceError> {
    let config = Config::new(settings)?;
    let resample = settings.option("resample", Resample::Never)?;
    let start = start::of_settings(FULL_RANK.name, target, settings, monitor)?;
    let exact = target.f64.as_ref();
    let fit = match settings.precision {
        Precision::F32 => fit_full_rank(target.f32, exact, &config, start.as_ref(), monitor)?,
        Precision::F64 => fit_full_rank(target.f64, exact, &config, start.as_ref(), monitor)?,
    };
    let Ascended { mean, log_sd, below, converged, divergence, training } = &fit.ascended;
    let d = mean.len();
    target.f64.see(Part::Whole(&fit.coordinates.shift));
    let inner = Affine::new(target.f64, &fit.coordinates);
    let constant = log_sd.iter().sum::<f64>()
        + fit.coordinates.log_det()
        + 0.5 * d as f64 * (2.0 * std::f64::consts::PI).ln();
    let draw = |xi: &[f64]| {
        let x: Vec<f64> = (0..d)
            .map(|i| {
                let row: f64 = below[i * d..][..i].iter().zip(xi).map(|(l, x)| l * x).sum();
                mean[i] + log_sd[i].exp() * xi[i] + row
            })
            .collect();
        (inner.apply(&x), -0.5 * xi.iter().map(|x| x * x).sum::<f64>() - constant)
    };
    let iterations = fit.before + training.iterations;
    let mut checks = Checks::new();
    judge_ascent(&mut checks, *converged, *divergence, iterations, training);
    let fitted = Fitted {
        method: FULL_RANK.name,
        draw: &draw,
        checks,
        resample,
        training: training.clone(),
        iterations,
        next: if *converged {
            "--infer ldvi".to_owned()
        } else {
            format!("--infer full-rank --iterations {}", (10 * iterations).max(10_000))
        },
    };
    Ok(fitted.conclude(target, settings))
}

/// A Gaussian in coordinates of its own.
struct FullRank {
    ascended: Ascended,
    coordinates: Coordinates,
    /// Steps of the mean-field fit.
    before: usize,
}

fn fit_full_rank<E: Element>(
    density: &Arc<dyn LogDensity<E>>,
    exact: &dyn LogDensity<f64>,
    config: &Config,
    given: Option<&Gaussian>,
    monitor: &mut dyn Monitor,
) -> Result<FullRank, InferenceError> {
    let began = Instant::now();
    let first = Config {
        iterations: config.iterations / 2 + 1,
        max_time: config.max_time.map(|limit| limit / 3),
        ..*config
    };
    let start = start_mean_field(density, &first, given, "full-rank-start", monitor)?;
    density.see(Part::Whole(&start.mean));
    exact.see(Part::Whole(&start.mean));
    let coordinates = correlated(exact, &start.mean, &start.sd, config.seed).unwrap_or_else(|| {
        Coordinates { shift: start.mean.clone(), scale: start.sd.clone(), mix: None }
    });
    let seen: Arc<dyn LogDensity<E>> = Arc::new(Affine::new(density, &coordinates));
    let interrupted = start.training.stop == Stop::Interrupted;
    let left = if interrupted { 0 } else { config.iterations.saturating_sub(start.iterations) };
    let max_time = config.max_time.map(|limit| limit.saturating_sub(began.elapsed()).mul_f64(0.9));
    let config = Config { iterations: left, max_time, ..*config };
    let mut ascended = ascend(&seen, Rank::Full, &config, "full-rank", monitor)?;
    if interrupted {
        ascended.training.stop = Stop::Interrupted;
    }
    Ok(FullRank { ascended, coordinates, before: start.iterations })
}
