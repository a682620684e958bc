//! `ppl report RUN_DIR…`: one HTML page about finished runs.

use std::path::{Path, PathBuf};

use crate::driver::Session;
use crate::report::{Listing, ReportRun, page};
use crate::results::RunDirectory;

use super::args::ReportArgs;
use super::console::Console;
use super::failure::{Exit, Failure, Outcome};
use super::run::directory_failure;

pub(super) fn run(args: &ReportArgs, console: Console) -> Outcome {
    let runs: Vec<ReportRun> =
        args.runs.iter().map(|path| read(path)).collect::<Result<_, Failure>>()?;
    let html = page(&runs);
    if args.out.as_deref() == Some(Path::new("-")) {
        console.result(&html);
        return Ok(Exit::Done);
    }
    let out = args.out.clone().unwrap_or_else(|| default_out(&args.runs));
    std::fs::write(&out, html)
        .map_err(|e| Failure::model(format!("cannot write {}: {e}", out.display())))?;
    console.note(&format!("wrote {}", out.display()));
    Ok(Exit::Done)
}

/// In the run directory; of several runs, in the working directory.
fn default_out(runs: &[PathBuf]) -> PathBuf {
    match runs {
        [run] => run.join("report.html"),
        _ => PathBuf::from("report.html"),
    }
}

fn read(path: &Path) -> Result<ReportRun, Failure> {
    let listing = |config: &_, text: &str| {
        let imports = RunDirectory::read_imports(path, config)?;
        let mut session = Session::with_imports(imports.into_iter().collect());
        let model = session.check(&config.model.path, text);
        Ok(Listing::new(text, model.as_ref()))
    };
    ReportRun::read(path, listing).map_err(|e| directory_failure(&e))
}
