//! The command line: one file per subcommand.
//!
//! Nothing below this module prints. Results go to standard output, everything else to standard
//! error; the exit codes are `failure::Exit`.

mod args;
mod check;
mod compare;
mod completions;
mod console;
mod doctor;
mod emit;
mod explain;
mod failure;
mod fmt;
mod generate;
mod init;
mod input;
mod log_density;
mod lsp;
mod man;
mod methods;
mod new;
mod predict;
mod progress;
mod replace;
mod report;
mod resume;
mod run;
mod sbc;
mod settings;
mod simulate;
mod summary;

use std::ffi::OsString;
use std::panic;
use std::process::ExitCode;

use clap::Parser;

use crate::inference::backend::device::is_failure;

use args::{Cli, Command};
use console::Console;
use failure::{Exit, Outcome};

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    run(std::env::args_os()).into()
}

/// Runs a command line, its first word the name of the program; the exit code is the one
/// `interface.md` promises. The program is expected to end with it: handlers for signals and panics
/// are set.
#[must_use]
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for; the rest is a usage error. Both know their stream.
            let _ = error.print();
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            return exit as u8;
        }
    };
    let console = Console::new(&cli);
    panic::set_hook(Box::new(move |info| {
        // A device that fails is an error, which is said later.
        let text = info.payload().downcast_ref::<String>();
        if text.is_some_and(|text| is_failure(text)) {
            return;
        }
        console.message(&format!(
            "bug in ppl {}: {info}\nPlease report it with the model, the data and the command \
             line; `ppl emit MODEL --stage typed` and `--stage ir` show where it goes wrong.",
            env!("CARGO_PKG_VERSION")
        ));
    }));
    conclude(|| dispatch(cli.command, console), console) as u8
}

/// Runs a subcommand to its exit code: what failed is said, and a panic is a bug.
fn conclude(subcommand: impl FnOnce() -> Outcome + panic::UnwindSafe, console: Console) -> Exit {
    match panic::catch_unwind(subcommand) {
        Err(_) => Exit::Bug,
        Ok(Ok(exit)) => exit,
        Ok(Err(failure)) => {
            if !failure.message.is_empty() {
                console.error(failure.code, &failure.message);
            }
            failure.exit
        }
    }
}

fn dispatch(command: Command, console: Console) -> Outcome {
    match command {
        Command::Run(args) => run::run(*args, console),
        Command::Check(args) => check::run(&args, console),
        Command::Emit(args) => emit::run(&args, console),
        Command::LogDensity(args) => log_density::run(&args, console),
        Command::Simulate(args) => simulate::run(&args, console),
        Command::Sbc(args) => sbc::run(&args, console),
        Command::Predict(args) => predict::run(&args, console),
        Command::Summary(args) => summary::run(&args, console),
        Command::Report(args) => report::run(&args, console),
        Command::Fmt(args) => fmt::run(&args, console),
        Command::Explain(args) => explain::run(&args, console),
        Command::Methods(args) => methods::run(&args, console),
        Command::Compare(args) => compare::run(&args, console),
        Command::Man(args) => man::run(&args, console),
        Command::Doctor(args) => doctor::run(&args, console),
        Command::Lsp(args) => lsp::run(&args, console),
        Command::Completions(args) => completions::run(&args, console),
        Command::New(args) => new::run(&args, console),
    }
}

#[cfg(test)]
mod tests {
    use super::failure::Failure;
    use super::*;

    #[test]
    fn a_panic_is_a_bug_and_a_failure_is_not() {
        let cli = Cli::try_parse_from(["ppl", "-q", "explain", "E0001"]).unwrap();
        let console = Console::new(&cli);
        assert_eq!(conclude(|| panic!("expected by the test"), console) as u8, 70);
        assert_eq!(conclude(|| Err(Failure::inference("expected")), console) as u8, 4);
        assert_eq!(conclude(|| Ok(Exit::Failed), console) as u8, 3);
        assert_eq!(conclude(|| Ok(Exit::Done), console) as u8, 0);
    }
}
