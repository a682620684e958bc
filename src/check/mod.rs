//! Syntax tree → typed tree: names, types, symbolic shapes, stages.
