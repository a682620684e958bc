//! Data files → named arrays; matching them with a model's declarations.
//!
//! A file is read completely ([`DataSet::read`]), every problem in it is reported with file, field,
//! index, line and column ([`DataError`]), and nothing of a model is known here except in `bind`.

mod array;
mod beside;
mod csv;
mod dataset;
mod error;
mod json;

pub use array::{DataArray, Values, unravel};
pub use beside::{beside, candidates};
pub use dataset::{DataSet, Format, Limits};
pub use error::{DataError, DataErrorKind, Position};
