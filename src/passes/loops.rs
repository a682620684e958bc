//! Scans: drops results and states that nobody reads, takes out what does not change from step to step.
//!
//! 1. A state that no used result depends on disappears, so does a stacked output that nobody reads or
//!    that is there twice.
//! 2. A state that every step passes on unchanged becomes an invariant.
//! 3. Values of the body that depend on invariants only are computed before the scan, once.
//! 4. What is read row by row, but is the same in every row, becomes an invariant.
//! 5. A scan of no steps gives its initial states.

use std::collections::HashMap;
use std::sync::Arc;

use crate::ir::{
    Args, Builder, Function, Inst, Op, Output, Scan, ScanRef, Shape, Tensor, Type, ValueId,
};

use super::emit::rebuild;

/// `f` with its scans cleaned up, those within scans too, if there is anything to clean.
pub(super) fn run(f: &Function) -> Option<Function> {
    if f.is_flat() {
        return None;
    }
    let used = used_components(f);
    // The values that stand for the components of each scan, by the scan's tuple.
    let mut components: HashMap<ValueId, Vec<Option<ValueId>>> = HashMap::new();
    let mut index = 0;
    let scans: Vec<usize> =
        f.values().filter(|(_, i)| matches!(i.op, Op::Scan(_))).map(|(id, _)| id.index()).collect();
    rebuild(f, &mut |b, inst, args| match &inst.op {
        Op::Scan(scan) => {
            let used = &used[&scans[index]];
            index += 1;
            let mut scan = scan.clone();
            if let Op::Scan(cleaned) = inst.op.map_functions(&run) {
                scan = cleaned;
            }
            let (scan, args) = unvarying_rows(b, &scan, &args);
            let (tuple, parts) = clean(b, &scan, &args, used);
            components.insert(tuple, parts);
            tuple
        }
        Op::Proj(i) => match components.get(&args[0]).and_then(|parts| parts[*i as usize]) {
            Some(part) => part,
            None => b.add(inst.op.clone(), args),
        },
        op => b.add(op.map_functions(&run), args),
    })
}

/// For each scan of `f`, which components are read.
fn used_components(f: &Function) -> HashMap<usize, Vec<bool>> {
    let live = f.needed_for(f.outputs.iter().map(|o| o.value));
    let mut used = HashMap::new();
    for (id, inst) in f.values() {
        match &inst.op {
            Op::Scan(scan) => {
                used.insert(id.index(), vec![false; scan.body.outputs.len()]);
            }
            Op::Proj(i) if live[id.index()] => {
                if let Some(used) = used.get_mut(&inst.args[0].index()) {
                    used[*i as usize] = true;
                }
            }
            _ => {}
        }
    }
    used
}

/// The scan with rows that are all the same as invariants.
fn unvarying_rows(b: &mut Builder, scan: &ScanRef, args: &[ValueId]) -> (ScanRef, Args) {
    let is_row = |i: usize| (scan.carries..scan.carries + scan.xs).contains(&i);
    let source: Vec<Option<ValueId>> = (0..args.len())
        .map(|i| {
            let rows = b.shape(args[i]);
            let mut inst = b.inst(args[i]).clone();
            if matches!(inst.op, Op::Reshape(_)) {
                inst = b.inst(inst.args[0]).clone();
            }
            let Op::Broadcast { shape, axes } = &inst.op else { return None };
            let unvarying = axes.first() != Some(&0) && shape.first() == Some(&scan.length);
            if !is_row(i) || !unvarying || scan.length == 0 {
                return None;
            }
            let axes: Shape = axes.iter().map(|a| a - 1).collect();
            let row = b.broadcast(inst.args[0], &shape[1..], &axes);
            Some(b.reshape(row, &rows[1..]))
        })
        .collect();
    let moved: Vec<usize> = (0..args.len()).filter(|&i| source[i].is_some()).collect();
    if moved.is_empty() {
        return (scan.clone(), args.into());
    }
    let order: Vec<usize> =
        (0..args.len()).filter(|i| !moved.contains(i)).chain(moved.iter().copied()).collect();
    let mut inner = Builder::new(scan.body.name.clone());
    let mut inputs: Vec<Option<ValueId>> = vec![None; args.len()];
    for &i in &order {
        let input = &scan.body.inputs[i];
        inputs[i] = Some(inner.input(input.name.clone(), input.ty.clone()));
    }
    let inputs: Vec<ValueId> = inputs.into_iter().flatten().collect();
    let map = inner.inline(&scan.body, &inputs);
    for output in &scan.body.outputs {
        inner.output(output.name.clone(), map[output.value.index()]);
    }
    let xs = scan.xs - moved.len();
    let new = Scan { body: inner.finish(), xs, ..(**scan).clone() };
    let args = order.iter().map(|&i| source[i].unwrap_or(args[i])).collect();
    (ScanRef(Arc::new(new)), args)
}

/// Adds the scan without what is not used; the values of its components in the old numbering.
fn clean(
    b: &mut Builder,
    scan: &ScanRef,
    args: &[ValueId],
    used: &[bool],
) -> (ValueId, Vec<Option<ValueId>>) {
    let body = &scan.body;
    let needed = needed_states(scan, used);
    let same_type = |i: usize| body.inputs[i].ty == *b.ty(args[i]);
    let passed_on: Vec<bool> = (0..scan.carries)
        .map(|i| reads_input(body, body.outputs[i].value, i) && same_type(i))
        .collect();

    // Inputs in their new order, by old number.
    let states: Vec<usize> = (0..scan.carries).filter(|&i| needed[i] && !passed_on[i]).collect();
    // The same value stacked twice is stacked once.
    let first = |i: usize| {
        let same = |&j: &usize| used[j] && body.outputs[j].value == body.outputs[i].value;
        (scan.carries..i).find(same).unwrap_or(i)
    };
    let stacked: Vec<usize> =
        (scan.carries..body.outputs.len()).filter(|&i| used[i] && first(i) == i).collect();
    let wanted: Vec<Output> =
        states.iter().chain(&stacked).map(|&i| body.outputs[i].clone()).collect();
    let live = body.needed_for(wanted.iter().map(|o| o.value));
    let mut read = vec![false; args.len()];
    for (id, inst) in body.values() {
        if let Op::Input(i) = inst.op {
            read[i as usize] = live[id.index()];
        }
    }
    let rows: Vec<usize> = (scan.carries..scan.carries + scan.xs).filter(|&i| read[i]).collect();
    let mut fixed: Vec<usize> = (0..scan.carries).filter(|&i| passed_on[i] && read[i]).collect();
    fixed.extend((scan.carries + scan.xs..args.len()).filter(|&i| read[i]));
    let hoisted = hoistable(body, &fixed, &live, &wanted);

    let unchanged = states.len() == scan.carries
        && wanted.len() == body.outputs.len()
        && states.len() + rows.len() + fixed.len() == args.len()
        && hoisted.is_empty();
    if unchanged && scan.length > 0 {
        let tuple = b.add(Op::Scan(scan.clone()), args);
        return (tuple, vec![None; body.outputs.len()]);
    }

    // Values of the body that are computed outside, by their number in the body.
    let mut outside: HashMap<ValueId, ValueId> = HashMap::new();
    for (id, inst) in body.values() {
        match inst.op {
            Op::Input(i) if fixed.contains(&(i as usize)) => {
                outside.insert(id, args[i as usize]);
            }
            _ if hoisted.contains_key(&id) => {
                let operands: Args = inst.args.iter().map(|a| outside[a]).collect();
                let value = b.add(inst.op.clone(), operands);
                outside.insert(id, value);
            }
            _ => {}
        }
    }
    let moved = |id: &ValueId| matches!(hoisted.get(id), Some(Hoist::Moved | Hoist::MovedAndRead));
    let extra: Vec<ValueId> = body
        .values()
        .map(|(id, _)| id)
        .filter(|id| hoisted.get(id) == Some(&Hoist::MovedAndRead))
        .collect();

    let mut inner = Builder::new(body.name.clone());
    let mut inputs: Vec<Option<ValueId>> = vec![None; args.len()];
    for &i in states.iter().chain(&rows).chain(&fixed) {
        let input = &body.inputs[i];
        inputs[i] = Some(inner.input(input.name.clone(), input.ty.clone()));
    }
    let mut map: HashMap<ValueId, ValueId> = HashMap::new();
    for (n, &id) in extra.iter().enumerate() {
        map.insert(id, inner.input(format!("hoisted{n}"), body.ty(id).clone()));
    }
    for (id, inst) in body.values().filter(|(id, _)| live[id.index()]) {
        if map.contains_key(&id) || moved(&id) {
            continue;
        }
        inner.set_span(inst.span);
        let value = match inst.op {
            Op::Input(i) => match inputs[i as usize] {
                Some(input) => input,
                None => unreachable!("bug in ppl: a state that is needed was dropped"),
            },
            _ => {
                let operands: Args = inst.args.iter().map(|a| map[a]).collect();
                inner.add(inst.op.clone(), operands)
            }
        };
        map.insert(id, value);
    }
    for output in &wanted {
        inner.output(output.name.clone(), map[&output.value]);
    }
    let new = Scan {
        body: inner.finish(),
        length: scan.length,
        carries: states.len(),
        xs: rows.len(),
        reverse: scan.reverse,
    };
    let mut operands: Args = states.iter().chain(&rows).chain(&fixed).map(|&i| args[i]).collect();
    operands.extend(extra.iter().map(|id| outside[id]));
    let tuple = b.add(Op::Scan(ScanRef(Arc::new(new))), operands);

    let mut parts: Vec<Option<ValueId>> = vec![None; body.outputs.len()];
    for (i, part) in parts.iter_mut().enumerate() {
        let is_state = i < scan.carries;
        let stands = if is_state { i } else { first(i) };
        let new_index = states.iter().chain(&stacked).position(|&old| old == stands);
        *part = if !used[i] {
            // Nobody reads it, but dead projections still stand in the text: any value of its type.
            Some(placeholder(b, scan, i))
        } else if is_state && (passed_on[i] || (scan.length == 0 && same_state(b, scan, args, i))) {
            Some(args[i])
        } else {
            let index = new_index.and_then(|n| u32::try_from(n).ok());
            index.map(|n| b.add(Op::Proj(n), [tuple].as_slice()))
        };
    }
    (tuple, parts)
}

fn same_state(b: &Builder, scan: &Scan, args: &[ValueId], i: usize) -> bool {
    scan.body.ty(scan.body.outputs[i].value) == b.ty(args[i])
}

/// Zeros of the type of component `i`.
fn placeholder(b: &mut Builder, scan: &Scan, i: usize) -> ValueId {
    let ty = scan.body.ty(scan.body.outputs[i].value);
    let mut shape = Shape::new();
    if i >= scan.carries {
        shape.push(scan.length);
    }
    shape.extend_from_slice(&ty.shape);
    let zero = b.tensor(Tensor::new(Type::new(ty.dtype, Shape::new()), vec![0.0]));
    b.expand(zero, &shape)
}

fn reads_input(body: &Function, value: ValueId, input: usize) -> bool {
    matches!(body.inst(value).op, Op::Input(i) if i as usize == input)
}

/// Which states the used components depend on, through any number of steps.
fn needed_states(scan: &Scan, used: &[bool]) -> Vec<bool> {
    let body = &scan.body;
    let mut needed: Vec<bool> = used[..scan.carries].to_vec();
    loop {
        let roots = (0..body.outputs.len())
            .filter(|&i| if i < scan.carries { needed[i] } else { used[i] })
            .map(|i| body.outputs[i].value);
        let live = body.needed_for(roots);
        let mut changed = false;
        for (id, inst) in body.values() {
            if let Op::Input(i) = inst.op
                && (i as usize) < scan.carries
                && live[id.index()]
                && !needed[i as usize]
            {
                needed[i as usize] = true;
                changed = true;
            }
        }
        if !changed {
            return needed;
        }
    }
}

/// What becomes of a value of the body that is computed before the scan.
#[derive(Clone, Copy, PartialEq)]
enum Hoist {
    /// It leaves the body.
    Moved,
    /// So, and something that stays reads it: it becomes an invariant.
    MovedAndRead,
    /// A constant or movement that moved values read; the body may keep its own.
    Copied,
}

/// Values of the body that depend on the fixed inputs only, and what is computed along with them.
fn hoistable(
    body: &Function,
    fixed: &[usize],
    live: &[bool],
    outputs: &[Output],
) -> HashMap<ValueId, Hoist> {
    #[derive(Clone, Copy, PartialEq, PartialOrd)]
    enum Depends {
        Nothing,
        Fixed,
        Step,
    }
    let mut depends: Vec<Depends> = Vec::with_capacity(body.insts.len());
    for inst in &body.insts {
        let of_args = |inst: &Inst| {
            let worst = |m: Depends, a: &ValueId| {
                let d = depends[a.index()];
                if d > m { d } else { m }
            };
            inst.args.iter().fold(Depends::Nothing, worst)
        };
        let d = match inst.op {
            Op::Input(i) if fixed.contains(&(i as usize)) => Depends::Fixed,
            Op::Input(_) => Depends::Step,
            _ => of_args(inst),
        };
        depends.push(d);
    }
    let is_input = |id: ValueId| matches!(body.inst(id).op, Op::Input(_));
    let mut hoisted: HashMap<ValueId, Hoist> = HashMap::new();
    let mut work: Vec<ValueId> = Vec::new();
    for (id, inst) in body.values() {
        let computed = !is_input(id) && !is_spreading(&inst.op);
        if live[id.index()] && depends[id.index()] == Depends::Fixed && computed {
            hoisted.insert(id, Hoist::Moved);
            work.push(id);
        }
    }
    while let Some(id) = work.pop() {
        for &arg in &body.inst(id).args {
            if !is_input(arg) && !hoisted.contains_key(&arg) {
                hoisted.insert(arg, Hoist::Copied);
                work.push(arg);
            }
        }
    }
    let moved = |h: Option<&Hoist>| matches!(h, Some(Hoist::Moved | Hoist::MovedAndRead));
    let stays = |id: &ValueId| live[id.index()] && !moved(hoisted.get(id));
    let read: Vec<ValueId> = body
        .values()
        .filter(|(id, _)| stays(id))
        .flat_map(|(_, inst)| inst.args.iter().copied())
        .chain(outputs.iter().map(|o| o.value))
        .collect();
    for id in read {
        if let Some(hoist @ Hoist::Moved) = hoisted.get_mut(&id) {
            *hoist = Hoist::MovedAndRead;
        }
    }
    hoisted
}

/// Movements cost nothing in the body, and their results more memory outside.
fn is_spreading(op: &Op) -> bool {
    matches!(op, Op::Broadcast { .. } | Op::Reshape(_) | Op::Transpose(_) | Op::Slice { .. })
}
