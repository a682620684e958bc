//! The test suite: one binary, a module per subject.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, as it should")]

mod assess;
mod data;
mod eight_schools;
mod gradients;
mod nuts;
mod special;
mod tolerance;
mod transforms;
