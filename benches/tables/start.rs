//! Cold start: from the start of a process to its end, with files written, beside the same in NumPyro.
//!
//! `cargo bench --bench tables -- start`
//!
//! Eight schools, 4000 draws, by mean-field and Pathfinder; NumPyro's is its stochastic variational
//! inference with a mean-field guide (`benches/peers/numpyro_start.py`). Processor time, least of five.

use std::path::Path;

use super::processes::{Taken, least};
use crate::section;

/// What the command takes.
pub(super) const USAGE: &str = "start";

const TITLE: &str = "Cold start";
const RUNS: usize = 5;

/// Measures and writes the table.
///
/// # Errors
/// When a program of ours fails, or the file cannot be written.
pub(super) fn run(arguments: &[String]) -> Result<(), String> {
    if !arguments.is_empty() {
        return Err(USAGE.into());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let binary = env!("CARGO_BIN_EXE_ppl");
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let out = folder.path().join("run").to_string_lossy().into_owned();
    let model = root.join("examples/eight_schools/model.ppl").to_string_lossy().into_owned();
    let fit =
        |method: &str| least(RUNS, binary, &["run", &model, "--infer", method, "--out", &out]);
    let mut rows = Vec::new();
    let mut add = |what: &str, taken: Taken| {
        let row = vec![what.to_owned(), format!("{:.2}", taken.cpu_s), format!("{:.0}", taken.mib)];
        println!("{}", row.join(" | "));
        rows.push(row);
    };
    add("`ppl --version`", least(RUNS, binary, &["--version"])?);
    add("`ppl check`", least(RUNS, binary, &["check", &model])?);
    for method in ["mean-field", "pathfinder", "auto"] {
        add(&format!("`ppl run --infer {method}`"), fit(method)?);
    }
    let peer = root.join("benches/peers/numpyro_start.py").to_string_lossy().into_owned();
    match least(1, "python3", &[&peer]) {
        Ok(taken) => add("NumPyro, mean-field", taken),
        Err(why) => println!("NumPyro: skipped, {}", why.lines().last().unwrap_or_default()),
    }
    let size = std::fs::metadata(binary).map_err(|e| format!("{binary}: {e}"))?.len();
    let text = format!(
        "From the start of a process to its end, eight schools: processor time of all threads and peak \
         resident memory, least of {RUNS} runs (of NumPyro one): `cargo bench --bench tables -- start`. \
         PyStan compiles C++ first, 31 to 53 s of processor time and 2 GB \
         (`../shared/reference/posteriordb/stan-baseline.md`). The binary is {:.1} MB.\n\n{}",
        size as f64 * 1e-6,
        section::table(&["what", "CPU s", "MiB"], &rows)
    );
    section::write(TITLE, &text)
}
