//! Draws from generative readings of a model, sorted into ArviZ's groups. Shared by `run`, `simulate`
//! and `predict`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::data::{DataArray, DataSet};
use crate::driver::Generator;
use crate::ir::DType;
use crate::lower::Lowered;
use crate::results::{Draws, Role};

/// What is drawn from a prior.
pub(super) const PRIOR: &[Role] = &[Role::Param, Role::Let, Role::Gen, Role::Predicted];

/// Groups of draws by their ArviZ name, and why some are missing or incomplete.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) draws: Vec<(&'static str, Draws)>,
    pub(super) not_drawn: BTreeMap<String, Vec<String>>,
}

impl Groups {
    /// Adds a group, if there is anything in it; says so when it has numbers that are none.
    pub(super) fn add(&mut self, name: &'static str, draws: Draws) {
        if draws.variables.is_empty() {
            return;
        }
        for variable in &draws.variables {
            let n = variable.size().max(1);
            let bad =
                variable.values.chunks(n).filter(|draw| draw.iter().any(|x| x.is_nan())).count();
            if bad > 0 {
                let reason = format!(
                    "{bad} of {} draws of `{}` are not numbers: its distribution does not exist \
                     there, or no draw of many fell within its bounds",
                    draws.total(),
                    variable.name
                );
                self.refuse(name, vec![reason]);
            }
        }
        self.draws.push((name, draws));
    }

    /// Remembers why a group is missing or incomplete.
    pub(super) fn refuse(&mut self, name: &str, reasons: Vec<String>) {
        if !reasons.is_empty() {
            self.not_drawn.entry(name.to_owned()).or_default().extend(reasons);
        }
    }

    /// Draws from the prior: parameters and what depends on them, then the data that they predict.
    pub(super) fn add_prior(&mut self, generator: &Generator, draws: usize, seed: u64) {
        if !generator.has_prior {
            self.refuse("prior", generator.reasons.clone());
            return self.refuse("prior_predictive", generator.reasons.clone());
        }
        self.refuse("prior_predictive", generator.reasons.clone());
        let all = generator.values(PRIOR);
        let (predicted, parameters) = split(all.at(&[], draws, 1, seed));
        self.add("prior", parameters);
        self.add("prior_predictive", predicted);
    }

    /// The group of that name, if there is one.
    pub(super) fn get(&self, name: &str) -> Option<&Draws> {
        self.draws.iter().find(|(n, _)| *n == name).map(|(_, draws)| draws)
    }

    /// References, as the results want them.
    pub(super) fn by_name(&self) -> Vec<(&str, &Draws)> {
        self.draws.iter().map(|(name, draws)| (*name, draws)).collect()
    }

    /// All draws in one, in the order of the groups.
    pub(super) fn together(&self) -> Option<Draws> {
        let (_, first) = self.draws.first()?;
        let variables = self.draws.iter().flat_map(|(_, d)| d.variables.iter().cloned()).collect();
        Some(Draws { variables, ..*first })
    }
}

/// Predicted data and the rest.
fn split(draws: Draws) -> (Draws, Draws) {
    let Draws { chains, draws_per_chain, variables } = draws;
    let (predicted, rest) = variables.into_iter().partition(|v| v.role == Role::Predicted);
    let with = |variables| Draws { chains, draws_per_chain, variables };
    (with(predicted), with(rest))
}

/// Named arrays of a data set.
pub(super) type Arrays<'a> = Vec<(&'a str, Cow<'a, DataArray>)>;

/// The data that a lowered model uses: what some `~` has on its left, and the rest. What is declared
/// `real` is made of reals, also where the file has whole numbers only.
pub(super) fn observed_and_constant<'a>(
    lowered: &Lowered,
    is_observed: impl Fn(&str) -> bool,
    data: &'a DataSet,
) -> (Arrays<'a>, Arrays<'a>) {
    let declared = |name: &str| {
        let input = lowered.data.iter().find(|(n, _)| n == name);
        input.map(|(_, tensor)| tensor.ty.dtype)
    };
    let used = data.iter().filter_map(|(name, array)| match declared(name)? {
        DType::Real => Some((name, Cow::Owned(array.as_reals()))),
        DType::Int | DType::Bool | DType::Tuple => Some((name, Cow::Borrowed(array))),
    });
    used.partition(|(name, _)| is_observed(name))
}
