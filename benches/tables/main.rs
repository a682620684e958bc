//! Tables of results against published and true values, written to `benches/RESULTS.md`.
//!
//! `cargo bench --bench tables -- langevin --task seeds --method ldvi,cmcd-ud --bridges 8 --seeds 1,2`
//!
//! Each family of methods is a section of the file. A run's row replaces that of an earlier run with
//! the same key, so the file is filled over several invocations; the readable table is made from all
//! rows. Without options everything is run, which takes hours.
#![allow(clippy::print_stdout, reason = "says how far it has got")]

mod langevin;
mod results;

use std::collections::BTreeMap;
use std::process::ExitCode;

/// `--name value` after the section; lists are separated by commas.
struct Options(BTreeMap<String, String>);

impl Options {
    /// The wanted values of an option, or all.
    fn list<'a>(&'a self, name: &str, all: &[&'a str]) -> Vec<&'a str> {
        self.0.get(name).map_or_else(|| all.to_vec(), |list| list.split(',').collect())
    }

    /// `--set a=1,b=2`.
    fn set(&self) -> BTreeMap<String, String> {
        let pairs = self.list("set", &[]).into_iter().filter_map(|pair| pair.split_once('='));
        pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }
}

fn main() -> ExitCode {
    // `cargo bench` adds `--bench`.
    let mut args = std::env::args().skip(1).filter(|a| a != "--bench");
    let section = args.next();
    let mut options = BTreeMap::new();
    while let Some(name) = args.next() {
        let (Some(name), Some(value)) = (name.strip_prefix("--"), args.next()) else {
            println!("`{name}` is not an option with a value");
            return ExitCode::FAILURE;
        };
        options.insert(name.to_owned(), value);
    }
    match section.as_deref() {
        Some("langevin") => langevin::run(&Options(options)),
        _ => {
            println!("sections: langevin");
            return ExitCode::SUCCESS;
        }
    }
    ExitCode::SUCCESS
}
