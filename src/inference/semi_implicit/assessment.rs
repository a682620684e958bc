//! What can be said about a semi-implicit fit whose density is intractable.
//!
//! Importance weights with the density estimated from many components are weights of an extended space
//! (see [`Marginal`](super::marginal::Marginal)), so draws resampled by them are the target's, where
//! k-hat says that they can be trusted. Three further looks: the critic's Fisher divergence on fresh
//! draws (a lower bound: a better critic might find more), Stein's identities (moments of the score
//! that must vanish), and what every method is asked.

use super::evidence::{Draws, Evidence};
use super::fit::Measure;
use crate::density::LogDensity;
use crate::inference::assess::{Checks, FEWEST_ITERATIONS};
use crate::inference::examine::examine;
use crate::inference::train::{Stop, Training};
use crate::inference::weights;
use crate::inference::{Fit, KhatKind, Settings, Target, VerdictLevel};
use crate::random::stream;

/// Draws, measures and verdict.
pub(super) fn conclude(
    method: &'static str,
    measure: &Measure,
    evidence: &Evidence,
    target: Target<'_>,
    training: Training,
    settings: &Settings,
) -> Fit {
    let density = target.f64.as_ref();
    let interrupted = matches!(evidence.stop, Stop::Interrupted | Stop::TimeLimit);
    let mut checks = Checks::new();
    checks.stopped(evidence.stop);
    let judged = weights::judge(
        &mut checks,
        &evidence.log_weights,
        &evidence.density.parameters(&evidence.weighed.u),
        KhatKind::Estimated,
        evidence.resample,
        settings.draws,
        &mut stream(settings.seed, &format!("{method} resampling")),
    );
    let (chosen, of) = if judged.resampled {
        (judged.chosen, &evidence.weighed)
    } else {
        ((0..settings.draws.min(evidence.own.log_p.len())).collect(), &evidence.own)
    };
    checks.drawn(chosen.len(), settings.draws);
    judge_training(&mut checks, measure, &training, judged.resampled);
    judge_stein(&mut checks, &stein_deviation(of, &chosen), density);
    let fisher = fisher_divergence(evidence);
    judge_fisher(&mut checks, &fisher, judged.resampled, density);
    checks.estimated(evidence.density.estimate());
    let d = density.dim();
    let u: Vec<f64> = chosen.iter().flat_map(|i| &of.u[i * d..(i + 1) * d]).copied().collect();
    let draws = evidence.density.apply(&u);
    // In the model's own coordinates: the standardised ones are those of the mode that was found, and
    // hardly any start in them leads elsewhere.
    if !interrupted {
        examine(&mut checks, density, &draws, settings);
    }
    let log_det = evidence.coordinates.log_det();
    let log_p = chosen.iter().map(|i| of.log_p[*i] - log_det).collect();
    let bound = weights::lower_bound(&evidence.log_ratios);

    let iterations = training.iterations;
    let more = format!("--infer {method} --iterations {}", 4 * iterations.max(FEWEST_ITERATIONS));
    let next =
        if interrupted || iterations < FEWEST_ITERATIONS { more.as_str() } else { "--infer nuts" };
    Fit {
        method,
        dim: d,
        chains: 1,
        draws,
        log_p,
        // An estimate is not the density; what it is good for is in the bounds and in `khat`.
        log_q: None,
        // The estimate of log q errs upwards on average, so this is a lower bound all the same.
        elbo: bound.0.is_finite().then_some(bound),
        log_z: weights::evidence(&evidence.log_weights),
        khat: Some(judged.khat),
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

fn fisher_divergence(e: &Evidence) -> Fisher {
    let d = e.density.dim();
    let mut parts = vec![0.0; d];
    let rows =
        e.own.score.iter().zip(&e.critic_rest).zip(&e.negative_conditional_score).enumerate();
    for (k, ((s, rest), n)) in rows {
        let f = e.critic_residual * s + rest;
        parts[k % d] += f * (2.0 * (s + n) - f);
    }
    let draws = e.own.log_p.len() as f64;
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

/// Of the chosen draws, equal ones together, about their mean: both hold about any point, but far from it the
/// noise of the first would be many times that of the second.
fn stein_deviation(of: &Draws, chosen: &[usize]) -> Stein {
    let d = of.u.len() / of.log_p.len().max(1);
    let n = chosen.len() as f64;
    let (mut mean, mut shift, mut scale) = (vec![0.0; d], vec![0.0; d], vec![0.0; d]);
    for i in chosen {
        for j in 0..d {
            let (u, s) = (of.u[i * d + j], of.score[i * d + j]);
            mean[j] += u / n;
            shift[j] += s / n;
            scale[j] += s * u / n;
        }
    }
    for j in 0..d {
        scale[j] -= shift[j] * mean[j];
    }
    let distinct = chosen.chunk_by(|a, b| a == b).count() as f64;
    Stein {
        shift: worst(&shift.iter().map(|x| x.abs()).collect::<Vec<_>>()),
        scale: worst(&scale.iter().map(|x| (x + 1.0).abs()).collect::<Vec<_>>()),
        noise: 3.0 * (2.0 / distinct).sqrt(),
    }
}

/// Index and value of the largest entry; NaN counts as largest.
fn worst(x: &[f64]) -> (usize, f64) {
    x.iter().enumerate().fold((0, f64::NEG_INFINITY), |w, (i, x)| {
        if w.1.is_nan() || *x <= w.1 { w } else { (i, *x) }
    })
}

/// Whether training went well and came to rest; where the draws were `resampled`, weights that can be
/// trusted have made good what it left.
fn judge_training(checks: &mut Checks, measure: &Measure, training: &Training, resampled: bool) {
    checks.trained(training.iterations);
    let enough = training.iterations >= FEWEST_ITERATIONS;
    if enough && training.stop != Stop::Converged && !resampled {
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

/// Judges the family's own draws; where these were `resampled`, what the critic sees is no more in them.
fn judge_fisher(
    checks: &mut Checks,
    fisher: &Fisher,
    resampled: bool,
    density: &dyn LogDensity<f64>,
) {
    const LIMIT: f64 = 0.1;
    let (j, value) = fisher.worst;
    let said = format!(
        "The critic sees a Fisher divergence of {value:.3} in {} (standardised), the largest",
        density.coordinate_name(j)
    );
    if resampled {
        checks.add(VerdictLevel::Ok, format!("{said}, before resampling."));
    } else if value <= LIMIT {
        checks.add(VerdictLevel::Ok, format!("{said}, at most {LIMIT}."));
    } else {
        let level = if value <= 1.0 { VerdictLevel::Doubtful } else { VerdictLevel::Failed };
        checks.add(level, format!("{said}, above {LIMIT}: the fit is off there."));
    }
}

fn judge_stein(checks: &mut Checks, stein: &Stein, density: &dyn LogDensity<f64>) {
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
                "Stein's identities do not hold: the mean score is off by {shift:.2} in {}, its scale \
                 by {scale:.2} in {} (standardised).",
                density.coordinate_name(i),
                density.coordinate_name(j)
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::random::{Stream, fill_std_normal};

    #[test]
    fn steins_identities_do_not_depend_on_where_zero_is() {
        let mut u = vec![0.0; 4000];
        fill_std_normal(&mut Stream::seed_from_u64(3), &mut u);
        let score: Vec<f64> = u.iter().map(|u| -u).collect();
        let chosen: Vec<usize> = (0..u.len()).collect();
        let deviation = |at: f64, factor: f64| {
            let u: Vec<f64> = u.iter().map(|u| u + at).collect();
            let score = score.iter().map(|s| factor * s).collect();
            let draws = Draws { log_p: vec![0.0; u.len()], u, score };
            let Stein { shift, scale, .. } = stein_deviation(&draws, &chosen);
            (shift.1, scale.1)
        };
        let (near, far) = (deviation(0.0, 1.0), deviation(1000.0, 1.0));
        assert!(near.0 < 0.05 && near.1 < 0.1, "{near:?}");
        assert!((near.1 - far.1).abs() < 1e-9, "{near:?} {far:?}");
        assert!(deviation(1000.0, 3.0).1 > 1.8);
    }
}
