//! Laplace's approximation: the Gaussian with the mode and the curvature of the log density.
//!
//! The climb starts from the warm start of `mean-field`, whose standard deviations give the steps
//! their scale. Of several climbs the mode with the most mass is taken. A density without a mode, that of
//! a funnel say, leaves the warm start for draws, and a verdict that says so.

use std::fmt;

use super::conclude::Fitted;
use super::warm_start::{WarmStart, warm_start};
use crate::density::LogDensity;
use crate::inference::assess::Checks;
use crate::inference::deadline::timed;
use crate::inference::lbfgs::Point;
use crate::inference::method::{RESAMPLE, option};
use crate::inference::modes::Mode;
use crate::inference::start::Gaussian;
use crate::inference::train::{Stop, Training};
use crate::inference::weights::Resample;
use crate::inference::{
    Fit, InferenceError, Method, Monitor, Progress, Settings, Target, VerdictLevel,
};
use crate::random::{fill_std_normal, stream};

/// The row of the method table.
pub const LAPLACE: Method = Method {
    name: "laplace",
    group: "Gaussian",
    summary: "The Gaussian at the posterior mode with the curvature there: exact for Gaussians.",
    paper: "Tierney & Kadane, JASA 1986",
    options: &[
        option("iterations", "2000", "evaluations that a climb to a mode may take", ""),
        option(
            "starts",
            "4",
            "climbs from different places; the mode with the most mass is taken",
            "",
        ),
        RESAMPLE,
    ],
    run,
};

fn run(
    target: Target<'_>,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<Fit, InferenceError> {
    let budget: usize = settings.option("iterations", settings.iterations.unwrap_or(2000))?;
    let starts: usize = settings.option("starts", 4)?;
    let resample = settings.option("resample", Resample::Auto)?;
    if budget == 0 || starts == 0 {
        return Err(InferenceError::Setting("`iterations` and `starts` must be at least 1".into()));
    }
    let climbing = settings.deadline.share(0.6);
    let density = &*timed(target.f64, &climbing);
    let d = density.dim();
    let (mut best, mut done, mut stop): (Option<Mode>, usize, Stop) = (None, 0, Stop::Converged);
    let (mut wide, mut lost): (Option<Gaussian>, Option<Lost>) = (None, None);
    while done < starts {
        let mut rng = stream(settings.seed, &format!("laplace start {done}"));
        let warm = warm_start(density, None, budget.min(200), &mut rng, |_, _| !climbing.passed())?;
        let WarmStart { mean, log_sd, .. } = warm;
        let scale: Vec<f64> = log_sd.iter().map(|l| l.exp()).collect();
        // Later climbs start away from the first.
        let start = if done == 0 {
            mean.clone()
        } else {
            let mut xi = vec![0.0; d];
            fill_std_normal(&mut rng, &mut xi);
            (0..d).map(|j| mean[j] + 3.0 * scale[j] * xi[j]).collect()
        };
        match Mode::climb(density, start.clone(), &scale, budget) {
            Ok(mode) if best.as_ref().is_none_or(|b| mode.log_mass > b.log_mass) => {
                best = Some(mode);
            }
            Ok(_) => {}
            Err(top) if lost.as_ref().is_none_or(|l| top.value > l.value) => {
                lost = Some(Lost::new(density, &start, &scale, &top));
            }
            Err(_) => {}
        }
        wide.get_or_insert(Gaussian { mean, sd: scale, factor: None });
        done += 1;
        let progress = Progress {
            phase: "climbing",
            done,
            total: starts,
            objective: best.as_ref().map(|m| ("log_evidence", m.log_mass)),
            trend: None,
        };
        let interrupted = monitor.progress(progress).is_break();
        if interrupted || climbing.passed() && done < starts {
            stop = if interrupted { Stop::Interrupted } else { Stop::TimeLimit };
            break;
        }
    }
    let mut checks = Checks::new();
    checks.stopped(stop);
    let at_mode = best.and_then(|mode| Gaussian::of_map(mode.at.clone(), &mode.map()));
    let gaussian = match (at_mode, wide) {
        (Some(gaussian), _) => {
            checks.add(VerdictLevel::Ok, format!("A mode was reached ({done} climbs)."));
            gaussian
        }
        (None, Some(wide)) if !climbing.passed() => {
            let lost = lost.map(|l| l.to_string()).unwrap_or_default();
            checks.add(
                VerdictLevel::Doubtful,
                format!(
                    "No mode was reached in {done} climbs{lost}: a density that rises without bound, or is \
                     flat in some direction, has none. The Gaussian is that of a coarse mean-field fit."
                ),
            );
            wide
        }
        _ => return Err(InferenceError::NoTime),
    };
    let fitted = Fitted {
        method: LAPLACE.name,
        proposal: &gaussian,
        checks,
        resample,
        training: Training::none(stop),
        iterations: done,
        next: "--infer ldvi".to_owned(),
    };
    fitted.conclude(target, settings, monitor)
}

/// Where a climb ended that reached no mode.
struct Lost {
    /// The log density there.
    value: f64,
    /// The coordinate that went furthest, and from where to where.
    name: String,
    from: f64,
    to: f64,
}

impl Lost {
    fn new(density: &dyn LogDensity<f64>, start: &[f64], scale: &[f64], top: &Point) -> Self {
        let way = |j: &usize| ((top.at[*j] - start[*j]) / scale[*j]).abs();
        let furthest = (0..start.len()).max_by(|a, b| way(a).total_cmp(&way(b))).unwrap_or(0);
        Lost {
            value: top.value,
            name: density.coordinate_name(furthest),
            from: start[furthest],
            to: top.at[furthest],
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lost { value, name, from, to } = self;
        write!(
            f,
            " (the highest went from {from:.4} to {to:.4} in `{name}`, to a log density of {value:.4})"
        )
    }
}
