//! Rules about broadcasts, reshapes, transpositions, slices, pads, concatenation and indexing.

use crate::ir::{Builder, Op, Shape, Type, ValueId, num_elements};

use super::super::simplify::add;
use super::{BinaryOp, Rule, result_type, splat};

pub(super) const RULES: &[Rule] = &[
    Rule { name: "f(spread scalar, x) → f(scalar, x)", apply: drop_spread_scalars },
    Rule {
        name: "f(broadcast x, broadcast y) → broadcast f(x, y)",
        apply: compute_before_broadcast,
    },
    Rule {
        name: "broadcast of a broadcast or of a reshape, broadcast that adds axes of 1",
        apply: broadcast,
    },
    Rule { name: "reshape of a reshape or of a splat", apply: reshape },
    Rule { name: "transpose of a transpose, of a splat, or of axes of 1", apply: transpose },
    Rule { name: "slice of a slice, splat, pad, concat or broadcast", apply: slice },
    Rule { name: "pad by nothing", apply: pad },
    Rule {
        name: "sum of pads that touch, with other terms → pad of a concat",
        apply: touching_pads,
    },
    Rule { name: "concat of concats, or of slices that touch", apply: concat },
    Rule { name: "gather of consecutive rows → slice; of one constant row too", apply: gather },
    Rule { name: "scatter to consecutive rows → pad", apply: scatter },
    Rule {
        name: "product with a transposed matrix → its flag; outer product → elementwise",
        apply: matmul,
    },
];

fn is_elementwise(op: &Op) -> bool {
    matches!(op, Op::Unary(_) | Op::Binary(_) | Op::Ternary(_) | Op::Convert(_))
}

/// The scalar that is spread over a shape.
fn spread(b: &Builder, a: ValueId) -> Option<ValueId> {
    match &b.inst(a).op {
        Op::Broadcast { axes, .. } if axes.is_empty() => Some(b.inst(a).args[0]),
        _ => None,
    }
}

fn drop_spread_scalars(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    if !is_elementwise(op) || !args.iter().any(|&a| spread(b, a).is_some()) {
        return None;
    }
    let full = args.iter().any(|&a| b.ty(a).rank() > 0 && spread(b, a).is_none());
    let scalars: Vec<ValueId> = args.iter().map(|&a| spread(b, a).unwrap_or(a)).collect();
    let ty = result_type(b, op, args)?;
    let value = add(b, op.clone(), scalars.as_slice());
    Some(if full { value } else { b.expand(value, &ty.shape) })
}

fn compute_before_broadcast(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    if !is_elementwise(op) {
        return None;
    }
    let mut common: Option<(Shape, Shape, Shape)> = None;
    let mut sources = Vec::with_capacity(args.len());
    for &a in args {
        if b.ty(a).rank() == 0 {
            sources.push(a);
            continue;
        }
        let Op::Broadcast { shape, axes } = &b.inst(a).op else { return None };
        let source = b.inst(a).args[0];
        let found = (shape.clone(), axes.clone(), b.shape(source));
        if *common.get_or_insert_with(|| found.clone()) != found {
            return None;
        }
        sources.push(source);
    }
    let (shape, axes, _) = common?;
    let value = add(b, op.clone(), sources.as_slice());
    Some(b.broadcast(value, &shape, &axes))
}

fn broadcast(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let Op::Broadcast { shape, axes } = op else { return None };
    let inner = b.inst(args[0]).clone();
    if let Op::Broadcast { axes: inner_axes, .. } = &inner.op {
        let composed: Shape = inner_axes.iter().map(|&i| axes[i]).collect();
        return Some(add(
            b,
            Op::Broadcast { shape: shape.clone(), axes: composed },
            [inner.args[0]].as_slice(),
        ));
    }
    if num_elements(shape) == b.ty(args[0]).len() && !shape.is_empty() {
        // Nothing is repeated.
        return Some(add(b, Op::Reshape(shape.clone()), args));
    }
    let Op::Reshape(_) = inner.op else { return None };
    let source = inner.args[0];
    if b.ty(source).rank() == 0 {
        return Some(b.expand(source, shape));
    }
    // A reshape that only adds or drops axes of 1.
    let squeezed = |s: &[usize]| s.iter().copied().filter(|&n| n != 1).collect::<Shape>();
    let (from, to) = (b.shape(source), &inner.ty.shape);
    if squeezed(&from) != squeezed(to) || from.contains(&1) {
        return None;
    }
    let long = axes.iter().zip(to).filter(|(_, n)| **n != 1).map(|(a, _)| *a);
    let axes: Shape = long.collect();
    Some(add(b, Op::Broadcast { shape: shape.clone(), axes }, [source].as_slice()))
}

fn reshape(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let Op::Reshape(shape) = op else { return None };
    if b.shape(args[0]) == *shape {
        return Some(args[0]);
    }
    let inner = b.inst(args[0]).clone();
    match &inner.op {
        Op::Reshape(_) => Some(add(b, op.clone(), [inner.args[0]].as_slice())),
        Op::Broadcast { axes, .. } if axes.is_empty() => Some(b.expand(inner.args[0], shape)),
        _ => None,
    }
}

fn transpose(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let Op::Transpose(perm) = op else { return None };
    if perm.iter().copied().eq(0..perm.len()) {
        return Some(args[0]);
    }
    let inner = b.inst(args[0]).clone();
    let shape: Shape = perm.iter().map(|&p| inner.ty.shape[p]).collect();
    match &inner.op {
        Op::Transpose(first) => {
            let both: Shape = perm.iter().map(|&p| first[p]).collect();
            return Some(add(b, Op::Transpose(both), [inner.args[0]].as_slice()));
        }
        Op::Broadcast { axes, .. } if axes.is_empty() => {
            return Some(b.expand(inner.args[0], &shape));
        }
        _ => {}
    }
    let long: Vec<usize> = perm.iter().copied().filter(|&p| inner.ty.shape[p] != 1).collect();
    long.is_sorted().then(|| add(b, Op::Reshape(shape), args))
}

fn slice(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let Op::Slice { start, stop } = op else { return None };
    let inner = b.inst(args[0]).clone();
    if inner.ty.shape == *stop && start.iter().all(|&s| s == 0) {
        return Some(args[0]);
    }
    let shape: Shape = start.iter().zip(stop).map(|(a, b)| b - a).collect();
    let moved = |by: &[usize], sign: bool| -> (Shape, Shape) {
        let shift = |s: &Shape| -> Shape {
            s.iter().zip(by).map(|(s, d)| if sign { s + d } else { s - d }).collect()
        };
        (shift(start), shift(stop))
    };
    match &inner.op {
        Op::Broadcast { axes, .. } => {
            let source = inner.args[0];
            let cut = |s: &Shape| axes.iter().map(|&a| s[a]).collect::<Shape>();
            let part =
                add(b, Op::Slice { start: cut(start), stop: cut(stop) }, [source].as_slice());
            let part_shape = b.shape(part);
            if part_shape == shape {
                return Some(part);
            }
            Some(add(b, Op::Broadcast { shape, axes: axes.clone() }, [part].as_slice()))
        }
        Op::Slice { start: first, .. } => {
            let (start, stop) = moved(first, true);
            Some(add(b, Op::Slice { start, stop }, [inner.args[0]].as_slice()))
        }
        Op::Pad { low, .. } => {
            let source = b.shape(inner.args[0]);
            let inside =
                (0..low.len()).all(|i| start[i] >= low[i] && stop[i] <= low[i] + source[i]);
            let outside =
                (0..low.len()).any(|i| stop[i] <= low[i] || start[i] >= low[i] + source[i]);
            if inside {
                let (start, stop) = moved(low, false);
                return Some(add(b, Op::Slice { start, stop }, [inner.args[0]].as_slice()));
            }
            let dtype = inner.ty.dtype;
            outside.then(|| {
                let zero = crate::ir::Tensor::new(Type::new(dtype, Shape::new()), vec![0.0]);
                let zero = b.tensor(zero);
                b.expand(zero, &shape)
            })
        }
        Op::Concat { axis } => {
            let mut at = 0;
            for &part in &inner.args {
                let n = b.ty(part).shape[*axis];
                if start[*axis] >= at && stop[*axis] <= at + n && b.ty(part).dtype == inner.ty.dtype
                {
                    let (mut start, mut stop) = (start.clone(), stop.clone());
                    start[*axis] -= at;
                    stop[*axis] -= at;
                    return Some(add(b, Op::Slice { start, stop }, [part].as_slice()));
                }
                at += n;
            }
            None
        }
        _ => None,
    }
}

fn pad(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let Op::Pad { low, high } = op else { return None };
    if low.iter().chain(high).all(|&n| n == 0) {
        return Some(args[0]);
    }
    let inner = b.inst(args[0]).clone();
    let Op::Pad { low: first_low, high: first_high } = &inner.op else { return None };
    let sum = |x: &Shape, y: &Shape| x.iter().zip(y).map(|(x, y)| x + y).collect::<Shape>();
    let op = Op::Pad { low: sum(low, first_low), high: sum(high, first_high) };
    Some(add(b, op, [inner.args[0]].as_slice()))
}

/// The derivative of slicing is padding: this puts the parts of a gradient together.
fn touching_pads(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    if !matches!(op, Op::Binary(BinaryOp::Add | BinaryOp::Sub)) {
        return None;
    }
    let size = match result_type(b, op, args)?.shape.as_slice() {
        &[n] => n,
        _ => return None,
    };
    let as_pad = |b: &Builder, a: ValueId| match &b.inst(a).op {
        Op::Pad { low, high } => Some((low[0], size - high[0], b.inst(a).args[0])),
        _ => None,
    };
    let (mut pads, mut others) = (Vec::new(), Vec::new());
    for (term, plus) in terms(b, op, args) {
        match as_pad(b, term) {
            Some(pad) if plus => pads.push(pad),
            _ => others.push((term, plus)),
        }
    }
    pads.sort_by_key(|&(low, high, _)| (low, high));
    let before = pads.len();
    let mut merged: Vec<(usize, usize, Vec<ValueId>)> = Vec::new();
    for (low, high, part) in pads {
        match merged.iter_mut().find(|(_, end, _)| *end == low) {
            Some((_, end, parts)) => {
                *end = high;
                parts.push(part);
            }
            None => merged.push((low, high, vec![part])),
        }
    }
    if merged.len() == before {
        return None;
    }
    let mut sum: Option<ValueId> = None;
    for (low, high, parts) in merged {
        let part = add(b, Op::Concat { axis: 0 }, parts.as_slice());
        let pad = Op::Pad { low: [low].as_slice().into(), high: [size - high].as_slice().into() };
        let term = add(b, pad, [part].as_slice());
        sum = Some(sum.map_or(term, |sum| b.plus(sum, term)));
    }
    for (term, plus) in others {
        sum = sum.map(|sum| if plus { b.plus(sum, term) } else { b.minus(sum, term) });
    }
    sum
}

/// The terms of a sum or difference, left to right, and whether each is added.
fn terms(b: &Builder, op: &Op, args: &[ValueId]) -> Vec<(ValueId, bool)> {
    let minus = *op != Op::Binary(BinaryOp::Sub);
    let (mut terms, mut stack) = (Vec::new(), vec![(args[1], minus), (args[0], true)]);
    while let Some((a, plus)) = stack.pop() {
        let inst = b.inst(a);
        match inst.op {
            Op::Binary(op @ (BinaryOp::Add | BinaryOp::Sub))
                if inst.ty.rank() == 1 && terms.len() < 64 =>
            {
                let second = if op == BinaryOp::Sub { !plus } else { plus };
                stack.push((inst.args[1], second));
                stack.push((inst.args[0], plus));
            }
            _ => terms.push((a, plus)),
        }
    }
    terms
}

fn concat(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let Op::Concat { axis } = op else { return None };
    if let [one] = args {
        return Some(*one);
    }
    let ty = result_type(b, op, args)?;
    if args.iter().any(|&a| b.ty(a).dtype != ty.dtype) {
        return None;
    }
    let mut parts: Vec<ValueId> = Vec::with_capacity(args.len());
    let mut changed = false;
    for &a in args {
        let inner = b.inst(a).clone();
        if b.ty(a).shape[*axis] == 0 {
            changed = true;
        } else if inner.op == *op {
            parts.extend(&inner.args);
            changed = true;
        } else if let Some(joined) = parts.last().and_then(|&last| join_slices(b, last, a, *axis)) {
            parts.pop();
            parts.push(joined);
            changed = true;
        } else {
            parts.push(a);
        }
    }
    if !changed {
        return None;
    }
    match parts.as_slice() {
        [] => args.first().copied(),
        parts => Some(add(b, op.clone(), parts)),
    }
}

/// One slice for two of the same value that touch along `axis`.
fn join_slices(b: &mut Builder, one: ValueId, two: ValueId, axis: usize) -> Option<ValueId> {
    let (x, y) = (b.inst(one).clone(), b.inst(two).clone());
    let (Op::Slice { start, stop }, Op::Slice { start: start2, stop: stop2 }) = (&x.op, &y.op)
    else {
        return None;
    };
    let others = (0..start.len()).filter(|&i| i != axis);
    let aligned = others.clone().all(|i| start[i] == start2[i] && stop[i] == stop2[i]);
    if x.args != y.args || stop[axis] != start2[axis] || !aligned {
        return None;
    }
    Some(add(b, Op::Slice { start: start.clone(), stop: stop2.clone() }, x.args))
}

/// The first of consecutive 0-based indices.
fn consecutive(b: &Builder, index: ValueId) -> Option<usize> {
    let Op::Const(t) = &b.inst(index).op else { return None };
    let first = *t.data.first()?;
    #[allow(clippy::cast_precision_loss, reason = "indices are far below 2^53")]
    let consecutive = t.data.iter().enumerate().all(|(i, &x)| x == first + i as f64);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a non-negative integer below 2^53"
    )]
    (consecutive && first >= 0.0 && first.fract() == 0.0).then_some(first as usize)
}

fn gather(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let Op::Gather { axis } = op else { return None };
    let ty = result_type(b, op, args)?;
    let first = consecutive(b, args[1])?;
    let count = b.ty(args[1]).len();
    if first + count > b.ty(args[0]).shape[*axis] {
        return None;
    }
    let mut start: Shape = b.shape(args[0]).iter().map(|_| 0).collect();
    let mut stop = b.shape(args[0]);
    start[*axis] = first;
    stop[*axis] = first + count;
    let rows = add(b, Op::Slice { start, stop }, [args[0]].as_slice());
    Some(add(b, Op::Reshape(ty.shape), [rows].as_slice()))
}

fn scatter(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let Op::ScatterAdd { axis, size } = op else { return None };
    let first = consecutive(b, args[1])?;
    let count = b.ty(args[1]).len();
    if first + count > *size {
        return None;
    }
    let ty = result_type(b, op, args)?;
    let mut rows = ty.shape.clone();
    rows[*axis] = count;
    let rows = add(b, Op::Reshape(rows), [args[0]].as_slice());
    let mut low: Shape = ty.shape.iter().map(|_| 0).collect();
    let mut high = low.clone();
    low[*axis] = first;
    high[*axis] = size - first - count;
    Some(add(b, Op::Pad { low, high }, [rows].as_slice()))
}

fn matmul(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let Op::MatMul { ta, tb } = op else { return None };
    let flipped = |b: &Builder, a: ValueId| match &b.inst(a).op {
        Op::Transpose(_) => Some(b.inst(a).args[0]),
        _ => None,
    };
    if let Some(a) = flipped(b, args[0]) {
        return Some(add(b, Op::MatMul { ta: !ta, tb: *tb }, [a, args[1]].as_slice()));
    }
    if let Some(c) = flipped(b, args[1]) {
        return Some(add(b, Op::MatMul { ta: *ta, tb: !tb }, [args[0], c].as_slice()));
    }
    let ty = result_type(b, op, args)?;
    let inner = b.shape(args[0])[usize::from(!ta)];
    if inner != 1 || splat(b, args[0]).is_some() || splat(b, args[1]).is_some() {
        return None;
    }
    let (m, n) = (ty.shape[0], ty.shape[1]);
    let column = add(b, Op::Reshape([m].as_slice().into()), [args[0]].as_slice());
    let row = add(b, Op::Reshape([n].as_slice().into()), [args[1]].as_slice());
    let over =
        |axis: usize| Op::Broadcast { shape: ty.shape.clone(), axes: [axis].as_slice().into() };
    let column = add(b, over(0), [column].as_slice());
    let row = add(b, over(1), [row].as_slice());
    let real = |b: &Builder, a: ValueId| b.ty(a).dtype == crate::ir::DType::Real;
    (real(b, column) || real(b, row))
        .then(|| add(b, Op::Binary(BinaryOp::Mul), [column, row].as_slice()))
}
