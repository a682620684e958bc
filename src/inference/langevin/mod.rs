//! Langevin diffusion variational inference: `ula`, `mcd`, `uha`, `ldvi`, `cmcd`.
//!
//! One augmented chain ([`chain`](Chain)), of which each method is a row in a table: how momentum
//! behaves, and which kernels a network corrects [geffner2023, table 1; vargas2024].

mod chain;
mod fit;
mod methods;

pub use chain::{Chain, Correction, Dynamics, Handles, Initial, Momentum, Paths};
pub use methods::{CMCD, LDVI, MCD, UHA, ULA};
