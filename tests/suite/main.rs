//! The test suite: one binary, a module per subject.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, as it should")]
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

mod assess;
mod densities;
mod eight_schools;
mod gaussian;
mod langevin;
mod nuts;
mod tolerance;
