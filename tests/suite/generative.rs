//! Draws: samplers against their cdfs, the generative reading of models against closed forms.

use ppl::check::generative::Parameters;
use ppl::data::{DataArray, DataSet};
use ppl::driver::{Generator, Session};
use ppl::results::{Draws, Role};

/// Draws of each test; deviations allowed are those that one seed in ten thousand shows.
const DRAWS: usize = 20_000;

pub(crate) fn data(fields: &[(&str, DataArray)]) -> DataSet {
    DataSet::from_arrays(fields.iter().map(|(name, a)| ((*name).to_owned(), a.clone())))
}

fn generator(text: &str, data: &DataSet, parameters: Parameters) -> Generator {
    let mut session = Session::new();
    let model = session.check("model.ppl", text);
    let model = model.unwrap_or_else(|| panic!("{}", session.render(false)));
    session.generator(&model, data, parameters).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// Draws of everything from the prior.
pub(crate) fn prior(text: &str, data: &DataSet, draws: usize) -> Draws {
    let generator = generator(text, data, Parameters::Drawn);
    assert!(generator.has_prior, "{:?}", generator.reasons);
    let all = [Role::Param, Role::Let, Role::Gen, Role::Predicted];
    generator.values(&all).at(&[], draws, 1, 1)
}

fn reasons(text: &str, data: &DataSet) -> (bool, Vec<String>) {
    let generator = generator(text, data, Parameters::Drawn);
    (generator.has_prior, generator.reasons)
}

pub(crate) fn scalar(draws: &Draws, name: &str, element: usize) -> Vec<f64> {
    draws.variables.iter().find(|v| v.name == name).unwrap().scalar(element)
}

#[allow(clippy::cast_precision_loss, reason = "numbers of draws are small")]
fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

fn variance(x: &[f64]) -> f64 {
    let m = mean(x);
    mean(&x.iter().map(|v| (v - m).powi(2)).collect::<Vec<_>>())
}

fn covariance(x: &[f64], y: &[f64]) -> f64 {
    let (mx, my) = (mean(x), mean(y));
    mean(&x.iter().zip(y).map(|(a, b)| (a - mx) * (b - my)).collect::<Vec<_>>())
}

/// Mean and variance within 4 Monte Carlo standard errors of what they should be.
#[allow(clippy::cast_precision_loss, reason = "numbers of draws are small")]
fn has_moments(x: &[f64], wanted_mean: f64, wanted_variance: f64, what: &str) {
    let n = x.len() as f64;
    let (m, v) = (mean(x), variance(x));
    let error = (wanted_variance / n).sqrt();
    assert!((m - wanted_mean).abs() < 4.0 * error, "{what}: mean {m}, not {wanted_mean}");
    let fourth = mean(&x.iter().map(|a| (a - m).powi(4)).collect::<Vec<_>>());
    let error = ((fourth - v * v).max(0.0) / n).sqrt();
    assert!(
        (v - wanted_variance).abs() < 4.0 * error + 1e-12,
        "{what}: variance {v}, not {wanted_variance}"
    );
}

/// Kolmogorov and Smirnov's distance from the uniform distribution, times √n, is below 2.2 but for one
/// sample in eight thousand.
#[allow(clippy::cast_precision_loss, reason = "numbers of draws are small")]
fn is_uniform(mut u: Vec<f64>, what: &str) {
    u.sort_by(f64::total_cmp);
    let n = u.len() as f64;
    let gap =
        |(i, p): (usize, &f64)| (p - i as f64 / n).abs().max((p - (i as f64 + 1.0) / n).abs());
    let distance = u.iter().enumerate().map(gap).fold(0.0, f64::max) * n.sqrt();
    assert!(distance < 2.2, "{what}: distance {distance}");
}

#[test]
fn draws_of_continuous_distributions_follow_their_cdfs() {
    let table = [
        ("normal", "0.5, 2"),
        ("student_t", "3, 1, 2"),
        ("cauchy", "-1, 2"),
        ("gamma", "0.4, 3"),
        ("gamma", "7.5, 3"),
        ("inv_gamma", "3, 2"),
        ("beta", "0.7, 2.5"),
        ("exponential", "2"),
        ("weibull", "1.5, 2"),
        ("lognormal", "0.3, 0.6"),
        ("logistic", "1, 2"),
        ("double_exponential", "1, 2"),
        ("gumbel", "1, 2"),
        ("uniform", "-1, 3"),
        ("pareto", "1, 3"),
        ("half_normal", "2"),
        ("chi_square", "5"),
    ];
    for (dist, args) in table {
        let text = format!("gen x ~ {dist}({args})\ngen u = {dist}_cdf(x, {args})\n");
        let draws = prior(&text, &data(&[]), DRAWS);
        is_uniform(scalar(&draws, "u", 0), &format!("{dist}({args})"));
    }
}

#[test]
fn draws_of_discrete_distributions_have_their_moments() {
    let table = [
        ("poisson(0.3)", 0.3, 0.3),
        ("poisson(4.5)", 4.5, 4.5),
        ("poisson(300)", 300.0, 300.0),
        ("binomial(10, 0.3)", 3.0, 2.1),
        ("binomial(500, 0.9)", 450.0, 45.0),
        ("bernoulli(0.2)", 0.2, 0.16),
        ("bernoulli_logit(0)", 0.5, 0.25),
        ("neg_binomial_2(4, 2)", 4.0, 12.0),
        ("geometric(0.25)", 3.0, 12.0),
        ("categorical([0.2, 0.5, 0.3])", 2.1, 0.49),
        ("discrete_uniform(1, 6)", 3.5, 35.0 / 12.0),
    ];
    for (dist, mean, variance) in table {
        let draws = prior(&format!("gen x ~ {dist}\n"), &data(&[]), DRAWS);
        has_moments(&scalar(&draws, "x", 0), mean, variance, dist);
    }
}

#[test]
fn draws_of_combinations_have_their_moments() {
    let zero = (-2.0_f64).exp();
    let truncated = 2.0 / (1.0 - zero);
    let table = [
        ("mixture([0.25, 0.75], normal([-5, 5], 0.1))", 2.5, 18.75 + 0.01),
        (
            "mixture([0.25, 0.75], normal(-5, 1), exponential(0.5))",
            0.25,
            11.5 + 0.75 - 0.0625 - 2.75,
        ),
        ("affine(exponential(1), 10, 2)", 12.0, 4.0),
        ("zero_inflated(0.25, poisson(2))", 1.5, 0.75 * 6.0 - 2.25),
        ("truncate(poisson(2), lower=1)", truncated, 6.0 / (1.0 - zero) - truncated * truncated),
        ("hurdle(0, poisson(2))", truncated, 6.0 / (1.0 - zero) - truncated * truncated),
        // [0, 1] of a uniform distribution on [-1, 3], then half of what is above it.
        ("truncate(uniform(-1, 3), lower=0, upper=1)", 0.5, 1.0 / 12.0),
        ("censor(uniform(-1, 1), lower=0)", 0.25, 1.0 / 6.0 - 0.0625),
    ];
    for (dist, mean, variance) in table {
        let draws = prior(&format!("gen x ~ {dist}\n"), &data(&[]), DRAWS);
        let x = scalar(&draws, "x", 0);
        let wanted = if dist.starts_with("mixture([0.25, 0.75], normal(-5, 1)") {
            // E[x²] = (25 + 1) / 4 + 3/4 · 8.
            26.0 / 4.0 + 6.0 - mean * mean
        } else {
            variance
        };
        has_moments(&x, mean, wanted, dist);
    }
    // Without quantile: by rejection.
    let text = "gen x ~ truncate(gamma(2, 1), lower=1, upper=2)\n\
                gen low = gamma_cdf(1.0, 2, 1)\ngen high = gamma_cdf(2.0, 2, 1)\n\
                gen u = (gamma_cdf(x, 2, 1) - low) / (high - low)\n";
    is_uniform(scalar(&prior(text, &data(&[]), DRAWS), "u", 0), "truncated gamma");
}

#[test]
fn structured_draws_stand_in_arrays_and_loops() {
    let text = "data m: real[2]\n\
                gen k: real[3, 2] ~ multi_normal(m, [[2, 1], [1, 2]])\n\
                gen d ~ dirichlet([1, 2, 3])\n\
                gen walk: real[4] {\n  walk[1] = normal_rng(0, 1)\n\
                  for t in 2:4 { walk[t] = walk[t-1] + normal_rng(0, 1) }\n}\n\
                gen count: real[3] {\n  count[1] = 4\n\
                  for t in 2:3 { count[t] = real(poisson_rng(count[t-1] / 2 + 1)) }\n}\n";
    let draws = prior(text, &data(&[("m", DataArray::reals(vec![2], vec![0.0, 1.0]))]), DRAWS);
    for i in 0..3 {
        has_moments(&scalar(&draws, "k", 2 * i), 0.0, 2.0, "k");
        has_moments(&scalar(&draws, "k", 2 * i + 1), 1.0, 2.0, "k");
        let c = covariance(&scalar(&draws, "k", 2 * i), &scalar(&draws, "k", 2 * i + 1));
        assert!((c - 1.0).abs() < 0.08, "{c}");
    }
    let c = covariance(&scalar(&draws, "k", 0), &scalar(&draws, "k", 2));
    assert!(c.abs() < 0.08, "{c}");
    has_moments(&scalar(&draws, "d", 2), 0.5, 0.25 / 7.0, "d");
    has_moments(&scalar(&draws, "walk", 3), 0.0, 4.0, "walk");
    // E[c₂] = 3, E[c₃] = 2.5, Var[c₃] = E[c₃] + Var[c₂] / 4.
    has_moments(&scalar(&draws, "count", 2), 2.5, 2.5 + 0.75, "count");
}

#[test]
fn a_draw_depends_on_its_number_alone() {
    let text = "param mu ~ normal(0, 1)\nparam t: real<lower=0> ~ normal(0, 1)\n\
                gen x: real[7] ~ gamma(2, 1)\ngen n ~ poisson(exp(mu))\n";
    let (few, many) = (prior(text, &data(&[]), 13), prior(text, &data(&[]), 257));
    for (few, many) in few.variables.iter().zip(&many.variables) {
        assert_eq!(few.values, many.values[..few.values.len()], "{}", few.name);
    }
}

#[test]
fn the_prior_predictive_of_a_conjugate_model_is_its_closed_form() {
    let text = "data y: real[N]\nparam mu ~ normal(1, 2)\ny ~ normal(mu, 3)\ngen ybar = mean(y)\n";
    // `y` is absent; its size is given under the name that the model uses.
    let draws = prior(text, &data(&[("N", DataArray::int(4))]), DRAWS);
    for i in 0..4 {
        has_moments(&scalar(&draws, "y", i), 1.0, 13.0, "y");
    }
    let c = covariance(&scalar(&draws, "y", 0), &scalar(&draws, "y", 3));
    assert!((c - 4.0).abs() < 0.4, "{c}");
    // Generated quantities of simulated data.
    has_moments(&scalar(&draws, "ybar", 0), 1.0, 4.0 + 9.0 / 4.0, "ybar");
}

#[test]
fn priors_respect_declared_supports() {
    let text = "param tau: real<lower=0> ~ cauchy(0, 5)\n\
                param a: real<lower=0> ~ normal(0, 2)\n\
                param b: real<lower=1, upper=2> ~ gamma(2, 1)\n\
                param m: ordered[3] ~ normal(0, 1)\n\
                param w: simplex[3] ~ dirichlet([2, 2, 2])\n\
                let total = sum(w)\n";
    let draws = prior(text, &data(&[]), DRAWS);
    is_uniform(
        scalar(&draws, "tau", 0)
            .iter()
            .map(|x| (x / 5.0).atan() * std::f64::consts::FRAC_2_PI)
            .collect(),
        "half-Cauchy",
    );
    has_moments(
        &scalar(&draws, "a", 0),
        2.0 * std::f64::consts::FRAC_2_PI.sqrt(),
        4.0 * (1.0 - std::f64::consts::FRAC_2_PI),
        "half-normal",
    );
    assert!(scalar(&draws, "b", 0).iter().all(|b| (1.0..=2.0).contains(b)));
    let m: Vec<Vec<f64>> = (0..3).map(|i| scalar(&draws, "m", i)).collect();
    assert!((0..DRAWS).all(|s| m[0][s] < m[1][s] && m[1][s] < m[2][s]));
    // The expectation of the largest of three standard normal variables is 3 / (2 √π).
    let largest = 1.5 / std::f64::consts::PI.sqrt();
    assert!((mean(&m[2]) - largest).abs() < 0.03, "{}", mean(&m[2]));
    assert!(scalar(&draws, "total", 0).iter().all(|t| (t - 1.0).abs() < 1e-12));
}

#[test]
fn statements_in_loops_are_drawn_in_the_order_of_dependence() {
    // The loop and the slice say the same; y[1] is not drawn, so it is as in the data.
    let loops = "for t in 2:T { y[t] ~ normal(a + 0.5 * y[t-1], 1) }";
    let slices = "y[2:T] ~ normal(a + 0.5 * y[1:T-1], 1)";
    for statement in [loops, slices] {
        let text = format!("data y: real[T]\nparam a ~ normal(0, 1e-9)\n{statement}\n");
        let y = DataArray::reals(vec![4], vec![8.0, 1.0, 2.0, 3.0]);
        let draws = prior(&text, &data(&[("y", y)]), DRAWS);
        assert!(scalar(&draws, "y", 0).iter().all(|&y| y == 8.0));
        has_moments(&scalar(&draws, "y", 1), 4.0, 1.0, statement);
        has_moments(&scalar(&draws, "y", 2), 2.0, 1.25, statement);
        has_moments(&scalar(&draws, "y", 3), 1.0, 1.3125, statement);
    }
    // Effects before observations, although the loop has both; a local value; a choice by data.
    let text = "data g: int<lower=1, upper=2>[N]\ndata y: real[N]\n\
                param effect: real[2]\nparam s: real<lower=0> ~ exponential(1000000)\n\
                for i in 1:N {\n  let centre = 10 * effect[g[i]]\n\
                  if g[i] == 1 { y[i] ~ normal(centre, 1) } else { y[i] ~ normal(-centre, 1) }\n}\n\
                for k in 1:2 { effect[k] ~ normal(k, s) }\n";
    let g = DataArray::ints(vec![3], vec![1, 2, 1]);
    let draws = prior(text, &data(&[("g", g), ("N", DataArray::int(3))]), DRAWS);
    has_moments(&scalar(&draws, "y", 0), 10.0, 1.0, "first group");
    has_moments(&scalar(&draws, "y", 1), -20.0, 1.0, "second group");
}

#[test]
fn discrete_latents_are_drawn() {
    let text = "data y: real[N]\nparam w: simplex[2] ~ dirichlet([3e8, 1e8])\n\
                marginal z: int<lower=1, upper=2>[N] ~ categorical(w)\ny ~ normal([-5, 5][z], 0.1)\n";
    let draws = prior(text, &data(&[("N", DataArray::int(2))]), DRAWS);
    has_moments(&scalar(&draws, "y", 1), -2.5, 18.75 + 0.01, "y");
}

#[test]
fn predictions_are_drawn_from_given_parameters() {
    let text = "data x: real[N]\ndata y: real[N]\nparam b ~ flat()\n";
    assert!(Session::new().check("m.ppl", text).is_none(), "a flat parameter has a type");
    let text = "data x: real[N]\ndata y: real[N]\nparam b: real ~ flat()\ny ~ normal(b * x, 0.5)\n\
                gen twice = 2 * b\ngen residual = y - b * x\n";
    let x = DataArray::reals(vec![3], vec![1.0, 2.0, 3.0]);
    let generator = generator(text, &data(&[("x", x)]), Parameters::Given);
    assert_eq!(generator.absent, ["y"]);
    // What reads the absent data is left out, and says so.
    assert_eq!(generator.reasons, ["6:5: `residual` depends on `y`, which is not in the data"]);
    let theta: Vec<f64> = (0..DRAWS).map(|s| if s % 2 == 0 { 10.0 } else { -10.0 }).collect();
    let draws = generator.values(&[Role::Gen, Role::Predicted]).at(&theta, DRAWS, 1, 3);
    let even: Vec<f64> = scalar(&draws, "y", 2).into_iter().step_by(2).collect();
    has_moments(&even, 30.0, 0.25, "y");
    assert_eq!(scalar(&draws, "twice", 0)[..2], [20.0, -20.0]);
}

#[test]
fn a_recursion_through_data_predicts_one_step_ahead() {
    let text = "data y: real[T]\nparam a: real<lower=0> ~ flat()\n\
                let s: real[T] {\n  s[1] = 1\n  for t in 2:T { s[t] = sqrt(a * square(y[t-1])) }\n}\n\
                y ~ normal(0, s)\n";
    let y = DataArray::reals(vec![3], vec![3.0, 2.0, 100.0]);
    let generator = generator(text, &data(&[("y", y)]), Parameters::Given);
    let theta = vec![0.0; DRAWS];
    let draws = generator.values(&[Role::Predicted]).at(&theta, DRAWS, 1, 3);
    has_moments(&scalar(&draws, "y", 1), 0.0, 9.0, "given y[1]");
    has_moments(&scalar(&draws, "y", 2), 0.0, 4.0, "given y[2]");
}

#[test]
fn what_prevents_a_draw_is_said_with_its_place() {
    let n = data(&[("N", DataArray::int(2))]);
    let y = "data y: real[N]\n";
    let table = [
        (
            "param a: real\ny ~ normal(a, 1)\n",
            "2:1: `a` has a flat prior; give it a proper one, as `~ normal(0, 10)`",
        ),
        (
            "param a ~ normal(0, 1)\nfactor -abs(a)\ny ~ normal(a, 1)\n",
            "3:1: a `factor` is no distribution to draw from",
        ),
        (
            "param a ~ normal(0, 1)\nlet b = exp(a)\nb ~ normal(0, 1)\ny ~ normal(a, 1)\n",
            "4:1: the left side is an expression of parameters, which are drawn elsewhere",
        ),
        (
            "param a ~ normal(0, 1)\na ~ normal(1, 1)\ny ~ normal(a, 1)\n",
            "3:1: two statements are about `a`, so neither draws it",
        ),
        (
            "dist mine(m: real) on real { log_density(x) = -square(x - m) }\n\
             param a ~ mine(0)\ny ~ normal(a, 1)\n",
            "3:1: `a` cannot be drawn: `mine` has no `sample`",
        ),
    ];
    for (text, wanted) in table {
        let (has_prior, found) = reasons(&format!("{y}{text}"), &n);
        assert!(!has_prior, "{text}");
        assert!(found.iter().any(|r| r == wanted), "{text}: {found:?}");
    }
    // A likelihood that is no distribution leaves the prior.
    let text = "data y: real[N]\nparam a ~ normal(0, 1)\nfactor sum(normal_lpdf(y, a, 1))\n";
    let y = data(&[("y", DataArray::reals(vec![1], vec![0.5]))]);
    let (has_prior, found) = reasons(text, &y);
    assert!(has_prior, "{found:?}");
    assert_eq!(found, ["3:1: a `factor` is no distribution to draw from"]);
}

#[test]
fn segments_of_ragged_data_are_drawn_and_have_a_pointwise_likelihood() {
    let text = "data n: int<lower=0>[I]\ndata y: real[sum(n)]\nparam mu: real[I] ~ normal(0, 1)\n\
                let first: int[I] { for i in 1:I { first[i] = 1 + sum(n[1:i - 1]) } }\n\
                for i in 1:I { segment(y, first[i], n[i]) ~ normal(mu[i], 1) }\n";
    let lengths = DataArray::ints(vec![3], vec![2, 3, 1]);
    let draws = prior(text, &data(&[("n", lengths)]), DRAWS);
    let y: Vec<Vec<f64>> = (0..6).map(|i| scalar(&draws, "y", i)).collect();
    for y in &y {
        has_moments(y, 0.0, 2.0, "y");
    }
    // One group shares its mean.
    for (a, b, wanted) in [(0, 1, 1.0), (2, 4, 1.0), (1, 2, 0.0), (4, 5, 0.0)] {
        assert!((covariance(&y[a], &y[b]) - wanted).abs() < 0.06, "{a} {b}");
    }
    let json = r#"{"n": [2, 3, 1], "y": [0.3, -1.0, 2.5, 4.0, 0.1, 0.7]}"#;
    let fitted = crate::marginals::posterior(text, json);
    let pointwise = fitted.log_likelihood().at(&[0.1, 0.2, 0.3], 1, 1, 0).variables;
    assert_eq!((pointwise[0].name.as_str(), pointwise[0].values.len()), ("y", 6));
}

#[test]
fn correlations_of_lkj_have_their_variance() {
    let text = "param L: cholesky_corr[3] ~ lkj_corr_cholesky(2)\nparam O: corr_matrix[3] ~ lkj_corr(2)\n\
                gen R = L @ L'\n";
    let draws = prior(text, &data(&[]), DRAWS);
    // (r + 1) / 2 is Beta(η + (K − 2) / 2, the same).
    for (name, i) in [("R", 3), ("R", 6), ("R", 7), ("O", 3), ("O", 6), ("O", 7)] {
        has_moments(&scalar(&draws, name, i), 0.0, 1.0 / 6.0, name);
    }
}
