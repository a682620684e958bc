//! The semi-implicit family on the tasks of its literature: three toys in two dimensions, and the logistic
//! regression on waveforms against a long run of Hamiltonian Monte Carlo.
//!
//! `cargo bench --bench tables -- divergences --tasks banana --methods sivi-sm --seeds 1`
//!
//! A run's row replaces that of an earlier one of the same task, method, seed and iterations; with several
//! numbers of `--iterations` the rows are accuracy over time. Networks, and batches of the toys, are those of
//! [yu2023]; everything else is a default but for what the section says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ppl::data::{DataSet, Format};
use ppl::driver::Session;
use ppl::inference::{Precision, Settings, Silent, find};
use ppl::posterior::Posterior;
use serde_json::{Value, json};

use crate::options::{list, options};
use crate::section::{self, cpu_seconds};

#[path = "../../tests/suite/semi_implicit/metrics.rs"]
#[allow(clippy::unwrap_used, reason = "written for tests, where a failed unwrap is a failed test")]
mod metrics;

/// What the command takes.
pub(super) const USAGE: &str = "divergences [--tasks A,B] [--methods A,B] [--seeds N,N] [--iterations T,T] [--set \
     OPTION=VALUE,…]: rows that are not measured again are kept";

const FLAGS: [&str; 5] = ["--tasks", "--methods", "--seeds", "--iterations", "--set"];
const TITLE: &str = "Semi-implicit family";
const COLUMNS: [&str; 9] = [
    "task",
    "method",
    "seed",
    "iterations",
    "KL",
    "published KL",
    "worst mean, sd",
    "worst sd, relative",
    "CPU s",
];

/// Sizes of networks and batches in the literature, and draws to measure a fit by.
const TOY: &str = "latent=3 hidden=50,50 critic-hidden=128,128 grad-samples=500";
const TOY_DRAWS: usize = 2_000_000;
const REGRESSION: &str = "latent=10 hidden=100,100 critic-hidden=256,256";
const REGRESSION_DRAWS: usize = 20_000;

struct Task {
    name: &'static str,
    /// The authors' divergence, measured with their code.
    published: f64,
    model: &'static str,
}

const TASKS: [Task; 4] = [
    Task {
        name: "banana",
        published: 0.0757,
        model: "param x1 ~ normal(0, 1)\n\
                param x2 ~ normal(0.9 * x1 - square(x1) - 1, sqrt(0.19))\n",
    },
    Task {
        name: "x-shaped",
        published: 0.0003,
        model: "param x: real[2]\n\
                x ~ mixture([0.5, 0.5], multi_normal([0.0, 0.0], [[2, 1.8], [1.8, 2]]), \
                multi_normal([0.0, 0.0], [[2, -1.8], [-1.8, 2]]))\n",
    },
    Task {
        name: "multimodal",
        published: 0.0001,
        model: "param x1 ~ mixture([0.5, 0.5], normal(-2, 1), normal(2, 1))\n\
                param x2 ~ normal(0, 1)\n",
    },
    Task {
        name: "waveform",
        published: 2.69,
        model: "data X: real[N, D]\n\
                data y: int<lower=0, upper=1>[N]\n\
                param w: real[D] ~ normal(0, 10)\n\
                y ~ bernoulli_logit(X @ w)\n",
    },
];

/// Cells of the runs by task, method, seed and iterations.
type Rows = BTreeMap<(String, String, usize, usize), Vec<String>>;

/// Runs what is asked for; the table is brought up to date after each run.
///
/// # Errors
/// For unknown names and files that cannot be written.
pub(super) fn run(arguments: &[String]) -> Result<(), String> {
    let given = options(arguments, &FLAGS).map_err(|e| format!("{e}; {USAGE}"))?;
    let list = |name, all: &[&str]| list(&given, name, all);
    let number = |text: &str| text.parse::<usize>().map_err(|_| format!("{text} is no number"));
    let iterations: Vec<Option<usize>> = match given.get("iterations") {
        Some(all) => all.split(',').map(|n| number(n).map(Some)).collect::<Result<_, _>>()?,
        None => vec![None],
    };
    let mut rows = Rows::new();
    for ([task, method, seed, iterations], cells) in section::runs(TITLE, &COLUMNS) {
        rows.insert((task, method, number(&seed)?, number(&iterations)?), cells);
    }
    for name in list("tasks", &TASKS.map(|t| t.name)) {
        let task = TASKS.iter().find(|t| t.name == name).ok_or(format!("no task {name}"))?;
        let Some((posterior, reference)) = compile(task)? else {
            println!("{name}: skipped, ../shared is absent");
            continue;
        };
        for method in list("methods", &["sivi-sm"]) {
            let seeds = list("seeds", &["1", "2", "3"]);
            for (seed, &iterations) in
                seeds.iter().flat_map(|seed| iterations.iter().map(move |t| (seed, t)))
            {
                let seed = number(seed)?;
                let (words, draws) = match reference {
                    Some(_) => (REGRESSION, REGRESSION_DRAWS),
                    None => (TOY, TOY_DRAWS),
                };
                let own = words.split_whitespace().map(str::to_owned);
                let set = own
                    .chain(["mixing-draws=10", "resample=false"].map(str::to_owned))
                    .chain(list("set", &[]))
                    .filter_map(|pair| {
                        pair.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()))
                    })
                    .filter(|(name, _)| find(&method).is_some_and(|m| has(m, name)))
                    .collect();
                let settings = Settings {
                    seed: seed as u64,
                    draws,
                    iterations,
                    precision: if reference.is_some() { Precision::F64 } else { Precision::F32 },
                    options: set,
                    ..Settings::default()
                };
                let began = cpu_seconds();
                let found = find(&method).ok_or(format!("no method {method}"))?;
                let fit = found.fit(posterior.target(), &settings, &mut Silent);
                let fit = fit.map_err(|e| e.to_string())?;
                let seconds = cpu_seconds() - began;
                let (kl, mean, sd) = match &reference {
                    Some(reference) => metrics::gaussian_kl(&fit.draws, reference),
                    None => {
                        let kl = metrics::grid_kl(&**posterior.target().f64, &fit.draws);
                        let (mean, sd) = worst(task, &metrics::moments(&fit.draws, 2));
                        (kl, mean, sd)
                    }
                };
                let cells = vec![
                    format!("{kl:.5}"),
                    task.published.to_string(),
                    format!("{mean:.3}"),
                    format!("{sd:.3}"),
                    format!("{seconds:.1}"),
                ];
                println!(
                    "{name} {method} seed {seed}, {} iterations: {}",
                    fit.iterations,
                    cells.join(" ")
                );
                rows.insert((name.clone(), method.clone(), seed, fit.iterations), cells);
                section::write(TITLE, &body(&rows))?;
            }
        }
    }
    Ok(())
}

fn has(method: &ppl::inference::Method, option: &str) -> bool {
    method.options.iter().any(|o| o.name == option)
}

/// Largest errors of means, in sd, and of sds, relative, from a toy's known moments.
fn worst(task: &Task, moments: &[(f64, f64)]) -> (f64, f64) {
    let truth = match task.name {
        "banana" => [(0.0, 1.0), (-2.0, 3_f64.sqrt())],
        "x-shaped" => [(0.0, 2_f64.sqrt()); 2],
        _ => [(0.0, 5_f64.sqrt()), (0.0, 1.0)],
    };
    moments.iter().zip(truth).fold((0.0, 0.0), |(moved, off), ((mean, sd), (want, want_sd))| {
        (moved.max((mean - want).abs() / want_sd), off.max((sd / want_sd - 1.0).abs()))
    })
}

/// The task's posterior, and the moments that it is to have if only a long run knows them; `None` where
/// `../shared` is absent.
fn compile(task: &Task) -> Result<Option<(Posterior, Option<Value>)>, String> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/semi_implicit");
    let read = |path: PathBuf| {
        std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))
    };
    let (data, reference) = if task.name == "waveform" {
        if !shared.exists() {
            return Ok(None);
        }
        let text = read(shared.join("waveform_train.csv"))?;
        let numbers =
            |line: &str| -> Result<Vec<f64>, _> { line.split(',').map(str::parse).collect() };
        let rows: Result<Vec<Vec<f64>>, _> = text.lines().skip(1).map(numbers).collect();
        let rows = rows.map_err(|e| e.to_string())?;
        let y: Vec<i64> = rows.iter().map(|row| i64::from(row[0] > 0.5)).collect();
        let x: Vec<&[f64]> = rows.iter().map(|row| &row[1..]).collect();
        let truth = read(shared.join("waveform_hmc_reference.json"))?;
        let truth = serde_json::from_str(&truth).map_err(|e| e.to_string())?;
        (json!({ "X": x, "y": y }), Some(truth))
    } else {
        (json!({}), None)
    };
    let data = DataSet::from_bytes("data.json", Some(Format::Json), data.to_string().as_bytes());
    let data = data.map_err(|e| format!("{e:?}"))?;
    let mut session = Session::new();
    let posterior = session.check("model.ppl", task.model).and_then(|m| session.compile(&m, &data));
    Ok(Some((posterior.ok_or_else(|| session.render(false))?, reference)))
}

fn body(rows: &Rows) -> String {
    let mut text = format!(
        "`cargo bench --bench tables -- divergences`: the sizes of the literature ({TOY}; waveform: \
         {REGRESSION}), draws of the family itself, not resampled. KL(q‖p) of the toys from \
         {TOY_DRAWS} draws counted on a grid, in `f32`; waveform: of the Gaussians with the moments of the \
         draws and of 120,000 draws of HMC. Published: `sivi-sm` by its authors' code, 50,000 iterations \
         (toys) and 20,000.\n\n"
    );
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|((task, method, seed, iterations), cells)| {
            let key = [task.clone(), method.clone(), seed.to_string(), iterations.to_string()];
            [&key, &cells[..]].concat()
        })
        .collect();
    text += &section::table(&COLUMNS, &rows);
    text
}
