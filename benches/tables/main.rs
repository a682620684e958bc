//! Tables of measured results: each command rewrites its own section of `benches/RESULTS.md`.
//!
//! `cargo bench --bench tables -- posteriors` fits the posteriors of `../shared/reference/posteriordb`
//! by every method; see [`posteriors`] for what it takes. `-- langevin` runs the tasks of the Langevin
//! literature; see [`langevin`]; `-- divergences` those of the semi-implicit one; see [`divergences`].
//! `-- networks` fits Bayesian neural networks; see [`networks`]. `-- iterations` and `-- semi-implicit`
//! time training steps against peers; see [`iterations`] and [`semi_implicit`]; `-- densities` times
//! gradients; see [`densities`]. `-- start`, `-- growth` and `-- cores` time whole processes; see [`start`],
//! [`growth`], [`cores`].

#![allow(clippy::print_stdout, reason = "a command that reports what it measures")]

mod cores;
mod densities;
mod divergences;
mod growth;
mod iterations;
mod langevin;
mod networks;
mod options;
mod posteriors;
mod processes;
mod section;
mod semi_implicit;
mod start;

use std::process::ExitCode;

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // `cargo bench` adds a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let usage = [
        posteriors::USAGE,
        langevin::USAGE,
        divergences::USAGE,
        networks::USAGE,
        iterations::USAGE,
        semi_implicit::USAGE,
        densities::USAGE,
        start::USAGE,
        growth::USAGE,
        cores::USAGE,
    ]
    .join("; ");
    let outcome = match arguments.split_first() {
        Some((command, rest)) if command == "posteriors" => posteriors::run(rest),
        Some((command, rest)) if command == "langevin" => langevin::run(rest),
        Some((command, rest)) if command == "divergences" => divergences::run(rest),
        Some((command, rest)) if command == "networks" => networks::run(rest),
        Some((command, rest)) if command == "iterations" => iterations::run(rest),
        Some((command, rest)) if command == "semi-implicit" => semi_implicit::run(rest),
        Some((command, rest)) if command == "densities" => densities::run(rest),
        Some((command, rest)) if command == "start" => start::run(rest),
        Some((command, rest)) if command == "growth" => growth::run(rest),
        Some((command, rest)) if command == "cores" => cores::run(rest),
        // Without a command there is nothing to measure, as in a run of all benches.
        None => {
            println!("tables: say which: {usage}");
            Ok(())
        }
        Some((other, _)) => Err(format!("no table `{other}`; {usage}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("{message}");
            ExitCode::FAILURE
        }
    }
}
