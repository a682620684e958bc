//! What can be wrong with a data file, and where.
//!
//! Mismatches between data and a model's declarations are `bind`'s; they point into the model. These
//! point into the data file, whose lines may be megabytes long, so they show no excerpt.

use crate::diagnostics::Code;

/// A place in a text file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Position {
    /// The position of byte `offset` (clipped to the text) in `text`.
    #[must_use]
    pub fn of(text: &str, offset: usize) -> Self {
        let mut end = offset.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Position {
            line: before.bytes().filter(|b| *b == b'\n').count() + 1,
            column: before[line_start..].chars().filter(|c| *c != '\u{feff}').count() + 1,
        }
    }
}

/// One problem with a data file.
#[derive(Debug, Clone, PartialEq)]
pub struct DataError {
    /// Name of the file as the user gave it.
    pub file: String,
    /// Where in the file; absent when it could not be read at all.
    pub position: Option<Position>,
    /// The field (JSON) or column (CSV).
    pub field: Option<String>,
    /// 1-based index within the field; empty when the whole field is meant.
    pub index: Vec<usize>,
    /// What is wrong.
    pub kind: DataErrorKind,
}

/// What is wrong with a data file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataErrorKind {
    /// The file cannot be opened or read.
    #[error("cannot read the data file: {0}")]
    Unreadable(String),
    /// The bytes are not UTF-8.
    #[error("the data file is not UTF-8 text (byte {0} is the first that is not)")]
    NotUtf8(usize),
    /// The file is not well-formed JSON.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// The same name twice.
    #[error("this name occurs twice in the file; the first is on line {first_line}")]
    Duplicate {
        /// Line of the first occurrence.
        first_line: usize,
    },
    /// Sub-arrays of different length.
    #[error("ragged array: {found} elements here, {expected} in the rows before")]
    Ragged {
        /// Length of the first sub-array at this depth.
        expected: usize,
        /// Length of this one.
        found: usize,
    },
    /// Numbers and lists beside each other.
    #[error("numbers and lists stand side by side, so the array has no shape")]
    MixedDepth,
    /// Something that is not a number.
    #[error("{found} is not a number{}", hint(.found))]
    NotANumber {
        /// What stands there, such as `true` or `"abc"`.
        found: String,
    },
    /// A number that does not fit.
    #[error("{0}")]
    OutOfRange(String),
    /// Too many axes.
    #[error("lists are nested more than {0} deep")]
    TooDeep(usize),
    /// The first line of a CSV file does not name the columns.
    #[error("the first line must name the columns: {0}")]
    Header(String),
    /// A CSV row of the wrong length.
    #[error("this row has {found} cells, but the header names {expected} columns")]
    RowLength {
        /// Number of columns.
        expected: usize,
        /// Number of cells in this row.
        found: usize,
    },
}

fn hint(found: &str) -> &'static str {
    let bare = found.trim_matches('"');
    if ["NA", "N/A", "na", "null", "None", ""].contains(&bare) {
        "; a missing value is `null`, in a field declared `real?`"
    } else if found.starts_with('"') && bare.trim().parse::<f64>().is_ok() {
        "; remove the quotes"
    } else if found.starts_with('{') {
        "; a field is a number or nested lists of numbers"
    } else if found.starts_with('"') {
        "; the only strings allowed are \"NaN\", \"Infinity\" and \"-Infinity\""
    } else {
        ""
    }
}

impl DataError {
    /// The stable code of this error; `ppl explain CODE` has a page for it.
    #[must_use]
    pub fn code(&self) -> Code {
        match self.kind {
            DataErrorKind::Unreadable(_) | DataErrorKind::NotUtf8(_) => Code::E0401,
            DataErrorKind::Syntax(_) => Code::E0402,
            DataErrorKind::Duplicate { .. } => Code::E0403,
            DataErrorKind::Ragged { .. } | DataErrorKind::MixedDepth => Code::E0404,
            DataErrorKind::NotANumber { .. } => Code::E0405,
            DataErrorKind::OutOfRange(_) => Code::E0406,
            DataErrorKind::TooDeep(_) => Code::E0407,
            DataErrorKind::Header(_) | DataErrorKind::RowLength { .. } => Code::E0408,
        }
    }

    /// The field with its index, as in `y[2, 3]`.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        let field = self.field.as_ref()?;
        if self.index.is_empty() {
            return Some(field.clone());
        }
        let index: Vec<String> = self.index.iter().map(ToString::to_string).collect();
        Some(format!("{field}[{}]", index.join(", ")))
    }
}

impl std::fmt::Display for DataError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        match self.place() {
            Some(place) => write!(f, ": field `{place}`: {}", self.kind),
            None => write!(f, ": {}", self.kind),
        }
    }
}

impl std::error::Error for DataError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_survive_any_offset() {
        let text = "ab\nμx\n";
        assert_eq!(Position::of(text, 0), Position { line: 1, column: 1 });
        assert_eq!(Position::of(text, 5), Position { line: 2, column: 2 });
        assert_eq!(Position::of(text, 4), Position { line: 2, column: 1 });
        assert_eq!(Position::of(text, 99), Position { line: 3, column: 1 });
    }
}
