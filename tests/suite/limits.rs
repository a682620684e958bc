//! Limits that messages name: each has its flag, which lowers and raises it.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A folder with `model.ppl` and what it imports, of `bytes` bytes.
fn folder(model: &str, bytes: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("{}\n", "// a comment\n".repeat(bytes / 13));
    std::fs::write(folder.path().join("model.ppl"), model).unwrap();
    std::fs::write(folder.path().join("long.ppl"), long).unwrap();
    std::fs::write(folder.path().join("model.json"), "{\"n\": 20}").unwrap();
    folder
}

/// Exit code and messages of `ppl check`.
fn check(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ppl"));
    command.arg("check").args(arguments).current_dir(folder).env("NO_COLOR", "1");
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn each_limit_has_a_flag() {
    let array = "data n: int\nparam x: real[n] ~ normal(0, 1)\n";
    let text = "import \"long.ppl\"\nparam x ~ normal(0, 1)\n";
    // Model, arguments, flag, a value that is too small and one that suffices, code.
    let cases = [
        (array, "model.ppl", "--max-elements", "19", "20", "E0508"),
        (array, "model.ppl", "--max-operations", "3", "300", "E0507"),
        (array, "model.ppl", "--max-model-bytes", "10", "100", "E0018"),
        (array, "long.ppl", "--max-model-bytes", "3000000", "3200000", "E0018"),
        (text, "model.ppl", "--max-model-bytes", "3000000", "3200000", "E0109"),
    ];
    for (model, file, flag, low, high, code) in cases {
        let folder = folder(model, 3_100_000);
        let (exit, said) = check(folder.path(), &[file, flag, low]);
        assert!(exit == Some(1) && said.contains(code), "{file} {flag} {low}: {exit:?} {said}");
        let (exit, said) = check(folder.path(), &[file, flag, high]);
        assert!(exit == Some(0), "{file} {flag} {high}: {exit:?} {said}");
    }
}

#[test]
fn a_long_text_names_its_flag_and_one_without_end_is_not_read() {
    let folder = folder("", 3_100_000);
    let (exit, said) = check(folder.path(), &["long.ppl"]);
    assert!(exit == Some(1) && said.contains("E0018"), "{said}");
    assert!(said.contains("--max-model-bytes"), "{said}");
    if Path::new("/dev/zero").exists() {
        let (exit, said) = check(folder.path(), &["/dev/zero"]);
        assert!(exit == Some(1) && said.contains("E0018"), "{said}");
    }
}
