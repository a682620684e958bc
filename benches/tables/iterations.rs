//! Time of a training iteration of LDVI, side by side with the JAX program of `../shared/peers`.
//!
//! `taskset -c 1 cargo bench --bench tables -- iterations --tasks sonar --bridges 8,64 --chains 5 --rounds 3`
//!
//! Both in `f32` on one thread, with random numbers and optimiser, alternating; medians over the rounds
//! of the fastest of blocks of ten iterations, which says what a program can do on a machine that others
//! use too. A row replaces that of an earlier run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use dfdx::prelude::MeanTo;
use ppl::inference::bridge::Bridge;
use ppl::inference::langevin::{
    Chain, Correction, Dynamics, Form, Initial, Integrator, Levels, Momentum,
};
use ppl::inference::optimizer::{Group, Parameters};
use ppl::inference::tape::{SharedTape, backward};
use ppl::posterior::Posterior;
use ppl::random::{fill_std_normal, stream};

use super::langevin::{TASKS, compile, options};
use crate::section;

/// What the command takes.
pub(super) const USAGE: &str =
    "iterations [--tasks A,B] [--bridges K,…] [--chains N,…] [--rounds R]";

const FLAGS: [&str; 4] = ["--tasks", "--bridges", "--chains", "--rounds"];
const TITLE: &str = "LDVI iterations";
const COLUMNS: [&str; 6] = ["task", "K", "N", "ppl, ms", "JAX, ms", "JAX / ppl"];
const ITERATIONS: usize = 300;
/// Iterations that are timed together.
const BLOCK: usize = 10;

/// Measures what is asked for; the table is brought up to date after each row.
///
/// # Errors
/// For unknown names, a peer that does not run, and files that cannot be written.
pub(super) fn run(arguments: &[String]) -> Result<(), String> {
    let given = options(arguments, &FLAGS).map_err(|e| format!("{e}; {USAGE}"))?;
    let list = |name: &str, default: &str| -> Vec<String> {
        given.get(name).map_or(default, |l| *l).split(',').map(str::to_owned).collect()
    };
    let number = |text: &str| text.parse::<usize>().map_err(|_| format!("{text} is no number"));
    let rounds = number(&list("rounds", "3")[0])?;
    let mut rows: BTreeMap<(String, usize, usize), Vec<String>> = BTreeMap::new();
    for row in section::rows(TITLE).into_iter().filter(|row| row.len() == COLUMNS.len()) {
        rows.insert((row[0].clone(), number(&row[1])?, number(&row[2])?), row);
    }
    for name in list("tasks", "sonar") {
        let task = TASKS.iter().find(|t| t.name == name).ok_or(format!("no task {name}"))?;
        let Some(posterior) = compile(task) else {
            println!("{name}: skipped, ../shared is absent");
            continue;
        };
        for k in list("bridges", "8,64,256") {
            for n in list("chains", "5") {
                let (k, n) = (number(&k)?, number(&n)?);
                let mut times = [Vec::new(), Vec::new()];
                for _ in 0..rounds {
                    times[0].push(own(&posterior, k, n)?);
                    times[1].push(peer(&name, k, n)?);
                }
                let [own, peer] = times.map(median);
                let mut row = vec![name.clone(), k.to_string(), n.to_string()];
                row.extend([own, peer, peer / own].map(|x| format!("{x:.2}")));
                println!("{}", row.join(" "));
                rows.insert((name.clone(), k, n), row);
                let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
                let mut text = String::from(
                    "Milliseconds of a training iteration with random numbers and optimiser, `f32`, one \
                     core: `taskset -c 1 cargo bench --bench tables -- iterations`.\n\n",
                );
                text += &(line(&COLUMNS) + &line(&["---"; COLUMNS.len()]));
                for row in rows.values() {
                    text += &line(&row.iter().map(String::as_str).collect::<Vec<_>>());
                }
                section::write(TITLE, &text)?;
            }
        }
    }
    Ok(())
}

fn median(mut x: Vec<f64>) -> f64 {
    x.sort_by(f64::total_cmp);
    x[x.len() / 2]
}

/// The training step of `ppl run --infer ldvi` from a start that needs no fit.
fn own(posterior: &Posterior, bridges: usize, n: usize) -> Result<f64, String> {
    let form = Form {
        dynamics: Dynamics { momentum: Momentum::Damped, correction: Correction::Backward },
        bridges,
        integrator: Integrator::VelocityVerlet,
        guided: false,
        levels: Levels::Rising,
        step_per_dimension: false,
        full_start: false,
        initial: Initial { step_size: 1e-3, friction: 10.0, retention: 0.0 },
    };
    let density = posterior.target().f32;
    let (mu, log_sd) = (vec![0.0; density.dim()], vec![-3.0; density.dim()]);
    let (mut parameters, mut rng) = (Parameters::default(), stream(1, "bench"));
    let bridge = Bridge::new(density);
    let chain = Chain::new(form, bridge, (&mu, &log_sd), &mut parameters, &mut rng);
    let mut noise = vec![0.0_f32; n * chain.noise_per_chain()];
    let mut fastest = f64::INFINITY;
    for _ in 0..ITERATIONS / BLOCK {
        let began = Instant::now();
        for _ in 0..BLOCK {
            fill_std_normal(&mut rng, &mut noise);
            let paths = chain.simulate(&parameters, &noise, n, &SharedTape::recording());
            let loss = paths.log_weights.mean::<(), _>().negate();
            let mut gradients = backward(loss).map_err(|e| e.to_string())?;
            parameters.update(&Group::adam(0), 1e-4, &mut gradients);
        }
        fastest = fastest.min(began.elapsed().as_secs_f64() * 1e3 / BLOCK as f64);
    }
    Ok(fastest)
}

/// The peer's own report of the same.
fn peer(task: &str, bridges: usize, n: usize) -> Result<f64, String> {
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/peers/ldvi_jax.py");
    let [bridges, n, iterations, block] = [bridges, n, ITERATIONS, BLOCK].map(|x| x.to_string());
    let output = Command::new("python3")
        .arg(program)
        .args(["--model", task, "--method", "ldvi", "--K", &bridges, "--N", &n])
        .args(["--iters", &iterations, "--mf-iters", "100", "--chunk", &block])
        .env("JAX_PLATFORMS", "cpu")
        .output()
        .map_err(|e| format!("python3: {e}"))?;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|e| format!("{e}: {}", String::from_utf8_lossy(&output.stderr)))?;
    report["ms_per_iter_min"].as_f64().ok_or_else(|| "the peer reports no time".into())
}
