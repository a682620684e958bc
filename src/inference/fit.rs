//! What a method hands back: draws, what it knows about them, and a verdict.

/// Draws from an approximation of the posterior, on the unconstrained space, and their assessment.
#[derive(Debug, Clone)]
pub struct Fit {
    /// Name of the method, as in `--infer`.
    pub method: &'static str,
    /// Dimension `D`.
    pub dim: usize,
    /// Number of chains; 1 for variational methods. Draws of one chain stand together.
    pub chains: usize,
    /// Draws, `[S, D]` row-major, chain after chain.
    pub draws: Vec<f64>,
    /// Log joint at each draw, `[S]`, nats.
    pub log_p: Vec<f64>,
    /// Log density of the approximation at each draw, `[S]`; `None` where it is intractable.
    pub log_q: Option<Vec<f64>>,
    /// Evidence lower bound on fresh noise and its standard error, nats.
    pub elbo: Option<(f64, f64)>,
    /// What importance weights say of the log evidence.
    pub log_z: Option<Evidence>,
    /// Pareto shape of the importance weights.
    pub khat: Option<Khat>,
    /// `E_q |∇ log p − ∇ log q|²`, as far as the method can estimate it.
    pub fisher_divergence: Option<f64>,
    /// Per-draw or per-iteration numbers worth keeping: objective, step size, divergences…
    pub traces: Vec<Trace>,
    /// Iterations (or NUTS steps) that were run.
    pub iterations: usize,
    /// Median wall time of one iteration, milliseconds.
    pub median_iteration_ms: f64,
    /// Whether the user interrupted the run (or time ran out) before it was done.
    pub interrupted: bool,
    /// Whether to trust it, why, and what to try next.
    pub verdict: Verdict,
}

/// Estimates of the log evidence from importance weights, nats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// Log of the mean weight.
    pub value: f64,
    /// Its standard error.
    pub se: f64,
    /// Importance-weighted bound of ten draws \[burda2016\] and its standard error: between the evidence
    /// lower bound and the log evidence.
    pub iwae: (f64, f64),
}

/// A named sequence of numbers over iterations.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Standard name: `elbo`, `step_size`, `fisher_divergence`, …
    pub name: &'static str,
    /// Iteration number of each value.
    pub iteration: Vec<usize>,
    /// The values.
    pub value: Vec<f64>,
}

/// Pareto k-hat \[vehtari2024\] and how it was come by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Khat {
    /// The estimated Pareto shape.
    pub value: f64,
    /// What the importance weights were weights of.
    pub kind: KhatKind,
}

/// What the importance weights behind a k-hat are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KhatKind {
    /// `p/q` with `log q` known exactly.
    Exact,
    /// Weights of whole augmented paths (Langevin methods): an upper bound on the marginal difficulty.
    Augmented,
    /// `log q` itself estimated (semi-implicit methods).
    Estimated,
}

/// Whether a fit is to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VerdictLevel {
    /// Every check passed.
    Ok,
    /// Usable with care: at least one check is borderline or could not be made.
    Doubtful,
    /// Do not use these draws.
    Failed,
}

/// The verdict that ends every run.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The level.
    pub level: VerdictLevel,
    /// What speaks for the level, most important first, each a full sentence.
    pub reasons: Vec<String>,
    /// Flags to try next, ready to be appended to `ppl run MODEL`, such as `--infer nuts`; none when ok.
    pub next: Option<String>,
}

/// Why a method could not go on.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InferenceError {
    /// The log density is not finite wherever the method looked.
    #[error("the log density is not finite at any of {tried} starting points{}", .place.as_ref().map(|p| format!(": {p}")).unwrap_or_default())]
    NonFinite {
        /// How many points were tried.
        tried: usize,
        /// Where in the model the first non-finite value arose.
        place: Option<String>,
    },
    /// The deadline came first.
    #[error("the time limit was reached before there was a draw to show for it; give it more time")]
    NoTime,
    /// A setting that this method does not have, or a value it cannot take.
    #[error("{0}")]
    Setting(String),
    /// The device that training was to happen on is not there, or fails.
    #[error("--device: {0}")]
    Device(String),
    /// The method broke down in a way that no setting repairs.
    #[error("{0}")]
    Breakdown(String),
}
