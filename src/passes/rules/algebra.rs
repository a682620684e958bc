//! Elementwise rules.

use crate::ir::{BinaryOp, Builder, DType, Op, Shape, Tensor, TernaryOp, Type, UnaryOp, ValueId};

use super::range::range;
use super::{Rule, as_type, binary, is_binary, is_unary, moderate, result_type, splat, unary};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "0 + x → x; 1 x → x; −1 x → −x; x − 0 → x; 0 − x → −x; x / 1 → x",
        apply: neutral,
    },
    Rule { name: "0 n → 0 for integers, which cannot be infinite", apply: zero_times_integer },
    Rule { name: "a + (−b) → a − b and its kin", apply: signs },
    Rule {
        name: "−(−x) → x; −(a − b) → b − a; −(c x) → (−c) x", apply: negation
    },
    Rule { name: "c (d x) → (c d) x; c + (d + x) → (c + d) + x", apply: constants_together },
    Rule { name: "x / c → (1/c) x", apply: divide_by_constant },
    Rule { name: "x / spread s → x spread(1/s)", apply: divide_by_spread },
    Rule { name: "x x → x²", apply: square },
    Rule {
        name: "x^c → products and roots for c = 0, 1, 2, 3, ½, −1, −2, −½", apply: power
    },
    Rule { name: "log(exp x) → x and its kin", apply: inverses },
    Rule { name: "log(1 + x) → log1p x and its kin", apply: stable_forms },
    Rule {
        name: "x − c → −c + x; −(c + x) → −c − x; constants of scalar sums go left",
        apply: offsets,
    },
    Rule {
        name: "zero_mul of what is not 0, or with a finite constant → product",
        apply: zero_mul,
    },
    Rule { name: "(−x)² → x², |−x| → |x|", apply: even },
    Rule {
        name: "comparison that the operands' ranges decide; and, or with a constant",
        apply: decided,
    },
    Rule { name: "select of a constant, or of twice the same", apply: select },
    Rule { name: "conversion to the same type", apply: convert },
];

fn neutral(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let Op::Binary(op) = op else { return None };
    let ty = result_type(b, &Op::Binary(*op), args)?;
    let (x, y) = (args[0], args[1]);
    let negated = |b: &mut Builder, x: ValueId| {
        let x = as_type(b, x, &ty)?;
        Some(unary(b, UnaryOp::Neg, x))
    };
    match (op, splat(b, x), splat(b, y)) {
        (BinaryOp::Add, Some(0.0), _) | (BinaryOp::Mul, Some(1.0), _) => as_type(b, y, &ty),
        (BinaryOp::Sub, _, Some(0.0)) | (BinaryOp::Div, _, Some(1.0)) => as_type(b, x, &ty),
        (BinaryOp::Mul, Some(-1.0), _) | (BinaryOp::Sub, Some(0.0), _) => negated(b, y),
        (BinaryOp::Div, _, Some(-1.0)) => negated(b, x),
        _ => None,
    }
}

fn zero_times_integer(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    if *op != Op::Binary(BinaryOp::Mul) || splat(b, args[0]) != Some(0.0) {
        return None;
    }
    let ty = result_type(b, op, args)?;
    let integer = b.ty(args[1]).dtype != DType::Real;
    if integer { as_type(b, args[0], &ty) } else { None }
}

fn signs(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let Op::Binary(op) = op else { return None };
    let (x, y) = (args[0], args[1]);
    let (minus_x, minus_y) = (is_unary(b, x, UnaryOp::Neg), is_unary(b, y, UnaryOp::Neg));
    match (op, minus_x, minus_y) {
        (BinaryOp::Add, _, Some(y)) => Some(binary(b, BinaryOp::Sub, x, y)),
        (BinaryOp::Add, Some(x), _) => Some(binary(b, BinaryOp::Sub, y, x)),
        (BinaryOp::Sub, _, Some(y)) => Some(binary(b, BinaryOp::Add, x, y)),
        (BinaryOp::Mul | BinaryOp::Div, Some(x), Some(y)) => Some(binary(b, *op, x, y)),
        (BinaryOp::Mul, None, Some(y)) => {
            let c = splat(b, x).filter(|_| b.ty(x).dtype == DType::Real)?;
            let (shape, c) = (b.shape(x), b.scalar(-c));
            let c = b.expand(c, &shape);
            Some(binary(b, BinaryOp::Mul, c, y))
        }
        _ => None,
    }
}

fn negation(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    if *op != Op::Unary(UnaryOp::Neg) {
        return None;
    }
    let ty = result_type(b, op, args)?;
    if let Some(x) = is_unary(b, args[0], UnaryOp::Neg) {
        return as_type(b, x, &ty);
    }
    if let Some((x, y)) = is_binary(b, args[0], BinaryOp::Sub) {
        return Some(binary(b, BinaryOp::Sub, y, x));
    }
    let (c, x) = is_binary(b, args[0], BinaryOp::Mul)?;
    let value = splat(b, c).filter(|_| b.ty(c).dtype == DType::Real)?;
    let (shape, c) = (b.shape(c), b.scalar(-value));
    let c = b.expand(c, &shape);
    Some(binary(b, BinaryOp::Mul, c, x))
}

fn constants_together(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let Op::Binary(op @ (BinaryOp::Mul | BinaryOp::Add)) = op else { return None };
    let ty = result_type(b, &Op::Binary(*op), args)?;
    let c = splat(b, args[0])?;
    let (d, x) = is_binary(b, args[1], *op)?;
    let d = splat(b, d)?;
    let cd = if *op == BinaryOp::Mul { c * d } else { c + d };
    let fits = *op == BinaryOp::Add || [c, d, cd].into_iter().all(moderate);
    if ty.dtype != DType::Real || !fits || !cd.is_finite() {
        return None;
    }
    let cd = b.scalar(cd);
    let x = as_type(b, x, &ty)?;
    Some(binary(b, *op, cd, x))
}

fn divide_by_constant(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    if *op != Op::Binary(BinaryOp::Div) {
        return None;
    }
    let ty = result_type(b, op, args)?;
    let c = splat(b, args[1]).filter(|&c| moderate(c))?;
    let inverse = b.scalar(1.0 / c);
    let x = as_type(b, args[0], &ty)?;
    Some(binary(b, BinaryOp::Mul, inverse, x))
}

/// One division in place of many. The inverse of a subnormal number overflows: there, and only there, a
/// finite quotient may become infinite or NaN.
fn divide_by_spread(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    if *op != Op::Binary(BinaryOp::Div) {
        return None;
    }
    let ty = result_type(b, op, args)?;
    if let Op::Const(c) = &b.inst(args[1]).op
        && c.data.iter().all(|&c| moderate(c))
    {
        let inverse: Vec<f64> = c.data.iter().map(|c| 1.0 / c).collect();
        let inverse = Tensor::new(Type::new(DType::Real, c.ty.shape.clone()), inverse);
        let inverse = b.tensor(inverse);
        return Some(binary(b, BinaryOp::Mul, args[0], inverse));
    }
    if b.ty(args[0]).rank() == 0 || splat(b, args[0]).is_some() || splat(b, args[1]).is_some() {
        return None;
    }
    let one = b.scalar(1.0);
    let inverse = match b.inst(args[1]).op.clone() {
        _ if b.ty(args[1]).rank() == 0 => binary(b, BinaryOp::Div, one, args[1]),
        Op::Broadcast { shape, axes } => {
            let source = b.inst(args[1]).args[0];
            if b.ty(source).len() >= ty.len() {
                return None;
            }
            let inverse = binary(b, BinaryOp::Div, one, source);
            b.broadcast(inverse, &shape, &axes)
        }
        _ => return None,
    };
    Some(binary(b, BinaryOp::Mul, args[0], inverse))
}

fn offsets(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let ty = result_type(b, op, args)?;
    if ty.dtype != DType::Real {
        return None;
    }
    // c + x with a constant scalar c.
    let offset = |b: &Builder, a: ValueId| {
        let (c, x) = is_binary(b, a, BinaryOp::Add)?;
        let c = splat(b, c).filter(|_| b.ty(c).rank() == 0)?;
        (b.ty(x).dtype == DType::Real && splat(b, x).is_none()).then_some((c, x))
    };
    match op {
        Op::Binary(BinaryOp::Sub) => {
            if let Some(c) = splat(b, args[1])
                && splat(b, args[0]).is_none()
            {
                let x = as_type(b, args[0], &ty)?;
                let c = b.scalar(-c);
                return Some(binary(b, BinaryOp::Add, c, x));
            }
            if ty.rank() > 0 {
                return None;
            }
            let (c, x, y) = match (offset(b, args[0]), offset(b, args[1])) {
                (Some((c, x)), _) => (c, x, args[1]),
                (_, Some((c, y))) => (-c, args[0], y),
                _ => return None,
            };
            let difference = binary(b, BinaryOp::Sub, x, y);
            let c = b.scalar(c);
            Some(binary(b, BinaryOp::Add, c, difference))
        }
        Op::Binary(BinaryOp::Add) if ty.rank() == 0 && splat(b, args[0]).is_none() => {
            let (c, x, y) = match (offset(b, args[0]), offset(b, args[1])) {
                (Some((c, x)), _) => (c, x, args[1]),
                (_, Some((c, y))) => (c, args[0], y),
                _ => return None,
            };
            let sum = binary(b, BinaryOp::Add, x, y);
            let c = b.scalar(c);
            Some(binary(b, BinaryOp::Add, c, sum))
        }
        Op::Unary(UnaryOp::Neg) => {
            let (c, x) = offset(b, args[0])?;
            let c = b.scalar(-c);
            Some(binary(b, BinaryOp::Sub, c, x))
        }
        _ => None,
    }
}

fn zero_mul(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    if *op != Op::Binary(BinaryOp::ZeroMul) {
        return None;
    }
    let ty = result_type(b, op, args)?;
    if splat(b, args[0]) == Some(0.0) {
        return as_type(b, args[0], &ty);
    }
    let finite = match &b.inst(args[1]).op {
        Op::Const(t) => t.data.iter().all(|x| x.is_finite()),
        _ => splat(b, args[1]).is_some_and(f64::is_finite),
    };
    let (lo, hi) = range(b, args[0]);
    (finite || lo > 0.0 || hi < 0.0).then(|| binary(b, BinaryOp::Mul, args[0], args[1]))
}

fn decided(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let Op::Binary(op) = op else { return None };
    let ty = result_type(b, &Op::Binary(*op), args)?;
    let known = match op {
        // Where an operand is NaN nothing downstream is finite, whatever the answer.
        BinaryOp::Lt | BinaryOp::Le => {
            let ((lo, hi), (lo2, hi2)) = (range(b, args[0]), range(b, args[1]));
            let strict = *op == BinaryOp::Lt;
            if if strict { hi < lo2 } else { hi <= lo2 } {
                true
            } else if if strict { lo >= hi2 } else { lo > hi2 } {
                false
            } else {
                return None;
            }
        }
        BinaryOp::And | BinaryOp::Or => {
            let neutral = *op == BinaryOp::And;
            let known = splat(b, args[0])? != 0.0;
            if known == neutral {
                return (b.ty(args[1]).dtype == DType::Bool).then(|| as_type(b, args[1], &ty))?;
            }
            known
        }
        _ => return None,
    };
    let value = Tensor::new(Type::new(DType::Bool, Shape::new()), vec![f64::from(u8::from(known))]);
    let value = b.tensor(value);
    Some(b.expand(value, &ty.shape))
}

fn square(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    (*op == Op::Binary(BinaryOp::Mul) && args[0] == args[1] && b.ty(args[0]).dtype != DType::Bool)
        .then(|| unary(b, UnaryOp::Square, args[0]))
}

fn power(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    if *op != Op::Binary(BinaryOp::Pow) {
        return None;
    }
    let ty = result_type(b, op, args)?;
    let c = splat(b, args[1])?;
    let x = as_type(b, args[0], &ty)?;
    let one = b.scalar(1.0);
    let inverse = |b: &mut Builder, x: ValueId| Some(binary(b, BinaryOp::Div, one, x));
    #[allow(clippy::float_cmp, reason = "exactly these exponents")]
    match c {
        _ if c == 0.0 => as_type(b, one, &ty),
        _ if c == 1.0 => Some(x),
        _ if c == 2.0 => Some(unary(b, UnaryOp::Square, x)),
        _ if c == 3.0 => {
            let sq = unary(b, UnaryOp::Square, x);
            Some(binary(b, BinaryOp::Mul, sq, x))
        }
        _ if c == 0.5 => Some(unary(b, UnaryOp::Sqrt, x)),
        _ if c == -1.0 => inverse(b, x),
        _ if c == -2.0 => {
            let sq = unary(b, UnaryOp::Square, x);
            inverse(b, sq)
        }
        _ if c == -0.5 => {
            let root = unary(b, UnaryOp::Sqrt, x);
            inverse(b, root)
        }
        _ => None,
    }
}

fn inverses(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let Op::Unary(outer) = op else { return None };
    let ty = result_type(b, op, args)?;
    // Only where the inner function is defined everywhere: `exp(log x)` is NaN for negative `x`.
    let inner = match outer {
        UnaryOp::Log => UnaryOp::Exp,
        UnaryOp::Log1p => UnaryOp::Expm1,
        UnaryOp::Sqrt => match is_unary(b, args[0], UnaryOp::Square) {
            Some(x) => {
                let x = as_type(b, x, &ty)?;
                return Some(unary(b, UnaryOp::Abs, x));
            }
            None => return exponents(b, *outer, args[0]),
        },
        _ => return None,
    };
    if let Some(x) = is_unary(b, args[0], inner) {
        return as_type(b, x, &ty);
    }
    exponents(b, *outer, args[0])
}

/// log(1/x) → −log x; log √x → ½ log x; √exp x → exp(x/2).
fn exponents(b: &mut Builder, outer: UnaryOp, a: ValueId) -> Option<ValueId> {
    let half = b.scalar(0.5);
    if outer == UnaryOp::Sqrt {
        let x = is_unary(b, a, UnaryOp::Exp)?;
        let x = binary(b, BinaryOp::Mul, half, x);
        return Some(unary(b, UnaryOp::Exp, x));
    }
    if outer != UnaryOp::Log {
        return None;
    }
    if let Some(x) = is_unary(b, a, UnaryOp::Sqrt) {
        let log = unary(b, UnaryOp::Log, x);
        return Some(binary(b, BinaryOp::Mul, half, log));
    }
    let (one, x) = is_binary(b, a, BinaryOp::Div)?;
    if splat(b, one) != Some(1.0) || b.shape(x) != b.shape(a) {
        return None;
    }
    let log = unary(b, UnaryOp::Log, x);
    Some(unary(b, UnaryOp::Neg, log))
}

fn stable_forms(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let one_plus = |b: &Builder, a: ValueId| {
        let (one, x) = is_binary(b, a, BinaryOp::Add)?;
        (splat(b, one) == Some(1.0) && b.shape(x) == b.shape(a)).then_some(x)
    };
    match op {
        Op::Unary(UnaryOp::Log) => {
            if let Some(x) = one_plus(b, args[0]) {
                return Some(unary(b, UnaryOp::Log1p, x));
            }
            let x = is_unary(b, args[0], UnaryOp::InvLogit)?;
            let minus = unary(b, UnaryOp::Neg, x);
            let soft = unary(b, UnaryOp::Log1pExp, minus);
            Some(unary(b, UnaryOp::Neg, soft))
        }
        Op::Unary(UnaryOp::Log1p) => {
            if let Some(x) = is_unary(b, args[0], UnaryOp::Exp) {
                return Some(unary(b, UnaryOp::Log1pExp, x));
            }
            let p = is_unary(b, args[0], UnaryOp::Neg)?;
            let x = is_unary(b, p, UnaryOp::InvLogit)?;
            let soft = unary(b, UnaryOp::Log1pExp, x);
            Some(unary(b, UnaryOp::Neg, soft))
        }
        // c / exp x, c log exp x.
        Op::Binary(op @ (BinaryOp::Div | BinaryOp::XLogY)) => {
            let c = splat(b, args[0]).filter(|&c| moderate(c))?;
            let x = is_unary(b, args[1], UnaryOp::Exp)?;
            if b.ty(args[0]).rank() > 0 && b.shape(x) != b.shape(args[0]) {
                return None;
            }
            let c = b.scalar(c);
            let factor = match op {
                BinaryOp::Div => {
                    let minus = unary(b, UnaryOp::Neg, x);
                    unary(b, UnaryOp::Exp, minus)
                }
                _ => x,
            };
            Some(binary(b, BinaryOp::Mul, c, factor))
        }
        Op::Binary(BinaryOp::Sub) => {
            if splat(b, args[1]) == Some(1.0) {
                let x = is_unary(b, args[0], UnaryOp::Exp)?;
                return (b.ty(args[1]).rank() == 0 || b.shape(x) == b.shape(args[1]))
                    .then(|| unary(b, UnaryOp::Expm1, x));
            }
            if splat(b, args[0]) != Some(1.0) {
                return None;
            }
            let x = is_unary(b, args[1], UnaryOp::InvLogit)?;
            if b.ty(args[0]).rank() != 0 && b.shape(x) != b.shape(args[0]) {
                return None;
            }
            let minus = unary(b, UnaryOp::Neg, x);
            Some(unary(b, UnaryOp::InvLogit, minus))
        }
        _ => None,
    }
}

fn even(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    let Op::Unary(op @ (UnaryOp::Square | UnaryOp::Abs)) = op else { return None };
    let x = is_unary(b, args[0], UnaryOp::Neg).or_else(|| is_unary(b, args[0], UnaryOp::Abs))?;
    (b.ty(x).dtype == b.ty(args[0]).dtype).then(|| unary(b, *op, x))
}

fn select(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    if *op != Op::Ternary(TernaryOp::Select) {
        return None;
    }
    let ty = result_type(b, op, args)?;
    match splat(b, args[0]) {
        Some(0.0) => as_type(b, args[2], &ty),
        Some(_) => as_type(b, args[1], &ty),
        None if args[1] == args[2] => as_type(b, args[1], &ty),
        None => {
            let condition = is_unary(b, args[0], UnaryOp::Not)?;
            Some(b.select(condition, args[2], args[1]))
        }
    }
}

fn convert(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    matches!(op, Op::Convert(to) if *to == b.ty(args[0]).dtype).then(|| args[0])
}
