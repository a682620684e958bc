//! The fast executor against the reference executor, for every operation, batch size and number type.

use ppl::density::{LogDensity, Residuals};
use ppl::exec::density::CompiledDensity;
use ppl::exec::element::Element;
use ppl::exec::program::Program;
use ppl::exec::reference;
use ppl::ir::{
    BinaryOp, Builder, Function, Op, Scan, Tensor, TernaryOp, Type, UnaryOp, ValueId, parse,
};
use proptest::prelude::*;

use crate::effort::cases;
use crate::random_ir::{self, numbers};
use crate::tolerance::close;

const BATCHES: [usize; 5] = [1, 3, 8, 17, 100];

/// Outputs of `f` at a batch of points, `[B, n]` each, in `E`.
fn run<E: Element>(program: &Program<E>, f: &Function, points: &[Vec<Tensor>]) -> Vec<Vec<E>> {
    let gather = |i: usize| -> Vec<E> {
        points.iter().flat_map(|p| p[i].data.iter().map(|&x| E::of(x))).collect()
    };
    let inputs: Vec<Vec<E>> = (0..f.inputs.len()).map(gather).collect();
    let inputs: Vec<&[E]> = inputs.iter().map(Vec::as_slice).collect();
    let mut outputs: Vec<Vec<E>> =
        f.outputs.iter().map(|o| vec![E::of(-99.0); f.ty(o.value).len() * points.len()]).collect();
    let mut slices: Vec<&mut [E]> = outputs.iter_mut().map(Vec::as_mut_slice).collect();
    program.run(points.len(), &inputs, &mut slices);
    outputs
}

/// Checks the fast executor at every batch size; returns the largest relative difference.
fn check(f: &Function, lo: f64, hi: f64, rtol: f64, rtol_f32: f64) {
    ppl::ir::verify::verify(f).unwrap();
    let all: Vec<Vec<Tensor>> =
        (0..100).map(|seed| random_ir::inputs(f, seed + 7, lo, hi)).collect();
    let expected: Vec<Vec<Tensor>> = all.iter().map(|p| reference::evaluate(f, p)).collect();
    crate::device::check(f, &all[..3], &expected[..3]);
    let f64s = Program::<f64>::compile(f);
    let f32s = Program::<f32>::compile(f);
    let mut first: Option<Vec<Vec<f64>>> = None;
    for batch in BATCHES {
        let points = &all[..batch];
        let got = run(&f64s, f, points);
        let got32 = run(&f32s, f, points);
        for (o, output) in f.outputs.iter().enumerate() {
            let n = f.ty(output.value).len();
            for (b, expected) in expected[..batch].iter().enumerate() {
                for i in 0..n {
                    let want = expected[o].data[i];
                    let (x, x32) = (got[o][b * n + i], f64::from(got32[o][b * n + i]));
                    let what = || format!("{}[{i}] of point {b} of {batch}\n{f}", output.name);
                    assert!(close(x, want, rtol, rtol), "f64 {x} for {want}: {}", what());
                    assert!(
                        close(x32, want, rtol_f32, rtol_f32),
                        "f32 {x32} for {want}: {}",
                        what()
                    );
                }
            }
        }
        // The same bits in any batch and any block.
        let single = first.get_or_insert_with(|| got.clone());
        let blocks = run(&Program::<f64>::compile(f).with_lanes(5), f, points);
        for (o, output) in f.outputs.iter().enumerate() {
            let n = f.ty(output.value).len();
            let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&got[o][..n]), bits(&single[o]), "bits at batch {batch}\n{f}");
            assert_eq!(bits(&got[o]), bits(&blocks[o]), "bits in blocks of 5\n{f}");
        }
    }
}

fn real(shape: &[usize]) -> Type {
    Type::real(shape)
}

/// Inputs of the given shapes, one output.
fn build(shapes: &[&[usize]], make: impl FnOnce(&mut Builder, &[ValueId]) -> ValueId) -> Function {
    let mut b = Builder::new("test");
    let inputs: Vec<ValueId> =
        shapes.iter().enumerate().map(|(i, s)| b.input(format!("x{i}"), real(s))).collect();
    let out = make(&mut b, &inputs);
    b.output("out", out);
    b.finish()
}

#[test]
fn every_unary_op_agrees_with_the_reference() {
    let orders = [UnaryOp::Polygamma(1), UnaryOp::Polygamma(2)];
    for &op in UnaryOp::all().iter().chain(&orders) {
        let (lo, hi) = match op {
            UnaryOp::Sqrt | UnaryOp::Log | UnaryOp::Lgamma | UnaryOp::Polygamma(_) => (0.1, 9.0),
            UnaryOp::Log1p => (-0.9, 9.0),
            UnaryOp::Log1mExp => (-5.0, -0.01),
            UnaryOp::Asin | UnaryOp::Acos => (-0.95, 0.95),
            UnaryOp::NormalQuantile => (0.01, 0.99),
            UnaryOp::Tan => (-1.3, 1.3),
            _ => (-4.0, 4.0),
        };
        // Rounding to f32 first moves the result by about |x f'(x)| 6e-8.
        for shape in [&[7][..], &[], &[2, 300]] {
            let f = build(&[shape], |b, x| b.unary(op, x[0]));
            if matches!(op, UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Round | UnaryOp::Not) {
                check(&f, lo, hi, 0.0, 0.0);
            } else {
                check(&f, lo, hi, 2e-15, 3e-5);
            }
            if shape.len() == 1 && lo < 0.0 {
                // Outside the domain too: NaN where NaN is due.
                let f = build(&[shape], |b, x| b.unary(op, x[0]));
                let points = vec![vec![Tensor::new(
                    real(&[7]),
                    vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e300, -1e300],
                )]];
                let got = run(&Program::<f64>::compile(&f), &f, &points);
                for (&x, &want) in got[0].iter().zip(&*reference::evaluate(&f, &points[0])[0].data)
                {
                    let wild = matches!(op, UnaryOp::Sin | UnaryOp::Cos | UnaryOp::Tan);
                    assert!(wild || close(x, want, 1e-14, 0.0), "{op:?}: {x} for {want}");
                }
            }
        }
    }
}

#[test]
fn every_binary_op_agrees_with_the_reference() {
    for &op in BinaryOp::all().iter().filter(|op| !op.is_random()) {
        let (lo, hi) = match op {
            BinaryOp::Pow
            | BinaryOp::XLogY
            | BinaryOp::XLog1pY
            | BinaryOp::Lbeta
            | BinaryOp::GammaP
            | BinaryOp::GammaQ
            | BinaryOp::LogGammaP
            | BinaryOp::LogGammaQ
            | BinaryOp::GammaPShape(_)
            | BinaryOp::LogBesselI
            | BinaryOp::LogBesselK => (0.2, 4.0),
            BinaryOp::IntDiv | BinaryOp::Rem => (1.0, 9.0),
            _ => (-3.0, 3.0),
        };
        for shapes in [[&[9][..], &[9]], [&[9], &[]], [&[], &[9]], [&[], &[]]] {
            let f = build(&shapes, |b, x| {
                // Whole numbers, so that quotients are exact.
                let whole = matches!(op, BinaryOp::IntDiv | BinaryOp::Rem);
                let x: Vec<ValueId> = if whole {
                    x.iter().map(|&x| b.unary(UnaryOp::Floor, x)).collect()
                } else {
                    x.to_vec()
                };
                b.binary(op, x[0], x[1])
            });
            check(&f, lo, hi, 2e-15, 2e-4);
        }
    }
}

#[test]
fn ties_and_special_values_of_binary_ops_agree() {
    let values = [0.0, -0.0, 1.0, -1.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    let (a, b): (Vec<f64>, Vec<f64>) =
        values.iter().flat_map(|&a| values.iter().map(move |&b| (a, b))).unzip();
    for &op in BinaryOp::all() {
        if op.is_random()
            || matches!(
                op,
                BinaryOp::Lbeta
                    | BinaryOp::GammaP
                    | BinaryOp::GammaQ
                    | BinaryOp::LogGammaP
                    | BinaryOp::LogGammaQ
            )
        {
            continue; // Outside their domain.
        }
        let f = build(&[&[49], &[49]], |builder, x| builder.binary(op, x[0], x[1]));
        let points =
            vec![vec![Tensor::new(real(&[49]), a.clone()), Tensor::new(real(&[49]), b.clone())]];
        let got = run(&Program::<f64>::compile(&f), &f, &points);
        let want = reference::evaluate(&f, &points[0]);
        for i in 0..49 {
            let (x, w) = (got[0][i], want[0].data[i]);
            assert!(close(x, w, 1e-15, 0.0), "{op:?}({}, {}) = {x} for {w}", a[i], b[i]);
        }
    }
}

#[test]
fn select_and_incomplete_beta_agree() {
    let f = build(&[&[6], &[6], &[]], |b, x| {
        let zero = b.scalar(0.0);
        let positive = b.binary(BinaryOp::Lt, zero, x[0]);
        b.select(positive, x[1], x[2])
    });
    check(&f, -1.0, 1.0, 0.0, 1e-6);
    let f = build(&[&[6], &[6], &[6]], |b, x| {
        b.add(Op::Ternary(TernaryOp::IncBeta), [x[0], x[1], x[2]].as_slice())
    });
    check(&f, 0.2, 0.9, 1e-15, 1e-5);
}

#[test]
fn convert_truncates_and_tests() {
    use ppl::ir::DType;
    for to in [DType::Int, DType::Bool, DType::Real] {
        let f = build(&[&[40]], |b, x| b.add(Op::Convert(to), [x[0]].as_slice()));
        check(&f, -3.0, 3.0, 0.0, 1e-6);
    }
}

#[test]
fn movements_agree() {
    let cases: Vec<Function> = vec![
        build(&[&[3]], |b, x| b.broadcast(x[0], &[2, 3, 4], &[1])),
        build(&[&[2, 4]], |b, x| b.broadcast(x[0], &[2, 3, 4], &[0, 2])),
        build(&[&[2, 3, 4]], |b, x| b.transpose(x[0], &[2, 0, 1])),
        build(&[&[2, 3, 4]], |b, x| b.slice(x[0], &[0, 1, 1], &[2, 3, 3])),
        build(&[&[12]], |b, x| b.reshape(x[0], &[3, 4])),
        build(&[&[2, 3]], |b, x| {
            let op = Op::Pad { low: [1, 0].as_slice().into(), high: [0, 2].as_slice().into() };
            b.add(op, [x[0]].as_slice())
        }),
        build(&[&[2, 3], &[2, 1], &[2, 0]], |b, x| b.concat(&[x[0], x[2], x[1], x[0]], 1)),
        build(&[&[2, 3], &[1, 3]], |b, x| b.concat(x, 0)),
        build(&[&[2, 5, 2]], |b, x| {
            let index = b.ints([4, 0, 0, 3]);
            b.gather(x[0], 1, index)
        }),
        build(&[&[2, 4, 2]], |b, x| {
            let index = b.ints([4, 0, 0, 3]);
            b.add(Op::ScatterAdd { axis: 1, size: 5 }, [x[0], index].as_slice())
        }),
        // Indices that depend on the point.
        build(&[&[6, 2], &[5]], |b, x| {
            let scaled = b.scaled(7.0, x[1]);
            let index = b.unary(UnaryOp::Floor, scaled);
            b.gather(x[0], 0, index)
        }),
        build(&[&[5, 2], &[5]], |b, x| {
            let scaled = b.scaled(7.0, x[1]);
            let index = b.unary(UnaryOp::Floor, scaled);
            b.add(Op::ScatterAdd { axis: 0, size: 6 }, [x[0], index].as_slice())
        }),
        // A view of a view, then arithmetic on it.
        build(&[&[3, 4], &[4, 3]], |b, x| {
            let t = b.transpose(x[0], &[1, 0]);
            let sum = b.plus(t, x[1]);
            let row = b.slice_axis(sum, 0, 1, 3);
            b.unary(UnaryOp::Exp, row)
        }),
    ];
    for f in &cases {
        check(f, -1.0, 1.0, 1e-15, 1e-5);
    }
}

#[test]
fn reductions_agree_for_all_axes_and_lengths() {
    let axes: [&[usize]; 7] = [&[0], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[0, 1, 2]];
    for axes in axes {
        for shape in [[2, 3, 4], [3, 40, 2], [2, 3, 700], [1, 0, 2], [0, 2, 2]] {
            for op in [Op::Sum(axes.into()), Op::ReduceMax(axes.into()), Op::LogSumExp(axes.into())]
            {
                let f = build(&[&shape], |b, x| b.add(op, [x[0]].as_slice()));
                check(&f, -2.0, 2.0, 1e-13, 1e-4);
            }
        }
    }
    for (axis, reverse) in [(0, false), (1, true), (1, false), (0, true)] {
        let f = build(&[&[5, 3]], |b, x| b.add(Op::CumSum { axis, reverse }, [x[0]].as_slice()));
        check(&f, -2.0, 2.0, 1e-14, 1e-5);
    }
}

#[test]
fn fused_chains_with_sums_agree() {
    for n in [1, 5, 33, 600, 1500] {
        // Σ (s·x − y)² exp(−t), and the terms themselves, and the sum of another chain.
        let mut b = Builder::new("chain");
        let x = b.input("x", real(&[n]));
        let y = b.input("y", real(&[n]));
        let s = b.input("s", real(&[]));
        let data = b.tensor(Tensor::new(real(&[n]), numbers(3, n, -1.0, 1.0)));
        let sx = b.times(s, x);
        let r = b.minus(sx, y);
        let sq = b.unary(UnaryOp::Square, r);
        let decay = b.negate(s);
        let decay = b.unary(UnaryOp::Exp, decay);
        let terms = b.times(sq, decay);
        let weighted = b.times(terms, data);
        let total = b.sum_all(weighted);
        let back = b.times(total, r);
        b.output("terms", terms);
        b.output("total", total);
        b.output("back", back);
        // The total nearly cancels.
        check(&b.finish(), -1.0, 1.0, 1e-11, 1e-3);
    }
}

#[test]
fn matrix_products_agree_for_constant_and_varying_operands() {
    for (m, k, n) in [(1, 1, 1), (3, 4, 1), (7, 5, 2), (33, 9, 1), (40, 3, 5), (2, 0, 3)] {
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let a_shape = if ta { [k, m] } else { [m, k] };
            let b_shape = if tb { [n, k] } else { [k, n] };
            let constant = |b: &mut Builder, shape: &[usize], seed| {
                let n = shape.iter().product();
                b.tensor(Tensor::new(real(shape), numbers(seed, n, -1.0, 1.0)))
            };
            let cases = [
                build(&[&a_shape, &b_shape], |b, x| b.matmul(x[0], x[1], ta, tb)),
                build(&[&b_shape], |b, x| {
                    let a = constant(b, &a_shape, 1);
                    b.matmul(a, x[0], ta, tb)
                }),
                build(&[&a_shape], |b, x| {
                    let c = constant(b, &b_shape, 2);
                    b.matmul(x[0], c, ta, tb)
                }),
            ];
            for f in &cases {
                check(f, -1.0, 1.0, 1e-14, 1e-4);
            }
        }
    }
}

/// `x xᵀ + 3 I` for a square `x`.
fn positive_definite(b: &mut Builder, x: ValueId, n: usize) -> ValueId {
    let xx = b.matmul(x, x, false, true);
    let eye: Vec<f64> = (0..n * n).map(|e| if e / n == e % n { 3.0 } else { 0.0 }).collect();
    let eye = b.tensor(Tensor::new(real(&[n, n]), eye));
    b.plus(xx, eye)
}

#[test]
fn cholesky_and_triangular_solves_agree() {
    for n in [1, 2, 5, 12] {
        let f = build(&[&[n, n]], |b, x| {
            let a = positive_definite(b, x[0], n);
            b.add(Op::Cholesky, [a].as_slice())
        });
        check(&f, -1.0, 1.0, 1e-13, 1e-4);
        for (lower, trans) in [(true, false), (true, true), (false, false), (false, true)] {
            let op = Op::TriSolve { lower, trans };
            let f = build(&[&[n, n], &[n, 3]], |b, x| {
                let a = positive_definite(b, x[0], n);
                b.add(op.clone(), [a, x[1]].as_slice())
            });
            check(&f, -1.0, 1.0, 1e-12, 1e-3);
            let eye: Vec<f64> = (0..n * n).map(|e| 1.0 / (1.0 + e as f64)).collect();
            for constant_first in [true, false] {
                let shape: &[usize] = if constant_first { &[n, 3] } else { &[n, n] };
                let f = build(&[shape], |b, x| {
                    if constant_first {
                        let a = b.tensor(Tensor::new(real(&[n, n]), eye.clone()));
                        b.add(op.clone(), [a, x[0]].as_slice())
                    } else {
                        let a = positive_definite(b, x[0], n);
                        let c = b.tensor(Tensor::new(real(&[n, n]), eye.clone()));
                        b.add(op.clone(), [a, c].as_slice())
                    }
                });
                check(&f, -1.0, 1.0, 1e-7, f64::INFINITY);
            }
        }
    }
    // Not positive definite in some lanes only.
    let f = build(&[&[2, 2]], |b, x| b.add(Op::Cholesky, [x[0]].as_slice()));
    check(&f, -1.0, 1.0, 1e-12, 1e-2);
}

#[test]
fn scans_agree() {
    let text = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/exec")).unwrap();
    let mut count = 0;
    for entry in text {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let f = parse::parse(&text).unwrap();
        check(&f, -1.0, 1.0, 1e-13, 1e-4);
        count += 1;
    }
    assert!(count >= 3, "fixtures in tests/exec");
}

#[test]
fn scans_of_no_steps_and_swapped_states_agree() {
    for (length, reverse) in [(0, false), (1, true), (7, false), (7, true)] {
        let mut body = Builder::new("swap");
        let a = body.input("a", real(&[2]));
        let b = body.input("b", real(&[2]));
        let x = body.input("x", real(&[]));
        let c = body.input("c", real(&[2]));
        let next = body.times(x, a);
        let next = body.plus(next, c);
        body.output("a", b);
        body.output("b", next);
        body.output("y", a);
        let scan = Scan { body: body.finish(), length, carries: 2, xs: 1, reverse };
        let mut b = Builder::new("outer");
        let start = b.input("start", real(&[2]));
        let xs = b.input("xs", real(&[length]));
        let one = b.splat(1.0, &[2]);
        for (i, part) in b.scan(scan, &[start, one, xs, start]).into_iter().enumerate() {
            b.output(format!("part{i}"), part);
        }
        check(&b.finish(), -1.0, 1.0, 1e-14, 1e-5);
    }
}

proptest! {
    #![proptest_config(cases(150))]
    #[test]
    fn random_functions_agree(choices in proptest::collection::vec(any::<(u8, u8, u8)>(), 1..40)) {
        let f = random_ir::function(&choices);
        ppl::ir::verify::verify(&f).unwrap();
        let points: Vec<Vec<Tensor>> =
            (0..9).map(|seed| random_ir::inputs(&f, seed + 1, -1.0, 1.0)).collect();
        let got = run(&Program::<f64>::compile(&f), &f, &points);
        for (b, point) in points.iter().enumerate() {
            for (o, want) in reference::evaluate(&f, point).iter().enumerate() {
                let n = want.data.len();
                for i in 0..n {
                    let (x, w) = (got[o][b * n + i], want.data[i]);
                    prop_assert!(close(x, w, 1e-9, 1e-9), "{} for {}, output {}:\n{}", x, w, o, f);
                }
            }
            let alone = run(&Program::<f64>::compile(&f), &f, &points[b..=b]);
            for (o, alone) in alone.iter().enumerate() {
                let n = alone.len();
                for (x, y) in alone.iter().zip(&got[o][b * n..]) {
                    prop_assert!(x.to_bits() == y.to_bits(), "bits of output {}:\n{}", o, f);
                }
            }
        }
    }

    #[test]
    fn text_of_random_functions_reads_back(
        choices in proptest::collection::vec(any::<(u8, u8, u8)>(), 1..30),
        // Control characters among the others.
        name in "[\\x00-\\x1f\\PC]*",
    ) {
        let mut f = random_ir::function(&choices);
        f.name = name;
        let text = ppl::ir::print::to_text(&f);
        let back = parse::parse(&text).unwrap();
        // Scans compare by identity, so through the text.
        prop_assert_eq!(ppl::ir::print::to_text(&back), text);
        prop_assert_eq!(back.insts.len(), f.insts.len());
        prop_assert_eq!(back.name, f.name);
    }
}

/// `log p = −½ (θ − μ)ᵀ P (θ − μ)` with its score and Hessian-vector product, by hand.
fn gaussian(mu: &[f64], p: &[f64]) -> Function {
    let d = mu.len();
    let mut b = Builder::new("gaussian");
    let theta = b.input("theta", real(&[d]));
    let v = b.input("v", real(&[d]));
    let mu = b.tensor(Tensor::new(real(&[d]), mu.to_vec()));
    let p = b.tensor(Tensor::new(real(&[d, d]), p.to_vec()));
    let r = b.minus(theta, mu);
    let column = b.reshape(r, &[d, 1]);
    let pr = b.matmul(p, column, false, false);
    let pr = b.reshape(pr, &[d]);
    let product = b.times(r, pr);
    let total = b.sum_all(product);
    let log_joint = b.scaled(-0.5, total);
    let score = b.negate(pr);
    // A quartic term, so that the Hessian depends on θ: −Σ r⁴ / 12.
    let r2 = b.unary(UnaryOp::Square, r);
    let r3 = b.times(r2, r);
    let r4 = b.unary(UnaryOp::Square, r2);
    let quartic = b.sum_all(r4);
    let quartic = b.scaled(-1.0 / 12.0, quartic);
    let log_joint = b.plus(log_joint, quartic);
    let cubic = b.scaled(-1.0 / 3.0, r3);
    let score = b.plus(score, cubic);
    let column = b.reshape(v, &[d, 1]);
    let pv = b.matmul(p, column, false, false);
    let pv = b.reshape(pv, &[d]);
    let curved = b.times(r2, v);
    let sum = b.plus(pv, curved);
    let hvp = b.negate(sum);
    b.output("log_joint", log_joint);
    b.output("score", score);
    b.output("hvp", hvp);
    b.finish()
}

fn density_at<E: Element>(batch: usize, rtol: f64) {
    let d = 3;
    let mu = [0.5, -1.0, 2.0];
    let p = [2.0, 0.3, 0.1, 0.3, 1.5, -0.2, 0.1, -0.2, 1.0];
    let density = CompiledDensity::<E>::new(&gaussian(&mu, &p));
    assert_eq!(density.dim(), d);
    // Only r² is needed for the products.
    assert_eq!(density.saved_per_point(), d);
    let z: Vec<f64> = numbers(5, batch * d, -2.0, 2.0);
    let v: Vec<f64> = numbers(6, batch * d, -1.0, 1.0);
    let narrow = |x: &[f64]| x.iter().map(|&x| E::of(x)).collect::<Vec<E>>();
    let zero = |n: usize| vec![E::zero(); n];
    let (mut score, mut hvp) = (zero(batch * d), zero(batch * d));
    let mut keep = Residuals::default();
    density.score_keep(&narrow(&z), &mut score, &mut keep);
    density.hvp(&keep, &narrow(&v), &mut hvp);
    let (mut log_p, mut score2, mut log_p2) = (zero(batch), zero(batch * d), zero(batch));
    density.score(&narrow(&z), &mut log_p, &mut score2);
    density.log_density(&narrow(&z), &mut log_p2);
    assert_eq!((&log_p, &score), (&log_p2, &score2));
    for b in 0..batch {
        let r: Vec<f64> = (0..d).map(|i| z[b * d + i] - mu[i]).collect();
        let times = |x: &[f64], i: usize| (0..d).map(|j| p[i * d + j] * x[j]).sum::<f64>();
        let value: f64 = (0..d).map(|i| -0.5 * r[i] * times(&r, i) - r[i].powi(4) / 12.0).sum();
        assert!(close(log_p[b].f64(), value, rtol, 0.0), "{} for {value}", log_p[b].f64());
        for i in 0..d {
            let s = -times(&r, i) - r[i].powi(3) / 3.0;
            let h = -times(&v[b * d..(b + 1) * d], i) - r[i] * r[i] * v[b * d + i];
            assert!(close(score[b * d + i].f64(), s, rtol, rtol), "score {i}");
            assert!(close(hvp[b * d + i].f64(), h, rtol, rtol), "hvp {i}");
        }
    }
}

#[test]
fn density_score_and_hessian_products_match_closed_forms() {
    for batch in [1, 2, 8, 64, 65, 300] {
        density_at::<f64>(batch, 1e-13);
        density_at::<f32>(batch, 2e-5);
    }
}

/// Distance in units of the last place of the exact value, which is computed in f64 for f32.
fn ulps<E: Element>(got: E, want: f64) -> f64 {
    if got.f64() == want || (got.f64().is_nan() && want.is_nan()) {
        return 0.0;
    }
    (got.f64() - want).abs() / (want.abs() * E::epsilon().f64()).max(E::min_positive_value().f64())
}

#[test]
fn elementary_functions_keep_their_error_bounds() {
    type Row<E> = (&'static str, fn(E) -> E, fn(f64) -> f64, f64, f64, f64);
    fn check_rows<E: Element>(rows: &[Row<E>]) {
        for (name, fast, exact, lo, hi, bound) in rows {
            let worst = numbers(11, 20_000, *lo, *hi)
                .into_iter()
                .map(|x| E::of(x))
                .map(|x| (ulps(fast(x), exact(x.f64())), x.f64()))
                .fold((0.0, 0.0), |a, b| if b.0 > a.0 { b } else { a });
            assert!(worst.0 <= *bound, "{name}: {} ulp at {}", worst.0, worst.1);
        }
    }
    use ppl::special;
    check_rows::<f64>(&[
        ("exp", f64::fast_exp, f64::exp, -700.0, 700.0, 1.5),
        ("exp", f64::fast_exp, f64::exp, -1.0, 1.0, 1.5),
        ("expm1", f64::fast_expm1, f64::exp_m1, -1.0, 1.0, 2.0),
        ("expm1", f64::fast_expm1, f64::exp_m1, -60.0, 709.7, 2.0),
        ("log", f64::fast_log, f64::ln, 0.0, 4.0, 1.5),
        ("log", f64::fast_log, f64::ln, 0.9, 1.1, 1.5),
        ("log", f64::fast_log, f64::ln, 0.0, 1e300, 1.5),
        ("log1p", f64::fast_log1p, f64::ln_1p, -0.99, 1.0, 2.0),
        ("log1p", f64::fast_log1p, f64::ln_1p, -1e-9, 1e-9, 2.0),
        ("tanh", f64::fast_tanh, f64::tanh, -3.0, 3.0, 3.0),
        ("inv_logit", f64::fast_inv_logit, special::inv_logit, -40.0, 40.0, 3.0),
        ("log1p_exp", f64::fast_log1p_exp, special::log1p_exp, -40.0, 40.0, 3.0),
        ("softplus", |x| x.fast_softplus().0, special::log1p_exp, -40.0, 40.0, 3.0),
        ("its slope", |x| x.fast_softplus().1, special::inv_logit, -40.0, 40.0, 3.0),
        ("log1m_exp", f64::fast_log1m_exp, special::log1m_exp, -40.0, -1e-6, 4.0),
    ]);
    check_rows::<f32>(&[
        ("exp", f32::fast_exp, f64::exp, -87.0, 88.0, 1.5),
        ("expm1", f32::fast_expm1, f64::exp_m1, -1.0, 1.0, 2.0),
        ("expm1", f32::fast_expm1, f64::exp_m1, -60.0, 88.0, 2.0),
        ("log", f32::fast_log, f64::ln, 0.0, 4.0, 1.5),
        ("log", f32::fast_log, f64::ln, 0.9, 1.1, 1.5),
        ("log1p", f32::fast_log1p, f64::ln_1p, -0.99, 1.0, 2.0),
        ("tanh", f32::fast_tanh, f64::tanh, -3.0, 3.0, 3.0),
        ("inv_logit", f32::fast_inv_logit, special::inv_logit, -40.0, 40.0, 3.0),
        ("log1p_exp", f32::fast_log1p_exp, special::log1p_exp, -40.0, 40.0, 3.0),
        ("softplus", |x| x.fast_softplus().0, special::log1p_exp, -40.0, 40.0, 3.0),
        ("its slope", |x| x.fast_softplus().1, special::inv_logit, -40.0, 40.0, 3.0),
        ("log1m_exp", f32::fast_log1m_exp, special::log1m_exp, -40.0, -1e-3, 4.0),
    ]);
    // Subnormal results and arguments.
    assert!((-745.0f64).fast_exp() > 0.0);
    assert_eq!(f64::from_bits(1).fast_log(), f64::from_bits(1).ln());
    assert_eq!((-746.0f64).fast_exp(), 0.0);
    assert_eq!(709.9f64.fast_exp(), f64::INFINITY);
}
