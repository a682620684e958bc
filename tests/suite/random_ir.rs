//! Random well-typed functions, and deterministic numbers to evaluate them at.

use ppl::ir::{BinaryOp, Builder, Function, Op, Scan, Tensor, Type, UnaryOp, ValueId};

/// Numbers in `(lo, hi)` that look random: the same for the same seed.
pub(crate) fn numbers(seed: u64, n: usize, lo: f64, hi: f64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            lo + (hi - lo) * ((state >> 11) as f64 / (1u64 << 53) as f64)
        })
        .collect()
}

/// One value per input of `f`, of its type, in `(lo, hi)`.
pub(crate) fn inputs(f: &Function, seed: u64, lo: f64, hi: f64) -> Vec<Tensor> {
    let tensor = |(i, input): (usize, &ppl::ir::Input)| {
        let seed = seed * 101 + i as u64 + 1;
        Tensor::new(input.ty.clone(), numbers(seed, input.ty.len(), lo, hi))
    };
    f.inputs.iter().enumerate().map(tensor).collect()
}

/// A function of a vector, a matrix and a scalar whose values stay moderate, made by `choices`.
pub(crate) fn function(choices: &[(u8, u8, u8)]) -> Function {
    let mut b = Builder::new("random");
    let mut pool = vec![
        b.input("x", Type::real([4].as_slice())),
        b.input("m", Type::real([3, 4].as_slice())),
        b.input("s", Type::real([].as_slice())),
    ];
    for &(what, one, two) in choices {
        let a = pool[one as usize % pool.len()];
        let c = pool[two as usize % pool.len()];
        let new = step(&mut b, what, a, c, two);
        if b.ty(new).len() <= 64 {
            pool.push(new);
        }
    }
    for (i, &value) in pool.iter().rev().take(4).enumerate() {
        b.output(format!("out{i}"), value);
    }
    let total: Vec<ValueId> = pool.iter().map(|&v| b.sum_all(v)).collect();
    let mut sum = total[0];
    for &t in &total[1..] {
        sum = b.plus(sum, t);
    }
    b.output("total", sum);
    b.finish()
}

fn step(b: &mut Builder, what: u8, a: ValueId, c: ValueId, number: u8) -> ValueId {
    let shape = b.shape(a);
    let rank = shape.len();
    match what % 22 {
        0 => b.unary(UnaryOp::Tanh, a),
        1 => b.unary(UnaryOp::Sin, a),
        2 => b.unary(UnaryOp::InvLogit, a),
        3 => {
            let sq = b.unary(UnaryOp::Square, a);
            b.unary(UnaryOp::Log1p, sq)
        }
        4 => b.negate(a),
        op @ 5..=8 => {
            let op = [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Max][op as usize - 5];
            if b.shape(c) == shape || b.shape(c).is_empty() || rank == 0 {
                b.binary(op, a, c)
            } else {
                let c = b.sum_all(c);
                let c = b.unary(UnaryOp::Tanh, c);
                b.binary(op, c, a)
            }
        }
        9 => b.scaled([0.0, 1.0, -1.0, 0.5, 2.0][number as usize % 5], a),
        10 => {
            let shift = b.scalar([0.0, 1.0, -0.5][number as usize % 3]);
            b.plus(a, shift)
        }
        11 if rank > 0 => b.sum(a, &[number as usize % rank]),
        12 if rank > 0 => {
            b.add(Op::LogSumExp([number as usize % rank].as_slice().into()), [a].as_slice())
        }
        13 if rank > 0 => {
            b.add(Op::ReduceMax([number as usize % rank].as_slice().into()), [a].as_slice())
        }
        14 if rank == 2 => b.transpose(a, &[1, 0]),
        14 | 15 if rank <= 1 => {
            let mut wide = shape.to_vec();
            wide.insert(number as usize % (rank + 1), 3);
            let at = number as usize % (rank + 1);
            let axes: Vec<usize> = (0..=rank).filter(|&i| i != at).collect();
            b.broadcast(a, &wide, &axes)
        }
        16 if rank > 0 && shape[0] > 1 => {
            let start = number as usize % 2;
            b.slice_axis(a, 0, start, shape[0] - (1 - start))
        }
        17 if rank > 0 => {
            let low: Vec<usize> = shape.iter().map(|_| number as usize % 2).collect();
            let high: Vec<usize> = shape.iter().map(|_| 1).collect();
            b.add(
                Op::Pad { low: low.as_slice().into(), high: high.as_slice().into() },
                [a].as_slice(),
            )
        }
        18 if rank > 0 && shape[0] > 0 => {
            let index = b.ints((0..5).map(|i| (i * number as usize + 1) % shape[0]));
            b.gather(a, 0, index)
        }
        19 if rank > 0 && shape[0] > 0 => {
            let index = b.ints((0..shape[0]).map(|i| (i + number as usize) % 3));
            b.add(Op::ScatterAdd { axis: 0, size: 3 }, [a, index].as_slice())
        }
        20 if rank > 0 => {
            let op = Op::CumSum { axis: number as usize % rank, reverse: number.is_multiple_of(2) };
            b.add(op, [a].as_slice())
        }
        21 if rank == 2 => {
            let half = b.scaled(0.25, a);
            b.matmul(half, a, number.is_multiple_of(2), !number.is_multiple_of(2))
        }
        21 if rank == 1 && shape[0] > 0 => scan(b, a, c, !number.is_multiple_of(2)),
        _ if rank > 0 => b.reshape(a, &[shape.iter().product()]),
        _ => b.unary(UnaryOp::Cos, a),
    }
}

/// `h ← tanh(w h + x)` over the elements of `a`; the states together.
fn scan(b: &mut Builder, a: ValueId, c: ValueId, reverse: bool) -> ValueId {
    let w = b.sum_all(c);
    let mut body = Builder::new("cell");
    let scalar = || Type::real([].as_slice());
    let (h, x, w_in) =
        (body.input("h", scalar()), body.input("x", scalar()), body.input("w", scalar()));
    let wh = body.times(w_in, h);
    let sum = body.plus(wh, x);
    let new = body.unary(UnaryOp::Tanh, sum);
    let twice = body.scaled(2.0, new);
    body.output("h", new);
    body.output("y", twice);
    let length = b.shape(a)[0];
    let scan = Scan { body: body.finish(), length, carries: 1, xs: 1, reverse };
    let start = b.scalar(0.5);
    let parts = b.scan(scan, &[start, a, w]);
    b.plus(parts[0], parts[1])
}
