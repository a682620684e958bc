//! From a fit with a known density to draws and a verdict.

use super::importance::{Adapted, Pool, adapt, is_good};
use super::proposal::Proposal;
use crate::density::LogDensity;
use crate::inference::assess::{Checks, khat_threshold, psis};
use crate::inference::deadline::timed;
use crate::inference::examine::examine;
use crate::inference::start::Gaussian;
use crate::inference::train::{Stop, Training};
use crate::inference::vector::all_finite;
use crate::inference::weights::{self, POOLED_NUMBERS, Resample};
use crate::inference::{
    Deadline, Fit, InferenceError, KhatKind, Monitor, Progress, Settings, Target, VerdictLevel,
};
use crate::random::{Stream, stream};

/// Share of the time after training that weighing may take, where time is limited.
const WEIGHING: f64 = 0.6;
/// Draws that are weighed at least.
const FEWEST: usize = 1000;
/// Effective number of draws that the pool is to have, whatever is asked for.
const EFFECTIVE: usize = 2000;
/// Times the number of draws asked for that are weighed at most.
const MOST_WEIGHED: usize = 10;

/// A fit that draws can be taken from and weighed.
pub(super) struct Fitted<'a> {
    pub(super) method: &'static str,
    pub(super) proposal: &'a dyn Proposal,
    /// What is known about the training.
    pub(super) checks: Checks,
    pub(super) resample: Resample,
    pub(super) training: Training,
    /// All iterations, also those before the training.
    pub(super) iterations: usize,
    /// Flags to try when not all is well.
    pub(super) next: String,
}

impl Fitted<'_> {
    /// Draws, their weights and the verdict.
    ///
    /// # Errors
    /// [`InferenceError::NoTime`].
    pub(super) fn conclude(
        mut self,
        target: Target<'_>,
        settings: &Settings,
        monitor: &mut dyn Monitor,
    ) -> Result<Fit, InferenceError> {
        let density = target.f64.as_ref();
        let weighing = settings.deadline.share(WEIGHING);
        let weighed = &*timed(target.f64, &weighing);
        let d = density.dim();
        let random = |what: &str| stream(settings.seed, &format!("{} {what}", self.method));
        let mut rng = random("draws");
        let mut pool = Pool::default();
        pool.grow(weighed, self.proposal, settings.draws.max(FEWEST), &weighing, &mut rng);
        if pool.log_p.len() < 2 {
            return Err(InferenceError::NoTime);
        }
        let elbo = Some(weights::lower_bound(&pool.log_weights())).filter(|(e, _)| e.is_finite());
        let fisher = fisher_divergence(weighed, self.proposal, &pool);
        let (own, drawn) = (pool.quality(), pool.log_p.len());
        let mut stopped = false;
        let mut adapted = None;
        if self.resample == Resample::Auto
            && self.training.stop != Stop::Interrupted
            && density.estimate().is_none()
        {
            adapted = improve(
                &mut pool,
                self.proposal,
                weighed,
                settings.draws,
                &weighing,
                &mut random("adaptation"),
                |done, total| {
                    let progress =
                        Progress { phase: "weighing", done, total, objective: None, trend: None };
                    stopped |= monitor.progress(progress).is_break();
                    !stopped && !weighing.passed()
                },
            );
        }
        let log_weights = pool.log_weights();
        let judged = weights::judge(
            &mut self.checks,
            &log_weights,
            &density.parameters(&pool.draws),
            KhatKind::Exact,
            self.resample,
            settings.draws,
            &mut random("resampling"),
        );
        if let Some(Adapted { rounds, .. }) = adapted {
            self.checks.add(
                VerdictLevel::Ok,
                format!(
                    "The fit's own weights have a k-hat of {:.2} and leave {:.0} % of its draws in \
                     effect; {rounds} rounds of adaptive importance sampling moved the proposal.",
                    own.0,
                    100.0 * own.1 / drawn as f64
                ),
            );
        }
        self.checks.estimated(density.estimate());
        let (draws, log_p) = judged.select(&pool.draws, &pool.log_p);
        self.checks.drawn(log_p.len(), settings.draws);
        let interrupted = self.training.interrupted() || stopped;
        if stopped && !self.training.interrupted() {
            self.checks.stopped(Stop::Interrupted);
        }
        if !interrupted {
            examine(&mut self.checks, density, &draws, settings);
        }
        let log_z = weights::evidence(&log_weights);
        // Resampled draws follow the posterior, not the proposal: they have no weights left.
        let log_q = match &log_z {
            Some(evidence) if judged.resampled => {
                log_p.iter().map(|log_p| log_p - evidence.value).collect()
            }
            _ => self.proposal.log_density(&draws).0,
        };
        Ok(Fit {
            method: self.method,
            dim: d,
            chains: 1,
            draws,
            log_p,
            log_q: Some(log_q),
            elbo,
            log_z,
            khat: Some(judged.khat),
            fisher_divergence: fisher,
            traces: self.training.traces,
            iterations: self.iterations,
            median_iteration_ms: self.training.median_iteration_ms,
            interrupted,
            verdict: self.checks.verdict(Some(&self.next)),
        })
    }
}

/// Makes the pool large enough, or one of a better proposal where the fit's own draws are no good.
fn improve(
    pool: &mut Pool,
    proposal: &dyn Proposal,
    density: &dyn LogDensity<f64>,
    wanted: usize,
    deadline: &Deadline,
    rng: &mut Stream,
    mut go_on: impl FnMut(usize, usize) -> bool,
) -> Option<Adapted> {
    let adapted = if is_good(pool.quality(), pool.log_p.len()) {
        None
    } else {
        adapt(density, pool, deadline, rng, &mut go_on)
    };
    let own = adapted.is_none();
    let mut better = if own { std::mem::take(pool) } else { Pool::default() };
    let proposal = adapted.as_ref().map_or(proposal, |a| &a.proposal);
    let block = wanted.max(FEWEST);
    let most = (MOST_WEIGHED * block).min(POOLED_NUMBERS / density.dim().max(1)).max(block);
    loop {
        if !better.log_p.is_empty() {
            let smoothed = psis(&better.log_weights());
            let hopeless = smoothed.khat > khat_threshold(better.log_p.len());
            let effective = wanted.max(EFFECTIVE) as f64;
            if hopeless
                || better.log_p.len() + block > most
                || weights::suffice(
                    &density.parameters(&better.draws),
                    &smoothed.log_weights,
                    effective,
                )
            {
                break;
            }
        }
        if !go_on(better.log_p.len(), most) {
            break;
        }
        better.grow(density, proposal, block, deadline, rng);
    }
    let trusted = |p: &Pool| !p.log_p.is_empty() && p.quality().0 <= khat_threshold(p.log_p.len());
    if own || trusted(&better) {
        *pool = better;
        adapted
    } else {
        None
    }
}

/// `E_q |Lᵀ (∇ log p − ∇ log q)|²` with `L Lᵀ` the covariance of the draws: the Fisher divergence in
/// coordinates in which they have unit covariance; none where a score is infinite or comes too late.
fn fisher_divergence(
    density: &dyn LogDensity<f64>,
    proposal: &dyn Proposal,
    pool: &Pool,
) -> Option<f64> {
    let d = density.dim();
    let n = pool.log_p.len().min(FEWEST);
    let draws = &pool.draws[..n * d];
    let (mut log_p, mut score) = (vec![0.0; n], vec![0.0; n * d]);
    density.score(draws, &mut log_p, &mut score);
    if !all_finite(&score) {
        return None;
    }
    let scale = Gaussian::of_draws(&pool.draws, d)?;
    let (_, own) = proposal.log_density(draws);
    let gaps = score.chunks_exact(d).zip(own.chunks_exact(d));
    let total: f64 = gaps
        .map(|(p, q)| {
            let gap: Vec<f64> = p.iter().zip(q).map(|(p, q)| p - q).collect();
            scale.pull_back(&gap).iter().map(|g| g * g).sum::<f64>()
        })
        .sum();
    Some(total / n as f64).filter(|f| f.is_finite())
}
