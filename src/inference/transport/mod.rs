//! A nonlinear change of coordinates in which a posterior is closer to a Gaussian, and the density seen
//! through it.
//!
//! A Gaussian has one covariance everywhere. A hierarchical posterior has another one for every value of
//! its scales: the effects shrink where their scale does, a smoother path has longer correlations. So a
//! few directions, found by how much the curvature changes along them (`directions`), drive the scales,
//! means and correlations of all others, and a triangular map from standard normals that says how is
//! fitted by its evidence lower bound (`fit`) \[marzouk2016\]. Methods that step in the map's own
//! coordinates are preconditioned by it everywhere at once, as Hamiltonian chains are in \[hoffman2019\];
//! partial non-centring \[gorinova2020\] is the case of one driver and no correlations.

mod density;
mod directions;
mod fit;
mod map;

pub use density::Transport;
pub use fit::{Config, fit};
