//! `stdlib/`: that every file says what it should, and the reference values of its distributions.

use crate::tolerance::close;
use ppl::source::SourceMap;
use ppl::syntax::{ast, parse};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One line of `tests/reference/distributions.jsonl`.
#[derive(Debug)]
pub(crate) struct Case {
    /// The distribution's name in the standard library.
    pub(crate) dist: String,
    /// Arguments in the order of the file, which is that of the declaration.
    pub(crate) params: Vec<(String, Number)>,
    /// Where the density is taken.
    pub(crate) x: Number,
    /// The log density, `-∞` outside the support.
    pub(crate) logpdf: f64,
    /// Its derivative by x, nested like x; absent for integers and at edges.
    pub(crate) dlogpdf_dx: Option<Number>,
    /// Its derivatives by parameters that are real.
    pub(crate) dlogpdf_dparams: BTreeMap<String, Number>,
    /// Further scalar answers: `cdf`, `log_cdf`, `log_survival`, `mean`, `var`.
    pub(crate) other: BTreeMap<String, Number>,
}

/// A number or an array of numbers; integers are told from reals as in Stan JSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Real(f64),
    Array(Vec<Number>),
}

impl Number {
    fn read(v: &Value) -> Self {
        match v {
            Value::Array(items) => Self::Array(items.iter().map(Self::read).collect()),
            _ => {
                let text = v.as_str().unwrap();
                text.parse().map_or_else(|_| Self::Real(text.parse().unwrap()), Self::Int)
            }
        }
    }
}

impl Number {
    /// The lengths of nested arrays, outermost first.
    pub(crate) fn shape(&self) -> Vec<usize> {
        match self {
            Self::Array(items) => {
                let mut dims = vec![items.len()];
                dims.extend(items.first().map(Self::shape).unwrap_or_default());
                dims
            }
            Self::Int(_) | Self::Real(_) => vec![],
        }
    }

    /// The numbers, row-major.
    pub(crate) fn elements(&self) -> Vec<f64> {
        match self {
            Self::Array(items) => items.iter().flat_map(Self::elements).collect(),
            #[allow(clippy::cast_precision_loss, reason = "integers in the file are small")]
            Self::Int(x) => vec![*x as f64],
            Self::Real(x) => vec![*x],
        }
    }

    /// Whether it holds integers.
    pub(crate) fn is_int(&self) -> bool {
        match self {
            Self::Array(items) => items.iter().all(Self::is_int),
            Self::Int(_) => true,
            Self::Real(_) => false,
        }
    }
}

/// What a distribution's declaration says.
#[derive(Debug)]
pub(crate) struct Declared {
    /// The type of each parameter, as written.
    pub(crate) params: Vec<String>,
    /// The type of a draw, as written.
    pub(crate) support: String,
    /// Names of its members.
    pub(crate) members: Vec<String>,
}

/// Every distribution of the library by name.
pub(crate) fn declared() -> BTreeMap<String, Declared> {
    let all = declarations().into_iter().map(|(text, dist)| {
        let written = |ty: &ast::TypeExpr| text[ty.span.range()].trim().to_owned();
        let declared = Declared {
            params: dist.params.iter().map(|p| written(&p.ty)).collect(),
            support: written(&dist.support),
            members: dist.members.iter().map(|m| m.name.text.clone()).collect(),
        };
        (dist.name.text, declared)
    });
    all.collect()
}

/// Reads every case.
pub(crate) fn cases() -> Vec<Case> {
    let scalar = |v: &Value| v.as_str().unwrap().parse().unwrap();
    include_str!("../reference/distributions.jsonl")
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            let object = |v: &Value| -> Vec<(String, Number)> {
                let map = v.as_object().into_iter().flatten();
                map.map(|(k, v)| (k.clone(), Number::read(v))).collect()
            };
            let other = ["cdf", "log_cdf", "log_survival", "mean", "var"];
            Case {
                dist: row["dist"].as_str().unwrap().to_owned(),
                params: object(&row["params"]),
                x: Number::read(&row["x"]),
                logpdf: scalar(&row["logpdf"]),
                dlogpdf_dx: row.get("dlogpdf_dx").map(Number::read),
                dlogpdf_dparams: object(&row["dlogpdf_dparams"]).into_iter().collect(),
                other: other
                    .iter()
                    .filter_map(|&k| Some((k.to_owned(), Number::read(row.get(k)?))))
                    .collect(),
            }
        })
        .collect()
}

/// The library's files, prelude first.
fn stdlib() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib");
    let mut files: Vec<_> = std::fs::read_dir(root.join("distributions"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "ppl"))
        .collect();
    files.sort();
    files.insert(0, root.join("prelude.ppl"));
    files
}

fn parsed(path: &Path) -> (String, ast::File) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut sources = SourceMap::new();
    let file = sources.add(path.display().to_string(), text.clone());
    let outcome = parse(file, &text);
    let found: Vec<_> = outcome.diagnostics.iter().map(|d| format!("{d:?}")).collect();
    assert!(found.is_empty(), "{}:\n{}", path.display(), found.join("\n"));
    (text, outcome.value.unwrap())
}

/// The text of each distribution's file and what it declares.
fn declarations() -> Vec<(String, ast::DistDecl)> {
    stdlib()[1..]
        .iter()
        .map(|path| {
            let (text, file) = parsed(path);
            let stem = path.file_stem().unwrap().to_str().unwrap();
            assert!(text.starts_with("/// "), "{stem} does not begin with its description");
            let [ast::Item::Dist(dist)] = &file.items[..] else {
                panic!("{stem}.ppl holds something other than one distribution");
            };
            assert_eq!(dist.name.text, stem);
            let dist = dist.clone();
            (text, dist)
        })
        .collect()
}

#[test]
fn the_prelude_parses() {
    let (_, file) = parsed(&stdlib()[0]);
    assert!(file.items.len() > 10);
    assert!(file.items.iter().all(|item| matches!(item, ast::Item::Fn(_))));
}

#[test]
fn every_distribution_parses_and_has_known_members() {
    let declared = declarations();
    assert!(declared.len() >= 50, "only {} distributions", declared.len());
    let known = [
        ("log_density", 1),
        ("cdf", 1),
        ("log_cdf", 1),
        ("log_survival", 1),
        ("quantile", 1),
        ("sample", 0),
        ("mean", 0),
        ("variance", 0),
    ];
    for (_, dist) in declared {
        let name = &dist.name.text;
        let members: Vec<_> =
            dist.members.iter().map(|m| (m.name.text.as_str(), m.params.len())).collect();
        for (i, member) in members.iter().enumerate() {
            assert!(known.contains(member), "{name}: {member:?}");
            assert!(!members[..i].contains(member), "{name}: {member:?} twice");
        }
        assert_eq!(members[0].0, "log_density", "{name}");
    }
}

#[test]
fn reference_values_fit_the_declarations() {
    let (cases, declared) = (cases(), declarations());
    for (_, dist) in &declared {
        let name = &dist.name.text;
        let rows: Vec<_> = cases.iter().filter(|case| case.dist == *name).collect();
        assert!(rows.len() >= 3, "{name} has {} reference values", rows.len());
        let names: Vec<_> = dist.params.iter().map(|p| p.name.text.as_str()).collect();
        for case in rows {
            let given: Vec<_> = case.params.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(given, names, "{name}");
        }
    }
    for case in &cases {
        let known = declared.iter().any(|(_, dist)| dist.name.text == case.dist);
        assert!(known, "no distribution {}", case.dist);
    }
}

#[test]
fn reference_values_are_consistent() {
    for case in cases() {
        // A density may be infinite at an edge: a beta or a gamma with a shape below 1.
        let edge = matches!(case.x, Number::Real(x) if x == 0.0 || x == 1.0);
        assert!(case.logpdf < f64::INFINITY || edge, "{case:?}");
        if let Some(d) = &case.dlogpdf_dx {
            assert!(case.logpdf.is_finite() && d.shape() == case.x.shape(), "{case:?}");
        }
        for (name, d) in &case.dlogpdf_dparams {
            let (_, value) = case.params.iter().find(|(n, _)| n == name).unwrap();
            assert!(case.logpdf.is_finite() && d.shape() == value.shape(), "{case:?}");
        }
        let real = |name| match case.other.get(name) {
            Some(Number::Real(v)) => Some(*v),
            _ => None,
        };
        if let (Some(cdf), Some(log_cdf)) = (real("cdf"), real("log_cdf")) {
            assert!(close(log_cdf.exp(), cdf, 1e-12, 0.0) || cdf < 1e-300, "{case:?}");
        }
        if let (Some(cdf), Some(log_survival)) = (real("cdf"), real("log_survival")) {
            assert!(close(cdf, -log_survival.exp_m1(), 1e-12, 1e-300), "{case:?}");
        }
    }
}
