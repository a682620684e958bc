//! Messages of the checker: fixtures in `tests/ui`, with the expected codes marked on their lines.
//!
//! `//~ E0102` at the end of a line means one diagnostic of that code whose primary label starts on
//! that line; no others may exist. How they read is a snapshot. Fixtures in `tests/ui/ok` have no
//! errors, and the snapshot is their typed tree without the standard library.

use std::path::Path;

use ppl::check::{self, typed::Model};
use ppl::diagnostics::{Color, Diagnostic, render_all};
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
