//! Over a thousand broken models and data files, made by category, each given to the binary as a stranger's
//! file would be: it ends with a coded message or with the right answer, in bounded memory and time.
//!
//! A gate takes a few of each category, `PPL_SLOW=1` all. `models` and `data` make them; nothing is random.

mod data;
mod models;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::effort::thorough;

/// A model with its data, and how `ppl check` may end on them.
struct Case {
    category: &'static str,
    /// What was done to it, for the message of a failed test.
    name: String,
    model: Vec<u8>,
    data: Vec<u8>,
    /// Name of the data file: its ending decides the format.
    file: &'static str,
    ends: Ends,
}

#[derive(Clone, Copy, PartialEq)]
enum Ends {
    /// With a coded error.
    Error,
    /// With a coded error, or as a model that has nothing wrong.
    Either,
    /// Well, with this log density where all unconstrained parameters are 0.
    Density(f64),
}

/// A model that works, with its data: what the broken ones are made of.
struct Base {
    model: &'static str,
    data: &'static str,
}

const BASES: [Base; 8] = [
    Base {
        model: "/// A line.\ndata x: real[N]\ndata y: real[N]\nparam a ~ normal(0, 10)\n\
                param s: real<lower=0> ~ exponential(1)\ny ~ normal(a * x, s)\n",
        data: r#"{"x": [0.5, -1.25, 2], "y": [1.5, 0.25, -3]}"#,
    },
    Base {
        model: "data y: int<lower=0, upper=1>[N]\ndata X: real[N, D]\n\
                param beta: real[D] ~ normal(0, 1)\ny ~ bernoulli_logit(X @ beta)\n\
                gen p = mean(real(y))\n",
        data: r#"{"y": [0, 1, 1], "X": [[1, 2], [3, 4], [5, 6]]}"#,
    },
    Base {
        model: "data y: real[T]\nparam phi: real<lower=-1, upper=1> ~ uniform(-1, 1)\n\
                let m: real[T] {\n  m[1] = 0\n  for t in 2:T { m[t] = phi * m[t - 1] + y[t - 1] }\n}\n\
                y ~ normal(m, 1)\n",
        data: r#"{"y": [1.0, 0.5, 0.25, 0.125]}"#,
    },
    Base {
        model: "data K: int<lower=1>\ndata n: int<lower=0>[K]\nparam p: simplex[K] ~ dirichlet(ones(K))\n\
                n ~ multinomial(sum(n), p)\n",
        data: r#"{"K": 3, "n": [4, 0, 6]}"#,
    },
    Base {
        model: "fn f(u: real, k: int) -> real = u * k + 1\ndata y: real?[N]\nparam mu ~ normal(0, 1)\n\
                y ~ student_t(4, f(mu, 2), 1)\n",
        data: r#"{"y": [1.5, null, -0.5]}"#,
    },
    Base {
        model: "data y: real[N]\nparam mu: ordered[2] ~ normal(0, 2)\nparam w ~ beta(2, 2)\n\
                y ~ mixture([w, 1 - w], normal(mu, 1))\n",
        data: r#"{"y": [-1.5, 0.0, 2.5]}"#,
    },
    Base {
        model: "data g: int<lower=1, upper=G>[N]\ndata G: int\ndata y: real[N]\n\
                param tau: real<lower=0> ~ normal(0, 1)\nparam a: real[G] ~ normal(0, tau)\n\
                y ~ normal(a[g], 1)\nif tau > 1 { factor -tau }\n",
        data: r#"{"g": [1, 2, 2], "G": 2, "y": [0.5, 1.5, 2.5]}"#,
    },
    Base {
        model: "dist twice(mu: real) on real {\n  log_density(x) = -square(x - 2 * mu)\n}\n\
                data y: real\nparam mu: real ~ normal(0, 1) // \"quoted\" é\nmarginal z: int<lower=0, upper=1> ~ bernoulli(0.5)\n\
                y ~ twice(mu + z)\n",
        data: r#"{"y": 0.75}"#,
    },
];

impl Case {
    fn of_model(category: &'static str, name: String, model: impl Into<Vec<u8>>) -> Self {
        Case {
            category,
            name,
            model: model.into(),
            data: b"{}".to_vec(),
            file: "d.json",
            ends: Ends::Error,
        }
    }

    fn with_data(self, data: impl Into<Vec<u8>>) -> Self {
        Case { data: data.into(), ..self }
    }

    fn ends(self, ends: Ends) -> Self {
        Case { ends, ..self }
    }
}

/// Bytes of address space that a check may take, in KiB: the limit of `ulimit -v`.
const MEMORY: usize = 500_000;
/// Only a hang takes as long, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs `ppl` in `folder` within bounded memory; the exit code and what it said. `None` after a signal.
fn ppl(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new("sh");
    // Where no such limit can be set, the one on time remains.
    let script = format!("ulimit -v {MEMORY} 2>/dev/null; exec \"$0\" \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_ppl")]).args(args).current_dir(folder);
    let out = |name: &str| std::fs::File::create(folder.join(name)).unwrap();
    command.env("NO_COLOR", "1").env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    let mut child = command.stdout(out("stdout")).stderr(out("stderr")).spawn().unwrap();
    let began = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
            break child.wait().unwrap().code();
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let read = |name: &str| {
        String::from_utf8_lossy(&std::fs::read(folder.join(name)).unwrap()).into_owned()
    };
    (code, read("stdout"), read("stderr"))
}

/// Whether a text has a code in brackets, such as `[E0102]`.
fn has_code(text: &str) -> bool {
    text.split("[E").skip(1).any(|rest| {
        rest.len() > 4
            && rest.as_bytes()[..4].iter().all(u8::is_ascii_digit)
            && rest[4..].starts_with(']')
    })
}

/// What is wrong with the way a case ends; `Ok(true)` is an error, as it should be.
fn judge(case: &Case, folder: &Path) -> Result<bool, String> {
    std::fs::write(folder.join("m.ppl"), &case.model).unwrap();
    std::fs::write(folder.join(case.file), &case.data).unwrap();
    let (code, _, said) = ppl(folder, &["check", "m.ppl", "--data", case.file]);
    let ended = match (code, case.ends) {
        (Some(1), Ends::Error | Ends::Either) if has_code(&said) => Ok(true),
        (Some(0), Ends::Either | Ends::Density(_)) => Ok(false),
        _ => Err(format!("exit code {code:?}\n{said}")),
    };
    let Ends::Density(expected) = case.ends else { return ended };
    ended?;
    let (_, layout, _) = ppl(folder, &["check", "m.ppl", "--data", case.file, "--json"]);
    let layout: serde_json::Value = serde_json::from_str(&layout).unwrap();
    let at = serde_json::json!([{"unconstrained": vec![0.0; layout["layout"]["dim"].as_u64().unwrap() as usize]}]);
    std::fs::write(folder.join("at.json"), at.to_string()).unwrap();
    let args = ["log-density", "m.ppl", "--data", case.file, "--at", "at.json"];
    let (code, said, error) = ppl(folder, &args);
    let said: serde_json::Value =
        serde_json::from_str(&said).map_err(|_| format!("exit code {code:?}\n{error}"))?;
    let total = said["log_density"].as_f64().unwrap();
    match (total - expected).abs() < 1e-9 {
        true => Ok(false),
        false => Err(format!("log density {total}, not {expected}")),
    }
}

/// Gives the cases to the binary, on two threads, and says how those of each category ended.
fn run(cases: &[Case]) {
    let next = AtomicUsize::new(0);
    let found = Mutex::new((BTreeMap::<&str, [usize; 2]>::new(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let folder = tempfile::tempdir().unwrap();
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let ended = judge(case, folder.path());
                    let (counts, wrong) = &mut *found.lock().unwrap();
                    match ended {
                        Ok(error) => {
                            counts.entry(case.category).or_default()[usize::from(error)] += 1
                        }
                        Err(why) => {
                            let text = String::from_utf8_lossy(&case.model);
                            let short: String = text.chars().take(300).collect();
                            let why: String = why.chars().take(1500).collect();
                            wrong.push(format!("{}: {}: {why}\n{short}", case.category, case.name));
                        }
                    }
                }
            });
        }
    });
    let (counts, wrong) = found.into_inner().unwrap();
    for (category, [right, errors]) in counts {
        println!("{category:24} {errors:5} errors {right:5} right");
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n----\n"));
}

#[test]
fn broken_files_end_with_coded_errors() {
    if Command::new("sh").args(["-c", "true"]).output().is_err() {
        println!("skipped: there is no sh");
        return;
    }
    let mut cases = models::cases();
    cases.extend(data::cases());
    assert!(cases.len() > 1_000, "{} cases", cases.len());
    if !thorough() {
        // Some of each category, the same on every machine.
        let mut seen = BTreeMap::<&str, usize>::new();
        cases.retain(|case| {
            let n = seen.entry(case.category).or_default();
            *n += 1;
            *n % 11 == 1
        });
    }
    run(&cases);
}
