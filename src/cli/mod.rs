//! The command line: one file per subcommand.

/// Runs the command line; the exit code is the one `interface.md` promises.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
