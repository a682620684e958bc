//! `ppl simulate MODEL --prior`: draws from the prior and the prior predictive.

use serde_json::json;

use crate::check::generative::Parameters;
use crate::results::{Draws, Predictions, Role, RunDirectory, Source};

use super::args::SimulateArgs;
use super::console::Console;
use super::failure::{Exit, Failure, Outcome};
use super::generate::{Groups, observed_and_constant};
use super::input::{Input, print_diagnostics, with_sizes};
use super::run::directory_failure;

/// Data files that are written at most: one for each draw.
const MOST_DATA_FILES: usize = 10_000;

pub(super) fn run(args: &SimulateArgs, console: Console) -> Outcome {
    if !args.prior {
        return Err(Failure::usage(
            "say what to draw from: `--prior` draws parameters from their priors and data from them; \
             `ppl predict RUN_DIR` draws data from a posterior",
        ));
    }
    if args.draws == 0 {
        return Err(Failure::usage("-n takes at least 1 draw"));
    }
    let directory = args.out.as_deref().map(RunDirectory::claim_for_predictions).transpose();
    let directory = directory.map_err(|e| directory_failure(&e))?;
    let mut input = Input::read(&args.model, console)?;
    input.data = with_sizes(input.data, &args.size)?;
    let mut session = args.model.session();
    let generator = session.check(&input.name, &input.text).and_then(|model| {
        match session.generator(&model, &input.data, Parameters::Drawn) {
            Ok(generator) => Some(generator),
            Err(errors) => {
                session.diagnostics.extend(errors);
                None
            }
        }
    });
    let Some(generator) = generator else {
        print_diagnostics(&session, console);
        input.note_absent_data(&args.model, console);
        console.note("sizes can be given by --size NAME=N; data that is drawn may be absent");
        return Err(Failure::reported());
    };
    if !generator.has_prior {
        let reasons = generator.reasons.join("\n  ");
        return Err(Failure::model(format!(
            "{} has no prior to draw from\n  {reasons}",
            input.name
        )));
    }
    for reason in &generator.reasons {
        console.note(&format!("not drawn: {}:{reason}", input.name));
    }
    let mut groups = Groups::default();
    groups.add_prior(&generator, args.draws, args.seed);
    let draws = groups.together().unwrap_or(Draws {
        chains: 1,
        draws_per_chain: args.draws,
        variables: Vec::new(),
    });
    let Some(directory) = directory else {
        console.result(&if args.json { draws.to_json_lines() } else { draws.to_csv() });
        return Ok(Exit::Done);
    };
    let predicted = generator.lowered.variables.iter().filter(|v| v.role == Role::Predicted);
    let predicted: Vec<&str> = predicted.map(|v| v.name.as_str()).collect();
    let drawn = Draws {
        variables: draws.variables.iter().filter(|v| v.role == Role::Predicted).cloned().collect(),
        ..draws
    };
    let data_files =
        if args.draws <= MOST_DATA_FILES { drawn.data_files(&input.data) } else { Vec::new() };
    let is_predicted = |name: &str| predicted.contains(&name);
    let (_, constant) = observed_and_constant(&generator.lowered, is_predicted, &input.data);
    let config = json!({
        "command": "simulate",
        "version": env!("CARGO_PKG_VERSION"),
        "model": Source::of(&input.name, &input.text),
        "data": input.data_path.as_ref()
            .map(|path| Source::of(&path.display().to_string(), input.data.text())),
        "sizes": args.size,
        "seed": args.seed,
        "draws": args.draws,
        "not_drawn": groups.not_drawn,
    });
    let predictions = Predictions {
        config: &config,
        model_text: &input.text,
        draws: &draws,
        groups: &groups.by_name(),
        observed: &[],
        constant: &constant,
        data_files: &data_files,
    };
    directory.write_predictions(&predictions).map_err(|e| directory_failure(&e))?;
    console.note(&format!("wrote {}", directory.path().display()));
    Ok(Exit::Done)
}
