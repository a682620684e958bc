//! The log joint taken apart at given points: its terms, its Jacobian part, and its value at
//! constrained points. What `ppl log-density` prints.

use std::collections::HashMap;

use crate::diagnostics::Diagnostic;
use crate::exec::density::CompiledDensity;
use crate::exec::program::Program;
use crate::ir::{Builder, Function, Type, ValueId};
use crate::lower::{self, Lowered, Param};
use crate::passes;
use crate::source::Span;

use super::compile::{differentiated, with_outputs};

/// Evaluates the log joint's parts.
///
/// For a model lowered in constrained space the inputs are the parameters, else `theta`.
#[derive(Debug)]
pub struct Parts {
    program: Program<f64>,
    /// Length of each input of the program.
    inputs: Vec<usize>,
    /// Length of each term's array of elements, with its place.
    terms: Vec<(Span, usize)>,
    /// Whether the last output counts what lies outside of the declared supports.
    counts_outside: bool,
    /// Number of unconstrained reals, where the points are constrained.
    unconstrained: Option<usize>,
}

/// The log joint of a model lowered in constrained space as a density of its constrained numbers:
/// the parameters in order of declaration, arrays row-major.
///
/// # Errors
/// E0509 when the log joint has no derivative in a parameter.
pub fn constrained_density(lowered: &Lowered) -> Result<CompiledDensity<f64>, Box<Diagnostic>> {
    let log_joint = joined(&with_outputs(lowered, &[0]), &lowered.params);
    Ok(CompiledDensity::new(&differentiated(&passes::optimize(&log_joint))?))
}

/// `f` with the one input `theta` in place of one for each parameter.
fn joined(f: &Function, params: &[Param]) -> Function {
    let length = |p: &Param| p.shape.iter().product::<usize>();
    let mut b = Builder::new(f.name.clone());
    let theta =
        b.input(lower::UNCONSTRAINED, Type::real([params.iter().map(length).sum()].as_slice()));
    let mut start = 0;
    let mut parts: HashMap<&str, ValueId> = HashMap::new();
    for param in params {
        let part = b.slice(theta, &[start], &[start + length(param)]);
        start += length(param);
        parts.insert(&param.name, b.reshape(part, &param.shape));
    }
    let args: Vec<ValueId> = f.inputs.iter().map(|input| parts[input.name.as_str()]).collect();
    let map = b.inline(f, &args);
    for output in &f.outputs {
        b.output(output.name.clone(), map[output.value.index()]);
    }
    b.finish()
}

/// The parts at one point.
#[derive(Debug, Clone, PartialEq)]
pub struct LogJoint {
    /// The log joint, nats; with the Jacobian part if the point was unconstrained. −∞ at a constrained
    /// point outside of the declared supports.
    pub log_density: f64,
    /// `log |det J|` of the transforms; 0 for a constrained point.
    pub log_jacobian: f64,
    /// The unconstrained reals of a constrained point: `[D]`, not finite outside of the supports.
    pub unconstrained: Option<Vec<f64>>,
    /// Each term, summed over its elements, in order of declaration.
    pub terms: Vec<(Span, f64)>,
}

impl Parts {
    /// Prepares a lowered model.
    #[must_use]
    pub fn new(lowered: &Lowered) -> Self {
        let terms = lowered.terms.iter().map(|t| t.output);
        let outputs: Vec<usize> = [0, 1]
            .into_iter()
            .chain(terms)
            .chain(lowered.unconstrained)
            .chain(lowered.outside)
            .collect();
        let f = passes::optimize(&with_outputs(lowered, &outputs));
        let len = |i: usize| lowered.function.ty(lowered.function.outputs[i].value).len();
        Parts {
            inputs: f.inputs.iter().map(|i| i.ty.len()).collect(),
            program: Program::compile(&f),
            terms: lowered.terms.iter().map(|t| (t.span, len(t.output))).collect(),
            unconstrained: lowered.unconstrained.map(len),
            counts_outside: lowered.outside.is_some(),
        }
    }

    /// The parts at an unconstrained point `theta: [D]`, or at a constrained point given as one slice
    /// for each parameter, row-major.
    ///
    /// # Panics
    /// When a slice has the wrong length.
    #[must_use]
    pub fn at(&self, inputs: &[&[f64]]) -> LogJoint {
        let lengths: Vec<usize> = inputs.iter().map(|i| i.len()).collect();
        assert_eq!(lengths, self.inputs, "lengths of the inputs");
        let mut out = vec![vec![0.0], vec![0.0]];
        out.extend(self.terms.iter().map(|&(_, n)| vec![0.0; n]));
        out.extend(self.unconstrained.map(|n| vec![0.0; n]));
        out.extend(self.counts_outside.then(|| vec![0.0]));
        let mut slices: Vec<&mut [f64]> = out.iter_mut().map(Vec::as_mut_slice).collect();
        self.program.run(1, inputs, &mut slices);
        let outside = self.counts_outside && out.pop().is_some_and(|count| count[0] > 0.0);
        let unconstrained = self.unconstrained.and_then(|_| out.pop());
        let terms = self.terms.iter().zip(&out[2..]);
        LogJoint {
            log_density: if outside { f64::NEG_INFINITY } else { out[0][0] },
            log_jacobian: out[1][0],
            unconstrained,
            terms: terms.map(|(&(span, _), x)| (span, x.iter().sum())).collect(),
        }
    }
}
