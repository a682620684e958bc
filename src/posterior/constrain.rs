//! Unconstrained draws → named constrained values, and the pointwise log likelihood.

use std::collections::HashMap;

use crate::exec::program::Program;
use crate::lower::{Lowered, Role};
use crate::passes;
use crate::random::keys;
use crate::results::{Draws, Variable};

use super::compile::{is_random, with_random_outputs};

/// Evaluates what a draw reports.
#[derive(Debug)]
pub struct Values {
    program: Program<f64>,
    variables: Vec<crate::lower::Variable>,
    random: bool,
    /// The random stream of its keys.
    stream: &'static str,
}

impl Values {
    /// Parameters, transformed parameters and generated quantities.
    pub(super) fn reported(lowered: &Lowered) -> Self {
        Self::of(lowered, lowered.variables.clone(), "generated")
    }

    /// The variables of a generative model that have one of these roles; `stream` names its random
    /// numbers.
    #[must_use]
    pub fn generated(lowered: &Lowered, roles: &[Role], stream: &'static str) -> Self {
        let chosen = lowered.variables.iter().filter(|v| roles.contains(&v.role)).cloned();
        Self::of(lowered, chosen.collect(), stream)
    }

    /// The log density of every observed element, under the name of the data; a second statement
    /// about the same data gets a number.
    #[must_use]
    pub fn log_likelihood(lowered: &Lowered) -> Self {
        let f = &lowered.function;
        let mut times: HashMap<&str, usize> = HashMap::new();
        let observed =
            lowered.terms.iter().filter_map(|t| Some((t.observed.as_deref()?, t.output)));
        let variables = observed
            .map(|(name, output)| {
                let count = times.entry(name).or_default();
                *count += 1;
                crate::lower::Variable {
                    name: if *count == 1 { name.to_owned() } else { format!("{name}_{count}") },
                    shape: f.ty(f.outputs[output].value).shape.clone(),
                    role: Role::Gen,
                    output,
                }
            })
            .collect();
        Self::of(lowered, variables, "log_likelihood")
    }

    fn of(lowered: &Lowered, variables: Vec<crate::lower::Variable>, stream: &'static str) -> Self {
        let outputs: Vec<usize> = variables.iter().map(|v| v.output).collect();
        let f = passes::optimize(&with_random_outputs(lowered, &outputs));
        let random = is_random(&f);
        Values { program: Program::compile(&f), variables, random, stream }
    }

    /// Numbers that one draw has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.variables.iter().map(|v| v.shape.iter().product::<usize>()).sum()
    }

    /// Whether a draw has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The variables at unconstrained draws `theta: [S, D]`, which belong to `chains` chains. Random ones
    /// depend on the seed and on the number of the draw.
    #[must_use]
    pub fn at(&self, theta: &[f64], draws: usize, chains: usize, seed: u64) -> Draws {
        let mut out: Vec<Vec<f64>> = self
            .variables
            .iter()
            .map(|v| vec![0.0; draws * v.shape.iter().product::<usize>()])
            .collect();
        let mut slices: Vec<&mut [f64]> = out.iter_mut().map(Vec::as_mut_slice).collect();
        let keys = if self.random { keys(seed, self.stream, draws) } else { Vec::new() };
        let inputs: &[&[f64]] = if self.random { &[theta, &keys] } else { &[theta] };
        self.program.run(draws, inputs, &mut slices);
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
