//! The test suite: one binary, a module per subject.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, as it should")]
#![allow(clippy::print_stdout, reason = "a skipped test says so")]

mod assess;
mod cli;
mod combinators;
mod conformance;
mod data;
mod densities;
mod distribution_values;
mod distributions;
mod docs;
mod effort;
mod eight_schools;
mod examples;
mod exec;
mod functions;
mod gaussian;
mod generative;
mod gradients;
mod honesty;
mod init;
mod langevin;
mod marginals;
mod minibatch;
mod missing;
mod models;
mod nuts;
mod passes;
mod posterior;
mod posteriordb;
mod random_ir;
mod recovery;
mod reference;
mod results;
mod resume;
mod semi_implicit;
mod special;
mod stages;
mod syntax;
mod tasks;
mod tolerance;
mod transforms;
mod types;
mod ui;
