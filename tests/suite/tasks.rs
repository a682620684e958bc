//! The time-series tasks of the Langevin literature (`tests/models/brownian_motion`, `lorenz_bridge`)
//! against the reference log densities and gradients.

use ppl::data::{DataSet, Format};
use ppl::driver::Session;
use ppl::posterior::Posterior;
use serde_json::{Value, json};

use crate::conformance::model_text;
use crate::densities::{numbers, reference};
use crate::tolerance::close;

fn read(name: &str) -> Option<Value> {
    let text = std::fs::read_to_string(reference()?.join(format!("langevin/{name}.json"))).unwrap();
    Some(serde_json::from_str(&text).unwrap())
}

/// A model with the observations that are there and their times, and more data.
fn compile(model: &str, observed: &Value, mut data: Value) -> Posterior {
    let all = observed.as_array().unwrap();
    let seen = || (1..=all.len()).filter(|t| !all[t - 1].is_null());
    data["T"] = json!(all.len());
    data["seen"] = seen().collect();
    data["y"] = seen().map(|t| all[t - 1].clone()).collect();
    let data = data.to_string();
    let data = DataSet::from_bytes("data.json", Some(Format::Json), data.as_bytes()).unwrap();
    let mut session = Session::new();
    let posterior = session
        .check(model, &model_text(model))
        .and_then(|checked| session.compile(&checked, &data));
    posterior.unwrap_or_else(|| panic!("{}", session.render(false)))
}

/// Compares log density and gradient at the fixture's points, after `translate` to our coordinates.
fn agrees(
    posterior: &Posterior,
    fixture: &Value,
    translate: impl Fn(Vec<f64>, f64, Vec<f64>) -> (Vec<f64>, f64, Vec<f64>),
) {
    let points = ["points", "points_plausible"].map(|key| fixture[key].as_array().unwrap());
    for point in points.into_iter().flatten() {
        let value = point["log_density"].as_f64().unwrap();
        let (z, value, gradient) = translate(numbers(&point["z"]), value, numbers(&point["grad"]));
        let (mut log_p, mut score) = ([0.0], vec![0.0; z.len()]);
        posterior.target().f64.score(&z, &mut log_p, &mut score);
        assert!(close(log_p[0], value, 1e-9, 1e-9), "{} {value}", log_p[0]);
        for (g, want) in score.iter().zip(gradient) {
            assert!(close(*g, want, 1e-8, 1e-8), "{g} {want}");
        }
    }
}

#[test]
fn lorenz_bridge_is_the_published_task() {
    let (Some(task), Some(fixture)) = (read("lorenz"), read("fixtures_lorenz")) else { return };
    let data = json!({
        "step": task["step_size"],
        "innovation": task["innovation_scale"],
        "noise": task["observation_scale"],
    });
    let posterior = compile("lorenz_bridge", &task["observed_values"], data);
    agrees(&posterior, &fixture, |z, value, gradient| (z, value, gradient));
}

#[test]
fn brownian_motion_is_the_published_task() {
    let (Some(task), Some(fixture)) = (read("brownian"), read("fixtures_brownian")) else { return };
    let posterior = compile("brownian_motion", &task["observed_locs"], json!({}));
    // Their scale is log(1 + eᵘ), ours eᵛ: with s the scale, du/dv = s/(1 − e⁻ˢ), and the log densities
    // differ by its logarithm.
    agrees(&posterior, &fixture, |mut z, mut value, mut gradient| {
        for i in 0..2 {
            let u = z[i];
            let s = u.max(0.0) + (-u.abs()).exp().ln_1p();
            let slope = s / -(-s).exp_m1();
            z[i] = s.ln();
            value += slope.ln();
            // d log(du/dv)/dv = 1 − s e⁻ˢ/(1 − e⁻ˢ).
            gradient[i] = gradient[i] * slope + 1.0 - s * (-s).exp() / -(-s).exp_m1();
        }
        (z, value, gradient)
    });
}
