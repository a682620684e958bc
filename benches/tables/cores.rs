//! One thread against two: time on the wall of whole runs, and whether their draws are the same, bit for bit.
//!
//! `cargo bench --bench tables -- cores`
//!
//! Least of three runs each, alternating. Chains, paths and the parts of a batch are spread over threads.

use std::path::Path;
use std::time::Instant;

use super::processes;
use crate::section;

/// What the command takes.
pub(super) const USAGE: &str = "cores";

const TITLE: &str = "Two cores";
const COLUMNS: [&str; 5] = ["run", "1 thread, s", "2 threads, s", "ratio", "draws"];
const HEAD: &str = "Time on the wall from the start of a process to its end, least of 3 runs: \
                    `cargo bench --bench tables -- cores`.";
const RUNS: usize = 3;

/// Name, example and arguments.
const TASKS: [(&str, &str, &[&str]); 6] = [
    (
        "eight schools, NUTS, 4 chains of 10,000 draws",
        "eight_schools",
        &["nuts", "--draws", "40000"],
    ),
    ("sonar, LDVI, K = 32, N = 16", "sonar", &["ldvi", "--bridges", "32", "--iterations", "1000"]),
    (
        "sonar, LDVI, K = 64, N = 64",
        "sonar",
        &["ldvi", "--bridges", "64", "--grad-samples", "64", "--iterations", "200"],
    ),
    (
        "sonar, LDVI, K = 256, N = 5",
        "sonar",
        &["ldvi", "--bridges", "256", "--grad-samples", "5", "--iterations", "300"],
    ),
    (
        "sonar, SIVI-SM, B = 256",
        "sonar",
        &["sivi-sm", "--grad-samples", "256", "--iterations", "2000"],
    ),
    (
        "sonar, SIVI-SM, B = 1024",
        "sonar",
        &["sivi-sm", "--grad-samples", "1024", "--iterations", "500"],
    ),
];

/// Measures and writes the table.
///
/// # Errors
/// When a run fails, or a file cannot be read or written.
pub(super) fn run(arguments: &[String]) -> Result<(), String> {
    if !arguments.is_empty() {
        return Err(USAGE.into());
    }
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut rows = Vec::new();
    for (name, example, task) in TASKS {
        let model = examples.join(example).join("model.ppl");
        let model = model.to_string_lossy();
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
