//! Models as statisticians write them (`tests/models`), fully normalised: log densities against
//! SciPy's (`tests/reference/models.py`, `posteriordb.py`), gradients and Hessian-vector products against
//! differences.

use ppl::data::{DataSet, Format};
use ppl::density::Residuals;
use ppl::driver::Session;
use ppl::lower::Space;
use ppl::posterior::Parts;
use serde_json::Value;

use crate::conformance::model_text;
use crate::tolerance::close;

/// All numbers of a nested list, row-major.
fn flat(v: &Value, into: &mut Vec<f64>) {
    match v {
        Value::Array(items) => items.iter().for_each(|item| flat(item, into)),
        number => into.push(number.as_f64().unwrap()),
    }
}

fn check(row: &Value) {
    let name = row["model"].as_str().unwrap();
    let text = model_text(name);
    // Solutions of differential equations are as exact as their tolerance.
    let rtol = if text.contains("ode_") { 1e-7 } else { 1e-10 };
    let data = row["data"].to_string();
    let data = DataSet::from_bytes("data.json", Some(Format::Json), data.as_bytes()).unwrap();
    let mut session = Session::new();
    let compiled = session.check(name, &text).and_then(|model| {
        let constrained = session.lower(&model, &data, Space::Constrained)?;
        Some((constrained, session.compile(&model, &data)?))
    });
    let (constrained, posterior) =
        compiled.unwrap_or_else(|| panic!("{name}: {}", session.render(false)));
    let (at_value, at_theta) = (Parts::new(&constrained), Parts::new(posterior.lowered()));
    let points = row["points"].as_array().unwrap();
    assert!(!points.is_empty());
    for (i, point) in points.iter().enumerate() {
        let values: Vec<Vec<f64>> = (constrained.params.iter())
            .map(|p| {
                let mut numbers = Vec::new();
                flat(&point["constrained"][&p.name], &mut numbers);
                numbers
            })
            .collect();
        let values: Vec<&[f64]> = values.iter().map(Vec::as_slice).collect();
        let there = at_value.at(&values);
        let wanted = point["log_density"].as_f64().unwrap();
        assert!(
            close(there.log_density, wanted, rtol, 1e-10),
            "{name}, point {i}: {} for {wanted}",
            there.log_density
        );
        let theta = there.unconstrained.unwrap();
        let here = at_theta.at(&[&theta]);
        let without = here.log_density - here.log_jacobian;
        assert!(
            close(without, wanted, 100.0 * rtol, 1e-8),
            "{name}, point {i}: {without} for {wanted}"
        );
        slopes(name, &posterior, &theta);
    }
}

/// Score and Hessian-vector product along one direction, against central differences.
fn slopes(name: &str, posterior: &ppl::posterior::Posterior, theta: &[f64]) {
    let density = posterior.target().f64;
    let d = theta.len();
    let v: Vec<f64> = (0..d).map(|i| (0.7 * i as f64 + 0.3).sin()).collect();
    let h = 1e-5;
    let score = |sign: f64| {
        let z: Vec<f64> = theta.iter().zip(&v).map(|(t, v)| t + sign * h * v).collect();
        let (mut log_p, mut score) = ([0.0], vec![0.0; d]);
        let mut keep = Residuals::default();
        density.log_density(&z, &mut log_p);
        density.score_keep(&z, &mut score, &mut keep);
        (log_p[0], score, keep)
    };
    let ((up, score_up, _), (down, score_down, _)) = (score(1.0), score(-1.0));
    let (log_p, slope, keep) = score(0.0);
    let along: f64 = slope.iter().zip(&v).map(|(s, v)| s * v).sum();
    let difference = (up - down) / (2.0 * h);
    let scale = 1.0 + log_p.abs() + slope.iter().map(|s| s.abs()).sum::<f64>();
    assert!((along - difference).abs() < 1e-7 * scale, "{name}: {along} for {difference}");
    let mut hv = vec![0.0; d];
    density.hvp(&keep, &v, &mut hv);
    let scale = scale + hv.iter().map(|x| x.abs()).sum::<f64>();
    for (x, (a, b)) in hv.iter().zip(score_up.iter().zip(&score_down)) {
        let difference = (a - b) / (2.0 * h);
        assert!((x - difference).abs() < 1e-6 * scale, "{name}: Hv {x} for {difference}");
    }
}

fn check_all(text: &str, least: usize) {
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.len() >= least, "{} models", rows.len());
    rows.iter().for_each(check);
}

#[test]
fn log_densities_are_those_of_scipy() {
    check_all(include_str!("../reference/models.jsonl"), 20);
}

#[test]
fn log_densities_of_posteriordb_are_those_of_scipy() {
    check_all(include_str!("../reference/posteriordb.jsonl"), 56);
}
