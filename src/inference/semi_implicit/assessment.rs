//! What can be said about a semi-implicit fit whose density is intractable.
//!
//! Four independent looks: the critic's Fisher divergence on fresh draws (a lower bound: a better
//! critic might find more), Stein's identities (moments of the score that must vanish), importance
//! weights with the density estimated from many components, and the means and standard deviations
//! that those weights would change.

use super::fit::Measure;
use super::marginal::DensityEstimate;
use super::standardize::{Affine, Standardized};
use crate::density::LogDensity;
use crate::inference::assess::{self, Checks, FEWEST_ITERATIONS};
use crate::inference::examine::examine;
use crate::inference::train::{Stop, Training};
use crate::inference::{Fit, Khat, KhatKind, VerdictLevel};

/// Share of a point's own component above which the estimated density says nothing.
const OWN_SHARE_LIMIT: f64 = 0.5;
/// Share of the draws in effect above which the tail of the weights cannot matter: its k-hat is then
/// that of the noise in the estimated density.
const HARDLY_VARY: f64 = 0.99;

/// Fresh draws from a fit, in standardised coordinates, and what goes with them.
pub(super) struct Evidence {
    /// Draws, `[S, D]`.
    pub(super) u: Vec<f64>,
    /// `ξ/σ` of each, `[S, D]`.
    pub(super) negative_conditional_score: Vec<f64>,
    /// The critic less its part of the target's score, `[S, D]`.
    pub(super) critic_rest: Vec<f64>,
    /// Weight of the target's score in the critic.
    pub(super) critic_residual: f64,
    /// The fit's density at the first of the draws.
    pub(super) estimate: DensityEstimate,
    /// The target in standardised coordinates.
    pub(super) density: Standardized<f64>,
    /// The coordinates.
    pub(super) affine: Affine,
}

/// Draws, measures and verdict. `examined`: whether the critic had its time on the finished family.
pub(super) fn conclude(
    method: &'static str,
    measure: &Measure,
    evidence: &Evidence,
    training: Training,
    examined: bool,
    seed: u64,
) -> Fit {
    let d = evidence.density.dim();
    let s = evidence.u.len() / d;
    let (mut log_p_u, mut score) = (vec![0.0; s], vec![0.0; s * d]);
    evidence.density.score(&evidence.u, &mut log_p_u, &mut score);
    let log_det = evidence.density.log_det();
    let log_weights: Vec<f64> =
        log_p_u.iter().zip(&evidence.estimate.log_q).map(|(p, q)| p - q).collect();
    let fisher = fisher_divergence(evidence, &score);
    let stein = stein_deviation(&evidence.u, &score, d);

    let mut checks = Checks::new();
    let interrupted = training.interrupted() || !examined;
    if interrupted {
        checks.interrupted();
    }
    judge_training(&mut checks, measure, &training);
    judge_stein(&mut checks, &stein);
    let (khat, confirmed) = judge_weights(&mut checks, evidence, &log_weights);
    judge_fisher(&mut checks, &fisher, confirmed);
    checks.estimated(evidence.density.estimate());
    // In the model's own coordinates: the standardised ones are those of the mode that was found, and
    // hardly any start in them leads elsewhere.
    if !interrupted {
        let points = evidence.affine.points(&evidence.u);
        examine(&mut checks, evidence.density.inner(), &points, seed);
    }
    let bound = mean_and_se(&log_weights);

    let iterations = training.iterations;
    let more = format!("--infer {method} --iterations {}", 4 * iterations.max(FEWEST_ITERATIONS));
    let next =
        if interrupted || iterations < FEWEST_ITERATIONS { more.as_str() } else { "--infer nuts" };
    Fit {
        method,
        dim: d,
        chains: 1,
        draws: evidence.affine.points(&evidence.u),
        log_p: log_p_u.iter().map(|l| l - log_det).collect(),
        // An estimate is not the density; what it is good for is in `elbo` and `khat`.
        log_q: None,
        // The estimate of log q errs upwards on average, so this is a lower bound all the same.
        elbo: bound.0.is_finite().then_some(bound),
        log_z: None,
        khat,
        fisher_divergence: fisher.total.is_finite().then_some(fisher.total),
        traces: training.traces,
        iterations,
        median_iteration_ms: training.median_iteration_ms,
        interrupted,
        verdict: checks.verdict(Some(next)),
    }
}

/// The critic's lower bound on `E_q|s_p − s_q|²`.
struct Fisher {
    total: f64,
    /// The coordinate with the largest share, and that share.
    worst: (usize, f64),
}

fn fisher_divergence(e: &Evidence, score: &[f64]) -> Fisher {
    let d = e.density.dim();
    let mut parts = vec![0.0; d];
    let rows = score.iter().zip(&e.critic_rest).zip(&e.negative_conditional_score).enumerate();
    for (k, ((s, rest), n)) in rows {
        let f = e.critic_residual * s + rest;
        parts[k % d] += f * (2.0 * (s + n) - f);
    }
    let draws = (score.len() / d) as f64;
    parts.iter_mut().for_each(|p| *p /= draws);
    Fisher { total: parts.iter().sum::<f64>().max(0.0), worst: worst(&parts) }
}

/// Stein's identities for linear functions, `E s_p = 0` and `E s_p,j u_j = −1`: largest deviation of
/// the first in units of the coordinate's scale, and of the second.
struct Stein {
    shift: (usize, f64),
    scale: (usize, f64),
    noise: f64,
}

fn stein_deviation(u: &[f64], score: &[f64], d: usize) -> Stein {
    let n = (u.len() / d) as f64;
    let (mut shift, mut scale) = (vec![0.0; d], vec![0.0; d]);
    for (k, (u, s)) in u.iter().zip(score).enumerate() {
        shift[k % d] += s / n;
        scale[k % d] += s * u / n;
    }
    Stein {
        shift: worst(&shift.iter().map(|x| x.abs()).collect::<Vec<_>>()),
        scale: worst(&scale.iter().map(|x| (x + 1.0).abs()).collect::<Vec<_>>()),
        noise: 3.0 * (2.0 / n).sqrt(),
    }
}

/// Index and value of the largest entry; NaN counts as largest.
fn worst(x: &[f64]) -> (usize, f64) {
    x.iter().enumerate().fold((0, f64::NEG_INFINITY), |w, (i, x)| {
        if w.1.is_nan() || *x <= w.1 { w } else { (i, *x) }
    })
}

fn mean_and_se(x: &[f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

fn judge_training(checks: &mut Checks, measure: &Measure, training: &Training) {
    checks.trained(training.iterations);
    if training.iterations >= FEWEST_ITERATIONS && training.stop != Stop::Converged {
        checks.settled(measure.words, &training.objective, measure.tolerance, measure.unit);
    }
    if training.skipped * 100 > training.iterations {
        checks.add(
            VerdictLevel::Doubtful,
            format!(
                "{} of {} iterations met a density that was not finite.",
                training.skipped, training.iterations
            ),
        );
    }
}

/// The Fisher divergence weighs differences of scores, also far out in a tail where hardly any mass is.
/// Where importance weights confirm the moments, only a larger one speaks against the fit.
fn judge_fisher(checks: &mut Checks, fisher: &Fisher, confirmed: bool) {
    let limit = if confirmed { 0.3 } else { 0.1 };
    let (j, value) = (fisher.worst.0 + 1, fisher.worst.1);
    let said = format!(
        "The critic sees a Fisher divergence of {value:.3} in standardised coordinate {j}, the largest"
    );
    if value <= limit {
        checks.add(VerdictLevel::Ok, format!("{said}, at most {limit}."));
    } else {
        let level = if value <= 1.0 { VerdictLevel::Doubtful } else { VerdictLevel::Failed };
        checks.add(level, format!("{said}, above {limit}: the fit is off there."));
    }
}

fn judge_stein(checks: &mut Checks, stein: &Stein) {
    let ((i, shift), (j, scale)) = (stein.shift, stein.scale);
    if shift <= 0.1 + stein.noise && scale <= 0.2 + stein.noise {
        checks.add(
            VerdictLevel::Ok,
            format!(
                "Stein's identities hold: the mean score is off by at most {shift:.2}, its scale by \
                 {scale:.2}."
            ),
        );
    } else {
        let failed = !(shift <= 1.0 && scale <= 2.0);
        checks.add(
            if failed { VerdictLevel::Failed } else { VerdictLevel::Doubtful },
            format!(
                "Stein's identities do not hold: the mean score is off by {shift:.2} in standardised \
                 coordinate {}, its scale by {scale:.2} in coordinate {}.",
                i + 1,
                j + 1
            ),
        );
    }
}

/// What the weights say: their k-hat, and whether they confirm the moments without reserve.
fn judge_weights(
    checks: &mut Checks,
    evidence: &Evidence,
    log_weights: &[f64],
) -> (Option<Khat>, bool) {
    let own_share = evidence.estimate.own_share;
    if own_share.is_nan() || own_share > OWN_SHARE_LIMIT {
        checks.add(
            VerdictLevel::Doubtful,
            format!(
                "The density of the fit could not be estimated (each draw's own component makes up \
                 {:.0} % of it), so there are no importance weights.",
                100.0 * own_share
            ),
        );
        return (None, false);
    }
    let smoothed = assess::psis(log_weights);
    let khat = Khat { value: smoothed.khat, kind: KhatKind::Estimated };
    let effective = smoothed.log_weights.iter().map(|w| (2.0 * w).exp()).sum::<f64>().recip();
    let in_effect = effective / log_weights.len() as f64;
    if in_effect >= HARDLY_VARY {
        checks.add(
            VerdictLevel::Ok,
            format!(
                "Importance weights, with the fit's density estimated, hardly vary: {:.1} % of the \
                 draws are in effect.",
                100.0 * in_effect
            ),
        );
    } else {
        checks.khat(khat, log_weights.len());
    }
    let d = evidence.density.dim();
    let (mut shift, mut ratio) = (vec![0.0; d], vec![0.0; d]);
    for j in 0..d {
        let n = log_weights.len() as f64;
        let column = || evidence.u[..log_weights.len() * d].iter().skip(j).step_by(d);
        let (mean, sd) = moments(column().map(|u| (*u, 1.0 / n)));
        let (better_mean, better_sd) =
            moments(column().zip(&smoothed.log_weights).map(|(u, w)| (*u, w.exp())));
        shift[j] = (better_mean - mean).abs() / sd;
        ratio[j] = (better_sd / sd).ln().abs();
    }
    let ((i, shift), (j, ratio)) = (worst(&shift), worst(&ratio));
    if shift <= 0.2 && ratio <= 1.2_f64.ln() {
        checks.add(
            VerdictLevel::Ok,
            format!(
                "Importance weights would move no mean by more than {shift:.2} sd and no sd by more \
                 than {:.0} %.",
                100.0 * (ratio.exp() - 1.0)
            ),
        );
    } else {
        checks.add(
            VerdictLevel::Doubtful,
            format!(
                "Importance weights would move the mean of standardised coordinate {} by {shift:.2} \
                 sd and the sd of coordinate {} by {:.0} %.",
                i + 1,
                j + 1,
                100.0 * (ratio.exp() - 1.0)
            ),
        );
    }
    let confirmed = khat.value <= 0.5 && shift <= 0.1 && ratio <= 1.1_f64.ln();
    (Some(khat), confirmed)
}

/// Mean and standard deviation of weighted values; the weights add up to 1.
fn moments(weighted: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    let (mut first, mut second) = (0.0, 0.0);
    for (x, w) in weighted {
        first += w * x;
        second += w * x * x;
    }
    (first, (second - first * first).max(0.0).sqrt())
}
