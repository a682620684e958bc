//! What a model is called in tables and paths.

use std::path::{Path, PathBuf};

/// The name of the model in a file: the file's, or the folder's if the file is `model.ppl`.
#[must_use]
pub fn model_name(path: &Path) -> String {
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or("model");
    let folder = || {
        let parent = path.parent()?;
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let full = parent.canonicalize().unwrap_or_else(|_| parent.to_owned());
        Some(full.file_name()?.to_str()?.to_owned())
    };
    match stem {
        "-" => "model".into(),
        "model" => folder().unwrap_or_else(|| stem.into()),
        _ => stem.into(),
    }
}

/// Where a run goes without `--out`: `runs/MODEL-METHOD-SEED`.
#[must_use]
pub fn default_out(model: &str, method: &str, seed: u64) -> PathBuf {
    Path::new("runs").join(format!("{model}-{method}-{seed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_named_model_is_called_as_its_folder() {
        assert_eq!(model_name(Path::new("a/seeds/model.ppl")), "seeds");
        assert_eq!(model_name(Path::new("a/seeds.ppl")), "seeds");
        assert_eq!(model_name(Path::new("-")), "model");
        assert_eq!(default_out("seeds", "nuts", 7), Path::new("runs/seeds-nuts-7"));
    }
}
