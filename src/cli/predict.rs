//! `ppl predict RUN_DIR`: posterior predictive and generated quantities from the draws of a run, for its
//! data or for new data, without refitting.

use std::path::Path;

use serde_json::json;

use crate::check::generative::{Parameters, observed};
use crate::check::print;
use crate::check::typed::Model;
use crate::data::DataSet;
use crate::driver::{Generator, Session};
use crate::lower::{Param, Space};
use crate::posterior::Values;
use crate::results::{
    Draws, Predictions, Role, RunDirectory, RunDirectoryError, Source, StoredDraws,
};

use super::args::PredictArgs;
use super::console::Console;
use super::failure::{Exit, Failure, Outcome};
use super::generate::{Groups, observed_and_constant};
use super::input::{print_diagnostics, read_data, with_sizes};
use super::run::directory_failure;

pub(super) fn run(args: &PredictArgs, console: Console) -> Outcome {
    let directory = args.out.as_deref().map(RunDirectory::claim_for_predictions).transpose();
    let directory = directory.map_err(|e| directory_failure(&e))?;
    let failed = |e: RunDirectoryError| directory_failure(&e);
    let config = RunDirectory::read_config(&args.run).map_err(failed)?;
    let text = RunDirectory::read_text(&args.run, "model.ppl").map_err(failed)?;
    let imports = RunDirectory::read_imports(&args.run, &config).map_err(failed)?;
    let stored = RunDirectory::read_draws(&args.run).map_err(failed)?;
    let stored_data = || RunDirectory::data_file(&args.run).map_err(failed);
    let data = match args.data.clone().map_or_else(stored_data, |path| Ok(Some(path)))? {
        Some(path) => read_data(&path, console)?,
        None => DataSet::from_arrays([]),
    };
    let data = with_sizes(data, &args.size)?.with_limits(args.limits.of_data());
    let seed = args.seed.unwrap_or(config.seed);

    let session = Session::with_imports(imports.into_iter().collect());
    let mut session = session.with_most_bytes(args.limits.max_model_bytes);
    let Some(model) = session.check(&config.model.path, &text) else {
        print_diagnostics(&session, console);
        return Err(Failure::reported());
    };
    // Its lints were shown when it was fitted.
    session.diagnostics.clear();
    let generator = match session.generator(&model, &data, Parameters::Given) {
        Ok(generator) => generator,
        Err(errors) => {
            session.diagnostics.extend(errors);
            print_diagnostics(&session, console);
            console.note("sizes can be given by --size NAME=N; data that is drawn may be absent");
            return Err(Failure::reported());
        }
    };
    let theta = unconstrained(&stored, &generator, &model, &args.run)?;
    let (total, chains) = (stored.total(), stored.chains);
    let mut groups = Groups::default();
    groups.refuse("posterior_predictive", generator.reasons.clone());
    for reason in &generator.reasons {
        console.note(&format!("not drawn: {}:{reason}", config.model.path));
    }
    let at = |values: &Values| values.at(&theta, total, chains, seed);
    groups.add("posterior_predictive", at(&generator.values(&[Role::Predicted])));
    groups.add("posterior", at(&generator.values(&[Role::Gen])));
    let draws = groups.together().unwrap_or(Draws {
        chains,
        draws_per_chain: stored.draws_per_chain,
        variables: Vec::new(),
    });
    if draws.variables.is_empty() {
        return Err(Failure::model(format!(
            "{} predicts nothing: no statement draws data, and there is no `gen`",
            config.model.path
        )));
    }
    let Some(directory) = directory else {
        console.result(&if args.json { draws.to_json_lines() } else { draws.to_csv() });
        return Ok(Exit::Done);
    };
    if generator.absent.is_empty()
        && let Some(lowered) = session.lower(&model, &data, Space::Unconstrained)
    {
        groups.add("log_likelihood", at(&Values::log_likelihood(&lowered)));
    }
    let names: Vec<&str> = observed(&model).iter().map(|v| model.var(*v).name.as_str()).collect();
    let is_observed = |name: &str| names.contains(&name);
    let (seen, constant) = observed_and_constant(&generator.lowered, is_observed, &data);
    let description = json!({
        "command": "predict",
        "version": env!("CARGO_PKG_VERSION"),
        "run": args.run.display().to_string(),
        "model": config.model,
        "data": args.data.as_ref()
            .map(|path| Source::of(&path.display().to_string(), data.text())),
        "sizes": args.size,
        "seed": seed,
        "draws": total,
        "not_drawn": groups.not_drawn,
    });
    let predictions = Predictions {
        config: &description,
        model_text: &text,
        draws: &draws,
        groups: &groups.by_name(),
        observed: &seen,
        constant: &constant,
        data_files: &[],
    };
    directory.write_predictions(&predictions).map_err(failed)?;
    console.note(&format!("wrote {}", directory.path().display()));
    Ok(Exit::Done)
}

/// The stored draws in the order of the model's parameters, `[S, D]`.
fn unconstrained(
    stored: &StoredDraws,
    generator: &Generator,
    model: &Model,
    run: &Path,
) -> Result<Vec<f64>, Failure> {
    let params = &generator.lowered.params;
    let summary = RunDirectory::read_summary(run).map_err(|e| directory_failure(&e))?;
    let dim: usize = params.iter().map(|p| p.len).sum();
    let mut theta = vec![0.0; stored.total() * dim];
    for param in params {
        if let Some(before) = summary.variables.iter().find(|v| v.name == param.name) {
            same_shape(param, &before.shape, model)?;
        }
        let values = stored.parameters.iter().find(|(name, _)| *name == param.name);
        let values = values.map(|(_, values)| values.as_slice()).unwrap_or_default();
        if values.len() != stored.total() * param.len {
            return Err(Failure::model(format!(
                "{} has no draws of `{}`: its model is another one",
                run.display(),
                param.name
            )));
        }
        for (draw, row) in values.chunks_exact(param.len.max(1)).zip(theta.chunks_exact_mut(dim)) {
            row[param.start..param.start + param.len].copy_from_slice(draw);
        }
    }
    Ok(theta)
}

/// A parameter's size cannot change: there are no draws for further elements.
fn same_shape(param: &Param, before: &[usize], model: &Model) -> Result<(), Failure> {
    let Some(axis) = (0..param.shape.len()).find(|&i| before.get(i) != Some(&param.shape[i]))
    else {
        return Ok(());
    };
    let var = model.vars.iter().find(|var| var.span == param.span || var.name == param.name);
    let names = |id: crate::check::typed::VarId| model.var(id).name.clone();
    let ty = var.map_or_else(String::new, |var| format!(": {}", print::ty(&var.ty, &names)));
    Err(Failure::model(format!(
        "parameter `{}{ty}` has {} elements along axis {} in the run, and {} with this data; its size \
         cannot change without fitting again",
        param.name,
        before.get(axis).copied().unwrap_or(0),
        axis + 1,
        param.shape[axis],
    )))
}
