//! What log importance weights say about a fit: evidence bounds, k-hat, shifted moments; and draws
//! resampled by them.

use rand::{Rng, RngCore};

use super::assess::{Checks, khat_threshold, psis};
use super::{Evidence, Khat, KhatKind, VerdictLevel};
use crate::density::Scalars;

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

/// Draws behind each value of [`Evidence::iwae`].
pub const IWAE_DRAWS: usize = 10;

/// What log importance weights say of the log evidence; `None` where they are not finite.
#[must_use]
pub fn evidence(log_weights: &[f64]) -> Option<Evidence> {
    let value = log_mean_weight(log_weights);
    let n = log_weights.len() as f64;
    // The delta method: the relative standard error of the mean weight.
    let spread: f64 = log_weights.iter().map(|w| ((w - value).exp() - 1.0).powi(2)).sum();
    let groups: Vec<f64> = log_weights.chunks_exact(IWAE_DRAWS).map(log_mean_weight).collect();
    let evidence = Evidence { value, se: spread.sqrt() / n, iwae: lower_bound(&groups) };
    (value.is_finite() && evidence.iwae.0.is_finite()).then_some(evidence)
}

/// Whether the final draws are resampled by their smoothed importance weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resample {
    /// Never: the draws are the fit's own.
    Never,
    /// Where the weights can be trusted: k-hat within its limit and enough of them that count.
    Auto,
    /// Always.
    Always,
}

impl std::str::FromStr for Resample {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Resample::Auto),
            "true" => Ok(Resample::Always),
            "false" => Ok(Resample::Never),
            _ => Err(()),
        }
    }
}

impl Resample {
    /// How many draws to weigh so that `draws` remain: weights waste some. Bounded in memory.
    #[must_use]
    pub fn pool(self, draws: usize, dim: usize) -> usize {
        let affordable = POOLED_NUMBERS / dim.max(1);
        if self == Resample::Never { draws } else { draws.max((2 * draws).min(affordable)) }
    }
}

/// Numbers (draws times dimension) that a pool may take up.
pub(super) const POOLED_NUMBERS: usize = 20_000_000;
/// Largest standard error that the weights may leave in a mean or a standard deviation, in sd.
const LARGEST_ERROR: f64 = 0.05;
/// The standard deviation of a heavy-tailed parameter is known less well from any number of draws; the
/// weights may leave it the error that this many independent ones would.
const INDEPENDENT: f64 = 4000.0;
/// Share of what is allowed below which standard errors are small: more draws are not needed.
const AMPLE: f64 = 0.6;
/// Share of what is allowed up to which a standard error may go that is itself known badly.
const CAUTIOUS: f64 = 0.75;
/// Effective number of weighted draws below which they are not trusted to replace plain ones.
const FEWEST_EFFECTIVE: f64 = 400.0;

/// Share of the draws in effect above which the tail of the weights cannot matter: no mean is moved by a
/// tenth of its sd, and k-hat is that of rounding or of noise in an estimated density.
const HARDLY_VARY: f64 = 0.99;

/// What the weights of a fit's draws say.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// Pareto shape of the weights.
    pub khat: Khat,
    /// Which of the weighed draws are to be handed out, in order; repeated where resampled.
    pub chosen: Vec<usize>,
    /// Whether they were chosen by their weights, which makes them draws of the density itself.
    pub resampled: bool,
}

impl Judgement {
    /// The chosen rows of `draws: [S, D]` and entries of `log_p: [S]`.
    #[must_use]
    pub fn select(&self, draws: &[f64], log_p: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let d = draws.len() / log_p.len().max(1);
        let rows = self.chosen.iter().flat_map(|i| &draws[i * d..(i + 1) * d]);
        (rows.copied().collect(), self.chosen.iter().map(|i| log_p[*i]).collect())
    }
}

/// Adds to `checks` what the weights of draws say, and chooses `wanted` of the draws, whose `parameters`
/// these are.
///
/// Beyond k-hat itself: while the smoothed weights can be trusted, weighted means and standard
/// deviations are better than plain ones. A difference between them is an error of the fit; resampled,
/// the draws have none but the weights' own, whose standard error says whether there are enough.
pub fn judge(
    checks: &mut Checks,
    log_weights: &[f64],
    parameters: &Scalars,
    kind: KhatKind,
    resample: Resample,
    wanted: usize,
    rng: &mut impl RngCore,
) -> Judgement {
    let smoothed = psis(log_weights);
    let khat = Khat { value: smoothed.khat, kind };
    let plain = || (0..wanted.min(log_weights.len())).collect();
    if log_weights.is_empty() {
        checks.add(VerdictLevel::Doubtful, "There was no time left to weigh the draws.");
        return Judgement { khat, chosen: Vec::new(), resampled: false };
    }
    if khat.value.is_nan() || khat.value == f64::INFINITY {
        checks.khat(khat, log_weights.len());
        return Judgement { khat, chosen: plain(), resampled: false };
    }
    let weights: Vec<f64> = smoothed.log_weights.iter().map(|w| w.exp()).collect();
    let effective = weights.iter().map(|w| w * w).sum::<f64>().recip();
    let in_effect = effective / log_weights.len() as f64;
    let even = in_effect >= HARDLY_VARY;
    if even && khat.value > khat_threshold(log_weights.len()) {
        checks.add(
            VerdictLevel::Ok,
            format!(
                "Importance weights hardly vary: {:.1} % of the draws are in effect.",
                100.0 * in_effect
            ),
        );
    } else {
        checks.khat(khat, log_weights.len());
    }
    let trusted = even || khat.value <= khat_threshold(log_weights.len());
    let resampled = match resample {
        Resample::Never => false,
        Resample::Auto => trusted && effective >= FEWEST_EFFECTIVE,
        Resample::Always => true,
    };
    if resampled && trusted {
        Errors::of(parameters, &weights).judge(checks, effective, &parameters.names);
        judge_squares(checks, log_weights, &weights, parameters);
    } else if trusted {
        Shifts::of(parameters, &weights).judge(checks, effective, &parameters.names);
    } else if resampled {
        checks.add(
            VerdictLevel::Doubtful,
            "The draws are resampled by importance weights that cannot be trusted.",
        );
    }
    let chosen = if resampled { systematic(&weights, wanted, rng) } else { plain() };
    Judgement { khat, chosen, resampled }
}

/// Systematic resampling: one uniform offset, evenly spaced positions on the cumulative weights.
///
/// Equal draws stand together, so that an effective sample size counts them for what they are.
fn systematic(weights: &[f64], wanted: usize, rng: &mut impl RngCore) -> Vec<usize> {
    let offset: f64 = rng.r#gen();
    let (mut i, mut cumulative) = (0, weights[0]);
    let positions = (0..wanted).map(|s| (s as f64 + offset) / wanted as f64);
    positions
        .map(|position| {
            while cumulative < position && i + 1 < weights.len() {
                i += 1;
                cumulative += weights[i];
            }
            i
        })
        .collect()
}

/// The largest differences between weighted and plain moments, and the parameters that have them.
struct Shifts {
    /// Of means, in weighted standard deviations.
    mean: (f64, usize),
    /// Plain standard deviation over weighted one.
    sd: (f64, usize),
}

impl Shifts {
    fn of(of: &Scalars, weights: &[f64]) -> Shifts {
        let flat = vec![1.0 / weights.len() as f64; weights.len()];
        let mut shifts = Shifts { mean: (0.0, 0), sd: (1.0, 0) };
        for j in 0..of.names.len() {
            let column = || of.values.iter().skip(j).step_by(of.names.len());
            let ((mean, sd), (plain, plain_sd)) =
                (moments(column(), weights), moments(column(), &flat));
            if is_fixed(mean, sd) {
                continue;
            }
            let moved = (plain - mean).abs() / sd;
            if moved > shifts.mean.0 {
                shifts.mean = (moved, j);
            }
            let ratio: f64 = plain_sd / sd;
            if ratio.ln().abs() > shifts.sd.0.ln().abs() {
                shifts.sd = (ratio, j);
            }
        }
        shifts
    }

    fn judge(&self, checks: &mut Checks, effective: f64, names: &[String]) {
        let ((moved, where_mean), (factor, where_sd)) = (self.mean, self.sd);
        let log_factor = factor.ln().abs();
        let percent = 100.0 * (log_factor.exp() - 1.0);
        let noise = effective.sqrt().recip();
        let (mean_good, sd_good) = (moved <= 0.1 + noise, log_factor <= 0.15 + noise);
        if mean_good && sd_good {
            checks.add(
                VerdictLevel::Ok,
                format!(
                    "Importance weights confirm means (within {moved:.2} sd) and standard \
                     deviations (within {percent:.0} %)."
                ),
            );
        }
        if !mean_good {
            checks.add(
                VerdictLevel::Doubtful,
                format!(
                    "Importance weights put the mean of {} {moved:.2} sd elsewhere.",
                    names[where_mean]
                ),
            );
        }
        if !sd_good {
            checks.add(
                VerdictLevel::Doubtful,
                format!(
                    "Importance weights put the standard deviation of {} at {:.2} times that of the \
                     draws.",
                    names[where_sd],
                    1.0 / factor
                ),
            );
        }
    }
}

/// Whether so many draws count in full under the smoothed log weights, and leave standard errors well
/// below what a verdict of ok takes.
#[must_use]
pub(super) fn suffice(parameters: &Scalars, log_weights: &[f64], effective: f64) -> bool {
    let weights: Vec<f64> = log_weights.iter().map(|w| w.exp()).collect();
    let kish = weights.iter().map(|w| w * w).sum::<f64>().recip();
    if kish < effective {
        return false;
    }
    let errors = Errors::of(parameters, &weights);
    errors.mean.0 <= AMPLE * LARGEST_ERROR && errors.excess <= AMPLE
}

/// Standard errors that the weights leave in the moments of one parameter.
struct StandardError {
    /// Of the mean, in weighted standard deviations.
    mean: f64,
    /// Of the standard deviation, relative.
    sd: f64,
    /// That as a share of what is allowed of it.
    excess: f64,
}

impl StandardError {
    /// Those of a ratio of weighted sums, by the delta method [owen2013, sec. 9.2]; none where the parameter
    /// does not vary.
    fn of(of: &Scalars, parameter: usize, weights: &[f64]) -> Option<Self> {
        let column = || of.values.iter().skip(parameter).step_by(of.names.len());
        let (mean, sd) = moments(column(), weights);
        if is_fixed(mean, sd) {
            return None;
        }
        let (mut first, mut second, mut spread) = (0.0, 0.0, 0.0);
        for (x, w) in column().zip(weights) {
            let off = (x - mean) / sd;
            let square = (off * off - 1.0).powi(2);
            first += (w * off).powi(2);
            second += w * w * square;
            spread += w * square;
        }
        let error = 0.5 * second.sqrt();
        let allowed = LARGEST_ERROR.max(0.5 * (spread / INDEPENDENT).sqrt());
        Some(StandardError { mean: first.sqrt(), sd: error, excess: error / allowed })
    }
}

/// The largest standard errors that the weights leave, and the parameters that have them.
struct Errors {
    /// Of means, in weighted standard deviations.
    mean: (f64, usize),
    /// Of standard deviations, relative: the one that most exceeds what is allowed of it.
    sd: (f64, usize),
    /// That error as a share of what is allowed.
    excess: f64,
}

impl Errors {
    fn of(of: &Scalars, weights: &[f64]) -> Errors {
        let mut errors = Errors { mean: (0.0, 0), sd: (0.0, 0), excess: 0.0 };
        for j in 0..of.names.len() {
            let Some(error) = StandardError::of(of, j, weights) else { continue };
            if error.mean.is_nan() || error.mean > errors.mean.0 {
                errors.mean = (error.mean, j);
            }
            if error.excess.is_nan() || error.excess > errors.excess {
                (errors.sd, errors.excess) = ((error.sd, j), error.excess);
            }
        }
        errors
    }

    fn judge(&self, checks: &mut Checks, effective: f64, names: &[String]) {
        let ((mean, where_mean), (sd, where_sd)) = (self.mean, self.sd);
        if mean <= LARGEST_ERROR && self.excess <= 1.0 {
            checks.add(
                VerdictLevel::Ok,
                format!(
                    "The draws are resampled by their importance weights ({effective:.0} count in \
                     full), which leaves standard errors of {mean:.3} sd in means and {:.1} % in \
                     standard deviations.",
                    100.0 * sd
                ),
            );
            return;
        }
        let (what, error, j) =
            if self.excess <= 1.0 { ("mean", mean, where_mean) } else { ("sd", sd, where_sd) };
        checks.add(
            VerdictLevel::Doubtful,
            format!(
                "The draws are resampled by their importance weights, of which {effective:.0} count \
                 in full: too few for the {what} of {}, which may be off by {:.2} sd.",
                names[j],
                2.0 * error
            ),
        );
    }
}

/// Adds to `checks` where the squares that make up a standard deviation have, weighted, so heavy a tail that
/// so many draws do not tell its standard error, unless that is small.
///
/// The number of draws that a Pareto shape takes, `10^(1/(1 − k))`, is [vehtari2024, eq. 13], of products
/// of weights and a function as of weights alone.
fn judge_squares(checks: &mut Checks, log_weights: &[f64], weights: &[f64], of: &Scalars) {
    let limit = 1.0 - (log_weights.len() as f64).log10().recip();
    let heavy = (0..of.names.len()).filter_map(|j| {
        let error = StandardError::of(of, j, weights).filter(|e| e.excess > CAUTIOUS)?;
        let column = || of.values.iter().skip(j).step_by(of.names.len());
        let (mean, _) = moments(column(), weights);
        let log_square = |(x, w): (&f64, &f64)| w + 2.0 * (x - mean).abs().ln();
        let khat = psis(&column().zip(log_weights).map(log_square).collect::<Vec<_>>()).khat;
        (khat > limit).then_some((khat, error.sd, j))
    });
    if let Some((khat, error, j)) = heavy.max_by(|a, b| a.0.total_cmp(&b.0)) {
        checks.add(
            VerdictLevel::Doubtful,
            format!(
                "The standard deviation of {} rests on few draws: its weighted squares have a Pareto \
                 k-hat of {khat:.2}, above {limit:.2}, so that its standard error of {:.1} % may be \
                 too small.",
                of.names[j],
                100.0 * error
            ),
        );
    }
}

/// Whether a number does not vary but for rounding, as the corner of a Cholesky factor of correlations.
fn is_fixed(mean: f64, sd: f64) -> bool {
    sd <= 1e-12 * mean.abs()
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

    #[test]
    fn the_evidence_of_normal_log_weights_is_known() {
        // log w ~ N(0, 0.5²): log E w = 1/8, and Var w / (E w)² = e^(1/4) − 1.
        let mut rng = crate::random::stream(3, "evidence test");
        let mut weights = vec![0.0; 40_000];
        crate::random::fill_std_normal(&mut rng, &mut weights);
        weights.iter_mut().for_each(|w| *w *= 0.5);
        let evidence = evidence(&weights).unwrap();
        let se = (0.25_f64.exp_m1() / 40_000.0).sqrt();
        assert!((evidence.value - 0.125).abs() < 4.0 * se, "{evidence:?}");
        assert!((evidence.se / se - 1.0).abs() < 0.1, "{evidence:?}");
        // Ten draws lose about half of the relative variance of their mean.
        let iwae = 0.125 - 0.5 * 0.25_f64.exp_m1() / 10.0;
        assert!((evidence.iwae.0 - iwae).abs() < 4.0 * evidence.iwae.1 + 1e-3, "{evidence:?}");
        assert!(super::evidence(&[f64::NEG_INFINITY; 20]).is_none());
    }

    #[test]
    fn systematic_resampling_repeats_draws_by_their_weight() {
        let mut rng = crate::random::stream(1, "resampling test");
        let chosen = systematic(&[0.5, 0.0, 0.25, 0.25], 400, &mut rng);
        let count = |i| chosen.iter().filter(|c| **c == i).count();
        assert_eq!((count(0), count(1), count(2), count(3)), (200, 0, 100, 100));
        assert!(chosen.is_sorted());
    }

    /// Draws of N(0, sd²), their weights towards N(0, 1), and what comes of them.
    fn judged(sd: f64, resample: Resample) -> (VerdictLevel, Khat, f64) {
        judged_as(sd, resample, |x| x)
    }

    /// The same with a parameter that is that function of the draws.
    fn judged_as(
        sd: f64,
        resample: Resample,
        parameter: fn(f64) -> f64,
    ) -> (VerdictLevel, Khat, f64) {
        let mut rng = crate::random::stream(2, "resampling test");
        let mut draws = vec![0.0; 8000];
        crate::random::fill_std_normal(&mut rng, &mut draws);
        draws.iter_mut().for_each(|x| *x *= sd);
        let weights: Vec<f64> =
            draws.iter().map(|x| -0.5 * x * x * (1.0 - sd.powi(-2)) + sd.ln()).collect();
        let mut checks = Checks::new();
        let exact = KhatKind::Exact;
        let parameters = Scalars {
            names: vec!["x".into()],
            values: draws.iter().map(|x| parameter(*x)).collect(),
        };
        let said = judge(&mut checks, &weights, &parameters, exact, resample, 4000, &mut rng);
        let chosen: Vec<f64> = said.chosen.iter().map(|i| draws[*i]).collect();
        assert_eq!(chosen.len(), 4000);
        let (_, sd) = moments(chosen.iter(), &[1.0 / 4000.0; 4000]);
        (checks.level(), said.khat, sd)
    }

    #[test]
    fn resampling_mends_what_the_weights_can_and_says_what_they_cannot() {
        use VerdictLevel::{Doubtful, Ok};
        // 20 % too wide: the weights are bounded and mend it.
        let (level, _, sd) = judged(1.2, Resample::Auto);
        assert!(level == Ok && (sd - 1.0).abs() < 0.04, "{level:?} {sd}");
        let (level, _, sd) = judged(1.2, Resample::Never);
        assert!(level == Doubtful && (sd - 1.2).abs() < 0.05, "{level:?} {sd}");
        // Half as wide: k-hat is 0.75, so the draws stay as they are.
        let (level, khat, sd) = judged(0.5, Resample::Auto);
        assert!(level >= Doubtful && khat.value > 0.7 && (sd - 0.5).abs() < 0.03, "{khat:?} {sd}");
        assert!(judged(0.5, Resample::Always).0 >= Doubtful);
    }

    #[test]
    fn moments_are_judged_of_the_parameters() {
        use VerdictLevel::{Doubtful, Ok};
        // The sd of exp(x) hangs on a few draws, but no more on weighted ones than on as many plain ones.
        assert_eq!(judged_as(1.2, Resample::Auto, f64::exp).0, Ok);
        // That of exp(2x) does, where the fit is narrow and the weights have to make up its tails.
        assert_eq!(judged_as(0.85, Resample::Auto, |x| (2.0 * x).exp()).0, Doubtful);
        // The corner of a Cholesky factor of correlations says nothing.
        assert_eq!(judged_as(1.2, Resample::Auto, |_| 1.0).0, Ok);
        assert_eq!(judged_as(1.2, Resample::Never, |_| 1.0).0, Ok);
    }

    #[test]
    fn squares_with_a_heavy_tail_are_not_summed_in_silence() {
        // Weights with a shape of 0.6 from a fit that is too narrow: with them what is bounded has an sd, and
        // what grows fast has none that 8000 draws could tell.
        let rests = |parameter: fn(f64) -> f64| {
            let mut draws = vec![0.0; 8000];
            crate::random::fill_std_normal(&mut crate::random::stream(4, "squares"), &mut draws);
            let log_weights: Vec<f64> = draws.iter().map(|x| 0.3 * x * x).collect();
            let weights: Vec<f64> =
                psis(&log_weights).log_weights.iter().map(|w| w.exp()).collect();
            let values = draws.iter().map(|x| parameter(*x)).collect();
            let mut checks = Checks::new();
            checks.add(VerdictLevel::Ok, "So far.");
            judge_squares(
                &mut checks,
                &log_weights,
                &weights,
                &Scalars { names: vec!["x".into()], values },
            );
            checks.level()
        };
        assert_eq!(rests(f64::tanh), VerdictLevel::Ok);
        assert_eq!(rests(|x| x * x * x), VerdictLevel::Doubtful);
    }
}
