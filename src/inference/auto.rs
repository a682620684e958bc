//! `--infer auto`: the cheapest method first, and a dearer one while the verdict is not ok and time is
//! left; each starts from what the one before has found.
//!
//! Every rung is a method of its own with the settings of a user who named it, so it is checkpointed and
//! judged like one, and its draws are handed on as they are, with its verdict. A run that is resumed
//! climbs the same rungs: what they compute is in the checkpoint, or is computed again to the same bits.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::method::option;
use super::start::{self, Gaussian};
use super::{Fit, InferenceError, Method, Monitor, Progress, Settings, Target, VerdictLevel, find};

/// The row of the method table.
pub(super) const AUTO: Method = Method {
    name: "auto",
    group: "choice",
    summary: "The cheapest method first, then dearer ones from its result while the verdict is not ok.",
    paper: "the methods' own",
    options: &[option(
        "methods",
        "auto",
        "what to climb, separated by commas; auto is pathfinder,full-rank,ldvi,nuts, with low-rank for full-rank above D = 200",
        "",
    )],
    run,
};

/// Dimension up to which a full covariance is trained.
const FULL: usize = 200;

fn run(
    target: Target<'_>,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<Fit, InferenceError> {
    let rungs = rungs(settings, target.f64.dim())?;
    let mut start = start::of_settings(AUTO.name, target, settings, monitor)?;
    let mut climb = Climb { best: None, error: None, story: Vec::new(), iterations: 0 };
    for (i, method) in rungs.iter().enumerate() {
        if settings.deadline.passed() {
            climb.story.push(format!("auto: no time was left for {}.", method.name));
            break;
        }
        let rung = Settings {
            iterations: None,
            deadline: settings.deadline.share(share(rungs.len() - i)),
            init: None,
            start: if looks_for_itself(method) { None } else { start.clone() },
            options: BTreeMap::new(),
            ..settings.clone()
        };
        let mut watch = Watch { monitor, method: method.name, stopped: false };
        let outcome = method.fit(target, &rung, &mut watch);
        let stopped = watch.stopped;
        match outcome {
            Err(error @ InferenceError::Setting(_)) => return Err(error),
            Err(error) => {
                climb.story.push(format!("auto: {} could not go on: {error}.", method.name));
                climb.error = Some(error);
            }
            Ok(fit) => {
                if fit.verdict.level != VerdictLevel::Failed {
                    start = Gaussian::of_draws(&fit.draws, fit.dim).or(start);
                }
                climb.add(fit);
            }
        }
        if stopped || climb.is_ok() {
            break;
        }
    }
    climb.end()
}

/// The methods to climb.
fn rungs(settings: &Settings, d: usize) -> Result<Vec<&'static Method>, InferenceError> {
    let named: String = settings.option("methods", "auto".to_owned())?;
    let covariance = if d <= FULL { "full-rank" } else { "low-rank" };
    let named = match named.as_str() {
        "auto" => format!("pathfinder,{covariance},ldvi,nuts"),
        _ => named,
    };
    let one = |name: &str| {
        find(name.trim()).filter(|m| m.name != AUTO.name).ok_or_else(|| {
            InferenceError::Setting(format!(
                "`methods`: there is no method `{}` to climb",
                name.trim()
            ))
        })
    };
    named.split(',').map(one).collect()
}

/// Whether a method takes no start.
fn looks_for_itself(method: &Method) -> bool {
    matches!(method.name, "laplace" | "pathfinder")
}

/// Of the time left, with so many rungs to go: the last may take all of it.
fn share(rungs: usize) -> f64 {
    if rungs == 1 { 1.0 } else { 1.0 / (rungs + 1) as f64 }
}

/// What has been found so far.
struct Climb {
    best: Option<Fit>,
    error: Option<InferenceError>,
    /// A sentence for each rung.
    story: Vec<String>,
    iterations: usize,
}

impl Climb {
    fn add(&mut self, fit: Fit) {
        let level = match fit.verdict.level {
            VerdictLevel::Ok => "ok",
            VerdictLevel::Doubtful => "doubtful",
            VerdictLevel::Failed => "failed",
        };
        self.iterations += fit.iterations;
        let why = match (fit.verdict.level, fit.verdict.reasons.first()) {
            (VerdictLevel::Ok, _) | (_, None) => String::new(),
            (_, Some(reason)) => format!(" {reason}"),
        };
        self.story.push(format!("auto: {} was {level}.{why}", fit.method));
        // Of two that are equally good the later one has had more to start from.
        let rank = |f: &Fit| (f.verdict.level, f.interrupted);
        if self.best.as_ref().is_none_or(|best| rank(&fit) <= rank(best)) {
            self.best = Some(fit);
        }
    }

    fn is_ok(&self) -> bool {
        self.best.as_ref().is_some_and(|fit| fit.verdict.level == VerdictLevel::Ok)
    }

    fn end(self) -> Result<Fit, InferenceError> {
        let Climb { best, error, mut story, iterations } = self;
        let Some(mut fit) = best else {
            return Err(error.unwrap_or(InferenceError::NoTime));
        };
        if story.len() > 1 || fit.verdict.level != VerdictLevel::Ok {
            story.push(format!("auto: the draws are those of {}.", fit.method));
        }
        story.append(&mut fit.verdict.reasons);
        fit.verdict.reasons = story;
        fit.method = AUTO.name;
        fit.iterations = iterations;
        Ok(fit)
    }
}

/// Shows which rung is at work, and remembers whether the user stopped it.
struct Watch<'a> {
    monitor: &'a mut dyn Monitor,
    method: &'static str,
    stopped: bool,
}

impl Monitor for Watch<'_> {
    fn progress(&mut self, progress: Progress<'_>) -> ControlFlow<()> {
        let phase = format!("{}: {}", self.method, progress.phase);
        let flow = self.monitor.progress(Progress { phase: &phase, ..progress });
        self.stopped |= flow.is_break();
        flow
    }

    fn resume(&mut self, stage: &str) -> Option<String> {
        self.monitor.resume(stage)
    }

    fn keep(&mut self, stage: &'static str, last: bool, state: &mut dyn FnMut() -> String) {
        self.monitor.keep(stage, last, state);
    }
}
