//! Importance sampling from a fit, whose proposal is moved to where the weights say if need be.
//!
//! Where the weights of the fit's own draws are too uneven, a Student t takes the fit's place: its mean
//! and covariance are those of the weighted draws, with the weights raised to the power that leaves
//! enough of them in effect; and so on from its draws [cappe2008; koblents2015]. Moments under the
//! weights cover what the fit leaves out, where the evidence lower bound does not, and a few rounds lead
//! from a mode to the mass around it. Whether that has succeeded is for fresh draws from the last
//! proposal to say, as it is for the fit itself.

use super::proposal::{Proposal, Student};
use crate::density::LogDensity;
use crate::inference::Deadline;
use crate::inference::assess::{khat_threshold, psis};
use crate::inference::start::Gaussian;
use crate::random::Stream;

/// Rounds of adaptation at most.
const ROUNDS: usize = 15;
/// Rounds without a better proposal after which there is no more hope.
const PATIENCE: usize = 4;
/// Degrees of freedom of the proposals.
const DEGREES: f64 = 10.0;
/// k-hat and share of the draws that count in full at which a proposal is good enough.
const GOOD: (f64, f64) = (0.5, 0.25);
/// Dimension above which a covariance from weighted draws is not to be had.
const LARGEST: usize = 150;
/// Effective draws for each dimension that moments are taken from.
const FOR_EACH_DIMENSION: f64 = 10.0;

/// Draws with their log density, and how far they are from the proposal's.
#[derive(Default)]
pub(super) struct Pool {
    /// `[S, D]`.
    pub(super) draws: Vec<f64>,
    pub(super) log_p: Vec<f64>,
    pub(super) log_q: Vec<f64>,
}

impl Pool {
    /// Adds `n` draws of the proposal, fewer where the deadline of the (timed) density comes.
    pub(super) fn grow(
        &mut self,
        density: &dyn LogDensity<f64>,
        proposal: &dyn Proposal,
        n: usize,
        deadline: &Deadline,
        rng: &mut Stream,
    ) {
        let mut draws = proposal.draw(n, rng);
        let mut log_p = vec![0.0; n];
        density.log_density(&draws, &mut log_p);
        let answered = deadline.answered(&log_p);
        draws.truncate(answered * density.dim());
        log_p.truncate(answered);
        self.log_q.extend(proposal.log_density(&draws).0);
        self.draws.extend(draws);
        self.log_p.extend(log_p);
    }

    /// `log p − log q`.
    pub(super) fn log_weights(&self) -> Vec<f64> {
        self.log_p.iter().zip(&self.log_q).map(|(p, q)| p - q).collect()
    }

    /// k-hat of the weights and the number of draws that they leave in effect.
    pub(super) fn quality(&self) -> (f64, f64) {
        let smoothed = psis(&self.log_weights());
        let squares: f64 = smoothed.log_weights.iter().map(|w| (2.0 * w).exp()).sum();
        let effective = if smoothed.khat.is_finite() { squares.recip() } else { 0.0 };
        (smoothed.khat, effective)
    }
}

/// What came of an attempt to move the proposal.
pub(super) struct Adapted {
    pub(super) proposal: Student,
    pub(super) rounds: usize,
}

/// Whether a proposal with that quality needs no better one.
pub(super) fn is_good((khat, effective): (f64, f64), draws: usize) -> bool {
    khat <= GOOD.0.min(khat_threshold(draws)) && effective >= GOOD.1 * draws as f64
}

/// The best proposal found from the weighted draws of `pool` on; `None` where none is better than the
/// pool's own. `go_on` is asked before each round; one that the deadline cuts short does not count.
pub(super) fn adapt(
    density: &dyn LogDensity<f64>,
    pool: &Pool,
    deadline: &Deadline,
    rng: &mut Stream,
    mut go_on: impl FnMut(usize, usize) -> bool,
) -> Option<Adapted> {
    let d = density.dim();
    if d > LARGEST {
        return None;
    }
    let n = (200 * d).clamp(2000, 10_000);
    // Weights that cannot be trusted may look more even than those that can.
    let rank =
        |(khat, effective): (f64, f64), n: usize| (khat <= khat_threshold(n), effective / n as f64);
    let mut best = rank(pool.quality(), pool.log_p.len());
    let (mut now, mut found, mut since) = (None, None, 0);
    for round in 1..=ROUNDS {
        if !go_on(round - 1, ROUNDS) || since == PATIENCE {
            break;
        }
        let Some(gaussian) = tempered_moments(now.as_ref().unwrap_or(pool), d) else { break };
        let proposal = Student { gaussian, degrees: DEGREES };
        let mut next = Pool::default();
        next.grow(density, &proposal, n, deadline, rng);
        if deadline.has_cut() {
            break;
        }
        let quality = next.quality();
        now = Some(next);
        since += 1;
        if rank(quality, n) > best {
            best = rank(quality, n);
            found = Some(Adapted { proposal, rounds: round });
            since = 0;
        }
        if is_good(quality, n) {
            break;
        }
    }
    found
}

/// Mean and covariance of the draws under their weights, raised to the largest power up to 1 that
/// leaves enough of them in effect.
fn tempered_moments(pool: &Pool, d: usize) -> Option<Gaussian> {
    let log_weights = pool.log_weights();
    let usable = |w: &f64| if w.is_nan() { f64::NEG_INFINITY } else { *w };
    let highest = log_weights.iter().map(usable).fold(f64::NEG_INFINITY, f64::max);
    if !highest.is_finite() {
        return None;
    }
    let relative: Vec<f64> = log_weights.iter().map(|w| usable(w) - highest).collect();
    let wanted = (FOR_EACH_DIMENSION * d as f64).max(0.05 * relative.len() as f64);
    let powered = |power: f64| -> (Vec<f64>, f64) {
        let w: Vec<f64> = relative.iter().map(|w| (power * w).exp()).collect();
        let (sum, squares) = w.iter().fold((0.0, 0.0), |(s, q), w| (s + w, q + w * w));
        (w.iter().map(|w| w / sum).collect(), sum * sum / squares)
    };
    let (mut low, mut high) = (0.0, 1.0);
    let (mut weights, effective) = powered(1.0);
    if effective < wanted {
        for _ in 0..30 {
            let middle = 0.5 * (low + high);
            let (tried, effective) = powered(middle);
            if effective < wanted {
                high = middle;
            } else {
                low = middle;
                weights = tried;
            }
        }
    }
    Gaussian::of_weighted(&pool.draws, &weights, d)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::Residuals;
    use crate::random::stream;

    /// N((30, 0), [[1, 0.9], [0.9, 1]]), up to its normaliser.
    struct Elsewhere;

    impl LogDensity<f64> for Elsewhere {
        fn dim(&self) -> usize {
            2
        }
        fn log_density(&self, z: &[f64], log_p: &mut [f64]) {
            for (z, l) in z.chunks_exact(2).zip(log_p) {
                let (a, b) = (z[0] - 30.0, z[1]);
                *l = -0.5 * (a * a - 1.8 * a * b + b * b) / 0.19;
            }
        }
        fn score(&self, z: &[f64], log_p: &mut [f64], score: &mut [f64]) {
            self.log_density(z, log_p);
            score.fill(f64::NAN);
        }
        fn hvp(&self, _: &Residuals<f64>, _: &[f64], out: &mut [f64]) {
            out.fill(f64::NAN);
        }
    }

    #[test]
    fn a_proposal_is_moved_to_a_posterior_far_away() {
        let mut rng = stream(1, "importance test");
        let never = Deadline::never();
        let first = Gaussian { mean: vec![0.0; 2], sd: vec![3.0; 2], factor: None };
        let mut pool = Pool::default();
        pool.grow(&Elsewhere, &first, 4000, &never, &mut rng);
        assert!(!is_good(pool.quality(), 4000));
        let adapted = adapt(&Elsewhere, &pool, &never, &mut rng, |_, _| true).unwrap();
        let g = &adapted.proposal.gaussian;
        assert!((g.mean[0] - 30.0).abs() < 0.2 && g.mean[1].abs() < 0.2, "{g:?}");
        let mut pool = Pool::default();
        pool.grow(&Elsewhere, &adapted.proposal, 8000, &never, &mut rng);
        assert!(is_good(pool.quality(), 8000), "{:?}", pool.quality());
        // The evidence: 2π √0.19.
        let log_z = crate::inference::weights::log_mean_weight(&pool.log_weights());
        let exact = (2.0 * std::f64::consts::PI * 0.19_f64.sqrt()).ln();
        assert!((log_z - exact).abs() < 0.05, "{log_z} {exact}");
    }

    #[test]
    fn asked_to_stop_it_changes_nothing() {
        let mut rng = stream(1, "importance test");
        let never = Deadline::never();
        let first = Gaussian { mean: vec![0.0; 2], sd: vec![3.0; 2], factor: None };
        let mut pool = Pool::default();
        pool.grow(&Elsewhere, &first, 500, &never, &mut rng);
        assert!(adapt(&Elsewhere, &pool, &never, &mut rng, |_, _| false).is_none());
    }
}
