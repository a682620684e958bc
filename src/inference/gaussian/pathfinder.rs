//! Pathfinder: Gaussians along the way of a quasi-Newton climb, the best of which is kept.
//!
//! On its way from the tail to the mode L-BFGS passes the region where the posterior mass is, and at
//! every point it has an estimate of the inverse curvature. Each point is so the centre of a Gaussian;
//! the one with the largest evidence lower bound wins. Draws of several paths are pooled and resampled
//! by their importance weights [zhang2022].

use std::collections::VecDeque;

use faer::{Mat, Side};
use rand::Rng;

use super::conclude::Fitted;
use super::proposal::{LowRank, Mixture, Proposal};
use crate::density::LogDensity;
use crate::inference::assess::Checks;
use crate::inference::deadline::timed;
use crate::inference::lbfgs::{Point, maximise};
use crate::inference::method::{RESAMPLE, option};
use crate::inference::modes::Hill;
use crate::inference::train::{Stop, Training};
use crate::inference::weights::Resample;
use crate::inference::{
    Deadline, Fit, InferenceError, Method, Monitor, Progress, Settings, Target, VerdictLevel,
};
use crate::random::{Stream, stream};

/// The row of the method table.
pub const PATHFINDER: Method = Method {
    name: "pathfinder",
    group: "Gaussian",
    summary: "The best Gaussian along each of several climbs to a mode, draws resampled: quick.",
    paper: "Zhang et al., JMLR 2022 (arXiv 2108.03782)",
    options: &[
        option("iterations", "1000", "evaluations that a climb may take", "L"),
        option("paths", "4", "climbs from different places", "I"),
        option("elbo-draws", "25", "draws that judge a Gaussian on the way", "K"),
        option("history", "6", "steps that the inverse curvature is estimated from", "J"),
        RESAMPLE,
    ],
    run,
};

/// Starting points tried for a path.
const TRIES: usize = 100;

fn run(
    target: Target<'_>,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<Fit, InferenceError> {
    let budget: usize = settings.option("iterations", settings.iterations.unwrap_or(1000))?;
    let paths: usize = settings.option("paths", 4)?;
    let judges: usize = settings.option("elbo-draws", 25)?;
    let history: usize = settings.option("history", 6)?;
    let resample = settings.option("resample", Resample::Auto)?;
    if [budget, paths, judges, history].contains(&0) {
        return Err(InferenceError::Setting(
            "`iterations`, `paths`, `elbo-draws` and `history` must be at least 1".into(),
        ));
    }
    let climbing = settings.deadline.share(0.6);
    let density = &*timed(target.f64, &climbing);
    let (mut found, mut iterations, mut stop) = (Vec::new(), 0, Stop::Converged);
    for path in 0..paths {
        let mut rng = stream(settings.seed, &format!("pathfinder {path}"));
        let way = match climb(density, budget, &climbing, &mut rng) {
            Err(InferenceError::NonFinite { .. }) if climbing.passed() => Vec::new(),
            way => way?,
        };
        iterations += way.len();
        found.extend(best_on(&way, density, judges, history, &mut rng));
        let best = found.iter().map(|g: &Local| g.elbo).fold(f64::NEG_INFINITY, f64::max);
        let progress = Progress {
            phase: "climbing",
            done: path + 1,
            total: paths,
            objective: best.is_finite().then_some(("elbo", best)),
            trend: None,
        };
        let interrupted = monitor.progress(progress).is_break();
        if (interrupted || climbing.passed()) && path + 1 < paths {
            stop = if interrupted { Stop::Interrupted } else { Stop::TimeLimit };
            break;
        }
    }
    if found.is_empty() {
        if climbing.passed() {
            return Err(InferenceError::NoTime);
        }
        return Err(InferenceError::Breakdown(
            "pathfinder: no Gaussian on any path has a finite evidence lower bound; try --infer \
             mean-field"
                .into(),
        ));
    }
    let mut checks = Checks::new();
    if found.len() < paths {
        checks.add(
            VerdictLevel::Doubtful,
            format!("Only {} of {paths} paths led anywhere.", found.len()),
        );
    }
    checks.stopped(stop);
    let mixture = Mixture(found.into_iter().map(|local| local.gaussian).collect());
    let fitted = Fitted {
        method: PATHFINDER.name,
        proposal: &mixture,
        checks,
        resample,
        training: Training::none(stop),
        iterations,
        next: "--infer ldvi".to_owned(),
    };
    fitted.conclude(target, settings, monitor)
}

/// The points that L-BFGS accepts, from a random start.
fn climb(
    density: &dyn LogDensity<f64>,
    budget: usize,
    deadline: &Deadline,
    rng: &mut impl Rng,
) -> Result<Vec<Point>, InferenceError> {
    let d = density.dim();
    let scale = vec![1.0; d];
    let hill = Hill { density, scale: &scale };
    for _ in 0..TRIES {
        let at: Vec<f64> = (0..d).map(|_| rng.gen_range(-2.0..2.0)).collect();
        let start = Point::new(&hill, at);
        if !start.value.is_finite() {
            continue;
        }
        let mut way = Vec::new();
        let last = maximise(&hill, start, budget, 1e-8, |_, point| {
            way.push(point.clone());
            !deadline.passed()
        });
        way.push(last.point);
        return Ok(way);
    }
    let place = density.explain_non_finite(&vec![0.0; d]);
    Err(InferenceError::NonFinite { tried: TRIES, place })
}

/// The Gaussian on the way with the largest bound; `None` where none has a finite one.
fn best_on(
    way: &[Point],
    density: &dyn LogDensity<f64>,
    judges: usize,
    history: usize,
    rng: &mut Stream,
) -> Option<Local> {
    let d = density.dim();
    let mut alpha = vec![1.0; d];
    let mut pairs: VecDeque<(Vec<f64>, Vec<f64>)> = VecDeque::new();
    let mut best: Option<Local> = None;
    let mut log_p = vec![0.0; judges];
    for step in way.windows(2) {
        let s: Vec<f64> = step[1].at.iter().zip(&step[0].at).map(|(a, b)| a - b).collect();
        let y: Vec<f64> =
            step[0].gradient.iter().zip(&step[1].gradient).map(|(a, b)| a - b).collect();
        if dot(&s, &y) > 1e-12 * dot(&y, &y) {
            rescale(&mut alpha, &s, &y);
            if pairs.len() == history {
                pairs.pop_front();
            }
            pairs.push_back((s, y));
        }
        let Some(gaussian) = gaussian(&step[1], &alpha, &pairs) else { continue };
        let points = gaussian.draw(judges, rng);
        density.log_density(&points, &mut log_p);
        let log_q = gaussian.log_density(&points).0;
        let gaps = log_p.iter().zip(&log_q).map(|(p, q)| p - q);
        let elbo = gaps.sum::<f64>() / judges as f64;
        if elbo.is_finite() && best.as_ref().is_none_or(|b| elbo > b.elbo) {
            best = Some(Local { gaussian, elbo });
        }
    }
    best
}

/// The diagonal of the inverse curvature after a step `s` with change of gradient `y`
/// [zhang2022, algorithm 3].
fn rescale(alpha: &mut [f64], s: &[f64], y: &[f64]) {
    let a: f64 = alpha.iter().zip(y).map(|(a, y)| a * y * y).sum();
    let b = dot(s, y);
    let c: f64 = alpha.iter().zip(s).map(|(a, s)| s * s / a).sum();
    for ((alpha, s), y) in alpha.iter_mut().zip(s).zip(y) {
        let inverse = a / (b * *alpha) + y * y / b - a * s * s / (b * c * *alpha * *alpha);
        if inverse.is_finite() && inverse > 0.0 {
            *alpha = inverse.recip();
        }
    }
}

/// A Gaussian on a path.
struct Local {
    gaussian: LowRank,
    elbo: f64,
}

/// `N(mean, diag(α) + β γ βᵀ)` at `point`, its mean one Newton step further [zhang2022, algorithm 4];
/// `None` where the estimate of the covariance is not positive definite.
fn gaussian(
    point: &Point,
    alpha: &[f64],
    pairs: &VecDeque<(Vec<f64>, Vec<f64>)>,
) -> Option<LowRank> {
    let (d, j) = (alpha.len(), pairs.len());
    let width: Vec<f64> = alpha.iter().map(|a| a.sqrt()).collect();
    // E is upper triangular with s_iᵀ y_k; β = [α Y, S].
    let upper = Mat::from_fn(j, j, |i, k| if i <= k { dot(&pairs[i].0, &pairs[k].1) } else { 0.0 });
    let inverse = invert_upper(&upper)?;
    let mut middle = Mat::from_fn(j, j, |i, k| {
        let curved = pairs[i].1.iter().zip(&pairs[k].1).zip(alpha);
        curved.map(|((a, b), alpha)| a * b * alpha).sum::<f64>()
    });
    (0..j).for_each(|i| middle[(i, i)] += upper[(i, i)]);
    let corner = inverse.transpose() * middle * &inverse;
    let gamma = Mat::from_fn(2 * j, 2 * j, |i, k| match (i < j, k < j) {
        (true, true) => 0.0,
        (true, false) => -inverse[(i, k - j)],
        (false, true) => -inverse[(k, i - j)],
        (false, false) => corner[(i - j, k - j)],
    });
    let scaled = Mat::from_fn(d, 2 * j, |i, k| {
        if k < j { width[i] * pairs[k].1[i] } else { pairs[k - j].0[i] / width[i] }
    });
    let qr = scaled.qr();
    let (basis, r) = (qr.compute_thin_Q(), qr.thin_R().to_owned());
    let mut inner = &r * &gamma * r.transpose();
    let rank = inner.nrows();
    (0..rank).for_each(|i| inner[(i, i)] += 1.0);
    let symmetric = Mat::from_fn(rank, rank, |i, k| 0.5 * (inner[(i, k)] + inner[(k, i)]));
    let factor = symmetric.llt(Side::Lower).ok()?.L().to_owned();
    // mean = x + H g with H = √α (I + Q (I + R γ Rᵀ − I) Qᵀ) √α.
    let g = Mat::from_fn(d, 1, |i, _| width[i] * point.gradient[i]);
    let along = basis.transpose() * &g;
    let moved = &g + &basis * (&symmetric * &along - &along);
    let mean: Vec<f64> = (0..d).map(|i| point.at[i] + width[i] * moved[(i, 0)]).collect();
    LowRank::new(mean, width, basis, factor)
}

/// The inverse of an upper triangular matrix; `None` where it has none.
fn invert_upper(upper: &Mat<f64>) -> Option<Mat<f64>> {
    let n = upper.nrows();
    let mut inverse = Mat::zeros(n, n);
    for k in 0..n {
        for i in (0..=k).rev() {
            let unit = if i == k { 1.0 } else { 0.0 };
            let rest: f64 = (i + 1..=k).map(|l| upper[(i, l)] * inverse[(l, k)]).sum();
            inverse[(i, k)] = (unit - rest) / upper[(i, i)];
        }
    }
    (0..n).all(|k| (0..n).all(|i| inverse[(i, k)].is_finite())).then_some(inverse)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
