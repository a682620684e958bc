//! The one training loop of all methods that optimise: progress, stopping, non-finite steps, traces.
//!
//! A method supplies a step (objective, gradient, update); the loop decides how often and with which
//! learning rate it is called, and records what happened as a [`Training`], from which a verdict can
//! be made. Nothing here knows what is being trained.

mod plan;
mod recovery;

use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::backend::Backend;
use super::checkpoint;
use super::optimizer::{Parameters, TensorState};
use super::{InferenceError, Monitor, Progress, Trace};

use plan::Log;
pub use plan::Plan;
use recovery::{Counts, Recovery};

/// What a step is told.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// Iteration, from 0.
    pub iteration: usize,
    /// Learning rate to use.
    pub rate: f64,
    /// Fraction of the run that is past (of iterations or of time, whichever is further).
    pub done: f64,
}

/// What a step answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The parameters were updated; this was the objective before.
    Done(f64),
    /// The same, and the method's own criterion says that this was the last step needed.
    Converged(f64),
    /// Value or gradient was not finite; where in the model, if the density can tell.
    NonFinite(Option<String>),
}

/// Why training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stop {
    /// All iterations were run.
    Iterations,
    /// A convergence criterion was met.
    Converged,
    /// The deadline came.
    TimeLimit,
    /// The user asked.
    Interrupted,
}

/// A trained run, as far as the loop can tell.
#[derive(Debug, Clone)]
pub struct Training {
    /// Why it ended.
    pub stop: Stop,
    /// Steps taken, non-finite ones included.
    pub iterations: usize,
    /// Steps skipped because something was not finite.
    pub skipped: usize,
    /// Times a good state had to be restored.
    pub restored: usize,
    /// Median wall time of an iteration, milliseconds.
    pub median_iteration_ms: f64,
    /// The objective at every good step, or, of very many, means of runs of them (`history`).
    pub objective: Vec<f64>,
    /// How many of those values were made before the learning rate was annealed, if that was left to the
    /// objective ([`Plan::least_gain`]); otherwise all.
    pub steady: usize,
    /// Objective and learning rate over iterations, thinned by averaging.
    pub traces: Vec<Trace>,
}

impl Training {
    /// The record of a method that has no training loop.
    #[must_use]
    pub fn none(stop: Stop) -> Self {
        Training {
            stop,
            iterations: 0,
            skipped: 0,
            restored: 0,
            median_iteration_ms: 0.0,
            objective: Vec::new(),
            steady: 0,
            traces: Vec::new(),
        }
    }

    /// Whether it ended before it was done, by a user's or a clock's wish.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        matches!(self.stop, Stop::Interrupted | Stop::TimeLimit)
    }

    /// Change of the mean objective from the second-last to the last fraction `part` of the run, and
    /// its standard error (from means of blocks, so that correlated steps count as what they are).
    ///
    /// `None` when the run is too short to tell.
    #[must_use]
    pub fn trend(&self, part: f64) -> Option<(f64, f64)> {
        let n = self.objective.len();
        let window = (n as f64 * part) as usize;
        if window < 20 || n < 2 * window {
            return None;
        }
        let (early, late) =
            (&self.objective[n - 2 * window..n - window], &self.objective[n - window..]);
        let ((a, var_a), (b, var_b)) = (block_mean(early), block_mean(late));
        Some((b - a, (var_a + var_b).sqrt()))
    }
}

/// Mean of a stretch and the variance of that mean, from ten block means.
fn block_mean(values: &[f64]) -> (f64, f64) {
    let blocks: Vec<f64> = values
        .chunks_exact(values.len() / 10)
        .take(10)
        .map(|c| c.iter().sum::<f64>() / c.len() as f64)
        .collect();
    let n = blocks.len() as f64;
    let mean = blocks.iter().sum::<f64>() / n;
    let var = blocks.iter().map(|b| (b - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, var / n)
}

/// Calls `step` until the plan is fulfilled, a criterion is met, or someone says stop.
///
/// `state` is all that `step` changes besides the parameters: its random stream, averages. With it a
/// checkpoint of this stage goes on to the same bits.
///
/// # Errors
/// When steps stay non-finite in spite of smaller learning rates and restored states, and whatever
/// `step` fails with.
pub fn train<B: Backend, S: Serialize + DeserializeOwned>(
    plan: &Plan,
    parameters: &mut Parameters<B>,
    state: &mut S,
    monitor: &mut dyn Monitor,
    mut step: impl FnMut(&mut Parameters<B>, &mut S, Context) -> Result<Step, InferenceError>,
) -> Result<Training, InferenceError> {
    let mut log = Log::default();
    let mut recovery = Recovery::new(parameters);
    if plan.iterations > 0
        && let Some(saved) = checkpoint::load::<Saved<S>>(monitor, plan.stage)?
    {
        let fits =
            recovery.snapshot.restore(&saved.snapshot) && parameters.restore(&saved.parameters);
        if !fits {
            return Err(checkpoint::damaged(plan.stage, "it is of other parameters"));
        }
        recovery.counts = saved.counts;
        *state = saved.state;
        log = saved.log;
    }
    let save = |monitor: &mut dyn Monitor,
                last: bool,
                parameters: &Parameters<B>,
                recovery: &Recovery<B>,
                log: &Log,
                state: &S| {
        checkpoint::offer(monitor, plan.stage, last, || SavedRef {
            parameters,
            snapshot: &recovery.snapshot,
            counts: &recovery.counts,
            log,
            state,
        });
    };
    let mut stop = Stop::Iterations;
    let first = log.rates.len();
    // The least time of an iteration, by the deadline's clock.
    let mut quickest: Option<Duration> = None;
    for iteration in first..if log.converged { first } else { plan.iterations } {
        let began = Instant::now();
        if plan.deadline.passed() {
            stop = Stop::TimeLimit;
            break;
        }
        // Under a time limit that comes first the schedule follows the clock where that is ahead, so that a run
        // that is cut short has annealed its learning rate all the same.
        let left = plan.deadline.left();
        let needed = quickest.map(|q| q.as_secs_f64() * (plan.iterations - iteration) as f64);
        let late = needed.zip(left).is_some_and(|(needed, left)| needed > left.as_secs_f64());
        let time_used = if late { plan.deadline.used() } else { 0.0 };
        let done = plan.done(&mut log, iteration, time_used);
        let factor = plan.schedule.factor(iteration, done) * recovery.counts.shrink;
        let context = Context { iteration, rate: plan.learning_rate * factor, done };
        let outcome = step(parameters, state, context)?;
        if plan.deadline.has_cut() {
            stop = Stop::TimeLimit;
            break;
        }
        log.times_ms.add(began.elapsed().as_secs_f64() * 1e3);
        let took =
            left.zip(plan.deadline.left()).map(|(before, after)| before.saturating_sub(after));
        quickest = [quickest, took].into_iter().flatten().min();
        log.rates.add(context.rate);
        match outcome {
            Step::Done(value) | Step::Converged(value) if value.is_finite() => {
                log.converged = matches!(outcome, Step::Converged(_));
                log.objective.add(value);
                log.smoothed.add(value);
                recovery.good(parameters);
            }
            Step::Done(_) | Step::Converged(_) => recovery.bad(parameters, None)?,
            Step::NonFinite(place) => recovery.bad(parameters, place)?,
        }
        log.converged |= plan.stalled(&log.objective)
            || iteration + 1 < plan.iterations && log.annealed(iteration + 1);
        let progress = Progress {
            phase: plan.phase,
            done: iteration + 1,
            total: plan.iterations,
            objective: log.smoothed.value().map(|v| (plan.objective, v)),
            trend: log.smoothed.trend(),
        };
        if monitor.progress(progress).is_break() {
            stop = Stop::Interrupted;
            break;
        }
        if log.converged {
            break;
        }
        save(monitor, false, parameters, &recovery, &log, state);
    }
    // A stage that was over already has nothing new, and after a step that was cut short the state is not
    // one that leads to the same bits.
    if log.rates.len() > first && !plan.deadline.has_cut() {
        save(monitor, true, parameters, &recovery, &log, state);
    }
    if log.objective.is_empty() && plan.iterations > 0 && stop == Stop::Iterations {
        return Err(recovery.error());
    }
    if log.converged && stop == Stop::Iterations {
        stop = Stop::Converged;
    }
    let steady = log.annealing.as_ref().map_or(log.objective.len(), |a| a.steady);
    let traces = vec![log.objective.trace(plan.objective), log.rates.trace("learning_rate")];
    Ok(Training {
        stop,
        iterations: log.rates.len(),
        skipped: recovery.counts.skipped,
        restored: recovery.counts.restored,
        median_iteration_ms: median(log.times_ms.values()),
        objective: log.objective.values().to_vec(),
        steady: log.objective.values_of(steady),
        traces,
    })
}

/// A checkpoint of training, as it is read.
#[derive(Deserialize)]
struct Saved<S> {
    parameters: Vec<TensorState>,
    snapshot: Vec<TensorState>,
    counts: Counts,
    log: Log,
    state: S,
}

/// The same, as it is written.
#[derive(Serialize)]
#[serde(bound = "S: Serialize")]
struct SavedRef<'a, B: Backend, S> {
    parameters: &'a Parameters<B>,
    snapshot: &'a Parameters<B>,
    counts: &'a Counts,
    log: &'a Log,
    state: &'a S,
}

fn median(times: &[f64]) -> f64 {
    if times.is_empty() {
        return 0.0;
    }
    let (mut times, middle) = (times.to_vec(), times.len() / 2);
    *times.select_nth_unstable_by(middle, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::optimizer::Schedule;
    use crate::inference::{Deadline, Silent};

    const PLAN: Plan = Plan {
        stage: "test",
        phase: "training",
        objective: "loss",
        maximise: false,
        iterations: 1000,
        learning_rate: 0.1,
        schedule: Schedule::Constant,
        tolerance: None,
        window: 50,
        least_gain: None,
        deadline: Deadline::never(),
    };

    #[test]
    fn non_finite_steps_are_skipped_and_shrink_the_rate() {
        let mut p = Parameters::<f64>::default();
        let t = train(&PLAN, &mut p, &mut (), &mut Silent, |_, (), c| {
            Ok(if (100..105).contains(&c.iteration) {
                Step::NonFinite(None)
            } else {
                Step::Done(c.rate)
            })
        })
        .unwrap();
        assert_eq!((t.skipped, t.restored, t.objective.len()), (5, 0, 995));
        assert!((t.objective.last().unwrap() - 0.05).abs() < 1e-15);
    }

    #[test]
    fn the_rate_is_held_while_there_is_gain_and_annealed_afterwards() {
        let plan = Plan {
            iterations: 4000,
            schedule: Schedule::Cosine { warmup: 0.01, floor: 0.01 },
            least_gain: Some(0.01),
            ..PLAN
        };
        let run = |decay: f64| {
            let mut p = Parameters::<f64>::default();
            let mut rates = Vec::new();
            let t = train(&plan, &mut p, &mut (), &mut Silent, |_, (), c| {
                rates.push(c.rate);
                Ok(Step::Done((-decay * c.iteration as f64).exp()))
            })
            .unwrap();
            (t, rates)
        };
        let (t, rates) = run(0.01);
        assert!(t.stop == Stop::Converged && t.iterations < 1200, "{} {:?}", t.iterations, t.stop);
        assert!((300..800).contains(&t.steady), "{}", t.steady);
        assert!(rates[50..t.steady].iter().all(|r| (r - rates[50]).abs() < 1e-15));
        assert!(*rates.last().unwrap() < 0.05 * rates[50]);
        // Gains to the end: two thirds at the full rate, one third annealed.
        let (t, rates) = run(1e-3);
        assert_eq!((t.iterations, rates.len()), (4000, 4000));
        assert!((2600..2700).contains(&t.steady), "{}", t.steady);
        assert!(*rates.last().unwrap() < 0.05 * rates[50]);
    }

    #[test]
    fn hopeless_runs_end_with_the_place() {
        let mut p = Parameters::<f64>::default();
        let e = train(&PLAN, &mut p, &mut (), &mut Silent, |_, (), _| {
            Ok(Step::NonFinite(Some("line 3".into())))
        });
        assert!(e.unwrap_err().to_string().contains("line 3"));
    }

    #[test]
    fn good_state_is_restored() {
        let mut p = Parameters::<f64>::default();
        let h = p.add("x", 0, vec![0.0]);
        let mut broken = true;
        train(&PLAN, &mut p, &mut (), &mut Silent, |p, (), c| {
            if c.iteration == 450 && broken {
                p.set(h, &[f64::NAN]);
                broken = false;
            }
            let x = p.value(h);
            Ok(if x.is_nan() {
                Step::NonFinite(None)
            } else {
                p.set(h, &[x + 1.0]);
                Step::Done(x)
            })
        })
        .unwrap();
        // Ten steps lost to NaN, then on from the snapshot after 400 good steps.
        assert_eq!(p.value(h), 400.0 + 540.0);
    }

    #[test]
    fn tolerance_stops_and_trend_sees() {
        let mut p = Parameters::<f64>::default();
        let plan = Plan { tolerance: Some(1e-3), ..PLAN };
        let t = train(&plan, &mut p, &mut (), &mut Silent, |_, (), c| {
            Ok(Step::Done(1.0 + (-0.02 * c.iteration as f64).exp()))
        })
        .unwrap();
        assert_eq!(t.stop, Stop::Converged);
        assert!((300..700).contains(&t.iterations), "{}", t.iterations);
        let (gain, se) = t.trend(0.2).unwrap();
        assert!(gain < 0.0 && se < 0.01);
    }
}
