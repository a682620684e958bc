//! IR → numbers.
//!
//! | file | what |
//! |---|---|
//! | `reference` | slow and obvious executor in f64: the oracle, and constant folding |
//! | `schedule` | IR → plan: order, fusion, views; with `steps`, then `fuse` (registers) and `slots` (storage) |
//! | `plan`, `view` | what a plan is; how operands are read |
//! | `numeric`, `solver`, `tape` | differential and other equations, matrix decompositions; their functions in scalar form |
//! | `run`, `scan`, `workspace` | runs a plan for a block of lanes; its loops; the memory for it |
//! | `straight` | the body of a loop, and all for one lane alone, without kernels |
//! | `kernels` | inner loops |
//! | `element` | `f32` and `f64`: elementary functions in vectorisable form |
//! | `print`, `cost` | a program as text, with what its steps cost |
//! | `program` | a compiled function: any number of points, block by block |
//! | `density` | the log density, its score and Hessian-vector products as programs |
//!
//! Invariant: the bits of a result do not depend on the batch it was computed in.

mod cost;
pub mod density;
pub mod device;
pub mod element;
mod fuse;
mod index;
mod kernels;
mod numeric;
mod plan;
mod pool;
mod print;
pub mod program;
pub mod reference;
mod run;
mod scan;
mod schedule;
mod slots;
mod solver;
mod steps;
mod straight;
mod tape;
mod view;
mod workspace;

/// The instruction set that vector loops run on here, and how many doubles it takes at a time.
#[must_use]
pub fn instruction_set() -> (&'static str, usize) {
    #[cfg(target_arch = "x86_64")]
    if pulp::x86::V3::try_new().is_some() {
        return ("x86-64-v3 (AVX2 and FMA)", 4);
    }
    #[cfg(target_arch = "aarch64")]
    if pulp::aarch64::Neon::try_new().is_some() {
        return ("NEON", 2);
    }
    ("scalar", 1)
}
