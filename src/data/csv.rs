//! CSV → [`DataSet`]: one array per column, named by the header, which is required.
//!
//! An empty cell, `NA` or `null` is missing. A column of integers stays integer. A column of text is
//! an error that names its first cell: leaving it out would hide a mistyped number.

use ::csv::{ReaderBuilder, StringRecord};
use indexmap::IndexMap;

use super::dataset::Field;
use super::{DataArray, DataError, DataErrorKind, DataSet, Format, Position, Values};

fn reader(text: &str) -> ::csv::Reader<&[u8]> {
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(::csv::Trim::All)
        .from_reader(text.as_bytes())
}

/// Parses a whole file.
pub(super) fn parse(file: &str, text: &str) -> Result<DataSet, Vec<DataError>> {
    let bare = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut errors = Errors { file, found: Vec::new() };
    let mut records = reader(bare).into_records();
    let header = match records.next() {
        Some(Ok(header)) => header,
        Some(Err(e)) => return Err(vec![errors.make(None, None, Vec::new(), unreadable(&e))]),
        None => {
            let kind = DataErrorKind::Header("the file is empty".into());
            return Err(vec![errors.make(Some(1), None, Vec::new(), kind)]);
        }
    };
    check_header(&header, &mut errors);
    if !errors.found.is_empty() {
        return Err(errors.found);
    }

    let mut columns: Vec<Column> = header.iter().map(|_| Column::default()).collect();
    for (row, record) in records.enumerate() {
        let record = match record {
            Ok(record) => record,
            Err(e) => {
                errors.push(None, None, Vec::new(), unreadable(&e));
                break;
            }
        };
        let line = || start_of(bare, &record).map(|at| Position::of(bare, at).line);
        if record.len() != header.len() {
            let kind = DataErrorKind::RowLength { expected: header.len(), found: record.len() };
            errors.push(line(), None, Vec::new(), kind);
        } else {
            for ((column, cell), name) in columns.iter_mut().zip(&record).zip(&header) {
                if let Err(kind) = column.push(cell) {
                    errors.push(line(), Some(name), vec![row + 1], kind);
                }
            }
        }
        if errors.found.len() >= 20 {
            break;
        }
    }
    if !errors.found.is_empty() {
        return Err(errors.found);
    }
    let field = |(name, column): (&str, Column)| {
        let start = text.find(name).unwrap_or_default();
        (name.to_owned(), Field { array: column.finish(), span: start..start + name.len() })
    };
    let fields: IndexMap<String, Field> = header.iter().zip(columns).map(field).collect();
    Ok(DataSet::new(file, Format::Csv, text, fields))
}

/// The byte offset of data row `row` (from 0).
pub(super) fn offset_of_row(text: &str, row: usize) -> Option<usize> {
    let bare = text.strip_prefix('\u{feff}').unwrap_or(text);
    let record = reader(bare).into_records().nth(row + 1)?.ok()?;
    Some(start_of(bare, &record)? + text.len() - bare.len())
}

/// The byte at which a record starts. The reader's own answer may lie before a line end.
fn start_of(text: &str, record: &StringRecord) -> Option<usize> {
    let byte = usize::try_from(record.position()?.byte()).ok()?;
    let rest = text.get(byte..)?;
    Some(byte + rest.len() - rest.trim_start_matches(['\r', '\n']).len())
}

struct Errors<'a> {
    file: &'a str,
    found: Vec<DataError>,
}

impl Errors<'_> {
    fn make(
        &self,
        line: Option<usize>,
        field: Option<&str>,
        index: Vec<usize>,
        kind: DataErrorKind,
    ) -> DataError {
        DataError {
            file: self.file.into(),
            position: line.map(|line| Position { line, column: 1 }),
            field: field.map(str::to_owned),
            index,
            kind,
        }
    }

    fn push(
        &mut self,
        line: Option<usize>,
        field: Option<&str>,
        index: Vec<usize>,
        kind: DataErrorKind,
    ) {
        let error = self.make(line, field, index, kind);
        self.found.push(error);
    }
}

fn unreadable(error: &::csv::Error) -> DataErrorKind {
    DataErrorKind::Unreadable(error.to_string())
}

fn check_header(header: &StringRecord, errors: &mut Errors<'_>) {
    let mut seen = std::collections::HashSet::new();
    for (i, name) in header.iter().enumerate() {
        if name.is_empty() {
            let kind = DataErrorKind::Header(format!("column {} has no name", i + 1));
            errors.push(Some(1), None, Vec::new(), kind);
        } else if name.parse::<f64>().is_ok() {
            let kind = DataErrorKind::Header(format!("`{name}` is a number, not a name"));
            errors.push(Some(1), None, Vec::new(), kind);
            return;
        } else if !seen.insert(name) {
            let kind = DataErrorKind::Duplicate { first_line: 1 };
            errors.push(Some(1), Some(name), Vec::new(), kind);
        }
    }
}

/// A column while it is being read: integers until the first real.
struct Column {
    values: Values,
    missing: Vec<bool>,
}

impl Default for Column {
    fn default() -> Self {
        Column { values: Values::Int(Vec::new()), missing: Vec::new() }
    }
}

impl Column {
    #[allow(clippy::cast_precision_loss, reason = "an integer among reals is a real")]
    fn push(&mut self, cell: &str) -> Result<(), DataErrorKind> {
        let is_missing = matches!(cell, "" | "NA" | "null");
        self.missing.push(is_missing);
        if let Values::Int(ints) = &mut self.values {
            if is_missing {
                ints.push(0);
                return Ok(());
            }
            if let Ok(x) = cell.parse() {
                ints.push(x);
                return Ok(());
            }
            if !cell.is_empty() && cell.bytes().all(|b| b.is_ascii_digit()) {
                let message = format!("the integer {cell} does not fit in 64 bits");
                return Err(DataErrorKind::OutOfRange(message));
            }
            self.values = Values::Real(ints.iter().map(|x| *x as f64).collect());
        }
        let Values::Real(reals) = &mut self.values else { return Ok(()) };
        let value = if is_missing { Some(f64::NAN) } else { cell.parse().ok() };
        reals.push(value.unwrap_or(f64::NAN));
        let has_digits = cell.contains(|c: char| c.is_ascii_digit());
        match value {
            Some(x) if x.is_infinite() && has_digits => {
                let message = format!("{cell} is beyond the largest real number");
                Err(DataErrorKind::OutOfRange(message))
            }
            Some(_) => Ok(()),
            None => Err(DataErrorKind::NotANumber { found: format!("`{cell}`") }),
        }
    }

    fn finish(self) -> DataArray {
        let missing = if self.missing.contains(&true) { self.missing } else { Vec::new() };
        DataArray::new(vec![self.values.len()], self.values, missing)
    }
}
