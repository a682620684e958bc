//! `ppl new NAME`: a folder with a model, its data and a README, ready to run.

use std::io::Write;
use std::path::Path;

use super::args::NewArgs;
use super::console::Console;
use super::failure::{Exit, Failure, Outcome};

/// The files, with `{name}` for the name of the folder.
const FILES: [(&str, &str); 3] = [
    ("model.ppl", include_str!("template/model.ppl")),
    ("data.json", include_str!("template/data.json")),
    ("README.md", include_str!("template/README.md")),
];

pub(super) fn run(args: &NewArgs, console: Console) -> Outcome {
    let folder = &args.name;
    let Some(name) = folder.file_name().map(|name| name.to_string_lossy()) else {
        return Err(Failure::usage(format!("{} does not name a folder", folder.display())));
    };
    let there = std::fs::read_dir(folder).map(|mut entries| entries.next().is_some());
    if there.unwrap_or(folder.exists()) {
        return Err(Failure::usage(format!(
            "{} is already there; choose another name",
            folder.display()
        )));
    }
    let failed = |path: &Path, e| Failure::model(format!("cannot write {}: {e}", path.display()));
    std::fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    for (file, text) in FILES {
        let path = folder.join(file);
        std::fs::File::create_new(&path)
            .and_then(|mut out| out.write_all(text.replace("{name}", &name).as_bytes()))
            .map_err(|e| failed(&path, e))?;
    }
    let model = folder.join("model.ppl");
    console.result(&format!("ppl run {} --infer mean-field\n", model.display()));
    console.note(&format!("wrote {}", folder.display()));
    Ok(Exit::Done)
}
