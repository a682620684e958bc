//! Gaussian approximations: the mean-field family, which is also where the Langevin methods start.

mod ascent;
mod conclude;
mod curvature;
mod full_rank;
mod laplace;
mod mean_field;
mod pathfinder;
mod warm_start;

pub use curvature::correlated;
pub use full_rank::FULL_RANK;
pub use laplace::LAPLACE;
pub use mean_field::{Config, MEAN_FIELD, MeanField, fit_mean_field, start_mean_field};
pub use pathfinder::PATHFINDER;
