//! The IR: a pure function over tensors of concrete shape, in SSA form. Data structure only.
//!
//! In:  what `lower` builds, or text (`parse`).
//! Out: what `passes`, `autodiff` and `exec` read.
//!
//! Invariants (checked by `verify`): operands come before their uses; every value has the type that
//! `shape_rule` gives it; constants hold as many numbers as their shape says; a `Proj` reads a `Scan`
//! and nothing else does.

mod builder;
mod entity;
mod extract;
mod function;
mod names;
mod op;
pub mod parse;
pub mod print;
pub mod semantics;
mod shape_rule;
mod solver;
mod ty;
pub mod verify;

pub use builder::Builder;
pub use entity::ValueId;
pub use function::{Function, Input, Inst, Output};
pub use op::{Args, BinaryOp, Op, Scan, ScanRef, Tensor, TernaryOp, UnaryOp};
pub use shape_rule::{TypeError, infer_type};
pub use solver::{Method, Ode, Problem, Root, Search, Tolerance};
pub use ty::{DType, Shape, Type, num_elements};
