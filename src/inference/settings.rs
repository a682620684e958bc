//! What a user may set for a run, and how a run tells how it is getting on.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::start::Gaussian;
use super::{Deadline, InferenceError};
use crate::density::LogDensity;
use crate::exec::device::Source;

/// Floating-point type of training. Final assessments are always in `f64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit.
    F32,
    /// 64-bit.
    F64,
}

/// Where training happens. Warm starts, assessments and draws are the CPU's in any case.
#[derive(Debug, Clone)]
pub enum Device {
    /// The processor, by the fast executor.
    Cpu,
    /// The processor by way of dfdx's tensors: what happens on a GPU, for tests.
    Tensors(Source),
    /// An NVIDIA GPU.
    #[cfg(feature = "cuda")]
    Cuda(Source),
}

impl Device {
    /// The model, where it is needed to train elsewhere than on the fast executor.
    #[must_use]
    pub fn source(&self) -> Option<&Source> {
        match self {
            Device::Cpu => None,
            Device::Tensors(source) => Some(source),
            #[cfg(feature = "cuda")]
            Device::Cuda(source) => Some(source),
        }
    }
}

/// One density at both precisions.
///
/// The densities are shared (`Arc`) because operations on dfdx's tape outlive the call that records them.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// The density in `f64`.
    pub f64: &'a Arc<dyn LogDensity<f64>>,
    /// The same density in `f32`.
    pub f32: &'a Arc<dyn LogDensity<f32>>,
}

impl std::fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target(dim = {})", self.f64.dim())
    }
}

/// Settings shared by all methods; `None` means the method's own default.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Seed of every random stream of the run.
    pub seed: u64,
    /// Posterior draws to return, over all chains.
    pub draws: usize,
    /// Training iterations.
    pub iterations: Option<usize>,
    /// Adam's learning rate.
    pub learning_rate: Option<f64>,
    /// Particles (reparameterised draws) per gradient.
    pub grad_samples: Option<usize>,
    /// Langevin steps `K`.
    pub bridges: Option<usize>,
    /// When the method is to be done, the assessment of its draws included.
    pub deadline: Deadline,
    /// Stop when the relative gain of the objective falls below this.
    pub tolerance: Option<f64>,
    /// Another method whose result is the starting point.
    pub init: Option<String>,
    /// The Gaussian to start from, if it is not another method's.
    pub start: Option<Gaussian>,
    /// Precision of training.
    pub precision: Precision,
    /// Where training happens.
    pub device: Device,
    /// Worker threads; results do not depend on it.
    pub threads: usize,
    /// `--set method.option=value`, keyed by option name, for the method that runs.
    pub options: BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            seed: 1,
            draws: 4000,
            iterations: None,
            learning_rate: None,
            grad_samples: None,
            bridges: None,
            deadline: Deadline::never(),
            tolerance: None,
            init: None,
            start: None,
            precision: Precision::F64,
            device: Device::Cpu,
            threads: 1,
            options: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// The value of `--set method.name=…`, or `default` where it is not set.
    ///
    /// # Errors
    /// [`InferenceError::Setting`] where the text does not parse.
    pub fn option<T: std::str::FromStr>(
        &self,
        name: &str,
        default: T,
    ) -> Result<T, InferenceError> {
        self.options.get(name).map_or(Ok(default), |text| {
            text.parse().map_err(|_| {
                InferenceError::Setting(format!("`{text}` is not a value that `{name}` can take"))
            })
        })
    }
}

/// How far a run has got.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress<'a> {
    /// What is being done, such as `training` or `sampling`.
    pub phase: &'a str,
    /// Iterations done in this phase.
    pub done: usize,
    /// Iterations this phase will take at most.
    pub total: usize,
    /// Name of the objective and its smoothed value, if there is one.
    pub objective: Option<(&'a str, f64)>,
    /// Change of the smoothed objective per 100 iterations, if known.
    pub trend: Option<f64>,
}

/// Receives progress; breaking asks the method to stop now and return what it has.
pub trait Monitor {
    /// Called once an iteration (cheap when nothing is to be shown).
    fn progress(&mut self, progress: Progress<'_>) -> ControlFlow<()>;

    /// The state of a stage that an earlier run left behind, as JSON; see [`super::checkpoint`].
    fn resume(&mut self, _stage: &str) -> Option<String> {
        None
    }

    /// Offers the state of a stage, as JSON, made only if it is wanted now. `last`: the stage is over, or
    /// the run is about to be.
    fn keep(&mut self, _stage: &'static str, _last: bool, _state: &mut dyn FnMut() -> String) {}
}

/// A monitor that shows nothing and never stops a run.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Monitor for Silent {
    fn progress(&mut self, _: Progress<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}
