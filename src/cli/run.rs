//! `ppl run`: fit, write the run directory, print the summary and the verdict.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::data::DataArray;
use crate::driver::Session;
use crate::inference::{Fit, InferenceError, Method, Precision, Settings, VerdictLevel};
use crate::posterior::Posterior;
use crate::results::{
    Checkpoint, Config, Run, RunDirectory, RunDirectoryError, RunInfo, Source, Style, Summary,
    default_out, model_name, table,
};

use super::args::{RunArgs, RunFlags};
use super::console::Console;
use super::failure::{Exit, Failure, Outcome};
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
    let settings = settings::settings(&flags, method)?;
    let interval = settings::checkpoint_interval(&flags)?;
    settings::check_device(&flags)?;
    let name = model_name(&args.model.model);
    let out = flags.out.clone().unwrap_or_else(|| default_out(&name, method.name, settings.seed));
    let directory = RunDirectory::claim(&out).map_err(|e| directory_failure(&e))?;

    let started = Instant::now();
    let input = Input::read(&args.model, console)?;
    let mut session = Session::new();
    let posterior = match session.check(&input.name, &input.text) {
        None => None,
        Some(model) => match &minibatch {
            None => session.compile(&model, &input.data),
            Some((name, size)) => session
                .compile_subsampled(&model, &input.data, (name, *size), settings.seed)
                .map_err(|e| Failure::usage(format!("--minibatch {name}={size}: {e}")))?,
        },
    };
    print_diagnostics(&session, console);
    let Some(posterior) = posterior else {
        input.note_absent_data(&args.model, console);
        return Err(Failure::reported());
    };
    if posterior.dim() == 0 {
        return Err(Failure::model(format!(
            "{} has no parameters that could vary: there is nothing to infer",
            input.name
        )));
    }
    let compile_s = started.elapsed().as_secs_f64();

    let started = Instant::now();
    let config = config(&input, &flags, method, &settings)?;
    let checkpoint = match resumed {
        None => Checkpoint::new(config.clone()),
        Some(mut before) => {
            check_sources(&before.config, &config)?;
            before.config = config.clone();
            before
        }
    };
    let mut watcher = Watcher::new(console, checkpoint, &out, interval)?;
    let fit = (method.run)(posterior.target(), &settings, &mut watcher);
    watcher.finish();
    let fit = fit.map_err(|e| inference_failure(&e))?;
    let info = RunInfo {
        model: name,
        seed: settings.seed,
        compile_s,
        train_s: started.elapsed().as_secs_f64(),
    };
    let summary = write(&directory, &input, &posterior, &fit, &info, watcher.checkpoint())
        .map_err(|e| directory_failure(&e))?;

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
        | RunDirectoryError::Damaged { .. }
        | RunDirectoryError::Io { .. }
        | RunDirectoryError::Zarr { .. } => Failure::model(error.to_string()),
    }
}

fn inference_failure(error: &InferenceError) -> Failure {
    match error {
        InferenceError::Setting(message) => Failure::usage(message.clone()),
        InferenceError::NonFinite { .. } | InferenceError::Breakdown(_) => {
            Failure::inference(error.to_string())
        }
    }
}

fn config(
    input: &Input,
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
        device: "cpu".into(),
        flags: flags.into_iter().filter(|(k, _)| !told_elsewhere.contains(&k.as_str())).collect(),
    })
}

/// The pointwise log likelihood is left out of `fit.zarr` when it has more numbers than this (160 MB).
const MAX_POINTWISE: usize = 20_000_000;

fn write(
    directory: &RunDirectory,
    input: &Input,
    posterior: &Posterior,
    fit: &Fit,
    info: &RunInfo,
    checkpoint: &Checkpoint,
) -> Result<Summary, RunDirectoryError> {
    let config = &checkpoint.config;
    let draws = posterior.values().at(&fit.draws, fit.log_p.len(), fit.chains, config.seed);
    let summary = Summary::new(info, fit, &draws);
    let lowered = posterior.lowered();
    let layout: Vec<_> =
        lowered.params.iter().map(|p| (p.name.clone(), p.start..p.start + p.len)).collect();
    let is_observed =
        |name: &str| lowered.terms.iter().any(|t| t.observed.as_deref() == Some(name));
    let used = |name: &str| lowered.data.iter().any(|(n, _)| n == name);
    let (observed, constant): (Vec<_>, Vec<(&str, &DataArray)>) =
        input.data.iter().filter(|(name, _)| used(name)).partition(|(name, _)| is_observed(name));
    let pointwise = posterior.log_likelihood();
    let fits = pointwise.len() * fit.log_p.len() <= MAX_POINTWISE;
    let pointwise = (fits && !pointwise.is_empty())
        .then(|| pointwise.at(&fit.draws, fit.log_p.len(), fit.chains, config.seed));
    let predictions: Vec<_> = pointwise.iter().map(|draws| ("log_likelihood", draws)).collect();
    directory.write(&Run {
        config,
        model_text: &input.text,
        summary: &summary,
        fit,
        draws: &draws,
        layout: &layout,
        observed: &observed,
        constant: &constant,
        predictions: &predictions,
        checkpoint: Some(checkpoint),
    })?;
    Ok(summary)
}
