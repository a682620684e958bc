//! What keywords, types and bounds mean, in a sentence each.

/// A word of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// The word.
    pub(super) name: &'static str,
    /// What it is followed by.
    pub(super) form: &'static str,
    /// What it means.
    pub(super) doc: &'static str,
}

const fn word(name: &'static str, form: &'static str, doc: &'static str) -> Word {
    Word { name, form, doc }
}

/// Words that begin a declaration or statement at the top level.
pub(super) const DECLARATIONS: &[Word] = &[
    word("data", "data y: real[N]", "A field of the data file. Sizes are bound by its shape."),
    word("param", "param mu ~ normal(0, 1)", "A continuous latent, with its prior."),
    word("let", "let theta = mu + tau * z", "A name for a value, known as soon as what it reads."),
    word(
        "marginal",
        "marginal z: int<lower=1, upper=K>[N] ~ categorical(w)",
        "A discrete latent, summed out by the compiler.",
    ),
    word("gen", "gen p = inv_logit(a)", "A quantity computed for every draw, after inference."),
    word("fn", "fn f(x: real) -> real = 2 * x", "A pure function; it lifts elementwise."),
    word("dist", "dist d(mu: real) on real { … }", "A distribution."),
    word("import", "import \"helpers.ppl\"", "The declarations of another file."),
    word("factor", "factor expr", "Adds to the log joint."),
    word("for", "for i in 1:N { … }", "Statements for each index, both ends included."),
    word("if", "if cond { … } else { … }", "A choice, of statements or of values."),
];

/// Words within declarations and expressions.
pub(super) const INNER: &[Word] = &[
    word("in", "for i in 1:N { … }", "What a loop runs over."),
    word("else", "if cond { … } else { … }", "What holds otherwise."),
    word("on", "dist d(mu: real) on real { … }", "The support of a distribution."),
    word("true", "true", "A truth value."),
    word("false", "false", "A truth value."),
];

/// Types.
pub(super) const TYPES: &[Word] = &[
    word("real", "real<lower=0>[N, D]", "Real numbers, within bounds if there are any."),
    word("int", "int<lower=0>[N]", "Integers: data, or summed out by `marginal`."),
    word("bool", "bool[N]", "Truth values."),
    word("simplex", "simplex[K]", "K non-negative numbers that sum to one."),
    word("ordered", "ordered[K]", "K numbers in increasing order."),
    word("positive_ordered", "positive_ordered[K]", "K positive numbers in increasing order."),
    word("unit_vector", "unit_vector[K]", "K numbers whose squares sum to one."),
    word("sum_to_zero", "sum_to_zero[K]", "K numbers that sum to zero."),
    word("cholesky_corr", "cholesky_corr[K]", "Cholesky factor of a correlation matrix, K × K."),
    word("corr_matrix", "corr_matrix[K]", "Correlation matrix, K × K."),
    word("cholesky_cov", "cholesky_cov[K]", "Cholesky factor of a covariance matrix, K × K."),
    word("cov_matrix", "cov_matrix[K]", "Covariance matrix, K × K."),
    word("array", "array[M] simplex[K]", "An array of structured values."),
];

/// What may stand between `<` and `>` of a type.
pub(super) const BOUNDS: &[Word] = &[
    word("lower", "real<lower=0>", "The least value; the prior is cut off there."),
    word("upper", "real<upper=1>", "The greatest value; the prior is cut off there."),
    word("offset", "real<offset=mu, multiplier=tau>", "Centre of the map from the real line."),
    word("multiplier", "real<offset=mu, multiplier=tau>", "Scale of that map, positive."),
];

/// Finds a word where it is a keyword, a type or a bound.
pub(super) fn find(name: &str) -> Option<Word> {
    [DECLARATIONS, INNER, TYPES, BOUNDS]
        .into_iter()
        .flatten()
        .find(|word| word.name == name)
        .copied()
}
