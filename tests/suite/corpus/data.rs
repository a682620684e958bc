//! Data files that are broken, by category; and odd ones that are right.

use serde_json::Value;

use super::models::encodings;
use super::{BASES, Case, Ends};

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, base) in BASES.iter().enumerate() {
        let case = |category, name: String, data: Vec<u8>| {
            let name = format!("base {i}, {name}");
            Case::of_model(category, name, base.model).with_data(data)
        };
        for at in (0..base.data.len()).step_by(3) {
            cases.push(case("data: cut off", format!("at {at}"), base.data[..at].into()));
        }
        for (name, bytes, right) in encodings(base.data) {
            // Latin-1 came with a comment.
            let ends = if right { Ends::Either } else { Ends::Error };
            cases.push(case("data: encoding", name.into(), bytes).ends(ends));
        }
        for at in (1..base.data.len()).step_by(13) {
            let data = format!("{}\0{}", &base.data[..at], &base.data[at..]);
            cases.push(case("data: NUL", format!("at {at}"), data.into()));
        }
        let fields: serde_json::Map<String, Value> = serde_json::from_str(base.data).unwrap();
        for name in fields.keys() {
            let entries = |put: &dyn Fn(&str) -> Option<String>| -> Vec<u8> {
                let one = |(field, value): (&String, &Value)| match field == name {
                    true => put(&value.to_string()).map(|value| format!("\"{field}\": {value}")),
                    false => Some(format!("\"{field}\": {value}")),
                };
                let entries: Vec<String> = fields.iter().filter_map(one).collect();
                format!("{{{}}}", entries.join(", ")).into()
            };
            let absent = case("data: absent field", name.clone(), entries(&|_| None));
            cases.push(absent);
            let twice = entries(&|value| Some(format!("{value}, \"{name}\": {value}")));
            cases.push(case("data: field twice", name.clone(), twice));
            for value in VALUES {
                let data = entries(&|_| Some(value.into()));
                let short: String = value.chars().take(30).collect();
                let made = case("data: other value", format!("{name} is {short}"), data);
                cases.push(made.ends(Ends::Either));
            }
            for depth in [33, 1_000, 200_000] {
                let nested =
                    entries(&|_| Some(format!("{}1{}", "[".repeat(depth), "]".repeat(depth))));
                cases.push(case("data: nested", format!("{name}, {depth}"), nested));
            }
        }
    }
    cases.extend(tables());
    cases.extend(outside_bounds());
    cases.extend(empty());
    cases
}

/// Values that no field of the models has.
const VALUES: [&str; 24] = [
    "null",
    "\"text\"",
    "{}",
    "{\"a\": 1}",
    "true",
    "[]",
    "[[]]",
    "[[], [1]]",
    "[1, [2]]",
    "[[1, 2], [3]]",
    "[[[1]], [[2, 3]]]",
    "\"NaN\"",
    "[\"NaN\", 1, 2]",
    "[\"Infinity\", \"-Infinity\", 0]",
    "1e308",
    "1e309",
    "[1e-400, 1, 2]",
    "99999999999999999999",
    "[9007199254740993, 1, 2]",
    "-1",
    "[-1, -1, -1]",
    "0.5",
    "[null, null, null]",
    "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]",
];

/// Tables of comma-separated values for `data x: real[N]`, `data y: real[N]`.
fn tables() -> Vec<Case> {
    let broken: Vec<(&str, Vec<u8>)> = vec![
        ("empty", "".into()),
        ("a header only", "x,y\n".into()),
        ("a short row", "x,y\n1,2\n3\n".into()),
        ("a long row", "x,y\n1,2,3\n".into()),
        ("a word", "x,y\n1,one\n".into()),
        ("an open quote", "x,y\n1,\"2\n3,4\n".into()),
        ("semicolons", "x;y\n1;2\n".into()),
        ("tabs", "x\ty\n1\t2\n".into()),
        ("decimal commas", "x,y\n1,5,2,5\n".into()),
        ("a name twice", "x,x\n1,2\n".into()),
        ("no header", "1,2\n3,4\n".into()),
        ("an empty name", ",y\n1,2\n".into()),
        ("missing cells", "x,y\nNA,2\n,3\n".into()),
        ("NUL", "x,y\n1,\u{0}2\n".into()),
        ("a large number", "x,y\n1,1e309\n".into()),
        ("not text", b"x,y\n1,\xff\n".to_vec()),
        ("UTF-16", "x,y\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("a hundred thousand columns", format!("{}\n1\n", "c,".repeat(100_000)).into()),
        ("one long cell", format!("x,y\n1,{}\n", "9".repeat(1_000_000)).into()),
        ("JSON", "{\"x\": [1], \"y\": [2]}".into()),
    ];
    let right = [
        ("CR LF", "x,y\r\n1,2\r\n"),
        ("quotes", "\"x\",\"y\"\n\"1\",\"2\"\n"),
        ("a mark", "\u{feff}x,y\n1,2\n"),
    ];
    let case = |name: &str, data: Vec<u8>| Case {
        file: "d.csv",
        ..Case::of_model("data: table", name.into(), BASES[0].model).with_data(data)
    };
    let broken = broken.into_iter().map(|(name, data)| match name {
        "a header only" => case(name, data).ends(Ends::Either),
        _ => case(name, data),
    });
    let right = right.into_iter().map(|(name, data)| case(name, data.into()).ends(Ends::Either));
    broken.chain(right).collect()
}

/// Bounds that exclude the data, in every type that has them.
fn outside_bounds() -> Vec<Case> {
    let declared = [
        ("real<lower=0>", "-1"),
        ("real<lower=0>", "\"-Infinity\""),
        ("real<lower=0>", "\"NaN\""),
        ("real<upper=0>", "1e-300"),
        ("real<lower=0, upper=1>", "1.0000000000000002"),
        ("real<lower=2, upper=1>", "1.5"),
        ("int<lower=0>", "-1"),
        ("int<lower=0, upper=1>", "2"),
        ("int", "0.5"),
        ("real<lower=0>[2]", "[1, -1]"),
        ("int<lower=1, upper=3>[2]", "[1, 4]"),
        ("simplex[2]", "[0.5, 0.6]"),
        ("simplex[2]", "[-0.5, 1.5]"),
        ("simplex[2]", "[1]"),
        ("ordered[3]", "[1, 3, 2]"),
        ("ordered[2]", "[1, 1]"),
        ("positive_ordered[2]", "[-1, 1]"),
        ("unit_vector[2]", "[1, 1]"),
        ("sum_to_zero[2]", "[1, 1]"),
        ("corr_matrix[2]", "[[1, 2], [2, 1]]"),
        ("corr_matrix[2]", "[[1, 0.5], [0.4, 1]]"),
        ("cov_matrix[2]", "[[1, 2], [2, 1]]"),
        ("cov_matrix[2]", "[[1, 2, 3], [2, 1, 3]]"),
        ("cholesky_corr[2]", "[[1, 0], [1, 1]]"),
        ("cholesky_cov[2]", "[[1, 1], [0, 1]]"),
        ("cholesky_cov[2]", "[[-1, 0], [0, 1]]"),
    ];
    let case = |(i, (ty, value)): (usize, (&str, &str))| {
        let model = format!("data c: {ty}\nparam a ~ normal(0, 1)\nfactor a * sum([sum([c])])\n");
        // What the model makes of the value is not the point.
        let model = model.replace("sum([sum([c])])", "1");
        let made = Case::of_model("data: outside bounds", format!("{i}, {ty}"), model);
        made.with_data(format!("{{\"c\": {value}}}"))
    };
    declared.into_iter().enumerate().map(case).collect()
}

/// Empty arrays: a likelihood of nothing is 0, a size of nothing is an error.
fn empty() -> Vec<Case> {
    let normal = -0.5 * (2.0 * std::f64::consts::PI).ln();
    let right = [
        ("data y: real[N]\nparam a ~ normal(0, 1)\ny ~ normal(a, 1)\n", normal),
        ("data y: int[N]\nparam a ~ normal(0, 1)\ny ~ poisson_log(a)\n", normal),
        (
            "data y: real[N]\nparam a ~ normal(0, 1)\nparam b: real[N] ~ normal(a, 1)\ny ~ normal(b, 1)\n",
            normal,
        ),
        ("data y: real[N]\nparam a ~ normal(0, 1)\nfor i in 1:N { y[i] ~ normal(a, 1) }\n", normal),
        ("data y: real[N]\nparam a ~ normal(0, 1)\nfactor sum(y) + sum(a * y)\n", normal),
        (
            "data y: real[N]\nparam a ~ normal(0, 1)\nlet m: real[N] { for i in 1:N { m[i] = a } }\ny ~ normal(m, 1)\n",
            normal,
        ),
        (
            "data y: real[N]\nparam a ~ normal(0, 1)\ny ~ mixture([0.5, 0.5], normal([a, 1], 1))\n",
            normal,
        ),
        (
            "data y: real[N]\nparam a ~ normal(0, 1)\nmarginal z: int<lower=0, upper=1>[N] ~ bernoulli(0.5)\ny ~ normal(a * z, 1)\n",
            normal,
        ),
    ];
    let mut cases: Vec<Case> = right
        .iter()
        .map(|(model, density)| {
            let case = Case::of_model("data: empty", (*model).into(), *model);
            case.with_data("{\"y\": []}").ends(Ends::Density(*density))
        })
        .collect();
    let broken = [
        "data y: real[N]\nparam p: simplex[N] ~ dirichlet(y)\n",
        "data y: real[N]\nparam a ~ normal(y[1], 1)\n",
        "data y: real[N]\nparam a ~ normal(max(y), 1)\n",
        "data y: real[N]\nparam L: cholesky_corr[N] ~ lkj_corr_cholesky(1)\n",
        "data y: real[N]\nparam a: real[N - 1] ~ normal(0, 1)\n",
        "data y: real[N]\nlet m: real[N] { m[1] = 0 }\nparam a ~ normal(0, 1)\ny ~ normal(m, 1)\n",
    ];
    cases.extend(broken.iter().map(|model| {
        let case = Case::of_model("data: empty", (*model).into(), *model);
        case.with_data("{\"y\": []}").ends(Ends::Either)
    }));
    cases
}
