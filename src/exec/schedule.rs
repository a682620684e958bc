//! IR → plan: what to run in which order, what to fuse, where to keep it.
//!
//! In:  a function without dead code (see `passes::dce`), and how each of its inputs is stored.
//! Out: a [`Plan`].
//!
//! 1. Values that depend on no input are computed now, by the reference executor.
//! 2. Movements become views. What is the same for many elements is computed once. An elementwise
//!    instruction joins the earliest fused loop of its size that comes late enough for its operands; a sum
//!    over the first or the last axes joins that of its operand. Everything else is a step of its own.
//! 3. `fuse` lowers the loops to registers, `slots` shares storage.

use std::collections::HashMap;
use std::sync::Arc;

use crate::ir::{DType, Function, Inst, Op, Shape, Tensor, ValueId};

use super::element::Element;
use super::fuse::{Group, GroupOp};
use super::index::{around, moved_last, positions, strides};
use super::kernels::elementwise::Micro;
use super::plan::{Home, Places, Plan, Step, Value};
use super::pool::Pool;
use super::reference;
use super::slots;
use super::view::{Class, Map, View, ViewKey};

/// An elementwise operation whose operands are that many times the same ones is done once for all of them,
/// if it is not too long to look.
const MANY_TIMES: usize = 8;
const MOST_SEARCHED: usize = 1 << 14;

/// How an input of a function is stored.
#[derive(Debug, Clone)]
pub(super) enum Binding {
    /// It is this.
    Const(Tensor),
    /// In the caller's buffer number `buffer`, for each lane, from element `offset` on.
    External { buffer: usize, offset: usize },
    /// In a slot that the caller writes before each run.
    Slot(Class),
}

/// A step before storage is assigned.
#[derive(Debug)]
pub(super) enum Node<E> {
    Fused(Group),
    Step(Step<E>),
}

/// Plans `f` with its inputs stored as `bindings` says.
///
/// # Panics
/// When `f` does not verify.
pub(super) fn plan<E: Element>(f: &Function, bindings: &[Binding], pool: &mut Pool<E>) -> Plan<E> {
    let mut planner = Planner {
        f,
        pool,
        values: Vec::new(),
        made_by: Vec::new(),
        consts: Vec::new(),
        const_at: HashMap::new(),
        views: vec![None; f.insts.len()],
        tensors: vec![None; f.insts.len()],
        tuples: HashMap::new(),
        nodes: Vec::new(),
        loops: HashMap::new(),
        copies: HashMap::new(),
        inputs: vec![None; f.inputs.len()],
        pinned: Vec::new(),
        scans: 0,
    };
    for (id, inst) in f.values() {
        planner.instruction(id, inst, bindings);
    }
    let outputs = f.outputs.iter().map(|o| planner.view(o.value)).collect();
    slots::finish(planner, outputs)
}

pub(super) struct Planner<'a, E> {
    pub(super) f: &'a Function,
    pub(super) pool: &'a mut Pool<E>,
    pub(super) values: Vec<Value>,
    /// The node that computes each value, if one does, and whether as an element of a fused loop.
    pub(super) made_by: Vec<Option<(usize, bool)>>,
    pub(super) consts: Vec<Arc<[E]>>,
    /// Place of each constant among these, by its address.
    const_at: HashMap<usize, usize>,
    views: Vec<Option<View>>,
    /// Values known now.
    tensors: Vec<Option<Tensor>>,
    /// Components of scans.
    tuples: HashMap<ValueId, Vec<View>>,
    pub(super) nodes: Vec<Node<E>>,
    /// Fused loops by length and class, in order.
    loops: HashMap<(usize, Class), Vec<usize>>,
    /// Views that have been copied to a value of that class.
    copies: HashMap<(ViewKey, Class), (View, usize)>,
    pub(super) inputs: Vec<Option<usize>>,
    /// Values whose slots are the caller's to write.
    pub(super) pinned: Vec<usize>,
    pub(super) scans: usize,
}

impl<E: Element> Planner<'_, E> {
    fn instruction(&mut self, id: ValueId, inst: &Inst, bindings: &[Binding]) {
        let view = match &inst.op {
            Op::Input(i) => match &bindings[*i as usize] {
                Binding::Const(tensor) => {
                    self.tensors[id.index()] = Some(tensor.clone());
                    self.constant(tensor)
                }
                &Binding::External { buffer, offset } => {
                    let home = Home::External { buffer, offset };
                    let value = self.value(inst.ty.len(), Class::Varying, home, None);
                    self.inputs[*i as usize] = Some(value);
                    View::whole(value, inst.ty.len())
                }
                Binding::Slot(class) => {
                    let value = self.value(inst.ty.len(), *class, Home::Register, None);
                    self.inputs[*i as usize] = Some(value);
                    self.pinned.push(value);
                    View::whole(value, inst.ty.len())
                }
            },
            Op::Const(tensor) => {
                self.tensors[id.index()] = Some(tensor.clone());
                self.constant(tensor)
            }
            Op::Scan(scan) => {
                let parts = self.scan(scan, inst);
                self.tuples.insert(id, parts);
                return;
            }
            Op::Proj(i) => {
                let tuple = inst.args[0];
                if let Some(known) = self.known_component(tuple, *i as usize) {
                    self.tensors[id.index()] = Some(known);
                }
                self.tuples[&tuple][*i as usize].clone()
            }
            _ if inst.ty.is_empty() || self.empty_reduction(inst) => {
                let args: Vec<Tensor> = inst
                    .args
                    .iter()
                    .map(|&a| {
                        let ty = self.f.ty(a).clone();
                        // Only the shapes of the operands matter here.
                        let n = ty.len();
                        Tensor::new(ty, vec![0.0; n])
                    })
                    .collect();
                let tensor = reference::apply(inst, &args.iter().collect::<Vec<_>>());
                self.tensors[id.index()] = Some(tensor.clone());
                self.constant(&tensor)
            }
            Op::Broadcast { .. } | Op::Transpose(_) | Op::Slice { .. } => self.movement(inst),
            Op::Reshape(_) => self.view(inst.args[0]),
            _ if inst.args.iter().all(|a| self.is_known(*a)) => {
                let args: Vec<Tensor> = inst.args.iter().map(|&a| self.tensor(a)).collect();
                let tensor = reference::apply(inst, &args.iter().collect::<Vec<_>>());
                self.tensors[id.index()] = Some(tensor.clone());
                self.constant(&tensor)
            }
            _ => self.computed(inst),
        };
        self.views[id.index()] = Some(view);
    }

    /// Whether the result does not depend on the numbers because there are none to read.
    fn empty_reduction(&self, inst: &Inst) -> bool {
        let empty = |i: usize| self.f.ty(inst.args[i]).is_empty();
        match inst.op {
            Op::Sum(_) | Op::ReduceMax(_) | Op::LogSumExp(_) | Op::Pad { .. } => empty(0),
            Op::ScatterAdd { .. } => empty(0),
            Op::MatMul { .. } => empty(0) || empty(1),
            _ => false,
        }
    }

    fn computed(&mut self, inst: &Inst) -> View {
        let n = inst.ty.len();
        let class = self.class(inst);
        match &inst.op {
            Op::Unary(op) => self.elementwise(Micro::Unary(*op), inst, class),
            Op::Binary(op) => self.elementwise(Micro::Binary(*op), inst, class),
            Op::Ternary(op) => self.elementwise(Micro::Ternary(*op), inst, class),
            Op::Convert(to) => match (self.f.ty(inst.args[0]).dtype, to) {
                (DType::Real, DType::Int) => self.elementwise(Micro::Trunc, inst, class),
                (DType::Real | DType::Int, DType::Bool) => {
                    self.elementwise(Micro::NonZero, inst, class)
                }
                _ => self.view(inst.args[0]),
            },
            Op::Sum(axes) if self.sums_rows(inst.args[0], axes) => {
                let arg = self.view(inst.args[0]);
                let node = self.join(arg.len, class, None, &[&arg]);
                let value = self.value(n, class, Home::Register, Some((node, false)));
                self.push(node, GroupOp::SumColumns { arg, value });
                View::whole(value, n)
            }
            Op::Sum(axes) => {
                let (view, cols) = self.rows(inst.args[0], axes);
                self.sum(view, cols, class)
            }
            Op::ReduceMax(axes) | Op::LogSumExp(axes) => {
                let log_sum_exp = matches!(inst.op, Op::LogSumExp(_));
                let (view, cols) = self.rows(inst.args[0], axes);
                let data = self.stored(view, class);
                self.step(n, class, |out| Step::Extreme { data, cols, log_sum_exp, out })
            }
            Op::Pad { low, .. } => {
                let steps = strides(&inst.ty.shape);
                let offset = low.iter().zip(&steps).map(|(l, s)| l * s).sum();
                let places = positions(&self.f.ty(inst.args[0]).shape, offset, &steps);
                let data = self.view(inst.args[0]);
                let data = self.stored(data, class);
                let places = if places.iter().enumerate().all(|(i, &p)| p == offset + i) {
                    Places::From(offset)
                } else {
                    Places::Table(places.into_iter().map(place).collect())
                };
                let parts = vec![(data, places)];
                self.step(n, class, |out| Step::Place { parts, zero: true, out })
            }
            Op::Concat { axis } => {
                let (_, total, after) = around(&inst.ty.shape, *axis);
                let mut parts = Vec::new();
                let mut start = 0;
                for &arg in &inst.args {
                    let chunk = self.f.ty(arg).shape[*axis] * after;
                    if chunk > 0 {
                        let view = self.view(arg);
                        let blocks = Places::Blocks { start, chunk, stride: total * after };
                        parts.push((self.stored(view, class), blocks));
                    }
                    start += chunk;
                }
                self.step(n, class, |out| Step::Place { parts, zero: false, out })
            }
            Op::Gather { axis } => self.gather(inst, *axis, class),
            Op::ScatterAdd { axis, size } => self.scatter(inst, *axis, *size, class),
            Op::CumSum { axis, reverse } => {
                let (before, size, after) = around(&inst.ty.shape, *axis);
                let (data, reverse) = (self.stored_arg(inst, 0, class), *reverse);
                self.step(n, class, |out| Step::CumSum { data, before, size, after, reverse, out })
            }
            Op::MatMul { ta, tb } => self.matmul(inst, *ta, *tb, class),
            Op::Cholesky => {
                let (a, n) = (self.stored_arg(inst, 0, class), inst.ty.shape[0]);
                self.step(n * n, class, |out| Step::Cholesky { a, n, out })
            }
            Op::TriSolve { lower, trans } => {
                let a = self.view(inst.args[0]);
                let a = self.stored_as_is(a);
                let b = self.stored_arg(inst, 1, class);
                let (rows, cols) = (inst.ty.shape[0], inst.ty.shape[1]);
                let (lower, trans) = (*lower, *trans);
                self.step(n, class, |out| Step::TriSolve { a, b, n: rows, cols, lower, trans, out })
            }
            Op::Solve { .. }
            | Op::Det
            | Op::LogAbsDet
            | Op::EigenSym
            | Op::MatrixExp
            | Op::SortIndices
            | Op::Ode(_)
            | Op::Root(_) => self.solver(inst, class),
            Op::Input(_)
            | Op::Const(_)
            | Op::Broadcast { .. }
            | Op::Reshape(_)
            | Op::Transpose(_)
            | Op::Slice { .. }
            | Op::Scan(_)
            | Op::Proj(_) => unreachable!("bug in ppl: handled by `instruction`"),
        }
    }

    // Values and views.

    pub(super) fn value(
        &mut self,
        len: usize,
        class: Class,
        home: Home,
        made_by: Option<(usize, bool)>,
    ) -> usize {
        self.values.push(Value { len, class, home });
        self.made_by.push(made_by);
        self.values.len() - 1
    }

    pub(super) fn view(&self, id: ValueId) -> View {
        self.views[id.index()].clone().expect("operands come before their uses")
    }

    pub(super) fn class(&self, inst: &Inst) -> Class {
        let class = |a: &ValueId| self.values[self.view(*a).value].class;
        inst.args.iter().map(class).max().unwrap_or(Class::Uniform)
    }

    pub(super) fn constant(&mut self, tensor: &Tensor) -> View {
        let len = tensor.data.len();
        let splat = tensor.splat().filter(|_| len > 1);
        let data = match splat {
            Some(x) => Arc::from([E::of(x)]),
            None => self.pool.get(&tensor.data, 0),
        };
        let view = self.const_value(data);
        match splat {
            Some(_) => View { map: Map::Splat(0), len, ..view },
            None => view,
        }
    }

    pub(super) fn const_value(&mut self, data: Arc<[E]>) -> View {
        let len = data.len();
        let address = Arc::as_ptr(&data).addr();
        let index = *self.const_at.entry(address).or_insert_with(|| {
            self.consts.push(data);
            self.consts.len() - 1
        });
        let value = self.value(len, Class::Uniform, Home::Const(index), None);
        View::whole(value, len)
    }

    pub(super) fn is_known(&self, id: ValueId) -> bool {
        let inst = self.f.inst(id);
        self.tensors[id.index()].is_some() || (inst.op.is_movement() && self.is_known(inst.args[0]))
    }

    /// A value that is known now; movements of known values are made here, when somebody asks.
    pub(super) fn tensor(&mut self, id: ValueId) -> Tensor {
        if let Some(tensor) = &self.tensors[id.index()] {
            return tensor.clone();
        }
        let inst = self.f.inst(id);
        let tensor = reference::apply(inst, &[&self.tensor(inst.args[0])]);
        self.tensors[id.index()] = Some(tensor.clone());
        tensor
    }

    fn movement(&mut self, inst: &Inst) -> View {
        let operand = self.view(inst.args[0]);
        if let Map::Splat(_) = operand.map {
            return View { len: inst.ty.len(), ..operand };
        }
        let from = &self.f.ty(inst.args[0]).shape;
        let (offset, steps) = reference::movement(&inst.op, from, &inst.ty.shape);
        operand.select(&positions(&inst.ty.shape, offset, &steps))
    }

    /// Whether the axes are the first ones of several: whole rows are added up.
    fn sums_rows(&self, id: ValueId, axes: &[usize]) -> bool {
        let shape = &self.f.ty(id).shape;
        let kept: usize = shape[axes.len()..].iter().product();
        axes.iter().copied().eq(0..axes.len()) && kept > 1
    }

    /// The operand with the reduced axes last, and how many elements they have together.
    fn rows(&self, id: ValueId, axes: &[usize]) -> (View, usize) {
        let shape = &self.f.ty(id).shape;
        let cols = axes.iter().map(|&a| shape[a]).product();
        let perm = moved_last(shape.len(), axes);
        let view = self.view(id);
        if perm.iter().copied().eq(0..perm.len()) {
            return (view, cols);
        }
        let sorted: Shape = perm.iter().map(|&p| shape[p]).collect();
        let (offset, steps) = reference::movement(&Op::Transpose(perm), shape, &sorted);
        (view.select(&positions(&sorted, offset, &steps)), cols)
    }

    /// A view that is contiguous, of the value's own class.
    pub(super) fn stored_as_is(&mut self, view: View) -> View {
        let class = self.values[view.value].class;
        self.stored(view, class)
    }

    pub(super) fn stored_arg(&mut self, inst: &Inst, arg: usize, class: Class) -> View {
        let view = self.view(inst.args[arg]);
        self.stored(view, class)
    }

    /// A contiguous view of the same elements in a value of that class, copied if need be.
    fn stored(&mut self, view: View, class: Class) -> View {
        if matches!(view.map, Map::Contiguous(_)) && self.values[view.value].class == class {
            return view;
        }
        if let Some((_, copy)) = self.copies.get(&(view.key(), class)) {
            return View::whole(*copy, view.len);
        }
        let len = view.len;
        let node = self.join(len, class, None, &[&view]);
        let copy = self.value(len, class, Home::Register, Some((node, true)));
        self.push(node, GroupOp::Apply { op: Micro::Copy, args: vec![view.clone()], value: copy });
        self.copies.insert((view.key(), class), (view, copy));
        View::whole(copy, len)
    }

    // Fused loops.

    /// The loop of that length which is the earliest that may read `args`; a new one if none may.
    fn join(&mut self, len: usize, class: Class, cols: Option<usize>, args: &[&View]) -> usize {
        let ready = args.iter().map(|v| self.ready(v, len, class)).max().unwrap_or(0);
        let loops = self.loops.entry((len, class)).or_default();
        let from = loops.partition_point(|&node| node < ready);
        for &node in &loops[from..] {
            if let Node::Fused(group) = &mut self.nodes[node]
                && group.accepts(cols)
            {
                group.cols = group.cols.or(cols);
                return node;
            }
        }
        let node = self.nodes.len();
        loops.push(node);
        self.nodes.push(Node::Fused(Group { len, class, cols, ops: Vec::new() }));
        node
    }

    /// The first node that may read the view as operand of a fused loop of that length.
    fn ready(&self, view: &View, len: usize, class: Class) -> usize {
        match self.made_by[view.value] {
            None => 0,
            Some((node, element)) => {
                let value = &self.values[view.value];
                let in_register = element
                    && matches!(view.map, Map::Contiguous(0))
                    && view.len == value.len
                    && value.len == len
                    && value.class == class;
                if in_register { node } else { node + 1 }
            }
        }
    }

    fn push(&mut self, node: usize, op: GroupOp) {
        match &mut self.nodes[node] {
            Node::Fused(group) => group.ops.push(op),
            Node::Step(_) => unreachable!("bug in ppl: not a loop"),
        }
    }

    fn elementwise(&mut self, op: Micro, inst: &Inst, class: Class) -> View {
        let args: Vec<View> = inst.args.iter().map(|&a| self.view(a)).collect();
        let Some((firsts, which)) = self.repeated(inst.ty.len(), &args) else {
            return self.apply(op, inst.ty.len(), args, class);
        };
        let few = args.iter().map(|v| if v.len == 1 { v.clone() } else { v.select(&firsts) });
        self.apply(op, firsts.len(), few.collect(), class).select(&which)
    }

    fn apply(&mut self, op: Micro, len: usize, args: Vec<View>, class: Class) -> View {
        let node = self.join(len, class, None, &args.iter().collect::<Vec<_>>());
        let value = self.value(len, class, Home::Register, Some((node, true)));
        self.push(node, GroupOp::Apply { op, args, value });
        View::whole(value, len)
    }

    /// Where `len` elements of the operands are the same few over and over, as with counts and groups: the
    /// first elements of each kind, and the kind of every element.
    fn repeated(&self, len: usize, args: &[View]) -> Option<(Vec<usize>, Vec<usize>)> {
        let numbers = |view: &View| match self.values[view.value].home {
            Home::Const(index) => Some(&self.consts[index]),
            _ => None,
        };
        let all_differ = |view: &View| {
            view.len > 1 && matches!(view.map, Map::Contiguous(_)) && numbers(view).is_none()
        };
        if !(MANY_TIMES..=MOST_SEARCHED).contains(&len) || args.iter().any(all_differ) {
            return None;
        }
        let mut kinds: HashMap<[u64; 3], usize> = HashMap::new();
        let (mut firsts, mut which) = (Vec::new(), Vec::with_capacity(len));
        for e in 0..len {
            let mut key = [0; 3];
            for (key, view) in key.iter_mut().zip(args) {
                let at = view.at(if view.len == 1 { 0 } else { e });
                *key = numbers(view).map_or(at as u64, |numbers| numbers[at].f64().to_bits());
            }
            let kind = *kinds.entry(key).or_insert(firsts.len());
            if kind == firsts.len() {
                firsts.push(e);
                if firsts.len() > len / MANY_TIMES {
                    return None;
                }
            }
            which.push(kind);
        }
        Some((firsts, which))
    }

    fn sum(&mut self, arg: View, cols: usize, class: Class) -> View {
        let rows = arg.len / cols;
        let node = self.join(arg.len, class, Some(cols), &[&arg]);
        let value = self.value(rows, class, Home::Register, Some((node, false)));
        self.push(node, GroupOp::Sum { arg, value });
        View::whole(value, rows)
    }
}

/// An element number as plans keep it.
pub(super) fn place(p: usize) -> u32 {
    u32::try_from(p).expect("fewer than 2^32 elements")
}
