//! Generated quantities that read discrete latents: draws from their distribution given the parameters
//! of the draw and the data.

use ppl::check::generative::Parameters;
use ppl::data::{DataSet, Format};
use ppl::driver::Session;
use ppl::posterior::Posterior;
use ppl::results::{Role, Variable};

use crate::marginals::posterior;

const DRAWS: usize = 4000;

fn generated(p: &Posterior, theta: &[f64], names: &[&str]) -> Vec<Variable> {
    let draws = p.values().at(&theta.repeat(DRAWS), DRAWS, 1, 1).variables;
    let find = |name: &&str| draws.iter().find(|v| v.name == **name).cloned();
    names.iter().map(|name| find(name).unwrap_or_else(|| panic!("no {name}"))).collect()
}

/// The share of draws in which element `i` is `value`.
fn share(v: &Variable, i: usize, value: f64) -> f64 {
    let n = v.values.len() / DRAWS;
    v.values.chunks(n).filter(|draw| draw[i] == value).count() as f64 / DRAWS as f64
}

fn is_share(found: f64, p: f64, what: &str) {
    let sd = (p * (1.0 - p) / DRAWS as f64).sqrt();
    assert!((found - p).abs() < 4.5 * sd + 1e-9, "{what}: {found}, not {p}");
}

#[test]
fn everything_that_reads_a_latent_reads_one_draw_of_it() {
    let p = posterior(
        "data y: real[N]\nparam m ~ normal(0, 5)\n\
         marginal z: int<lower=0, upper=1>[N] ~ bernoulli(0.75)\nlet mean_of = m * real(z)\n\
         y ~ normal(mean_of, 1)\ngen ones = sum(z)\ngen twice = 2 * ones\n\
         gen copy = z\ngen means = mean_of\ngen again ~ normal(mean_of, 0.001)\n",
        r#"{"y": [0.3, -1.0, 2.5]}"#,
    );
    let names = ["ones", "twice", "copy", "means", "again", "z_prob"];
    let [ones, twice, copy, means, again, prob] = &generated(&p, &[0.8], &names)[..] else {
        panic!()
    };
    for n in 0..3 {
        is_share(share(copy, n, 1.0), prob.values[2 * n + 1], "z");
    }
    for d in 0..DRAWS {
        let z = &copy.values[3 * d..3 * d + 3];
        assert_eq!(ones.values[d], z.iter().sum::<f64>());
        assert_eq!(twice.values[d], 2.0 * ones.values[d]);
        for (i, z) in z.iter().enumerate() {
            assert_eq!(means.values[3 * d + i], 0.8 * z);
            assert!((again.values[3 * d + i] - 0.8 * z).abs() < 0.01);
        }
    }
}

/// Latents of several kinds with their own lowest values, a truth value among them, drawn jointly.
#[test]
fn joint_draws_keep_what_ties_latents_together() {
    let p = posterior(
        "data y: real\nparam m ~ normal(0, 5)\nmarginal a: int<lower=-1, upper=1> ~ discrete_range(-1, 1)\n\
         marginal b: int<lower=3, upper=4> ~ discrete_range(3, 4)\n\
         y ~ normal(m * a * (b - 3), 1)\ngen both = a * 10 + b\n",
        r#"{"y": 2.0}"#,
    );
    let both = &generated(&p, &[1.5], &["both"])[0];
    let weight = |a: f64, b: f64| (-0.5 * (2.0 - 1.5 * a * (b - 3.0_f64)).powi(2)).exp();
    let all: Vec<(f64, f64)> =
        [-1.0, 0.0, 1.0].iter().flat_map(|&a| [(a, 3.0), (a, 4.0)]).collect();
    let total: f64 = all.iter().map(|&(a, b)| weight(a, b)).sum();
    for (a, b) in all {
        is_share(share(both, 0, 10.0 * a + b), weight(a, b) / total, "(a, b)");
    }
}

/// The states of an animal after its last capture: dead from some time on.
#[test]
fn draws_of_chains_keep_to_what_is_possible() {
    let p = posterior(
        "data y: int<lower=0, upper=1>[I, T]\nparam phi ~ beta(2, 2)\nparam p ~ beta(2, 2)\n\
         marginal alive: int<lower=0, upper=1>[I, T]\nalive[:, 1] ~ bernoulli(1)\n\
         for i in 1:I { for t in 2:T {\n  alive[i, t] ~ bernoulli(phi * alive[i, t-1])\n\
         \x20 y[i, t] ~ bernoulli(p * alive[i, t])\n} }\ngen state = alive\n",
        r#"{"y": [[1, 0, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0]]}"#,
    );
    // φ = ½, p = ½: alive at t + 1 after t with ½, missed with ½.
    let [state, prob] = &generated(&p, &[0.0, 0.0], &["state", "alive_prob"])[..] else { panic!() };
    for draw in state.values.chunks(12) {
        assert_eq!(draw[..3], [1.0, 1.0, 1.0]);
        for animal in draw.chunks(6) {
            assert!(animal.windows(2).all(|w| w[0] >= w[1]), "{animal:?}");
        }
    }
    for i in 0..12 {
        is_share(share(state, i, 1.0), prob.values[2 * i + 1], "alive");
    }
}

/// Predictions of a fit with the data of `json`.
fn predicted(text: &str, json: &str, theta: &[f64]) -> Vec<Variable> {
    let data = DataSet::from_bytes("data.json", Some(Format::Json), json.as_bytes()).unwrap();
    let mut session = Session::new();
    let model =
        session.check("model.ppl", text).unwrap_or_else(|| panic!("{}", session.render(false)));
    let generator = session.generator(&model, &data, Parameters::Given).unwrap();
    assert_eq!(generator.reasons, Vec::<String>::new());
    let values = generator.values(&[Role::Gen, Role::Predicted]);
    values.at(&theta.repeat(DRAWS), DRAWS, 1, 1).variables
}

#[test]
fn predictions_draw_latents_anew_and_generated_quantities_given_the_data() {
    let text = "data y: real[N]\nparam m ~ normal(0, 5)\n\
                marginal z: int<lower=0, upper=1>[N] ~ bernoulli(0.25)\nlet mean_of = m * real(z)\n\
                let off = y - m\ny ~ normal(mean_of, 1)\n\
                gen class = z\ngen means = mean_of\ngen total = sum(off)\n";
    let find = |of: &[Variable], name: &str| of.iter().find(|v| v.name == name).unwrap().clone();
    let same = predicted(text, r#"{"y": [20.1, -0.2]}"#, &[20.0]);
    let [class, means, total, prob, y] =
        ["class", "means", "total", "z_prob", "y"].map(|name| find(&same, name));
    assert!(class.values.chunks(2).all(|z| z == [1.0, 0.0]));
    assert!(means.values.chunks(2).all(|m| m == [20.0, 0.0]));
    assert!(total.values.iter().all(|t| (t - (20.1 - 0.2 - 40.0)).abs() < 1e-12));
    assert!((prob.values[1] - 1.0).abs() < 1e-12 && prob.values[3] < 1e-12);
    // Copies of the data have classes of their own.
    for n in 0..2 {
        let large = y.values.chunks(2).filter(|y| y[n] > 10.0).count() as f64 / DRAWS as f64;
        is_share(large, 0.25, "y");
    }
    // New data of another length; some of it absent.
    let new = predicted(text, r#"{"y": [0.3, 20.1, 19.7]}"#, &[20.0]);
    assert!(find(&new, "class").values.chunks(3).all(|z| z == [0.0, 1.0, 1.0]));
    let without = text.replace("let off = y - m\n", "").replace("gen total = sum(off)\n", "");
    let absent = predicted(&without, r#"{"N": 2}"#, &[20.0]);
    is_share(share(&find(&absent, "class"), 0, 1.0), 0.25, "class");
    assert!((find(&absent, "z_prob").values[1] - 0.25).abs() < 1e-12);
}

/// A chain whose likelihood stands in the loop of its transitions, with and without the data.
#[test]
fn statements_of_a_loop_are_kept_as_far_as_there_is_data() {
    let text = "data y: int<lower=0, upper=1>[T]\nparam p ~ beta(2, 2)\n\
                marginal z: int<lower=0, upper=1>[T]\nz[1] ~ bernoulli(1)\ny[1] ~ bernoulli(p)\n\
                for t in 2:T {\n  z[t] ~ bernoulli(0.5 * z[t-1])\n  y[t] ~ bernoulli(p * z[t])\n}\n\
                gen state = z\n";
    let state =
        |json: &str| predicted(text, json, &[0.0]).into_iter().find(|v| v.name == "state").unwrap();
    let seen = state(r#"{"y": [1, 0, 1, 0]}"#);
    assert!(seen.values.chunks(4).all(|z| z[..3] == [1.0, 1.0, 1.0]));
    // Dead with ½, alive and missed with ¼.
    is_share(share(&seen, 3, 1.0), 1.0 / 3.0, "after the last capture");
    let unseen = state(r#"{"T": 4}"#);
    is_share(share(&unseen, 3, 1.0), 0.125, "without data");
}
