//! `--infer nuts`: the No-U-Turn sampler of the nuts-rs crate, the reference that the variational
//! methods are held against.
//!
//! Chains run in parallel where there are threads; each has its own random stream, so the draws do
//! not depend on how many. A worker advances its chains in turn, one draw each, so that an
//! interrupted run leaves chains of nearly one length.
//!
//! Reference: [hoffman2014]; diagonal mass matrix from draws and gradients as in nuts-rs.

mod chains;
mod record;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use rand::RngCore;

use self::chains::{Answers, STAGE, advance, answers, locked};
use self::record::Record;
use super::checkpoint;
use super::deadline::timed;
use super::method::option;
use super::start;
use super::train::Stop;
use super::{Fit, InferenceError, Method, Monitor, Progress, Settings, Target};
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
