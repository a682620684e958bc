//! Arrays that read each other: the density of the same recursion written as one array, and draws that
//! keep to it.

use std::fmt::Write as _;

use ppl::check::generative::Parameters;
use ppl::driver::Session;

use crate::generative::{data, prior, scalar};
use crate::marginals::{errors, same};
use crate::tolerance::close;

const Y: &str = r#"{"y": [0.3, -1.0, 2.5, 4.0, 0.1, 0.7], "g": [1, 1, 2, 3, 3, 5]}"#;

/// Two arrays and the columns of one.
#[test]
fn arrays_that_read_each_other_are_one_recursion() {
    let head = "data y: real[T]\ndata g: int[T]\nparam a ~ normal(0, 1)\nparam b ~ normal(0, 1)\n";
    let tail = "y ~ normal(p + q, 1)\nlet _g = g\n";
    let columns = "let s: real[T, 2] {\n  s[1] = [a, b]\n  for t in 2:T {\n\
                   \x20   s[t] = [0.5 * s[t-1, 1] + 0.2 * s[t-1, 2], b * s[t-1, 1] - 0.1 * s[t-1, 2]]\n  }\n}\n\
                   let p = s[:, 1]\nlet q = s[:, 2]\n";
    let p =
        "let p: real[T] {\n  p[1] = a\n  for t in 2:T { p[t] = 0.5 * p[t-1] + 0.2 * q[t-1] }\n}\n";
    let q =
        "let q: real[T] {\n  q[1] = b\n  for u in 2:T { q[u] = b * p[u-1] - 0.1 * q[u-1] }\n}\n";
    let reversed =
        "let q: real[T] {\n  for u in 2:T { q[u] = b * p[u-1] - 0.1 * q[u-1] }\n  q[1] = b\n}\n";
    // Told apart by data, step by step.
    let cases = "let q: real[T] {\n  for u in 1:T { if u == 1 { q[u] = b } else { q[u] = b * p[u-1] - 0.1 * q[u-1] } }\n}\n";
    for text in
        [format!("{p}{q}"), format!("{q}{p}"), format!("{reversed}{p}"), format!("{p}{cases}")]
    {
        same(&format!("{head}{text}{tail}"), &format!("{head}{columns}{tail}"), Y);
    }
}

/// Loops that begin at different steps, read the same step and further back, and rows.
#[test]
fn loops_of_different_lengths_share_a_recursion() {
    let head = "data y: real[T]\ndata g: int[T]\nparam a ~ normal(0, 1)\nlet _g = g\n";
    // ARMA(1, 2) with the residuals named, against the residuals alone.
    let named = "let nu: real[T] {\n  nu[1] = a\n  nu[2] = a + 0.3 * y[1] + 0.2 * e[1]\n\
                 \x20 for t in 3:T { nu[t] = a + 0.3 * y[t-1] + 0.2 * e[t-1] + a * e[t-2] }\n}\n\
                 let e: real[T] { for s in 1:T { e[s] = y[s] - nu[s] } }\n";
    let whole = "let nu: real[T] {\n  nu[1] = a\n  nu[2] = a + 0.3 * y[1] + 0.2 * e[1]\n\
                 \x20 for t in 3:T { nu[t] = a + 0.3 * y[t-1] + 0.2 * e[t-1] + a * e[t-2] }\n}\n\
                 let e = y - nu\n";
    let alone = "let e: real[T] {\n  e[1] = y[1] - a\n  e[2] = y[2] - a - 0.3 * y[1] - 0.2 * e[1]\n\
                 \x20 for t in 3:T { e[t] = y[t] - a - 0.3 * y[t-1] - 0.2 * e[t-1] - a * e[t-2] }\n}\n";
    for text in [named, whole] {
        same(
            &format!("{head}{text}e ~ normal(0, 1)\n"),
            &format!("{head}{alone}e ~ normal(0, 1)\n"),
            Y,
        );
    }
    // Rows, and three arrays of which one only passes on.
    same(
        &format!(
            "{head}let x: real[T, 2] {{\n  x[1] = [a, 1]\n  for t in 2:T {{\n    for k in 1:2 {{ x[t, k] = 0.5 * w[t] + 0.1 * k }}\n  }}\n}}\n\
             let v: real[T] {{ for t in 1:T {{ v[t] = sum(x[t]) * y[t] }} }}\n\
             let w: real[T] {{ w[1] = 0\n  for t in 2:T {{ w[t] = tanh(v[t-1]) }} }}\n\
             y ~ normal(x[:, 2] + v, 1)\n"
        ),
        &format!(
            "{head}let x: real[T, 2] {{\n  x[1] = [a, 1]\n  for t in 2:T {{\n\
             \x20   let w = tanh(sum(x[t-1]) * y[t-1])\n    x[t] = [0.5 * w + 0.1, 0.5 * w + 0.2]\n  }}\n}}\n\
             y ~ normal(x[:, 2] + (x[:, 1] + x[:, 2]) * y, 1)\n"
        ),
        Y,
    );
    // What is no so many steps back runs step by step: an element that data picks.
    same(
        &format!(
            "{head}let p: real[T] {{\n  p[1] = a\n  for t in 2:T {{ p[t] = 0.5 * q[g[t]] }}\n}}\n\
             let q: real[T] {{ for t in 1:T {{ q[t] = tanh(p[t]) + y[t] }} }}\ny ~ normal(p, 1)\n"
        ),
        &format!(
            "{head}let p: real[T] {{\n  p[1] = a\n  for t in 2:T {{ p[t] = 0.5 * (tanh(p[g[t]]) + y[g[t]]) }}\n}}\n\
             y ~ normal(p, 1)\n"
        ),
        Y,
    );
}

#[test]
fn data_alone_may_define_arrays_that_read_each_other() {
    same(
        "data y: real[T]\ndata g: int[T]\nparam a ~ normal(0, 1)\nlet _g = g\n\
         let p: real[T] {\n  p[1] = 1\n  for t in 2:T { p[t] = 0.5 * q[t-1] }\n}\n\
         let q: real[T] { for t in 1:T { q[t] = p[t] + y[t] } }\ny ~ normal(a + p, 1)\n",
        "data y: real[T]\ndata g: int[T]\nparam a ~ normal(0, 1)\nlet _g = g\n\
         let p: real[T] {\n  p[1] = 1\n  for t in 2:T { p[t] = 0.5 * (p[t-1] + y[t-1]) }\n}\n\
         y ~ normal(a + p, 1)\n",
        Y,
    );
}

/// An element that needs itself is an error that names it.
#[test]
fn an_element_may_not_need_itself() {
    let refused = errors(
        "data y: real[T]\nparam a ~ normal(0, 1)\n\
         let p: real[T] { for t in 1:T { p[t] = a + q[t] } }\n\
         let q: real[T] { for t in 1:T { q[t] = a * p[t] } }\ny ~ normal(p, 1)\n",
        r#"{"y": [0.3, -1.0, 2.5]}"#,
    );
    assert!(refused.contains("E0505") && refused.contains("before it is defined"), "{refused}");
}

/// A variance that depends on what was drawn before: data and variance are drawn step by step.
#[test]
fn the_prior_predictive_of_a_recursion_through_data_is_drawn_step_by_step() {
    let text = |likelihood: &str| {
        format!(
            "data sigma1: real<lower=0>\ndata y: real[T]\nparam mu ~ normal(0, 1)\n\
             param alpha0 ~ exponential(1)\nparam alpha1: real<lower=0, upper=1> ~ flat()\n\
             param beta1: real<lower=0, upper=1 - alpha1> ~ flat()\n\
             let sigma: real[T] {{\n  sigma[1] = sigma1\n  for t in 2:T {{\n    \
             sigma[t] = sqrt(alpha0 + alpha1 * square(y[t-1] - mu) + beta1 * square(sigma[t-1]))\n  }}\n}}\n\
             {likelihood}\n"
        )
    };
    let known =
        data(&[("T", ppl::data::DataArray::int(40)), ("sigma1", ppl::data::DataArray::real(0.7))]);
    for likelihood in ["y ~ normal(mu, sigma)", "for t in 1:T { y[t] ~ normal(mu, sigma[t]) }"] {
        let draws = prior(&text(likelihood), &known, 500);
        let of = |name: &str, i| scalar(&draws, name, i);
        let (mu, a0, a1, b1) = (of("mu", 0), of("alpha0", 0), of("alpha1", 0), of("beta1", 0));
        let mut z2 = Vec::new();
        for t in 0..40 {
            let (sigma, y) = (of("sigma", t), of("y", t));
            z2.extend((0..500).map(|i| ((y[i] - mu[i]) / sigma[i]).powi(2)));
            if t == 0 {
                assert!(sigma.iter().all(|s| *s == 0.7));
                continue;
            }
            let (before, y_before) = (of("sigma", t - 1), of("y", t - 1));
            for i in 0..500 {
                let variance =
                    a0[i] + a1[i] * (y_before[i] - mu[i]).powi(2) + b1[i] * before[i].powi(2);
                assert!(close(sigma[i], variance.sqrt(), 1e-10, 0.0));
                assert!(b1[i] >= 0.0 && a1[i] + b1[i] <= 1.0);
            }
        }
        // Twenty thousand squares of standard normals: their mean within four standard errors of 1.
        let mean = z2.iter().sum::<f64>() / 20_000.0;
        assert!((mean - 1.0).abs() < 4.0 * (2.0_f64 / 20_000.0).sqrt(), "{mean}");
    }
}

/// The same recursion with its first steps told apart by conditions, statements and expressions.
#[test]
fn conditions_on_the_index_cut_a_recursion() {
    let head = "data y: real[T]\ndata g: int[T]\nparam a ~ normal(0, 1)\nlet _g = g\n";
    let tail = "y ~ normal(h, 1)\n";
    let plain = "let h: real[T] {\n  h[1] = a\n  h[2] = 0.5 * h[1] + y[2]\n\
                 \x20 for t in 3:T { h[t] = 0.5 * h[t-1] + a * h[t-2] + y[t] }\n}\n";
    let statements = "let h: real[T] {\n  for t in 1:T {\n    if t == 1 { h[t] = a } else if t == 2 { h[t] = 0.5 * h[t-1] + y[t] } else {\n\
                      \x20     let back = a * h[t-2]\n      h[t] = 0.5 * h[t-1] + back + y[t]\n    }\n  }\n}\n";
    let expression = "let h: real[T] { for t in 1:T { h[t] = if t == 1 { a } else { 0.5 * h[t-1] + (if t > 2 { a * h[t-2] } else { 0 }) + y[t] } } }\n";
    let coupled = "let h: real[T] { for t in 1:T { h[t] = if t == 1 { a } else { 0.5 * h[t-1] + b[t] + y[t] } } }\n\
                   let b: real[T] { for t in 1:T { if t < 3 { b[t] = 0 } else { b[t] = a * h[t-2] } } }\n";
    for text in [statements, expression, coupled] {
        same(&format!("{head}{text}{tail}"), &format!("{head}{plain}{tail}"), Y);
    }
}

/// Branches that the data or earlier elements decide.
#[test]
fn branches_that_assign_the_same_element_are_one_expression() {
    let head = "data y: real[T]\ndata g: int[T]\nparam a ~ normal(0, 1)\nlet _g = g\n";
    let start = "let h: real[T] {\n  h[1] = a\n  for t in 2:T {";
    for condition in ["y[t] > 0", "h[t-1] > 0.2", "t % 2 == 0"] {
        let branches = format!(
            "{start} if {condition} {{ let u = y[t]; h[t] = a * h[t-1] + u }} else {{ h[t] = -h[t-1] }} }}\n}}\n"
        );
        let chosen = format!(
            "{start} h[t] = if {condition} {{ a * h[t-1] + y[t] }} else {{ -h[t-1] }} }}\n}}\n"
        );
        let tail = "y ~ normal(h, 1)\n";
        same(&format!("{head}{branches}{tail}"), &format!("{head}{chosen}{tail}"), Y);
    }
}

/// A recursion for each row of a table, its loops in either order, the first column before or inside.
#[test]
fn recursions_of_rows_run_all_at_once() {
    let json = r#"{"y": [[0.3, -1.0, 2.5, 0.4], [4.0, 0.1, 0.7, -0.2], [1.0, 1.5, -0.5, 0.8]]}"#;
    let head = "data y: real[I, T]\nparam a: real[I] ~ normal(0, 1)\nparam b ~ normal(0, 1)\n";
    let tail = "for i in 1:I { y[i] ~ normal(h[i, :T], 1) }\n";
    let columns = "let u: real[T, I] {\n  u[1] = a\n  for t in 2:T { u[t] = b * u[t-1] + y[:, t] }\n}\nlet h = u'\n";
    let step = "h[i, t] = b * h[i, t-1] + y[i, t]";
    let inside =
        format!("for i in 1:I {{\n    h[i, 1] = a[i]\n    for t in 2:T {{ {step} }}\n  }}");
    let before = format!(
        "for i in 1:I {{ h[i, 1] = a[i] }}\n  for i in 1:I {{ for t in 2:T {{ {step} }} }}"
    );
    let column = format!("h[:, 1] = a\n  for i in 1:I {{ for t in 2:T {{ {step} }} }}");
    let first = format!(
        "for i in 1:I {{ for t in 1:T {{ if t == 1 {{ h[i, t] = a[i] }} else {{ {step} }} }} }}"
    );
    let apart = format!(
        "h[1, 1] = a[1]\n  h[2, 1] = a[2]\n  h[3, 1] = a[3]\n  for i in 1:2 {{ for t in 2:T {{ {step} }} }}\n  for t in 2:T {{ h[3, t] = b * h[3, t-1] + y[3, t] }}"
    );
    for text in [inside, before, column, first, apart] {
        let text = format!("let h: real[I, T] {{\n  {text}\n}}\n");
        same(&format!("{head}{text}{tail}"), &format!("{head}{columns}{tail}"), json);
    }
    // What is wrong with one element is said of it.
    let twice = "let h: real[I, T] { for i in 1:I { h[i, 1] = 0\n  for t in 1:T { h[i, t] = if t == 1 { 0 } else { b * h[i, t-1] } } } }\n";
    let refused = errors(&format!("{head}{twice}{tail}"), json);
    assert!(refused.contains("h[1, 1] is defined twice"), "{refused}");
}

/// A recursion of thousands of steps is one scan, whatever its length and that of its rows.
#[test]
fn long_recursions_stay_small() {
    let head = "data y: real[I, T]\nparam a ~ normal(0, 1)\n";
    let coupled = "let h: real[T] {\n  h[1] = a\n  for t in 2:T { h[t] = 0.9 * h[t-1] + 0.1 * e[t-1] }\n}\n\
                   let e: real[T] { for t in 1:T { e[t] = y[1, t] * exp(-h[t] / 2) } }\n\
                   y[1] ~ normal(0, exp(h / 2))\n";
    let told_apart = "let h: real[T] { for t in 1:T { if t == 1 { h[t] = a } else { h[t] = 0.9 * h[t-1] + y[1, t] } } }\n\
                      y[1] ~ normal(0, exp(h / 2))\n";
    let rows = "let h: real[I, T] { for i in 1:I { for t in 1:T { h[i, t] = if t == 1 { a } else { 0.9 * h[i, t-1] + y[i, t] } } } }\n\
                for i in 1:I { y[i] ~ normal(0, exp(h[i] / 2)) }\n";
    for text in [coupled, told_apart, rows] {
        let size = |rows: usize, n: usize| {
            let mut row = String::from("[0.1");
            (1..n).for_each(|i| write!(row, ", {}", if i % 3 == 0 { -0.4 } else { 0.3 }).unwrap());
            row.push(']');
            let json = format!("{{\"y\": [{}]}}", vec![row; rows].join(", "));
            crate::marginals::posterior(&format!("{head}{text}"), &json).log_joint().insts.len()
        };
        let (small, large) = (size(2, 50), size(5, 1000));
        assert!(small < 50 && large < 50, "{small} and {large} instructions: {text}");
    }
}

/// The posterior predictive of a recursion through data is one step ahead.
#[test]
fn predictions_of_coupled_arrays_follow_the_data() {
    let text = "data y: real[T]\nparam a: real<lower=0> ~ exponential(1)\n\
                let s: real[T] {\n  s[1] = 1\n  for t in 2:T { s[t] = sqrt(a * square(e[t-1])) }\n}\n\
                let e: real[T] { for t in 1:T { e[t] = y[t] + 0 * s[t] } }\ny ~ normal(0, s)\n";
    let mut session = Session::new();
    let model = session.check("model.ppl", text).unwrap();
    let y = ppl::data::DataArray::reals(vec![3], vec![3.0, 2.0, 100.0]);
    let generator = session.generator(&model, &data(&[("y", y)]), Parameters::Given).unwrap();
    let draws = generator.values(&[ppl::results::Role::Predicted]).at(&vec![0.0; 4000], 4000, 1, 3);
    for (i, sd) in [1.0, 3.0, 2.0].into_iter().enumerate() {
        let y = scalar(&draws, "y", i);
        let variance = y.iter().map(|y| y * y).sum::<f64>() / 4000.0;
        assert!(close(variance, sd * sd, 0.1, 0.0), "{variance} {sd}");
    }
}
