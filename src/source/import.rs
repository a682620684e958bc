//! Where the files are that a file imports.

use std::collections::HashMap;
use std::path::Path;

use super::line_ends;

/// Reads a file that `importer` imports; `path` is relative to that file. `texts` stand for files of
/// these names. Returns the name and the text.
///
/// # Errors
/// Why it cannot be read, for a message.
pub fn read_import(
    path: &str,
    importer: &str,
    texts: &HashMap<String, String>,
) -> Result<(String, String), String> {
    let path = Path::new(importer).parent().unwrap_or(Path::new("")).join(path);
    let name = path.display().to_string();
    if let Some(text) = texts.get(&name) {
        return Ok((name, text.clone()));
    }
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok((name, line_ends(text))),
        Err(error) => Err(format!("cannot read {name}: {error}")),
    }
}
