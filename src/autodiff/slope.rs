//! The derivatives of elementwise functions: of those of one operand in one exhaustive match, of the
//! special functions of several operands one by one.

use std::f64::consts::{FRAC_2_SQRT_PI, PI};

use crate::ir::{BinaryOp, Builder, Op, TernaryOp, UnaryOp, ValueId};
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

/// With its sign, the density `x^(a − less) e^(−x) / Γ(a)` of an incomplete gamma function `op`, whose value
/// is `y`: by `log x` if `less` is 0, by `x` if it is 1. Of a logarithm it is relative to the tail.
fn gamma_density(
    b: &mut Builder,
    op: BinaryOp,
    less: f64,
    a: ValueId,
    x: ValueId,
    y: ValueId,
) -> ValueId {
    let less = b.scalar(less);
    let power = b.minus(a, less);
    let log = b.binary(BinaryOp::XLogY, power, x);
    let log = b.minus(log, x);
    let norm = b.unary(UnaryOp::Lgamma, a);
    let mut log = b.minus(log, norm);
    if matches!(op, BinaryOp::LogGammaP | BinaryOp::LogGammaQ) {
        log = b.minus(log, y);
    }
    let d = b.unary(UnaryOp::Exp, log);
    if matches!(op, BinaryOp::GammaP | BinaryOp::LogGammaP) { d } else { b.negate(d) }
}

/// The derivative in `x` of `P(a, x)`, `Q(a, x)` or a logarithm of them, `y`.
pub(super) fn gamma_tail(
    b: &mut Builder,
    op: BinaryOp,
    a: ValueId,
    x: ValueId,
    y: ValueId,
) -> ValueId {
    gamma_density(b, op, 1.0, a, x, y)
}

/// The derivative in `a` of the same.
pub(super) fn gamma_tail_by_shape(
    b: &mut Builder,
    op: BinaryOp,
    a: ValueId,
    x: ValueId,
    y: ValueId,
) -> ValueId {
    let d = gamma_density(b, op, 0.0, a, x, y);
    let share = b.binary(BinaryOp::GammaPShape(ShapeDerivative::A), a, x);
    b.binary(BinaryOp::ZeroMul, d, share)
}

/// `log x − ψ(a)`, the score of the gamma density in `a`.
fn gamma_score(b: &mut Builder, a: ValueId, x: ValueId) -> ValueId {
    let log = b.unary(UnaryOp::Log, x);
    let digamma = b.unary(UnaryOp::Polygamma(0), a);
    b.minus(log, digamma)
}

/// The derivative in `a` of `j = P_a/d`, `d` the density by `log x`: `P_aa/d − j score`.
pub(super) fn gamma_shape_by_shape(b: &mut Builder, a: ValueId, x: ValueId, j: ValueId) -> ValueId {
    let second = b.binary(BinaryOp::GammaPShape(ShapeDerivative::AA), a, x);
    let score = gamma_score(b, a, x);
    let part = b.times(j, score);
    b.minus(second, part)
}

/// The derivative in `x` of `j = P_a/d` or `P_aa/d`: `(w − j (a − x))/x`, where `w` is the score, or what
/// twice gives.
pub(super) fn gamma_shape(
    b: &mut Builder,
    which: ShapeDerivative,
    a: ValueId,
    x: ValueId,
    j: ValueId,
) -> ValueId {
    let score = gamma_score(b, a, x);
    let weight = if which == ShapeDerivative::A {
        score
    } else {
        let square = b.unary(UnaryOp::Square, score);
        let information = b.unary(UnaryOp::Polygamma(1), a);
        b.minus(square, information)
    };
    let gap = b.minus(a, x);
    let part = b.times(j, gap);
    let top = b.minus(weight, part);
    b.over(top, x)
}

/// The operands of an incomplete beta function or of a derivative of it.
pub(super) struct Beta {
    pub(super) alpha: ValueId,
    pub(super) beta: ValueId,
    pub(super) x: ValueId,
}

impl Beta {
    /// `x^a (1 − x)^b / B(a, b)`, the density by `logit x`, with `less` taken off both powers; over what
    /// `tail` is the logarithm of, if there is one.
    fn density(&self, b: &mut Builder, less: f64, tail: Option<ValueId>) -> ValueId {
        let less = b.scalar(less);
        let (left, right) = (b.minus(self.alpha, less), b.minus(self.beta, less));
        let minus_x = b.negate(self.x);
        let left = b.binary(BinaryOp::XLogY, left, self.x);
        let right = b.binary(BinaryOp::XLog1pY, right, minus_x);
        let norm = b.binary(BinaryOp::Lbeta, self.alpha, self.beta);
        let log = b.plus(left, right);
        let log = b.minus(log, norm);
        let log = match tail {
            Some(tail) => b.minus(log, tail),
            None => log,
        };
        b.unary(UnaryOp::Exp, log)
    }

    /// The derivative of the logarithm of the density in a shape.
    fn score(&self, b: &mut Builder, by: ShapeDerivative) -> ValueId {
        let (own, log) = if by == ShapeDerivative::A {
            (self.alpha, b.unary(UnaryOp::Log, self.x))
        } else {
            let minus_x = b.negate(self.x);
            (self.beta, b.unary(UnaryOp::Log1p, minus_x))
        };
        let sum = b.plus(self.alpha, self.beta);
        let (all, own) = (b.unary(UnaryOp::Polygamma(0), sum), b.unary(UnaryOp::Polygamma(0), own));
        let norm = b.minus(all, own);
        b.plus(log, norm)
    }

    /// What a derivative of the density in the shapes is, over the density.
    fn weight(&self, b: &mut Builder, which: ShapeDerivative) -> ValueId {
        use ShapeDerivative::{A, AA, AB, B, BB};
        let (first, second, own) = match which {
            A | B => return self.score(b, which),
            AA => (A, A, Some(self.alpha)),
            AB => (A, B, None),
            BB => (B, B, Some(self.beta)),
        };
        let (first, second) = (self.score(b, first), self.score(b, second));
        let product = b.times(first, second);
        let sum = b.plus(self.alpha, self.beta);
        let information = b.unary(UnaryOp::Polygamma(1), sum);
        let product = b.plus(product, information);
        match own {
            Some(own) => {
                let own = b.unary(UnaryOp::Polygamma(1), own);
                b.minus(product, own)
            }
            None => product,
        }
    }

    fn shape(&self, b: &mut Builder, which: ShapeDerivative) -> ValueId {
        let op = Op::Ternary(TernaryOp::IncBetaShape(which));
        b.add(op, [self.alpha, self.beta, self.x].as_slice())
    }

    /// The derivative of `op`, whose value is `y`, in one of the shapes; `None` after two.
    pub(super) fn by_shape(
        &self,
        b: &mut Builder,
        op: TernaryOp,
        by: ShapeDerivative,
        y: ValueId,
    ) -> Option<ValueId> {
        use ShapeDerivative::{A, AA, AB, B, BB};
        let TernaryOp::IncBetaShape(which) = op else {
            let d = self.density(b, 0.0, (op == TernaryOp::LogIncBeta).then_some(y));
            let share = self.shape(b, by);
            return Some(b.binary(BinaryOp::ZeroMul, d, share));
        };
        let next = match (which, by) {
            (A, A) => AA,
            (B, B) => BB,
            (A, B) | (B, A) => AB,
            _ => return None,
        };
        // (k/d)' = k'/d − k/d d'/d
        let next = self.shape(b, next);
        let score = self.score(b, by);
        let part = b.times(y, score);
        Some(b.minus(next, part))
    }

    /// The derivative of `op`, whose value is `y`, in `x`.
    pub(super) fn by_point(&self, b: &mut Builder, op: TernaryOp, y: ValueId) -> ValueId {
        let which = match op {
            TernaryOp::IncBetaShape(which) => which,
            _ => return self.density(b, 1.0, (op == TernaryOp::LogIncBeta).then_some(y)),
        };
        // (w − k (α (1 − x) − β x)) / (x (1 − x))
        let one = b.scalar(1.0);
        let rest = b.minus(one, self.x);
        let (left, right) = (b.times(self.alpha, rest), b.times(self.beta, self.x));
        let gap = b.minus(left, right);
        let part = b.times(y, gap);
        let weight = self.weight(b, which);
        let top = b.minus(weight, part);
        let bottom = b.times(self.x, rest);
        b.over(top, bottom)
    }
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
