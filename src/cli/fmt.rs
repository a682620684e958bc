//! `ppl fmt`: model files in the canonical layout.

use std::path::Path;

use crate::driver::Session;
use crate::syntax;

use super::args::FmtArgs;
use super::console::Console;
use super::failure::{Exit, Failure, Outcome};
use super::input::{print_diagnostics, read_text};

pub(super) fn run(args: &FmtArgs, console: Console) -> Outcome {
    let mut exit = Exit::Done;
    for path in &args.files {
        let text = read_text(path)?;
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
            Ok(formatted) if formatted != text => write(path, &formatted)?,
            Ok(_) => {}
        }
    }
    Ok(exit)
}

/// Replaces the file as a whole, so that a crash leaves the old or the new text.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = std::fs::write(&beside, text)
        .and_then(|()| std::fs::set_permissions(&beside, std::fs::metadata(path)?.permissions()))
        .and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|e| {
        let _ = std::fs::remove_file(&beside);
        Failure::model(format!("cannot write {}: {e}", path.display()))
    })
}
