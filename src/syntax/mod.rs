//! Text → tokens → syntax tree, and back (formatter, highlighting).

pub mod ast;
