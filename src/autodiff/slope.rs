//! The derivatives of elementwise functions: of those of one operand in one exhaustive match, of the
//! special functions of several operands one by one.

use std::f64::consts::{FRAC_2_SQRT_PI, PI};

use crate::ir::{BinaryOp, Builder, TernaryOp, UnaryOp, ValueId};
use crate::special::ShapeDerivative;

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

/// `d/dx P(a, x) = x^(a−1) e^(−x) / Γ(a)`.
pub(super) fn gamma_density(b: &mut Builder, a: ValueId, x: ValueId) -> ValueId {
    let one = b.scalar(1.0);
    let less = b.minus(a, one);
    let top = b.binary(BinaryOp::XLogY, less, x);
    let top = b.minus(top, x);
    let norm = b.unary(UnaryOp::Lgamma, a);
    let log = b.minus(top, norm);
    b.unary(UnaryOp::Exp, log)
}

/// The derivative in `x` of one of `P(a, x)` in `a`: the density times its score, or what twice gives.
pub(super) fn gamma_density_shape(
    b: &mut Builder,
    which: ShapeDerivative,
    a: ValueId,
    x: ValueId,
) -> ValueId {
    let density = gamma_density(b, a, x);
    let log = b.unary(UnaryOp::Log, x);
    let digamma = b.unary(UnaryOp::Polygamma(0), a);
    let score = b.minus(log, digamma);
    let factor = if which == ShapeDerivative::A {
        score
    } else {
        let square = b.unary(UnaryOp::Square, score);
        let information = b.unary(UnaryOp::Polygamma(1), a);
        b.minus(square, information)
    };
    b.binary(BinaryOp::ZeroMul, density, factor)
}

/// The derivative of the incomplete beta function, or of a derivative of it, in one more shape; `None`
/// after two.
pub(super) fn inc_beta_by(op: TernaryOp, by: ShapeDerivative) -> Option<TernaryOp> {
    use ShapeDerivative::{A, AA, AB, B, BB};
    let of = match (op, by) {
        (TernaryOp::IncBeta, by) => by,
        (TernaryOp::IncBetaShape(A), A) => AA,
        (TernaryOp::IncBetaShape(B), B) => BB,
        (TernaryOp::IncBetaShape(A), B) | (TernaryOp::IncBetaShape(B), A) => AB,
        _ => return None,
    };
    Some(TernaryOp::IncBetaShape(of))
}

/// The derivative in `x` of `Iₓ(α, β)`, or of a derivative of it in `α` and `β`.
pub(super) fn beta_density_shape(
    b: &mut Builder,
    op: TernaryOp,
    alpha: ValueId,
    beta: ValueId,
    x: ValueId,
) -> ValueId {
    // d/dx I_x(a, b) = x^(a−1) (1−x)^(b−1) / B(a, b).
    let one = b.scalar(1.0);
    let (a1, b1) = (b.minus(alpha, one), b.minus(beta, one));
    let minus_x = b.negate(x);
    let left = b.binary(BinaryOp::XLogY, a1, x);
    let right = b.binary(BinaryOp::XLog1pY, b1, minus_x);
    let norm = b.binary(BinaryOp::Lbeta, alpha, beta);
    let log = b.plus(left, right);
    let log = b.minus(log, norm);
    let density = b.unary(UnaryOp::Exp, log);
    let TernaryOp::IncBetaShape(which) = op else { return density };
    let sum = b.plus(alpha, beta);
    let score = |b: &mut Builder, of: ValueId, log: ValueId| {
        let (all, own) = (b.unary(UnaryOp::Polygamma(0), sum), b.unary(UnaryOp::Polygamma(0), of));
        let norm = b.minus(all, own);
        b.plus(log, norm)
    };
    let log_x = b.unary(UnaryOp::Log, x);
    let log_rest = b.unary(UnaryOp::Log1p, minus_x);
    let (by_a, by_b) = (score(b, alpha, log_x), score(b, beta, log_rest));
    let information = b.unary(UnaryOp::Polygamma(1), sum);
    let twice = |b: &mut Builder, s: ValueId, t: ValueId, own: Option<ValueId>| {
        let product = b.times(s, t);
        let product = b.plus(product, information);
        match own {
            Some(own) => {
                let own = b.unary(UnaryOp::Polygamma(1), own);
                b.minus(product, own)
            }
            None => product,
        }
    };
    let factor = match which {
        ShapeDerivative::A => by_a,
        ShapeDerivative::B => by_b,
        ShapeDerivative::AA => twice(b, by_a, by_a, Some(alpha)),
        ShapeDerivative::AB => twice(b, by_a, by_b, None),
        ShapeDerivative::BB => twice(b, by_b, by_b, Some(beta)),
    };
    b.binary(BinaryOp::ZeroMul, density, factor)
}

/// `d/dx log I_ν(x) = I_{ν+1}/I_ν + ν/x` and `d/dx log K_ν(x) = −K_{ν+1}/K_ν + ν/x`; `y` is the value.
pub(super) fn log_bessel(
    b: &mut Builder,
    op: BinaryOp,
    nu: ValueId,
    x: ValueId,
    y: ValueId,
) -> ValueId {
    let one = b.scalar(1.0);
    let next = b.plus(nu, one);
    let next = b.binary(op, next, x);
    let gap = b.minus(next, y);
    let ratio = b.unary(UnaryOp::Exp, gap);
    let power = b.over(nu, x);
    if op == BinaryOp::LogBesselI { b.plus(power, ratio) } else { b.minus(power, ratio) }
}

/// `∂T(h, a)/∂h = −φ(h) (Φ(ah) − ½)`.
pub(super) fn owens_t_h(b: &mut Builder, h: ValueId, a: ValueId) -> ValueId {
    let product = b.times(a, h);
    let scaled = b.scaled(std::f64::consts::FRAC_1_SQRT_2, product);
    let erf = b.unary(UnaryOp::Erf, scaled);
    let density = normal_density(b, h);
    let d = b.times(density, erf);
    b.scaled(-0.5, d)
}

/// `∂T(h, a)/∂a = exp(−h² (1 + a²)/2) / (2π (1 + a²))`.
pub(super) fn owens_t_a(b: &mut Builder, h: ValueId, a: ValueId) -> ValueId {
    let one = b.scalar(1.0);
    let square = b.unary(UnaryOp::Square, a);
    let size = b.plus(one, square);
    let h_square = b.unary(UnaryOp::Square, h);
    let exponent = b.times(h_square, size);
    let exponent = b.scaled(-0.5, exponent);
    let e = b.unary(UnaryOp::Exp, exponent);
    let d = b.over(e, size);
    b.scaled(0.5 / PI, d)
}

/// The standard skew normal density `2 φ(z) Φ(αz)`.
pub(super) fn skew_normal_density(b: &mut Builder, z: ValueId, alpha: ValueId) -> ValueId {
    let density = normal_density(b, z);
    let product = b.times(alpha, z);
    let cdf = b.unary(UnaryOp::NormalCdf, product);
    let d = b.times(density, cdf);
    b.scaled(2.0, d)
}

fn normal_density(b: &mut Builder, z: ValueId) -> ValueId {
    let square = b.unary(UnaryOp::Square, z);
    let exponent = b.scaled(-0.5, square);
    let e = b.unary(UnaryOp::Exp, exponent);
    b.scaled(1.0 / (2.0 * PI).sqrt(), e)
}
