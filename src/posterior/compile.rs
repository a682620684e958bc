//! Lowered model → optimised, differentiated, executable log joint.

use std::sync::Arc;

use crate::autodiff::{self, NotDifferentiable};
use crate::density::LogDensity;
use crate::diagnostics::{Code, Diagnostic};
use crate::exec::device::{NotOnDevice, Source};
use crate::exec::program::Program;
use crate::inference::Target;
use crate::ir::{Function, Tensor};
use crate::lower::{self, Lowered};
use crate::passes;
use crate::source::SourceMap;

use super::constrain::Values;
use super::density::{ModelDensity, Origin};
use super::probabilities::with_probabilities;
use super::subsample::{Minibatch, Subsampled, SubsampledDensity};

/// A posterior that can be evaluated, differentiated and reported on.
#[derive(Debug)]
pub struct Posterior {
    lowered: Arc<Lowered>,
    log_joint: Function,
    hvp: Arc<Function>,
    f64: Arc<dyn LogDensity<f64>>,
    f32: Arc<dyn LogDensity<f32>>,
    values: Values,
}

impl std::fmt::Debug for dyn LogDensity<f64> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogDensity<f64>(dim = {})", self.dim())
    }
}

impl std::fmt::Debug for dyn LogDensity<f32> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogDensity<f32>(dim = {})", self.dim())
    }
}

impl Posterior {
    /// Compiles a model that was lowered for unconstrained parameters; `sources` has its text.
    ///
    /// # Errors
    /// E0509 when the log joint has no derivative in a parameter.
    pub fn compile(lowered: Lowered, sources: &SourceMap) -> Result<Self, Box<Diagnostic>> {
        let lowered = Arc::new(with_probabilities(lowered).map_err(|e| not_differentiable(&e))?);
        let log_joint = passes::optimize(&with_outputs(&lowered, &[0]));
        let origin = Arc::new(Origin::new(&log_joint, &lowered, sources));
        let log_joint = passes::specialize(&log_joint);
        let hvp = Arc::new(differentiated(&log_joint)?);
        let f64: Arc<dyn LogDensity<f64>> = Arc::new(ModelDensity::<f64>::new(&hvp, &origin));
        let f32: Arc<dyn LogDensity<f32>> = Arc::new(ModelDensity::<f32>::new(&hvp, &origin));
        let values = Values::reported(&lowered);
        Ok(Posterior { lowered, log_joint, hvp, f64, f32, values })
    }

    /// Compiles a model for training on random parts of its data; see [`Minibatch`].
    ///
    /// # Errors
    /// As [`compile`](Self::compile), and E0520 where a statement is no sum over the dimension.
    pub fn compile_subsampled(
        lowered: Lowered,
        minibatch: Minibatch,
        sources: &SourceMap,
    ) -> Result<Self, Box<Diagnostic>> {
        let lowered = Arc::new(lowered);
        let shared = Arc::new(Subsampled::new(&lowered, minibatch, sources)?);
        let f64: Arc<dyn LogDensity<f64>> = Arc::new(SubsampledDensity::<f64>::new(&shared));
        let f32: Arc<dyn LogDensity<f32>> = Arc::new(SubsampledDensity::<f32>::new(&shared));
        let values = Values::reported(&lowered);
        let (log_joint, hvp) = (shared.small.log_joint.clone(), Arc::new(shared.small.hvp.clone()));
        Ok(Posterior { lowered, log_joint, hvp, f64, f32, values })
    }

    /// The lowered model: parameters, terms, variables.
    #[must_use]
    pub fn lowered(&self) -> &Lowered {
        &self.lowered
    }

    /// The dimension of the unconstrained space.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.f64.dim()
    }

    /// The density that inference methods see.
    #[must_use]
    pub fn target(&self) -> Target<'_> {
        Target { f64: &self.f64, f32: &self.f32 }
    }

    /// Reports on draws: parameters, transformed parameters, generated quantities.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The pointwise log likelihood, compiled on demand.
    #[must_use]
    pub fn log_likelihood(&self) -> Values {
        Values::log_likelihood(&self.lowered)
    }

    /// The log joint with data bound, optimised. Input `theta: real[D]`, output `log_joint: real`.
    #[must_use]
    pub fn log_joint(&self) -> &Function {
        &self.log_joint
    }

    /// The log joint with its gradient.
    ///
    /// # Panics
    /// Never: that the gradient exists was found out when the posterior was compiled.
    #[must_use]
    pub fn gradient(&self) -> Function {
        let gradient = autodiff::gradient(&self.log_joint, 0);
        passes::optimize(&gradient.expect("bug in ppl: differentiable before"))
    }

    /// The log joint with its gradient and Hessian-vector product. A further input `v: real[D]`.
    #[must_use]
    pub fn hvp(&self) -> &Function {
        &self.hvp
    }

    /// The density for training on a device.
    ///
    /// # Errors
    /// E0521 at an operation that has no form there.
    ///
    /// # Panics
    /// Never: instructions that come from text have a place.
    pub fn source(&self) -> Result<Source, Box<Diagnostic>> {
        let source = Source::new(&self.hvp);
        let Some(NotOnDevice { operation, span }) = source.refusal() else { return Ok(source) };
        let span = span.expect("lowered instructions have a place");
        let message = format!("{operation} has no form on a device");
        Err(Box::new(
            Diagnostic::error(Code::E0521, span, message, "used here")
                .with_help("`--device cpu` has all operations"),
        ))
    }

    /// The instructions that evaluate the log joint and its gradient, as text; with what each costs, which
    /// takes a measurement.
    #[must_use]
    pub fn program_text(&self, cost: bool) -> String {
        let program = Program::<f64>::compile(&self.gradient());
        if cost { program.text_with_costs() } else { program.to_string() }
    }
}

/// The lowered function with the given outputs only, none of them random, and its data as constants.
pub(super) fn with_outputs(lowered: &Lowered, outputs: &[usize]) -> Function {
    let f = with_random_outputs(lowered, outputs);
    if is_random(&f) { passes::bind(&f, &[(lower::KEY, Tensor::scalar(0.0))]) } else { f }
}

/// The same with outputs that may be random: the key is an input where anything in the model is random.
pub(super) fn with_random_outputs(lowered: &Lowered, outputs: &[usize]) -> Function {
    let mut f = lowered.function.clone();
    f.outputs = outputs.iter().map(|&i| lowered.function.outputs[i].clone()).collect();
    let data: Vec<(&str, Tensor)> =
        lowered.data.iter().map(|(name, t)| (name.as_str(), t.clone())).collect();
    passes::bind(&f, &data)
}

/// Whether a function takes the key of random numbers.
pub(super) fn is_random(f: &Function) -> bool {
    f.inputs.iter().any(|input| input.name == lower::KEY)
}

/// A log joint of `theta`, its first input, with score and Hessian-vector product.
///
/// # Errors
/// E0509 when it has no derivative.
pub(super) fn differentiated(log_joint: &Function) -> Result<Function, Box<Diagnostic>> {
    let hvp = autodiff::hvp(log_joint, 0).map_err(|e| not_differentiable(&e))?;
    Ok(passes::optimize(&hvp))
}

fn not_differentiable(e: &NotDifferentiable) -> Box<Diagnostic> {
    let span = e.span.expect("lowered instructions have a place");
    let message = e.to_string();
    Box::new(Diagnostic::error(Code::E0509, span, message, "depends on a parameter here"))
}
