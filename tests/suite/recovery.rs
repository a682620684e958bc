//! Every method on posteriors that are known in closed form.

use ppl::data::{DataArray, DataSet};
use ppl::driver::Session;
use ppl::inference::{Fit, METHODS, Method, Settings, Silent, VerdictLevel};
use ppl::posterior::Posterior;
use ppl::results::Statistics;

fn fit(method: &Method, posterior: &Posterior, settings: &Settings) -> Fit {
    method
        .fit(posterior.target(), settings, &mut Silent)
        .unwrap_or_else(|e| panic!("{}: {e}", method.name))
}

const CONJUGATE: &str = "data y: real[N]
data noise: real<lower=0>
param mu ~ normal(0, 10)
y ~ normal(mu, noise)
";

/// Twenty observations with the given noise whose posterior mean is 8, and the posterior's sd.
fn conjugate(noise: f64) -> (Posterior, f64) {
    let precision = 0.01 + 20.0 / noise.powi(2);
    let mean_of_y = 8.0 * precision * noise.powi(2) / 20.0;
    let y = (0..20).map(|i| mean_of_y + noise * (f64::from(i) - 9.5) / 5.8).collect();
    let data = DataSet::from_arrays([
        ("y".to_owned(), DataArray::reals(vec![20], y)),
        ("noise".to_owned(), DataArray::real(noise)),
    ]);
    let mut session = Session::new();
    let posterior =
        session.check("conjugate", CONJUGATE).and_then(|model| session.compile(&model, &data));
    let posterior = posterior.unwrap_or_else(|| panic!("{}", session.render(false)));
    (posterior, precision.sqrt().recip())
}

/// Mean and sd of the first scalar.
fn moments(fit: &Fit, posterior: &Posterior) -> (f64, f64) {
    let draws = posterior.values().at(&fit.draws, fit.log_p.len(), fit.chains, 1);
    let Statistics { mean, sd, .. } = Statistics::of(&draws.variables[0].scalar(0), 1, true);
    (mean, sd)
}

fn every_method_recovers(noise: f64, known_sd: f64) {
    let (posterior, exact_sd) = conjugate(noise);
    assert!((exact_sd - known_sd).abs() < 5e-4, "{exact_sd}");
    let mut problems = Vec::new();
    for method in METHODS {
        let fit = fit(method, &posterior, &Settings::default());
        let (mean, sd) = moments(&fit, &posterior);
        let good = (mean - 8.0).abs() < 0.1 * exact_sd
            && (sd / exact_sd - 1.0).abs() < 0.1
            && fit.verdict.level == VerdictLevel::Ok;
        if !good {
            problems.push(format!("{}: mean {mean}, sd {sd}, {:?}", method.name, fit.verdict));
        }
    }
    assert!(problems.is_empty(), "sd {exact_sd}\n{}", problems.join("\n"));
}

#[test]
fn every_method_recovers_a_conjugate_posterior() {
    every_method_recovers(2.0, 0.447);
}

#[test]
fn every_method_recovers_a_conjugate_posterior_with_unit_noise() {
    every_method_recovers(1.0, 0.2236);
}

#[test]
fn twenty_iterations_are_never_ok() {
    let (posterior, sd) = conjugate(2.0);
    let short = Settings { iterations: Some(20), ..Settings::default() };
    for method in METHODS {
        let fit = fit(method, &posterior, &short);
        if matches!(method.name, "laplace" | "pathfinder" | "bam" | "auto") {
            // Updates in closed form need no more for a Gaussian; then they are right and say so.
            let (mean, _) = moments(&fit, &posterior);
            assert!((mean - 8.0).abs() < 0.1 * sd || fit.verdict.level > VerdictLevel::Ok);
            continue;
        }
        assert_ne!(fit.verdict.level, VerdictLevel::Ok, "{}: {:?}", method.name, fit.verdict);
        assert!(!fit.verdict.reasons.is_empty(), "{}", method.name);
    }
}
