//! `config.json`: everything needed to repeat a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A file that went into a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Path as given on the command line, `-` for standard input.
    pub path: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

impl Source {
    /// The source with that text.
    #[must_use]
    pub fn of(path: &str, text: &str) -> Self {
        use std::fmt::Write;
        let mut sha256 = String::with_capacity(64);
        for byte in Sha256::digest(text) {
            let _ = write!(sha256, "{byte:02x}");
        }
        Source { path: path.into(), sha256 }
    }
}

/// What a run was asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Version of ppl.
    pub version: String,
    /// The model file.
    pub model: Source,
    /// The data file, if there was one.
    pub data: Option<Source>,
    /// Name of the method.
    pub method: String,
    /// Seed of every random stream.
    pub seed: u64,
    /// `f32` or `f64`, the precision of training.
    pub precision: String,
    /// `cpu` or `cuda`.
    pub device: String,
    /// The files that the model imports; the first is stored as `imports/1.ppl`, and so on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<Source>,
    /// Groups of `fit.zarr` that are missing or incomplete, each with the reasons, `line:column: why`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_drawn: BTreeMap<String, Vec<String>>,
    /// Every other flag that was given or taken from `--config`, by name without dashes.
    pub flags: BTreeMap<String, serde_json::Value>,
}
