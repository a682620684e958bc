//! What Python users have: the package of `python/`, built and tested as they would, and the guides for those
//! who come from NumPyro and PyMC.

use std::path::Path;
use std::process::Command;

use crate::effort;
use crate::python::{python_with, scripts};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a command and shows what it says where it fails.
fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{said}\n{errors}");
}

#[test]
fn slow_the_wheel_is_built_and_passes_its_tests() {
    if !effort::slow() {
        return;
    }
    let Some(python) = python_with("python_package") else { return };
    let folder = tempfile::tempdir().unwrap();
    // The suite's own target directory has the dependencies already.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut build = Command::new(&python);
    build.args(["-m", "maturin", "build", "--release", "--compatibility", "linux"]);
    build.args(["--manifest-path", "python/Cargo.toml", "--out"]).arg(folder.path());
    build.arg("--interpreter").arg(&python);
    succeed(build.current_dir(root()).env("CARGO_TARGET_DIR", target));
    let wheels: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
    let [wheel] = wheels.as_slice() else { panic!("{wheels:?}") };
    assert!(wheel.display().to_string().contains("abi3"), "{wheels:?}");
    let mut install = Command::new(&python);
    succeed(
        install.args(["-m", "pip", "install", "-q", "--force-reinstall", "--no-deps"]).arg(wheel),
    );
    // Elsewhere, so that the package that is tested is the installed one.
    let mut test = Command::new(&python);
    test.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-c"]);
    test.arg(root().join("python/pyproject.toml")).arg(root().join("python/tests"));
    succeed(test.current_dir(folder.path()));
}

/// Compares the models of a guide with the ones of `ppl` beside them.
fn compare_models(packages: &str, page: &str) {
    let Some(python) = python_with(packages) else { return };
    let mut compare = Command::new(&python);
    compare.arg(scripts().join("coming_from.py")).arg(env!("CARGO_BIN_EXE_ppl"));
    succeed(compare.arg(root().join("docs").join(page)));
}

#[test]
fn slow_coming_from_numpyro_and_pymc() {
    if effort::slow() {
        compare_models("coming_from", "coming_from_numpyro.md");
        compare_models("coming_from", "coming_from_pymc.md");
    }
}

/// Stan's models are compiled, which takes a C++ compiler and some minutes.
#[test]
fn slow_coming_from_stan() {
    if !effort::slow() {
        return;
    }
    if Command::new("g++").arg("--version").output().is_err() {
        println!("skipped: there is no g++");
        return;
    }
    compare_models("stan", "coming_from_stan.md");
}
