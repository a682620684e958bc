//! Derivatives of every operation: reverse mode against differences and against dual numbers.
//!
//! | file | holds |
//! |---|---|
//! | `differences` | central differences with extrapolation |
//! | `dual` | an interpreter of the IR over dual numbers |
//! | `elementwise` | one row per elementwise operation |
//! | `structural` | movements, reductions, linear algebra; the test that every operation has a row |
//! | `scans` | loops |
//! | `solvers` | differential equations, integrals, roots, decompositions of matrices |
//! | `special_points` | ties, edges, branches not taken; operations without a derivative; size |
//! | `random` | random functions |
//!
//! This file holds the comparison itself, [`check`].

pub(crate) mod differences;
pub(crate) mod dual;
mod elementwise;
mod random;
mod scans;
mod solvers;
mod special_points;
mod structural;

use ppl::autodiff::{gradient, hvp};
use ppl::exec::reference::evaluate;
use ppl::ir::{Builder, Function, Tensor, Type, ValueId, verify::verify};

use differences::derivative;
use dual::Dual;

/// Allowed relative differences, of first and second derivatives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tolerance {
    pub first: f64,
    pub second: f64,
}

/// What elementary functions reach; the bound is on differences, not on reverse mode.
pub(crate) const TIGHT: Tolerance = Tolerance { first: 1e-8, second: 1e-7 };

/// A real vector.
pub(crate) fn vector(x: &[f64]) -> Tensor {
    Tensor::new(Type::real([x.len()].as_slice()), x.to_vec())
}

/// Numbers in (−1, 1) without pattern; the same for the same `seed`.
pub(crate) fn noise(n: usize, seed: u32) -> Vec<f64> {
    (0..n)
        .map(|i| {
            let x =
                (f64::from(u32::try_from(i).unwrap()) * 12.9898 + f64::from(seed) * 78.233).sin();
            (x * 43758.5453).fract()
        })
        .collect()
}

/// Outputs a scalar that depends on every element of `parts` and is not linear in them.
pub(crate) fn output(b: &mut Builder, parts: &[ValueId]) {
    let mut total = b.scalar(0.0);
    for (k, &part) in parts.iter().enumerate() {
        let shape = b.shape(part);
        let weights: Vec<f64> = noise(b.ty(part).len(), 40 + u32::try_from(k).unwrap())
            .iter()
            .map(|w| 0.5 + w.abs())
            .collect();
        let weights = b.tensor(Tensor::new(Type::real(shape), weights));
        let weighted = b.times(weights, part);
        let sum = b.sum_all(weighted);
        total = b.plus(total, sum);
    }
    let square = b.unary(ppl::ir::UnaryOp::Square, total);
    let square = b.scaled(0.25, square);
    let y = b.plus(total, square);
    b.output("y", y);
}

/// A function of one vector of `n` reals.
pub(crate) fn function(
    n: usize,
    build: impl FnOnce(&mut Builder, ValueId) -> Vec<ValueId>,
) -> Function {
    let mut b = Builder::new("f");
    let x = b.input("x", Type::real([n].as_slice()));
    let parts = build(&mut b, x);
    output(&mut b, &parts);
    b.finish()
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// The largest difference of two vectors within `tolerance` of their size.
fn assert_close(what: &str, a: &[f64], b: &[f64], scale: f64, tolerance: f64) {
    assert_eq!(a.len(), b.len(), "{what}: lengths");
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        let error = (x - y).abs();
        assert!(
            error <= tolerance * (scale + x.abs() + 1e-3),
            "{what}, element {i}: {x:e} against {y:e}, apart by {error:e}"
        );
    }
}

/// All routes to the first and second derivatives of `f` (one vector in, a scalar out
/// first) agree at `x`.
pub(crate) fn check(name: &str, f: &Function, x: &[f64], tolerance: Tolerance) {
    verify(f).unwrap();
    let g = gradient(f, 0).unwrap();
    let h = hvp(f, 0).unwrap();
    verify(&g).unwrap_or_else(|e| panic!("{name}: gradient: {e}\n{g}"));
    verify(&h).unwrap_or_else(|e| panic!("{name}: hvp: {e}\n{h}"));
    let n = x.len();
    // Directions that stay within a domain: small where the coordinate is small.
    let reach: Vec<f64> = x.iter().map(|x| (0.1 + x.abs()).min(1.0)).collect();
    let direction =
        |seed| -> Vec<f64> { noise(n, seed).iter().zip(&reach).map(|(a, r)| a * r).collect() };
    let (u, v) = (direction(1), direction(2));
    let moved = |t: f64, along: &[f64]| -> Tensor {
        vector(&x.iter().zip(along).map(|(x, d)| x + t * d).collect::<Vec<f64>>())
    };
    let dual_at = |along: &[f64]| Dual { v: vector(x), t: vector(along) };

    let at_x = evaluate(&g, &[vector(x)]);
    let outputs = f.outputs.len();
    let (value, score) = (at_x[0].data[0], &at_x[outputs].data[..]);
    assert_eq!(value.to_bits(), evaluate(f, &[vector(x)])[0].data[0].to_bits(), "{name}: value");
    assert!(value.is_finite() && score.iter().all(|s| s.is_finite()), "{name}: {value} {score:?}");

    let reverse = dot(score, &u);
    let scale = norm(score) * norm(&u);
    let along_u = |t| evaluate(f, &[moved(t, &u)])[0].data.to_vec();
    let differences = derivative(along_u, 0.03);
    assert_close(
        &format!("{name}: slope, differences"),
        &[reverse],
        &differences,
        scale,
        tolerance.first,
    );
    let forward = dual::evaluate(f, &[dual_at(&u)])[0].t.data[0];
    assert_close(
        &format!("{name}: slope, dual numbers"),
        &[reverse],
        &[forward],
        scale,
        tolerance.first,
    );

    let product = |along: &[f64]| -> Vec<f64> {
        let out = evaluate(&h, &[vector(x), vector(along)]);
        assert_eq!(out[outputs].data[..], *score, "{name}: the score of hvp");
        out[outputs + 1].data.to_vec()
    };
    let (hu, hv) = (product(&u), product(&v));
    let scale = norm(&hv);
    let differences = derivative(|t| evaluate(&g, &[moved(t, &v)])[outputs].data.to_vec(), 0.03);
    assert_close(&format!("{name}: hvp, differences"), &hv, &differences, scale, tolerance.second);
    let forward = dual::evaluate(&g, &[dual_at(&v)]).pop().unwrap().t.data.to_vec();
    assert_close(&format!("{name}: hvp, dual numbers"), &hv, &forward, scale, tolerance.second);
    let scale = norm(&hv) * norm(&u) + norm(&hu) * norm(&v);
    assert_close(&format!("{name}: symmetry"), &[dot(&u, &hv)], &[dot(&v, &hu)], scale, 1e-9);
}

#[test]
fn a_wrong_derivative_is_found() {
    // `sign` is said to have derivative 0, which is wrong where differences see a step.
    let f = function(1, |b, x| vec![b.unary(ppl::ir::UnaryOp::Sign, x)]);
    let result = std::panic::catch_unwind(|| check("step", &f, &[1e-9], TIGHT));
    assert!(result.is_err());
}
