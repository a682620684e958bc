//! The progress bar and Ctrl-C.
//!
//! States of the run that methods offer are written to its checkpoint every so often, and at once when
//! the user stops it. A checkpoint that cannot be written is said once and does not end the run.
//!
//! The bar shows on a terminal only, with the objective, how it moves, what the verdict would say of it so
//! far, and the time left. The first Ctrl-C asks the method to stop and keep what it has;
//! the second ends the program at once.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::inference::assess::Trend;
use crate::inference::{Monitor, Progress};
use crate::results::{Checkpoint, format_number};

use super::console::Console;
use super::failure::{Exit, Failure};

/// A change of the objective over the last quarter, in nats, that counts as none; as for the verdict.
const SETTLED: f64 = 0.1;

/// Redraws are at least this far apart.
const REDRAW: Duration = Duration::from_millis(100);

/// Watches over a run for the user.
#[derive(Debug)]
pub(super) struct Watcher {
    interrupted: Arc<AtomicBool>,
    bar: Option<ProgressBar>,
    phase: String,
    /// The objective in this phase so far, for the running verdict.
    history: History,
    drawn: Instant,
    console: Console,
    checkpoint: Checkpoint,
    /// The run directory.
    directory: PathBuf,
    /// Between two checkpoints.
    interval: Duration,
    saved: Instant,
    /// States of an earlier run that no stage has asked for yet.
    resumable: BTreeSet<String>,
    has_complained: bool,
}

impl Watcher {
    /// Installs the handler for Ctrl-C (and SIGTERM) and makes the bar.
    ///
    /// Checkpoints go to the run directory `directory`, `interval` apart; the states that `checkpoint`
    /// has already are those to go on from.
    pub(super) fn new(
        console: Console,
        checkpoint: Checkpoint,
        directory: &Path,
        interval: Duration,
    ) -> Result<Self, Failure> {
        let interrupted = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&interrupted);
        ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(Exit::Interrupted as i32);
            }
        })
        .map_err(|e| Failure::inference(format!("cannot handle Ctrl-C: {e}")))?;
        let shown = std::io::stderr().is_terminal() && !console.quiet;
        let bar = shown.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(style(console.color_messages));
            bar
        });
        Ok(Watcher {
            interrupted,
            bar,
            phase: String::new(),
            history: History::default(),
            drawn: Instant::now(),
            console,
            resumable: checkpoint.stages().map(str::to_owned).collect(),
            checkpoint,
            directory: directory.to_owned(),
            interval,
            saved: Instant::now(),
            has_complained: false,
        })
    }

    /// Whether the user asked the run to stop.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// The states of the stages.
    pub(super) fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    fn save(&mut self) {
        if let Err(error) = self.checkpoint.save(&self.directory)
            && !self.has_complained
        {
            self.has_complained = true;
            self.console.message(&format!("no checkpoint: {error}; the run goes on"));
        }
        self.saved = Instant::now();
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn draw(&mut self, bar: &ProgressBar, progress: Progress<'_>) {
        // The length comes first: whatever follows may draw.
        bar.set_length(progress.total as u64);
        if self.phase != progress.phase {
            self.phase = progress.phase.to_owned();
            bar.set_prefix(self.phase.clone());
            bar.reset();
            self.history = History::default();
        }
        bar.set_position(progress.done as u64);
        // A sampler has no objective that settles, but transitions that diverge or do not.
        let (word, color) = match progress.objective {
            Some(("divergences", 0.0)) => ("ok so far", Some("32")),
            Some(("divergences", _)) => ("doubtful so far", Some("33")),
            _ => self.history.verdict(),
        };
        let word = match color {
            Some(color) if self.console.color_messages => format!("\u{1b}[{color}m{word}\u{1b}[0m"),
            _ => word.to_owned(),
        };
        let all = [message(&progress), word];
        bar.set_message(all.into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(", "));
    }
}

fn style(color: bool) -> ProgressStyle {
    let bar = if color { "{bar:20.cyan}" } else { "{bar:20}" };
    let template = format!("{{prefix}} {bar} {{pos}}/{{len}} {{msg}} {{eta}} left");
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// `elbo -32.14 (+0.02 per 100)`.
fn message(progress: &Progress<'_>) -> String {
    let Some((name, value)) = progress.objective else { return String::new() };
    let value = format_number(value);
    match progress.trend {
        Some(trend) => format!("{name} {value} ({trend:+.2} per 100)"),
        None => format!("{name} {value}"),
    }
}

/// Values of the objective, thinned as they become many.
#[derive(Debug, Default)]
struct History {
    values: Vec<f64>,
    /// Each kept value is the mean of so many.
    block: usize,
    pending: (f64, usize),
}

impl History {
    const MOST: usize = 2000;

    fn add(&mut self, value: f64) {
        self.pending.0 += value;
        self.pending.1 += 1;
        if self.pending.1 < self.block.max(1) {
            return;
        }
        let (sum, count) = std::mem::take(&mut self.pending);
        self.values.push(sum / count as f64);
        if self.values.len() == Self::MOST {
            self.values =
                self.values.chunks(2).map(|c| c.iter().sum::<f64>() / c.len() as f64).collect();
            self.block = 2 * self.block.max(1);
        }
    }

    /// What the verdict would say of the objective if the run ended now, and its colour.
    fn verdict(&self) -> (&'static str, Option<&'static str>) {
        let Some(trend) = Trend::of(&self.values) else { return ("", None) };
        let change = trend.change.abs();
        // Objectives that are no log densities live on scales of their own.
        let tolerance = SETTLED.min(0.02 * self.values.last().map_or(0.0, |x| x.abs()));
        if change.is_nan() {
            ("not a number at times", Some("31"))
        } else if change <= tolerance.max(2.0 * trend.se) {
            ("settled so far", Some("32"))
        } else {
            ("still moving", Some("33"))
        }
    }
}

impl Monitor for Watcher {
    fn progress(&mut self, progress: Progress<'_>) -> ControlFlow<()> {
        if let Some(bar) = self.bar.clone() {
            if let Some((_, value)) = progress.objective {
                self.history.add(value);
            }
            let last = progress.done >= progress.total;
            if last || progress.phase != self.phase || self.drawn.elapsed() >= REDRAW {
                self.drawn = Instant::now();
                self.draw(&bar, progress);
            }
        }
        if self.is_interrupted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn resume(&mut self, stage: &str) -> Option<String> {
        self.resumable.remove(stage);
        self.checkpoint.state(stage).map(str::to_owned)
    }

    fn keep(&mut self, stage: &'static str, last: bool, state: &mut dyn FnMut() -> String) {
        let due = self.saved.elapsed() >= self.interval || self.is_interrupted();
        if !due && !last {
            return;
        }
        self.checkpoint.set(stage, state());
        // A stage that goes on makes what came after it stale.
        for stale in std::mem::take(&mut self.resumable) {
            self.checkpoint.remove(&stale);
        }
        if due {
            self.save();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_verdict_is_that_of_the_objective_so_far() {
        let mut history = History::default();
        assert_eq!(history.verdict().0, "");
        for i in 0..5000 {
            history.add(-f64::from(i));
        }
        assert!(history.values.len() < History::MOST);
        assert_eq!(history.verdict().0, "still moving");
        for i in 0..50_000 {
            history.add(f64::from(i % 7) - 5000.0);
        }
        assert_eq!(history.verdict().0, "settled so far");
    }

    #[test]
    fn the_message_shows_objective_and_trend() {
        let mut progress = Progress {
            phase: "training",
            done: 1,
            total: 2,
            objective: Some(("elbo", -32.142)),
            trend: Some(0.017),
        };
        assert_eq!(message(&progress), "elbo -32.14 (+0.02 per 100)");
        progress.trend = None;
        assert_eq!(message(&progress), "elbo -32.14");
        progress.objective = None;
        assert_eq!(message(&progress), "");
    }
}
