//! Flags → the settings of a method. Nothing is ignored: a flag that the method does not have, and
//! an option that does not exist, are usage errors that name what there is.

use std::path::Path;
use std::time::Duration;

use crate::diagnostics::nearest;
use crate::exec::device::Source;
use crate::inference::{self, Deadline, Device, METHODS, Method, Precision, Settings};

use super::args::{DeviceFlag, PrecisionFlag, RunFlags};
use super::failure::Failure;

/// Reads the flags in a `--config` file.
pub(super) fn read_config(path: &Path) -> Result<RunFlags, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::usage(format!("cannot read {}: {e}", path.display())))?;
    toml::from_str(&text).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))
}

/// The method that the flags name.
pub(super) fn method(flags: &RunFlags) -> Result<&'static Method, Failure> {
    match &flags.infer {
        None => Err(Failure::usage(format!(
            "--infer METHOD is missing; `--infer auto` finds one, the methods are {}",
            list(METHODS.iter().map(|m| m.name))
        ))),
        Some(name) => named("--infer", name),
    }
}

fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// The method of that name, which `given` asks for.
pub(super) fn named(given: &str, name: &str) -> Result<&'static Method, Failure> {
    let names = || METHODS.iter().map(|m| m.name);
    inference::find(name).ok_or_else(|| {
        let known = match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the methods are {}", list(names())),
        };
        Failure::usage(format!("{given}: there is no method `{name}`; {known}"))
    })
}

/// The settings for `method`.
pub(super) fn settings(flags: &RunFlags, method: &'static Method) -> Result<Settings, Failure> {
    let defaults = Settings::default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut settings = Settings {
        seed: flags.seed.unwrap_or(defaults.seed),
        draws: flags.draws.unwrap_or(defaults.draws),
        iterations: flags.iterations,
        learning_rate: flags.learning_rate,
        grad_samples: flags.grad_samples,
        bridges: flags.bridges,
        deadline: match flags.max_seconds {
            None => Deadline::never(),
            Some(limit) => Deadline::after(seconds("max-seconds", limit)?),
        },
        tolerance: flags.tolerance,
        init: flags.init.clone(),
        start: None,
        precision: match flags.precision {
            None => defaults.precision,
            Some(PrecisionFlag::F32) => Precision::F32,
            Some(PrecisionFlag::F64) => Precision::F64,
        },
        // With the model, which is not known yet.
        device: Device::Cpu,
        threads: flags.threads.unwrap_or(cores),
        options: defaults.options,
    };
    for given in &flags.set {
        set(&mut settings, given, method)?;
    }
    check_flags(&settings, method)?;
    Ok(settings)
}

/// The dimension to subsample and how many of its elements to take, if the flags say so.
pub(super) fn minibatch(
    flags: &RunFlags,
    method: &Method,
) -> Result<Option<(String, usize)>, Failure> {
    let Some(given) = &flags.minibatch else { return Ok(None) };
    let parts = given.split_once('=').and_then(|(name, size)| {
        let size = size.trim().parse().ok().filter(|&size: &usize| size > 0)?;
        Some((name.trim().to_owned(), size))
    });
    let Some(minibatch) = parts else {
        let message = format!("--minibatch {given}: write NAME=SIZE, such as N=400");
        return Err(Failure::usage(message));
    };
    // Only optimisation by stochastic gradients can do with a noisy density.
    if !has(method, "learning-rate") {
        return Err(Failure::usage(format!(
            "--minibatch: `{}` takes the log density as exact, and part of the data only estimates it; \
             use a method that trains by stochastic gradients, such as mean-field",
            method.name
        )));
    }
    Ok(Some(minibatch))
}

/// How often to write a checkpoint.
pub(super) fn checkpoint_interval(flags: &RunFlags) -> Result<Duration, Failure> {
    seconds("checkpoint-seconds", flags.checkpoint_seconds.unwrap_or(30.0))
}

fn seconds(flag: &str, value: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| Failure::usage(format!("--{flag} {value} is not a time")))
}

/// Whether the device is there, and the method has a use for it.
pub(super) fn check_device(flags: &RunFlags, method: &Method) -> Result<(), Failure> {
    let name = match flags.device {
        None | Some(DeviceFlag::Cpu) => return Ok(()),
        Some(DeviceFlag::Tensors) => "tensors",
        Some(DeviceFlag::Cuda) => "cuda",
    };
    if !method.on_device() {
        let able = METHODS.iter().filter(|m| m.on_device()).map(|m| m.name);
        return Err(Failure::usage(format!(
            "--device {name}: `{}` runs on the CPU only; {} run on a device",
            method.name,
            list(able)
        )));
    }
    if flags.minibatch.is_some() {
        return Err(Failure::usage(format!(
            "--device {name}: a device has all of the data, without --minibatch"
        )));
    }
    match flags.device {
        Some(DeviceFlag::Cuda) => {
            gpu().map_err(|why| Failure::inference(format!("--device cuda: {why}")))
        }
        _ => Ok(()),
    }
}

/// Whether there is a GPU that this build can use.
pub(super) fn gpu() -> Result<(), String> {
    #[cfg(feature = "cuda")]
    return inference::backend::device::gpu().map_err(str::to_owned);
    #[cfg(not(feature = "cuda"))]
    Err("this build of ppl has no CUDA support; use --device cpu".into())
}

/// The device of a flag, for a model.
pub(super) fn device(flag: DeviceFlag, source: Source) -> Device {
    match flag {
        DeviceFlag::Cpu => Device::Cpu,
        DeviceFlag::Tensors => Device::Tensors(source),
        #[cfg(feature = "cuda")]
        DeviceFlag::Cuda => Device::Cuda(source),
        #[cfg(not(feature = "cuda"))]
        DeviceFlag::Cuda => unreachable!("refused by check_device"),
    }
}

/// Applies one `METHOD.OPTION=VALUE`; options of other methods are checked and left alone.
fn set(settings: &mut Settings, given: &str, running: &Method) -> Result<(), Failure> {
    let parts = given.split_once('=').and_then(|(key, value)| {
        let (method, option) = key.split_once('.')?;
        Some((method.trim(), option.trim(), value.trim()))
    });
    let Some((name, option, value)) = parts else {
        return Err(Failure::usage(format!("--set {given}: write METHOD.OPTION=VALUE")));
    };
    let method = named(&format!("--set {given}"), name)?;
    if !has(method, option) {
        return Err(unknown(&format!("--set {given}"), option, method));
    }
    if method.name != running.name {
        return Ok(());
    }
    let bad = || Failure::usage(format!("--set {given}: `{value}` is not a number that fits"));
    match option {
        "iterations" => settings.iterations = Some(value.parse().map_err(|_| bad())?),
        "learning-rate" => settings.learning_rate = Some(value.parse().map_err(|_| bad())?),
        "grad-samples" => settings.grad_samples = Some(value.parse().map_err(|_| bad())?),
        "bridges" => settings.bridges = Some(value.parse().map_err(|_| bad())?),
        "tolerance" => settings.tolerance = Some(value.parse().map_err(|_| bad())?),
        "init" => settings.init = Some(value.to_owned()),
        _ => {
            settings.options.insert(option.to_owned(), value.to_owned());
        }
    }
    Ok(())
}

fn has(method: &Method, option: &str) -> bool {
    method.options.iter().any(|o| o.name == option)
}

fn unknown(given: &str, option: &str, method: &Method) -> Failure {
    let names = || method.options.iter().map(|o| o.name);
    let known = match nearest(option, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if method.options.is_empty() => "it has none".into(),
        None => format!("its options are {}", list(names())),
    };
    Failure::usage(format!("{given}: `{}` has no option `{option}`; {known}", method.name))
}

/// Refuses values out of range, and flags that the method does not have.
fn check_flags(settings: &Settings, method: &Method) -> Result<(), Failure> {
    let given = [
        ("iterations", settings.iterations.is_some()),
        ("learning-rate", settings.learning_rate.is_some()),
        ("grad-samples", settings.grad_samples.is_some()),
        ("bridges", settings.bridges.is_some()),
    ];
    if settings.tolerance.is_some() && method.group == "reference" {
        let message = format!("--tolerance: `{}` has no objective to watch", method.name);
        return Err(Failure::usage(message));
    }
    if settings.init.is_some() && matches!(method.name, "laplace" | "pathfinder") {
        let message = format!("--init: `{}` looks for its own starts", method.name);
        return Err(Failure::usage(message));
    }
    for (name, is_given) in given {
        if is_given && !has(method, name) {
            return Err(unknown(&format!("--{name}"), name, method));
        }
    }
    let positive = |x: f64| x > 0.0 && x.is_finite();
    let zero = |x: Option<usize>| x == Some(0);
    let wrong = if settings.draws == 0 {
        Some("--draws must be at least 1")
    } else if settings.threads == 0 {
        Some("--threads must be at least 1")
    } else if zero(settings.iterations) {
        Some("--iterations must be at least 1")
    } else if zero(settings.grad_samples) {
        Some("--grad-samples must be at least 1")
    } else if settings.learning_rate.is_some_and(|x| !positive(x)) {
        Some("--learning-rate must be positive")
    } else if settings.tolerance.is_some_and(|x| !positive(x)) {
        Some("--tolerance must be positive")
    } else {
        None
    };
    wrong.map_or(Ok(()), |message| Err(Failure::usage(message)))
}
