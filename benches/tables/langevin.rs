//! The Langevin family on the five tasks of its literature, at 8, 32 and 128 bridges.
//!
//! `cargo bench --bench tables -- langevin --tasks seeds --methods ldvi,cmcd-ud --bridges 8 --seeds 1,2`
//!
//! A run's row replaces that of an earlier one of the same task, method, bridges and seed, so the tables
//! are filled over several invocations. Without options everything is run, which takes hours.
//!
//! Bounds on fresh noise, default settings. Published values are those of [geffner2023] and
//! [vargas2024] as re-run by the latter's authors; the log evidence was computed independently.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use ppl::data::{DataSet, Format};
use ppl::driver::Session;
use ppl::inference::{Settings, Silent, find};
use ppl::posterior::Posterior;
use serde_json::{Value, json};

use crate::options::{list, options, settings};
use crate::section::{self, cpu_seconds};

const METHODS: [&str; 6] = ["ula", "mcd", "uha", "ldvi", "cmcd", "cmcd-ud"];
const BRIDGES: [&str; 3] = ["8", "32", "128"];

pub(super) struct Task {
    pub(super) name: &'static str,
    model: &'static str,
    log_z: f64,
    /// By method in the order of [`METHODS`] and bridges in that of [`BRIDGES`]; NaN where there is none.
    published: [[f64; 3]; 6],
}

const NONE: f64 = f64::NAN;
pub(super) const TASKS: [Task; 5] = [
    Task {
        name: "sonar",
        model: "examples/sonar",
        log_z: -108.383,
        published: [
            [-122.50, -117.47, -113.42],
            [-118.25, -113.60, -110.18],
            [-120.03, -114.00, -110.57],
            [-116.27, -110.90, -109.11],
            [-112.27, -110.46, -109.61],
            [-113.08, -109.78, -109.02],
        ],
    },
    Task {
        name: "ionosphere",
        model: "examples/ionosphere",
        log_z: -111.614,
        published: [
            [-116.40, -114.48, -113.17],
            [-114.95, -113.23, -112.32],
            [-115.62, -113.42, -112.31],
            [-114.66, -112.57, -111.90],
            [-113.21, NONE, -111.98],
            [-112.79, -112.20, -111.88],
        ],
    },
    Task {
        name: "seeds",
        model: "examples/seeds",
        log_z: -73.405,
        published: [
            [-75.54, -75.20, -74.32],
            [-75.07, -74.43, -73.95],
            [-74.89, -74.27, -73.82],
            [-74.96, -74.13, -73.71],
            [-74.50, -74.14, -73.80],
            [-74.53, -73.96, -73.68],
        ],
    },
    Task {
        name: "brownian",
        model: "tests/models/brownian_motion",
        log_z: 1.18775,
        published: [
            [-2.03, -1.08, NONE],
            [-1.45, -0.45, 0.25],
            [-1.63, -0.46, 0.37],
            [-1.24, 0.07, 0.75],
            [-0.75, 0.15, 0.58],
            [-0.62, 0.28, 0.71],
        ],
    },
    Task {
        name: "lorenz",
        model: "tests/models/lorenz_bridge",
        log_z: -29.21,
        published: [[NONE; 3]; 6],
    },
];

/// What the command takes.
pub(super) const USAGE: &str = "langevin [--tasks A,B] [--methods A,B] [--bridges K,K] [--seeds N,N] [--set OPTION=VALUE,…]: \
     rows that are not measured again are kept";

const FLAGS: [&str; 5] = ["--tasks", "--methods", "--bridges", "--seeds", "--set"];

const SUMMARY: &str = "Langevin family";
const RUNS: &str = "Langevin family, each run";
/// Of the runs' table; the first four name a run.
const COLUMNS: [&str; 13] = [
    "task",
    "method",
    "K",
    "seed",
    "ELBO",
    "se",
    "IWAE",
    "log Z",
    "se",
    "k-hat",
    "verdict",
    "iterations",
    "CPU s",
];

/// Cells of the runs by the four that name them.
type Runs = BTreeMap<[String; 4], Vec<String>>;

/// Runs what is asked for; the tables are brought up to date after each run.
///
/// # Errors
/// For unknown names and files that cannot be written.
pub(super) fn run(arguments: &[String]) -> Result<(), String> {
    let options = options(arguments, &FLAGS).map_err(|e| format!("{e}; {USAGE}"))?;
    let list = |name, all: &[&str]| list(&options, name, all);
    let set = settings(&list("set", &[]));
    let mut runs: Runs = section::runs(RUNS, &COLUMNS);
    for name in list("tasks", &TASKS.map(|t| t.name)) {
        let task = TASKS.iter().find(|t| t.name == name).ok_or(format!("no task {name}"))?;
        let Some(posterior) = compile(task) else {
            println!("{name}: skipped, ../shared is absent");
            continue;
        };
        for bridges in list("bridges", &BRIDGES) {
            for method in list("methods", &METHODS) {
                for seed in list("seeds", &["1", "2", "3"]) {
                    let cells = fit(&posterior, &method, &bridges, &seed, &set)?;
                    println!("{name} {method} K = {bridges} seed {seed}: {}", cells.join(" "));
                    let key = [&name, &method, &bridges, &seed].map(String::clone);
                    runs.insert(key, cells);
                    section::write(SUMMARY, &table(&runs))?;
                    section::write(RUNS, &all(&runs))?;
                }
            }
        }
    }
    Ok(())
}

fn all(runs: &Runs) -> String {
    let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(&COLUMNS) + &line(&["---"; COLUMNS.len()]);
    for (key, cells) in runs {
        let cells: Vec<&str> = key.iter().chain(cells).map(String::as_str).collect();
        text += &line(&cells);
    }
    text
}

fn fit(
    posterior: &Posterior,
    method: &str,
    bridges: &str,
    seed: &str,
    set: &BTreeMap<String, String>,
) -> Result<Vec<String>, String> {
    let number = |text: &str| text.parse::<u32>().map_err(|_| format!("{text} is no number"));
    let settings = Settings {
        seed: u64::from(number(seed)?),
        bridges: Some(number(bridges)? as usize),
        options: set.clone(),
        ..Settings::default()
    };
    let began = cpu_seconds();
    let found = find(method).ok_or(format!("no method {method}"))?;
    let fit = found.fit(posterior.target(), &settings, &mut Silent).map_err(|e| e.to_string())?;
    let seconds = cpu_seconds() - began;
    let (elbo, elbo_se) = fit.elbo.unwrap_or((f64::NAN, f64::NAN));
    let (iwae, log_z, log_z_se) =
        fit.log_z.map_or((f64::NAN, f64::NAN, f64::NAN), |z| (z.iwae.0, z.value, z.se));
    let khat = fit.khat.map_or(f64::NAN, |k| k.value);
    let mut fields = [elbo, elbo_se, iwae, log_z, log_z_se].map(|x| format!("{x:.4}")).to_vec();
    fields.extend([
        format!("{khat:.2}"),
        format!("{:?}", fit.verdict.level).to_lowercase(),
        fit.iterations.to_string(),
        format!("{seconds:.1}"),
    ]);
    Ok(fields)
}

/// The task's model with its data; `None` where `../shared` is absent.
pub(super) fn compile(task: &Task) -> Option<Posterior> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join(task.model);
    let text = std::fs::read_to_string(folder.join("model.ppl")).expect("a model");
    let own = folder.join("data.json");
    let data = if own.exists() {
        DataSet::read(&own).expect("data")
    } else {
        let shared = root.join(format!("../shared/reference/langevin/{}.json", task.name));
        let json = serde_json::from_str(&std::fs::read_to_string(shared).ok()?).expect("JSON");
        let data = time_series(&json).to_string();
        DataSet::from_bytes("data.json", Some(Format::Json), data.as_bytes()).expect("data")
    };
    let mut session = Session::new();
    let posterior = session.check("model.ppl", &text).and_then(|m| session.compile(&m, &data));
    Some(posterior.unwrap_or_else(|| panic!("{}", session.render(false))))
}

/// What the time-series models call the tasks' data.
fn time_series(task: &Value) -> Value {
    let observed =
        if task["observed_locs"].is_array() { "observed_locs" } else { "observed_values" };
    let all = task[observed].as_array().expect("observations");
    let seen = || (1..=all.len()).filter(|t| !all[t - 1].is_null());
    let mut data = json!({"T": all.len()});
    data["seen"] = seen().collect();
    data["y"] = seen().map(|t| all[t - 1].clone()).collect();
    let scales =
        [("step", "step_size"), ("innovation", "innovation_scale"), ("noise", "observation_scale")];
    for (ours, theirs) in scales {
        if !task[theirs].is_null() {
            data[ours] = task[theirs].clone();
        }
    }
    data
}

/// Mean over seeds, its error (of noise within runs or between them, whichever is larger), and beside
/// it the gap to the log evidence and the published value.
fn table(runs: &Runs) -> String {
    type Run = (f64, f64, f64, String);
    let mut cells: BTreeMap<(usize, usize, usize), Vec<Run>> = BTreeMap::new();
    for (key, fields) in runs {
        let place = |of: &[&str], i: usize| of.iter().position(|x| *x == key[i]);
        let tasks = TASKS.map(|t| t.name);
        let (Some(t), Some(m), Some(k)) =
            (place(&tasks, 0), place(&METHODS, 1), place(&BRIDGES, 2))
        else {
            continue;
        };
        let number = |i: usize| fields[i].parse::<f64>().unwrap_or(f64::NAN);
        let run = (number(0), number(1), number(8), fields[6].clone());
        cells.entry((t, m, k)).or_default().push(run);
    }
    let mut text = String::from(
        "Evidence lower bounds on fresh noise, default settings: mean over seeds, its standard error, and \
         how far it is below the log evidence.\n\n\
         | task | log Z | method | K | ELBO | below log Z | published | seeds | verdicts | CPU s per run |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for ((t, m, k), runs) in cells {
        let n = runs.len() as f64;
        let mean = runs.iter().map(|r| r.0).sum::<f64>() / n;
        let within = (runs.iter().map(|r| r.1 * r.1).sum::<f64>()).sqrt() / n;
        let between = runs.iter().map(|r| (r.0 - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        let se = within.max((between / n).sqrt());
        let task = &TASKS[t];
        let published = task.published[m][k];
        let published =
            if published.is_nan() { "–".to_owned() } else { format!("{published:.2}") };
        let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
        runs.iter().for_each(|r| *verdicts.entry(&r.3).or_default() += 1);
        let verdicts: Vec<String> = verdicts.iter().map(|(v, n)| format!("{n} {v}")).collect();
        let seconds = runs.iter().map(|r| r.2).sum::<f64>() / n;
        let _ = writeln!(
            text,
            "| {} | {} | `{}` | {} | {mean:.2} ± {se:.2} | {:.2} | {published} | {n} | {} | {seconds:.0} |",
            task.name,
            task.log_z,
            METHODS[m],
            BRIDGES[k],
            task.log_z - mean,
            verdicts.join(", "),
        );
    }
    text
}
