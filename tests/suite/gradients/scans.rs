//! Loops with carried state.

use ppl::ir::{BinaryOp, Builder, DType, Function, Op, Scan, Type, UnaryOp, ValueId};

use super::{TIGHT, check, function, noise};

/// The slice of the input that starts at `*at`, reshaped; `*at` moves on.
fn take(b: &mut Builder, x: ValueId, at: &mut usize, sizes: &[usize]) -> ValueId {
    let n: usize = sizes.iter().product();
    let part = b.slice(x, &[*at], &[*at + n]);
    *at += n;
    b.reshape(part, sizes)
}

fn real(sizes: &[usize]) -> Type {
    Type::real(sizes)
}

/// `s' = sin(s) a + x s²; out = s' x`: one carry, one `xs`, one invariant, one stacked output.
fn one_carry() -> Function {
    let mut b = Builder::new("step");
    let s = b.input("s", real(&[]));
    let x = b.input("x", real(&[]));
    let a = b.input("a", real(&[]));
    let sin = b.unary(UnaryOp::Sin, s);
    let left = b.times(sin, a);
    let square = b.unary(UnaryOp::Square, s);
    let right = b.times(x, square);
    let next = b.plus(left, right);
    let out = b.times(next, x);
    b.output("s", next);
    b.output("out", out);
    b.finish()
}

/// Which components of [`one_carry`] the function's value reads.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Uses {
    State,
    Stacked,
    Both,
}

fn one_carry_loop(length: usize, reverse: bool, uses: Uses) -> Function {
    function(length + 2, |b, x| {
        let mut at = 0;
        let start = take(b, x, &mut at, &[]);
        let a = take(b, x, &mut at, &[]);
        let xs = take(b, x, &mut at, &[length]);
        let scan = Scan { body: one_carry(), length, carries: 1, xs: 1, reverse };
        let parts = b.scan(scan, &[start, xs, a]);
        match uses {
            Uses::State => vec![parts[0]],
            Uses::Stacked => vec![parts[1], a],
            Uses::Both => parts,
        }
    })
}

/// Two carries that exchange, an integer carry that counts and selects, data that does not move, an input
/// that the body does not read, a carry given on unchanged.
fn two_carries(length: usize, reverse: bool) -> Function {
    let mut body = Builder::new("step");
    let p = body.input("p", real(&[2]));
    let count = body.input("count", Type::new(DType::Int, [].as_slice()));
    let q = body.input("q", real(&[2]));
    let same = body.input("same", real(&[]));
    let x = body.input("x", real(&[2]));
    let data = body.input("data", Type::new(DType::Int, [].as_slice()));
    let w = body.input("w", real(&[2, 2]));
    let _unread = body.input("unread", real(&[3]));
    let row = body.reshape(p, &[1, 2]);
    let turned = body.matmul(row, w, false, false);
    let turned = body.reshape(turned, &[2]);
    let next_p = body.plus(q, x);
    let drive = body.unary(UnaryOp::Tanh, turned);
    let one = body.scalar(1.0);
    let later = body.binary(BinaryOp::Lt, one, count);
    let scaled = body.times(drive, same);
    let next_q = body.select(later, scaled, p);
    let next_count = body.plus(count, data);
    let mean = body.times(next_count, next_q);
    let next_count = body.add(Op::Convert(DType::Int), [next_count].as_slice());
    body.output("p", next_p);
    body.output("count", next_count);
    body.output("q", next_q);
    body.output("same", same);
    body.output("mean", mean);
    body.output("counts", next_count);
    let body = body.finish();
    function(2 + 2 + 1 + 2 * length + 4 + 3, |b, x| {
        let mut at = 0;
        let p = take(b, x, &mut at, &[2]);
        let q = take(b, x, &mut at, &[2]);
        let same = take(b, x, &mut at, &[]);
        let xs = take(b, x, &mut at, &[length, 2]);
        let w = take(b, x, &mut at, &[2, 2]);
        let unread = take(b, x, &mut at, &[3]);
        let ty = Type::new(DType::Int, [].as_slice());
        let zero = b.tensor(ppl::ir::Tensor::new(ty, vec![0.0]));
        let data = b.ints((0..length).map(|i| 1 + i % 2));
        let scan = Scan { body, length, carries: 4, xs: 2, reverse };
        let parts = b.scan(scan, &[p, zero, q, same, xs, data, w, unread]);
        vec![parts[0], parts[2], parts[3], parts[4]]
    })
}

/// A loop within a loop; the inner one starts from the outer state and reads the outer row.
fn nested(outer: usize, inner: usize) -> Function {
    let mut body = Builder::new("outer");
    let s = body.input("s", real(&[]));
    let row = body.input("row", real(&[inner]));
    let a = body.input("a", real(&[]));
    let scan = Scan { body: one_carry(), length: inner, carries: 1, xs: 1, reverse: true };
    let parts = body.scan(scan, &[s, row, a]);
    let sum = body.sum_all(parts[1]);
    let next = body.plus(parts[0], sum);
    let next = body.unary(UnaryOp::Tanh, next);
    body.output("s", next);
    body.output("rows", parts[1]);
    let body = body.finish();
    function(2 + outer * inner, |b, x| {
        let mut at = 0;
        let start = take(b, x, &mut at, &[]);
        let a = take(b, x, &mut at, &[]);
        let rows = take(b, x, &mut at, &[outer, inner]);
        let scan = Scan { body, length: outer, carries: 1, xs: 1, reverse: false };
        b.scan(scan, &[start, rows, a])
    })
}

/// A loop that carries nothing: a map. Its operand is used outside as well.
fn no_carry() -> Function {
    let mut body = Builder::new("map");
    let x = body.input("x", real(&[2]));
    let a = body.input("a", real(&[]));
    let e = body.unary(UnaryOp::Exp, x);
    let y = body.times(a, e);
    body.output("y", y);
    let body = body.finish();
    function(7, |b, x| {
        let mut at = 0;
        let rows = take(b, x, &mut at, &[3, 2]);
        let a = take(b, x, &mut at, &[]);
        let scan = Scan { body, length: 3, carries: 0, xs: 1, reverse: false };
        let parts = b.scan(scan, &[rows, a]);
        vec![parts[0], rows]
    })
}

/// Only the invariant moves, or only the start; the other operands are constants.
fn partly_fixed(moving: usize, length: usize) -> Function {
    function(length.max(1), |b, x| {
        let scalar = b.slice(x, &[0], &[1]);
        let scalar = b.reshape(scalar, &[]);
        let fixed_rows = b.splat(0.4, &[length]);
        let fixed = b.scalar(0.6);
        let mut args = [fixed, fixed_rows, fixed];
        args[moving] = if moving == 1 { x } else { scalar };
        let scan = Scan { body: one_carry(), length, carries: 1, xs: 1, reverse: false };
        b.scan(scan, &args)
    })
}

/// Every row of this file.
pub(super) fn rows() -> Vec<(String, Function)> {
    let mut rows = Vec::new();
    for reverse in [false, true] {
        for length in [0, 1, 5] {
            for uses in [Uses::State, Uses::Stacked, Uses::Both] {
                let name = format!("one carry, {length} steps, reverse {reverse}, {uses:?}");
                rows.push((name, one_carry_loop(length, reverse, uses)));
            }
            let name = format!("two carries, {length} steps, reverse {reverse}");
            rows.push((name, two_carries(length, reverse)));
        }
    }
    for (outer, inner) in [(3, 2), (0, 2), (2, 0), (1, 1)] {
        rows.push((format!("nested {outer} × {inner}"), nested(outer, inner)));
    }
    rows.push(("no carry".to_owned(), no_carry()));
    for moving in 0..3 {
        rows.push((format!("only operand {moving} moves"), partly_fixed(moving, 3)));
    }
    rows
}

#[test]
fn loops() {
    for (name, f) in rows() {
        let x = noise(f.inputs[0].ty.len(), 11);
        check(&name, &f, &x, TIGHT);
    }
}
