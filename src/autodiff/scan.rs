//! The derivative of a loop with carried state is a loop that runs the other way.

use std::sync::Arc;

use crate::ir::ScanRef;
use crate::ir::{Builder, DType, Function, Op, Output, Scan, Shape, Type, ValueId};

use super::NotDifferentiable;
use super::reverse::{Cotangents, Forward, backward, guarded, guarded_outputs};

/// Adds the scan with its states at the start of each step as further stacked outputs.
///
/// Gives the scan's value and the stacked states.
pub(super) fn with_history(
    b: &mut Builder,
    scan: &Scan,
    args: &[ValueId],
) -> (ValueId, Vec<ValueId>) {
    let mut longer = scan.clone();
    let first = longer.body.outputs.len();
    for i in 0..scan.carries {
        let value = input_value(&mut longer.body, i);
        longer.body.outputs.push(Output { name: format!("history_{i}"), value });
    }
    let carries = scan.carries;
    let tuple = b.add(Op::Scan(ScanRef(Arc::new(longer))), args);
    let all = b.components(tuple, first + carries);
    (tuple, all[first..].to_vec())
}

/// The value of input `i` of a function, which is added if no instruction reads it.
fn input_value(f: &mut Function, i: usize) -> ValueId {
    let is_it = |op: &Op| matches!(op, Op::Input(j) if *j as usize == i);
    if let Some(index) = f.insts.iter().position(|inst| is_it(&inst.op)) {
        return ValueId::new(index);
    }
    let mut b = Builder::new(f.name.clone());
    let args: Vec<ValueId> =
        f.inputs.iter().map(|x| b.input(x.name.clone(), x.ty.clone())).collect();
    let map = b.inline(f, &args);
    for output in &f.outputs {
        b.output(output.name.clone(), map[output.value.index()]);
    }
    *f = b.finish();
    args[i]
}

/// Adds to the cotangents of the operands of the scan `value`.
///
/// The reversed loop carries the cotangents of the states and the running sums of the cotangents of
/// the invariants; it reads the states at the start of each step, the rows, and the cotangents of the
/// stacked outputs; it recomputes each step from its state.
pub(super) fn transpose(
    b: &mut Builder,
    f: &Function,
    forward: &Forward,
    value: ValueId,
    scan: &Scan,
    cotangents: &mut Cotangents,
) -> Result<(), NotDifferentiable> {
    let inst = f.inst(value);
    let body = &scan.body;
    let components = body.outputs.len();
    let seeds: Vec<Option<ValueId>> =
        (0..components).map(|i| cotangents.component(value, i)).collect();
    if seeds.iter().all(Option::is_none) {
        return Ok(());
    }
    let n = scan.carries;
    let rows = n..n + scan.xs;
    let is_real = |i: usize| body.inputs[i].ty.dtype == DType::Real;
    // A state is active if any operand is: its later values may depend on the others.
    let active: Vec<bool> = (0..body.inputs.len())
        .map(|i| is_real(i) && (i < n || forward.is_active(inst.args[i])))
        .collect();
    let states: Vec<usize> = (0..n).filter(|&i| active[i]).collect();
    let sums: Vec<usize> = (rows.end..body.inputs.len()).filter(|&i| active[i]).collect();
    let active_rows: Vec<usize> = rows.clone().filter(|&i| active[i]).collect();
    let stacked: Vec<usize> = (n..components).filter(|&i| seeds[i].is_some()).collect();

    // The reversed step. Inputs: state cotangents, invariant sums | states, rows, output cotangents |
    // invariants.
    let mut step = Builder::new(format!("{}_reversed", body.name));
    let ty = |i: usize| body.inputs[i].ty.clone();
    let ct_states: Vec<ValueId> =
        states.iter().map(|&i| step.input(format!("ct_{}", body.inputs[i].name), ty(i))).collect();
    let so_far: Vec<ValueId> =
        sums.iter().map(|&i| step.input(format!("sum_{}", body.inputs[i].name), ty(i))).collect();
    let mut args: Vec<ValueId> =
        (0..rows.end).map(|i| step.input(body.inputs[i].name.clone(), ty(i))).collect();
    let ct_outputs: Vec<ValueId> = stacked
        .iter()
        .map(|&i| {
            let output = &body.outputs[i];
            let ty = Type::real(body.ty(output.value).shape.clone());
            step.input(format!("ct_{}", output.name), ty)
        })
        .collect();
    args.extend(
        (rows.end..body.inputs.len()).map(|i| step.input(body.inputs[i].name.clone(), ty(i))),
    );
    let guarded = guarded(body, &guarded_outputs(scan, forward.is_guarded(value)));
    let inner = Forward::new(&mut step, body, &args, |i| active[i], guarded);
    let mut step_seeds: Vec<(ValueId, ValueId)> = Vec::new();
    for (&i, &ct) in states.iter().zip(&ct_states) {
        step_seeds.push((body.outputs[i].value, ct));
    }
    for (&i, &ct) in stacked.iter().zip(&ct_outputs) {
        step_seeds.push((body.outputs[i].value, ct));
    }
    let found = backward(&mut step, body, &inner, &step_seeds)?;
    let zero_like = |step: &mut Builder, i: usize| step.splat(0.0, &body.inputs[i].ty.shape);
    for &i in &states {
        let ct = found[i].unwrap_or_else(|| zero_like(&mut step, i));
        step.output(format!("ct_{}", body.inputs[i].name), ct);
    }
    for (&i, &sum) in sums.iter().zip(&so_far) {
        let total = found[i].map_or(sum, |ct| step.plus(sum, ct));
        step.output(format!("sum_{}", body.inputs[i].name), total);
    }
    for &i in &active_rows {
        let ct = found[i].unwrap_or_else(|| zero_like(&mut step, i));
        step.output(format!("ct_{}", body.inputs[i].name), ct);
    }

    // The reversed loop.
    let zeros = |b: &mut Builder, shape: &Shape| b.splat(0.0, shape);
    let mut operands: Vec<ValueId> = Vec::new();
    for &i in &states {
        operands.push(seeds[i].unwrap_or_else(|| zeros(b, &body.inputs[i].ty.shape)));
    }
    for &i in &sums {
        operands.push(zeros(b, &body.inputs[i].ty.shape));
    }
    operands.extend_from_slice(&forward.histories[&value.index()]);
    operands.extend(inst.args[rows.clone()].iter().map(|&a| forward.value(a)));
    operands.extend(stacked.iter().filter_map(|&i| seeds[i]));
    operands.extend(inst.args[rows.end..].iter().map(|&a| forward.value(a)));
    let reversed = Scan {
        body: step.finish(),
        length: scan.length,
        carries: states.len() + sums.len(),
        xs: rows.end + stacked.len(),
        reverse: !scan.reverse,
    };
    let results = b.scan(reversed, &operands);
    for (&i, &ct) in states.iter().chain(&sums).chain(&active_rows).zip(&results) {
        if forward.is_active(inst.args[i]) {
            cotangents.add(b, inst.args[i], ct);
        }
    }
    Ok(())
}
