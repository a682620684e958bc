//! What can be set for semi-implicit methods: the rows of the tables that users see, and the parsed
//! form of those that the methods share.

use super::family::FamilySettings;
use super::standardize::Standardize;
pub(super) use crate::inference::method::RESAMPLE;
use crate::inference::method::option;
use crate::inference::optimizer::Schedule;
use crate::inference::weights::Resample;
use crate::inference::{InferenceError, MethodOption, Settings};

pub(super) const ITERATIONS: MethodOption =
    option("iterations", "5000", "training iterations", "T");
pub(super) const LEARNING_RATE: MethodOption =
    option("learning-rate", "0.002", "Adam's learning rate for the family", "");
pub(super) const GRAD_SAMPLES: MethodOption =
    option("grad-samples", "128", "draws per gradient", "K");
pub(super) const LATENT: MethodOption =
    option("latent", "auto", "dimension of the mixing variable; auto is min(D, 50)", "d_z");
pub(super) const HIDDEN: MethodOption = option(
    "hidden",
    "auto",
    "widths of the hidden layers of the family's network; auto is two of 64 to 256",
    "μ_φ",
);
pub(super) const LINEAR: MethodOption =
    option("linear", "true", "give the family a linear part A z, and the critic one in u", "");
pub(super) const LOG_VARIANCE: MethodOption =
    option("log-variance", "-1", "log σ² at the start, in standardised coordinates", "log σ²");
pub(super) const LOG_VARIANCE_FLOOR: MethodOption =
    option("log-variance-floor", "-6", "smooth lower bound of log σ²", "");
pub(super) const ANTITHETIC: MethodOption =
    option("antithetic", "true", "pair each draw with one of the same z and opposite ξ", "");
pub(super) const STANDARDIZE: MethodOption =
    option("standardize", "auto", "first Gaussian fit: auto, full, diagonal or none", "");
pub(super) const CLIP: MethodOption =
    option("clip", "10", "longest gradient of the family; inf is no limit", "");
pub(super) const ANNEALING: MethodOption = option(
    "annealing",
    "0",
    "fraction of training in which the target is weighted from 0.1 up to 1",
    "",
);
pub(super) const SCHEDULE: MethodOption =
    option("schedule", "cosine", "learning rates: cosine, or step (x0.9 every `decay-every`)", "");
pub(super) const DECAY_EVERY: MethodOption =
    option("decay-every", "1000", "iterations between reductions of the step schedule", "");
pub(super) const AVERAGE: MethodOption =
    option("average", "0.1", "fraction of training that the final average looks back on", "");
pub(super) const CRITIC_HIDDEN: MethodOption = option(
    "critic-hidden",
    "auto",
    "widths of the hidden layers of the critic; auto is two of 64 to 256",
    "f_ψ",
);
pub(super) const CRITIC_LEARNING_RATE: MethodOption =
    option("critic-learning-rate", "0.004", "Adam's learning rate for the critic", "");
pub(super) const MIXING_DRAWS: MethodOption =
    option("mixing-draws", "10000", "components that estimate the density of the fit", "K");

/// What is set, read by the table of the method: it holds the defaults.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    table: &'static [MethodOption],
    settings: &'a Settings,
}

impl<'a> Reader<'a> {
    pub(super) fn new(table: &'static [MethodOption], settings: &'a Settings) -> Self {
        Reader { table, settings }
    }

    fn row(&self, name: &str) -> Option<&'static MethodOption> {
        self.table.iter().find(|o| o.name == name)
    }

    /// The value of an option that the method has.
    pub(super) fn get<T: std::str::FromStr>(&self, name: &str) -> Result<T, InferenceError> {
        let default = self.row(name).and_then(|o| o.default.parse().ok());
        let default = default.ok_or_else(|| {
            InferenceError::Breakdown(format!("bug in ppl: no default for `{name}`"))
        })?;
        self.settings.option(name, default)
    }

    /// The value of an option, or `other` where the method has no such option.
    fn get_or<T: std::str::FromStr>(&self, name: &str, other: T) -> Result<T, InferenceError> {
        if self.row(name).is_some() { self.get(name) } else { Ok(other) }
    }

    /// The value of an option whose default may be `auto`.
    pub(super) fn or_auto<T: std::str::FromStr>(
        &self,
        name: &str,
        auto: T,
    ) -> Result<T, InferenceError> {
        let text: String = self.get(name)?;
        if text == "auto" {
            return Ok(auto);
        }
        text.parse().map_err(|_| {
            InferenceError::Setting(format!("`{text}` is not a value that `{name}` can take"))
        })
    }

    /// The value of an option that counts something.
    pub(super) fn at_least_one(&self, name: &str) -> Result<usize, InferenceError> {
        match self.get(name)? {
            0 => Err(InferenceError::Setting(format!("`{name}` must be at least 1"))),
            n => Ok(n),
        }
    }

    /// Widths of layers, or two of `auto`.
    fn widths(&self, name: &str, auto: usize) -> Result<Vec<usize>, InferenceError> {
        let text: String = self.get(name)?;
        if text == "auto" {
            return Ok(vec![auto; 2]);
        }
        let parsed: Option<Vec<usize>> =
            text.split(',').map(|w| w.trim().parse().ok().filter(|w| *w > 0)).collect();
        parsed.ok_or_else(|| {
            InferenceError::Setting(format!("`{name}` wants widths such as 64,64, not `{text}`"))
        })
    }
}

/// What the methods share, parsed.
#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) iterations: usize,
    pub(super) learning_rate: f64,
    pub(super) batch: usize,
    pub(super) family: FamilySettings,
    pub(super) antithetic: bool,
    pub(super) standardize: Standardize,
    /// Longest gradient of the family, so that one far draw does not undo what was learned.
    pub(super) clip: f64,
    pub(super) annealing: f64,
    /// Of the family's and the critic's learning rate.
    pub(super) schedule: [Schedule; 2],
    pub(super) average: f64,
    pub(super) critic_hidden: Vec<usize>,
    pub(super) critic_learning_rate: f64,
    pub(super) mixing_draws: usize,
    pub(super) resample: Resample,
}

impl Options {
    /// `clip`: what its `auto` means.
    pub(super) fn new(
        reader: &Reader<'_>,
        dim: usize,
        clip: f64,
    ) -> Result<Options, InferenceError> {
        let bad = |text: &str| Err(InferenceError::Setting(text.into()));
        // Two layers that grow with the dimension, but not as fast.
        let family_width = (2 * dim).clamp(64, 256);
        let critic_width = (32 * (dim + 1)).min(128).max((4 * dim).min(256));
        let schedule: String = reader.get("schedule")?;
        let schedule = match schedule.as_str() {
            // The critic must keep up to the end, so its rate falls less far.
            "cosine" => [0.005, 0.05].map(|floor| Schedule::Cosine { warmup: 0.02, floor }),
            "step" => [Schedule::Step { every: reader.get("decay-every")?, factor: 0.9 }; 2],
            text => {
                return bad(&format!("`schedule` must be cosine or step, not `{text}`"));
            }
        };
        let common = reader.settings;
        let options = Options {
            iterations: common.option(
                "iterations",
                common.iterations.map_or_else(|| reader.get("iterations"), Ok)?,
            )?,
            learning_rate: common.option(
                "learning-rate",
                common.learning_rate.map_or_else(|| reader.get("learning-rate"), Ok)?,
            )?,
            batch: common.option(
                "grad-samples",
                common.grad_samples.map_or_else(|| reader.get("grad-samples"), Ok)?,
            )?,
            family: FamilySettings {
                latent: reader.or_auto("latent", dim.min(50))?,
                hidden: reader.widths("hidden", family_width)?,
                linear: reader.get("linear")?,
                log_variance: reader.get("log-variance")?,
                log_variance_floor: reader.get("log-variance-floor")?,
            },
            antithetic: reader.get_or("antithetic", false)?,
            standardize: reader.get("standardize")?,
            clip: reader.or_auto("clip", clip)?,
            annealing: reader.get("annealing")?,
            schedule,
            average: reader.get("average")?,
            critic_hidden: reader.widths("critic-hidden", critic_width)?,
            critic_learning_rate: reader.get("critic-learning-rate")?,
            mixing_draws: reader.get("mixing-draws")?,
            resample: reader.get("resample")?,
        };
        if options.iterations == 0 || options.batch < 2 {
            return bad("`iterations` must be at least 1, `grad-samples` at least 2");
        }
        if options.mixing_draws == 0 || options.family.latent == 0 {
            return bad("`mixing-draws` and `latent` must be at least 1");
        }
        let positive = |x: f64| x.is_finite() && x > 0.0;
        if !positive(options.learning_rate) || !positive(options.critic_learning_rate) {
            return bad("learning rates must be positive");
        }
        if options.clip.is_nan() || options.clip <= 0.0 {
            return bad("`clip` must be positive");
        }
        if !(0.0..=1.0).contains(&options.annealing) || !(0.0..=1.0).contains(&options.average) {
            return bad("`annealing` and `average` are fractions between 0 and 1");
        }
        Ok(options)
    }
}
