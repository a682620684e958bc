//! The algebraic rules; see the folder's README for what a rule may do.

mod algebra;
mod indexing;
mod movement;
mod range;
mod reduction;

use crate::ir::{BinaryOp, Builder, DType, Op, Type, UnaryOp, ValueId, infer_type};

/// A rewrite of one instruction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// What it does, as `pattern → replacement`.
    pub(super) name: &'static str,
    /// The replacement for this operation on these operands, if the rule applies.
    pub(super) apply: fn(&mut Builder, &Op, &[ValueId]) -> Option<ValueId>,
}

/// Every rule, in the order in which they are tried.
pub(super) fn all() -> impl Iterator<Item = &'static Rule> {
    algebra::RULES.iter().chain(movement::RULES).chain(indexing::RULES).chain(reduction::RULES)
}

// What rules are written with.

fn is_unary(b: &Builder, a: ValueId, op: UnaryOp) -> Option<ValueId> {
    match b.inst(a).op {
        Op::Unary(found) if found == op => Some(b.inst(a).args[0]),
        _ => None,
    }
}

fn is_binary(b: &Builder, a: ValueId, op: BinaryOp) -> Option<(ValueId, ValueId)> {
    match b.inst(a).op {
        Op::Binary(found) if found == op => Some((b.inst(a).args[0], b.inst(a).args[1])),
        _ => None,
    }
}

fn unary(b: &mut Builder, op: UnaryOp, a: ValueId) -> ValueId {
    super::simplify::add(b, Op::Unary(op), [a].as_slice())
}

fn binary(b: &mut Builder, op: BinaryOp, x: ValueId, y: ValueId) -> ValueId {
    super::simplify::add(b, Op::Binary(op), [x, y].as_slice())
}

/// The type of the instruction that a rule replaces.
pub(super) fn result_type(b: &Builder, op: &Op, args: &[ValueId]) -> Option<Type> {
    infer_type(op, &args.iter().map(|&a| b.ty(a)).collect::<Vec<_>>()).ok()
}

/// `x` as a value of that type: spread over the shape, converted to a wider element type.
fn as_type(b: &mut Builder, x: ValueId, ty: &Type) -> Option<ValueId> {
    let found = b.ty(x).clone();
    if found.shape != ty.shape && found.rank() != 0 {
        return None;
    }
    let x = match (found.dtype, ty.dtype) {
        (from, to) if from == to => x,
        (DType::Int | DType::Bool, DType::Real) | (DType::Bool, DType::Int) => {
            b.add(Op::Convert(ty.dtype), [x].as_slice())
        }
        _ => return None,
    };
    Some(b.expand(x, &ty.shape))
}

/// The splat constant that the operand is.
fn splat(b: &Builder, a: ValueId) -> Option<f64> {
    b.as_splat(a)
}

/// A number that may be multiplied into another without leaving the range of `f64` or `f32` by itself.
fn moderate(x: f64) -> bool {
    let x = x.abs();
    (1e-18..1e18).contains(&x)
}
