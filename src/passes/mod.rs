//! IR → IR with the same values.
//!
//! | file | what |
//! |---|---|
//! | `bind_data` | inputs → constants |
//! | `fold` | computes what is constant |
//! | `simplify` with `rules` | algebra, one row each |
//! | `known` | computes what depends on no input and was too large for `fold` |
//! | `loops` | scans: unused results, what does not change, no steps |
//! | `dce` | drops what no output needs |
//! | `gate` | runs one pass and verifies after it |
//! | `emit` | rebuilds functions; common subexpressions vanish here |
//! | `least_squares` | not in the pipeline: sums of squared residuals of linear models |
//! | `subsample` | not in the pipeline: the log joint over some rows of the data |

mod bind_data;
mod dce;
mod emit;
mod fold;
pub mod gate;
mod known;
mod least_squares;
mod loops;
mod rules;
mod simplify;
pub mod subsample;

use crate::ir::{Function, Tensor};

/// A pass, and why it stands where it does.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// Name, as in `; run: …` of fixtures.
    pub name: &'static str,
    /// The pass: the function after it, if it changes anything.
    pub run: fn(&Function) -> Option<Function>,
    /// Why here.
    pub reason: &'static str,
}

/// The passes in order. [`optimize`] repeats them until nothing changes.
pub const PIPELINE: &[Pass] = &[
    Pass {
        name: "dce",
        run: dce::run,
        reason: "first, so that no other pass works on what nobody reads",
    },
    Pass {
        name: "loops",
        run: loops::run,
        reason: "before the algebra: it takes values out of scans to where rules see them",
    },
    Pass {
        name: "fold",
        run: fold::run,
        reason: "before the algebra, whose rules look for constants",
    },
    Pass {
        name: "simplify",
        run: simplify::run,
        reason: "after what gives it simple operands; it leaves dead and constant values for the next round",
    },
    Pass {
        name: "known",
        run: known::run,
        reason: "last: what the others make small need not be stored at its largest",
    },
];

/// What [`specialize`] does once the pipeline has come to its end.
const LEAST_SQUARES: Pass = Pass {
    name: "least_squares",
    run: least_squares::run,
    reason: "after the algebra, which brings residuals into one form",
};

/// Rounds of the pipeline; two or three lead to a fixed point in practice.
const MOST_ROUNDS: usize = 10;

/// Runs the pipeline until nothing changes.
///
/// # Panics
/// When a pass makes a function that does not verify: a bug in ppl.
#[must_use]
pub fn optimize(f: &Function) -> Function {
    let mut f = f.clone();
    let mut idle = 0;
    for pass in PIPELINE.iter().cycle().take(MOST_ROUNDS * PIPELINE.len()) {
        match gate::run(pass, &f) {
            Some(after) => (f, idle) = (after, 0),
            None => idle += 1,
        }
        if idle == PIPELINE.len() {
            break;
        }
    }
    f
}

/// Gives an optimised log joint the forms of models that have a faster one: see `least_squares`.
///
/// # Panics
/// As [`optimize`].
#[must_use]
pub fn specialize(f: &Function) -> Function {
    gate::run(&LEAST_SQUARES, f).map_or_else(|| f.clone(), |after| optimize(&after))
}

/// Runs the named passes once each, in the order given; `None` when a name is unknown.
///
/// # Panics
/// As [`optimize`].
#[must_use]
pub fn run_named(f: &Function, names: &[&str]) -> Option<Function> {
    let mut f = f.clone();
    for name in names {
        let pass = PIPELINE.iter().chain([&LEAST_SQUARES]).find(|pass| pass.name == *name)?;
        f = gate::run(pass, &f).unwrap_or(f);
    }
    Some(f)
}

/// Replaces inputs by constants and declares them no more.
///
/// # Panics
/// When there is no input of a name, or its shape differs.
#[must_use]
pub fn bind(f: &Function, values: &[(&str, Tensor)]) -> Function {
    bind_data::run(f, values)
}
