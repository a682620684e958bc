//! Sections of `benches/RESULTS.md`, one for each table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cpu_time::{ProcessTime, ThreadTime};

fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/RESULTS.md"))
}

fn text() -> String {
    let head = "# Results\n\nMeasured by `cargo bench --bench tables -- TABLE`; \
                each section says with which arguments and where.\n";
    std::fs::read_to_string(path()).unwrap_or_else(|_| head.to_owned())
}

/// Start and end of the section under the heading `## TITLE`.
fn bounds(text: &str, title: &str) -> Option<(usize, usize)> {
    let start = text.find(&format!("## {title}\n"))?;
    let end = text[start + 3..].find("\n## ").map_or(text.len(), |at| start + 3 + at + 1);
    Some((start, end))
}

/// The rows of the first table under a heading, as cells.
pub(super) fn rows(title: &str) -> Vec<Vec<String>> {
    let text = text();
    let Some((start, end)) = bounds(&text, title) else { return Vec::new() };
    let table = text[start..end].lines().skip_while(|l| !l.starts_with('|'));
    table
        .take_while(|l| l.starts_with('|'))
        .skip(2)
        .map(|l| l.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect())
        .collect()
}

/// The rows under a heading that have these columns, by the first `N` cells, which name them.
pub(super) fn runs<const N: usize>(
    title: &str,
    columns: &[&str],
) -> BTreeMap<[String; N], Vec<String>> {
    let rows = rows(title).into_iter().filter(|row| row.len() == columns.len());
    rows.map(|mut row| {
        let rest = row.split_off(N);
        (row.try_into().expect("N cells are left"), rest)
    })
    .collect()
}

/// Puts `body` under the heading, in place of what is there.
pub(super) fn write(title: &str, body: &str) -> Result<(), String> {
    let mut text = text();
    let section = format!("## {title}\n\n{}\n", body.trim_end());
    match bounds(&text, title) {
        Some((start, end)) => {
            let gap = if end < text.len() { "\n" } else { "" };
            text.replace_range(start..end, &format!("{section}{gap}"));
        }
        None => text.push_str(&format!("\n{section}")),
    }
    std::fs::write(path(), text).map_err(|e| format!("benches/RESULTS.md: {e}"))
}

/// Seconds of processor time that this process has had.
pub(super) fn cpu_seconds() -> f64 {
    ProcessTime::now().as_duration().as_secs_f64()
}

/// Milliseconds of processor time that this thread has had.
pub(super) fn thread_cpu_ms() -> f64 {
    1e3 * ThreadTime::now().as_duration().as_secs_f64()
}

/// The middle of some numbers.
pub(super) fn median(mut x: Vec<f64>) -> f64 {
    x.sort_by(f64::total_cmp);
    x[x.len() / 2]
}

/// A table.
pub(super) fn table<'a>(
    columns: &[&str],
    rows: impl IntoIterator<Item = &'a Vec<String>>,
) -> String {
    let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    let mut text = line(columns) + &line(&vec!["---"; columns.len()]);
    for row in rows {
        text += &line(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
    text
}

/// Milliseconds of processor time of a training iteration, by a peer's own report.
pub(super) fn peer_iteration_ms(program: &str, arguments: &[&str]) -> Result<f64, String> {
    let time = peer(program, arguments)?["cpu_ms_per_iter_median"].as_f64();
    time.ok_or_else(|| format!("{program} reports no time"))
}

/// Runs a Python program, named from the root of the checkout, and gives the JSON that it prints.
pub(super) fn peer(program: &str, arguments: &[&str]) -> Result<serde_json::Value, String> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(program);
    let output = std::process::Command::new("python3")
        .arg(&program)
        .args(arguments)
        .env("JAX_PLATFORMS", "cpu")
        .output()
        .map_err(|e| format!("python3: {e}"))?;
    serde_json::from_slice(&output.stdout).map_err(|e| {
        format!("{}: {e}: {}", program.display(), String::from_utf8_lossy(&output.stderr))
    })
}
