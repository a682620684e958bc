//! The slow and obvious executor: one point at a time, in `f64`. The oracle for the fast one, and what
//! constant folding computes with.
//!
//! Indices outside their axis read as NaN and write nowhere, here as in the fast executor.

use crate::ir::{
    DType, Function, Inst, Op, Scan, Shape, Tensor, Type, ValueId, num_elements, semantics,
};

use super::index::{around, moved_last, positions, strides};
use super::solver;

/// What an instruction computes: a tensor, or the components of a scan.
#[derive(Debug, Clone)]
enum Value {
    Tensor(Tensor),
    Tuple(Vec<Tensor>),
}

impl Value {
    fn tensor(&self) -> &Tensor {
        match self {
            Value::Tensor(t) => t,
            Value::Tuple(_) => unreachable!("bug in ppl: only Proj reads a scan"),
        }
    }
}

/// The outputs of `f` at the given inputs.
///
/// # Panics
/// When the inputs do not fit the declarations, or `f` does not verify.
#[must_use]
pub fn evaluate(f: &Function, inputs: &[Tensor]) -> Vec<Tensor> {
    let values = evaluate_all(f, inputs);
    f.outputs.iter().map(|o| values[o.value.index()].tensor().clone()).collect()
}

/// The first instruction of `f` (of any body that runs within it: the scan) that makes a number NaN or
/// infinite out of finite ones, or NaN out of constants that are not finite, for messages.
///
/// # Panics
/// As [`evaluate`].
#[must_use]
pub fn first_non_finite(f: &Function, inputs: &[Tensor]) -> Option<ValueId> {
    let values = evaluate_all(f, inputs);
    let all = |value: &Value, holds: fn(f64) -> bool| match value {
        Value::Tensor(t) => t.data.iter().all(|&x| holds(x)),
        Value::Tuple(parts) => parts.iter().all(|t| t.data.iter().all(|&x| holds(x))),
    };
    let is_finite = |id: ValueId| all(&values[id.index()], f64::is_finite);
    let is_const = |id: ValueId| matches!(f.inst(id).op, Op::Const(_));
    let arises = |inst: &Inst, value: &Value| {
        let (consts, others): (Vec<_>, Vec<_>) = inst.args.iter().partition(|&&a| is_const(a));
        let holds: fn(f64) -> bool = if consts.into_iter().all(|&a| is_finite(a)) {
            f64::is_finite
        } else {
            |x| !x.is_nan()
        };
        !matches!(inst.op, Op::Const(_))
            && !all(value, holds)
            && others.into_iter().all(|&a| is_finite(a))
    };
    f.values().find(|(id, inst)| arises(inst, &values[id.index()])).map(|(id, _)| id)
}

fn evaluate_all(f: &Function, inputs: &[Tensor]) -> Vec<Value> {
    let mut values: Vec<Value> = Vec::with_capacity(f.insts.len());
    for inst in &f.insts {
        let value = match &inst.op {
            Op::Input(i) => {
                let input = &inputs[*i as usize];
                assert_eq!(input.ty.shape, inst.ty.shape, "input {}", f.inputs[*i as usize].name);
                Value::Tensor(input.clone())
            }
            Op::Scan(scan) => {
                let args: Vec<&Tensor> =
                    inst.args.iter().map(|a| values[a.index()].tensor()).collect();
                Value::Tuple(run_scan(scan, &args))
            }
            Op::Proj(i) => match &values[inst.args[0].index()] {
                Value::Tuple(parts) => Value::Tensor(parts[*i as usize].clone()),
                Value::Tensor(_) => unreachable!("bug in ppl: Proj of a tensor"),
            },
            _ => {
                let args: Vec<&Tensor> =
                    inst.args.iter().map(|a| values[a.index()].tensor()).collect();
                Value::Tensor(apply(inst, &args))
            }
        };
        values.push(value);
    }
    values
}

/// The value of one instruction other than an input, a scan or a projection.
///
/// # Panics
/// On those, and when the operands do not fit.
#[must_use]
pub fn apply(inst: &Inst, args: &[&Tensor]) -> Tensor {
    let ty = &inst.ty;
    let data: Vec<f64> = match &inst.op {
        Op::Input(_) | Op::Scan(_) | Op::Proj(_) => unreachable!("bug in ppl: not for `apply`"),
        Op::Const(t) => return t.clone(),
        Op::Unary(op) => args[0].data.iter().map(|&a| semantics::unary(*op, a)).collect(),
        Op::Binary(op) => (0..ty.len())
            .map(|i| semantics::binary(*op, element(args[0], i), element(args[1], i)))
            .collect(),
        Op::Ternary(op) => (0..ty.len())
            .map(|i| {
                let [a, b, c] = [0, 1, 2].map(|k| element(args[k], i));
                semantics::ternary(*op, a, b, c)
            })
            .collect(),
        Op::Convert(to) => {
            args[0].data.iter().map(|&a| convert(args[0].ty.dtype, *to, a)).collect()
        }
        Op::Broadcast { .. } | Op::Transpose(_) | Op::Slice { .. } => {
            let (offset, steps) = movement(&inst.op, &args[0].ty.shape, &ty.shape);
            positions(&ty.shape, offset, &steps).into_iter().map(|i| args[0].data[i]).collect()
        }
        Op::Reshape(_) => return Tensor::new(ty.clone(), args[0].data.clone()),
        Op::Pad { low, .. } => {
            let mut out = vec![0.0; ty.len()];
            let steps = strides(&ty.shape);
            let offset = low.iter().zip(&steps).map(|(l, s)| l * s).sum();
            let places = positions(&args[0].ty.shape, offset, &steps);
            for (place, &x) in places.into_iter().zip(&*args[0].data) {
                out[place] = x;
            }
            out
        }
        Op::Concat { axis } => {
            let before: usize = ty.shape[..*axis].iter().product();
            let mut out = Vec::with_capacity(ty.len());
            for i in 0..before {
                for arg in args {
                    let chunk = arg.ty.shape[*axis..].iter().product::<usize>();
                    out.extend_from_slice(&arg.data[i * chunk..(i + 1) * chunk]);
                }
            }
            out
        }
        Op::Gather { axis } => {
            let (before, size, after) = around(&args[0].ty.shape, *axis);
            let mut out = Vec::with_capacity(ty.len());
            for i in 0..before {
                for &index in &*args[1].data {
                    match in_bounds(index, size) {
                        Some(j) => {
                            let start = (i * size + j) * after;
                            out.extend_from_slice(&args[0].data[start..start + after]);
                        }
                        None => out.extend(std::iter::repeat_n(f64::NAN, after)),
                    }
                }
            }
            out
        }
        Op::ScatterAdd { axis, size } => {
            let before: usize = ty.shape[..*axis].iter().product();
            let after: usize = ty.shape[*axis + 1..].iter().product();
            let mut out = vec![0.0; ty.len()];
            let mut updates = args[0].data.chunks(after.max(1));
            for i in 0..before {
                for &index in &*args[1].data {
                    let Some(update) = updates.next() else { break };
                    if let Some(j) = in_bounds(index, *size) {
                        let start = (i * size + j) * after;
                        for (o, u) in out[start..start + after].iter_mut().zip(update) {
                            *o += u;
                        }
                    }
                }
            }
            out
        }
        Op::Sum(axes) => reduce(args[0], axes, |row| row.iter().sum()),
        Op::ReduceMax(axes) => reduce(args[0], axes, maximum),
        Op::LogSumExp(axes) => reduce(args[0], axes, log_sum_exp),
        Op::CumSum { axis, reverse } => {
            let (before, size, after) = around(&ty.shape, *axis);
            let mut out = args[0].data.to_vec();
            for i in 0..before {
                for k in 0..after {
                    let mut sum = 0.0;
                    for j in 0..size {
                        let j = if *reverse { size - 1 - j } else { j };
                        let x = &mut out[(i * size + j) * after + k];
                        sum += *x;
                        *x = sum;
                    }
                }
            }
            out
        }
        Op::MatMul { ta, tb } => {
            let (a, b) = (matrix(args[0], *ta), matrix(args[1], *tb));
            let inner = if *ta { args[0].ty.shape[0] } else { args[0].ty.shape[1] };
            let (m, n) = (ty.shape[0], ty.shape[1]);
            (0..m * n).map(|e| (0..inner).map(|k| a(e / n, k) * b(k, e % n)).sum()).collect()
        }
        Op::Cholesky => cholesky(&args[0].data, ty.shape[0]),
        Op::TriSolve { lower, trans } => {
            let a = matrix(args[0], *trans);
            tri_solve(&a, *lower != *trans, &args[1].data, ty.shape[0], ty.shape[1])
        }
        Op::Solve { .. }
        | Op::Det
        | Op::LogAbsDet
        | Op::EigenSym
        | Op::MatrixExp
        | Op::SortIndices
        | Op::Ode(_)
        | Op::Root(_) => solver::apply(inst, args),
    };
    Tensor::new(ty.clone(), data)
}

/// Element `i` of the result that `t` is an elementwise operand of.
fn element(t: &Tensor, i: usize) -> f64 {
    if t.ty.rank() == 0 { t.data[0] } else { t.data[i] }
}

/// One number as another element type.
pub(super) fn convert(from: DType, to: DType, a: f64) -> f64 {
    match (from, to) {
        (DType::Real, DType::Int) => a.trunc(),
        (DType::Real | DType::Int, DType::Bool) => f64::from(u8::from(a != 0.0)),
        _ => a,
    }
}

/// A 0-based index that lies on its axis.
pub(super) fn in_bounds(index: f64, size: usize) -> Option<usize> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "checked to be within 0..size"
    )]
    (index >= 0.0 && index < size as f64).then_some(index as usize)
}

/// Where the elements of the result of a movement come from: first position, and step along each
/// result axis.
pub(super) fn movement(op: &Op, operand: &[usize], result: &[usize]) -> (usize, Shape) {
    let from = strides(operand);
    match op {
        Op::Broadcast { axes, .. } => {
            let mut steps: Shape = result.iter().map(|_| 0).collect();
            for (&axis, &step) in axes.iter().zip(&from) {
                steps[axis] = step;
            }
            (0, steps)
        }
        Op::Transpose(perm) => (0, perm.iter().map(|&p| from[p]).collect()),
        Op::Slice { start, .. } => (start.iter().zip(&from).map(|(s, f)| s * f).sum(), from),
        other => unreachable!("bug in ppl: {other:?} is not a movement"),
    }
}

fn reduce(a: &Tensor, axes: &[usize], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let perm = moved_last(a.ty.rank(), axes);
    let shape: Shape = perm.iter().map(|&p| a.ty.shape[p]).collect();
    let (offset, steps) = movement(&Op::Transpose(perm), &a.ty.shape, &shape);
    let sorted: Vec<f64> =
        positions(&shape, offset, &steps).into_iter().map(|i| a.data[i]).collect();
    let kept = shape.len() - axes.len();
    let (rows, cols) = (num_elements(&shape[..kept]), num_elements(&shape[kept..]));
    (0..rows).map(|r| f(&sorted[r * cols..(r + 1) * cols])).collect()
}

fn maximum(row: &[f64]) -> f64 {
    row.iter().fold(f64::NEG_INFINITY, |m, &x| semantics::binary(crate::ir::BinaryOp::Max, m, x))
}

fn log_sum_exp(row: &[f64]) -> f64 {
    let m = maximum(row);
    if !m.is_finite() {
        return m;
    }
    m + row.iter().map(|x| (x - m).exp()).sum::<f64>().ln()
}

/// Reads a matrix, transposed if told so.
fn matrix(t: &Tensor, transposed: bool) -> impl Fn(usize, usize) -> f64 {
    let cols = t.ty.shape[1];
    move |i, j| if transposed { t.data[j * cols + i] } else { t.data[i * cols + j] }
}

fn cholesky(a: &[f64], n: usize) -> Vec<f64> {
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let s = a[i * n + j] - (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum::<f64>();
            if i != j {
                l[i * n + j] = s / l[j * n + j];
            } else if s > 0.0 {
                l[i * n + j] = s.sqrt();
            } else {
                return vec![f64::NAN; n * n];
            }
        }
    }
    l
}

/// Solves `a x = b` for a triangular `a` (lower or upper as it is now, transposition done).
fn tri_solve(
    a: &impl Fn(usize, usize) -> f64,
    lower: bool,
    b: &[f64],
    n: usize,
    cols: usize,
) -> Vec<f64> {
    let mut x = b.to_vec();
    for step in 0..n {
        let i = if lower { step } else { n - 1 - step };
        let solved = if lower { 0..i } else { i + 1..n };
        for c in 0..cols {
            let s: f64 = solved.clone().map(|k| a(i, k) * x[k * cols + c]).sum();
            x[i * cols + c] = (x[i * cols + c] - s) / a(i, i);
        }
    }
    x
}

/// The components of a scan: final carries, then stacked outputs.
///
/// # Panics
/// When the operands do not fit.
#[must_use]
pub fn run_scan(scan: &Scan, args: &[&Tensor]) -> Vec<Tensor> {
    let body = &scan.body;
    let mut state: Vec<Tensor> = args[..scan.carries].iter().map(|&t| t.clone()).collect();
    let stacked_types: Vec<&Type> =
        body.outputs[scan.carries..].iter().map(|o| body.ty(o.value)).collect();
    let mut stacked: Vec<Vec<f64>> =
        stacked_types.iter().map(|ty| vec![0.0; scan.length * ty.len()]).collect();
    for step in 0..scan.length {
        let row = if scan.reverse { scan.length - 1 - step } else { step };
        let mut inputs = state;
        for (input, arg) in
            body.inputs[scan.carries..].iter().zip(&args[scan.carries..]).take(scan.xs)
        {
            let n = input.ty.len();
            inputs.push(Tensor::new(input.ty.clone(), arg.data[row * n..(row + 1) * n].to_vec()));
        }
        inputs.extend(args[scan.carries + scan.xs..].iter().map(|&t| t.clone()));
        let mut outputs = evaluate(body, &inputs);
        for (all, one) in stacked.iter_mut().zip(outputs.drain(scan.carries..)) {
            let n = one.data.len();
            all[row * n..(row + 1) * n].copy_from_slice(&one.data);
        }
        state = outputs;
    }
    let stacked = stacked.into_iter().zip(stacked_types).map(|(data, ty)| {
        let mut shape = Shape::from_slice(&[scan.length]);
        shape.extend_from_slice(&ty.shape);
        Tensor::new(Type::new(ty.dtype, shape), data)
    });
    state.into_iter().chain(stacked).collect()
}
