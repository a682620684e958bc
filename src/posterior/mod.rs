//! Model + data → [`LogDensity`](crate::density::LogDensity), and draws in the model's own terms.

mod compile;
mod constrain;
mod density;
mod points;
mod probabilities;

pub use compile::Posterior;
pub use constrain::Values;
pub use points::{LogJoint, Parts};
