//! A compiled function: any number of points at once, block by block.
//!
//! Points come row-major, `[B, n]`; a block of lanes is transposed to `[n][L]` on the way in and back on
//! the way out. The block size keeps the working set in the second-level cache; it does not change the
//! bits.

use std::sync::{Mutex, PoisonError};

use crate::ir::Function;

use super::element::Element;
use super::plan::{Home, Plan, Step};
use super::pool::Pool;
use super::print::Costed;
use super::run::{self, MAX_LANES};
use super::schedule::{self, Binding};
use super::workspace::Workspace;

/// Bytes that one block may work in: about half of a common second-level cache.
const WORKING_SET: usize = 512 << 10;
/// The same with recursions, whose steps read a little of it each, and cost less the more lanes they have.
const WORKING_SET_OF_STEPS: usize = 8 << 20;

/// A function compiled for batches of points; all of its inputs vary between points.
#[derive(Debug)]
pub struct Program<E> {
    blocks: Blocks<E>,
    lanes: usize,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    /// Names of the inputs, then of the outputs; for printing only.
    names: (Vec<String>, Vec<String>),
}

impl<E: Element> Program<E> {
    /// Compiles `f`.
    ///
    /// # Panics
    /// When `f` does not verify.
    #[must_use]
    pub fn compile(f: &Function) -> Self {
        let inputs: Vec<usize> = f.inputs.iter().map(|i| i.ty.len()).collect();
        let names = (
            f.inputs.iter().map(|i| i.name.clone()).collect(),
            f.outputs.iter().map(|o| o.name.clone()).collect(),
        );
        let f = f.extract(f.outputs.clone());
        let plan = schedule::plan(&f, &concatenated(&inputs, 0), &mut Pool::new());
        let outputs = plan.outputs.iter().map(|v| v.len).collect();
        let lanes = most_lanes(&[&plan]);
        Program { blocks: Blocks::new(plan), lanes, inputs, outputs, names }
    }

    /// Runs blocks of at most `lanes` points; any number gives the same bits.
    ///
    /// # Panics
    /// When it is 0 or more than 64.
    #[must_use]
    pub fn with_lanes(mut self, lanes: usize) -> Self {
        assert!((1..=MAX_LANES).contains(&lanes), "{lanes} lanes");
        self.lanes = lanes;
        self
    }

    /// The program as text, with operations, bytes and time of each step for a point: the times are those
    /// of this machine, now.
    #[must_use]
    pub fn text_with_costs(&self) -> String {
        Costed(self).to_string()
    }

    /// What runs.
    pub(super) fn plan(&self) -> &Plan<E> {
        &self.blocks.plan
    }

    /// Name and length of each input; name of each output.
    pub(super) fn signature(&self) -> (Vec<(String, usize)>, &[String]) {
        let inputs = self.names.0.iter().cloned().zip(self.inputs.iter().copied()).collect();
        (inputs, &self.names.1)
    }

    /// Evaluates `batch` points: input `i` is `[B, nᵢ]`, so is output `i`.
    ///
    /// # Panics
    /// When a length does not fit.
    pub fn run(&self, batch: usize, inputs: &[&[E]], outputs: &mut [&mut [E]]) {
        assert_eq!(inputs.len(), self.inputs.len(), "inputs");
        assert_eq!(outputs.len(), self.outputs.len(), "outputs");
        for (start, lanes) in partition(batch, self.lanes) {
            self.blocks.with(lanes, |block| {
                let mut at = 0;
                for (&n, input) in self.inputs.iter().zip(inputs) {
                    assert_eq!(input.len(), batch * n, "input of {n} elements");
                    stage(&input[start * n..(start + lanes) * n], n, at, lanes, &mut block.staged);
                    at += n;
                }
                block.run(&self.blocks.plan, &[], lanes);
                for (i, (&n, out)) in self.outputs.iter().zip(&mut *outputs).enumerate() {
                    let out = &mut out[start * n..(start + lanes) * n];
                    block.read(&self.blocks.plan, &[], lanes, i, out);
                }
            });
        }
    }
}

/// Bindings of inputs that stand one after the other in the caller's buffer.
pub(super) fn concatenated(lengths: &[usize], buffer: usize) -> Vec<Binding> {
    let mut offset = 0;
    let next = |&n: &usize| {
        offset += n;
        Binding::External { buffer, offset: offset - n }
    };
    lengths.iter().map(next).collect()
}

/// The most lanes with which all of these plans stay within the cache, a multiple of a cache line.
pub(super) fn most_lanes<E>(plans: &[&Plan<E>]) -> usize {
    let line = 64 / size_of::<E>();
    let per_lane = plans.iter().map(|p| p.numbers_per_lane()).max().unwrap_or(0) * size_of::<E>();
    let steps = plans.iter().any(|p| p.steps.iter().any(|s| matches!(s, Step::Scan(_))));
    let working_set = if steps { WORKING_SET_OF_STEPS } else { WORKING_SET };
    (working_set / per_lane.max(1) / line * line).clamp(line, MAX_LANES)
}

/// Cuts `batch` points into blocks of nearly equal size: first point and number of points.
pub(super) fn partition(batch: usize, lanes: usize) -> impl Iterator<Item = (usize, usize)> {
    let blocks = batch.div_ceil(lanes).max(1);
    // Whole groups of 16 where there is a choice: vectors without a tail.
    let size = batch.div_ceil(blocks).next_multiple_of(16).clamp(1, lanes);
    (0..batch).step_by(size).map(move |start| (start, size.min(batch - start)))
}

/// Transposes points `[lanes, n]` into elements from `at` on of `staged`, `[n][lanes]`.
pub(super) fn stage<E: Element>(
    points: &[E],
    n: usize,
    at: usize,
    lanes: usize,
    staged: &mut Vec<E>,
) {
    let needed = (at + n) * lanes;
    if staged.len() < needed {
        staged.resize(needed, E::zero());
    }
    let staged = &mut staged[at * lanes..needed];
    if lanes == 1 {
        staged.copy_from_slice(points);
        return;
    }
    for (lane, point) in points.chunks_exact(n.max(1)).enumerate() {
        for (i, &x) in point.iter().enumerate() {
            staged[i * lanes + lane] = x;
        }
    }
}

/// A plan and the memory for its runs, one set for each thread that is in it.
#[derive(Debug)]
pub(super) struct Blocks<E> {
    pub(super) plan: Plan<E>,
    idle: Mutex<Vec<Block<E>>>,
}

/// Memory for one block.
#[derive(Debug)]
pub(super) struct Block<E> {
    work: Workspace<E>,
    /// Inputs in lane layout.
    pub(super) staged: Vec<E>,
    /// An output in lane layout.
    result: Vec<E>,
}

impl<E: Element> Blocks<E> {
    pub(super) fn new(plan: Plan<E>) -> Self {
        Blocks { plan, idle: Mutex::new(Vec::new()) }
    }

    /// Calls `f` with memory for `lanes` lanes.
    pub(super) fn with(&self, lanes: usize, f: impl FnOnce(&mut Block<E>)) {
        // A thread that panicked has not left half-written state that matters: runs start afresh.
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let found = idle().pop().filter(|block| block.work.fits(lanes));
        let mut block = found.unwrap_or_else(|| Block {
            work: Workspace::new(&self.plan, lanes),
            staged: Vec::new(),
            result: Vec::new(),
        });
        f(&mut block);
        idle().push(block);
    }
}

impl<E: Element> Block<E> {
    /// Gives the numbers of an input that is the same in all lanes.
    pub(super) fn hold(&mut self, plan: &Plan<E>, input: usize, numbers: &[E]) {
        if let Some(value) = plan.inputs[input]
            && let Home::Slot(slot) = plan.values[value].home
        {
            self.work.slots[slot][..plan.values[value].len].copy_from_slice(numbers);
        }
    }

    /// Runs the plan on what is staged and what was saved.
    pub(super) fn run(&mut self, plan: &Plan<E>, saved: &[E], lanes: usize) {
        run::run(plan, &mut self.work, [&self.staged, saved], lanes);
    }

    /// Output `index` in lane layout, `[n][lanes]`.
    pub(super) fn read_lanes(
        &self,
        plan: &Plan<E>,
        saved: &[E],
        lanes: usize,
        index: usize,
        out: &mut [E],
    ) {
        run::output(plan, &self.work, [&self.staged, saved], lanes, index, out);
    }

    /// Output `index` as points, `[lanes, n]`.
    pub(super) fn read(
        &mut self,
        plan: &Plan<E>,
        saved: &[E],
        lanes: usize,
        index: usize,
        out: &mut [E],
    ) {
        let n = out.len() / lanes;
        if lanes == 1 || n == 1 {
            self.read_lanes(plan, saved, lanes, index, out);
            return;
        }
        let mut result = std::mem::take(&mut self.result);
        result.resize(out.len().max(result.len()), E::zero());
        self.read_lanes(plan, saved, lanes, index, &mut result[..out.len()]);
        for (lane, point) in out.chunks_exact_mut(n.max(1)).enumerate() {
            for (i, x) in point.iter_mut().enumerate() {
                *x = result[i * lanes + lane];
            }
        }
        self.result = result;
    }
}
