//! Checks that add up to a verdict.
//!
//! Each check adds one sentence and a level; the worst level wins, and the reasons come out worst
//! first. A fit with no check passed is doubtful, never ok.

use super::psis::khat_threshold;
use crate::inference::train::Stop;
use crate::inference::{Khat, KhatKind, Verdict, VerdictLevel};

/// Iterations below which no stochastic optimisation is called trained.
pub const FEWEST_ITERATIONS: usize = 500;
/// Transitions below which no warm-up is called adapted: the phases of Stan's default schedule need
/// as many.
const FEWEST_WARMUP: usize = 150;

/// Collects checks; [`verdict`](Self::verdict) ends it.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    reasons: Vec<(VerdictLevel, String)>,
}

impl Checks {
    /// No check made yet.
    #[must_use]
    pub fn new() -> Self {
        Checks::default()
    }

    /// Adds a check's outcome; `reason` is a full sentence.
    pub fn add(&mut self, level: VerdictLevel, reason: impl Into<String>) {
        self.reasons.push((level, reason.into()));
    }

    /// Says how the log densities behind the checks were estimated, if they were.
    pub fn estimated(&mut self, how: Option<String>) {
        if let Some(how) = how {
            self.add(VerdictLevel::Ok, how);
        }
    }

    /// The worst level so far; `Doubtful` when nothing was checked.
    #[must_use]
    pub fn level(&self) -> VerdictLevel {
        self.reasons.iter().map(|r| r.0).max().unwrap_or(VerdictLevel::Doubtful)
    }

    /// Judges a k-hat from `draws` weights \[vehtari2024\].
    ///
    /// Exact weights fail above 1, where their mean is infinite. Weights of augmented paths bound
    /// the marginal ones from above and estimated weights are noisy, so these only raise doubt.
    pub fn khat(&mut self, khat: Khat, draws: usize) {
        let limit = khat_threshold(draws);
        let of = match khat.kind {
            KhatKind::Exact => "the importance weights",
            KhatKind::Augmented => {
                "the weights of whole paths, an upper bound on the draws' own difficulty,"
            }
            KhatKind::Estimated => "the importance weights, with the fit's density estimated,",
        };
        let value = khat.value;
        if value <= limit {
            self.add(
                VerdictLevel::Ok,
                format!("Pareto k-hat of {of} is {value:.2}, at most {limit:.2}."),
            );
        } else if value > 1.0 && khat.kind == KhatKind::Exact {
            self.add(
                VerdictLevel::Failed,
                format!(
                    "Pareto k-hat of {of} is {value:.2}: above 1 the fit misses so much of the \
                     posterior that its weights have no mean."
                ),
            );
        } else {
            self.add(
                VerdictLevel::Doubtful,
                format!(
                    "Pareto k-hat of {of} is {value:.2}, above {limit:.2}: the fit differs from \
                     the posterior, most likely in the tails."
                ),
            );
        }
    }

    /// Judges whether an objective had settled; `unit` names what `values` are measured in.
    ///
    /// A change of the mean from the third to the fourth quarter within `tolerance` or within
    /// twice its standard error counts as settled; ten tolerances beyond noise count as failed.
    pub fn settled(&mut self, name: &str, values: &[f64], tolerance: f64, unit: &str) {
        let Some(trend) = Trend::of(values) else {
            self.add(
                VerdictLevel::Doubtful,
                format!("Training was too short to tell whether the {name} has settled."),
            );
            return;
        };
        let change = trend.change.abs();
        if change.is_nan() {
            self.add(VerdictLevel::Failed, format!("The {name} is not a number at times."));
        } else if change <= tolerance.max(2.0 * trend.se) {
            self.add(
                VerdictLevel::Ok,
                format!(
                    "The {name} has settled: it changed by {:.2} {unit} over the last quarter of \
                     training.",
                    trend.change
                ),
            );
        } else {
            let level = if change > 10.0 * tolerance {
                VerdictLevel::Failed
            } else {
                VerdictLevel::Doubtful
            };
            self.add(
                level,
                format!(
                    "The {name} was still changing, by {:.2} {unit} over the last quarter of \
                     training.",
                    trend.change
                ),
            );
        }
    }

    /// Says so where fewer iterations were run than any training takes: a stochastic objective that has
    /// hardly moved yet looks as settled as one that has arrived.
    pub fn trained(&mut self, iterations: usize) {
        if iterations < FEWEST_ITERATIONS {
            self.add(
                VerdictLevel::Doubtful,
                format!(
                    "Only {iterations} iterations were run; fewer than {FEWEST_ITERATIONS} are not \
                     training."
                ),
            );
        }
    }

    /// Says so where chains had less warm-up than step size and mass matrix take to adapt.
    pub fn warmed_up(&mut self, transitions: usize) {
        if transitions < FEWEST_WARMUP {
            self.add(
                VerdictLevel::Doubtful,
                format!(
                    "The warm-up of {transitions} transitions is too short to adapt step size and \
                     mass matrix, which takes at least {FEWEST_WARMUP}."
                ),
            );
        }
    }

    /// Judges chains [vehtari2021; betancourt2016].
    pub fn chains(&mut self, health: &ChainHealth) {
        use VerdictLevel::{Doubtful, Failed, Ok};
        let ChainHealth { chains, draws, rhat, ess, divergences, at_max_depth, e_bfmi } = *health;
        let level = if rhat <= 1.01 {
            Ok
        } else if rhat <= 1.05 {
            Doubtful
        } else {
            Failed
        };
        self.add(
            level,
            match level {
                Ok => format!("R-hat is at most {rhat:.3}: the chains agree."),
                _ => format!("R-hat reaches {rhat:.3}, above 1.01: the chains disagree."),
            },
        );
        let wanted = 100 * chains;
        let (enough, share) = (ess >= wanted as f64, divergences as f64 / draws.max(1) as f64);
        self.add(
            if enough { Ok } else { Doubtful },
            format!(
                "The smallest effective sample size is {ess:.0} {} {wanted} (100 a chain).",
                if enough { "and reaches" } else { "of the wanted" }
            ),
        );
        if divergences > 0 {
            self.add(
                if share > 0.05 { Failed } else { Doubtful },
                format!(
                    "{divergences} of {draws} transitions diverged: the sampler could not follow \
                     the density there, and draws near such places are missing."
                ),
            );
        } else {
            self.add(Ok, "No transition diverged.");
        }
        if at_max_depth > draws / 20 {
            self.add(
                Doubtful,
                format!(
                    "{at_max_depth} of {draws} transitions were cut at the largest tree depth."
                ),
            );
        }
        if e_bfmi >= 0.3 {
            self.add(Ok, format!("E-BFMI is at least {e_bfmi:.2}."));
        } else {
            self.add(
                Doubtful,
                format!(
                    "E-BFMI is {e_bfmi:.2}, below 0.3: the chains move slowly between energies, \
                     so tails are poorly explored."
                ),
            );
        }
    }

    /// Says so where the user or the clock ended the run before it was done: at best doubtful.
    pub fn stopped(&mut self, stop: Stop) {
        match stop {
            Stop::Interrupted => {
                self.add(VerdictLevel::Doubtful, "The run was interrupted before it was done.");
            }
            Stop::TimeLimit => self
                .add(VerdictLevel::Doubtful, "The time limit was reached before the run was done."),
            Stop::Iterations | Stop::Converged => {}
        }
    }

    /// Says so where there are fewer draws than were asked for.
    pub fn drawn(&mut self, draws: usize, wanted: usize) {
        if draws < wanted {
            self.add(
                VerdictLevel::Doubtful,
                format!("There was time for {draws} of the {wanted} draws asked for."),
            );
        }
    }

    /// The verdict, with reasons worst first; `next` is dropped when all is well.
    #[must_use]
    pub fn verdict(mut self, next: Option<&str>) -> Verdict {
        let level = self.level();
        if self.reasons.is_empty() {
            self.add(level, "No check could be made.");
        }
        self.reasons.sort_by_key(|r| std::cmp::Reverse(r.0));
        Verdict {
            level,
            reasons: self.reasons.into_iter().map(|r| r.1).collect(),
            next: if level == VerdictLevel::Ok { None } else { next.map(str::to_owned) },
        }
    }
}

/// What is to be judged about a set of chains: the worst value over all scalars or chains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChainHealth {
    /// Number of chains.
    pub chains: usize,
    /// Draws over all chains.
    pub draws: usize,
    /// Largest R-hat.
    pub rhat: f64,
    /// Smallest bulk or tail effective sample size.
    pub ess: f64,
    /// Divergent transitions after warm-up.
    pub divergences: usize,
    /// Transitions cut at the largest tree depth.
    pub at_max_depth: usize,
    /// Smallest E-BFMI.
    pub e_bfmi: f64,
}

/// How a noisy sequence moved at its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Mean of the fourth quarter less that of the third.
    pub change: f64,
    /// Standard error of that change, from the means of ten blocks in each quarter.
    pub se: f64,
}

impl Trend {
    /// The trend of at least 80 values (two in each block); `None` for fewer.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Trend> {
        const BLOCKS: usize = 10;
        let quarter = values.len() / 4;
        let block = quarter / BLOCKS;
        if block < 2 {
            return None;
        }
        let n = values.len();
        let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
        let moments = |x: &[f64]| {
            let blocks: Vec<f64> = x.chunks_exact(block).take(BLOCKS).map(mean).collect();
            let m = mean(&blocks);
            let v = blocks.iter().map(|b| (b - m).powi(2)).sum::<f64>()
                / (BLOCKS * (BLOCKS - 1)) as f64;
            (m, v)
        };
        let (before, v0) = moments(&values[n - 2 * quarter..n - quarter]);
        let (after, v1) = moments(&values[n - quarter..]);
        Some(Trend { change: after - before, se: (v0 + v1).sqrt() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_decides_and_comes_first() {
        let mut checks = Checks::new();
        checks.khat(Khat { value: 0.3, kind: KhatKind::Exact }, 4000);
        assert_eq!(checks.level(), VerdictLevel::Ok);
        checks.khat(Khat { value: 1.3, kind: KhatKind::Augmented }, 4000);
        assert_eq!(checks.level(), VerdictLevel::Doubtful);
        checks.khat(Khat { value: 1.3, kind: KhatKind::Exact }, 4000);
        let verdict = checks.verdict(Some("--infer nuts"));
        assert_eq!(verdict.level, VerdictLevel::Failed);
        assert!(verdict.reasons[0].contains("above 1"), "{:?}", verdict.reasons);
        assert_eq!(verdict.next.as_deref(), Some("--infer nuts"));
    }

    #[test]
    fn nothing_checked_is_never_ok() {
        assert_eq!(Checks::new().verdict(None).level, VerdictLevel::Doubtful);
        let mut checks = Checks::new();
        checks.khat(Khat { value: f64::NAN, kind: KhatKind::Estimated }, 4000);
        assert_eq!(checks.level(), VerdictLevel::Doubtful);
    }

    #[test]
    fn a_slope_is_seen_through_noise_and_noise_is_not_a_slope() {
        let noise = |i: i32| f64::from(i * 7919 % 101) / 101.0;
        let flat: Vec<f64> = (0..800).map(noise).collect();
        let rising: Vec<f64> = (0..800).map(|i| noise(i) + f64::from(i) * 0.02).collect();
        let mut checks = Checks::new();
        checks.settled("ELBO", &flat, 0.1, "nats");
        assert_eq!(checks.level(), VerdictLevel::Ok);
        checks.settled("ELBO", &rising, 1.0, "nats");
        assert_eq!(checks.level(), VerdictLevel::Doubtful);
        checks.settled("ELBO", &rising, 0.1, "nats");
        assert_eq!(checks.level(), VerdictLevel::Failed);
        assert!(Trend::of(&flat[..50]).is_none());
        let slope = Trend::of(&rising).expect("long enough");
        assert!((slope.change - 4.0).abs() < 0.3, "{slope:?}");
    }
}
