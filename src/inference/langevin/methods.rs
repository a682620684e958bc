//! The table of Langevin methods.

use super::fit::fit;
use super::form::{Correction, Dynamics, Momentum};
use crate::inference::method::{RESAMPLE, option};
use crate::inference::{Fit, InferenceError, Method, MethodOption, Monitor, Settings, Target};

/// What sets a method apart.
#[derive(Debug, Clone, Copy)]
struct Row {
    name: &'static str,
    summary: &'static str,
    paper: &'static str,
    momentum: Momentum,
    correction: Correction,
}

const TABLE: [Row; 6] = [
    Row {
        name: "ula",
        summary: "Annealed unadjusted Langevin steps; the backward kernel is the forward kernel.",
        paper: "Thin et al., ICML 2021; Wu et al., NeurIPS 2020",
        momentum: Momentum::Overdamped,
        correction: Correction::None,
    },
    Row {
        name: "mcd",
        summary: "Overdamped Langevin steps with a learned score in the backward kernel.",
        paper: "Doucet et al., NeurIPS 2022 (arXiv 2208.07698)",
        momentum: Momentum::Overdamped,
        correction: Correction::Backward,
    },
    Row {
        name: "uha",
        summary: "Annealed Hamiltonian steps with partial momentum refreshes, uncorrected.",
        paper: "Geffner & Domke, NeurIPS 2021; Zhang et al., NeurIPS 2021",
        momentum: Momentum::Retained,
        correction: Correction::None,
    },
    Row {
        name: "ldvi",
        summary: "Underdamped Langevin steps with a learned score in the backward kernel.",
        paper: "Geffner & Domke, AISTATS 2023 (arXiv 2208.07743)",
        momentum: Momentum::Damped,
        correction: Correction::Backward,
    },
    Row {
        name: "cmcd",
        summary: "Overdamped Langevin steps steered by a learned control, which the way back undoes.",
        paper: "Vargas et al., ICLR 2024 (arXiv 2307.01050)",
        momentum: Momentum::Overdamped,
        correction: Correction::Both,
    },
    Row {
        name: "cmcd-ud",
        summary: "Underdamped Langevin steps whose momentum a learned control steers, undone on the way \
                  back.",
        paper: "Vargas et al., ICLR 2024 (arXiv 2307.01050)",
        momentum: Momentum::Damped,
        correction: Correction::Both,
    },
];

/// Unadjusted Langevin annealing.
pub const ULA: Method = method::<0>();
/// Monte Carlo diffusion.
pub const MCD: Method = method::<1>();
/// Uncorrected Hamiltonian annealing.
pub const UHA: Method = method::<2>();
/// Langevin diffusion variational inference.
pub const LDVI: Method = method::<3>();
/// Controlled Monte Carlo diffusion.
pub const CMCD: Method = method::<4>();
/// Controlled Monte Carlo diffusion, underdamped.
pub const CMCD_UD: Method = method::<5>();

const fn method<const ROW: usize>() -> Method {
    let Row { name, summary, paper, momentum, correction } = TABLE[ROW];
    let options = options(momentum, correction);
    Method { name, group: "Langevin", summary, paper, options, run: run::<ROW> }
}

fn run<const ROW: usize>(
    target: Target<'_>,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<Fit, InferenceError> {
    let Row { name, momentum, correction, .. } = TABLE[ROW];
    fit(name, Dynamics { momentum, correction }, target, settings, monitor)
}

const BRIDGES: MethodOption =
    option("bridges", "8", "Langevin steps; more are better and slower", "K");
// Without momentum a step gets less far.
const OVERDAMPED_BRIDGES: MethodOption = MethodOption { default: "16", ..BRIDGES };
const ITERATIONS: MethodOption = option(
    "iterations",
    "4000",
    "training steps at most; fewer where the bound has stopped rising",
    "",
);
const RATE: MethodOption = option(
    "learning-rate",
    "0.005",
    "Adam's rate, held until the bound stops rising, then decayed by a cosine",
    "",
);
const CHAINS: MethodOption = option("grad-samples", "16", "chains per gradient", "N");
const LEAST_GAIN: MethodOption = option(
    "least-gain",
    "0.02",
    "training ends where the bound gained less than this, in nats, from one stretch to the next",
    "",
);
const STEP: MethodOption = option(
    "step-size",
    "0.4",
    "initial step size of the integrator, by default less where K > 8, as K^(−1/4); trained",
    "ε",
);
const OVERDAMPED_STEP: MethodOption = option(
    "step-size",
    "0.1",
    "initial step size, by default less where K > 8, as K^(−1/2); trained",
    "ε",
);
const STEPS: MethodOption =
    option("step-sizes", "global", "one step size (global) or one for each dimension", "");
const INTEGRATOR: MethodOption = option(
    "integrator",
    "exponential",
    "exponential (kick, turn, kick: the start's part of the force and the friction solved exactly) or \
     velocity-verlet (kick, drift, kick; the default with precondition=none)",
    "",
);
const LEVELS: MethodOption = option(
    "levels",
    "free",
    "annealing levels: free (each a number of its own) or rising (from 0 to 1; the default with \
     precondition=none)",
    "β",
);
const CORRECTION: MethodOption = option(
    "correction",
    "guided",
    "guided (a network and, for each step, a multiple of ∇ log p − ∇ log q) or plain (the network alone; \
     the default with precondition=none)",
    "s",
);
const FRICTION: MethodOption = option("friction", "0.3", "initial friction; trained", "γ");
const RETENTION: MethodOption =
    option("retention", "0.9", "initial share of momentum kept by a refresh; trained", "η");
const START: MethodOption = option(
    "start",
    "diagonal",
    "covariance of the trained start distribution, in the chain's coordinates: diagonal or full",
    "q",
);
const PRECONDITION: MethodOption = option(
    "precondition",
    "transport",
    "coordinates from the start's covariance (none, diagonal or dense), or dense and bent by a transport \
     map; diagonal beyond D = 200",
    "M",
);

/// A method's own options and those of all.
macro_rules! options {
    ($($own:expr),+) => {
        &[$($own,)+ ITERATIONS, RATE, CHAINS, LEAST_GAIN, STEPS, INTEGRATOR, LEVELS, START, PRECONDITION, RESAMPLE]
    };
}

/// What a method can be set to.
const fn options(momentum: Momentum, correction: Correction) -> &'static [MethodOption] {
    match (momentum, correction) {
        (Momentum::Overdamped, Correction::None) => options![OVERDAMPED_BRIDGES, OVERDAMPED_STEP],
        (Momentum::Overdamped, _) => options![OVERDAMPED_BRIDGES, OVERDAMPED_STEP, CORRECTION],
        (Momentum::Retained, _) => options![BRIDGES, STEP, RETENTION],
        (Momentum::Damped, _) => options![BRIDGES, STEP, FRICTION, CORRECTION],
    }
}
