//! A deterministic first approximation of the best mean-field Gaussian, on one fixed set of draws.
//!
//! With the standard normal draws `ξ` fixed, `F(μ, log σ) = mean log p(μ + σ ξ) + Σ log σ` is an
//! ordinary function (sample average approximation, [giordano2024]), which L-BFGS maximises without a
//! learning rate, wherever and however narrow the posterior is. Its first metric is the natural one of
//! the Gaussian family, `diag(σ², ½)`. Stochastic optimisation refines the result.
//!
//! A maximum of `F` may be one of many, or at a mode that happens to be wide or near, so others are looked
//! for ([`highest`]).

use rand::{Rng, RngCore, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::density::LogDensity;
use crate::inference::InferenceError;
use crate::inference::deadline::Deadline;
use crate::inference::lbfgs::{Objective, Point, maximise};
use crate::inference::modes;
use crate::inference::start::Gaussian;
use crate::random::Stream;
use crate::real::Real;

/// Pairs `±ξ` of the fixed draws.
const PAIRS: usize = 16;
/// Evaluations of a first look.
const FIRST_LOOK: usize = 200;
/// Gain that a full step must promise, nats: below it there is nothing left to win on these draws.
const LEAST_GAIN: f64 = 1e-6;
/// Random starting points tried when the density is not finite at the origin.
const TRIES: usize = 100;

/// `μ` and `log σ`, each `[D]`, and how they were reached.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct WarmStart {
    pub(super) mean: Vec<f64>,
    pub(super) log_sd: Vec<f64>,
    /// The objective there; NaN for a start that is given.
    pub(super) value: f64,
    /// Evaluations of the objective that were spent.
    pub(super) evaluations: usize,
}

/// Maximises the objective for at most `budget` evaluations, `from` a point near the maximum if one is
/// known; `go_on` is asked after each.
///
/// # Errors
/// When the density is finite at none of the starting points.
pub(super) fn warm_start<E: Real>(
    density: &dyn LogDensity<E>,
    from: Option<&WarmStart>,
    budget: usize,
    rng: &mut impl RngCore,
    mut go_on: impl FnMut(usize, f64) -> bool,
) -> Result<WarmStart, InferenceError> {
    let d = density.dim();
    let fixed = Fixed { density, xi: fixed_draws(d, rng) };
    let near = from.map(|s| Point::new(&fixed, [&s.mean[..], &s.log_sd].concat()));
    let start = match near.filter(|point| point.value.is_finite()) {
        Some(point) => point,
        None => first_point(&fixed, rng)?,
    };
    let ascent = maximise(&fixed, start, budget.saturating_sub(1), LEAST_GAIN, |done, point| {
        go_on(done + 1, point.value)
    });
    let mut mean = ascent.point.at;
    let log_sd = mean.split_off(d);
    let value = ascent.point.value;
    Ok(WarmStart { mean, log_sd, value, evaluations: ascent.evaluations + 1 })
}

/// The highest of what `climb` reaches by itself, by itself on other draws, and from a mode with far more mass
/// where a few climbs of the density find one; `climb` is told where from, if anywhere, and how many of
/// `budget` evaluations are left. Only its first call moves `rng`.
///
/// # Errors
/// As the first `climb`.
pub(super) fn highest(
    density: &dyn LogDensity<f64>,
    deadline: &Deadline,
    budget: usize,
    rng: &mut Stream,
    mut climb: impl FnMut(Option<&WarmStart>, usize, &mut Stream) -> Result<WarmStart, InferenceError>,
) -> Result<WarmStart, InferenceError> {
    let mut others = Stream::seed_from_u64(rng.clone().next_u64());
    let mut best = climb(None, budget, rng)?;
    if density.estimate().is_some() {
        return Ok(best);
    }
    let mut spent = best.evaluations;
    let mut try_from = |from: Option<&WarmStart>, best: &mut WarmStart| {
        let left = budget.saturating_sub(spent);
        if left == 0 || deadline.passed() {
            return;
        }
        // What cannot begin, or is cut short by the clock, is not a reason to lose the first.
        let Ok(other) = climb(from, left, &mut others) else { return };
        spent += other.evaluations;
        // Values on different draws differ by chance.
        if other.value > best.value + (density.dim() as f64).sqrt() {
            *best = other;
        }
        best.evaluations = spent;
    };
    try_from(None, &mut best);
    let sd: Vec<f64> = best.log_sd.iter().map(|l| l.exp()).collect();
    if let Some(mode) = modes::elsewhere(density, (&best.mean, &sd), deadline, rng.clone()) {
        let log_sd = mode.conditional_sd().iter().map(|s| s.ln()).collect();
        let there = WarmStart { mean: mode.at, log_sd, ..best.clone() };
        try_from(Some(&there), &mut best);
    }
    Ok(best)
}

/// The mean-field Gaussian that a few hundred evaluations find, or as many as the deadline leaves.
///
/// # Errors
/// As [`warm_start`].
pub(in crate::inference) fn mean_field_start(
    density: &dyn LogDensity<f64>,
    deadline: &Deadline,
    rng: &mut Stream,
) -> Result<Gaussian, InferenceError> {
    let warm = highest(density, deadline, 3 * FIRST_LOOK, rng, |from, left, rng| {
        warm_start(density, from, left.min(FIRST_LOOK), rng, |_, _| !deadline.passed())
    })?;
    let sd = warm.log_sd.iter().map(|l| l.exp()).collect();
    Ok(Gaussian { mean: warm.mean, sd, factor: None })
}

/// The objective on fixed draws `ξ: [2·PAIRS, D]`, of `[μ, log σ]: [2 D]`.
struct Fixed<'a, E: Real> {
    density: &'a dyn LogDensity<E>,
    xi: Vec<f64>,
}

impl<E: Real> Objective for Fixed<'_, E> {
    fn evaluate(&self, at: &[f64]) -> (f64, Vec<f64>) {
        let d = self.density.dim();
        let n = self.xi.len() / d;
        let sd: Vec<f64> = at[d..].iter().map(|l| l.exp()).collect();
        let points = self.xi.iter().enumerate().map(|(i, x)| E::of(at[i % d] + sd[i % d] * x));
        let z: Vec<E> = points.collect();
        let (mut log_p, mut score) = (vec![E::zero(); n], vec![E::zero(); n * d]);
        self.density.score(&z, &mut log_p, &mut score);
        let value =
            log_p.iter().map(|l| l.f64()).sum::<f64>() / n as f64 + at[d..].iter().sum::<f64>();
        let mut gradient = vec![0.0; 2 * d];
        gradient[d..].fill(1.0);
        for (i, (g, x)) in score.iter().zip(&self.xi).enumerate() {
            let g = g.f64() / n as f64;
            gradient[i % d] += g;
            gradient[d + i % d] += g * x * sd[i % d];
        }
        let value = if gradient.iter().all(|g| g.is_finite()) { value } else { f64::NAN };
        (value, gradient)
    }

    /// The inverse Fisher metric `diag(σ², ½)`.
    fn precondition(&self, at: &[f64], gradient: &mut [f64]) {
        let d = self.density.dim();
        for j in 0..d {
            gradient[j] *= (2.0 * at[d + j]).exp();
            gradient[d + j] *= 0.5;
        }
    }

    /// No standard deviation changes by more than a factor e² at once.
    fn first_step(&self, direction: &[f64]) -> f64 {
        let log_sd = &direction[self.density.dim()..];
        2.0 / log_sd.iter().fold(0.0_f64, |m, x| m.max(x.abs()))
    }
}

/// `[2·PAIRS, D]`: antithetic and of unit second moment in each coordinate, so that for a Gaussian
/// target with independent coordinates the fixed draws make no error at all.
fn fixed_draws(d: usize, rng: &mut impl RngCore) -> Vec<f64> {
    let mut half = vec![0.0_f64; PAIRS * d];
    crate::random::fill_std_normal(rng, &mut half);
    for j in 0..d {
        let moment: f64 = (0..PAIRS).map(|i| half[i * d + j].powi(2)).sum::<f64>() / PAIRS as f64;
        (0..PAIRS).for_each(|i| half[i * d + j] /= moment.sqrt());
    }
    let mirrored: Vec<f64> = half.iter().map(|x| -x).collect();
    half.extend(mirrored);
    half
}

/// `μ = 0, σ = 1` or else random centres and smaller `σ`, whichever first has a finite objective.
fn first_point<E: Real>(
    fixed: &Fixed<'_, E>,
    rng: &mut impl RngCore,
) -> Result<Point, InferenceError> {
    let density = fixed.density;
    let d = density.dim();
    let mut place = None;
    for attempt in 0..TRIES {
        let mean: Vec<f64> =
            (0..d).map(|_| if attempt < 4 { 0.0 } else { rng.gen_range(-2.0..2.0) }).collect();
        // A narrower start is tried where the wide one reaches points of no density.
        let log_sd = [0.0, -2.0, -4.0, -8.0][attempt % 4];
        let at = mean.iter().copied().chain(std::iter::repeat_n(log_sd, d)).collect();
        let point = Point::new(fixed, at);
        if point.value.is_finite() {
            return Ok(point);
        }
        place = place.or_else(|| density.explain_non_finite(&narrowed::<E>(&mean)));
    }
    Err(InferenceError::NonFinite { tried: TRIES, place })
}

fn narrowed<E: Real>(x: &[f64]) -> Vec<E> {
    x.iter().map(|x| E::of(*x)).collect()
}
