//! Two finished runs beside each other: where their posteriors differ, and which predicts better.

use serde_json::{Value, json};

use super::{Loo, StoredArray, Summary};

/// A scalar that both runs have.
#[derive(Debug, Clone, PartialEq)]
pub struct ScalarComparison {
    /// Its name, `theta[2, 3]`.
    pub name: String,
    /// Means in the first and the second run.
    pub mean: [f64; 2],
    /// Standard deviations.
    pub sd: [f64; 2],
    /// Difference of the means in standard deviations of the first.
    pub shift: f64,
    /// Its Monte Carlo standard error, in the same unit.
    pub shift_se: f64,
    /// The second standard deviation over the first.
    pub ratio: f64,
}

impl ScalarComparison {
    /// How far apart the two are, to sort by: the shift of the mean or the log ratio of the scales.
    #[must_use]
    pub fn distance(&self) -> f64 {
        let scales = self.ratio.ln().abs();
        if scales.is_finite() { self.shift.abs().max(scales) } else { self.shift.abs() }
    }
}

/// Two runs, compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Scalars of both, the most different first.
    pub scalars: Vec<ScalarComparison>,
    /// Names of variables that only one of them has, or in another shape.
    pub only: [Vec<String>; 2],
}

impl Comparison {
    /// Compares the variables of two summaries.
    #[must_use]
    pub fn of(first: &Summary, second: &Summary) -> Self {
        let mut scalars = Vec::new();
        let shared = |a: &super::VariableSummary, b: &super::VariableSummary| {
            a.name == b.name && a.shape == b.shape
        };
        for a in &first.variables {
            let Some(b) = second.variables.iter().find(|b| shared(a, b)) else { continue };
            for (i, (s, t)) in a.scalars.iter().zip(&b.scalars).enumerate() {
                scalars.push(ScalarComparison {
                    name: a.element_name(i),
                    mean: [s.mean, t.mean],
                    sd: [s.sd, t.sd],
                    shift: (t.mean - s.mean) / s.sd,
                    shift_se: s.mcse.hypot(t.mcse) / s.sd,
                    ratio: t.sd / s.sd,
                });
            }
        }
        // What does not vary has nothing to differ by.
        scalars.retain(|s| s.distance().is_finite());
        scalars.sort_by(|a, b| b.distance().total_cmp(&a.distance()));
        let missing = |from: &Summary, to: &Summary| {
            let lacks = |a: &&super::VariableSummary| !to.variables.iter().any(|b| shared(a, b));
            from.variables.iter().filter(lacks).map(|v| v.name.clone()).collect()
        };
        Comparison { scalars, only: [missing(first, second), missing(second, first)] }
    }

    /// The scalars and what only one run has, as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let scalar = |s: &ScalarComparison| {
            json!({
                "name": s.name,
                "mean": s.mean,
                "sd": s.sd,
                "shift": s.shift,
                "shift_se": s.shift_se,
                "sd_ratio": s.ratio,
            })
        };
        json!({
            "scalars": self.scalars.iter().map(scalar).collect::<Value>(),
            "only": self.only,
        })
    }
}

/// Log likelihoods of all observations of a run: `[S, N]` and `N`. `None` when there are none.
#[must_use]
pub fn observations(log_likelihood: &[StoredArray], draws: usize) -> Option<(Vec<f64>, usize)> {
    let sizes: Vec<usize> = log_likelihood.iter().map(|a| a.values.len() / draws.max(1)).collect();
    let n: usize = sizes.iter().sum();
    if n == 0 || draws == 0 {
        return None;
    }
    let mut joined = Vec::with_capacity(draws * n);
    for s in 0..draws {
        for (array, size) in log_likelihood.iter().zip(&sizes) {
            joined.extend_from_slice(&array.values[s * size..(s + 1) * size]);
        }
    }
    Some((joined, n))
}

impl Loo {
    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "elpd": self.elpd,
            "se": self.se,
            "p_loo": self.p_loo,
            "unreliable": self.unreliable,
        })
    }
}
