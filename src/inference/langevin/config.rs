//! The options of the Langevin methods, read and checked.

use super::form::{Dynamics, Form, Initial, Integrator, Levels, Momentum};
use crate::inference::weights::Resample;
use crate::inference::{InferenceError, Settings};

/// By what the chain's coordinates are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precondition {
    /// Nothing: the published methods to the letter.
    None,
    /// The start's standard deviations.
    Diagonal,
    /// The covariance that the curvature under the start implies.
    Dense,
    /// That, and what it makes of directions that change the curvature.
    Transport,
}

impl Precondition {
    /// The default: all of it while `D²` numbers a step are cheap; elsewhere than on the CPU there is no
    /// transport map.
    fn of_dim(d: usize, elsewhere: bool) -> Self {
        match (d <= 200, elsewhere) {
            (true, false) => Precondition::Transport,
            (true, true) => Precondition::Dense,
            (false, _) => Precondition::Diagonal,
        }
    }
}

/// Names of the values of an option.
macro_rules! named {
    ($type:ty: $($name:literal => $value:expr),+) => {
        impl std::str::FromStr for $type {
            type Err = ();

            fn from_str(text: &str) -> Result<Self, ()> {
                match text {
                    $($name => Ok($value),)+
                    _ => Err(()),
                }
            }
        }
    };
}

/// Whether the correction has a part that is a multiple of the force.
struct Guided(bool);
/// Whether every dimension has its own step size.
struct StepPerDimension(bool);
/// Whether the start's covariance is full.
struct FullStart(bool);

named!(Precondition: "none" => Self::None, "diagonal" => Self::Diagonal, "dense" => Self::Dense,
    "transport" => Self::Transport);
named!(Integrator: "exponential" => Self::Exponential, "velocity-verlet" => Self::VelocityVerlet);
named!(Levels: "free" => Self::Free, "rising" => Self::Rising);
named!(Guided: "guided" => Self(true), "plain" => Self(false));
named!(StepPerDimension: "global" => Self(false), "dimension" => Self(true));
named!(FullStart: "diagonal" => Self(false), "full" => Self(true));

/// What a run is to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Config {
    pub(super) form: Form,
    pub(super) iterations: usize,
    pub(super) learning_rate: f64,
    pub(super) grad_samples: usize,
    pub(super) least_gain: f64,
    pub(super) precondition: Precondition,
    pub(super) resample: Resample,
}

impl Config {
    pub(super) fn new(
        settings: &Settings,
        d: usize,
        dynamics: Dynamics,
    ) -> Result<Self, InferenceError> {
        // An overdamped step of size e moves as far as another of size √(2e), and nowhere near as far as
        // several of them with their momentum.
        let overdamped = dynamics.momentum == Momentum::Overdamped;
        let bridges = if overdamped { 16 } else { 8 };
        let bridges = settings.option("bridges", settings.bridges.unwrap_or(bridges))?;
        // The best steps of longer chains are shorter, measured on sonar about as K^(−1/4); and a long
        // chain of long steps can explode in a tail.
        let shorter = (8.0 / bridges as f64).sqrt().min(1.0);
        let step_size = if overdamped { 0.1 * shorter } else { 0.4 * shorter.sqrt() };
        let elsewhere = settings.device.source().is_some();
        let precondition = settings.option("precondition", Precondition::of_dim(d, elsewhere))?;
        if elsewhere && precondition == Precondition::Transport {
            return Err(InferenceError::Setting(
                "`precondition=transport` runs on the CPU only; on a device `dense` is the default"
                    .into(),
            ));
        }
        // In the model's own coordinates a method is as published.
        let (integrator, guided, levels) = match precondition {
            Precondition::None => (Integrator::VelocityVerlet, false, Levels::Rising),
            _ => (Integrator::Exponential, true, Levels::Free),
        };
        let form = Form {
            dynamics,
            bridges,
            integrator: settings.option("integrator", integrator)?,
            levels: settings.option("levels", levels)?,
            guided: settings.option("correction", Guided(guided))?.0,
            step_per_dimension: settings.option("step-sizes", StepPerDimension(false))?.0,
            full_start: settings.option("start", FullStart(false))?.0,
            initial: Initial {
                step_size: settings.option("step-size", step_size)?,
                friction: settings.option("friction", 0.3)?,
                retention: settings.option("retention", 0.9)?,
            },
        };
        let config = Config {
            form,
            iterations: settings.option("iterations", settings.iterations.unwrap_or(4000))?,
            learning_rate: settings
                .option("learning-rate", settings.learning_rate.unwrap_or(5e-3))?,
            grad_samples: settings.option("grad-samples", settings.grad_samples.unwrap_or(16))?,
            least_gain: settings.option("least-gain", 0.02)?,
            precondition,
            resample: settings.option("resample", Resample::Auto)?,
        };
        if form.bridges == 0 || config.iterations == 0 || config.grad_samples == 0 {
            return Err(InferenceError::Setting(
                "`bridges`, `iterations` and `grad-samples` must be at least 1".into(),
            ));
        }
        if config.learning_rate.is_nan() || config.learning_rate <= 0.0 {
            return Err(InferenceError::Setting("`learning-rate` must be positive".into()));
        }
        Ok(config)
    }
}
