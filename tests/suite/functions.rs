//! Functions of the language against `tests/reference/functions.jsonl`, and their derivatives by three
//! routes.

use std::path::Path;

use ppl::data::DataSet;
use ppl::driver::Session;
use ppl::posterior::Posterior;
use serde_json::Value;

use crate::gradients::{self, Tolerance, noise};

fn compile(text: &str, data: &str) -> Posterior {
    let data = DataSet::from_bytes("data.json", None, data.as_bytes()).unwrap();
    let mut session = Session::new();
    let posterior =
        session.check("model.ppl", text).and_then(|model| session.compile(&model, &data));
    posterior.unwrap_or_else(|| panic!("{text}\n{}", session.render(false)))
}

fn numbers(value: &Value, out: &mut Vec<f64>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| numbers(item, out)),
        number => out.push(number.as_f64().unwrap()),
    }
}

/// Relative bound; solvers have tolerances of their own, and the approximations are less exact.
fn bound(expression: &str) -> f64 {
    match expression {
        e if e.starts_with("ode_rk45_tol") => 1e-4,
        e if e.starts_with("ode_") => 2e-7,
        e if e.starts_with("integrate_1d") || e.starts_with("algebra_solver") => 1e-9,
        e if e.contains("bessel") || e.starts_with("owens_t") => 1e-9,
        e if e.starts_with("qr_") || e.starts_with("svd") => 1e-9,
        _ => 1e-10,
    }
}

#[test]
fn functions_have_the_values_that_scipy_gives() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/functions.jsonl");
    let lines = std::fs::read_to_string(path).unwrap();
    let rows: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let (first, rows) = rows.split_first().unwrap();
    let mut text = first["header"].as_str().unwrap().to_owned();
    text += "param unused ~ normal(0, 1)\n";
    for (i, row) in rows.iter().enumerate() {
        text += &format!("gen value_{i} = {}\n", row["f"].as_str().unwrap());
    }
    let posterior = compile(&text, &first["data"].to_string());
    let draws = posterior.values().at(&[0.0], 1, 1, 1);
    let mut wrong = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let expression = row["f"].as_str().unwrap();
        let mut wanted = Vec::new();
        numbers(&row["y"], &mut wanted);
        let name = format!("value_{i}");
        let variable = draws.variables.iter().find(|v| v.name == name).unwrap();
        let found = &variable.values;
        let largest = wanted.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        let off = found
            .iter()
            .zip(&wanted)
            .map(|(a, b)| (a - b).abs() / (b.abs() + 1e-3 * largest + f64::MIN_POSITIVE))
            .fold(0.0, f64::max);
        if found.len() != wanted.len() || off.is_nan() || off > bound(expression) {
            wrong.push(format!("{expression}: off by {off:e}\n  {found:?}\n  {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows.len() > 150);
}

/// What the expressions below are about.
const HEADER: &str = "\
fn pendulum(t: real, s: real[2], k: real, drag: real[1]) -> real[2] =
  [s[2], -k * sin(s[1]) - drag[1] * s[2] + 0.1 * t]
fn bump(x: real, k: real) -> real = exp(-k * square(x)) / (1 + square(x))
fn edge(x: real, k: real) -> real = exp(-k * x) / sqrt(x)
fn equations(p: real[2], a: real[2], k: real) -> real[2] =
  [p[1] + k * tanh(p[2]) - a[1], p[2] ^ 3 + p[2] + 0.2 * p[1] - a[2]]
param z: real[9] ~ normal(0, 1)
let M = reshape(z, 3, 3) + diag([1.0, 2.0, 4.0])
let P = M @ M' + identity_matrix(3)
let a = exp(z)
";

/// Expressions of `z`, `M` (a matrix), `P` (a covariance matrix) and `a` (positive).
const SMOOTH: &[&str] = &[
    "cbrt(a)",
    "asinh(z)",
    "acosh(1 + a)",
    "atanh(0.5 * tanh(z))",
    "tgamma(0.5 + a)",
    "lmgamma(2, 1 + a)",
    "lambert_w0(a)",
    "bessel_first_kind(2, z)",
    "modified_bessel_first_kind(1, z)",
    "modified_bessel_second_kind(0.5, a)",
    "owens_t(z, a)",
    "log_inv_logit_diff(z + a, z)",
    "inv_inc_beta(a, 1 + a, inv_logit(z))",
    "gamma_quantile(inv_logit(z), a, 1.5)",
    "generalized_inverse(M[:, 1:2])",
    "choose(3.5 + a, 1.5)",
    "sort_asc(z)",
    "quantile(z, 0.4)",
    "cumulative_prod(a)",
    "solve(M, z[1:3])",
    "inverse(M)",
    "determinant(M)",
    "log_determinant(M)",
    "eigenvalues_sym(P)",
    "eigenvectors_sym(P)",
    "singular_values(M)",
    "matrix_exp(0.3 * M)",
    "matrix_power(M, 3)",
    "qr_thin_Q(M)",
    "qr_thin_R(M)",
    "kronecker_prod(M, P)",
    "mdivide_right(M, P)",
    "chol2inv(cholesky(P))",
    "gp_exp_quad_cov(z, a[1], a[2])",
    "gp_matern32_cov(z, a[1], a[2])",
    "gp_matern52_cov(M, a[1], a[2:4])",
    "gp_periodic_cov(z, a[1], a[2], a[3])",
    "hsgp_matern52(z, 5, 9.0, a[1], a[2])",
    "reduce(hypot, a, z[1])",
    "map(logit, inv_logit(z))",
];

/// The same with solvers, whose answers are exact to their tolerances.
const SOLVED: &[&str] = &[
    "ode_rk45_tol(pendulum, z[1:2], 0.1 * z[3], [1.0 + a[4], 4.0], 1e-12, 1e-13, 10000, a[5], a[6:6])",
    "ode_bdf_tol(pendulum, z[1:2], 0.1 * z[3], [1.0 + a[4], 4.0], 1e-12, 1e-13, 10000, a[5], a[6:6])",
    "integrate_1d(bump, z[1], 2 + a[2], a[3])",
    "integrate_1d(bump, -infinity(), infinity(), a[3])",
    "integrate_1d(edge, 0.0, infinity(), a[3])",
    "algebra_solver(equations, [0.0, 0.0], z[1:2], a[3])",
    "student_t_quantile(inv_logit(z), 1 + a, z, a)",
];

fn derivative(expression: &str, tolerance: Tolerance) {
    let text = format!(
        "{HEADER}let f = flatten([{expression}])\n\
         factor dot_product(sin(real(1:num_elements(f))), f) + 0.1 * square(sum(f))\n"
    );
    let posterior = compile(&text, "{}");
    gradients::check(expression, posterior.log_joint(), &noise(9, 5), tolerance);
}

#[test]
fn functions_have_their_derivatives() {
    for expression in SMOOTH {
        derivative(expression, Tolerance { first: 1e-7, second: 1e-6 });
    }
}

#[test]
fn solvers_have_their_derivatives() {
    for expression in SOLVED {
        derivative(expression, Tolerance { first: 1e-6, second: 1e-5 });
    }
}

#[test]
fn a_solver_in_a_loop_is_one_for_each_step() {
    let text = "\
fn decay(t: real, y: real[1], k: real) -> real[1] = -k * y
data ts: real[N, 2]
param k: real<lower=0>[N] ~ normal(1, 1)
let y: real[N] {
  for i in 1:N { y[i] = ode_rk45(decay, [2.0], 0.0, ts[i], k[i])[2, 1] }
}
factor sum(y)
";
    let posterior = compile(text, r#"{"ts": [[1, 2], [0.5, 0.7], [3, 4]]}"#);
    let draws = posterior.values().at(&[0.1, -0.3, 0.4], 1, 1, 1);
    let y = draws.variables.iter().find(|v| v.name == "y").unwrap();
    for ((y, log_k), t) in y.values.iter().zip([0.1_f64, -0.3, 0.4]).zip([2.0, 0.7, 4.0]) {
        let exact = 2.0 * (-log_k.exp() * t).exp();
        assert!((y - exact).abs() < 1e-8, "{y} {exact}");
    }
    gradients::check(
        "loop",
        posterior.log_joint(),
        &[0.1, -0.3, 0.4],
        Tolerance { first: 1e-6, second: 1e-5 },
    );
}

#[test]
fn a_batch_has_the_bits_of_each_point_alone() {
    let text = "\
fn pendulum(t: real, s: real[2], k: real) -> real[2] = [s[2], -k * sin(s[1])]
param s0: real[2] ~ normal(0, 1)
param k: real<lower=0> ~ lognormal(0, 1)
factor sum(ode_bdf(pendulum, s0, 0.0, [1.0, 2.0], k)) + sum(ode_rk45(pendulum, s0, 0.0, [1.0, 2.0], k))
";
    let posterior = compile(text, "{}");
    let points = noise(3 * 11, 3);
    let (mut together, mut scores) = (vec![0.0; 11], vec![0.0; 33]);
    posterior.target().f64.score(&points, &mut together, &mut scores);
    for (i, point) in points.chunks(3).enumerate() {
        let (mut alone, mut score) = ([0.0], [0.0; 3]);
        posterior.target().f64.score(point, &mut alone, &mut score);
        assert_eq!(alone[0].to_bits(), together[i].to_bits());
        assert_eq!(
            score.map(f64::to_bits)[..],
            scores[3 * i..3 * i + 3].iter().map(|x| x.to_bits()).collect::<Vec<_>>()[..]
        );
    }
}
