//! Runs one pass and verifies what it made.

use crate::ir::Function;
use crate::ir::verify::verify;

use super::Pass;

/// What one pass did.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The pass.
    pub name: &'static str,
    /// Instructions before, those in scans included.
    pub before: usize,
    /// Instructions after.
    pub after: usize,
    /// The function after it, as text for reading.
    pub text: String,
}

/// The function after `pass`.
///
/// # Panics
/// When it does not verify: a bug in ppl.
#[must_use]
pub fn run(pass: &Pass, f: &Function) -> Function {
    let after = (pass.run)(f);
    if let Err(error) = verify(&after) {
        panic!("bug in ppl: pass {} made ill-formed IR: {error}\n{after}", pass.name);
    }
    after
}

/// The same, with a trace for `--emit`.
///
/// # Panics
/// As [`run`].
#[must_use]
pub fn run_traced(pass: &Pass, f: &Function) -> (Function, Trace) {
    let after = run(pass, f);
    let trace =
        Trace { name: pass.name, before: size(f), after: size(&after), text: after.to_string() };
    (after, trace)
}

fn size(f: &Function) -> usize {
    let nested = |inst: &crate::ir::Inst| inst.op.functions().map(size).sum::<usize>();
    f.insts.iter().map(|inst| 1 + nested(inst)).sum()
}
