//! Options of the Gaussian families that train, and their parsed form.

use crate::inference::method::option;
use crate::inference::{Deadline, InferenceError, MethodOption, Settings};

pub(super) const ITERATIONS: MethodOption = option(
    "iterations",
    "10000",
    "steps at most, the warm start's evaluations included; usually far fewer",
    "",
);
pub(super) const RATE: MethodOption = option(
    "learning-rate",
    "0.1",
    "Adam's rate in the first round, in standard deviations; halved by rounds",
    "γ₀",
);
pub(super) const GRAD_SAMPLES: MethodOption =
    option("grad-samples", "10", "draws per gradient, in antithetic pairs", "M");
pub(super) const AGREEMENT: MethodOption = option(
    "agreement",
    "0.0025",
    "two rounds agree when no coordinate's symmetrised KL divergence exceeds this",
    "ξ",
);

/// How to fit; the options of the method.
#[derive(Debug, Clone)]
pub struct Config {
    /// Seed of the run.
    pub seed: u64,
    /// Steps at most, evaluations of the warm start included.
    pub iterations: usize,
    /// Adam's rate in the first round.
    pub learning_rate: f64,
    /// Draws per gradient.
    pub grad_samples: usize,
    /// Largest divergence of a coordinate between two rounds that counts as agreement.
    pub agreement: f64,
    /// Relative gain of the objective below which to stop, if the user gave one.
    pub tolerance: Option<f64>,
    /// When the fit is to be done.
    pub deadline: Deadline,
}

impl Config {
    /// What the user set, and defaults.
    ///
    /// # Errors
    /// [`InferenceError::Setting`] for values out of range.
    pub fn new(settings: &Settings) -> Result<Self, InferenceError> {
        let config = Config {
            learning_rate: settings
                .option("learning-rate", settings.learning_rate.unwrap_or(0.1))?,
            grad_samples: settings.option("grad-samples", settings.grad_samples.unwrap_or(10))?,
            agreement: settings.option("agreement", 0.0025)?,
            tolerance: settings.tolerance,
            ..Config::start_of(settings)
        };
        let config = Config {
            iterations: settings.option("iterations", settings.iterations.unwrap_or(10_000))?,
            ..config
        };
        if config.grad_samples == 0 || config.iterations == 0 {
            return Err(InferenceError::Setting(
                "`grad-samples` and `iterations` must be at least 1".into(),
            ));
        }
        if config.learning_rate.is_nan() || config.learning_rate <= 0.0 {
            return Err(InferenceError::Setting("`learning-rate` must be positive".into()));
        }
        Ok(config)
    }

    /// Defaults, for use as the start of another method.
    #[must_use]
    pub fn start_of(settings: &Settings) -> Self {
        Config {
            seed: settings.seed,
            iterations: 10_000,
            learning_rate: 0.1,
            grad_samples: 10,
            agreement: 0.0025,
            tolerance: None,
            deadline: settings.deadline.clone(),
        }
    }
}
