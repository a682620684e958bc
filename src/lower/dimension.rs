//! The named dimensions of the data, and where they are in the inputs of a lowered model.

use crate::check::typed::{Decl, Model, VarId};

use super::Lowered;

/// A named dimension: `N` of `data y: real[N]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dimension {
    /// Its name.
    pub name: String,
    /// How long it is with this data.
    pub length: usize,
    /// For each input of the lowered function, a bit for each axis that it is.
    pub axes: Vec<u32>,
}

/// Stands for the dimension that the observed data has first, where it has one name.
const ROWS: &str = "rows";

/// The dimension of that name, or `rows`.
///
/// # Errors
/// That there is none, with the names that there are.
pub fn dimension(model: &Model, lowered: &Lowered, name: &str) -> Result<Dimension, String> {
    let mut named: Vec<VarId> = Vec::new();
    let mut leading: Vec<VarId> = Vec::new();
    for (var, dims) in data(model) {
        named.extend(dims.iter().flatten());
        let observed =
            lowered.terms.iter().any(|t| t.observed.as_ref() == Some(&model.var(var).name));
        if observed {
            leading.extend(dims.first().into_iter().flatten());
        }
    }
    for vars in [&mut named, &mut leading] {
        vars.sort_unstable();
        vars.dedup();
    }
    let found = named.iter().find(|v| model.var(**v).name == name).copied();
    let found = match (found, leading.as_slice()) {
        (None, [one]) if name == ROWS => Some(*one),
        _ => found,
    };
    let names = |vars: &[VarId]| {
        let names: Vec<&str> = vars.iter().map(|v| model.var(*v).name.as_str()).collect();
        names.join(", ")
    };
    let Some(var) = found else {
        return Err(match (named.is_empty(), name == ROWS) {
            (true, _) => "no dimension of the data has a name".into(),
            (false, true) => format!(
                "`rows` could be any of several dimensions; name one of {}",
                names(if leading.is_empty() { &named } else { &leading })
            ),
            (false, false) => {
                format!("the data has no dimension `{name}`; it has {}", names(&named))
            }
        });
    };
    let mut axes = vec![0; lowered.function.inputs.len()];
    for (name, dims) in inputs(model) {
        if let Some(input) = lowered.function.input(&name) {
            let marked = dims.iter().enumerate().filter(|(_, d)| **d == Some(var));
            axes[input] = marked.fold(0, |set, (axis, _)| set | 1 << axis);
        }
    }
    let length = lowered.sizes.get(&var).and_then(|n| usize::try_from(*n).ok()).unwrap_or(0);
    Ok(Dimension { name: model.var(var).name.clone(), length, axes })
}

/// The inputs that have dimensions of the data: the data, and the probes of discrete latents.
fn inputs(model: &Model) -> impl Iterator<Item = (String, Vec<Option<VarId>>)> {
    let probes = model.decls.iter().filter_map(|decl| match decl {
        Decl::Marginal { var, .. } => {
            let var = model.var(*var);
            // A probe has one axis for all elements.
            let [dim] = var.ty.dims() else { return None };
            Some((super::latents::probe_name(&var.name), vec![dim.as_var()]))
        }
        _ => None,
    });
    data(model).map(|(var, dims)| (super::input_name(&model.var(var).name), dims)).chain(probes)
}

/// Each data variable with the names of its dimensions, where they have one.
fn data(model: &Model) -> impl Iterator<Item = (VarId, Vec<Option<VarId>>)> {
    model.decls.iter().filter_map(|decl| match decl {
        Decl::Data { var, .. } => {
            Some((*var, model.var(*var).ty.dims().iter().map(|d| d.as_var()).collect()))
        }
        _ => None,
    })
}
