//! Run directories from strangers: nothing is written outside of `--out`, and no link is followed.
#![cfg(unix)]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

fn ppl(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ppl"));
    command.args(args).current_dir(folder).env("NO_COLOR", "1").output().unwrap()
}

/// A folder with the run `run` of a small model, and a file `outside` that is not to be touched.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    for name in ["gauss.ppl", "gauss.json"] {
        std::fs::copy(fixtures.join(name), folder.path().join(name)).unwrap();
    }
    let run = ["run", "gauss.ppl", "-q", "--infer", "mean-field", "--draws", "50", "--out", "run"];
    let output = ppl(folder.path(), &run);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(folder.path().join("outside"), "untouched").unwrap();
    folder
}

/// That `ppl` refuses, with these words, and leaves what is outside alone.
fn refused(folder: &TempDir, args: &[&str], words: &str) {
    let output = ppl(folder.path(), args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
    assert!(said.contains(words), "{args:?}: {said}");
    let outside = std::fs::read_to_string(folder.path().join("outside")).unwrap();
    assert_eq!(outside, "untouched", "{args:?}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("untouched"), "{args:?}");
}

/// Puts a link to `outside` into the place of a file of the run.
fn link(folder: &TempDir, name: &str) {
    let place = folder.path().join("run").join(name);
    let _ = std::fs::remove_file(&place);
    symlink(folder.path().join("outside"), place).unwrap();
}

#[test]
fn a_link_in_a_run_is_neither_read_nor_written_through() {
    let cases: [(&str, &[&str]); 6] = [
        ("report.html", &["report", "run"]),
        ("model.ppl", &["report", "run", "--out", "-"]),
        ("summary.json", &["summary", "run"]),
        ("data.json", &["predict", "run"]),
        ("fit.zarr/posterior/mu/zarr.json", &["compare", "run", "run"]),
        ("checkpoint/run.json", &["run", "gauss.ppl", "--resume", "run"]),
    ];
    for (name, args) in cases {
        let folder = folder();
        link(&folder, name);
        refused(&folder, args, "is a link");
    }
    let folder = folder();
    std::fs::rename(folder.path().join("run/fit.zarr"), folder.path().join("elsewhere")).unwrap();
    symlink("../elsewhere", folder.path().join("run/fit.zarr")).unwrap();
    refused(&folder, &["report", "run", "--out", "-"], "is a link");
}

/// Changes the JSON of a file.
fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

#[test]
fn a_checkpoint_does_not_say_where_to_write() {
    let folder = folder();
    let run = folder.path().join("run");
    change(&run.join("checkpoint/run.json"), |header| {
        header["config"]["flags"]["out"] = json!("../outside-run");
    });
    let output = ppl(folder.path(), &["run", "gauss.ppl", "-q", "--resume", "run"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!folder.path().parent().unwrap().join("outside-run").exists());
}

#[test]
fn a_store_of_arrays_cannot_ask_for_memory_or_lead_out() {
    let folder = folder();
    let store = folder.path().join("run/fit.zarr");
    let huge = |node: &mut Value| node["shape"] = json!([1, 1_u64 << 50]);
    change(&store.join("posterior/mu/zarr.json"), huge);
    change(&store.join("zarr.json"), |root| {
        huge(&mut root["consolidated_metadata"]["metadata"]["posterior/mu"]);
    });
    refused(&folder, &["report", "run"], "elements in");
    change(&store.join("zarr.json"), |root| {
        let metadata = &mut root["consolidated_metadata"]["metadata"];
        metadata["posterior/../../../outside"] = metadata["posterior/mu"].clone();
    });
    refused(&folder, &["report", "run"], "is not the name of an array");
}

#[test]
fn a_place_that_is_no_run_is_not_replaced() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("mine")).unwrap();
    std::fs::copy(folder.path().join("outside"), folder.path().join("mine/notes")).unwrap();
    symlink("mine", folder.path().join("link")).unwrap();
    for out in ["mine", "link", "outside"] {
        let output =
            ppl(folder.path(), &["run", "gauss.ppl", "-q", "--infer", "laplace", "--out", out]);
        assert_eq!(output.status.code(), Some(2), "{out}");
        assert_eq!(std::fs::read_to_string(folder.path().join("mine/notes")).unwrap(), "untouched");
    }
}
