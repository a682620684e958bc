//! Computes what is constant, with the reference executor.
//!
//! A constant is a `Const`, or a scalar one spread over a shape (a *splat*), which stays a `Broadcast` so
//! that it takes no memory. A result is stored only if it is not much larger than what it came from.

use std::collections::HashMap;

use crate::exec::reference;
use crate::ir::{Args, Builder, Function, Inst, Op, Shape, Tensor, Type, ValueId};

use super::emit::rebuild;

/// Results of up to this many elements are always stored.
const SMALL: usize = 1024;

/// `f` with constants computed, if there are any to compute.
pub(super) fn run(f: &Function) -> Option<Function> {
    if f.is_flat() && !has_constants(f) {
        return None;
    }
    let mut done: HashMap<(Op, Args), ValueId> = HashMap::new();
    rebuild(f, &mut |b, inst, args| {
        let key = (inst.op.map_functions(&run), args);
        if let Some(&known) = done.get(&key) {
            return known;
        }
        match fold(b, &key.0, &key.1, &inst.ty) {
            Some(value) => *done.entry(key).or_insert(value),
            None => b.add(key.0, key.1),
        }
    })
}

/// Whether any value is made of constants alone, splats aside, which stay.
fn has_constants(f: &Function) -> bool {
    let mut constant: Vec<bool> = Vec::with_capacity(f.insts.len());
    f.insts.iter().any(|inst| {
        let made = !inst.args.is_empty() && inst.args.iter().all(|a| constant[a.index()]);
        constant.push(made || matches!(inst.op, Op::Const(_)) || inst.ty.is_empty());
        made && (!is_splat(&inst.op) || inst.ty.is_empty())
    })
}

/// Whether the operation spreads a scalar.
fn is_splat(op: &Op) -> bool {
    matches!(op, Op::Broadcast { axes, .. } if axes.is_empty())
}

fn fold(b: &mut Builder, op: &Op, args: &[ValueId], ty: &Type) -> Option<ValueId> {
    match op {
        Op::Const(_) | Op::Input(_) => return None,
        Op::Proj(index) => return component(b, args[0], *index as usize),
        Op::Scan(_) => return None,
        _ => {}
    }
    // A constant operand of no elements is one too.
    let constant = |a: ValueId| match &b.inst(a).op {
        Op::Const(t) => Some(t.clone()),
        _ if b.ty(a).is_empty() => Some(Tensor::new(b.ty(a).clone(), Vec::new())),
        _ => None,
    };
    let elementwise = matches!(op, Op::Unary(_) | Op::Binary(_) | Op::Ternary(_) | Op::Convert(_));
    let inst = |ty: Type| Inst { op: op.clone(), args: Args::new(), ty, span: None };
    if elementwise && !ty.is_empty() {
        let splats: Option<Vec<f64>> = args.iter().map(|&a| b.as_splat(a)).collect();
        if let Some(splats) = splats {
            let scalars: Vec<Tensor> = args
                .iter()
                .zip(splats)
                .map(|(&a, x)| Tensor::new(Type::new(b.ty(a).dtype, Shape::new()), vec![x]))
                .collect();
            let scalar = Type::new(ty.dtype, Shape::new());
            let result = reference::apply(&inst(scalar), &scalars.iter().collect::<Vec<_>>());
            let result = b.tensor(result);
            return Some(b.expand(result, &ty.shape));
        }
    }
    // A splat among real constants is spelled out: the result is as large as the others.
    let mut stored = 0;
    let operands: Option<Vec<Tensor>> = args
        .iter()
        .map(|&a| match (constant(a), b.as_splat(a)) {
            (Some(t), _) => {
                stored += t.data.len();
                Some(t)
            }
            (None, Some(x)) if elementwise => {
                Some(Tensor::new(Type::new(b.ty(a).dtype, Shape::new()), vec![x]))
            }
            // A spread constant, which must be small beside the others.
            _ if elementwise => spread_constant(b, a),
            _ => None,
        })
        .collect();
    let operands = operands?;
    if is_splat(op) && !ty.is_empty() {
        return None; // A splat.
    }
    if ty.len() > SMALL.max(2 * stored) {
        return None;
    }
    let result = reference::apply(&inst(ty.clone()), &operands.iter().collect::<Vec<_>>());
    Some(b.tensor(result))
}

/// A constant that is spread over more axes, written out.
fn spread_constant(b: &Builder, a: ValueId) -> Option<Tensor> {
    let inst = b.inst(a);
    match (&inst.op, inst.args.first().map(|&a| &b.inst(a).op)) {
        (Op::Broadcast { .. }, Some(Op::Const(t))) => Some(reference::apply(inst, &[t])),
        _ => None,
    }
}

/// Component of a scan whose operands are all constant.
fn component(b: &mut Builder, tuple: ValueId, index: usize) -> Option<ValueId> {
    let inst = b.inst(tuple).clone();
    let Op::Scan(scan) = &inst.op else { return None };
    let operand = |&a: &ValueId| match (&b.inst(a).op, b.as_splat(a)) {
        (Op::Const(t), _) => Some(t.clone()),
        (_, Some(x)) => Some(Tensor::new(b.ty(a).clone(), vec![x; b.ty(a).len()])),
        _ => None,
    };
    let operands: Vec<Tensor> = inst.args.iter().map(operand).collect::<Option<_>>()?;
    let mut parts = reference::run_scan(scan, &operands.iter().collect::<Vec<_>>());
    let part = parts.swap_remove(index);
    Some(b.tensor(part))
}
