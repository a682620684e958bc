//! Effective sample sizes, R-hat and Monte Carlo standard errors of one scalar [vehtari2021].
//!
//! Draws come as one slice, chain after chain, all chains of one length. A chain is split in two
//! first, so that a trend within it shows; odd lengths lose their middle draw.

use statrs::function::erf::erfc_inv;

/// What a summary table says about the sampling of one scalar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScalarSummary {
    /// Effective sample size for the centre of the distribution.
    pub ess_bulk: f64,
    /// Effective sample size for the 5 % and 95 % quantiles, the smaller of the two.
    pub ess_tail: f64,
    /// Rank-normalised split R-hat, the larger of bulk and folded.
    pub rhat: f64,
    /// Monte Carlo standard error of the mean.
    pub mcse_mean: f64,
    /// Monte Carlo standard error of the standard deviation.
    pub mcse_sd: f64,
}

/// All of [`ScalarSummary`] for the draws of one scalar. NaN where a number is not defined.
#[must_use]
pub fn summarize(draws: &[f64], chains: usize) -> ScalarSummary {
    ScalarSummary {
        ess_bulk: ess_bulk(draws, chains),
        ess_tail: ess_tail(draws, chains),
        rhat: rhat(draws, chains),
        mcse_mean: mcse_mean(draws, chains),
        mcse_sd: mcse_sd(draws, chains),
    }
}

/// Bulk effective sample size: that of the rank-normalised draws [vehtari2021, sec. 4.1].
///
/// NaN with fewer than four draws in a chain or where a draw is not finite; the number of draws
/// where the scalar is constant.
#[must_use]
pub fn ess_bulk(draws: &[f64], chains: usize) -> f64 {
    split(draws, chains).map_or(f64::NAN, |c| c.map_values(rank_normalise).ess())
}

/// Tail effective sample size: the smaller of those of the 5 % and the 95 % quantile.
#[must_use]
pub fn ess_tail(draws: &[f64], chains: usize) -> f64 {
    let Some(halves) = split(draws, chains) else { return f64::NAN };
    let mut sorted = draws.to_vec();
    sorted.sort_by(f64::total_cmp);
    let ess_at = |p: f64| {
        let q = quantile(&sorted, p);
        halves.map_values(|x| x.iter().map(|&v| f64::from(u8::from(v <= q))).collect()).ess()
    };
    ess_at(0.05).min(ess_at(0.95))
}

/// Effective sample size for the mean, without rank normalisation.
#[must_use]
pub fn ess_mean(draws: &[f64], chains: usize) -> f64 {
    split(draws, chains).map_or(f64::NAN, |c| c.ess())
}

/// Rank-normalised split R-hat, the larger of that of the draws and of their distance to the median.
///
/// A single chain is compared with itself, half against half.
#[must_use]
pub fn rhat(draws: &[f64], chains: usize) -> f64 {
    let Some(halves) = split(draws, chains) else { return f64::NAN };
    let bulk = halves.map_values(rank_normalise).rhat();
    let folded = halves.map_values(|x| {
        let mut sorted = x.to_vec();
        sorted.sort_by(f64::total_cmp);
        let median = quantile(&sorted, 0.5);
        rank_normalise(&x.iter().map(|v| (v - median).abs()).collect::<Vec<_>>())
    });
    bulk.max(folded.rhat())
}

/// Monte Carlo standard error of the mean of the draws.
#[must_use]
pub fn mcse_mean(draws: &[f64], chains: usize) -> f64 {
    variance(draws).sqrt() / ess_mean(draws, chains).sqrt()
}

/// Monte Carlo standard error of the standard deviation, by the delta method from that of the
/// squared deviations.
#[must_use]
pub fn mcse_sd(draws: &[f64], chains: usize) -> f64 {
    let centre = mean(draws);
    let squares: Vec<f64> = draws.iter().map(|x| (x - centre).powi(2)).collect();
    let second = mean(&squares);
    let fourth = mean(&squares.iter().map(|x| x * x).collect::<Vec<_>>());
    ((fourth - second * second) / ess_mean(&squares, chains) / second / 4.0).sqrt()
}

/// The energy fraction E-BFMI of one chain: mean squared change of the energy over its variance.
///
/// Below 0.3 the momentum does not explore the energies there are.
///
/// # Reference
/// [betancourt2016, eq. 4]
#[must_use]
pub fn e_bfmi(energy: &[f64]) -> f64 {
    let steps: Vec<f64> = energy.windows(2).map(|w| (w[1] - w[0]).powi(2)).collect();
    mean(&steps) / variance(energy)
}

/// Half-chains of one scalar, `[chains, length]` row-major.
struct Halves {
    chains: usize,
    length: usize,
    values: Vec<f64>,
}

/// Splits each chain in two; `None` where nothing can be said.
fn split(draws: &[f64], chains: usize) -> Option<Halves> {
    if chains == 0 || !draws.len().is_multiple_of(chains) || draws.len() / chains < 4 {
        return None;
    }
    if draws.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let n = draws.len() / chains;
    let half = n / 2;
    let mut values = Vec::with_capacity(2 * half * chains);
    for chain in draws.chunks_exact(n) {
        values.extend_from_slice(&chain[..half]);
        values.extend_from_slice(&chain[n - half..]);
    }
    Some(Halves { chains: 2 * chains, length: half, values })
}

impl Halves {
    fn map_values(&self, f: impl Fn(&[f64]) -> Vec<f64>) -> Halves {
        Halves { chains: self.chains, length: self.length, values: f(&self.values) }
    }

    fn chain(&self) -> std::slice::ChunksExact<'_, f64> {
        self.values.chunks_exact(self.length)
    }

    /// [vehtari2021, eq. 4] on the values as they are.
    fn rhat(&self) -> f64 {
        let n = self.length as f64;
        let means: Vec<f64> = self.chain().map(mean).collect();
        let within = mean(&self.chain().map(variance).collect::<Vec<_>>());
        ((n * variance(&means) / within + n - 1.0) / n).sqrt()
    }

    /// [vehtari2021, eqs. 10 to 13]: Geyer's initial monotone sequence over all chains.
    fn ess(&self) -> f64 {
        let total = self.values.len() as f64;
        let n = self.length as f64;
        let lowest = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if highest - lowest < 1e-15 {
            return total;
        }
        let means: Vec<f64> = self.chain().map(mean).collect();
        // Autocovariances are summed directly: mostly few lags are asked for.
        let autocovariance = |lag: usize| {
            let sum: f64 = self
                .chain()
                .zip(&means)
                .map(|(x, m)| {
                    x.iter().zip(&x[lag..]).map(|(a, b)| (a - m) * (b - m)).sum::<f64>() / n
                })
                .sum();
            sum / self.chains as f64
        };
        let within = autocovariance(0) * n / (n - 1.0);
        let mut pooled = within * (n - 1.0) / n;
        if self.chains > 1 {
            pooled += variance(&means);
        }
        let correlation = |lag: usize| 1.0 - (within - autocovariance(lag)) / pooled;

        let mut rho = vec![0.0; self.length];
        let (mut even, mut odd) = (1.0, correlation(1));
        rho[0] = even;
        rho[1] = odd;
        let mut t = 1;
        while t + 3 < self.length && even + odd > 0.0 {
            even = correlation(t + 1);
            odd = correlation(t + 2);
            if even + odd >= 0.0 {
                rho[t + 1] = even;
                rho[t + 2] = odd;
            }
            t += 2;
        }
        // The pairs before `end` are summed; the even lag at `end` is added once where it is
        // positive, which steadies the estimate for antithetic chains.
        let end = t - 1;
        if even > 0.0 {
            rho[end] = even;
        }
        let mut t = 1;
        while t + 3 <= end {
            let previous = rho[t - 1] + rho[t];
            if rho[t + 1] + rho[t + 2] > previous {
                rho[t + 1] = previous / 2.0;
                rho[t + 2] = previous / 2.0;
            }
            t += 2;
        }
        let tau = -1.0 + 2.0 * rho[..end].iter().sum::<f64>() + rho[end];
        total / tau.max(1.0 / total.log10())
    }
}

/// Normal scores of the ranks of all values together, ties at their average rank
/// [vehtari2021, eq. 14].
fn rank_normalise(x: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&i, &j| x[i].total_cmp(&x[j]));
    let mut z = vec![0.0; x.len()];
    let mut start = 0;
    for tied in order.chunk_by(|&i, &j| x[i] == x[j]) {
        let rank = start as f64 + (tied.len() as f64 + 1.0) / 2.0;
        let p = (rank - 0.375) / (x.len() as f64 + 0.25);
        let score = -std::f64::consts::SQRT_2 * erfc_inv(2.0 * p);
        for &i in tied {
            z[i] = score;
        }
        start += tied.len();
    }
    z
}

/// Linear interpolation between order statistics, R's and NumPy's default (type 7).
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let at = p * (sorted.len() - 1) as f64;
    let low = at.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (at - low as f64) * (sorted[high] - sorted[low])
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// Unbiased sample variance.
fn variance(x: &[f64]) -> f64 {
    let m = mean(x);
    x.iter().map(|v| (v - m).powi(2)).sum::<f64>() / (x.len() as f64 - 1.0)
}
