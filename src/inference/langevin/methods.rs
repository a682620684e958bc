//! The table of Langevin methods.

use super::chain::{Dynamics, Momentum};
use super::fit::fit;
use crate::inference::{Method, MethodOption};

const fn option(
    name: &'static str,
    default: &'static str,
    meaning: &'static str,
    symbol: &'static str,
) -> MethodOption {
    MethodOption { name, default, meaning, symbol }
}

const BRIDGES: MethodOption =
    option("bridges", "8", "Langevin steps; more are better and slower", "K");
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
const RESAMPLE: MethodOption =
    option("resample", "false", "resample the draws by their smoothed importance weights", "");

/// Unadjusted Langevin annealing.
pub const ULA: Method = Method {
    name: "ula",
    group: "Langevin",
    summary: "Annealed unadjusted Langevin steps; the backward kernel is the forward kernel.",
    paper: "Thin et al., ICML 2021; Wu et al., NeurIPS 2020",
    options: &[BRIDGES, ITERATIONS, RATE, CHAINS, OVERDAMPED_STEP, PRECONDITION, RESAMPLE],
    run: |target, settings, monitor| {
        let dynamics = Dynamics { momentum: Momentum::Overdamped, network: false };
        fit("ula", dynamics, target, settings, monitor)
    },
};

/// Monte Carlo diffusion.
pub const MCD: Method = Method {
    name: "mcd",
    group: "Langevin",
    summary: "Overdamped Langevin steps with a learned score in the backward kernel.",
    paper: "Doucet et al., NeurIPS 2022 (arXiv 2208.07698)",
    options: &[BRIDGES, ITERATIONS, RATE, CHAINS, OVERDAMPED_STEP, PRECONDITION, RESAMPLE],
    run: |target, settings, monitor| {
        let dynamics = Dynamics { momentum: Momentum::Overdamped, network: true };
        fit("mcd", dynamics, target, settings, monitor)
    },
};

/// Uncorrected Hamiltonian annealing.
pub const UHA: Method = Method {
    name: "uha",
    group: "Langevin",
    summary: "Annealed Hamiltonian steps with partial momentum refreshes, uncorrected.",
    paper: "Geffner & Domke, NeurIPS 2021; Zhang et al., NeurIPS 2021",
    options: &[BRIDGES, ITERATIONS, RATE, CHAINS, STEP, RETENTION, PRECONDITION, RESAMPLE],
    run: |target, settings, monitor| {
        let dynamics = Dynamics { momentum: Momentum::Retained, network: false };
        fit("uha", dynamics, target, settings, monitor)
    },
};

/// Langevin diffusion variational inference.
pub const LDVI: Method = Method {
    name: "ldvi",
    group: "Langevin",
    summary: "Underdamped Langevin steps with a learned score in the backward kernel.",
    paper: "Geffner & Domke, AISTATS 2023 (arXiv 2208.07743)",
    options: &[BRIDGES, ITERATIONS, RATE, CHAINS, STEP, FRICTION, PRECONDITION, RESAMPLE],
    run: |target, settings, monitor| {
        let dynamics = Dynamics { momentum: Momentum::Damped, network: true };
        fit("ldvi", dynamics, target, settings, monitor)
    },
};
