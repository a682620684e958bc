//! What an unknown name was probably meant to be.

use super::builtins::Builtin;
use super::stdlib;

pub(super) use crate::diagnostics::nearest;

/// Advice about a name of another language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// The same thing has this name here.
    Name(&'static str),
    /// It is that member of that distribution: `normal_lcdf` is `normal_log_cdf`.
    Member(String),
    /// There is no such function; this is what to do.
    Advice(&'static str),
}

/// Returns advice about a function or distribution of Stan, NumPyro, PyMC or R.
pub(super) fn foreign(name: &str) -> Option<Hint> {
    const SUFFIXES: [(&str, &str); 2] = [("_lupdf", "_log_density"), ("_lupmf", "_log_density")];
    for (theirs, ours) in SUFFIXES {
        if let Some(dist) = name.strip_suffix(theirs) {
            return Some(Hint::Member(format!("{dist}{ours}")));
        }
    }
    if let Some((_, hint)) = FOREIGN.iter().find(|(foreign, _)| *foreign == name) {
        return Some(hint.clone());
    }
    same_words(name).map(Hint::Name).or_else(|| of_r(name))
}

/// Returns the library's name of the same words: `StudentT` is `student_t`.
fn same_words(name: &str) -> Option<&'static str> {
    let words = |name: &str| name.replace('_', "").to_lowercase();
    let wanted = words(name);
    let builtins = Builtin::ALL.iter().map(|b| b.name()).filter(|n| Builtin::parse(n).is_some());
    stdlib::names().chain(builtins).filter(|known| words(known) == wanted).min()
}

/// Returns the hint for R's and BUGS's names of distributions: `pnorm` is `normal_cdf`.
fn of_r(name: &str) -> Option<Hint> {
    const DISTRIBUTIONS: [(&str, &str); 19] = [
        ("norm", "normal"),
        ("pois", "poisson"),
        ("bern", "bernoulli"),
        ("binom", "binomial"),
        ("bin", "binomial"),
        ("exp", "exponential"),
        ("gamma", "gamma"),
        ("beta", "beta"),
        ("unif", "uniform"),
        ("t", "student_t"),
        ("cauchy", "cauchy"),
        ("lnorm", "lognormal"),
        ("weib", "weibull"),
        ("weibull", "weibull"),
        ("cat", "categorical"),
        ("dirch", "dirichlet"),
        ("logis", "logistic"),
        ("chisq", "chi_square"),
        ("geom", "geometric"),
    ];
    let (kind, rest) = name.split_at_checked(1)?;
    let (_, ours) = DISTRIBUTIONS.iter().find(|(theirs, _)| *theirs == rest)?;
    Some(match (kind, *ours) {
        ("d", "normal") => Hint::Advice(
            "write `normal(mu, sigma)`; BUGS gives a precision, for which sigma is `1 / sqrt(tau)`",
        ),
        ("d", ours) => Hint::Name(ours),
        ("p", ours) => Hint::Member(format!("{ours}_cdf")),
        ("q", ours) => Hint::Member(format!("{ours}_quantile")),
        ("r", ours) => Hint::Member(format!("{ours}_sample")),
        _ => return None,
    })
}

/// Returns how a constant of another language is written.
pub(super) fn constant(name: &str) -> Option<&'static str> {
    Some(match name {
        "True" | "TRUE" => "true",
        "False" | "FALSE" => "false",
        "pi" | "PI" | "Pi" => "pi()",
        "inf" | "Inf" | "INFINITY" | "oo" => "infinity()",
        "nan" | "NaN" | "NAN" | "NA" => "not_a_number()",
        _ => return None,
    })
}

/// Returns which of a distribution's parameters another library's name of one stands for.
pub(super) fn parameter(name: &str, params: &[&str]) -> Option<String> {
    let ours: &[&str] = match name {
        "loc" | "mean" | "location" => &["mu"],
        "scale" | "sd" | "std" | "stddev" | "stdev" => &["sigma", "beta"],
        "rate" => &["lambda", "beta"],
        "prob" | "probs" | "p" => &["theta", "p"],
        "logits" | "logit_p" => &["alpha", "eta"],
        "df" | "dof" => &["nu"],
        "concentration" | "shape" => &["alpha"],
        "concentration1" | "a" => &["alpha"],
        "concentration0" | "b" => &["beta"],
        "low" | "min" => &["alpha", "lower"],
        "high" | "max" => &["beta", "upper"],
        "total_count" | "size" => &["n", "N"],
        "covariance_matrix" | "cov" => &["Sigma"],
        "scale_tril" | "chol" => &["L"],
        _ => return None,
    };
    ours.iter().find(|name| params.contains(name)).map(|name| (*name).to_string())
}

const NO_PRINT: Hint = Hint::Advice("models print nothing; `gen` keeps a value for every draw");

/// Names of other languages.
const FOREIGN: &[(&str, Hint)] = &[
    // Distributions whose names of other languages have other words.
    ("Laplace", Hint::Name("double_exponential")),
    ("InverseGamma", Hint::Name("inv_gamma")),
    ("inverse_gamma", Hint::Name("inv_gamma")),
    ("gaussian", Hint::Name("normal")),
    ("Gaussian", Hint::Name("normal")),
    ("student", Hint::Name("student_t")),
    ("MultivariateNormal", Hint::Name("multi_normal")),
    ("MvNormal", Hint::Name("multi_normal")),
    ("multivariate_normal", Hint::Name("multi_normal")),
    ("LKJCholesky", Hint::Name("lkj_corr_cholesky")),
    ("BernoulliLogits", Hint::Name("bernoulli_logit")),
    ("BinomialLogits", Hint::Name("binomial_logit")),
    ("CategoricalLogits", Hint::Name("categorical_logit")),
    ("NegativeBinomial2", Hint::Name("neg_binomial_2")),
    ("NegativeBinomial", Hint::Name("neg_binomial_2")),
    ("ImproperUniform", Hint::Name("flat")),
    ("TruncatedNormal", Hint::Advice("write `truncate(normal(mu, sigma), lower=…)`")),
    ("HalfStudentT", Hint::Advice("declare `real<lower=0>` and write `~ student_t(nu, 0, …)`")),
    ("ZeroInflatedPoisson", Hint::Advice("write `zero_inflated(p, poisson(rate))`")),
    ("MixtureSameFamily", Hint::Advice("write `mixture(weights, normal(mu, sigma))`")),
    // Functions.
    ("expit", Hint::Name("inv_logit")),
    ("sigmoid", Hint::Name("inv_logit")),
    ("gammaln", Hint::Name("lgamma")),
    ("ln", Hint::Name("log")),
    ("std", Hint::Name("sd")),
    ("var", Hint::Name("variance")),
    ("logsumexp", Hint::Name("log_sum_exp")),
    ("length", Hint::Name("size")),
    ("len", Hint::Name("size")),
    ("dot", Hint::Advice("write `a @ b`, or `dot_product(a, b)`")),
    ("matmul", Hint::Advice("write `a @ b`")),
    ("concatenate", Hint::Name("append")),
    ("beta_function", Hint::Advice("write `exp(lbeta(a, b))`")),
    ("svd", Hint::Name("singular_values")),
    ("eigh", Hint::Name("eigenvalues_sym")),
    ("eigvalsh", Hint::Name("eigenvalues_sym")),
    ("expm", Hint::Name("matrix_exp")),
    ("det", Hint::Name("determinant")),
    ("slogdet", Hint::Name("log_determinant")),
    ("odeint", Hint::Name("ode_rk45")),
    ("solve_ivp", Hint::Name("ode_rk45")),
    ("integrate_ode_rk45", Hint::Name("ode_rk45")),
    ("integrate_ode_bdf", Hint::Name("ode_bdf")),
    ("integrate_ode", Hint::Name("ode_rk45")),
    ("quad", Hint::Name("integrate_1d")),
    ("argsort", Hint::Name("sort_indices_asc")),
    ("sort", Hint::Name("sort_asc")),
    ("eye", Hint::Name("identity_matrix")),
    ("inv_spd", Hint::Name("inverse_spd")),
    ("arange", Hint::Advice("write `lo:hi`")),
    ("kron", Hint::Name("kronecker_prod")),
    ("outer", Hint::Name("outer_product")),
    ("cumsum", Hint::Name("cumulative_sum")),
    ("cumprod", Hint::Name("cumulative_prod")),
    ("norm", Hint::Name("norm2")),
    ("power", Hint::Name("pow")),
    ("concat", Hint::Name("append")),
    ("concatenate", Hint::Name("append")),
    ("vstack", Hint::Name("append")),
    ("hstack", Hint::Name("append_col")),
    ("column_stack", Hint::Name("append_col")),
    ("vdot", Hint::Name("dot_product")),
    ("tensordot", Hint::Advice("write `a @ b`, or `sum(a * b)`")),
    ("einsum", Hint::Advice("write `a @ b`, or `sum(a * b)`")),
    ("eigvalsh", Hint::Name("eigenvalues_sym")),
    ("eigh", Hint::Name("eigenvalues_sym")),
    ("eigenvalues", Hint::Advice("of a symmetric matrix: `eigenvalues_sym`")),
    ("slogdet", Hint::Name("log_determinant")),
    ("pinv", Hint::Name("generalized_inverse")),
    ("qr_Q", Hint::Name("qr_thin_Q")),
    ("qr_R", Hint::Name("qr_thin_R")),
    ("qr", Hint::Name("qr_thin_Q")),
    ("ndtr", Hint::Name("std_normal_cdf")),
    ("ndtri", Hint::Name("std_normal_quantile")),
    ("betaln", Hint::Name("lbeta")),
    ("gammainc", Hint::Name("gamma_p")),
    ("gammaincc", Hint::Name("gamma_q")),
    ("betainc", Hint::Name("inc_beta")),
    ("isfinite", Hint::Name("is_finite")),
    ("isnan", Hint::Name("is_nan")),
    ("if_else", Hint::Advice("write `if cond { a } else { b }`; it works elementwise")),
    ("logical_negation", Hint::Advice("write `!a`")),
    ("int_floor_div", Hint::Name("int_div")),
    ("exp_quad_cov", Hint::Name("gp_exp_quad_cov")),
    ("where", Hint::Advice("write `if cond { a } else { b }`; it works elementwise")),
    ("ifelse", Hint::Advice("write `if cond { a } else { b }`; it works elementwise")),
    ("c", Hint::Advice("an array is written `[a, b, c]`; arrays are joined by `append(a, b)`")),
    ("list", Hint::Advice("an array is written `[a, b, c]`")),
    ("array", Hint::Advice("an array is written `[a, b, c]`")),
    ("seq", Hint::Advice("the integers from a to b are `a:b`")),
    ("range", Hint::Advice("the integers from 1 to n are `1:n`; both ends are included")),
    ("seq_len", Hint::Advice("the integers from 1 to n are `1:n`")),
    ("rep", Hint::Advice("write `fill(n, x)`")),
    ("np_sum", Hint::Name("sum")),
    ("nrow", Hint::Name("rows")),
    ("ncol", Hint::Name("cols")),
    ("not", Hint::Name("!")),
    ("print", NO_PRINT),
    ("reject", Hint::Advice("declare the bounds in the type of the parameter")),
    ("target", Hint::Advice("write `factor expr` to add to the log joint")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_languages_have_advice() {
        assert_eq!(foreign("Normal"), Some(Hint::Name("normal")));
        assert_eq!(foreign("StudentT"), Some(Hint::Name("student_t")));
        assert_eq!(foreign("dpois"), Some(Hint::Name("poisson")));
        assert_eq!(foreign("pnorm"), Some(Hint::Member("normal_cdf".into())));
        let density = Hint::Member("bernoulli_logit_log_density".into());
        assert_eq!(foreign("bernoulli_logit_lupmf"), Some(density));
        assert_eq!(foreign("nosuch"), None);
    }

    #[test]
    fn every_name_that_is_advised_exists() {
        for (theirs, hint) in FOREIGN {
            let Hint::Name(ours) = hint else { continue };
            let known = Builtin::parse(ours).is_some()
                || stdlib::names().any(|name| name == *ours)
                || ["flat", "!"].contains(ours);
            assert!(known, "{theirs} is said to be {ours}");
        }
    }
}
