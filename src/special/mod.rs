//! Scalar special functions in f64, with stated error bounds.
//!
//! | file | functions |
//! |---|---|
//! | `gamma` | log-gamma and its derivatives, log-beta, log-binomial coefficient |
//! | `erf` | error functions; the standard normal's cdf, log cdf, quantile |
//! | `logexp` | softplus and friends, the logistic function and its logarithm |
//! | `incomplete` | regularised incomplete gamma and beta functions |
//! | `shape` | derivatives of those two in their shapes |
//! | `bessel` | logarithms of the modified Bessel functions |
//! | `owen` | Owen's T function, the skew normal cdf |
//! | `quadrature` | integrals, for the two above |
//!
//! Elementary functions come from `libm`, not from the platform, so that a build returns the same
//! bits everywhere.
//!
//! Every bound below is checked in `tests/suite/special.rs` against 50-digit values in
//! `tests/reference/special.jsonl`. `ulp` means 2.2e-16 relative. Every function returns NaN for
//! a NaN argument and outside its domain, and its limit at ±∞ where there is one.

mod bessel;
mod erf;
mod gamma;
mod incomplete;
mod logexp;
mod owen;
mod quadrature;
mod shape;

pub use bessel::{bessel_i1_over_i0, log_bessel_i, log_bessel_i0, log_bessel_i1, log_bessel_k};
pub(crate) use erf::QUANTILE;
pub use erf::{
    erf, erfc, erfcx, inv_mills_ratio, std_normal_cdf, std_normal_log_ccdf, std_normal_log_cdf,
    std_normal_quantile,
};
pub(crate) use gamma::DIGAMMA_TAIL;
pub use gamma::{digamma, lbeta, lchoose, lgamma, polygamma, trigamma};
pub use incomplete::{gamma_p, gamma_q, inc_beta, log_gamma_p, log_gamma_q, log_inc_beta};
pub use logexp::{
    inv_logit, log_add_exp, log_diff_exp, log_expm1, log_inv_logit, log_sum_exp, log1m_exp,
    log1p_exp, logit, xlog1py, xlogy,
};
pub use owen::{owens_t, skew_normal_cdf};
pub use shape::{ShapeDerivative, gamma_p_shape, inc_beta_shape};
