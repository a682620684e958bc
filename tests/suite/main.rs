//! The test suite: one binary, a module per subject.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, as it should")]

mod assess;
mod densities;
mod eight_schools;
mod langevin;
mod nuts;
mod semi_implicit;
mod tolerance;
