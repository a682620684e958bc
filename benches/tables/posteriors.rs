//! Every posterior of posteriordb by every method, against its reference draws.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ppl::data::DataSet;
use ppl::density::{LogDensity, Part, Residuals, Scalars};
use ppl::driver::Session;
use ppl::inference::{Deadline, Fit, METHODS, Settings, Silent, Target, VerdictLevel, find};
use ppl::posterior::Posterior;
use ppl::real::Real;
use ppl::results::Statistics;
use serde_json::Value;

use super::section::{self, cpu_seconds};

pub(super) const USAGE: &str = "posteriors [--methods A,B] [--only NAME,NAME] [--max-seconds S] \
                                [--seed N]: rows that are not measured again are kept";

const TITLE: &str = "Posteriors with reference draws";

/// What is right: moments of every scalar within these.
const MOVED: f64 = 0.1;
const RATIO: (f64, f64) = (0.9, 1.1);

struct Arguments {
    methods: Vec<String>,
    only: Vec<String>,
    settings: Settings,
}

impl Arguments {
    fn parse(given: &[String]) -> Result<Arguments, String> {
        let mut parsed = Arguments {
            methods: METHODS.iter().map(|m| m.name.to_owned()).collect(),
            only: Vec::new(),
            settings: Settings::default(),
        };
        for pair in given.chunks(2) {
            let [flag, value] = pair else { return Err(USAGE.into()) };
            let list = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
            let bad = |_| format!("{flag} {value}; {USAGE}");
            match flag.as_str() {
                "--methods" => parsed.methods = list(),
                "--only" => parsed.only = list(),
                "--seed" => parsed.settings.seed = value.parse().map_err(|_| bad(()))?,
                "--max-seconds" => {
                    let seconds: f64 = value.parse().map_err(|_| bad(()))?;
                    parsed.settings.deadline = Deadline::after(Duration::from_secs_f64(seconds));
                }
                _ => return Err(format!("{flag}; {USAGE}")),
            }
        }
        Ok(parsed)
    }
}

pub(super) fn run(given: &[String]) -> Result<(), String> {
    let arguments = Arguments::parse(given)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/posteriordb");
    for folder in folders(&root)? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !arguments.only.is_empty() && !arguments.only.iter().any(|o| name.contains(o)) {
            continue;
        }
        let model = name.split_once('-').map_or(name.as_str(), |(_, model)| model);
        let posterior = compile(&folder, model)?;
        let reference = json(&folder.join("reference.json"))?;
        let mut fresh = Vec::new();
        for method in &arguments.methods {
            let deadline = arguments.settings.deadline.again();
            let settings = Settings { deadline, ..arguments.settings.clone() };
            let measured = measure(&posterior, method, &settings, &reference)?;
            let row: Vec<String> =
                [name.clone(), method.clone()].into_iter().chain(measured).collect();
            println!("{}", row.join(" | "));
            fresh.push(row);
        }
        // After each posterior, so that a run that is cut short has told what it saw, and among the rows that
        // are there then, which another run may have measured meanwhile.
        let known = section::rows(TITLE).into_iter().filter(|row| row.len() == HEADER.len());
        let key = |row: Vec<String>| ((row[0].clone(), row[1].clone()), row);
        let rows: BTreeMap<_, _> = known.chain(fresh).map(key).collect();
        section::write(TITLE, &body(&rows))?;
    }
    Ok(())
}

/// Folders with reference draws.
fn folders(root: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(root).map_err(|e| format!("{}: {e}", root.display()))?;
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.join("reference.json").exists())
        .collect();
    folders.sort();
    Ok(folders)
}

fn json(path: &Path) -> Result<Value, String> {
    let told = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let text = std::fs::read_to_string(path).map_err(|e| told(&e))?;
    serde_json::from_str(&text).map_err(|e| told(&e))
}

/// The model of that name on the data of a folder of posteriordb.
pub(super) fn compile(folder: &Path, model: &str) -> Result<Posterior, String> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models").join(model).join("model.ppl");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let data = DataSet::read(&folder.join("data.json")).map_err(|e| format!("{e:?}"))?;
    let mut session = Session::new();
    let posterior = session.check(model, &text).and_then(|m| session.compile(&m, &data));
    posterior.ok_or_else(|| session.render(false))
}

const HEADER: [&str; 11] = [
    "posterior",
    "method",
    "max abs(Δmean)/sd",
    "sd ratios",
    "right",
    "verdict",
    "k-hat",
    "gradients",
    "values",
    "CPU s",
    "why not ok",
];

/// The cells of one fit after the first two.
fn measure(
    posterior: &Posterior,
    method: &str,
    settings: &Settings,
    reference: &Value,
) -> Result<Vec<String>, String> {
    let method = find(method).ok_or_else(|| format!("there is no method `{method}`"))?;
    let counts = Arc::new(Counts::default());
    let target = posterior.target();
    let f64s: Arc<dyn LogDensity<f64>> =
        Arc::new(Counted { inner: Arc::clone(target.f64), counts: Arc::clone(&counts) });
    let f32s: Arc<dyn LogDensity<f32>> =
        Arc::new(Counted { inner: Arc::clone(target.f32), counts: Arc::clone(&counts) });
    let began = cpu_seconds();
    let fit = method.fit(Target { f64: &f64s, f32: &f32s }, settings, &mut Silent);
    let seconds = format!("{:.2}", cpu_seconds() - began);
    let gradients = counts.gradients.load(Ordering::Relaxed).to_string();
    let values = counts.values.load(Ordering::Relaxed).to_string();
    let fit = match fit {
        Ok(fit) => fit,
        Err(error) => {
            // The three counts, in the places that the header gives them.
            let mut cells = vec!["–".to_owned(); HEADER.len() - 2];
            cells[3] = format!("refused: {}", plain(&error.to_string()));
            cells.splice(5..8, [gradients, values, seconds]);
            return Ok(cells);
        }
    };
    let errors = Errors::of(&fit, posterior, reference)?;
    let verdict = match fit.verdict.level {
        VerdictLevel::Ok => "ok",
        VerdictLevel::Doubtful => "doubtful",
        VerdictLevel::Failed => "failed",
    };
    Ok(vec![
        format!("{:.3}", errors.moved),
        format!("{:.3} … {:.3}", errors.ratio.0, errors.ratio.1),
        if errors.right() { "yes" } else { "no" }.to_owned(),
        verdict.to_owned(),
        fit.khat.map_or_else(|| "–".to_owned(), |k| format!("{:.2}", k.value)),
        gradients,
        values,
        seconds,
        match (fit.verdict.level, fit.verdict.reasons.first()) {
            (VerdictLevel::Ok, _) | (_, None) => "–".to_owned(),
            (_, Some(worst)) => plain(worst),
        },
    ])
}

/// Words that fit into a cell.
fn plain(words: &str) -> String {
    words.replace('|', "/")
}

/// How far the moments of a fit are from those of the reference draws.
struct Errors {
    moved: f64,
    ratio: (f64, f64),
}

impl Errors {
    fn of(fit: &Fit, posterior: &Posterior, reference: &Value) -> Result<Errors, String> {
        let draws = posterior.values().at(&fit.draws, fit.log_p.len(), fit.chains, 1);
        let mut errors = Errors { moved: 0.0, ratio: (1.0, 1.0) };
        let rows = reference["parameters"].as_array().ok_or("no parameters in reference.json")?;
        for row in rows {
            let number = |key: &str| row[key].as_f64().ok_or(format!("no `{key}`"));
            let name = row["name"].as_str().unwrap_or_default();
            let (mean, sd) = (number("mean")?, number("sd")?);
            if sd == 0.0 {
                continue;
            }
            let scalar = draws
                .variables
                .iter()
                .find_map(|v| {
                    (0..v.size()).find(|&i| v.element_name(i) == name).map(|i| v.scalar(i))
                })
                .ok_or_else(|| format!("nothing is called {name}"))?;
            let ours = Statistics::of(&scalar, fit.chains, true);
            // NaN is as wrong as can be.
            let (moved, ratio) = ((ours.mean - mean).abs() / sd, ours.sd / sd);
            errors.moved = if moved <= errors.moved { errors.moved } else { moved };
            errors.ratio.0 = if ratio >= errors.ratio.0 { errors.ratio.0 } else { ratio };
            errors.ratio.1 = if ratio <= errors.ratio.1 { errors.ratio.1 } else { ratio };
        }
        Ok(errors)
    }

    fn right(&self) -> bool {
        self.moved < MOVED && self.ratio.0 >= RATIO.0 && self.ratio.1 <= RATIO.1
    }
}

/// The section: verdict × truth, then all rows.
fn body(rows: &BTreeMap<(String, String), Vec<String>>) -> String {
    let mut out = format!(
        "`cargo bench --bench tables -- posteriors`, default settings but for the arguments, one thread. \
         Right: every mean within {MOVED} reference sd and every sd within {} … {} of the \
         reference's. Gradients and values are points at which the score (with its \
         Hessian-vector products) or the log density alone was asked for.\n\n",
        RATIO.0, RATIO.1
    );
    let line = |out: &mut String, cells: &[String]| {
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    };
    line(&mut out, &HEADER.map(str::to_owned));
    line(&mut out, &vec!["---".to_owned(); HEADER.len()]);
    for row in rows.values() {
        line(&mut out, row);
    }
    out.push_str("\nVerdict × truth, fits of every posterior above:\n\n");
    let mut methods: Vec<&str> = rows.keys().map(|(_, m)| m.as_str()).collect();
    methods.sort_unstable();
    methods.dedup();
    let head = [
        "method",
        "ok, right",
        "ok, wrong",
        "doubtful, right",
        "doubtful, wrong",
        "failed, right",
        "failed, wrong",
        "refused",
    ];
    line(&mut out, &head.map(str::to_owned));
    line(&mut out, &vec!["---".to_owned(); head.len()]);
    for method in methods.iter().copied().chain(["all"]) {
        let of = |row: &&Vec<String>| method == "all" || row[1] == method;
        let count = |verdict: &str, right: &str| {
            let same = |r: &&Vec<String>| r[5].starts_with(verdict) && r[4] == right;
            rows.values().filter(of).filter(same).count().to_string()
        };
        let mut cells = vec![method.to_owned()];
        for verdict in ["ok", "doubtful", "failed"] {
            cells.extend([count(verdict, "yes"), count(verdict, "no")]);
        }
        cells.push(count("refused", "–"));
        line(&mut out, &cells);
    }
    out
}

/// Points at which a density was evaluated.
#[derive(Default)]
struct Counts {
    gradients: AtomicUsize,
    values: AtomicUsize,
}

struct Counted<E> {
    inner: Arc<dyn LogDensity<E>>,
    counts: Arc<Counts>,
}

impl<E: Real> LogDensity<E> for Counted<E> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn log_density(&self, z: &[E], log_p: &mut [E]) {
        self.counts.values.fetch_add(log_p.len(), Ordering::Relaxed);
        self.inner.log_density(z, log_p);
    }

    fn score(&self, z: &[E], log_p: &mut [E], score: &mut [E]) {
        self.counts.gradients.fetch_add(log_p.len(), Ordering::Relaxed);
        self.inner.score(z, log_p, score);
    }

    fn score_keep(&self, z: &[E], score: &mut [E], keep: &mut Residuals<E>) {
        self.counts.gradients.fetch_add(z.len() / self.dim(), Ordering::Relaxed);
        self.inner.score_keep(z, score, keep);
    }

    fn hvp(&self, residuals: &Residuals<E>, v: &[E], out: &mut [E]) {
        self.inner.hvp(residuals, v, out);
    }

    fn see(&self, part: Part<'_>) {
        self.inner.see(part);
    }

    fn estimate(&self) -> Option<String> {
        self.inner.estimate()
    }

    fn coordinate_name(&self, index: usize) -> String {
        self.inner.coordinate_name(index)
    }

    fn parameters(&self, z: &[E]) -> Scalars {
        self.inner.parameters(z)
    }

    fn explain_non_finite(&self, z: &[E]) -> Option<String> {
        self.inner.explain_non_finite(z)
    }
}
