//! Where the files are that a file imports.

use std::collections::HashMap;
use std::path::Path;

use super::line_ends;

/// Reads a file of at most `most_bytes` that `importer` imports; `path` is relative to that file. `texts`
/// stand for files of these names. Returns the name and the text.
///
/// # Errors
/// Why it cannot be read, for a message.
pub fn read_import(
    path: &str,
    importer: &str,
    texts: &HashMap<String, String>,
    most_bytes: usize,
) -> Result<(String, String), String> {
    let path = Path::new(importer).parent().unwrap_or(Path::new("")).join(path);
    let name = path.display().to_string();
    if let Some(text) = texts.get(&name) {
        return Ok((name, text.clone()));
    }
    // A message about what is no model would show lines of it.
    if path.extension().is_none_or(|extension| extension != "ppl") {
        return Err(format!("cannot read {name}: what is imported is a file named `.ppl`"));
    }
    let read = || {
        let found = std::fs::metadata(&path)?;
        // Devices and pipes may never end.
        if !found.is_file() || found.len() > most_bytes as u64 {
            let kind = std::io::ErrorKind::InvalidInput;
            let why = format!("it is no file of at most {most_bytes} bytes");
            return Err(std::io::Error::new(kind, why));
        }
        std::fs::read_to_string(&path)
    };
    match read() {
        Ok(text) => Ok((name, line_ends(text))),
        Err(error) => Err(format!("cannot read {name}: {error}")),
    }
}
