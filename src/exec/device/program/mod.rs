//! An IR function as dfdx operations, for any number of points at once.
//!
//! [`Program::new`] does what can be done once: constants and index tables go to the device, and what has no
//! form there is refused. Running it walks over the instructions; a value is dropped after its last use.
//! There is no tape: score and Hessian-vector product are functions of their own.

mod prepare;

use std::sync::Arc;

use dfdx::prelude::Device;
use smallvec::SmallVec;

use super::array::{Array, Comparison, Index, Number};
use super::flow::Flow;
use super::join::{Join, Rows, Scatter};
use super::matrix::{self, Square};
use crate::ir::{BinaryOp, Function, Scan, UnaryOp};
use crate::source::Span;

/// An operation that models cannot use on a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} has no form on a device; use --device cpu")]
pub struct NotOnDevice {
    /// What it is called.
    pub operation: String,
    /// Where it was written.
    pub span: Option<Span>,
}

/// A function on a device; see the module header.
#[derive(Debug)]
pub struct Program<E: Number, D: Device<E>> {
    dev: D,
    steps: Vec<Instruction<E, D>>,
    outputs: Vec<usize>,
}

#[derive(Debug)]
struct Instruction<E: Number, D: Device<E>> {
    step: Step<E, D>,
    args: SmallVec<[usize; 3]>,
    /// Values that nothing reads afterwards.
    dead: Vec<usize>,
}

#[derive(Debug)]
enum Step<E: Number, D: Device<E>> {
    Input(usize),
    Const(Array<E, D>),
    /// No elements.
    Empty,
    Same,
    Truncated,
    Truth,
    Unary(UnaryOp),
    /// With its exponent, if it is a power of a known one.
    Binary(BinaryOp, Option<f64>),
    Select,
    Rows(Rows<E, D>),
    Join(Join<E, D>),
    /// Rows by indices that differ between points.
    Pick(Picking<E, D>),
    ScatterAdd(Scatter<E, D>),
    /// The same by indices that differ.
    Add(Picking<E, D>, Join<E, D>),
    Reduce(Reduction, Option<Index<D>>, usize),
    CumSum(Vec<Rows<E, D>>),
    MatMul([Option<Rows<E, D>>; 2], (usize, usize, usize)),
    Cholesky(Square<E, D>),
    TriSolve(Square<E, D>, Join<E, D>, (bool, bool)),
    Solve(Square<E, D>, Join<E, D>, Option<Rows<E, D>>),
    Det(Square<E, D>),
    LogAbsDet(Square<E, D>),
    MatrixExp(Square<E, D>),
    SortIndices,
    Scan(Box<Loop<E, D>>),
    Flow(Box<Flow<E, D>>),
    Proj(usize),
}

#[derive(Debug, Clone, Copy)]
enum Reduction {
    Sum,
    Max,
    LogSumExp,
}

/// Elements along an axis, one after the other: for each of its places the operand's rows there, and which of
/// the indices each result row has.
#[derive(Debug)]
struct Picking<E: Number, D: Device<E>> {
    places: Vec<Rows<E, D>>,
    of_index: Rows<E, D>,
}

/// A scan.
#[derive(Debug)]
struct Loop<E: Number, D: Device<E>> {
    scan: Arc<Scan>,
    body: Program<E, D>,
    /// Rows of a row of each operand that is read by rows.
    widths: Vec<usize>,
    joins: Vec<Join<E, D>>,
}

/// What an instruction computes.
#[derive(Debug, Clone)]
pub(super) enum Value<E: Number, D: Device<E>> {
    Array(Array<E, D>),
    /// No elements.
    Empty,
    Tuple(Vec<Value<E, D>>),
}

impl<E: Number, D: Device<E>> Value<E, D> {
    pub(super) fn array(&self) -> Option<&Array<E, D>> {
        match self {
            Value::Array(array) => Some(array),
            Value::Empty => None,
            Value::Tuple(_) => unreachable!("bug in ppl: only Proj reads a scan"),
        }
    }
}

impl<E: Number, D: Device<E>> Program<E, D> {
    /// Prepares `f` for a device.
    ///
    /// # Errors
    /// An operation without a form there.
    pub fn new(dev: &D, f: &Function) -> Result<Self, NotOnDevice> {
        let mut last = vec![usize::MAX; f.insts.len()];
        for (id, inst) in f.values() {
            inst.args.iter().for_each(|a| last[a.index()] = id.index());
        }
        // Outputs outlive everything.
        f.outputs.iter().for_each(|o| last[o.value.index()] = usize::MAX);
        let mut steps = Vec::with_capacity(f.insts.len());
        for (id, inst) in f.values() {
            let args: SmallVec<[usize; 3]> = inst.args.iter().map(|a| a.index()).collect();
            let mut dead: Vec<usize> =
                args.iter().copied().filter(|a| last[*a] == id.index()).collect();
            dead.dedup();
            let step = prepare::step(dev, f, inst)?;
            steps.push(Instruction { step, args, dead });
        }
        let outputs = f.outputs.iter().map(|o| o.value.index()).collect();
        Ok(Program { dev: dev.clone(), steps, outputs })
    }

    /// The outputs at `batch` points, `[batch, n]` each, from inputs `[batch, n]`.
    ///
    /// # Panics
    /// When there are fewer inputs than the function has, or they are not of its sizes.
    #[must_use]
    pub fn evaluate(&self, batch: usize, inputs: &[&[E]]) -> Vec<Vec<E>> {
        let value = |numbers: &&[E]| match numbers.len() / batch {
            0 => Value::Empty,
            n => {
                let points = self.dev.tensor_from_vec(numbers.to_vec(), (batch, n));
                Value::Array(Array::transposed(points))
            }
        };
        let inputs: Vec<Value<E, D>> = inputs.iter().map(value).collect();
        let numbers = |value: Value<E, D>| match value.array() {
            None => Vec::new(),
            Some(array) => {
                let all = array.to_shape((array.shape().0, batch));
                Array::transposed(all.0).0.as_vec()
            }
        };
        self.run(&inputs).into_iter().map(numbers).collect()
    }

    /// The outputs for these inputs.
    pub(super) fn run(&self, inputs: &[Value<E, D>]) -> Vec<Value<E, D>> {
        let mut values: Vec<Value<E, D>> = Vec::with_capacity(self.steps.len());
        for Instruction { step, args, dead } in &self.steps {
            let value = match step {
                Step::Input(i) => inputs[*i].clone(),
                Step::Empty => Value::Empty,
                Step::Scan(scan) => {
                    let args: Vec<&Value<E, D>> = args.iter().map(|a| &values[*a]).collect();
                    Value::Tuple(scan.run(&args))
                }
                Step::Flow(flow) => {
                    let args: Vec<&Value<E, D>> = args.iter().map(|a| &values[*a]).collect();
                    flow.run(&self.dev, &args).map_or(Value::Empty, Value::Array)
                }
                Step::Proj(i) => match &values[args[0]] {
                    Value::Tuple(parts) => parts[*i].clone(),
                    _ => unreachable!("bug in ppl: Proj of a tensor"),
                },
                _ => {
                    // What has no elements was dealt with when the program was prepared.
                    let args: SmallVec<[&Array<E, D>; 3]> =
                        args.iter().filter_map(|a| values[*a].array()).collect();
                    Value::Array(step.apply(&self.dev, &args))
                }
            };
            values.push(value);
            dead.iter().for_each(|i| values[*i] = Value::Empty);
        }
        self.outputs.iter().map(|i| values[*i].clone()).collect()
    }
}

impl<E: Number, D: Device<E>> Loop<E, D> {
    fn run(&self, args: &[&Value<E, D>]) -> Vec<Value<E, D>> {
        let Scan { length, carries, xs, reverse, .. } = *self.scan;
        let mut state: Vec<Value<E, D>> = args[..carries].iter().map(|&v| v.clone()).collect();
        let mut stacked: Vec<Vec<Value<E, D>>> = self.joins.iter().map(|_| Vec::new()).collect();
        for step in 0..length {
            let row = if reverse { length - 1 - step } else { step };
            let mut inputs = state;
            for (arg, width) in args[carries..carries + xs].iter().zip(&self.widths) {
                inputs.push(match arg.array() {
                    Some(all) => Value::Array(all.slice(row * width, *width)),
                    None => Value::Empty,
                });
            }
            inputs.extend(args[carries + xs..].iter().map(|&v| v.clone()));
            let mut outputs = self.body.run(&inputs);
            stacked.iter_mut().zip(outputs.drain(carries..)).for_each(|(all, one)| all.push(one));
            state = outputs;
        }
        let stacked = stacked.into_iter().zip(&self.joins).map(|(mut rows, join)| {
            if reverse {
                rows.reverse();
            }
            let rows: Vec<&Array<E, D>> = rows.iter().filter_map(Value::array).collect();
            if rows.is_empty() { Value::Empty } else { Value::Array(join.of(&rows)) }
        });
        state.into_iter().chain(stacked).collect()
    }
}

impl<E: Number, D: Device<E>> Step<E, D> {
    fn apply(&self, dev: &D, args: &[&Array<E, D>]) -> Array<E, D> {
        match self {
            Step::Input(_) | Step::Empty | Step::Scan(_) | Step::Flow(_) | Step::Proj(_) => {
                unreachable!("bug in ppl: not a function of arrays")
            }
            Step::Const(array) => array.clone(),
            Step::Same => args[0].clone(),
            Step::Truncated => args[0].trunc(),
            Step::Truth => args[0].compare(Comparison::NotEqual, &Array::filled(dev, 1, 0.0)),
            Step::Unary(op) => unary(*op, args[0]),
            Step::Binary(op, known) => binary(*op, args[0], args[1], *known),
            Step::Select => Array::select(args[0], args[1], args[2]),
            Step::Rows(rows) => rows.of(args[0]),
            Step::Join(join) => join.of(args),
            Step::Pick(picking) => {
                let index = picking.of_index.of(args[1]);
                let start = picking.places[0].of(args[0]).like(f64::NAN);
                picking.places.iter().enumerate().fold(start, |found, (j, rows)| {
                    let here = index.compare(Comparison::Equal, &index.like(j as f64));
                    Array::select(&here, &rows.of(args[0]), &found)
                })
            }
            Step::ScatterAdd(scatter) => scatter.of(args[0]),
            Step::Add(picking, join) => {
                let updates = picking.places[0].of(args[0]);
                let index = picking.of_index.of(args[1]);
                let zero = updates.like(0.0);
                let indices = args[1].shape().0;
                let at = |j: usize| {
                    let here = index.compare(Comparison::Equal, &index.like(j as f64));
                    Array::select(&here, &updates, &zero).sum_groups(indices)
                };
                let sums: Vec<Array<E, D>> = (0..join.operands()).map(at).collect();
                join.of(&sums.iter().collect::<Vec<_>>())
            }
            Step::Reduce(kind, sorted, columns) => {
                let sorted = sorted.as_ref().map(|index| args[0].rows(index));
                let operand = sorted.as_ref().unwrap_or(args[0]);
                match kind {
                    Reduction::Sum => operand.sum_groups(*columns),
                    Reduction::Max => operand.max_groups(*columns),
                    Reduction::LogSumExp => operand.log_sum_exp_groups(*columns),
                }
            }
            Step::CumSum(rounds) => {
                rounds.iter().fold(args[0].clone(), |sums, rows| &sums + rows.of(&sums))
            }
            Step::MatMul(turned, sizes) => {
                let [a, b] = [0, 1].map(|i| match &turned[i] {
                    Some(rows) => rows.of(args[i]),
                    None => args[i].clone(),
                });
                matrix::product(&a, &b, *sizes)
            }
            Step::Cholesky(square) => square.cholesky(args[0]),
            Step::TriSolve(square, joined, (lower, trans)) => {
                square.solve_triangular(args[0], *lower, *trans, args[1], joined)
            }
            Step::Solve(square, joined, turned) => {
                let turned = turned.as_ref().map(|rows| rows.of(args[0]));
                let a = turned.as_ref().unwrap_or(args[0]);
                let rows = square.eliminate(a, Some(args[1])).solution.unwrap_or_default();
                joined.of(&rows.iter().collect::<Vec<_>>())
            }
            Step::Det(square) => square.eliminate(args[0], None).determinant,
            Step::LogAbsDet(square) => square.eliminate(args[0], None).log_size,
            Step::MatrixExp(square) => square.exp(args[0]),
            Step::SortIndices => args[0].sort_indices(),
        }
    }
}

fn unary<E: Number, D: Device<E>>(op: UnaryOp, a: &Array<E, D>) -> Array<E, D> {
    match op {
        UnaryOp::Neg => -a,
        UnaryOp::Abs => a.abs(),
        UnaryOp::Sign => a.sign(),
        UnaryOp::Floor => a.floor(),
        UnaryOp::Ceil => a.ceil(),
        UnaryOp::Round => a.round(),
        UnaryOp::Square => a.square(),
        UnaryOp::Sqrt => a.sqrt(),
        UnaryOp::Exp => a.exp(),
        UnaryOp::Expm1 => a.expm1(),
        UnaryOp::Log => a.ln(),
        UnaryOp::Log1p => a.log1p(),
        UnaryOp::Log1pExp => a.log1p_exp(),
        UnaryOp::Log1mExp => a.log1m_exp(),
        UnaryOp::InvLogit => a.sigmoid(),
        UnaryOp::Sin => a.sin(),
        UnaryOp::Cos => a.cos(),
        UnaryOp::Tan => a.tan(),
        UnaryOp::Asin => a.asin(),
        UnaryOp::Acos => a.acos(),
        UnaryOp::Atan => a.atan(),
        UnaryOp::Sinh => a.sinh(),
        UnaryOp::Cosh => a.cosh(),
        UnaryOp::Tanh => a.tanh(),
        UnaryOp::Lgamma => a.lgamma(),
        UnaryOp::Polygamma(n) => a.polygamma(n),
        UnaryOp::Erf => a.erf(),
        UnaryOp::Erfc => a.erfc(),
        UnaryOp::NormalCdf => a.normal_cdf(),
        UnaryOp::NormalLogCdf => a.normal_log_cdf(),
        UnaryOp::NormalQuantile => a.normal_quantile(),
        UnaryOp::LogBesselI0 => a.log_bessel_i0(),
        UnaryOp::BesselRatio => a.bessel_ratio(),
        UnaryOp::Not => Array::truth(&a.eq(0.0)),
    }
}

fn binary<E: Number, D: Device<E>>(
    op: BinaryOp,
    a: &Array<E, D>,
    b: &Array<E, D>,
    known: Option<f64>,
) -> Array<E, D> {
    let truth = |x: &Array<E, D>| x.compare(Comparison::NotEqual, &x.like(0.0));
    match op {
        BinaryOp::Add => return a + b,
        BinaryOp::Sub => return a - b,
        BinaryOp::Mul => return a * b,
        BinaryOp::Div => return a / b,
        BinaryOp::Lt => return a.compare(Comparison::Less, b),
        BinaryOp::Le => return a.compare(Comparison::LessOrEqual, b),
        BinaryOp::Eq => return a.compare(Comparison::Equal, b),
        BinaryOp::Ne => return a.compare(Comparison::NotEqual, b),
        BinaryOp::Min => return a.lower(b),
        BinaryOp::Max => return a.upper(b),
        BinaryOp::And => return truth(a) * truth(b),
        BinaryOp::Or => return truth(a).upper(&truth(b)),
        _ => {}
    }
    // Formulas that choose need one shape.
    let ((n, l), (m, k)) = (a.shape(), b.shape());
    let shape = (n.max(m), l.max(k));
    let (a, b) = (&a.to_shape(shape), &b.to_shape(shape));
    let zero_times = |y: Array<E, D>| Array::select(a, &(a * &y), &a.like(0.0));
    match op {
        BinaryOp::ZeroMul => zero_times(b.clone()),
        BinaryOp::XLogY => zero_times(b.ln()).or_nan(b),
        BinaryOp::XLog1pY => zero_times(b.log1p()).or_nan(b),
        BinaryOp::Pow => a.power(b, known),
        BinaryOp::Atan2 => a.atan2(b),
        BinaryOp::IntDiv => (a / b).trunc(),
        BinaryOp::Rem => a - b * (a / b).trunc(),
        BinaryOp::LogAddExp => a.log_add_exp(b),
        BinaryOp::Lbeta => a.lbeta(b),
        _ => unreachable!("bug in ppl: {op:?} was refused"),
    }
}
