//! Replacing a file by its new text, or leaving it as it was.

use std::path::Path;

use super::failure::Failure;

/// Replaces the file as a whole, so that a crash leaves the old or the new text. A link stays a link
/// to the file that is replaced.
pub(super) fn replace_file(path: &Path, text: &str) -> Result<(), Failure> {
    let write = || {
        let path = std::fs::canonicalize(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
        let written = std::fs::write(&beside, text)
            .and_then(|()| std::fs::metadata(&path))
            .and_then(|old| std::fs::set_permissions(&beside, old.permissions()))
            .and_then(|()| std::fs::rename(&beside, &path));
        if written.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        written
    };
    write().map_err(|e| Failure::model(format!("cannot write {}: {e}", path.display())))
}
