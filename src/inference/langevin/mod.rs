//! Langevin diffusion variational inference.
mod chain;
pub use chain::{Chain, Dynamics, Handles, Initial, Momentum, Paths};
