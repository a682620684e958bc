//! Rules that no compiler checks: layers, headers, sizes, who may import what, orphan snapshots.
//!
//! Uses the standard library only, so that it can never be the reason that a dependency stays.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, as it should")]

use std::fs;
use std::path::{Path, PathBuf};

/// Each module of the crate and the modules it may use. The table in ARCHITECTURE.md is this one.
const LAYERS: &[(&str, &[&str])] = &[
    ("source", &[]),
    ("special", &[]),
    ("real", &[]),
    ("simd", &[]),
    ("random", &["real"]),
    ("density", &["real"]),
    ("diagnostics", &["source"]),
    ("syntax", &["source", "diagnostics"]),
    ("check", &["source", "diagnostics", "syntax"]),
    ("data", &["source", "diagnostics"]),
    ("ide", &["check", "data", "diagnostics", "lower", "source", "syntax"]),
    ("lsp", &["check", "data", "diagnostics", "ide", "source", "syntax"]),
    ("ir", &["random", "source", "special"]),
    ("exec", &["density", "ir", "real", "simd", "source", "special"]),
    ("passes", &["ir", "exec"]),
    ("autodiff", &["ir", "source", "special"]),
    ("lower", &["autodiff", "check", "data", "diagnostics", "exec", "ir", "source"]),
    ("inference", &["density", "exec", "real", "random", "simd"]),
    ("results", &["data", "diagnostics", "inference", "lower"]),
    ("report", &["check", "inference", "results", "source", "syntax"]),
    (
        "posterior",
        &[
            "autodiff",
            "data",
            "density",
            "diagnostics",
            "exec",
            "inference",
            "ir",
            "lower",
            "passes",
            "random",
            "results",
            "source",
        ],
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(below: &str, extension: &str) -> Vec<PathBuf> {
    fn walk(dir: &Path, extension: &str, out: &mut Vec<PathBuf>) {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, extension, out);
            } else if path.extension().is_some_and(|e| e == extension) {
                out.push(path);
            }
        }
    }
    let mut out = Vec::new();
    walk(&root().join(below), extension, &mut out);
    out
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// Lines outside of comments and of test modules.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn modules_use_only_the_layers_below_them() {
    let mut wrong = Vec::new();
    for path in files("src", "rs") {
        let name = shown(&path);
        let module = name.trim_start_matches("src/").split(['/', '.']).next().unwrap().to_owned();
        let Some((_, allowed)) = LAYERS.iter().find(|(m, _)| *m == module) else { continue };
        let text = fs::read_to_string(&path).unwrap();
        for line in code(&text) {
            for (at, _) in line.match_indices("crate::") {
                let used: String = line[at + 7..]
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                let is_module = fs::exists(root().join("src").join(&used)).unwrap()
                    || fs::exists(root().join("src").join(format!("{used}.rs"))).unwrap();
                if is_module && used != module && !allowed.contains(&used.as_str()) {
                    wrong.push(format!("{name}: {module} may not use {used}"));
                }
            }
            if line.contains("crate::{") {
                wrong.push(format!("{name}: name each module in a `use` of its own"));
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn some_crates_stay_behind_one_door() {
    let doors: &[(&str, &[&str])] = &[
        ("pest::", &["src/syntax/parser.rs", "src/syntax/build"]),
        ("ariadne::", &["src/diagnostics/render.rs"]),
        ("logos::", &["src/syntax/"]),
        ("dfdx::", &["src/inference/", "src/exec/device/"]),
        ("nuts_rs::", &["src/inference/"]),
        ("clap::", &["src/cli/"]),
        ("clap_complete::", &["src/cli/"]),
        ("clap_mangen::", &["src/cli/"]),
        ("indicatif::", &["src/cli/"]),
        ("lsp_server::", &["src/lsp/"]),
        ("lsp_types::", &["src/lsp/"]),
        ("maud::", &["src/report/"]),
        ("zarrs::", &["src/results/zarr/"]),
        ("parquet::file", &["src/results/write/parquet.rs"]),
        ("println!", &["src/cli/"]),
    ];
    let mut wrong = Vec::new();
    for path in files("src", "rs") {
        let name = shown(&path);
        let text = fs::read_to_string(&path).unwrap();
        for (what, doors) in doors {
            let used = code(&text).any(|line| line.contains(what));
            if used && !doors.iter().any(|door| name.starts_with(door)) {
                wrong.push(format!("{name}: {what} belongs to {}", doors.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_and_stays_readable() {
    let mut wrong = Vec::new();
    for path in ["src", "tests", "benches"].iter().flat_map(|below| files(below, "rs")) {
        let name = shown(&path);
        let text = fs::read_to_string(&path).unwrap();
        if !text.starts_with("//!") {
            wrong.push(format!("{name}: no `//!` header"));
        }
        let lines = text.lines().count();
        if name.starts_with("src/") && lines > 700 {
            wrong.push(format!("{name}: {lines} lines; split it"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_test_is_switched_off() {
    let mut wrong = Vec::new();
    for path in ["src", "tests"].iter().flat_map(|below| files(below, "rs")) {
        let name = shown(&path);
        if name == "tests/tidy.rs" {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("#[ignore") || line.contains("#[should_panic") {
                wrong.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_snapshot_belongs_to_a_fixture() {
    let mut wrong = Vec::new();
    for path in files("tests", "snap") {
        let text = fs::read_to_string(&path).unwrap();
        let input = text.lines().find_map(|line| line.strip_prefix("input_file: "));
        if let Some(input) = input
            && !root().join(input).exists()
        {
            wrong.push(format!("{}: {input} is gone", shown(&path)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_dependency_comes_from_crates_io() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let sources: Vec<&str> =
        lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    assert!(sources.len() > 50, "Cargo.lock lists its packages");
    for source in sources {
        assert_eq!(source, "\"registry+https://github.com/rust-lang/crates.io-index\"");
    }
}

#[test]
fn every_dependency_says_why_it_is_here() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.contains("dependencies]");
        } else if inside && line.contains(" = ") {
            assert!(line.contains('#'), "no reason given: {line}");
        }
    }
}
