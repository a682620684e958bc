//! `ppl doctor`: what this build of ppl and this machine offer each other.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::exec::instruction_set;

use super::args::DoctorArgs;
use super::console::Console;
use super::failure::{Exit, Outcome};
use super::settings::gpu;

pub(super) fn run(args: &DoctorArgs, console: Console) -> Outcome {
    let facts = facts();
    if args.json {
        let all: Map<String, Value> =
            facts.into_iter().map(|fact| (fact.name.replace(' ', "_"), fact.value)).collect();
        console.result(&format!("{:#}\n", Value::Object(all)));
        return Ok(Exit::Done);
    }
    for Fact { name, text, .. } in facts {
        console.result(&format!("{name:<10}{text}\n"));
    }
    Ok(Exit::Done)
}

/// Something about the machine, for people and for programs.
struct Fact {
    name: &'static str,
    text: String,
    value: Value,
}

fn facts() -> Vec<Fact> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let fact = |name, text: String, value| Fact { name, text, value };
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let version = env!("CARGO_PKG_VERSION");
    let cpu = cpu().unwrap_or_else(|| arch.to_owned());
    let (set, lanes) = instruction_set();
    let memory = memory_mb();
    let shown = |mb: Option<u64>| mb.map_or_else(|| "not known".into(), gib);
    let cuda = cuda();
    vec![
        fact("ppl", format!("{version}, for {arch} {os}"), json!(version)),
        fact("cpu", cpu.clone(), json!(cpu)),
        fact(
            "simd",
            format!("{set}, {lanes} doubles at a time"),
            json!({"instruction_set": set, "lanes_f64": lanes}),
        ),
        fact(
            "threads",
            format!("{threads}; --threads takes fewer, and gives the same bits"),
            json!(threads),
        ),
        fact(
            "memory",
            format!("{} in all, {} free", shown(memory.0), shown(memory.1)),
            json!({"total_mb": memory.0, "available_mb": memory.1}),
        ),
        fact("cuda", cuda.0, cuda.1),
    ]
}

fn cpu() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
}

/// Total and available memory in MiB, as far as the system tells.
fn memory_mb() -> (Option<u64>, Option<u64>) {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let entry = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 =
            line.trim_start_matches(':').trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib / 1024)
    };
    (entry("MemTotal"), entry("MemAvailable"))
}

fn gib(mb: u64) -> String {
    format!("{:.1} GiB", mb as f64 / 1024.0)
}

/// Whether models could run on a GPU: this build's support, and the driver's devices.
fn cuda() -> (String, Value) {
    let built = cfg!(feature = "cuda");
    let names: Vec<String> = gpus();
    let usable = gpu();
    let build = match &usable {
        _ if !built => "this build is without it (build/cuda makes one with it)".to_owned(),
        Ok(()) => "this build has it, and --device cuda works".to_owned(),
        Err(why) => format!("this build has it, but {why}"),
    };
    let devices = if names.is_empty() { "no NVIDIA GPU".to_owned() } else { names.join(", ") };
    let facts = json!({"built": built, "usable": usable.is_ok(), "devices": names});
    (format!("{build}; {devices}"), facts)
}

/// The models of the GPUs that the NVIDIA driver shows.
fn gpus() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(Path::new("/proc/driver/nvidia/gpus")) else {
        return Vec::new();
    };
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(entry.ok()?.path().join("information")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Model:"))?;
        Some(line.trim().to_owned())
    };
    entries.filter_map(name).collect()
}
