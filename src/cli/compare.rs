//! `ppl compare A B`: two finished runs beside each other.

use std::path::Path;

use serde_json::{Value, json};

use crate::inference::VerdictLevel;
use crate::results::{
    Comparison, Config, Loo, RunDirectory, RunDirectoryError, ScalarComparison, Summary,
    format_number, loo, observations,
};

use super::args::CompareArgs;
use super::console::Console;
use super::failure::{Exit, Failure, Outcome};
use super::run::directory_failure;

/// Scalars that are printed, the most different ones.
const SHOWN: usize = 12;

/// Width of the column of a run.
const COLUMN: usize = 32;

struct Finished {
    summary: Summary,
    config: Config,
    loo: Option<Loo>,
}

pub(super) fn run(args: &CompareArgs, console: Console) -> Outcome {
    let read = |path: &Path| read(path).map_err(|e| directory_failure(&e));
    let runs = [read(&args.first)?, read(&args.second)?];
    let [a, b] = &runs;
    let comparison = Comparison::of(&a.summary, &b.summary);
    if comparison.scalars.is_empty() {
        return Err(Failure::model(format!(
            "{} and {} have no variable in common that varies",
            args.first.display(),
            args.second.display()
        )));
    }
    // Of other data they say nothing about each other.
    let data = |run: &Finished| run.config.data.as_ref().map(|d| d.sha256.clone());
    let same_data = data(a) == data(b);
    let difference = match (&a.loo, &b.loo) {
        (Some(x), Some(y)) if same_data => x.difference(y),
        _ => None,
    };
    if args.json {
        let mut all = comparison.to_json();
        all["runs"] = runs.iter().map(run_json).collect();
        all["same_data"] = same_data.into();
        all["elpd_difference"] =
            difference.map_or(Value::Null, |(d, se)| json!({"value": d, "se": se}));
        console.result(&format!("{all:#}\n"));
        return Ok(Exit::Done);
    }
    let mut text = heads(&runs, console.color_results);
    if !same_data {
        text.push_str("\nThe runs are of different data.\n");
    }
    text.push_str(&scalars(&comparison));
    for (letter, only) in ["A", "B"].iter().zip(&comparison.only) {
        if !only.is_empty() {
            text.push_str(&format!("only in {letter}: {}\n", only.join(", ")));
        }
    }
    text.push_str(&conclusion(&comparison, difference));
    console.result(&text);
    Ok(Exit::Done)
}

fn read(path: &Path) -> Result<Finished, RunDirectoryError> {
    let summary = RunDirectory::read_summary(path)?;
    let config = RunDirectory::read_config(path)?;
    let store = RunDirectory::open_fit(path)?;
    let group = |name| RunDirectory::read_group(path, &store, name);
    let log_likelihood = observations(&group("log_likelihood")?, summary.draws);
    let stats = group("sample_stats")?;
    let stat = |name: &str| stats.iter().find(|array| array.name == name).map(|a| &a.values);
    let ratio: Option<Vec<f64>> = stat("log_p")
        .zip(stat("log_q"))
        .map(|(p, q)| p.iter().zip(q).map(|(p, q)| p - q).collect());
    let loo = log_likelihood.map(|(values, n)| loo(&values, n, ratio.as_deref()));
    Ok(Finished { summary, config, loo })
}

fn run_json(run: &Finished) -> Value {
    let Value::Object(mut all) = run.summary.to_json() else { return Value::Null };
    all.remove("variables");
    all.insert("loo".into(), run.loo.as_ref().map_or(Value::Null, Loo::to_json));
    Value::Object(all)
}

/// A fact about a run: its name and how to get it.
type Row<'a> = (&'static str, &'a dyn Fn(&Finished) -> String);

/// What is known of each fit as a whole, a column each.
fn heads(runs: &[Finished; 2], color: bool) -> String {
    let optional = |x: Option<f64>| x.map_or_else(|| "-".into(), |x| format!("{x:.2}"));
    let loo =
        |r: &Finished, get: fn(&Loo) -> String| r.loo.as_ref().map_or_else(|| "-".into(), get);
    let rows: [Row<'_>; 11] = [
        ("model", &|r| r.summary.model.clone()),
        ("method", &|r| r.summary.method.clone()),
        ("seed", &|r| r.summary.seed.to_string()),
        ("draws", &|r| r.summary.draws.to_string()),
        ("verdict", &|r| verdict(r.summary.verdict).0.to_owned()),
        ("ELBO", &|r| optional(r.summary.elbo)),
        ("log evidence", &|r| optional(r.summary.log_z)),
        ("k-hat", &|r| optional(r.summary.khat)),
        ("elpd_loo", &|r| loo(r, |loo| format!("{:.2} (se {:.2})", loo.elpd, loo.se))),
        ("  unreliable", &|r| {
            loo(r, |loo| format!("{} of {}", loo.unreliable, loo.pointwise.len()))
        }),
        ("seconds", &|r| format!("{:.2}", r.summary.timing.train_s)),
    ];
    let mut text = format!("{:14}{:>COLUMN$}{:>COLUMN$}\n", "", "A", "B");
    for (name, get) in rows {
        text.push_str(&format!("{name:14}"));
        for run in runs {
            let shown: String = get(run).chars().take(COLUMN - 2).collect();
            let cell = format!("{shown:>COLUMN$}");
            let code = verdict(run.summary.verdict).1;
            let painted = color && name == "verdict";
            text.push_str(&if painted { format!("\u{1b}[{code}m{cell}\u{1b}[0m") } else { cell });
        }
        text.push('\n');
    }
    text
}

fn verdict(level: VerdictLevel) -> (&'static str, &'static str) {
    match level {
        VerdictLevel::Ok => ("OK", "1;32"),
        VerdictLevel::Doubtful => ("DOUBTFUL", "1;33"),
        VerdictLevel::Failed => ("FAILED", "1;31"),
    }
}

fn scalars(comparison: &Comparison) -> String {
    let shown = &comparison.scalars[..comparison.scalars.len().min(SHOWN)];
    let clip = |name: &str| name.chars().take(18).collect::<String>();
    let mut text = format!(
        "\n{:18}{:>10}{:>10}{:>10}{:>10}{:>12}{:>8}\n",
        "", "mean A", "mean B", "sd A", "sd B", "shift", "sd B/A"
    );
    for ScalarComparison { name, mean, sd, shift, shift_se, ratio } in shown {
        let numbers = [mean[0], mean[1], sd[0], sd[1]].map(|x| format!("{:>10}", format_number(x)));
        // Marked where it is more than the draws' own noise.
        let mark = if shift.abs() > 3.0 * shift_se { "*" } else { " " };
        let name = clip(name);
        text.push_str(&format!("{name:18}{}{shift:>+11.2}{mark}{ratio:>8.2}\n", numbers.concat()));
    }
    if comparison.scalars.len() > SHOWN {
        text.push_str(&format!("  ... {} more, all closer\n", comparison.scalars.len() - SHOWN));
    }
    text.push_str("shift: of the mean, in sd of A; * beyond three Monte Carlo standard errors\n");
    text
}

fn conclusion(comparison: &Comparison, difference: Option<(f64, f64)>) -> String {
    let largest = |get: &dyn Fn(&ScalarComparison) -> f64| {
        let finite = comparison.scalars.iter().filter(|s| get(s).is_finite());
        finite.max_by(|a, b| get(a).total_cmp(&get(b)))
    };
    let mut text = String::from("\n");
    if let Some(s) = largest(&|s| s.shift.abs()) {
        text.push_str(&format!("Means differ by at most {:.2} sd ({}).\n", s.shift.abs(), s.name));
    }
    if let Some(s) = largest(&|s| s.ratio.ln().abs()) {
        let change = 100.0 * (s.ratio - 1.0);
        text.push_str(&format!(
            "Standard deviations differ by at most {change:+.0} % ({}).\n",
            s.name
        ));
    }
    if let Some((value, se)) = difference {
        let meaning = if value.abs() < 2.0 * se || value.abs() < 0.5 {
            "no difference to speak of"
        } else if value > 0.0 {
            "B predicts better"
        } else {
            "A predicts better"
        };
        text.push_str(&format!("elpd of B less that of A: {value:+.2} (se {se:.2}): {meaning}.\n"));
    }
    text
}
