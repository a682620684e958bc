//! One thread against two: time on the wall of whole runs, and whether their draws are the same, bit for bit.
//!
//! `cargo bench --bench tables -- cores`
//!
//! Least of three runs each, alternating, on eight schools. Only what is done in chains is spread over threads;
//! a training step is one thread's work.

use std::path::Path;
use std::time::Instant;

use super::processes;
use crate::section;

/// What the command takes.
pub(super) const USAGE: &str = "cores";

const TITLE: &str = "Two cores";
const COLUMNS: [&str; 5] = ["run", "1 thread, s", "2 threads, s", "ratio", "draws"];
const HEAD: &str = "Time on the wall from the start of a process to its end, least of 3 runs, eight schools: \
                    `cargo bench --bench tables -- cores`.";
const RUNS: usize = 3;

const TASKS: [(&str, &[&str]); 3] = [
    ("NUTS, 4 chains of 10,000 draws", &["nuts", "--draws", "40000"]),
    ("LDVI, K = 32, N = 16", &["ldvi", "--bridges", "32", "--iterations", "1000"]),
    ("SIVI-SM, B = 512", &["sivi-sm", "--grad-samples", "512", "--iterations", "1000"]),
];

/// Measures and writes the table.
///
/// # Errors
/// When a run fails, or a file cannot be read or written.
pub(super) fn run(arguments: &[String]) -> Result<(), String> {
    if !arguments.is_empty() {
        return Err(USAGE.into());
    }
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/eight_schools/model.ppl");
    let model = model.to_string_lossy();
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut rows = Vec::new();
    for (name, task) in TASKS {
        let (mut least, mut draws) = ([f64::INFINITY; 2], [Vec::new(), Vec::new()]);
        for _ in 0..RUNS {
            for (i, threads) in ["1", "2"].into_iter().enumerate() {
                let out = folder.path().join(threads);
                let into = out.to_string_lossy();
                let fixed = ["run", &model, "--quiet", "--threads", threads, "--out", &into];
                let command = [&fixed, &["--infer"][..], task].concat();
                let began = Instant::now();
                processes::run(env!("CARGO_BIN_EXE_ppl"), &command)?;
                least[i] = least[i].min(began.elapsed().as_secs_f64());
                draws[i] = std::fs::read(out.join("draws.csv")).map_err(|e| e.to_string())?;
            }
        }
        let mut row = vec![name.to_owned()];
        row.extend([least[0], least[1], least[0] / least[1]].map(|x| format!("{x:.2}")));
        row.push(if draws[0] == draws[1] { "the same" } else { "different" }.to_owned());
        println!("{}", row.join(" | "));
        rows.push(row);
    }
    section::write(TITLE, &format!("{HEAD}\n\n{}", section::table(&COLUMNS, &rows)))
}
