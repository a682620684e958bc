//! Rules about sums.

use crate::ir::{BinaryOp, Builder, DType, Op, Shape, UnaryOp, ValueId};

use super::super::simplify::add;
use super::{Rule, as_type, binary, is_binary, is_unary, result_type, unary};

pub(super) const RULES: &[Rule] = &[
    Rule { name: "Σ over axes of 1 → reshape", apply: short_axes },
    Rule { name: "Σ of a broadcast → n times the sum of what was spread", apply: of_broadcast },
    Rule { name: "Σ s x → s Σ x for a scalar s; Σ −x → −Σ x", apply: factor },
    Rule { name: "Σ (s + x) → n s + Σ x for a scalar s", apply: scalar_term },
    Rule { name: "Σ Σ x → Σ x", apply: of_sum },
    Rule {
        name: "Σ of all elements of a reshape, transpose or pad → Σ of the operand",
        apply: of_moved,
    },
];

fn is_sum(op: &Op) -> Option<&Shape> {
    match op {
        Op::Sum(axes) => Some(axes),
        _ => None,
    }
}

fn short_axes(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let axes = is_sum(op)?;
    if axes.is_empty() {
        return Some(args[0]);
    }
    let ty = result_type(b, op, args)?;
    let short = axes.iter().all(|&a| b.ty(args[0]).shape[a] == 1);
    (short && ty.dtype == b.ty(args[0]).dtype).then(|| add(b, Op::Reshape(ty.shape), args))
}

fn of_broadcast(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let axes = is_sum(op)?;
    let inst = b.inst(args[0]).clone();
    let Op::Broadcast { shape, axes: spread } = &inst.op else { return None };
    let ty = result_type(b, op, args)?;
    if ty.dtype != DType::Real {
        return None;
    }
    let repeated: usize = axes.iter().filter(|a| !spread.contains(a)).map(|&a| shape[a]).product();
    // What is left of the operand: its axes that are summed go first.
    let inner: Shape = (0..spread.len()).filter(|&i| axes.contains(&spread[i])).collect();
    let source = add(b, Op::Sum(inner), [inst.args[0]].as_slice());
    let kept = spread.iter().filter(|a| !axes.contains(a));
    let position = |a: &usize| a - axes.iter().filter(|&&x| x < *a).count();
    let kept: Shape = kept.map(position).collect();
    #[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
    let times = b.scalar(repeated as f64);
    let total = binary(b, BinaryOp::Mul, times, source);
    if b.shape(total) == ty.shape {
        return Some(total);
    }
    Some(add(b, Op::Broadcast { shape: ty.shape, axes: kept }, [total].as_slice()))
}

fn factor(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    is_sum(op)?;
    let ty = result_type(b, op, args)?;
    if ty.dtype != DType::Real {
        return None;
    }
    if let Some(x) = is_unary(b, args[0], UnaryOp::Neg) {
        let sum = add(b, op.clone(), [x].as_slice());
        return Some(unary(b, UnaryOp::Neg, sum));
    }
    let (s, x) = match is_binary(b, args[0], BinaryOp::Mul) {
        Some((s, x)) if b.ty(s).rank() == 0 => (s, x),
        Some((x, s)) if b.ty(s).rank() == 0 => (s, x),
        _ => return None,
    };
    let x = if b.ty(x).dtype == DType::Bool {
        b.add(Op::Convert(DType::Real), [x].as_slice())
    } else {
        x
    };
    let sum = add(b, op.clone(), [x].as_slice());
    Some(binary(b, BinaryOp::Mul, s, sum))
}

fn scalar_term(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let axes = is_sum(op)?;
    let ty = result_type(b, op, args)?;
    let (inner, x, y) =
        match (is_binary(b, args[0], BinaryOp::Add), is_binary(b, args[0], BinaryOp::Sub)) {
            (Some((x, y)), _) => (BinaryOp::Add, x, y),
            (_, Some((x, y))) => (BinaryOp::Sub, x, y),
            _ => return None,
        };
    let (scalar_x, scalar_y) = (b.ty(x).rank() == 0, b.ty(y).rank() == 0);
    if ty.dtype != DType::Real || scalar_x == scalar_y {
        return None;
    }
    let count: usize = axes.iter().map(|&a| b.ty(args[0]).shape[a]).product();
    let total = |b: &mut Builder, a: ValueId| {
        if b.ty(a).rank() == 0 {
            #[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
            let n = b.scalar(count as f64);
            Some(binary(b, BinaryOp::Mul, n, a))
        } else {
            let mut sum_type = ty.clone();
            sum_type.dtype = DType::Real;
            let sum = add(b, op.clone(), [a].as_slice());
            as_type(b, sum, &sum_type)
        }
    };
    let (x, y) = (total(b, x)?, total(b, y)?);
    let value = binary(b, inner, x, y);
    as_type(b, value, &ty)
}

fn of_sum(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let outer = is_sum(op)?;
    let inst = b.inst(args[0]).clone();
    let inner = is_sum(&inst.op)?;
    let rank = b.ty(inst.args[0]).rank();
    let left: Shape = (0..rank).filter(|a| !inner.contains(a)).collect();
    let mut axes: Shape = inner.iter().copied().chain(outer.iter().map(|&a| left[a])).collect();
    axes.sort_unstable();
    Some(add(b, Op::Sum(axes), [inst.args[0]].as_slice()))
}

fn of_moved(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let axes = is_sum(op)?;
    let inst = b.inst(args[0]).clone();
    if axes.len() != inst.ty.rank() {
        return None;
    }
    match inst.op {
        Op::Reshape(_) | Op::Transpose(_) | Op::Pad { .. } => {
            let source = inst.args[0];
            let all: Shape = (0..b.ty(source).rank()).collect();
            if all.is_empty() {
                return Some(source);
            }
            Some(add(b, Op::Sum(all), [source].as_slice()))
        }
        _ => None,
    }
}
