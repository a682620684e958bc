//! One output format per file.

mod columns;
pub(super) mod csv;
pub(super) mod json;
pub(super) mod parquet;
mod table;

pub use json::ReadError;
pub use table::{Style, format_number, table};
