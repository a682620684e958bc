//! The command line as scripts see it: output, exit codes, files.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::tolerance::close;

/// `ppl` with the given arguments, run in `tests/cli`, without colours.
fn ppl(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ppl"));
    command.args(args).current_dir(fixtures()).env("NO_COLOR", "1").env_remove("COLUMNS");
    command
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli")
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// What an instruction costs is said before it; the text is otherwise the same.
#[test]
fn programs_with_costs() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/sonar/model.ppl");
    let plain = stdout(&ppl(&["emit", model, "--stage", "program"]).output().unwrap());
    let costed = stdout(&ppl(&["emit", model, "--stage", "program", "--cost"]).output().unwrap());
    let cost = |line: &str| line.trim_start().starts_with("//") && line.ends_with(" ns");
    let without: Vec<&str> = costed.lines().filter(|line| !cost(line)).collect();
    assert_eq!(without, plain.lines().collect::<Vec<_>>());
    let mut lines = costed.lines().peekable();
    let mut products = 0;
    while let Some(line) = lines.next() {
        if lines.peek().is_some_and(|next| next.contains(" = matmul ")) {
            // 208 rows of 60 columns, a multiplication and an addition each.
            assert!(line.contains("// 24960 operations, "), "{line}");
            products += 1;
        }
    }
    assert_eq!(products, 2, "{costed}");
    let refused = ppl(&["emit", model, "--stage", "ast", "--cost"]).output().unwrap();
    assert_eq!(code(&refused), 2);
}

/// Each `tests/cli/*.cmd` is one command line; `$OUT` stands for a fresh directory.
#[test]
fn commands() {
    insta::glob!("../cli", "*.cmd", |path| {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run").display().to_string();
        let line = std::fs::read_to_string(path).unwrap();
        let args: Vec<&str> =
            line.split_whitespace().map(|a| if a == "$OUT" { &out } else { a }).collect();
        let output = ppl(&args).output().unwrap();
        let shown = format!(
            "$ ppl {}\n-- exit code {}\n-- stdout\n{}-- stderr\n{}",
            line.trim(),
            code(&output),
            stdout(&output),
            stderr(&output)
        );
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!(shown);
        });
    });
}

#[test]
fn a_run_leaves_all_files_and_the_right_posterior() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("a/b");
    let run = ["run", "gauss.ppl", "--infer", "nuts", "--draws", "2000", "--out"];
    let output = ppl(&run).arg(&out).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("data: gauss.json"), "{}", stderr(&output));
    assert!(stderr(&output).contains("wrote "), "{}", stderr(&output));
    assert!(stdout(&output).contains("verdict: "), "{}", stdout(&output));
    for file in ["summary.json", "config.json", "draws.csv", "model.ppl", "fit.zarr/zarr.json"] {
        assert!(out.join(file).is_file(), "{file}");
    }
    // Prior N(0, 10), noise sd 2, 20 observations of mean 8.21: exact by conjugacy.
    let summary = json(&out.join("summary.json"));
    let mu = &summary["variables"]["mu"];
    assert!(close(mu["mean"].as_f64().unwrap(), 8.049_019_607_843_137, 0.0, 0.06), "{mu}");
    assert!(close(mu["sd"].as_f64().unwrap(), 0.442_807_442_770_047_6, 0.0, 0.04), "{mu}");
    assert_eq!(summary["verdict"], "ok", "{summary}");
    assert_eq!(summary["model"], "gauss");
    let config = json(&out.join("config.json"));
    assert_eq!((&config["method"], &config["seed"]), (&"nuts".into(), &1.into()));
    assert_eq!(config["flags"]["draws"], 2000);

    let again = ppl(&["summary"]).arg(&out).output().unwrap();
    assert_eq!((code(&again), stdout(&again)), (0, stdout(&output)));
    let as_json = ppl(&["summary", "--json"]).arg(&out).output().unwrap();
    assert_eq!(serde_json::from_str::<Value>(&stdout(&as_json)).unwrap(), summary);
}

/// The table that `draws.csv` or standard output has: names and rows.
fn table(text: &str) -> (Vec<String>, Vec<Vec<f64>>) {
    let mut lines = text.lines().filter(|l| !l.starts_with('#'));
    let names = lines.next().unwrap().split(',').map(str::to_owned).collect();
    (names, lines.map(|l| l.split(',').map(|x| x.parse().unwrap()).collect()).collect())
}

#[test]
#[allow(clippy::cast_precision_loss, reason = "numbers of draws are small")]
fn a_run_predicts_its_data_and_new_data() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let args = ["run", "trend.ppl", "-q", "--infer", "nuts", "--draws", "1000", "--out"];
    let output = ppl(&args).arg(&run).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    for group in ["posterior_predictive/y", "prior/b", "prior_predictive/y", "log_likelihood/y"] {
        assert!(run.join("fit.zarr").join(group).join("zarr.json").is_file(), "{group}");
    }
    assert!(run.join("data.json").is_file());
    assert!(json(&run.join("config.json")).get("not_drawn").is_none());

    // New points, their number too; `y` is drawn, and what reads it is left out and named.
    let predict = |data: &str, more: &[&str]| {
        ppl(&["predict"]).arg(&run).args(["--data", data]).args(more).output().unwrap()
    };
    let output = predict("trend_new.json", &[]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("`r` depends on `y`, which is not in the data"));
    let (names, rows) = table(&stdout(&output));
    assert_eq!(names, ["y.1", "y.2", "y.3", "at_ten"]);
    assert_eq!(rows.len(), 1000);
    let fitted = std::fs::read_to_string(run.join("draws.csv")).unwrap();
    let (fitted_names, fitted) = table(&fitted);
    let column = |name: &str| fitted_names.iter().position(|n| n == name).unwrap();
    let (a, b) = (column("a.1"), column("b"));
    // Each prediction lies around its own draw's line.
    let gaps = rows.iter().zip(&fitted).map(|(row, draw)| row[1] - draw[a] - 6.0 * draw[b]);
    let gaps: Vec<f64> = gaps.collect();
    let mean = gaps.iter().sum::<f64>() / 1000.0;
    let sd = (gaps.iter().map(|g| g * g).sum::<f64>() / 1000.0).sqrt();
    assert!(mean.abs() < 0.065 && (sd - 0.5).abs() < 0.05, "mean {mean}, sd {sd}");
    let as_json = predict("trend_new.json", &["--json"]);
    let first: Value = serde_json::from_str(stdout(&as_json).lines().next().unwrap()).unwrap();
    assert_eq!(first["y"][1].as_f64().unwrap(), rows[0][1]);

    // A parameter cannot grow.
    let output = predict("trend_three.json", &[]);
    assert_eq!(code(&output), 1);
    let message = "parameter `a: real[G]` has 2 elements along axis 1 in the run, and 3 with";
    assert!(stderr(&output).contains(message), "{}", stderr(&output));

    // With data, the log likelihood of the data too.
    let out = dir.path().join("predicted");
    let output = ppl(&["predict", "-q"]).arg(&run).arg("--out").arg(&out).output().unwrap();
    assert_eq!((code(&output), stdout(&output).as_str()), (0, ""), "{}", stderr(&output));
    for file in ["predictions.json", "draws.csv", "fit.zarr/log_likelihood/y/zarr.json"] {
        assert!(out.join(file).is_file(), "{file}");
    }
}

#[test]
fn simulated_data_files_can_be_fitted() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("prior");
    let args = ["simulate", "trend.ppl", "--data", "trend_new.json", "--prior", "-n", "3", "--out"];
    let output = ppl(&args).arg(&out).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    for group in ["prior/a", "prior/r", "prior_predictive/y", "constant_data/x"] {
        assert!(out.join("fit.zarr").join(group).join("zarr.json").is_file(), "{group}");
    }
    let file = out.join("data/3.json");
    let simulated = json(&file);
    let (names, rows) = table(&std::fs::read_to_string(out.join("draws.csv")).unwrap());
    let y = names.iter().position(|n| n == "y.2").unwrap();
    assert_eq!(simulated["y"][1].as_f64().unwrap(), rows[2][y]);
    let output = ppl(&["check", "trend.ppl", "--data"]).arg(&file).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn a_seed_repeats_a_run_bit_for_bit_with_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let mut runs = 0;
    let mut draws = |method: &str, seed: &str, threads: &str| {
        runs += 1;
        let out = dir.path().join(runs.to_string());
        let run =
            ["run", "trend.ppl", "-q", "--draws", "200", "--seed", seed, "--threads", threads];
        let mut run = ppl(&run);
        let output =
            run.arg("--infer").args(method.split(' ')).arg("--out").arg(&out).output().unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert_eq!(stderr(&output), "", "quiet");
        let text = std::fs::read_to_string(out.join("draws.csv")).unwrap();
        text.lines().filter(|l| !l.starts_with('#')).collect::<Vec<_>>().join("\n")
    };
    // The last two have batches of four parts, which the threads share.
    for method in [
        "nuts",
        "mean-field",
        "pathfinder",
        "laplace",
        "ldvi --bridges 64 --grad-samples 32 --iterations 20",
        "sivi-sm --grad-samples 1024 --iterations 20",
    ] {
        let first = draws(method, "5", "1");
        for threads in ["2", "3", "7"] {
            assert!(first == draws(method, "5", threads), "{method} with {threads} threads");
        }
        assert!(first != draws(method, "6", "1"), "{method} with another seed");
    }
}

#[test]
fn slow_threads_change_no_bit_of_any_method() {
    if !crate::effort::slow() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for method in ppl::inference::METHODS {
        let draws = |threads: &str| {
            let out = dir.path().join(format!("{}-{threads}", method.name));
            let run = ["run", "gauss.ppl", "-q", "--draws", "100", "--infer", method.name];
            let iterates = !["laplace", "pathfinder", "bam", "auto", "nuts"].contains(&method.name);
            let iterations: &[&str] = if iterates { &["--iterations", "200"] } else { &[] };
            let mut command = ppl(&run);
            command.args(iterations).args(["--threads", threads, "--out"]).arg(&out);
            let output = command.output().unwrap();
            assert_eq!(code(&output), 0, "{}: {}", method.name, stderr(&output));
            let text = std::fs::read_to_string(out.join("draws.csv")).unwrap();
            text.lines().filter(|l| !l.starts_with('#')).collect::<Vec<_>>().join("\n")
        };
        let one = draws("1");
        for threads in ["2", "3", "4"] {
            assert!(one == draws(threads), "{} with {threads} threads", method.name);
        }
    }
}

#[test]
fn single_precision_gives_the_same_posterior_in_other_bits() {
    let dir = tempfile::tempdir().unwrap();
    let run = |method: &str, precision: &str, threads: &str| {
        let out = dir.path().join(format!("{method}-{precision}-{threads}"));
        let args = ["run", "gauss.ppl", "-q", "--draws", "1000", "--infer", method];
        let rest = ["--precision", precision, "--threads", threads, "--out"];
        let output = ppl(&args).args(rest).arg(&out).output().unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert_eq!(json(&out.join("config.json"))["precision"], precision);
        let draws = std::fs::read_to_string(out.join("draws.csv")).unwrap();
        let draws = draws.lines().filter(|l| !l.starts_with('#')).collect::<Vec<_>>().join("\n");
        (json(&out.join("summary.json"))["variables"]["mu"].clone(), draws)
    };
    for method in ["mean-field", "full-rank"] {
        let (double, in_double) = run(method, "f64", "1");
        let (single, in_single) = run(method, "f32", "1");
        assert!(in_double != in_single, "{method}: --precision changes nothing");
        assert!(in_single == run(method, "f32", "3").1, "{method}: threads change bits");
        // Prior N(0, 10), noise sd 2, 20 observations of mean 8.21: exact by conjugacy.
        for mu in [double, single] {
            assert!(close(mu["mean"].as_f64().unwrap(), 8.049, 0.0, 0.1), "{method}: {mu}");
            assert!(close(mu["sd"].as_f64().unwrap(), 0.4428, 0.0, 0.08), "{method}: {mu}");
        }
    }
}

#[test]
fn a_failed_verdict_is_an_exit_code_only_where_strictness_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let run = |strict: &[&str]| {
        let out = dir.path().join(format!("run{}", strict.len()));
        // One step from a standard normal: nowhere near the posterior.
        let args = ["run", "gauss.ppl", "-q", "--infer", "mean-field", "--iterations", "1"];
        let weights = ["--set", "mean-field.resample=false"];
        let output = ppl(&args).args(weights).args(strict).arg("--out").arg(&out).output().unwrap();
        let summary = json(&out.join("summary.json"));
        assert_eq!(summary["verdict"], "failed", "{summary}");
        assert!(out.join("draws.csv").is_file());
        code(&output)
    };
    assert_eq!(run(&[]), 0);
    assert_eq!(run(&["--strict"]), 3);
}

#[test]
fn a_config_file_gives_flags_and_the_command_line_wins() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let run = ["run", "gauss.ppl", "--config", "settings.toml", "--seed", "12", "--json", "--out"];
    let output = ppl(&run).arg(&out).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let summary: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(summary, json(&out.join("summary.json")));
    assert_eq!((&summary["method"], &summary["seed"]), (&"nuts".into(), &12.into()));
    assert_eq!((&summary["draws"], &summary["chains"]), (&200.into(), &2.into()));

    let bad = dir.path().join("bad.toml");
    std::fs::write(&bad, "sede = 3\n").unwrap();
    let output = ppl(&["run", "gauss.ppl", "--config"]).arg(&bad).output().unwrap();
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("unknown field `sede`"), "{}", stderr(&output));
}

#[test]
fn interrupting_writes_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let run = ["run", "gauss.ppl", "--infer", "nuts", "--draws", "4000000", "--out"];
    let mut command = ppl(&run);
    command.arg(&out).args(["--checkpoint-seconds", "0.2"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !out.join("checkpoint/nuts.json").exists() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before it could be interrupted");
        std::thread::sleep(Duration::from_millis(10));
    }
    // Well into its draws.
    std::thread::sleep(Duration::from_millis(500));
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 130, "{}", stderr(&output));
    let summary = json(&out.join("summary.json"));
    assert_eq!(summary["interrupted"], true);
    assert_ne!(summary["verdict"], "ok");
}

#[test]
fn model_and_points_come_from_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    let points = dir.path().join("points.json");
    std::fs::write(
        &points,
        r#"[{"unconstrained": [0.5]}, {"constrained": {"s": 2.0}}, {"unconstrained": ["Infinity"]}]"#,
    )
    .unwrap();
    let mut child = ppl(&["log-density", "-", "--gradient", "--terms", "--at"])
        .arg(&points)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let model = "param s: real<lower=0> ~ exponential(3)\n";
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), model.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = stdout(&output);
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    // s = exp(u): log p = log 3 − 3 s + u, gradient 1 − 3 s.
    let s = 0.5_f64.exp();
    let at = |v: &Value| v.as_f64().unwrap();
    assert!(close(at(&first["log_density"]), 3_f64.ln() - 3.0 * s + 0.5, 1e-12, 0.0), "{text}");
    assert!(close(at(&first["log_jacobian"]), 0.5, 1e-12, 0.0), "{text}");
    assert!(close(at(&first["gradient"][0]), 1.0 - 3.0 * s, 1e-12, 0.0), "{text}");
    assert!(close(at(&first["terms"]["1:1"]), 3_f64.ln() - 3.0 * s, 1e-12, 0.0), "{text}");
    // At a constrained point: log p = log 3 − 3 s, gradient −3 in s itself.
    let second: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert!(close(at(&second["log_density"]), 3_f64.ln() - 6.0, 1e-12, 0.0), "{text}");
    assert!(close(at(&second["gradient"][0]), -3.0, 1e-12, 0.0), "{text}");
    let third: Value = serde_json::from_str(text.lines().nth(2).unwrap()).unwrap();
    assert_eq!(third["log_jacobian"], "Infinity", "{text}");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn log_density_at_constrained_points_leaves_the_jacobian_out() {
    let dir = tempfile::tempdir().unwrap();
    let points = dir.path().join("points.json");
    let model = dir.path().join("m.ppl");
    std::fs::write(&model, "param s: real<lower=0> ~ exponential(3)\n").unwrap();
    let answer = |text: &str| {
        std::fs::write(&points, text).unwrap();
        ppl(&["log-density"]).arg(&model).arg("--at").arg(&points).output().unwrap()
    };
    let output = answer(r#"{"constrained": {"s": 2.0}}"#);
    let value: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(close(value["log_density"].as_f64().unwrap(), 3_f64.ln() - 6.0, 1e-12, 0.0));
    for (points, expected) in [
        (r#"{"constrained": {}}"#, "the parameter `s` is absent"),
        (r#"{"constrained": {"s": [1, 2]}}"#, "`s` has shape [2], but the model declares []"),
        (r#"{"constrained": {"s": 1, "t": 1}}"#, "the model has no parameter `t`"),
        (r#"{"unconstrained": [1, 2]}"#, "has 2 numbers, but the point has 1 coordinates"),
        (r#"{"unconstrained": "x"}"#, "\"x\" is not a number"),
        ("[1]", "expected either"),
        ("{", "not valid JSON"),
    ] {
        let output = answer(points);
        assert_eq!(code(&output), 1, "{points}");
        assert!(stderr(&output).contains(expected), "{points}: {}", stderr(&output));
    }
}

#[test]
fn check_fix_repairs_what_it_can_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("m.ppl");
    let link = dir.path().join("link.ppl");
    let text = "# eight schools\ndata y: vector[N];\nparam mu ~ Normal(0, 1);\n\
                let t <- mu ** 2\ny ~ nomral(t, 1)\nz ~ nosuch(1)\n";
    std::fs::write(&model, text).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&model, &link).unwrap();
    let output = ppl(&["check", "--fix"]).arg(&link).output().unwrap();
    let fixed = "// eight schools\ndata y: real[N]\nparam mu ~ normal(0, 1)\n\
                 let t = mu ^ 2\ny ~ normal(t, 1)\nz ~ nosuch(1)\n";
    assert_eq!(std::fs::read_to_string(&model).unwrap(), fixed, "{}", stdout(&output));
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink(), "a link stays one");
    assert_eq!(code(&output), 1, "two unknown names are left");
    assert!(stdout(&output).contains(":2:18: fixed: remove the semicolon"), "{}", stdout(&output));
    assert!(stderr(&output).contains("nosuch"), "{}", stderr(&output));

    // A second time there is nothing to do, and the file is not touched.
    let before = std::fs::metadata(&model).unwrap().modified().unwrap();
    let again = ppl(&["check", "--fix", "--json"]).arg(&model).output().unwrap();
    let report: Value = serde_json::from_str(&stdout(&again)).unwrap();
    assert_eq!(report["fixed"], Value::Array(Vec::new()), "{report}");
    assert_eq!(std::fs::read_to_string(&model).unwrap(), fixed);
    assert_eq!(std::fs::metadata(&model).unwrap().modified().unwrap(), before);
    assert_eq!(code(&ppl(&["check", "--fix", "-"]).output().unwrap()), 2);
}

#[test]
fn check_json_has_ranges_and_edits() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("m.ppl");
    std::fs::write(&model, "data μ: real\nμ ~ nomral(0,\n  1)\n").unwrap();
    let output = ppl(&["check", "--json"]).arg(&model).output().unwrap();
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let found = &report["diagnostics"][0];
    assert_eq!((&found["code"], &found["severity"]), (&"E0103".into(), &"error".into()));
    let place = &found["place"];
    let range =
        ["line", "column", "end_line", "end_column"].map(|key| place[key].as_u64().unwrap());
    assert_eq!(range, [2, 5, 2, 11]);
    let fix = &found["fix"];
    assert_eq!(fix["applicable"], true);
    assert_eq!(fix["edits"][0]["replacement"], "normal");
}

#[test]
fn a_model_that_is_not_utf_8_has_a_code_and_a_place() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("m.ppl");
    std::fs::write(&model, b"data y: real\n// caf\xe9\n").unwrap();
    let output = ppl(&["check"]).arg(&model).output().unwrap();
    assert_eq!(code(&output), 1);
    let shown = stderr(&output);
    assert!(shown.contains("E0017") && shown.contains(":2:7: the byte 0xe9"), "{shown}");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child =
        ppl(&["methods"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), stderr(&output)), (0, String::new()));
}

#[test]
fn fmt_rewrites_files_and_standard_input_alike() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("m.ppl");
    std::fs::copy(fixtures().join("unformatted.ppl"), &file).unwrap();
    let output = ppl(&["fmt"]).arg(&file).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "param mu ~ normal(0, 1)\n");
    assert_eq!(code(&ppl(&["fmt", "--check"]).arg(&file).output().unwrap()), 0);
}

#[test]
fn a_new_model_checks_without_warnings_and_runs() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| ppl(args).current_dir(dir.path()).output().unwrap();
    let made = run(&["new", "sub/line"]);
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    let checked = run(&["check", "sub/line/model.ppl"]);
    assert_eq!(code(&checked), 0);
    assert!(!stderr(&checked).contains("Warning"), "{}", stderr(&checked));
    assert_eq!(code(&run(&["fmt", "--check", "sub/line/model.ppl"])), 0);
    let fitted = run(&["run", "sub/line/model.ppl", "--infer", "mean-field", "--json"]);
    assert_eq!(code(&fitted), 0, "{}", stderr(&fitted));
    // Least squares: slope 1.9915; the priors hardly pull.
    let slope = json(&dir.path().join("runs/line-mean-field-1/summary.json"));
    let slope = slope["variables"]["beta"]["mean"].as_f64().unwrap();
    assert!(close(slope, 1.991_515, 0.0, 0.02), "{slope}");
    // What is there is never overwritten.
    let again = run(&["new", "sub/line"]);
    assert_eq!(code(&again), 2);
    assert!(stderr(&again).contains("already there"), "{}", stderr(&again));
}

#[test]
fn completion_scripts_know_commands_and_flags() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = ppl(&["completions", shell]).output().unwrap();
        assert_eq!(code(&output), 0);
        let script = stdout(&output);
        for word in ["log-density", "grad-samples"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        // Those of the others do not complete values.
        let knows_methods = ["bash", "zsh", "fish"].contains(&shell);
        assert_eq!(script.contains("pathfinder"), knows_methods, "{shell}");
    }
    assert_eq!(code(&ppl(&["completions", "tcsh"]).output().unwrap()), 2);
}

#[test]
fn manual_pages_cover_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("man1");
    let output = ppl(&["man", "--out"]).arg(&out).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let page = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    for command in ["run", "log-density", "report", "compare", "doctor"] {
        let text = page(&format!("ppl-{command}.1"));
        assert!(text.contains(".TH") && text.contains(&command.replace('-', "\\-")), "{text}");
    }
    assert!(page("ppl-run.1").contains("grad\\-samples"));
    let main = stdout(&ppl(&["man"]).output().unwrap());
    assert!(main.contains(".TH ppl 1") && main.contains("ppl\\-report(1)"), "{main}");
}

#[test]
fn the_doctor_knows_this_machine() {
    let output = ppl(&["doctor", "--json"]).output().unwrap();
    let facts: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let threads = std::thread::available_parallelism().unwrap().get();
    assert_eq!(facts["threads"], threads);
    assert_eq!(facts["ppl"], env!("CARGO_PKG_VERSION"));
    assert!(matches!(facts["simd"]["lanes_f64"].as_u64(), Some(1 | 2 | 4)), "{facts}");
    assert_eq!(facts["cuda"]["built"], cfg!(feature = "cuda"));
    let text = stdout(&ppl(&["doctor"]).output().unwrap());
    for name in ["ppl", "cpu", "simd", "threads", "memory", "cuda"] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{text}");
    }
}
