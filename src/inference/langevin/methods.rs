//! The table of Langevin methods.

use super::chain::{Correction, Dynamics, Momentum};
use super::fit::fit;
use crate::inference::method::{RESAMPLE, Run, option};
use crate::inference::{Method, MethodOption};

const BRIDGES: MethodOption =
    option("bridges", "8", "Langevin steps; more are better and slower", "K");
// Without momentum a step gets less far.
const OVERDAMPED_BRIDGES: MethodOption = MethodOption { default: "16", ..BRIDGES };
const ITERATIONS: MethodOption = option("iterations", "4000", "training steps", "");
const RATE: MethodOption =
    option("learning-rate", "0.005", "Adam's largest rate; decays by a cosine", "");
const CHAINS: MethodOption = option("grad-samples", "16", "chains per gradient", "N");
const STEP: MethodOption =
    option("step-size", "0.3", "initial step size of the leapfrog integrator; trained", "ε");
const OVERDAMPED_STEP: MethodOption =
    option("step-size", "0.05", "initial step size; trained", "ε");
const FRICTION: MethodOption = option("friction", "1", "initial friction; trained", "γ");
const RETENTION: MethodOption =
    option("retention", "0.5", "initial share of momentum kept by a refresh; trained", "η");
const PRECONDITION: MethodOption = option(
    "precondition",
    "dense",
    "coordinates from the start's covariance: none, diagonal or dense (diagonal beyond D = 200)",
    "M",
);

/// What the overdamped methods can be set to.
const OVERDAMPED: &[MethodOption] =
    &[OVERDAMPED_BRIDGES, ITERATIONS, RATE, CHAINS, OVERDAMPED_STEP, PRECONDITION, RESAMPLE];
/// What `uha` can be set to.
const RETAINED: &[MethodOption] =
    &[BRIDGES, ITERATIONS, RATE, CHAINS, STEP, RETENTION, PRECONDITION, RESAMPLE];
/// What `ldvi` can be set to.
const DAMPED: &[MethodOption] =
    &[BRIDGES, ITERATIONS, RATE, CHAINS, STEP, FRICTION, PRECONDITION, RESAMPLE];

/// Unadjusted Langevin annealing.
pub const ULA: Method = row(
    "ula",
    "Annealed unadjusted Langevin steps; the backward kernel is the forward kernel.",
    "Thin et al., ICML 2021; Wu et al., NeurIPS 2020",
    OVERDAMPED,
    |target, settings, monitor| {
        fit("ula", dynamics(Momentum::Overdamped, Correction::None), target, settings, monitor)
    },
);

/// Monte Carlo diffusion.
pub const MCD: Method = row(
    "mcd",
    "Overdamped Langevin steps with a learned score in the backward kernel.",
    "Doucet et al., NeurIPS 2022 (arXiv 2208.07698)",
    OVERDAMPED,
    |target, settings, monitor| {
        fit("mcd", dynamics(Momentum::Overdamped, Correction::Backward), target, settings, monitor)
    },
);

/// Uncorrected Hamiltonian annealing.
pub const UHA: Method = row(
    "uha",
    "Annealed Hamiltonian steps with partial momentum refreshes, uncorrected.",
    "Geffner & Domke, NeurIPS 2021; Zhang et al., NeurIPS 2021",
    RETAINED,
    |target, settings, monitor| {
        fit("uha", dynamics(Momentum::Retained, Correction::None), target, settings, monitor)
    },
);

/// Langevin diffusion variational inference.
pub const LDVI: Method = row(
    "ldvi",
    "Underdamped Langevin steps with a learned score in the backward kernel.",
    "Geffner & Domke, AISTATS 2023 (arXiv 2208.07743)",
    DAMPED,
    |target, settings, monitor| {
        fit("ldvi", dynamics(Momentum::Damped, Correction::Backward), target, settings, monitor)
    },
);

/// Controlled Monte Carlo diffusion.
pub const CMCD: Method = row(
    "cmcd",
    "Overdamped Langevin steps steered by a learned control, which the way back undoes.",
    "Vargas et al., ICLR 2024 (arXiv 2307.01050)",
    OVERDAMPED,
    |target, settings, monitor| {
        fit("cmcd", dynamics(Momentum::Overdamped, Correction::Both), target, settings, monitor)
    },
);

const fn row(
    name: &'static str,
    summary: &'static str,
    paper: &'static str,
    options: &'static [MethodOption],
    run: Run,
) -> Method {
    Method { name, group: "Langevin", summary, paper, options, run }
}

const fn dynamics(momentum: Momentum, correction: Correction) -> Dynamics {
    Dynamics { momentum, correction }
}
