//! Random smooth functions of a vector: all routes agree on whatever the builder can compose.

use ppl::ir::{BinaryOp, Builder, Function, Op, Scan, Shape, Type, UnaryOp, ValueId};
use proptest::prelude::*;

use super::{Tolerance, check, noise, output};
use crate::effort::cases;

/// Smooth and bounded operations, so that chains of them stay well conditioned.
const UNARY: [UnaryOp; 9] = [
    UnaryOp::Sin,
    UnaryOp::Cos,
    UnaryOp::Tanh,
    UnaryOp::InvLogit,
    UnaryOp::Log1pExp,
    UnaryOp::Atan,
    UnaryOp::Erf,
    UnaryOp::NormalCdf,
    UnaryOp::Neg,
];

/// One step of a random program: what to apply and which earlier values to apply it to.
type Choice = (u8, u8, u8);

/// A function of `n` reals from choices; every value is a scalar, `[n]`, or `[n, n]`.
fn program(n: usize, choices: &[Choice]) -> Function {
    let mut b = Builder::new("random");
    let x = b.input("x", Type::real([n].as_slice()));
    let mut values = vec![x];
    for &(what, first, second) in choices {
        let pick = |k: u8| values[usize::from(k) % values.len()];
        let (a, c) = (pick(first), pick(second));
        let y = step(&mut b, n, what, a, c);
        // Keeps magnitudes near 1.
        values.push(b.unary(UnaryOp::Tanh, y));
    }
    output(&mut b, &values);
    b.finish()
}

/// `a` as a vector of `n`.
fn as_vector(b: &mut Builder, n: usize, a: ValueId) -> ValueId {
    match b.ty(a).rank() {
        0 => b.expand(a, &[n]),
        1 => a,
        _ => b.sum(a, &[1]),
    }
}

/// `a` as a matrix of `n` by `n`.
fn as_matrix(b: &mut Builder, n: usize, a: ValueId) -> ValueId {
    let axes: &[usize] = if b.ty(a).rank() == 0 { &[] } else { &[1] };
    b.broadcast(a, &[n, n], axes)
}

fn step(b: &mut Builder, n: usize, what: u8, a: ValueId, c: ValueId) -> ValueId {
    let flag = what & 64 != 0;
    match what % 16 {
        0..6 => b.unary(UNARY[usize::from(what / 16) % UNARY.len()], a),
        6 => elementwise(b, n, BinaryOp::Mul, a, c),
        7 => elementwise(b, n, BinaryOp::Add, a, c),
        8 => elementwise(b, n, BinaryOp::LogAddExp, a, c),
        9 => {
            let (a, c) = (as_matrix(b, n, a), as_matrix(b, n, c));
            b.matmul(a, c, flag, what & 32 != 0)
        }
        10 => {
            let a = as_matrix(b, n, a);
            let axes: Shape = [usize::from(flag)].as_slice().into();
            b.add(Op::LogSumExp(axes), [a].as_slice())
        }
        11 => {
            let a = as_vector(b, n, a);
            let index = b.ints((0..n).map(|i| (i * i + usize::from(what / 16)) % n));
            b.gather(a, 0, index)
        }
        12 => {
            let a = as_vector(b, n, a);
            b.add(Op::CumSum { axis: 0, reverse: flag }, [a].as_slice())
        }
        13 => {
            // On a condition that does not move: a moving one has jumps, where differences mean nothing.
            let (a, c) = (as_vector(b, n, a), as_vector(b, n, c));
            let index = b.ints((0..n).map(|i| (i + usize::from(flag)) % 2));
            b.select(index, a, c)
        }
        14 => b.sum_all(a),
        _ => {
            let (start, rows) = (b.sum_all(c), as_vector(b, n, a));
            let mut body = Builder::new("step");
            let s = body.input("s", Type::real([].as_slice()));
            let r = body.input("r", Type::real([].as_slice()));
            let sum = body.plus(s, r);
            let next = body.unary(UnaryOp::Sin, sum);
            let out = body.times(next, r);
            body.output("s", next);
            body.output("out", out);
            let scan = Scan { body: body.finish(), length: n, carries: 1, xs: 1, reverse: flag };
            b.scan(scan, &[start, rows])[1]
        }
    }
}

fn elementwise(b: &mut Builder, n: usize, op: BinaryOp, a: ValueId, c: ValueId) -> ValueId {
    let (i, j) = (b.ty(a).rank(), b.ty(c).rank());
    if i == j || i == 0 || j == 0 {
        return b.binary(op, a, c);
    }
    let (a, c) = (as_matrix(b, n, a), as_matrix(b, n, c));
    b.binary(op, a, c)
}

proptest! {
    #![proptest_config(cases(48))]
    #[test]
    fn random_functions(
        n in 1_usize..4,
        choices in proptest::collection::vec(any::<Choice>(), 1..9),
        seed in 0_u32..1000,
    ) {
        let f = program(n, &choices);
        let tolerance = Tolerance { first: 1e-6, second: 1e-5 };
        check("random function", &f, &noise(n, seed), tolerance);
    }
}
