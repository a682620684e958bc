//! Elementwise rules.

use crate::ir::{BinaryOp, Builder, DType, Op, TernaryOp, UnaryOp, ValueId};

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
    Rule { name: "x x → x²", apply: square },
    Rule {
        name: "x^c → products and roots for c = 0, 1, 2, 3, ½, −1, −2, −½", apply: power
    },
    Rule { name: "log(exp x) → x and its kin", apply: inverses },
    Rule { name: "log(1 + x) → log1p x and its kin", apply: stable_forms },
    Rule { name: "(−x)² → x², |−x| → |x|", apply: even },
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
        UnaryOp::Sqrt => {
            let x = is_unary(b, args[0], UnaryOp::Square)?;
            let x = as_type(b, x, &ty)?;
            return Some(unary(b, UnaryOp::Abs, x));
        }
        _ => return None,
    };
    let x = is_unary(b, args[0], inner)?;
    as_type(b, x, &ty)
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
        Some(c) if c == 0.0 => as_type(b, args[2], &ty),
        Some(_) => as_type(b, args[1], &ty),
        None if args[1] == args[2] => as_type(b, args[1], &ty),
        None => {
            let condition = is_unary(b, args[0], UnaryOp::Not)?;
            Some(b.select(condition, args[2], args[1]))
        }
    }
}

fn convert(b: &mut Builder, op: &Op, args: &[ValueId]) -> Option<ValueId> {
    matches!(op, Op::Convert(to) if *to == b.ty(args[0]).dtype).then_some(args[0])
}
