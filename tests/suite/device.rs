//! The IR as dfdx tensors, on dfdx's CPU device: every operation against the reference executor (from `exec`,
//! whose cases these are), every model against the fast executor.

use std::path::Path;

use dfdx::prelude::{Cache, Cpu, Device, TensorFromVec};
use ppl::data::{DataSet, Format};
use ppl::density::{LogDensity, Residuals};
use ppl::driver::Session;
use ppl::exec::device::{DeviceDensity, Number, Program};
use ppl::ir::{Function, Tensor};
use ppl::posterior::Posterior;
use serde_json::Value;

use crate::conformance::{compile, model_text, shared};
use crate::random_ir::numbers;
use crate::tolerance::close;

fn cpu() -> Cpu {
    let device = Cpu::default();
    device.enable_cache();
    device
}

/// Checks a function at points whose outputs are known, unless it has no form on a device.
pub(crate) fn check(f: &Function, points: &[Vec<Tensor>], expected: &[Vec<Tensor>]) {
    check_in::<f64>(f, points, expected, 1e-12);
    check_in::<f32>(f, points, expected, 3e-4);
}

fn check_in<E: Number>(f: &Function, points: &[Vec<Tensor>], expected: &[Vec<Tensor>], tol: f64)
where
    Cpu: Device<E>,
{
    let Ok(program) = Program::<E, Cpu>::new(&cpu(), f) else { return };
    let of = |i: usize| -> Vec<E> {
        points.iter().flat_map(|p| p[i].data.iter().map(|&x| E::of(x))).collect()
    };
    let inputs: Vec<Vec<E>> = (0..f.inputs.len()).map(of).collect();
    let inputs: Vec<&[E]> = inputs.iter().map(Vec::as_slice).collect();
    let found = program.evaluate(points.len(), &inputs);
    for (o, output) in f.outputs.iter().enumerate() {
        for (b, expected) in expected.iter().enumerate() {
            let wanted = &expected[o].data;
            for (i, want) in wanted.iter().enumerate() {
                let x = found[o][b * wanted.len() + i].f64();
                let what = || {
                    format!("{}[{i}] of point {b}, {} wide\n{f}", output.name, E::epsilon().f64())
                };
                assert!(close(x, *want, tol, tol), "{x} for {want}: {}", what());
            }
        }
    }
}

/// Value, score and product of a batch.
struct Evaluated {
    log_p: Vec<f64>,
    score: Vec<f64>,
    product: Vec<f64>,
}

fn wide<E: Number>(x: &[E]) -> Vec<f64> {
    x.iter().map(|x| x.f64()).collect()
}

/// What the fast executor has.
fn fast<E: Number>(density: &dyn LogDensity<E>, z: &[f64], v: &[f64]) -> Evaluated {
    let d = density.dim();
    let of = |x: &[f64]| x.iter().map(|x| E::of(*x)).collect::<Vec<E>>();
    let (z, v) = (of(z), of(v));
    let (mut log_p, mut score) = (vec![E::zero(); z.len() / d], vec![E::zero(); z.len()]);
    let mut product = score.clone();
    let mut keep = Residuals::default();
    density.score(&z, &mut log_p, &mut score);
    density.score_keep(&z, &mut score, &mut keep);
    density.hvp(&keep, &v, &mut product);
    Evaluated { log_p: wide(&log_p), score: wide(&score), product: wide(&product) }
}

/// What the device has.
fn lowered<E: Number>(density: &DeviceDensity<E, Cpu>, z: &[f64], v: &[f64]) -> Evaluated
where
    Cpu: Device<E>,
{
    let d = density.dim();
    let of = |x: &[f64]| {
        let x: Vec<E> = x.iter().map(|x| E::of(*x)).collect();
        let n = x.len() / d;
        density.device().tensor_from_vec(x, (n, d))
    };
    let (z, v) = (of(z), of(v));
    let (log_p, _) = density.score(&z);
    assert_eq!(wide(&log_p.as_vec()), wide(&density.log_density(&z).as_vec()));
    let (score, kept) = density.score_keep(&z);
    let product = density.hvp(&kept, &v);
    Evaluated {
        log_p: wide(&log_p.as_vec()),
        score: wide(&score.as_vec()),
        product: wide(&product.as_vec()),
    }
}

/// The models that have no form on a device, and why.
#[derive(Default)]
struct Refused(Vec<(String, String)>);

impl Refused {
    /// Compares the two at three points, in both precisions.
    fn check(&mut self, name: &str, posterior: &Posterior) {
        let dev = cpu();
        let (wide, narrow) = match DeviceDensity::<f64, Cpu>::new(&dev, posterior.hvp()) {
            Ok(wide) => (wide, DeviceDensity::<f32, Cpu>::new(&dev, posterior.hvp()).unwrap()),
            Err(refusal) => {
                assert!(refusal.span.is_some(), "{name}: a refusal has a place");
                self.0.push((name.into(), refusal.operation));
                return;
            }
        };
        let d = posterior.dim();
        let (z, v) = (numbers(11, 3 * d, -0.6, 0.6), numbers(12, 3 * d, -1.0, 1.0));
        let target = posterior.target();
        let exact = fast(&**target.f64, &z, &v);
        let (f64s, f32s) = (lowered(&wide, &z, &v), lowered(&narrow, &z, &v));
        let theirs = fast(&**target.f32, &z, &v);
        let parts = |e: Evaluated| [e.log_p, e.score, e.product];
        let all = parts(exact)
            .into_iter()
            .zip(parts(f64s))
            .zip(parts(f32s).into_iter().zip(parts(theirs)));
        for (what, ((exact, f64s), (f32s, theirs))) in ["value", "score", "product"].iter().zip(all)
        {
            let scale =
                exact.iter().filter(|x| x.is_finite()).fold(1.0, |m: f64, x| m.max(x.abs()));
            let off = |x: &[f64]| {
                let off = exact
                    .iter()
                    .zip(x)
                    .map(|(e, x)| if close(*e, *x, 0.0, 0.0) { 0.0 } else { (e - x).abs() });
                off.fold(0.0, |m: f64, x| if x.is_nan() { f64::INFINITY } else { m.max(x) })
            };
            assert!(off(&f64s) <= 1e-9 * scale, "{name}: {what} off by {} of {scale}", off(&f64s));
            let allowed = 30.0 * off(&theirs) + 1e-4 * scale;
            assert!(
                off(&f32s) <= allowed,
                "{name}: {what} in f32 off by {} of {scale}",
                off(&f32s)
            );
        }
    }

    /// What is refused is what `docs/cuda.md` says, and there is no more of it than this.
    fn end(self, most: usize) {
        let known = ["differential equation", "system of equations", "eigenvalue", "`"];
        for (name, why) in &self.0 {
            println!("{name}: {why}");
            assert!(known.iter().any(|k| why.contains(k)), "{name}: {why}");
        }
        assert!(self.0.len() <= most, "{} models have no form on a device", self.0.len());
    }
}

fn check_rows(text: &str, most: usize) {
    let mut refused = Refused::default();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let name = row["model"].as_str().unwrap();
        let data = row["data"].to_string();
        let data = DataSet::from_bytes("data.json", Some(Format::Json), data.as_bytes()).unwrap();
        let mut session = Session::new();
        let posterior = session
            .check(name, &model_text(name))
            .and_then(|model| session.compile(&model, &data))
            .unwrap_or_else(|| panic!("{name}: {}", session.render(false)));
        refused.check(name, &posterior);
    }
    refused.end(most);
}

#[test]
fn models_agree_with_the_fast_executor() {
    check_rows(include_str!("../reference/models.jsonl"), 4);
}

#[test]
fn models_of_posteriordb_agree_with_the_fast_executor() {
    check_rows(include_str!("../reference/posteriordb.jsonl"), 4);
}

#[test]
fn examples_and_fixtures_agree_with_the_fast_executor() {
    let mut refused = Refused::default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut models = Vec::new();
    for entry in std::fs::read_dir(root.join("examples")).unwrap() {
        let folder = entry.unwrap().path();
        models.push((folder.join("model.ppl"), folder.join("data.json")));
    }
    for entry in std::fs::read_dir(root.join("tests/ir")).unwrap() {
        let model = entry.unwrap().path();
        models.push((model.clone(), model.with_extension("json")));
    }
    models.retain(|(model, data)| {
        model.extension().is_some_and(|e| e == "ppl") && model.exists() && data.exists()
    });
    models.sort();
    assert!(models.len() > 20, "{models:?}");
    for (model, data) in models {
        let name = model.display().to_string();
        let data = DataSet::read(&data).unwrap();
        let mut session = Session::new();
        let posterior = session
            .check(&name, &std::fs::read_to_string(&model).unwrap())
            .and_then(|checked| session.compile(&checked, &data))
            .unwrap_or_else(|| panic!("{name}: {}", session.render(false)));
        refused.check(&name, &posterior);
    }
    refused.end(4);
}

/// With the data of posteriordb itself, some of which is large.
#[test]
fn posteriors_agree_with_the_fast_executor() {
    let Some(folder) = shared("posteriordb") else { return };
    let mut refused = Refused::default();
    let mut cases: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    cases.sort();
    for case in cases {
        let name = case.file_name().unwrap().to_str().unwrap().to_owned();
        let Some((_, model)) = name.split_once('-') else { continue };
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(model);
        if !path.exists() || !case.join("data.json").exists() {
            continue;
        }
        let data = DataSet::read(&case.join("data.json")).unwrap();
        refused.check(&name, &compile(model, &data));
    }
    refused.end(4);
}
