//! IR → dfdx tensors on any of dfdx's devices: what `--device cuda` evaluates, and on the CPU a second oracle
//! for the fast executor.
//!
//! | file | what |
//! |---|---|
//! | `array` | numbers of many points, lanes innermost, with dfdx's elementwise operations and reductions |
//! | `special`, `tables` | functions that dfdx lacks, composed |
//! | `join` | putting rows together and adding them up by known indices |
//! | `matrix` | products, decompositions and solutions |
//! | `flow` | initial value problems |
//! | `program` | a function: what can be done once, and running it |
//! | `density` | the log density of a model, its score and Hessian-vector product |
//!
//! Not here: differentiation, which is done in the IR, and anything that crosses between host and device
//! while a program runs, but the largest error of a solver's step. docs/cuda.md lists the operations that have no form here.

mod array;
mod density;
mod flow;
mod join;
mod matrix;
mod program;
mod special;
mod tables;

pub(crate) use array::Comparison;
pub use array::{Array, Number};
pub use density::{DeviceDensity, Kept, Points, Source};
pub(crate) use join::Join;
pub use program::{NotOnDevice, Program};
