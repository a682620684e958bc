//! Derivatives of solutions: of initial value problems by their sensitivity equations, of roots by the
//! implicit function theorem. Both are operations of the same kinds again, so they nest.
//!
//! The sensitivities `S = ∂y/∂p` of `y' = f(t, y, p)` solve `S' = (∂f/∂y) S + ∂f/∂p`, one block of `n`
//! numbers for each number `p` [hairer1993, sec. I.14, eq. 14.13]. They are solved for together with `y`,
//! so that the steps suit them too.

use std::sync::Arc;

use crate::ir::{
    BinaryOp, Builder, Function, Ode, Op, Output, Problem, Root, Scan, Tensor, Type, ValueId,
};

use super::NotDifferentiable;
use super::reverse::{Cotangents, Forward, backward, guarded};

/// The derivative of a function of one real output at a point, as a linear map.
///
/// Reverse accumulation gives `u ↦ uᵀ J`; reverse accumulation of that, which is linear in `u`, gives
/// `v ↦ J v`.
struct Linear {
    /// `u ↦ uᵀ J`: inputs of the function and `u`; outputs the cotangents, then the function's value.
    reversed: Function,
    forward: Forward,
    /// The cotangent of each input, where it is not zero.
    cotangents: Vec<Option<ValueId>>,
    value: ValueId,
}

impl Linear {
    /// Adds the value of `f` at `args`; `active` says which inputs may vary, `in_branch` whether the value
    /// is used in a branch that may not be taken.
    fn new(
        b: &mut Builder,
        f: &Function,
        args: &[ValueId],
        active: impl Fn(usize) -> bool,
        in_branch: bool,
    ) -> Result<Self, NotDifferentiable> {
        let y = f.outputs[0].value;
        let mut r = Builder::new(f.name.clone());
        let inputs: Vec<ValueId> =
            f.inputs.iter().map(|i| r.input(i.name.clone(), i.ty.clone())).collect();
        let shape = f.ty(y).shape.clone();
        let u = r.input("u", Type::real(shape.clone()));
        let inner = Forward::new(&mut r, f, &inputs, active, guarded(f, &[in_branch]));
        let cotangents = backward(&mut r, f, &inner, &[(y, u)])?;
        for ct in cotangents.iter().flatten() {
            r.output("cotangent", *ct);
        }
        r.output("value", inner.value(y));
        let reversed = r.finish();
        // Any number will do for `u`: only what multiplies it is used.
        let mut args = args.to_vec();
        args.push(b.splat(1.0, &shape));
        let of_u = f.inputs.len();
        let in_branch = guarded(&reversed, &vec![in_branch; reversed.outputs.len()]);
        let forward = Forward::new(b, &reversed, &args, |i| i == of_u, in_branch);
        let value = forward.value(reversed.outputs[reversed.outputs.len() - 1].value);
        Ok(Linear { reversed, forward, cotangents, value })
    }

    /// The derivative along the given tangents of inputs (0 for the others); `None` when it is zero.
    fn along(
        &self,
        b: &mut Builder,
        tangents: &[(usize, ValueId)],
    ) -> Result<Option<ValueId>, NotDifferentiable> {
        let seeds: Vec<(ValueId, ValueId)> = tangents
            .iter()
            .filter_map(|&(input, tangent)| Some((self.cotangents[input]?, tangent)))
            .collect();
        let mut found = backward(b, &self.reversed, &self.forward, &seeds)?;
        Ok(found.pop().flatten())
    }
}

/// `f` (of one output, a vector) with its Jacobian in the input `wrt`, a vector, as second output.
///
/// # Shape
/// `[m]` and `[n]` give `[m, n]`.
///
/// # Errors
/// When `f` depends on the input through an operation without a derivative.
///
/// # Panics
/// When there is no such input or output.
pub fn jacobian(f: &Function, wrt: usize) -> Result<Function, NotDifferentiable> {
    let mut b = Builder::new(f.name.clone());
    let args: Vec<ValueId> =
        f.inputs.iter().map(|i| b.input(i.name.clone(), i.ty.clone())).collect();
    let linear = Linear::new(&mut b, f, &args, |i| i == wrt, false)?;
    let (m, n) = (b.ty(linear.value).len(), f.inputs[wrt].ty.len());
    let mut columns = Vec::with_capacity(n);
    for direction in directions(&mut b, wrt, &f.inputs[wrt].ty) {
        let column = linear.along(&mut b, &[direction])?;
        let column = column.unwrap_or_else(|| b.splat(0.0, &[m]));
        columns.push(b.reshape(column, &[m, 1]));
    }
    let matrix = if n == 0 { b.splat(0.0, &[m, 0]) } else { b.concat(&columns, 1) };
    b.output(f.outputs[0].name.clone(), linear.value);
    b.output("jacobian", matrix);
    Ok(b.finish())
}

/// The unit vectors of an input of that type.
fn directions(b: &mut Builder, input: usize, ty: &Type) -> Vec<(usize, ValueId)> {
    let n = ty.len();
    let unit = |k: usize| (0..n).map(|i| f64::from(u8::from(i == k))).collect::<Vec<f64>>();
    (0..n).map(|k| (input, b.tensor(Tensor::new(Type::real(ty.shape.clone()), unit(k))))).collect()
}

/// The problem with its sensitivities to the active arguments: `1 + q` blocks of states, the first of
/// which is the solution; the others belong to the numbers of the active arguments in order.
fn with_sensitivities(
    ode: &Ode,
    active: &[bool],
    in_branch: bool,
) -> Result<Ode, NotDifferentiable> {
    let n = ode.states();
    let types: Vec<&Type> = ode.init.inputs.iter().map(|i| &i.ty).collect();
    let parameters: Vec<usize> = (0..types.len()).filter(|&i| active[i]).collect();
    let zero_or = |b: &mut Builder, v: Option<ValueId>| v.unwrap_or_else(|| b.splat(0.0, &[n]));

    let mut b = Builder::new(ode.init.name.clone());
    let args: Vec<ValueId> =
        ode.init.inputs.iter().map(|i| b.input(i.name.clone(), i.ty.clone())).collect();
    let linear = Linear::new(&mut b, &ode.init, &args, |i| active[i], in_branch)?;
    let mut blocks = vec![linear.value];
    for &p in &parameters {
        for direction in directions(&mut b, p, types[p]) {
            let tangent = linear.along(&mut b, &[direction])?;
            blocks.push(zero_or(&mut b, tangent));
        }
    }
    let count = blocks.len();
    let all = b.concat(&blocks, 0);
    b.output("init", all);
    let init = b.finish();

    let mut b = Builder::new(ode.rhs.name.clone());
    let time = b.input(ode.rhs.inputs[0].name.clone(), ode.rhs.inputs[0].ty.clone());
    let states = b.input(ode.rhs.inputs[1].name.clone(), Type::real([count * n].as_slice()));
    let mut args = vec![time, b.slice(states, &[0], &[n])];
    args.extend(ode.rhs.inputs[2..].iter().map(|i| b.input(i.name.clone(), i.ty.clone())));
    let varies = |i: usize| i == 1 || (i > 1 && active[i - 2]);
    let linear = Linear::new(&mut b, &ode.rhs, &args, varies, in_branch)?;
    let mut blocks = vec![linear.value];
    for &p in &parameters {
        for direction in directions(&mut b, p + 2, types[p]) {
            let k = blocks.len();
            let block = b.slice(states, &[k * n], &[(k + 1) * n]);
            let slope = linear.along(&mut b, &[(1, block), direction])?;
            blocks.push(zero_or(&mut b, slope));
        }
    }
    let all = b.concat(&blocks, 0);
    b.output("rhs", all);
    let rhs = b.finish();
    Ok(Ode { init, rhs, method: ode.method.clone(), tolerance: ode.tolerance })
}

/// Adds to the cotangents of the operands of a solution `value`, whose cotangent is `ct: [T, n]`.
pub(super) fn transpose_ode(
    b: &mut Builder,
    f: &Function,
    forward: &Forward,
    value: ValueId,
    ode: &Ode,
    ct: ValueId,
    cotangents: &mut Cotangents,
) -> Result<(), NotDifferentiable> {
    let inst = f.inst(value);
    let in_branch = forward.is_guarded(value);
    let product = if in_branch { BinaryOp::ZeroMul } else { BinaryOp::Mul };
    let operands: Vec<ValueId> = inst.args.iter().map(|&a| forward.value(a)).collect();
    let (times, n) = (inst.ty.shape[0], inst.ty.shape[1]);
    if forward.is_active(inst.args[0]) {
        // The slope at each time: the right-hand side, run over the rows of the solution.
        let mut args = vec![operands[0], forward.value(value)];
        args.extend_from_slice(&operands[1..]);
        let body = ode.rhs.clone();
        let scan = Scan { body, length: times, carries: 0, xs: 2, reverse: false };
        let slopes = b.scan(scan, &args)[0];
        let parts = b.binary(product, ct, slopes);
        let part = b.sum(parts, &[1]);
        cotangents.add(b, inst.args[0], part);
    }
    let active: Vec<bool> = inst.args[1..].iter().map(|&a| forward.is_active(a)).collect();
    if !active.contains(&true) {
        return Ok(());
    }
    let longer = with_sensitivities(ode, &active, in_branch)?;
    let q = longer.states() / n - 1;
    let solution = b.add(Op::Ode(Problem(Arc::new(longer))), operands.as_slice());
    let sensitivities = b.slice_axis(solution, 1, n, (q + 1) * n);
    let sensitivities = b.reshape(sensitivities, &[times, q, n]);
    let spread = b.broadcast(ct, &[times, q, n], &[0, 2]);
    let parts = b.binary(product, spread, sensitivities);
    let all = b.sum(parts, &[0, 2]);
    let mut start = 0;
    for (&arg, _) in inst.args[1..].iter().zip(&active).filter(|(_, active)| **active) {
        let ty = f.ty(arg);
        let part = b.slice(all, &[start], &[start + ty.len()]);
        start += ty.len();
        let part = b.reshape(part, &ty.shape);
        cotangents.add(b, arg, part);
    }
    Ok(())
}

/// Adds to the cotangents of the arguments of a root `value`, whose cotangent is `ct: [n]`:
/// `−(∂g/∂p)ᵀ (∂g/∂x)⁻ᵀ ct` for `g(x, p) = 0`. The guess has no influence.
pub(super) fn transpose_root(
    b: &mut Builder,
    f: &Function,
    forward: &Forward,
    value: ValueId,
    root: &Root,
    ct: ValueId,
    cotangents: &mut Cotangents,
) -> Result<(), NotDifferentiable> {
    let inst = f.inst(value);
    let in_branch = forward.is_guarded(value);
    let n = inst.ty.len();
    let mut args = vec![forward.value(value)];
    args.extend(inst.args[1..].iter().map(|&a| forward.value(a)));
    let values = b.inline(&root.system, &args);
    let jacobian = values[root.system.outputs[1].value.index()];
    let column = b.reshape(ct, &[n, 1]);
    let multiplier = b.add(Op::Solve { trans: true }, [jacobian, column].as_slice());
    let multiplier = b.reshape(multiplier, &[n]);
    let multiplier = b.negate(multiplier);
    let residuals: Vec<Output> = root.system.outputs[..1].to_vec();
    let residuals = root.system.extract(residuals);
    let active = |i: usize| i > 0 && forward.is_active(inst.args[i]);
    let inner = Forward::new(b, &residuals, &args, active, guarded(&residuals, &[in_branch]));
    let found = backward(b, &residuals, &inner, &[(residuals.outputs[0].value, multiplier)])?;
    for (i, part) in found.into_iter().enumerate() {
        if let Some(part) = part {
            let part = if in_branch { super::rules::without_nan(b, ct, part) } else { part };
            cotangents.add(b, inst.args[i], part);
        }
    }
    Ok(())
}
