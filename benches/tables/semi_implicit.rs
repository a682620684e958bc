//! Time of a training iteration of SIVI-SM, side by side with the JAX and PyTorch programs of
//! `../shared/peers`, and of KSIVI, side by side with `benches/peers/ksivi_torch.py`.
//!
//! `taskset -c 1 cargo bench --bench tables -- semi-implicit --methods sivi-sm --tasks waveform --rounds 3`
//!
//! The peers' algorithms and sizes: the papers' objectives, one step of the critic an iteration, no linear
//! part, no standardisation. `f32` on one thread, alternating; processor time as in [`super::iterations`].
//! A row replaces that of an earlier run.

use std::ops::ControlFlow;
use std::path::PathBuf;

use ppl::data::{DataSet, Format};
use ppl::driver::Session;
use ppl::inference::{Monitor, Precision, Progress, Settings, find};
use ppl::posterior::Posterior;
use serde_json::json;

use super::options::{list, options};
use crate::section::{self, median, thread_cpu_ms};

/// What the command takes.
pub(super) const USAGE: &str = "semi-implicit [--methods A,B] [--tasks A,B] [--rounds R]";

const FLAGS: [&str; 3] = ["--methods", "--tasks", "--rounds"];
/// Iterations that are timed together, and blocks.
const BLOCK: usize = 50;
const BLOCKS: usize = 40;

/// Options and their values.
type Words = &'static [(&'static str, &'static str)];

/// A method against programs that train by it.
struct Race {
    method: &'static str,
    /// Of the section.
    title: &'static str,
    /// What stands above the table, after what the times are.
    head: &'static str,
    peers: &'static [Peer],
    /// What the peers have otherwise than by default.
    settings: Words,
    /// The tasks that the peers know, and what they have otherwise there.
    tasks: &'static [(&'static str, Words)],
}

struct Peer {
    name: &'static str,
    /// From the root of the checkout.
    program: &'static str,
    arguments: &'static [&'static str],
}

const HEAD: &str = "Milliseconds of processor time of a training iteration with random numbers and \
                    optimiser, `f32`, one core: `taskset -c 1 cargo bench --bench tables -- semi-implicit`.";

const RACES: [Race; 2] = [
    Race {
        method: "sivi-sm",
        title: "SIVI-SM iterations",
        head: "Family and critic.",
        peers: &[
            Peer {
                name: "JAX",
                program: "../shared/peers/sivi_sm_jax.py",
                arguments: &["--iters", "2000", "--chunk", "50", "--no-eval"],
            },
            // It takes longer, and more to get going.
            Peer {
                name: "PyTorch",
                program: "../shared/peers/sivi_sm_torch.py",
                arguments: &["--iters", "500", "--no-eval"],
            },
        ],
        settings: &[
            ("objective", "fisher"),
            ("critic-steps", "1"),
            ("critic-warmup", "0"),
            ("log-variance", "0"),
        ],
        tasks: &[
            ("waveform", &[("residual", "1"), ("residual-decay", "1.004")]),
            ("banana", &[]),
            ("x_shaped", &[]),
            ("multimodal", &[]),
        ],
    },
    Race {
        method: "ksivi",
        title: "KSIVI iterations",
        head: "PyTorch as its authors train it, with tensors of all pairs of draws, and with matrix \
               products instead (`benches/peers/ksivi_torch.py`). Both take the median of all pairs, \
               `ppl` that of the pairs of 64 draws.",
        peers: &[
            Peer {
                name: "PyTorch, the authors' way",
                program: "benches/peers/ksivi_torch.py",
                arguments: &["--iters", "300", "--pairs", "broadcast"],
            },
            Peer {
                name: "PyTorch, products",
                program: "benches/peers/ksivi_torch.py",
                arguments: &["--iters", "300", "--pairs", "products"],
            },
        ],
        settings: &[("log-variance-floor", "-20")],
        tasks: &[
            ("waveform", &[("log-variance", "-5")]),
            ("banana", &[("log-variance", "-1.386")]),
        ],
    },
];

struct Task {
    name: &'static str,
    batch: usize,
    model: &'static str,
    /// Options of every method.
    settings: Words,
}

const TOY: Words =
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

/// Measures what is asked for; the tables are brought up to date after each row.
///
/// # Errors
/// For unknown names, a peer that does not run, and files that cannot be written.
pub(super) fn run(arguments: &[String]) -> Result<(), String> {
    let given = options(arguments, &FLAGS).map_err(|e| format!("{e}; {USAGE}"))?;
    let rounds = given.get("rounds").map_or(Ok(3), |r| r.parse::<usize>());
    let rounds = rounds.map_err(|e| format!("--rounds: {e}"))?;
    for name in list(&given, "methods", &RACES.map(|r| r.method)) {
        let race = RACES.iter().find(|r| r.method == name).ok_or(format!("no race of {name}"))?;
        let all: Vec<&str> = race.tasks.iter().map(|(task, _)| *task).collect();
        for task in list(&given, "tasks", &all) {
            race.run(&task, rounds)?;
        }
    }
    Ok(())
}

impl Race {
    /// Adds the row of a task to the table; it replaces an earlier one.
    fn run(&self, name: &str, rounds: usize) -> Result<(), String> {
        let task = TASKS.iter().find(|t| t.name == name).ok_or(format!("no task {name}"))?;
        let (_, settings) =
            self.tasks.iter().find(|(t, _)| *t == name).ok_or(format!("no peer for {name}"))?;
        let Some(posterior) = compile(task) else {
            println!("{name}: skipped, ../shared is absent");
            return Ok(());
        };
        let words = [task.settings, self.settings, settings].concat();
        let mut own_times = Vec::new();
        let mut peers = vec![Vec::new(); self.peers.len()];
        for _ in 0..rounds {
            own_times.push(own(self.method, task.batch, &words, &posterior)?);
            for (peer, times) in self.peers.iter().zip(&mut peers) {
                times.push(peer.time(name)?);
            }
        }
        let (own, peers) = (median(own_times), peers.into_iter().map(median));
        let peers: Vec<f64> = peers.collect();
        let mut row = vec![name.to_owned(), task.batch.to_string()];
        let ratios = peers.iter().map(|peer| peer / own);
        row.extend(
            [own]
                .iter()
                .copied()
                .chain(peers.iter().copied())
                .chain(ratios)
                .map(|x| format!("{x:.2}")),
        );
        println!("{} {}", self.method, row.join(" "));

        let peer = |unit: fn(&str) -> String| self.peers.iter().map(move |p| unit(p.name));
        let columns: Vec<String> = ["task", "batch", "ppl, ms"]
            .map(str::to_owned)
            .into_iter()
            .chain(peer(|name| format!("{name}, ms")))
            .chain(peer(|name| format!("{name} / ppl")))
            .collect();
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let mut rows = section::runs::<1>(self.title, &columns);
        rows.insert([row[0].clone()], row.split_off(1));
        let rows: Vec<Vec<String>> =
            rows.into_iter().map(|([task], rest)| [vec![task], rest].concat()).collect();
        let table = section::table(&columns, &rows);
        section::write(self.title, &format!("{HEAD} {}\n\n{table}", self.head))
    }
}

impl Peer {
    /// Its own report of what an iteration takes, ms.
    fn time(&self, task: &str) -> Result<f64, String> {
        section::peer_iteration_ms(self.program, &[&["--task", task], self.arguments].concat())
    }
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

/// What a run of the method takes for an iteration, ms.
fn own(
    method: &str,
    batch: usize,
    words: &[(&str, &str)],
    posterior: &Posterior,
) -> Result<f64, String> {
    let common = [
        ("linear", "false"),
        ("antithetic", "false"),
        ("standardize", "none"),
        ("schedule", "step"),
        ("clip", "inf"),
        ("average", "0"),
        ("mixing-draws", "10"),
    ];
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let settings = Settings {
        grad_samples: Some(batch),
        learning_rate: Some(1e-3),
        precision: Precision::F32,
        options: common.iter().chain(words).map(owned).collect(),
        ..Settings::default()
    };
    let method = find(method).ok_or("no such method")?;
    let mut watch = Watch::default();
    method.fit(posterior.target(), &settings, &mut watch).map_err(|e| e.to_string())?;
    Ok(median(watch.blocks))
}
