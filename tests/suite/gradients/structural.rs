//! Movements, reductions and linear algebra, and the test that every operation has a row.

use std::collections::BTreeSet;

use ppl::ir::{BinaryOp, Builder, DType, Function, Op, Shape, Tensor, Type, UnaryOp, ValueId};

use super::{TIGHT, check, function, noise, scans, solvers};

/// A name per operation. Exhaustive: a new operation has to be added here and to [`KINDS`].
fn kind(op: &Op) -> &'static str {
    match op {
        Op::Input(_) => "input",
        Op::Const(_) => "const",
        Op::Unary(_) => "unary",
        Op::Binary(_) => "binary",
        Op::Ternary(_) => "ternary",
        Op::Convert(_) => "convert",
        Op::Broadcast { .. } => "broadcast",
        Op::Reshape(_) => "reshape",
        Op::Transpose(_) => "transpose",
        Op::Slice { .. } => "slice",
        Op::Pad { .. } => "pad",
        Op::Concat { .. } => "concat",
        Op::Gather { .. } => "gather",
        Op::ScatterAdd { .. } => "scatter_add",
        Op::Sum(_) => "sum",
        Op::ReduceMax(_) => "reduce_max",
        Op::LogSumExp(_) => "log_sum_exp",
        Op::CumSum { .. } => "cum_sum",
        Op::MatMul { .. } => "matmul",
        Op::Cholesky => "cholesky",
        Op::TriSolve { .. } => "tri_solve",
        Op::Solve { .. } => "solve",
        Op::Det => "det",
        Op::LogAbsDet => "log_abs_det",
        Op::EigenSym => "eigen_sym",
        Op::MatrixExp => "matrix_exp",
        Op::SortIndices => "sort_indices",
        Op::Ode(_) => "ode",
        Op::Root(_) => "root",
        Op::Scan(_) => "scan",
        Op::Proj(_) => "proj",
    }
}

/// The kinds that must depend on the input of some row here; elementwise ones are in `elementwise`.
const KINDS: [&str; 27] = [
    "input",
    "convert",
    "broadcast",
    "reshape",
    "transpose",
    "slice",
    "pad",
    "concat",
    "gather",
    "scatter_add",
    "sum",
    "reduce_max",
    "log_sum_exp",
    "cum_sum",
    "matmul",
    "cholesky",
    "tri_solve",
    "solve",
    "det",
    "log_abs_det",
    "eigen_sym",
    "matrix_exp",
    "sort_indices",
    "ode",
    "root",
    "scan",
    "proj",
];

fn shape(sizes: &[usize]) -> Shape {
    sizes.into()
}

/// A function of a tensor of the given shape. What `build` gets went through `sin`, so that second
/// derivatives of linear operations are not all 0.
fn of_tensor(
    sizes: &[usize],
    build: impl FnOnce(&mut Builder, ValueId) -> Vec<ValueId>,
) -> Function {
    function(sizes.iter().product(), |b, x| {
        let x = b.unary(UnaryOp::Sin, x);
        let x = b.reshape(x, sizes);
        build(b, x)
    })
}

fn ints(b: &mut Builder, sizes: &[usize], values: &[f64]) -> ValueId {
    b.tensor(Tensor::new(Type::new(DType::Int, shape(sizes)), values.to_vec()))
}

/// Every row: name, function, number of inputs.
fn rows() -> Vec<(&'static str, Function)> {
    let mut rows = Vec::new();
    let mut row = |name, sizes: &[usize], build: &dyn Fn(&mut Builder, ValueId) -> Vec<ValueId>| {
        rows.push((name, of_tensor(sizes, build)));
    };
    row("convert", &[4], &|b, x| {
        let same = b.add(Op::Convert(DType::Real), [x].as_slice());
        let int = b.add(Op::Convert(DType::Int), [x].as_slice());
        let back = b.add(Op::Convert(DType::Real), [int].as_slice());
        vec![same, back]
    });
    row("broadcast", &[2, 3], &|b, x| {
        let scalar = b.sum_all(x);
        let wide = b.expand(scalar, &[3, 2]);
        vec![
            b.broadcast(x, &[2, 4, 3], &[0, 2]),
            b.broadcast(x, &[2, 2, 3], &[1, 2]),
            b.broadcast(x, &[0, 2, 3], &[1, 2]),
            wide,
        ]
    });
    row("reshape", &[2, 6], &|b, x| vec![b.reshape(x, &[3, 2, 2]), b.reshape(x, &[12])]);
    row("transpose", &[2, 3, 4], &|b, x| {
        vec![b.transpose(x, &[1, 0, 2]), b.transpose(x, &[2, 0, 1]), b.transpose(x, &[1, 2, 0])]
    });
    row("slice", &[4, 5], &|b, x| {
        let part = b.slice(x, &[1, 0], &[3, 4]);
        let part = b.slice(part, &[0, 2], &[2, 3]);
        vec![part, b.slice(x, &[2, 2], &[2, 5]), b.slice_axis(x, 1, 3, 5)]
    });
    row("pad", &[2, 3], &|b, x| {
        let op = Op::Pad { low: shape(&[1, 0]), high: shape(&[0, 2]) };
        let padded = b.add(op, [x].as_slice());
        vec![b.unary(UnaryOp::Exp, padded)]
    });
    row("concat", &[2, 3], &|b, x| {
        let e = b.unary(UnaryOp::Exp, x);
        let fixed = b.splat(1.5, &[2, 1]);
        let int = ints(b, &[1, 3], &[4.0, 5.0, 6.0]);
        vec![b.concat(&[x, fixed, e, x], 1), b.concat(&[int, x, x], 0)]
    });
    row("gather", &[3, 4], &|b, x| {
        let repeated = b.ints([2, 0, 2, 2]);
        let table = ints(b, &[2, 2], &[3.0, 1.0, 1.0, 0.0]);
        let one = ints(b, &[], &[1.0]);
        let none = b.ints([]);
        vec![
            b.gather(x, 0, repeated),
            b.gather(x, 1, table),
            b.gather(x, 0, one),
            b.gather(x, 1, none),
        ]
    });
    row("scatter_add", &[4, 2], &|b, x| {
        let repeated = b.ints([1, 4, 1, 0]);
        let table = ints(b, &[4, 2], &[0.0, 2.0, 2.0, 2.0, 1.0, 0.0, 3.0, 1.0]);
        let columns = b.ints([5, 5]);
        let rows = b.add(Op::ScatterAdd { axis: 0, size: 5 }, [x, repeated].as_slice());
        let rows = b.unary(UnaryOp::Exp, rows);
        vec![
            rows,
            b.add(Op::ScatterAdd { axis: 0, size: 4 }, [x, table].as_slice()),
            b.add(Op::ScatterAdd { axis: 1, size: 7 }, [x, columns].as_slice()),
        ]
    });
    row("reductions", &[2, 3, 4], &|b, x| {
        let mut parts = Vec::new();
        for axes in [&[0][..], &[1], &[2], &[0, 2], &[0, 1, 2], &[]] {
            for op in [Op::Sum(shape(axes)), Op::ReduceMax(shape(axes)), Op::LogSumExp(shape(axes))]
            {
                let y = b.add(op, [x].as_slice());
                parts.push(b.unary(UnaryOp::Sinh, y));
            }
        }
        parts
    });
    row("cum_sum", &[3, 4], &|b, x| {
        let mut parts = Vec::new();
        for (axis, reverse) in [(0, false), (0, true), (1, false), (1, true)] {
            let y = b.add(Op::CumSum { axis, reverse }, [x].as_slice());
            parts.push(b.unary(UnaryOp::Cos, y));
        }
        parts
    });
    row("matmul", &[32], &|b, x| {
        let mut parts = Vec::new();
        for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
            let left = b.slice(x, &[0], &[12]);
            let right = b.slice(x, &[12], &[32]);
            let left = b.reshape(left, if ta { &[4, 3] } else { &[3, 4] });
            let right = b.reshape(right, if tb { &[5, 4] } else { &[4, 5] });
            parts.push(b.matmul(left, right, ta, tb));
            // One operand twice, and one that does not move.
            parts.push(b.matmul(left, left, ta, !ta));
            let y = b.splat(0.3, &[5, 5]);
            parts.push(b.matmul(y, right, tb, !tb));
        }
        parts
    });
    row("cholesky", &[4, 4], &|b, x| {
        // Symmetric, and with an upper triangle of its own: only the lower one counts.
        let spd = symmetric(b, x);
        let far = b.tensor(Tensor::new(Type::real(shape(&[4, 4])), diagonal(4, 6.0)));
        let skew = b.plus(far, x);
        let twice = b.add(Op::Cholesky, [spd].as_slice());
        vec![b.unary(UnaryOp::Exp, twice), b.add(Op::Cholesky, [skew].as_slice())]
    });
    row("tri_solve", &[3, 5], &|b, x| {
        let mut parts = Vec::new();
        let far = b.tensor(Tensor::new(Type::real(shape(&[3, 3])), diagonal(3, 2.0)));
        let a = b.slice(x, &[0, 0], &[3, 3]);
        let a = b.plus(a, far);
        let right = b.slice(x, &[0, 3], &[3, 5]);
        let fixed = b.splat(0.7, &[3, 2]);
        for (lower, trans) in [(false, false), (false, true), (true, false), (true, true)] {
            let op = Op::TriSolve { lower, trans };
            parts.push(b.add(op.clone(), [a, right].as_slice()));
            parts.push(b.add(op.clone(), [a, fixed].as_slice()));
            parts.push(b.add(op, [far, right].as_slice()));
        }
        parts
    });
    row("multi_normal", &[4, 5], &|b, x| {
        // log det and quadratic form, as in a density.
        let square = b.slice(x, &[0, 0], &[4, 4]);
        let spd = symmetric(b, square);
        let l = b.add(Op::Cholesky, [spd].as_slice());
        let y = b.slice(x, &[0, 4], &[4, 5]);
        let z = b.add(Op::TriSolve { lower: true, trans: false }, [l, y].as_slice());
        let z = b.unary(UnaryOp::Square, z);
        let flat = b.reshape(l, &[16]);
        let index = b.ints([0, 5, 10, 15]);
        let d = b.gather(flat, 0, index);
        vec![z, b.unary(UnaryOp::Log, d)]
    });
    row("one operand twice", &[3], &|b, x| {
        vec![b.times(x, x), b.plus(x, x), b.over(x, x), b.binary(BinaryOp::Atan2, x, x)]
    });
    row("nothing", &[0], &|b, x| {
        let most = b.add(Op::LogSumExp(shape(&[0])), [x].as_slice());
        let zero = b.scalar(0.0);
        let is_finite = b.binary(BinaryOp::Lt, zero, most);
        let e = b.select(is_finite, most, zero);
        vec![b.sum_all(x), e]
    });
    rows
}

fn diagonal(n: usize, x: f64) -> Vec<f64> {
    (0..n * n).map(|i| if i / n == i % n { x } else { 0.0 }).collect()
}

/// `x xᵀ + I`.
fn symmetric(b: &mut Builder, x: ValueId) -> ValueId {
    let n = b.ty(x).shape[0];
    let eye = b.tensor(Tensor::new(Type::real(shape(&[n, n])), diagonal(n, 1.0)));
    let outer = b.matmul(x, x, false, true);
    b.plus(outer, eye)
}

#[test]
fn structural_operations() {
    for (name, f) in rows() {
        let x = noise(f.inputs[0].ty.len(), 7);
        check(name, &f, &x, TIGHT);
    }
}

#[test]
fn every_operation_has_a_row() {
    let mut seen = BTreeSet::new();
    let mut flags = BTreeSet::new();
    let own = rows().into_iter().map(|(_, f)| f);
    let loops = scans::rows().into_iter().map(|(_, f)| f);
    let solved = solvers::rows().into_iter().map(|(_, f)| f);
    for f in own.chain(loops).chain(solved) {
        let depends = f.depends_on(|_| true);
        for (value, inst) in f.values() {
            if depends[value.index()] {
                seen.insert(kind(&inst.op));
                if matches!(inst.op, Op::MatMul { .. } | Op::TriSolve { .. } | Op::Solve { .. }) {
                    flags.insert(format!("{:?}", inst.op));
                }
            }
        }
    }
    let missing: Vec<&str> = KINDS.into_iter().filter(|k| !seen.contains(k)).collect();
    assert!(missing.is_empty(), "operations without a row: {missing:?}");
    assert_eq!(flags.len(), 10, "products and solves with every flag: {flags:?}");
}
