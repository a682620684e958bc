//! Where the data of a model is looked for when nobody names it.

use std::path::{Path, PathBuf};

/// The files that are looked for, the first first: `model.json`, `model.data.json`, `data.json`.
#[must_use]
pub fn candidates(model: &Path) -> [PathBuf; 3] {
    [
        model.with_extension("json"),
        model.with_extension("data.json"),
        model.with_file_name("data.json"),
    ]
}

/// The data file that lies beside a model.
#[must_use]
pub fn beside(model: &Path) -> Option<PathBuf> {
    candidates(model).into_iter().find(|path| path.is_file())
}
