//! The reference in `docs/language`: its tables come from what the checker and the parser use, its
//! models check and run.
//!
//! `PPL_UPDATE_DOCS=1 cargo test --release reference` writes the tables anew. A table stands between
//! `<!-- generated: NAME -->` and `<!-- end -->`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ppl::check::builtins::Builtin;
use ppl::check::{print, stdlib};
use ppl::data::DataSet;
use ppl::diagnostics::Code;
use ppl::driver::Session;
use ppl::lower::Space;
use ppl::source::FileId;
use ppl::syntax::{self, ast};

use crate::blocks::{Block, blocks, pages};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/language")
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
    for page in pages(&folder()) {
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

/// Every model in the reference does what its page says, and those without error are run.
#[test]
fn blocks_check_and_run() {
    let all: Vec<Block> = pages(&folder()).iter().flat_map(|page| blocks(page)).collect();
    let wrong: String = all.iter().filter_map(Block::wrong).collect();
    assert!(wrong.is_empty(), "{wrong}");
    let unrun = all.iter().filter(|block| block.marks.is_empty() && block.data.is_none());
    let unrun: Vec<String> = unrun.map(Block::place).collect();
    assert!(unrun.is_empty(), "models without data: {unrun:?}");
    for name in ["overview", "types", "statements", "discrete_latents", "missing_data"] {
        let here = all.iter().filter(|block| block.page.file_stem().is_some_and(|s| s == name));
        assert!(here.count() > 0, "no model on the page {name}.md");
    }
    assert!(all.len() >= 45, "{} models", all.len());
}
