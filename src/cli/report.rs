//! `ppl report RUN_DIR…`: one HTML page about finished runs, in the run directory; of several, in the
//! working directory.

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
    let out = match (&args.out, args.runs.as_slice()) {
        (Some(out), _) => out.clone(),
        (None, [run]) => RunDirectory::report_file(run).map_err(|e| directory_failure(&e))?,
        (None, _) => PathBuf::from("report.html"),
    };
    std::fs::write(&out, html)
        .map_err(|e| Failure::model(format!("cannot write {}: {e}", out.display())))?;
    console.note(&format!("wrote {}", out.display()));
    Ok(Exit::Done)
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
