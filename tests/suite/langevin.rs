//! Langevin methods: the authors' numbers for fixed noise, gradients, bounds, determinism, verdicts.

use std::ops::ControlFlow;

use dfdx::prelude::MeanTo;
use ppl::inference::bridge::Bridge;
use ppl::inference::langevin::{
    Chain, Correction, Dynamics, Form, Initial, Integrator, Levels, Momentum,
};
use ppl::inference::node::Node;
use ppl::inference::optimizer::{Handle, Parameters};
use ppl::inference::tape::{Pooled, SharedTape, backward};
use ppl::inference::{
    Fit, InferenceError, Monitor, Precision, Progress, Settings, Silent, VerdictLevel, find,
};
use serde_json::Value;

use crate::densities::{Both, FixtureTarget, Mixture, Points, Pointwise, numbers, reference};
use crate::effort::slow;
use crate::eight_schools::EightSchools;
use crate::gaussian::{conjugate, moments};
use crate::tolerance::close;

const fn dynamics(momentum: Momentum, correction: Correction) -> Dynamics {
    Dynamics { momentum, correction }
}

/// The authors' fixtures are of the first four.
const METHODS: [(&str, Dynamics); 6] = [
    ("ula", dynamics(Momentum::Overdamped, Correction::None)),
    ("mcd", dynamics(Momentum::Overdamped, Correction::Backward)),
    ("uha", dynamics(Momentum::Retained, Correction::None)),
    ("ldvi", dynamics(Momentum::Damped, Correction::Backward)),
    ("cmcd", dynamics(Momentum::Overdamped, Correction::Both)),
    ("cmcd-ud", dynamics(Momentum::Damped, Correction::Both)),
];

const INTEGRATORS: [Integrator; 2] = [Integrator::Exponential, Integrator::VelocityVerlet];

/// A method as published.
const fn plain(dynamics: Dynamics, bridges: usize, initial: Initial) -> Form {
    Form {
        dynamics,
        bridges,
        integrator: Integrator::VelocityVerlet,
        guided: false,
        levels: Levels::Rising,
        step_per_dimension: false,
        full_start: false,
        initial,
    }
}

/// Every row with every option.
pub(crate) fn forms(bridges: usize) -> Vec<(String, Form)> {
    let initial = Initial { step_size: 0.15, friction: 1.7, retention: 0.4 };
    let mut forms = Vec::new();
    for (name, dynamics) in METHODS {
        let plain = plain(dynamics, bridges, initial);
        forms.push((name.to_owned(), plain));
        forms.push((
            format!("{name}, exponential"),
            Form { integrator: Integrator::Exponential, ..plain },
        ));
        for integrator in INTEGRATORS {
            let all = Form {
                step_per_dimension: true,
                full_start: true,
                guided: true,
                levels: Levels::Free,
                ..plain
            };
            let form = Form { integrator, ..all };
            forms.push((format!("{name}, {integrator:?}, all learned"), form));
        }
    }
    forms
}

type FromFixture = (Chain, Parameters<f64>, Vec<(Handle, Vec<f64>)>);

/// A chain with the fixture's parameters, and each parameter's gradient in the fixture.
fn from_fixture(dynamics: Dynamics, fixture: &Value) -> FromFixture {
    let (given, grads) = (&fixture["params"], &fixture["grad_of_loss"]);
    let scalar = |v: &Value| v.as_f64().unwrap_or(0.5);
    let initial = Initial {
        step_size: scalar(&given["eps"]),
        friction: scalar(&given["gamma"]),
        retention: scalar(&given["eta"]),
    };
    let mut parameters = Parameters::default();
    let start = (numbers(&given["mu"]), numbers(&given["log_sd"]));
    let mut rng = ppl::random::stream(1, "fixture");
    let steps = usize::try_from(fixture["K"].as_u64().unwrap()).unwrap();
    let form = plain(dynamics, steps, initial);
    let chain = Chain::new(form, (&start.0, &start.1), &mut parameters, &mut rng);
    let h = chain.handles;
    let mut pairs = vec![
        (h.mu, numbers(&grads["mu"])),
        (h.log_sd, numbers(&grads["log_sd"])),
        (h.step_size, numbers(&grads["eps"])),
        (h.schedule, numbers(&grads["incr"])),
    ];
    parameters.set(h.schedule, &numbers(&given["incr"]));
    if let Some(friction) = h.friction {
        let key = if given["gamma"].is_number() { "gamma" } else { "eta" };
        pairs.push((friction, numbers(&grads[key])));
    }
    if let Some((network, table)) = h.network {
        let (net, grad) = (&given["net"], &grads["net"]);
        let mut both = |handle, value: &Value, grad: &Value| {
            parameters.set(handle, &numbers(value));
            pairs.push((handle, numbers(grad)));
        };
        for (i, layer) in network.layers.iter().enumerate() {
            both(layer.weight, &net["W"][i], &grad["W"][i]);
            both(layer.bias, &net["b"][i], &grad["b"][i]);
        }
        both(network.scale, &net["out_scale"], &grad["out_scale"]);
        both(table, &net["emb"], &grad["emb"]);
    }
    (chain, parameters, pairs)
}

#[test]
fn authors_numbers_for_fixed_noise() {
    let Some(folder) = reference() else { return };
    for (name, dynamics) in METHODS.into_iter().take(4) {
        let path = folder.join(format!("langevin/elbo_fixture_{name}.json"));
        let fixture: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let (chain, parameters, pairs) = from_fixture(dynamics, &fixture);
        let off = SharedTape::off();
        for (b, want) in
            chain.levels(&parameters, &off).as_vec().iter().zip(numbers(&fixture["betas"]))
        {
            assert!(close(*b, want, 1e-12, 0.0), "{name}: level {b} {want}");
        }
        let noise = constant(&chain, &numbers(&fixture["noise"]));
        let paths = chain.simulate(&banana(), &parameters, &noise, 3, &SharedTape::recording());
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

/// A banana-like target, the authors'.
fn banana() -> Bridge<f64> {
    Bridge::new(&Both::new(Points(FixtureTarget)).f64)
}

/// A small chain with non-trivial parameters for it.
fn small_chain(form: Form) -> (Chain, Parameters<f64>) {
    chain_from(form, ([0.2, -0.1], [-0.3, 0.1]), 0.6)
}

/// A two-dimensional chain with non-trivial parameters: start (mean and log sd) and network factor.
pub(crate) fn chain_from(
    form: Form,
    (mu, log_sd): ([f64; 2], [f64; 2]),
    scale: f64,
) -> (Chain, Parameters<f64>) {
    let mut parameters = Parameters::default();
    let mut rng = ppl::random::stream(5, "small chain");
    let chain = Chain::new(form, (&mu, &log_sd), &mut parameters, &mut rng);
    let h = chain.handles;
    if let Some((network, _)) = h.network {
        parameters.set(network.scale, &[scale]);
    }
    if let Some(scales) = h.step_scales {
        parameters.set(scales, &[0.2, -0.4]);
    }
    for (i, guide) in h.guides.into_iter().flatten().enumerate() {
        let steps = parameters.values(guide).len();
        let values: Vec<f64> = (0..steps).map(|k| 0.1 * (k as f64 - i as f64)).collect();
        parameters.set(guide, &values);
    }
    if let Some(mixing) = h.mixing {
        parameters.set(mixing, &[0.0, 0.0, -0.5, 0.0]);
    }
    (chain, parameters)
}

/// Numbers as the noise of a chain.
fn constant(chain: &Chain, noise: &[f64]) -> Node<f64> {
    Node::constant(Pooled::of(noise), (noise.len() / chain.dim, chain.dim))
}

fn noise(chain: &Chain, n: usize, stream: &str) -> Node<f64> {
    let mut noise = vec![0.0; n * chain.noises() * chain.dim];
    ppl::random::fill_std_normal(&mut ppl::random::stream(6, stream), &mut noise);
    constant(chain, &noise)
}

#[test]
fn gradients_agree_with_differences() {
    // 40 bridges have fewer increments (33) than levels, so levels are interpolated.
    let few = forms(3).into_iter();
    for (name, form) in
        few.chain(METHODS.map(|(name, d)| (name.to_owned(), plain(d, 40, forms(3)[0].1.initial))))
    {
        let (chain, mut parameters) = small_chain(form);
        let bridge = banana();
        let n = 4;
        let noise = noise(&chain, n, &name);
        let loss = |p: &Parameters<f64>, tape: &SharedTape<f64>| {
            chain.simulate(&bridge, p, &noise, n, tape).log_weights.mean::<(), _>()
        };
        let mut grads = backward(loss(&parameters, &SharedTape::recording())).unwrap();
        let h = chain.handles;
        let mut handles = vec![h.mu, h.log_sd, h.step_size, h.schedule];
        handles.extend([h.friction, h.step_scales, h.mixing].into_iter().flatten());
        handles.extend(h.guides.into_iter().flatten());
        handles.extend(h.network.map(|(network, _)| network.scale));
        // All of the network only where there are few steps.
        if let Some((network, table)) = h.network.filter(|_| form.bridges == 3) {
            handles.extend([table, network.layers[0].bias, network.layers[2].weight]);
        }
        for handle in handles {
            let gradient = parameters.gradient(handle, &mut grads);
            let values = parameters.values(handle);
            for i in 0..values.len() {
                let mut at = |delta: f64| {
                    let mut moved = values.clone();
                    moved[i] += delta;
                    parameters.set(handle, &moved);
                    loss(&parameters, &SharedTape::off()).as_vec()[0]
                };
                let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
                parameters.set(handle, &values);
                assert!(
                    close(gradient[i], difference, 1e-5, 1e-5),
                    "{name}, K = {}: {} {difference}",
                    form.bridges,
                    gradient[i]
                );
            }
        }
    }
}

#[test]
fn a_control_of_zero_changes_nothing() {
    for momentum in [Momentum::Overdamped, Momentum::Damped] {
        let weights = |correction| {
            let initial = forms(3)[0].1.initial;
            let (chain, mut parameters) =
                small_chain(plain(dynamics(momentum, correction), 3, initial));
            if let Some((network, _)) = chain.handles.network {
                parameters.set(network.scale, &[0.0]);
            }
            let noise = noise(&chain, 5, "control");
            chain
                .simulate(&banana(), &parameters, &noise, 5, &SharedTape::off())
                .log_weights
                .as_vec()
        };
        let plain = weights(Correction::None);
        assert_eq!(plain, weights(Correction::Both));
        assert_eq!(plain, weights(Correction::Backward));
    }
}

#[test]
fn mean_weights_are_the_evidence_whatever_the_parameters() {
    // E[w] = Z for any network, step size, friction, schedule and start; E[log w] is below log Z. The
    // target is a normalised Gaussian and the start is wider, so that no weight is large.
    let target = Mixture::diagonal(&[0.0, 0.0], &[1.0, 0.5_f64.sqrt()]);
    let bridge = Bridge::new(&Both::new(Points(target)).f64);
    for (name, form) in forms(4) {
        let initial = Initial { step_size: 0.05, ..form.initial };
        let (chain, parameters) =
            chain_from(Form { initial, ..form }, ([0.2, -0.1], [0.2, 0.0]), 0.3);
        let n = 20_000;
        let noise = noise(&chain, n, &name);
        let weights = chain
            .simulate(&bridge, &parameters, &noise, n, &SharedTape::off())
            .log_weights
            .as_vec();
        let (elbo, se) = ppl::inference::weights::lower_bound(&weights);
        let evidence = ppl::inference::weights::evidence(&weights).unwrap();
        println!("{name}: {elbo:.4}, {:.4} ± {:.4}", evidence.value, evidence.se);
        assert!(elbo < -4.0 * se && elbo < evidence.iwae.0, "{name}: {elbo} {evidence:?}");
        assert!(evidence.value.abs() < 4.0 * evidence.se, "{name}: {evidence:?}");
        assert!(evidence.se < 0.05, "{name}: {evidence:?}");
    }
}

/// A coordinate between steep walls and a standard normal one: `exp(−0.02 cosh(6 x₀) − ½ x₁²)`.
#[derive(Clone)]
struct Walls;

impl Pointwise for Walls {
    fn dim(&self) -> usize {
        2
    }

    fn score(&self, z: &[f64], score: &mut [f64]) -> f64 {
        score.copy_from_slice(&[-0.12 * (6.0 * z[0]).sinh(), -z[1]]);
        -0.02 * (6.0 * z[0]).cosh() - 0.5 * z[1] * z[1]
    }

    fn hvp(&self, z: &[f64], v: &[f64], out: &mut [f64]) {
        out.copy_from_slice(&[-0.72 * (6.0 * z[0]).cosh() * v[0], -v[1]]);
    }
}

#[test]
fn paths_are_not_thrown_by_steep_walls() {
    // ∫ exp(−0.02 cosh 6x) dx = K₀(0.02) / 3, with K₀ a modified Bessel function. Some of the starts are
    // where the force is 10⁵, at which an unbounded step ends further out than numbers go.
    let log_z = (4.028_457_330_358_715_f64 / 3.0).ln() + 0.5 * std::f64::consts::TAU.ln();
    let exact = |(_, form): &(_, Form)| form.integrator == Integrator::Exponential;
    for (name, form) in forms(4).into_iter().filter(exact) {
        let initial = Initial { step_size: 0.02, ..form.initial };
        let bridge = Bridge::new(&Both::new(Points(Walls)).f64);
        let start = ([0.0, 0.1], [-0.5, 0.1]);
        let (chain, parameters) = chain_from(Form { initial, ..form }, start, 0.3);
        let n = 20_000;
        let noise = noise(&chain, n, &name);
        let paths = chain.simulate(&bridge, &parameters, &noise, n, &SharedTape::recording());
        let weights = paths.log_weights.as_vec();
        assert!(weights.iter().all(|w| w.is_finite()), "{name}");
        let evidence = ppl::inference::weights::evidence(&weights).unwrap();
        println!("{name}: {:.4} ± {:.4} of {log_z:.4}", evidence.value, evidence.se);
        assert!((evidence.value - log_z).abs() < 4.0 * evidence.se, "{name}: {evidence:?}");
        let mut grads = backward(paths.log_weights.mean::<(), _>()).unwrap();
        let slope = parameters.gradient(chain.handles.log_sd, &mut grads);
        assert!(slope.iter().all(|g| g.is_finite()), "{name}: {slope:?}");
    }
}

fn run(name: &str, density: &Both, settings: &Settings) -> Fit {
    find(name).unwrap().fit(density.target(), settings, &mut Silent).unwrap()
}

#[test]
fn conjugate_posterior_with_defaults() {
    // Fewer iterations than the default, to keep the suite short.
    let settings = Settings { iterations: Some(600), ..Settings::default() };
    for (name, _) in METHODS {
        let fit = run(name, &conjugate(), &settings);
        let (mean, sd) = moments(&fit, 0);
        assert!((mean - 8.0).abs() < 0.1 * 0.447, "{name}: {mean}");
        assert!((sd / 0.447_213_6 - 1.0).abs() < 0.1, "{name}: {sd}");
        let (elbo, se) = fit.elbo.unwrap();
        assert!(elbo < 4.0 * se + 1e-9 && elbo > -0.05, "{name}: {elbo}");
        assert_eq!(fit.verdict.level, VerdictLevel::Ok, "{name}: {:?}", fit.verdict);
        assert_eq!((fit.method, fit.draws.len(), fit.log_p.len()), (name, 4000, 4000));
    }
}

#[test]
fn eight_schools_means_and_sds() {
    // From 10 000 reference draws of posteriordb.
    const WANT: [(usize, f64, f64); 4] =
        [(0, 0.290, 0.992), (4, -0.168, 0.928), (8, 4.411, 3.309), (9, 0.808, 1.174)];
    let settings = Settings { iterations: Some(1000), ..Settings::default() };
    for (name, _) in METHODS {
        let fit = run(name, &Both::new(EightSchools), &settings);
        for (j, mean, sd) in WANT {
            let (m, s) = moments(&fit, j);
            assert!((m - mean).abs() < 0.15 * sd, "{name}, {j}: mean {m}");
            // log τ has a long lower tail, which every chain cuts a little and resampling mends.
            let allowed = if j == 9 { 0.2 } else { 0.1 };
            assert!((s / sd - 1.0).abs() < allowed, "{name}, {j}: sd {s}");
        }
        // log Z by bridge sampling is about -31.31.
        let (elbo, se) = fit.elbo.unwrap();
        assert!(elbo < -31.29 + 4.0 * se && elbo > -31.75, "{name}: {elbo}");
    }
}

#[test]
fn both_precisions_and_resampling_work() {
    let mut settings = Settings { iterations: Some(200), ..Settings::default() };
    settings.options.insert("resample".into(), "true".into());
    for precision in [Precision::F32, Precision::F64] {
        settings.precision = precision;
        let fit = run("ldvi", &Both::new(crate::densities::banana()), &settings);
        assert_eq!(fit.draws.len(), 8000);
        assert!(fit.draws.iter().all(|x| x.is_finite()));
    }
}

#[test]
fn same_seed_same_bits() {
    let density = Both::new(crate::densities::x_shaped());
    let with = |seed, threads| {
        let settings =
            Settings { seed, threads, iterations: Some(60), draws: 500, ..Settings::default() };
        run("ldvi", &density, &settings)
    };
    let (a, b, c) = (with(3, 1), with(3, 2), with(4, 1));
    assert_eq!((&a.draws, a.elbo, &a.verdict), (&b.draws, b.elbo, &b.verdict));
    assert_ne!(a.draws, c.draws);
}

/// Says stop after so many calls.
struct StopAfter(usize);

impl Monitor for StopAfter {
    fn progress(&mut self, _: Progress<'_>) -> ControlFlow<()> {
        self.0 = self.0.saturating_sub(1);
        if self.0 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn interrupted_runs_have_draws_and_are_never_ok() {
    for calls in [1, 40, 400] {
        let density = conjugate();
        let method = find("ldvi").unwrap();
        let fit =
            method.fit(density.target(), &Settings::default(), &mut StopAfter(calls)).unwrap();
        assert!(fit.interrupted && fit.draws.len() == 4000, "{calls}");
        assert!(fit.verdict.level > VerdictLevel::Ok, "{calls}: {:?}", fit.verdict);
        assert!(fit.verdict.next.is_some());
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let wrong = [("bridges", "0"), ("learning-rate", "-1"), ("precondition", "cubic")];
    for (option, value) in wrong {
        let mut settings = Settings::default();
        settings.options.insert(option.into(), value.into());
        let density = conjugate();
        let method = find("ldvi").unwrap();
        let error = method.fit(density.target(), &settings, &mut Silent).unwrap_err();
        assert!(matches!(error, InferenceError::Setting(_)), "{option}: {error}");
    }
}

/// Where a scale drives the others, the coordinates say so: without that the bounds are 0.36 and 0.11
/// nats below the log evidence.
#[test]
fn bounds_of_hierarchical_models_are_tight() {
    let settings = Settings { iterations: Some(1200), ..Settings::default() };
    let tight = |density: &Both, log_z: f64, least: f64| {
        let (elbo, se) = run("uha", density, &settings).elbo.unwrap();
        assert!(elbo > log_z - least && elbo < log_z + 4.0 * se, "{elbo} {log_z}");
    };
    // By quadrature over τ.
    tight(&Both::new(EightSchools), -31.3114, 0.07);
    if let Some(seeds) = crate::densities::seeds() {
        tight(&Both::new(seeds), -73.405, 0.2);
    }
}

/// The published bounds for `K = 8`, on default settings; minutes, so only with `PPL_SLOW=1`.
#[test]
fn published_bounds_with_defaults() {
    if !slow() {
        return;
    }
    let Some(seeds) = crate::densities::seeds() else { return };
    let logistic = |name| crate::densities::logistic_task(name).unwrap().both();
    let tasks = [
        ("sonar", logistic("sonar"), -116.6, -108.383),
        ("ionosphere", logistic("ionosphere"), -114.9, -111.614),
        ("seeds", Both::new(seeds), -75.2, -73.405),
    ];
    for (name, density, least, log_z) in tasks {
        let began = std::time::Instant::now();
        let fit = run("ldvi", &density, &Settings::default());
        let (elbo, se) = fit.elbo.unwrap();
        println!("{name}: {elbo:.3} ± {se:.3}, {:.0} s", began.elapsed().as_secs_f64());
        assert!(elbo > least && elbo < log_z + 4.0 * se, "{name}: {elbo} ± {se}");
        assert!(fit.log_z.unwrap().value < log_z + 0.5, "{name}");
    }
}
