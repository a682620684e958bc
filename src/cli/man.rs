//! `ppl man`: the manual pages, made from the same flags as `--help`.

use clap::CommandFactory;

use super::args::{Cli, ManArgs};
use super::console::Console;
use super::failure::{Exit, Failure, Outcome};

pub(super) fn run(args: &ManArgs, console: Console) -> Outcome {
    let failed = |e: std::io::Error| Failure::model(format!("cannot write the manual: {e}"));
    let Some(folder) = &args.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(failed)?;
        console.result(&String::from_utf8_lossy(&page));
        return Ok(Exit::Done);
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
    console.note(&format!("wrote the pages to {}", folder.display()));
    Ok(Exit::Done)
}
