//! `ppl explain CODE`: the page of an error code, or the list of all.

use crate::diagnostics::Code;

use super::args::ExplainArgs;
use super::console::Console;
use super::failure::{Exit, Failure, Outcome};

pub(super) fn run(args: &ExplainArgs, console: Console) -> Outcome {
    let text = match &args.code {
        None => Code::ALL.iter().map(|code| format!("{code}  {}\n", code.title())).collect(),
        Some(name) => match Code::parse(name) {
            Some(code) => code.page().to_owned(),
            None => {
                let message = format!("there is no code `{name}`; `ppl explain` lists all");
                return Err(Failure::usage(message));
            }
        },
    };
    console.result(&text);
    Ok(Exit::Done)
}
