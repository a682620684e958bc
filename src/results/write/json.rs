//! [`Summary`] ↔ `summary.json`.
//!
//! What a method cannot know, and what is not finite, is `null`; the file is always valid JSON.

use serde_json::{Map, Value, json};

use crate::data::unravel;
use crate::inference::{KhatKind, VerdictLevel};
use crate::results::{Role, Statistics, Summary, Timing, VariableSummary};

/// Why a summary cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The text is not JSON.
    #[error("not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A field is absent or of the wrong kind.
    #[error("the field `{0}` is absent or not what ppl writes there")]
    Field(String),
}

type Getter = fn(&Statistics) -> Option<f64>;

/// Names of a variable's statistics and how to get them.
const STATISTICS: [(&str, Getter); 8] = [
    ("mean", |s| Some(s.mean)),
    ("sd", |s| Some(s.sd)),
    ("q5", |s| Some(s.q5)),
    ("q50", |s| Some(s.q50)),
    ("q95", |s| Some(s.q95)),
    ("mcse", |s| Some(s.mcse)),
    ("ess", |s| Some(s.ess)),
    ("rhat", |s| s.rhat),
];

fn verdict_name(level: VerdictLevel) -> &'static str {
    match level {
        VerdictLevel::Ok => "ok",
        VerdictLevel::Doubtful => "doubtful",
        VerdictLevel::Failed => "failed",
    }
}

fn khat_name(kind: KhatKind) -> &'static str {
    match kind {
        KhatKind::Exact => "exact",
        KhatKind::Augmented => "augmented",
        KhatKind::Estimated => "estimated",
    }
}

/// A value per scalar as nested lists of the variable's shape.
fn nest(shape: &[usize], values: &[Option<f64>]) -> Value {
    match shape.split_first() {
        // serde_json turns numbers that are not finite into null.
        None => values.first().copied().flatten().into(),
        Some((n, rest)) => {
            let stride = rest.iter().product::<usize>();
            (0..*n).map(|i| nest(rest, &values[i * stride..(i + 1) * stride])).collect()
        }
    }
}

impl Summary {
    /// The content of `summary.json`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut variables = Map::new();
        for v in &self.variables {
            let mut entry = Map::new();
            entry.insert("shape".into(), json!(v.shape));
            entry.insert("role".into(), v.role.as_str().into());
            for (name, get) in STATISTICS {
                let values: Vec<_> = v.scalars.iter().map(get).collect();
                entry.insert(name.into(), nest(&v.shape, &values));
            }
            variables.insert(v.name.clone(), entry.into());
        }
        json!({
            "method": self.method,
            "model": self.model,
            "seed": self.seed,
            "draws": self.draws,
            "chains": self.chains,
            "dim": self.dim,
            "verdict": verdict_name(self.verdict),
            "reasons": self.reasons,
            "next": self.next,
            "interrupted": self.interrupted,
            "elbo": self.elbo,
            "elbo_se": self.elbo_se,
            "log_z": self.log_z,
            "log_z_se": self.log_z_se,
            "iwae": self.iwae,
            "iwae_se": self.iwae_se,
            "khat": self.khat,
            "khat_kind": self.khat_kind.map(khat_name),
            "fisher_divergence": self.fisher_divergence,
            "timing": {
                "compile_s": self.timing.compile_s,
                "train_s": self.timing.train_s,
                "iterations": self.timing.iterations,
                "median_iteration_ms": self.timing.median_iteration_ms,
                "peak_rss_mb": self.timing.peak_rss_mb,
            },
            "variables": variables,
        })
    }

    /// Reads a `summary.json`.
    ///
    /// # Errors
    /// When the text is not JSON or not a summary.
    pub fn from_json(text: &str) -> Result<Self, ReadError> {
        let root: Value = serde_json::from_str(text)?;
        let top = Fields { value: &root, path: "" };
        let timing = top.fields("timing")?;
        let variables = top.fields("variables")?;
        let entries = variables.value.as_object().ok_or_else(|| variables.wrong(""))?;
        Ok(Summary {
            method: top.text("method")?,
            model: top.text("model")?,
            seed: top.value["seed"].as_u64().ok_or_else(|| top.wrong("seed"))?,
            draws: top.count("draws")?,
            chains: top.count("chains")?,
            dim: top.count("dim")?,
            verdict: [VerdictLevel::Ok, VerdictLevel::Doubtful, VerdictLevel::Failed]
                .into_iter()
                .find(|level| root["verdict"] == verdict_name(*level))
                .ok_or_else(|| top.wrong("verdict"))?,
            reasons: serde_json::from_value(root["reasons"].clone())?,
            next: root["next"].as_str().map(str::to_owned),
            interrupted: root["interrupted"].as_bool().unwrap_or(false),
            elbo: root["elbo"].as_f64(),
            elbo_se: root["elbo_se"].as_f64(),
            log_z: root["log_z"].as_f64(),
            log_z_se: root["log_z_se"].as_f64(),
            iwae: root["iwae"].as_f64(),
            iwae_se: root["iwae_se"].as_f64(),
            khat: root["khat"].as_f64(),
            khat_kind: [KhatKind::Exact, KhatKind::Augmented, KhatKind::Estimated]
                .into_iter()
                .find(|kind| root["khat_kind"] == khat_name(*kind)),
            fisher_divergence: root["fisher_divergence"].as_f64(),
            timing: Timing {
                compile_s: timing.number("compile_s"),
                train_s: timing.number("train_s"),
                iterations: timing.count("iterations")?,
                median_iteration_ms: timing.number("median_iteration_ms"),
                peak_rss_mb: timing.value["peak_rss_mb"].as_f64(),
            },
            variables: entries
                .iter()
                .map(|(name, value)| read_variable(name, &Fields { value, path: name }))
                .collect::<Result<_, _>>()?,
        })
    }
}

fn read_variable(name: &str, entry: &Fields<'_>) -> Result<VariableSummary, ReadError> {
    let shape: Vec<usize> = serde_json::from_value(entry.value["shape"].clone())?;
    let role = [Role::Param, Role::Let, Role::Gen]
        .into_iter()
        .find(|role| entry.value["role"] == role.as_str())
        .ok_or_else(|| entry.wrong("role"))?;
    let scalar = |element: usize| {
        let index = unravel(&shape, element);
        let get =
            |name: &str| index.iter().fold(&entry.value[name], |value, i| &value[i - 1]).as_f64();
        let known = |name: &str| get(name).unwrap_or(f64::NAN);
        Statistics {
            mean: known("mean"),
            sd: known("sd"),
            q5: known("q5"),
            q50: known("q50"),
            q95: known("q95"),
            mcse: known("mcse"),
            ess: known("ess"),
            rhat: get("rhat"),
        }
    };
    let scalars = (0..shape.iter().product()).map(scalar).collect();
    Ok(VariableSummary { name: name.into(), shape: shape.clone(), role, scalars })
}

/// An object and where it stands, for messages.
struct Fields<'a> {
    value: &'a Value,
    path: &'a str,
}

impl<'a> Fields<'a> {
    fn wrong(&self, name: &str) -> ReadError {
        ReadError::Field(format!("{}.{name}", self.path).trim_matches('.').to_owned())
    }

    fn fields(&self, name: &'a str) -> Result<Fields<'a>, ReadError> {
        let value = self.value.get(name).ok_or_else(|| self.wrong(name))?;
        Ok(Fields { value, path: name })
    }

    fn text(&self, name: &str) -> Result<String, ReadError> {
        self.value[name].as_str().map(str::to_owned).ok_or_else(|| self.wrong(name))
    }

    fn count(&self, name: &str) -> Result<usize, ReadError> {
        let count = self.value[name].as_u64().and_then(|n| usize::try_from(n).ok());
        count.ok_or_else(|| self.wrong(name))
    }

    fn number(&self, name: &str) -> f64 {
        self.value[name].as_f64().unwrap_or(f64::NAN)
    }
}
