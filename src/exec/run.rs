//! Runs a plan for one block of lanes.
//!
//! Bits do not depend on the number of lanes: every kernel does the same operations in the same order
//! for each lane. Long sums are kept in [`PARTIALS`] partial sums by position modulo that, added up at
//! the end, so that one lane alone fills vector registers too.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::element::Element;
use super::kernels::elementwise;
use super::kernels::{index, linalg, reduce};
use super::plan::{Arg, FusedLoop, Home, LoopOp, Plan, Step};
use super::scan;
use super::solver::{Arguments, Solver};
use super::straight::{Part as StraightPart, Straight, Stretch};
use super::view::View;
use super::workspace::{Scratch, Workspace};

/// Bytes in a register of a fused loop.
const TILE: usize = 4096;
/// Most lanes in a block.
pub(super) const MAX_LANES: usize = 64;
/// Numbers that fill vectors of any instruction set and type.
const VECTOR: usize = 16;
/// Partial sums of a long row; a register holds as many elements of the widest block.
pub(super) const PARTIALS: usize = 8;
/// Rows shorter than this are added up one by one.
pub(super) const LONG_ROW: usize = 32;

/// Numbers in a register of a fused loop.
pub(super) fn tile<E>() -> usize {
    TILE / size_of::<E>()
}

/// Where a step finds its operands.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a, E> {
    pub(super) plan: &'a Plan<E>,
    pub(super) slots: &'a [Vec<E>],
    pub(super) external: [&'a [E]; 2],
    pub(super) lanes: usize,
}

impl<'a, E: Element> Operands<'a, E> {
    /// Numbers stored per element of the value behind `view`.
    pub(super) fn width(&self, view: &View) -> usize {
        self.plan.values[view.value].class.width(self.lanes)
    }

    /// All numbers of the value behind `view`.
    pub(super) fn source(&self, view: &View) -> &'a [E] {
        self.value(view.value)
    }

    /// All numbers of a value.
    fn value(&self, value: usize) -> &'a [E] {
        let value = &self.plan.values[value];
        let width = value.class.width(self.lanes);
        match value.home {
            Home::Const(index) => &self.plan.consts[index],
            Home::External { buffer, offset } => {
                &self.external[buffer][offset * width..(offset + value.len) * width]
            }
            Home::Slot(slot) => &self.slots[slot][..value.len * width],
            Home::Register => unreachable!("bug in ppl: {value:?} is read but not stored"),
        }
    }

    /// The numbers of a contiguous view.
    pub(super) fn slice(&self, view: &View) -> &'a [E] {
        let width = self.width(view);
        let start = view.at(0) * width;
        &self.source(view)[start..start + view.len * width]
    }

    /// Copies elements from `start` on to `out`, `to` numbers an element.
    pub(super) fn load(&self, view: &View, start: usize, out: &mut [E], to: usize) {
        view.load(self.source(view), self.width(view), start, out, to);
    }
}

/// Runs `plan` for `lanes` lanes with the caller's buffers; the outputs stay in the workspace.
pub(super) fn run<E: Element>(
    plan: &Plan<E>,
    work: &mut Workspace<E>,
    external: [&[E]; 2],
    lanes: usize,
) {
    debug_assert!(work.fits(lanes), "workspace for fewer lanes");
    if lanes > 1 {
        return run_steps(0..plan.steps.len(), plan, work, external, lanes);
    }
    for (i, stretch) in plan.alone.iter().enumerate() {
        match stretch {
            Stretch::Steps(steps) => run_steps(steps.clone(), plan, work, external, lanes),
            Stretch::Straight(part) => run_part(part, plan, work, i, external),
        }
    }
}

/// Runs some of the steps, kernel by kernel.
pub(super) fn run_steps<E: Element>(
    steps: Range<usize>,
    plan: &Plan<E>,
    work: &mut Workspace<E>,
    external: [&[E]; 2],
    lanes: usize,
) {
    for step in &plan.steps[steps] {
        match step {
            Step::Fused(fused) => {
                run_loop(fused, plan, &mut work.slots, &mut work.scratch, external, lanes);
            }
            Step::Scan(scan) => {
                let child = &mut work.children[scan.child];
                scan::run(scan, plan, &mut work.slots, child, external, lanes);
            }
            step => run_step(step, plan, &mut work.slots, &mut work.scratch, external, lanes),
        }
    }
}

/// Runs stretch number `stretch` for one lane.
fn run_part<E: Element>(
    part: &StraightPart<E>,
    plan: &Plan<E>,
    work: &mut Workspace<E>,
    stretch: usize,
    external: [&[E]; 2],
) {
    let registers = &mut work.stretches[stretch];
    let operands = Operands { plan, slots: &work.slots, external, lanes: 1 };
    for (value, elements) in &part.loads {
        let source = operands.value(*value);
        for &(at, r) in elements {
            registers[r as usize] = source[at as usize];
        }
    }
    work.scratch.arch.dispatch(RunCode { code: &part.code, registers: &mut *registers });
    for (value, elements) in &part.stores {
        if let Some(slot) = slot_of(plan, *value) {
            for (x, &r) in work.slots[slot].iter_mut().zip(elements) {
                *x = registers[r as usize];
            }
        }
    }
}

struct RunCode<'a, E> {
    code: &'a Straight<E>,
    registers: &'a mut [E],
}

impl<E: Element> WithSimd for RunCode<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.code.run(simd, self.registers);
    }
}

/// Copies output `index` of the last run to `out`, `[n][lanes]`.
pub(super) fn output<E: Element>(
    plan: &Plan<E>,
    work: &Workspace<E>,
    external: [&[E]; 2],
    lanes: usize,
    index: usize,
    out: &mut [E],
) {
    let operands = Operands { plan, slots: &work.slots, external, lanes };
    operands.load(&plan.outputs[index], 0, out, lanes);
}

pub(super) fn slot_of<E>(plan: &Plan<E>, value: usize) -> Option<usize> {
    match plan.values[value].home {
        Home::Slot(slot) => Some(slot),
        _ => None,
    }
}

fn run_step<E: Element>(
    step: &Step<E>,
    plan: &Plan<E>,
    slots: &mut [Vec<E>],
    scratch: &mut Scratch<E>,
    external: [&[E]; 2],
    lanes: usize,
) {
    let result = match step {
        Step::Place { out, .. }
        | Step::Gather { out, .. }
        | Step::Scatter { out, .. }
        | Step::ScatterAt { out, .. }
        | Step::CumSum { out, .. }
        | Step::Extreme { out, .. }
        | Step::Cholesky { out, .. }
        | Step::TriSolve { out, .. }
        | Step::Solver { out, .. } => *out,
        Step::MatMul(product) => product.out,
        Step::Fused(_) | Step::Scan(_) => unreachable!("bug in ppl: not for `run_step`"),
    };
    let Some(slot) = slot_of(plan, result) else { return };
    let mut taken = std::mem::take(&mut slots[slot]);
    let width = plan.values[result].class.width(lanes);
    let out = &mut taken[..plan.values[result].len * width];
    let operands = Operands { plan, slots, external, lanes };
    let slice = |view: &View| operands.slice(view);
    match step {
        Step::Place { parts, zero, .. } => {
            if *zero {
                out.fill(E::zero());
            }
            for (part, places) in parts {
                index::put(slice(part), places, width, out);
            }
        }
        Step::Gather { data, index, before, size, after, .. } => {
            let sizes = (*before, *size, *after);
            let (data, index) =
                ((slice(data), operands.width(data)), (slice(index), operands.width(index)));
            index::gather(data, index, sizes, width, out);
        }
        Step::Scatter { data, places, .. } => index::scatter(slice(data), places, width, out),
        Step::ScatterAt { data, index, before, size, after, .. } => {
            let sizes = (*before, *size, *after);
            let indices = (slice(index), operands.width(index));
            index::scatter_at(slice(data), indices, sizes, width, out);
        }
        Step::CumSum { data, before, size, after, reverse, .. } => {
            reduce::running_sum(slice(data), (*before, *size, *after), *reverse, width, out);
        }
        Step::Extreme { data, cols, log_sum_exp, .. } => {
            reduce::extreme(scratch, slice(data), *cols, *log_sum_exp, width, out);
        }
        Step::MatMul(product) => linalg::matmul(product, &operands, scratch, width, out),
        Step::Cholesky { a, n, .. } => linalg::cholesky(scratch, slice(a), *n, width, out),
        Step::TriSolve { a, b, n, cols, lower, trans, .. } => {
            let a = (slice(a), operands.width(a));
            linalg::tri_solve(scratch.arch, a, slice(b), (*n, *cols), (*lower, *trans), width, out);
        }
        Step::Solver { solver, args, .. } => run_solver(solver, args, &operands, width, out),
        Step::Fused(_) | Step::Scan(_) => unreachable!("bug in ppl: not for `run_step`"),
    }
    slots[slot] = taken;
}

/// Solvers take points one after the other, each with all of its numbers.
fn run_solver<E: Element>(
    solver: &Solver,
    args: &[View],
    operands: &Operands<'_, E>,
    width: usize,
    out: &mut [E],
) {
    let numbers = args.iter().map(|view| {
        let (stored, slice) = (operands.width(view), operands.slice(view));
        let of = |lane: usize| slice.iter().skip(lane).step_by(stored).map(|x| x.f64());
        ((0..stored).flat_map(of).collect(), if stored == 1 { 0 } else { view.len })
    });
    let args = Arguments { numbers: numbers.collect() };
    let mut results = vec![0.0; out.len()];
    solver.run(width, &args, E::epsilon().f64(), &mut results);
    for (lane, result) in results.chunks_exact((out.len() / width).max(1)).enumerate() {
        for (x, &r) in out.iter_mut().skip(lane).step_by(width).zip(result) {
            *x = E::of(r);
        }
    }
}

fn run_loop<E: Element>(
    fused: &FusedLoop,
    plan: &Plan<E>,
    slots: &mut [Vec<E>],
    scratch: &mut Scratch<E>,
    external: [&[E]; 2],
    lanes: usize,
) {
    let width = fused.class.width(lanes);
    let mut taken = std::mem::take(&mut scratch.taken);
    let values = || fused.stores.iter().chain(&fused.sums).chain(&fused.columns);
    let results = || values().filter_map(|&v| slot_of(plan, v));
    taken.extend(results().map(|slot| std::mem::take(&mut slots[slot])));
    let operands = Operands { plan, slots, external, lanes };
    let per_tile = (tile::<E>() / width).max(1);
    for &(source, reg) in &fused.once {
        let view = &fused.sources[source];
        let register = &mut scratch.registers[reg][..per_tile.min(fused.len) * width];
        operands.load(view, 0, &mut register[..width], width);
        let mut filled = width;
        while filled < register.len() {
            let more = filled.min(register.len() - filled);
            register.copy_within(..more, filled);
            filled += more;
        }
    }
    for result in &mut taken[fused.stores.len() + fused.sums.len()..] {
        result.fill(E::zero());
    }
    let tile = Tile { fused, operands, width };
    if fused.cols <= per_tile || fused.sums.is_empty() {
        // Whole rows, as many as fill whole vectors if that is possible: what is left of a slice is done one
        // number after the other.
        let cols = if fused.sums.is_empty() { 1 } else { fused.cols };
        let filling =
            (1..=VECTOR).find(|rows| (rows * cols * width).is_multiple_of(VECTOR)).unwrap_or(1);
        let unit = if filling * cols <= per_tile { filling * cols } else { cols };
        let step = per_tile / unit * unit;
        for start in (0..fused.len).step_by(step) {
            let len = step.min(fused.len - start);
            tile.run(start, len, Part::Rows, scratch, &mut taken);
        }
    } else {
        // Pieces of one row; a multiple of `PARTIALS` elements each but the last.
        let step = per_tile / PARTIALS * PARTIALS;
        for row in (0..fused.len).step_by(fused.cols) {
            for start in (0..fused.cols).step_by(step) {
                let len = step.min(fused.cols - start);
                let part = Part::Piece { first: start == 0, last: start + len == fused.cols };
                tile.run(row + start, len, part, scratch, &mut taken);
            }
        }
    }
    for (slot, result) in results().zip(taken.drain(..)) {
        slots[slot] = result;
    }
    scratch.taken = taken;
}

/// Which part of its rows a tile holds.
#[derive(Clone, Copy)]
enum Part {
    Rows,
    Piece { first: bool, last: bool },
}

struct Tile<'a, E> {
    fused: &'a FusedLoop,
    operands: Operands<'a, E>,
    width: usize,
}

impl<E: Element> Tile<'_, E> {
    /// Runs the loop's operations on elements `start..start + len`.
    fn run(
        &self,
        start: usize,
        len: usize,
        part: Part,
        scratch: &mut Scratch<E>,
        results: &mut [Vec<E>],
    ) {
        let (fused, width) = (self.fused, self.width);
        let numbers = len * width;
        let (stores, sums) = results.split_at_mut(fused.stores.len());
        let (sums, columns) = sums.split_at_mut(fused.sums.len());
        for op in &fused.ops {
            match *op {
                LoopOp::Load { source, reg } => {
                    let out = &mut scratch.registers[reg][..numbers];
                    self.operands.load(&fused.sources[source], start, out, width);
                }
                LoopOp::Apply { op, args, reg } => {
                    let mut out = std::mem::take(&mut scratch.registers[reg]);
                    let args = args.map(|a| self.arg(a, start, numbers, &scratch.registers));
                    elementwise::apply(scratch.arch, op, args, &mut out[..numbers]);
                    scratch.registers[reg] = out;
                }
                LoopOp::Store { arg, out } => {
                    let from = self.arg(arg, start, numbers, &scratch.registers);
                    stores[out][start * width..][..numbers].copy_from_slice(from);
                }
                LoopOp::SumColumns { arg, out } => {
                    let data = self.arg(arg, start, numbers, &scratch.registers);
                    let cols = self.operands.plan.values[fused.columns[out]].len;
                    let acc = &mut columns[out][..cols * width];
                    // The tile may begin within a row.
                    let begun = start % cols;
                    let first = if begun == 0 { 0 } else { (cols - begun).min(len) };
                    let (head, rows) = data.split_at(first * width);
                    reduce::accumulate(scratch.arch, head, &mut acc[begun * width..]);
                    reduce::accumulate(scratch.arch, rows, acc);
                }
                LoopOp::Sum { arg, out } => {
                    let data = self.arg(arg, start, numbers, &scratch.registers);
                    let partials = if fused.cols < LONG_ROW { 1 } else { PARTIALS };
                    let acc = &mut scratch.sums[out][..partials * width];
                    let sums = &mut sums[out][start / fused.cols * width..];
                    match part {
                        Part::Rows => {
                            let rows = data.chunks_exact(fused.cols * width);
                            for (row, sum) in rows.zip(sums.chunks_exact_mut(width)) {
                                acc.fill(E::zero());
                                reduce::accumulate(scratch.arch, row, acc);
                                reduce::add_up(acc, sum);
                            }
                        }
                        Part::Piece { first, last } => {
                            if first {
                                acc.fill(E::zero());
                            }
                            reduce::accumulate(scratch.arch, data, acc);
                            if last {
                                reduce::add_up(acc, &mut sums[..width]);
                            }
                        }
                    }
                }
            }
        }
    }

    fn arg<'r>(
        &'r self,
        arg: Arg,
        start: usize,
        numbers: usize,
        registers: &'r [Vec<E>],
    ) -> &'r [E] {
        match arg {
            Arg::None => &[],
            Arg::Reg(reg) => &registers[reg][..numbers],
            Arg::Source(source) => {
                let view = &self.fused.sources[source];
                &self.operands.source(view)[(view.at(0) + start) * self.width..][..numbers]
            }
        }
    }
}
