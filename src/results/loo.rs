//! Leave-one-out cross-validation by Pareto-smoothed importance sampling.

use crate::inference::assess::{khat_threshold, psis};

/// The expected log pointwise predictive density of new data, estimated by leaving each observation out.
#[derive(Debug, Clone, PartialEq)]
pub struct Loo {
    /// The estimate, nats.
    pub elpd: f64,
    /// Its standard error over the observations.
    pub se: f64,
    /// Effective number of parameters.
    pub p_loo: f64,
    /// The summand of each observation.
    pub pointwise: Vec<f64>,
    /// Observations whose k-hat is too large for their summand to be trusted.
    pub unreliable: usize,
}

/// Estimates it from the log likelihood of each observation under each draw, `[S, N]`.
///
/// `log_ratio`, one a draw, is the log density of the posterior over that of the approximation that the
/// draws are from, where both are known; without it the draws are taken as the posterior's.
///
/// # Reference
/// [vehtari2017, eq. 10], and [magnusson2019, eq. 8] for draws from an approximation.
///
/// # Panics
/// When `log_likelihood` is not of `n` numbers for each draw.
#[must_use]
pub fn loo(log_likelihood: &[f64], n: usize, log_ratio: Option<&[f64]>) -> Loo {
    assert!(n > 0 && log_likelihood.len().is_multiple_of(n), "[S, N]");
    let draws = log_likelihood.len() / n;
    // The posterior's own weights, for the density without leaving anything out.
    let full = log_ratio
        .map_or_else(|| vec![-(draws as f64).ln(); draws], |ratio| psis(ratio).log_weights);
    let limit = khat_threshold(draws);
    let (mut pointwise, mut unreliable, mut p_loo) = (Vec::with_capacity(n), 0, 0.0);
    for i in 0..n {
        let of_point: Vec<f64> = log_likelihood.iter().skip(i).step_by(n).copied().collect();
        let ratio = |s: usize| log_ratio.map_or(0.0, |ratio| ratio[s]) - of_point[s];
        let smoothed = psis(&(0..draws).map(ratio).collect::<Vec<_>>());
        let elpd = log_sum(smoothed.log_weights.iter().zip(&of_point));
        unreliable += usize::from(smoothed.khat.is_nan() || smoothed.khat > limit);
        p_loo += log_sum(full.iter().zip(&of_point)) - elpd;
        pointwise.push(elpd);
    }
    let elpd: f64 = pointwise.iter().sum();
    Loo { elpd, se: standard_error(&pointwise), p_loo, pointwise, unreliable }
}

impl Loo {
    /// The other's elpd less this one's, and the standard error of that difference. `None` when they are
    /// not of the same number of observations.
    #[must_use]
    pub fn difference(&self, other: &Loo) -> Option<(f64, f64)> {
        if self.pointwise.len() != other.pointwise.len() {
            return None;
        }
        let pairs = other.pointwise.iter().zip(&self.pointwise);
        let differences: Vec<f64> = pairs.map(|(b, a)| b - a).collect();
        Some((differences.iter().sum(), standard_error(&differences)))
    }
}

/// Standard error of a sum of independent terms (`N` in the denominator, as ArviZ has it).
fn standard_error(terms: &[f64]) -> f64 {
    let n = terms.len() as f64;
    let mean = terms.iter().sum::<f64>() / n;
    terms.iter().map(|x| (x - mean).powi(2)).sum::<f64>().sqrt()
}

/// `log Σ exp(a + b)`.
fn log_sum<'a>(pairs: impl Iterator<Item = (&'a f64, &'a f64)>) -> f64 {
    let sums: Vec<f64> = pairs.map(|(a, b)| a + b).collect();
    let max = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !max.is_finite() {
        return max;
    }
    max + sums.iter().map(|x| (x - max).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles of the standard normal distribution.
    fn normal(p: f64) -> f64 {
        crate::special::std_normal_quantile(p)
    }

    #[test]
    fn a_conjugate_mean_is_left_out_exactly() {
        // y ~ N(mu, 1) with a flat prior: mu | y ~ N(mean, 1/n), and without y_i its predictive density is
        // N(mean of the others, 1 + 1/(n - 1)).
        let y: Vec<f64> = (0..20).map(|i| normal((f64::from(i) + 0.5) / 20.0)).collect();
        let n = y.len() as f64;
        let mean = y.iter().sum::<f64>() / n;
        let log_normal = |x: f64, m: f64, v: f64| {
            -0.5 * ((x - m).powi(2) / v + (2.0 * std::f64::consts::PI * v).ln())
        };
        let exact: f64 = y
            .iter()
            .map(|yi| log_normal(*yi, (n * mean - yi) / (n - 1.0), 1.0 + 1.0 / (n - 1.0)))
            .sum();
        let draws = 4000;
        let at = |spread: f64, s: usize| {
            mean + spread * normal((s as f64 + 0.5) / f64::from(draws)) / n.sqrt()
        };
        let matrix = |spread: f64| -> Vec<f64> {
            (0..draws as usize)
                .flat_map(|s| y.iter().map(move |yi| (*yi, s)))
                .map(|(yi, s)| log_normal(yi, at(spread, s), 1.0))
                .collect()
        };
        let found = loo(&matrix(1.0), y.len(), None);
        assert!((found.elpd - exact).abs() < 0.02, "{} {exact}", found.elpd);
        assert!((found.p_loo - 1.0).abs() < 0.2 && found.unreliable == 0, "{found:?}");
        // Draws from too wide an approximation, with their ratio.
        let ratio: Vec<f64> = (0..draws as usize)
            .map(|s| {
                let mu = at(1.5, s);
                log_normal(mu, mean, 1.0 / n) - log_normal(mu, mean, 2.25 / n)
            })
            .collect();
        let corrected = loo(&matrix(1.5), y.len(), Some(&ratio));
        assert!((corrected.elpd - exact).abs() < 0.02, "{} {exact}", corrected.elpd);
        let (gap, se) = found.difference(&corrected).unwrap();
        assert!(gap.abs() < 0.03 && se < 0.02, "{gap} {se}");
    }
}
