//! [`LogDensity`](crate::density::LogDensity) → draws and a verdict.
//!
//! Networks, objectives and optimisers are dfdx; the model enters through [`Target`] only, so every
//! method runs, and is tested, on closed-form densities as well.

pub mod adam;
pub mod affine;
pub mod assess;
mod auto;
pub mod backend;
pub mod bridge;
pub mod checkpoint;
mod deadline;
mod examine;
mod fit;
pub mod fused;
pub mod gaussian;
pub mod history;
pub mod kernel_stein;
pub mod langevin;
mod lbfgs;
mod method;
pub mod mlp;
mod modes;
pub mod network;
pub mod node;
mod nuts;
pub mod optimizer;
mod semi_implicit;
mod settings;
pub mod start;
mod stein;
pub mod tape;
pub mod train;
pub mod transport;
mod vector;
pub mod weights;
pub mod workers;

pub use deadline::{Clock, Deadline};
pub use fit::{Evidence, Fit, InferenceError, Khat, KhatKind, Trace, Verdict, VerdictLevel};
pub use method::{METHODS, Method, MethodOption, find};
pub use settings::{Device, Monitor, Precision, Progress, Settings, Silent, Target};
