//! Generative readings of a model: draws from its prior, predictions from its posterior.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::check::generative::{Generative, Parameters, generative, observed};
use crate::check::typed::{Decl, Model, VarId};
use crate::data::DataSet;
use crate::diagnostics::Diagnostic;
use crate::lower::{self, Lowered, Role, Space};
use crate::posterior::{Values, with_probabilities};

use super::Session;

/// What can be drawn from a model, and why the rest cannot.
#[derive(Debug)]
pub struct Generator {
    /// The lowered generative model. With given parameters its input is the unconstrained vector.
    pub lowered: Lowered,
    /// Why some variables are missing, `line:column: reason`.
    pub reasons: Vec<String>,
    /// Whether every parameter is there.
    pub has_prior: bool,
    /// Data that is drawn and that the file does not have.
    pub absent: Vec<String>,
    stream: &'static str,
}

impl Generator {
    /// The variables with one of these roles.
    #[must_use]
    pub fn values(&self, roles: &[Role]) -> Values {
        Values::generated(&self.lowered, roles, self.stream)
    }
}

impl Session {
    /// Reads a checked model generatively. Observed data may be absent from `data`.
    ///
    /// # Errors
    /// What is wrong with the data; reasons why something cannot be drawn are no errors.
    pub fn generator(
        &self,
        model: &Model,
        data: &DataSet,
        parameters: Parameters,
    ) -> Result<Generator, Vec<Diagnostic>> {
        let absent = absent(model, data);
        let reading = generative(model, parameters, &absent);
        let data = match parameters {
            Parameters::Given => Cow::Borrowed(data),
            Parameters::Drawn => Cow::Owned(without_missing(model, data)),
        };
        let data = data.as_ref();
        let mut reasons: Vec<String> =
            reading.obstacles.iter().map(|o| self.reason(o.span, &o.reason)).collect();
        let has_prior = !reading.obstacles.iter().any(|o| o.parameter);
        let lowered = match lowered(&reading, data) {
            Ok(lowered) => lowered,
            Err(errors) => {
                // What cannot be predicted leaves the parameters.
                let Ok(lowered) = lowered_alone(&reading, data) else { return Err(errors) };
                reasons.extend(errors.iter().map(|e| self.reason(e.primary.span, &e.message)));
                lowered
            }
        };
        let (lowered, stream) = match parameters {
            Parameters::Given => {
                (with_probabilities(lowered.clone()).unwrap_or(lowered), "predictive")
            }
            Parameters::Drawn => (lowered, "prior"),
        };
        let mut absent: Vec<VarId> = absent.into_iter().collect();
        absent.sort_unstable();
        let absent = absent.into_iter().map(|var| model.var(var).name.clone()).collect();
        Ok(Generator { lowered, reasons, has_prior, absent, stream })
    }

    fn reason(&self, span: crate::source::Span, reason: &str) -> String {
        format!("{}: {reason}", self.place(span))
    }
}

/// Observed variables that the data lacks.
fn absent(model: &Model, data: &DataSet) -> HashSet<VarId> {
    let mut absent = observed(model);
    absent.retain(|&var| data.get(&model.var(var).name).is_none());
    for decl in &model.decls {
        if let Decl::Data { var, default: Some(_), .. } = decl {
            absent.remove(var);
        }
    }
    absent
}

/// The data with something in place of missing elements, which are all drawn.
fn without_missing(model: &Model, data: &DataSet) -> DataSet {
    let mut data = data.clone();
    for decl in &model.decls {
        if let Decl::Data { var, support, .. } = decl
            && support.missing
            && let Some(array) = data.get(&model.var(*var).name)
        {
            let filled = array.filled();
            data.insert(&model.var(*var).name, filled);
        }
    }
    data
}

fn lowered(reading: &Generative, data: &DataSet) -> Result<Lowered, Vec<Diagnostic>> {
    let outcome = lower::lower(&reading.model, data, Space::Unconstrained);
    outcome.value.ok_or(outcome.diagnostics)
}

fn lowered_alone(reading: &Generative, data: &DataSet) -> Result<Lowered, Vec<Diagnostic>> {
    lowered(&reading.clone().without_predictions(), data)
}
