//! Source files, byte spans in them, and line numbers.

mod file;
mod import;
mod span;

pub use file::{FileId, Location, MOST_BYTES, SourceFile, SourceMap, Utf16Location, line_ends};
pub use import::read_import;
pub use span::Span;
