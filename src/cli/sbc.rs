//! `ppl sbc`: simulation-based calibration, a table of how uniform the ranks are.

use std::fmt::Write;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::driver::{Calibration, calibrate};
use crate::inference::{Monitor, Progress};

use super::args::{RunFlags, SbcArgs};
use super::console::Console;
use super::failure::{Exit, Failure, Outcome};
use super::input::{Input, print_diagnostics, with_sizes};
use super::settings;

pub(super) fn run(args: &SbcArgs, console: Console) -> Outcome {
    if args.replicates < 10 || args.ranks < 10 {
        return Err(Failure::usage("-n and --ranks take at least 10: fewer ranks say nothing"));
    }
    let flags = RunFlags {
        infer: Some(args.infer.clone()),
        seed: Some(args.seed),
        iterations: args.iterations,
        set: args.set.clone(),
        max_seconds: args.max_seconds,
        threads: args.threads,
        ..RunFlags::default()
    };
    let method = settings::method(&flags)?;
    let settings = settings::settings(&flags, method)?;
    let mut input = Input::read(&args.model, console)?;
    input.data = with_sizes(input.data, &args.size)?;
    let mut session = args.model.session();
    let model = session.check(&input.name, &input.text);
    print_diagnostics(&session, console);
    let Some(model) = model else { return Err(Failure::reported()) };
    let mut watch = Watch::new(console)?;
    let (replicates, ranks) = (args.replicates, args.ranks);
    let found = calibrate(
        &mut session,
        &model,
        &input.data,
        method,
        &settings,
        replicates,
        ranks,
        &mut watch,
    )
    .map_err(|e| Failure::model(format!("{}: {e}", input.name)))?;
    let calibrated = found.uncalibrated().next().is_none() && found.refused.is_empty();
    console.result(&if args.json {
        format!("{:#}\n", to_json(&found, method.name, args))
    } else {
        text(&found, method.name)
    });
    Ok(if watch.stopped.load(Ordering::Relaxed) {
        Exit::Interrupted
    } else if args.strict && !calibrated {
        Exit::Failed
    } else {
        Exit::Done
    })
}

fn text(found: &Calibration, method: &str) -> String {
    let mut out = String::new();
    let fits = found.scalars.first().map_or(0, |s| s.ranks.len());
    let _ = writeln!(out, "{fits} fits by {method}, ranks among {} draws\n", found.draws);
    let width = found.scalars.iter().map(|s| s.name.chars().count()).max().unwrap_or(0).max(9);
    let _ = writeln!(out, "{:<width$}  mean rank   spread    p-value", "");
    for scalar in &found.scalars {
        let u = scalar.uniformity;
        let _ = writeln!(
            out,
            "{:<width$}  {:9.3}  {:7.3}  {:9.3}",
            scalar.name, u.mean, u.spread, u.p_value
        );
    }
    let [ok, doubtful, failed] = found.verdicts;
    let _ = writeln!(
        out,
        "\nUniform ranks have mean 0.5 and spread 1.\nVerdicts: {ok} ok, {doubtful} doubtful, \
         {failed} failed; {} data sets could not be fitted.",
        found.refused.len()
    );
    if let Some(reason) = found.refused.first() {
        let _ = writeln!(out, "  {reason}");
    }
    let mut wrong = found.uncalibrated().peekable();
    if wrong.peek().is_none() {
        out.push_str("\ncalibrated: the ranks of all parameters are uniform\n");
        return out;
    }
    out.push_str("\nNOT CALIBRATED\n");
    for scalar in wrong {
        let u = scalar.uniformity;
        // The one of the two that is further from what uniform ranks have.
        let (shift, spread) = (12_f64.sqrt() * (u.mean - 0.5), 5_f64.sqrt() * (u.spread - 1.0));
        let how = match (shift.abs() > spread.abs(), shift > 0.0, spread > 0.0) {
            (true, true, _) => "too low",
            (true, false, _) => "too high",
            (false, _, true) => "too narrow",
            (false, _, false) => "too wide",
        };
        let _ = writeln!(out, "  - {}: the posteriors are {how}", scalar.name);
    }
    out
}

fn to_json(found: &Calibration, method: &str, args: &SbcArgs) -> Value {
    let scalars = found.scalars.iter().map(|s| {
        json!({
            "name": s.name,
            "mean": s.uniformity.mean,
            "spread": s.uniformity.spread,
            "p_value": s.uniformity.p_value,
            "ranks": s.ranks,
        })
    });
    let [ok, doubtful, failed] = found.verdicts;
    json!({
        "method": method,
        "seed": args.seed,
        "draws": found.draws,
        "calibrated": found.uncalibrated().next().is_none() && found.refused.is_empty(),
        "verdicts": {"ok": ok, "doubtful": doubtful, "failed": failed},
        "refused": found.refused,
        "parameters": scalars.collect::<Vec<_>>(),
    })
}

/// Counts the fits on a terminal; Ctrl-C ends the calibration with what there is.
struct Watch {
    console: Console,
    stopped: Arc<AtomicBool>,
}

impl Watch {
    fn new(console: Console) -> Result<Watch, Failure> {
        let stopped = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stopped);
        ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(Exit::Interrupted as i32);
            }
        })
        .map_err(|e| Failure::inference(format!("cannot handle Ctrl-C: {e}")))?;
        Ok(Watch { console, stopped })
    }
}

impl Monitor for Watch {
    fn progress(&mut self, progress: Progress<'_>) -> ControlFlow<()> {
        if progress.phase == "calibrating" && progress.done.is_multiple_of(10) {
            self.console.note(&format!("{} of {} data sets", progress.done, progress.total));
        }
        if self.stopped.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
