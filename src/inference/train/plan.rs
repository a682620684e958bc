//! What training is to do, and what it has recorded: together they say how far the schedule of the learning
//! rate is, and when to stop.

use serde::{Deserialize, Serialize};

use crate::inference::Deadline;
use crate::inference::history::History;
use crate::inference::optimizer::Schedule;

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name of the stage for checkpoints, different from those of all other stages.
    pub stage: &'static str,
    /// Name of the phase for progress, such as `training`.
    pub phase: &'static str,
    /// Standard name of the objective, such as `elbo`.
    pub objective: &'static str,
    /// Whether larger values of the objective are better.
    pub maximise: bool,
    /// Iterations at most.
    pub iterations: usize,
    /// Base learning rate.
    pub learning_rate: f64,
    /// How it changes.
    pub schedule: Schedule,
    /// Stop when the relative gain of the objective, averaged over windows of
    /// [`window`](Self::window) iterations, has fallen below this.
    pub tolerance: Option<f64>,
    /// Iterations of one averaging window.
    pub window: usize,
    /// Hold the learning rate until the mean objective gains less than this from one stretch of
    /// iterations to the next, then anneal it and end \[hagele2024\]; `None`: one schedule for all
    /// iterations.
    pub least_gain: Option<f64>,
    /// When this phase is to end.
    pub deadline: Deadline,
}

/// What is recorded of each step.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Log {
    /// The objective at every good step.
    pub(super) objective: History,
    /// The learning rate of every step.
    pub(super) rates: History,
    /// How long every step took.
    pub(super) times_ms: History,
    pub(super) smoothed: Smoothed,
    pub(super) converged: bool,
    pub(super) annealing: Option<Annealing>,
}

impl Log {
    /// Whether the learning rate has been annealed by the end of that many iterations.
    pub(super) fn annealed(&self, iterations: usize) -> bool {
        self.annealing.as_ref().is_some_and(|a| iterations >= a.from + a.length)
    }
}

/// The last part of a run that ends when its objective has stopped gaining.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Annealing {
    /// Its first iteration.
    from: usize,
    /// Its iterations.
    length: usize,
    /// Good steps before it.
    pub(super) steady: usize,
}

/// Part of the time after which the learning rate is annealed in any case.
const LATEST_ANNEALING: f64 = 2.0 / 3.0;
/// Length of the annealing, relative to what came before it.
const ANNEALING: f64 = 0.5;

impl Plan {
    /// The fraction of the schedule that is past.
    pub(super) fn done(&self, log: &mut Log, iteration: usize, time_used: f64) -> f64 {
        let by_count = iteration as f64 / self.iterations as f64;
        let Some(least) = self.least_gain else { return by_count.max(time_used) };
        let late = by_count.max(time_used) >= LATEST_ANNEALING;
        if log.annealing.is_none() && (late || self.plateau(&log.objective, least)) {
            let length = (ANNEALING * iteration as f64).ceil() as usize;
            log.annealing = Some(Annealing {
                from: iteration,
                length: length.clamp(1, self.iterations - iteration),
                steady: log.objective.len(),
            });
        }
        let warmup = match self.schedule {
            Schedule::Cosine { warmup, .. } => warmup,
            Schedule::Constant | Schedule::Step { .. } => 0.0,
        };
        let Some(annealing) = &log.annealing else { return by_count.min(warmup) };
        let of_count = (iteration - annealing.from) as f64 / annealing.length as f64;
        let of_time = (time_used - LATEST_ANNEALING) / (1.0 - LATEST_ANNEALING);
        warmup + (1.0 - warmup) * of_count.max(of_time)
    }

    /// Whether the mean objective of the last quarter (of at least one window) gained less than `least`
    /// over that of the stretch before it, checked once a window.
    fn plateau(&self, objective: &History, least: f64) -> bool {
        let (n, w) = (objective.len(), self.window.max(1));
        let stretch = w.max(n / 4);
        if n < 2 * stretch || !n.is_multiple_of(w) {
            return false;
        }
        let gain = objective.mean(n - stretch, n) - objective.mean(n - 2 * stretch, n - stretch);
        if self.maximise { gain < least } else { -gain < least }
    }

    /// Whether the mean objective of the last window is no better than that of the one before by more
    /// than `tolerance`, relative to its size, checked once a window.
    pub(super) fn stalled(&self, objective: &History) -> bool {
        let (Some(tolerance), n, w) = (self.tolerance, objective.len(), self.window.max(1)) else {
            return false;
        };
        if n < 2 * w || !n.is_multiple_of(w) {
            return false;
        }
        let (before, now) = (objective.mean(n - 2 * w, n - w), objective.mean(n - w, n));
        let gain = if self.maximise { now - before } else { before - now };
        gain < tolerance * now.abs().max(f64::MIN_POSITIVE)
    }
}

/// Exponential moving average of the objective, for progress.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Smoothed {
    sum: f64,
    weight: f64,
    /// Averages a hundred steps apart.
    hundredth: Option<(f64, f64)>,
    count: usize,
}

impl Smoothed {
    pub(super) fn add(&mut self, value: f64) {
        const DECAY: f64 = 0.98;
        self.sum = DECAY * self.sum + value;
        self.weight = DECAY * self.weight + 1.0;
        self.count += 1;
        if self.count.is_multiple_of(100) {
            let now = self.sum / self.weight;
            self.hundredth = Some((self.hundredth.map_or(now, |(_, last)| last), now));
        }
    }

    pub(super) fn value(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }

    pub(super) fn trend(&self) -> Option<f64> {
        (self.count >= 200).then_some(self.hundredth).flatten().map(|(before, now)| now - before)
    }
}
