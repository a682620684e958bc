//! A deterministic first approximation of the best mean-field Gaussian, on one fixed set of draws.
//!
//! With the standard normal draws `ξ` fixed, `F(μ, log σ) = mean log p(μ + σ ξ) + Σ log σ` is an
//! ordinary function (sample average approximation, [giordano2024]), which L-BFGS maximises without a
//! learning rate, wherever and however narrow the posterior is. Its first metric is the natural one of
//! the Gaussian family, `diag(σ², ½)`. Stochastic optimisation refines the result.

use std::collections::VecDeque;

use rand::{Rng, RngCore};

use serde::{Deserialize, Serialize};

use crate::density::LogDensity;
use crate::inference::{InferenceError, Monitor, Progress, checkpoint};
use crate::real::Real;

/// Pairs `±ξ` of the fixed draws.
const PAIRS: usize = 16;
/// Pairs of differences that L-BFGS remembers.
const MEMORY: usize = 8;
/// Random starting points tried when the density is not finite at the origin.
const TRIES: usize = 100;

/// `μ` and `log σ`, each `[D]`, and how they were reached.
#[derive(Debug, Clone)]
pub(super) struct WarmStart {
    pub(super) mean: Vec<f64>,
    pub(super) log_sd: Vec<f64>,
    /// Evaluations of the objective that were spent.
    pub(super) evaluations: usize,
}

/// The objective on fixed draws, its gradient, and the parameters they belong to.
struct Point {
    /// `[μ, log σ]`, `[2 D]`.
    at: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

/// Name of the stage in checkpoints.
const STAGE: &str = "mean-field-start";

/// Where L-BFGS has got to.
#[derive(Serialize, Deserialize)]
struct State {
    at: Vec<f64>,
    memory: VecDeque<(Vec<f64>, Vec<f64>, f64)>,
    evaluations: usize,
    done: bool,
}

/// Maximises the objective for at most `budget` evaluations, or until it is `late`; the result, and
/// whether the user stopped it.
///
/// # Errors
/// When the density is finite at none of the starting points.
pub(super) fn warm_start<E: Real>(
    density: &dyn LogDensity<E>,
    budget: usize,
    rng: &mut impl RngCore,
    late: &dyn Fn() -> bool,
    monitor: &mut dyn Monitor,
) -> Result<(WarmStart, bool), InferenceError> {
    let d = density.dim();
    let xi = fixed_draws(d, rng);
    let (mut now, mut memory, mut evaluations, mut done) =
        match checkpoint::load::<State>(monitor, STAGE)? {
            None => (first_point(density, &xi, rng)?, VecDeque::new(), 1, false),
            Some(s) if s.at.len() != 2 * d => {
                return Err(checkpoint::damaged(STAGE, "it is of another dimension"));
            }
            Some(s) => (evaluate(density, &xi, s.at), s.memory, s.evaluations, s.done),
        };
    let (known, mut stopped) = (done, false);
    while !done && evaluations < budget && !late() {
        let progress = Progress {
            phase: "warm start",
            done: evaluations,
            total: budget,
            objective: Some(("elbo", now.value)),
            trend: None,
        };
        if monitor.progress(progress).is_break() {
            stopped = true;
            break;
        }
        let state =
            || State { at: now.at.clone(), memory: memory.clone(), evaluations, done: false };
        checkpoint::offer(monitor, STAGE, false, state);
        let mut direction = ascent_direction(&now, d, &memory);
        let mut slope = dot(&direction, &now.gradient);
        if slope.is_nan() || slope <= 0.0 {
            memory.clear();
            direction = ascent_direction(&now, d, &memory);
            slope = dot(&direction, &now.gradient);
        }
        // The gain that a full step promises, in nats: nothing left to win on these draws.
        if slope.is_nan() || slope < 1e-6 {
            break;
        }
        // No standard deviation changes by more than a factor e² at once.
        let widest = direction[d..].iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        let mut step = (2.0 / widest).min(1.0);
        let next = loop {
            let at = now.at.iter().zip(&direction).map(|(x, p)| x + step * p).collect();
            let trial = evaluate(density, &xi, at);
            evaluations += 1;
            if trial.value.is_finite() && trial.value >= now.value + 1e-4 * step * slope {
                break Some(trial);
            }
            step *= if trial.value.is_finite() { 0.4 } else { 0.1 };
            if evaluations >= budget || step < 1e-12 {
                break None;
            }
        };
        let Some(next) = next else {
            if memory.is_empty() {
                break;
            }
            memory.clear();
            continue;
        };
        remember(&mut memory, &now, &next);
        now = next;
    }
    done = !stopped;
    if !known {
        let state = || State { at: now.at.clone(), memory: memory.clone(), evaluations, done };
        checkpoint::offer(monitor, STAGE, true, state);
    }
    let log_sd = now.at.split_off(d);
    Ok((WarmStart { mean: now.at, log_sd, evaluations }, stopped))
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
    density: &dyn LogDensity<E>,
    xi: &[f64],
    rng: &mut impl RngCore,
) -> Result<Point, InferenceError> {
    let d = density.dim();
    let mut place = None;
    for attempt in 0..TRIES {
        let mean: Vec<f64> =
            (0..d).map(|_| if attempt < 4 { 0.0 } else { rng.gen_range(-2.0..2.0) }).collect();
        // A narrower start is tried where the wide one reaches points of no density.
        let log_sd = [0.0, -2.0, -4.0, -8.0][attempt % 4];
        place = place.or_else(|| density.explain_non_finite(&narrowed::<E>(&mean)));
        let at = mean.into_iter().chain(std::iter::repeat_n(log_sd, d)).collect();
        let point = evaluate(density, xi, at);
        if point.value.is_finite() && point.gradient.iter().all(|g| g.is_finite()) {
            return Ok(point);
        }
    }
    Err(InferenceError::NonFinite { tried: TRIES, place })
}

fn narrowed<E: Real>(x: &[f64]) -> Vec<E> {
    x.iter().map(|x| E::of(*x)).collect()
}

fn evaluate<E: Real>(density: &dyn LogDensity<E>, xi: &[f64], at: Vec<f64>) -> Point {
    let d = density.dim();
    let n = xi.len() / d;
    let sd: Vec<f64> = at[d..].iter().map(|l| l.exp()).collect();
    let z: Vec<E> = xi.iter().enumerate().map(|(i, x)| E::of(at[i % d] + sd[i % d] * x)).collect();
    let (mut log_p, mut score) = (vec![E::zero(); n], vec![E::zero(); n * d]);
    density.score(&z, &mut log_p, &mut score);
    let value = log_p.iter().map(|l| l.f64()).sum::<f64>() / n as f64 + at[d..].iter().sum::<f64>();
    let mut gradient = vec![0.0; 2 * d];
    gradient[d..].fill(1.0);
    for (i, (g, x)) in score.iter().zip(xi).enumerate() {
        let g = g.f64() / n as f64;
        gradient[i % d] += g;
        gradient[d + i % d] += g * x * sd[i % d];
    }
    let value = if gradient.iter().all(|g| g.is_finite()) { value } else { f64::NAN };
    Point { at, value, gradient }
}

/// The two-loop recursion of L-BFGS on the inverse Fisher metric `diag(σ², ½)`.
fn ascent_direction(
    now: &Point,
    d: usize,
    memory: &VecDeque<(Vec<f64>, Vec<f64>, f64)>,
) -> Vec<f64> {
    let mut q = now.gradient.clone();
    let mut alphas = Vec::with_capacity(memory.len());
    for (s, y, rho) in memory.iter().rev() {
        let alpha = rho * dot(s, &q);
        q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha * y);
        alphas.push(alpha);
    }
    for j in 0..d {
        q[j] *= (2.0 * now.at[d + j]).exp();
        q[d + j] *= 0.5;
    }
    for ((s, y, rho), alpha) in memory.iter().zip(alphas.into_iter().rev()) {
        let beta = rho * dot(y, &q);
        q.iter_mut().zip(s).for_each(|(q, s)| *q += (alpha - beta) * s);
    }
    q
}

/// Keeps step and change of gradient (of `−F`), if they show the curvature of a maximum.
fn remember(memory: &mut VecDeque<(Vec<f64>, Vec<f64>, f64)>, now: &Point, next: &Point) {
    let s: Vec<f64> = next.at.iter().zip(&now.at).map(|(a, b)| a - b).collect();
    let y: Vec<f64> = now.gradient.iter().zip(&next.gradient).map(|(a, b)| a - b).collect();
    let sy = dot(&s, &y);
    if sy > 1e-10 * (dot(&s, &s) * dot(&y, &y)).sqrt() {
        if memory.len() == MEMORY {
            memory.pop_front();
        }
        memory.push_back((s, y, 1.0 / sy));
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
