//! A log joint over all rows of the data → the same log joint over a few of them.
//!
//! In:  the log joint as a function of the parameters and the data, and which axes of the data run
//!      over the *rows* that are to be subsampled.
//! Out: a function of the parameters, a weight for each row, and the rows themselves
//!      ([`Subsampling::function`]), for any number of rows: what is summed over rows is summed with the
//!      weights. With all rows and weights of 1 it is the log joint; with a random subset and weights
//!      of `N/n` an unbiased estimate of it, and of its derivatives.
//!
//! A row of a value may depend on the parameters and on that row of the data only, and sums over rows
//! may enter the log joint only linearly; anything else is refused with the value that does it.
//! Values that depend on data alone are computed once, from all of the data.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::exec::reference;
use crate::ir::{
    Args, BinaryOp, Builder, Function, Inst, Op, Output, Shape, Tensor, Type, UnaryOp, ValueId,
};

/// Name of the input with the weights.
pub const WEIGHTS: &str = "row_weights";

/// Axes as a bit set.
pub type AxisSet = u32;

/// How a value is wanted: whole, or with that axis running over the chosen rows only.
type Form = Option<usize>;

/// A value that keeps the log joint from being a sum over rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coupled {
    /// The value.
    pub value: ValueId,
    /// What is the matter with it, as the end of a sentence about a statement.
    pub why: &'static str,
}

/// Data of which an evaluation is given some rows.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its type with all rows.
    ty: Type,
    /// The axis that runs over them.
    axis: usize,
    data: Arc<[f64]>,
}

impl Column {
    /// Appends the given rows, in the layout of the input that takes them.
    pub fn gather<E>(&self, rows: &[usize], convert: impl Fn(f64) -> E, out: &mut Vec<E>) {
        let before: usize = self.ty.shape[..self.axis].iter().product();
        let after: usize = self.ty.shape[self.axis + 1..].iter().product();
        let length = self.ty.shape[self.axis];
        for i in 0..before {
            for &row in rows {
                let start = (i * length + row) * after;
                out.extend(self.data[start..start + after].iter().map(|&x| convert(x)));
            }
        }
    }
}

/// A log joint taken apart into what belongs to rows and the rest.
#[derive(Debug)]
pub struct Subsampling {
    f: Function,
    theta: usize,
    analysis: Analysis,
    /// The forms in which each value is needed.
    forms: Vec<SmallVec<[Form; 2]>>,
    /// Values of data alone that are needed as a whole.
    constants: Vec<(ValueId, Tensor)>,
    /// Values of data alone that are needed by rows, with their axis.
    columns: Vec<(ValueId, Column)>,
}

impl Subsampling {
    /// Takes apart the first output of `f`, a function of the input `theta` and of data.
    ///
    /// `inputs` has the data (anything for `theta`) and `rows` the axes of each that run over rows. The
    /// outputs `terms` are summands that have to be sums over rows if they depend on rows at all.
    ///
    /// # Errors
    /// The value that does not belong to one row.
    pub fn new(
        f: &Function,
        theta: usize,
        inputs: &[Tensor],
        rows: &[AxisSet],
        terms: &[usize],
    ) -> Result<Self, Coupled> {
        let analysis = Analysis::new(f, theta, rows);
        let forms = analysis.demands(f)?;
        analysis.check_linear(f, &forms)?;
        analysis.check_terms(f, &forms, terms)?;
        let leaves = |whole: bool| {
            let forms = &forms;
            let analysis = &analysis;
            f.values().flat_map(move |(value, _)| {
                forms[value.index()].iter().filter_map(move |&form| {
                    let leaf = matches!(analysis.need(f, value, form), Ok(Need::Leaf));
                    (leaf && form.is_none() == whole).then_some((value, form))
                })
            })
        };
        let wanted: Vec<(ValueId, Form)> = leaves(true).chain(leaves(false)).collect();
        let outputs = wanted.iter().map(|&(value, _)| Output { name: String::new(), value });
        let numbers = reference::evaluate(&f.extract(outputs.collect()), inputs);
        let (mut constants, mut columns) = (Vec::new(), Vec::new());
        for ((value, form), tensor) in wanted.into_iter().zip(numbers) {
            let ty = f.ty(value).clone();
            match form {
                None => constants.push((value, Tensor::new(ty, tensor.data))),
                Some(axis) => columns.push((value, Column { ty, axis, data: tensor.data })),
            }
        }
        Ok(Subsampling { f: f.clone(), theta, analysis, forms, constants, columns })
    }

    /// The data of which each evaluation needs some rows: the inputs after the weights, in order.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().map(|(_, column)| column)
    }

    /// The log joint over `rows` rows: inputs `theta`, [`WEIGHTS`], then the rows of each column.
    ///
    /// # Panics
    /// Never: what was demanded exists.
    #[must_use]
    pub fn function(&self, rows: usize) -> Function {
        let f = &self.f;
        let mut b = Builder::new(f.name.clone());
        let theta = &f.inputs[self.theta];
        let theta = b.input(theta.name.clone(), theta.ty.clone());
        let weights = b.input(WEIGHTS, Type::real([rows].as_slice()));
        let resized = |ty: &Type, axis: usize| {
            let mut ty = ty.clone();
            ty.shape[axis] = rows;
            ty
        };
        let mut made: Vec<SmallVec<[(Form, ValueId); 2]>> = vec![SmallVec::new(); f.insts.len()];
        for (i, (value, column)) in self.columns.iter().enumerate() {
            let id = b.input(format!("rows_{}", i + 1), resized(&column.ty, column.axis));
            made[value.index()].push((Some(column.axis), id));
        }
        for (value, inst) in f.values() {
            b.set_span(inst.span);
            for &form in &self.forms[value.index()] {
                let need = self.analysis.need(f, value, form).expect("bug in ppl: checked");
                let find = |made: &[SmallVec<[(Form, ValueId); 2]>], arg: ValueId, form: Form| {
                    let found = made[arg.index()].iter().find(|(f, _)| *f == form);
                    found.expect("bug in ppl: every demand was recorded").1
                };
                let id = match need {
                    Need::Leaf => match self.constants.iter().find(|(v, _)| *v == value) {
                        Some((_, tensor)) if form.is_none() => b.tensor(tensor.clone()),
                        _ => continue,
                    },
                    Need::Args { forms, weighted } => {
                        let mut args: Args = inst
                            .args
                            .iter()
                            .zip(&forms)
                            .map(|(&arg, &form)| find(&made, arg, form))
                            .collect();
                        if weighted && let Some(axis) = forms[0] {
                            let shape = b.shape(args[0]);
                            let spread = b.broadcast(weights, &shape, &[axis]);
                            args[0] = b.times(args[0], spread);
                        }
                        match (&inst.op, form) {
                            (Op::Input(_), _) => theta,
                            (Op::Const(t), Some(axis)) => {
                                let one = Type::new(t.ty.dtype, Shape::new());
                                let one = b.tensor(Tensor::new(one, vec![t.data[0]]));
                                b.expand(one, &resized(&t.ty, axis).shape)
                            }
                            (op, form) => b.add(with_rows(op, form, rows), args),
                        }
                    }
                };
                made[value.index()].push((form, id));
            }
        }
        let output = &f.outputs[0];
        let value = made[output.value.index()][0].1;
        b.output(output.name.clone(), value);
        b.finish()
    }
}

/// The operation with `axis` of its result resized.
fn with_rows(op: &Op, form: Form, rows: usize) -> Op {
    let mut op = op.clone();
    if let Some(axis) = form {
        match &mut op {
            Op::Broadcast { shape, .. } | Op::Reshape(shape) => shape[axis] = rows,
            Op::Slice { stop, .. } => stop[axis] = rows,
            _ => {}
        }
    }
    op
}

/// What a form of a value takes.
enum Need {
    /// Numbers that are known beforehand.
    Leaf,
    /// Its operands in these forms; `weighted`: the first one times the weights.
    Args { forms: SmallVec<[Form; 3]>, weighted: bool },
}

/// What each value has to do with rows.
#[derive(Debug)]
struct Analysis {
    /// Axes that run over rows.
    axes: Vec<AxisSet>,
    /// Whether it depends on the parameters.
    varies: Vec<bool>,
    /// Whether it depends on data that has rows.
    reads: Vec<bool>,
}

/// A parameter, or what is made of parameters, that has as many elements as there are rows.
const LOCAL: &str = "has a parameter, or a value computed from parameters, for each of them";
const RECURSION: &str = "goes through them one after the other: each depends on those before";
const MIXED: &str = "takes several of them together";
const MATRIX: &str = "ties them together by a matrix";

impl Analysis {
    fn new(f: &Function, theta: usize, rows: &[AxisSet]) -> Self {
        let mut axes: Vec<AxisSet> = Vec::with_capacity(f.insts.len());
        for inst in &f.insts {
            axes.push(row_axes(f, inst, rows, &axes));
        }
        Analysis {
            axes,
            varies: f.depends_on(|i| i == theta),
            reads: f.depends_on(|i| rows[i] != 0),
        }
    }

    fn axes(&self, value: ValueId) -> AxisSet {
        self.axes[value.index()]
    }

    fn varies(&self, value: ValueId) -> bool {
        self.varies[value.index()]
    }

    /// Whether the value is made of parameters and has rows.
    fn has_rows(&self, value: ValueId) -> bool {
        self.varies(value) && self.axes(value) != 0
    }

    /// The forms in which each value is needed for the first output.
    fn demands(&self, f: &Function) -> Result<Vec<SmallVec<[Form; 2]>>, Coupled> {
        let mut forms: Vec<SmallVec<[Form; 2]>> = vec![SmallVec::new(); f.insts.len()];
        forms[f.outputs[0].value.index()].push(None);
        let mut wrong = None;
        for i in (0..f.insts.len()).rev() {
            let value = ValueId::new(i);
            for form in forms[i].clone() {
                match self.need(f, value, form) {
                    Ok(Need::Leaf) => {}
                    Ok(Need::Args { forms: wanted, .. }) => {
                        for (arg, form) in f.inst(value).args.iter().zip(wanted) {
                            if !forms[arg.index()].contains(&form) {
                                forms[arg.index()].push(form);
                            }
                        }
                    }
                    Err(why) => wrong = Some(Coupled { value, why }),
                }
            }
        }
        wrong.map_or(Ok(forms), Err)
    }

    /// What a form of a value takes, or why it cannot be had.
    fn need(&self, f: &Function, value: ValueId, form: Form) -> Result<Need, &'static str> {
        let inst = f.inst(value);
        let elementwise =
            matches!(inst.op, Op::Unary(_) | Op::Binary(_) | Op::Ternary(_) | Op::Convert(_));
        if !self.varies(value) {
            let computed = match (&inst.op, form) {
                (Op::Const(t), Some(_)) => t.splat().is_some(),
                (Op::Const(_) | Op::Broadcast { .. }, _) => true,
                // Not stored for all rows: cheap to make for the chosen ones.
                (_, Some(_)) => elementwise,
                (_, None) => false,
            };
            if !computed {
                return Ok(Need::Leaf);
            }
        }
        let (forms, weighted) = match form {
            None => self.whole(f, inst)?,
            Some(axis) => (by_rows(f, inst, axis)?, false),
        };
        let whole = |(arg, form): (&ValueId, &Form)| form.is_none() && self.has_rows(*arg);
        if inst.args.iter().zip(&forms).any(whole) {
            return Err(reason(&inst.op));
        }
        if form.is_some() && self.axes(value).count_ones() > 1 && self.varies(value) {
            return Err(MATRIX);
        }
        Ok(Need::Args { forms, weighted })
    }

    /// The operands of a whole value: sums over rows become weighted ones.
    fn whole(
        &self,
        f: &Function,
        inst: &Inst,
    ) -> Result<(SmallVec<[Form; 3]>, bool), &'static str> {
        let none: SmallVec<[Form; 3]> = inst.args.iter().map(|_| None).collect();
        match &inst.op {
            Op::Sum(axes) if self.has_rows(inst.args[0]) => {
                let rows = self.axes(inst.args[0]);
                let axis = rows.trailing_zeros() as usize;
                if rows.count_ones() > 1 || !axes.contains(&axis) {
                    return Err(MATRIX);
                }
                Ok(([Some(axis)].as_slice().into(), true))
            }
            Op::MatMul { ta, tb } if inst.args.iter().any(|&a| self.has_rows(a)) => {
                let (of_a, of_b) = (usize::from(!*ta), usize::from(*tb));
                let over_rows = |i: usize, axis: usize| {
                    let arg = inst.args[i];
                    !self.has_rows(arg) || self.axes(arg) == 1 << axis
                };
                if !over_rows(0, of_a) || !over_rows(1, of_b) {
                    return Err(MATRIX);
                }
                debug_assert_eq!(f.ty(inst.args[0]).rank(), 2);
                Ok(([Some(of_a), Some(of_b)].as_slice().into(), true))
            }
            _ => Ok((none, false)),
        }
    }

    /// Whether sums over some rows enter only where an average over all choices of rows is the whole.
    fn check_linear(&self, f: &Function, forms: &[SmallVec<[Form; 2]>]) -> Result<(), Coupled> {
        let mut estimate = vec![false; f.insts.len()];
        for (value, inst) in f.values() {
            for &form in &forms[value.index()] {
                let Ok(Need::Args { weighted, .. }) = self.need(f, value, form) else { continue };
                let of: Vec<bool> = inst.args.iter().map(|a| estimate[a.index()]).collect();
                if !of.contains(&true) {
                    estimate[value.index()] |= weighted;
                    continue;
                }
                let linear = form.is_none()
                    && !weighted
                    && match &inst.op {
                        Op::Unary(UnaryOp::Neg)
                        | Op::Binary(BinaryOp::Add | BinaryOp::Sub)
                        | Op::Broadcast { .. }
                        | Op::Reshape(_)
                        | Op::Transpose(_)
                        | Op::Slice { .. }
                        | Op::Pad { .. }
                        | Op::Concat { .. }
                        | Op::Sum(_) => true,
                        Op::Binary(BinaryOp::Mul) | Op::MatMul { .. } => of[0] != of[1],
                        Op::Binary(BinaryOp::Div) | Op::Gather { .. } => !of[1],
                        _ => false,
                    };
                if !linear {
                    let why = "is not linear in a sum over them";
                    return Err(Coupled { value, why });
                }
                estimate[value.index()] = true;
            }
        }
        Ok(())
    }

    /// Whether each term that reads rows is a sum over rows.
    fn check_terms(
        &self,
        f: &Function,
        forms: &[SmallVec<[Form; 2]>],
        terms: &[usize],
    ) -> Result<(), Coupled> {
        for &term in terms {
            let value = f.outputs[term].value;
            let unrelated = !self.varies(value) || !self.reads[value.index()];
            if unrelated || self.axes(value) != 0 {
                continue;
            }
            let needed = f.needed_for([value]);
            let summed = f.values().any(|(v, _)| {
                let weighted = |&form: &Form| {
                    matches!(self.need(f, v, form), Ok(Need::Args { weighted: true, .. }))
                };
                needed[v.index()] && forms[v.index()].iter().any(weighted)
            });
            if !summed {
                return Err(Coupled { value, why: "reads them without being a sum over them" });
            }
        }
        Ok(())
    }
}

/// Why an operation cannot take some rows of its operand.
fn reason(op: &Op) -> &'static str {
    match op {
        Op::Scan(_) | Op::Proj(_) | Op::CumSum { .. } => RECURSION,
        Op::MatMul { .. }
        | Op::Cholesky
        | Op::TriSolve { .. }
        | Op::Solve { .. }
        | Op::Det
        | Op::LogAbsDet
        | Op::EigenSym
        | Op::MatrixExp => MATRIX,
        _ => MIXED,
    }
}

/// The operands of a value of which `axis` is to run over some rows.
fn by_rows(f: &Function, inst: &Inst, axis: usize) -> Result<SmallVec<[Form; 3]>, &'static str> {
    let shape = |i: usize| &f.ty(inst.args[i]).shape;
    let one = |form: Form| Ok([form].as_slice().into());
    match &inst.op {
        Op::Unary(_) | Op::Binary(_) | Op::Ternary(_) | Op::Convert(_) => {
            let form = |&a: &ValueId| (f.ty(a).rank() > 0).then_some(axis);
            Ok(inst.args.iter().map(form).collect())
        }
        Op::Const(_) => Ok(SmallVec::new()),
        Op::Broadcast { axes, .. } => one(axes.iter().position(|&a| a == axis)),
        Op::Reshape(to) => match same_axis(to, axis, shape(0)) {
            Some(from) => one(Some(from)),
            None => Err(origin(f, inst).unwrap_or(MIXED)),
        },
        Op::Transpose(perm) => one(Some(perm[axis])),
        Op::Slice { start, stop } if start[axis] == 0 && stop[axis] == shape(0)[axis] => {
            one(Some(axis))
        }
        Op::Pad { low, high } if low[axis] == 0 && high[axis] == 0 => one(Some(axis)),
        Op::Concat { axis: joined } if *joined != axis => {
            Ok(inst.args.iter().map(|_| Some(axis)).collect())
        }
        Op::Gather { axis: at } => {
            let index = shape(1).len();
            let forms = if axis < *at {
                [Some(axis), None]
            } else if axis < at + index {
                [None, Some(axis - at)]
            } else {
                [Some(axis + 1 - index), None]
            };
            Ok(forms.as_slice().into())
        }
        Op::Sum(over) | Op::ReduceMax(over) | Op::LogSumExp(over) => {
            one((0..shape(0).len()).filter(|a| !over.contains(a)).nth(axis))
        }
        Op::CumSum { axis: along, .. } if *along != axis => one(Some(axis)),
        Op::MatMul { ta, tb } => {
            let forms = if axis == 0 {
                [Some(usize::from(*ta)), None]
            } else {
                [None, Some(usize::from(!*tb))]
            };
            Ok(forms.as_slice().into())
        }
        Op::TriSolve { .. } if axis == 1 => Ok([None, Some(1)].as_slice().into()),
        Op::Solve { .. } if axis == 1 => Ok([None, Some(1)].as_slice().into()),
        Op::Input(_) => Err(LOCAL),
        Op::Slice { .. } | Op::Pad { .. } | Op::Concat { .. } => {
            Err(origin(f, inst).unwrap_or(MIXED))
        }
        op => Err(reason(op)),
    }
}

/// What the parts that an array is put together from are, where that says why they are no rows.
fn origin(f: &Function, inst: &Inst) -> Option<&'static str> {
    inst.args.iter().find_map(|&arg| {
        let inst = f.inst(arg);
        match inst.op {
            Op::Proj(_) => Some(RECURSION),
            Op::Input(_) => Some(LOCAL),
            Op::Reshape(_) | Op::Slice { .. } | Op::Pad { .. } | Op::Transpose(_) => {
                origin(f, inst)
            }
            _ => None,
        }
    })
}

/// The axis of a reshape's other side that holds the same elements as `axis` of this one.
fn same_axis(this: &[usize], axis: usize, other: &[usize]) -> Option<usize> {
    let before: usize = this[..axis].iter().product();
    (0..other.len())
        .find(|&j| other[j] == this[axis] && other[..j].iter().product::<usize>() == before)
}

/// The axes of a value that run over rows, given those of what it is made of.
fn row_axes(f: &Function, inst: &Inst, inputs: &[AxisSet], known: &[AxisSet]) -> AxisSet {
    let of = |i: usize| known[inst.args[i].index()];
    let shape = |i: usize| &f.ty(inst.args[i]).shape;
    let has = |set: AxisSet, axis: usize| set & (1 << axis) != 0;
    let collect = |rank: usize, is: &dyn Fn(usize) -> bool| {
        (0..rank).filter(|&k| is(k)).fold(0, |set: AxisSet, k| set | 1 << k)
    };
    let rank = inst.ty.rank();
    match &inst.op {
        Op::Input(i) => inputs[*i as usize],
        Op::Const(_) => 0,
        Op::Unary(_) | Op::Binary(_) | Op::Ternary(_) | Op::Convert(_) => {
            (0..inst.args.len()).fold(0, |set, i| set | of(i))
        }
        // A stacked output has the steps of the loop as its first axis.
        Op::Proj(index) => match &f.inst(inst.args[0]).op {
            Op::Scan(scan) if *index as usize >= scan.carries => {
                let args = &f.inst(inst.args[0]).args[scan.carries..scan.carries + scan.xs];
                AxisSet::from(args.iter().any(|a| has(known[a.index()], 0)))
            }
            _ => 0,
        },
        // Everything else keeps those of its axes that can be traced back to one of an operand.
        Op::Reshape(to) => {
            collect(rank, &|k| same_axis(to, k, shape(0)).is_some_and(|j| has(of(0), j)))
        }
        Op::CumSum { .. } => of(0),
        _ => collect(rank, &|k| match by_rows(f, inst, k) {
            Ok(forms) => {
                (0..inst.args.len()).any(|i| forms[i].is_some_and(|axis| has(of(i), axis)))
            }
            Err(_) => false,
        }),
    }
}
