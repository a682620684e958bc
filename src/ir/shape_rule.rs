//! Operation × operand types → result type. The one place that says what is well typed.

use super::op::{BinaryOp, Op, Scan, TernaryOp, UnaryOp};
use super::ty::{DType, Shape, Type, num_elements};

/// Why an instruction is not well typed; a bug in the code that built it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TypeError(pub String);

fn fail<T>(message: impl Into<String>) -> Result<T, TypeError> {
    Err(TypeError(message.into()))
}

/// The type of `op` applied to operands of the given types; `inputs` are the function's input types.
///
/// A `Scan` has type `tuple`; the type of a `Proj` comes from `proj_type`.
///
/// # Errors
/// When the operands do not fit the operation.
pub fn infer_type(op: &Op, args: &[&Type]) -> Result<Type, TypeError> {
    let arity = |n: usize| {
        if args.len() == n {
            Ok(())
        } else {
            fail(format!("{} operands where {n} fit", args.len()))
        }
    };
    match op {
        Op::Input(_) | Op::Proj(_) => fail("inputs and projections carry their own types"),
        Op::Const(t) => arity(0).map(|()| t.ty.clone()),
        Op::Unary(u) => {
            arity(1)?;
            let dtype = match u {
                UnaryOp::Not => DType::Bool,
                UnaryOp::Neg | UnaryOp::Abs | UnaryOp::Sign | UnaryOp::Square => {
                    if args[0].dtype == DType::Bool { DType::Int } else { args[0].dtype }
                }
                _ => DType::Real,
            };
            Ok(Type::new(dtype, args[0].shape.clone()))
        }
        Op::Binary(b) => {
            arity(2)?;
            let shape = elementwise_shape(args)?;
            let both_int = args.iter().all(|t| t.dtype != DType::Real);
            let dtype = match b {
                BinaryOp::Lt
                | BinaryOp::Le
                | BinaryOp::Eq
                | BinaryOp::Ne
                | BinaryOp::And
                | BinaryOp::Or => DType::Bool,
                BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Min | BinaryOp::Max
                    if both_int =>
                {
                    DType::Int
                }
                BinaryOp::IntDiv | BinaryOp::Rem | BinaryOp::RandomBits | BinaryOp::PoissonDraw => {
                    DType::Int
                }
                _ => DType::Real,
            };
            Ok(Type::new(dtype, shape))
        }
        Op::Ternary(t) => {
            arity(3)?;
            let shape = elementwise_shape(args)?;
            let dtype = match t {
                TernaryOp::Select if args[1].dtype == args[2].dtype => args[1].dtype,
                TernaryOp::Select
                    if args[1].dtype != DType::Real && args[2].dtype != DType::Real =>
                {
                    DType::Int
                }
                TernaryOp::BinomialDraw => DType::Int,
                TernaryOp::Select
                | TernaryOp::IncBeta
                | TernaryOp::LogIncBeta
                | TernaryOp::IncBetaShape(_) => DType::Real,
            };
            Ok(Type::new(dtype, shape))
        }
        Op::Convert(dtype) => arity(1).map(|()| Type::new(*dtype, args[0].shape.clone())),
        Op::Broadcast { shape, axes } => {
            arity(1)?;
            if axes.len() != args[0].rank()
                || axes.windows(2).any(|w| w[0] >= w[1])
                || axes.iter().zip(&args[0].shape).any(|(&a, &n)| shape.get(a) != Some(&n))
            {
                return fail(format!("broadcast of {} to {shape:?} along {axes:?}", args[0]));
            }
            Ok(Type::new(args[0].dtype, shape.clone()))
        }
        Op::Reshape(shape) => {
            arity(1)?;
            if num_elements(shape) != args[0].len() {
                return fail(format!("reshape of {} to {shape:?}", args[0]));
            }
            Ok(Type::new(args[0].dtype, shape.clone()))
        }
        Op::Transpose(perm) => {
            arity(1)?;
            let mut sorted = perm.clone();
            sorted.sort_unstable();
            if !sorted.iter().copied().eq(0..args[0].rank()) {
                return fail(format!("transpose of {} by {perm:?}", args[0]));
            }
            let shape: Shape = perm.iter().map(|&p| args[0].shape[p]).collect();
            Ok(Type::new(args[0].dtype, shape))
        }
        Op::Slice { start, stop } => {
            arity(1)?;
            let n = args[0].rank();
            if start.len() != n
                || stop.len() != n
                || (0..n).any(|i| start[i] > stop[i] || stop[i] > args[0].shape[i])
            {
                return fail(format!("slice of {} from {start:?} to {stop:?}", args[0]));
            }
            let shape: Shape = start.iter().zip(stop).map(|(a, b)| b - a).collect();
            Ok(Type::new(args[0].dtype, shape))
        }
        Op::Pad { low, high } => {
            arity(1)?;
            if low.len() != args[0].rank() || high.len() != args[0].rank() {
                return fail(format!("pad of {} by {low:?} and {high:?}", args[0]));
            }
            let shape: Shape = args[0]
                .shape
                .iter()
                .zip(low.iter().zip(high))
                .map(|(n, (l, h))| n + l + h)
                .collect();
            Ok(Type::new(args[0].dtype, shape))
        }
        Op::Concat { axis } => {
            let Some(first) = args.first() else { return fail("concat of nothing") };
            if *axis >= first.rank() {
                return fail(format!("concat of {first} along axis {axis}"));
            }
            let mut shape = first.shape.clone();
            shape[*axis] = 0;
            let mut dtype = first.dtype;
            for t in args {
                let fits = t.rank() == shape.len()
                    && (0..shape.len()).all(|i| i == *axis || t.shape[i] == shape[i]);
                if !fits {
                    return fail(format!("concat of {first} and {t} along axis {axis}"));
                }
                shape[*axis] += t.shape[*axis];
                if t.dtype == DType::Real {
                    dtype = DType::Real;
                }
            }
            Ok(Type::new(dtype, shape))
        }
        Op::Gather { axis } => {
            arity(2)?;
            if *axis >= args[0].rank() {
                return fail(format!("gather of {} along axis {axis}", args[0]));
            }
            let mut shape: Shape = args[0].shape[..*axis].into();
            shape.extend_from_slice(&args[1].shape);
            shape.extend_from_slice(&args[0].shape[axis + 1..]);
            Ok(Type::new(args[0].dtype, shape))
        }
        Op::ScatterAdd { axis, size } => {
            arity(2)?;
            let (upd, idx) = (args[0], args[1]);
            if axis + idx.rank() > upd.rank()
                || upd.shape[*axis..axis + idx.rank()] != idx.shape[..]
            {
                return fail(format!("scatter of {upd} by {idx} along axis {axis}"));
            }
            let mut shape: Shape = upd.shape[..*axis].into();
            shape.push(*size);
            shape.extend_from_slice(&upd.shape[axis + idx.rank()..]);
            Ok(Type::new(upd.dtype, shape))
        }
        Op::Sum(axes) | Op::ReduceMax(axes) | Op::LogSumExp(axes) => {
            arity(1)?;
            if axes.windows(2).any(|w| w[0] >= w[1]) || axes.iter().any(|&a| a >= args[0].rank()) {
                return fail(format!("reduction of {} over {axes:?}", args[0]));
            }
            let shape: Shape = (0..args[0].rank())
                .filter(|i| !axes.contains(i))
                .map(|i| args[0].shape[i])
                .collect();
            let dtype = match (op, args[0].dtype) {
                (Op::LogSumExp(_), _) => DType::Real,
                (_, DType::Bool) => DType::Int,
                (_, dtype) => dtype,
            };
            Ok(Type::new(dtype, shape))
        }
        Op::CumSum { axis, .. } => {
            arity(1)?;
            if *axis >= args[0].rank() {
                return fail(format!("running sum of {} along axis {axis}", args[0]));
            }
            Ok(args[0].clone())
        }
        Op::MatMul { ta, tb } => {
            arity(2)?;
            let dims = |t: &Type, flip: bool| {
                (t.rank() == 2)
                    .then(|| if flip { (t.shape[1], t.shape[0]) } else { (t.shape[0], t.shape[1]) })
            };
            match (dims(args[0], *ta), dims(args[1], *tb)) {
                (Some((m, k)), Some((l, n))) if k == l => Ok(Type::real([m, n].as_slice())),
                _ => fail(format!("matrix product of {} and {} ({ta}, {tb})", args[0], args[1])),
            }
        }
        Op::Cholesky => {
            arity(1)?;
            if !is_square(args[0]) {
                return fail(format!("Cholesky factor of {}", args[0]));
            }
            Ok(args[0].clone())
        }
        Op::TriSolve { .. } => {
            arity(2)?;
            if !is_square(args[0]) || args[1].rank() != 2 || args[1].shape[0] != args[0].shape[0] {
                return fail(format!("triangular solve of {} and {}", args[0], args[1]));
            }
            Ok(args[1].clone())
        }
        Op::Solve { .. } => {
            arity(2)?;
            if !is_square(args[0]) || args[1].rank() != 2 || args[1].shape[0] != args[0].shape[0] {
                return fail(format!("solve of {} and {}", args[0], args[1]));
            }
            Ok(Type::real(args[1].shape.clone()))
        }
        Op::Det | Op::LogAbsDet | Op::EigenSym | Op::MatrixExp => {
            arity(1)?;
            if !is_square(args[0]) {
                return fail(format!("{op:?} of {}", args[0]));
            }
            let n = args[0].shape[0];
            Ok(match op {
                Op::Det | Op::LogAbsDet => Type::real(Shape::new()),
                Op::EigenSym => Type::real([n + 1, n].as_slice()),
                _ => Type::real(args[0].shape.clone()),
            })
        }
        Op::SortIndices => {
            arity(1)?;
            if args[0].rank() != 1 {
                return fail(format!("sorting of {}", args[0]));
            }
            Ok(Type::new(DType::Int, args[0].shape.clone()))
        }
        Op::Ode(ode) => ode.result(args),
        Op::Root(root) => root.result(args),
        Op::Scan(scan) => check_scan(scan, args).map(|()| Type::new(DType::Tuple, Shape::new())),
    }
}

/// The type of component `index` of a scan.
///
/// # Errors
/// When the scan has no such component.
pub(super) fn proj_type(scan: &Scan, index: usize) -> Result<Type, TypeError> {
    let Some(output) = scan.body.outputs.get(index) else {
        return fail(format!("component {index} of a scan with {}", scan.body.outputs.len()));
    };
    let ty = scan.body.ty(output.value);
    if index < scan.carries {
        return Ok(ty.clone());
    }
    let mut shape: Shape = [scan.length].as_slice().into();
    shape.extend_from_slice(&ty.shape);
    Ok(Type::new(ty.dtype, shape))
}

fn check_scan(scan: &Scan, args: &[&Type]) -> Result<(), TypeError> {
    let body = &scan.body;
    if args.len() != body.inputs.len() || scan.carries + scan.xs > args.len() {
        return fail(format!("scan with {} operands, {} expected", args.len(), body.inputs.len()));
    }
    for (i, (arg, input)) in args.iter().zip(&body.inputs).enumerate() {
        let is_x = (scan.carries..scan.carries + scan.xs).contains(&i);
        let shape = if is_x {
            match arg.shape.split_first() {
                Some((n, rest)) if *n == scan.length => rest,
                _ => return fail(format!("scan of {} steps over {arg}", scan.length)),
            }
        } else {
            &arg.shape[..]
        };
        if shape != &input.ty.shape[..] {
            return fail(format!("scan input {} is {}, operand {arg}", input.name, input.ty));
        }
    }
    if body.outputs.len() < scan.carries {
        return fail("scan body returns fewer values than there are carries");
    }
    for (input, output) in body.inputs.iter().zip(&body.outputs).take(scan.carries) {
        if input.ty.shape != body.ty(output.value).shape {
            return fail(format!("scan carry {} changes its shape", input.name));
        }
    }
    Ok(())
}

fn is_square(t: &Type) -> bool {
    t.rank() == 2 && t.shape[0] == t.shape[1]
}

fn elementwise_shape(args: &[&Type]) -> Result<Shape, TypeError> {
    let mut shape = Shape::new();
    for t in args {
        if t.rank() == 0 || t.shape == shape {
            continue;
        }
        if !shape.is_empty() {
            return fail(format!("elementwise operation on shapes {shape:?} and {:?}", t.shape));
        }
        shape.clone_from(&t.shape);
    }
    Ok(shape)
}
