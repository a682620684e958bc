//! An instruction → what the device does for it, with index tables and constants; what has no form is refused.

use std::sync::Arc;

use dfdx::prelude::Device;

use super::{Loop, NotOnDevice, Picking, Program, Reduction, Step};
use crate::exec::device::array::{Array, Number};
use crate::exec::device::flow::Flow;
use crate::exec::device::join::{Join, Rows, Scatter, index};
use crate::exec::device::matrix::{self, Square};
use crate::exec::index::{around, moved_last, positions, strides};
use crate::exec::reference::{in_bounds, movement};
use crate::ir::{
    BinaryOp, DType, Function, Inst, Op, Scan, Shape, TernaryOp, Type, ValueId, num_elements,
};

fn all_rows(rows: impl IntoIterator<Item = usize>) -> Vec<Option<usize>> {
    rows.into_iter().map(Some).collect()
}

/// What an instruction does, with all that it needs.
pub(super) fn step<E: Number, D: Device<E>>(
    dev: &D,
    f: &Function,
    inst: &Inst,
) -> Result<Step<E, D>, NotOnDevice> {
    let types = f.operand_types(inst);
    let refuse = |operation: String| Err(NotOnDevice { operation, span: inst.span });
    let ty = &inst.ty;
    match &inst.op {
        Op::Input(i) => return Ok(Step::Input(*i as usize)),
        Op::Proj(i) => return Ok(Step::Proj(*i as usize)),
        Op::Scan(scan) => return scan_step(dev, scan.0.clone(), &types),
        _ if ty.is_empty() => return Ok(Step::Empty),
        _ => {}
    }
    if types.iter().any(Type::is_empty) {
        match &inst.op {
            Op::Concat { .. } | Op::Ode(_) => {}
            // Of nothing, whatever the operands would be.
            _ => {
                let value = match &inst.op {
                    Op::ReduceMax(_) | Op::LogSumExp(_) => f64::NEG_INFINITY,
                    Op::Gather { .. } => f64::NAN,
                    Op::Det => 1.0,
                    _ => 0.0,
                };
                return Ok(Step::Const(Array::filled(dev, ty.len(), value)));
            }
        }
    }
    let rows = |rows: Vec<Option<usize>>, otherwise| {
        let unmoved =
            rows.len() == types[0].len() && rows.iter().enumerate().all(|(i, row)| *row == Some(i));
        if unmoved { Step::Same } else { Step::Rows(Rows::new(dev, &rows, otherwise)) }
    };
    let square = || Square::new(dev, types[0].shape[0]);
    Ok(match &inst.op {
        Op::Input(_) | Op::Scan(_) | Op::Proj(_) => unreachable!("dealt with above"),
        Op::Const(t) => Step::Const(Array::uniform(dev, &t.data)),
        Op::Unary(op) => Step::Unary(*op),
        Op::Binary(op) => match has_form(*op) {
            true => Step::Binary(*op, known(f, inst.args[1])),
            false => return refuse(format!("`{op:?}`")),
        },
        Op::Ternary(TernaryOp::Select) => Step::Select,
        Op::Ternary(op) => return refuse(format!("`{op:?}`")),
        Op::Convert(to) => match (types[0].dtype, to) {
            (DType::Real, DType::Int) => Step::Truncated,
            (DType::Real | DType::Int, DType::Bool) => Step::Truth,
            _ => Step::Same,
        },
        Op::Broadcast { .. } | Op::Transpose(_) | Op::Slice { .. } => {
            let (offset, steps) = movement(&inst.op, &types[0].shape, &ty.shape);
            rows(all_rows(positions(&ty.shape, offset, &steps)), 0.0)
        }
        Op::Reshape(_) => Step::Same,
        Op::Pad { low, .. } => {
            let steps = strides(&ty.shape);
            let offset = low.iter().zip(&steps).map(|(l, s)| l * s).sum();
            let mut from = vec![None; ty.len()];
            let places = positions(&types[0].shape, offset, &steps);
            places.into_iter().enumerate().for_each(|(i, place)| from[place] = Some(i));
            rows(from, 0.0)
        }
        Op::Concat { axis } => return Ok(concat(dev, *axis, ty, &types)),
        Op::Gather { axis } => {
            let (before, size, after) = around(&types[0].shape, *axis);
            match &f.inst(inst.args[1]).op {
                Op::Const(indices) => {
                    let mut from = Vec::with_capacity(ty.len());
                    for i in 0..before {
                        for index in &*indices.data {
                            let j = in_bounds(*index, size);
                            from.extend((0..after).map(|k| j.map(|j| (i * size + j) * after + k)));
                        }
                    }
                    rows(from, f64::NAN)
                }
                _ => Step::Pick(picking(dev, (before, size, after), types[1].len())),
            }
        }
        Op::ScatterAdd { axis, size } => {
            let (before, _, after) = around(&ty.shape, *axis);
            let indices = types[1].len();
            match &f.inst(inst.args[1]).op {
                Op::Const(of) => {
                    let mut moves = Vec::new();
                    for i in 0..before {
                        for (m, index) in of.data.iter().enumerate() {
                            let Some(j) = in_bounds(*index, *size) else { continue };
                            let (from, to) = ((i * indices + m) * after, (i * size + j) * after);
                            moves.extend((0..after).map(|k| (from + k, to + k)));
                        }
                    }
                    match moves.is_empty() {
                        true => Step::Const(Array::filled(dev, ty.len(), 0.0)),
                        false => Step::ScatterAdd(Scatter::new(dev, moves, ty.len())),
                    }
                }
                _ => scatter_by_value(dev, (before, *size, after), indices),
            }
        }
        Op::Sum(axes) => reduction(dev, Reduction::Sum, &types[0], axes),
        Op::ReduceMax(axes) => reduction(dev, Reduction::Max, &types[0], axes),
        Op::LogSumExp(axes) => reduction(dev, Reduction::LogSumExp, &types[0], axes),
        Op::CumSum { axis, reverse } => {
            let (_, size, after) = around(&ty.shape, *axis);
            let mut rounds = Vec::new();
            let mut shift = 1;
            while shift < size {
                let row = |k: usize| {
                    let j = k / after % size;
                    match reverse {
                        true => (j + shift < size).then_some(k + shift * after),
                        false => (j >= shift).then(|| k - shift * after),
                    }
                };
                let from: Vec<Option<usize>> = (0..ty.len()).map(row).collect();
                rounds.push(Rows::new(dev, &from, 0.0));
                shift *= 2;
            }
            Step::CumSum(rounds)
        }
        Op::MatMul { ta, tb } => {
            let (a, b) = (&types[0].shape, &types[1].shape);
            let turned = |turn: bool, s: &Shape| {
                turn.then(|| Rows::new(dev, &matrix::transposition(s[0], s[1]), 0.0))
            };
            let inner = if *ta { a[0] } else { a[1] };
            Step::MatMul([turned(*ta, a), turned(*tb, b)], (ty.shape[0], inner, ty.shape[1]))
        }
        Op::Cholesky => Step::Cholesky(square()),
        Op::TriSolve { lower, trans } => {
            Step::TriSolve(square(), rows_of(dev, ty), (*lower, *trans))
        }
        Op::Solve { trans } => {
            let n = types[0].shape[0];
            let turned = trans.then(|| Rows::new(dev, &matrix::transposition(n, n), 0.0));
            Step::Solve(square(), rows_of(dev, ty), turned)
        }
        Op::Det => Step::Det(square()),
        Op::LogAbsDet => Step::LogAbsDet(square()),
        Op::MatrixExp => Step::MatrixExp(square()),
        Op::SortIndices => Step::SortIndices,
        Op::EigenSym => return refuse("an eigenvalue decomposition".into()),
        Op::Ode(problem) => {
            let (times, n) = (ty.shape[0], ty.shape[1]);
            Step::Flow(Box::new(Flow::new(dev, &problem.0, times, n)?))
        }
        Op::Root(_) => return refuse("a system of equations".into()),
    })
}

/// Joins the rows of a matrix.
fn rows_of<E: Number, D: Device<E>>(dev: &D, ty: &Type) -> Join<E, D> {
    Join::new(dev, &vec![ty.shape[1]; ty.shape[0]])
}

/// The number that a value is known to be everywhere.
fn known(f: &Function, value: ValueId) -> Option<f64> {
    match &f.inst(value).op {
        Op::Const(t) => t.splat(),
        _ => None,
    }
}

/// Whether a function of two operands has a form on a device.
fn has_form(op: BinaryOp) -> bool {
    !matches!(
        op,
        BinaryOp::GammaP
            | BinaryOp::GammaQ
            | BinaryOp::LogGammaP
            | BinaryOp::LogGammaQ
            | BinaryOp::GammaPShape(_)
            | BinaryOp::LogBesselI
            | BinaryOp::LogBesselK
            | BinaryOp::OwensT
            | BinaryOp::SkewNormalCdf
            | BinaryOp::RandomBits
            | BinaryOp::GammaDraw
            | BinaryOp::PoissonDraw
    )
}

fn scan_step<E: Number, D: Device<E>>(
    dev: &D,
    scan: Arc<Scan>,
    types: &[Type],
) -> Result<Step<E, D>, NotOnDevice> {
    let body = Program::new(dev, &scan.body)?;
    let per_row = |ty: &Type| ty.shape[1..].iter().product();
    let widths = types[scan.carries..scan.carries + scan.xs].iter().map(per_row).collect();
    let joins = scan.body.outputs[scan.carries..].iter().map(|o| {
        let n = scan.body.ty(o.value).len();
        Join::new(dev, &vec![n; scan.length])
    });
    let joins = joins.collect();
    Ok(Step::Scan(Box::new(Loop { scan, body, widths, joins })))
}

/// Operands one after the other, and then their rows where they belong.
fn concat<E: Number, D: Device<E>>(dev: &D, axis: usize, ty: &Type, types: &[Type]) -> Step<E, D> {
    // Along the first axis that is more than one, joining is all.
    let before = num_elements(&ty.shape[..axis]);
    let lengths: Vec<usize> = types.iter().map(Type::len).filter(|n| *n > 0).collect();
    let join = Join::new(dev, &lengths);
    if before == 1 {
        return Step::Join(join);
    }
    let mut from = Vec::with_capacity(ty.len());
    for i in 0..before {
        let mut start = 0;
        for n in &lengths {
            let chunk = n / before;
            from.extend((0..chunk).map(|k| Some(start + i * chunk + k)));
            start += n;
        }
    }
    Step::Join(join.then(Rows::new(dev, &from, 0.0)))
}

fn picking<E: Number, D: Device<E>>(
    dev: &D,
    (before, size, after): (usize, usize, usize),
    indices: usize,
) -> Picking<E, D> {
    let each = |row: &dyn Fn(usize, usize, usize) -> usize| {
        let rows = (0..before * indices * after)
            .map(|r| Some(row(r / (indices * after), r / after % indices, r % after)));
        Rows::new(dev, &rows.collect::<Vec<_>>(), 0.0)
    };
    Picking {
        places: (0..size).map(|j| each(&|i, _, k| (i * size + j) * after + k)).collect(),
        of_index: each(&|_, m, _| m),
    }
}

fn scatter_by_value<E: Number, D: Device<E>>(
    dev: &D,
    (before, size, after): (usize, usize, usize),
    indices: usize,
) -> Step<E, D> {
    // The updates of a result element, `indices` of them in a row.
    let from: Vec<Option<usize>> = (0..before * after * indices)
        .map(|r| {
            Some((r / (indices * after) * indices + r % indices) * after + r / indices % after)
        })
        .collect();
    let of_index: Vec<Option<usize>> =
        (0..before * after * indices).map(|r| Some(r % indices)).collect();
    let picking = Picking {
        places: vec![Rows::new(dev, &from, 0.0)],
        of_index: Rows::new(dev, &of_index, 0.0),
    };
    // Places come one after the other; the result has them within `before`.
    let back: Vec<Option<usize>> = (0..before * size * after)
        .map(|r| Some((r / after % size * before + r / (size * after)) * after + r % after))
        .collect();
    let join = Join::new(dev, &vec![before * after; size]).then(Rows::new(dev, &back, 0.0));
    Step::Add(picking, join)
}

fn reduction<E: Number, D: Device<E>>(
    dev: &D,
    kind: Reduction,
    operand: &Type,
    axes: &[usize],
) -> Step<E, D> {
    let perm = moved_last(operand.rank(), axes);
    let columns = axes.iter().map(|a| operand.shape[*a]).product();
    let moved = perm.iter().enumerate().any(|(i, p)| i != *p);
    let sorted = moved.then(|| {
        let shape: Shape = perm.iter().map(|&p| operand.shape[p]).collect();
        let (offset, steps) = movement(&Op::Transpose(perm), &operand.shape, &shape);
        index::<E, D>(dev, positions(&shape, offset, &steps))
    });
    Step::Reduce(kind, sorted, columns)
}
