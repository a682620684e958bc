//! The run directory: written whole beside its place, then renamed into it.
//!
//! A reader never sees half a run, and a crash leaves the previous one. Only a directory that is
//! empty or a run of ppl is ever replaced.

use std::borrow::Cow;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::checkpoint::{self, Checkpoint};
use super::write::{csv, json, parquet as parquet_file};
use super::{Config, Draws, StoredArray, StoredFit, Summary, zarr};
use crate::data::DataArray;
use crate::inference::Fit;

/// Everything a run leaves behind.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// What was asked for.
    pub config: &'a Config,
    /// The model as it was.
    pub model_text: &'a str,
    /// The texts of the files that it imports, in the order of [`Config::imports`].
    pub imports: &'a [String],
    /// The data file: the name that it is stored under, and its text.
    pub data_file: Option<(&'static str, &'a str)>,
    /// The summary.
    pub summary: &'a Summary,
    /// The fit on the unconstrained space.
    pub fit: &'a Fit,
    /// Draws of constrained values.
    pub draws: &'a Draws,
    /// Which part of the unconstrained vector belongs to which parameter.
    pub layout: &'a [(String, Range<usize>)],
    /// Data that some `~` has on its left.
    pub observed: &'a [(&'a str, Cow<'a, DataArray>)],
    /// All other data.
    pub constant: &'a [(&'a str, Cow<'a, DataArray>)],
    /// Further groups of draws by their ArviZ name, such as `log_likelihood`.
    pub predictions: &'a [(&'a str, &'a Draws)],
    /// What the run could be gone on with, if that was kept.
    pub checkpoint: Option<&'a Checkpoint>,
}

/// Why a run directory cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RunDirectoryError {
    /// Something else is there.
    #[error("{} exists and is not a ppl run; choose another place with --out", .0.display())]
    Occupied(PathBuf),
    /// It is no run directory.
    #[error("{} is not a ppl run: it has no {missing}", .path.display())]
    NotARun {
        /// The directory.
        path: PathBuf,
        /// The file that every run has.
        missing: &'static str,
    },
    /// There is nothing to resume.
    #[error("{} has no checkpoint to resume from", .0.display())]
    NoCheckpoint(PathBuf),
    /// The checkpoint was written by another version.
    #[error("{} is a checkpoint of format {found}; this version reads {known}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: String,
        /// The one that can be read.
        known: u32,
    },
    /// It leads elsewhere, which no run that ppl wrote does.
    #[error("{} is a link; a run has none, and those of strangers are not followed", .0.display())]
    Link(PathBuf),
    /// A file in it is damaged.
    #[error("{}: {source}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: json::ReadError,
    },
    /// The file system said no.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// The Zarr store could not be read.
    #[error("cannot read {}: {message}", .path.display())]
    Unreadable {
        /// The store.
        path: PathBuf,
        /// What zarrs reports.
        message: String,
    },
    /// The Zarr store or the Parquet file could not be written.
    #[error("cannot write {}: {message}", .path.display())]
    Unwritable {
        /// The store or the file.
        path: PathBuf,
        /// What the library reports.
        message: String,
    },
}

/// A place for a run that may be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDirectory {
    path: PathBuf,
    /// Files that tell a directory which may be replaced.
    marks: &'static [&'static str],
}

/// Draws on the unconstrained space, as a run keeps them.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredDraws {
    /// Number of chains.
    pub chains: usize,
    /// Draws in each chain.
    pub draws_per_chain: usize,
    /// Each parameter's name, and its reals `[S, len]`.
    pub parameters: Vec<(String, Vec<f64>)>,
}

impl StoredDraws {
    /// Number of draws over all chains.
    #[must_use]
    pub fn total(&self) -> usize {
        self.chains * self.draws_per_chain
    }
}

impl RunDirectory {
    /// Checks that a run may be written at `path`: nothing there, an empty directory, or a ppl run.
    ///
    /// Called before inference, so that hours of work are not lost to a bad path.
    ///
    /// # Errors
    /// [`RunDirectoryError::Occupied`], or that the parent cannot be created.
    pub fn claim(path: &Path) -> Result<Self, RunDirectoryError> {
        Self::claim_marked(path, &["summary.json", "config.json", "model.ppl"])
    }

    pub(super) fn claim_marked(
        path: &Path,
        marks: &'static [&'static str],
    ) -> Result<Self, RunDirectoryError> {
        let directory = RunDirectory { path: path.to_owned(), marks };
        if path.exists() && !directory.may_be_replaced() {
            return Err(RunDirectoryError::Occupied(path.to_owned()));
        }
        let parent = directory.parent();
        fs::create_dir_all(&parent).map_err(|e| failed("create", &parent, e))?;
        Ok(directory)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn parent(&self) -> PathBuf {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        }
    }

    fn may_be_replaced(&self) -> bool {
        let is_marked = self.marks.iter().all(|f| self.path.join(f).is_file());
        // An empty directory, or what an interrupted run left.
        let unfinished = |entry: io::Result<fs::DirEntry>| {
            entry.is_ok_and(|e| {
                let name = e.file_name().to_string_lossy().into_owned();
                name.trim_start_matches('.').starts_with(checkpoint::FOLDER)
            })
        };
        is_marked || fs::read_dir(&self.path).is_ok_and(|mut entries| entries.all(unfinished))
    }

    /// Writes a run, replacing the one that is there.
    ///
    /// # Errors
    /// When the file system refuses; what was there before is then still there.
    pub fn write(&self, run: &Run<'_>) -> Result<(), RunDirectoryError> {
        self.replace_with(|at| write_files(at, run))
    }

    pub(super) fn replace_with(
        &self,
        write: impl FnOnce(&Path) -> Result<(), RunDirectoryError>,
    ) -> Result<(), RunDirectoryError> {
        let new = self.beside("new");
        remove(&new)?;
        fs::create_dir(&new).map_err(|e| failed("create", &new, e))?;
        let written = write(&new);
        if written.is_err() {
            let _ = fs::remove_dir_all(&new);
            return written;
        }
        let replaced = self.replace_by(&new);
        if replaced.is_err() {
            let _ = fs::remove_dir_all(&new);
        }
        replaced
    }

    fn replace_by(&self, new: &Path) -> Result<(), RunDirectoryError> {
        if !self.path.exists() {
            return fs::rename(new, &self.path).map_err(|e| failed("write", &self.path, e));
        }
        if !self.may_be_replaced() {
            return Err(RunDirectoryError::Occupied(self.path.clone()));
        }
        // What could be moved but not removed would stay behind under a hidden name.
        if let Some(protected) = read_only_folder(&self.path) {
            let denied = io::Error::from(io::ErrorKind::PermissionDenied);
            return Err(failed("replace", &protected, denied));
        }
        let old = self.beside("old");
        remove(&old)?;
        fs::rename(&self.path, &old).map_err(|e| failed("replace", &self.path, e))?;
        if let Err(e) = fs::rename(new, &self.path) {
            let _ = fs::rename(&old, &self.path);
            return Err(failed("write", &self.path, e));
        }
        remove(&old)
    }

    /// A hidden sibling on the same file system.
    fn beside(&self, what: &str) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.parent().join(format!(".{name}.{what}-{}", std::process::id()))
    }

    /// Reads the summary of the run at `path`.
    ///
    /// # Errors
    /// When there is no run or its summary is damaged.
    pub fn read_summary(path: &Path) -> Result<Summary, RunDirectoryError> {
        let file = path.join("summary.json");
        let text = Self::read_text(path, "summary.json")?;
        Summary::from_json(&text)
            .map_err(|source| RunDirectoryError::Damaged { path: file, source })
    }

    /// Reads a text file of the run at `path`.
    ///
    /// # Errors
    /// When there is none.
    pub fn read_text(path: &Path, name: &'static str) -> Result<String, RunDirectoryError> {
        let missing = || RunDirectoryError::NotARun { path: path.to_owned(), missing: name };
        read(&own_file(path, name)?.ok_or_else(missing)?)
    }

    /// Reads the names and texts of what the model of the run at `path` imports.
    ///
    /// # Errors
    /// When a file is missing.
    pub fn read_imports(
        path: &Path,
        config: &Config,
    ) -> Result<Vec<(String, String)>, RunDirectoryError> {
        let read = |(i, source): (usize, &super::Source)| {
            let name = import_file(i);
            let file = own_file(path, &name)?.unwrap_or_else(|| path.join(name));
            Ok((source.path.clone(), read(&file)?))
        };
        config.imports.iter().enumerate().map(read).collect()
    }

    /// The data file that the run at `path` keeps, if it had data.
    ///
    /// # Errors
    /// When it is a link.
    pub fn data_file(path: &Path) -> Result<Option<PathBuf>, RunDirectoryError> {
        match own_file(path, "data.json")? {
            None => own_file(path, "data.csv"),
            file => Ok(file),
        }
    }

    /// Where the run at `path` has its report.
    ///
    /// # Errors
    /// When a link is there, which would lead elsewhere.
    pub fn report_file(path: &Path) -> Result<PathBuf, RunDirectoryError> {
        let name = "report.html";
        Ok(own_file(path, name)?.unwrap_or_else(|| path.join(name)))
    }

    /// Reads the unconstrained draws of the run at `path`.
    ///
    /// # Errors
    /// When there are none or they are damaged.
    pub fn read_draws(path: &Path) -> Result<StoredDraws, RunDirectoryError> {
        let mut draws = StoredDraws { chains: 0, draws_per_chain: 0, parameters: Vec::new() };
        for array in Self::read_group(path, &Self::open_fit(path)?, "unconstrained_posterior")? {
            if let [chains, per_chain, _] = array.shape[..] {
                (draws.chains, draws.draws_per_chain) = (chains, per_chain);
            }
            draws.parameters.push((array.name, array.values));
        }
        Ok(draws)
    }

    /// Opens the `fit.zarr` of the run at `path`.
    ///
    /// # Errors
    /// When there is none or it is damaged.
    pub fn open_fit(path: &Path) -> Result<StoredFit, RunDirectoryError> {
        let missing = || RunDirectoryError::NotARun { path: path.to_owned(), missing: "fit.zarr" };
        let store = own_file(path, "fit.zarr")?.ok_or_else(missing)?;
        let bytes = size_without_links(&store)?;
        StoredFit::open(&store, bytes).map_err(|e| unreadable(path, &e))
    }

    /// Reads a group of the store of the run at `path`; nothing when the run has no such group.
    ///
    /// # Errors
    /// When an array is damaged.
    pub fn read_group(
        path: &Path,
        store: &StoredFit,
        name: &str,
    ) -> Result<Vec<StoredArray>, RunDirectoryError> {
        store.group(name).map_err(|e| unreadable(path, &e))
    }

    /// Reads the configuration of the run at `path`.
    ///
    /// # Errors
    /// When there is no run or its configuration is damaged.
    pub fn read_config(path: &Path) -> Result<Config, RunDirectoryError> {
        let file = path.join("config.json");
        let text = Self::read_text(path, "config.json")?;
        serde_json::from_str(&text)
            .map_err(|e| RunDirectoryError::Damaged { path: file, source: e.into() })
    }
}

fn unreadable(run: &Path, error: &zarr::Error) -> RunDirectoryError {
    RunDirectoryError::Unreadable { path: run.join("fit.zarr"), message: error.to_string() }
}

/// Where the file imported as number `i` is kept.
fn import_file(i: usize) -> String {
    format!("imports/{}.ppl", i + 1)
}

pub(super) fn failed(action: &'static str, path: &Path, source: io::Error) -> RunDirectoryError {
    RunDirectoryError::Io { action, path: path.to_owned(), source }
}

fn read(file: &Path) -> Result<String, RunDirectoryError> {
    fs::read_to_string(file).map_err(|e| failed("read", file, e))
}

/// The file `name` of the run at `run`, if it is there and neither it nor a folder on the way is a link.
pub(super) fn own_file(run: &Path, name: &str) -> Result<Option<PathBuf>, RunDirectoryError> {
    let mut path = run.to_owned();
    for part in Path::new(name) {
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => return Err(RunDirectoryError::Link(path)),
            Ok(_) => {}
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(path))
}

/// Bytes of all the files in a folder, in which nothing is a link.
fn size_without_links(folder: &Path) -> Result<u64, RunDirectoryError> {
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let unread = |e| failed("read", &folder, e);
        for entry in fs::read_dir(&folder).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            let found = entry.metadata().map_err(unread)?;
            match found.is_symlink() {
                true => return Err(RunDirectoryError::Link(entry.path())),
                false if found.is_dir() => folders.push(entry.path()),
                false => bytes += found.len(),
            }
        }
    }
    Ok(bytes)
}

fn remove(path: &Path) -> Result<(), RunDirectoryError> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, e)),
        _ => Ok(()),
    }
}

/// The first folder at `path` or below it that nothing may be removed from.
fn read_only_folder(path: &Path) -> Option<PathBuf> {
    let found = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_dir)?;
    if found.permissions().readonly() {
        return Some(path.to_owned());
    }
    let mut entries = fs::read_dir(path).ok()?.flatten().map(|entry| entry.path());
    entries.find_map(|entry| read_only_folder(&entry))
}

fn write_files(at: &Path, run: &Run<'_>) -> Result<(), RunDirectoryError> {
    let text = |name: &str, text: String| {
        let path = at.join(name);
        fs::write(&path, text).map_err(|e| failed("write", &path, e))
    };
    text("summary.json", format!("{:#}\n", run.summary.to_json()))?;
    text("config.json", format!("{:#}\n", serde_json::json!(run.config)))?;
    text("model.ppl", run.model_text.to_owned())?;
    if let Some((name, data)) = run.data_file {
        text(name, data.to_owned())?;
    }
    if !run.imports.is_empty() {
        let folder = at.join("imports");
        fs::create_dir(&folder).map_err(|e| failed("create", &folder, e))?;
    }
    for (i, import) in run.imports.iter().enumerate() {
        text(&import_file(i), import.clone())?;
    }
    if let Some(checkpoint) = run.checkpoint {
        checkpoint.write_into(at)?;
    }
    let draws = at.join("draws.csv");
    write_draws(&draws, run).map_err(|e| failed("write", &draws, e))?;
    parquet_file::write(&at.join("draws.parquet"), Some((run.config, &run.fit.log_p)), run.draws)?;
    let store = at.join("fit.zarr");
    zarr::write(&store, run)
        .map_err(|e| RunDirectoryError::Unwritable { path: store, message: e.to_string() })
}

fn write_draws(path: &Path, run: &Run<'_>) -> io::Result<()> {
    let mut out = BufWriter::new(fs::File::create(path)?);
    csv::write(&mut out, run.config, &run.fit.log_p, run.draws)?;
    out.flush()
}
