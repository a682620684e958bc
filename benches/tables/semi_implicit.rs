//! Time of a training iteration of SIVI-SM, side by side with the JAX and PyTorch programs of
//! `../shared/peers`.
//!
//! `taskset -c 1 cargo bench --bench tables -- semi-implicit --tasks waveform --rounds 3`
//!
//! The peers' algorithm and sizes: the paper's objective, one step of the critic an iteration, no linear
//! part, no standardisation. `f32` on one thread, alternating; processor time as in [`super::iterations`].
//! A row replaces that of an earlier run.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;

use ppl::data::{DataSet, Format};
use ppl::driver::Session;
use ppl::inference::{Monitor, Precision, Progress, Settings, find};
use ppl::posterior::Posterior;
use serde_json::json;

use super::options::options;
use crate::section::{self, median, thread_cpu_ms};

/// What the command takes.
pub(super) const USAGE: &str = "semi-implicit [--tasks A,B] [--rounds R]";

const FLAGS: [&str; 2] = ["--tasks", "--rounds"];
const TITLE: &str = "SIVI-SM iterations";
const HEAD: &str = "Milliseconds of processor time of a training iteration, family and critic, with \
                    random numbers and optimiser, `f32`, one core: \
                    `taskset -c 1 cargo bench --bench tables -- semi-implicit`.";
const COLUMNS: [&str; 7] =
    ["task", "batch", "ppl, ms", "JAX, ms", "PyTorch, ms", "JAX / ppl", "PyTorch / ppl"];
/// Iterations that are timed together, and blocks.
const BLOCK: usize = 50;
const BLOCKS: usize = 40;
/// PyTorch takes longer, and more to get going.
const TORCH_ITERATIONS: usize = 500;

struct Task {
    name: &'static str,
    batch: usize,
    model: &'static str,
    /// Options of the method that the peers have otherwise than by default.
    settings: &'static [(&'static str, &'static str)],
}

const TOY: &[(&str, &str)] =
    &[("hidden", "50,50"), ("critic-hidden", "128,128"), ("latent", "3"), ("decay-every", "1000")];

const TASKS: [Task; 4] = [
    Task {
        name: "waveform",
        batch: 100,
        model: "data X: real[N, D]\ndata y: int<lower=0, upper=1>[N]\n\
                param w: real[D] ~ normal(0, 10)\ny ~ bernoulli_logit(X @ w)\n",
        settings: &[
            ("hidden", "100,100"),
            ("critic-hidden", "256,256"),
            ("latent", "10"),
            ("decay-every", "3000"),
            ("residual", "1"),
            ("residual-decay", "1.004"),
        ],
    },
    Task {
        name: "banana",
        batch: 500,
        model: "param a ~ normal(0, 1)\n\
                param b ~ normal(0.9 * a - square(a) - 1, sqrt(0.19))\n",
        settings: TOY,
    },
    Task {
        name: "x_shaped",
        batch: 500,
        model: "param x: real[2]\nlet S = [[2, 1.8], [1.8, 2]]\nlet T = [[2, -1.8], [-1.8, 2]]\n\
                x ~ mixture([0.5, 0.5], multi_normal([0, 0], S), multi_normal([0, 0], T))\n",
        settings: TOY,
    },
    Task {
        name: "multimodal",
        batch: 500,
        model: "param a ~ mixture([0.5, 0.5], normal(-2, 1), normal(2, 1))\n\
                param b ~ normal(0, 1)\n",
        settings: TOY,
    },
];

/// Measures what is asked for; the table is brought up to date after each row.
///
/// # Errors
/// For unknown names, a peer that does not run, and files that cannot be written.
pub(super) fn run(arguments: &[String]) -> Result<(), String> {
    let given = options(arguments, &FLAGS).map_err(|e| format!("{e}; {USAGE}"))?;
    let all = TASKS.map(|t| t.name).join(",");
    let rounds = given.get("rounds").map_or(Ok(3), |r| r.parse::<usize>());
    let rounds = rounds.map_err(|e| format!("--rounds: {e}"))?;
    let mut rows: BTreeMap<String, Vec<String>> = section::rows(TITLE)
        .into_iter()
        .filter(|row| row.len() == COLUMNS.len())
        .map(|row| (row[0].clone(), row))
        .collect();
    for name in given.get("tasks").map_or(&*all, |t| *t).split(',') {
        let task = TASKS.iter().find(|t| t.name == name).ok_or(format!("no task {name}"))?;
        let Some(posterior) = compile(task) else {
            println!("{name}: skipped, ../shared is absent");
            continue;
        };
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..rounds {
            times[0].push(own(task, &posterior)?);
            let iterations = (BLOCK * BLOCKS).to_string();
            let block = BLOCK.to_string();
            times[1].push(peer("sivi_sm_jax.py", name, &iterations, &["--chunk", &block])?);
            times[2].push(peer("sivi_sm_torch.py", name, &TORCH_ITERATIONS.to_string(), &[])?);
        }
        let [own, jax, torch] = times.map(median);
        let mut row = vec![name.to_owned(), task.batch.to_string()];
        row.extend([own, jax, torch, jax / own, torch / own].map(|x| format!("{x:.2}")));
        println!("{}", row.join(" "));
        rows.insert(name.to_owned(), row);
        let table = section::table(&COLUMNS, rows.values());
        section::write(TITLE, &format!("{HEAD}\n\n{table}"))?;
    }
    Ok(())
}

/// The task's model with its data; `None` where `../shared` is absent.
fn compile(task: &Task) -> Option<Posterior> {
    let mut data = json!({});
    if task.name == "waveform" {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let file = root.join("../shared/reference/semi_implicit/waveform_train.csv");
        let text = std::fs::read_to_string(file).ok()?;
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(1)
            .map(|l| l.split(',').map(|x| x.parse().expect("a number")).collect())
            .collect();
        data["y"] = rows.iter().map(|row| row[0]).collect();
        data["X"] = rows.iter().map(|row| row[1..].to_vec()).collect();
    }
    let data = DataSet::from_bytes("data.json", Some(Format::Json), data.to_string().as_bytes());
    let data = data.expect("data");
    let mut session = Session::new();
    let posterior = session.check("model.ppl", task.model).and_then(|m| session.compile(&m, &data));
    Some(posterior.unwrap_or_else(|| panic!("{}", session.render(false))))
}

/// Notes the time at the end of every block of training, and stops after the last.
#[derive(Default)]
struct Watch {
    began: Option<f64>,
    blocks: Vec<f64>,
}

impl Monitor for Watch {
    fn progress(&mut self, progress: Progress<'_>) -> ControlFlow<()> {
        if progress.phase == "training" && progress.done.is_multiple_of(BLOCK) {
            let now = thread_cpu_ms();
            self.blocks.extend(self.began.map(|began| (now - began) / BLOCK as f64));
            self.began = Some(now);
        }
        if self.blocks.len() < BLOCKS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

/// What a run of the method takes for an iteration.
fn own(task: &Task, posterior: &Posterior) -> Result<f64, String> {
    let common = [
        ("objective", "fisher"),
        ("critic-steps", "1"),
        ("critic-warmup", "0"),
        ("linear", "false"),
        ("antithetic", "false"),
        ("standardize", "none"),
        ("schedule", "step"),
        ("log-variance", "0"),
        ("clip", "inf"),
        ("average", "0"),
        ("mixing-draws", "10"),
    ];
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let settings = Settings {
        grad_samples: Some(task.batch),
        learning_rate: Some(1e-3),
        precision: Precision::F32,
        options: common.iter().chain(task.settings).map(own).collect(),
        ..Settings::default()
    };
    let method = find("sivi-sm").ok_or("no such method")?;
    let mut watch = Watch::default();
    method.fit(posterior.target(), &settings, &mut watch).map_err(|e| e.to_string())?;
    Ok(median(watch.blocks))
}

/// A peer's own report of the same.
fn peer(program: &str, task: &str, iterations: &str, more: &[&str]) -> Result<f64, String> {
    let mut arguments = vec!["--task", task, "--iters", iterations, "--no-eval"];
    arguments.extend(more);
    let report = section::peer(program, &arguments)?;
    report["cpu_ms_per_iter_median"].as_f64().ok_or_else(|| "the peer reports no time".into())
}
