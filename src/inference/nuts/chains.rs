//! Chains of nuts-rs on a density, and what the density has answered to them.
//!
//! nuts-rs cannot save a chain, but a chain is a function of its seed and of what the density answers.
//! So a checkpoint has the answers of the density, up to a limit: a resumed run repeats the steps with
//! them, without evaluating anything, and goes on from there.

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
use serde::{Deserialize, Serialize};

use super::Plan;
use crate::density::LogDensity;
use crate::inference::checkpoint;
use crate::inference::{Deadline, InferenceError, Monitor};

/// Name of the stage in checkpoints.
pub(super) const STAGE: &str = "nuts";
/// Most numbers of answers in a checkpoint, over all chains (about 40 MB of text).
const MOST_ANSWERS: usize = 2_000_000;

/// What one transition left behind.
pub(super) struct Transition {
    pub(super) chain: usize,
    pub(super) position: Box<[f64]>,
    pub(super) tuning: bool,
    pub(super) diverging: bool,
    pub(super) at_max_depth: bool,
    pub(super) energy: f64,
    pub(super) log_p: f64,
    pub(super) step_size: f64,
    pub(super) elapsed_ms: f64,
}

/// What the density has answered to a chain: for each evaluation the log density, then the score.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Answers {
    #[serde(with = "checkpoint::numbers")]
    numbers: Vec<f64>,
}

/// The answers of an earlier run, one set for each chain.
pub(super) fn answers(
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

pub(super) fn locked(answers: &Mutex<Answers>) -> MutexGuard<'_, Answers> {
    // Answers are added whole, so a thread that panicked left none half-written.
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the chains `mine` in turn until they are done, `stop` is set or the deadline comes.
#[allow(clippy::too_many_arguments, reason = "what the workers share")]
pub(super) fn advance(
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
    let (mut energy, mut log_p, mut at_max_depth) = (f64::NAN, f64::NAN, false);
    let dims = (&*chain.math()).into();
    for (name, value) in stats.get_all(&dims) {
        match (name, value) {
            ("energy", Some(Value::ScalarF64(x))) => energy = x,
            ("logp", Some(Value::ScalarF64(x))) => log_p = x,
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
        log_p,
        step_size: progress.step_size,
        elapsed_ms: began.elapsed().as_secs_f64() * 1e3,
    })
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
