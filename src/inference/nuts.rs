//! `--infer nuts`: the No-U-Turn sampler of the nuts-rs crate, the reference that the variational
//! methods are held against.
//!
//! Chains run in parallel where there are threads; each has its own random stream, so the draws do
//! not depend on how many. A worker advances its chains in turn, one draw each, so that an
//! interrupted run leaves chains of nearly one length.
//!
//! nuts-rs cannot save a chain, but a chain is a function of its seed and of what the density answers.
//! So a checkpoint has the answers of the density, up to a limit: a resumed run repeats the steps with
//! them, without evaluating anything, and goes on from there.
//!
//! Reference: [hoffman2014]; diagonal mass matrix from draws and gradients as in nuts-rs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Instant;

use nuts_rs::rand::SeedableRng;
use nuts_rs::rand::rngs::ChaCha8Rng;
use nuts_rs::{
    Chain, CpuLogpFunc, CpuMath, CpuMathError, DiagNutsSettings, HasDims, LogpError, Math,
    Settings as _, Storable, Value,
};
use rand::RngCore;
use serde::{Deserialize, Serialize};

use super::assess::{self, ChainHealth, Checks};
use super::checkpoint;
use super::deadline::timed;
use super::examine::examine;
use super::method::option;
use super::start;
use super::train::Stop;
use super::{
    Deadline, Fit, InferenceError, Method, Monitor, Progress, Settings, Target, Trace, VerdictLevel,
};
use crate::density::LogDensity;
use crate::random::stream;

/// The row of the method table.
pub(super) const NUTS: Method = Method {
    name: "nuts",
    group: "reference",
    summary: "No-U-Turn Hamiltonian Monte Carlo: slow and right, for checking the others.",
    paper: "Hoffman & Gelman, JMLR 2014; nuts-rs",
    options: &[
        option("iterations", "1000", "warm-up transitions of each chain", ""),
        option(
            "chains",
            "4",
            "independent chains; the draws are divided among them, rounded up",
            "M",
        ),
        option(
            "target-accept",
            "0.95",
            "mean acceptance probability that the step size is tuned for",
            "δ",
        ),
        option("max-depth", "10", "largest depth of the trajectory tree", "j"),
    ],
    run,
};

/// Share of the time for the chains, where time is limited; the rest is for checks.
const SAMPLING: f64 = 0.75;
/// Name of the stage in checkpoints.
const STAGE: &str = "nuts";
/// Most numbers of answers in a checkpoint, over all chains (about 40 MB of text).
const MOST_ANSWERS: usize = 2_000_000;

struct Plan {
    chains: usize,
    warmup: usize,
    draws: usize,
    target_accept: f64,
    max_depth: u64,
}

impl Plan {
    fn new(settings: &Settings) -> Result<Plan, InferenceError> {
        let chains: usize = settings.option("chains", 4)?;
        let warmup = settings.option("iterations", settings.iterations.unwrap_or(1000))?;
        let plan = Plan {
            chains,
            warmup,
            draws: settings.draws.div_ceil(chains.max(1)).max(1),
            target_accept: settings.option("target-accept", 0.95)?,
            max_depth: settings.option("max-depth", 10)?,
        };
        if chains == 0 {
            return Err(InferenceError::Setting("`chains` must be at least 1".into()));
        }
        if !(plan.target_accept > 0.0 && plan.target_accept < 1.0) {
            return Err(InferenceError::Setting(
                "`target-accept` must lie between 0 and 1, both excluded".into(),
            ));
        }
        Ok(plan)
    }
}

/// What one transition left behind.
struct Transition {
    chain: usize,
    position: Box<[f64]>,
    tuning: bool,
    diverging: bool,
    at_max_depth: bool,
    energy: f64,
    step_size: f64,
    elapsed_ms: f64,
}

fn run(
    target: Target<'_>,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<Fit, InferenceError> {
    let plan = Plan::new(settings)?;
    let sampling = settings.deadline.share(SAMPLING);
    let density = &*timed(target.f64, &sampling);
    let given = start::of_settings(NUTS.name, target, settings, monitor)?;
    let starts: Vec<Vec<f64>> = (0..plan.chains)
        .map(|c| {
            let mut rng = stream(settings.seed, &format!("nuts start {c}"));
            start::point(density, given.as_ref(), &mut rng)
        })
        .collect::<Result<_, _>>()?;
    let seeds: Vec<[u8; 32]> = (0..plan.chains)
        .map(|c| {
            let mut seed = [0; 32];
            stream(settings.seed, &format!("nuts chain {c}")).fill_bytes(&mut seed);
            seed
        })
        .collect();

    let stop = AtomicBool::new(false);
    let answers = answers(density, &plan, monitor)?;
    let save = |monitor: &mut dyn Monitor, last| {
        checkpoint::offer(monitor, STAGE, last, || -> Vec<Answers> {
            answers.iter().map(|a| locked(a).clone()).collect()
        });
    };
    let workers = settings.threads.clamp(1, plan.chains);
    let mut record = Record::new(plan.chains);
    let (sender, receiver) = mpsc::channel();
    let mut ended = Stop::Iterations;
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let sender = sender.clone();
            let (plan, starts, seeds, stop, answers) = (&plan, &starts, &seeds, &stop, &answers);
            let sampling = &sampling;
            scope.spawn(move || {
                let mine = (worker..plan.chains).step_by(workers);
                if let Err(error) =
                    advance(density, sampling, answers, plan, mine, starts, seeds, stop, &sender)
                {
                    stop.store(true, Ordering::Relaxed);
                    // The receiver outlives the workers unless it gave up already.
                    let _ = sender.send(Err(error));
                }
            });
        }
        drop(sender);
        let total = plan.chains * (plan.warmup + plan.draws);
        let (mut done, mut divergences) = (0, 0);
        for message in receiver {
            let transition = message?;
            done += 1;
            let phase = if transition.tuning { "warm-up" } else { "sampling" };
            divergences += usize::from(!transition.tuning && transition.diverging);
            let counted = (!transition.tuning).then_some(("divergences", divergences as f64));
            record.add(transition);
            let flow =
                monitor.progress(Progress { phase, done, total, objective: counted, trend: None });
            if flow.is_break() && done < total {
                ended = Stop::Interrupted;
                stop.store(true, Ordering::Relaxed);
            }
            // What the chains had sent by then is taken in, and all of it saved once, below.
            if ended == Stop::Iterations {
                save(monitor, false);
            }
        }
        if done < total && ended == Stop::Iterations {
            ended = Stop::TimeLimit;
        }
        Ok::<(), InferenceError>(())
    })?;
    save(monitor, true);
    record.fit(target.f64.as_ref(), &plan, settings, ended)
}

/// What the density has answered to a chain: for each evaluation the log density, then the score.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Answers {
    #[serde(with = "checkpoint::numbers")]
    numbers: Vec<f64>,
}

/// The answers of an earlier run, one set for each chain.
fn answers(
    density: &dyn LogDensity<f64>,
    plan: &Plan,
    monitor: &mut dyn Monitor,
) -> Result<Vec<Mutex<Answers>>, InferenceError> {
    let saved: Option<Vec<Answers>> = checkpoint::load(monitor, STAGE)?;
    let saved = saved.unwrap_or_else(|| vec![Answers::default(); plan.chains]);
    let whole = |a: &Answers| a.numbers.len().is_multiple_of(density.dim() + 1);
    if saved.len() != plan.chains || !saved.iter().all(whole) {
        return Err(checkpoint::damaged(STAGE, "it is of other chains"));
    }
    Ok(saved.into_iter().map(Mutex::new).collect())
}

fn locked(answers: &Mutex<Answers>) -> MutexGuard<'_, Answers> {
    // Answers are added whole, so a thread that panicked left none half-written.
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the chains `mine` in turn until they are done, `stop` is set or the deadline comes.
#[allow(clippy::too_many_arguments, reason = "what the workers share")]
fn advance(
    density: &dyn LogDensity<f64>,
    deadline: &Deadline,
    answers: &[Mutex<Answers>],
    plan: &Plan,
    mine: impl Iterator<Item = usize>,
    starts: &[Vec<f64>],
    seeds: &[[u8; 32]],
    stop: &AtomicBool,
    sender: &mpsc::Sender<Result<Transition, InferenceError>>,
) -> Result<(), InferenceError> {
    let breakdown = |e: &dyn std::fmt::Display| InferenceError::Breakdown(format!("nuts: {e:#}"));
    let mut options = DiagNutsSettings {
        num_tune: plan.warmup as u64,
        num_draws: plan.draws as u64,
        ..Default::default()
    };
    options.maxdepth = plan.max_depth;
    options.adapt_options.step_size_settings.target_accept = plan.target_accept;
    let mut chains = Vec::new();
    for c in mine {
        let most = MOST_ANSWERS / plan.chains;
        let answers = &answers[c];
        let math = CpuMath::new(Density { density, deadline, answers, asked: 0, most });
        let mut rng = ChaCha8Rng::from_seed(seeds[c]);
        let mut chain = options.new_chain(c as u64, math, &mut rng).map_err(|e| breakdown(&e))?;
        if let Err(error) = chain.set_position(&starts[c]) {
            return if deadline.has_cut() { Ok(()) } else { Err(breakdown(&error)) };
        }
        chains.push((c, chain));
    }
    for _ in 0..plan.warmup + plan.draws {
        for (c, chain) in &mut chains {
            if stop.load(Ordering::Relaxed) || deadline.passed() {
                return Ok(());
            }
            let transition = step(*c, chain).map_err(|e| breakdown(&e))?;
            // What the deadline cuts short is no transition.
            if deadline.has_cut() {
                return Ok(());
            }
            if sender.send(Ok(transition)).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// One transition of one chain, with its statistics.
fn step<M: Math, C: Chain<M>>(
    index: usize,
    chain: &mut C,
) -> Result<Transition, Box<dyn std::error::Error + Send + Sync>> {
    let began = Instant::now();
    let (position, _, mut stats, progress) = chain.expanded_draw()?;
    let (mut energy, mut at_max_depth) = (f64::NAN, false);
    let dims = (&*chain.math()).into();
    for (name, value) in stats.get_all(&dims) {
        match (name, value) {
            ("energy", Some(Value::ScalarF64(x))) => energy = x,
            ("maxdepth_reached", Some(Value::ScalarBool(x))) => at_max_depth = x,
            _ => {}
        }
    }
    Ok(Transition {
        chain: index,
        position,
        tuning: progress.tuning,
        diverging: progress.diverging,
        at_max_depth,
        energy,
        step_size: progress.step_size,
        elapsed_ms: began.elapsed().as_secs_f64() * 1e3,
    })
}

/// Everything that is kept of a run, by chain.
struct Record {
    warmup: Vec<Vec<Box<[f64]>>>,
    draws: Vec<Vec<Box<[f64]>>>,
    energy: Vec<Vec<f64>>,
    diverging: Vec<Vec<bool>>,
    step_size: Vec<f64>,
    at_max_depth: usize,
    elapsed_ms: Vec<f64>,
}

impl Record {
    fn new(chains: usize) -> Record {
        Record {
            warmup: vec![Vec::new(); chains],
            draws: vec![Vec::new(); chains],
            energy: vec![Vec::new(); chains],
            diverging: vec![Vec::new(); chains],
            step_size: vec![f64::NAN; chains],
            at_max_depth: 0,
            elapsed_ms: Vec::new(),
        }
    }

    fn add(&mut self, t: Transition) {
        self.elapsed_ms.push(t.elapsed_ms);
        if t.tuning {
            self.warmup[t.chain].push(t.position);
        } else {
            self.draws[t.chain].push(t.position);
            self.energy[t.chain].push(t.energy);
            self.diverging[t.chain].push(t.diverging);
            self.step_size[t.chain] = t.step_size;
            self.at_max_depth += usize::from(t.at_max_depth);
        }
    }

    fn fit(
        mut self,
        density: &dyn LogDensity<f64>,
        plan: &Plan,
        settings: &Settings,
        ended: Stop,
    ) -> Result<Fit, InferenceError> {
        let chains = plan.chains;
        let shortest = |x: &[Vec<Box<[f64]>>]| x.iter().map(Vec::len).min().unwrap_or(0);
        let mut length = shortest(&self.draws);
        let only_warmup = length == 0;
        if only_warmup {
            // Something to look at, and marked as failed below.
            length = shortest(&self.warmup).div_ceil(2);
            for (draws, warmup) in self.draws.iter_mut().zip(&mut self.warmup) {
                *draws = warmup.split_off(warmup.len() - length);
            }
        }
        if length == 0 {
            return Err(match ended {
                Stop::TimeLimit => InferenceError::NoTime,
                _ => InferenceError::Breakdown("interrupted before the first draw".into()),
            });
        }
        let dim = density.dim();
        let draws: Vec<f64> =
            self.draws.iter().flat_map(|c| c[..length].iter().flatten().copied()).collect();
        let mut log_p = vec![0.0; chains * length];
        density.log_density(&draws, &mut log_p);

        let diverging: Vec<bool> = if only_warmup {
            Vec::new()
        } else {
            self.diverging.iter().flat_map(|c| c[..length].iter().copied()).collect()
        };
        let divergences = diverging.iter().filter(|d| **d).count();
        let (mut rhat, mut ess) = (0.0_f64, f64::INFINITY);
        for j in 0..dim {
            let scalar: Vec<f64> = draws.iter().skip(j).step_by(dim).copied().collect();
            // A comparison with NaN must not hide it: both lines keep it.
            let (r, e) = (
                assess::rhat(&scalar, chains),
                assess::ess_bulk(&scalar, chains).min(assess::ess_tail(&scalar, chains)),
            );
            rhat = if r > rhat || r.is_nan() { r } else { rhat };
            ess = if e < ess || e.is_nan() { e } else { ess };
        }
        let e_bfmi = self
            .energy
            .iter()
            .map(|e| assess::e_bfmi(e))
            .fold(f64::INFINITY, |a, b| if b < a || b.is_nan() { b } else { a });

        let mut checks = Checks::new();
        if only_warmup {
            checks.add(
                VerdictLevel::Failed,
                match ended {
                    Stop::TimeLimit => {
                        "The time limit was reached during warm-up: these are not draws from the \
                         posterior."
                    }
                    _ => {
                        "The run was interrupted during warm-up: these are not draws from the \
                         posterior."
                    }
                },
            );
        } else {
            checks.warmed_up(plan.warmup);
            checks.chains(&ChainHealth {
                chains,
                draws: chains * length,
                rhat,
                ess,
                divergences,
                at_max_depth: self.at_max_depth,
                e_bfmi,
            });
            checks.stopped(ended);
            if ended == Stop::Iterations {
                examine(&mut checks, density, &draws, settings);
            } else {
                checks.drawn(chains * length, settings.draws);
            }
        }
        let next = if plan.warmup < 1000 {
            "--infer nuts --iterations 1000"
        } else if divergences > 0 {
            "--infer nuts --set nuts.target-accept=0.99"
        } else {
            "--infer nuts --iterations 4000 --draws 20000"
        };
        let indices: Vec<usize> = (0..chains * length).collect();
        self.elapsed_ms.sort_by(f64::total_cmp);
        Ok(Fit {
            method: NUTS.name,
            dim,
            chains,
            log_p,
            log_q: None,
            elbo: None,
            log_z: None,
            khat: None,
            fisher_divergence: None,
            traces: vec![
                Trace {
                    name: "diverging",
                    iteration: indices[..diverging.len()].to_vec(),
                    value: diverging.iter().map(|d| f64::from(u8::from(*d))).collect(),
                },
                Trace {
                    name: "energy",
                    iteration: indices[..diverging.len()].to_vec(),
                    value: if only_warmup {
                        Vec::new()
                    } else {
                        self.energy.iter().flat_map(|c| c[..length].iter().copied()).collect()
                    },
                },
                Trace {
                    name: "step_size",
                    iteration: (0..chains).collect(),
                    value: self.step_size,
                },
            ],
            iterations: self.elapsed_ms.len(),
            median_iteration_ms: self.elapsed_ms[self.elapsed_ms.len() / 2],
            draws,
            interrupted: ended != Stop::Iterations,
            verdict: checks.verdict(Some(next)),
        })
    }
}

/// The density as nuts-rs wants to see it.
struct Density<'a> {
    density: &'a dyn LogDensity<f64>,
    /// When it stops answering.
    deadline: &'a Deadline,
    /// What it has answered, to be repeated first.
    answers: &'a Mutex<Answers>,
    /// Evaluations so far.
    asked: usize,
    /// Numbers of answers that are kept at most.
    most: usize,
}

impl Density<'_> {
    /// The log density; the score goes to `gradient`.
    fn answer(&mut self, position: &[f64], gradient: &mut [f64]) -> f64 {
        let n = gradient.len() + 1;
        let at = self.asked * n;
        self.asked += 1;
        if let Some(known) = locked(self.answers).numbers.get(at..at + n) {
            gradient.copy_from_slice(&known[1..]);
            return known[0];
        }
        let mut log_p = [0.0];
        self.density.score(position, &mut log_p, gradient);
        if at + n <= self.most && !self.deadline.has_cut() {
            let mut answers = locked(self.answers);
            answers.numbers.push(log_p[0]);
            answers.numbers.extend_from_slice(gradient);
        }
        log_p[0]
    }
}

/// The density is not finite here; the trajectory ends as a divergence.
#[derive(Debug, thiserror::Error)]
#[error("the log density or its gradient is not finite")]
struct NonFinite;

impl LogpError for NonFinite {
    fn is_recoverable(&self) -> bool {
        true
    }
}

impl HasDims for Density<'_> {
    fn dim_sizes(&self) -> HashMap<String, u64> {
        HashMap::from([("dim".to_owned(), self.density.dim() as u64)])
    }
}

impl CpuLogpFunc for Density<'_> {
    type LogpError = NonFinite;
    type FlowParameters = ();
    type ExpandedVector = Vec<f64>;

    fn dim(&self) -> usize {
        self.density.dim()
    }

    fn logp(&mut self, position: &[f64], gradient: &mut [f64]) -> Result<f64, NonFinite> {
        let log_p = self.answer(position, gradient);
        if log_p.is_finite() && gradient.iter().all(|g| g.is_finite()) {
            Ok(log_p)
        } else {
            Err(NonFinite)
        }
    }

    fn expand_vector<R: nuts_rs::rand::Rng + ?Sized>(
        &mut self,
        _rng: &mut R,
        _position: &[f64],
    ) -> Result<Vec<f64>, CpuMathError> {
        Ok(Vec::new())
    }
}
