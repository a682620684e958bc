//! Langevin diffusion variational inference: `ula`, `mcd`, `uha`, `ldvi`, `cmcd`, `cmcd-ud`.
//!
//! One augmented chain ([`chain`](Chain)), of which each method is a row in a table: how momentum
//! behaves, and which kernels a network corrects [geffner2023, table 1; vargas2024].

mod chain;
mod config;
mod fit;
mod form;
mod methods;
mod start;
mod step;
mod watch;

pub use chain::{Chain, Handles, Paths};
pub use form::{Correction, Dynamics, Form, Initial, Integrator, Levels, Momentum};
pub use methods::{CMCD, CMCD_UD, LDVI, MCD, UHA, ULA};
