//! The `ppl` binary: runs the command line and turns its outcome into an exit code.

fn main() -> std::process::ExitCode {
    ppl::cli::main()
}
