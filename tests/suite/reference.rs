//! The reference in `docs/language`: its tables come from what the checker and the parser use, its
//! models check, and those with data give a finite log density.
//!
//! `PPL_UPDATE_DOCS=1 cargo test --release reference` writes the tables anew. A table stands between
//! `<!-- generated: NAME -->` and `<!-- end -->`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ppl::check::builtins::Builtin;
use ppl::check::{print, stdlib};
use ppl::data::{DataSet, Format};
use ppl::diagnostics::Code;
use ppl::driver::Session;
use ppl::lower::Space;
use ppl::posterior::Parts;
use ppl::source::FileId;
use ppl::syntax::{self, ast};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/language")
}

fn pages() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).unwrap().map(|e| e.unwrap().path());
    let mut pages: Vec<PathBuf> =
        entries.filter(|p| p.extension().is_some_and(|e| e == "md")).collect();
    pages.sort();
    pages
}

/// A cell of a table: one line, `|` escaped.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// The first paragraph of a doc comment, as a cell.
fn summary(doc: Option<&ast::Doc>) -> String {
    let text = doc.map_or("", |doc| doc.text.as_str());
    let first: Vec<&str> = text.lines().take_while(|line| !line.trim().is_empty()).collect();
    cell(&first.join(" "))
}

fn params(params: &[ast::TypedParam]) -> String {
    let shown: Vec<String> =
        params.iter().map(|p| format!("{}: {}", p.name.text, syntax::type_text(&p.ty))).collect();
    shown.join(", ")
}

/// The items of the standard library, file by file.
fn library() -> Vec<(&'static str, ast::Item)> {
    let parse = |text| syntax::parse(FileId(0), text).value.unwrap().items;
    stdlib::FILES
        .iter()
        .flat_map(|(path, text)| parse(text).into_iter().map(move |item| (*path, item)))
        .collect()
}

fn functions() -> String {
    let mut rows: BTreeMap<String, (String, String)> = BTreeMap::new();
    let is_word = |b: &&Builtin| Builtin::parse(b.name()).is_some() && !b.name().contains(' ');
    for builtin in Builtin::ALL.iter().filter(is_word) {
        let signature = print::primitive_forms(*builtin);
        rows.insert(builtin.name().into(), (signature, cell(builtin.doc())));
    }
    let mut doc = String::new();
    for (_, item) in library() {
        if let ast::Item::Fn(f) = item {
            // One comment may stand above several functions that belong together.
            if f.doc.is_some() {
                doc = summary(f.doc.as_ref());
            }
            // Forms of one function share a row.
            let name = f.name.text.split("__").next().unwrap();
            let result = syntax::type_text(&f.result);
            let signature = format!("{name}({}) -> {result}", params(&f.params));
            let row = rows.entry(name.to_owned());
            let row = row.or_insert_with(|| (String::new(), doc.clone()));
            row.0 += if row.0.is_empty() { "" } else { "; " };
            row.0 += &signature;
        }
    }
    let mut out = String::from("| function | is |\n|---|---|\n");
    for (signature, doc) in rows.values() {
        let forms: Vec<String> = signature.split("; ").map(|s| format!("`{}`", cell(s))).collect();
        writeln!(out, "| {} | {doc} |", forms.join("<br>")).unwrap();
    }
    out
}

fn distributions() -> String {
    let mut out = String::from("| distribution | on | has | is |\n|---|---|---|---|\n");
    let mut rows = BTreeMap::new();
    for (_, item) in library() {
        if let ast::Item::Dist(d) = item {
            let members: Vec<String> = d
                .members
                .iter()
                .filter(|m| m.name.text != "log_density")
                .map(|m| format!("`{}`", m.name.text))
                .collect();
            let text = d.doc.as_ref().map_or("", |doc| doc.text.as_str());
            let row = format!(
                "| `{}({})` | `{}` | {} | {} |",
                d.name.text,
                cell(&params(&d.params)),
                cell(&syntax::type_text(&d.support)),
                members.join(" "),
                cell(text.lines().next().unwrap_or_default()),
            );
            rows.insert(d.name.text.clone(), row);
        }
    }
    for row in rows.values() {
        out += row;
        out.push('\n');
    }
    out
}

/// Types of parameters with the transform that the compiler takes for each.
fn types() -> String {
    let rows = [
        ("real", "any real number"),
        ("real<lower=0>", "at least 0"),
        ("real<upper=1>", "at most 1"),
        ("real<lower=0, upper=1>", "between both"),
        ("real<offset=5, multiplier=2>", "any real number; the unconstrained one is `(x - 5) / 2`"),
        ("simplex[3]", "non-negative, sums to 1"),
        ("ordered[3]", "ascending"),
        ("positive_ordered[3]", "positive and ascending"),
        ("unit_vector[3]", "squares sum to 1"),
        ("sum_to_zero[3]", "sums to 0"),
        ("cholesky_corr[3]", "lower-triangular factor of a correlation matrix"),
        ("corr_matrix[3]", "correlation matrix"),
        ("cholesky_cov[3]", "lower-triangular factor of a covariance matrix"),
        ("cov_matrix[3]", "covariance matrix"),
        ("array[2] simplex[3]", "an array of simplexes"),
    ];
    let mut out = String::from(
        "| type | values | shape | unconstrained reals | transform |\n|---|---|---|---|---|\n",
    );
    for (ty, values) in rows {
        let mut session = Session::new();
        let model = session.check("types", &format!("param x: {ty}\n"));
        let data = DataSet::from_arrays([]);
        let lowered = model.and_then(|m| session.lower(&m, &data, Space::Unconstrained));
        let lowered = lowered.unwrap_or_else(|| panic!("{}", session.render(false)));
        let p = &lowered.params[0];
        let shape: Vec<String> = p.shape.iter().map(ToString::to_string).collect();
        let shape =
            if shape.is_empty() { "scalar".into() } else { format!("`[{}]`", shape.join(", ")) };
        writeln!(out, "| `{ty}` | {values} | {shape} | {} | {} |", p.len, p.transform).unwrap();
    }
    out
}

/// The table of the grammar's README, which says how `syntax::build` groups.
fn operators() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("grammar/README.md");
    let text = std::fs::read_to_string(path).unwrap();
    let section = text.split("## Precedence").nth(1).unwrap();
    let rows =
        section.lines().skip_while(|l| !l.starts_with('|')).take_while(|l| l.starts_with('|'));
    rows.map(|line| format!("{line}\n")).collect()
}

fn codes(lints: bool) -> String {
    let mut out = String::from("| code | title |\n|---|---|\n");
    for code in Code::ALL.iter().filter(|c| c.as_str().starts_with('W') == lints) {
        writeln!(out, "| [{code}](../errors/{code}.md) | {} |", code.title()).unwrap();
    }
    out
}

fn table(name: &str) -> String {
    match name {
        "functions" => functions(),
        "distributions" => distributions(),
        "types" => types(),
        "operators" => operators(),
        "errors" => codes(false),
        "lints" => codes(true),
        _ => panic!("there is no table `{name}`"),
    }
}

const OPEN: &str = "<!-- generated: ";
const CLOSE: &str = "<!-- end -->";

#[test]
fn tables_are_up_to_date() {
    let update = std::env::var_os("PPL_UPDATE_DOCS").is_some();
    let mut tables = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let mut parts = text.split(OPEN);
        let mut made = parts.next().unwrap().to_string();
        for part in parts {
            let (name, rest) = part.split_once(" -->").unwrap();
            let (_, after) = rest.split_once(CLOSE).unwrap();
            write!(made, "{OPEN}{name} -->\n\n{}\n{CLOSE}{after}", table(name)).unwrap();
            tables += 1;
        }
        if update {
            std::fs::write(&page, made).unwrap();
        } else {
            let name = page.display();
            assert!(
                made == text,
                "{name} is stale: PPL_UPDATE_DOCS=1 cargo test --release reference"
            );
        }
    }
    assert_eq!(tables, 6);
}

/// The text of the fence that `text` begins with, after its first line.
fn fence(text: &str) -> &str {
    text.split("\n```").next().unwrap()
}

/// Every `ppl` block is a model that checks (one marked `ppl E0102` has that error and no other);
/// one that a `json` block follows is evaluated with it as data, at the unconstrained origin.
#[test]
fn blocks_check_and_run() {
    let (mut models, mut runs) = (0, 0);
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let name = page.file_name().unwrap().to_str().unwrap();
        for block in text.split("\n```ppl").skip(1) {
            let (mark, rest) = block.split_once('\n').unwrap();
            let model_text = format!("{}\n", fence(rest));
            let mut session = Session::new();
            let model = session.check(name, &model_text);
            let found: Vec<&str> = session
                .diagnostics
                .iter()
                .filter(|d| d.is_error())
                .map(|d| d.code.as_str())
                .collect();
            let wanted: Vec<&str> = mark.split_whitespace().collect();
            assert_eq!(found, wanted, "{name}:\n{model_text}\n{}", session.render(false));
            models += 1;
            let after = rest[fence(rest).len()..].trim_start_matches("\n```").trim_start();
            let (Some(model), Some(json)) = (model, after.strip_prefix("```json\n")) else {
                continue;
            };
            let data =
                DataSet::from_bytes(name, Some(Format::Json), fence(json).as_bytes()).unwrap();
            let lowered = session.lower(&model, &data, Space::Unconstrained);
            let lowered = lowered.unwrap_or_else(|| panic!("{name}: {}", session.render(false)));
            let theta = vec![0.0; lowered.params.iter().map(|p| p.len).sum()];
            let at = Parts::new(&lowered).at(&[&theta]).log_density;
            assert!(at.is_finite(), "{name}: the log density is {at} for\n{model_text}");
            runs += 1;
        }
    }
    assert!(models >= 35 && runs >= 25, "{models} models, {runs} of them with data");
}
