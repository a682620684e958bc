//! Runs a loop with carried state, step by step: by its body's plan or as straight-line code.

use pulp::{Simd, WithSimd};

use super::element::Element;
use super::plan::{Plan, ScanPlan};
use super::run::{self, Operands, slot_of};
use super::straight::Body;
use super::view::Class;
use super::workspace::Workspace;

/// Runs a scan of `plan`; `child` is the workspace of its body.
pub(super) fn run<E: Element>(
    scan: &ScanPlan<E>,
    plan: &Plan<E>,
    slots: &mut [Vec<E>],
    child: &mut Workspace<E>,
    external: [&[E]; 2],
    lanes: usize,
) {
    let width = scan.class.width(lanes);
    // A uniform scan is run once for all lanes.
    let inner_lanes = if scan.class == Class::Uniform { 1 } else { lanes };
    let mut taken = std::mem::take(&mut child.results);
    let results = || scan.components.iter().map(|&v| slot_of(plan, v));
    taken.extend(results().map(|s| s.map(|s| std::mem::take(&mut slots[s])).unwrap_or_default()));
    let operands = Operands { plan, slots, external, lanes };

    child.next.resize_with(scan.carries.len(), Vec::new);
    for (i, view) in scan.carries.iter().enumerate() {
        child.next[i].resize(view.len * width, E::zero());
        operands.load(view, 0, &mut child.next[i], width);
    }
    if let Some(body) = scan.straight.as_ref().filter(|body| inner_lanes == 1 || body.in_lanes) {
        let Workspace { registers, next, scratch, .. } = child;
        let (lanes, results) = (inner_lanes, &mut taken);
        scratch.arch.dispatch(Straight { scan, body, operands, lanes, registers, next, results });
    } else {
        run_steps(scan, operands, child, inner_lanes, &mut taken);
    }
    for (result, state) in taken.iter_mut().zip(&child.next) {
        if !result.is_empty() {
            result[..state.len()].copy_from_slice(state);
        }
    }
    for (slot, result) in results().zip(taken.drain(..)) {
        if let Some(slot) = slot {
            slots[slot] = result;
        }
    }
    child.results = taken;
}

/// The steps of a scan by its plan. `results` gets the stacked outputs, `child.next` the final states.
fn run_steps<E: Element>(
    scan: &ScanPlan<E>,
    operands: Operands<'_, E>,
    child: &mut Workspace<E>,
    lanes: usize,
    results: &mut [Vec<E>],
) {
    let body = &scan.body;
    let width = scan.class.width(lanes);
    let input_slot = |input: usize| {
        let value = body.inputs[input]?;
        let class = body.values[value].class;
        Some((slot_of(body, value)?, body.values[value].len, class.width(lanes)))
    };
    for (view, input) in &scan.fixed {
        if let Some((slot, len, width)) = input_slot(*input) {
            operands.load(view, 0, &mut child.slots[slot][..len * width], width);
        }
    }
    for step in 0..scan.length {
        let row = if scan.reverse { scan.length - 1 - step } else { step };
        for i in 0..scan.carries.len() {
            if let Some((slot, len, width)) = input_slot(i) {
                child.slots[slot][..len * width].copy_from_slice(&child.next[i]);
            }
        }
        for (view, input) in &scan.xs {
            if let Some((slot, len, width)) = input_slot(*input) {
                operands.load(view, row * len, &mut child.slots[slot][..len * width], width);
            }
        }
        run::run(body, child, [&[], &[]], lanes);
        let inner = Operands { plan: body, slots: &child.slots, external: [&[], &[]], lanes };
        for (i, view) in body.outputs.iter().enumerate() {
            if i < scan.carries.len() {
                inner.load(view, 0, &mut child.next[i], width);
            } else if !results[i].is_empty() {
                let n = view.len * width;
                inner.load(view, 0, &mut results[i][row * n..(row + 1) * n], width);
            }
        }
    }
}

/// The steps of a scan as straight-line code.
struct Straight<'a, E> {
    scan: &'a ScanPlan<E>,
    body: &'a Body<E>,
    operands: Operands<'a, E>,
    lanes: usize,
    registers: &'a mut [E],
    next: &'a mut [Vec<E>],
    results: &'a mut [Vec<E>],
}

impl<E: Element> WithSimd for Straight<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Straight { scan, body, operands, lanes, registers, next, results } = self;
        body.code.spread(lanes, registers);
        for (view, input) in &scan.fixed {
            if let Some((first, len)) = body.inputs[*input] {
                let out = &mut registers[first * lanes..(first + len) * lanes];
                operands.load(view, 0, out, lanes);
            }
        }
        for step in 0..scan.length {
            let row = if scan.reverse { scan.length - 1 - step } else { step };
            for (state, input) in next.iter().zip(&body.inputs) {
                if let Some((first, len)) = *input {
                    registers[first * lanes..(first + len) * lanes].copy_from_slice(state);
                }
            }
            for (view, input) in &scan.xs {
                if let Some((first, len)) = body.inputs[*input] {
                    let out = &mut registers[first * lanes..(first + len) * lanes];
                    operands.load(view, row * len, out, lanes);
                }
            }
            if lanes == 1 {
                body.code.run(simd, registers);
            } else {
                body.code.run_lanes(simd, lanes, registers);
            }
            for (i, output) in body.outputs.iter().enumerate() {
                let size = output.len() * lanes;
                let out = if i < next.len() {
                    &mut next[i][..]
                } else if results[i].is_empty() {
                    continue;
                } else {
                    &mut results[i][row * size..(row + 1) * size]
                };
                if lanes == 1 {
                    // A copy of one number would be a call.
                    for (x, &r) in out.iter_mut().zip(output) {
                        *x = registers[r as usize];
                    }
                } else {
                    for (out, &r) in out.chunks_exact_mut(lanes).zip(output) {
                        out.copy_from_slice(&registers[r as usize * lanes..][..lanes]);
                    }
                }
            }
        }
    }
}
