//! The mean-field Gaussian `q = N(μ, diag σ²)` that maximises the evidence lower bound.
//!
//! Nothing needs tuning: a deterministic warm start (see [`super::warm_start`]) finds place and scale,
//! and a stochastic ascent from there (see [`super::ascent`]) ends by itself.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ascent::{Rank, ascend};
use super::config::Config;
use super::warm_start::{WarmStart, highest, warm_start};
use crate::density::{LogDensity, Part};
use crate::inference::affine::Coordinates;
use crate::inference::backend::Backend;
use crate::inference::bridge::Bridge;
use crate::inference::checkpoint;
use crate::inference::deadline::timed;
use crate::inference::start::Gaussian;
use crate::inference::tape::Element;
use crate::inference::train::{Stop, Training};
use crate::inference::transport::Transport;
use crate::inference::{InferenceError, Monitor, Progress};
use crate::random::{Stream, stream};

/// Evaluations that one climb of the warm start may take.
const CLIMB: usize = 1000;

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

/// Fits the mean-field Gaussian to `density`, which `exact` is in double precision; `bridge` makes the density
/// that is trained on, in the coordinates of the warm start.
///
/// # Errors
/// When the density is nowhere finite, or stays non-finite in training; what `bridge` fails with.
pub fn fit_mean_field<B: Backend>(
    density: &Arc<dyn LogDensity<B::Number>>,
    exact: &Arc<dyn LogDensity<f64>>,
    bridge: impl FnOnce(
        &Arc<dyn LogDensity<B::Number>>,
        &Transport,
    ) -> Result<B::Bridge, InferenceError>,
    config: &Config,
    start: Option<&Gaussian>,
    monitor: &mut dyn Monitor,
) -> Result<MeanField, InferenceError> {
    let d = density.dim();
    let warming = config.deadline.share(0.5);
    let mut rng = stream(config.seed, "mean-field warm start");
    let budget = config.iterations / 2;
    let mut stopped = false;
    density.see(Part::Large);
    let warm = match (checkpoint::load(monitor, "mean-field-start")?, start) {
        (Some(warm), _) => warm,
        (None, Some(start)) => WarmStart {
            mean: start.mean.clone(),
            log_sd: start.sd.iter().map(|s| s.ln()).collect(),
            value: f64::NAN,
            evaluations: 0,
        },
        (None, None) => {
            let mut climb = |from: Option<&WarmStart>, left: usize, rng: &mut Stream| {
                warm_start(&**density, from, left.min(CLIMB), rng, |n, value| {
                    let progress = Progress {
                        phase: "warm start",
                        done: budget - left + n,
                        total: budget,
                        objective: Some(("elbo", value)),
                        trend: None,
                    };
                    stopped = stopped || monitor.progress(progress).is_break();
                    !stopped && !warming.passed()
                })
            };
            let looking = timed(exact, &warming);
            let mut warm = highest(&*looking, &warming, budget, &mut rng, &mut climb)?;
            // The best Gaussian for a part of the data lies many of its standard deviations off that
            // for all of it, to which the part is now corrected.
            if density.estimate().is_some() && warm.evaluations < budget.min(CLIMB) {
                density.see(Part::Whole(&warm.mean));
                let before = warm.evaluations;
                warm = climb(Some(&warm), budget.min(CLIMB) - before, &mut rng)?;
                warm.evaluations += before;
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
    let coordinates = Transport::from(coordinates);
    let timed = timed(density, &config.deadline);
    let (affine, bridge) = (coordinates.density(&timed), bridge(&timed, &coordinates)?);
    // An interruption during the warm start leaves nothing to train.
    let left = if stopped { 0 } else { config.iterations.saturating_sub(warm.evaluations) };
    let config = Config { iterations: left, ..config.clone() };
    let mut fit =
        ascend::<B>(&affine, bridge, Rank::Diagonal, &[], &config, "mean-field", monitor)?;
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
    exact: &Arc<dyn LogDensity<f64>>,
    config: &Config,
    given: Option<&Gaussian>,
    stage: &'static str,
    monitor: &mut dyn Monitor,
) -> Result<MeanField, InferenceError> {
    if let Some(Start { mean, sd, converged, iterations }) = checkpoint::load(monitor, stage)? {
        let training = Training::none(Stop::Iterations);
        return Ok(MeanField { mean, sd, converged, divergence: None, iterations, training });
    }
    let bridge = |seen: &Arc<dyn LogDensity<E>>, c: &Transport| Ok(Bridge::new(&c.density(seen)));
    let q = fit_mean_field::<E>(density, exact, bridge, config, given, monitor)?;
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
