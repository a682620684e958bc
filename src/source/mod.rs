//! Source files, byte spans in them, and line numbers.

mod file;
mod span;

pub use file::{FileId, Location, SourceFile, SourceMap, line_ends};
pub use span::Span;
