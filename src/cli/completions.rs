//! `ppl completions SHELL`: a script that completes commands, flags and names of methods.

use clap::CommandFactory;
use clap::builder::PossibleValuesParser;

use crate::inference::METHODS;

use super::args::{Cli, CompletionsArgs};
use super::console::Console;
use super::failure::{Exit, Outcome};

pub(super) fn run(args: &CompletionsArgs, console: Console) -> Outcome {
    // The command line itself takes any text there: its message about a wrong name says more than clap's.
    let mut command = Cli::command().mut_subcommands(|subcommand| {
        let of_methods = subcommand.get_name() == "methods";
        subcommand.mut_args(|arg| match arg.get_id().as_str() {
            "infer" => arg.value_parser(methods()),
            "name" if of_methods => arg.value_parser(methods()),
            _ => arg,
        })
    });
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "ppl", &mut script);
    console.result(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}

fn methods() -> PossibleValuesParser {
    PossibleValuesParser::new(METHODS.iter().map(|method| method.name))
}
