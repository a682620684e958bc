//! IR → IR with derivatives, by reverse accumulation. The result is ordinary IR, so it nests.
//!
//! In:  a function with one real scalar output.
//! Out: [`gradient`] adds the gradient, [`gradients`] those in several inputs, [`hvp`] adds gradient and Hessian-vector product as outputs.
//!
//! Not here: simplification (`passes`), evaluation (`exec`).
//!
//! Reference: [griewank2008, ch. 3] for reverse accumulation; \[pearlmutter1994\] for the
//! Hessian-vector product as the derivative of `⟨∇f, v⟩`.

mod matrix;
mod reverse;
mod rules;
mod scan;
mod slope;
mod solver;

use crate::ir::{Builder, Function, Type};
use crate::source::Span;

pub use solver::jacobian;

use reverse::{Forward, backward, guarded};

/// An operation whose derivative in a parameter-dependent operand is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} has no derivative in its {operand} argument")]
pub struct NotDifferentiable {
    /// Name of the operation, as users know it.
    pub operation: &'static str,
    /// Which argument: `first`, `second`, …
    pub operand: &'static str,
    /// Where it was written.
    pub span: Option<Span>,
}

/// `f` with a further output `score`: the gradient of its first output in its input `wrt`.
///
/// # Shape
/// The first output is a real scalar; `score` has the shape of the input.
///
/// # Errors
/// When the output depends on the input through an operation without a derivative.
///
/// # Panics
/// When `f` has no output or no such input.
pub fn gradient(f: &Function, wrt: usize) -> Result<Function, NotDifferentiable> {
    gradients(f, &[wrt])
}

/// `f` with a further output `score` for each of the inputs `wrt`, in that order; one way back serves all.
///
/// # Shape
/// As [`gradient`].
///
/// # Errors
/// As [`gradient`].
///
/// # Panics
/// As [`gradient`].
pub fn gradients(f: &Function, wrt: &[usize]) -> Result<Function, NotDifferentiable> {
    let mut b = Builder::new(f.name.clone());
    let args: Vec<_> = f.inputs.iter().map(|i| b.input(i.name.clone(), i.ty.clone())).collect();
    let mut is_wrt = vec![false; f.inputs.len()];
    wrt.iter().for_each(|&i| is_wrt[i] = true);
    let forward = Forward::new(&mut b, f, &args, |i| is_wrt[i], guarded(f, &[]));
    let one = b.scalar(1.0);
    let cotangents = backward(&mut b, f, &forward, &[(f.outputs[0].value, one)])?;
    for output in &f.outputs {
        b.output(output.name.clone(), forward.value(output.value));
    }
    for &i in wrt {
        let score = cotangents[i].unwrap_or_else(|| b.splat(0.0, &f.inputs[i].ty.shape));
        b.output("score", score);
    }
    Ok(b.finish())
}

/// `f` with a further input `v` and further outputs `score` and `hvp = ∇² f · v`.
///
/// # Shape
/// As [`gradient`]; `v` and `hvp` have the shape of the input `wrt`.
///
/// # Errors
/// As [`gradient`].
///
/// # Panics
/// As [`gradient`].
pub fn hvp(f: &Function, wrt: usize) -> Result<Function, NotDifferentiable> {
    let g = gradient(f, wrt)?;
    let mut b = Builder::new(g.name.clone());
    let args: Vec<_> = g.inputs.iter().map(|i| b.input(i.name.clone(), i.ty.clone())).collect();
    let shape = g.inputs[wrt].ty.shape.clone();
    let v = b.input("v", Type::real(shape.clone()));
    let forward = Forward::new(&mut b, &g, &args, |i| i == wrt, guarded(&g, &[]));
    let score = g.outputs[g.outputs.len() - 1].value;
    let cotangents = backward(&mut b, &g, &forward, &[(score, v)])?;
    let product = cotangents[wrt].unwrap_or_else(|| b.splat(0.0, &shape));
    for output in &g.outputs {
        b.output(output.name.clone(), forward.value(output.value));
    }
    b.output("hvp", product);
    Ok(b.finish())
}
