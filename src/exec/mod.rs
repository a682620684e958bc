//! IR → numbers.

mod index;
pub mod reference;
