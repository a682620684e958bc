//! The same bits from a debug build: no method's draws depend on what the compiler makes of the arithmetic.
#![allow(clippy::print_stdout, reason = "tests say what they compared")]

use std::path::{Path, PathBuf};
use std::process::Command;

use ppl::inference::METHODS;

use crate::effort::slow;

/// The program of a debug build, made beside that of this one.
fn debug_build() -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_ppl")).ancestors().nth(2).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    // Debug information is most of the size of a debug build.
    cargo.args(["build", "--config", "profile.dev.debug=0", "--target-dir"]).arg(target);
    cargo.args(["--config", "profile.dev.incremental=false"]);
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    target.join("debug").join(format!("ppl{}", std::env::consts::EXE_SUFFIX))
}

/// Settings of methods that have them.
const SMALL: [(&str, &str); 6] = [
    ("hidden", "5"),
    ("critic-hidden", "5"),
    ("grad-samples", "4"),
    ("mixing-draws", "20"),
    ("resample", "false"),
    ("methods", "pathfinder,ldvi"),
];

/// Files of a short run that have numbers in them, without what tells one run from another.
fn run(program: &Path, method: &str, out: &Path) -> String {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/eight_schools/model.ppl");
    let mut command = Command::new(program);
    command.arg("run").arg(model).args(["--infer", method, "--out"]).arg(out);
    command.args(["--quiet", "--seed", "5", "--draws", "20", "--iterations", "12"]);
    // A debug build is slow: small networks, where a method has any.
    let options = METHODS.iter().find(|m| m.name == method).unwrap().options;
    for (option, value) in SMALL {
        if options.iter().any(|o| o.name == option) {
            command.args(["--set", &format!("{method}.{option}={value}")]);
        }
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{method}: {}", String::from_utf8_lossy(&output.stderr));
    let draws = std::fs::read_to_string(out.join("draws.csv")).unwrap();
    let draws: Vec<&str> = draws.lines().filter(|line| !line.starts_with('#')).collect();
    let summary = std::fs::read_to_string(out.join("summary.json")).unwrap();
    let mut summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    summary.as_object_mut().unwrap().remove("timing");
    format!("{}\n{summary:#}", draws.join("\n"))
}

#[test]
fn a_debug_build_computes_the_same_bits() {
    if !slow() {
        return;
    }
    let debug = debug_build();
    let folder = tempfile::tempdir().unwrap();
    let mut differ = Vec::new();
    for method in METHODS.iter().map(|m| m.name) {
        let of = |program: &Path, name: &str| {
            run(program, method, &folder.path().join(format!("{method} {name}")))
        };
        let this = of(Path::new(env!("CARGO_BIN_EXE_ppl")), "release");
        let same = this == of(&debug, "debug");
        println!("{method}: {} bytes, {}", this.len(), if same { "the same" } else { "others" });
        if !same {
            differ.push(method);
        }
    }
    assert!(differ.is_empty(), "{differ:?}");
}
