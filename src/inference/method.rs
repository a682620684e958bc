//! The table of methods: what `--infer` accepts and `ppl methods` prints.

use super::{Fit, InferenceError, Monitor, Settings, Target};

/// One inference method.
#[derive(Debug, Clone, Copy)]
pub struct Method {
    /// Name for `--infer`.
    pub name: &'static str,
    /// Family: `Langevin`, `semi-implicit`, `Gaussian`, `reference`.
    pub group: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Authors, year and venue or arXiv number.
    pub paper: &'static str,
    /// Options for `--set NAME.OPTION=VALUE`.
    pub options: &'static [MethodOption],
    /// Runs it.
    pub run: fn(Target<'_>, &Settings, &mut dyn Monitor) -> Result<Fit, InferenceError>,
}

/// One option of a method.
#[derive(Debug, Clone, Copy)]
pub struct MethodOption {
    /// Name, in kebab-case. Where a common flag sets it too (`--bridges`), the same name.
    pub name: &'static str,
    /// Default value, as text.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// The paper's symbol for it, or empty.
    pub symbol: &'static str,
}

/// Every method, in the order in which `ppl methods` lists them.
pub const METHODS: &[Method] = &[
    super::langevin::ULA,
    super::langevin::MCD,
    super::langevin::UHA,
    super::langevin::LDVI,
    super::semi_implicit::SIVI_SM,
    super::gaussian::MEAN_FIELD,
    super::nuts::NUTS,
];

/// The method of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|m| m.name == name)
}
