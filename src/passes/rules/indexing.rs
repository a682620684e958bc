//! Rules about gathers with constant indices, as tables of discrete latents make them.

use crate::ir::{Builder, Op, Shape, Tensor, Type, ValueId};

use super::super::simplify::add;
use super::Rule;

pub(super) const RULES: &[Rule] = &[
    Rule { name: "gather by an index that repeats → broadcast", apply: repeated },
    Rule { name: "gather of a gather → one gather", apply: composed },
    Rule { name: "f(gather x) → gather f(x), where x is smaller", apply: compute_before_gather },
];

fn constant(b: &Builder, a: ValueId) -> Option<Tensor> {
    match &b.inst(a).op {
        Op::Const(t) => Some(t.clone()),
        _ => None,
    }
}

/// An index that is the same all along some of its axes.
fn repeated(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let Op::Gather { axis } = op else { return None };
    let mut index = constant(b, args[1])?;
    let full = index.ty.shape.clone();
    let mut kept: Vec<usize> = (0..full.len()).collect();
    for along in (0..full.len()).rev() {
        if full[along] > 1
            && let Some(less) = without_axis(&index, along)
        {
            index = less;
            kept.remove(along);
        }
    }
    if kept.len() == full.len() {
        return None;
    }
    let mut shape: Shape = b.shape(args[0])[..*axis].into();
    shape.extend_from_slice(&full);
    shape.extend_from_slice(&b.shape(args[0])[axis + 1..]);
    let behind = axis + full.len();
    let axes: Shape =
        (0..*axis).chain(kept.into_iter().map(|a| axis + a)).chain(behind..shape.len()).collect();
    let index = b.tensor(index);
    let picked = add(b, op.clone(), [args[0], index].as_slice());
    Some(add(b, Op::Broadcast { shape, axes }, [picked].as_slice()))
}

/// The tensor without an axis along which it does not change.
fn without_axis(t: &Tensor, along: usize) -> Option<Tensor> {
    let n = t.ty.shape[along];
    let inner: usize = t.ty.shape[along + 1..].iter().product();
    let mut data = Vec::with_capacity(t.data.len() / n);
    for block in t.data.chunks_exact(n * inner) {
        let (first, rest) = block.split_at(inner);
        if rest.chunks_exact(inner).any(|row| row != first) {
            return None;
        }
        data.extend_from_slice(first);
    }
    let mut shape = t.ty.shape.clone();
    shape.remove(along);
    Some(Tensor::new(Type::new(t.ty.dtype, shape), data))
}

/// Elements of a vector that is itself a gather of rows.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "indices are non-negative integers far below 2^53"
)]
fn composed(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let Op::Gather { axis: 0 } = op else { return None };
    if b.ty(args[0]).rank() != 1 {
        return None;
    }
    let outer = constant(b, args[1])?;
    let mut rows = b.inst(args[0]).clone();
    if matches!(rows.op, Op::Reshape(_)) {
        rows = b.inst(rows.args[0]).clone();
    }
    let Op::Gather { axis: 0 } = rows.op else { return None };
    let inner = constant(b, rows.args[1])?;
    let source = b.ty(rows.args[0]).clone();
    let row: usize = source.shape[1..].iter().product();
    let data: Vec<f64> = outer
        .data
        .iter()
        .map(|&i| inner.data[i as usize / row] * row as f64 + (i as usize % row) as f64)
        .collect();
    let index = b.tensor(Tensor::new(outer.ty, data));
    let flat = add(b, Op::Reshape([source.len()].as_slice().into()), [rows.args[0]].as_slice());
    Some(add(b, op.clone(), [flat, index].as_slice()))
}

fn compute_before_gather(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let Op::Unary(_) = op else { return None };
    let picked = b.inst(args[0]).clone();
    let Op::Gather { .. } = picked.op else { return None };
    if b.ty(picked.args[0]).len() >= picked.ty.len() || constant(b, picked.args[1]).is_none() {
        return None;
    }
    let computed = add(b, op.clone(), [picked.args[0]].as_slice());
    Some(add(b, picked.op, [computed, picked.args[1]].as_slice()))
}
