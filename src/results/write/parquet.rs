//! `draws.parquet`: the columns of `draws.csv` as doubles, behind the chain and the draw of each row.
//!
//! The first three columns are named and counted as in cmdstanpy's `draws_pd`: `chain__`, `iter__` within
//! the chain and `draw__` over all chains, from 1. The configuration is in the file's key-value metadata.
//! Pages are plain and uncompressed: doubles of a sampler do not compress, and any reader takes them.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Repetition, Type as PhysicalType};
use parquet::data_type::{DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

use super::columns::{columns, configuration};
use crate::results::{Config, Draws, RunDirectoryError};

/// The columns that number the rows.
const ROWS: [&str; 3] = ["chain__", "iter__", "draw__"];

/// Writes the file; a fit has its configuration and the log joint of each draw.
///
/// # Errors
/// When the file system refuses.
pub(in crate::results) fn write(
    path: &Path,
    fit: Option<(&Config, &[f64])>,
    draws: &Draws,
) -> Result<(), RunDirectoryError> {
    write_table(path, fit, draws).map_err(|e| RunDirectoryError::Unwritable {
        path: path.to_owned(),
        message: e.to_string(),
    })
}

fn write_table(
    path: &Path,
    fit: Option<(&Config, &[f64])>,
    draws: &Draws,
) -> Result<(), ParquetError> {
    let scalars: Vec<_> = draws
        .variables
        .iter()
        .flat_map(|v| columns(v).into_iter().map(move |(element, name)| (v, element, name)))
        .collect();
    let counts = ROWS.iter().map(|name| field(name, PhysicalType::INT64));
    let reals = fit.iter().map(|_| "lp__").chain(scalars.iter().map(|(_, _, name)| name.as_str()));
    let fields = counts.chain(reals.map(|name| field(name, PhysicalType::DOUBLE)));
    let schema = Type::group_type_builder("draws").with_fields(fields.collect::<Result<_, _>>()?);
    let metadata = fit.map(|(config, _)| {
        let all = configuration(config, draws).into_iter();
        all.map(|(name, value)| KeyValue::new(name, value)).collect()
    });
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_key_value_metadata(metadata)
        .build();
    let schema = Arc::new(schema.build()?);
    let mut file = SerializedFileWriter::new(File::create(path)?, schema, Arc::new(properties))?;
    let mut table = file.next_row_group()?;
    let per_chain = draws.draws_per_chain.max(1);
    let number: [fn(usize, usize) -> usize; 3] = [|s, n| s / n, |s, n| s % n, |s, _| s];
    for count in number {
        let row = |s| i64::try_from(count(s, per_chain) + 1).unwrap_or(i64::MAX);
        column::<Int64Type>(&mut table, &(0..draws.total()).map(row).collect::<Vec<_>>())?;
    }
    if let Some((_, log_p)) = fit {
        column::<DoubleType>(&mut table, log_p)?;
    }
    for (variable, element, _) in scalars {
        column::<DoubleType>(&mut table, &variable.scalar(element))?;
    }
    table.close()?;
    file.close()?;
    Ok(())
}

fn field(name: &str, ty: PhysicalType) -> Result<Arc<Type>, ParquetError> {
    let column = Type::primitive_type_builder(name, ty).with_repetition(Repetition::REQUIRED);
    column.build().map(Arc::new)
}

/// Writes the next column.
fn column<T: DataType>(
    table: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
) -> Result<(), ParquetError> {
    // The schema has as many columns as are written.
    if let Some(mut column) = table.next_column()? {
        column.typed::<T>().write_batch(values, None, None)?;
        column.close()?;
    }
    Ok(())
}
