//! Parts of a plan as straight-line code on single numbers: how one point alone is computed, and the steps
//! of a recursion for any number of points.
//!
//! A kernel costs tens of nanoseconds a call, whatever it is called for. The step of a recursion over a
//! time series, or all of a small model, does operations on a handful of numbers, which cost a few
//! nanoseconds each; and movements cost nothing here. The code is made from the plan, operation by
//! operation and sums in the plan's order, so that its numbers have the same bits as those of the kernels.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use pulp::Simd;

use super::element::Element;
use super::kernels::elementwise::{self, Micro};
use super::plan::{Arg, FusedLoop, Home, LoopOp, Places, Plan, Step, Value};
use super::run::{LONG_ROW, MAX_LANES};
use super::view::View;
use crate::ir::BinaryOp;

/// Longer code is left to the kernels: in a loop they are fast on many numbers, and elsewhere memory
/// sets a limit.
const MOST_CODES_OF_A_BODY: usize = 2000;
const MOST_CODES: usize = 1 << 16;
/// Codes that take as long as a call of a kernel does besides its arithmetic.
const CODES_OF_A_CALL: usize = 8;
/// Elements of a loop up to which its operations are faster one by one, and so of a movement.
const SHORT_LOOP: usize = 12;
const SHORT_MOVEMENT: usize = 64;

/// What computes a register.
#[derive(Debug, Clone, Copy)]
enum Code {
    Apply {
        op: Micro,
        args: [u32; 3],
        out: u32,
    },
    /// Maximum or log-sum-exp of a list of registers.
    Extreme {
        first: u32,
        len: u32,
        log_sum_exp: bool,
        out: u32,
    },
}

/// Operations on registers.
#[derive(Debug, Clone)]
pub(super) struct Straight<E> {
    /// Registers before a run: operands, constants, and what the codes compute.
    initial: Vec<E>,
    codes: Vec<Code>,
    lists: Vec<u32>,
}

/// The whole of a plan: the body of a loop.
#[derive(Debug, Clone)]
pub(super) struct Body<E> {
    pub(super) code: Straight<E>,
    /// First register and number of those of each input; `None` when it is not read.
    pub(super) inputs: Vec<Option<(usize, usize)>>,
    /// Registers of each output.
    pub(super) outputs: Vec<Vec<u32>>,
    /// Whether it is faster than the kernels for several lanes, too.
    pub(super) in_lanes: bool,
}

impl<E: Element> Body<E> {
    /// Takes a plan apart; `None` where it has steps that do not come apart, or too much of them.
    pub(super) fn new(plan: &Plan<E>) -> Option<Self> {
        let mut a = Assembler::new(&plan.values, &plan.consts);
        let inputs = plan.inputs.iter().map(|value| value.map(|v| a.input(v))).collect();
        for step in &plan.steps {
            if codes_of(step) + a.codes.len() > MOST_CODES_OF_A_BODY {
                return None;
            }
            a.step(step)?;
        }
        let outputs = plan.outputs.iter().map(|view| a.elements(view)).collect();
        let calls: usize = plan.steps.iter().map(calls_of).sum();
        let in_lanes = a.codes.len() <= CODES_OF_A_CALL * calls;
        Some(Body { code: a.finish(), inputs, outputs, in_lanes })
    }
}

/// Some steps of a plan, one after the other, as one lane runs them.
#[derive(Debug, Clone)]
pub(super) enum Stretch<E> {
    /// By their kernels.
    Steps(Range<usize>),
    /// As straight-line code.
    Straight(Box<Part<E>>),
}

/// Straight-line code between values of a plan.
#[derive(Debug, Clone)]
pub(super) struct Part<E> {
    pub(super) code: Straight<E>,
    /// Elements of stored values, and the registers that they are put in before a run.
    pub(super) loads: Vec<(usize, Vec<(u32, u32)>)>,
    /// Values that are stored after a run, and the registers of their elements.
    pub(super) stores: Vec<(usize, Vec<u32>)>,
}

/// How one lane runs `steps`: what is faster as straight-line code is. `kept(step, end)` gives the values
/// that a step makes and that are read at `end` or later.
pub(super) fn stretches<E: Element>(
    values: &[Value],
    consts: &[Arc<[E]>],
    steps: &[Step<E>],
    kept: impl Fn(usize, usize) -> Vec<usize>,
) -> Vec<Stretch<E>> {
    let mut all = Vec::new();
    let mut begin = 0;
    while begin < steps.len() {
        let mut a = Assembler::new(values, consts);
        let mut end = begin;
        let room = |a: &Assembler<'_, E>, step| a.codes.len() + codes_of(step) <= MOST_CODES;
        while end < steps.len() && is_short(&steps[end]) && (end == begin || room(&a, &steps[end]))
        {
            a.step(&steps[end]).expect("bug in ppl: a short step does not come apart");
            end += 1;
        }
        if end > begin {
            let stores = (begin..end).flat_map(|step| kept(step, end));
            let stores = stores.map(|v| (v, a.values[v].clone().unwrap_or_default())).collect();
            let loads = std::mem::take(&mut a.loads);
            let loads = loads.into_iter().map(|(v, at)| (v, at.into_iter().collect())).collect();
            all.push(Stretch::Straight(Box::new(Part { code: a.finish(), loads, stores })));
        } else {
            end += steps[end..].iter().take_while(|step| !is_short(step)).count();
            all.push(Stretch::Steps(begin..end));
        }
        begin = end;
    }
    all
}

/// The most codes that a step may come to.
fn codes_of<E>(step: &Step<E>) -> usize {
    match step {
        Step::Fused(fused) => fused.len * fused.ops.len(),
        Step::Scatter { data, .. } | Step::CumSum { data, .. } => data.len,
        _ => 0,
    }
}

/// Calls of kernels that a step takes.
fn calls_of<E>(step: &Step<E>) -> usize {
    match step {
        Step::Fused(fused) => fused.ops.len(),
        Step::Place { parts, .. } => parts.len(),
        _ => 1,
    }
}

/// Whether a step is faster element by element than by its kernels.
fn is_short<E>(step: &Step<E>) -> bool {
    match step {
        Step::Fused(fused) => fused.len <= SHORT_LOOP && codes_of(step) <= MOST_CODES,
        Step::Place { parts, .. } => {
            parts.iter().map(|(part, _)| part.len).sum::<usize>() <= SHORT_MOVEMENT
        }
        Step::Scatter { data, .. } | Step::CumSum { data, .. } | Step::Extreme { data, .. } => {
            data.len <= SHORT_LOOP
        }
        _ => false,
    }
}

impl<E: Element> Straight<E> {
    /// Registers to run in, over and over.
    pub(super) fn registers(&self) -> Vec<E> {
        self.initial.clone()
    }

    /// Registers before a run of `lanes` lanes, to the start of `registers`.
    pub(super) fn spread(&self, lanes: usize, registers: &mut [E]) {
        for (register, &x) in registers.chunks_exact_mut(lanes).zip(&self.initial) {
            register.fill(x);
        }
    }

    /// Numbers that the registers of `lanes` lanes are.
    pub(super) fn size(&self, lanes: usize) -> usize {
        self.initial.len() * lanes
    }

    /// Runs for `lanes` lanes: register `r` is `registers[r lanes..(r + 1) lanes]`. For use within a
    /// dispatched loop.
    #[inline(always)]
    pub(super) fn run_lanes<S: Simd>(&self, simd: S, lanes: usize, registers: &mut [E]) {
        for code in &self.codes {
            let (Code::Apply { out, .. } | Code::Extreme { out, .. }) = *code;
            // What a code reads was made before it.
            let (before, rest) = registers.split_at_mut(out as usize * lanes);
            let register = |r: u32| &before[r as usize * lanes..][..lanes];
            let out = &mut rest[..lanes];
            match *code {
                Code::Apply { op, args, .. } => {
                    let [a, b, c] = args;
                    let args = [register(a), register(b), register(c)];
                    elementwise::apply_within(simd, op, args, out);
                }
                Code::Extreme { first, len, log_sum_exp, .. } => {
                    let list = &self.lists[first as usize..(first + len) as usize];
                    out.fill(E::neg_infinity());
                    for &r in list {
                        for (m, &x) in out.iter_mut().zip(register(r)) {
                            *m = if x > *m || x.is_nan() { x } else { *m };
                        }
                    }
                    if !log_sum_exp {
                        continue;
                    }
                    let mut sums = [E::zero(); MAX_LANES];
                    let sums = &mut sums[..lanes];
                    for &r in list {
                        for ((sum, &x), &m) in sums.iter_mut().zip(register(r)).zip(&*out) {
                            *sum += (x - m).fast_exp();
                        }
                    }
                    for (m, &sum) in out.iter_mut().zip(&*sums) {
                        *m = if m.is_finite() { *m + sum.fast_log() } else { *m };
                    }
                }
            }
        }
    }

    /// Runs with what is in the registers of the inputs. For use within a dispatched loop.
    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, simd: S, registers: &mut [E]) {
        for code in &self.codes {
            match *code {
                Code::Apply { op, args, out } => {
                    let [a, b, c] = args.map(|r| [registers[r as usize]]);
                    let mut result = [E::zero()];
                    elementwise::apply_within(simd, op, [&a, &b, &c], &mut result);
                    registers[out as usize] = result[0];
                }
                Code::Extreme { first, len, log_sum_exp, out } => {
                    let list = &self.lists[first as usize..(first + len) as usize];
                    let mut m = E::neg_infinity();
                    for &r in list {
                        let x = registers[r as usize];
                        m = if x > m || x.is_nan() { x } else { m };
                    }
                    if log_sum_exp && m.is_finite() {
                        let mut sum = E::zero();
                        for &r in list {
                            sum += (registers[r as usize] - m).fast_exp();
                        }
                        m += sum.fast_log();
                    }
                    registers[out as usize] = m;
                }
            }
        }
    }
}

/// Straight-line code in the making.
struct Assembler<'a, E> {
    known: &'a [Value],
    consts: &'a [Arc<[E]>],
    registers: Vec<E>,
    constants: HashMap<u64, u32>,
    /// Registers of the elements of each value that is an input or made here.
    values: Vec<Option<Vec<u32>>>,
    /// Registers of elements of values that are made elsewhere.
    loads: BTreeMap<usize, BTreeMap<u32, u32>>,
    codes: Vec<Code>,
    lists: Vec<u32>,
}

impl<'a, E: Element> Assembler<'a, E> {
    fn new(known: &'a [Value], consts: &'a [Arc<[E]>]) -> Self {
        Assembler {
            known,
            consts,
            registers: Vec::new(),
            constants: HashMap::new(),
            values: vec![None; known.len()],
            loads: BTreeMap::new(),
            codes: Vec::new(),
            lists: Vec::new(),
        }
    }

    fn finish(self) -> Straight<E> {
        Straight { initial: self.registers, codes: self.codes, lists: self.lists }
    }

    fn register(&mut self, x: E) -> u32 {
        self.registers.push(x);
        u32::try_from(self.registers.len() - 1).expect("fewer than 2^32 registers")
    }

    fn constant(&mut self, x: E) -> u32 {
        if let Some(&r) = self.constants.get(&x.f64().to_bits()) {
            return r;
        }
        let r = self.register(x);
        self.constants.insert(x.f64().to_bits(), r);
        r
    }

    /// First register and number of registers of an input.
    fn input(&mut self, value: usize) -> (usize, usize) {
        let first = self.registers.len();
        let len = self.known[value].len;
        let registers = (0..len).map(|_| self.register(E::zero())).collect();
        self.values[value] = Some(registers);
        (first, len)
    }

    /// The register of element `e` of a view.
    fn element(&mut self, view: &View, e: usize) -> u32 {
        let at = view.at(e);
        if let Home::Const(index) = self.known[view.value].home {
            return self.constant(self.consts[index][at]);
        }
        if let Some(registers) = &self.values[view.value] {
            return registers[at];
        }
        let place = u32::try_from(at).expect("fewer than 2^32 elements");
        if let Some(&r) = self.loads.get(&view.value).and_then(|loaded| loaded.get(&place)) {
            return r;
        }
        let r = self.register(E::zero());
        self.loads.entry(view.value).or_default().insert(place, r);
        r
    }

    fn elements(&mut self, view: &View) -> Vec<u32> {
        (0..view.len).map(|e| self.element(view, e)).collect()
    }

    fn apply(&mut self, op: Micro, args: [u32; 3]) -> u32 {
        if op == Micro::Copy {
            return args[0];
        }
        let out = self.register(E::zero());
        self.codes.push(Code::Apply { op, args, out });
        out
    }

    fn add(&mut self, sum: u32, x: u32) -> u32 {
        self.apply(Micro::Binary(BinaryOp::Add), [sum, x, 0])
    }

    fn zeros(&mut self, value: usize) -> Vec<u32> {
        let zero = self.constant(E::zero());
        vec![zero; self.known[value].len]
    }

    fn step(&mut self, step: &Step<E>) -> Option<()> {
        match step {
            Step::Fused(fused) => self.fused(fused)?,
            Step::Place { parts, out, .. } => {
                let mut placed = self.zeros(*out);
                for (part, places) in parts {
                    let registers = self.elements(part);
                    for (e, r) in registers.into_iter().enumerate() {
                        let at = match places {
                            Places::From(start) => start + e,
                            Places::Blocks { start, chunk, stride } => {
                                start + e / chunk * stride + e % chunk
                            }
                            Places::Table(table) => table[e] as usize,
                        };
                        placed[at] = r;
                    }
                }
                self.values[*out] = Some(placed);
            }
            Step::Scatter { data, places, out } => {
                let mut sums = self.zeros(*out);
                for (e, &at) in places.iter().enumerate().filter(|&(_, &at)| at != u32::MAX) {
                    let x = self.element(data, e);
                    sums[at as usize] = self.add(sums[at as usize], x);
                }
                self.values[*out] = Some(sums);
            }
            Step::CumSum { data, before, size, after, reverse, out } => {
                let mut sums = self.elements(data);
                for (earlier, later) in running_pairs(*before, *size, *after, *reverse) {
                    sums[later] = self.add(sums[later], sums[earlier]);
                }
                self.values[*out] = Some(sums);
            }
            Step::Extreme { data, cols, log_sum_exp, out } => {
                let rows = self.known[*out].len;
                let mut results = Vec::with_capacity(rows);
                for row in 0..rows {
                    let list: Vec<u32> =
                        (row * cols..(row + 1) * cols).map(|e| self.element(data, e)).collect();
                    let place = |n: usize| u32::try_from(n).expect("fewer than 2^32 registers");
                    let (first, len) = (place(self.lists.len()), place(list.len()));
                    self.lists.extend(list);
                    let out = self.register(E::zero());
                    self.codes.push(Code::Extreme { first, len, log_sum_exp: *log_sum_exp, out });
                    results.push(out);
                }
                self.values[*out] = Some(results);
            }
            Step::Gather { .. }
            | Step::ScatterAt { .. }
            | Step::MatMul(_)
            | Step::Cholesky { .. }
            | Step::TriSolve { .. }
            | Step::Solver { .. }
            | Step::Scan(_) => return None,
        }
        Some(())
    }

    fn fused(&mut self, fused: &FusedLoop) -> Option<()> {
        if !fused.sums.is_empty() && fused.cols >= LONG_ROW {
            // Kept in partial sums.
            return None;
        }
        let mut stores: Vec<Vec<u32>> = vec![Vec::new(); fused.stores.len()];
        let mut sums: Vec<Vec<u32>> = fused.sums.iter().map(|&v| self.zeros(v)).collect();
        let mut columns: Vec<Vec<u32>> = fused.columns.iter().map(|&v| self.zeros(v)).collect();
        let mut registers = vec![0; fused.registers];
        for &(source, reg) in &fused.once {
            registers[reg] = self.element(&fused.sources[source], 0);
        }
        for e in 0..fused.len {
            for op in &fused.ops {
                let read = |a: &mut Self, arg: Arg, registers: &[u32]| match arg {
                    Arg::None => 0,
                    Arg::Reg(reg) => registers[reg],
                    Arg::Source(source) => a.element(&fused.sources[source], e),
                };
                match *op {
                    LoopOp::Load { source, reg } => {
                        registers[reg] = self.element(&fused.sources[source], e);
                    }
                    LoopOp::Apply { op, args, reg } => {
                        let args = args.map(|arg| read(self, arg, &registers));
                        registers[reg] = self.apply(op, args);
                    }
                    LoopOp::Store { arg, out } => stores[out].push(read(self, arg, &registers)),
                    LoopOp::Sum { arg, out } => {
                        let x = read(self, arg, &registers);
                        let sum = &mut sums[out][e / fused.cols];
                        *sum = self.add(*sum, x);
                    }
                    LoopOp::SumColumns { arg, out } => {
                        let x = read(self, arg, &registers);
                        let n = columns[out].len();
                        let sum = &mut columns[out][e % n];
                        *sum = self.add(*sum, x);
                    }
                }
            }
        }
        let values = fused.stores.iter().chain(&fused.sums).chain(&fused.columns);
        for (&value, registers) in values.zip(stores.into_iter().chain(sums).chain(columns)) {
            self.values[value] = Some(registers);
        }
        Some(())
    }
}

/// Which element of `[before, size, after]` is added to which, in order.
fn running_pairs(
    before: usize,
    size: usize,
    after: usize,
    reverse: bool,
) -> impl Iterator<Item = (usize, usize)> {
    let at = move |i: usize, step: usize, k: usize| {
        let row = if reverse { size - 1 - step } else { step };
        (i * size + row) * after + k
    };
    (0..before).flat_map(move |i| {
        (1..size)
            .flat_map(move |step| (0..after).map(move |k| (at(i, step - 1, k), at(i, step, k))))
    })
}
