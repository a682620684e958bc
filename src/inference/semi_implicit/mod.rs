//! Semi-implicit methods: `q(x) = ∫ N(x; μ(z), σ²) N(z; 0, I) dz`, a Gaussian mixed by a network.
//!
//! Such a `q` is flexible and easy to draw from; its density is intractable, so each method has its
//! own way around it. All of them work in standardised coordinates, where a first Gaussian fit to the
//! posterior is the standard normal, so that one set of defaults serves every model.
//!
//! | file | what |
//! |---|---|
//! | `standardize` | the Gaussian fit, and a density seen through it |
//! | `family` | the mixture: networks and draws |
//! | `marginal` | estimates of the mixture's density |
//! | `options` | what can be set |
//! | `sivi_sm` | training by score matching [yu2023] |
//! | `assessment` | what can be said about a fit without its density |

mod assessment;
mod family;
mod marginal;
mod options;
mod sivi_sm;
mod standardize;

pub(super) use sivi_sm::SIVI_SM;
