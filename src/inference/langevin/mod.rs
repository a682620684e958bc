//! Langevin diffusion variational inference: `ula`, `mcd`, `uha`, `ldvi`.
//!
//! One augmented chain ([`chain`](Chain)), of which each method is a row in a table: how momentum
//! behaves, and whether a network corrects the backward kernel [geffner2023, table 1].

mod chain;
mod fit;
mod methods;

pub use chain::{Chain, Dynamics, Handles, Initial, Momentum, Paths};
pub use methods::{LDVI, MCD, UHA, ULA};
