//! What `ppl simulate` and `ppl predict` leave: draws that are no fit.

use std::borrow::Cow;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::{Map, Value};

use super::run_dir::{RunDirectoryError, failed};
use super::write::{csv, parquet as parquet_file};
use super::{Draws, RunDirectory, Variable, zarr};
use crate::data::{DataArray, DataSet, Values};

/// Draws with what they came from.
#[derive(Debug, Clone, Copy)]
pub struct Predictions<'a> {
    /// What was asked for; becomes `predictions.json`.
    pub config: &'a Value,
    /// The model.
    pub model_text: &'a str,
    /// All that was drawn; becomes `draws.csv` and `draws.parquet`.
    pub draws: &'a Draws,
    /// The groups of `fit.zarr`, by their ArviZ names.
    pub groups: &'a [(&'a str, &'a Draws)],
    /// Data that some `~` has on its left.
    pub observed: &'a [(&'a str, Cow<'a, DataArray>)],
    /// All other data.
    pub constant: &'a [(&'a str, Cow<'a, DataArray>)],
    /// Data files to write, `data/1.json` for the first draw and so on; empty for none.
    pub data_files: &'a [Value],
}

impl RunDirectory {
    /// Checks that predictions may be written at `path`: nothing there, an empty directory, or earlier
    /// predictions.
    ///
    /// # Errors
    /// [`RunDirectoryError::Occupied`], or that the parent cannot be created.
    pub fn claim_for_predictions(path: &Path) -> Result<Self, RunDirectoryError> {
        Self::claim_marked(path, &["predictions.json"])
    }

    /// Writes predictions, replacing those that are there.
    ///
    /// # Errors
    /// When the file system refuses; what was there before is then still there.
    pub fn write_predictions(
        &self,
        predictions: &Predictions<'_>,
    ) -> Result<(), RunDirectoryError> {
        self.replace_with(|at| write_files(at, predictions))
    }
}

fn write_files(at: &Path, predictions: &Predictions<'_>) -> Result<(), RunDirectoryError> {
    let text = |name: &str, text: String| {
        let path = at.join(name);
        fs::write(&path, text).map_err(|e| failed("write", &path, e))
    };
    text("predictions.json", format!("{:#}\n", predictions.config))?;
    text("model.ppl", predictions.model_text.to_owned())?;
    if !predictions.data_files.is_empty() {
        let folder = at.join("data");
        fs::create_dir(&folder).map_err(|e| failed("create", &folder, e))?;
        for (i, file) in predictions.data_files.iter().enumerate() {
            text(&format!("data/{}.json", i + 1), format!("{file}\n"))?;
        }
    }
    let path = at.join("draws.csv");
    let write = || -> io::Result<()> {
        let mut out = BufWriter::new(fs::File::create(&path)?);
        csv::write_draws(&mut out, predictions.draws)?;
        out.flush()
    };
    write().map_err(|e| failed("write", &path, e))?;
    parquet_file::write(&at.join("draws.parquet"), None, predictions.draws)?;
    let store = at.join("fit.zarr");
    zarr::write_predictions(&store, predictions)
        .map_err(|e| RunDirectoryError::Unwritable { path: store, message: e.to_string() })
}

impl Draws {
    /// The draws as a table under a header, named and ordered as in `draws.csv`.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut out = Vec::new();
        // Writing to memory does not fail.
        let _ = csv::write_draws(&mut out, self);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The draws as JSON, one object a line, arrays nested row-major.
    #[must_use]
    pub fn to_json_lines(&self) -> String {
        self.to_json().iter().map(|draw| format!("{draw}\n")).collect()
    }

    /// Each draw as an object of its variables; what is whole in all draws is written as integers.
    #[must_use]
    pub fn to_json(&self) -> Vec<Value> {
        let whole: Vec<_> = self.variables.iter().map(Variable::whole).collect();
        let draw = |s: usize| {
            let fields = self.variables.iter().zip(&whole);
            fields
                .map(|(v, whole)| (v.name.clone(), array(v, s, whole.as_deref()).to_json()))
                .collect()
        };
        (0..self.total()).map(|s| Value::Object(draw(s))).collect()
    }

    /// The data with the variables of each draw in place of its own: one data file a draw.
    #[must_use]
    pub fn data_files(&self, data: &DataSet) -> Vec<Value> {
        let Value::Object(given) = data.to_json() else { return Vec::new() };
        let merged = |draw: Value| {
            let mut fields: Map<String, Value> = given.clone();
            if let Value::Object(drawn) = draw {
                fields.extend(drawn);
            }
            Value::Object(fields)
        };
        self.to_json().into_iter().map(merged).collect()
    }
}

/// The value of a variable in draw `s`.
fn array(variable: &Variable, s: usize, whole: Option<&[i64]>) -> DataArray {
    let n = variable.size();
    let draw = s * n..(s + 1) * n;
    let values = match whole {
        Some(whole) => Values::Int(whole[draw].to_vec()),
        None => Values::Real(variable.values[draw].to_vec()),
    };
    DataArray::new(variable.shape.clone(), values, Vec::new())
}
