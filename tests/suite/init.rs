//! `--init`: every method from another method's draws, and from an earlier run's.

use std::path::Path;
use std::process::{Command, Output};

use ppl::data::DataSet;
use ppl::driver::Session;
use ppl::inference::start::Gaussian;
use ppl::inference::{Settings, Silent, find};

/// Two strongly correlated parameters, far from the origin.
const MODEL: &str = "param a ~ normal(40, 2)\nparam b ~ normal(a, 0.5)\n";

#[test]
fn every_method_starts_from_another() {
    let mut session = Session::new();
    let model = session.check("m.ppl", MODEL).unwrap();
    let posterior = session.compile(&model, &DataSet::from_arrays([])).unwrap();
    for (method, init) in [
        ("mean-field", "laplace"),
        ("full-rank", "laplace"),
        ("low-rank", "bam"),
        ("bam", "pathfinder"),
        ("auto", "mean-field"),
        ("ldvi", "full-rank"),
        ("ula", "laplace"),
        ("sivi-sm", "laplace"),
        ("nuts", "low-rank"),
    ] {
        let settings = Settings {
            init: Some(init.into()),
            iterations: Some(if matches!(method, "ldvi" | "ula" | "sivi-sm") { 400 } else { 4000 }),
            draws: 1000,
            ..Settings::default()
        };
        let fit = find(method).unwrap().fit(posterior.target(), &settings, &mut Silent).unwrap();
        let g = Gaussian::of_draws(&fit.draws, 2).unwrap();
        for mean in &g.mean {
            assert!((mean - 40.0).abs() < 0.7, "{method} from {init}: {g:?}");
        }
        // A diagonal family has the conditional scale only.
        if method != "mean-field" {
            assert!((g.sd[0] / 2.0).ln().abs() < 0.3, "{method} from {init}: {g:?}");
        }
        let itself = Settings { init: Some(method.into()), ..settings };
        if method != "mean-field" {
            let refused = find(method).unwrap().fit(posterior.target(), &itself, &mut Silent);
            let said = refused.unwrap_err().to_string();
            assert!(said.contains(&format!("{method} cannot start from `{method}`")), "{said}");
        }
    }
}

fn ppl(args: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ppl"));
    command.args(args).current_dir(dir).env("NO_COLOR", "1").output().unwrap()
}

#[test]
fn a_run_starts_from_an_earlier_one_of_the_same_parameters() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("m.ppl"), MODEL).unwrap();
    std::fs::write(at("other.ppl"), "param a ~ normal(0, 1)\nparam c: real[2] ~ normal(a, 1)\n")
        .unwrap();
    let run = |args: &[&str]| ppl(&[&["run", "-q"], args].concat(), dir.path());
    let first = run(&["m.ppl", "--infer", "nuts", "--draws", "1000", "--out", "first"]);
    assert_eq!(first.status.code(), Some(0), "{}", String::from_utf8_lossy(&first.stderr));
    // One step is too few to find the posterior from anywhere else.
    for method in ["mean-field", "ldvi", "sivi-sm", "nuts"] {
        let flags = ["m.ppl", "--infer", method, "--iterations", "1", "--draws", "500"];
        let from = run(&[&flags[..], &["--init", "first", "--out", method, "--json"]].concat());
        let said = String::from_utf8_lossy(&from.stderr);
        assert_eq!(from.status.code(), Some(0), "{method}: {said}");
        let summary: serde_json::Value = serde_json::from_slice(&from.stdout).unwrap();
        let mean = summary["variables"]["a"]["mean"].as_f64().unwrap();
        assert!((mean - 40.0).abs() < 2.0, "{method}: {mean}");
    }
    let refused = |args: &[&str]| {
        let output = run(args);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = refused(&["other.ppl", "--infer", "ldvi", "--init", "first"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("has no parameter `c`"), "{said}");
    let (code, said) = refused(&["m.ppl", "--infer", "ldvi", "--init", "frist"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("neither a method nor a run directory"), "{said}");
}
