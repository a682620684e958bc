//! Simulation-based calibration: is a method right about parameters that are known?
//!
//! Parameters are drawn from their priors and data from them; among posterior draws given these data the
//! rank of the true value is uniform, if model, method and its settings are right [talts2018].

use crate::check::generative::Parameters;
use crate::check::typed::Model;
use crate::data::{DataSet, Format};
use crate::inference::{Method, Monitor, Settings, VerdictLevel};
use crate::results::{Draws, Role};
use crate::special::std_normal_cdf;

use super::Session;

/// Ranks of the true values of one scalar among posterior draws.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranks {
    /// Name of the scalar.
    pub name: String,
    /// The ranks, from 0 to the number of draws compared with, one for each data set.
    pub ranks: Vec<usize>,
    /// How uniform they are.
    pub uniformity: Uniformity,
}

/// How ranks differ from uniform ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Uniformity {
    /// Mean of the ranks as fractions, ½ if they are uniform: above, the posteriors are too low.
    pub mean: f64,
    /// Spread of the ranks over that of uniform ones: above 1, the posteriors are too narrow.
    pub spread: f64,
    /// Probability that chance alone does the worse of what was seen.
    pub p_value: f64,
}

/// What a calibration found.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// One for each scalar parameter, in order of declaration.
    pub scalars: Vec<Ranks>,
    /// Posterior draws that a value was ranked among.
    pub draws: usize,
    /// Numbers of fits whose verdict was ok, doubtful, failed.
    pub verdicts: [usize; 3],
    /// Data sets that could not be fitted, with the reasons.
    pub refused: Vec<String>,
}

/// Probability below which ranks are not taken for uniform, over all scalars together.
const LEVEL: f64 = 0.01;

impl Calibration {
    /// The scalars whose ranks are not uniform.
    pub fn uncalibrated(&self) -> impl Iterator<Item = &Ranks> {
        let limit = LEVEL / self.scalars.len().max(1) as f64;
        self.scalars.iter().filter(move |s| s.uniformity.p_value < limit)
    }
}

/// Draws `replicates` data sets of a model that `session` has checked, and fits each; `draws` posterior draws of each are ranked among.
///
/// # Errors
/// Why there is no prior to draw from, or what is wrong with the data or the settings.
#[allow(clippy::too_many_arguments, reason = "each is one independent choice")]
pub fn calibrate(
    session: &mut Session,
    model: &Model,
    data: &DataSet,
    method: &Method,
    settings: &Settings,
    replicates: usize,
    draws: usize,
    monitor: &mut dyn Monitor,
) -> Result<Calibration, String> {
    let messages = |errors: &[crate::diagnostics::Diagnostic]| {
        errors.iter().map(|e| e.message.clone()).collect::<Vec<_>>().join("; ")
    };
    let generator =
        session.generator(model, data, Parameters::Drawn).map_err(|errors| messages(&errors))?;
    if !generator.has_prior || !generator.reasons.is_empty() {
        return Err(format!(
            "parameters and data cannot all be drawn\n  {}",
            generator.reasons.join("\n  ")
        ));
    }
    let all =
        generator.values(&[Role::Param, Role::Predicted]).at(&[], replicates, 1, settings.seed);
    let (truth, predicted): (Vec<_>, Vec<_>) =
        all.variables.iter().cloned().partition(|v| v.role == Role::Param);
    let files = Draws { variables: predicted, ..all }.data_files(data);
    let mut found =
        Calibration { scalars: Vec::new(), draws, verdicts: [0; 3], refused: Vec::new() };
    for variable in &truth {
        for i in 0..variable.size() {
            let uniformity = Uniformity { mean: f64::NAN, spread: f64::NAN, p_value: f64::NAN };
            found.scalars.push(Ranks {
                name: variable.element_name(i),
                ranks: Vec::new(),
                uniformity,
            });
        }
    }
    for (r, file) in files.iter().enumerate() {
        let progress = crate::inference::Progress {
            phase: "calibrating",
            done: r,
            total: replicates,
            objective: None,
            trend: None,
        };
        if monitor.progress(progress).is_break() {
            break;
        }
        let text = file.to_string();
        let data = DataSet::from_bytes("simulated.json", Some(Format::Json), text.as_bytes())
            .map_err(|e| format!("bug in ppl: simulated data cannot be read: {e:?}"))?;
        let before = session.diagnostics.len();
        let compiled = session.compile(model, &data);
        let said = session.diagnostics.split_off(before);
        let Some(posterior) = compiled else {
            found.refused.push(messages(&said));
            continue;
        };
        let (seed, deadline) = (settings.seed + r as u64, settings.deadline.again());
        let settings = Settings { seed, deadline, ..settings.clone() };
        let fit = match method.fit(posterior.target(), &settings, monitor) {
            Ok(fit) => fit,
            Err(error) => {
                found.refused.push(error.to_string());
                continue;
            }
        };
        // What the user stopped is no fit.
        if fit.interrupted && monitor.progress(progress).is_break() {
            break;
        }
        found.verdicts[match fit.verdict.level {
            VerdictLevel::Ok => 0,
            VerdictLevel::Doubtful => 1,
            VerdictLevel::Failed => 2,
        }] += 1;
        let fitted = posterior.values().at(&fit.draws, fit.log_p.len(), fit.chains, settings.seed);
        let mut scalars = found.scalars.iter_mut();
        for variable in &truth {
            let Some(ours) = fitted.variables.iter().find(|v| v.name == variable.name) else {
                continue;
            };
            for i in 0..variable.size() {
                let (Some(scalar), all) = (scalars.next(), ours.scalar(i)) else { continue };
                let value = variable.values[r * variable.size() + i];
                scalar.ranks.push(rank(value, &all, draws));
            }
        }
    }
    for scalar in &mut found.scalars {
        scalar.uniformity = Uniformity::of(&scalar.ranks, draws);
    }
    Ok(found)
}

/// The number of `among` evenly spaced draws below a value.
fn rank(value: f64, draws: &[f64], among: usize) -> usize {
    (0..among).filter(|k| draws[k * draws.len() / among] < value).count()
}

impl Uniformity {
    /// Of ranks from 0 to `among`: the worse of their mean and their spread, and of a χ² of ten bins,
    /// against what chance does, the three taken together by Bonferroni.
    #[must_use]
    pub fn of(ranks: &[usize], among: usize) -> Uniformity {
        let n = ranks.len() as f64;
        let u: Vec<f64> = ranks.iter().map(|r| (*r as f64 + 0.5) / (among as f64 + 1.0)).collect();
        let mean = u.iter().sum::<f64>() / n;
        // (u − ½)² has mean 1/12 and variance 1/180.
        let squares = u.iter().map(|u| (u - 0.5).powi(2)).sum::<f64>() / n;
        let two_sided = |z: f64| 2.0 * std_normal_cdf(-z.abs());
        let by_mean = two_sided((mean - 0.5) * (12.0 * n).sqrt());
        let by_spread = two_sided((squares - 1.0 / 12.0) * (180.0 * n).sqrt());
        let mut bins = [0.0; 10];
        for u in &u {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 9")]
            let bin = ((u * 10.0) as usize).min(9);
            bins[bin] += 1.0;
        }
        let chi2: f64 = bins.iter().map(|b| (b - n / 10.0).powi(2) / (n / 10.0)).sum();
        // [wilson1931]: the cube root of χ²/9 is nearly normal.
        let z = ((chi2 / 9.0).cbrt() - (1.0 - 2.0 / 81.0)) / (2.0_f64 / 81.0).sqrt();
        let by_bins = std_normal_cdf(-z);
        Uniformity {
            mean,
            spread: (12.0 * squares).sqrt(),
            p_value: (3.0 * by_mean.min(by_spread).min(by_bins)).min(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_ranks_pass_and_others_do_not() {
        let ranks = |f: &dyn Fn(f64) -> f64| -> Vec<usize> {
            (0..200).map(|i| (f((f64::from(i) + 0.5) / 200.0) * 100.0) as usize).collect()
        };
        let uniform = Uniformity::of(&ranks(&|u| u), 100);
        assert!(uniform.p_value > 0.5 && (uniform.spread - 1.0).abs() < 0.02, "{uniform:?}");
        // Too narrow posteriors put the truth into their tails.
        let narrow = Uniformity::of(
            &ranks(&|u| if u < 0.5 { 1.6 * u * u } else { 1.0 - 1.6 * (1.0 - u).powi(2) }),
            100,
        );
        assert!(narrow.p_value < 1e-3 && narrow.spread > 1.1, "{narrow:?}");
        let low = Uniformity::of(&ranks(&|u| u.sqrt()), 100);
        assert!(low.p_value < 1e-6 && low.mean > 0.6, "{low:?}");
    }
}
