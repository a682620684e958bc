//! Gaussian approximations; the mean-field family is also where the Langevin methods start.

mod ascent;
mod bam;
mod conclude;
mod config;
mod curvature;
mod families;
mod importance;
mod laplace;
mod mean_field;
mod pathfinder;
mod proposal;
mod warm_start;

pub(super) use bam::FULL_DIM;
pub use bam::{BAM, batch_and_match};
pub use config::Config;
pub use curvature::correlated;
pub use families::{FULL_RANK, LOW_RANK, MEAN_FIELD};
pub use laplace::LAPLACE;
pub use mean_field::{MeanField, fit_mean_field, start_mean_field};
pub use pathfinder::PATHFINDER;
pub(super) use proposal::{Proposal, Student};
pub(super) use warm_start::mean_field_start;
