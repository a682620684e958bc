//! Log density with gradient over the posteriors of `../shared/reference/posteriordb`, side by side with
//! NumPyro and with what Stan's compiled C++ took.
//!
//! `taskset -c 1 cargo bench --bench tables -- densities --only hmm,garch`
//!
//! Milliseconds of processor time from the files of model and data to a log density. Microseconds of
//! processor time a point, the fastest of many repetitions, at the points of `fixtures.json` in turn: 64 at once
//! in `f32` beside NumPyro's vectorised, jitted potential (`benches/peers/numpyro_gradients.py`), one point in `f64`
//! beside Stan (`stan-baseline.md` there, measured once on a like machine). A row replaces that of an
//! earlier run; without the peers' programs or numbers their columns stay empty.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use cpu_time::{ProcessTime, ThreadTime};
use ppl::density::{LogDensity, Residuals};
use ppl::real::Real;

use super::options::{list, options};
use super::posteriors::compile;
use crate::section;

/// What the command takes.
pub(super) const USAGE: &str = "densities [--only A,B]";

const TITLE: &str = "Log density with gradient";
const COLUMNS: [&str; 9] = [
    "posterior",
    "dim",
    "compile, ms",
    "f32, 64 points",
    "NumPyro",
    "NumPyro / ppl",
    "f64, 1 point",
    "Stan",
    "HVP / gradient",
];
/// Points in a batch.
const BATCH: usize = 64;
/// Seconds of processor time for one number, and for one repetition at least.
const PATIENCE: f64 = 0.2;
const REPETITION: f64 = 2e-3;

/// Measures what is asked for; the table is brought up to date after each row.
///
/// # Errors
/// For models that do not compile, and files that cannot be written.
pub(super) fn run(arguments: &[String]) -> Result<(), String> {
    let given = options(arguments, &["--only"]).map_err(|e| format!("{e}; {USAGE}"))?;
    let only = list(&given, "only", &[""]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/posteriordb");
    let mut rows = section::runs::<1>(TITLE, &COLUMNS);
    let stan = stan(&root);
    for folder in folders(&root) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some((_, model)) = name.split_once('-') else { continue };
        if !only.iter().any(|wanted| name.contains(wanted.as_str())) {
            continue;
        }
        let row = measure(&folder, model, stan.get(model))?;
        println!("{name} | {}", row.join(" | "));
        rows.insert([name], row);
        section::write(TITLE, &body(&rows))?;
    }
    Ok(())
}

/// Folders with data, those without reference draws last.
fn folders(root: &Path) -> Vec<PathBuf> {
    let within = |dir: PathBuf| {
        let entries = std::fs::read_dir(dir).ok().into_iter().flatten().flatten();
        let paths = entries.map(|e| e.path()).filter(|p| p.join("data.json").exists());
        let mut paths: Vec<PathBuf> = paths.collect();
        paths.sort();
        paths
    };
    [root.to_owned(), root.join("extra")].into_iter().flat_map(within).collect()
}

/// Microseconds a gradient by model, as `stan-baseline.md` has them.
fn stan(root: &Path) -> BTreeMap<String, f64> {
    let text = std::fs::read_to_string(root.join("stan-baseline.md")).unwrap_or_default();
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        Some((cells.first()?.to_string(), cells.get(3)?.parse().ok()?))
    };
    text.lines().filter_map(row).collect()
}

/// The cells of a row after the first.
fn measure(folder: &Path, model: &str, stan: Option<&f64>) -> Result<Vec<String>, String> {
    let began = ProcessTime::now();
    let posterior = compile(folder, model)?;
    let compile_ms = 1e3 * began.elapsed().as_secs_f64();
    let target = posterior.target();
    let points = points(folder)?;
    let (single, _) = times(target.f32.as_ref(), &points, BATCH);
    let (double, hvp) = times(target.f64.as_ref(), &points, BATCH);
    let (alone, _) = times(target.f64.as_ref(), &points, 1);
    let numpyro = section::peer(
        "benches/peers/numpyro_gradients.py",
        &[&folder.to_string_lossy(), "--batch", &BATCH.to_string()],
    );
    let numpyro = numpyro.ok().and_then(|report| report["us_per_point"].as_f64());
    let cell = |x: f64| if x < 1.0 { format!("{x:.3}") } else { format!("{x:.2}") };
    let or_empty = |x: Option<f64>| x.map_or_else(String::new, cell);
    Ok(vec![
        posterior.dim().to_string(),
        format!("{compile_ms:.1}"),
        cell(single),
        or_empty(numpyro),
        or_empty(numpyro.map(|n| n / single)),
        cell(alone),
        or_empty(stan.copied()),
        cell(hvp / double),
    ])
}

/// The points at which the density is known, one after the other.
fn points(folder: &Path) -> Result<Vec<f64>, String> {
    let path = folder.join("fixtures.json");
    let fault = |e: &dyn Display| format!("{}: {e}", path.display());
    let text = std::fs::read_to_string(&path).map_err(|e| fault(&e))?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|e| fault(&e))?;
    let points = json["points"].as_array().into_iter().flatten();
    Ok(points
        .flat_map(|point| point["unconstrained"].as_array().into_iter().flatten())
        .filter_map(serde_json::Value::as_f64)
        .collect())
}

/// Microseconds a point of value with gradient, and of a Hessian-vector product after it, at as many of
/// `points` as the batch has, in turn.
fn times<E: Real>(density: &dyn LogDensity<E>, points: &[f64], batch: usize) -> (f64, f64) {
    let n = batch * density.dim();
    let points: Vec<E> = points.iter().cycle().take(n).map(|&x| E::of(x)).collect();
    let (mut log_p, mut score) = (vec![E::of(0.0); batch], vec![E::of(0.0); n]);
    let gradient = fastest(|| density.score(&points, &mut log_p, &mut score));
    let mut keep = Residuals::default();
    density.score_keep(&points, &mut score, &mut keep);
    let mut out = vec![E::of(0.0); n];
    let hvp = fastest(|| density.hvp(&keep, &points, &mut out));
    (1e6 * gradient / batch as f64, 1e6 * hvp / batch as f64)
}

/// Seconds of processor time a call.
fn fastest(mut call: impl FnMut()) -> f64 {
    let mut timed = |repeats: usize| {
        let began = ThreadTime::now();
        (0..repeats).for_each(|_| call());
        began.elapsed().as_secs_f64()
    };
    // The first call may allocate.
    timed(1);
    let repeats = (REPETITION / timed(1).max(1e-9)).ceil() as usize;
    let (mut best, mut spent) = (f64::INFINITY, 0.0);
    while spent < PATIENCE {
        let seconds = timed(repeats);
        best = best.min(seconds / repeats as f64);
        spent += seconds;
    }
    best
}

fn body(rows: &BTreeMap<[String; 1], Vec<String>>) -> String {
    let ratios: Vec<f64> = rows.values().filter_map(|row| row[4].parse().ok()).collect();
    let stan: Vec<f64> = rows
        .values()
        .filter_map(|row| Some(row[6].parse::<f64>().ok()? / row[5].parse::<f64>().ok()?))
        .collect();
    let mean = |x: &[f64]| (x.iter().map(|x| x.ln()).sum::<f64>() / x.len() as f64).exp();
    let least = |x: &[f64]| x.iter().copied().fold(f64::INFINITY, f64::min);
    let full: Vec<Vec<String>> =
        rows.iter().map(|([name], row)| [std::slice::from_ref(name), &row[..]].concat()).collect();
    format!(
        "Microseconds of processor time a point, one core: \
         `taskset -c 1 cargo bench --bench tables -- densities`. NumPyro's vectorised, jitted potential \
         with gradient in `f32` at 64 points, alternating; Stan's gradient in `f64` from \
         `../shared/reference/posteriordb/stan-baseline.md`, measured once on a like machine.\n\n\
         {}\nGeometric means: NumPyro / ppl {:.2} ({} posteriors, least {:.2}); Stan / ppl {:.2} \
         ({} posteriors, least {:.2}).",
        section::table(&COLUMNS, &full),
        mean(&ratios),
        ratios.len(),
        least(&ratios),
        mean(&stan),
        stan.len(),
        least(&stan),
    )
}
