//! The same numbers on every instruction set, to which vector loops are forced down by `--simd`, and in
//! single precision.
//!
//! Fused products round once where others round twice, so the bits differ; how far is stated here and in
//! docs/reliability.md.
#![allow(clippy::print_stdout, reason = "tests say what they skip and what they measured")]

use std::path::Path;
use std::process::Command;

use ppl::data::DataSet;
use ppl::density::LogDensity;
use ppl::driver::Session;
use ppl::inference::Target;
use ppl::real::Real;
use serde_json::{Value, json};

use crate::effort::thorough;
use crate::files::below;
use crate::problems::Problems;
use crate::random_ir::numbers;

/// Largest difference of values, slopes and products, relative to the largest of their kind or 1.
const VALUES: f64 = 1e-10;
/// Largest difference of draws after twenty steps of training, in the same measure.
const TRAINED: f64 = 1e-6;

/// Largest differences of values and slopes in single precision, in the same measure. Of products with the
/// Hessian nothing is said: far from the posterior a recursion of 100 steps leaves them one digit.
const SINGLE: [f64; 2] = [1e-5, 1e-3];

fn ppl(arguments: &[&str]) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_ppl")).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{arguments:?}: {said}");
    String::from_utf8(done.stdout).unwrap()
}

/// The numbers of a field, one or many.
fn numbers_of(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(all) => all.iter().flat_map(numbers_of).collect(),
        other => other.as_f64().into_iter().collect(),
    }
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let size = a.iter().fold(1.0_f64, |m, x| m.max(x.abs()));
    a.iter().zip(b).map(|(a, b)| (a - b).abs() / size).fold(0.0, f64::max)
}

/// Examples and, where there is time, all models of the suite that need no data of the references.
fn models() -> Vec<std::path::PathBuf> {
    let with_data = |path: &std::path::PathBuf| path.with_file_name("data.json").exists();
    let mut all: Vec<_> = below("examples", "ppl").into_iter().filter(with_data).collect();
    if thorough() {
        all.extend(below("tests/models", "ppl").into_iter().filter(with_data));
    }
    all
}

#[test]
fn values_slopes_and_products_agree_over_instruction_sets() {
    let folder = tempfile::tempdir().unwrap();
    let points = folder.path().join("points.json");
    let mut compared = 0;
    for model in models() {
        let data = model.with_file_name("data.json");
        let mut session = Session::new();
        let text = std::fs::read_to_string(&model).unwrap();
        let checked = session.check(&model.display().to_string(), &text).unwrap();
        let posterior = session.compile(&checked, &DataSet::read(&data).unwrap()).unwrap();
        let z: Vec<Value> = (1..4)
            .map(|seed| json!({"unconstrained": numbers(seed, posterior.dim(), -1.0, 1.0)}))
            .collect();
        std::fs::write(&points, Value::Array(z).to_string()).unwrap();
        let at = |level: &str| {
            let path = |p: &Path| p.display().to_string();
            ppl(&[
                "log-density",
                &path(&model),
                "--data",
                &path(&data),
                "--at",
                &path(&points),
                "--gradient",
                "--hvp",
                "--simd",
                level,
            ])
        };
        for (a, b) in at("scalar").lines().zip(at("avx2").lines()) {
            let (a, b): (Value, Value) =
                (serde_json::from_str(a).unwrap(), serde_json::from_str(b).unwrap());
            for field in ["log_density", "gradient", "hvp"] {
                let (a, b) = (numbers_of(&a[field]), numbers_of(&b[field]));
                assert!(!a.is_empty(), "{}: no {field}", model.display());
                let off = largest_difference(&a, &b);
                assert!(off <= VALUES, "{}: {field} differs by {off:e}", model.display());
                compared += a.len();
            }
        }
    }
    println!("{compared} numbers compared");
    assert!(compared > 100, "{compared}");
}

/// Value and slope at one point.
fn at<E: Real>(density: &dyn LogDensity<E>, z: &[f64]) -> [Vec<f64>; 2] {
    let z: Vec<E> = z.iter().map(|x| E::of(*x)).collect();
    let (mut log_p, mut score) = ([E::zero()], vec![E::zero(); z.len()]);
    density.score(&z, &mut log_p, &mut score);
    let wide = |x: &[E]| x.iter().map(|x| x.f64()).collect();
    [wide(&log_p), wide(&score)]
}

#[test]
fn single_precision_agrees_to_its_digits() {
    let (mut compared, mut worst, mut problems) = (0, [0.0_f64; 2], Problems::default());
    for model in models() {
        let mut session = Session::new();
        let text = std::fs::read_to_string(&model).unwrap();
        let checked = session.check(&model.display().to_string(), &text).unwrap();
        let data = DataSet::read(&model.with_file_name("data.json")).unwrap();
        let posterior = session.compile(&checked, &data).unwrap();
        let Target { f64: double, f32: single } = posterior.target();
        for seed in 1..4 {
            let z = numbers(seed, posterior.dim(), -1.0, 1.0);
            let (a, b) = (at(double.as_ref(), &z), at(single.as_ref(), &z));
            for (k, what) in ["value", "slope"].into_iter().enumerate() {
                let off = largest_difference(&a[k], &b[k]);
                worst[k] = worst[k].max(off);
                let said = format!("{}: {what} differs by {off:e}", model.display());
                problems.expect(off <= SINGLE[k], || said);
                compared += a[k].len();
            }
        }
    }
    println!("{compared} numbers compared, off by {worst:?} at most");
    problems.finish();
    assert!(compared > 100, "{compared}");
}

#[test]
fn short_runs_agree_over_instruction_sets() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/eight_schools/model.ppl");
    let model = model.display().to_string();
    for method in ["mean-field", "full-rank", "ldvi", "sivi"] {
        let folder = tempfile::tempdir().unwrap();
        let draws = |level: &str| -> Vec<f64> {
            let out = folder.path().join(level).display().to_string();
            ppl(&[
                "run",
                &model,
                "--infer",
                method,
                "--iterations",
                "20",
                "--draws",
                "100",
                "--seed",
                "3",
                "--set",
                &format!("{method}.resample=false"),
                "--simd",
                level,
                "--out",
                &out,
                "--quiet",
            ]);
            let text = std::fs::read_to_string(Path::new(&out).join("draws.csv")).unwrap();
            let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1);
            rows.flat_map(|row| {
                row.split(',').map(|x| x.parse::<f64>().unwrap()).collect::<Vec<_>>()
            })
            .collect()
        };
        let (a, b) = (draws("scalar"), draws("avx2"));
        let off = largest_difference(&a, &b);
        println!("{method}: {} numbers, off by {off:e}", a.len());
        assert!(off <= TRAINED, "{method}: draws differ by {off:e}");
    }
}
