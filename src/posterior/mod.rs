//! Model + data → [`LogDensity`](crate::density::LogDensity), and draws in the model's own terms.

mod compile;
mod constrain;

pub use compile::Posterior;
pub use constrain::Values;
