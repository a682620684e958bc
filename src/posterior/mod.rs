//! Model + data → [`LogDensity`](crate::density::LogDensity), and draws in the model's own terms.

mod compile;
mod constrain;
mod density;
mod points;
mod probabilities;
mod subsample;

pub use compile::Posterior;
pub use constrain::Values;
pub use points::{LogJoint, Parts, constrained_density};
pub use probabilities::with_probabilities;
pub use subsample::Minibatch;
