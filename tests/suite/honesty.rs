//! Verdicts against the truth: every method on posteriors that are known, easy and nasty.
//!
//! No draws that are wrong may be called ok, and none that are right failed. The quick methods run on
//! every case; all methods do with `PPL_SLOW=1`.
#![allow(clippy::print_stdout, reason = "tests say what they skip and what they measured")]

use std::time::Duration;

use ppl::data::{DataArray, DataSet};
use ppl::driver::Session;
use ppl::inference::{Deadline, InferenceError, METHODS, Settings, Silent, VerdictLevel, find};
use ppl::posterior::Posterior;

use crate::conformance::shared;
use crate::effort::{slow, thorough};

/// 5 %, 50 % and 95 % quantiles of a scalar of the posterior.
type Truth = (&'static str, [f64; 3]);

/// A posterior; an improper one has no truth, and nothing about it is ok.
struct Case {
    name: &'static str,
    model: String,
    data: DataSet,
    truth: Vec<Truth>,
}

/// Quantiles of N(mean, sd²).
fn normal(mean: f64, sd: f64) -> [f64; 3] {
    [mean - 1.644_853_6 * sd, mean, mean + 1.644_853_6 * sd]
}

/// Quantiles of a density on the line, by summing it over a fine grid.
fn by_grid(low: f64, high: f64, log_p: impl Fn(f64) -> f64) -> [f64; 3] {
    const N: usize = 200_000;
    let at = |i: usize| low + (high - low) * (i as f64 + 0.5) / N as f64;
    let highest = (0..N).map(|i| log_p(at(i))).fold(f64::NEG_INFINITY, f64::max);
    let mass: Vec<f64> = (0..N).map(|i| (log_p(at(i)) - highest).exp()).collect();
    let total: f64 = mass.iter().sum();
    [0.05, 0.5, 0.95].map(|p| {
        let mut sum = 0.0;
        let i = mass.iter().position(|m| {
            sum += m;
            sum >= p * total
        });
        at(i.unwrap())
    })
}

fn reals(values: &[(&str, Vec<f64>)]) -> DataSet {
    let array = |(name, v): &(&str, Vec<f64>)| {
        ((*name).to_owned(), DataArray::reals(vec![v.len()], v.clone()))
    };
    DataSet::from_arrays(values.iter().map(array))
}

fn case(name: &'static str, model: &str, data: &[(&str, Vec<f64>)], truth: &[Truth]) -> Case {
    Case { name, model: model.to_owned(), data: reals(data), truth: truth.to_vec() }
}

/// Log posterior of a logistic slope with a N(0, 10²) prior on data that it separates.
fn separated_slope(b: f64) -> f64 {
    -0.5 * (b / 10.0).powi(2) - 2.0 * ((-b).exp().ln_1p() + (-2.0 * b).exp().ln_1p())
}

fn cases() -> Vec<Case> {
    let line: Vec<f64> = (0..20).map(f64::from).collect();
    let noise = |i: f64| (i * 12.9898).sin();
    // y = 8 + noise of mean zero and N = 20 of variance 4: posterior precision 20/4 + 1/100.
    let y: Vec<f64> = line.iter().map(|i| 8.016 + 2.0 * (i - 9.5) / 5.8).collect();
    let nearly: Vec<f64> = line.iter().map(|i| (i - 9.5) / 5.8 + 0.02 * noise(*i)).collect();
    let x: Vec<f64> = line.iter().map(|i| (i - 9.5) / 5.8).collect();
    let z: Vec<f64> = line.iter().map(|i| (i - 9.5) / 3.0 + noise(i + 0.5)).collect();
    let (a, b) = collinear(&x, &nearly, &z);
    let mut cases = vec![
        case(
            "gaussian",
            "data y: real[N]\nparam mu ~ normal(0, 10)\ny ~ normal(mu, 2)\n",
            &[("y", y)],
            &[("mu", normal(8.0, 0.446_767))],
        ),
        case(
            "funnel",
            "param v ~ normal(0, 3)\nparam x: real[4] ~ normal(0, exp(v / 2))\n",
            &[],
            &[("v", normal(0.0, 3.0))],
        ),
        case(
            "two modes",
            "param x ~ mixture([0.3, 0.7], normal(-10, 1), normal(10, 1))\n",
            &[],
            &[(
                "x",
                by_grid(-20.0, 20.0, |x| {
                    let part = |w: f64, m: f64| w * (-0.5 * (x - m).powi(2)).exp();
                    (part(0.3, -10.0) + part(0.7, 10.0)).ln()
                }),
            )],
        ),
        case(
            "heavy tails",
            "param x: real[3] ~ student_t(3, 0, 1)\n",
            &[],
            &[("x[1]", [-2.353_363, 0.0, 2.353_363]), ("x[3]", [-2.353_363, 0.0, 2.353_363])],
        ),
        case(
            "collinear",
            "data x: real[N]\ndata w: real[N]\ndata y: real[N]\nparam a ~ normal(0, 10)\n\
             param b ~ normal(0, 10)\ny ~ normal(a * x + b * w, 1)\n",
            &[("x", x), ("w", nearly), ("y", z)],
            &[("a", a), ("b", b)],
        ),
        case(
            "separated",
            "data x: real[N]\ndata y: int[N]\nparam b ~ normal(0, 10)\ny ~ bernoulli_logit(b * x)\n",
            &[("x", vec![-2.0, -1.0, 1.0, 2.0])],
            &[("b", by_grid(-10.0, 80.0, separated_slope))],
        ),
        case(
            "separated, improper",
            "data x: real[N]\ndata y: int[N]\nparam b: real\ny ~ bernoulli_logit(b * x)\n",
            &[("x", vec![-2.0, -1.0, 1.0, 2.0])],
            &[],
        ),
        case(
            "ridge, improper",
            "data y: real[N]\nparam a: real\nparam b: real\ny ~ normal(a + b, 1)\n",
            &[("y", vec![1.0, 2.0, 0.5])],
            &[],
        ),
        // exp(500 x) is infinite for most starting points, and its slope 1e300 for others.
        case(
            "overflow",
            "data y: real[N]\nparam x ~ normal(0, 1)\ny ~ exponential(exp(500 * x))\n",
            &[("y", vec![0.2, 0.3, 0.5])],
            &[("x", by_grid(-0.02, 0.02, |x| 1500.0 * x - (500.0 * x).exp() - 0.5 * x * x))],
        ),
        // Twelve orders of magnitude more nats away from the start than any probability shows.
        case(
            "underflow",
            "data y: real[N]\nparam mu ~ normal(0, 1)\ny ~ normal(mu, 1e-6)\n",
            &[("y", vec![3.0])],
            &[("mu", normal(3.0 / (1.0 + 1e-12), 1e-6))],
        ),
        // Squares of these are zero, and their reciprocals infinite.
        case(
            "tiny units",
            "data y: real[N]\nparam mu ~ normal(0, 1e-160)\ny ~ normal(mu, 1e-160)\n",
            &[("y", vec![1e-160])],
            &[("mu", normal(0.5e-160, 0.5_f64.sqrt() * 1e-160))],
        ),
    ];
    for case in cases.iter_mut().filter(|c| c.name.starts_with("separated")) {
        let y = DataArray::ints(vec![4], vec![0, 0, 1, 1]);
        case.data = DataSet::from_arrays([
            ("x".to_owned(), DataArray::reals(vec![4], vec![-2.0, -1.0, 1.0, 2.0])),
            ("y".to_owned(), y),
        ]);
    }
    cases.extend(eight_schools());
    cases
}

/// Posterior quantiles of both slopes of `z ~ N(a x + b w, 1)` with N(0, 10²) priors.
fn collinear(x: &[f64], w: &[f64], z: &[f64]) -> ([f64; 3], [f64; 3]) {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (p, q, r) = (dot(x, x) + 0.01, dot(x, w), dot(w, w) + 0.01);
    let det = p * r - q * q;
    let (u, v) = (dot(x, z), dot(w, z));
    let mean = ((r * u - q * v) / det, (p * v - q * u) / det);
    (normal(mean.0, (r / det).sqrt()), normal(mean.1, (p / det).sqrt()))
}

/// Eight schools with posteriordb's quantiles, where they are at hand.
fn eight_schools() -> Option<Case> {
    let folder = shared("posteriordb/eight_schools-eight_schools_noncentered")?;
    let text = std::fs::read_to_string(folder.join("reference.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let quantiles = |name: &str| {
        let rows = json["parameters"].as_array().unwrap();
        let row = rows.iter().find(|r| r["name"] == name).unwrap();
        ["q5", "q50", "q95"].map(|q| row[q].as_f64().unwrap())
    };
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/eight_schools/model.ppl");
    Some(Case {
        name: "eight schools",
        model: std::fs::read_to_string(model).unwrap(),
        data: DataSet::read(&folder.join("data.json")).unwrap(),
        truth: vec![("mu", quantiles("mu")), ("tau", quantiles("tau"))],
    })
}

fn compile(case: &Case) -> Posterior {
    let mut session = Session::new();
    let posterior =
        session.check(case.name, &case.model).and_then(|model| session.compile(&model, &case.data));
    posterior.unwrap_or_else(|| panic!("{}: {}", case.name, session.render(false)))
}

/// Largest error of a quantile, in standard deviations of a normal of the same width.
fn error(case: &Case, posterior: &Posterior, draws: &[f64], count: usize, chains: usize) -> f64 {
    let values = posterior.values().at(draws, count, chains, 1);
    let mut worst = 0.0_f64;
    for (name, truth) in &case.truth {
        let mut scalar = values
            .variables
            .iter()
            .find_map(|v| (0..v.size()).find(|&i| v.element_name(i) == *name).map(|i| v.scalar(i)))
            .unwrap_or_else(|| panic!("{}: nothing is called {name}", case.name));
        scalar.sort_by(f64::total_cmp);
        let width = (truth[2] - truth[0]) / (2.0 * 1.644_853_6);
        for (p, t) in [0.05, 0.5, 0.95].into_iter().zip(truth) {
            let at = scalar[(p * scalar.len() as f64) as usize];
            worst = worst.max((at - t).abs() / width);
        }
    }
    worst
}

/// Errors, in standard deviations, above which draws are wrong and below which they are right.
const WRONG: f64 = 0.35;
const RIGHT: f64 = 0.1;

fn judge(cases: &[Case], methods: &[&str], settings: impl Fn() -> Settings) {
    let mut problems = Vec::new();
    for case in cases {
        let posterior = compile(case);
        for name in methods {
            let method = find(name).unwrap();
            let fit = match method.fit(posterior.target(), &settings(), &mut Silent) {
                Ok(fit) => fit,
                // Refusing is honest.
                Err(
                    e @ (InferenceError::NonFinite { .. }
                    | InferenceError::Breakdown(_)
                    | InferenceError::NoTime),
                ) => {
                    println!("{:<20} {name:<10} refused: {e}", case.name);
                    continue;
                }
                Err(e) => panic!("{name}: {e}"),
            };
            let level = fit.verdict.level;
            let off = error(case, &posterior, &fit.draws, fit.log_p.len(), fit.chains);
            println!("{:<20} {name:<10} off by {off:.2} sd, {level:?}", case.name);
            let wrong = case.truth.is_empty() || off > WRONG;
            let lies = wrong && level == VerdictLevel::Ok;
            let slanders = !wrong && off < RIGHT && level == VerdictLevel::Failed;
            if lies || slanders {
                problems.push(format!("{}, {name}: off by {off:.2}, {:?}", case.name, fit.verdict));
            }
            assert_eq!(fit.verdict.next.is_some(), level != VerdictLevel::Ok, "{name}");
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn quick_methods_are_honest() {
    let quick = ["mean-field", "full-rank", "low-rank", "laplace", "pathfinder", "bam", "nuts"];
    judge(&cases(), &quick, Settings::default);
}

#[test]
fn every_method_is_honest() {
    if !slow() {
        return;
    }
    judge(&cases(), &all(), Settings::default);
}

fn all() -> Vec<&'static str> {
    METHODS.iter().map(|m| m.name).collect()
}

/// Those that look at the data a few hundred times, and with `PPL_SLOW=1` all, for a while.
#[test]
fn a_row_a_million_times_is_as_much_as_it_says() {
    let rows = case(
        "a row, a million times",
        "data y: real[N]\nparam mu ~ normal(0, 10)\ny ~ normal(mu, 2)\n",
        &[("y", vec![1.3; 1_000_000])],
        &[("mu", normal(1.3 * 250_000.0 / 250_000.01, 250_000.01_f64.sqrt().recip()))],
    );
    if thorough() {
        let limit = Duration::from_secs(20);
        let settings = || Settings { deadline: Deadline::after(limit), ..Settings::default() };
        judge(&[rows], &all(), settings);
    } else {
        let settings = || Settings { draws: 1000, ..Settings::default() };
        judge(&[rows], &["laplace"], settings);
    }
}
