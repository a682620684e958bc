//! Minibatches: unbiased, less noisy the larger they are, of a cost that does not depend on the data,
//! and refused where the log joint is no sum over the dimension.

use std::sync::Arc;

use ppl::data::{DataArray, DataSet, Format};
use ppl::density::{LogDensity, Part, Residuals};
use ppl::driver::Session;
use ppl::inference::{Settings, Silent, find};
use ppl::posterior::Posterior;

use crate::tolerance::close;

/// Numbers that look random and are the same everywhere.
fn numbers(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64 * 4.0 - 2.0
    };
    (0..n).map(|_| next()).collect()
}

fn signs(x: &[f64]) -> Vec<i64> {
    x.iter().map(|&x| i64::from(x > 0.0)).collect()
}

fn posterior(text: &str, data: &DataSet, batch: Option<(&str, usize)>) -> Posterior {
    let mut session = Session::new();
    let model = session.check("m.ppl", text);
    let compiled = match (&model, batch) {
        (None, _) => None,
        (Some(model), None) => session.compile(model, data),
        (Some(model), Some(batch)) => session.compile_subsampled(model, data, batch, 7).unwrap(),
    };
    compiled.unwrap_or_else(|| panic!("{}", session.render(false)))
}

/// Value, score and Hessian-vector product at `z` in direction 1, 2, …
fn all_of(density: &Arc<dyn LogDensity<f64>>, z: &[f64]) -> Vec<f64> {
    let d = z.len();
    let v: Vec<f64> = (0..d).map(|i| 1.0 + i as f64).collect();
    let (mut log_p, mut score, mut hvp) = (vec![0.0], vec![0.0; d], vec![0.0; d]);
    let mut keep = Residuals::default();
    density.score_keep(z, &mut score, &mut keep);
    density.hvp(&keep, &v, &mut hvp);
    let (mut plain, mut again) = ([0.0], vec![0.0; d]);
    density.score(z, &mut log_p, &mut again);
    density.log_density(z, &mut plain);
    assert!(close(plain[0], log_p[0], 1e-12, 1e-12));
    assert!(again.iter().zip(&score).all(|(a, s)| close(*a, *s, 1e-12, 1e-12)));
    log_p.into_iter().chain(score).chain(hvp).collect()
}

fn rows(n: usize) -> DataSet {
    let x = numbers(n * 3, 1);
    let y = numbers(n, 2);
    let groups = (0..n).map(|i| 1 + (i * 7 % 4) as i64).collect();
    DataSet::from_arrays([
        ("X".to_owned(), DataArray::reals(vec![n, 3], x.clone())),
        ("x".to_owned(), DataArray::reals(vec![n], x[..n].to_vec())),
        ("y".to_owned(), DataArray::reals(vec![n], y.clone())),
        ("b".to_owned(), DataArray::ints(vec![n], signs(&y))),
        ("g".to_owned(), DataArray::ints(vec![n], groups)),
        ("Y".to_owned(), DataArray::reals(vec![n, 2], numbers(n * 2, 3))),
        ("G".to_owned(), DataArray::int(4)),
    ])
}

/// Models whose likelihood is a sum over N, in the ways in which people write that.
const SUMS: &[(&str, &str)] = &[
    (
        "regression on standardised columns",
        "data X: real[N, D]\ndata b: int<lower=0, upper=1>[N]\nparam beta: real[D] ~ normal(0, 2)\n\
         let centre = mean(X)\nb ~ bernoulli_logit((X - centre) @ beta)\n",
    ),
    (
        "a loop and a vector scale",
        "data x: real[N]\ndata y: real[N]\nparam a ~ normal(0, 1)\nparam s ~ exponential(1)\n\
         let sigma = fill(N, s)\nfor i in 1:N { y[i] ~ normal(a * x[i], sigma[i]) }\n",
    ),
    (
        "groups",
        "data G: int<lower=1>\ndata g: int<lower=1, upper=G>[N]\ndata y: real[N]\n\
         param u: real[G] ~ normal(0, 1)\nparam s ~ exponential(1)\ny ~ normal(u[g], s)\n",
    ),
    (
        "a mixture",
        "data y: real[N]\nparam mu: ordered[2] ~ normal(0, 2)\nparam w ~ beta(5, 5)\n\
         y ~ mixture([w, 1 - w], normal(mu, 1))\n",
    ),
    (
        "a factor that sums",
        "data x: real[N]\ndata y: real[N]\nparam a ~ normal(0, 1)\n\
         factor -0.5 * sum(square(y - a * x)) - 3 * square(a)\n",
    ),
    (
        "a vector for each element, with a covariance",
        "data Y: real[N, 2]\ndata x: real[N]\nparam m: real[2] ~ normal(0, 1)\nparam s: real<lower=0>[2] \
         ~ exponential(1)\nparam L: cholesky_corr[2] ~ lkj_corr_cholesky(2)\n\
         for i in 1:N { Y[i] ~ multi_normal_cholesky(m * x[i], diag(s) @ L) }\n",
    ),
    (
        "a class for each element, summed out",
        "data Y: real[N, 2]\nparam m: real[2, 2] ~ normal(0, 1)\nparam L: cholesky_corr[2] ~ \
         lkj_corr_cholesky(2)\nparam w: simplex[2] ~ dirichlet([1, 1])\n\
         marginal z: int<lower=1, upper=2>[N] ~ categorical(w)\n\
         for i in 1:N { Y[i] ~ multi_normal_cholesky(m[z[i]], L) }\n",
    ),
    (
        "several numbers for each element",
        "data Y: real[N, 2]\nparam m: real[2] ~ normal(0, 1)\nparam s: real<lower=0>[2] ~ \
         exponential(1)\nfor i in 1:N { Y[i] ~ normal(m, s) }\n",
    ),
];

#[test]
fn the_average_over_batches_is_the_log_joint_and_its_derivatives() {
    const N: usize = 12;
    for (name, text) in SUMS {
        let data = rows(N);
        let full = posterior(text, &data, None);
        let z: Vec<f64> = (0..full.dim()).map(|i| 0.3 - 0.2 * i as f64).collect();
        let exact = all_of(full.target().f64, &z);
        let whole = posterior(text, &data, Some(("N", N)));
        for part_seen in [Part::Large, Part::Whole(&z), Part::Fresh(3)] {
            whole.target().f64.see(part_seen);
            for (a, b) in all_of(whole.target().f64, &z).iter().zip(&exact) {
                assert!(close(*a, *b, 1e-11, 1e-11), "{name}: all rows: {a} {b}");
            }
        }
        // Corrected around another point, too.
        let centre: Vec<f64> = z.iter().map(|z| z + 0.4).collect();
        for centre in [None, Some(&centre)] {
            let part = posterior(text, &data, Some(("N", 5)));
            if let Some(at) = centre {
                part.target().f64.see(Part::Whole(at));
            }
            is_unbiased(name, part.target().f64, &z, &exact);
        }
    }
}

fn is_unbiased(name: &str, density: &Arc<dyn LogDensity<f64>>, z: &[f64], exact: &[f64]) {
    let mut sums: Vec<(f64, f64)> = vec![(0.0, 0.0); exact.len()];
    const BATCHES: u64 = 2000;
    for i in 0..BATCHES {
        density.see(Part::Fresh(i));
        for (sum, x) in sums.iter_mut().zip(all_of(density, z)) {
            *sum = (sum.0 + x, sum.1 + x * x);
        }
    }
    let n = BATCHES as f64;
    let mut noisy = false;
    for ((sum, squares), exact) in sums.into_iter().zip(exact) {
        let mean = sum / n;
        let se = ((squares / n - mean * mean).max(0.0) / n).sqrt();
        noisy |= se > 1e-6;
        assert!((mean - exact).abs() < 4.5 * se + 1e-9, "{name}: {mean} ± {se}, not {exact}");
    }
    assert!(noisy, "{name}: batches differ");
}

/// Near the centre of the correction the noise is that of second derivatives only.
#[test]
fn what_all_rows_say_at_a_point_takes_the_noise_away_around_it() {
    const N: usize = 2000;
    let data = rows(N);
    let part = posterior(SUMS[0].1, &data, Some(("N", 50)));
    let density = part.target().f64;
    let spread = |z: &[f64]| {
        let scores: Vec<f64> = (0..200)
            .map(|i| {
                density.see(Part::Fresh(i));
                all_of(density, z)[1]
            })
            .collect();
        let mean = scores.iter().sum::<f64>() / 200.0;
        (scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / 199.0).sqrt()
    };
    let centre = [0.1, -0.2, 0.05];
    let plain = spread(&centre);
    density.see(Part::Whole(&centre));
    assert!(spread(&centre) < 1e-9 * plain);
    // A posterior standard deviation away, about 1/√N.
    let near = centre.map(|c| c + 1.0 / (N as f64).sqrt());
    assert!(spread(&near) < 0.1 * plain, "{} {plain}", spread(&near));
}

#[test]
fn variance_falls_with_the_size_of_the_batch_and_rows_come_without_replacement() {
    let data = rows(200);
    let text = SUMS[0].1;
    let spread = |size: usize| {
        let posterior = posterior(text, &data, Some(("rows", size)));
        let values: Vec<f64> = (0..400)
            .map(|i| {
                posterior.target().f64.see(Part::Fresh(i));
                all_of(posterior.target().f64, &[0.5, -0.5, 0.2])[0]
            })
            .collect();
        let mean = values.iter().sum::<f64>() / 400.0;
        values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 399.0
    };
    let (small, middle, large) = (spread(10), spread(50), spread(150));
    // Without replacement the variance is proportional to (N − n)/n: 19, 3, 1/3.
    let ratio = |a: f64, b: f64| a / b;
    assert!((0.6..1.6).contains(&(ratio(small, middle) * 3.0 / 19.0)), "{small} {middle}");
    assert!((0.6..1.6).contains(&(ratio(middle, large) / 9.0)), "{middle} {large}");
    assert!(spread(200) < 1e-18);
}

#[test]
fn what_is_no_sum_is_refused_at_its_statement() {
    let cases = [
        (
            "param m ~ normal(0, 1)\ndata y: real[N]\nsum(y) ~ normal(m, 1)\n",
            "sum(y) ~",
            "without being a sum",
        ),
        (
            "data y: real[N]\nparam b: real[N] ~ normal(0, 1)\ny ~ normal(b, 1)\n",
            "y ~ normal(b, 1)",
            "for each of them",
        ),
        (
            "data x: real[N]\ndata y: real[N]\nparam a: real<lower=0> ~ normal(0, 1)\n\
             let K: real[N, N] {\n  for i in 1:N { for j in 1:N {\n    K[i, j] = \
             exp(-a * square(x[i] - x[j])) + real(i == j)\n  } }\n}\n\
             y ~ multi_normal_cholesky(zeros(N), cholesky(K))\n",
            "y ~ multi_normal",
            "by a matrix",
        ),
        (
            "data y: real[N]\nparam a ~ uniform(0, 1)\nlet s: real[N] {\n  s[1] = 1.0\n  \
             for t in 2:N { s[t] = 0.5 + a * s[t-1] * square(y[t-1]) }\n}\ny ~ normal(0, s)\n",
            "y ~ normal(0, s)",
            "one after the other",
        ),
        (
            "data y: real[N]\nparam a ~ normal(0, 1)\nfor t in 2:N { y[t] ~ normal(a * y[t-1], 1) }\n",
            "y[t] ~",
            "without being a sum",
        ),
        (
            "data y: real[N]\nparam m: ordered[2] ~ normal(0, 1)\nparam p ~ beta(2, 2)\n\
             marginal z: int<lower=1, upper=2>[N]\nz[1] ~ categorical([0.5, 0.5])\n\
             for t in 2:N { z[t] ~ categorical(if z[t-1] == 1 { [p, 1 - p] } else { [1 - p, p] }) }\n\
             y ~ normal(m[z], 1)\n",
            "marginal z",
            "several of them together",
        ),
        (
            "data y: real[N]\nparam a ~ normal(0, 1)\nfactor log(sum(exp(a * y)))\n",
            "factor",
            "not linear",
        ),
    ];
    for (text, statement, why) in cases {
        let mut session = Session::new();
        let model =
            session.check("m.ppl", text).unwrap_or_else(|| panic!("{}", session.render(false)));
        let compiled = session.compile_subsampled(&model, &rows(10), ("N", 4), 1).unwrap();
        assert!(compiled.is_none(), "{text}");
        let error = session.diagnostics.iter().find(|d| d.is_error()).unwrap();
        let message = session.render(false);
        assert_eq!(error.code.to_string(), "E0520", "{message}");
        assert!(message.contains(why), "{message}");
        assert!(session.sources.slice(error.span()).starts_with(statement), "{message}");
    }
}

/// What is missing is a parameter for its row, or a class that other rows may share.
#[test]
fn missing_elements_of_rows_are_refused_at_their_likelihood() {
    for (text, json) in [
        ("data y: real?[N]\nparam m ~ normal(0, 1)\ny ~ normal(m, 1)\n", "[1, null, 2, 3]"),
        (
            "data y: int<lower=0, upper=1>?[N]\nparam p ~ beta(1, 1)\ny ~ bernoulli(p)\n",
            "[1, null, 0, 1]",
        ),
    ] {
        let file = format!("{{\"y\": {json}}}");
        let data = DataSet::from_bytes("d.json", Some(Format::Json), file.as_bytes()).unwrap();
        let mut session = Session::new();
        let model = session.check("m.ppl", text).unwrap();
        let compiled = session.compile_subsampled(&model, &data, ("N", 2), 1).unwrap();
        assert!(compiled.is_none(), "{text}");
        let error = session.diagnostics.iter().find(|d| d.is_error()).unwrap();
        assert_eq!(error.code.to_string(), "E0520", "{}", session.render(false));
    }
}

#[test]
fn names_that_do_not_fit_are_named() {
    let mut session = Session::new();
    let model = session.check("m.ppl", SUMS[0].1).unwrap();
    let mut refused = |name: &str, size: usize| {
        session.compile_subsampled(&model, &rows(10), (name, size), 1).unwrap_err()
    };
    assert_eq!(refused("M", 3), "the data has no dimension `M`; it has N, D");
    assert_eq!(refused("N", 11), "`N` has 10 elements with this data, not 11");
    let text = "data y: real[N]\ndata z: real[M]\nparam m ~ normal(0, 1)\ny ~ normal(m, 1)\n\
                z ~ normal(m, 1)\n";
    let data = DataSet::from_arrays([
        ("y".to_owned(), DataArray::reals(vec![4], numbers(4, 1))),
        ("z".to_owned(), DataArray::reals(vec![6], numbers(6, 2))),
    ]);
    let mut session = Session::new();
    let model = session.check("m.ppl", text).unwrap();
    let refused = session.compile_subsampled(&model, &data, ("rows", 2), 1).unwrap_err();
    assert!(refused.contains("name one of N, M"), "{refused}");
    // One of them is subsampled, the other is taken whole.
    let part = posterior(text, &data, Some(("M", 2)));
    let full = posterior(text, &data, None);
    let mean = (0..4000)
        .map(|i| {
            part.target().f64.see(Part::Fresh(i));
            all_of(part.target().f64, &[0.7])[0] / 4000.0
        })
        .sum::<f64>();
    assert!(close(mean, all_of(full.target().f64, &[0.7])[0], 0.0, 0.3), "{mean}");
}

/// Two hundred thousand rows: values of the whole are those of half of them, corrected.
#[test]
fn many_rows_are_read_once_and_estimated_well_around_that_point() {
    const N: usize = 200_000;
    let data = DataSet::from_arrays([("y".to_owned(), DataArray::reals(vec![N], numbers(N, 5)))]);
    let text =
        "data y: real[N]\nparam m ~ normal(0, 1)\nparam s ~ exponential(1)\ny ~ normal(m, s)\n";
    let part = posterior(text, &data, Some(("N", 100)));
    let full = posterior(text, &data, None);
    let density = part.target().f64;
    let centre = [numbers(N, 5).iter().sum::<f64>() / N as f64, 0.144];
    density.see(Part::Whole(&centre));
    assert!(density.estimate().unwrap().contains("100000 of the 200000"));
    let exact = |z: &[f64]| all_of(full.target().f64, z);
    let at_centre = all_of(density, &centre);
    for (a, b) in at_centre.iter().zip(&exact(&centre)).take(3) {
        assert!(close(*a, *b, 1e-10, 1e-6), "{a} {b}");
    }
    // Two posterior standard deviations away the log density differs by about 4 nats.
    let off = [centre[0] + 0.005, centre[1] + 0.003];
    let (a, b) = (all_of(density, &off), exact(&off));
    assert!((b[0] - exact(&centre)[0]).abs() > 2.0);
    assert!((a[0] - b[0]).abs() < 0.05, "{} {}", a[0], b[0]);
}

#[test]
fn every_stochastic_method_finds_the_posterior_from_minibatches() {
    const N: usize = 500;
    let y: Vec<f64> = numbers(N, 9).iter().map(|x| x + 1.0).collect();
    let mean = y.iter().sum::<f64>() / (N as f64 + 1.0 / 100.0);
    let sd = 1.0 / (N as f64 + 0.01).sqrt();
    let data = DataSet::from_arrays([("y".to_owned(), DataArray::reals(vec![N], y))]);
    let text = "data y: real[N]\nparam m ~ normal(0, 10)\ny ~ normal(m, 1)\n";
    let posterior = posterior(text, &data, Some(("N", 50)));
    for method in ["mean-field", "ldvi", "sivi-sm"] {
        let settings =
            Settings { iterations: Some(2000), bridges: None, draws: 2000, ..Settings::default() };
        let fit = find(method).unwrap().fit(posterior.target(), &settings, &mut Silent).unwrap();
        let n = fit.log_p.len() as f64;
        let m = fit.draws.iter().sum::<f64>() / n;
        let s = (fit.draws.iter().map(|d| (d - m).powi(2)).sum::<f64>() / n).sqrt();
        // Noise of the gradients is 3 posterior sd an iteration; what is left of it is far less.
        assert!((m - mean).abs() < 0.5 * sd, "{method}: mean {m}, not {mean} (sd {sd})");
        assert!((0.7..1.4).contains(&(s / sd)), "{method}: sd {s}, not {sd}");
    }
}
