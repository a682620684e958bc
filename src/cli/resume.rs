//! `--resume RUN_DIR`: the flags of the run that is resumed, and whether those given now agree.

use std::path::Path;

use serde_json::{Map, Value};

use crate::results::{Checkpoint, Config};

use super::args::RunFlags;
use super::failure::Failure;
use super::run::directory_failure;

/// Flags that may differ: they end a run but do not change what it computes.
const FREE: &[&str] = &["max-seconds", "strict"];

/// Flags that no run keeps: a directory from a stranger does not say where to write.
const PLACES: &[&str] = &["out", "resume"];

/// The checkpoint in a run directory, and the flags given now with those of the run where nothing is
/// said now.
pub(super) fn resume(
    directory: &Path,
    mut given: RunFlags,
) -> Result<(Checkpoint, RunFlags), Failure> {
    let checkpoint = Checkpoint::read(directory).map_err(|e| directory_failure(&e))?;
    let mut saved = saved_flags(&checkpoint.config);
    let now = as_map(&given)?;
    let differences: Vec<String> = now
        .iter()
        .filter(|(name, value)| !agrees(name, value, saved.get(*name), &checkpoint.config))
        .map(|(name, value)| {
            let before = saved.get(name).map_or("not given".into(), Value::to_string);
            format!("--{name} is {value} now, but was {before}")
        })
        .collect();
    if !differences.is_empty() {
        return Err(Failure::usage(format!(
            "--resume {}: {}; only more --iterations and another --max-seconds are possible",
            directory.display(),
            differences.join("; ")
        )));
    }
    saved.retain(|name, _| !FREE.contains(&name.as_str()) && !PLACES.contains(&name.as_str()));
    let damaged = |e: serde_json::Error| {
        Failure::model(format!("the checkpoint in {} is damaged: {e}", directory.display()))
    };
    let saved: RunFlags = serde_json::from_value(Value::Object(saved)).map_err(damaged)?;
    // Those given are the same, and would only stand there twice.
    given.set.clear();
    Ok((checkpoint, given.over(saved)))
}

/// Refuses another model, other data, or another version of ppl.
pub(super) fn check_sources(before: &Config, now: &Config) -> Result<(), Failure> {
    let hash = |config: &Config| config.data.as_ref().map(|d| d.sha256.clone());
    let imports = |config: &Config| -> Vec<String> {
        config.imports.iter().map(|i| i.sha256.clone()).collect()
    };
    let what = if before.model.sha256 != now.model.sha256 {
        format!("the model {} is not the one that the run began with", now.model.path)
    } else if imports(before) != imports(now) {
        "a file that the model imports has changed".into()
    } else if hash(before) != hash(now) {
        let path = |c: &Config| c.data.as_ref().map_or("none".into(), |d| d.path.clone());
        format!("the data ({}) is not what the run began with ({})", path(now), path(before))
    } else if before.version != now.version {
        format!("the run was begun by ppl {}, this is {}", before.version, now.version)
    } else {
        return Ok(());
    };
    Err(Failure::model(format!("--resume: {what}")))
}

fn agrees(name: &str, now: &Value, before: Option<&Value>, config: &Config) -> bool {
    match (name, now.as_u64(), before) {
        _ if FREE.contains(&name) => true,
        // A sampler's warm-up is not to be lengthened.
        ("iterations", Some(now), before) if config.method != "nuts" => {
            before.is_none_or(|b| b.as_u64().is_some_and(|b| b <= now))
        }
        _ => before == Some(now),
    }
}

/// The flags of a run as they would stand in a `--config` file.
fn saved_flags(config: &Config) -> Map<String, Value> {
    let mut flags: Map<String, Value> = config.flags.clone().into_iter().collect();
    flags.insert("infer".into(), config.method.clone().into());
    flags.insert("seed".into(), config.seed.into());
    flags.insert("precision".into(), config.precision.clone().into());
    flags.insert("device".into(), config.device.clone().into());
    flags
}

fn as_map(flags: &RunFlags) -> Result<Map<String, Value>, Failure> {
    match serde_json::to_value(flags) {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err(Failure::usage("the flags cannot be compared")),
    }
}
