//! What `summary.json` says: posterior summaries per scalar, the fit's numbers, the verdict.

use super::{Draws, Role, Variable, peak_rss_mb};
use crate::inference::{self, Fit, KhatKind, VerdictLevel, assess};

/// What a run knows about itself beside the fit.
#[derive(Debug, Clone, PartialEq)]
pub struct RunInfo {
    /// Name of the model.
    pub model: String,
    /// Seed.
    pub seed: u64,
    /// Seconds from text and data to an executable log density.
    pub compile_s: f64,
    /// Seconds of inference.
    pub train_s: f64,
}

/// Where the time went.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    /// Seconds from text and data to an executable log density.
    pub compile_s: f64,
    /// Seconds of inference.
    pub train_s: f64,
    /// Iterations that were run.
    pub iterations: usize,
    /// Median wall time of an iteration, milliseconds.
    pub median_iteration_ms: f64,
    /// Peak resident memory, MiB.
    pub peak_rss_mb: Option<f64>,
}

/// Summary of one scalar; NaN where a number is not defined, `None` where it makes no sense.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistics {
    /// Mean.
    pub mean: f64,
    /// Standard deviation (`S − 1` in the denominator).
    pub sd: f64,
    /// 5 % quantile.
    pub q5: f64,
    /// Median.
    pub q50: f64,
    /// 95 % quantile.
    pub q95: f64,
    /// Monte Carlo standard error of the mean.
    pub mcse: f64,
    /// Bulk effective sample size; the number of draws when they are independent.
    pub ess: f64,
    /// Rank-normalised split R-hat; `None` for independent draws.
    pub rhat: Option<f64>,
}

impl Statistics {
    /// Summarises the draws of one scalar, `chains` chains one after the other.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "numbers of draws are far below 2^53")]
    pub fn of(draws: &[f64], chains: usize, independent: bool) -> Self {
        let n = draws.len() as f64;
        // Relative to one of the draws, so that a constant has exactly itself as its mean.
        let origin = draws.first().copied().unwrap_or(f64::NAN);
        let mean = origin + draws.iter().map(|x| x - origin).sum::<f64>() / n;
        let sd = (draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        let mut sorted = draws.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (mcse, ess, rhat) = if independent {
            (sd / n.sqrt(), n, None)
        } else {
            let s = assess::summarize(draws, chains);
            (s.mcse_mean, s.ess_bulk, Some(s.rhat))
        };
        let finite = draws.iter().all(|x| x.is_finite());
        let quantile = |p| if finite { quantile(&sorted, p) } else { f64::NAN };
        let (q5, q50, q95) = (quantile(0.05), quantile(0.5), quantile(0.95));
        Statistics { mean, sd, q5, q50, q95, mcse, ess, rhat }
    }
}

/// Quantile of sorted values by linear interpolation (type 7, the default of R and NumPy).
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions in a slice, non-negative"
)]
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = p * last as f64;
    let low = position.floor() as usize;
    let high = (low + 1).min(last);
    sorted[low] + (position - position.floor()) * (sorted[high] - sorted[low])
}

/// Summaries of all scalars of a variable.
#[derive(Debug, Clone, PartialEq)]
pub struct VariableSummary {
    /// Name as declared.
    pub name: String,
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// What declared it.
    pub role: Role,
    /// One entry per scalar, row-major.
    pub scalars: Vec<Statistics>,
}

impl VariableSummary {
    /// Name of the scalar at row-major position `element`, as in the language: `theta[2, 3]`.
    #[must_use]
    pub fn element_name(&self, element: usize) -> String {
        super::draws::element_name(&self.name, &self.shape, element)
    }

    fn of(variable: &Variable, chains: usize, independent: bool) -> Self {
        let scalars = (0..variable.size())
            .map(|i| Statistics::of(&variable.scalar(i), chains, independent))
            .collect();
        let (name, shape) = (variable.name.clone(), variable.shape.clone());
        VariableSummary { name, shape, role: variable.role, scalars }
    }
}

/// The axis on which intervals of these scalars are drawn: from the smallest 5 % quantile to the largest
/// 95 % quantile, and to zero where that is near. `None` when there is nothing to draw.
pub(crate) fn interval_axis<'a>(
    scalars: impl IntoIterator<Item = &'a Statistics>,
) -> Option<(f64, f64)> {
    let ends = scalars.into_iter().filter(|s| s.q5.is_finite() && s.q95.is_finite());
    let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), s| {
        (low.min(s.q5), high.max(s.q95))
    });
    let near = 0.5 * (high - low);
    let low = if low > 0.0 && low < near { 0.0 } else { low };
    let high = if high < 0.0 && -high < near { 0.0 } else { high };
    (low < high).then_some((low, high))
}

/// Everything in `summary.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Name of the method.
    pub method: String,
    /// Name of the model.
    pub model: String,
    /// Seed.
    pub seed: u64,
    /// Number of draws over all chains.
    pub draws: usize,
    /// Number of chains.
    pub chains: usize,
    /// Unconstrained dimension `D`.
    pub dim: usize,
    /// Whether to trust the fit.
    pub verdict: VerdictLevel,
    /// What speaks for the verdict.
    pub reasons: Vec<String>,
    /// Flags to try next.
    pub next: Option<String>,
    /// Whether the run was stopped before it was done.
    pub interrupted: bool,
    /// Evidence lower bound, nats.
    pub elbo: Option<f64>,
    /// Its Monte Carlo standard error.
    pub elbo_se: Option<f64>,
    /// Estimate of the log evidence, nats.
    pub log_z: Option<f64>,
    /// Its standard error.
    pub log_z_se: Option<f64>,
    /// Importance-weighted bound of ten draws, nats.
    pub iwae: Option<f64>,
    /// Its standard error.
    pub iwae_se: Option<f64>,
    /// Pareto shape of the importance weights.
    pub khat: Option<f64>,
    /// What the weights were of.
    pub khat_kind: Option<KhatKind>,
    /// Fisher divergence as far as the method can estimate it.
    pub fisher_divergence: Option<f64>,
    /// Where the time went.
    pub timing: Timing,
    /// Summaries in order of declaration.
    pub variables: Vec<VariableSummary>,
}

impl Summary {
    /// Summarises a fit and its constrained draws.
    ///
    /// Draws are taken as independent unless they are those of a sampler's chains, or repeat each other,
    /// as resampled ones do.
    #[must_use]
    pub fn new(info: &RunInfo, fit: &Fit, draws: &Draws) -> Self {
        let sampler = inference::find(fit.method)
            .is_some_and(|m| m.group == "reference" || (m.group == "choice" && fit.chains > 1));
        let rows = || fit.draws.chunks_exact(fit.dim.max(1));
        let repeated = rows().zip(rows().skip(1)).any(|(a, b)| a == b);
        let variables = draws
            .variables
            .iter()
            .map(|v| {
                let mut summary = VariableSummary::of(v, draws.chains, !sampler && !repeated);
                if !sampler {
                    summary.scalars.iter_mut().for_each(|s| s.rhat = None);
                }
                summary
            })
            .collect();
        Summary {
            method: fit.method.into(),
            model: info.model.clone(),
            seed: info.seed,
            draws: draws.total(),
            chains: draws.chains,
            dim: fit.dim,
            verdict: fit.verdict.level,
            reasons: fit.verdict.reasons.clone(),
            next: fit.verdict.next.clone(),
            interrupted: fit.interrupted,
            elbo: fit.elbo.map(|(value, _)| value),
            elbo_se: fit.elbo.map(|(_, se)| se),
            log_z: fit.log_z.map(|z| z.value),
            log_z_se: fit.log_z.map(|z| z.se),
            iwae: fit.log_z.map(|z| z.iwae.0),
            iwae_se: fit.log_z.map(|z| z.iwae.1),
            khat: fit.khat.map(|k| k.value),
            khat_kind: fit.khat.map(|k| k.kind),
            fisher_divergence: fit.fisher_divergence,
            timing: Timing {
                compile_s: info.compile_s,
                train_s: info.train_s,
                iterations: fit.iterations,
                median_iteration_ms: fit.median_iteration_ms,
                peak_rss_mb: peak_rss_mb(),
            },
            variables,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_numpy() {
        let sorted = [1.0, 2.0, 4.0, 8.0, 16.0];
        // np.quantile([1, 2, 4, 8, 16], [0.05, 0.5, 0.95])
        for (p, expected) in [(0.05, 1.2), (0.5, 4.0), (0.95, 14.4)] {
            assert!((quantile(&sorted, p) - expected).abs() < 1e-12);
        }
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn independent_draws_have_no_rhat_and_full_ess() {
        let draws: Vec<f64> = (1..=5).map(f64::from).collect();
        let s = Statistics::of(&draws, 1, true);
        assert_eq!((s.mean, s.ess, s.rhat), (3.0, 5.0, None));
        assert!((s.sd - 2.5_f64.sqrt()).abs() < 1e-15);
        assert!((s.mcse - 0.5_f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn a_constant_has_no_spread() {
        let s = Statistics::of(&[0.1; 1000], 1, true);
        assert_eq!((s.mean, s.sd, s.q5), (0.1, 0.0, 0.1));
    }

    #[test]
    fn a_draw_that_is_not_finite_leaves_no_quantile() {
        let s = Statistics::of(&[1.0, f64::NAN, 2.0], 1, true);
        assert!(s.mean.is_nan() && s.q50.is_nan());
    }
}
