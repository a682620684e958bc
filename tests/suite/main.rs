//! The test suite: one binary, a module per subject.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, as it should")]

mod distributions;
mod special;
mod syntax;
mod tolerance;
