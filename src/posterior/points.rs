//! The log joint taken apart at given points: its terms, its Jacobian part, and its value at
//! constrained points. What `ppl log-density` prints.

use crate::exec::program::Program;
use crate::lower::Lowered;
use crate::passes;
use crate::source::Span;

use super::compile::with_outputs;

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
    /// Number of unconstrained reals, where the points are constrained.
    unconstrained: Option<usize>,
}

/// The parts at one point.
#[derive(Debug, Clone, PartialEq)]
pub struct LogJoint {
    /// The log joint, nats; with the Jacobian part if the point was unconstrained.
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
        let outputs: Vec<usize> =
            [0, 1].into_iter().chain(terms).chain(lowered.unconstrained).collect();
        let f = passes::optimize(&with_outputs(lowered, &outputs));
        let len = |i: usize| lowered.function.ty(lowered.function.outputs[i].value).len();
        Parts {
            inputs: f.inputs.iter().map(|i| i.ty.len()).collect(),
            program: Program::compile(&f),
            terms: lowered.terms.iter().map(|t| (t.span, len(t.output))).collect(),
            unconstrained: lowered.unconstrained.map(len),
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
        let mut slices: Vec<&mut [f64]> = out.iter_mut().map(Vec::as_mut_slice).collect();
        self.program.run(1, inputs, &mut slices);
        let unconstrained = self.unconstrained.and_then(|_| out.pop());
        let terms = self.terms.iter().zip(&out[2..]);
        LogJoint {
            log_density: out[0][0],
            log_jacobian: out[1][0],
            unconstrained,
            terms: terms.map(|(&(span, _), x)| (span, x.iter().sum())).collect(),
        }
    }
}
