//! What a program takes from its start to its end.

use std::process::{Command, Stdio};

/// Processor time and peak memory of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    /// User and system time, seconds.
    pub(super) cpu_s: f64,
    /// Largest resident memory, MiB.
    pub(super) mib: f64,
}

/// Runs a program under GNU `time` and says what it took.
///
/// # Errors
/// When it fails, or there is no `time`.
pub(super) fn run(program: &str, arguments: &[&str]) -> Result<Taken, String> {
    let output = Command::new("/usr/bin/time")
        .args(["-f", "%U %S %M", program])
        .args(arguments)
        .env("JAX_PLATFORMS", "cpu")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|e| format!("/usr/bin/time: {e}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    let last = told.lines().last().unwrap_or_default();
    let numbers: Vec<f64> = last.split(' ').filter_map(|x| x.parse().ok()).collect();
    match numbers[..] {
        [user, system, kib] if output.status.success() => {
            Ok(Taken { cpu_s: user + system, mib: kib / 1024.0 })
        }
        _ => Err(format!("{program} {}: {told}", arguments.join(" "))),
    }
}

/// The least of some runs' processor time, with the memory of that run.
///
/// # Errors
/// When a run fails.
pub(super) fn least(runs: usize, program: &str, arguments: &[&str]) -> Result<Taken, String> {
    let mut best = run(program, arguments)?;
    for _ in 1..runs {
        let taken = run(program, arguments)?;
        if taken.cpu_s < best.cpu_s {
            best = taken;
        }
    }
    Ok(best)
}
