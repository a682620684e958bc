//! `stdlib/distributions/` evaluated as models, against the mpmath values of `tests/reference`.
//!
//! Each reference value becomes a model in which the point and every real parameter is a `param`. Its
//! log density comes from both executors; its derivatives from reverse mode, against mpmath, central
//! differences and dual numbers.

use std::collections::{BTreeMap, BTreeSet};

use ppl::autodiff::gradient;
use ppl::data::{DataArray, DataSet};
use ppl::diagnostics::Code;
use ppl::driver::Session;
use ppl::exec::program::Program;
use ppl::exec::reference;
use ppl::ir::{Function, Tensor, Type};
use ppl::lower::{Lowered, Space};
use ppl::passes;

use crate::distributions::{Case, Declared, Number, cases, declared};
use crate::gradients::differences::derivative;
use crate::gradients::dual::{self, Dual};
use crate::problems::Problems;
use crate::tolerance::close;

/// The name of the point in the models; no distribution has a parameter of that name.
const POINT: &str = "point";

/// The one that is no distribution of values, but a word for a prior: it has no members to call.
const IMPROPER: &str = "flat";

/// A case as a model with its data and the inputs of the lowered function.
struct Model {
    text: String,
    data: Vec<(String, DataArray)>,
    /// Name, whether it moves along symmetric directions only, and value of each `param`.
    params: Vec<(String, bool, Tensor)>,
}

impl Model {
    /// Declares the parameters of the case and the point, which is then called `x`.
    fn new(case: &Case, declared: &Declared) -> Self {
        let mut model = Model { text: String::new(), data: Vec::new(), params: Vec::new() };
        for ((name, value), written) in case.params.iter().zip(&declared.params) {
            model.declare(name, value, written);
        }
        // A variable of known support is not looked at again; a `let` of any real is.
        let vector = matches!(case.x, Number::Array(_));
        model.declare(POINT, &case.x, if vector { &declared.support } else { "real" });
        model.text += &format!("let at = {POINT}\n");
        model
    }

    fn declare(&mut self, name: &str, value: &Number, written: &str) {
        let (shape, elements) = (value.shape(), value.elements());
        let sizes = |dims: &[usize]| {
            let dims: Vec<String> = dims.iter().map(ToString::to_string).collect();
            format!("[{}]", dims.join(", "))
        };
        // `real[N, M]` has all sizes, `cov_matrix[K]` one.
        let ty = match (written.rsplit_once('['), shape.last()) {
            (Some((base, _)), Some(_)) if base.starts_with("real") => {
                base.to_owned() + &sizes(&shape)
            }
            (Some((base, _)), Some(&n)) => base.to_owned() + &sizes(&[n]),
            _ => written.to_owned(),
        };
        if value.is_int() {
            #[allow(clippy::cast_possible_truncation, reason = "integers in the file")]
            let ints = elements.iter().map(|&x| x as i64).collect();
            let dims = if shape.is_empty() { String::new() } else { sizes(&shape) };
            self.text += &format!("data {name}: int{dims}\n");
            self.data.push((name.to_owned(), DataArray::ints(shape, ints)));
        } else {
            self.text += &format!("param {name}: {ty}\n");
            let tied = ty.starts_with("cov_matrix") || ty.starts_with("corr_matrix");
            let tensor = Tensor::new(Type::real(shape.as_slice()), elements);
            self.params.push((name.to_owned(), tied, tensor));
        }
    }

    /// Lowers in constrained space; the code of the first error otherwise.
    fn lower(&self) -> Result<Lowered, Code> {
        let mut session = Session::new();
        let data = DataSet::from_arrays(self.data.clone());
        let lowered = session
            .check("case", &self.text)
            .and_then(|model| session.lower(&model, &data, Space::Constrained));
        lowered.ok_or_else(|| {
            let error = session.diagnostics.iter().find(|d| d.is_error()).unwrap();
            let impossible = [Code::E0306, Code::E0416, Code::E0417];
            assert!(impossible.contains(&error.code), "{}\n{}", self.text, session.render(false));
            error.code
        })
    }

    /// Inputs of a function of the parameters, in its own order.
    fn inputs(&self, f: &Function) -> Vec<Tensor> {
        let find = |name: &str| self.params.iter().find(|(n, ..)| n == name).unwrap();
        f.inputs.iter().map(|input| find(&input.name).2.clone()).collect()
    }
}

/// The lowered function with some outputs and the data bound.
fn function(lowered: &Lowered, outputs: impl IntoIterator<Item = usize>) -> Function {
    let mut f = lowered.function.clone();
    f.outputs = outputs.into_iter().map(|i| lowered.function.outputs[i].clone()).collect();
    let data: Vec<_> = lowered.data.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    passes::bind(&f, &data)
}

/// The outputs of `f` by the fast executor after all passes, which must be those of the slow one
/// before any.
fn run(what: &str, f: &Function, inputs: &[Tensor]) -> Vec<Vec<f64>> {
    let slow: Vec<Vec<f64>> =
        reference::evaluate(f, inputs).into_iter().map(|t| t.data.to_vec()).collect();
    let mut fast: Vec<Vec<f64>> = slow.iter().map(|x| vec![0.0; x.len()]).collect();
    let slices: Vec<&[f64]> = inputs.iter().map(|t| &*t.data).collect();
    let mut outputs: Vec<&mut [f64]> = fast.iter_mut().map(Vec::as_mut_slice).collect();
    Program::<f64>::compile(&passes::optimize(f)).run(1, &slices, &mut outputs);
    for (a, b) in slow.iter().flatten().zip(fast.iter().flatten()) {
        assert!(close(*a, *b, 1e-9, 1e-9), "{what}: {a} before optimising, {b} after");
    }
    fast
}

fn title(case: &Case) -> String {
    let params: Vec<String> =
        case.params.iter().map(|(n, v)| format!("{n} = {:?}", v.elements())).collect();
    format!("{}({}) at {:?}", case.dist, params.join(", "), case.x.elements())
}

/// The largest number of a case, which tells how much cancels.
fn largest(case: &Case) -> f64 {
    let values = case.params.iter().map(|(_, v)| v).chain([&case.x]);
    values.flat_map(Number::elements).fold(1.0, |m, x| m.max(x.abs()))
}

/// A scale of the parameters as a slope: terms of that size cancel in a derivative.
fn steepest(case: &Case) -> f64 {
    let values = case.params.iter().flat_map(|(_, v)| v.elements()).filter(|x| *x != 0.0);
    values.fold(1.0, |m, x| m.max(x.abs().recip()))
}

/// A Cholesky factor, whose entries the reference does not differentiate by.
fn is_matrix(x: &Number) -> bool {
    x.shape().len() == 2
}

/// What `tests/reference/README.md` asks of log densities.
fn tolerance(case: &Case) -> f64 {
    if largest(case) >= 1e5 { 1e-10 } else { 1e-12 }
}

/// `value` is `x`, whose support is not known, or the point itself, which is declared with it if it is
/// a vector.
fn log_density_model(case: &Case, declared: &Declared, value: &str) -> Model {
    let mut model = Model::new(case, declared);
    if case.dist == IMPROPER {
        model.text = format!("param {POINT}: real ~ {IMPROPER}()\n");
        return model;
    }
    let names: Vec<&str> = case.params.iter().map(|(name, _)| name.as_str()).collect();
    model.text += &format!("{value} ~ {}({})\n", case.dist, names.join(", "));
    model
}

#[test]
fn log_densities_are_those_of_mpmath() {
    let declared = declared();
    let mut problems = Problems::default();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for case in cases() {
        let what = title(&case);
        let model = log_density_model(&case, &declared[&case.dist], "at");
        *seen.entry(case.dist.clone()).or_default() += 1;
        match model.lower() {
            Ok(lowered) => {
                let f = function(&lowered, [0]);
                let found = run(&what, &f, &model.inputs(&f))[0][0];
                let allowed = tolerance(&case) * case.logpdf.abs().max(1.0);
                let right = close(found, case.logpdf, 0.0, allowed);
                problems.expect(right, || format!("{what}: {found} for {}", case.logpdf));
            }
            // Data of density zero whatever the parameters are is an error.
            Err(_) => problems.expect(case.logpdf == f64::NEG_INFINITY && case.x.is_int(), || {
                format!("{what}: refused, but the log density is {}", case.logpdf)
            }),
        }
    }
    for dist in declared.keys() {
        let rows = seen.get(dist).copied().unwrap_or(0);
        problems.expect(rows >= 3, || format!("{dist} has {rows} reference values"));
    }
    problems.finish();
}

#[test]
fn gradients_agree_by_every_route() {
    let declared = declared();
    let mut problems = Problems::default();
    let (mut exact, mut other) = (BTreeSet::new(), BTreeSet::new());
    for case in cases().iter().filter(|case| case.logpdf.is_finite()) {
        // No single element of a simplex can move within its support.
        let value = if matches!(case.x, Number::Array(_)) { POINT } else { "at" };
        let model = log_density_model(case, &declared[&case.dist], value);
        let lowered = model.lower().unwrap();
        let f = function(&lowered, [0]);
        let inputs = model.inputs(&f);
        for (wrt, input) in f.inputs.iter().enumerate() {
            let what = format!("{}, d/d{}", title(case), input.name);
            let known = if input.name == POINT {
                case.dlogpdf_dx.as_ref()
            } else {
                case.dlogpdf_dparams.get(&input.name)
            };
            // A real point without a derivative is at an edge, where density or support may end.
            let at_edge = case.dlogpdf_dx.is_none() && !case.x.is_int() && !is_matrix(&case.x);
            if at_edge && known.is_none() {
                continue;
            }
            let g = gradient(&f, wrt).unwrap();
            let score = run(&what, &g, &inputs).pop().unwrap();
            if let Some(known) = known {
                exact.insert(case.dist.clone());
                for (found, wanted) in score.iter().zip(known.elements()) {
                    let allowed = 100.0 * tolerance(case) * wanted.abs().max(steepest(case));
                    let right = close(*found, wanted, 0.0, allowed);
                    problems.expect(right, || format!("{what}: {found}, mpmath {wanted}"));
                }
            }
            if at_edge {
                continue;
            }
            other.insert(case.dist.clone());
            let tied = model.params.iter().any(|(n, tied, _)| *n == input.name && *tied);
            for direction in directions(&f.inputs[wrt].ty.shape, tied) {
                let slope: f64 = score.iter().zip(&direction).map(|(s, d)| s * d).sum();
                let (forward, within) = by_dual_numbers(&f, &inputs, wrt, &direction, case);
                let right = (slope - forward).abs() <= 1e-7 * slope.abs() + within;
                problems.expect(right, || format!("{what}: {slope}, dual numbers {forward}"));
                let estimates = by_differences(&f, &inputs, wrt, &direction, case);
                let right = estimates
                    .iter()
                    .any(|(d, within)| (slope - d).abs() <= 1e-6 * slope.abs() + within);
                problems.expect(right, || format!("{what}: {slope}, differences {estimates:?}"));
            }
        }
    }
    for (dist, declared) in &declared {
        let is_real = |ty: &str| !ty.starts_with("int");
        if declared.params.iter().any(|ty| is_real(ty)) {
            problems.expect(other.contains(dist), || format!("{dist}: no derivative was compared"));
            let expected = exact.contains(dist)
                || declared.params.iter().all(|ty| !is_real(ty) || ty.starts_with("simplex"));
            problems.expect(expected, || format!("{dist}: no derivative by mpmath"));
        }
    }
    problems.finish();
}

/// Every element by itself; those of a symmetric matrix in pairs.
fn directions(shape: &[usize], tied: bool) -> Vec<Vec<f64>> {
    let n: usize = shape.iter().product();
    let unit = |i: usize| -> Vec<f64> { (0..n).map(|j| f64::from(u8::from(i == j))).collect() };
    if !tied {
        return (0..n).map(unit).collect();
    }
    let k = shape[0];
    let pairs = (0..k).flat_map(|i| (0..=i).map(move |j| (i * k + j, j * k + i)));
    pairs.map(|(a, b)| unit(a).iter().zip(unit(b)).map(|(x, y)| x.max(y)).collect()).collect()
}

/// The slope by dual numbers, and what rounding in their numerical derivatives may make of it.
fn by_dual_numbers(
    f: &Function,
    inputs: &[Tensor],
    wrt: usize,
    direction: &[f64],
    case: &Case,
) -> (f64, f64) {
    let mut duals: Vec<Dual> = inputs.iter().cloned().map(Dual::fixed).collect();
    duals[wrt].t = Tensor::new(duals[wrt].t.ty.clone(), direction.to_vec());
    let size = largest(case);
    (dual::evaluate(f, &duals)[0].t.data[0], 1e-9 + 1e-14 * size * size.ln_1p())
}

/// The slope by central differences from several first steps, each with the error of rounding.
fn by_differences(
    f: &Function,
    inputs: &[Tensor],
    wrt: usize,
    direction: &[f64],
    case: &Case,
) -> Vec<(f64, f64)> {
    let along = |t: f64| -> Vec<f64> {
        let mut moved = inputs.to_vec();
        let values: Vec<f64> =
            inputs[wrt].data.iter().zip(direction).map(|(x, d)| x + t * d).collect();
        moved[wrt] = Tensor::new(inputs[wrt].ty.clone(), values);
        reference::evaluate(f, &moved)[0].data.to_vec()
    };
    let size = largest(case);
    let value = size * size.ln_1p() + case.logpdf.abs();
    let at: f64 = inputs[wrt].data.iter().zip(direction).map(|(x, d)| (x * d).abs()).sum();
    // The nearest end of a support is at 0, at 1, or far.
    let reaches = [0.1, 0.01, 0.3 * at, 0.01 * at, 0.3 * (1.0 - at).abs()];
    let steps = reaches.into_iter().filter(|h| *h > 0.0);
    steps.map(|h| (derivative(along, h)[0], 1e-9 + 1e-12 * value / h)).collect()
}

#[test]
fn members_are_those_of_mpmath() {
    let declared = declared();
    let mut problems = Problems::default();
    let mut compared: BTreeSet<(String, &str)> = BTreeSet::new();
    for case in cases().into_iter().filter(|case| case.dist != IMPROPER) {
        let what = title(&case);
        let has = |member: &str| declared[&case.dist].members.iter().any(|m| m == member);
        let mut model = Model::new(&case, &declared[&case.dist]);
        let mut wanted: Vec<(&str, Vec<f64>)> = Vec::new();
        let names: Vec<&str> = case.params.iter().map(|(name, _)| name.as_str()).collect();
        let inside = case.logpdf.is_finite();
        let mut answers: Vec<(&'static str, &str, &Number)> = Vec::new();
        for (member, key) in [("mean", "mean"), ("variance", "var")] {
            answers.extend(case.other.get(key).map(|v| (member, "", v)));
        }
        for member in ["cdf", "log_cdf", "log_survival"] {
            answers.extend(case.other.get(member).filter(|_| inside).map(|v| (member, "at", v)));
        }
        let log_density = Number::Real(case.logpdf);
        let cumulative = category_cdf(&case);
        answers.extend(cumulative.as_ref().filter(|_| inside).map(|v| ("cdf", "at", v)));
        if inside {
            answers.push(("log_density", "at", &log_density));
        }
        for (member, own, answer) in answers.into_iter().filter(|(m, ..)| has(m)) {
            // `poisson_log_cdf` is `log_cdf` of `poisson`.
            let shorter = case.dist.strip_suffix("_log").and_then(|d| declared.get(d));
            if member == "cdf" && shorter.is_some_and(|d| d.members.iter().any(|m| m == "log_cdf"))
            {
                compared.insert((case.dist.clone(), member));
                continue;
            }
            let args: Vec<&str> = [own].into_iter().chain(names.iter().copied()).collect();
            let args = args.into_iter().filter(|a| !a.is_empty()).collect::<Vec<_>>().join(", ");
            model.text += &format!("gen {member} = {}_{member}({args})\n", case.dist);
            wanted.push((member, answer.elements()));
            compared.insert((case.dist.clone(), member));
        }
        let lowered = model.lower().unwrap();
        for (member, wanted) in wanted {
            let output = lowered.variables.iter().find(|v| v.name == member).unwrap().output;
            let f = function(&lowered, [output]);
            let found = run(&what, &f, &model.inputs(&f)).remove(0);
            problems.expect(found.len() == wanted.len(), || format!("{what}: shape of {member}"));
            for (found, wanted) in found.iter().zip(&wanted) {
                let right = if member == "log_density" {
                    close(*found, *wanted, 0.0, tolerance(&case) * wanted.abs().max(1.0))
                } else {
                    close(*found, *wanted, 1e-10, 1e-300)
                };
                problems.expect(right, || format!("{what}: {member} {found:e} for {wanted:e}"));
            }
        }
    }
    for (dist, declared) in declared.iter().filter(|(dist, _)| *dist != IMPROPER) {
        for member in ["log_density", "cdf", "log_cdf", "log_survival", "mean", "variance"] {
            let is_declared = declared.members.iter().any(|m| m == member);
            let is_compared = compared.contains(&(dist.clone(), member));
            problems
                .expect(is_compared || !is_declared, || format!("{dist}: no value of {member}"));
        }
    }
    problems.finish();
}

/// The cdf of a categorical distribution, a sum so plain that the reference does without it.
fn category_cdf(case: &Case) -> Option<Number> {
    let given = case.params.first().map(|(_, v)| v.elements())?;
    let weights: Vec<f64> = match case.dist.as_str() {
        "categorical" => given,
        "categorical_logit" => {
            let most = given.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            given.iter().map(|x| (x - most).exp()).collect()
        }
        _ => return None,
    };
    let up_to = weights.iter().zip(1..).filter(|(_, k)| f64::from(*k) <= case.x.elements()[0]);
    Some(Number::Real(up_to.map(|(w, _)| w).sum::<f64>() / weights.iter().sum::<f64>()))
}

#[test]
fn quantiles_invert_the_cdf() {
    let declared = declared();
    let mut problems = Problems::default();
    let mut inverted = BTreeSet::new();
    for case in cases() {
        let Some(Number::Real(p)) = case.other.get("cdf").cloned() else { continue };
        let has_quantile = declared[&case.dist].members.iter().any(|m| m == "quantile");
        if !has_quantile || !case.logpdf.is_finite() || !(1e-9..1.0 - 1e-6).contains(&p) {
            continue;
        }
        let what = title(&case);
        let mut model = Model::new(&case, &declared[&case.dist]);
        model.text += "data p: real\n";
        model.data.push(("p".to_owned(), DataArray::real(p)));
        let args: Vec<&str> =
            ["p"].into_iter().chain(case.params.iter().map(|(name, _)| name.as_str())).collect();
        model.text += &format!("gen quantile = {}_quantile({})\n", case.dist, args.join(", "));
        let lowered = model.lower().unwrap();
        let output = lowered.variables.iter().find(|v| v.name == "quantile").unwrap().output;
        let f = function(&lowered, [output]);
        let found = run(&what, &f, &model.inputs(&f))[0][0];
        let x = case.x.elements()[0];
        // The rounding of p, through the slope of the quantile.
        let within = 1e-11 * x.abs() + 4.0 * f64::EPSILON / case.logpdf.exp();
        problems.expect((found - x).abs() <= within, || format!("{what}: quantile({p}) = {found}"));
        inverted.insert(case.dist.clone());
    }
    for (dist, declared) in &declared {
        let has = declared.members.iter().any(|m| m == "quantile");
        problems.expect(!has || inverted.contains(dist), || format!("{dist}: quantile untested"));
    }
    problems.finish();
}

/// `∫ p` by the trapezoid rule after `x = sinh(π/2 sinh t)` or its like for half lines and intervals.
fn integral(log_p: impl Fn(f64) -> f64, low: f64, high: f64) -> f64 {
    let h = 1.0 / 64.0;
    (-384..=384)
        .map(|i| {
            let t = f64::from(i) * h;
            let (s, c) =
                (std::f64::consts::FRAC_PI_2 * t.sinh(), std::f64::consts::FRAC_PI_2 * t.cosh());
            let (x, dx) = match (low.is_finite(), high.is_finite()) {
                (true, true) => {
                    let share = (1.0 + (-2.0 * s).exp()).recip();
                    (low + (high - low) * share, (high - low) * 0.5 * c / s.cosh().powi(2))
                }
                (true, false) => (low + s.exp(), c * s.exp()),
                _ => (s.sinh(), c * s.cosh()),
            };
            let term = log_p(x).exp() * dx;
            if term.is_finite() { h * term } else { 0.0 }
        })
        .sum()
}

#[test]
fn densities_integrate_to_one() {
    let pi = std::f64::consts::PI;
    let (all, positive, unit) =
        ((f64::NEG_INFINITY, f64::INFINITY), (0.0, f64::INFINITY), (0.0, 1.0));
    let rows = [
        ("normal(0.5, 1.5)", all),
        ("cauchy(-1, 2)", all),
        ("student_t(3.5, 1, 0.7)", all),
        ("logistic(0.3, 1.1)", all),
        ("gumbel(-0.4, 1.3)", all),
        ("skew_normal(0.2, 1.4, -3)", all),
        ("exp_mod_normal(0.1, 0.8, 1.7)", all),
        ("lognormal(0.2, 0.9)", positive),
        ("gamma(2.3, 1.7)", positive),
        ("inv_gamma(1.3, 2.1)", positive),
        ("weibull(1.8, 0.9)", positive),
        ("frechet(2.2, 1.1)", positive),
        ("half_cauchy(1.9)", positive),
        ("scaled_inv_chi_square(4.5, 1.2)", positive),
        ("beta(1.4, 2.6)", unit),
        ("beta_proportion(0.3, 6.5)", unit),
        ("von_mises(0.7, 2.4)", (-pi, pi)),
    ];
    for (dist, (low, high)) in rows {
        let text = format!("param {POINT}: real\nlet at = {POINT}\nat ~ {dist}\n");
        let model = Model { text, data: Vec::new(), params: Vec::new() };
        let f = passes::optimize(&function(&model.lower().unwrap(), [0]));
        let program = Program::<f64>::compile(&f);
        let log_p = |x: f64| {
            let mut out = [0.0];
            program.run(1, &[&[x]], &mut [&mut out]);
            out[0]
        };
        let total = integral(log_p, low, high);
        assert!((total - 1.0).abs() < 1e-8, "{dist}: {total}");
    }
}
