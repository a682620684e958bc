//! The mean-field Gaussian `q = N(μ, diag σ²)` that maximises the evidence lower bound.
//!
//! Nothing needs tuning: a deterministic warm start (see [`super::warm_start`]) finds place and scale,
//! and a stochastic ascent from there (see [`super::ascent`]) ends by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::ascent::{Rank, ascend, judge_ascent};
use super::conclude::Fitted;
use super::warm_start::{WarmStart, warm_start};
use crate::density::{LogDensity, Part};
use crate::inference::affine::{Affine, Coordinates};
use crate::inference::assess::Checks;
use crate::inference::checkpoint;
use crate::inference::method::{RESAMPLE, option};
use crate::inference::start::{self, Gaussian};
use crate::inference::tape::Element;
use crate::inference::train::{Stop, Training};
use crate::inference::weights::Resample;
use crate::inference::{
    Fit, InferenceError, Method, MethodOption, Monitor, Precision, Progress, Settings, Target,
};
use crate::random::stream;

/// The row of the method table.
pub const MEAN_FIELD: Method = Method {
    name: "mean-field",
    group: "Gaussian",
    summary: "Independent Gaussians on the unconstrained space: the fastest first look.",
    paper: "Kucukelbir et al., JMLR 2017; stopping: Welandawe et al., JMLR 2024",
    options: &[ITERATIONS, RATE, GRAD_SAMPLES, AGREEMENT, RESAMPLE],
    run,
};

pub(super) const ITERATIONS: MethodOption = option(
    "iterations",
    "10000",
    "steps at most, the warm start's evaluations included; usually far fewer",
    "",
);
pub(super) const RATE: MethodOption = option(
    "learning-rate",
    "0.1",
    "Adam's rate in the first round, in standard deviations; halved by rounds",
    "γ₀",
);
pub(super) const GRAD_SAMPLES: MethodOption =
    option("grad-samples", "10", "draws per gradient, in antithetic pairs", "M");
pub(super) const AGREEMENT: MethodOption = option(
    "agreement",
    "0.0025",
    "two rounds agree when no coordinate's symmetrised KL divergence exceeds this",
    "ξ",
);

/// How to fit; the options of the method.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Seed of the run.
    pub seed: u64,
    /// Steps at most, evaluations of the warm start included.
    pub iterations: usize,
    /// Adam's rate in the first round.
    pub learning_rate: f64,
    /// Draws per gradient.
    pub grad_samples: usize,
    /// Largest divergence of a coordinate between two rounds that counts as agreement.
    pub agreement: f64,
    /// Relative gain of the objective below which to stop, if the user gave one.
    pub tolerance: Option<f64>,
    /// Wall-clock limit.
    pub max_time: Option<Duration>,
}

impl Config {
    /// What the user set, and defaults.
    ///
    /// # Errors
    /// [`InferenceError::Setting`] for values out of range.
    pub fn new(settings: &Settings) -> Result<Self, InferenceError> {
        let config = Config {
            learning_rate: settings
                .option("learning-rate", settings.learning_rate.unwrap_or(0.1))?,
            grad_samples: settings.option("grad-samples", settings.grad_samples.unwrap_or(10))?,
            agreement: settings.option("agreement", 0.0025)?,
            tolerance: settings.tolerance,
            ..Config::start_of(settings)
        };
        let config = Config {
            iterations: settings.option("iterations", settings.iterations.unwrap_or(10_000))?,
            ..config
        };
        if config.grad_samples == 0 || config.iterations == 0 {
            return Err(InferenceError::Setting(
                "`grad-samples` and `iterations` must be at least 1".into(),
            ));
        }
        if config.learning_rate.is_nan() || config.learning_rate <= 0.0 {
            return Err(InferenceError::Setting("`learning-rate` must be positive".into()));
        }
        Ok(config)
    }

    /// Defaults, for use as the start of another method.
    #[must_use]
    pub fn start_of(settings: &Settings) -> Self {
        Config {
            seed: settings.seed,
            iterations: 10_000,
            learning_rate: 0.1,
            grad_samples: 10,
            agreement: 0.0025,
            tolerance: None,
            max_time: settings.max_time,
        }
    }
}

/// A fitted mean-field Gaussian.
#[derive(Debug, Clone)]
pub struct MeanField {
    /// Means `μ`, `[D]`.
    pub mean: Vec<f64>,
    /// Standard deviations `σ`, `[D]`.
    pub sd: Vec<f64>,
    /// Whether two rounds agreed.
    pub converged: bool,
    /// Largest divergence of a coordinate between the last two rounds, if there were two.
    pub divergence: Option<f64>,
    /// Steps taken, evaluations of the warm start included.
    pub iterations: usize,
    /// What the training loop recorded.
    pub training: Training,
}

/// Fits the mean-field Gaussian.
///
/// # Errors
/// When the density is nowhere finite, or stays non-finite in training.
pub fn fit_mean_field<E: Element>(
    density: &Arc<dyn LogDensity<E>>,
    config: &Config,
    start: Option<&Gaussian>,
    monitor: &mut dyn Monitor,
) -> Result<MeanField, InferenceError> {
    let d = density.dim();
    let began = Instant::now();
    let late = || config.max_time.is_some_and(|limit| began.elapsed() > limit.mul_f64(0.5));
    let mut rng = stream(config.seed, "mean-field warm start");
    let budget = (config.iterations / 2).min(1000);
    let mut stopped = false;
    density.see(Part::Large);
    let warm = match (checkpoint::load(monitor, "mean-field-start")?, start) {
        (Some(warm), _) => warm,
        (None, Some(start)) => WarmStart {
            mean: start.mean.clone(),
            log_sd: start.sd.iter().map(|s| s.ln()).collect(),
            evaluations: 0,
        },
        (None, None) => {
            let mut climb = |from: Option<&WarmStart>| {
                let before = from.map_or(0, |s| s.evaluations);
                let mut warm =
                    warm_start(&**density, from, budget - before, &mut rng, |n, value| {
                        let progress = Progress {
                            phase: "warm start",
                            done: before + n,
                            total: budget,
                            objective: Some(("elbo", value)),
                            trend: None,
                        };
                        stopped = monitor.progress(progress).is_break();
                        !stopped && !late()
                    })?;
                warm.evaluations += before;
                Ok::<_, InferenceError>(warm)
            };
            let mut warm = climb(None)?;
            // The best Gaussian for a part of the data lies many of its standard deviations off that
            // for all of it, to which the part is now corrected.
            if density.estimate().is_some() && warm.evaluations < budget {
                density.see(Part::Whole(&warm.mean));
                warm = climb(Some(&warm))?;
            }
            if !stopped {
                checkpoint::offer(monitor, "mean-field-start", true, || &warm);
            }
            warm
        }
    };
    density.see(Part::Whole(&warm.mean));
    let scale: Vec<f64> = warm.log_sd.iter().map(|l| l.exp()).collect();
    let coordinates = Coordinates { shift: warm.mean.clone(), scale: scale.clone(), mix: None };
    let affine: Arc<dyn LogDensity<E>> = Arc::new(Affine::new(density, &coordinates));
    // An interruption during the warm start leaves nothing to train.
    let left = if stopped { 0 } else { config.iterations.saturating_sub(warm.evaluations) };
    let max_time = config.max_time.map(|limit| limit.saturating_sub(began.elapsed()).mul_f64(0.9));
    let config = Config { iterations: left, max_time, ..*config };
    let mut fit = ascend(&affine, Rank::Diagonal, &config, "mean-field", monitor)?;
    if stopped {
        fit.training.stop = Stop::Interrupted;
    }
    Ok(MeanField {
        mean: (0..d).map(|j| warm.mean[j] + scale[j] * fit.mean[j]).collect(),
        sd: (0..d).map(|j| scale[j] * fit.log_sd[j].exp()).collect(),
        converged: fit.converged,
        divergence: fit.divergence,
        iterations: warm.evaluations + fit.training.iterations,
        training: fit.training,
    })
}

/// The fit as the start of another method: kept as a whole in the checkpoint's stage `stage`, so that what
/// is built on it stays the same however the fit came to its end.
///
/// # Errors
/// As [`fit_mean_field`].
pub fn start_mean_field<E: Element>(
    density: &Arc<dyn LogDensity<E>>,
    config: &Config,
    given: Option<&Gaussian>,
    stage: &'static str,
    monitor: &mut dyn Monitor,
) -> Result<MeanField, InferenceError> {
    if let Some(Start { mean, sd, converged, iterations }) = checkpoint::load(monitor, stage)? {
        let training = Training::none(Stop::Iterations);
        return Ok(MeanField { mean, sd, converged, divergence: None, iterations, training });
    }
    let q = fit_mean_field(density, config, given, monitor)?;
    if q.training.stop != Stop::Interrupted {
        checkpoint::offer(monitor, stage, true, || Start {
            mean: q.mean.clone(),
            sd: q.sd.clone(),
            converged: q.converged,
            iterations: q.iterations,
        });
    }
    Ok(q)
}

/// What another method needs of the fit.
#[derive(Serialize, Deserialize)]
struct Start {
    mean: Vec<f64>,
    sd: Vec<f64>,
    converged: bool,
    iterations: usize,
}

fn run(
    target: Target<'_>,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<Fit, InferenceError> {
    let config = Config::new(settings)?;
    let resample = settings.option("resample", Resample::Never)?;
    let start = start::of_settings(MEAN_FIELD.name, target, settings, monitor)?;
    let q = match settings.precision {
        Precision::F32 => fit_mean_field(target.f32, &config, start.as_ref(), monitor)?,
        Precision::F64 => fit_mean_field(target.f64, &config, start.as_ref(), monitor)?,
    };
    Ok(assess(&q, resample, target, settings))
}

/// The verdict on the fit, and draws from it.
fn assess(q: &MeanField, resample: Resample, target: Target<'_>, settings: &Settings) -> Fit {
    let d = q.mean.len();
    let constant: f64 = q.sd.iter().map(|s| s.ln()).sum::<f64>()
        + 0.5 * d as f64 * (2.0 * std::f64::consts::PI).ln();
    let draw = |xi: &[f64]| {
        let z = xi.iter().enumerate().map(|(j, x)| q.mean[j] + q.sd[j] * x).collect();
        (z, -0.5 * xi.iter().map(|x| x * x).sum::<f64>() - constant)
    };
    target.f64.see(Part::Whole(&q.mean));
    let mut checks = Checks::new();
    judge_ascent(&mut checks, q.converged, q.divergence, q.iterations, &q.training);
    Fitted {
        method: MEAN_FIELD.name,
        draw: &draw,
        checks,
        resample,
        training: q.training.clone(),
        iterations: q.iterations,
        next: if q.converged {
            "--infer ldvi".to_owned()
        } else {
            format!("--infer mean-field --iterations {}", (10 * q.iterations).max(10_000))
        },
    }
    .conclude(target, settings)
}
