//! Checkpoints: an interrupted run that is resumed ends with the bits of one that was not.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use ppl::data::DataSet;
use ppl::driver::Session;
use ppl::inference::{Device, Fit, Monitor, Precision, Progress, Settings, find};
use ppl::posterior::Posterior;

const MODEL: &str = "param mu ~ normal(0, 3)\nparam tau: real<lower=0> ~ exponential(1)\n\
                     param x: real[3] ~ normal(mu, 1 + tau)\nfactor -square(x[1] - 2)\n";

/// Which no Gaussian is right about.
const FUNNEL: &str = "param v ~ normal(0, 3)\nparam x: real[4] ~ normal(0, exp(v / 2))\n";

fn posterior() -> Posterior {
    posterior_of(MODEL)
}

fn posterior_of(model: &str) -> Posterior {
    let mut session = Session::new();
    let model = session.check("m.ppl", model).unwrap();
    session.compile(&model, &DataSet::from_arrays([])).unwrap()
}

/// Breaks off after so many calls, and keeps what it is offered then; like the command line's.
#[derive(Default)]
struct Interrupting {
    left: usize,
    calls: usize,
    states: BTreeMap<String, String>,
    resumable: BTreeSet<String>,
}

impl Interrupting {
    /// Goes on with these states.
    fn after(states: BTreeMap<String, String>, left: usize) -> Self {
        let resumable = states.keys().cloned().collect();
        Interrupting { left, calls: 0, states, resumable }
    }
}

impl Monitor for Interrupting {
    fn progress(&mut self, _: Progress<'_>) -> ControlFlow<()> {
        self.calls += 1;
        if self.calls >= self.left { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn resume(&mut self, stage: &str) -> Option<String> {
        self.resumable.remove(stage);
        self.states.get(stage).cloned()
    }

    fn keep(&mut self, stage: &'static str, last: bool, state: &mut dyn FnMut() -> String) {
        if last || self.calls >= self.left {
            self.states.insert(stage.to_owned(), state());
            for stale in std::mem::take(&mut self.resumable) {
                self.states.remove(&stale);
            }
        }
    }
}

fn bits(x: &[f64]) -> Vec<u64> {
    x.iter().map(|x| x.to_bits()).collect()
}

fn assert_same(a: &Fit, b: &Fit, what: &str) {
    assert_eq!(bits(&a.draws), bits(&b.draws), "{what}: draws");
    assert_eq!(bits(&a.log_p), bits(&b.log_p), "{what}: log densities");
    assert_eq!((a.iterations, a.elbo), (b.iterations, b.elbo), "{what}");
    assert_eq!((a.interrupted, &a.verdict), (b.interrupted, &b.verdict), "{what}");
    let traces = |f: &Fit| f.traces.iter().map(|t| bits(&t.value)).collect::<Vec<_>>();
    assert_eq!(traces(a), traces(b), "{what}: traces");
}

fn every_interruption_is_without_effect(method: &str, settings: &Settings) {
    let posterior = posterior();
    let run = |monitor: &mut Interrupting| {
        find(method).unwrap().fit(posterior.target(), settings, monitor)
    };
    let mut whole = Interrupting { left: usize::MAX, ..Interrupting::default() };
    let expected = run(&mut whole).unwrap();
    // At the very start, in each stage, close to the end; and twice in one run.
    let n = whole.calls;
    for (first, second) in
        [(1, n), (3, n), (n / 7, n), (n / 3, n / 5), (n / 2, n), (4 * n / 5, n), (n - 2, n)]
    {
        let mut broken = Interrupting { left: first.max(1), ..Interrupting::default() };
        // Interrupted before there is anything to write, that is an error, and no harm.
        let _ = run(&mut broken);
        let mut again = Interrupting::after(broken.states, second.max(1));
        let _ = run(&mut again);
        let mut last = Interrupting::after(again.states, usize::MAX);
        let resumed = run(&mut last).unwrap();
        assert_same(&expected, &resumed, &format!("{method}: after {first} and {second} of {n}"));
        assert!(first < n / 2 || last.calls < n, "{method}: work was not repeated");
    }
}

#[test]
fn mean_field_goes_on_to_the_same_bits() {
    let settings = Settings { iterations: Some(600), draws: 100, ..Settings::default() };
    every_interruption_is_without_effect("mean-field", &settings);
    let settings = Settings { precision: Precision::F32, ..settings };
    every_interruption_is_without_effect("mean-field", &settings);
}

#[test]
fn gaussians_with_correlations_go_on_to_the_same_bits() {
    for method in ["full-rank", "low-rank", "bam"] {
        let settings = Settings { iterations: Some(600), draws: 100, ..Settings::default() };
        every_interruption_is_without_effect(method, &settings);
    }
}

#[test]
fn auto_goes_on_to_the_same_bits_on_whichever_rung_it_was() {
    // None of them is ok here, so all are climbed.
    let options = [("methods".to_owned(), "pathfinder,full-rank,mean-field".to_owned())].into();
    let settings = Settings { draws: 100, options, ..Settings::default() };
    let posterior = posterior_of(FUNNEL);
    let run = |monitor: &mut Interrupting| {
        find("auto").unwrap().fit(posterior.target(), &settings, monitor)
    };
    let mut whole = Interrupting { left: usize::MAX, ..Interrupting::default() };
    let expected = run(&mut whole).unwrap();
    assert!(expected.verdict.reasons.iter().any(|r| r.contains("mean-field was")), "{expected:?}");
    let n = whole.calls;
    for left in [2, 10, n / 3, n / 2, n - 3] {
        let mut broken = Interrupting { left, ..Interrupting::default() };
        let _ = run(&mut broken);
        let mut last = Interrupting::after(broken.states, usize::MAX);
        let resumed = run(&mut last).unwrap();
        assert_same(&expected, &resumed, &format!("auto: after {left} of {n}"));
    }
}

#[test]
fn langevin_methods_go_on_to_the_same_bits() {
    for method in ["ula", "mcd", "uha", "ldvi", "cmcd", "cmcd-ud"] {
        let settings = Settings {
            iterations: Some(60),
            bridges: Some(2),
            grad_samples: Some(4),
            draws: 50,
            ..Settings::default()
        };
        every_interruption_is_without_effect(method, &settings);
    }
}

#[test]
fn runs_on_a_device_go_on_to_the_same_bits() {
    let device = Device::Tensors(posterior().source().unwrap());
    let settings = Settings { device, iterations: Some(300), draws: 50, ..Settings::default() };
    every_interruption_is_without_effect("mean-field", &settings);
    let chains =
        Settings { iterations: Some(40), bridges: Some(2), grad_samples: Some(4), ..settings };
    every_interruption_is_without_effect("ldvi", &chains);
    for method in ["sivi-sm", "ksivi"] {
        let options = [("hidden", "8"), ("critic-hidden", "8"), ("mixing-draws", "50")];
        let mut options: BTreeMap<_, _> = options.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        if method == "sivi-sm" {
            options.insert("critic-warmup".into(), "5".into());
        }
        let mixed =
            Settings { options, iterations: Some(80), grad_samples: Some(8), ..chains.clone() };
        every_interruption_is_without_effect(method, &mixed);
    }
}

#[test]
fn sivi_sm_goes_on_to_the_same_bits() {
    let options =
        [("critic-warmup", "5"), ("hidden", "8"), ("critic-hidden", "8"), ("mixing-draws", "50")];
    let settings = Settings {
        iterations: Some(80),
        grad_samples: Some(8),
        draws: 50,
        options: options.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        ..Settings::default()
    };
    every_interruption_is_without_effect("sivi-sm", &settings);
}

#[test]
fn uivi_goes_on_to_the_same_bits() {
    // Its inner chain's step size is part of the state.
    let options = [("hidden", "8"), ("critic-hidden", "8"), ("mixing-draws", "50")];
    let settings = Settings {
        iterations: Some(40),
        grad_samples: Some(8),
        draws: 50,
        options: options.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        ..Settings::default()
    };
    every_interruption_is_without_effect("uivi", &settings);
}

#[test]
fn nuts_goes_on_to_the_same_bits() {
    for threads in [1, 3] {
        let settings =
            Settings { iterations: Some(60), draws: 120, threads, ..Settings::default() };
        let posterior = posterior();
        let run = |monitor: &mut Interrupting| {
            find("nuts").unwrap().fit(posterior.target(), &settings, monitor)
        };
        let mut whole = Interrupting { left: usize::MAX, ..Interrupting::default() };
        let expected = run(&mut whole).unwrap();
        for left in [1, 20, whole.calls / 3, whole.calls / 2, whole.calls - 3] {
            let mut broken = Interrupting { left, ..Interrupting::default() };
            let _ = run(&mut broken);
            let mut last = Interrupting::after(broken.states, usize::MAX);
            let resumed = run(&mut last).unwrap();
            assert_eq!(bits(&expected.draws), bits(&resumed.draws), "after {left}");
            assert_eq!(bits(&expected.log_p), bits(&resumed.log_p));
            assert_eq!(expected.verdict, resumed.verdict);
        }
    }
}

// The binary.

fn ppl(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ppl"));
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    command.args(args).current_dir(fixtures).env("NO_COLOR", "1");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn draws(run: &Path) -> String {
    let text = std::fs::read_to_string(run.join("draws.csv")).unwrap();
    text.lines().filter(|l| !l.starts_with('#')).collect::<Vec<_>>().join("\n")
}

fn done(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    output
}

/// Runs the command, which is to write `out`, and sends it a signal as soon as it has kept `state`
/// in its `checkpoint/`: over again if it ended before the signal came.
fn signalled(run: impl Fn() -> Command, out: &Path, state: &str, signal: &str) -> Output {
    for _ in 0..50 {
        let mut child = run().args(["--checkpoint-seconds", "0.01"]).spawn().unwrap();
        while !out.join("checkpoint").join(state).exists() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        let output = child.wait_with_output().unwrap();
        if output.status.code() != Some(0) {
            return output;
        }
        std::fs::remove_dir_all(out).unwrap();
    }
    panic!("it always ended before {signal} came");
}

#[test]
fn a_killed_run_is_resumed_from_its_last_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let cases: [(&str, &str, &[&str]); 3] = [
        ("ldvi", "langevin.json", &["--iterations", "3000", "--draws", "50"]),
        ("sivi-sm", "sivi-sm.json", &["--iterations", "1500", "--draws", "50"]),
        ("nuts", "nuts.json", &["--draws", "16000"]),
    ];
    for (method, state, flags) in cases {
        let out = |name: &str| dir.path().join(format!("{method}-{name}"));
        let run = |out: &Path| {
            let mut command = ppl(&["run", "gauss.ppl", "-q", "--infer", method, "--out"]);
            command.arg(out).args(flags);
            command
        };
        done(&mut run(&out("whole")));
        let killed = out("killed");
        // Nothing can be cleaned up.
        let output = signalled(|| run(&killed), &killed, state, "-KILL");
        assert_eq!(output.status.code(), None, "{method}: {}", stderr(&output));
        assert!(!killed.join("summary.json").exists(), "{method}");
        // Flags that are not repeated are those of the run.
        done(ppl(&["run", "gauss.ppl", "-q", "--resume"]).arg(&killed));
        assert_eq!(draws(&out("whole")), draws(&killed), "{method}");
    }
}

#[test]
fn an_interrupted_run_is_resumed_and_the_flags_have_to_agree() {
    let dir = tempfile::tempdir().unwrap();
    let out = |name: &str| dir.path().join(name);
    let run = |name: &str| {
        let mut command =
            ppl(&["run", "gauss.ppl", "-q", "--infer", "ldvi", "--iterations", "20000", "--out"]);
        command.arg(out(name)).args(["--draws", "40", "--seed", "5", "--set", "ldvi.least-gain=0"]);
        command
    };
    done(&mut run("whole"));
    let output = signalled(|| run("stopped"), &out("stopped"), "langevin.json", "-TERM");
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(out("stopped/summary.json").exists() && out("stopped/checkpoint/run.json").exists());

    let refused = |args: &[&str]| {
        let output =
            ppl(&["run", "-q", "--resume"]).arg(out("stopped")).args(args).output().unwrap();
        (output.status.code(), stderr(&output))
    };
    let (code, said) = refused(&["gauss.ppl", "--seed", "6", "--iterations", "10"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("--seed is 6 now, but was 5"), "{said}");
    assert!(said.contains("--iterations is 10 now, but was 20000"), "{said}");
    let other = out("other.ppl");
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/gauss.ppl"));
    std::fs::write(&other, format!("// changed\n{}", text.unwrap())).unwrap();
    let (code, said) = refused(&[&other.display().to_string(), "--data", "gauss.json"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("is not the one that the run began with"), "{said}");
    let (code, said) = refused(&["gauss.ppl", "--data", "mismatch.json"]);
    assert_eq!(code, Some(1), "{said}");
    let nothing = ppl(&["run", "gauss.ppl", "--resume"]).arg(out("nothing")).output().unwrap();
    assert!(stderr(&nothing).contains("no checkpoint to resume from"), "{}", stderr(&nothing));

    done(ppl(&["run", "gauss.ppl", "-q", "--infer", "ldvi", "--resume"]).arg(out("stopped")));
    assert_eq!(draws(&out("whole")), draws(&out("stopped")));
}

#[test]
fn a_full_disk_is_an_error_that_leaves_the_last_state_whole() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    // Files may have 16 blocks of 512 or 1024 bytes: checkpoints fit, the draws do not.
    let script = format!(
        "trap '' XFSZ; ulimit -f 16; exec {} run gauss.ppl -q --infer mean-field --draws 20000 \
         --checkpoint-seconds 0 --out {}",
        env!("CARGO_BIN_EXE_ppl"),
        out.display()
    );
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    let output = Command::new("bash").args(["-c", &script]).current_dir(fixtures).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot write"), "{}", stderr(&output));
    assert!(!out.join("summary.json").exists());
    let rest: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(rest, std::slice::from_ref(&out), "nothing half-written is left");
    done(ppl(&["run", "gauss.ppl", "-q", "--resume"]).arg(&out));
    assert!(out.join("summary.json").exists());
}
