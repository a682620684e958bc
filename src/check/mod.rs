//! Syntax tree → typed tree: names, types, symbolic shapes, stages, supports.

pub mod builtins;
pub mod typed;
