//! `--init RUN_DIR`: mean and covariance of an earlier run's draws.

use std::path::{Path, PathBuf};

use crate::inference::find;
use crate::inference::start::Gaussian;
use crate::lower::Param;
use crate::results::RunDirectory;

use super::failure::Failure;
use super::run::directory_failure;

/// The run directory that `--init` names, if it does not name a method.
pub(super) fn run_directory(init: Option<&str>) -> Result<Option<PathBuf>, Failure> {
    let Some(init) = init.filter(|name| find(name).is_none()) else { return Ok(None) };
    let path = PathBuf::from(init);
    if path.is_dir() {
        return Ok(Some(path));
    }
    Err(Failure::usage(format!("--init {init}: that is neither a method nor a run directory")))
}

/// The Gaussian of the draws in a run directory, for a model with the same parameters.
pub(super) fn start(path: &Path, params: &[Param]) -> Result<Gaussian, Failure> {
    let stored = RunDirectory::read_draws(path).map_err(|e| directory_failure(&e))?;
    let wrong = |what: String| Failure::usage(format!("--init {}: {what}", path.display()));
    let total = stored.total();
    let dim: usize = params.iter().map(|p| p.len).sum();
    let mut draws = vec![0.0; total * dim];
    for param in params {
        let Some((_, values)) = stored.parameters.iter().find(|(name, _)| *name == param.name)
        else {
            return Err(wrong(format!("the run has no parameter `{}`", param.name)));
        };
        let len = values.len() / total.max(1);
        if len != param.len {
            return Err(wrong(format!(
                "`{}` has {len} unconstrained numbers there, and {} here",
                param.name, param.len
            )));
        }
        for (row, values) in draws.chunks_exact_mut(dim).zip(values.chunks_exact(len.max(1))) {
            row[param.start..param.start + len].copy_from_slice(values);
        }
    }
    let known = |name: &String| params.iter().any(|p| p.name == *name);
    if let Some((name, _)) = stored.parameters.iter().find(|(name, _)| !known(name)) {
        return Err(wrong(format!("the run has a parameter `{name}`, which this model has not")));
    }
    Gaussian::of_draws(&draws, dim)
        .ok_or_else(|| wrong("its draws do not vary in every dimension".into()))
}
