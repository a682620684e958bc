//! Unconstrained draws → named constrained values, and the terms of the log joint.

use crate::exec::program::Program;
use crate::lower::Lowered;
use crate::passes;
use crate::results::{Draws, Variable};

use super::compile::with_outputs;

/// Evaluates what a draw reports.
#[derive(Debug)]
pub struct Values {
    program: Program<f64>,
    variables: Vec<crate::lower::Variable>,
}

impl Values {
    pub(super) fn new(lowered: &Lowered) -> Self {
        let outputs: Vec<usize> = lowered.variables.iter().map(|v| v.output).collect();
        let f = passes::optimize(&with_outputs(lowered, &outputs));
        Values { program: Program::compile(&f), variables: lowered.variables.clone() }
    }

    /// The variables at unconstrained draws `theta: [S, D]`, which belong to `chains` chains.
    #[must_use]
    pub fn at(&self, theta: &[f64], draws: usize, chains: usize) -> Draws {
        let mut out: Vec<Vec<f64>> = self
            .variables
            .iter()
            .map(|v| vec![0.0; draws * v.shape.iter().product::<usize>()])
            .collect();
        let mut slices: Vec<&mut [f64]> = out.iter_mut().map(Vec::as_mut_slice).collect();
        self.program.run(draws, &[theta], &mut slices);
        let variables = self
            .variables
            .iter()
            .zip(out)
            .map(|(v, values)| Variable {
                name: v.name.clone(),
                shape: v.shape.to_vec(),
                role: v.role,
                values,
            })
            .collect();
        Draws { chains, draws_per_chain: draws / chains.max(1), variables }
    }
}
