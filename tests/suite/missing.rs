//! Missing data: a `null` is a latent with the likelihood as its prior.

use crate::marginals::{errors, points, posterior, same_at, score};
use crate::tolerance::close;

/// A model with a hole has the density of one with a parameter in its place.
#[test]
fn a_null_is_a_parameter_in_its_place() {
    let imputed = posterior(
        "data y: real?[N]\nparam mu ~ normal(0, 1)\nparam s ~ exponential(1)\ny ~ normal(mu, s)\n",
        r#"{"y": [0.5, null, 1.5, null]}"#,
    );
    let by_hand = posterior(
        "data y: real[N]\nparam m: real[2]\nparam mu ~ normal(0, 1)\nparam s ~ exponential(1)\n\
         y ~ normal(mu, s)\nm ~ normal(mu, s)\n",
        r#"{"y": [0.5, 1.5]}"#,
    );
    same_at(&imputed, &by_hand);
    let params: Vec<(&str, &[usize], &str)> = imputed
        .lowered()
        .params
        .iter()
        .map(|p| (p.name.as_str(), &p.shape[..], p.transform))
        .collect();
    let expected: [(&str, &[usize], &str); 3] =
        [("y_missing", &[2], "identity"), ("mu", &[], "identity"), ("s", &[], "lower")];
    assert_eq!(params, expected);
    let draws = imputed.values().at(&[0.1, 0.2, 0.3, 0.4], 1, 1, 0);
    assert_eq!(draws.variables[0].name, "y_missing");
    assert_eq!(draws.variables[0].values, [0.1, 0.2]);
    // Only what is observed is in the pointwise likelihood.
    let pointwise = imputed.log_likelihood().at(&[0.1, 0.2, 0.3, 0.4], 1, 1, 0);
    assert_eq!(pointwise.variables.len(), 1);
    assert_eq!(
        (pointwise.variables[0].name.as_str(), pointwise.variables[0].values.len()),
        ("y", 2)
    );
}

#[test]
fn the_type_and_the_likelihood_bound_what_is_missing() {
    for (ty, dist) in [
        ("real<lower=0>?[N]", "normal(mu, 1)"),
        ("real?[N]", "lognormal(mu, 1)"),
        ("real<upper=10>?[N]", "gamma(2, exp(mu))"),
    ] {
        let p = posterior(
            &format!("data y: {ty}\nparam mu ~ normal(0, 1)\ny ~ {dist}\n"),
            r#"{"y": [0.5, null, 1.5]}"#,
        );
        let both = ty.contains("upper");
        assert_eq!(p.lowered().params[0].transform, if both { "interval" } else { "lower" });
        for z in points(2, 5) {
            let (l, s) = score(&p, &z);
            assert!(l.is_finite() && s.iter().all(|x| x.is_finite()), "{l} {s:?}");
        }
    }
}

/// Bounds that parameters decide, one for all elements or one for each, as those of a parameter.
#[test]
fn parameters_may_bound_what_is_missing() {
    let json = r#"{"y": [0.5, null, 1.5, null], "g": [1, 2, 2, 1], "n": 4}"#;
    let known = r#"{"y": [0.5, 1.5], "g": [1, 2, 2, 1], "n": 4}"#;
    let data = "data n: int\ndata g: int<lower=1, upper=2>[n]\n";
    let params = "param a: real<lower=2>[2] ~ pareto(2, 3)\nparam b: real<lower=0, upper=0.4> ~ \
                  uniform(0, 0.4)\nlet top = 2 * a\n";
    for (bounds, statement, by_hand) in [
        (
            "lower=b, upper=a[1]",
            "y ~ uniform(b, a[1])",
            "y ~ uniform(b, a[1])\nm ~ uniform(b, a[1])",
        ),
        ("lower=b", "y ~ pareto(b, a[1])", "y ~ pareto(b, a[1])\nm ~ pareto(b, a[1])"),
        (
            "lower=-top[1], upper=a[2]",
            "y ~ truncate(normal(0, 1), lower=-top[1], upper=a[2])",
            "for x in 1:2 { y[x] ~ truncate(normal(0, 1), lower=-top[1], upper=a[2]) }\n\
             m ~ truncate(normal(0, 1), lower=-top[1], upper=a[2])",
        ),
        (
            "lower=b, upper=[top[2], top[1]]",
            "y ~ uniform(b, top[g])",
            "y ~ uniform(b, [top[1], top[2]])\nm ~ uniform(b, [top[2], top[1]])",
        ),
        (
            "lower=b, upper=[top[2], top[1]]",
            "for i in 1:n { y[i] ~ uniform(b, top[g[i]]) }",
            "y ~ uniform(b, [top[1], top[2]])\nm ~ uniform(b, [top[2], top[1]])",
        ),
    ] {
        let imputed = posterior(&format!("data y: real?[n]\n{data}{params}{statement}\n"), json);
        let hand = format!(
            "data y: real[2]\n{data}param m: real<{bounds}>[2]\n{params}{by_hand}\nlet _g = g\n"
        );
        let hand = posterior(&hand, known);
        same_at(&imputed, &hand);
        for z in points(imputed.dim(), 4) {
            let (l, s) = score(&imputed, &z);
            assert!(l.is_finite() && s.iter().all(|x| x.is_finite()), "{statement} {l} {s:?}");
        }
    }
}

/// A statement about a part of the field says nothing of the bounds of the rest.
#[test]
fn bounds_of_a_part_are_not_those_of_all() {
    let p = posterior(
        "data y: real?[3]\nparam mu ~ normal(0, 1)\ny[1] ~ uniform(0, 1)\n\
         y[2:3] ~ normal(mu, 1)\n",
        r#"{"y": [0.5, null, 1.5]}"#,
    );
    assert_eq!(p.lowered().params[0].transform, "identity");
}

/// What is missing is known before what is computed from it, wherever that stands.
#[test]
fn what_reads_the_missing_waits_for_their_bounds() {
    let p = posterior(
        "data y: real?[N]\nlet half = 0.5 * y\nparam top ~ pareto(2, 3)\nlet end = 2 * top\n\
         y ~ uniform(0, end)\nparam mu ~ normal(0, 1)\ndata x: real[N]\nx ~ normal(mu * half, 1)\n",
        r#"{"y": [0.5, null], "x": [1.0, 2.0]}"#,
    );
    let draws = p.values().at(&[0.3, -0.2, 0.1], 1, 1, 0);
    let named =
        |name: &str| draws.variables.iter().find(|v| v.name == name).unwrap().values.clone();
    assert_eq!(named("half"), [0.25, 0.5 * named("y_missing")[0]]);
    let logit = 1.0 / (1.0 + (-0.3_f64).exp());
    assert!(close(named("y_missing")[0], named("end")[0] * logit, 1e-12, 0.0));
}

/// The name of the unconstrained reals in the compiler is free.
#[test]
fn data_and_latents_may_be_called_theta() {
    let model = |name: &str| {
        format!("data {name}: real[N]\nparam mu ~ normal(0, 1)\n{name} ~ normal(mu, 1)\n")
    };
    let theta = posterior(&model("theta"), r#"{"theta": [0.5, 1.5]}"#);
    same_at(&theta, &posterior(&model("y"), r#"{"y": [0.5, 1.5]}"#));
    let latent = |name: &str| {
        format!(
            "data y: real[N]\nparam m: real[2] ~ normal(0, 1)\n\
             marginal {name}: int<lower=1, upper=2>[N] ~ categorical([0.3, 0.7])\n\
             y ~ normal(m[{name}], 1)\n"
        )
    };
    let json = r#"{"y": [0.5, 1.5]}"#;
    same_at(&posterior(&latent("theta"), json), &posterior(&latent("z"), json));
}

#[test]
fn matrices_loops_and_rows_may_have_holes() {
    let json = r#"{"y": [[0.5, null], [1.5, 0.2], [null, null]]}"#;
    let head = "data y: real?[N, 2]\nparam mu: real[2] ~ normal(0, 1)\n";
    let elementwise = posterior(&format!("{head}for i in 1:N {{ y[i] ~ normal(mu, 1) }}\n"), json);
    let joint = posterior(&format!("{head}y ~ multi_normal(mu, [[1.0, 0.0], [0.0, 1.0]])\n"), json);
    same_at(&elementwise, &joint);
    assert_eq!(elementwise.dim(), 5);
    let z = [0.1; 5];
    let observed = |p: &ppl::posterior::Posterior| {
        p.log_likelihood().at(&z, 1, 1, 0).variables[0].values.len()
    };
    assert_eq!((observed(&elementwise), observed(&joint)), (3, 1));
    // Each missing number has its own place.
    let (l, s) = score(&elementwise, &[1.0, 2.0, 3.0, 0.5, -0.5]);
    assert!(l.is_finite());
    let expected = [-(1.0 + 0.5), -(2.0 - 0.5), -(3.0 + 0.5)];
    for (s, e) in s.iter().zip(expected) {
        assert!(close(*s, e, 1e-12, 0.0), "{s} {e}");
    }
}

#[test]
fn without_a_null_it_is_data() {
    let text = "data y: real?[N]\nparam mu ~ normal(0, 1)\ny ~ normal(mu, 1)\n";
    let p = posterior(text, r#"{"y": [0.5, 1.5]}"#);
    assert_eq!(p.dim(), 1);
    let refused = errors(&text.replace('?', ""), r#"{"y": [0.5, null]}"#);
    assert!(refused.contains("E0415") && refused.contains("y[2]"), "{refused}");
    let integers =
        errors("data n: int?[N]\nparam l ~ gamma(1, 1)\nn ~ poisson(l)\n", r#"{"n": [1]}"#);
    assert!(integers.contains("E0310"), "{integers}");
}

/// Classes of which some are known.
#[test]
fn missing_integers_are_summed_out() {
    let head = "data y: real[N]\nparam w: simplex[3] ~ dirichlet([1, 2, 3])\n\
                param m: real[3] ~ normal(0, 5)\n";
    let json = r#"{"y": [0.3, -1.0, 2.5, 4.0], "z": [null, 3, null, 1]}"#;
    let some = format!(
        "{head}data z: int<lower=1, upper=3>?[N]\nz ~ categorical(w)\ny ~ normal(m[z], 1)\n\
         gen class = z\ngen second = m[z[2]]\n"
    );
    let p = posterior(&some, json);
    let by_hand = format!(
        "{head}y[1] ~ mixture(w, normal(m, 1))\ny[3] ~ mixture(w, normal(m, 1))\n\
         factor log(w[3]) + log(w[1])\ny[2] ~ normal(m[3], 1)\ny[4] ~ normal(m[1], 1)\n"
    );
    same_at(&p, &posterior(&by_hand, r#"{"y": [0.3, -1.0, 2.5, 4.0]}"#));
    let theta = points(p.dim(), 1).pop().unwrap();
    let drawn = p.values().at(&theta.repeat(50), 50, 1, 1).variables;
    let named = |name: &str| drawn.iter().find(|v| v.name == name).unwrap();
    assert!(named("class").values.chunks(4).all(|z| z[1] == 3.0 && z[3] == 1.0 && z[0] >= 1.0));
    assert_eq!(named("z_missing_prob").shape, [2, 3]);
    assert!(named("second").values.iter().all(|x| *x == theta[4]));
    // All of them known, or all missing.
    let all = posterior(&some, r#"{"y": [0.3, -1.0], "z": [2, 3]}"#);
    let given = format!(
        "{head}data z: int<lower=1, upper=3>[N]\nz ~ categorical(w)\ny ~ normal(m[z], 1)\n"
    );
    same_at(&all, &posterior(&given, r#"{"y": [0.3, -1.0], "z": [2, 3]}"#));
    let none = posterior(&some, r#"{"y": [0.3, -1.0], "z": [null, null]}"#);
    let mixture = format!("{head}y ~ mixture(w, normal(m, 1))\n");
    same_at(&none, &posterior(&mixture, r#"{"y": [0.3, -1.0]}"#));
}

/// A state seen at some times, in a matrix of two chains; a covariate that was not always recorded.
#[test]
fn states_and_covariates_may_be_missing_too() {
    let text = |z: &str, first: &str| {
        format!(
            "data y: real[2, T]\nparam p ~ beta(2, 2)\nparam m: real[2] ~ normal(0, 3)\n{z}\
             {first}for i in 1:2 {{ for t in 2:T {{ z[i, t] ~ bernoulli(if z[i, t-1] == 1 {{ p }} else {{ 1 - p }}) }} }}\n\
             for i in 1:2 {{ for t in 1:T {{ y[i, t] ~ normal(m[1 + z[i, t]], 1) }} }}\n"
        )
    };
    let first = "z[:, 1] ~ bernoulli(0.5)\n";
    let some = text("data z: int<lower=0, upper=1>?[2, T]\n", first);
    let pinned = text("marginal z: int<lower=0, upper=1>[2, T]\n", first)
        + "factor if z[1, 2] == 1 { 0.0 } else { -1.0 / 0.0 }\n\
           factor if z[2, 5] == 0 { 0.0 } else { -1.0 / 0.0 }\n";
    let y = "[[0.3, -1.0, 2.5, 4.0, 0.1], [1.0, 0.2, 0.4, -0.6, 2.0]]";
    let z = "[[null, 1, null, null, null], [null, null, null, null, 0]]";
    let a = posterior(&some, &format!("{{\"y\": {y}, \"z\": {z}}}"));
    same_at(&a, &posterior(&pinned, &format!("{{\"y\": {y}}}")));
    let smoker = posterior(
        "data s: int<lower=0, upper=1>?[N]\ndata y: real[N]\nparam q ~ beta(1, 1)\nparam b ~ normal(0, 1)\n\
         s ~ bernoulli(q)\ny ~ normal(b * s, 1)\n",
        r#"{"y": [0.3, 1.2, 0.8], "s": [0, 1, null]}"#,
    );
    let by_hand = posterior(
        "data s: int<lower=0, upper=1>[2]\ndata y: real[N]\nparam q ~ beta(1, 1)\nparam b ~ normal(0, 1)\n\
         s ~ bernoulli(q)\ny[1:2] ~ normal(b * s, 1)\n\
         y[3] ~ mixture([q, 1 - q], normal(b, 1), normal(0, 1))\n",
        r#"{"y": [0.3, 1.2, 0.8], "s": [0, 1]}"#,
    );
    same_at(&smoker, &by_hand);
}
