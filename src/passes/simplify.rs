//! Algebra: tries every rule on every instruction, until none applies.
//!
//! Operands of commutative operations are put in order first (splat constants, then scalars, then by
//! number), so that rules need to look on one side only and equal expressions become the same value.

use crate::ir::{Args, BinaryOp, Builder, Function, Op, ValueId};

use super::emit::rebuild;
use super::rules;

/// `f` simplified, if any rule applies.
pub(super) fn run(f: &Function) -> Option<Function> {
    rebuild(f, &mut |b, inst, args| add(b, inst.op.map_functions(&run), args))
}

/// Adds an instruction in its simplest form.
pub(super) fn add(b: &mut Builder, op: Op, args: impl Into<Args>) -> ValueId {
    let mut args = args.into();
    if let Op::Binary(op) = op
        && commutes(op)
        && rank(b, args[1]) < rank(b, args[0])
    {
        args.swap(0, 1);
    }
    for rule in rules::all() {
        if let Some(value) = (rule.apply)(b, &op, &args) {
            debug_assert_eq!(
                rules::result_type(b, &op, &args).as_ref(),
                Some(b.ty(value)),
                "bug in ppl: the rule `{}` changes the type",
                rule.name
            );
            return value;
        }
    }
    b.add(op, args)
}

/// Which operand stands first.
fn rank(b: &Builder, a: ValueId) -> (u8, usize) {
    match (b.as_splat(a), b.ty(a).rank()) {
        (Some(_), 0) => (0, a.index()),
        (Some(_), _) => (1, a.index()),
        (None, 0) => (2, a.index()),
        (None, _) => (3, a.index()),
    }
}

fn commutes(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Add
            | BinaryOp::Mul
            | BinaryOp::Min
            | BinaryOp::Max
            | BinaryOp::LogAddExp
            | BinaryOp::Eq
            | BinaryOp::Ne
            | BinaryOp::And
            | BinaryOp::Or
    )
}
