//! What is kept of a run of chains, and the draws and the verdict that it becomes.

use super::chains::Transition;
use super::{NUTS, Plan};
use crate::density::LogDensity;
use crate::inference::assess::{self, ChainHealth, Checks};
use crate::inference::examine::examine;
use crate::inference::train::Stop;
use crate::inference::{Deadline, Fit, InferenceError, Settings, Trace, VerdictLevel};

/// Share of the time after sampling, where it is limited, for the comparison of the chains.
const COMPARING: f64 = 0.5;

/// Transitions of one kind, by chain.
#[derive(Default, Clone)]
struct Chain {
    positions: Vec<Box<[f64]>>,
    log_p: Vec<f64>,
    energy: Vec<f64>,
    diverging: Vec<bool>,
}

/// Everything that is kept of a run, by chain.
pub(super) struct Record {
    warmup: Vec<Chain>,
    draws: Vec<Chain>,
    step_size: Vec<f64>,
    at_max_depth: usize,
    elapsed_ms: Vec<f64>,
}

impl Record {
    pub(super) fn new(chains: usize) -> Record {
        Record {
            warmup: vec![Chain::default(); chains],
            draws: vec![Chain::default(); chains],
            step_size: vec![f64::NAN; chains],
            at_max_depth: 0,
            elapsed_ms: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, t: Transition) {
        self.elapsed_ms.push(t.elapsed_ms);
        if !t.tuning {
            self.step_size[t.chain] = t.step_size;
            self.at_max_depth += usize::from(t.at_max_depth);
        }
        let kind = if t.tuning { &mut self.warmup } else { &mut self.draws };
        let chain = &mut kind[t.chain];
        chain.positions.push(t.position);
        chain.log_p.push(t.log_p);
        chain.energy.push(t.energy);
        chain.diverging.push(t.diverging);
    }

    /// The draws, as many of each chain, and the verdict.
    ///
    /// # Errors
    /// Where there is not one draw of each chain.
    pub(super) fn fit(
        mut self,
        density: &dyn LogDensity<f64>,
        plan: &Plan,
        settings: &Settings,
        ended: Stop,
    ) -> Result<Fit, InferenceError> {
        let chains = plan.chains;
        let shortest = |x: &[Chain]| x.iter().map(|c| c.positions.len()).min().unwrap_or(0);
        let mut length = shortest(&self.draws);
        let only_warmup = length == 0;
        if only_warmup {
            // Something to look at, and marked as failed below.
            length = shortest(&self.warmup).div_ceil(2);
            for (draws, warmup) in self.draws.iter_mut().zip(&mut self.warmup) {
                let from = warmup.positions.len() - length;
                draws.positions = warmup.positions.split_off(from);
                draws.log_p = warmup.log_p.split_off(from);
            }
        }
        if length == 0 {
            return Err(match ended {
                Stop::TimeLimit => InferenceError::NoTime,
                _ => InferenceError::Breakdown("interrupted before the first draw".into()),
            });
        }
        let drawn = &self.draws;
        let draws: Vec<f64> =
            drawn.iter().flat_map(|c| c.positions[..length].iter().flatten().copied()).collect();
        let log_p = drawn.iter().flat_map(|c| &c.log_p[..length]).copied().collect();
        // The warm-up has neither.
        let of_draws = |c: &Chain| if only_warmup { 0 } else { length.min(c.energy.len()) };
        let diverging: Vec<bool> =
            drawn.iter().flat_map(|c| &c.diverging[..of_draws(c)]).copied().collect();
        let energy: Vec<f64> =
            drawn.iter().flat_map(|c| &c.energy[..of_draws(c)]).copied().collect();
        let divergences = diverging.iter().filter(|d| **d).count();

        let mut checks = Checks::new();
        if only_warmup {
            let why = match ended {
                Stop::TimeLimit => "The time limit was reached",
                _ => "The run was interrupted",
            };
            checks.add(
                VerdictLevel::Failed,
                format!("{why} during warm-up: these are not draws from the posterior."),
            );
        } else {
            checks.warmed_up(plan.warmup);
            let comparing = settings.deadline.share(COMPARING);
            let (rhat, ess) = agreement(&draws, density.dim(), chains, &comparing, &mut checks);
            checks.chains(&ChainHealth {
                chains,
                draws: chains * length,
                rhat,
                ess,
                divergences,
                at_max_depth: self.at_max_depth,
                e_bfmi: drawn
                    .iter()
                    .map(|c| assess::e_bfmi(&c.energy))
                    .fold(f64::INFINITY, |a, b| if b < a || b.is_nan() { b } else { a }),
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
        let trace =
            |name, value: Vec<f64>| Trace { name, iteration: (0..value.len()).collect(), value };
        self.elapsed_ms.sort_by(f64::total_cmp);
        Ok(Fit {
            method: NUTS.name,
            dim: density.dim(),
            chains,
            log_p,
            log_q: None,
            elbo: None,
            log_z: None,
            khat: None,
            fisher_divergence: None,
            traces: vec![
                trace("diverging", diverging.iter().map(|d| f64::from(u8::from(*d))).collect()),
                trace("energy", energy),
                trace("step_size", self.step_size),
            ],
            iterations: self.elapsed_ms.len(),
            median_iteration_ms: self.elapsed_ms[self.elapsed_ms.len() / 2],
            draws,
            interrupted: ended != Stop::Iterations,
            verdict: checks.verdict(Some(next)),
        })
    }
}

/// The largest R-hat and the smallest effective sample size of the coordinates of `draws: [S, D]`; `checks`
/// say so where there was not time for all.
fn agreement(
    draws: &[f64],
    dim: usize,
    chains: usize,
    deadline: &Deadline,
    checks: &mut Checks,
) -> (f64, f64) {
    let (mut rhat, mut ess) = (0.0_f64, f64::INFINITY);
    for j in 0..dim {
        if j > 0 && deadline.passed() {
            checks.add(
                VerdictLevel::Doubtful,
                format!("There was time to compare the chains in {j} of {dim} coordinates only."),
            );
            break;
        }
        let scalar: Vec<f64> = draws.iter().skip(j).step_by(dim).copied().collect();
        // A comparison with NaN must not hide it: both lines keep it.
        let (r, e) = (
            assess::rhat(&scalar, chains),
            assess::ess_bulk(&scalar, chains).min(assess::ess_tail(&scalar, chains)),
        );
        rhat = if r > rhat || r.is_nan() { r } else { rhat };
        ess = if e < ess || e.is_nan() { e } else { ess };
    }
    (rhat, ess)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::inference::Clock;

    #[test]
    fn what_there_was_no_time_to_compare_is_said() {
        // Two coordinates, in the second of which two chains disagree.
        let draws: Vec<f64> = (0..2000_u32)
            .flat_map(|i| {
                let noise = f64::from(i * 7919 % 101) / 101.0;
                [noise, noise + if i < 1000 { 0.0 } else { 10.0 }]
            })
            .collect();
        let now = Arc::new(AtomicU64::new(0));
        let deadline = Deadline::by(Clock::Manual(Arc::clone(&now)), Duration::from_secs(1));
        let compare = || {
            let mut checks = Checks::new();
            let (rhat, _) = agreement(&draws, 2, 2, &deadline, &mut checks);
            (rhat, checks.verdict(None).reasons)
        };
        let (rhat, reasons) = compare();
        assert!(rhat > 1.5 && reasons == ["No check could be made."], "{rhat} {reasons:?}");
        now.store(2_000_000_000, Ordering::Relaxed);
        let (rhat, reasons) = compare();
        assert!(rhat < 1.1 && reasons[0].contains("in 1 of 2 coordinates"), "{rhat} {reasons:?}");
    }
}
