//! Messages of the checker: fixtures in `tests/ui`, with the expected codes marked on their lines.
//!
//! `//~ E0102` at the end of a line means one diagnostic of that code whose primary label starts on
//! that line; no others may exist. How they read is a snapshot. Fixtures in `tests/ui/ok` have no
//! errors, and the snapshot is their typed tree without the standard library. Those in
//! `tests/ui/data` are checked with the `.json` or `.csv` beside them; `//~file E0402` is an error of
//! the data file itself.

use std::path::Path;

use ppl::check::{self, typed::Model};
use ppl::data::{DataSet, Format};
use ppl::diagnostics::{Code, Color, Diagnostic, render_all};
use ppl::driver::Session;
use ppl::source::SourceMap;
use ppl::syntax;

struct Checked {
    sources: SourceMap,
    model: Model,
    diagnostics: Vec<Diagnostic>,
}

fn check(name: &str, text: &str) -> Checked {
    let mut sources = SourceMap::new();
    let id = sources.add(name, text);
    let parsed = syntax::parse(id, text);
    let mut diagnostics = parsed.diagnostics;
    let mut import = |path: &str, _: &str| match path {
        "helpers.ppl" => Ok((path.to_string(), "fn twice(x: real) -> real = 2 * x\n".to_string())),
        _ => Err("no such file".to_string()),
    };
    let checked = check::check_with(&parsed.value.unwrap(), &mut sources, &mut import);
    diagnostics.extend(checked.diagnostics);
    let allowances = syntax::Allowances::read(id, text);
    diagnostics.extend(allowances.diagnostics.iter().cloned());
    diagnostics.retain(|diagnostic| !allowances.allow(diagnostic));
    if diagnostics.iter().any(Diagnostic::is_error) {
        diagnostics.retain(Diagnostic::is_error);
    }
    Checked { sources, model: checked.value.unwrap(), diagnostics }
}

/// The (line, code) pairs that the text asks for, sorted.
fn marks(text: &str) -> Vec<(usize, String)> {
    let mut marks = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some((_, codes)) = line.split_once("//~") {
            marks.extend(codes.split_whitespace().map(|code| (index + 1, code.to_string())));
        }
    }
    marks.sort();
    marks
}

fn found(checked: &Checked) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = checked
        .diagnostics
        .iter()
        .map(|d| (checked.sources.location(d.span()).line, d.code.to_string()))
        .collect();
    found.sort();
    found
}

/// The typed tree from the model's own declarations on.
fn own_part(model: &Model) -> String {
    let text = check::emit(model);
    let own = |line: &&str| {
        let words = ["size ", "data ", "param ", "let ", "marginal ", "gen "];
        words.iter().any(|word| line.starts_with(word))
    };
    let start = text.lines().position(|line| own(&line)).unwrap_or(0);
    text.lines().skip(start).map(|line| format!("{line}\n")).collect()
}

fn compare(path: &Path, checked: &Checked, text: &str, wrong: &mut String) {
    let (wanted, found) = (marks(text), found(checked));
    if wanted != found {
        *wrong += &format!("{}: marked {wanted:?}, found {found:?}\n", path.display());
    }
}

#[test]
fn messages() {
    let mut wrong = String::new();
    let mut count = 0;
    insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => true}, {
        insta::glob!("..", "ui/{names,types,shapes,stages,supports,lints,foreign}/*.ppl", |path| {
            let text = std::fs::read_to_string(path).unwrap();
            let checked = check(path.file_name().unwrap().to_str().unwrap(), &text);
            compare(path, &checked, &text, &mut wrong);
            count += 1;
            insta::assert_snapshot!(render_all(&checked.diagnostics, &checked.sources, Color::Off));
        });
    });
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count >= 200 || std::env::var_os("INSTA_GLOB_FILTER").is_some(), "{count} fixtures");
}

/// What is said about a model with its data: the (line, code) pairs, line 0 for the file, and the text.
fn with_data(path: &Path, text: &str) -> (Vec<(usize, String)>, String) {
    let json = path.with_extension("json");
    let file = if json.exists() { json } else { path.with_extension("csv") };
    let name = file.file_name().unwrap().to_str().unwrap();
    let format = if name.ends_with("csv") { Format::Csv } else { Format::Json };
    let bytes = std::fs::read(&file).unwrap();
    let data = match DataSet::from_bytes(name, Some(format), &bytes) {
        Ok(data) => data,
        Err(errors) => {
            let codes = errors.iter().map(|e| (0, e.code().to_string())).collect();
            let lines = errors.iter().map(|e| format!("[{}] Error: {e}\n", e.code()));
            return (codes, lines.collect());
        }
    };
    let mut session = Session::new();
    let model = session.check(path.file_name().unwrap().to_str().unwrap(), text);
    if let Some(model) = model {
        session.compile(&model, &data);
    }
    let place = |d: &Diagnostic| (session.sources.location(d.span()).line, d.code.to_string());
    let mut found: Vec<_> =
        session.diagnostics.iter().filter(|d| d.is_error()).map(place).collect();
    found.sort();
    (found, session.render(false))
}

#[test]
fn messages_about_data() {
    let mut wrong = String::new();
    let mut count = 0;
    insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => true}, {
        insta::glob!("..", "ui/data/*.ppl", |path| {
            let text = std::fs::read_to_string(path).unwrap();
            let of_file: Vec<(usize, String)> = text
                .lines()
                .filter_map(|line| line.strip_prefix("//~file "))
                .flat_map(|codes| codes.split_whitespace().map(|code| (0, code.to_string())))
                .collect();
            let wanted = if of_file.is_empty() { marks(&text) } else { of_file };
            let (found, shown) = with_data(path, &text);
            if wanted != found {
                wrong += &format!("{}: marked {wanted:?}, found {found:?}\n{shown}\n", path.display());
            }
            count += 1;
            insta::assert_snapshot!(shown);
        });
    });
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count >= 25 || std::env::var_os("INSTA_GLOB_FILTER").is_some(), "{count} fixtures");
}

/// Every code is the answer to some fixture, here or among those of the syntax and the command line.
#[test]
fn every_code_has_a_fixture() {
    fn walk(folder: &Path, out: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "snap" || e == "rs") {
                out.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut shown = String::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite"), &mut shown);
    // What this release lacks (E0506) changes.
    let mut codes = Code::ALL.iter().map(|c| c.as_str()).filter(|code| *code != "E0506");
    let missing: Vec<&str> = codes.by_ref().filter(|code| !shown.contains(code)).collect();
    assert!(missing.is_empty(), "no fixture for {missing:?}");
}

/// Declarations may stand in any order, also so that each is read before the line that declares it: up to a
/// length, since every one that waits takes room on the stack.
#[test]
fn a_long_chain_of_declarations_in_reverse_order_checks() {
    let codes = |n: usize| -> Vec<&str> {
        let mut text = format!("data y: real\ny ~ normal(a{n}, 1)\n");
        text.extend((1..=n).rev().map(|i| format!("let a{i} = a{} + 1\n", i - 1)));
        text += "param a0 ~ normal(0, 1)\n";
        let checked = check("chain.ppl", &text);
        checked.diagnostics.iter().map(|d| d.code.as_str()).collect()
    };
    assert_eq!(codes(2_000), [""; 0]);
    assert_eq!(codes(2_001), ["E0111"]);
    assert_eq!(codes(30_000), ["E0111"]);
}

#[test]
fn typed_trees() {
    let mut wrong = String::new();
    insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => true}, {
        insta::glob!("..", "ui/ok/*.ppl", |path| {
            let text = std::fs::read_to_string(path).unwrap();
            let checked = check(path.file_name().unwrap().to_str().unwrap(), &text);
            compare(path, &checked, &text, &mut wrong);
            insta::assert_snapshot!(own_part(&checked.model));
        });
    });
    assert!(wrong.is_empty(), "{wrong}");
}
