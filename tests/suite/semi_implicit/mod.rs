//! Semi-implicit methods on densities whose answers are known.
//!
//! The long comparisons run with `PPL_SLOW=1`.
#![allow(clippy::print_stdout, reason = "tests say what they skip and what they measured")]

mod metrics;
mod neighbours;

use std::ops::ControlFlow;

use ppl::inference::{
    Fit, InferenceError, KhatKind, Monitor, Precision, Progress, Settings, Silent, VerdictLevel,
    find,
};

use crate::densities::{
    Both, Logistic, Mixture, Points, banana, json, multimodal, reference, x_shaped,
};
use crate::effort::slow;
use crate::eight_schools::{self, EightSchools};

/// Settings with options given as `name=value` words.
fn settings(options: &str) -> Settings {
    let mut settings = Settings::default();
    for word in options.split_whitespace() {
        let (name, value) = word.split_once('=').unwrap();
        match name {
            "seed" => settings.seed = value.parse().unwrap(),
            "draws" => settings.draws = value.parse().unwrap(),
            "precision" => settings.precision = Precision::F32,
            _ => drop(settings.options.insert(name.into(), value.into())),
        }
    }
    settings
}

fn run(method: &str, density: &Both, options: &str) -> Result<Fit, InferenceError> {
    find(method).unwrap().fit(density.target(), &settings(options), &mut Silent)
}

fn sivi_sm(density: &Both, options: &str) -> Result<Fit, InferenceError> {
    run("sivi-sm", density, options)
}

/// Small networks and few iterations, for what does not depend on the answer.
const SMALL: &str =
    "iterations=60 hidden=8 critic-hidden=8 critic-warmup=5 draws=200 mixing-draws=50";

#[test]
fn a_gaussian_posterior_is_right_on_defaults() {
    let density = Both::new(Points(Mixture::diagonal(&[8.0], &[0.447])));
    let fit = sivi_sm(&density, "").unwrap();
    let (mean, sd) = metrics::moments(&fit.draws, 1)[0];
    assert!((mean - 8.0).abs() < 0.03 && (sd / 0.447 - 1.0).abs() < 0.05, "{mean} {sd}");
    assert_eq!(fit.verdict.level, VerdictLevel::Ok, "{:?}", fit.verdict);
    // The density is normalised, so its evidence is 1 and the bound must stay below.
    let (bound, se) = fit.elbo.unwrap();
    assert!(bound < 3.0 * se && bound > -0.05, "{bound} {se}");
    let khat = fit.khat.unwrap();
    assert!(khat.kind == KhatKind::Estimated && khat.value < 0.7, "{khat:?}");
    assert!(fit.fisher_divergence.unwrap() < 0.02);
    assert!(fit.log_q.is_none() && fit.chains == 1);
    let evidence = fit.log_z.unwrap();
    assert!(evidence.value.abs() < 5.0 * evidence.se + 1e-3, "{evidence:?}");
}

#[test]
fn weights_make_good_what_the_family_gets_wrong() {
    // Hardly trained, and started at the standard normal.
    let density = Both::new(Points(Mixture::diagonal(&[0.5, -0.3], &[1.4, 0.6])));
    let options = "standardize=none iterations=1 hidden=8 critic-hidden=8 critic-warmup=0";
    let off = |options: &str| {
        let fit = sivi_sm(&density, options).unwrap();
        assert_ne!(fit.verdict.level, VerdictLevel::Ok, "{:?}", fit.verdict);
        let evidence = fit.log_z.unwrap();
        assert!(evidence.value.abs() < 5.0 * evidence.se, "{evidence:?}");
        let of = |((mean, sd), (want, want_sd)): ((f64, f64), (f64, f64))| {
            ((mean - want) / want_sd).abs().max((sd / want_sd).ln().abs())
        };
        let moments = metrics::moments(&fit.draws, 2);
        moments.into_iter().zip([(0.5, 1.4), (-0.3, 0.6)]).map(of).fold(0.0, f64::max)
    };
    let (weighted, plain) = (off(options), off(&format!("{options} resample=false")));
    assert!(weighted < 0.1 && plain > 0.3, "{weighted} {plain}");
}

/// Means within 0.2 reference sd and sds within 20 %, on the constrained scale.
fn eight_schools_is_right(method: &str, options: &str) {
    let Some(reference) = eight_schools::reference() else { return };
    let fit = run(method, &Both::new(EightSchools), options).unwrap();
    for (r, (mean, sd)) in reference.iter().zip(eight_schools::moments(&fit.draws)) {
        assert!((mean - r.mean).abs() < 0.2 * r.sd, "{method} {options}: {r:?}: mean {mean}");
        assert!((sd / r.sd - 1.0).abs() < 0.2, "{method} {options}: {r:?}: sd {sd}");
    }
    assert_ne!(fit.verdict.level, VerdictLevel::Failed, "{method} {options}: {:?}", fit.verdict);
}

#[test]
fn eight_schools_matches_posteriordb_early() {
    eight_schools_is_right("sivi-sm", "iterations=2000");
}

#[test]
fn eight_schools_matches_posteriordb_on_defaults() {
    if slow() {
        for seed in 1..=4 {
            eight_schools_is_right("sivi-sm", &format!("seed={seed}"));
            eight_schools_is_right("sivi-sm", &format!("objective=fisher seed={seed}"));
        }
    }
}

#[test]
fn the_fisher_objective_is_right_on_a_gaussian() {
    let density = Both::new(Points(Mixture::correlated([1.0, -2.0], [[1.0, 0.6], [0.6, 0.5]])));
    let fit = sivi_sm(&density, "objective=fisher iterations=1500").unwrap();
    for ((mean, sd), (want, want_sd)) in
        metrics::moments(&fit.draws, 2).into_iter().zip([(1.0, 1.0), (-2.0, 0.5_f64.sqrt())])
    {
        assert!((mean - want).abs() < 0.05 && (sd / want_sd - 1.0).abs() < 0.05, "{mean} {sd}");
    }
    assert_ne!(fit.verdict.level, VerdictLevel::Failed, "{:?}", fit.verdict);
}

#[test]
fn one_seed_gives_one_answer() {
    for precision in ["", "precision=f32"] {
        let run = |seed| {
            let options = format!("{SMALL} {precision} seed={seed}");
            sivi_sm(&Both::new(banana()), &options).unwrap()
        };
        let (a, b, other) = (run(1), run(1), run(2));
        assert_eq!(a.draws, b.draws);
        assert_eq!(a.verdict, b.verdict);
        assert_ne!(a.draws, other.draws);
        assert_eq!((a.draws.len(), a.log_p.len()), (400, 200));
    }
}

#[test]
fn a_run_that_is_too_short_is_never_ok() {
    for density in [
        Both::new(EightSchools),
        Both::new(banana()),
        Both::new(Points(Mixture::diagonal(&[8.0], &[0.447]))),
    ] {
        for objective in ["kl", "fisher"] {
            let fit = sivi_sm(&density, &format!("{SMALL} objective={objective}")).unwrap();
            assert_ne!(fit.verdict.level, VerdictLevel::Ok, "{:?}", fit.verdict);
            let next = fit.verdict.next.unwrap();
            assert!(next.starts_with("--infer sivi-sm --iterations "), "{next}");
        }
    }
}

#[test]
fn a_fit_that_never_arrives_is_failed() {
    let far = Both::new(Points(Mixture::diagonal(&[60.0, 0.0], &[1.0, 1.0])));
    let fit = sivi_sm(&far, &format!("{SMALL} standardize=none iterations=600")).unwrap();
    assert_eq!(fit.verdict.level, VerdictLevel::Failed, "{:?}", fit.verdict);
}

/// Stops after a number of calls.
struct StopAfter(usize);

impl Monitor for StopAfter {
    fn progress(&mut self, _: Progress<'_>) -> ControlFlow<()> {
        self.0 = self.0.saturating_sub(1);
        if self.0 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn an_interrupted_run_returns_what_there_is_and_is_never_ok() {
    let density = Both::new(Points(Mixture::diagonal(&[8.0], &[0.447])));
    // Once in training, once when the critic examines the finished family.
    for (calls, iterations) in [(700, 700), (1200, 1000)] {
        let options = settings(&format!("{SMALL} iterations=1000"));
        let method = find("sivi-sm").unwrap();
        let fit = method.fit(density.target(), &options, &mut StopAfter(calls)).unwrap();
        assert!(fit.interrupted && fit.draws.len() == 200);
        assert_eq!(fit.iterations, iterations);
        assert_ne!(fit.verdict.level, VerdictLevel::Ok, "{:?}", fit.verdict);
    }
}

#[test]
fn settings_are_checked() {
    let density = Both::new(banana());
    for options in [
        "iterations=0",
        "grad-samples=1",
        "hidden=64,x",
        "hidden=0",
        "latent=0",
        "latent=many",
        "schedule=linear",
        "objective=elbo",
        "standardize=maybe",
        "learning-rate=-1",
        "average=2",
        "linear=perhaps",
        "mixing-draws=0",
    ] {
        let outcome = sivi_sm(&density, options);
        assert!(matches!(outcome, Err(InferenceError::Setting(_))), "{options}: {outcome:?}");
    }
}

#[test]
fn every_option_in_the_table_is_read() {
    // A value that no option can take must be refused by each of them.
    for option in find("sivi-sm").unwrap().options {
        // `decay-every` belongs to the step schedule.
        let options = match option.name {
            "decay-every" => "schedule=step decay-every=?".to_owned(),
            name => format!("{name}=?"),
        };
        let outcome = sivi_sm(&Both::new(banana()), &options);
        assert!(matches!(outcome, Err(InferenceError::Setting(_))), "{}: {outcome:?}", option.name);
    }
}

/// The network sizes of the paper for its two-dimensional toys, and enough draws to tell.
const TOY: &str = "latent=3 hidden=50,50 critic-hidden=128,128 grad-samples=500 draws=2000000 \
                   mixing-draws=10 resample=false precision=f32";
/// What the paper's code does otherwise.
const AUTHORS: &str = "objective=fisher iterations=50000 learning-rate=0.001 \
                       critic-learning-rate=0.002 schedule=step critic-steps=1 critic-warmup=0 \
                       residual=0 linear=false antithetic=false standardize=none log-variance=0 \
                       average=0 clip=inf";

fn toys_are_within(method: &str, options: &str, bounds: [f64; 3]) {
    let toys = [
        ("banana", Both::new(banana()), ""),
        ("x-shaped", Both::new(x_shaped()), ""),
        ("multimodal", Both::new(multimodal()), "annealing=0.5"),
    ];
    for ((name, density, own), bound) in toys.into_iter().zip(bounds) {
        let own = if options.contains("objective=fisher") { own } else { "" };
        let fit = run(method, &density, &format!("{TOY} {options} {own}")).unwrap();
        let kl = metrics::grid_kl(&*density.f64, &fit.draws);
        println!("{method} {name}: grid KL {kl:.5}, moments {:?}", metrics::moments(&fit.draws, 2));
        assert!(kl < bound, "{method} {name}: grid KL {kl}");
    }
}

#[test]
fn toys_compare_with_the_authors_code() {
    if slow() {
        // Half of their iterations. Theirs: 0.0757, 0.0003, 0.0001.
        for seed in 1..=3 {
            let options = format!("iterations=25000 seed={seed}");
            toys_are_within("sivi-sm", &options, [0.01, 0.0002, 0.0001]);
        }
    }
}

#[test]
fn the_authors_settings_give_the_authors_numbers() {
    if slow() {
        toys_are_within("sivi-sm", AUTHORS, [0.09, 0.001, 0.001]);
    }
}

/// The network sizes of the paper for the waveform logistic regression.
const WAVEFORM: &str = "latent=10 hidden=100,100 critic-hidden=256,256 draws=20000 resample=false";

/// The waveform logistic regression; `None` where the shared data is absent.
fn waveform() -> Option<Logistic<f64>> {
    let path = reference()?.join("semi_implicit/waveform_train.csv");
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for record in csv::Reader::from_path(path).unwrap().records() {
        let record = record.unwrap();
        let mut row = record.iter().map(|v| v.parse::<f64>().unwrap());
        y.push(row.next().unwrap());
        x.extend(row);
    }
    Some(Logistic::new(x, y, 0.01))
}

fn waveform_is_right(method: &str, options: &str) {
    let Some(waveform) = waveform() else { return };
    let fit = run(method, &waveform.both(), &format!("{WAVEFORM} {options}")).unwrap();
    let truth = json("semi_implicit/waveform_hmc_reference.json").unwrap();
    let (kl, mean, sd) = metrics::gaussian_kl(&fit.draws, &truth);
    println!("{method} waveform: Gaussian KL {kl:.4}, worst mean {mean:.3} sd, worst sd {sd:.3}");
    assert!(kl < 0.05 && mean < 0.1 && sd < 0.1, "{method}: {kl} {mean} {sd}");
}

#[test]
fn waveform_matches_hmc() {
    if slow() {
        waveform_is_right("sivi-sm", "");
    }
}

#[test]
fn the_grid_divergence_of_exact_draws_vanishes() {
    use rand::Rng;
    let mut rng = ppl::random::stream(4, "exact multimodal");
    let mut draws = vec![0.0; 400_000];
    ppl::random::fill_std_normal(&mut rng, &mut draws);
    for x in draws.chunks_exact_mut(2) {
        x[0] += if rng.gen_bool(0.5) { 2.0 } else { -2.0 };
    }
    let exact = metrics::grid_kl(&multimodal(), &draws);
    assert!(exact.abs() < 5e-4, "{exact}");
    // A shift by δ costs about δ²/2 times the information of the first coordinate, at most 1.
    draws.chunks_exact_mut(2).for_each(|x| x[1] += 0.2);
    let moved = metrics::grid_kl(&multimodal(), &draws);
    assert!((moved - 0.02).abs() < 0.002, "{moved}");
}
