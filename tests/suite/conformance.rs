//! Log density, gradient and Hessian-vector product against fixtures (`../shared/reference`), and
//! against the reference executor. Here those of the Langevin papers' tasks; `posteriordb` has Stan's.

use std::path::{Path, PathBuf};

use ppl::data::DataSet;
use ppl::density::{LogDensity, Residuals};
use ppl::driver::Session;
use ppl::exec::reference;
use ppl::ir::{Tensor, Type};
use ppl::posterior::Posterior;
use serde_json::Value;

use crate::tolerance::close;

/// The folder with reference values, or a word on standard output that there is none.
pub(crate) fn shared(below: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference").join(below);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: ../shared is absent");
    None
}

/// The text of `tests/models/NAME/model.ppl`.
pub(crate) fn model_text(model: &str) -> String {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(model).join("model.ppl");
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Compiles `tests/models/NAME/model.ppl` with the given data.
pub(crate) fn compile(model: &str, data: &DataSet) -> Posterior {
    let mut session = Session::new();
    let posterior = session
        .check(model, &model_text(model))
        .and_then(|checked| session.compile(&checked, data));
    posterior.unwrap_or_else(|| panic!("{}", session.render(false)))
}

/// A file as Python writes it: with NaN where there is no number.
pub(crate) fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap().replace(": NaN", ": null");
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn reals(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// A point with its log density (up to a constant common to all points) and gradient.
pub(crate) struct Fixture {
    pub(crate) z: Vec<f64>,
    pub(crate) log_density: f64,
    pub(crate) gradient: Vec<f64>,
}

/// Checks one density at all points, `rtol` for values and, scaled by the largest element, gradients.
pub(crate) fn check(name: &str, posterior: &Posterior, fixtures: &[Fixture], rtol: f64) {
    let density = posterior.target().f64;
    let d = density.dim();
    let b = fixtures.len();
    assert!(b >= 3, "{name}: only {b} points");
    let z: Vec<f64> = fixtures.iter().flat_map(|f| f.z.clone()).collect();
    assert_eq!(z.len(), b * d, "{name}: dimension");
    let (mut log_p, mut score) = (vec![0.0; b], vec![0.0; b * d]);
    density.score(&z, &mut log_p, &mut score);
    for (i, f) in fixtures.iter().enumerate() {
        let (ours, theirs) = (log_p[i] - log_p[0], f.log_density - fixtures[0].log_density);
        let scale = log_p[i].abs().max(log_p[0].abs()).max(1.0);
        assert!((ours - theirs).abs() <= rtol * scale, "{name} point {i}: {ours} for {theirs}");
        let largest = f.gradient.iter().fold(1.0_f64, |m, g| m.max(g.abs()));
        for (j, (g, want)) in score[i * d..(i + 1) * d].iter().zip(&f.gradient).enumerate() {
            assert!(
                (g - want).abs() <= rtol * largest,
                "{name} point {i}, d/dz[{j}]: {g} for {want}"
            );
        }
    }
    check_hvp(name, density.as_ref(), &z, b, rtol);
    check_reference(name, posterior, fixtures, &log_p, &score, rtol);
}

/// The Hessian-vector product against Richardson-extrapolated differences of the score, and symmetry.
fn check_hvp(name: &str, density: &dyn LogDensity<f64>, z: &[f64], b: usize, rtol: f64) {
    let d = density.dim();
    let wave = |i: usize, phase: f64| ((i as f64) * 0.7 + phase).sin();
    let v: Vec<f64> = (0..b * d).map(|i| wave(i, 0.3)).collect();
    let u: Vec<f64> = (0..b * d).map(|i| wave(i, 1.9)).collect();
    let mut keep = Residuals::default();
    let mut score = vec![0.0; b * d];
    density.score_keep(z, &mut score, &mut keep);
    let (mut hv, mut hu) = (vec![0.0; b * d], vec![0.0; b * d]);
    density.hvp(&keep, &v, &mut hv);
    density.hvp(&keep, &u, &mut hu);
    let slope = |h: f64| {
        let shifted = |sign: f64| {
            let at: Vec<f64> = z.iter().zip(&v).map(|(z, v)| z + sign * h * v).collect();
            let (mut l, mut s) = (vec![0.0; b], vec![0.0; b * d]);
            density.score(&at, &mut l, &mut s);
            s
        };
        let (up, down) = (shifted(1.0), shifted(-1.0));
        up.iter().zip(&down).map(|(a, c)| (a - c) / (2.0 * h)).collect::<Vec<f64>>()
    };
    let (wide, narrow) = (slope(2e-4), slope(1e-4));
    for i in 0..b {
        let row = i * d..(i + 1) * d;
        let largest = hv[row.clone()].iter().fold(1.0_f64, |m, x| m.max(x.abs()));
        let magnitude = score[row.clone()].iter().fold(largest, |m, x| m.max(x.abs()));
        for j in row.clone() {
            let fd = (4.0 * narrow[j] - wide[j]) / 3.0;
            // Differences keep four digits fewer.
            let allowed = 1e4 * rtol * magnitude;
            assert!((hv[j] - fd).abs() <= allowed, "{name} Hv[{j}]: {} for {fd}", hv[j]);
        }
        let dot = |a: &[f64], c: &[f64]| a.iter().zip(c).map(|(x, y)| x * y).sum::<f64>();
        let (uhv, vhu) = (dot(&u[row.clone()], &hv[row.clone()]), dot(&v[row.clone()], &hu[row]));
        assert!(close(uhv, vhu, 1e-9, 1e-9 * largest), "{name}: uHv {uhv}, vHu {vhu}");
    }
}

/// The fast executor against the reference executor on the gradient function.
fn check_reference(
    name: &str,
    posterior: &Posterior,
    fixtures: &[Fixture],
    log_p: &[f64],
    score: &[f64],
    rtol: f64,
) {
    let gradient = posterior.gradient();
    let d = posterior.dim();
    for (i, f) in fixtures.iter().enumerate().take(3) {
        let theta = Tensor::new(Type::real([d].as_slice()), f.z.clone());
        let out = reference::evaluate(&gradient, &[theta]);
        assert!(
            close(out[0].data[0], log_p[i], 1e-2 * rtol, 1e-2 * rtol),
            "{name}: executors disagree"
        );
        let largest = f.gradient.iter().fold(1.0_f64, |m, g| m.max(g.abs()));
        for (a, c) in out[1].data.iter().zip(&score[i * d..]) {
            assert!(
                close(*a, *c, 0.1 * rtol, 1e-2 * rtol * largest),
                "{name}: executors disagree on the score"
            );
        }
    }
}

/// The tasks of the Langevin papers: absolute values, every constant included.
fn langevin(task: &str, model: &str, data: &DataSet) {
    let Some(path) = shared(&format!("langevin/fixtures_{task}.json")) else { return };
    let fixtures: Vec<Fixture> = read_json(&path)["points"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| Fixture {
            z: reals(&p["z"]),
            log_density: p["log_density"].as_f64().unwrap(),
            gradient: reals(&p["grad"]),
        })
        .collect();
    let posterior = compile(model, data);
    check(task, &posterior, &fixtures, 1e-10);
    let mut log_p = [0.0];
    posterior.target().f64.log_density(&fixtures[0].z, &mut log_p);
    assert!(close(log_p[0], fixtures[0].log_density, 1e-10, 0.0), "{task}: {log_p:?}");
}

fn classification(task: &str) -> Option<DataSet> {
    let path = shared(&format!("langevin/{task}.csv"))?;
    let text = std::fs::read_to_string(path).unwrap();
    let rows: Vec<Vec<f64>> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').map(|x| x.parse().unwrap()).collect())
        .collect();
    let d = rows[0].len() - 1;
    let x: Vec<f64> = rows.iter().flat_map(|r| r[..d].to_vec()).collect();
    #[allow(clippy::cast_possible_truncation, reason = "labels are -1, 0 and 1")]
    let y: Vec<i64> = rows.iter().map(|r| i64::from(r[d] > 0.0)).collect();
    let n = rows.len();
    Some(DataSet::from_arrays([
        ("x".to_owned(), ppl::data::DataArray::reals(vec![n, d], x)),
        ("y".to_owned(), ppl::data::DataArray::ints(vec![n], y)),
    ]))
}

#[test]
fn sonar() {
    if let Some(data) = classification("sonar") {
        langevin("sonar", "logistic_standardised", &data);
    }
}

#[test]
fn ionosphere() {
    if let Some(data) = classification("ionosphere") {
        langevin("ionosphere", "logistic_standardised", &data);
    }
}

#[test]
fn seeds() {
    let Some(path) = shared("langevin/seeds.json") else { return };
    let json = read_json(&path);
    let field = |name: &str| {
        let values: Vec<i64> =
            json[name].as_array().unwrap().iter().map(|x| x.as_i64().unwrap()).collect();
        (name.to_owned(), ppl::data::DataArray::ints(vec![values.len()], values))
    };
    let data = DataSet::from_arrays(["n", "r", "x1", "x2"].map(field));
    langevin("seeds", "seeds_alphabetical", &data);
}
