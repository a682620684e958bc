//! The flags, as data. What they mean together is for the subcommands to say.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::driver::Stage;

/// A probabilistic-programming language with a variational-inference backend.
#[derive(Debug, Parser)]
#[command(name = "ppl", version, propagate_version = true, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,

    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", display_order = 900)]
    pub(super) color: ColorWhen,

    /// Say nothing on standard error but errors
    #[arg(long, short, global = true, display_order = 901)]
    pub(super) quiet: bool,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Also into files and pipes
    Always,
    /// Not at all
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Fit a model, write the run directory, print the summary and the verdict
    Run(Box<RunArgs>),
    /// Report every error and lint, without inference
    Check(CheckArgs),
    /// Print one stage of compilation as text
    Emit(EmitArgs),
    /// Evaluate the log joint, its gradient and more at given points
    LogDensity(LogDensityArgs),
    /// Draw parameters from their priors, and data from them
    Simulate(SimulateArgs),
    /// Draw data and generated quantities from a finished run, also for new data
    Predict(PredictArgs),
    /// Fit data simulated from the prior many times over: does the method find what it should?
    #[command(visible_alias = "calibrate")]
    Sbc(SbcArgs),
    /// Print the summary of a finished run again
    Summary(SummaryArgs),
    /// Write one HTML page with the verdict, tables and plots of finished runs
    Report(ReportArgs),
    /// Put model files into the canonical layout
    Fmt(FmtArgs),
    /// Explain an error code
    Explain(ExplainArgs),
    /// List the inference methods and their options
    Methods(MethodsArgs),
    /// Compare the posteriors of two finished runs
    Compare(CompareArgs),
    /// Serve an editor: diagnostics, hover, completion and more, by the language-server protocol
    Lsp(LspArgs),
    /// Print a script that completes commands and flags in a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write all of them to a folder
    Man(ManArgs),
    /// Say what this machine offers: instruction set, threads, memory, GPU
    Doctor(DoctorArgs),
    /// Make a folder with a model, its data and a README, ready to run
    New(NewArgs),
}

/// A model and its data.
#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    /// The model file; `-` is standard input
    pub(super) model: PathBuf,

    /// Data as Stan JSON or CSV; `-` is standard input. Without it, MODEL.json, MODEL.data.json or
    /// data.json beside the model is taken
    #[arg(long, value_name = "FILE")]
    pub(super) data: Option<PathBuf>,

    #[command(flatten)]
    pub(super) limits: LimitArgs,

    /// Instruction set of vector loops, at most, to compare results over machines [default: the best
    /// that the processor has]
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub(super) simd: Option<SimdFlag>,
}

/// What a model may come to.
#[derive(Debug, Args)]
pub(super) struct LimitArgs {
    /// Elements of the largest array that the model may make of the data [default: 16777216, or eight
    /// times the largest of the data]
    #[arg(long, value_name = "N")]
    pub(super) max_elements: Option<usize>,

    /// Operations that the model may come to, with functions and loops written out where they have to
    /// be [default: 4194304]
    #[arg(long, value_name = "N")]
    pub(super) max_operations: Option<usize>,

    /// Bytes of the text of the model, and of each file that it imports [default: 2097152]
    #[arg(long, value_name = "N")]
    pub(super) max_model_bytes: Option<usize>,
}

/// An instruction set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SimdFlag {
    /// One number at a time
    Scalar,
    /// AVX2 and FMA
    Avx2,
}

#[derive(Debug, Args)]
// Else `--draws -5` is taken for a flag `-5`.
#[command(allow_negative_numbers = true)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) model: ModelArgs,

    /// Take flags from a TOML file; those on the command line win
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    #[command(flatten)]
    pub(super) flags: RunFlags,
}

/// The flags of a run that may also stand in `--config FILE.toml`, under the same names.
///
/// What is not given is left to the method; `ppl methods` lists the defaults.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct RunFlags {
    /// Inference method; `ppl methods` lists them
    #[arg(long, value_name = "METHOD")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) infer: Option<String>,

    /// Seed; the same seed gives the same bits [default: 1]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seed: Option<u64>,

    /// Posterior draws, over all chains [default: 4000]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) draws: Option<usize>,

    /// Training iterations, or warm-up transitions of a sampler
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) iterations: Option<usize>,

    /// Learning rate
    #[arg(long, value_name = "RATE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) learning_rate: Option<f64>,

    /// Reparameterised draws for each gradient
    #[arg(long, value_name = "N", visible_alias = "particles")]
    #[serde(alias = "particles", skip_serializing_if = "Option::is_none")]
    pub(super) grad_samples: Option<usize>,

    /// Langevin steps K
    #[arg(long, value_name = "K")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bridges: Option<usize>,

    /// Train on random elements of a dimension of the data at a time, such as N=400
    #[arg(long, value_name = "NAME=SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) minibatch: Option<String>,

    /// Method whose result is the starting point
    #[arg(long, value_name = "METHOD")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) init: Option<String>,

    /// Floating-point type of training [default: f64]
    #[arg(long, value_name = "f32|f64")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) precision: Option<PrecisionFlag>,

    /// Worker threads; results do not depend on them [default: as many as there are cores]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing)]
    pub(super) threads: Option<usize>,

    /// Device that evaluates the model [default: cpu]
    #[arg(long, value_name = "cpu|cuda")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) device: Option<DeviceFlag>,

    /// Stop after so many seconds and write what there is
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_seconds: Option<f64>,

    /// Stop when the objective gains relatively less than this
    #[arg(long, value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tolerance: Option<f64>,

    /// Exit with code 3 when the verdict is FAILED
    #[arg(long)]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) strict: bool,

    /// An option of a method; may be repeated
    #[arg(long, value_name = "METHOD.OPTION=VALUE")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) set: Vec<String>,

    /// Where to write the run [default: runs/MODEL-METHOD-SEED]
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing)]
    pub(super) out: Option<PathBuf>,

    /// Go on with an interrupted run, under the same flags, from its checkpoint
    #[arg(long, value_name = "RUN_DIR")]
    #[serde(skip_serializing)]
    pub(super) resume: Option<PathBuf>,

    /// Seconds between two checkpoints [default: 30]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing)]
    pub(super) checkpoint_seconds: Option<f64>,

    /// Print summary.json instead of the table
    #[arg(long)]
    #[serde(skip_serializing)]
    pub(super) json: bool,

    /// `--quiet` in a file.
    #[arg(skip)]
    #[serde(skip_serializing)]
    pub(super) quiet: bool,

    /// `--color` in a file.
    #[arg(skip)]
    #[serde(skip_serializing)]
    pub(super) color: Option<ColorWhen>,
}

/// Device that evaluates the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum DeviceFlag {
    /// The processor
    Cpu,
    /// The processor, by the operations that a GPU would run
    #[value(hide = true)]
    Tensors,
    /// An NVIDIA GPU
    Cuda,
}

/// Floating-point type of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PrecisionFlag {
    /// 32-bit
    F32,
    /// 64-bit
    F64,
}

impl RunFlags {
    /// These flags, and those of `file` where these say nothing. Options of both are kept, the
    /// file's first, so that the command line overrides them.
    pub(super) fn over(self, file: RunFlags) -> Self {
        RunFlags {
            infer: self.infer.or(file.infer),
            seed: self.seed.or(file.seed),
            draws: self.draws.or(file.draws),
            iterations: self.iterations.or(file.iterations),
            learning_rate: self.learning_rate.or(file.learning_rate),
            grad_samples: self.grad_samples.or(file.grad_samples),
            bridges: self.bridges.or(file.bridges),
            minibatch: self.minibatch.or(file.minibatch),
            init: self.init.or(file.init),
            precision: self.precision.or(file.precision),
            threads: self.threads.or(file.threads),
            max_seconds: self.max_seconds.or(file.max_seconds),
            tolerance: self.tolerance.or(file.tolerance),
            device: self.device.or(file.device),
            strict: self.strict || file.strict,
            set: file.set.into_iter().chain(self.set).collect(),
            out: self.out.or(file.out),
            resume: self.resume.or(file.resume),
            checkpoint_seconds: self.checkpoint_seconds.or(file.checkpoint_seconds),
            json: self.json || file.json,
            quiet: self.quiet || file.quiet,
            color: self.color.or(file.color),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) model: ModelArgs,

    /// Apply the fixes that messages offer, as far as they need no decision, and say which
    #[arg(long)]
    pub(super) fix: bool,

    /// Print diagnostics and the layout of the parameters as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct EmitArgs {
    #[command(flatten)]
    pub(super) model: ModelArgs,

    /// tokens, ast, typed, ir, ir-opt, grad, hvp or program
    #[arg(long, value_name = "STAGE", value_parser = parse_stage)]
    pub(super) stage: Stage,

    /// With the stage program: operations, bytes and time of each instruction for a point, as measured
    /// here and now
    #[arg(long)]
    pub(super) cost: bool,
}

fn parse_stage(name: &str) -> Result<Stage, String> {
    let names = || Stage::ALL.map(Stage::name).join(", ");
    Stage::parse(name).ok_or_else(|| format!("the stages are {}", names()))
}

#[derive(Debug, Args)]
pub(super) struct LogDensityArgs {
    #[command(flatten)]
    pub(super) model: ModelArgs,

    /// JSON list of {"unconstrained": [...]} or {"constrained": {"mu": 1.0, ...}}; `-` is standard
    /// input
    #[arg(long, value_name = "POINTS.json")]
    pub(super) at: PathBuf,

    /// Add the gradient
    #[arg(long)]
    pub(super) gradient: bool,

    /// Add the product of the Hessian with the point's "vector" (default: all ones)
    #[arg(long)]
    pub(super) hvp: bool,

    /// Add each summand of the log joint, keyed by its line:column in the model
    #[arg(long)]
    pub(super) terms: bool,
}

#[derive(Debug, Args)]
pub(super) struct SimulateArgs {
    /// The model, and its data: predictors and sizes; data that `~` draws may be absent
    #[command(flatten)]
    pub(super) model: ModelArgs,

    /// Draw the parameters from their priors
    #[arg(long)]
    pub(super) prior: bool,

    /// Number of draws
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1000)]
    pub(super) draws: usize,

    /// Seed; the same seed gives the same bits
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,

    /// A size that no data gives, such as `N=20`; may be repeated
    #[arg(long, value_name = "NAME=N")]
    pub(super) size: Vec<String>,

    /// Print one JSON object a draw instead of CSV
    #[arg(long)]
    pub(super) json: bool,

    /// Write draws.csv, fit.zarr and a data file for each draw to a directory instead
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct SbcArgs {
    /// The model, and its data: predictors and sizes; data that `~` draws may be absent
    #[command(flatten)]
    pub(super) model: ModelArgs,

    /// Inference method; `ppl methods` lists them
    #[arg(long, value_name = "METHOD", default_value = "auto")]
    pub(super) infer: String,

    /// Number of data sets to simulate and fit
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub(super) replicates: usize,

    /// Posterior draws that each true value is ranked among
    #[arg(long, value_name = "L", default_value_t = 100)]
    pub(super) ranks: usize,

    /// A size that no data gives, such as `N=20`; may be repeated
    #[arg(long, value_name = "NAME=N")]
    pub(super) size: Vec<String>,

    /// Seed of the simulation, and of the first fit
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,

    /// Training iterations, or warm-up transitions of a sampler
    #[arg(long, value_name = "N")]
    pub(super) iterations: Option<usize>,

    /// An option of a method; may be repeated
    #[arg(long, value_name = "METHOD.OPTION=VALUE")]
    pub(super) set: Vec<String>,

    /// Seconds that each fit may take
    #[arg(long, value_name = "SECONDS")]
    pub(super) max_seconds: Option<f64>,

    /// Worker threads; results do not depend on them [default: as many as there are cores]
    #[arg(long, value_name = "N")]
    pub(super) threads: Option<usize>,

    /// Exit with code 3 when the ranks are not uniform
    #[arg(long)]
    pub(super) strict: bool,

    /// Print JSON with every rank instead of the table
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct PredictArgs {
    /// The run directory
    pub(super) run: PathBuf,

    /// New data instead of the run's; data that `~` draws may be absent
    #[arg(long, value_name = "FILE")]
    pub(super) data: Option<PathBuf>,

    /// A size that no data gives, such as `N=20`; may be repeated
    #[arg(long, value_name = "NAME=N")]
    pub(super) size: Vec<String>,

    #[command(flatten)]
    pub(super) limits: LimitArgs,

    /// Seed of the draws [default: that of the run]
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,

    /// Print one JSON object a draw instead of CSV
    #[arg(long)]
    pub(super) json: bool,

    /// Write draws.csv and fit.zarr to a directory instead
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct SummaryArgs {
    /// The run directory
    pub(super) run: PathBuf,

    /// Print summary.json instead of the table
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Run directories; several are shown side by side
    #[arg(required = true, value_name = "RUN_DIR")]
    pub(super) runs: Vec<PathBuf>,

    /// Where to write the page; `-` is standard output [default: RUN_DIR/report.html, of several runs
    /// report.html]
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct FmtArgs {
    /// Model files; `-` reads standard input and writes standard output
    #[arg(required = true)]
    pub(super) files: Vec<PathBuf>,

    /// Change nothing; exit with code 1 if a file is not in the canonical layout
    #[arg(long)]
    pub(super) check: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The code, such as E0102; without one, all codes are listed
    pub(super) code: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct MethodsArgs {
    /// Only this method
    pub(super) name: Option<String>,
    /// Print as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct LspArgs {
    /// Speak over standard input and output, the only channel there is; needed on a terminal only
    #[arg(long)]
    pub(super) stdio: bool,

    /// Where to write files for the editor to show: the standard library, the pages of errors
    /// [default: the user's cache]
    #[arg(long, value_name = "DIR")]
    pub(super) cache: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    pub(super) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// The run that is taken as the reference
    #[arg(value_name = "A")]
    pub(super) first: PathBuf,

    /// The other one
    #[arg(value_name = "B")]
    pub(super) second: PathBuf,

    /// Print as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write ppl.1, ppl-run.1 and so on to this folder, such as ~/.local/share/man/man1
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Print as JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct NewArgs {
    /// The folder to make; its last part names the model
    pub(super) name: PathBuf,
}
