//! Constraining transforms: values lie in the support, `log |det J|` is that of the map.
//!
//! The Jacobian comes from dual numbers, its determinant from elimination.

use ppl::check::typed::{
    Decl, Expr, ExprKind, Model, Scalar, Stage, Structure, Support, Type, Var, VarId, VarKind,
};
use ppl::data::{DataArray, DataSet, Format};
use ppl::driver::Session;
use ppl::exec::reference::evaluate;
use ppl::ir::{Function, verify::verify};
use ppl::lower::{Lowered, Space, lower};
use ppl::posterior::Parts;
use ppl::source::{FileId, Span};

use proptest::prelude::*;

use crate::effort::cases;
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
    lowered_in(structure, array, Space::Unconstrained)
}

fn lowered_in(structure: Structure, array: &[usize], space: Space) -> Lowered {
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
    let outcome = lower(&model, &data, space);
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

/// From unconstrained reals to a value and back.
fn round_trip(name: &str, structure: &Structure, array: &[usize], u: &[f64]) {
    let there = lowered(structure.clone(), array);
    let back = lowered_in(structure.clone(), array, Space::Constrained);
    let value = evaluate(&there.function, &[vector(u)])[there.variables[0].output].clone();
    let output = back.unconstrained.unwrap();
    let found = evaluate(&back.function, std::slice::from_ref(&value)).swap_remove(output);
    assert_eq!(found.data.len(), u.len(), "{name}");
    // Of a unit vector only the direction is known.
    let again =
        evaluate(&there.function, std::slice::from_ref(&found))[there.variables[0].output].clone();
    for (a, b) in again.data.iter().zip(&*value.data) {
        assert!(close(*a, *b, 1e-9, 1e-9), "{name}: {:?} for {:?}", again.data, value.data);
    }
    if name != "unit_vector" {
        // The factor of a five by five covariance may have a condition number of 1e9.
        for (a, b) in found.data.iter().zip(u) {
            assert!(close(*a, *b, 1e-5, 1e-5), "{name}: {:?} for {u:?}", found.data);
        }
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn every_transform_is_undone(
        k in 1_usize..=5,
        array in prop::collection::vec(1_usize..=3, 0..=2),
        seed in prop::collection::vec(-3.0_f64..3.0, 9 * 15),
    ) {
        let mut all = rows(k);
        all.push(Row {
            name: "unit_vector",
            structure: Structure::UnitVector(int(k)),
            free: (0..k).collect(),
            holds: unit,
        });
        all.push(Row {
            name: "sum_to_zero",
            structure: Structure::SumToZero(int(k)),
            free: (0..k - 1).collect(),
            holds: |x| x.iter().sum::<f64>().abs() < 1e-12,
        });
        for row in all {
            let n = row.free.len() * array.iter().product::<usize>();
            round_trip(row.name, &row.structure, &array, &seed[..n]);
        }
    }

    /// The log-Jacobian at points of any size, against the determinant of the derivatives.
    #[test]
    fn jacobian_at_any_point(k in 1_usize..=4, u in prop::collection::vec(-4.0_f64..4.0, 10)) {
        for row in rows(k) {
            let lowered = lowered(row.structure.clone(), &[]);
            let (f, output) = (&lowered.function, lowered.variables[0].output);
            let u = &u[..row.free.len()];
            let log_jacobian = evaluate(f, &[vector(u)])[1].data[0];
            let free: Vec<f64> = jacobian(f, output, u)
                .iter()
                .flat_map(|r| row.free.iter().map(|&i| r[i]).collect::<Vec<f64>>())
                .collect();
            let log_det: f64 = pivots(free, row.free.len()).iter().map(|p| p.abs().ln()).sum();
            prop_assert!(
                close(log_jacobian, log_det, 1e-8, 1e-8),
                "{}: {} for {}", row.name, log_jacobian, log_det
            );
        }
    }
}

/// The log density and what it is at a constrained point, of a model from text.
fn at(text: &str, data: &str, point: &[&[f64]]) -> (f64, Vec<f64>) {
    let mut session = Session::new();
    let data = DataSet::from_bytes("data", Some(Format::Json), data.as_bytes()).unwrap();
    let lowered = session
        .check("model", text)
        .and_then(|model| session.lower(&model, &data, Space::Constrained));
    let lowered = lowered.unwrap_or_else(|| panic!("{}", session.render(false)));
    let joint = Parts::new(&lowered).at(point);
    (joint.log_density, joint.unconstrained.unwrap())
}

#[test]
fn bounds_that_depend_on_data_and_parameters_are_undone() {
    let text = "data top: real
param a: real<lower=-1, upper=top>
param b: real<lower=a, upper=a + top>[2]
param c: real<offset=a, multiplier=top>
";
    let (_, u) = at(text, r#"{"top": 3}"#, &[&[1.0], &[2.0, 3.0], &[4.0]]);
    for (u, wanted) in u.iter().zip([0.0, -(2.0_f64.ln()), 2.0_f64.ln(), 1.0]) {
        assert!(close(*u, wanted, 1e-14, 1e-14), "{u} for {wanted}");
    }
}

#[test]
fn parameters_of_a_point_stand_in_order_of_declaration() {
    let text =
        "param a: real[2] ~ normal(m, s)\nparam s ~ exponential(1)\nparam m ~ normal(0, 1)\n";
    let (log_p, u) = at(text, "{}", &[&[1.0, 2.0], &[3.0], &[4.0]]);
    for (u, wanted) in u.iter().zip([1.0, 2.0, 3.0_f64.ln(), 4.0]) {
        assert!(close(*u, wanted, 1e-14, 0.0), "{u} for {wanted}");
    }
    let log_root = 0.5 * (2.0 * std::f64::consts::PI).ln();
    let wanted = -2.0 * (3.0_f64.ln() + log_root) - 13.0 / 18.0 - 3.0 - 8.0 - log_root;
    assert!(close(log_p, wanted, 1e-14, 0.0), "{log_p} for {wanted}");
}

#[test]
fn the_prior_of_an_ordered_parameter_counts_all_orders() {
    let normal = |x: f64| -0.5 * x * x - 0.5 * (2.0 * std::f64::consts::PI).ln();
    let points = [-1.0, 0.5, 2.0];
    let iid: f64 = points.iter().map(|&x| normal(x)).sum();
    let (log_p, _) = at("param x: ordered[3] ~ normal(0, 1)\n", "{}", &[&points]);
    assert!(close(log_p, iid + 6.0_f64.ln(), 1e-14, 0.0), "{log_p}");
    // By a statement, and each of an array of them.
    let twice = [points, points].concat();
    let (log_p, _) = at("param x: array[2] ordered[3]\nx ~ normal(0, 1)\n", "{}", &[&twice]);
    assert!(close(log_p, 2.0 * (iid + 6.0_f64.ln()), 1e-14, 0.0), "{log_p}");
    // Positive elements are half-normal.
    let half = [0.5, 1.0, 2.0];
    let iid: f64 = half.iter().map(|&x| normal(x) + 2.0_f64.ln()).sum();
    let (log_p, _) = at("param x: positive_ordered[3] ~ normal(0, 1)\n", "{}", &[&half]);
    assert!(close(log_p, iid + 6.0_f64.ln(), 1e-14, 0.0), "{log_p}");
}

#[test]
fn a_let_is_what_its_type_says_or_there_is_no_density() {
    let cases: [(&str, &str, [f64; 2], [f64; 2]); 6] = [
        ("real<lower=0, upper=3>", "x[1] + x[2]", [1.0, 1.5], [2.0, 1.5]),
        ("real<lower=0>[2]", "x", [0.0, 1.0], [0.5, -1.0]),
        ("simplex[2]", "x", [0.25, 0.75], [0.25, 0.7]),
        ("ordered[2]", "x", [1.0, 2.0], [2.0, 1.0]),
        ("cov_matrix[2]", "[[1, x[1]], [x[1], x[2]]]", [0.5, 1.0], [2.0, 1.0]),
        ("cholesky_corr[2]", "[[1, 0], [x[1], x[2]]]", [0.6, 0.8], [0.6, 0.7]),
    ];
    for (ty, value, good, bad) in cases {
        let text = format!("param x: real[2] ~ normal(0, 1)\nlet s: {ty} = {value}\n");
        let (inside, _) = at(&text, "{}", &[&good]);
        let (outside, _) = at(&text, "{}", &[&bad]);
        assert!(inside.is_finite(), "{ty}: {inside}");
        assert_eq!(outside, f64::NEG_INFINITY, "{ty}");
    }
}
