//! What sets Langevin chains apart: the columns of the table of methods, and the options of all.

/// How momentum behaves: the first column of the table of methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Momentum {
    /// None: the overdamped limit, unadjusted Langevin steps.
    Overdamped,
    /// Kept by a learned factor `η` and refreshed exactly, `ρ' = η ρ + √(1 − η²) ξ`.
    Retained,
    /// Damped by a learned friction `γ`, Euler: `ρ' = (1 − γe) ρ + √(2γe) ξ`.
    Damped,
}

/// What the network is for: the second column of the table of methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// No network: the backward kernel is the forward one.
    None,
    /// A learned score in the mean of the backward kernel.
    Backward,
    /// A learned control that steers the forward kernel and, with the opposite sign, is undone by the
    /// backward kernel [vargas2024, sec. 3].
    Both,
}

/// A row of the table of methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dynamics {
    /// The momentum.
    pub momentum: Momentum,
    /// The network.
    pub correction: Correction,
}

impl Dynamics {
    /// Steps that the network tells apart. An overdamped control is one of points, `K + 1` of them.
    pub(super) fn embeddings(self, bridges: usize) -> usize {
        bridges + usize::from(self.steered() && self.overdamped())
    }

    /// Points whose force is in the correction.
    pub(super) fn guides(self) -> usize {
        match self.correction {
            Correction::None => 0,
            Correction::Backward if !self.overdamped() => 2,
            Correction::Backward | Correction::Both => 1,
        }
    }

    /// Whether the network enters the forward kernel.
    pub(super) fn steered(self) -> bool {
        self.correction == Correction::Both
    }

    pub(super) fn overdamped(self) -> bool {
        self.momentum == Momentum::Overdamped
    }
}

/// The symmetric integrator of a step; all are of second order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integrator {
    /// Kick, turn, kick, in coordinates in which the start is standard normal: the motion in the start's
    /// own harmonic force and the friction are solved exactly, and only what the target adds to the start
    /// is a kick, so that the error of a step is of the size of that [shahbaba2014, sec. 3.1;
    /// chao2015].
    Exponential,
    /// Kick, drift, kick, in the coordinates of the density.
    VelocityVerlet,
}

/// What the annealing levels may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Levels {
    /// Each a number of its own. The density of a step is that of no posterior then, but any kick keeps
    /// volumes, and a chain of few steps can undo at one level what it lost at another.
    Free,
    /// Rising from 0 to 1 \[geffner2023\].
    Rising,
}

/// What a chain is like, besides the values of its parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Form {
    /// The method's row.
    pub dynamics: Dynamics,
    /// Steps `K`.
    pub bridges: usize,
    /// How a step is integrated.
    pub integrator: Integrator,
    /// Whether the correction has a part that is a multiple of the force.
    pub guided: bool,
    /// What the levels may be.
    pub levels: Levels,
    /// Whether every dimension has a step size of its own.
    pub step_per_dimension: bool,
    /// Whether the start has learned correlations.
    pub full_start: bool,
    /// Initial values of the scalars.
    pub initial: Initial,
}

/// Initial values of the scalars.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Initial {
    /// Step size `e`.
    pub step_size: f64,
    /// Friction `γ`.
    pub friction: f64,
    /// Momentum retention `η`.
    pub retention: f64,
}
