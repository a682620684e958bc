//! What can be set for SIVI-SM: the table that users see, and its parsed form.

use super::family::FamilySettings;
use super::standardize::Standardize;
use crate::inference::method::option;
use crate::inference::optimizer::Schedule;
use crate::inference::{InferenceError, MethodOption, Settings};

/// The options, with the defaults that [`Options::new`] goes by.
pub(super) const OPTIONS: &[MethodOption] = &[
    option("iterations", "5000", "training iterations", "T"),
    option("learning-rate", "0.002", "Adam's learning rate for the family", ""),
    option("critic-learning-rate", "0.004", "Adam's learning rate for the critic", ""),
    option("grad-samples", "128", "draws per gradient", "K"),
    option("latent", "auto", "dimension of the mixing variable; auto is min(D, 50)", "d_z"),
    option("hidden", "64,64", "widths of the hidden layers of the family's network", "μ_φ"),
    option(
        "critic-hidden",
        "auto",
        "widths of the hidden layers of the critic; auto is two of 64 to 256",
        "f_ψ",
    ),
    option("objective", "kl", "what the family descends: kl, or the paper's fisher", ""),
    option(
        "critic-steps",
        "auto",
        "critic updates per iteration; auto is 2 for kl, 5 for fisher",
        "",
    ),
    option("critic-warmup", "200", "critic updates before the first iteration", ""),
    option(
        "residual",
        "auto",
        "weight c of the target's score in the critic at the start; auto is 1 for kl, 0 for fisher",
        "c",
    ),
    option("residual-decay", "1", "c is divided by this every 100 iterations", "ψ_t"),
    option("log-variance", "-1", "log σ² at the start, in standardised coordinates", "log σ²"),
    option("log-variance-floor", "-6", "smooth lower bound of log σ²", ""),
    option("linear", "true", "give the family a linear part A z, and the critic a part u", ""),
    option("antithetic", "true", "pair each draw with one of the same z and opposite ξ", ""),
    option("standardize", "auto", "first Gaussian fit: auto, full, diagonal or none", ""),
    option(
        "clip",
        "auto",
        "longest gradient of the family; auto is 10 for kl, 0.1 for fisher, inf is no limit",
        "",
    ),
    option("annealing", "0", "fraction of training in which s_p is weighted from 0.1 up to 1", ""),
    option("schedule", "cosine", "learning rates: cosine, or step (x0.9 every `decay-every`)", ""),
    option("decay-every", "1000", "iterations between reductions of the step schedule", ""),
    option("average", "0.1", "fraction of training that the final average looks back on", ""),
    option("mixing-draws", "10000", "components that estimate the density of the fit", "K"),
];

/// What the family descends; the critic is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Objective {
    /// The Fisher divergence, as in the paper.
    Fisher,
    /// The Kullback-Leibler divergence `KL(q‖p)`.
    Kl,
}

impl std::str::FromStr for Objective {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "fisher" => Ok(Objective::Fisher),
            "kl" => Ok(Objective::Kl),
            _ => Err(()),
        }
    }
}

/// Everything that can be set, parsed.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) iterations: usize,
    pub(super) learning_rate: f64,
    pub(super) critic_learning_rate: f64,
    pub(super) batch: usize,
    pub(super) family: FamilySettings,
    pub(super) critic_hidden: Vec<usize>,
    pub(super) critic_steps: usize,
    pub(super) critic_warmup: usize,
    pub(super) residual: f64,
    pub(super) residual_decay: f64,
    pub(super) antithetic: bool,
    pub(super) standardize: Standardize,
    pub(super) objective: Objective,
    /// Longest gradient of the family, so that one far draw does not undo what was learned.
    pub(super) clip: f64,
    pub(super) annealing: f64,
    /// Of the family's and the critic's learning rate.
    pub(super) schedule: [Schedule; 2],
    pub(super) average: f64,
    pub(super) mixing_draws: usize,
}

impl Objective {
    /// Critic steps, residual and clip that suit it.
    ///
    /// The descent of the Fisher divergence is a game that the family can win by moving draws to where
    /// the critic is wrong. There a residual, with its linear part, is wrong without bound; a critic
    /// that is kept close to its optimum, and gradients of nearly one length, leave little to win.
    fn suited(self) -> (usize, f64, f64) {
        match self {
            Objective::Kl => (2, 1.0, 10.0),
            Objective::Fisher => (5, 0.0, 0.1),
        }
    }
}

/// The default of an option, as the table states it.
fn default<T: std::str::FromStr>(name: &str) -> Result<T, InferenceError> {
    OPTIONS
        .iter()
        .find(|o| o.name == name)
        .and_then(|o| o.default.parse().ok())
        .ok_or_else(|| InferenceError::Breakdown(format!("bug in ppl: no default for `{name}`")))
}

/// An option whose default is `auto`.
fn or_auto<T: std::str::FromStr>(
    settings: &Settings,
    name: &str,
    auto: T,
) -> Result<T, InferenceError> {
    match settings.options.get(name).map(String::as_str) {
        None | Some("auto") => Ok(auto),
        _ => settings.option(name, auto),
    }
}

impl Options {
    pub(super) fn new(settings: &Settings, dim: usize) -> Result<Options, InferenceError> {
        fn get<T: std::str::FromStr>(s: &Settings, name: &str) -> Result<T, InferenceError> {
            s.option(name, default(name)?)
        }
        let bad = |text: String| Err(InferenceError::Setting(text));
        // Two layers that grow with the dimension, but not as fast.
        let auto = (32 * (dim + 1)).min(128).max((4 * dim).min(256));
        let widths = |name: &str| -> Result<Vec<usize>, InferenceError> {
            let text: String = get(settings, name)?;
            if text == "auto" {
                return Ok(vec![auto; 2]);
            }
            let parsed: Option<Vec<usize>> =
                text.split(',').map(|w| w.trim().parse().ok().filter(|w| *w > 0)).collect();
            parsed.ok_or_else(|| {
                InferenceError::Setting(format!(
                    "`{name}` wants widths such as 64,64, not `{text}`"
                ))
            })
        };
        let latent: String = get(settings, "latent")?;
        let latent = match latent.as_str() {
            "auto" => dim.min(50),
            text => match text.parse() {
                Ok(m) if m > 0 => m,
                _ => {
                    return bad(format!(
                        "`latent` must be auto or a positive number, not `{text}`"
                    ));
                }
            },
        };
        let schedule: String = get(settings, "schedule")?;
        let schedule = match schedule.as_str() {
            // The critic must keep up to the end, so its rate falls less far.
            "cosine" => [0.005, 0.05].map(|floor| Schedule::Cosine { warmup: 0.02, floor }),
            "step" => [Schedule::Step { every: get(settings, "decay-every")?, factor: 0.9 }; 2],
            text => return bad(format!("`schedule` must be cosine or step, not `{text}`")),
        };
        let objective: Objective = get(settings, "objective")?;
        let (critic_steps, residual, clip) = objective.suited();
        let learning_rate = get(settings, "learning-rate")?;
        let options = Options {
            iterations: settings
                .option("iterations", settings.iterations.unwrap_or(default("iterations")?))?,
            learning_rate: settings
                .option("learning-rate", settings.learning_rate.unwrap_or(learning_rate))?,
            critic_learning_rate: get(settings, "critic-learning-rate")?,
            batch: settings.option(
                "grad-samples",
                settings.grad_samples.unwrap_or(default("grad-samples")?),
            )?,
            family: FamilySettings {
                latent,
                hidden: widths("hidden")?,
                linear: get(settings, "linear")?,
                log_variance: get(settings, "log-variance")?,
                log_variance_floor: get(settings, "log-variance-floor")?,
            },
            critic_hidden: widths("critic-hidden")?,
            critic_steps: or_auto(settings, "critic-steps", critic_steps)?,
            critic_warmup: get(settings, "critic-warmup")?,
            residual: or_auto(settings, "residual", residual)?,
            residual_decay: get(settings, "residual-decay")?,
            antithetic: get(settings, "antithetic")?,
            standardize: get(settings, "standardize")?,
            objective,
            clip: or_auto(settings, "clip", clip)?,
            annealing: get(settings, "annealing")?,
            schedule,
            average: get(settings, "average")?,
            mixing_draws: get(settings, "mixing-draws")?,
        };
        if options.iterations == 0 || options.batch < 2 || options.critic_steps == 0 {
            return bad(
                "`iterations` and `critic-steps` must be at least 1, `grad-samples` at least 2"
                    .into(),
            );
        }
        if options.mixing_draws == 0 || options.residual_decay < 1.0 {
            return bad("`mixing-draws` and `residual-decay` must be at least 1".into());
        }
        let positive = |x: f64| x.is_finite() && x > 0.0;
        if !positive(options.learning_rate) || !positive(options.critic_learning_rate) {
            return bad("learning rates must be positive".into());
        }
        if options.clip.is_nan() || options.clip <= 0.0 {
            return bad("`clip` must be positive".into());
        }
        if !(0.0..=1.0).contains(&options.annealing) || !(0.0..=1.0).contains(&options.average) {
            return bad("`annealing` and `average` are fractions between 0 and 1".into());
        }
        Ok(options)
    }
}
