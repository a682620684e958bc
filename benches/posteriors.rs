//! Log density with gradient, and Hessian-vector product, over the posteriors of
//! `../shared/reference/posteriordb`: microseconds a point, alone and in batches of 64.
//!
//! Each number is the fastest of many short repetitions, so that other work on the machine counts
//! little. Run: `cargo bench --bench posteriors [NAME]`.
#![allow(clippy::print_stdout, reason = "a bench's result is what it prints")]

use std::path::Path;
use std::time::{Duration, Instant};

use ppl::data::DataSet;
use ppl::density::{LogDensity, Residuals};
use ppl::driver::Session;
use ppl::real::Real;

/// How long one number is measured.
const PATIENCE: Duration = Duration::from_millis(150);

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let reference = root.join("../shared/reference/posteriordb");
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let mut folders: Vec<_> = [reference.clone(), reference.join("extra")]
        .iter()
        .filter_map(|dir| std::fs::read_dir(dir).ok())
        .flat_map(|entries| entries.flatten().map(|e| e.path()))
        .filter(|path| path.join("data.json").exists())
        .collect();
    folders.sort();
    if folders.is_empty() {
        println!("skipped: ../shared is absent");
        return;
    }
    println!(
        "{:32} {:>4} {:>10} {:>10} {:>10} {:>10} {:>8}",
        "model", "dim", "compile ms", "f64, 1", "f64, 64", "f32, 64", "hvp/grad"
    );
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some((_, model)) = name.split_once('-') else { continue };
        if !wanted.is_empty() && !wanted.iter().any(|w| model.contains(w.as_str())) {
            continue;
        }
        let Ok(text) =
            std::fs::read_to_string(root.join("tests/models").join(model).join("model.ppl"))
        else {
            println!("{model:32} has no model.ppl");
            continue;
        };
        let Ok(data) = DataSet::read(&folder.join("data.json")) else { continue };
        let start = Instant::now();
        let mut session = Session::new();
        let compiled =
            session.check(model, &text).and_then(|checked| session.compile(&checked, &data));
        let compile = start.elapsed();
        let Some(posterior) = compiled else {
            println!("{model:32} {}", session.render(false));
            continue;
        };
        let target = posterior.target();
        let (alone, _) = times(target.f64.as_ref(), 1);
        let (double, hvp) = times(target.f64.as_ref(), 64);
        let (single, _) = times(target.f32.as_ref(), 64);
        println!(
            "{model:32} {:4} {:10.1} {alone:10.2} {double:10.2} {single:10.2} {:8.2}",
            posterior.dim(),
            1e3 * compile.as_secs_f64(),
            hvp / double
        );
    }
}

/// Microseconds a point of value with gradient, and of a Hessian-vector product after it.
fn times<E: Real>(density: &dyn LogDensity<E>, batch: usize) -> (f64, f64) {
    let n = batch * density.dim();
    let points: Vec<E> = (0..n).map(|i| E::of(0.1 * (i as f64 * 0.7).sin())).collect();
    let (mut log_p, mut score) = (vec![E::of(0.0); batch], vec![E::of(0.0); n]);
    let gradient = fastest(|| density.score(&points, &mut log_p, &mut score));
    let mut keep = Residuals::default();
    density.score_keep(&points, &mut score, &mut keep);
    let mut out = vec![E::of(0.0); n];
    let hvp = fastest(|| density.hvp(&keep, &points, &mut out));
    (1e6 * gradient / batch as f64, 1e6 * hvp / batch as f64)
}

/// Seconds a call, the fastest of repetitions of about a millisecond.
fn fastest(mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    call();
    let repeats = (1e-3 / start.elapsed().as_secs_f64().max(1e-9)).clamp(1.0, 1e5) as usize;
    let mut best = f64::INFINITY;
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let start = Instant::now();
        for _ in 0..repeats {
            call();
        }
        best = best.min(start.elapsed().as_secs_f64() / repeats as f64);
    }
    best
}
