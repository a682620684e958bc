//! The table of methods: what `--infer` accepts and `ppl methods` prints.

use super::deadline::timed;
use super::{Fit, InferenceError, Monitor, Settings, Target};

/// One inference method.
#[derive(Debug, Clone, Copy)]
pub struct Method {
    /// Name for `--infer`.
    pub name: &'static str,
    /// Family: `Langevin`, `semi-implicit`, `Gaussian`, `reference`, `choice`.
    pub group: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Authors, year and venue or arXiv number.
    pub paper: &'static str,
    /// Options for `--set NAME.OPTION=VALUE`.
    pub options: &'static [MethodOption],
    /// Runs it, on a density that keeps the deadline.
    pub(super) run: Run,
}

impl Method {
    /// Fits the target, by the deadline of the settings.
    ///
    /// # Errors
    /// Settings that the method cannot take, densities that are not finite where it needs them, what it
    /// breaks down on, and a deadline before it had anything to show.
    pub fn fit(
        &self,
        target: Target<'_>,
        settings: &Settings,
        monitor: &mut dyn Monitor,
    ) -> Result<Fit, InferenceError> {
        let deadline = &settings.deadline;
        let (f64, f32) = (timed(target.f64, deadline), timed(target.f32, deadline));
        let fit = (self.run)(Target { f64: &f64, f32: &f32 }, settings, monitor);
        fit.map_err(|error| match error {
            // What the density did not answer in time is not known to be infinite.
            InferenceError::NonFinite { .. } if deadline.any_has_cut() => InferenceError::NoTime,
            error => error,
        })
    }
}

/// The methods that train on a device as well; see [`super::backend`].
const ON_DEVICE: &[&str] =
    &["ula", "mcd", "uha", "ldvi", "cmcd", "cmcd-ud", "sivi-sm", "ksivi", "mean-field"];

impl Method {
    /// Whether it trains elsewhere than on the CPU too.
    #[must_use]
    pub fn on_device(&self) -> bool {
        ON_DEVICE.contains(&self.name)
    }
}

/// How a method is run.
pub(super) type Run = fn(Target<'_>, &Settings, &mut dyn Monitor) -> Result<Fit, InferenceError>;

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

/// An option's row.
pub(in crate::inference) const fn option(
    name: &'static str,
    default: &'static str,
    meaning: &'static str,
    symbol: &'static str,
) -> MethodOption {
    MethodOption { name, default, meaning, symbol }
}

/// Resampling, for the methods whose draws have weights.
pub(in crate::inference) const RESAMPLE: MethodOption = option(
    "resample",
    "auto",
    "resample the draws by their smoothed importance weights: auto (where k-hat allows, from a better proposal where there is one), true or false",
    "",
);

/// Every method, in the order in which `ppl methods` lists them.
pub const METHODS: &[Method] = &[
    super::langevin::ULA,
    super::langevin::MCD,
    super::langevin::UHA,
    super::langevin::LDVI,
    super::langevin::CMCD,
    super::langevin::CMCD_UD,
    super::semi_implicit::SIVI_SM,
    super::semi_implicit::SIVI,
    super::semi_implicit::UIVI,
    super::semi_implicit::KSIVI,
    super::gaussian::MEAN_FIELD,
    super::gaussian::FULL_RANK,
    super::gaussian::LOW_RANK,
    super::gaussian::LAPLACE,
    super::gaussian::PATHFINDER,
    super::gaussian::BAM,
    super::nuts::NUTS,
    super::auto::AUTO,
];

/// The method of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|m| m.name == name)
}
