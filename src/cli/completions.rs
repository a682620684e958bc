//! `ppl completions SHELL`: a script that completes commands and flags.

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs};
use super::console::Console;
use super::failure::{Exit, Outcome};

pub(super) fn run(args: &CompletionsArgs, console: Console) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ppl", &mut script);
    console.result(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
}
