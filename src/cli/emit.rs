//! `ppl emit`: one stage of compilation as text.

use crate::data::DataSet;
use crate::driver::Stage;

use super::args::EmitArgs;
use super::console::Console;
use super::failure::{Exit, Failure, Outcome};
use super::input::{Input, print_diagnostics};

pub(super) fn run(args: &EmitArgs, console: Console) -> Outcome {
    let stage = match args.stage {
        Stage::Program { .. } => Stage::Program { cost: args.cost },
        other if args.cost => {
            let name = other.name();
            return Err(Failure::usage(format!("--cost is for the stage program, not {name}")));
        }
        other => other,
    };
    let mut session = args.model.session();
    let name = args.model.model.display().to_string();
    let text = if stage.needs_data() {
        let input = Input::read(&args.model, console)?;
        let text = session.emit(stage, &name, &input.text, &input.data);
        if text.is_none() {
            input.note_absent_data(&args.model, console);
        }
        text
    } else {
        let text = args.model.text()?;
        session.emit(stage, &name, &text, &DataSet::from_arrays([]))
    };
    print_diagnostics(&session, console);
    let text = text.ok_or_else(Failure::reported)?;
    console.result(text.trim_end_matches('\n'));
    console.result("\n");
    Ok(Exit::Done)
}
