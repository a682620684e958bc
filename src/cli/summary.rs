//! `ppl summary RUN_DIR`: the table of a finished run.

use crate::results::{RunDirectory, Style, table};

use super::args::SummaryArgs;
use super::console::Console;
use super::failure::{Exit, Failure, Outcome};

pub(super) fn run(args: &SummaryArgs, console: Console) -> Outcome {
    let damaged = |e: crate::results::RunDirectoryError| Failure::model(e.to_string());
    let summary = RunDirectory::read_summary(&args.run).map_err(damaged)?;
    if args.json {
        console.result(&format!("{:#}\n", summary.to_json()));
        return Ok(Exit::Done);
    }
    let config = RunDirectory::read_config(&args.run).map_err(damaged)?;
    let style = Style { color: console.color_results };
    let all = args.run.join("summary.json").display().to_string();
    console.result(&table(&summary, style, &format!("ppl run {}", config.model.path), &all));
    Ok(Exit::Done)
}
