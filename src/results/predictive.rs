//! Whether data predicted from the posterior look like the data that were observed [gelman1996].
//!
//! A fit may be perfect and its model wrong: what is found here is said beside the verdict's reasons, and
//! only predictions that are no numbers count against the fit.

use super::Draws;
use crate::data::DataArray;
use crate::inference::{Verdict, VerdictLevel};

/// What of the data is compared: a name and how it is computed.
type Statistic = (&'static str, fn(&[f64]) -> f64);

const STATISTICS: [Statistic; 4] = [
    ("mean", mean),
    ("sd", sd),
    ("smallest value", |x| x.iter().copied().fold(f64::INFINITY, f64::min)),
    ("largest value", |x| x.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
];

/// Compares each observed array with its predictions, and says in `verdict` what differs.
pub fn check_predictions(
    verdict: &mut Verdict,
    predicted: &Draws,
    observed: &[(&str, &DataArray)],
) {
    let (mut compared, mut odd) = (0, Vec::new());
    for variable in &predicted.variables {
        let Some((_, data)) = observed.iter().find(|(name, _)| *name == variable.name) else {
            continue;
        };
        let n = variable.size();
        if n == 0 || data.len() != n || predicted.total() == 0 {
            continue;
        }
        let known: Vec<usize> = (0..n).filter(|&i| !data.is_missing(i)).collect();
        let data = data.to_reals();
        let of = |all: &[f64]| known.iter().map(|&i| all[i]).collect::<Vec<f64>>();
        let data = of(&data);
        if data.is_empty() {
            continue;
        }
        let rows: Vec<Vec<f64>> = variable.values.chunks_exact(n).map(of).collect();
        if rows.iter().any(|row| row.iter().any(|x| x.is_nan())) {
            verdict.level = verdict.level.max(VerdictLevel::Doubtful);
            let reason = format!("Some predictions of {} are not numbers.", variable.name);
            verdict.reasons.insert(0, reason);
            continue;
        }
        compared += 1;
        for (name, statistic) in STATISTICS {
            let seen = statistic(&data);
            let all: Vec<f64> = rows.iter().map(|row| statistic(row)).collect();
            let low = all.iter().copied().fold(f64::INFINITY, f64::min);
            let high = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            if seen < low || seen > high {
                odd.push(format!(
                    "The {name} of {} is {seen:.4}, and between {low:.4} and {high:.4} in all {} \
                     predictions: the model does not describe these data.",
                    variable.name,
                    all.len()
                ));
            }
        }
    }
    if compared > 0 && odd.is_empty() {
        odd.push(
            "Mean, sd and range of the observed data are among those of its predictions.".into(),
        );
    }
    verdict.reasons.extend(odd);
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

fn sd(x: &[f64]) -> f64 {
    let centre = mean(x);
    mean(&x.iter().map(|x| (x - centre).powi(2)).collect::<Vec<_>>()).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Role, Variable};

    fn said(data: Vec<f64>, spoil: bool) -> Verdict {
        // Three values each around 0, ±1, in fifty draws.
        let mut values: Vec<f64> =
            (0..150).map(|k| f64::from(k % 3) - 1.0 + 0.1 * f64::from(k).sin()).collect();
        if spoil {
            values[7] = f64::NAN;
        }
        let variable = Variable { name: "y".into(), shape: vec![3], role: Role::Predicted, values };
        let draws = Draws { chains: 1, draws_per_chain: 50, variables: vec![variable] };
        let mut verdict =
            Verdict { level: VerdictLevel::Ok, reasons: vec!["Fine.".into()], next: None };
        check_predictions(&mut verdict, &draws, &[("y", &DataArray::reals(vec![3], data))]);
        verdict
    }

    #[test]
    fn data_unlike_its_predictions_are_reported() {
        let alike = said(vec![-0.99, 0.02, 0.98], false);
        assert!(alike.reasons[1].contains("are among those"), "{alike:?}");
        let wide = said(vec![-3.0, 0.0, 3.0], false);
        assert_eq!(wide.level, VerdictLevel::Ok);
        assert!(wide.reasons.iter().any(|r| r.contains("The sd of y is 2.449")), "{wide:?}");
        assert!(wide.reasons.iter().any(|r| r.contains("The largest value of y")), "{wide:?}");
        let broken = said(vec![0.0; 3], true);
        assert_eq!(broken.level, VerdictLevel::Doubtful);
        assert!(broken.reasons[0].contains("not numbers"), "{broken:?}");
    }
}
