//! Types, shapes and stages of expressions, one row each.

use ppl::check::{self, typed::Stage};
use ppl::diagnostics::{Color, render_all};
use ppl::source::SourceMap;
use ppl::syntax;

/// What every row may read.
const PRELUDE: &str = "
data y: real[N]
data x: real[N]
data X: real[N, D]
data S: real[D, D]
data n: int<lower=0>[G]
data g: int<lower=1>[N]
data k: int
data c: bool
data a: real
param p ~ normal(0, 1)
param b: real[D] ~ normal(0, 1)
fn scalar(u: real, v: real) -> real = u * v
fn inner(u: real[K], v: real[K]) -> real = sum(u * v)
fn outer(u: real[K], m: int) -> real[K, m] = fill(K, fill(m, 1.0)) + fill(K, m, sum(u))
";

/// Expression, its type, its stage.
const ROWS: &[(&str, &str, Stage)] = {
    use Stage::{Data, Generated, Parameter};
    &[
        ("1", "int", Data),
        ("1.0", "real", Data),
        ("true", "bool", Data),
        ("k + 1", "int", Data),
        ("k / 2", "real", Data),
        ("k + c", "int", Data),
        ("k % 2", "int", Data),
        ("2 ^ 3", "real", Data),
        ("int_div(k, 2)", "int", Data),
        ("-c", "int", Data),
        ("p > 0 && c", "bool", Parameter),
        ("y > 0", "bool[N]", Data),
        ("y + 1", "real[N]", Data),
        ("2 * g", "int[N]", Data),
        ("p * x", "real[N]", Parameter),
        ("X @ b", "real[N]", Parameter),
        ("b @ b", "real", Parameter),
        ("X'", "real[D, N]", Data),
        ("X' @ X", "real[D, D]", Data),
        ("y @ X", "real[D]", Data),
        ("y[1]", "real", Data),
        ("y[2:N]", "real[N - 1]", Data),
        ("y[:]", "real[N]", Data),
        ("y[2:N] - y[1:N - 1]", "real[N - 1]", Data),
        ("X[1]", "real[D]", Data),
        ("X[, 1]", "real[N]", Data),
        ("X[2:3, 1]", "real[2]", Data),
        ("b[g]", "real[N]", Parameter),
        ("S[g, g]", "real[N, N]", Data),
        ("[1, 2.5]", "real[2]", Data),
        ("[y, x]", "real[2, N]", Data),
        ("[[1, 2], [3, 4], [5, 6]]", "int[3, 2]", Data),
        ("[]", "real[0]", Data),
        ("1:N", "int[N]", Data),
        ("2:N", "int[N - 1]", Data),
        ("zeros(N - 1 + 1)", "real[N]", Data),
        ("zeros(2 * N, D)", "real[2 * N, D]", Data),
        ("zeros((N + 1) * (N - 1))", "real[N * N - 1]", Data),
        ("zeros(size(X))", "real[N]", Data),
        ("zeros(cols(X)) + b", "real[D]", Parameter),
        ("size(b)", "int", Data),
        ("fill(3, y)", "real[3, N]", Data),
        ("fill(2, true)", "bool[2]", Data),
        ("append(y, 1, x)", "real[2 * N + 1]", Data),
        ("append(X, X)", "real[2 * N, D]", Data),
        ("append_col(X, y, X)", "real[N, 2 * D + 1]", Data),
        ("reverse(g)", "int[N]", Data),
        ("sum(g)", "int", Data),
        ("sum(y > 0)", "int", Data),
        ("mean(g)", "real", Data),
        ("min(g)", "int", Data),
        ("max(k, 2)", "int", Data),
        ("max(y, 0)", "real[N]", Data),
        ("diag(b) @ S", "real[D, D]", Parameter),
        ("diagonal(S)", "real[D]", Data),
        ("cholesky(S)", "real[D, D]", Data),
        ("solve_spd(S, b)", "real[D]", Parameter),
        ("log_determinant_spd(S)", "real", Data),
        ("col_means(X)", "real[D]", Data),
        ("softmax(b)", "real[D]", Parameter),
        ("pi()", "real", Data),
        ("real(y > 0)", "real[N]", Data),
        ("int(y)", "int[N]", Data),
        ("if c { 1 } else { 2.0 }", "real", Data),
        ("if y > 0 { y } else { 0 }", "real[N]", Data),
        ("if p > 0 { y } else { x }", "real[N]", Parameter),
        ("scalar(p, y)", "real[N]", Parameter),
        ("scalar(v=p, u=a)", "real", Parameter),
        ("inner(y, x)", "real", Data),
        ("outer(y, 3)", "real[N, 3]", Data),
        ("outer(b, k + 1)", "real[D, k + 1]", Parameter),
        ("normal_log_density(y, p, 1)", "real[N]", Parameter),
        ("normal_cdf(a, 0, 1)", "real", Data),
        ("normal_quantile([0.1, 0.9], p, 1)", "real[2]", Parameter),
        ("poisson_mean(a)", "real", Data),
        ("dirichlet_mean(b)", "real[D]", Parameter),
        ("normal_sample(y, 1)", "real[N]", Generated),
        ("poisson_sample(exp(y))", "int[N]", Generated),
        ("multi_normal_sample(b, S)", "real[D]", Generated),
        ("rng_uniform()", "real", Generated),
        ("rng_std_normal(3)", "real[3]", Generated),
    ]
};

#[test]
fn expressions_have_their_types_shapes_and_stages() {
    let mut wrong = String::new();
    for (expr, ty, stage) in ROWS {
        let word = if *stage == Stage::Generated { "gen" } else { "let" };
        let text = format!("{PRELUDE}{word} row = {expr}\n");
        let mut sources = SourceMap::new();
        let id = sources.add("row.ppl", text.as_str());
        let parsed = syntax::parse(id, &text);
        let checked = check::check(&parsed.value.unwrap(), &mut sources);
        let mut all = parsed.diagnostics;
        all.extend(checked.diagnostics.into_iter().filter(|d| d.is_error()));
        if !all.is_empty() {
            wrong += &format!("{expr}:\n{}", render_all(&all, &sources, Color::Off));
            continue;
        }
        let model = checked.value.unwrap();
        let row = model.vars.iter().find(|var| var.name == "row").unwrap();
        let found = check::print::ty(&row.ty, &|var| model.var(var).name.clone());
        if found != *ty || row.stage != *stage {
            wrong += &format!("{expr}: {found} {:?}, wanted {ty} {stage:?}\n", row.stage);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The order of declarations is that of dependence, parameters in order of declaration.
#[test]
fn declarations_stand_after_what_they_read() {
    use ppl::check::typed::Decl;
    let text = "
y ~ normal(eta, s)
let eta = b * x + shift
let shift = 2 * a
param s ~ exponential(1)
param b ~ normal(0, 1)
param a ~ normal(0, top)
let top = 1 + scale
data scale: real
data x: real[N]
data y: real[N]
";
    let mut sources = SourceMap::new();
    let id = sources.add("order.ppl", text);
    let parsed = syntax::parse(id, text);
    let model = check::check(&parsed.value.unwrap(), &mut sources).value.unwrap();
    let order: Vec<&str> = model
        .decls
        .iter()
        .map(|decl| match decl {
            Decl::Data { var, .. }
            | Decl::Param { var, .. }
            | Decl::Let { var, .. }
            | Decl::Marginal { var, .. }
            | Decl::Missing { var, .. } => model.var(*var).name.as_str(),
            Decl::Recursion(_) => "recursion",
            Decl::Constraint { .. } => "require",
            Decl::Stmt(_) => "~",
        })
        .collect();
    assert_eq!(order, ["scale", "x", "y", "s", "b", "top", "a", "shift", "eta", "~"]);
}

/// A hierarchy whose number of groups only data tells is linted when it is known.
#[test]
fn sizes_of_the_data_bring_their_own_lint() {
    let text = "
data y: real[J]
param mu ~ normal(0, 5)
param tau ~ exponential(1)
param theta: real[J] ~ normal(mu, tau)
y ~ normal(theta, 1)
";
    let mut sources = SourceMap::new();
    let id = sources.add("groups.ppl", text);
    let parsed = syntax::parse(id, text);
    let checked = check::check(&parsed.value.unwrap(), &mut sources);
    assert!(checked.diagnostics.is_empty());
    let model = checked.value.unwrap();
    let codes = |groups: i64| {
        let found = check::lint_with_sizes(&model, &|_| Some(groups));
        found.iter().map(|d| d.code.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(codes(8), ["W0606"]);
    assert!(codes(800).is_empty());
}
