//! What an unknown name was probably meant to be.

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

/// Returns the name that is nearest by edit distance, if it is near enough to be meant.
pub(super) fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let folded = name.to_lowercase();
    let limit = match name.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        6..=9 => 2,
        _ => 3,
    };
    names
        .map(|known| (distance(&folded, &known.to_lowercase()), known))
        .filter(|(distance, known)| *distance <= limit && *known != name)
        .min_by_key(|(distance, known)| (*distance, *known))
        .map(|(_, known)| known)
}

/// Returns the number of insertions, deletions, replacements and swaps of neighbours between two
/// texts (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// Returns advice about a function or distribution of Stan, NumPyro, PyMC or R.
pub(super) fn foreign(name: &str) -> Option<Hint> {
    const SUFFIXES: [(&str, &str); 7] = [
        ("_lpdf", "_log_density"),
        ("_lpmf", "_log_density"),
        ("_lupdf", "_log_density"),
        ("_lupmf", "_log_density"),
        ("_lcdf", "_log_cdf"),
        ("_lccdf", "_log_survival"),
        ("_rng", "_sample"),
    ];
    for (theirs, ours) in SUFFIXES {
        if let Some(dist) = name.strip_suffix(theirs) {
            return Some(Hint::Member(format!("{dist}{ours}")));
        }
    }
    let found = FOREIGN.iter().find(|(foreign, _)| *foreign == name)?;
    Some(found.1.clone())
}

const NO_PRINT: Hint = Hint::Advice("models print nothing; `gen` keeps a value for every draw");

/// Names of other languages.
const FOREIGN: &[(&str, Hint)] = &[
    // Distributions in NumPyro, PyMC and TFP capitals.
    ("Normal", Hint::Name("normal")),
    ("HalfNormal", Hint::Advice("declare `real<lower=0>` and write `~ normal(0, …)`")),
    ("HalfCauchy", Hint::Advice("declare `real<lower=0>` and write `~ cauchy(0, …)`")),
    ("half_normal", Hint::Advice("declare `real<lower=0>` and write `~ normal(0, …)`")),
    ("half_cauchy", Hint::Advice("declare `real<lower=0>` and write `~ cauchy(0, …)`")),
    ("StudentT", Hint::Name("student_t")),
    ("Cauchy", Hint::Name("cauchy")),
    ("Exponential", Hint::Name("exponential")),
    ("Gamma", Hint::Name("gamma")),
    ("InverseGamma", Hint::Name("inv_gamma")),
    ("Beta", Hint::Name("beta")),
    ("Uniform", Hint::Name("uniform")),
    ("LogNormal", Hint::Name("lognormal")),
    ("Laplace", Hint::Name("double_exponential")),
    ("laplace", Hint::Name("double_exponential")),
    ("Bernoulli", Hint::Name("bernoulli")),
    ("BernoulliLogits", Hint::Name("bernoulli_logit")),
    ("Binomial", Hint::Name("binomial")),
    ("BinomialLogits", Hint::Name("binomial_logit")),
    ("Poisson", Hint::Name("poisson")),
    ("Categorical", Hint::Name("categorical")),
    ("Dirichlet", Hint::Name("dirichlet")),
    ("MultivariateNormal", Hint::Name("multi_normal")),
    ("LKJCholesky", Hint::Name("lkj_corr_cholesky")),
    ("NegativeBinomial2", Hint::Name("neg_binomial_2")),
    ("std_normal", Hint::Advice("write `normal(0, 1)`")),
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
    ("exp_quad_cov", Hint::Name("gp_exp_quad_cov")),
    ("where", Hint::Advice("write `if cond { a } else { b }`; it works elementwise")),
    ("print", NO_PRINT),
    ("reject", Hint::Advice("declare the bounds in the type of the parameter")),
    ("target", Hint::Advice("write `factor expr` to add to the log joint")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["sigma", "theta", "mu", "theta_raw"];
        assert_eq!(nearest("sigam", names.into_iter()), Some("sigma"));
        assert_eq!(nearest("Theta", names.into_iter()), Some("theta"));
        assert_eq!(nearest("theta_rwa", names.into_iter()), Some("theta_raw"));
        assert_eq!(nearest("nu", names.into_iter()), None);
        assert_eq!(nearest("lambda", names.into_iter()), None);
    }

    #[test]
    fn names_of_other_languages_have_advice() {
        assert_eq!(foreign("Normal"), Some(Hint::Name("normal")));
        let density = Hint::Member("bernoulli_logit_log_density".into());
        assert_eq!(foreign("bernoulli_logit_lpmf"), Some(density));
        assert_eq!(foreign("normal"), None);
    }
}
