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
//! | `critic` | the network that learns by how much the scores of `q` and of the target differ |
//! | `fit` | training and examination, the same for all methods; what they descend is an `Objective` |
//! | `sivi_sm` | the objective of score matching [yu2023] |
//! | `sivi` | that of the surrogate bound [yin2018] |
//! | `uivi` | that of the evidence lower bound with the score of `q` by an inner chain [titsias2019] |
//! | `ksivi` | the kernel Stein discrepancy [cheng2024] |
//! | `evidence` | draws of a finished family and their importance weights |
//! | `assessment` | what they say about the fit |

mod assessment;
mod critic;
mod evidence;
mod family;
mod fit;
mod ksivi;
mod marginal;
mod options;
mod sivi;
mod sivi_sm;
mod standardize;
#[cfg(test)]
mod testing;
mod uivi;

pub(super) use ksivi::KSIVI;
pub(super) use sivi::SIVI;
pub(super) use sivi_sm::SIVI_SM;
pub(super) use uivi::UIVI;
