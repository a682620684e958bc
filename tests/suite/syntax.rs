//! Tokens, trees, syntax errors and formatting of the fixtures in `tests/syntax`.

use std::fs;
use std::path::{Path, PathBuf};

use ppl::diagnostics::{Color, render_all};
use ppl::source::{FileId, SourceMap};
use ppl::syntax;

const FILE: FileId = FileId(0);

/// Reads every fixture of a folder of `tests/syntax`, in order of name.
fn fixtures(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/syntax").join(folder);
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// Renders the diagnostics of a text, without colour and under a short name.
fn complaints(name: &str, text: &str) -> String {
    let mut sources = SourceMap::new();
    let file = sources.add(name, text);
    render_all(&syntax::parse(file, text).diagnostics, &sources, Color::Off)
}

#[test]
fn ok_fixtures_have_no_errors() {
    let mut failures = String::new();
    for (path, text) in fixtures("ok") {
        failures += &complaints(path.file_name().unwrap().to_str().unwrap(), &text);
    }
    assert!(failures.is_empty(), "{failures}");
}
