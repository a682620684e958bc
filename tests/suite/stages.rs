//! Every stage of every fixture in `tests/ir`, as `ppl emit` prints it, and that each of them runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use ppl::data::DataSet;
use ppl::driver::{Session, Stage};

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ir");
    let mut models: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "ppl"))
        .collect();
    models.sort();
    assert!(models.len() >= 12, "{models:?}");
    models
}

#[test]
fn stages() {
    for path in fixtures() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let data = DataSet::read(&path.with_extension("json")).unwrap();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        for stage in Stage::ALL {
            let mut session = Session::new();
            let shown = session.emit(stage, name, &text, &data);
            let shown = shown.unwrap_or_else(|| panic!("{}", session.render(false)));
            insta::with_settings!({
                omit_expression => true,
                prepend_module_to_snapshot => false,
                snapshot_path => "snapshots/stages",
                description => text.clone(),
            }, {
                insta::assert_snapshot!(format!("{stem}.{}", stage.name()), shown);
            });
        }
    }
}

#[test]
fn every_fixture_runs() {
    let dir = tempfile::tempdir().unwrap();
    for path in fixtures() {
        let out = dir.path().join(path.file_stem().unwrap());
        let output = Command::new(env!("CARGO_BIN_EXE_ppl"))
            .arg("run")
            .arg(&path)
            .args(["--infer", "mean-field", "--iterations", "40", "--draws", "20", "--out"])
            .arg(&out)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", path.display());
        for file in ["summary.json", "draws.csv", "model.ppl", "config.json"] {
            assert!(out.join(file).exists(), "{}: no {file}", path.display());
        }
    }
}
