//! A data file as a table of named arrays that still knows where everything stood.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use super::{DataArray, DataError, DataErrorKind, Position, csv, json};

/// The two kinds of data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Stan JSON: one object of named arrays.
    Json,
    /// Comma-separated columns under a header.
    Csv,
}

/// One array and where its value starts and ends in the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) array: DataArray,
    /// Bytes of the value (JSON) or of the column's name (CSV).
    pub(super) span: Range<usize>,
}

/// Most elements of an array of a model, unless its data has larger ones: 128 MiB in double precision.
const MOST_ELEMENTS: usize = 1 << 24;
/// How much larger than the largest array of the data a model's arrays may be.
const MOST_GROWTH: usize = 8;

/// Most operations of a model, unless another limit is set: those of a function counted at each call and
/// those of an unrolled loop at each step.
const MOST_OPERATIONS: usize = 1 << 22;

/// What a model may come to with its data; `None` is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Elements of an array.
    pub elements: Option<usize>,
    /// Operations, written out.
    pub operations: Option<usize>,
}

/// Named arrays in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSet {
    limits: Limits,
    file: String,
    format: Format,
    text: Arc<str>,
    fields: IndexMap<String, Field>,
}

impl DataSet {
    /// A data set that comes from no file.
    pub fn from_arrays(arrays: impl IntoIterator<Item = (String, DataArray)>) -> Self {
        let field = |(name, array)| (name, Field { array, span: 0..0 });
        DataSet {
            limits: Limits::default(),
            file: "(no file)".into(),
            format: Format::Json,
            text: "".into(),
            fields: arrays.into_iter().map(field).collect(),
        }
    }

    pub(super) fn new(
        file: &str,
        format: Format,
        text: &str,
        fields: IndexMap<String, Field>,
    ) -> Self {
        DataSet { limits: Limits::default(), file: file.into(), format, text: text.into(), fields }
    }

    /// The same data, of which a model makes no more than that.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        DataSet { limits, ..self }
    }

    /// Most operations of a model with this data: 2²² unless another limit was set.
    #[must_use]
    pub fn most_operations(&self) -> usize {
        self.limits.operations.unwrap_or(MOST_OPERATIONS)
    }

    /// Most elements of an array that a model makes of this data; its parameters together are one. 2²⁴,
    /// or eight times those of the largest array here, unless another limit was set; never above 2³¹.
    #[must_use]
    pub fn limit(&self) -> usize {
        let largest = || self.fields.values().map(|f| f.array.values.len()).max().unwrap_or(0);
        let limit =
            self.limits.elements.unwrap_or_else(|| MOST_ELEMENTS.max(MOST_GROWTH * largest()));
        // Twice the square of it is still a number of elements.
        limit.min(1 << 31)
    }

    /// Reads a file; `.csv` is CSV, `.json` is Stan JSON, anything else is told by its first byte.
    ///
    /// # Errors
    /// Every problem found in the file.
    pub fn read(path: &Path) -> Result<Self, Vec<DataError>> {
        let file = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|e| vec![unreadable(&file, &e)])?;
        let format = match path.extension().and_then(|e| e.to_str()) {
            Some("csv") => Some(Format::Csv),
            Some("json") => Some(Format::Json),
            _ => None,
        };
        Self::from_bytes(&file, format, &bytes)
    }

    /// Reads text that is already in memory; a format of `None` is told by the first byte.
    ///
    /// # Errors
    /// Every problem found in the text.
    pub fn from_bytes(
        file: &str,
        format: Option<Format>,
        bytes: &[u8],
    ) -> Result<Self, Vec<DataError>> {
        let text = std::str::from_utf8(bytes).map_err(|e| {
            let valid = std::str::from_utf8(&bytes[..e.valid_up_to()]).unwrap_or_default();
            vec![DataError {
                file: file.into(),
                position: Some(Position::of(valid, valid.len())),
                field: None,
                index: Vec::new(),
                kind: DataErrorKind::NotUtf8(e.valid_up_to()),
            }]
        })?;
        let looks_like_json = || text.trim_start_matches('\u{feff}').trim_start().starts_with('{');
        match format {
            Some(Format::Json) => json::parse(file, text),
            Some(Format::Csv) => csv::parse(file, text),
            None if looks_like_json() => json::parse(file, text),
            None => csv::parse(file, text),
        }
    }

    /// Adds an array, or replaces the one of that name.
    pub fn insert(&mut self, name: &str, array: DataArray) {
        self.fields.insert(name.to_owned(), Field { array, span: 0..0 });
    }

    /// The format of the file.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Name of the file, as the user gave it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The bytes of the file, as text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The array of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&DataArray> {
        self.fields.get(name).map(|f| &f.array)
    }

    /// Names and arrays in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &DataArray)> {
        self.fields.iter().map(|(name, f)| (name.as_str(), &f.array))
    }

    /// Where the field, or its element at row-major position `element`, stands in the file.
    ///
    /// Elements are found by reading the field again, so that data that is right costs nothing.
    #[must_use]
    pub fn position(&self, name: &str, element: Option<usize>) -> Option<Position> {
        let span = self.fields.get(name).map(|f| f.span.clone())?;
        if span.is_empty() {
            return None;
        }
        let offset = match (element, self.format) {
            (None, _) => Some(span.start),
            (Some(i), Format::Json) => {
                json::offset_of_element(&self.text[span.clone()], i).map(|o| o + span.start)
            }
            (Some(i), Format::Csv) => csv::offset_of_row(&self.text, i),
        };
        Some(Position::of(&self.text, offset.unwrap_or(span.start)))
    }

    /// The data as Stan JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        Value::Object(self.iter().map(|(name, a)| (name.to_owned(), a.to_json())).collect())
    }
}

pub(super) fn unreadable(file: &str, error: &std::io::Error) -> DataError {
    DataError {
        file: file.into(),
        position: None,
        field: None,
        index: Vec::new(),
        kind: DataErrorKind::Unreadable(error.to_string()),
    }
}
