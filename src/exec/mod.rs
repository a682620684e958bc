//! IR → numbers.
