//! Bounds on the values of an expression, as far as its form shows them.

use crate::ir::{BinaryOp, Builder, Op, UnaryOp, ValueId};

/// How deep to look.
const DEPTH: usize = 6;

const ALL: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

/// Least and largest value that `a` can have wherever it is not NaN; infinite where unknown.
pub(super) fn range(b: &Builder, a: ValueId) -> (f64, f64) {
    within(b, a, DEPTH)
}

fn within(b: &Builder, a: ValueId, depth: usize) -> (f64, f64) {
    if depth == 0 {
        return ALL;
    }
    let inst = b.inst(a);
    let of = |i: usize| within(b, inst.args[i], depth - 1);
    match &inst.op {
        Op::Const(t) if t.data.iter().all(|x| !x.is_nan()) => t
            .data
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), &x| (lo.min(x), hi.max(x))),
        Op::Broadcast { .. } | Op::Reshape(_) | Op::Transpose(_) | Op::Slice { .. } => of(0),
        Op::Unary(op) => match op {
            UnaryOp::Exp
            | UnaryOp::Square
            | UnaryOp::Abs
            | UnaryOp::Sqrt
            | UnaryOp::Cosh
            | UnaryOp::Log1pExp => (0.0, f64::INFINITY),
            UnaryOp::InvLogit | UnaryOp::NormalCdf => (0.0, 1.0),
            UnaryOp::Tanh | UnaryOp::Sin | UnaryOp::Cos | UnaryOp::Erf => (-1.0, 1.0),
            UnaryOp::Expm1 => (-1.0, f64::INFINITY),
            UnaryOp::Neg => {
                let (lo, hi) = of(0);
                (-hi, -lo)
            }
            _ => ALL,
        },
        Op::Binary(BinaryOp::Add) => {
            let ((lo, hi), (lo2, hi2)) = (of(0), of(1));
            // Unequal infinities make NaN, of which nothing is claimed; a bound must stay a number.
            let sum = |x: f64, y: f64, unknown: f64| {
                if x.is_finite() && y.is_finite() { x + y } else { unknown }
            };
            (sum(lo, lo2, f64::NEG_INFINITY), sum(hi, hi2, f64::INFINITY))
        }
        Op::Binary(BinaryOp::Mul) => {
            let ((lo, hi), (lo2, hi2)) = (of(0), of(1));
            let product = lo >= 0.0 && lo2 >= 0.0 && hi.is_finite() && hi2.is_finite();
            if product {
                (0.0, hi * hi2)
            } else if lo >= 0.0 && lo2 >= 0.0 {
                (0.0, f64::INFINITY)
            } else {
                ALL
            }
        }
        Op::Binary(BinaryOp::Div) => {
            let (lo, lo2) = (of(0).0, of(1).0);
            if lo >= 0.0 && lo2 >= 0.0 { (0.0, f64::INFINITY) } else { ALL }
        }
        Op::Sum(_) => {
            if of(0).0 >= 0.0 {
                (0.0, f64::INFINITY)
            } else {
                ALL
            }
        }
        _ => ALL,
    }
}
