//! The IR as dfdx tensors, on dfdx's CPU device: every operation against the reference executor (from `exec`,
//! whose cases these are), every model against the fast executor.

use std::collections::BTreeMap;
use std::path::Path;

use dfdx::prelude::{Cache, Cpu, Device as DfdxDevice, MeanTo, PutTape, TensorFromVec};
use ppl::data::{DataSet, Format};
use ppl::density::{LogDensity, Residuals};
use ppl::driver::Session;
use ppl::exec::device::{DeviceDensity, Number, Program};
use ppl::inference::affine::Coordinates;
use ppl::inference::backend::device::Place;
use ppl::inference::backend::{Backend, Node, Normals, On, Pairs};
use ppl::inference::fused::Gaps;
use ppl::inference::kernel_stein::{Discrepancy, Kernel, Sides};
use ppl::inference::optimizer::{Group, Update};
use ppl::inference::tape::{Element, Pooled, SharedTape, backward};
use ppl::inference::transport::Transport;
use ppl::inference::{Device, Fit, METHODS, Precision, Settings, Silent};
use ppl::ir::{Function, Op, Tensor};
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
    Cpu: DfdxDevice<E>,
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
    Cpu: DfdxDevice<E>,
{
    let d = density.dim();
    let of = |x: &[f64]| {
        let x: Vec<E> = x.iter().map(|x| E::of(*x)).collect();
        let n = x.len() / d;
        density.device().tensor_from_vec(x, (n, d))
    };
    let (z, v) = (of(z), of(v));
    let (log_p, _) = density.score(&z);
    let bits = |x: Vec<E>| wide(&x).iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(log_p.as_vec()), bits(density.log_density(&z).as_vec()));
    let (score, kept) = density.score_keep(&z);
    let product = density.hvp(&kept, &v);
    Evaluated {
        log_p: wide(&log_p.as_vec()),
        score: wide(&score.as_vec()),
        product: wide(&product.as_vec()),
    }
}

/// Whether there is an initial value problem in it.
fn solves(f: &Function) -> bool {
    f.insts.iter().any(|i| matches!(i.op, Op::Ode(_)) || i.op.functions().any(solves))
}

/// Compares the two at three points, in both precisions.
fn compare(name: &str, posterior: &Posterior) {
    let dev = cpu();
    let wide = DeviceDensity::<f64, Cpu>::new(&dev, posterior.hvp());
    let wide = wide.unwrap_or_else(|e| panic!("{name}: {e}"));
    let narrow = DeviceDensity::<f32, Cpu>::new(&dev, posterior.hvp()).unwrap();
    // Steps differ, and with them solutions, within the tolerance of the solver.
    let exact_to = if solves(posterior.hvp()) { 1e-4 } else { 1e-9 };
    let d = posterior.dim();
    let (z, v) = (numbers(11, 3 * d, -0.6, 0.6), numbers(12, 3 * d, -1.0, 1.0));
    let target = posterior.target();
    let exact = fast(&**target.f64, &z, &v);
    let (f64s, f32s) = (lowered(&wide, &z, &v), lowered(&narrow, &z, &v));
    let theirs = fast(&**target.f32, &z, &v);
    let parts = |e: Evaluated| [e.log_p, e.score, e.product];
    let all =
        parts(exact).into_iter().zip(parts(f64s)).zip(parts(f32s).into_iter().zip(parts(theirs)));
    for (what, ((exact, f64s), (f32s, theirs))) in ["value", "score", "product"].iter().zip(all) {
        let scale = exact.iter().filter(|x| x.is_finite()).fold(1.0, |m: f64, x| m.max(x.abs()));
        let off = |x: &[f64]| {
            let off = exact
                .iter()
                .zip(x)
                .map(|(e, x)| if close(*e, *x, 0.0, 0.0) { 0.0 } else { (e - x).abs() });
            off.fold(0.0, |m: f64, x| if x.is_nan() { f64::INFINITY } else { m.max(x) })
        };
        assert!(off(&f64s) <= exact_to * scale, "{name}: {what} off by {} of {scale}", off(&f64s));
        let allowed = 30.0 * off(&theirs) + (1e-4 + exact_to) * scale;
        assert!(off(&f32s) <= allowed, "{name}: {what} in f32 off by {} of {scale}", off(&f32s));
    }
}

fn compare_rows(text: &str) {
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
        compare(name, &posterior);
    }
}

#[test]
fn models_agree_with_the_fast_executor() {
    compare_rows(include_str!("../reference/models.jsonl"));
}

#[test]
fn models_of_posteriordb_agree_with_the_fast_executor() {
    compare_rows(include_str!("../reference/posteriordb.jsonl"));
}

#[test]
fn examples_and_fixtures_agree_with_the_fast_executor() {
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
        let name = model.strip_prefix(root).unwrap().display().to_string();
        let data = DataSet::read(&data).unwrap();
        let mut session = Session::new();
        let posterior = session
            .check(&name, &std::fs::read_to_string(&model).unwrap())
            .and_then(|checked| session.compile(&checked, &data))
            .unwrap_or_else(|| panic!("{name}: {}", session.render(false)));
        compare(&name, &posterior);
    }
}

/// With the data of posteriordb itself, some of which is large.
#[test]
fn posteriors_agree_with_the_fast_executor() {
    let Some(folder) = shared("posteriordb") else { return };
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
        compare(&name, &compile(model, &data));
    }
}

const CURVED: &str = "param x ~ normal(0.3, 1.2)\nparam y ~ normal(0.4 * x * x, exp(0.3 * x))\n";

fn posterior(text: &str, data: &str) -> Posterior {
    let data = DataSet::from_bytes("data.json", Some(Format::Json), data.as_bytes()).unwrap();
    let mut session = Session::new();
    let model = session.check("model", text);
    let posterior = model.and_then(|model| session.compile(&model, &data));
    posterior.unwrap_or_else(|| panic!("{}", session.render(false)))
}

type Tensors<E> = On<E, Cpu>;

/// Values and all gradients of chains are those of the fast path, at the same parameters and noise.
#[test]
fn chains_are_the_same_on_a_device() {
    let posterior = posterior(CURVED, "{}");
    let source = posterior.source().unwrap();
    let settings = Settings { device: Device::Tensors(source), ..Settings::default() };
    let mix = vec![1.0, 0.3, -0.2, 0.9];
    let coordinates = Coordinates {
        shift: vec![0.2, -0.1],
        scale: vec![0.9, 1.3],
        mix: Some((mix, (0.9_f64 + 0.06).ln())),
    };
    let transport = Transport::from(coordinates);
    for (name, form) in crate::langevin::forms(3) {
        let target = posterior.target();
        let host = <f64 as Backend>::bridge(target.f64, &settings, &transport).unwrap();
        let (chain, parameters) =
            crate::langevin::chain_from(form, ([0.2, -0.1], [-0.3, 0.1]), 0.6);
        let shape = (4 * chain.noises(), 2);
        let noise = numbers(17, shape.0 * 2, -1.5, 1.5);
        let node = ppl::inference::node::Node::constant(Pooled::of(&noise), shape);
        let paths = chain.simulate(&host, &parameters, &node, 4, &SharedTape::recording());
        let expected = paths.log_weights.as_vec();
        let mut wanted = backward(paths.log_weights.mean::<(), _>()).unwrap();

        let bridge = <Tensors<f64> as Backend>::bridge(target.f64, &settings, &transport).unwrap();
        let cast = parameters.cast::<Tensors<f64>>();
        let noise = <Tensors<f64> as Backend>::tensor(&noise, shape).put_tape(SharedTape::off());
        let node = <<Tensors<f64> as Backend>::Node as Node<Tensors<f64>>>::of(noise);
        let paths = chain.simulate(&bridge, &cast, &node, 4, &SharedTape::recording());
        let found = paths.log_weights.as_vec();
        let mut gradients = backward(paths.log_weights.mean::<(), _>()).unwrap();

        let same = |a: &[f64], b: &[f64], what: &str| {
            assert_eq!(a.len(), b.len(), "{name}: {what}");
            for (a, b) in a.iter().zip(b) {
                assert!(close(*a, *b, 1e-9, 1e-10), "{name}: {what}: {a} for {b}");
            }
        };
        same(&found, &expected, "log weights");
        let h = chain.handles;
        let mut handles = vec![h.mu, h.log_sd, h.step_size, h.schedule];
        handles.extend([h.friction, h.step_scales, h.mixing].into_iter().flatten());
        handles.extend(h.guides.into_iter().flatten());
        if let Some((network, table)) = h.network {
            handles.extend([network.scale, table]);
            handles.extend(network.layers.iter().flat_map(|l| [l.weight, l.bias]));
        }
        for handle in handles {
            let wanted = parameters.gradient(handle, &mut wanted);
            same(&cast.gradient(handle, &mut gradients), &wanted, &format!("{handle:?}"));
        }
        // A step of the optimiser, with its bounds and its clipping.
        let group = Group { clip_norm: Some(0.1), ..Group::adam(0) };
        let (mut parameters, mut cast) = (parameters, cast);
        for _ in 0..3 {
            let stepped = parameters.update(&group, 0.1, &mut wanted);
            let Update::Stepped { gradient_norm } = stepped else { panic!("{name}: {stepped:?}") };
            let Update::Stepped { gradient_norm: norm } = cast.update(&group, 0.1, &mut gradients)
            else {
                panic!("{name}: not finite on the device");
            };
            assert!(close(norm, gradient_norm, 1e-9, 0.0) || gradient_norm > 0.0);
        }
        same(&cast.values(h.mu), &parameters.values(h.mu), "a step");
        same(&cast.values(h.step_size), &parameters.values(h.step_size), "a step");
    }
}

const REGRESSION: &str = "data x: real[N]\ndata y: real[N]\nparam a ~ normal(0, 5)\n\
    param b ~ normal(0, 5)\nparam s ~ lognormal(0, 1)\ny ~ normal(a + b * x, s)\n";

fn regression() -> Posterior {
    let x: Vec<f64> = (0..12).map(|i| 0.3 * f64::from(i) - 1.5).collect();
    let noise = numbers(3, 12, -0.8, 0.8);
    let y: Vec<f64> = x.iter().zip(noise).map(|(x, e)| 0.7 - 1.1 * x + e).collect();
    posterior(REGRESSION, &serde_json::json!({"x": x, "y": y}).to_string())
}

fn means_and_sds(fit: &Fit) -> Vec<(f64, f64)> {
    let n = (fit.draws.len() / fit.dim) as f64;
    (0..fit.dim)
        .map(|j| {
            let of = || fit.draws.iter().skip(j).step_by(fit.dim);
            let mean = of().sum::<f64>() / n;
            (mean, (of().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt())
        })
        .collect()
}

/// Networks of a size for a quick fit.
fn small() -> BTreeMap<String, String> {
    let options = [("hidden", "16"), ("critic-hidden", "16"), ("mixing-draws", "500")];
    options.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

/// Every method that trains on a device lands where it does on the fast path, in both precisions.
#[test]
fn fits_on_a_device_are_those_of_the_fast_path() {
    let posterior = regression();
    let source = posterior.source().unwrap();
    for method in METHODS.iter().filter(|m| m.on_device()) {
        let run = |device: Device, precision| {
            let settings = Settings {
                device,
                precision,
                iterations: Some(200),
                grad_samples: Some(8),
                bridges: (method.group == "Langevin").then_some(3),
                options: if method.group == "semi-implicit" { small() } else { BTreeMap::new() },
                ..Settings::default()
            };
            method.fit(posterior.target(), &settings, &mut Silent).unwrap()
        };
        let fast = means_and_sds(&run(Device::Cpu, Precision::F64));
        // One in full precision is enough: `chains_are_the_same_on_a_device` compares numbers.
        let precisions: &[Precision] = match method.name {
            "mean-field" => &[Precision::F32, Precision::F64],
            _ => &[Precision::F32],
        };
        for &precision in precisions {
            let device = means_and_sds(&run(Device::Tensors(source.clone()), precision));
            for ((mean, sd), (wanted, of)) in device.iter().zip(&fast) {
                let what = format!("{}, {precision:?}", method.name);
                assert!((mean - wanted).abs() < 0.2 * of, "{what}: mean {mean} for {wanted}");
                assert!((sd / of - 1.0).abs() < 0.2, "{what}: sd {sd} for {of}");
            }
        }
    }
}

fn node_of<B: Backend<Number = f64>>(numbers: &[f64], columns: usize) -> B::Node {
    let shape = (numbers.len() / columns, columns);
    B::Node::of(B::tensor(numbers, shape).put_tape(SharedTape::off()))
}

/// Rows that are not finite are left out on both sides.
#[test]
fn gaps_with_infinite_rows_are_the_same_on_a_device() {
    fn run<B: Backend<Number = f64>>() -> (Vec<f64>, f64, usize) {
        let (mut f, t) = (numbers(1, 15, -1.0, 1.0), numbers(2, 15, -1.0, 1.0));
        (f[4], f[11]) = (f64::NAN, f64::INFINITY);
        let Gaps { kept, sum, rows } = B::finite_gaps(&node_of::<B>(&f, 3), &node_of::<B>(&t, 3));
        (kept.tensor().as_vec(), sum, rows)
    }
    let ((kept, sum, rows), (found, other, count)) = (run::<f64>(), run::<Tensors<f64>>());
    assert_eq!((&kept, rows), (&found, count));
    assert!(rows == 3 && kept[3..6] == [0.0; 3] && kept[9..12] == [0.0; 3], "{kept:?}");
    assert!(close(sum, other, 1e-12, 1e-12), "{sum} {other}");
}

/// The kernel Stein discrepancy and its gradients, also where the width is the median of a part of the pairs.
#[test]
fn kernel_stein_discrepancies_are_the_same_on_a_device() {
    fn run<B: Backend<Number = f64>>(kernel: Kernel, n: usize, distinct: bool) -> Vec<f64> {
        let node = |seed| node_of::<B>(&numbers(seed, 3 * n, -1.0, 1.0), 3);
        let left = [node(1), node(2)];
        let right = if distinct { left.clone() } else { [node(3), node(4)] };
        let sides = Sides { left: left.each_ref(), right: right.each_ref(), distinct };
        let Discrepancy { value, gradients } = B::kernel_stein(kernel, sides);
        let [gu, ga, gv, gb] = gradients.each_ref().map(|g| g.tensor().as_vec());
        let both = |a: Vec<f64>, b: Vec<f64>| match distinct {
            // Both sides are the same draws, and which of two equal pairs is the median does not matter.
            true => a.iter().zip(&b).map(|(a, b)| a + b).collect(),
            false => [a, b].concat(),
        };
        [vec![value], both(gu, gv), both(ga, gb)].concat()
    }
    for kernel in [Kernel::Gaussian, Kernel::InverseMultiquadric] {
        for (n, distinct) in [(2, true), (9, false), (9, true), (66, false)] {
            let expected = run::<f64>(kernel, n, distinct);
            let found = run::<Tensors<f64>>(kernel, n, distinct);
            for (found, expected) in found.iter().zip(&expected) {
                assert!(
                    close(*found, *expected, 1e-9, 1e-12),
                    "{kernel:?}, {n}: {found} {expected}"
                );
            }
        }
    }
}

/// The generator of a device's noise: moments, and no relation between neighbours or draws.
#[test]
fn noise_of_a_device_is_standard_normal() {
    fn check<E: Element>()
    where
        Cpu: Place<E>,
    {
        let mut normals = <Tensors<E> as Backend>::Normals::new(5, "noise");
        let n = 40_000;
        let mut draw = || {
            wide(
                &Node::<Tensors<E>>::tensor(&normals.draw((n / 4, 4), Pairs::Independent)).as_vec(),
            )
        };
        let (a, b) = (draw(), draw());
        let mean = |f: &dyn Fn(usize) -> f64| (0..n - 1).map(f).sum::<f64>() / (n - 1) as f64;
        let error = (n as f64).sqrt().recip();
        let moments = [
            (mean(&|i| a[i]), 0.0, 1.0),
            (mean(&|i| a[i] * a[i]), 1.0, 2.0),
            (mean(&|i| a[i].powi(3)), 0.0, 15.0),
            (mean(&|i| a[i].powi(4)), 3.0, 96.0),
            (mean(&|i| a[i] * a[i + 1]), 0.0, 1.0),
            (mean(&|i| a[i] * b[i]), 0.0, 1.0),
            (mean(&|i| a[i] * a[i] * b[i] * b[i]), 1.0, 8.0),
            (mean(&|i| f64::from(u8::from(a[i] > 2.0))), 0.022_750_13, 0.022_2),
        ];
        for (k, (found, wanted, variance)) in moments.into_iter().enumerate() {
            assert!((found - wanted).abs() < 4.0 * error * f64::sqrt(variance), "{k}: {found}");
        }
        let pairs = normals.draw((5, 2), Pairs::Opposite);
        let pairs = wide(&Node::<Tensors<E>>::tensor(&pairs).as_vec());
        assert!((0..4).all(|i| pairs[6 + i] == -pairs[i]), "{pairs:?}");
    }
    check::<f32>();
    check::<f64>();
}

/// `y' = a y²` from 1 on is `1 / (1 - a t)`, and ends before 1 where `a` is above 1.
#[test]
fn a_point_that_no_solver_can_follow_is_given_up_alone() {
    let posterior = posterior(
        "fn growth(t: real, y: real[1], a: real) -> real[1] { [a * y[1] * y[1]] }\n\
         param a ~ normal(0, 1)\n\
         factor sum(ode_rk45(growth, [1.0], 0.0, [1.0], a))\n",
        "{}",
    );
    let points = [0.5, 2.0, -1.0];
    let density = DeviceDensity::<f64, Cpu>::new(&cpu(), posterior.hvp()).unwrap();
    let found = lowered(&density, &points, &[1.0; 3]);
    assert!(!found.log_p[1].is_finite(), "{:?}", found.log_p);
    for i in [0, 2] {
        let a: f64 = points[i];
        let log_p = -0.5 * (a * a + std::f64::consts::TAU.ln()) + 1.0 / (1.0 - a);
        assert!(close(found.log_p[i], log_p, 1e-5, 1e-5), "{} is {log_p}", found.log_p[i]);
        let slope = -a + (1.0 - a).powi(-2);
        assert!(close(found.score[i], slope, 1e-5, 1e-5), "{} is {slope}", found.score[i]);
        let curvature = -1.0 + 2.0 * (1.0 - a).powi(-3);
        assert!(
            close(found.product[i], curvature, 1e-4, 1e-4),
            "{} is {curvature}",
            found.product[i]
        );
    }
}

/// What has no form there is refused at its place, before anything runs; a method without a use for it, too.
#[test]
fn what_cannot_run_on_a_device_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain.ppl");
    let formless = dir.path().join("formless.ppl");
    std::fs::write(&plain, "param x ~ normal(3, 2)\n").unwrap();
    let text = "param a ~ lognormal(0, 1)\nfactor log(gamma_cdf(2.0, a, 1.0))\n";
    std::fs::write(&formless, text).unwrap();
    let run = |model: &Path, method: &str, out: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ppl"));
        command.arg("run").arg(model).args(["--infer", method, "--device", "tensors"]);
        command.args(["--iterations", "200", "--draws", "100", "--out"]).arg(dir.path().join(out));
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = run(&formless, "mean-field", "a");
    assert!(code == Some(4) && said.contains("E0521") && said.contains("gamma_p"), "{said}");
    let (code, said) = run(&plain, "nuts", "b");
    assert!(code == Some(2) && said.contains("`nuts` runs on the CPU only"), "{said}");
    let (code, said) = run(&plain, "mean-field", "c");
    assert_eq!(code, Some(0), "{said}");
    let config = std::fs::read_to_string(dir.path().join("c/config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["device"], "tensors");
}
