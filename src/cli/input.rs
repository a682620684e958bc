//! Reading models and data: files, standard input, and data that lies beside its model.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::data::{DataArray, DataSet, Limits, beside, candidates};
use crate::diagnostics::Code;
use crate::driver::Session;
use crate::simd;
use crate::source::{MOST_BYTES, line_ends};

use super::args::{LimitArgs, ModelArgs, SimdFlag};
use super::console::Console;
use super::failure::Failure;

impl LimitArgs {
    /// Those of a model with its data.
    pub(super) fn of_data(&self) -> Limits {
        Limits { elements: self.max_elements, operations: self.max_operations }
    }
}

impl ModelArgs {
    /// A session for the model.
    pub(super) fn session(&self) -> Session {
        Session::new().with_most_bytes(self.limits.max_model_bytes)
    }

    /// The model's text.
    pub(super) fn text(&self) -> Result<String, Failure> {
        read_text(&self.model, self.limits.max_model_bytes.unwrap_or(MOST_BYTES))
    }
}

/// A model's text and its data, read but not checked.
#[derive(Debug)]
pub(super) struct Input {
    /// The model's path as given.
    pub(super) name: String,
    /// The model.
    pub(super) text: String,
    /// The data; empty if there is no file.
    pub(super) data: DataSet,
    /// The data's path, if there is a file.
    pub(super) data_path: Option<PathBuf>,
}

impl Input {
    /// Reads both. Says which data file it took when none was named.
    pub(super) fn read(args: &ModelArgs, console: Console) -> Result<Self, Failure> {
        // Before anything is evaluated.
        if let Some(level) = args.simd {
            simd::limit(match level {
                SimdFlag::Scalar => simd::Level::Scalar,
                SimdFlag::Avx2 => simd::Level::Avx2,
            });
        }
        let dash = Path::new("-");
        if args.model == dash && args.data.as_deref() == Some(dash) {
            return Err(Failure::usage("model and data cannot both be standard input"));
        }
        let text = args.text()?;
        let data_path =
            args.data.clone().or_else(|| beside(&args.model).filter(|_| args.model != dash));
        if let (None, Some(path)) = (&args.data, &data_path) {
            console.note(&format!("data: {}", path.display()));
        }
        let data = match &data_path {
            None => DataSet::from_arrays([]),
            Some(path) => read_data(path, console)?,
        };
        let data = data.with_limits(args.limits.of_data());
        Ok(Input { name: args.model.display().to_string(), text, data, data_path })
    }

    /// Says which data files were looked for, when an error may be that there is none.
    pub(super) fn note_absent_data(&self, args: &ModelArgs, console: Console) {
        if self.data_path.is_none() && args.model != Path::new("-") {
            let names: Vec<_> =
                candidates(&args.model).iter().map(|p| p.display().to_string()).collect();
            console.note(&format!("no data: none of {} exists", names.join(", ")));
        }
    }
}

/// Prints everything the stages had to say; warnings are left out when quiet.
pub(super) fn print_diagnostics(session: &Session, console: Console) {
    if !session.diagnostics.is_empty() && (session.has_errors() || !console.quiet) {
        console.message(&session.render(console.color_messages));
    }
}

/// The text of a file or of standard input, of at most so many bytes.
pub(super) fn read_text(path: &Path, most_bytes: usize) -> Result<String, Failure> {
    let bytes = read_bytes(path, most_bytes.saturating_add(1))
        .map_err(|e| Failure::model(format!("cannot read {}: {e}", path.display())))?;
    if bytes.len() > most_bytes {
        let message = format!(
            "{} has more than {most_bytes} bytes; `--max-model-bytes` takes another limit",
            path.display()
        );
        return Err(Failure { code: Some(Code::E0018.as_str()), ..Failure::model(message) });
    }
    String::from_utf8(bytes).map(line_ends).map_err(|e| {
        let valid = String::from_utf8_lossy(&e.as_bytes()[..e.utf8_error().valid_up_to()]);
        let (line, before) = (valid.matches('\n').count() + 1, valid.rsplit('\n').next());
        let column = before.unwrap_or_default().chars().count() + 1;
        let byte = e.as_bytes()[valid.len()];
        let message = format!(
            "{}:{line}:{column}: the byte {byte:#04x} is not UTF-8 text; save the file as UTF-8",
            path.display()
        );
        Failure { code: Some(Code::E0017.as_str()), ..Failure::model(message) }
    })
}

/// The first bytes of a file or of standard input; devices may never end.
fn read_bytes(path: &Path, most: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(most as u64).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(path)?.take(most as u64).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// The data in a file or on standard input.
pub(super) fn read_data(path: &Path, console: Console) -> Result<DataSet, Failure> {
    let data = if path == Path::new("-") {
        let bytes = read_bytes(path, usize::MAX)
            .map_err(|e| Failure::model(format!("cannot read standard input: {e}")))?;
        DataSet::from_bytes("-", None, &bytes)
    } else {
        DataSet::read(path)
    };
    data.map_err(|errors| {
        for error in &errors {
            console.error(Some(error.code().as_str()), &error.to_string());
        }
        Failure::reported()
    })
}

/// The data with sizes given as `NAME=N`.
pub(super) fn with_sizes(mut data: DataSet, sizes: &[String]) -> Result<DataSet, Failure> {
    for text in sizes {
        let parsed = text.split_once('=').and_then(|(name, n)| Some((name, n.parse().ok()?)));
        let Some((name, n)) = parsed.filter(|(_, n): &(&str, i64)| *n >= 0) else {
            return Err(Failure::usage(format!("--size takes NAME=N, such as N=20, not `{text}`")));
        };
        data.insert(name, DataArray::int(n));
    }
    Ok(data)
}
