//! How good a fit is: Pareto k-hat, effective sample sizes, R-hat, and the verdict they add up to.
//!
//! In:  draws and log weights. Out: numbers with published thresholds, and a
//! [`Verdict`](super::Verdict) whose reasons are sentences. Nothing here knows a method or a model.

mod ess;
mod psis;
mod verdict;

pub use ess::{
    ScalarSummary, e_bfmi, ess_bulk, ess_mean, ess_tail, mcse_mean, mcse_sd, rhat, summarize,
};
pub use psis::{Psis, khat, khat_threshold, psis};
pub use verdict::{ChainHealth, Checks, FEWEST_ITERATIONS, Trend};
