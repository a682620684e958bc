//! Time of a training iteration of LDVI, side by side with the JAX program of `../shared/peers`.
//!
//! `taskset -c 1 cargo bench --bench tables -- iterations --tasks sonar --bridges 8,64 --chains 5 --rounds 3`
//!
//! Both in `f32` on one thread, with random numbers and optimiser, alternating; processor time, which
//! says most on a machine that others use too: medians over the rounds of the median over blocks of ten
//! iterations. Both do the published arithmetic (`precondition=none`); beside it stands what the chain of
//! the default settings takes (exact integrator, guided corrections, free levels), which the peer does not
//! have. A row replaces that of an earlier run.

use std::collections::BTreeMap;

use dfdx::prelude::MeanTo;
use ppl::inference::backend::{Normals, Pairs};
use ppl::inference::bridge::Bridge;
use ppl::inference::langevin::{
    Chain, Correction, Dynamics, Form, Initial, Integrator, Levels, Momentum,
};
use ppl::inference::optimizer::{Group, Parameters};
use ppl::inference::tape::{SharedTape, backward};
use ppl::posterior::Posterior;
use ppl::random::stream;

use super::langevin::{TASKS, compile};
use super::options::options;
use crate::section::{self, median, thread_cpu_ms};

/// What the command takes.
pub(super) const USAGE: &str =
    "iterations [--tasks A,B] [--bridges K,…] [--chains N,…] [--rounds R]";

const FLAGS: [&str; 4] = ["--tasks", "--bridges", "--chains", "--rounds"];
const TITLE: &str = "LDVI iterations";
const COLUMNS: [&str; 7] =
    ["task", "K", "N", "ppl, ms", "JAX, ms", "JAX / ppl", "ppl by default, ms"];
const HEAD: &str = "Milliseconds of processor time of a training iteration with random numbers and \
                    optimiser, `f32`, one core: `taskset -c 1 cargo bench --bench tables -- iterations`.";
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
                let mut times = [Vec::new(), Vec::new(), Vec::new()];
                for _ in 0..rounds {
                    times[0].push(own(&posterior, PUBLISHED, k, n)?);
                    times[1].push(peer(&name, k, n)?);
                    times[2].push(own(&posterior, DEFAULT, k, n)?);
                }
                let [own, peer, default] = times.map(median);
                let mut row = vec![name.clone(), k.to_string(), n.to_string()];
                row.extend([own, peer, peer / own, default].map(|x| format!("{x:.2}")));
                println!("{}", row.join(" "));
                rows.insert((name.clone(), k, n), row);
                let text = format!("{HEAD}\n\n{}", section::table(&COLUMNS, rows.values()));
                section::write(TITLE, &text)?;
            }
        }
    }
    Ok(())
}

/// The chain of `precondition=none`.
const PUBLISHED: Form = Form {
    dynamics: Dynamics { momentum: Momentum::Damped, correction: Correction::Backward },
    bridges: 1,
    integrator: Integrator::VelocityVerlet,
    guided: false,
    levels: Levels::Rising,
    step_per_dimension: false,
    full_start: false,
    initial: Initial { step_size: 1e-3, friction: 10.0, retention: 0.0 },
};
/// The chain of the default settings.
const DEFAULT: Form =
    Form { integrator: Integrator::Exponential, guided: true, levels: Levels::Free, ..PUBLISHED };

/// The training step of `ppl run --infer ldvi` from a start that needs no fit.
fn own(posterior: &Posterior, form: Form, bridges: usize, n: usize) -> Result<f64, String> {
    let form = Form { bridges, ..form };
    let density = posterior.target().f32;
    let (mu, log_sd) = (vec![0.0; density.dim()], vec![-3.0; density.dim()]);
    let (mut parameters, mut rng) = (Parameters::<f32>::default(), stream(1, "bench"));
    let bridge = Bridge::new(density);
    let chain = Chain::new(form, (&mu, &log_sd), &mut parameters, &mut rng);
    let shape = (n * chain.noises(), chain.dim);
    let mut blocks = Vec::new();
    for _ in 0..ITERATIONS / BLOCK {
        let began = thread_cpu_ms();
        for _ in 0..BLOCK {
            let noise = Normals::<f32>::draw(&mut rng, shape, Pairs::Independent);
            let paths = chain.simulate(&bridge, &parameters, &noise, n, &SharedTape::recording());
            let loss = paths.log_weights.mean::<(), _>().negate();
            let mut gradients = backward(loss).map_err(|e| e.to_string())?;
            parameters.update(&Group::adam(0), 1e-4, &mut gradients);
        }
        blocks.push((thread_cpu_ms() - began) / BLOCK as f64);
    }
    Ok(median(blocks))
}

/// The peer's own report of the same.
fn peer(task: &str, bridges: usize, n: usize) -> Result<f64, String> {
    let [bridges, n, iterations, block] = [bridges, n, ITERATIONS, BLOCK].map(|x| x.to_string());
    let mut arguments = vec!["--model", task, "--method", "ldvi", "--K", &bridges, "--N", &n];
    arguments.extend(["--iters", &iterations, "--mf-iters", "100", "--chunk", &block]);
    section::peer_iteration_ms("../shared/peers/ldvi_jax.py", &arguments)
}
