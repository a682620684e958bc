//! Computes what depends on no input, where something that does reads it.
//!
//! `fold` stores results that are not much larger than what they came from, for the algebra to see. What
//! stays is large on the way, such as a covariance of the distances of given points: here only the values at
//! the border are stored, and what led to them goes. Movements of constants
//! stay: the executor reads through them.

use crate::exec::reference;
use crate::ir::{Args, Function, Inst, Op, Output, ValueId};

/// `f` with the values at the border stored, if there are any.
pub(super) fn run(f: &Function) -> Option<Function> {
    let unknown = f.depends_on(|_| true);
    let mut read = vec![false; f.insts.len()];
    for output in &f.outputs {
        read[output.value.index()] = true;
    }
    let mut border = Vec::new();
    for (value, inst) in f.values().collect::<Vec<_>>().into_iter().rev() {
        let i = value.index();
        if unknown[i] || read[i] && inst.op.is_movement() {
            inst.args.iter().for_each(|a| read[a.index()] = true);
        } else if read[i] && !inst.args.is_empty() && !matches!(inst.op, Op::Scan(_)) {
            border.push(value);
        }
    }
    if border.is_empty() {
        return None;
    }
    let outputs = |value: &ValueId| Output { name: value.to_string(), value: *value };
    let computed = reference::evaluate(&f.extract(border.iter().map(outputs).collect()), &[]);
    let mut after = f.clone();
    for (value, tensor) in border.iter().zip(computed) {
        let inst = &mut after.insts[value.index()];
        *inst = Inst { op: Op::Const(tensor), args: Args::new(), ..inst.clone() };
    }
    after.drop_unneeded();
    Some(after)
}
