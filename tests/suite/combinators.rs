//! `mixture truncate censor zero_inflated hurdle affine`, alone and in each other, against the mpmath
//! values of `tests/reference/combinators.jsonl`; over arrays; in the forms that should agree.

use ppl::autodiff::gradient;
use ppl::data::{DataArray, DataSet};
use ppl::driver::Session;
use ppl::exec::reference;
use ppl::ir::{Function, Tensor, Type};
use ppl::lower::{Lowered, Space};
use ppl::passes;
use serde_json::Value;

use crate::tolerance::close;

fn lower(text: &str, data: Vec<(String, DataArray)>) -> Result<Lowered, String> {
    let mut session = Session::new();
    let data = DataSet::from_arrays(data);
    let lowered = session
        .check("case", text)
        .and_then(|model| session.lower(&model, &data, Space::Constrained));
    lowered.ok_or_else(|| session.render(false))
}

/// The log joint with the data bound, before and after the passes.
fn log_joint(lowered: &Lowered) -> [Function; 2] {
    let mut f = lowered.function.clone();
    f.outputs.truncate(1);
    let data: Vec<_> = lowered.data.iter().map(|(n, t)| (n.as_str(), t.clone())).collect();
    let f = passes::bind(&f, &data);
    let optimized = passes::optimize(&f);
    [f, optimized]
}

#[test]
fn values_and_derivatives_are_those_of_mpmath() {
    let mut problems = Vec::new();
    for line in include_str!("../reference/combinators.jsonl").lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let number = |v: &Value| -> f64 { v.as_str().unwrap().parse().unwrap() };
        let (dist, x) = (row["dist"].as_str().unwrap(), row["x"].as_str().unwrap());
        let params: Vec<(&String, f64)> =
            row["params"].as_object().unwrap().iter().map(|(k, v)| (k, number(v))).collect();
        let mut text = String::new();
        for (name, _) in &params {
            text += &format!("param {name}: real\n");
        }
        let mut data = Vec::new();
        if let Ok(x) = x.parse::<i64>() {
            text += &format!("data x: int\nx ~ {dist}\n");
            data.push(("x".to_owned(), DataArray::int(x)));
        } else {
            text += &format!("param point: real\nlet x = point\nx ~ {dist}\n");
        }
        let what = format!("{x} ~ {dist}, {params:?}");
        let wanted = number(&row["logpdf"]);
        let lowered = match lower(&text, data) {
            Ok(lowered) => lowered,
            // Data of density zero whatever the parameters are is an error.
            Err(message) => {
                if wanted != f64::NEG_INFINITY || !message.contains("E0416") {
                    problems.push(format!("{what}\n{message}"));
                }
                continue;
            }
        };
        for f in log_joint(&lowered) {
            let inputs: Vec<Tensor> = f
                .inputs
                .iter()
                .map(|input| {
                    let param = params.iter().find(|(name, _)| **name == input.name);
                    Tensor::scalar(param.map_or_else(|| x.parse().unwrap(), |(_, v)| *v))
                })
                .collect();
            let found = reference::evaluate(&f, &inputs)[0].data[0];
            if !close(found, wanted, 1e-11, 1e-11) {
                problems.push(format!("{what}: {found} for {wanted}"));
            }
            for (i, input) in f.inputs.iter().enumerate() {
                let g = gradient(&f, i).unwrap();
                let found = reference::evaluate(&g, &inputs).pop().unwrap().data[0];
                let known = row["dlogpdf_dparams"].get(&input.name).map(number);
                let right = match known {
                    Some(wanted) => close(found, wanted, 1e-8, 1e-9),
                    None if wanted == f64::NEG_INFINITY => found == 0.0,
                    None => input.name == "point" || found.is_finite(),
                };
                if !right {
                    problems.push(format!("{what}: d/d{} {found} for {known:?}", input.name));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// The log joint of a model at parameters that are all vectors or scalars of 0.3, 0.6, 0.9, …
fn evaluate(text: &str) -> f64 {
    let data = vec![
        ("y".to_owned(), DataArray::reals(vec![3], vec![0.5, 1.25, 2.5])),
        ("n".to_owned(), DataArray::ints(vec![3], vec![0, 2, 4])),
    ];
    let used = |name: &str| text.contains(&format!("data {name}:"));
    let data = data.into_iter().filter(|(name, _)| used(name)).collect();
    let lowered = lower(text, data).unwrap_or_else(|message| panic!("{text}\n{message}"));
    let f = &log_joint(&lowered)[0];
    let inputs: Vec<Tensor> = f
        .inputs
        .iter()
        .map(|input| {
            let len: usize = input.ty.shape.iter().product();
            let elements: Vec<f64> = (1..=len).map(|i| 0.3 * i as f64).collect();
            Tensor::new(Type::real(input.ty.shape.as_slice()), elements)
        })
        .collect();
    reference::evaluate(f, &inputs)[0].data[0]
}

/// Ways to write the same model.
fn agree(declarations: &str, forms: &[&str]) {
    let values: Vec<f64> =
        forms.iter().map(|form| evaluate(&format!("{declarations}\n{form}\n"))).collect();
    for (form, value) in forms.iter().zip(&values) {
        assert!(value.is_finite(), "{form}: {value}");
        assert!(close(*value, values[0], 1e-12, 1e-12), "{form}: {value} for {}", values[0]);
    }
}

const MEASURED: &str = "data y: real[N]\nparam m: real[2]\nparam s: real[2]\nparam a: real[N]";
const COUNTED: &str = "data n: int[N]\nparam m: real[2]\nparam s: real[2]\nparam a: real[N]";

#[test]
fn a_mixture_of_one_distribution_is_that_of_its_components() {
    let one_by_one = |part: &str| {
        let of = |k: &str| {
            part.replace("m)", &format!("m[{k}])"))
                .replace("m,", &format!("m[{k}],"))
                .replace("s)", &format!("s[{k}])"))
                .replace("s,", &format!("s[{k}],"))
        };
        format!("mixture([0.25, 0.75], {}, {})", of("1"), of("2"))
    };
    for part in [
        "normal(m, s)",
        "truncate(normal(m, s), lower=0)",
        "truncate(normal(0, s), upper=7)",
        "truncate(normal(1, 2), lower=-1, upper=7)",
        "affine(student_t(4, 0, 1), m, s)",
        "censor(normal(m, s), upper=2)",
        "zero_inflated(0.25, gamma(m, s))",
        "hurdle(0.25, truncate(gamma(m, s), upper=9))",
    ] {
        let all = format!("y ~ mixture([0.25, 0.75], {part})");
        let each = format!("y ~ {}", one_by_one(part));
        let looped = format!("for i in 1:N {{ y[i] ~ {} }}", one_by_one(part));
        let whole = format!("for i in 1:N {{ y[i] ~ mixture([0.25, 0.75], {part}) }}");
        agree(MEASURED, &[&each, &all, &looped, &whole]);
    }
    for part in ["zero_inflated(m, poisson(s))", "hurdle(m, truncate(poisson(s), upper=8))"] {
        let all = format!("n ~ mixture([0.25, 0.75], {part})");
        agree(COUNTED, &[&format!("n ~ {}", one_by_one(part)), &all]);
    }
}

#[test]
fn arguments_of_the_shape_of_the_value_are_taken_element_by_element() {
    let each = |dist: &str| dist.replace("a,", "a[i],").replace("a)", "a[i])");
    for dist in [
        "truncate(normal(a, 1), lower=0)",
        "truncate(normal(a, 1), lower=-a, upper=4 + a)",
        "truncate(affine(student_t(4, 0, 1), a, 2), upper=3 + a)",
        "censor(normal(a, 1), upper=2 + a)",
        "affine(gamma(a, 1), -a, 2 * a)",
        "mixture([0.5, 0.5], normal(a, 1), truncate(normal(2, a), lower=-a))",
        "zero_inflated(a, exponential(a))",
        "hurdle(a, exponential(a))",
    ] {
        let looped = format!("for i in 1:N {{ y[i] ~ {} }}", each(dist));
        let looped = looped.replace("-a,", "-a[i],").replace("* a)", "* a[i])");
        let looped = looped.replace("[i][i]", "[i]");
        agree(MEASURED, &[&looped, &format!("y ~ {dist}")]);
    }
    for dist in [
        "zero_inflated(a, poisson(2))",
        "zero_inflated(a, neg_binomial_2(a, 2))",
        "hurdle(a, poisson(a))",
        "truncate(poisson(a), upper=7)",
        "truncate(zero_inflated(a, poisson(a)), upper=5)",
    ] {
        let looped = format!("for i in 1:N {{ n[i] ~ {} }}", each(dist));
        agree(COUNTED, &[&looped, &format!("n ~ {dist}")]);
    }
}

#[test]
fn weights_may_differ_between_elements() {
    let text = "data y: real[N]\nparam m: real[2]\nparam w: real[N, 2]";
    agree(
        text,
        &[
            "for i in 1:N { y[i] ~ mixture(w[i], normal(m, 1)) }",
            "y ~ mixture(w, normal(m, 1))",
            "y ~ mixture(w, normal(m[1], 1), normal(m[2], 1))",
        ],
    );
}

#[test]
fn components_keep_their_own_supports() {
    // Each datum lies in the support of one component only.
    let text = "data y: real[N]\nparam m: real[2]";
    agree(
        text,
        &[
            "y ~ mixture([0.5, 0.25, 0.25], uniform(0, 1), uniform(1, 2), affine(beta(1, 1), 2, 1))",
            "factor log(0.5) + 2 * log(0.25)",
        ],
    );
    // A zero is no count of the shifted distribution, but one of the hurdle.
    agree(
        "data n: int[N]\nparam m: real[2]",
        &["n ~ hurdle(m[1], truncate(poisson(m[2]), lower=1))", "n ~ hurdle(m[1], poisson(m[2]))"],
    );
}
