//! What the columns of a table of draws are called, how they are ordered, and what is said above them.
//!
//! As CmdStan does it: scalars of an array are named `theta.1.2` and stand in column-major order, first
//! index fastest.

use std::path::Path;

use crate::data::unravel;
use crate::results::{Config, Draws, Source, Variable, model_name};

/// Row-major positions of a variable's scalars in column-major order, each with its name.
pub(super) fn columns(variable: &Variable) -> Vec<(usize, String)> {
    let mut named: Vec<(Vec<usize>, usize)> =
        (0..variable.size()).map(|i| (unravel(&variable.shape, i), i)).collect();
    named.sort_by(|(a, _), (b, _)| a.iter().rev().cmp(b.iter().rev()));
    let name =
        |index: &[usize]| index.iter().fold(variable.name.clone(), |name, i| format!("{name}.{i}"));
    named.into_iter().map(|(index, i)| (i, name(&index))).collect()
}

/// What was asked for, by name.
pub(super) fn configuration(config: &Config, draws: &Draws) -> Vec<(String, String)> {
    let source = |s: &Source| format!("{} (sha256 {})", s.path, s.sha256);
    let mut all = vec![
        ("ppl", config.version.clone()),
        ("model", model_name(Path::new(&config.model.path))),
        ("model_file", source(&config.model)),
    ];
    all.extend(config.data.as_ref().map(|data| ("data_file", source(data))));
    all.extend([
        ("inference", config.method.clone()),
        ("seed", config.seed.to_string()),
        ("precision", config.precision.clone()),
        ("device", config.device.clone()),
        ("chains", draws.chains.to_string()),
        ("draws_per_chain", draws.draws_per_chain.to_string()),
    ]);
    let flags = config.flags.iter().map(|(name, value)| (name.as_str(), value.to_string()));
    all.into_iter().chain(flags).map(|(name, value)| (name.to_owned(), value)).collect()
}
