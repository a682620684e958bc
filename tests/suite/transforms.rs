//! Constraining transforms: values lie in the support, `log |det J|` is that of the map.
//!
//! The Jacobian comes from dual numbers, its determinant from elimination.

use ppl::check::typed::{
    Decl, Expr, ExprKind, Model, Scalar, Stage, Structure, Support, Type, Var, VarId, VarKind,
};
use ppl::data::{DataArray, DataSet};
use ppl::exec::reference::evaluate;
use ppl::ir::{Function, verify::verify};
use ppl::lower::{Lowered, Space, lower};
use ppl::source::{FileId, Span};

use crate::gradients::dual::{self, Dual};
use crate::gradients::{TIGHT, check, noise, vector};
use crate::tolerance::close;

fn span() -> Span {
    Span::at(FileId(0), 0)
}

fn literal(kind: ExprKind, scalar: Scalar) -> Expr {
    Expr { kind, ty: Type::Array { scalar, dims: Vec::new() }, stage: Stage::Data, span: span() }
}

fn int(n: usize) -> Expr {
    literal(ExprKind::Int(i64::try_from(n).unwrap()), Scalar::Int)
}

fn number(x: f64) -> Expr {
    literal(ExprKind::Real(x), Scalar::Real)
}

/// A model with one parameter `x` of the given support and no prior.
fn lowered(structure: Structure, array: &[usize]) -> Lowered {
    let ty = Type::Array { scalar: Scalar::Real, dims: Vec::new() };
    let var = Var {
        name: "x".to_owned(),
        kind: VarKind::Param,
        ty,
        stage: Stage::Parameter,
        span: span(),
    };
    let array = array.iter().map(|&n| int(n)).collect();
    let support = Support { array, structure, missing: false };
    let decl = Decl::Param { var: VarId(0), support, prior: None, span: span() };
    let model = Model { vars: vec![var], decls: vec![decl], ..Model::default() };
    let data = DataSet::from_arrays(std::iter::empty::<(String, DataArray)>());
    let outcome = lower(&model, &data, Space::Unconstrained);
    let lowered = outcome.value.unwrap_or_else(|| panic!("{:?}", outcome.diagnostics));
    verify(&lowered.function).unwrap();
    lowered
}

fn scalar(ends: [Option<f64>; 4]) -> Structure {
    let [lower, upper, offset, multiplier] = ends.map(|end| end.map(number));
    Structure::Scalar { scalar: Scalar::Real, lower, upper, offset, multiplier }
}

/// A row: a name, the support, which of the constrained numbers are free, and whether a value is in
/// the support.
struct Row {
    name: &'static str,
    structure: Structure,
    free: Vec<usize>,
    holds: fn(&[f64]) -> bool,
}

fn lower_triangle(k: usize, diagonal: bool) -> Vec<usize> {
    let reach = |i: usize| if diagonal { i + 1 } else { i };
    (0..k).flat_map(|i| (0..reach(i)).map(move |j| i * k + j)).collect()
}

fn side(x: &[f64]) -> usize {
    (1..=x.len()).find(|k| k * k >= x.len()).unwrap()
}

/// Whether a symmetric matrix has positive pivots.
fn positive_definite(x: &[f64]) -> bool {
    let k = side(x);
    let symmetric = (0..k * k).all(|i| close(x[i], x[i % k * k + i / k], 1e-13, 1e-15));
    symmetric && pivots(x.to_vec(), k).iter().all(|&p| p > 0.0)
}

/// A lower triangular factor with a positive diagonal.
fn factor(x: &[f64]) -> bool {
    let k = side(x);
    (0..k).all(|i| x[i * k + i] > 0.0 && x[i * k + i + 1..(i + 1) * k].iter().all(|&x| x == 0.0))
}

fn unit(x: &[f64]) -> bool {
    close(x.iter().map(|x| x * x).sum(), 1.0, 1e-13, 0.0)
}

fn rows(k: usize) -> Vec<Row> {
    let row = |name, structure, free, holds| Row { name, structure, free, holds };
    vec![
        row("identity", scalar([None; 4]), vec![0], |_| true),
        row("lower", scalar([Some(-2.0), None, None, None]), vec![0], |x| x[0] > -2.0),
        row("upper", scalar([None, Some(3.0), None, None]), vec![0], |x| x[0] < 3.0),
        row("interval", scalar([Some(-2.0), Some(3.0), None, None]), vec![0], |x| {
            -2.0 < x[0] && x[0] < 3.0
        }),
        row("affine", scalar([None, None, Some(5.0), Some(0.3)]), vec![0], |_| true),
        row("simplex", Structure::Simplex(int(k)), (0..k - 1).collect(), |x| {
            close(x.iter().sum(), 1.0, 1e-13, 0.0) && x.iter().all(|&x| x > 0.0)
        }),
        row("ordered", Structure::Ordered(int(k)), (0..k).collect(), |x| {
            x.windows(2).all(|w| w[0] < w[1])
        }),
        row("positive_ordered", Structure::PositiveOrdered(int(k)), (0..k).collect(), |x| {
            x[0] > 0.0 && x.windows(2).all(|w| w[0] < w[1])
        }),
        row("cholesky_corr", Structure::CholeskyCorr(int(k)), lower_triangle(k, false), |x| {
            factor(x) && x.chunks(side(x)).all(unit)
        }),
        row("corr_matrix", Structure::CorrMatrix(int(k)), lower_triangle(k, false), |x| {
            let k = side(x);
            positive_definite(x) && (0..k).all(|i| close(x[i * k + i], 1.0, 1e-13, 0.0))
        }),
        row("cholesky_cov", Structure::CholeskyCov(int(k)), lower_triangle(k, true), factor),
        row("cov_matrix", Structure::CovMatrix(int(k)), lower_triangle(k, true), positive_definite),
    ]
}

/// Pivots of Gaussian elimination. Without row exchanges: those keep no signs, and triangular Jacobians
/// and positive definite matrices need none.
fn pivots(mut a: Vec<f64>, n: usize) -> Vec<f64> {
    for column in 0..n {
        for i in column + 1..n {
            let m = a[i * n + column] / a[column * n + column];
            for k in column..n {
                a[i * n + k] -= m * a[column * n + k];
            }
        }
    }
    (0..n).map(|i| a[i * n + i]).collect()
}

/// Derivatives of the elements of output `output` in the inputs, a row per input.
fn jacobian(f: &Function, output: usize, u: &[f64]) -> Vec<Vec<f64>> {
    (0..u.len())
        .map(|i| {
            let unit: Vec<f64> = (0..u.len()).map(|j| f64::from(u8::from(i == j))).collect();
            let input = Dual { v: vector(u), t: vector(&unit) };
            dual::evaluate(f, &[input])[output].t.data.to_vec()
        })
        .collect()
}

fn points(n: usize) -> [Vec<f64>; 3] {
    [1, 2, 3].map(|seed| noise(n, seed).iter().map(|x| x * f64::from(seed)).collect())
}

#[test]
fn log_det_of_the_jacobian_and_support() {
    for k in 1..=4 {
        for row in rows(k) {
            let lowered = lowered(row.structure.clone(), &[]);
            let f = &lowered.function;
            let output = lowered.variables[0].output;
            assert_eq!(lowered.params[0].transform, row.name);
            assert_eq!(lowered.params[0].len, row.free.len(), "{} {k}", row.name);
            for u in points(row.free.len()) {
                let out = evaluate(f, &[vector(&u)]);
                let x = &out[output].data;
                assert!((row.holds)(x), "{} {k} at {u:?}: {x:?}", row.name);
                let free: Vec<f64> = jacobian(f, output, &u)
                    .iter()
                    .flat_map(|r| row.free.iter().map(|&i| r[i]).collect::<Vec<f64>>())
                    .collect();
                let log_det: f64 = pivots(free, row.free.len()).iter().map(|p| p.abs().ln()).sum();
                let log_jacobian = out[1].data[0];
                assert!(
                    close(log_jacobian, log_det, 1e-10, 1e-10),
                    "{} {k} at {u:?}: {log_jacobian} against {log_det}",
                    row.name
                );
                assert_eq!(out[0].data[0], log_jacobian, "no other term");
            }
        }
    }
}

#[test]
fn arrays_of_structures_add_up() {
    for row in rows(3) {
        let one = lowered(row.structure.clone(), &[]);
        let many = lowered(row.structure.clone(), &[2, 2]);
        let n = row.free.len();
        assert_eq!(many.params[0].len, 4 * n);
        let u = noise(4 * n, 5);
        let all = evaluate(&many.function, &[vector(&u)]);
        let each: Vec<_> = u.chunks(n).map(|u| evaluate(&one.function, &[vector(u)])).collect();
        let total: f64 = each.iter().map(|e| e[1].data[0]).sum();
        assert!(close(all[1].data[0], total, 1e-13, 1e-13), "{}", row.name);
        let values: Vec<f64> =
            each.iter().flat_map(|e| e[one.variables[0].output].data.to_vec()).collect();
        let found = &all[many.variables[0].output].data;
        assert!(
            found.iter().zip(&values).all(|(a, b)| close(*a, *b, 1e-13, 1e-15)),
            "{}: {found:?} {values:?}",
            row.name
        );
    }
}

#[test]
fn unit_vector_has_norm_1_and_a_normal_radius() {
    let lowered = lowered(Structure::UnitVector(int(3)), &[]);
    let u = [0.3, -2.0, 1.1];
    let out = evaluate(&lowered.function, &[vector(&u)]);
    assert!(unit(&out[lowered.variables[0].output].data));
    let square: f64 = u.iter().map(|x| x * x).sum();
    assert!(close(out[1].data[0], -0.5 * square, 1e-14, 0.0));
}

#[test]
fn sum_to_zero_is_orthonormal() {
    let lowered = lowered(Structure::SumToZero(int(4)), &[]);
    let output = lowered.variables[0].output;
    let u = noise(3, 1);
    let out = evaluate(&lowered.function, &[vector(&u)]);
    assert!(out[output].data.iter().sum::<f64>().abs() < 1e-14);
    assert_eq!(out[1].data[0], 0.0);
    let j = jacobian(&lowered.function, output, &u);
    for (a, x) in j.iter().enumerate() {
        for (b, y) in j.iter().enumerate() {
            let product: f64 = x.iter().zip(y).map(|(x, y)| x * y).sum();
            assert!((product - f64::from(u8::from(a == b))).abs() < 1e-14);
        }
    }
}

#[test]
fn derivatives_of_the_log_jacobian() {
    for row in rows(3) {
        let lowered = lowered(row.structure.clone(), &[2]);
        let n = 2 * row.free.len();
        check(row.name, &lowered.function, &noise(n, 9), TIGHT);
    }
}

#[test]
fn far_out_the_log_jacobian_stays_finite() {
    for row in rows(3) {
        let lowered = lowered(row.structure.clone(), &[]);
        for sign in [-1.0, 1.0] {
            let u = vec![sign * 300.0; row.free.len()];
            let log_jacobian = evaluate(&lowered.function, &[vector(&u)])[1].data[0];
            assert!(log_jacobian.is_finite(), "{} at {sign}: {log_jacobian}", row.name);
        }
    }
}
