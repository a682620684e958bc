//! Value, gradient and Hessian-vector product of a logistic regression: evaluations over batch size.
//!
//! `N = 208` rows, `D = 61` coefficients (the size of the sonar data), prior normal(0, 10), written in IR
//! by hand: what the compiler should arrive at. Run: `cargo bench --bench log_density`.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use ppl::density::{LogDensity, Residuals};
use ppl::exec::density::CompiledDensity;
use ppl::exec::element::Element;
use ppl::ir::{Builder, Function, Tensor, Type, UnaryOp};

const N: usize = 208;
const D: usize = 61;

fn main() {
    divan::main();
}

fn logistic() -> Function {
    let mut state = 1u64;
    let mut uniform = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let x: Vec<f64> = (0..N * D).map(|_| 2.0 * uniform() - 1.0).collect();
    let y: Vec<f64> = (0..N).map(|_| f64::from(u8::from(uniform() < 0.5))).collect();
    let mut b = Builder::new("logistic");
    let vector = |n: usize| Type::real([n].as_slice());
    let theta = b.input("theta", vector(D));
    let v = b.input("v", vector(D));
    let x = b.tensor(Tensor::new(Type::real([N, D].as_slice()), x));
    let y = b.tensor(Tensor::new(vector(N), y));
    let times = |b: &mut Builder, a, rows, flip, column| {
        let column = b.reshape(column, &[if flip { N } else { D }, 1]);
        let product = b.matmul(a, column, flip, false);
        b.reshape(product, &[rows])
    };
    let eta = times(&mut b, x, N, false, theta);
    let y_eta = b.times(y, eta);
    let soft = b.unary(UnaryOp::Log1pExp, eta);
    let terms = b.minus(y_eta, soft);
    let likelihood = b.sum_all(terms);
    let sq = b.unary(UnaryOp::Square, theta);
    let norm = b.sum_all(sq);
    let prior = b.scaled(-0.005, norm);
    let log_joint = b.plus(likelihood, prior);
    let p = b.unary(UnaryOp::InvLogit, eta);
    let r = b.minus(y, p);
    let xr = times(&mut b, x, D, true, r);
    let shrink = b.scaled(-0.01, theta);
    let score = b.plus(xr, shrink);
    let xv = times(&mut b, x, N, false, v);
    let p2 = b.unary(UnaryOp::Square, p);
    let w = b.minus(p2, p);
    let wxv = b.times(w, xv);
    let curved = times(&mut b, x, D, true, wxv);
    let shrink = b.scaled(-0.01, v);
    let hvp = b.plus(curved, shrink);
    b.output("log_joint", log_joint);
    b.output("score", score);
    b.output("hvp", hvp);
    b.finish()
}

fn points<E: Element>(batch: usize) -> Vec<E> {
    (0..batch * D).map(|i| E::of(0.1 * ((i * 7919 % 101) as f64 / 50.0 - 1.0))).collect()
}

#[divan::bench(types = [f32, f64], args = [1, 5, 64])]
fn log_density<E: Element>(bencher: Bencher<'_, '_>, batch: usize) {
    let density = CompiledDensity::<E>::new(&logistic());
    let (z, mut log_p) = (points::<E>(batch), vec![E::zero(); batch]);
    bencher
        .counter(ItemsCount::new(batch))
        .bench_local(|| density.log_density(black_box(&z), black_box(&mut log_p)));
}

#[divan::bench(types = [f32, f64], args = [1, 5, 64])]
fn score<E: Element>(bencher: Bencher<'_, '_>, batch: usize) {
    let density = CompiledDensity::<E>::new(&logistic());
    let (z, mut log_p) = (points::<E>(batch), vec![E::zero(); batch]);
    let mut score = vec![E::zero(); batch * D];
    bencher.counter(ItemsCount::new(batch)).bench_local(|| {
        density.score(black_box(&z), black_box(&mut log_p), black_box(&mut score));
    });
}

#[divan::bench(types = [f32, f64], args = [1, 5, 64])]
fn score_and_hvp<E: Element>(bencher: Bencher<'_, '_>, batch: usize) {
    let density = CompiledDensity::<E>::new(&logistic());
    let z = points::<E>(batch);
    let (mut score, mut out) = (vec![E::zero(); batch * D], vec![E::zero(); batch * D]);
    let mut keep = Residuals::default();
    bencher.counter(ItemsCount::new(batch)).bench_local(|| {
        density.score_keep(black_box(&z), &mut score, &mut keep);
        density.hvp(&keep, black_box(&z), black_box(&mut out));
    });
}
