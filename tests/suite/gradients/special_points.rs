//! What derivatives are where functions have kinks and edges, and what has none.

use std::sync::Arc;

use ppl::autodiff::{NotDifferentiable, gradient, hvp};
use ppl::exec::reference::evaluate;
use ppl::ir::{BinaryOp, Builder, Function, Op, Scan, Tensor, TernaryOp, Type, UnaryOp, ValueId};
use ppl::special::ShapeDerivative;

use super::vector;
use crate::tolerance::close;

/// A function of a vector whose value is the sum of what `build` gives.
fn function(n: usize, build: impl FnOnce(&mut Builder, ValueId) -> ValueId) -> Function {
    let mut b = Builder::new("f");
    let x = b.input("x", Type::real([n].as_slice()));
    let y = build(&mut b, x);
    let y = b.sum_all(y);
    b.output("y", y);
    b.finish()
}

/// Value, gradient, and Hessian times a vector of ones.
fn at(f: &Function, x: &[f64]) -> (f64, Vec<f64>, Vec<f64>) {
    let out = evaluate(&hvp(f, 0).unwrap(), &[vector(x), vector(&vec![1.0; x.len()])]);
    (out[0].data[0], out[1].data.to_vec(), out[2].data.to_vec())
}

fn component(b: &mut Builder, x: ValueId, i: usize) -> ValueId {
    let part = b.slice(x, &[i], &[i + 1]);
    b.reshape(part, &[])
}

fn of_two(build: impl FnOnce(&mut Builder, ValueId, ValueId) -> ValueId) -> Function {
    function(2, |b, x| {
        let (p, q) = (component(b, x, 0), component(b, x, 1));
        build(b, p, q)
    })
}

/// `inner` where `x > 0`, else 7.
fn guarded(b: &mut Builder, x: ValueId, inner: ValueId) -> ValueId {
    let (zero, seven) = (b.scalar(0.0), b.scalar(7.0));
    let condition = b.binary(BinaryOp::Lt, zero, x);
    b.select(condition, inner, seven)
}

#[test]
fn ties() {
    // The first operand takes all; the elements of a reduction share.
    for op in [BinaryOp::Min, BinaryOp::Max] {
        let f = of_two(|b, p, q| b.binary(op, p, q));
        assert_eq!(at(&f, &[2.0, 2.0]).1, [1.0, 0.0]);
    }
    let axes: ppl::ir::Shape = [0].as_slice().into();
    let f = function(3, |b, x| b.add(Op::ReduceMax(axes), [x].as_slice()));
    assert_eq!(at(&f, &[2.0, 1.0, 2.0]), (2.0, vec![0.5, 0.0, 0.5], vec![0.0; 3]));
    let f = function(2, |b, x| b.unary(UnaryOp::Abs, x));
    assert_eq!(at(&f, &[0.0, -0.0]).1, [0.0, 0.0]);
}

#[test]
fn unary_functions_outside_their_domain_in_a_branch_not_taken() {
    let outside = |op| match op {
        UnaryOp::Log | UnaryOp::Sqrt => vec![-1.0, 0.0],
        UnaryOp::Log1p => vec![-1.0, -2.0],
        UnaryOp::Asin | UnaryOp::Acos => vec![-1.0, -3.0],
        UnaryOp::NormalQuantile => vec![0.0, -1.0],
        UnaryOp::Lgamma | UnaryOp::Polygamma(_) => vec![0.0, -1.0],
        UnaryOp::Exp | UnaryOp::Cosh | UnaryOp::Sinh => vec![-1e4],
        _ => vec![-1e6, -1.0, 0.0],
    };
    for &op in UnaryOp::all() {
        let f = function(1, |b, x| {
            let x = component(b, x, 0);
            let inner = b.unary(op, x);
            // Something after it as well, so that the cotangent arrives by two products.
            let inner = b.times(inner, inner);
            guarded(b, x, inner)
        });
        for x in outside(op) {
            assert_eq!(at(&f, &[x]), (7.0, vec![0.0], vec![0.0]), "{op:?} at {x}");
        }
    }
}

#[test]
fn other_functions_in_a_branch_not_taken() {
    let log = |b: &mut Builder, x: ValueId| b.unary(UnaryOp::Log, x);
    let axes = || -> ppl::ir::Shape { [0].as_slice().into() };
    let square = |b: &mut Builder, x: ValueId| {
        let parts = [x, x, x, x].map(|x| b.reshape(x, &[1]));
        let four = b.concat(&parts, 0);
        b.reshape(four, &[2, 2])
    };
    type Build<'a> = &'a dyn Fn(&mut Builder, ValueId) -> ValueId;
    let cases: [(&str, Build); 10] = [
        ("divide by 0", &|b, x| {
            let zero = b.scalar(0.0);
            let bottom = b.times(zero, x);
            b.over(x, bottom)
        }),
        ("power", &|b, x| {
            let l = log(b, x);
            b.binary(BinaryOp::Pow, l, x)
        }),
        ("maximum of NaN", &|b, x| {
            let l = log(b, x);
            let l = b.reshape(l, &[1]);
            b.add(Op::ReduceMax(axes()), [l].as_slice())
        }),
        ("log-sum-exp of NaN", &|b, x| {
            let l = log(b, x);
            let l = b.expand(l, &[3]);
            b.add(Op::LogSumExp(axes()), [l].as_slice())
        }),
        ("running sum of NaN", &|b, x| {
            let l = log(b, x);
            let l = b.expand(l, &[3]);
            let s = b.add(Op::CumSum { axis: 0, reverse: false }, [l].as_slice());
            b.sum_all(s)
        }),
        ("matrix product of NaN", &|b, x| {
            let l = log(b, x);
            let m = square(b, l);
            let m = b.matmul(m, m, false, true);
            b.sum_all(m)
        }),
        ("Cholesky factor of an indefinite matrix", &|b, x| {
            let m = square(b, x);
            let l = b.add(Op::Cholesky, [m].as_slice());
            b.sum_all(l)
        }),
        ("singular triangular solve", &|b, x| {
            let zero = b.scalar(0.0);
            let bottom = b.times(zero, x);
            let (m, r) = (square(b, bottom), square(b, x));
            let s = b.add(Op::TriSolve { lower: true, trans: false }, [m, r].as_slice());
            b.sum_all(s)
        }),
        ("a loop", &|b, x| {
            let l = log(b, x);
            let root = b.unary(UnaryOp::Sqrt, x);
            b.scan(loop_of_roots(), &[l, root])[0]
        }),
        ("xlog1py", &|b, x| {
            let one = b.scalar(1.0);
            let y = b.minus(x, one);
            b.binary(BinaryOp::XLog1pY, y, y)
        }),
    ];
    for (name, build) in cases {
        let f = function(1, |b, x| {
            let x = component(b, x, 0);
            let inner = build(b, x);
            guarded(b, x, inner)
        });
        for x in [-1.0, 0.0] {
            assert_eq!(at(&f, &[x]), (7.0, vec![0.0], vec![0.0]), "{name} at {x}");
        }
    }
}

/// `s' = √s a`, twice.
fn loop_of_roots() -> Scan {
    let mut body = Builder::new("step");
    let s = body.input("s", Type::real([].as_slice()));
    let a = body.input("a", Type::real([].as_slice()));
    let root = body.unary(UnaryOp::Sqrt, s);
    let next = body.times(root, a);
    body.output("s", next);
    Scan { body: body.finish(), length: 2, carries: 1, xs: 0, reverse: false }
}

#[test]
fn a_branch_not_taken_within_a_loop_keeps_its_start_out() {
    // The state √x is overwritten by 1 at every step before it is used.
    let mut body = Builder::new("step");
    let s = body.input("s", Type::real([].as_slice()));
    let a = body.input("a", Type::real([].as_slice()));
    let next = guarded(&mut body, a, s);
    body.output("s", next);
    let scan = Scan { body: body.finish(), length: 3, carries: 1, xs: 0, reverse: false };
    let f = function(1, |b, x| {
        let x = component(b, x, 0);
        let root = b.unary(UnaryOp::Sqrt, x);
        b.scan(scan, &[root, x])[0]
    });
    assert_eq!(at(&f, &[0.0]), (7.0, vec![0.0], vec![0.0]));
}

#[test]
fn a_guard_does_not_lose_the_hessian_at_a_gradient_of_zero() {
    // (x yᵀ)² at x = 0: the cotangent of the product is 0 there, but not its derivative.
    let f = function(2, |b, x| {
        let row = b.reshape(x, &[1, 2]);
        let ones = b.splat(1.0, &[1, 2]);
        let dot = b.matmul(row, ones, false, true);
        let dot = b.reshape(dot, &[]);
        let square = b.unary(UnaryOp::Square, dot);
        let one = b.scalar(1.0);
        guarded(b, one, square)
    });
    assert_eq!(at(&f, &[0.0, 0.0]), (0.0, vec![0.0; 2], vec![4.0; 2]));
}

#[test]
fn zero_times_infinity() {
    // 0 log 0 is 0 and does not depend on the second operand.
    for op in [BinaryOp::XLogY, BinaryOp::XLog1pY] {
        let edge = if op == BinaryOp::XLogY { 0.0 } else { -1.0 };
        let f = function(1, |b, x| {
            let zero = b.scalar(0.0);
            b.binary(op, zero, x)
        });
        assert_eq!(at(&f, &[edge]), (0.0, vec![0.0], vec![0.0]), "{op:?}");
        // The slope in the first operand is log 0.
        let f = of_two(|b, p, q| b.binary(op, p, q));
        assert_eq!(at(&f, &[0.0, edge]).1, [f64::NEG_INFINITY, 0.0], "{op:?}");
    }
}

#[test]
fn power_with_a_fixed_exponent() {
    for (base, exponent, value, slope, second) in [
        (0.0, 0.0, 1.0, 0.0, 0.0),
        (0.0, 1.0, 0.0, 1.0, 0.0),
        (0.0, 2.0, 0.0, 0.0, 2.0),
        (0.0, 3.0, 0.0, 0.0, 0.0),
        (-2.0, 2.0, 4.0, -4.0, 2.0),
        (-2.0, 3.0, -8.0, 12.0, -12.0),
        (-2.0, -1.0, -0.5, -0.25, -0.25),
    ] {
        let f = function(1, |b, x| {
            let exponent = b.scalar(exponent);
            b.binary(BinaryOp::Pow, x, exponent)
        });
        assert_eq!(at(&f, &[base]), (value, vec![slope], vec![second]), "{base} ^ {exponent}");
    }
}

#[test]
fn power_with_a_moving_exponent() {
    // 0^p is 0 for every p > 0; (−2)^p is not real beside integers.
    let f = of_two(|b, p, q| b.binary(BinaryOp::Pow, p, q));
    assert_eq!(at(&f, &[0.0, 2.0]).1, [0.0, 0.0]);
    let (value, slope, _) = at(&f, &[-2.0, 2.0]);
    assert_eq!((value, slope[0]), (4.0, -4.0));
    assert!(slope[1].is_nan());
}

#[test]
fn normal_cdf_in_the_tail() {
    // The cdf underflows to 0 with derivative 0; its logarithm then has no slope. `normal_log_cdf` has.
    let cdf = function(1, |b, x| b.unary(UnaryOp::NormalCdf, x));
    assert_eq!(at(&cdf, &[-40.0]).1, [0.0]);
    let naive = function(1, |b, x| {
        let p = b.unary(UnaryOp::NormalCdf, x);
        b.unary(UnaryOp::Log, p)
    });
    assert!(at(&naive, &[-40.0]).1[0].is_nan());
    let f = function(1, |b, x| b.unary(UnaryOp::NormalLogCdf, x));
    let (_, slope, second) = at(&f, &[-40.0]);
    // Mills ratio by its asymptotic series: h(x) = x + 1/x − 2/x³ + 10/x⁵ − …, and h' = h (h − x).
    let h =
        40.0 + 1.0 / 40.0 - 2.0 / 40_f64.powi(3) + 10.0 / 40_f64.powi(5) - 74.0 / 40_f64.powi(7);
    assert!(close(slope[0], h, 1e-11, 0.0), "{slope:?} {h}");
    assert!(close(second[0], -h * (h - 40.0), 1e-8, 0.0), "{second:?}");
}

#[test]
fn log_sum_exp_with_minus_infinity() {
    let axes: ppl::ir::Shape = [0].as_slice().into();
    let f = function(3, |b, x| b.add(Op::LogSumExp(axes), [x].as_slice()));
    let (value, slope, second) = at(&f, &[f64::NEG_INFINITY, 1.0, 1.0]);
    assert!(close(value, 1.0 + 2_f64.ln(), 1e-15, 0.0));
    assert_eq!(slope[0], 0.0);
    assert!(slope[1..].iter().all(|&s| close(s, 0.5, 1e-15, 0.0)), "{slope:?}");
    assert!(second.iter().all(|s| s.abs() < 1e-15), "{second:?}");
    // Of nothing but −∞ there is no derivative.
    let (value, slope, _) = at(&f, &[f64::NEG_INFINITY; 3]);
    assert_eq!(value, f64::NEG_INFINITY);
    assert!(slope.iter().all(|s| s.is_nan()));

    let f = of_two(|b, p, q| b.binary(BinaryOp::LogAddExp, p, q));
    assert_eq!(at(&f, &[f64::NEG_INFINITY, 1.5]), (1.5, vec![0.0, 1.0], vec![0.0; 2]));
    assert_eq!(at(&f, &[1.5, f64::NEG_INFINITY]), (1.5, vec![1.0, 0.0], vec![0.0; 2]));
}

#[test]
fn the_smaller_operand_of_a_maximum_is_a_branch_not_taken() {
    // max(log x, 0) at x = 0 is flat, although log is steep there.
    let f = function(1, |b, x| {
        let (log, zero) = (b.unary(UnaryOp::Log, x), b.scalar(0.0));
        b.binary(BinaryOp::Max, log, zero)
    });
    assert_eq!(at(&f, &[0.0]), (0.0, vec![0.0], vec![0.0]));
}

#[test]
fn bessel_ratio_at_zero() {
    let f = function(1, |b, x| b.unary(UnaryOp::LogBesselI0, x));
    assert_eq!(at(&f, &[0.0]), (0.0, vec![0.0], vec![0.5]));
}

#[test]
fn a_component_read_by_two_instructions() {
    // The builder shares equal instructions; a function from text may not.
    let mut b = Builder::new("f");
    let x = b.input("x", Type::real([].as_slice()));
    let four = b.scalar(4.0);
    let tuple = b.add(Op::Scan(ppl::ir::ScanRef(Arc::new(loop_of_roots()))), [x, four].as_slice());
    let p = b.components(tuple, 1)[0];
    let y = b.plus(p, p);
    b.output("y", y);
    let mut f = b.finish();
    let shared = evaluate(&gradient(&f, 0).unwrap(), &[Tensor::scalar(2.0)])[1].data[0];
    let (sum, proj) = (f.insts.pop().unwrap(), f.insts[p.index()].clone());
    f.insts.push(proj);
    f.insts.push(ppl::ir::Inst { args: [p, y].as_slice().into(), ..sum });
    f.outputs[0].value = ValueId::new(f.insts.len() - 1);
    ppl::ir::verify::verify(&f).unwrap();
    let twice = evaluate(&gradient(&f, 0).unwrap(), &[Tensor::scalar(2.0)])[1].data[0];
    assert!(shared > 0.0);
    assert_eq!(shared, twice);
}

#[test]
fn operations_without_a_derivative() {
    type Build<'a> = &'a dyn Fn(&mut Builder, ValueId) -> ValueId;
    let twice = TernaryOp::IncBetaShape(ShapeDerivative::AB);
    let cases: [(&str, &str, Build); 4] = [
        ("log_bessel_i", "first", &|b, x| {
            let y = b.scalar(0.7);
            b.binary(BinaryOp::LogBesselI, x, y)
        }),
        ("log_bessel_k", "first", &|b, x| b.binary(BinaryOp::LogBesselK, x, x)),
        ("inc_beta_ab", "first", &|b, x| {
            let y = b.scalar(0.7);
            b.add(Op::Ternary(twice), [x, y, y].as_slice())
        }),
        ("inc_beta_ab", "second", &|b, x| {
            let y = b.scalar(0.7);
            b.add(Op::Ternary(twice), [y, x, y].as_slice())
        }),
    ];
    for (operation, operand, build) in cases {
        let f = function(2, build);
        let expected = NotDifferentiable { operation, operand, span: None };
        assert_eq!(gradient(&f, 0).unwrap_err(), expected);
        assert_eq!(hvp(&f, 0).unwrap_err(), expected);
        assert_eq!(
            expected.to_string(),
            format!("{operation} has no derivative in its {operand} argument")
        );
        // Where nothing that moves goes in, it is a constant like any other.
        let f = function(2, |b, x| {
            let fixed = b.splat(0.4, &[2]);
            let y = build(b, fixed);
            b.times(x, y)
        });
        assert!(gradient(&f, 0).is_ok(), "{operation}");
    }
}

#[test]
fn not_differentiable_within_a_loop_and_with_its_place() {
    let span = ppl::source::Span::new(ppl::source::FileId(0), 3, 9);
    let mut body = Builder::new("step");
    body.set_span(Some(span));
    let s = body.input("s", Type::real([].as_slice()));
    let y = body.scalar(0.7);
    let next = body.binary(BinaryOp::LogBesselI, s, y);
    body.output("s", next);
    let scan = Scan { body: body.finish(), length: 2, carries: 1, xs: 0, reverse: false };
    let f = function(1, |b, x| {
        let x = component(b, x, 0);
        b.scan(scan, &[x])[0]
    });
    let error = gradient(&f, 0).unwrap_err();
    assert_eq!((error.operation, error.operand, error.span), ("log_bessel_i", "first", Some(span)));
}

/// Instructions, those within loops included.
fn size(f: &Function) -> usize {
    f.insts
        .iter()
        .map(|inst| 1 + if let Op::Scan(scan) = &inst.op { size(&scan.body) } else { 0 })
        .sum()
}

fn chain(links: usize) -> Function {
    function(3, |b, x| {
        (0..links).fold(x, |y, i| match i % 5 {
            0 => b.unary(UnaryOp::Sin, y),
            1 => b.times(y, x),
            2 => b.unary(UnaryOp::Log1pExp, y),
            3 => b.plus(y, x),
            _ => b.unary(UnaryOp::Tanh, y),
        })
    })
}

#[test]
fn size_grows_linearly() {
    let sizes = |n: usize| {
        let f = chain(n);
        (size(&f), size(&gradient(&f, 0).unwrap()), size(&hvp(&f, 0).unwrap()))
    };
    let ((f1, g1, h1), (f2, g2, h2)) = (sizes(200), sizes(400));
    assert!(f1 > 200 && g1 < 5 * f1, "{g1} instructions of gradient for {f1}");
    assert!(h1 < 16 * f1, "{h1} instructions of Hessian-vector product for {f1}");
    // Twice the function, twice the derivatives.
    assert!(g2 < 2 * g1 + 10 && h2 < 2 * h1 + 10 && f2 < 2 * f1, "{g1} {g2}, {h1} {h2}");
}
