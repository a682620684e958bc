//! `checkpoint/` in the run directory: what an interrupted run goes on from.
//!
//! `run.json` has the format's version and the configuration; one further file for each stage of the
//! run has its state as JSON. Files appear complete or not at all: each is written beside its place,
//! synced, and renamed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::run_dir::own_file;
use super::{Config, RunDirectoryError};

/// Version of the format; a checkpoint of another one is refused.
const FORMAT: u32 = 3;
/// Name of the folder.
pub(super) const FOLDER: &str = "checkpoint";
/// The file that says what the run is.
const RUN: &str = "run.json";

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Header {
    format: u32,
    config: Config,
}

/// The states of the stages of one run.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// What the run was asked to do.
    pub config: Config,
    states: BTreeMap<String, String>,
    /// Stages whose file is not of this state; everything before the first save.
    changed: BTreeSet<String>,
    saved_before: bool,
}

impl Checkpoint {
    /// The checkpoint of a run that begins.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Checkpoint {
            config,
            states: BTreeMap::new(),
            changed: BTreeSet::new(),
            saved_before: false,
        }
    }

    /// Reads the checkpoint in the run directory `path`.
    ///
    /// # Errors
    /// When there is none, or it is damaged or of another version.
    pub fn read(path: &Path) -> Result<Self, RunDirectoryError> {
        let folder = path.join(FOLDER);
        let none = || RunDirectoryError::NoCheckpoint(path.to_owned());
        let file = own_file(path, &format!("{FOLDER}/{RUN}"))?.ok_or_else(none)?;
        let text = fs::read_to_string(&file).map_err(|e| failed("read", &file, e))?;
        let damaged = |path: &Path, source: serde_json::Error| RunDirectoryError::Damaged {
            path: path.to_owned(),
            source: source.into(),
        };
        let version: serde_json::Value =
            serde_json::from_str(&text).map_err(|e| damaged(&file, e))?;
        if version["format"] != FORMAT {
            let found = version["format"].to_string();
            return Err(RunDirectoryError::Format { path: file, found, known: FORMAT });
        }
        let header: Header = serde_json::from_value(version).map_err(|e| damaged(&file, e))?;
        let mut checkpoint = Checkpoint::new(header.config);
        let entries = fs::read_dir(&folder).map_err(|e| failed("read", &folder, e))?;
        for entry in entries {
            let path = entry.map_err(|e| failed("read", &folder, e))?.path();
            let stage = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if path.extension().is_some_and(|e| e == "json") && stage != "run" {
                if path.is_symlink() {
                    return Err(RunDirectoryError::Link(path));
                }
                let text = fs::read_to_string(&path).map_err(|e| failed("read", &path, e))?;
                checkpoint.states.insert(stage, text);
            }
        }
        Ok(checkpoint)
    }

    /// The state of a stage.
    #[must_use]
    pub fn state(&self, stage: &str) -> Option<&str> {
        self.states.get(stage).map(String::as_str)
    }

    /// The stages that have one.
    pub fn stages(&self) -> impl Iterator<Item = &str> {
        self.states.keys().map(String::as_str)
    }

    /// Replaces the state of a stage.
    pub fn set(&mut self, stage: &str, state: String) {
        self.states.insert(stage.to_owned(), state);
        self.changed.insert(stage.to_owned());
    }

    /// Forgets the state of a stage.
    pub fn remove(&mut self, stage: &str) {
        if self.states.remove(stage).is_some() {
            self.changed.insert(stage.to_owned());
        }
    }

    /// Writes to the run directory `path`, which need not exist, what is new.
    ///
    /// # Errors
    /// When the file system refuses; the states there before are then still whole.
    pub fn save(&mut self, path: &Path) -> Result<(), RunDirectoryError> {
        let folder = path.join(FOLDER);
        if !self.saved_before {
            // Another run's checkpoint goes as a whole.
            let new = path.join(format!(".{FOLDER}.new-{}", std::process::id()));
            let written = fs::create_dir_all(&new)
                .map_err(|e| failed("create", &new, e))
                .and_then(|()| self.write_all(&new))
                .and_then(|()| replace(&folder, &new).map_err(|e| failed("write", &folder, e)));
            if written.is_err() {
                let _ = fs::remove_dir_all(&new);
                return written;
            }
            self.saved_before = true;
        }
        for stage in std::mem::take(&mut self.changed) {
            let file = folder.join(format!("{stage}.json"));
            let done = match self.states.get(&stage) {
                Some(state) => write_atomically(&file, state),
                None => fs::remove_file(&file).or_else(ignore_absent),
            };
            if let Err(e) = done {
                self.changed.insert(stage);
                return Err(failed("write", &file, e));
            }
        }
        Ok(())
    }

    /// Writes everything into the folder of a run directory that is being made.
    pub(super) fn write_into(&self, run: &Path) -> Result<(), RunDirectoryError> {
        let folder = run.join(FOLDER);
        fs::create_dir_all(&folder).map_err(|e| failed("create", &folder, e))?;
        self.write_all(&folder)
    }

    fn write_all(&self, folder: &Path) -> Result<(), RunDirectoryError> {
        let header = Header { format: FORMAT, config: self.config.clone() };
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            write_atomically(&path, text).map_err(|e| failed("write", &path, e))
        };
        for (stage, state) in &self.states {
            write(&format!("{stage}.json"), state)?;
        }
        write(RUN, &format!("{:#}\n", serde_json::json!(header)))
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> RunDirectoryError {
    RunDirectoryError::Io { action, path: path.to_owned(), source }
}

fn ignore_absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Puts the folder `new` into the place of `folder`.
fn replace(folder: &Path, new: &Path) -> io::Result<()> {
    let old = folder.with_file_name(format!(".{FOLDER}.old-{}", std::process::id()));
    fs::rename(folder, &old).or_else(ignore_absent)?;
    if let Err(e) = fs::rename(new, folder) {
        let _ = fs::rename(&old, folder);
        return Err(e);
    }
    fs::remove_dir_all(&old).or_else(ignore_absent)
}

/// Writes a file whole: a crash leaves the old text or the new one.
fn write_atomically(path: &Path, text: &str) -> io::Result<()> {
    let new: PathBuf = path.with_extension(format!("new-{}", std::process::id()));
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&new, path));
    if renamed.is_err() {
        let _ = fs::remove_file(&new);
    }
    renamed
}
