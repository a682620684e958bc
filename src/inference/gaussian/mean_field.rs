//! The mean-field Gaussian `q = N(μ, diag σ²)` that maximises the evidence lower bound.
//!
//! Nothing needs tuning: a deterministic warm start (see [`super::warm_start`]) finds place and
//! scale; Adam then works in the coordinates in which that start is standard normal, so one learning
//! rate fits all posteriors. Training goes in rounds. A round's result is the average of the
//! iterates of its second half; when two rounds agree roughly, the learning rate is halved and rounds
//! grow; when they agree closely, in symmetrised Kullback–Leibler divergence, training has converged
//! [welandawe2024]. Gradients are path derivatives [roeder2017] on antithetic draws: their noise
//! vanishes where the family contains the posterior.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dfdx::prelude::{Axis, BroadcastTo, PutTape, SumTo};
use rand::RngCore;

use super::warm_start::warm_start;
use crate::density::LogDensity;
use crate::inference::affine::{Affine, Coordinates};
use crate::inference::assess::Checks;
use crate::inference::bridge::Bridge;
use crate::inference::method::{RESAMPLE, option};
use crate::inference::modes;
use crate::inference::optimizer::{Average, Group, Handle, Parameters, Schedule, Update};
use crate::inference::tape::{Element, SharedTape, backward, tensor};
use crate::inference::train::{Context, Plan, Step, Stop, Training, train};
use crate::inference::weights::{self, Resample};
use crate::inference::{
    Fit, InferenceError, KhatKind, Method, Monitor, Precision, Progress, Settings, Target,
    VerdictLevel,
};
use crate::random::{fill_std_normal, stream};

/// The row of the method table.
pub const MEAN_FIELD: Method = Method {
    name: "mean-field",
    group: "Gaussian",
    summary: "Independent Gaussians on the unconstrained space: the fastest first look.",
    paper: "Kucukelbir et al., JMLR 2017; stopping: Welandawe et al., JMLR 2024",
    options: &[
        option(
            "iterations",
            "10000",
            "steps at most, the warm start's evaluations included; usually far fewer",
            "",
        ),
        option(
            "learning-rate",
            "0.1",
            "Adam's rate in the first round, in standard deviations; halved by rounds",
            "γ₀",
        ),
        option("grad-samples", "10", "draws per gradient, in antithetic pairs", "M"),
        option(
            "agreement",
            "0.0025",
            "two rounds agree when no coordinate's symmetrised KL divergence exceeds this",
            "ξ",
        ),
        RESAMPLE,
    ],
    run,
};

/// Iterations of the first round.
const FIRST_ROUND: usize = 100;
/// Divergence between rounds beyond which the iterates are still travelling.
const TRAVELLING: f64 = 0.5;

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
    monitor: &mut dyn Monitor,
) -> Result<MeanField, InferenceError> {
    let d = density.dim();
    let began = Instant::now();
    let late = || config.max_time.is_some_and(|limit| began.elapsed() > limit.mul_f64(0.5));
    let mut rng = stream(config.seed, "mean-field warm start");
    let budget = (config.iterations / 2).min(1000);
    let mut stopped = false;
    let warm = warm_start(&**density, budget, &mut rng, |done, value| {
        let progress = Progress {
            phase: "warm start",
            done,
            total: budget,
            objective: Some(("elbo", value)),
            trend: None,
        };
        stopped = monitor.progress(progress).is_break();
        !stopped && !late()
    })?;
    let scale: Vec<f64> = warm.log_sd.iter().map(|l| l.exp()).collect();
    let coordinates = Coordinates { shift: warm.mean.clone(), scale: scale.clone(), mix: None };
    let affine: Arc<dyn LogDensity<E>> = Arc::new(Affine::new(density, &coordinates));
    let bridge = Bridge::new(&affine);
    let mut parameters = Parameters::default();
    let location = parameters.add("location", 0, vec![E::zero(); d]);
    let log_sd = parameters.add("log_sd", 0, vec![E::zero(); d]);
    let mut rounds = Rounds::new(location, log_sd, config.agreement);
    let mut rng = stream(config.seed, "mean-field noise");
    let plan = Plan {
        phase: "training",
        objective: "elbo",
        maximise: true,
        // An interruption during the warm start leaves nothing to train.
        iterations: if stopped { 0 } else { config.iterations.saturating_sub(warm.evaluations) },
        learning_rate: config.learning_rate,
        schedule: Schedule::Constant,
        tolerance: config.tolerance,
        window: FIRST_ROUND,
        max_time: config.max_time.map(|limit| limit.saturating_sub(began.elapsed()).mul_f64(0.9)),
    };
    let group = Group::adam(0);
    let mut training = train(&plan, &mut parameters, monitor, |parameters, context: Context| {
        let rate = context.rate * rounds.rate;
        let (value, mut grads, z) =
            step(&bridge, parameters, (location, log_sd), config.grad_samples, &mut rng)?;
        if !value.is_finite() || parameters.update(&group, rate, &mut grads) == Update::NonFinite {
            return Ok(Step::NonFinite(affine.explain_non_finite(&z)));
        }
        Ok(if rounds.add(parameters) { Step::Converged(value) } else { Step::Done(value) })
    })?;
    if stopped {
        training.stop = Stop::Interrupted;
    }
    rounds.finish(&mut parameters);
    let (m, r) = (parameters.values(location), parameters.values(log_sd));
    Ok(MeanField {
        mean: (0..d).map(|j| warm.mean[j] + scale[j] * m[j].f64()).collect(),
        sd: (0..d).map(|j| scale[j] * r[j].f64().exp()).collect(),
        converged: rounds.agreed,
        divergence: rounds.divergence,
        iterations: warm.evaluations + training.iterations,
        training,
    })
}

/// One estimate of the bound, the gradient of its negative, and the first draw.
fn step<E: Element>(
    bridge: &Bridge<E>,
    parameters: &Parameters<E>,
    (location, log_sd): (Handle, Handle),
    n: usize,
    rng: &mut impl RngCore,
) -> Result<(f64, crate::inference::tape::Grads<E>, Vec<E>), InferenceError> {
    let d = bridge.dim();
    let shape = (n, d);
    let xi = antithetic::<E>(n, d, rng);
    let log_sd_now = parameters.values(log_sd);
    // ∇_z log q = -ξ/σ at the present σ, held constant: only the path through z is differentiated.
    let pull: Vec<E> =
        xi.iter().enumerate().map(|(i, x)| *x * (-log_sd_now[i % d]).exp()).collect();
    let squares: f64 = xi.iter().map(|x| x.f64() * x.f64()).sum::<f64>() / n as f64;
    let constant = |v: Vec<E>| tensor(&v, shape).put_tape(SharedTape::off());
    let tape = SharedTape::recording();
    let mean = parameters.vector(location, &tape).broadcast_like::<_, Axis<0>>(&shape);
    let sd = parameters.vector(log_sd, &tape).exp().broadcast_like::<_, Axis<0>>(&shape);
    let z = mean + sd * constant(xi);
    let first = z.as_vec()[..d].to_vec();
    let log_p = bridge.log_density(z.clone()).sum::<(), _>();
    let value = log_p.as_vec()[0].f64() / n as f64
        + log_sd_now.iter().map(|r| r.f64()).sum::<f64>()
        + 0.5 * (squares + d as f64 * (2.0 * std::f64::consts::PI).ln());
    let path = (z * constant(pull)).sum::<(), _>();
    let loss = (log_p + path) * E::of(-1.0 / n as f64);
    Ok((value, backward(loss)?, first))
}

/// Standard normals `[n, d]`, the second half the negative of the first.
fn antithetic<E: Element>(n: usize, d: usize, rng: &mut impl RngCore) -> Vec<E> {
    let mut xi = vec![E::zero(); n * d];
    let half = n.div_ceil(2) * d;
    fill_std_normal(rng, &mut xi[..half]);
    let (first, second) = xi.split_at_mut(half);
    second.iter_mut().zip(first.iter()).for_each(|(b, a)| *b = -*a);
    xi
}

/// Rounds of training, their averages and whether they agree.
struct Rounds {
    handles: (Handle, Handle),
    agreement: f64,
    average: Average,
    length: usize,
    done: usize,
    rate: f64,
    previous: Option<(Vec<f64>, Vec<f64>)>,
    divergence: Option<f64>,
    agreed: bool,
}

impl Rounds {
    fn new(location: Handle, log_sd: Handle, agreement: f64) -> Self {
        Rounds {
            handles: (location, log_sd),
            agreement,
            average: Average::polyak(),
            length: FIRST_ROUND,
            done: 0,
            rate: 1.0,
            previous: None,
            divergence: None,
            agreed: false,
        }
    }

    /// Takes note of an iterate; at the end of a round the parameters become its average. Whether
    /// this round agrees with the one before.
    fn add<E: Element>(&mut self, parameters: &mut Parameters<E>) -> bool {
        self.done += 1;
        if 2 * self.done > self.length {
            self.average.add(parameters);
        }
        if self.done < self.length {
            return false;
        }
        self.average.store(parameters);
        self.average.clear();
        self.done = 0;
        let wide = |h| parameters.values(h).iter().map(|x: &E| x.f64()).collect::<Vec<f64>>();
        let now = (wide(self.handles.0), wide(self.handles.1));
        if let Some(before) = &self.previous {
            let divergence = largest_divergence(before, &now);
            self.divergence = Some(divergence);
            self.agreed = divergence <= self.agreement;
            if divergence < TRAVELLING {
                self.rate *= 0.5;
                self.length += self.length / 2;
            }
        }
        self.previous = Some(now);
        self.agreed
    }

    /// At the end of training: an unfinished round counts if it has begun to average.
    fn finish<E: Element>(&self, parameters: &mut Parameters<E>) {
        self.average.store(parameters);
    }
}

/// Largest symmetrised KL divergence of a coordinate, between Gaussians given as (mean, log sd).
fn largest_divergence(a: &(Vec<f64>, Vec<f64>), b: &(Vec<f64>, Vec<f64>)) -> f64 {
    let mut largest = 0.0_f64;
    for j in 0..a.0.len() {
        let (va, vb) = ((2.0 * a.1[j]).exp(), (2.0 * b.1[j]).exp());
        let shift = (a.0[j] - b.0[j]).powi(2) * (1.0 / va + 1.0 / vb);
        largest = largest.max(0.5 * (va / vb + vb / va - 2.0 + shift));
    }
    largest
}

fn run(
    target: Target<'_>,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<Fit, InferenceError> {
    let config = Config::new(settings)?;
    let resample = settings.option("resample", Resample::Never)?;
    let q = match settings.precision {
        Precision::F32 => fit_mean_field(target.f32, &config, monitor)?,
        Precision::F64 => fit_mean_field(target.f64, &config, monitor)?,
    };
    Ok(assess(&q, resample, target, settings))
}

/// Draws from `q`, their weights and the verdict.
fn assess(q: &MeanField, resample: Resample, target: Target<'_>, settings: &Settings) -> Fit {
    let d = q.mean.len();
    let mut draws = vec![0.0; resample.pool(settings.draws, d) * d];
    fill_std_normal(&mut stream(settings.seed, "mean-field draws"), &mut draws);
    let constant: f64 = q.sd.iter().map(|s| s.ln()).sum::<f64>()
        + 0.5 * d as f64 * (2.0 * std::f64::consts::PI).ln();
    let mut log_q = Vec::with_capacity(draws.len() / d);
    for row in draws.chunks_exact_mut(d) {
        log_q.push(-0.5 * row.iter().map(|x| x * x).sum::<f64>() - constant);
        for (j, x) in row.iter_mut().enumerate() {
            *x = q.mean[j] + q.sd[j] * *x;
        }
    }
    let mut log_p = vec![0.0; log_q.len()];
    target.f64.log_density(&draws, &mut log_p);
    let log_weights: Vec<f64> = log_p.iter().zip(&log_q).map(|(p, q)| p - q).collect();
    let mut checks = Checks::new();
    let agreed = q.divergence.map_or_else(String::new, |d| {
        format!(" (the last two rounds differ by {d:.1e} in symmetrised KL divergence)")
    });
    if q.converged {
        checks.add(VerdictLevel::Ok, format!("Training has converged{agreed}."));
    } else {
        checks.add(
            VerdictLevel::Doubtful,
            format!("Training had not converged after {} iterations{agreed}.", q.iterations),
        );
    }
    if q.training.skipped * 100 > q.training.iterations {
        checks.add(
            VerdictLevel::Doubtful,
            format!(
                "{} steps were skipped because the log density was not finite.",
                q.training.skipped
            ),
        );
    }
    if q.training.interrupted() {
        checks.interrupted();
    }
    let judged = weights::judge(
        &mut checks,
        &log_weights,
        &draws,
        KhatKind::Exact,
        target.f64.as_ref(),
        resample,
        settings.draws,
        &mut stream(settings.seed, "mean-field resampling"),
    );
    let (draws, log_p) = judged.select(&draws, &log_p);
    if !q.training.interrupted() {
        modes::search(&mut checks, target.f64.as_ref(), &draws, settings.seed);
    }
    let log_q = judged.chosen.iter().map(|i| log_q[*i]).collect();
    let next = if q.converged {
        "--infer ldvi".to_owned()
    } else {
        format!("--infer mean-field --iterations {}", (10 * q.iterations).max(10_000))
    };
    let elbo = Some(weights::lower_bound(&log_weights)).filter(|(e, _)| e.is_finite());
    Fit {
        method: MEAN_FIELD.name,
        dim: d,
        chains: 1,
        draws,
        log_p,
        log_q: Some(log_q),
        elbo,
        log_z: Some(weights::log_mean_weight(&log_weights)).filter(|z| z.is_finite()),
        khat: Some(judged.khat),
        fisher_divergence: None,
        traces: q.training.traces.clone(),
        iterations: q.iterations,
        median_iteration_ms: q.training.median_iteration_ms,
        interrupted: q.training.interrupted(),
        verdict: checks.verdict(Some(&next)),
    }
}
