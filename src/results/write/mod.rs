//! One output format per file.

pub(super) mod csv;
pub(super) mod json;
mod table;
pub(super) mod zarr;

pub use json::ReadError;
pub use table::{Style, format_number, table};
