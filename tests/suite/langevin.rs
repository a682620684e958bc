//! Langevin methods: the authors' numbers for fixed noise, gradients, bounds, determinism, verdicts.

use dfdx::prelude::MeanTo;
use ppl::inference::bridge::Bridge;
use ppl::inference::langevin::{Chain, Dynamics, Initial, Momentum};
use ppl::inference::optimizer::{Handle, Parameters};
use ppl::inference::tape::{SharedTape, backward};
use serde_json::Value;

use crate::densities::{Both, FixtureTarget, Points, numbers, reference};
use crate::tolerance::close;

const METHODS: [(&str, Dynamics); 4] = [
    ("ula", Dynamics { momentum: Momentum::Overdamped, network: false }),
    ("mcd", Dynamics { momentum: Momentum::Overdamped, network: true }),
    ("uha", Dynamics { momentum: Momentum::Retained, network: false }),
    ("ldvi", Dynamics { momentum: Momentum::Damped, network: true }),
];

/// A chain with the fixture's parameters, and each parameter's gradient in the fixture.
fn from_fixture(
    dynamics: Dynamics,
    fixture: &Value,
) -> (Chain<f64>, Parameters<f64>, Vec<(Handle, Vec<f64>)>) {
    let (given, grads) = (&fixture["params"], &fixture["grad_of_loss"]);
    let scalar = |v: &Value| v.as_f64().unwrap_or(0.5);
    let initial = Initial {
        step_size: scalar(&given["eps"]),
        friction: scalar(&given["gamma"]),
        retention: scalar(&given["eta"]),
    };
    let mut parameters = Parameters::default();
    let bridge = Bridge::new(&Both::new(Points(FixtureTarget)).f64);
    let start = (numbers(&given["mu"]), numbers(&given["log_sd"]));
    let mut rng = ppl::random::stream(1, "fixture");
    let steps = usize::try_from(fixture["K"].as_u64().unwrap()).unwrap();
    let chain = Chain::new(
        dynamics,
        steps,
        bridge,
        (&start.0, &start.1),
        initial,
        &mut parameters,
        &mut rng,
    );
    let h = chain.handles;
    let mut pairs = vec![
        (h.mu, numbers(&grads["mu"])),
        (h.log_sd, numbers(&grads["log_sd"])),
        (h.step_size, numbers(&grads["eps"])),
        (h.increments, numbers(&grads["incr"])),
    ];
    parameters.set(h.increments, &numbers(&given["incr"]));
    if let Some(friction) = h.friction {
        let key = if given["gamma"].is_number() { "gamma" } else { "eta" };
        pairs.push((friction, numbers(&grads[key])));
    }
    if let Some((network, table)) = h.network {
        let (net, grad) = (&given["net"], &grads["net"]);
        let mut both = |handle, value: &Value, grad: &Value, outputs: Option<usize>| {
            // The fixture pads the last layer to a square; only its first columns are used.
            let cut = |v: &Value| match outputs {
                None => numbers(v),
                Some(n) if v[0].is_array() => v
                    .as_array()
                    .unwrap()
                    .iter()
                    .flat_map(|row| numbers(row)[..n].to_vec())
                    .collect(),
                Some(n) => numbers(v)[..n].to_vec(),
            };
            parameters.set(handle, &cut(value));
            pairs.push((handle, cut(grad)));
        };
        for (i, layer) in network.layers.iter().enumerate() {
            let outputs = Some(layer.shape.1);
            both(layer.weight, &net["W"][i], &grad["W"][i], outputs);
            both(layer.bias, &net["b"][i], &grad["b"][i], outputs);
        }
        both(network.scale, &net["out_scale"], &grad["out_scale"], None);
        both(table, &net["emb"], &grad["emb"], None);
    }
    (chain, parameters, pairs)
}

#[test]
fn authors_numbers_for_fixed_noise() {
    let Some(folder) = reference() else { return };
    for (name, dynamics) in METHODS {
        let path = folder.join(format!("langevin/elbo_fixture_{name}.json"));
        let fixture: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let (chain, parameters, pairs) = from_fixture(dynamics, &fixture);
        let off = SharedTape::off();
        for (b, want) in
            chain.levels(&parameters, &off).as_vec().iter().zip(numbers(&fixture["betas"]))
        {
            assert!(close(*b, want, 1e-12, 0.0), "{name}: level {b} {want}");
        }
        let noise = numbers(&fixture["noise"]);
        let paths = chain.simulate(&parameters, &noise, 3, &SharedTape::recording());
        let weights = paths.log_weights.as_vec();
        for (w, want) in weights.iter().zip(numbers(&fixture["log_weights"])) {
            assert!(close(*w, want, 1e-9, 1e-9), "{name}: log weight {w} {want}");
        }
        let loss = paths.log_weights.mean::<(), _>().negate();
        assert!(close(loss.as_vec()[0], fixture["loss"].as_f64().unwrap(), 1e-9, 0.0), "{name}");
        let mut grads = backward(loss).unwrap();
        for (handle, want) in pairs {
            let got = parameters.gradient(handle, &mut grads);
            assert_eq!(got.len(), want.len(), "{name}");
            for (g, w) in got.iter().zip(want) {
                assert!(close(*g, w, 1e-9, 1e-9), "{name}: gradient {g} {w}");
            }
        }
    }
}

#[test]
fn experiment() {
    let Ok(spec) = std::env::var("EXP") else { return };
    // EXP="task method key=value ..."
    let mut words = spec.split_whitespace();
    let (task, method) = (words.next().unwrap(), words.next().unwrap());
    let density = match task {
        "seeds" => Both::new(crate::densities::seeds().unwrap()),
        "schools" => Both::new(crate::eight_schools::EightSchools),
        "conjugate" => crate::gaussian::conjugate(),
        name => crate::densities::logistic_task(name).unwrap().both(),
    };
    let mut settings = ppl::inference::Settings::default();
    for word in words {
        let (k, v) = word.split_once('=').unwrap();
        match k {
            "seed" => settings.seed = v.parse().unwrap(),
            "f32" => settings.precision = ppl::inference::Precision::F32,
            _ => { settings.options.insert(k.into(), v.into()); }
        }
    }
    let began = std::time::Instant::now();
    let fit = (ppl::inference::find(method).unwrap().run)(density.target(), &settings, &mut ppl::inference::Silent).unwrap();
    println!("{spec}\n  elbo {:?} log_z {:?} khat {:.2} {:.1}s {:.3} ms/it", fit.elbo.unwrap(), fit.log_z.unwrap(), fit.khat.unwrap().value, began.elapsed().as_secs_f64(), fit.median_iteration_ms);
    for t in &fit.traces { let n = t.value.len(); if n > 10 { println!("  {}: {:?}", t.name, (1..=10).map(|i| (t.value[i * n / 10 - 1] * 1000.0).round() / 1000.0).collect::<Vec<_>>()); } }
    println!("  {:?}", fit.verdict);
    if fit.dim <= 10 { for j in 0..fit.dim { println!("  {j}: {:.3?}", crate::gaussian::moments(&fit, j)); } }
}
