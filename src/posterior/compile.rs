//! Lowered model → optimised, differentiated, executable log joint.

use std::sync::Arc;

use crate::autodiff::{self, NotDifferentiable};
use crate::density::LogDensity;
use crate::diagnostics::{Code, Diagnostic};
use crate::exec::program::Program;
use crate::inference::Target;
use crate::ir::{Builder, Function, Tensor};
use crate::lower::{Lowered, Role, Variable};
use crate::passes;
use crate::source::SourceMap;

use super::constrain::Values;
use super::density::{ModelDensity, Origin};

/// A posterior that can be evaluated, differentiated and reported on.
#[derive(Debug)]
pub struct Posterior {
    lowered: Lowered,
    log_joint: Function,
    hvp: Function,
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
        let lowered = with_probabilities(lowered).map_err(|e| not_differentiable(&e))?;
        let log_joint = passes::optimize(&with_outputs(&lowered, &[0]));
        let hvp = autodiff::hvp(&log_joint, 0).map_err(|e| not_differentiable(&e))?;
        let hvp = passes::optimize(&hvp);
        let origin = Arc::new(Origin::new(&log_joint, &lowered.params, sources));
        let f64: Arc<dyn LogDensity<f64>> = Arc::new(ModelDensity::<f64>::new(&hvp, &origin));
        let f32: Arc<dyn LogDensity<f32>> = Arc::new(ModelDensity::<f32>::new(&hvp, &origin));
        let values = Values::reported(&lowered);
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

    /// The instructions that evaluate the log joint and its gradient, as text.
    #[must_use]
    pub fn program_text(&self) -> String {
        Program::<f64>::compile(&self.gradient()).to_string()
    }
}

/// The lowered function with the given outputs only, and its data as constants.
pub(super) fn with_outputs(lowered: &Lowered, outputs: &[usize]) -> Function {
    let mut f = lowered.function.clone();
    f.outputs = outputs.iter().map(|&i| lowered.function.outputs[i].clone()).collect();
    let data: Vec<(&str, Tensor)> =
        lowered.data.iter().map(|(name, t)| (name.as_str(), t.clone())).collect();
    passes::bind(&f, &data)
}

/// Adds the posterior probabilities of each discrete latent `z`, given the other parameters, to what a
/// draw reports: `z_prob`, of the shape of `z` with an axis for its values behind. They are the
/// derivative of the log joint in the latent's probe: differentiating the forward algorithm gives the
/// backward one [eisner2016].
fn with_probabilities(mut lowered: Lowered) -> Result<Lowered, NotDifferentiable> {
    for latent in lowered.latents.clone() {
        let f = &lowered.function;
        let joint = f.extract(vec![f.outputs[0].clone()]);
        let gradient = autodiff::gradient(&joint, latent.probe)?;
        let mut b = Builder::new(f.name.clone());
        let args: Vec<_> = f.inputs.iter().map(|i| b.input(i.name.clone(), i.ty.clone())).collect();
        let values = b.inline(f, &args);
        for output in &f.outputs {
            b.output(output.name.clone(), values[output.value.index()]);
        }
        let derivatives = b.inline(&gradient, &args);
        let score = gradient.outputs[gradient.outputs.len() - 1].value;
        let mut shape = latent.shape.clone();
        shape.push(latent.values);
        let value = b.reshape(derivatives[score.index()], &shape);
        let name = format!("{}_prob", latent.name);
        b.output(name.clone(), value);
        let output = f.outputs.len();
        lowered.function = b.finish();
        lowered.variables.push(Variable { name, shape, role: Role::Gen, output });
    }
    Ok(lowered)
}

fn not_differentiable(e: &NotDifferentiable) -> Box<Diagnostic> {
    let span = e.span.expect("lowered instructions have a place");
    let message = e.to_string();
    Box::new(Diagnostic::error(Code::E0509, span, message, "depends on a parameter here"))
}
