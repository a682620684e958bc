//! The Gaussian families that maximise the evidence lower bound by stochastic ascent: independent
//! coordinates, any covariance, and what lies between.
//!
//! Those with correlations start from the mean-field fit and the curvature of the density under it, in
//! whose coordinates the posterior is about standard normal, and train in rounds like that one.

use std::sync::Arc;

use faer::Mat;
use faer::linalg::solvers::Qr;

use super::ascent::{Ascended, Rank, ascend, judge_ascent};
use super::conclude::Fitted;
use super::config::{AGREEMENT, Config, GRAD_SAMPLES, ITERATIONS, RATE};
use super::correlated;
use super::curvature::{Principal, principal};
use super::mean_field::{fit_mean_field, start_mean_field};
use super::proposal::{LowRank, Proposal};
use crate::density::{LogDensity, Part};
use crate::inference::affine::{Affine, Coordinates};
use crate::inference::assess::Checks;
use crate::inference::backend::{Backend, Stage, dispatch};
use crate::inference::bridge::Bridge;
use crate::inference::deadline::timed;
use crate::inference::method::{RESAMPLE, option};
use crate::inference::start::{self, Gaussian};
use crate::inference::tape::Element;
use crate::inference::train::{Stop, Training};
use crate::inference::transport::Transport;
use crate::inference::weights::Resample;
use crate::inference::{Fit, InferenceError, Method, Monitor, Precision, Settings, Target};
use crate::random::{fill_std_normal, stream};

/// Independent coordinates.
pub const MEAN_FIELD: Method = Method {
    name: "mean-field",
    group: "Gaussian",
    summary: "Independent Gaussians on the unconstrained space: the fastest first look.",
    paper: "Kucukelbir et al., JMLR 2017; stopping: Welandawe et al., JMLR 2024",
    options: &[ITERATIONS, RATE, GRAD_SAMPLES, AGREEMENT, RESAMPLE],
    run: |target, settings, monitor| run("mean-field", Rank::Diagonal, target, settings, monitor),
};

/// Any covariance.
pub const FULL_RANK: Method = Method {
    name: "full-rank",
    group: "Gaussian",
    summary: "The Gaussian with any covariance: mean-field with correlations.",
    paper: "Kucukelbir et al., JMLR 2017; stopping: Welandawe et al., JMLR 2024",
    options: &[ITERATIONS, RATE, GRAD_SAMPLES, AGREEMENT, RESAMPLE],
    run: |target, settings, monitor| run("full-rank", Rank::Full, target, settings, monitor),
};

/// A diagonal covariance and a few directions more.
pub const LOW_RANK: Method = Method {
    name: "low-rank",
    group: "Gaussian",
    summary: "A diagonal covariance plus one of low rank: correlations where full-rank is too dear.",
    paper: "Ong, Nott & Smith, JCGS 2018; stopping: Welandawe et al., JMLR 2024",
    options: &[
        ITERATIONS,
        RATE,
        GRAD_SAMPLES,
        AGREEMENT,
        option("rank", "10", "directions beside the diagonal; at most D", "p"),
        RESAMPLE,
    ],
    run: |target, settings, monitor| {
        let rank: usize = settings.option("rank", 10)?;
        if rank == 0 {
            return Err(InferenceError::Setting("`rank` must be at least 1".into()));
        }
        let rank = Rank::Low(rank.min(target.f64.dim()));
        run("low-rank", rank, target, settings, monitor)
    },
};

/// Share of the time for the fit itself, where time is limited; the rest is for its draws and checks.
const FITTING: f64 = 0.65;
/// Dimension up to which the directions of a low rank start from the curvature.
const CURVED: usize = 500;

fn run(
    name: &'static str,
    rank: Rank,
    target: Target<'_>,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<Fit, InferenceError> {
    let mut config = Config::new(settings)?;
    let resample = settings.option("resample", Resample::Auto)?;
    let start = start::of_settings(name, target, settings, monitor)?;
    config.deadline = settings.deadline.share(FITTING);
    let start = start.as_ref();
    let family = match (rank, settings.precision) {
        (Rank::Diagonal, _) => {
            let task =
                Independent { target, settings, config: &config, start, monitor: &mut *monitor };
            dispatch(settings, task)?
        }
        (_, Precision::F32) => fit(target.f32, target.f64, name, rank, &config, start, monitor)?,
        (_, Precision::F64) => fit(target.f64, target.f64, name, rank, &config, start, monitor)?,
    };
    let Family { proposal, centre, converged, divergence, iterations, training } = family;
    target.f64.see(Part::Whole(&centre));
    let mut checks = Checks::new();
    judge_ascent(&mut checks, converged, divergence, iterations, &training);
    let fitted = Fitted {
        method: name,
        proposal: &*proposal,
        checks,
        resample,
        training,
        iterations,
        next: if converged {
            "--infer ldvi".to_owned()
        } else {
            format!("--infer {name} --iterations {}", (10 * iterations).max(10_000))
        },
    };
    fitted.conclude(target, settings, monitor)
}

/// A fitted member of a family.
struct Family {
    proposal: Box<dyn Proposal>,
    /// Its mean.
    centre: Vec<f64>,
    converged: bool,
    divergence: Option<f64>,
    /// Those of the start included.
    iterations: usize,
    training: Training,
}

/// Independent coordinates.
struct Independent<'a> {
    target: Target<'a>,
    settings: &'a Settings,
    config: &'a Config,
    start: Option<&'a Gaussian>,
    monitor: &'a mut dyn Monitor,
}

impl Stage for Independent<'_> {
    type Output = Family;

    fn run<B: Backend>(self) -> Result<Family, InferenceError> {
        let Independent { target, settings, config, start, monitor } = self;
        let density = B::Number::density(target);
        let bridge = |seen: &Arc<dyn LogDensity<B::Number>>, coordinates: &Transport| {
            B::bridge(seen, settings, coordinates)
        };
        let q = fit_mean_field::<B>(density, target.f64, bridge, config, start, monitor)?;
        Ok(Family {
            centre: q.mean.clone(),
            proposal: Box::new(Gaussian { mean: q.mean, sd: q.sd, factor: None }),
            converged: q.converged,
            divergence: q.divergence,
            iterations: q.iterations,
            training: q.training,
        })
    }
}

/// The families with correlations.
fn fit<E: Element>(
    density: &Arc<dyn LogDensity<E>>,
    exact: &Arc<dyn LogDensity<f64>>,
    name: &'static str,
    rank: Rank,
    config: &Config,
    given: Option<&Gaussian>,
    monitor: &mut dyn Monitor,
) -> Result<Family, InferenceError> {
    let first = Config {
        iterations: config.iterations / 2 + 1,
        deadline: config.deadline.share(1.0 / 3.0),
        ..config.clone()
    };
    let start = start_mean_field(density, exact, &first, given, "correlations-start", monitor)?;
    density.see(Part::Whole(&start.mean));
    exact.see(Part::Whole(&start.mean));
    let (density, exact) = (&timed(density, &config.deadline), &timed(exact, &config.deadline));
    let plain = Coordinates { shift: start.mean.clone(), scale: start.sd.clone(), mix: None };
    let (coordinates, columns) = match rank {
        Rank::Low(r) => (plain, columns(&**exact, &start.mean, &start.sd, r, config.seed)),
        _ => {
            let found = correlated(&**exact, &start.mean, &start.sd, config.seed);
            (found.unwrap_or(plain), Vec::new())
        }
    };
    let seen: Arc<dyn LogDensity<E>> = Arc::new(Affine::new(density, &coordinates));
    let interrupted = start.training.stop == Stop::Interrupted;
    let left = if interrupted { 0 } else { config.iterations.saturating_sub(start.iterations) };
    let config = Config { iterations: left, ..config.clone() };
    let mut ascended =
        ascend::<E>(&seen, Bridge::new(&seen), rank, &columns, &config, name, monitor)?;
    if interrupted {
        ascended.training.stop = Stop::Interrupted;
    }
    let centre = Affine::<f64>::new(exact, &coordinates).apply(&ascended.mean);
    let proposal: Option<Box<dyn Proposal>> = match rank {
        Rank::Low(r) => low_rank(&coordinates, &centre, &ascended, r).map(|p| Box::new(p) as _),
        _ => dense(&coordinates, &centre, &ascended).map(|p| Box::new(p) as _),
    };
    let degenerate = || InferenceError::Breakdown(format!("{name}: the covariance is degenerate"));
    Ok(Family {
        proposal: proposal.ok_or_else(degenerate)?,
        centre,
        converged: ascended.converged,
        divergence: ascended.divergence,
        iterations: start.iterations + ascended.training.iterations,
        training: ascended.training,
    })
}

/// The directions in which the curvature leaves the density widest, as far as they are wider than the
/// mean-field fit, `[r, D]`; small random ones where the curvature is too dear.
fn columns(
    density: &dyn LogDensity<f64>,
    mean: &[f64],
    sd: &[f64],
    r: usize,
    seed: u64,
) -> Vec<f64> {
    let d = mean.len();
    let mut columns = vec![0.0; r * d];
    fill_std_normal(&mut stream(seed, "low-rank start"), &mut columns);
    columns.iter_mut().for_each(|x| *x *= 0.1 / (r as f64).sqrt());
    let known = if d <= CURVED { principal(density, mean, sd, seed) } else { None };
    let Some(Principal { vectors, widths }) = known else { return columns };
    let mut order: Vec<usize> = (0..d).collect();
    order.sort_by(|a, b| widths[*b].total_cmp(&widths[*a]));
    for (k, column) in order.into_iter().zip(columns.chunks_exact_mut(d)) {
        let more = (widths[k] * widths[k] - 1.0).max(0.0).sqrt();
        column.iter_mut().enumerate().for_each(|(i, x)| *x += more * vectors[(i, k)]);
    }
    columns
}

/// `z = centre + scale ∘ (W L ξ)`.
fn dense(coordinates: &Coordinates, centre: &[f64], fit: &Ascended) -> Option<Gaussian> {
    let d = centre.len();
    let lower =
        Mat::from_fn(d, d, |i, j| if i == j { fit.log_sd[i].exp() } else { fit.rest[i * d + j] });
    let map = match &coordinates.mix {
        Some((mix, _)) => Mat::from_fn(d, d, |i, j| mix[i * d + j]) * lower,
        None => lower,
    };
    let map = Mat::from_fn(d, d, |i, j| coordinates.scale[i] * map[(i, j)]);
    Gaussian::of_map(centre.to_vec(), &map)
}

/// `z = centre + w ∘ (ξ + V ξ')` with `V: [D, r]`, whose covariance in units of `w` is `I + V Vᵀ`.
fn low_rank(
    coordinates: &Coordinates,
    centre: &[f64],
    fit: &Ascended,
    r: usize,
) -> Option<LowRank> {
    let d = centre.len();
    let inner: Vec<f64> = fit.log_sd.iter().map(|l| l.exp()).collect();
    let width = inner.iter().zip(&coordinates.scale).map(|(i, s)| i * s).collect();
    let v = Mat::from_fn(d, r, |i, k| fit.rest[k * d + i] / inner[i]);
    let qr = Qr::new(v.as_ref());
    let (basis, upper) = (qr.compute_thin_Q(), qr.thin_R());
    let mut middle = upper * upper.transpose();
    (0..middle.nrows()).for_each(|i| middle[(i, i)] += 1.0);
    let factor = middle.llt(faer::Side::Lower).ok()?.L().to_owned();
    LowRank::new(centre.to_vec(), width, basis, factor)
}
