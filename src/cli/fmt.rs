//! `ppl fmt`: model files in the canonical layout.

use std::path::Path;

use crate::driver::Session;
use crate::source::MOST_BYTES;
use crate::syntax;

use super::args::FmtArgs;
use super::console::Console;
use super::failure::{Exit, Outcome};
use super::input::{print_diagnostics, read_text};
use super::replace::replace_file;

pub(super) fn run(args: &FmtArgs, console: Console) -> Outcome {
    let mut exit = Exit::Done;
    for path in &args.files {
        let text = read_text(path, MOST_BYTES)?;
        let mut session = Session::new();
        let file = session.sources.add(path.display().to_string(), text.clone());
        match syntax::format(file, &text) {
            Err(diagnostics) => {
                // One broken file does not keep the others from being formatted.
                session.diagnostics = diagnostics;
                print_diagnostics(&session, console);
                exit = Exit::Model;
            }
            Ok(formatted) if args.check => {
                if formatted != text {
                    console.result(&format!("{}\n", path.display()));
                    exit = Exit::Model;
                }
            }
            Ok(formatted) if path == Path::new("-") => console.result(&formatted),
            Ok(formatted) if formatted != text => replace_file(path, &formatted)?,
            Ok(_) => {}
        }
    }
    Ok(exit)
}
