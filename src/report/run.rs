//! What the report reads of a run directory.

use std::path::Path;

use super::Listing;
use crate::results::{
    Config, Role, RunDirectory, RunDirectoryError, StoredArray, Summary, Variable, format_number,
};

/// A finished run.
#[derive(Debug, Clone)]
pub struct ReportRun {
    /// The directory as given.
    pub path: String,
    /// `summary.json`.
    pub summary: Summary,
    /// `config.json`.
    pub config: Config,
    /// The model with what the checker found out about it.
    pub listing: Listing,
    pub(super) posterior: Vec<Variable>,
    pub(super) prior: Vec<Variable>,
    pub(super) predictive: Vec<Variable>,
    pub(super) observed: Vec<StoredArray>,
    /// Traces over iterations, and the iteration numbers under `NAME_iteration`.
    pub(super) traces: Vec<StoredArray>,
    /// One number for each draw: `lp`, a sampler's `diverging` and so on.
    pub(super) stats: Vec<StoredArray>,
}

impl ReportRun {
    /// Reads the run at `path`; `listing` makes something readable of its model.
    ///
    /// # Errors
    /// When there is no run or a file of it is damaged.
    pub fn read(
        path: &Path,
        listing: impl FnOnce(&Config, &str) -> Result<Listing, RunDirectoryError>,
    ) -> Result<Self, RunDirectoryError> {
        let summary = RunDirectory::read_summary(path)?;
        let config = RunDirectory::read_config(path)?;
        let text = RunDirectory::read_text(path, "model.ppl")?;
        let store = RunDirectory::open_fit(path)?;
        let group = |name| RunDirectory::read_group(path, &store, name);
        let mut posterior = draws(group("posterior")?, Role::Let);
        for variable in &mut posterior {
            let same = summary.variables.iter().find(|v| v.name == variable.name);
            variable.role = same.map_or(variable.role, |v| v.role);
        }
        Ok(ReportRun {
            listing: listing(&config, &text)?,
            posterior,
            prior: draws(group("prior")?, Role::Param),
            predictive: draws(group("posterior_predictive")?, Role::Predicted),
            observed: group("observed_data")?,
            traces: group("fit_stats")?,
            stats: group("sample_stats")?,
            path: path.display().to_string(),
            summary,
            config,
        })
    }

    /// The trace or statistic of that name.
    pub(super) fn stat(&self, name: &str) -> Option<&StoredArray> {
        self.stats.iter().find(|array| array.name == name)
    }

    /// Posterior draws of a scalar, if the run has such a one.
    pub(super) fn scalar(&self, scalar: &Scalar) -> Option<Vec<f64>> {
        values(&self.posterior, scalar)
    }
}

/// Arrays over chain and draw, as variables.
fn draws(arrays: Vec<StoredArray>, role: Role) -> Vec<Variable> {
    let over_draws = arrays.into_iter().filter(|array| array.shape.len() >= 2);
    over_draws
        .map(|array| Variable {
            name: array.name,
            shape: array.shape[2..].to_vec(),
            role,
            values: array.values,
        })
        .collect()
}

/// One number of a model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scalar {
    /// Name as in the language: `theta[2, 3]`.
    pub(super) name: String,
    pub(super) variable: String,
    pub(super) shape: Vec<usize>,
    /// Row-major position.
    pub(super) element: usize,
}

/// Draws of a scalar among the variables of a group.
pub(super) fn values(variables: &[Variable], scalar: &Scalar) -> Option<Vec<f64>> {
    let variable =
        variables.iter().find(|v| v.name == scalar.variable && v.shape == scalar.shape)?;
    Some(variable.scalar(scalar.element))
}

/// The variables of all runs, each once, in the order of the first run that has it.
pub(super) fn variables(runs: &[ReportRun]) -> Vec<&Variable> {
    let mut all: Vec<&Variable> = Vec::new();
    for variable in runs.iter().flat_map(|run| &run.posterior) {
        let same = |v: &&Variable| v.name == variable.name && v.shape == variable.shape;
        if !all.iter().any(same) {
            all.push(variable);
        }
    }
    all
}

/// The scalars of a variable.
pub(super) fn scalars(variable: &Variable) -> impl Iterator<Item = Scalar> + '_ {
    (0..variable.size()).map(|element| Scalar {
        name: variable.element_name(element),
        variable: variable.name.clone(),
        shape: variable.shape.clone(),
        element,
    })
}

/// Four significant digits, with a minus sign that is one.
pub(super) fn number(x: f64) -> String {
    minus(&format_number(x))
}

/// The text of a number with a minus sign that is one; what is no number is an en dash.
pub(super) fn minus(text: &str) -> String {
    if text == "-" { "\u{2013}".into() } else { text.replace('-', "\u{2212}") }
}

/// `A`, `B`, … for the runs of a report.
pub(super) fn letter(run: usize) -> String {
    let letter = char::from(b'A' + u8::try_from(run % 26).unwrap_or(0));
    let again = run / 26;
    if again == 0 { letter.to_string() } else { format!("{letter}{again}") }
}

/// The class that gives a run's drawings their colour.
pub(super) fn color(run: usize) -> String {
    format!("r{}", run % 6)
}
