//! `ppl run`: fit, write the run directory, print the summary and the verdict.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::check::generative::Parameters;
use crate::check::typed::Model;
use crate::data::Format;
use crate::diagnostics::Diagnostic;
use crate::driver::Session;
use crate::inference::{
    Deadline, Device, Fit, InferenceError, Method, Precision, Settings, VerdictLevel,
};
use crate::lower::Term;
use crate::posterior::{Posterior, Values};
use crate::results::{
    Checkpoint, Config, Role, Run, RunDirectory, RunDirectoryError, RunInfo, Source, Style,
    Summary, check_predictions, default_out, model_name, table,
};

use super::args::{DeviceFlag, RunArgs, RunFlags};
use super::console::Console;
use super::failure::{Exit, Failure, Outcome};
use super::generate::{Groups, PRIOR, observed_and_constant};
use super::init;
use super::input::{Input, print_diagnostics};
use super::progress::Watcher;
use super::resume::{check_sources, resume};
use super::settings::{self, read_config};

pub(super) fn run(args: RunArgs, console: Console) -> Outcome {
    let mut flags = args.flags;
    if let Some(path) = &args.config {
        flags = flags.over(read_config(path)?);
    }
    let console = console.or(flags.color, flags.quiet);
    let mut resumed = None;
    if let Some(from) = flags.resume.clone() {
        let (checkpoint, all) = resume(&from, flags)?;
        flags = RunFlags { out: all.out.clone().or(Some(from)), ..all };
        resumed = Some(checkpoint);
    }
    let method = settings::method(&flags)?;
    let minibatch = settings::minibatch(&flags, method)?;
    let mut settings = settings::settings(&flags, method)?;
    let init = init::run_directory(settings.init.as_deref())?;
    let interval = settings::checkpoint_interval(&flags)?;
    settings::check_device(&flags, method)?;
    let name = model_name(&args.model.model);
    let out = flags.out.clone().unwrap_or_else(|| default_out(&name, method.name, settings.seed));
    let directory = RunDirectory::claim(&out).map_err(|e| directory_failure(&e))?;

    let started = Instant::now();
    let input = Input::read(&args.model, console)?;
    let mut session = args.model.session();
    let model = session.check(&input.name, &input.text);
    let posterior = match (&model, &minibatch) {
        (None, _) => None,
        (Some(model), None) => session.compile(model, &input.data),
        (Some(model), Some((name, size))) => session
            .compile_subsampled(model, &input.data, (name, *size), settings.seed)
            .map_err(|e| Failure::usage(format!("--minibatch {name}={size}: {e}")))?,
    };
    print_diagnostics(&session, console);
    let (Some(model), Some(posterior)) = (model, posterior) else {
        input.note_absent_data(&args.model, console);
        return Err(Failure::reported());
    };
    if posterior.dim() == 0 {
        return Err(Failure::model(format!(
            "{} has no parameters that could vary: there is nothing to infer",
            input.name
        )));
    }
    if let Some(path) = &init {
        settings.init = None;
        settings.start = Some(init::start(path, &posterior.lowered().params)?);
    }
    if let Some(device) = flags.device.filter(|device| *device != DeviceFlag::Cpu) {
        let source = session.on_device(&posterior);
        let Some(source) = source else {
            // Warnings were printed before.
            session.diagnostics.retain(Diagnostic::is_error);
            print_diagnostics(&session, console);
            return Err(Failure { exit: Exit::Inference, ..Failure::reported() });
        };
        settings.device = settings::device(device, source);
    }
    let compile = started.elapsed();

    let started = Instant::now();
    // The limit is the program's, of which files take a part.
    let whole = settings.deadline.clone();
    let left = whole.left().unwrap_or_default();
    let reserve = left.mul_f64(WRITING).min(MOST_WRITING) + DATA_AGAIN * compile;
    settings.deadline = whole.less(reserve.min(left.mul_f64(0.5)));
    let config = config(&input, &session, &flags, method, &settings)?;
    let checkpoint = match resumed {
        None => Checkpoint::new(config.clone()),
        Some(mut before) => {
            check_sources(&before.config, &config)?;
            before.config = config.clone();
            before
        }
    };
    let mut watcher = Watcher::new(console, checkpoint, &out, interval)?;
    let fit = method.fit(posterior.target(), &settings, &mut watcher);
    watcher.finish();
    let mut fit = fit.map_err(|e| inference_failure(&e))?;
    let info = RunInfo {
        model: name,
        seed: settings.seed,
        compile_s: compile.as_secs_f64(),
        train_s: started.elapsed().as_secs_f64(),
    };
    // The data is written again, which takes about as long as reading and compiling it.
    let budget = Budget { deadline: &whole, owed: compile };
    let groups = groups(&session, &model, &input, &posterior, &fit, settings.seed, budget);
    if let Some(predicted) = groups.get("posterior_predictive") {
        let observed: Vec<_> = input.data.iter().collect();
        check_predictions(&mut fit.verdict, predicted, &observed);
    }
    let imports: Vec<String> = session.imported().map(|(_, text)| text.to_owned()).collect();
    let checkpoint = watcher.checkpoint();
    let written = write(&directory, &input, &imports, &posterior, &fit, &info, checkpoint, &groups);
    let summary = written.map_err(|e| directory_failure(&e))?;

    if flags.json {
        console.result(&format!("{:#}\n", summary.to_json()));
    } else {
        let style = Style { color: console.color_results };
        let all = out.join("summary.json").display().to_string();
        console.result(&table(&summary, style, &format!("ppl run {}", input.name), &all));
    }
    console.note(&format!("wrote {}", out.display()));
    Ok(if watcher.is_interrupted() {
        Exit::Interrupted
    } else if flags.strict && summary.verdict == VerdictLevel::Failed {
        Exit::Failed
    } else {
        Exit::Done
    })
}

pub(super) fn directory_failure(error: &RunDirectoryError) -> Failure {
    match error {
        RunDirectoryError::Occupied(_) => Failure::usage(error.to_string()),
        RunDirectoryError::NoCheckpoint(_)
        | RunDirectoryError::Format { .. }
        | RunDirectoryError::NotARun { .. }
        | RunDirectoryError::Link(_)
        | RunDirectoryError::Damaged { .. }
        | RunDirectoryError::Io { .. }
        | RunDirectoryError::Unreadable { .. }
        | RunDirectoryError::Unwritable { .. } => Failure::model(error.to_string()),
    }
}

fn inference_failure(error: &InferenceError) -> Failure {
    match error {
        InferenceError::Setting(message) => Failure::usage(message.clone()),
        InferenceError::NonFinite { .. }
        | InferenceError::Device(_)
        | InferenceError::NoTime
        | InferenceError::Breakdown(_) => Failure::inference(error.to_string()),
    }
}

fn config(
    input: &Input,
    session: &Session,
    flags: &RunFlags,
    method: &Method,
    settings: &Settings,
) -> Result<Config, Failure> {
    let flags = serde_json::to_value(flags)
        .and_then(serde_json::from_value::<BTreeMap<String, serde_json::Value>>)
        .map_err(|e| Failure::usage(e.to_string()))?;
    let told_elsewhere = ["infer", "seed", "precision", "device"];
    Ok(Config {
        version: env!("CARGO_PKG_VERSION").into(),
        model: Source::of(&input.name, &input.text),
        data: input
            .data_path
            .as_ref()
            .map(|path| Source::of(&path.display().to_string(), input.data.text())),
        method: method.name.into(),
        seed: settings.seed,
        precision: match settings.precision {
            Precision::F32 => "f32".into(),
            Precision::F64 => "f64".into(),
        },
        device: match settings.device {
            Device::Cpu => "cpu".into(),
            Device::Tensors(_) => "tensors".into(),
            #[cfg(feature = "cuda")]
            Device::Cuda(_) => "cuda".into(),
        },
        imports: session.imported().map(|(name, text)| Source::of(name, text)).collect(),
        not_drawn: BTreeMap::new(),
        flags: flags.into_iter().filter(|(k, _)| !told_elsewhere.contains(&k.as_str())).collect(),
    })
}

/// A group of `fit.zarr` is left out when it has more numbers than this (160 MB).
const MOST_NUMBERS: usize = 20_000_000;

/// Share of the time that is kept for predictions and files, where it is limited, and most of it; and how
/// much longer than reading and compiling what is done with the data at the end may take: all for a machine that
/// does other things too.
const WRITING: f64 = 0.2;
const MOST_WRITING: Duration = Duration::from_millis(1500);
const DATA_AGAIN: u32 = 2;
/// Why a group is missing that would have taken too long.
const LATE: &str = "there was no time left (--max-seconds)";
/// Draws that tell how long all of them take.
const PILOT: usize = 20;

/// Numbers that are written in a second, on a slow day.
const WRITTEN_A_SECOND: f64 = 1e7;

/// The time that is left for groups of numbers, and what of it writing will take.
struct Budget<'a> {
    deadline: &'a Deadline,
    owed: Duration,
}

impl Budget<'_> {
    /// Whether what takes that long can be done in time.
    fn affords(&self, duration: Duration) -> bool {
        self.deadline.left().is_none_or(|left| self.owed + duration <= left)
    }

    /// Whether `numbers` at each of `total` draws can be had and written in time, as far as some of them tell,
    /// which `pilot` makes; if so, their writing is owed.
    fn takes(&mut self, numbers: usize, total: usize, pilot: impl FnOnce(usize)) -> bool {
        let writing = Duration::from_secs_f64((numbers * total) as f64 / WRITTEN_A_SECOND);
        let Some(left) = self.deadline.left() else { return true };
        if !self.affords(writing) {
            return false;
        }
        let some = total.div_ceil(200).min(PILOT);
        pilot(some);
        let after = self.deadline.left().unwrap_or_default();
        let computing = left.saturating_sub(after).mul_f64(total as f64 / some as f64);
        let fits = self.affords(computing + writing);
        if fits {
            self.owed += writing;
        }
        fits
    }
}

/// Draws from the prior that a run keeps.
const PRIOR_DRAWS: usize = 1000;

/// The pointwise log likelihood, draws from the prior, and predictions from both.
fn groups(
    session: &Session,
    model: &Model,
    input: &Input,
    posterior: &Posterior,
    fit: &Fit,
    seed: u64,
    mut budget: Budget<'_>,
) -> Groups {
    let mut groups = Groups::default();
    let total = fit.log_p.len();
    let compile = budget.owed;
    let at_draws = |groups: &mut Groups, budget: &mut Budget<'_>, name, values: &Values| {
        if values.len() * total > MOST_NUMBERS {
            let reason = format!("it would have {} numbers a draw", values.len());
            return groups.refuse(name, vec![reason]);
        }
        let pilot = |some: usize| {
            let _ = values.at(&fit.draws[..some * fit.dim], some, 1, 0);
        };
        if !budget.takes(values.len(), total, pilot) {
            return groups.refuse(name, vec![LATE.to_owned()]);
        }
        groups.add(name, values.at(&fit.draws, total, fit.chains, seed));
    };
    // What has far too many numbers is not even compiled.
    let lowered = posterior.lowered();
    let size = |term: &Term| lowered.function.ty(lowered.function.outputs[term.output].value).len();
    let observed: usize = lowered.terms.iter().filter(|t| t.observed.is_some()).map(size).sum();
    if observed > MOST_NUMBERS / 20 {
        let reason = format!("there are {observed} observed numbers");
        for name in ["log_likelihood", "posterior_predictive", "prior"] {
            groups.refuse(name, vec![reason.clone()]);
        }
        return groups;
    }
    at_draws(&mut groups, &mut budget, "log_likelihood", &Values::log_likelihood(lowered));
    // Two other readings of the model are compiled.
    if !budget.affords(2 * compile) {
        for name in ["posterior_predictive", "prior"] {
            groups.refuse(name, vec![LATE.to_owned()]);
        }
        return groups;
    }
    let given = session.generator(model, &input.data, Parameters::Given);
    if let Ok(given) = &given {
        at_draws(
            &mut groups,
            &mut budget,
            "posterior_predictive",
            &given.values(&[Role::Predicted]),
        );
    }
    let drawn = session.generator(model, &input.data, Parameters::Drawn);
    match given {
        Ok(given) => groups.refuse("posterior_predictive", given.reasons),
        Err(errors) => groups.refuse("posterior_predictive", messages(&errors)),
    }
    match drawn {
        Ok(drawn) => {
            let size: usize =
                drawn.lowered.variables.iter().map(|v| v.shape.iter().product::<usize>()).sum();
            let draws = PRIOR_DRAWS.min(MOST_NUMBERS / size.max(1)).max(1);
            let values = drawn.values(PRIOR);
            let pilot = |some: usize| {
                let _ = values.at(&[], some, 1, 0);
            };
            if drawn.has_prior && !budget.takes(values.len(), draws, pilot) {
                groups.refuse("prior", vec![LATE.to_owned()]);
            } else {
                groups.add_prior(&drawn, draws, seed);
            }
        }
        Err(errors) => groups.refuse("prior", messages(&errors)),
    }
    groups
}

fn messages(errors: &[Diagnostic]) -> Vec<String> {
    errors.iter().map(|e| e.message.clone()).collect()
}

#[allow(clippy::too_many_arguments, reason = "one call site; the parts of one directory")]
fn write(
    directory: &RunDirectory,
    input: &Input,
    imports: &[String],
    posterior: &Posterior,
    fit: &Fit,
    info: &RunInfo,
    checkpoint: &Checkpoint,
    groups: &Groups,
) -> Result<Summary, RunDirectoryError> {
    let not_drawn = groups.not_drawn.clone();
    let config = &Config { not_drawn, ..checkpoint.config.clone() };
    let draws = posterior.values().at(&fit.draws, fit.log_p.len(), fit.chains, config.seed);
    let summary = Summary::new(info, fit, &draws);
    let lowered = posterior.lowered();
    let layout: Vec<_> =
        lowered.params.iter().map(|p| (p.name.clone(), p.start..p.start + p.len)).collect();
    let is_observed =
        |name: &str| lowered.terms.iter().any(|t| t.observed.as_deref() == Some(name));
    let (observed, constant) = observed_and_constant(lowered, is_observed, &input.data);
    let data_file = input.data_path.as_ref().map(|_| match input.data.format() {
        Format::Json => ("data.json", input.data.text()),
        Format::Csv => ("data.csv", input.data.text()),
    });
    directory.write(&Run {
        config,
        model_text: &input.text,
        imports,
        data_file,
        summary: &summary,
        fit,
        draws: &draws,
        layout: &layout,
        observed: &observed,
        constant: &constant,
        predictions: &groups.by_name(),
        checkpoint: Some(checkpoint),
    })?;
    Ok(summary)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::inference::{Clock, Deadline};

    #[test]
    fn a_budget_counts_computing_and_writing() {
        let now = Arc::new(AtomicU64::new(0));
        let deadline = Deadline::by(Clock::Manual(Arc::clone(&now)), Duration::from_secs(10));
        let mut budget = Budget { deadline: &deadline, owed: Duration::from_secs(1) };
        // One draw in 200 tells, and takes 10 ms: 2 s for all, and 3 s to write them.
        let pilot = |some: usize| {
            now.fetch_add(some as u64 * 10_000_000, Ordering::Relaxed);
        };
        assert!(budget.takes(150_000, 200, pilot));
        assert_eq!(budget.owed, Duration::from_secs(4));
        // The second would take 6 s to write.
        assert!(!budget.takes(300_000, 200, |_| panic!("there is no time to try")));
        assert!(!budget.takes(200_000, 200, pilot), "2 s for all, and 4 s to write them");
        assert!(budget.affords(Duration::from_secs(5)) && !budget.affords(Duration::from_secs(6)));
        let mut never = Budget { deadline: &Deadline::never(), owed: Duration::ZERO };
        assert!(never.takes(usize::MAX >> 32, 1000, |_| panic!("nothing to find out")));
    }
}
