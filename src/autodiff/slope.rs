//! The derivative of each elementwise function of one operand: one exhaustive match.

use std::f64::consts::{FRAC_2_SQRT_PI, PI};

use crate::ir::{BinaryOp, Builder, UnaryOp, ValueId};

/// What a cotangent is multiplied by.
pub(super) enum Slope {
    /// −1.
    Minus,
    /// A value.
    Times(ValueId),
}

/// The derivative of an elementwise function at `a`, where it takes the value `y`; `None` when 0.
pub(super) fn unary_slope(b: &mut Builder, op: UnaryOp, a: ValueId, y: ValueId) -> Option<Slope> {
    let recip = |b: &mut Builder, x: ValueId| {
        let one = b.scalar(1.0);
        b.over(one, x)
    };
    let one_minus_square = |b: &mut Builder, x: ValueId| {
        let one = b.scalar(1.0);
        let square = b.unary(UnaryOp::Square, x);
        b.minus(one, square)
    };
    // c exp(−k x²)
    let gauss = |b: &mut Builder, c: f64, k: f64, x: ValueId| {
        let square = b.unary(UnaryOp::Square, x);
        let exponent = b.scaled(-k, square);
        let e = b.unary(UnaryOp::Exp, exponent);
        b.scaled(c, e)
    };
    let normal = 1.0 / (2.0 * PI).sqrt();
    let slope = match op {
        UnaryOp::Neg => return Some(Slope::Minus),
        UnaryOp::Sign | UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Round | UnaryOp::Not => {
            return None;
        }
        UnaryOp::Abs => b.unary(UnaryOp::Sign, a),
        UnaryOp::Square => b.scaled(2.0, a),
        UnaryOp::Sqrt => {
            let half = b.scalar(0.5);
            b.over(half, y)
        }
        UnaryOp::Exp => y,
        UnaryOp::Expm1 => b.unary(UnaryOp::Exp, a),
        UnaryOp::Log => recip(b, a),
        UnaryOp::Log1p => {
            let one = b.scalar(1.0);
            let bottom = b.plus(one, a);
            recip(b, bottom)
        }
        UnaryOp::Log1pExp => b.unary(UnaryOp::InvLogit, a),
        UnaryOp::Log1mExp => {
            let minus = b.negate(a);
            let bottom = b.unary(UnaryOp::Expm1, minus);
            let bottom = b.negate(bottom);
            recip(b, bottom)
        }
        UnaryOp::InvLogit => {
            // y (1 − y), without losing the right tail.
            let minus = b.negate(a);
            let other = b.unary(UnaryOp::InvLogit, minus);
            b.times(y, other)
        }
        UnaryOp::Sin => b.unary(UnaryOp::Cos, a),
        UnaryOp::Cos => {
            let s = b.unary(UnaryOp::Sin, a);
            b.negate(s)
        }
        UnaryOp::Tan => {
            let one = b.scalar(1.0);
            let square = b.unary(UnaryOp::Square, y);
            b.plus(one, square)
        }
        UnaryOp::Asin | UnaryOp::Acos => {
            let gap = one_minus_square(b, a);
            let root = b.unary(UnaryOp::Sqrt, gap);
            let d = recip(b, root);
            if op == UnaryOp::Asin { d } else { b.negate(d) }
        }
        UnaryOp::Atan => {
            let one = b.scalar(1.0);
            let square = b.unary(UnaryOp::Square, a);
            let bottom = b.plus(one, square);
            recip(b, bottom)
        }
        UnaryOp::Sinh => b.unary(UnaryOp::Cosh, a),
        UnaryOp::Cosh => b.unary(UnaryOp::Sinh, a),
        UnaryOp::Tanh => one_minus_square(b, y),
        UnaryOp::Lgamma => b.unary(UnaryOp::Polygamma(0), a),
        UnaryOp::Polygamma(n) => b.unary(UnaryOp::Polygamma(n + 1), a),
        UnaryOp::Erf => gauss(b, FRAC_2_SQRT_PI, 1.0, a),
        UnaryOp::Erfc => gauss(b, -FRAC_2_SQRT_PI, 1.0, a),
        UnaryOp::NormalCdf => gauss(b, normal, 0.5, a),
        UnaryOp::NormalLogCdf => {
            // φ(a) / Φ(a) through logarithms: both underflow in the left tail.
            let square = b.unary(UnaryOp::Square, a);
            let exponent = b.scaled(-0.5, square);
            let exponent = b.minus(exponent, y);
            let e = b.unary(UnaryOp::Exp, exponent);
            b.scaled(normal, e)
        }
        UnaryOp::NormalQuantile => {
            let square = b.unary(UnaryOp::Square, y);
            let exponent = b.scaled(0.5, square);
            let e = b.unary(UnaryOp::Exp, exponent);
            b.scaled(1.0 / normal, e)
        }
        UnaryOp::LogBesselI0 => b.unary(UnaryOp::BesselRatio, a),
        UnaryOp::BesselRatio => {
            // A' = 1 − A / a − A² for A = I₁ / I₀; A / a is 1/2 at 0.
            let (zero, half) = (b.scalar(0.0), b.scalar(0.5));
            let at_zero = b.binary(BinaryOp::Eq, a, zero);
            let q = b.over(y, a);
            let q = b.select(at_zero, half, q);
            let gap = one_minus_square(b, y);
            b.minus(gap, q)
        }
    };
    Some(Slope::Times(slope))
}
