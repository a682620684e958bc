//! One row per elementwise operation. The matches are exhaustive: an operation without a row does not
//! compile.

use ppl::ir::{BinaryOp, Builder, DType, Function, Op, TernaryOp, UnaryOp, ValueId};

use super::{TIGHT, Tolerance, check, function};

/// Special functions are differentiated numerically on the second route, twice for the product.
const SPECIAL: Tolerance = Tolerance { first: 1e-7, second: 1e-6 };

/// Points of the domain, away from kinks and edges.
fn unary_row(op: UnaryOp) -> (&'static [f64], Tolerance) {
    match op {
        UnaryOp::Neg | UnaryOp::Square => (&[-2.0, 0.0, 0.7, 30.0], TIGHT),
        UnaryOp::Abs | UnaryOp::Sign => (&[-2.0, -0.2, 0.3, 30.0], TIGHT),
        UnaryOp::Floor | UnaryOp::Ceil => (&[-1.5, -0.4, 0.3, 2.6], TIGHT),
        UnaryOp::Round => (&[-1.2, -0.7, 0.2, 2.3], TIGHT),
        UnaryOp::Sqrt | UnaryOp::Log => (&[0.2, 0.9, 3.0, 50.0], TIGHT),
        UnaryOp::Exp | UnaryOp::Expm1 => (&[-5.0, -0.1, 0.0, 0.4, 3.0], TIGHT),
        UnaryOp::Log1p => (&[-0.6, -0.1, 0.0, 0.4, 20.0], TIGHT),
        UnaryOp::Log1pExp | UnaryOp::InvLogit => (&[-30.0, -2.0, 0.0, 1.0, 30.0], TIGHT),
        UnaryOp::Log1mExp => (&[-20.0, -2.0, -0.7, -0.3], TIGHT),
        UnaryOp::Sin | UnaryOp::Cos => (&[-4.0, -0.3, 0.0, 1.0, 7.0], TIGHT),
        UnaryOp::Tan => (&[-1.0, 0.0, 0.4, 2.5], TIGHT),
        UnaryOp::Asin | UnaryOp::Acos => (&[-0.8, -0.1, 0.0, 0.6], TIGHT),
        UnaryOp::Atan | UnaryOp::Tanh => (&[-3.0, -0.2, 0.0, 0.5, 4.0], TIGHT),
        UnaryOp::Sinh | UnaryOp::Cosh => (&[-2.0, -0.1, 0.0, 1.5], TIGHT),
        UnaryOp::Lgamma | UnaryOp::Polygamma(_) => (&[0.6, 1.0, 2.5, 9.0, 40.0], SPECIAL),
        UnaryOp::Erf | UnaryOp::Erfc => (&[-2.0, -0.3, 0.0, 0.4, 1.7], SPECIAL),
        UnaryOp::NormalCdf => (&[-3.0, -0.6, 0.0, 1.1, 2.5], SPECIAL),
        UnaryOp::NormalLogCdf => (&[-25.0, -3.0, -0.6, 0.0, 2.5], SPECIAL),
        UnaryOp::NormalQuantile => (&[0.1, 0.35, 0.5, 0.8], SPECIAL),
        UnaryOp::LogBesselI0 | UnaryOp::BesselRatio => (&[0.3, 1.0, 5.0, 20.0], SPECIAL),
        UnaryOp::Not => (&[-1.0, 2.0], TIGHT),
    }
}

/// How the operands of a row are made.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Operands {
    /// Both move.
    Both,
    /// Only the second moves.
    Second,
    /// Both move and are truncated to integers.
    Integers,
}

/// Points `(a, b)` of the domain.
fn binary_row(op: BinaryOp) -> (&'static [(f64, f64)], Operands, Tolerance) {
    let anywhere: &[(f64, f64)] = &[(-2.0, 0.7), (0.5, 1.4), (3.0, -2.0)];
    let positive: &[(f64, f64)] = &[(0.7, 0.4), (2.3, 1.6), (1.2, 5.0)];
    match op {
        BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::ZeroMul | BinaryOp::Div => {
            (anywhere, Operands::Both, TIGHT)
        }
        BinaryOp::Min | BinaryOp::Max | BinaryOp::Atan2 | BinaryOp::LogAddExp => {
            (anywhere, Operands::Both, TIGHT)
        }
        BinaryOp::Lt
        | BinaryOp::Le
        | BinaryOp::Eq
        | BinaryOp::Ne
        | BinaryOp::And
        | BinaryOp::Or => (anywhere, Operands::Both, TIGHT),
        BinaryOp::Pow | BinaryOp::XLogY | BinaryOp::XLog1pY => (positive, Operands::Both, TIGHT),
        BinaryOp::Lbeta => (positive, Operands::Both, SPECIAL),
        BinaryOp::GammaP | BinaryOp::GammaQ | BinaryOp::LogGammaP | BinaryOp::LogGammaQ => {
            (positive, Operands::Both, SPECIAL)
        }
        // No third derivative in a shape, none at all in the order.
        BinaryOp::GammaPShape(_) | BinaryOp::LogBesselI | BinaryOp::LogBesselK => {
            (positive, Operands::Second, SPECIAL)
        }
        BinaryOp::OwensT | BinaryOp::SkewNormalCdf => (anywhere, Operands::Both, SPECIAL),
        BinaryOp::RandomBits | BinaryOp::GammaDraw | BinaryOp::PoissonDraw => {
            unreachable!("random numbers have no derivative")
        }
        BinaryOp::IntDiv | BinaryOp::Rem => {
            (&[(7.5, 2.5), (-9.4, 4.5), (12.5, 5.5)], Operands::Integers, TIGHT)
        }
    }
}

fn real(b: &mut Builder, y: ValueId) -> ValueId {
    if b.ty(y).dtype == DType::Real { y } else { b.add(Op::Convert(DType::Real), [y].as_slice()) }
}

fn check_unary(op: UnaryOp) {
    let (points, tolerance) = unary_row(op);
    let f = function(points.len(), |b, x| {
        let y = b.unary(op, x);
        vec![real(b, y)]
    });
    check(&format!("{op:?}"), &f, points, tolerance);
    for &point in points {
        let f = function(1, |b, x| {
            let x = b.reshape(x, &[]);
            let y = b.unary(op, x);
            vec![real(b, y)]
        });
        check(&format!("{op:?} at {point}"), &f, &[point], tolerance);
    }
}

/// `op(a, b)` of the two halves of the input; an operand of `width` 1 is a scalar.
fn binary_function(op: BinaryOp, width: [usize; 2], fixed: Option<&[f64]>, ints: bool) -> Function {
    let [n, m] = width;
    let moving = if fixed.is_some() { m } else { n + m };
    function(moving, |b, x| {
        let start = moving - m;
        let mut args = [x; 2];
        args[0] = match fixed {
            Some(values) => b.tensor(super::vector(values)),
            None => b.slice(x, &[0], &[n]),
        };
        args[1] = b.slice(x, &[start], &[moving]);
        for (arg, n) in args.iter_mut().zip(width) {
            if n == 1 {
                *arg = b.reshape(*arg, &[]);
            }
            if ints {
                *arg = b.add(Op::Convert(DType::Int), [*arg].as_slice());
            }
        }
        let y = b.binary(op, args[0], args[1]);
        vec![real(b, y)]
    })
}

fn check_binary(op: BinaryOp) {
    let (points, operands, tolerance) = binary_row(op);
    let (a, b): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    // Both arrays, a scalar on either side, both scalars.
    for (a, b) in [(&a[..], &b[..]), (&a[1..2], &b[..]), (&a[..], &b[1..2]), (&a[1..2], &b[1..2])] {
        let fixed = (operands == Operands::Second).then_some(a);
        let width = [a.len(), b.len()];
        let f = binary_function(op, width, fixed, operands == Operands::Integers);
        let x = if fixed.is_some() { b.to_vec() } else { [a, b].concat() };
        check(&format!("{op:?} {width:?}"), &f, &x, tolerance);
    }
}

#[test]
fn unary_operations() {
    for &op in UnaryOp::all() {
        check_unary(op);
    }
    for order in 1..=3 {
        check_unary(UnaryOp::Polygamma(order));
    }
}

#[test]
fn binary_operations() {
    for &op in BinaryOp::all().iter().filter(|op| !op.is_random()) {
        check_binary(op);
    }
}

#[test]
fn ternary_operations() {
    for &op in TernaryOp::all().iter().filter(|op| **op != TernaryOp::BinomialDraw) {
        // Exhaustive, so that a new operation does not go without a row.
        match op {
            TernaryOp::Select => select(),
            TernaryOp::IncBeta | TernaryOp::LogIncBeta => inc_beta(op),
            TernaryOp::IncBetaShape(_) => inc_beta_in_its_argument(op),
            TernaryOp::BinomialDraw => unreachable!("random numbers have no derivative"),
        }
    }
}

/// A condition and branches of every mix of shapes, nested, on a condition that depends on the input.
fn select() {
    let x = [-0.7, 0.4, 1.3, -2.0];
    let f = function(4, |b, x| {
        let zero = b.scalar(0.0);
        let scalar = b.slice(x, &[1], &[2]);
        let scalar = b.reshape(scalar, &[]);
        let condition = b.binary(BinaryOp::Lt, zero, x);
        let of_scalar = b.binary(BinaryOp::Lt, zero, scalar);
        let e = b.unary(UnaryOp::Exp, x);
        let s = b.unary(UnaryOp::Sin, scalar);
        let inner = b.select(condition, e, s);
        let one = b.scalar(1.0);
        let steep = b.binary(BinaryOp::Lt, one, inner);
        let log = b.unary(UnaryOp::Log, x);
        vec![
            inner,
            b.select(steep, log, inner),
            b.select(of_scalar, x, e),
            b.select(of_scalar, scalar, e),
            b.select(condition, scalar, s),
            b.select(of_scalar, s, scalar),
        ]
    });
    check("select", &f, &x, TIGHT);
}

fn inc_beta(op: TernaryOp) {
    let f = function(9, |b, x| {
        let part = |b: &mut Builder, i: usize| b.slice(x, &[3 * i], &[3 * i + 3]);
        let [alpha, beta, point] = [part(b, 0), part(b, 1), part(b, 2)];
        let scalar = b.slice(alpha, &[0], &[1]);
        let scalar = b.reshape(scalar, &[]);
        let op = Op::Ternary(op);
        vec![
            b.add(op.clone(), [alpha, beta, point].as_slice()),
            b.add(op.clone(), [scalar, beta, point].as_slice()),
            b.add(op, [beta, scalar, point].as_slice()),
        ]
    });
    check(op.name(), &f, &[0.7, 3.0, 1.3, 2.0, 1.5, 0.4, 0.2, 0.5, 0.85], SPECIAL);
}

/// Derivatives in the shapes: there is no third one, so only the point moves.
fn inc_beta_in_its_argument(op: TernaryOp) {
    for (alpha, beta) in [(0.7, 2.0), (3.0, 1.5)] {
        let f = function(3, |b, x| {
            let (alpha, beta) = (b.scalar(alpha), b.scalar(beta));
            vec![b.add(Op::Ternary(op), [alpha, beta, x].as_slice())]
        });
        check(op.name(), &f, &[0.2, 0.5, 0.85], SPECIAL);
    }
}
