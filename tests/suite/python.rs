//! Results in the hands of the Python packages that people use: xarray, ArviZ 1.x, cmdstanpy, PyArrow.
//!
//! The packages come from PyPI into a virtual environment below `target/`, made once. Without a Python
//! that is new enough, or without PyPI, the tests say so and pass.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::effort;

/// `tests/python`.
pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python")
}

/// The interpreter of an environment with the packages of `tests/python/requirements.txt`.
pub(crate) fn python() -> Option<PathBuf> {
    python_with("requirements")
}

/// The interpreter of an environment with the packages of `tests/python/NAME.txt`, whose first line may be
/// `# python below 3.X`.
pub(crate) fn python_with(name: &str) -> Option<PathBuf> {
    let wanted = std::fs::read_to_string(scripts().join(format!("{name}.txt"))).unwrap();
    let below = wanted.lines().next().and_then(|line| line.strip_prefix("# python below 3."));
    let below = below.map_or(u32::MAX, |minor| minor.parse().unwrap());
    let found = base_interpreter(below).map(|base| environment(&base, name, &wanted));
    let none = || match below {
        u32::MAX => "there is no Python 3.12 or newer".into(),
        below => format!("there is no Python from 3.12 to 3.{}", below - 1),
    };
    match found.unwrap_or_else(|| Err(none())) {
        Ok(python) => Some(python),
        Err(reason) => {
            println!("skipped: {reason}");
            None
        }
    }
}

/// ArviZ 1.x wants Python 3.12; what is called `python3` may be older.
fn base_interpreter(below: u32) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv/versions"));
    let pyenv = home.and_then(|versions| std::fs::read_dir(versions).ok()).into_iter().flatten();
    let mut candidates: Vec<PathBuf> =
        pyenv.filter_map(|e| Some(e.ok()?.path().join("bin/python3"))).collect();
    candidates.sort();
    candidates.extend(["python3", "python3.14", "python3.13", "python3.12"].map(PathBuf::from));
    let fits = format!(
        "import sys, venv, ensurepip; sys.exit(not (3, 12) <= sys.version_info < (3, {below}))"
    );
    candidates.into_iter().rev().find(|python| {
        let tried = Command::new(python).args(["-c", &fits]).output();
        tried.is_ok_and(|output| output.status.success())
    })
}

/// The environment of the packages that `tests/python/NAME.txt`, which is `wanted`, lists.
fn environment(base: &Path, name: &str, wanted: &str) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python").join(name);
    let python = folder.join("bin/python");
    let requirements = scripts().join(format!("{name}.txt"));
    let stamp = folder.join("installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let run = |command: &mut Command, what: &str| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("{what}: {error}")),
    };
    run(
        Command::new(base).args(["-m", "venv", "--clear"]).arg(&folder),
        "cannot make a virtual environment",
    )?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--retries", "1", "-r"]).arg(&requirements);
    run(&mut pip, "PyPI does not give the packages")?;
    std::fs::write(stamp, wanted).unwrap();
    Ok(python)
}

/// `ppl` at the root of the repository.
pub(crate) fn ppl(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ppl"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).env("NO_COLOR", "1");
    command.output().unwrap()
}

#[test]
fn slow_arviz_and_cmdstanpy_read_runs() {
    if !effort::slow() {
        return;
    }
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    for method in ["mean-field", "pathfinder", "nuts"] {
        let run = dir.path().join(method).display().to_string();
        let model = "examples/eight_schools/model.ppl";
        let output = ppl(&["run", model, "--infer", method, "--draws", "2000", "--out", &run]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let script = scripts().join("read_a_run.py");
        let read = Command::new(&python).arg(script).args([&run, method]).output().unwrap();
        print!("{}", String::from_utf8_lossy(&read.stdout));
        assert!(read.status.success(), "{method}: {}", String::from_utf8_lossy(&read.stderr));
    }
    // `ppl compare` estimates the same elpd.
    let [a, b] = ["mean-field", "nuts"].map(|method| dir.path().join(method).display().to_string());
    let compared = ppl(&["compare", &a, &b, "--json"]);
    let compared: serde_json::Value = serde_json::from_slice(&compared.stdout).unwrap();
    for (run, path) in compared["runs"].as_array().unwrap().iter().zip([a, b]) {
        let text = std::fs::read_to_string(Path::new(&path).join("elpd.txt")).unwrap();
        let (ours, theirs) = (run["loo"]["elpd"].as_f64().unwrap(), text.parse::<f64>().unwrap());
        assert!((ours - theirs).abs() < 0.05, "{path}: {ours}, ArviZ {theirs}");
    }
}
