//! The only way to add an instruction: infers its type and never adds the same one twice.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::source::Span;

use super::entity::ValueId;
use super::function::{Function, Input, Inst, Output};
use super::op::{Args, BinaryOp, Op, Scan, ScanRef, Tensor, TernaryOp, UnaryOp};
use super::shape_rule::{infer_type, proj_type};
use super::ty::{DType, Shape, Type};

/// Builds one [`Function`]. Equal instructions are shared (hash-consing), so that common
/// subexpressions never arise.
///
/// # Panics
/// Every method panics on operands that do not fit: that is a bug in the caller, who has checked.
#[derive(Debug, Default)]
pub struct Builder {
    function: Function,
    /// The instructions by content: numbers into `function.insts`, so that nothing is held twice.
    known: HashTable<ValueId>,
    hasher: DefaultHashBuilder,
    span: Option<Span>,
    largest: Option<(usize, ValueId)>,
}

impl Builder {
    /// A builder of a function of that name.
    pub fn new(name: impl Into<String>) -> Self {
        Builder {
            function: Function { name: name.into(), ..Function::default() },
            ..Builder::default()
        }
    }

    /// Makes room for that many more instructions, so that large functions are not moved as they grow.
    pub fn reserve(&mut self, instructions: usize) {
        let insts = &mut self.function.insts;
        insts.reserve(instructions);
        self.known.reserve(instructions, |v| hash_of(&self.hasher, &insts[v.index()]));
    }

    /// Instructions added from now on come from this place in the source.
    pub fn set_span(&mut self, span: Option<Span>) {
        self.span = span;
    }

    /// The place that new instructions are said to come from.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        self.span
    }

    /// The type of a value.
    #[must_use]
    pub fn ty(&self, value: ValueId) -> &Type {
        self.function.ty(value)
    }

    /// The shape of a value.
    #[must_use]
    pub fn shape(&self, value: ValueId) -> Shape {
        self.function.ty(value).shape.clone()
    }

    /// The instruction that defines a value.
    #[must_use]
    pub fn inst(&self, value: ValueId) -> &Inst {
        self.function.inst(value)
    }

    /// The first of the values with the most elements.
    #[must_use]
    pub fn largest(&self) -> Option<ValueId> {
        self.largest.map(|(_, value)| value)
    }

    /// The function so far.
    #[must_use]
    pub fn function(&self) -> &Function {
        &self.function
    }

    /// Declares the next input and gives its value.
    ///
    /// # Panics
    /// When there are 2³² inputs already.
    pub fn input(&mut self, name: impl Into<String>, ty: Type) -> ValueId {
        let index = u32::try_from(self.function.inputs.len()).expect("fewer than 2^32 inputs");
        self.function.inputs.push(Input { name: name.into(), ty: ty.clone() });
        self.push(Op::Input(index), Args::new(), ty)
    }

    /// Declares the next output.
    pub fn output(&mut self, name: impl Into<String>, value: ValueId) {
        self.function.outputs.push(Output { name: name.into(), value });
    }

    /// The finished function.
    #[must_use]
    pub fn finish(self) -> Function {
        self.function
    }

    /// Adds `op` applied to `args`, or finds it.
    ///
    /// # Panics
    /// When the operands do not fit the operation.
    pub fn add(&mut self, op: Op, args: impl Into<Args>) -> ValueId {
        let args = args.into();
        let insts = &self.function.insts;
        let same = |v: &ValueId| insts[v.index()].op == op && insts[v.index()].args == args;
        if let Some(&value) = self.known.find(self.hasher.hash_one((&op, &args)), same) {
            return value;
        }
        let ty = match &op {
            Op::Proj(index) => match &self.inst(args[0]).op {
                Op::Scan(scan) => proj_type(scan, *index as usize),
                other => panic!("bug in ppl: projection of {other:?}"),
            },
            _ => {
                let types: Vec<&Type> = args.iter().map(|&a| self.function.ty(a)).collect();
                infer_type(&op, &types)
            }
        };
        let ty = ty.unwrap_or_else(|e| panic!("bug in ppl: ill-typed IR: {e}"));
        self.push(op, args, ty)
    }

    fn push(&mut self, op: Op, args: Args, ty: Type) -> ValueId {
        let value = ValueId::new(self.function.insts.len());
        let size = ty.len();
        if self.largest.is_none_or(|(largest, _)| size > largest) {
            self.largest = Some((size, value));
        }
        let insts = &mut self.function.insts;
        insts.push(Inst { op, args, ty, span: self.span });
        let new = hash_of(&self.hasher, &insts[value.index()]);
        self.known.insert_unique(new, value, |v| hash_of(&self.hasher, &insts[v.index()]));
        value
    }

    /// A constant.
    pub fn tensor(&mut self, tensor: Tensor) -> ValueId {
        self.add(Op::Const(tensor), Args::new())
    }

    /// A real scalar constant.
    pub fn scalar(&mut self, x: f64) -> ValueId {
        self.tensor(Tensor::scalar(x))
    }

    /// A constant vector of 0-based indices or other integers.
    pub fn ints(&mut self, values: impl IntoIterator<Item = usize>) -> ValueId {
        #[allow(clippy::cast_precision_loss, reason = "indices are far below 2^53")]
        let data: Vec<f64> = values.into_iter().map(|i| i as f64).collect();
        let ty = Type::new(DType::Int, [data.len()].as_slice());
        self.tensor(Tensor::new(ty, data))
    }

    /// The constant `x` in every element of `shape`.
    pub fn splat(&mut self, x: f64, shape: &[usize]) -> ValueId {
        let scalar = self.scalar(x);
        self.expand(scalar, shape)
    }

    /// The scalar constant that `value` is, if it is one or is such a scalar spread over a shape.
    #[must_use]
    pub fn as_splat(&self, value: ValueId) -> Option<f64> {
        let inst = self.inst(value);
        match &inst.op {
            Op::Const(t) => t.splat(),
            Op::Broadcast { .. } | Op::Reshape(_) => self.as_splat(inst.args[0]),
            _ => None,
        }
    }

    /// Elementwise function of one operand.
    pub fn unary(&mut self, op: UnaryOp, a: ValueId) -> ValueId {
        self.add(Op::Unary(op), [a].as_slice())
    }

    /// Elementwise function of two operands of one shape, or scalars.
    pub fn binary(&mut self, op: BinaryOp, a: ValueId, b: ValueId) -> ValueId {
        self.add(Op::Binary(op), [a, b].as_slice())
    }

    /// `b` where `a` holds, else `c`.
    pub fn select(&mut self, a: ValueId, b: ValueId, c: ValueId) -> ValueId {
        self.add(Op::Ternary(TernaryOp::Select), [a, b, c].as_slice())
    }

    /// `a + b`.
    pub fn plus(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.binary(BinaryOp::Add, a, b)
    }

    /// `a − b`.
    pub fn minus(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.binary(BinaryOp::Sub, a, b)
    }

    /// `a b`, elementwise.
    pub fn times(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.binary(BinaryOp::Mul, a, b)
    }

    /// `a / b`, elementwise.
    pub fn over(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.binary(BinaryOp::Div, a, b)
    }

    /// `−a`.
    pub fn negate(&mut self, a: ValueId) -> ValueId {
        self.unary(UnaryOp::Neg, a)
    }

    /// `x · a` with a constant.
    pub fn scaled(&mut self, x: f64, a: ValueId) -> ValueId {
        let x = self.scalar(x);
        self.times(x, a)
    }

    /// The scalar `a` spread over `shape`; `a` itself when it has that shape.
    ///
    /// # Panics
    /// When `a` is neither a scalar nor of that shape.
    pub fn expand(&mut self, a: ValueId, shape: &[usize]) -> ValueId {
        if self.ty(a).shape[..] == *shape {
            return a;
        }
        assert_eq!(self.ty(a).rank(), 0, "bug in ppl: expand of {} to {shape:?}", self.ty(a));
        self.broadcast(a, shape, &[])
    }

    /// `a` spread over `shape`, its axis `i` becoming axis `axes[i]`.
    pub fn broadcast(&mut self, a: ValueId, shape: &[usize], axes: &[usize]) -> ValueId {
        if self.ty(a).shape[..] == *shape {
            return a;
        }
        self.add(Op::Broadcast { shape: shape.into(), axes: axes.into() }, [a].as_slice())
    }

    /// `a` under another shape.
    pub fn reshape(&mut self, a: ValueId, shape: &[usize]) -> ValueId {
        if self.ty(a).shape[..] == *shape {
            return a;
        }
        self.add(Op::Reshape(shape.into()), [a].as_slice())
    }

    /// `a` with its axes permuted.
    pub fn transpose(&mut self, a: ValueId, perm: &[usize]) -> ValueId {
        if perm.iter().copied().eq(0..perm.len()) {
            return a;
        }
        self.add(Op::Transpose(perm.into()), [a].as_slice())
    }

    /// Sum over the given axes.
    pub fn sum(&mut self, a: ValueId, axes: &[usize]) -> ValueId {
        if axes.is_empty() {
            return a;
        }
        self.add(Op::Sum(axes.into()), [a].as_slice())
    }

    /// Sum of all elements.
    pub fn sum_all(&mut self, a: ValueId) -> ValueId {
        let axes: Shape = (0..self.ty(a).rank()).collect();
        self.sum(a, &axes)
    }

    /// The box from `start` to `stop`.
    pub fn slice(&mut self, a: ValueId, start: &[usize], stop: &[usize]) -> ValueId {
        if self.ty(a).shape[..] == *stop && start.iter().all(|&s| s == 0) {
            return a;
        }
        self.add(Op::Slice { start: start.into(), stop: stop.into() }, [a].as_slice())
    }

    /// Rows `start..stop` along `axis`, everything along the others.
    pub fn slice_axis(&mut self, a: ValueId, axis: usize, start: usize, stop: usize) -> ValueId {
        let mut lo: Shape = self.shape(a).iter().map(|_| 0).collect();
        let mut hi = self.shape(a);
        lo[axis] = start;
        hi[axis] = stop;
        self.slice(a, &lo, &hi)
    }

    /// `a` indexed along `axis` by 0-based integers.
    pub fn gather(&mut self, a: ValueId, axis: usize, index: ValueId) -> ValueId {
        self.add(Op::Gather { axis }, [a, index].as_slice())
    }

    /// Operands joined along `axis`.
    pub fn concat(&mut self, parts: &[ValueId], axis: usize) -> ValueId {
        match parts {
            [one] => *one,
            _ => self.add(Op::Concat { axis }, parts),
        }
    }

    /// Matrix product, each operand transposed first if its flag says so.
    pub fn matmul(&mut self, a: ValueId, b: ValueId, ta: bool, tb: bool) -> ValueId {
        self.add(Op::MatMul { ta, tb }, [a, b].as_slice())
    }

    /// A scan; gives its components: final carries, then stacked outputs.
    pub fn scan(&mut self, scan: Scan, args: &[ValueId]) -> Vec<ValueId> {
        let components = scan.body.outputs.len();
        let tuple = self.add(Op::Scan(ScanRef(Arc::new(scan))), args);
        self.components(tuple, components)
    }

    /// The first `n` components of a scan.
    ///
    /// # Panics
    /// When the value is not a scan with that many components.
    pub fn components(&mut self, scan: ValueId, n: usize) -> Vec<ValueId> {
        let index = |i: usize| u32::try_from(i).expect("fewer than 2^32 components");
        (0..n).map(|i| self.add(Op::Proj(index(i)), [scan].as_slice())).collect()
    }

    /// Copies the instructions of `f` in, with `args` for its inputs; gives the new value of each.
    ///
    /// Spans are kept.
    pub fn inline(&mut self, f: &Function, args: &[ValueId]) -> Vec<ValueId> {
        let outer = self.span;
        self.reserve(f.insts.len());
        let mut map: Vec<ValueId> = Vec::with_capacity(f.insts.len());
        for inst in &f.insts {
            self.span = inst.span.or(outer);
            map.push(match inst.op {
                Op::Input(i) => args[i as usize],
                _ => {
                    let mapped: Args = inst.args.iter().map(|a| map[a.index()]).collect();
                    self.add(inst.op.clone(), mapped)
                }
            });
        }
        self.span = outer;
        map
    }
}

fn hash_of(hasher: &DefaultHashBuilder, inst: &Inst) -> u64 {
    hasher.hash_one((&inst.op, &inst.args))
}
