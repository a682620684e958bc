//! What log importance weights say about a fit: evidence bounds, k-hat, shifted moments.

use super::assess::{Checks, psis};
use super::{Khat, KhatKind, VerdictLevel};
use crate::density::LogDensity;

/// Evidence lower bound (the mean log weight) and its standard error, nats.
#[must_use]
pub fn lower_bound(log_weights: &[f64]) -> (f64, f64) {
    let n = log_weights.len() as f64;
    let mean = log_weights.iter().sum::<f64>() / n;
    let var = log_weights.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (var / n).sqrt())
}

/// Log of the mean weight: a stochastic lower bound of the log evidence that is tight in the limit
/// \[burda2016\].
#[must_use]
pub fn log_mean_weight(log_weights: &[f64]) -> f64 {
    let max = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = log_weights.iter().map(|w| (w - max).exp()).sum();
    max + (sum / log_weights.len() as f64).ln()
}

/// Adds to `checks` what the weights of the draws `[S, D]` say, and returns their k-hat.
///
/// Beyond k-hat itself: while the smoothed weights can be trusted, weighted means and standard
/// deviations are better than plain ones, so a difference between them is an error of the fit.
pub fn check(
    checks: &mut Checks,
    log_weights: &[f64],
    draws: &[f64],
    kind: KhatKind,
    density: &dyn LogDensity<f64>,
) -> Khat {
    let smoothed = psis(log_weights);
    let khat = Khat { value: smoothed.khat, kind };
    checks.khat(khat, log_weights.len());
    if khat.value > 0.7 || log_weights.is_empty() {
        return khat;
    }
    let weights: Vec<f64> = smoothed.log_weights.iter().map(|w| w.exp()).collect();
    let noise = weights.iter().map(|w| w * w).sum::<f64>().sqrt();
    let d = draws.len() / log_weights.len();
    let flat = vec![1.0 / weights.len() as f64; weights.len()];
    let (mut shift, mut ratio) = ((0.0, 0), (1.0_f64, 0));
    for j in 0..d {
        let column = || draws.iter().skip(j).step_by(d);
        let ((mean, sd), (plain, plain_sd)) =
            (moments(column(), &weights), moments(column(), &flat));
        let moved = (plain - mean).abs() / sd;
        if moved > shift.0 {
            shift = (moved, j);
        }
        let r: f64 = plain_sd / sd;
        if r.ln().abs() > ratio.0.ln().abs() {
            ratio = (r, j);
        }
    }
    let (moved, where_mean) = shift;
    let (factor, where_sd) = ratio;
    let tolerance = noise;
    if moved <= 0.1 + tolerance && factor.ln().abs() <= 0.15 + tolerance {
        checks.add(
            VerdictLevel::Ok,
            format!(
                "Importance weights confirm means (within {moved:.2} sd) and standard deviations \
                 (within {:.0} %).",
                100.0 * (factor.ln().abs().exp() - 1.0)
            ),
        );
    }
    if moved > 0.1 + tolerance {
        checks.add(
            VerdictLevel::Doubtful,
            format!(
                "Importance weights put the mean of {} {moved:.2} sd elsewhere.",
                density.coordinate_name(where_mean)
            ),
        );
    }
    if factor.ln().abs() > 0.15 + tolerance {
        checks.add(
            VerdictLevel::Doubtful,
            format!(
                "Importance weights put the standard deviation of {} at {:.2} times that of the \
                 draws.",
                density.coordinate_name(where_sd),
                1.0 / factor
            ),
        );
    }
    khat
}

/// Mean and standard deviation under normalised weights.
fn moments<'a>(values: impl Iterator<Item = &'a f64> + Clone, weights: &[f64]) -> (f64, f64) {
    let mean: f64 = values.clone().zip(weights).map(|(x, w)| w * x).sum();
    let var: f64 = values.zip(weights).map(|(x, w)| w * (x - mean).powi(2)).sum();
    (mean, var.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_equal_weights_agree_and_order_otherwise() {
        assert_eq!(lower_bound(&[-3.0; 10]), (-3.0, 0.0));
        assert!((log_mean_weight(&[-3.0; 10]) + 3.0).abs() < 1e-15);
        let w = [-1000.0, -1001.0, -1002.0];
        assert!(log_mean_weight(&w) > lower_bound(&w).0);
    }
}
