//! A function as a list of operations on single numbers: what a solver runs thousands of times a point.
//!
//! Right-hand sides are small, so their tensors are taken apart: movements cost nothing, and what does not
//! change from step to step is computed once a solve. Several points run side by side, one in each *lane*.
//! The few operations that do not come apart (factors, loops, solvers within) are left to the reference
//! executor.

use std::collections::HashMap;

use pulp::{Simd, WithSimd};

use crate::ir::{
    BinaryOp, DType, Function, Inst, Op, Shape, Tensor, TernaryOp, UnaryOp, ValueId, semantics,
};

use super::index::{around, moved_last, positions, strides};
use super::reference;

/// What computes a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Code {
    Unary(UnaryOp, u32),
    Binary(BinaryOp, u32, u32),
    Ternary(TernaryOp, [u32; 3]),
    /// A product and a sum, rounded once.
    MulAdd(Signs, [u32; 3]),
    Trunc(u32),
    NonZero(u32),
    /// Entry number `index` (a register) of a list of `len` registers.
    Pick {
        first: u32,
        len: u32,
        index: u32,
    },
    /// An instruction for the reference executor; fills its results from this register on.
    Call(u32),
}

/// What is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Signs {
    /// `a b + c`.
    Plus,
    /// `a b − c`.
    Minus,
    /// `c − a b`.
    From,
}

/// An instruction that is not taken apart.
#[derive(Debug, Clone)]
struct Call {
    /// It alone, as a function of its operands.
    function: Function,
    /// Registers of its operands.
    args: Vec<Vec<u32>>,
}

/// A function of numbers. Registers begin as `initial`, which holds the constants.
#[derive(Debug, Clone)]
pub(super) struct Tape {
    initial: Vec<f64>,
    /// Registers of each input; those of the first ones are rewritten by every run.
    inputs: Vec<Vec<u32>>,
    varying: usize,
    /// What depends on the later inputs only, and what each run computes, with their registers.
    once: Vec<(Code, u32)>,
    each: Vec<(Code, u32)>,
    lists: Vec<u32>,
    calls: Vec<Call>,
    outputs: Vec<Vec<u32>>,
}

impl Tape {
    /// Compiles `f`, whose first `varying` inputs change from run to run; `known` holds numbers of the
    /// others where they are known now.
    pub(super) fn new(f: &Function, varying: usize, known: &[Option<Tensor>]) -> Self {
        let inputs = vec![Vec::new(); f.inputs.len()];
        let mut a = Assembler { inputs, ..Assembler::default() };
        for (i, input) in f.inputs.iter().enumerate() {
            let numbers =
                i.checked_sub(varying).and_then(|i| known.get(i)).and_then(Option::as_ref);
            a.inputs[i] = match numbers {
                Some(t) => t.data.iter().map(|&x| a.constant(x)).collect(),
                None => (0..input.ty.len()).map(|_| a.register(0.0, i < varying)).collect(),
            };
        }
        for inst in &f.insts {
            let places = a.instruction(f, inst);
            debug_assert_eq!(
                places.len(),
                if inst.ty.dtype == DType::Tuple { 0 } else { inst.ty.len() }
            );
            a.values.push(places);
        }
        let outputs: Vec<Vec<u32>> =
            f.outputs.iter().map(|o| a.values[o.value.index()].clone()).collect();
        a.finish(varying, outputs)
    }

    /// Registers for a solve, of `W` points side by side.
    pub(super) fn registers<const W: usize>(&self) -> Vec<[f64; W]> {
        self.initial.iter().map(|&x| [x; W]).collect()
    }

    /// Begins a solve for the point in a lane, with the given later inputs.
    pub(super) fn start<const W: usize>(
        &self,
        state: &mut [[f64; W]],
        lane: usize,
        fixed: &[&[f64]],
    ) {
        for (registers, numbers) in self.inputs[self.varying..].iter().zip(fixed) {
            for (&r, &x) in registers.iter().zip(*numbers) {
                state[r as usize][lane] = x;
            }
        }
        // The other lanes get the numbers that they have.
        let (codes, inputs, outputs) = (&self.once, &[][..], &mut [][..]);
        crate::simd::arch().dispatch(Run { tape: self, codes, state, inputs, outputs });
    }

    /// Runs with the given first inputs, and takes the first outputs.
    pub(super) fn run<const W: usize>(
        &self,
        state: &mut [[f64; W]],
        inputs: &[&[[f64; W]]],
        outputs: &mut [&mut [[f64; W]]],
    ) {
        let codes = &self.each;
        crate::simd::arch().dispatch(Run { tape: self, codes, state, inputs, outputs });
    }
}

/// Some codes of a tape.
struct Run<'a, 'b, const W: usize> {
    tape: &'a Tape,
    codes: &'a [(Code, u32)],
    state: &'a mut [[f64; W]],
    inputs: &'a [&'a [[f64; W]]],
    outputs: &'a mut [&'b mut [[f64; W]]],
}

impl<const W: usize> WithSimd for Run<'_, '_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Run { tape, codes, state, inputs, outputs } = self;
        for (registers, numbers) in tape.inputs.iter().zip(inputs) {
            for (&r, x) in registers.iter().zip(*numbers) {
                state[r as usize] = *x;
            }
        }
        for &(code, out) in codes {
            let at = |r: u32| &state[r as usize];
            state[out as usize] = match code {
                // Most codes are these: named here, they are no calls.
                Code::Binary(BinaryOp::Add, a, b) => each([at(a), at(b)], |[a, b]| a + b),
                Code::Binary(BinaryOp::Sub, a, b) => each([at(a), at(b)], |[a, b]| a - b),
                Code::Binary(BinaryOp::Mul, a, b) => each([at(a), at(b)], |[a, b]| a * b),
                Code::Binary(BinaryOp::Div, a, b) => each([at(a), at(b)], |[a, b]| a / b),
                Code::Unary(UnaryOp::Neg, a) => each([at(a)], |[a]| -a),
                Code::Unary(UnaryOp::Square, a) => each([at(a)], |[a]| a * a),
                Code::Binary(op, a, b) => {
                    each([at(a), at(b)], |[a, b]| semantics::binary(op, a, b))
                }
                Code::Unary(op, a) => each([at(a)], |[a]| semantics::unary(op, a)),
                Code::Ternary(op, r) => {
                    each(r.map(at), |[a, b, c]| semantics::ternary(op, a, b, c))
                }
                Code::MulAdd(Signs::Plus, r) => each(r.map(at), |[a, b, c]| a.mul_add(b, c)),
                Code::MulAdd(Signs::Minus, r) => each(r.map(at), |[a, b, c]| a.mul_add(b, -c)),
                Code::MulAdd(Signs::From, r) => each(r.map(at), |[a, b, c]| (-a).mul_add(b, c)),
                Code::Trunc(a) => each([at(a)], |[a]| a.trunc()),
                Code::NonZero(a) => each([at(a)], |[a]| f64::from(u8::from(a != 0.0))),
                Code::Pick { first, len, index } => {
                    let list = &tape.lists[first as usize..(first + len) as usize];
                    let mut picked = *at(index);
                    for (lane, x) in picked.iter_mut().enumerate() {
                        let found = reference::in_bounds(*x, list.len());
                        *x = found.map_or(f64::NAN, |i| at(list[i])[lane]);
                    }
                    picked
                }
                Code::Call(call) => {
                    let call = &tape.calls[call as usize];
                    (0..W).for_each(|lane| call.run(state, lane, out as usize));
                    continue;
                }
            };
        }
        for (registers, out) in tape.outputs.iter().zip(outputs) {
            for (x, &r) in out.iter_mut().zip(registers) {
                *x = state[r as usize];
            }
        }
    }
}

/// A function of numbers, lane by lane.
#[allow(clippy::needless_range_loop, reason = "a loop over lanes has constant bounds")]
#[inline(always)]
fn each<const W: usize, const N: usize>(
    args: [&[f64; W]; N],
    f: impl Fn([f64; N]) -> f64,
) -> [f64; W] {
    std::array::from_fn(|lane| f(args.map(|a| a[lane])))
}

impl Call {
    fn run<const W: usize>(&self, state: &mut [[f64; W]], lane: usize, out: usize) {
        let args: Vec<Tensor> = self
            .function
            .inputs
            .iter()
            .zip(&self.args)
            .map(|(input, registers)| {
                let numbers = registers.iter().map(|&r| state[r as usize][lane]);
                Tensor::new(input.ty.clone(), numbers.collect::<Vec<f64>>())
            })
            .collect();
        let results = reference::evaluate(&self.function, &args);
        let numbers = results.iter().flat_map(|t| t.data.iter());
        for (x, number) in state[out..].iter_mut().zip(numbers) {
            x[lane] = *number;
        }
    }
}

/// A tape in the making.
#[derive(Default)]
struct Assembler {
    initial: Vec<f64>,
    /// Whether each register is a constant, and whether it changes from run to run.
    constant: Vec<bool>,
    varies: Vec<bool>,
    codes: Vec<(Code, u32)>,
    known: HashMap<Code, u32>,
    constants: HashMap<u64, u32>,
    lists: Vec<u32>,
    calls: Vec<Call>,
    inputs: Vec<Vec<u32>>,
    /// Registers of each value of the function.
    values: Vec<Vec<u32>>,
    /// First register of each component of a scan, by the scan's position.
    components: HashMap<usize, Vec<Vec<u32>>>,
}

impl Assembler {
    fn register(&mut self, x: f64, varies: bool) -> u32 {
        let r = place(self.initial.len());
        self.initial.push(x);
        self.constant.push(false);
        self.varies.push(varies);
        r
    }

    fn constant(&mut self, x: f64) -> u32 {
        if let Some(&r) = self.constants.get(&x.to_bits()) {
            return r;
        }
        let r = self.register(x, false);
        self.constant[r as usize] = true;
        self.constants.insert(x.to_bits(), r);
        r
    }

    fn number(&self, r: u32) -> Option<f64> {
        self.constant[r as usize].then(|| self.initial[r as usize])
    }

    /// The register of a computed number: a constant, an operand, one computed before, or a new one.
    fn compute(&mut self, code: Code) -> u32 {
        let numbers = |operands: &[u32]| -> Option<Vec<f64>> {
            operands.iter().map(|&r| self.number(r)).collect()
        };
        let folded = match code {
            Code::Unary(op, a) => numbers(&[a]).map(|x| semantics::unary(op, x[0])),
            Code::Binary(op, a, b) => numbers(&[a, b]).map(|x| semantics::binary(op, x[0], x[1])),
            Code::Ternary(op, r) => numbers(&r).map(|x| semantics::ternary(op, x[0], x[1], x[2])),
            Code::Trunc(a) => self.number(a).map(f64::trunc),
            Code::NonZero(a) => self.number(a).map(|x| f64::from(u8::from(x != 0.0))),
            Code::MulAdd(..) | Code::Pick { .. } | Code::Call(_) => None,
        };
        if let Some(x) = folded {
            return self.constant(x);
        }
        if let Some(r) = self.neutral(code) {
            return r;
        }
        if let Some(&r) = self.known.get(&code) {
            return r;
        }
        let varies = |r: u32| self.varies[r as usize];
        let varies = match code {
            Code::Unary(_, a) | Code::Trunc(a) | Code::NonZero(a) => varies(a),
            Code::Binary(_, a, b) => varies(a) || varies(b),
            Code::Ternary(_, r) | Code::MulAdd(_, r) => r.into_iter().any(varies),
            Code::Pick { first, len, index } => {
                let list = &self.lists[first as usize..(first + len) as usize];
                varies(index) || list.iter().any(|&r| varies(r))
            }
            Code::Call(call) => self.calls[call as usize].args.iter().flatten().any(|&r| varies(r)),
        };
        let r = self.register(0.0, varies);
        self.known.insert(code, r);
        self.codes.push((code, r));
        r
    }

    /// What `x + 0`, `1 x` and the like are. A constant 0 is a derivative that does not exist, so it
    /// annihilates also what is not finite.
    fn neutral(&mut self, code: Code) -> Option<u32> {
        let Code::Binary(op, a, b) = code else { return None };
        let (x, y) = (self.number(a), self.number(b));
        match op {
            BinaryOp::Add if x == Some(0.0) => Some(b),
            BinaryOp::Add | BinaryOp::Sub if y == Some(0.0) => Some(a),
            BinaryOp::Mul | BinaryOp::ZeroMul if x == Some(1.0) => Some(b),
            BinaryOp::Mul | BinaryOp::ZeroMul | BinaryOp::Div if y == Some(1.0) => Some(a),
            BinaryOp::Mul | BinaryOp::ZeroMul if x == Some(0.0) || y == Some(0.0) => {
                Some(self.constant(0.0))
            }
            _ => None,
        }
    }

    fn binary(&mut self, op: BinaryOp, a: u32, b: u32) -> u32 {
        self.compute(Code::Binary(op, a, b))
    }

    /// Registers of the elements of an instruction's value.
    fn instruction(&mut self, f: &Function, inst: &Inst) -> Vec<u32> {
        let n = inst.ty.len();
        let arg = |a: &Self, i: usize| a.values[inst.args[i].index()].clone();
        let shape = |i: usize| &f.ty(inst.args[i]).shape;
        let element = |v: &[u32], i: usize| if v.len() == 1 { v[0] } else { v[i] };
        match &inst.op {
            Op::Input(i) => self.inputs[*i as usize].clone(),
            Op::Const(t) => t.data.iter().map(|&x| self.constant(x)).collect(),
            Op::Unary(op) => {
                arg(self, 0).into_iter().map(|r| self.compute(Code::Unary(*op, r))).collect()
            }
            Op::Binary(op) => {
                let (x, y) = (arg(self, 0), arg(self, 1));
                (0..n).map(|i| self.binary(*op, element(&x, i), element(&y, i))).collect()
            }
            Op::Ternary(op) => {
                let v = [arg(self, 0), arg(self, 1), arg(self, 2)];
                (0..n)
                    .map(|i| self.compute(Code::Ternary(*op, [0, 1, 2].map(|k| element(&v[k], i)))))
                    .collect()
            }
            Op::Convert(to) => {
                let code: Option<fn(u32) -> Code> = match (f.ty(inst.args[0]).dtype, to) {
                    (DType::Real, DType::Int) => Some(Code::Trunc),
                    (DType::Real | DType::Int, DType::Bool) => Some(Code::NonZero),
                    _ => None,
                };
                let v = arg(self, 0);
                match code {
                    Some(code) => v.into_iter().map(|r| self.compute(code(r))).collect(),
                    None => v,
                }
            }
            Op::Reshape(_) => arg(self, 0),
            Op::Broadcast { .. } | Op::Transpose(_) | Op::Slice { .. } => {
                let (offset, steps) = reference::movement(&inst.op, shape(0), &inst.ty.shape);
                let v = arg(self, 0);
                positions(&inst.ty.shape, offset, &steps).into_iter().map(|i| v[i]).collect()
            }
            Op::Pad { low, .. } => {
                let mut out = vec![self.constant(0.0); n];
                let steps = strides(&inst.ty.shape);
                let offset = low.iter().zip(&steps).map(|(l, s)| l * s).sum();
                for (at, r) in positions(shape(0), offset, &steps).into_iter().zip(arg(self, 0)) {
                    out[at] = r;
                }
                out
            }
            Op::Concat { axis } => {
                let before: usize = inst.ty.shape[..*axis].iter().product();
                let parts: Vec<Vec<u32>> = (0..inst.args.len()).map(|i| arg(self, i)).collect();
                let chunk = |v: &Vec<u32>, i: usize| {
                    let len = v.len() / before.max(1);
                    v[i * len..(i + 1) * len].to_vec()
                };
                (0..before).flat_map(|i| parts.iter().flat_map(move |v| chunk(v, i))).collect()
            }
            Op::Gather { axis } => {
                let (before, size, after) = around(shape(0), *axis);
                let (v, index) = (arg(self, 0), arg(self, 1));
                let mut out = Vec::with_capacity(n);
                for i in 0..before {
                    for &r in &index {
                        for k in 0..after {
                            let list = (0..size).map(|j| v[(i * size + j) * after + k]);
                            out.push(self.pick(list.collect(), r));
                        }
                    }
                }
                out
            }
            Op::ScatterAdd { axis, size } => {
                let (before, after) = (
                    inst.ty.shape[..*axis].iter().product::<usize>(),
                    inst.ty.shape[axis + 1..].iter().product::<usize>(),
                );
                let (v, index) = (arg(self, 0), arg(self, 1));
                let zero = self.constant(0.0);
                let mut out = vec![zero; n];
                for i in 0..before {
                    for (j, &r) in index.iter().enumerate() {
                        for row in 0..*size {
                            #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
                            let row_number = self.constant(row as f64);
                            let here = self.binary(BinaryOp::Eq, r, row_number);
                            for k in 0..after {
                                let x = v[(i * index.len() + j) * after + k];
                                let x =
                                    self.compute(Code::Ternary(TernaryOp::Select, [here, x, zero]));
                                let at = (i * size + row) * after + k;
                                out[at] = self.binary(BinaryOp::Add, out[at], x);
                            }
                        }
                    }
                }
                out
            }
            Op::Sum(axes) => self.reduce(f, inst, axes, BinaryOp::Add, 0.0),
            Op::ReduceMax(axes) => self.reduce(f, inst, axes, BinaryOp::Max, f64::NEG_INFINITY),
            Op::CumSum { axis, reverse } => {
                let (before, size, after) = around(&inst.ty.shape, *axis);
                let mut out = arg(self, 0);
                for i in 0..before {
                    for k in 0..after {
                        for step in 1..size {
                            let at = |s: usize| {
                                let j = if *reverse { size - 1 - s } else { s };
                                (i * size + j) * after + k
                            };
                            out[at(step)] =
                                self.binary(BinaryOp::Add, out[at(step - 1)], out[at(step)]);
                        }
                    }
                }
                out
            }
            Op::MatMul { ta, tb } => {
                let (x, y) = (arg(self, 0), arg(self, 1));
                let (rows, cols) = (shape(0)[1], shape(1)[1]);
                let inner = if *ta { shape(0)[0] } else { shape(0)[1] };
                let width = inst.ty.shape[1];
                let mut out = Vec::with_capacity(n);
                for e in 0..n {
                    let (i, j) = (e / width, e % width);
                    let mut sum = self.constant(0.0);
                    for k in 0..inner {
                        let a = if *ta { x[k * rows + i] } else { x[i * rows + k] };
                        let b = if *tb { y[j * cols + k] } else { y[k * cols + j] };
                        let term = self.binary(BinaryOp::Mul, a, b);
                        sum = self.binary(BinaryOp::Add, sum, term);
                    }
                    out.push(sum);
                }
                out
            }
            Op::Proj(i) => self.components[&inst.args[0].index()][*i as usize].clone(),
            Op::LogSumExp(_)
            | Op::Cholesky
            | Op::TriSolve { .. }
            | Op::Solve { .. }
            | Op::Det
            | Op::LogAbsDet
            | Op::EigenSym
            | Op::MatrixExp
            | Op::SortIndices
            | Op::Ode(_)
            | Op::Root(_)
            | Op::Scan(_) => self.call(f, inst),
        }
    }

    /// Entry number `index` of a list of registers.
    fn pick(&mut self, list: Vec<u32>, index: u32) -> u32 {
        if let Some(x) = self.number(index) {
            return match reference::in_bounds(x, list.len()) {
                Some(i) => list[i],
                None => self.constant(f64::NAN),
            };
        }
        let (first, len) = (place(self.lists.len()), place(list.len()));
        self.lists.extend(list);
        self.compute(Code::Pick { first, len, index })
    }

    fn reduce(
        &mut self,
        f: &Function,
        inst: &Inst,
        axes: &[usize],
        op: BinaryOp,
        empty: f64,
    ) -> Vec<u32> {
        let from = &f.ty(inst.args[0]).shape;
        let perm = moved_last(from.len(), axes);
        let sorted: Shape = perm.iter().map(|&p| from[p]).collect();
        let (offset, steps) = reference::movement(&Op::Transpose(perm), from, &sorted);
        let v = self.values[inst.args[0].index()].clone();
        let v: Vec<u32> = positions(&sorted, offset, &steps).into_iter().map(|i| v[i]).collect();
        let cols: usize = axes.iter().map(|&a| from[a]).product();
        (0..inst.ty.len())
            .map(|row| {
                let row = &v[row * cols..(row + 1) * cols];
                let reduced = row.iter().copied().reduce(|a, b| self.binary(op, a, b));
                reduced.unwrap_or_else(|| self.constant(empty))
            })
            .collect()
    }

    /// Leaves an instruction to the reference executor.
    fn call(&mut self, f: &Function, inst: &Inst) -> Vec<u32> {
        let mut b = crate::ir::Builder::new("call");
        let operands: Vec<ValueId> = inst
            .args
            .iter()
            .enumerate()
            .map(|(i, &a)| b.input(format!("a{i}"), f.ty(a).clone()))
            .collect();
        let value = b.add(inst.op.clone(), operands.as_slice());
        let parts = match &inst.op {
            Op::Scan(scan) => b.components(value, scan.body.outputs.len()),
            _ => vec![value],
        };
        let mut sizes = Vec::new();
        for part in parts {
            sizes.push(b.ty(part).len());
            b.output("part", part);
        }
        let args = inst.args.iter().map(|a| self.values[a.index()].clone()).collect();
        self.calls.push(Call { function: b.finish(), args });
        let first = self.compute(Code::Call(place(self.calls.len() - 1)));
        let varies = self.varies[first as usize];
        let total: usize = sizes.iter().sum();
        for _ in 1..total {
            self.register(0.0, varies);
        }
        let mut next = first;
        let parts: Vec<Vec<u32>> = sizes
            .into_iter()
            .map(|len| {
                let registers = (next..next + place(len)).collect();
                next += place(len);
                registers
            })
            .collect();
        if matches!(inst.op, Op::Scan(_)) {
            self.components.insert(self.values.len(), parts);
            return Vec::new();
        }
        parts.into_iter().next().unwrap_or_default()
    }

    /// The registers that a code reads.
    fn reads(&self, code: Code) -> Vec<u32> {
        match code {
            Code::Unary(_, a) | Code::Trunc(a) | Code::NonZero(a) => vec![a],
            Code::Binary(_, a, b) => vec![a, b],
            Code::Ternary(_, r) | Code::MulAdd(_, r) => r.to_vec(),
            Code::Pick { first, len, index } => {
                let list = &self.lists[first as usize..(first + len) as usize];
                list.iter().copied().chain([index]).collect()
            }
            Code::Call(call) => self.calls[call as usize].args.concat(),
        }
    }

    /// Joins products with the sums that alone read them.
    fn fuse(&self, codes: &mut [(Code, u32)], outputs: &[Vec<u32>]) {
        let mut reads = vec![0; self.initial.len()];
        for r in codes.iter().flat_map(|&(code, _)| self.reads(code)) {
            reads[r as usize] += 1;
        }
        for &r in outputs.iter().flatten() {
            reads[r as usize] += 2;
        }
        let mut products: HashMap<u32, (u32, u32)> = HashMap::new();
        for (code, out) in codes {
            let product = |r: u32| {
                let same_time = self.varies[r as usize] == self.varies[*out as usize];
                products.get(&r).filter(|_| same_time && reads[r as usize] == 1).copied()
            };
            let joined = |signs, (a, b), c| Some(Code::MulAdd(signs, [a, b, c]));
            let both = match *code {
                Code::Binary(BinaryOp::Mul, a, b) => {
                    products.insert(*out, (a, b));
                    None
                }
                Code::Binary(BinaryOp::Add, a, b) => match (product(a), product(b)) {
                    (_, Some(ab)) => joined(Signs::Plus, ab, a),
                    (Some(ab), None) => joined(Signs::Plus, ab, b),
                    (None, None) => None,
                },
                Code::Binary(BinaryOp::Sub, a, b) => match (product(a), product(b)) {
                    (_, Some(ab)) => joined(Signs::From, ab, a),
                    (Some(ab), None) => joined(Signs::Minus, ab, b),
                    (None, None) => None,
                },
                _ => None,
            };
            *code = both.unwrap_or(*code);
        }
    }

    /// The codes that an output depends on.
    fn needed(&self, codes: &[(Code, u32)], outputs: &[Vec<u32>]) -> Vec<(Code, u32)> {
        let mut needed = vec![false; self.initial.len()];
        for &r in outputs.iter().flatten() {
            needed[r as usize] = true;
        }
        let mut kept = Vec::with_capacity(codes.len());
        for &(code, out) in codes.iter().rev() {
            if needed[out as usize] || matches!(code, Code::Call(_)) {
                for r in self.reads(code) {
                    needed[r as usize] = true;
                }
                kept.push((code, out));
            }
        }
        kept.reverse();
        kept
    }

    fn finish(self, varying: usize, outputs: Vec<Vec<u32>>) -> Tape {
        let mut codes = self.needed(&self.codes, &outputs);
        self.fuse(&mut codes, &outputs);
        let kept = self.needed(&codes, &outputs);
        let (each, once) = kept.into_iter().partition(|&(_, out)| self.varies[out as usize]);
        Tape {
            initial: self.initial,
            inputs: self.inputs,
            varying,
            once,
            each,
            lists: self.lists,
            calls: self.calls,
            outputs,
        }
    }
}

fn place(n: usize) -> u32 {
    u32::try_from(n).expect("fewer than 2^32 registers")
}
