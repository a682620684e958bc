//! Estimates of the family's intractable density `q(u) = E_z N(u; centre(z), σ²)`.
//!
//! Both average over many `z`, the one that a point was drawn with among them. Counting that one,
//! which is sure to be near, overestimates `log q` on average, the less the more there are, so
//! `log p − log q` of the estimate is still a lower bound of the evidence on average
//! ([yin2018, theorem 1]; with a proposal [sobolev2019]).
//!
//! The estimate is more than that: it is the exact density of the point together with its components,
//! each of which may be the one that it was drawn with. So `p/q` of the estimate is an importance weight
//! on that extended space, whose mean is the evidence however few components there are.
//!
//! - **Prior**: the same components for all points. Good while components overlap.
//! - **Regression**: `z` drawn from a Gaussian around its linear regression on `u`. Good in many
//!   dimensions as long as the family is not far from linear.
//!
//! The one in which the points' own `z` weigh less is used.

use faer::linalg::solvers::Solve;
use faer::{Accum, Mat, MatMut, MatRef, Side};
use rand::{RngCore, SeedableRng};

use super::family::{Family, Noise};
use crate::inference::Deadline;
use crate::inference::optimizer::Parameters;
use crate::inference::tape::{Element, Pooled, SharedTape};
use crate::inference::vector::log_sum_exp_parts;
use crate::inference::weights::POOLED_NUMBERS;
use crate::inference::workers::Workers;
use crate::random::{Stream, fill_std_normal};

/// Pairs of `z` and `u` that the regression is fitted to, beyond ten per coefficient.
const PAIRS: usize = 4000;
/// Pairs that are added to its normal equations at once.
const ROWS: usize = 1024;
/// Factor on the standard deviations of the regression's residuals, so that the proposal's tails
/// cover those of the exact conditional.
const WIDEN: f64 = 1.1;
/// Rows that go through the network at once.
const CHUNK: usize = 4096;
/// Points that are compared with all components of the prior at once: those numbers stay in the cache.
const POINTS: usize = 16;
/// Dimensions up to which a point has a twentieth as many proposals as the prior has components; beyond,
/// the network at each costs more, and there are fewer.
const PROPOSALS_IN: usize = 150;
/// Points that say whether proposals are worth it, and the share of their own `z` from which on they are not.
const FEW: usize = 100;
const SAYS_NOTHING: f64 = 0.95;

/// `log q(u)` of points.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DensityEstimate {
    /// The estimates, `[S]`.
    pub(super) log_q: Vec<f64>,
    /// Mean share of a point's own `z` in its average, over the points that have one; near 1 the estimate
    /// says nothing.
    pub(super) own_share: f64,
}

/// The family with everything that the estimates need, in `f64`.
pub(super) struct Marginal<'a, E: Element> {
    pub(super) family: &'a Family,
    pub(super) parameters: &'a Parameters<E>,
    workers: &'a Workers,
    /// After which no estimate comes to an end.
    deadline: &'a Deadline,
    sigma: Vec<f64>,
    /// `log` of the normaliser of `N(·; ·, σ²)`.
    constant: f64,
}

impl<'a, E: Element> Marginal<'a, E> {
    pub(super) fn new(
        family: &'a Family,
        parameters: &'a Parameters<E>,
        workers: &'a Workers,
        deadline: &'a Deadline,
    ) -> Self {
        let sigma = family.sigma(parameters);
        let constant = -sigma.iter().map(|s| s.ln()).sum::<f64>() - half_log_2pi(sigma.len());
        Marginal { family, parameters, workers, deadline, sigma, constant }
    }

    /// `log q` at the points `u: [S, D]`, the first of which were drawn with `z: [R, m]`, from `draws`
    /// components of the prior or, a point, as many proposals as cost no more than a twentieth of that.
    /// What the deadline cuts short is of no use.
    pub(super) fn estimate(
        &self,
        u: &[f64],
        z: &[f64],
        draws: usize,
        rng: &mut Stream,
    ) -> DensityEstimate {
        let draws = draws.min(POOLED_NUMBERS / self.sigma.len()).max(1);
        let prior = self.by_prior(u, z, draws, rng);
        // Below this the regression has nothing to add.
        if prior.own_share < 0.05 {
            return prior;
        }
        let Some(proposal) = self.regress(rng) else { return prior };
        let (d, m) = (self.sigma.len(), self.family.latent());
        let proposals = (draws * PROPOSALS_IN.min(d)).div_ceil(20 * d);
        // The network at all of them costs more than all else, so a few points say first what it brings.
        let few = FEW.min(z.len() / m);
        let pilot = self.by_regression(&proposal, &u[..few * d], &z[..few * m], proposals, rng);
        if pilot.own_share >= prior.own_share.min(SAYS_NOTHING) {
            return prior;
        }
        let other = self.by_regression(&proposal, u, z, proposals, rng);
        if other.own_share < prior.own_share { other } else { prior }
    }

    fn by_prior(&self, u: &[f64], z: &[f64], draws: usize, rng: &mut Stream) -> DensityEstimate {
        let d = self.sigma.len();
        let scaled = |x: &[f64]| -> Vec<f64> {
            x.chunks_exact(d).flat_map(|x| x.iter().zip(&self.sigma).map(|(x, s)| x / s)).collect()
        };
        // A matrix with one more column, which is `last` of each row.
        let wider = |x: &[f64], last: &dyn Fn(&[f64]) -> f64| -> Vec<f64> {
            x.chunks_exact(d).flat_map(|x| x.iter().copied().chain([last(x)])).collect()
        };
        let mut fresh = vec![0.0; (draws + 1) * self.family.latent()];
        fill_std_normal(rng, &mut fresh);
        let (u, own) = (scaled(u), scaled(&self.centres(z)));
        // −½ |u − c|² = (u, 1)ᵀ (c, −½ |c|²) − ½ |u|².
        let half_square = |x: &[f64]| 0.5 * x.iter().map(|x| x * x).sum::<f64>();
        let components = wider(&scaled(&self.centres(&fresh)), &|c| -half_square(c));
        let components = MatRef::from_row_major_slice(&components, draws + 1, d + 1);
        let mut parts: Vec<_> = u.chunks(POINTS * d).zip((0..).step_by(POINTS)).collect();
        let terms = self.workers.each(&mut parts, |(u, first)| {
            let points = u.len() / d;
            let mut logs = Pooled::new(points * (draws + 1));
            f64::product(
                MatMut::from_row_major_slice_mut(&mut logs, points, draws + 1),
                Accum::Replace,
                MatRef::from_row_major_slice(&wider(u, &|_| 1.0), points, d + 1),
                components.transpose(),
            );
            let rows = u.chunks_exact(d).zip(logs.chunks_exact_mut(draws + 1)).zip(*first..);
            rows.map(|((u, logs), point)| {
                let of_u = half_square(u);
                if let Some(own) = own.get(point * d..(point + 1) * d) {
                    logs[0] = half_distance(u, own) + of_u;
                }
                let (mean, share) = log_mean_exp(logs);
                (mean - of_u, share)
            })
            .collect::<Vec<_>>()
        });
        self.collect(terms.into_iter().flatten(), own.len() / d)
    }

    fn by_regression(
        &self,
        proposal: &Proposal,
        u: &[f64],
        z: &[f64],
        draws: usize,
        rng: &mut Stream,
    ) -> DensityEstimate {
        let (d, m) = (self.sigma.len(), self.family.latent());
        // Several points at a time, so that the network sees long batches.
        let points = (CHUNK / (draws + 1)).max(1);
        let own = z.chunks(points * m).map(Some).chain(std::iter::repeat(None));
        let mut parts: Vec<_> = u
            .chunks(points * d)
            .zip(own)
            .map(|(u, own)| (u, own.unwrap_or_default(), Stream::seed_from_u64(rng.next_u64())))
            .collect();
        let terms = self.workers.each(&mut parts, |(u, own, rng)| {
            if self.deadline.refuses() {
                return vec![(f64::NAN, f64::NAN); u.len() / d];
            }
            let (proposed, log_r) = proposal.draw(u, own, draws + 1, rng);
            let centres = self.centres(&proposed);
            let each = |(k, z): (usize, &[f64])| {
                let u = &u[k / (draws + 1) * d..][..d];
                let difference = |((u, c), s): ((&f64, &f64), &f64)| ((u - c) / s).powi(2);
                let pairs = u.iter().zip(&centres[k * d..]).zip(&self.sigma);
                let prior = -0.5 * z.iter().map(|z| z * z).sum::<f64>() - half_log_2pi(m);
                prior - log_r[k] - 0.5 * pairs.map(difference).sum::<f64>()
            };
            let logs: Vec<f64> = proposed.chunks_exact(m).enumerate().map(each).collect();
            logs.chunks_exact(draws + 1).map(log_mean_exp).collect::<Vec<_>>()
        });
        self.collect(terms.into_iter().flatten(), z.len() / m)
    }

    /// From pairs of log average (without the normaliser) and share of the first, which is the point's own
    /// for the first `owners` of them.
    fn collect(&self, terms: impl Iterator<Item = (f64, f64)>, owners: usize) -> DensityEstimate {
        let (log_q, shares): (Vec<f64>, Vec<f64>) =
            terms.map(|(l, share)| (l + self.constant, share)).unzip();
        DensityEstimate { own_share: shares[..owners].iter().sum::<f64>() / owners as f64, log_q }
    }

    fn centres(&self, z: &[f64]) -> Vec<f64> {
        z.chunks(CHUNK * self.family.latent())
            .flat_map(|z| {
                let z: Vec<E> = z.iter().map(|z| E::of(*z)).collect();
                self.family.centres(self.parameters, &z)
            })
            .collect()
    }

    /// Linear regression of `z` on `(1, u)` over simulated pairs; `None` where it is singular, would take
    /// too much memory, or comes too late.
    fn regress(&self, rng: &mut Stream) -> Option<Proposal> {
        let (d, m) = (self.sigma.len(), self.family.latent());
        let n = PAIRS + 10 * (d + 1);
        if n * (d + 1) > POOLED_NUMBERS {
            return None;
        }
        let noise: Noise<E> = Noise::draw(self.family, n, false, rng);
        let (u, _) = self.family.sample(self.parameters, &noise, &SharedTape::off());
        let (u, z) = (u.numbers(), noise.z.numbers());
        let x = Mat::from_fn(n, d + 1, |i, j| if j == 0 { 1.0 } else { u[i * d + j - 1].f64() });
        let y = Mat::from_fn(n, m, |i, j| z[i * m + j].f64());
        let (mut gram, mut along) = (Mat::zeros(d + 1, d + 1), Mat::zeros(d + 1, m));
        for from in (0..n).step_by(ROWS) {
            if self.deadline.refuses() {
                return None;
            }
            let rows = ROWS.min(n - from);
            let (x, y) = (x.subrows(from, rows), y.subrows(from, rows));
            f64::product(gram.as_mut(), Accum::Add, x.transpose(), x);
            f64::product(along.as_mut(), Accum::Add, x.transpose(), y);
        }
        let coefficients = gram.llt(Side::Lower).ok()?.solve(along);
        let residual = y - &x * &coefficients;
        let covariance = residual.transpose() * &residual * faer::Scale(WIDEN * WIDEN / n as f64);
        let factor = covariance.llt(Side::Lower).ok()?;
        let lower = Mat::from_fn(m, m, |i, j| if j <= i { factor.L()[(i, j)] } else { 0.0 });
        let log_det: f64 = (0..m).map(|i| lower[(i, i)].ln()).sum();
        Some(Proposal { coefficients, constant: -log_det - half_log_2pi(m), lower })
    }
}

/// `N(z; coefficientsᵀ (1, u), L Lᵀ)`.
struct Proposal {
    /// `[D + 1, m]`.
    coefficients: Mat<f64>,
    /// `L`, `[m, m]`.
    lower: Mat<f64>,
    constant: f64,
}

impl Proposal {
    /// So many `z` for each of `u: [S, D]`, the first of a point its own from `own: [R, m]`, if it has one, the
    /// others drawn given `u`; and the log density of each.
    fn draw(&self, u: &[f64], own: &[f64], draws: usize, rng: &mut Stream) -> (Vec<f64>, Vec<f64>) {
        let (d, m) = (self.coefficients.nrows() - 1, self.lower.nrows());
        let points = u.len() / d;
        let mut mean = Mat::from_fn(points, m, |_, j| self.coefficients[(0, j)]);
        let u = MatRef::from_row_major_slice(u, points, d);
        f64::product(mean.as_mut(), Accum::Add, u, self.coefficients.subrows(1, d));
        let mut standard = vec![0.0; points * draws * m];
        fill_std_normal(rng, &mut standard);
        // The standardised residual of an own z, by forward substitution.
        for (point, own) in own.chunks_exact(m).enumerate() {
            let residual = &mut standard[point * draws * m..][..m];
            for i in 0..m {
                let known: f64 = (0..i).map(|k| self.lower[(i, k)] * residual[k]).sum();
                residual[i] = (own[i] - mean[(point, i)] - known) / self.lower[(i, i)];
            }
        }
        let log_density = |e: &[f64]| self.constant - 0.5 * e.iter().map(|e| e * e).sum::<f64>();
        let log_r = standard.chunks_exact(m).map(log_density).collect();
        let mut z: Vec<f64> =
            (0..points * draws * m).map(|i| mean[(i / m / draws, i % m)]).collect();
        f64::product(
            MatMut::from_row_major_slice_mut(&mut z, points * draws, m),
            Accum::Add,
            MatRef::from_row_major_slice(&standard, points * draws, m),
            self.lower.transpose(),
        );
        (z, log_r)
    }
}

fn half_log_2pi(d: usize) -> f64 {
    0.5 * d as f64 * (2.0 * std::f64::consts::PI).ln()
}

/// `−½ |a − b|²`.
fn half_distance(a: &[f64], b: &[f64]) -> f64 {
    -0.5 * a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>()
}

/// `log` of the mean of the exponentials, and the share of the first in their sum.
fn log_mean_exp(logs: &[f64]) -> (f64, f64) {
    let (most, sum) = log_sum_exp_parts(logs);
    (most + sum.ln() - (logs.len() as f64).ln(), (logs[0] - most).exp() / sum)
}

#[cfg(test)]
mod tests {
    use super::super::family::FamilySettings;
    use super::*;
    use crate::random::stream;

    /// With its network switched off the family is `N(0, A Aᵀ + σ²)`.
    fn gaussian(latent: usize, dim: usize, parameters: &mut Parameters<f64>) -> Family {
        let settings = FamilySettings {
            latent,
            hidden: vec![4],
            linear: true,
            log_variance: -1.0,
            log_variance_floor: -6.0,
        };
        let family = Family::new(dim, &settings, parameters, 0, &mut stream(1, "marginal test"));
        family.silence(parameters);
        family
    }

    #[test]
    fn both_estimates_agree_with_a_gaussian() {
        let (m, d) = (4, 4);
        let mut parameters = Parameters::default();
        let family = gaussian(m, d, &mut parameters);
        let mut rng = stream(2, "marginal test");
        let noise: Noise<f64> = Noise::draw(&family, 500, false, &mut rng);
        let (u, _) = family.sample(&parameters, &noise, &SharedTape::off());
        let (u, z) = (u.numbers(), noise.z.numbers());
        let (workers, deadline) = (Workers::new(2), Deadline::never());
        let marginal = Marginal::new(&family, &parameters, &workers, &deadline);
        // Latent dimension as large as D: A is √(1 − σ²) I, so u is standard normal.
        let exact: Vec<f64> =
            u.chunks_exact(d).map(|u| half_distance(u, &[0.0; 4]) - half_log_2pi(d)).collect();
        let by_prior = marginal.by_prior(u, z, 4000, &mut rng);
        let proposal = marginal.regress(&mut rng).unwrap();
        let by_regression = marginal.by_regression(&proposal, u, z, 200, &mut rng);
        for (estimate, tolerance) in [(by_prior, 0.05), (by_regression, 0.02)] {
            let error: f64 =
                estimate.log_q.iter().zip(&exact).map(|(a, b)| (a - b).abs()).sum::<f64>() / 500.0;
            assert!(error < tolerance, "{error}");
            assert!(estimate.own_share < 0.1, "{}", estimate.own_share);
        }
    }

    #[test]
    fn regression_serves_many_dimensions_where_the_prior_cannot() {
        let (m, d) = (40, 40);
        let mut parameters = Parameters::default();
        let family = gaussian(m, d, &mut parameters);
        let mut rng = stream(3, "marginal test");
        let noise: Noise<f64> = Noise::draw(&family, 200, false, &mut rng);
        let (u, _) = family.sample(&parameters, &noise, &SharedTape::off());
        let (u, z) = (u.numbers(), noise.z.numbers());
        let (workers, deadline) = (Workers::new(2), Deadline::never());
        let marginal = Marginal::new(&family, &parameters, &workers, &deadline);
        assert!(marginal.by_prior(u, z, 1000, &mut rng).own_share > 0.5);
        let estimate = marginal.estimate(u, z, 1000, &mut rng);
        assert!(estimate.own_share < 0.3, "{}", estimate.own_share);
        let bias: f64 = u
            .chunks_exact(d)
            .zip(&estimate.log_q)
            .map(|(u, q)| q - (half_distance(u, &[0.0; 40]) - half_log_2pi(d)))
            .sum::<f64>()
            / 200.0;
        assert!(bias > -0.1 && bias < 0.3, "{bias}");
    }
}
