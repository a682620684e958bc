//! One augmented Langevin chain on dfdx's tape: parameters and noise → log weights and end points.
//!
//! All methods of the family are this chain with different [`Dynamics`]: how momentum is refreshed, and
//! which kernels a network corrects. The forward kernels move points from the start `q = N(μ, Σ)` along
//! densities `L_b = b log p + (1 − b) log q` with learned levels `0 < b_1 < … < b_K < 1`; the backward
//! kernels define the augmented target. A step refreshes the momentum, `ρ' = keep ρ + spread ξ`, and
//! integrates `z' = h ρ, ρ' = ∇L_b(z)` once.
//!
//! An overdamped step of size `e` is one whose momentum is forgotten (`keep = 0`) with `h = √(2e)`: there
//! `z' = z + e ∇L_b(z) + √(2e) ξ`, and the backward residual `(z − z' − e ∇L_b(z')) / √(2e)` is the
//! momentum at the end of the step with its sign changed.
//!
//! The correction is a network and, with `guided`, for each step a multiple of the force `f = ∇ log p −
//! ∇ log q`. What the backward kernels lack is how far a chain lags behind the levels as they rise. To first
//! order in their speed that is, of its momentum or overdamped, a multiple of `f`, and a multiple of
//! `(∇f) ρ`, which is what `f` changes by over a step: so two numbers a step say what a network would
//! need millions of paths for. The same term is in the networks of later samplers [zhangchen2022, sec. 4].
//!
//! Structure that pays: a network that enters backward densities only, never the dynamics, is run
//! once on all `K·N` rows, after the chain; the score at a point serves both steps that meet there, so a
//! chain costs `K + 1` scores (and as many Hessian-vector products) and one value, at its end; a step
//! is a handful of operations on [`Node`]s.
//!
//! Reference: [geffner2023, alg. 1–2], [vargas2024, sec. 3]; letters: `e` step size, `g` friction `γ`,
//! `η` retention, `ξ` noise, `s` network. The forward and backward kernels of a step have equal
//! variances, so their normalisers cancel and a step adds `|ξ|²/2 − |residual|²/(2·variance)`.

use dfdx::prelude::{Axis, BroadcastTo, PutTape, ReshapeTo, SumTo, TryMatMul};
use rand::RngCore;
use smallvec::{SmallVec, smallvec};

use super::form::{Correction, Form, Integrator, Levels, Momentum};
use super::start::Start;
use super::step::{Coefficients, Motion, Point};
use crate::inference::backend::{Backend, Density, Node};
use crate::inference::fused::Term;
use crate::inference::network::{ResidualSoftplus, broadcast_scalar, normals};
use crate::inference::optimizer::{Handle, Parameters};
use crate::inference::tape::{Matrix, SharedTape, Vector};
use crate::real::Real;

/// Width of the learned embedding of the step index.
const EMBEDDING: usize = 20;
/// Largest step size `e`. In the coordinates of a start of unit scale a leapfrog step is stable up to 2.
const LARGEST_STEP: f64 = 1.5;
/// Largest force along a coordinate in which the start is standard normal. Steps that are right for nearly all
/// paths are too long where the density is steep, and a path that gets there is thrown to where it is
/// steeper yet. With its force bounded it comes back; a kick keeps volumes whatever the force.
const LARGEST_FORCE: f64 = 30.0;
/// Most knots of the schedule of levels.
const MAX_KNOTS: usize = 32;

/// Where the parameters of a chain are.
#[derive(Debug, Clone, Copy)]
pub struct Handles {
    /// Mean of the start, `[D]`.
    pub mu: Handle,
    /// Log standard deviations of the start, `[D]`; with correlations, of each coordinate given the ones
    /// after it.
    pub log_sd: Handle,
    /// What makes the start's coordinates dependent, `[D, D]`, read below the diagonal.
    pub mixing: Option<Handle>,
    /// Step size, `[1]`.
    pub step_size: Handle,
    /// Logs of the dimensions' factors on the step of `z`, `[D]`.
    pub step_scales: Option<Handle>,
    /// Friction or retention, `[1]`, if the momentum has one.
    pub friction: Option<Handle>,
    /// The levels themselves, `[K]`, or their unnormalised increments, `[min(K, 32) + 1]`.
    pub schedule: Handle,
    /// The network and the table of step embeddings, `[K, 20]` (of an overdamped control, `K + 1`).
    pub network: Option<(ResidualSoftplus, Handle)>,
    /// What the correction has of the force, `[K, 1]` (of an overdamped control, `K + 1`): where a step
    /// begins and, for a backward kernel with momentum, where it ends.
    pub guides: [Option<Handle>; 2],
}

/// A chain of `K` steps towards a density.
#[derive(Debug, Clone, Copy)]
pub struct Chain {
    pub(super) form: Form,
    /// The dimension `D`.
    pub dim: usize,
    /// The parameters.
    pub handles: Handles,
}

/// What simulating `N` chains gives.
#[derive(Debug)]
pub struct Paths<B: Backend> {
    /// Log weights `[N]`; their mean estimates the evidence lower bound.
    pub log_weights: Vector<B>,
    /// End points `[N, D]`.
    pub ends: B::Node,
    /// `log p(z_K): [N, 1]`.
    pub log_p: B::Node,
}

impl Chain {
    /// A chain with new parameters in group 0: start `N(μ, exp(log_sd)²)`, the network random but
    /// multiplied by zero, evenly spaced levels.
    pub fn new<B: Backend>(
        form: Form,
        start: (&[B::Number], &[B::Number]),
        parameters: &mut Parameters<B>,
        rng: &mut impl RngCore,
    ) -> Self {
        let d = start.0.len();
        let Form { dynamics, bridges, initial, .. } = form;
        let mut one = |name, value, (low, high)| {
            let handle = parameters.add(name, 0, vec![Real::of(value)]);
            parameters.bound(handle, low, high);
            handle
        };
        let step_size = one("step_size", initial.step_size, (1e-7, LARGEST_STEP));
        let friction = match dynamics.momentum {
            Momentum::Overdamped => None,
            Momentum::Retained => Some(one("retention", initial.retention, (0.0, 0.99))),
            Momentum::Damped => Some(one("friction", initial.friction, (1e-3, f64::INFINITY))),
        };
        let schedule = match form.levels {
            Levels::Free => {
                let even = (1..=bridges).map(|k| Real::of(k as f64 / (bridges + 1) as f64));
                parameters.add("levels", 0, even.collect())
            }
            Levels::Rising => {
                let ones = vec![Real::of(1.0); bridges.min(MAX_KNOTS) + 1];
                let increments = parameters.add("increments", 0, ones);
                parameters.bound(increments, 1e-3, f64::INFINITY);
                increments
            }
        };
        let network = (dynamics.correction != Correction::None).then(|| {
            let seen = if dynamics.overdamped() { d } else { 2 * d };
            let network = ResidualSoftplus::new(parameters, 0, seen + EMBEDDING, d, rng);
            let table = normals(dynamics.embeddings(bridges) * EMBEDDING, 0.05, rng);
            (network, parameters.add("embedding", 0, table))
        });
        let mut zeros =
            |wanted: bool, name, n| wanted.then(|| parameters.add(name, 0, vec![Real::of(0.0); n]));
        let step_scales = zeros(form.step_per_dimension, "step_scales", d);
        let mixing = zeros(form.full_start, "mixing", d * d);
        let wanted = if form.guided { dynamics.guides() } else { 0 };
        let guides = [0, 1].map(|i| zeros(i < wanted, "guide", dynamics.embeddings(bridges)));
        let handles = Handles {
            mu: parameters.add("mu", 0, start.0.to_vec()),
            log_sd: parameters.add("log_sd", 0, start.1.to_vec()),
            mixing,
            step_size,
            step_scales,
            friction,
            schedule,
            network,
            guides,
        };
        Chain { form, dim: d, handles }
    }

    /// Standard normal vectors that `simulate` needs for each chain.
    #[must_use]
    pub fn noises(&self) -> usize {
        self.form.bridges + 2
    }

    /// The annealing levels `b_1 … b_K`, `[1, K]`; those that rise are the normalised cumulative
    /// increments, interpolated linearly at `k/(K + 1)`.
    #[must_use]
    pub fn levels<B: Backend>(
        &self,
        parameters: &Parameters<B>,
        tape: &SharedTape<B>,
    ) -> Matrix<B> {
        let k = self.form.bridges;
        if self.form.levels == Levels::Free {
            return parameters.matrix(self.handles.schedule, (1, k), tape);
        }
        let knots = k.min(MAX_KNOTS) + 1;
        // Level k is the sum over increments of the share of each that lies before it.
        let mut share = vec![B::Number::of(0.0); knots * k];
        for i in 0..k {
            let position = (i + 1) as f64 / (k + 1) as f64 * knots as f64;
            for j in 0..knots {
                share[j * k + i] = Real::of((position - j as f64).clamp(0.0, 1.0));
            }
        }
        let share = B::tensor(&share, (knots, k)).put_tape(SharedTape::off());
        let increments = parameters.matrix(self.handles.schedule, (1, knots), tape);
        let total = increments.clone().sum::<(usize,), Axis<1>>();
        increments.matmul(share) / total.broadcast_like::<_, Axis<1>>(&(1, k))
    }

    /// Runs `n` chains towards a density on the constants `noise: [(K + 2)·N, D]` (start, initial momentum,
    /// steps).
    ///
    /// # Panics
    /// When `noise` has fewer rows than that.
    #[must_use]
    pub fn simulate<B: Backend>(
        &self,
        bridge: &B::Bridge,
        parameters: &Parameters<B>,
        noise: &B::Node,
        n: usize,
        tape: &SharedTape<B>,
    ) -> Paths<B> {
        let Form { dynamics, bridges: k, .. } = self.form;
        let shape @ (_, d) = (n, self.dim);
        let standardized = self.form.integrator == Integrator::Exponential;
        let start = Start::new(self.handles, parameters, shape, standardized, tape);
        let c = Coefficients::new(self, parameters, tape);

        // Terms of the log weights that no parameter enters: ½|ξ|² of the start, the initial momentum
        // and every step.
        let [first, momentum] = [0, n].map(|row| B::rows(noise, row, n));
        let xi = B::rows(noise, 2 * n, k * n);
        let per_chain = |x: &B::Node| x.tensor().reshape_like(&(n,));
        let of_steps = B::half_squares(&xi).tensor().reshape_like(&(k, n));
        let mut constant =
            of_steps.sum::<(usize,), Axis<0>>() + per_chain(&B::half_squares(&first));
        if !dynamics.overdamped() {
            constant = constant + per_chain(&B::half_squares(&momentum));
        }
        // All points and momenta on the way; refreshed momenta, and controls if there are any.
        let mut momenta = vec![momentum];
        let mut points = vec![at(bridge, &start, start.begin(first))];
        let (mut refreshed, mut controls) = (Vec::new(), Vec::new());
        let control = |point: &Point<B>, rho: &B::Node, step: usize| {
            let rho = (!dynamics.overdamped()).then_some(rho);
            let network = self.network(parameters, &point.z, rho, step..step + 1, tape);
            c.corrected(network, step, &[point])
        };
        for step in 0..k {
            let (here, rho) = (&points[step], &momenta[step]);
            let xi = B::rows(&xi, step * n, n);
            let mut terms = vec![match &c.spread {
                Some(spread) => Term::Scaled(spread, 0, &xi),
                None => Term::Plain(&xi),
            }];
            terms.extend(c.keep.as_ref().map(|keep| Term::Scaled(keep, 0, rho)));
            if dynamics.steered() {
                controls.push(control(here, rho, step));
            }
            terms.extend(controls.last().map(|s| Term::Scaled(&c.minus_push, 0, s)));
            let fresh = B::combine(shape, &terms);
            let (next, end) = integrate(bridge, &c, &start, step, here, &fresh);
            points.push(next);
            momenta.push(end);
            refreshed.push(fresh);
        }
        let (end, rho) = (&points[k], &momenta[k]);
        let ends = start.place(&end.z);
        let log_p = bridge.log_density_at(&ends);

        // What the backward kernels leave, all steps at once. Without momentum they are kernels at the
        // points where steps end, with it at those where steps begin.
        let at = usize::from(dynamics.overdamped());
        let before = B::stacked(&momenta[at..k + at]);
        let fresh = (!dynamics.overdamped()).then(|| B::stacked(&refreshed));
        let mut residual = vec![Term::Plain(&before)];
        if let (Some(keep), Some(fresh)) = (&c.minus_keep, &fresh) {
            residual.push(Term::Scaled(keep, 0, fresh));
        }
        let score = match dynamics.correction {
            Correction::None => None,
            Correction::Both if dynamics.overdamped() => {
                // The control at a point is that of both steps that meet there.
                controls.push(control(end, rho, k));
                Some(B::stacked(&controls[1..]))
            }
            Correction::Backward | Correction::Both => {
                let z: Vec<_> = points[at..k + at].iter().map(|p| p.z.clone()).collect();
                let score = self.network(parameters, &B::stacked(&z), fresh.as_ref(), 0..k, tape);
                Some(c.guided(score, &points[at..]))
            }
        };
        let push = if dynamics.overdamped() { &c.push } else { &c.minus_push };
        residual.extend(score.as_ref().map(|score| Term::Scaled(push, 0, score)));
        let lost = B::half_squares(&B::combine((k * n, d), &residual));
        let mut per_row = lost.tensor().reshape_like(&(k, n));
        if let Some(variance) = c.variance {
            per_row = per_row / broadcast_scalar(variance, (k, n));
        }
        let mut log_weights = start.minus_log_q(n) + constant + per_chain(&log_p)
            - per_row.sum::<(usize,), Axis<0>>();
        if !dynamics.overdamped() {
            log_weights = log_weights - per_chain(&B::half_squares(rho));
        }
        Paths { log_weights, ends, log_p }
    }

    /// The network at points and momenta `[steps·N, D]`, each with the embedding of its step.
    fn network<B: Backend>(
        &self,
        parameters: &Parameters<B>,
        z: &B::Node,
        rho: Option<&B::Node>,
        steps: std::ops::Range<usize>,
        tape: &SharedTape<B>,
    ) -> B::Node {
        let (network, table) = self.handles.network.expect("this correction has a network");
        let all = (self.form.dynamics.embeddings(self.form.bridges), EMBEDDING);
        let table = B::trained(parameters, table, all, tape);
        let seen: SmallVec<[&B::Node; 2]> = [z].into_iter().chain(rho).collect();
        let seen = B::side_by_side(&seen, &table, steps.start, steps.len());
        network.forward(parameters, &seen, tape)
    }
}

/// A point of every chain, with its forces.
fn at<B: Backend>(bridge: &B::Bridge, start: &Start<B>, z: B::Node) -> Point<B> {
    let score = start.pull_back(bridge.score_at(&start.place(&z)));
    let forces = if start.standardized {
        let force = B::combine(z.shape(), &[Term::Plain(&score), Term::Plain(&z)]);
        smallvec![B::bounded(&force, LARGEST_FORCE)]
    } else {
        smallvec![score, start.pull(&z)]
    };
    Point { z, forces }
}

/// One step of the integrator at the level of `step`, from a point and its refreshed momentum.
fn integrate<B: Backend>(
    bridge: &B::Bridge,
    c: &Coefficients<B>,
    start: &Start<B>,
    step: usize,
    here: &Point<B>,
    fresh: &B::Node,
) -> (Point<B>, B::Node) {
    let shape = fresh.shape();
    let kicked = |rho: &B::Node, point: &Point<B>| {
        let mut terms: SmallVec<[Term<'_, B::Node>; 3]> = SmallVec::new();
        terms.push(Term::Plain(rho));
        let kicks = c.kicks.iter().zip(&point.forces);
        terms.extend(kicks.map(|(kick, force)| Term::Scaled(kick, step, force)));
        B::combine(shape, &terms)
    };
    let rho = kicked(fresh, here);
    let sum = |a: (&B::Node, &B::Node), b: (&B::Node, &B::Node)| {
        B::combine(shape, &[Term::Scaled(a.0, 0, a.1), Term::Scaled(b.0, 0, b.1)])
    };
    let (z, rho) = match &c.motion {
        Motion::Straight { drift } => {
            (B::combine(shape, &[Term::Plain(&here.z), Term::Scaled(drift, 0, &rho)]), rho)
        }
        Motion::Turn { cos, sin, minus_sin } => {
            (sum((cos, &here.z), (sin, &rho)), sum((cos, &rho), (minus_sin, &here.z)))
        }
    };
    let next = at(bridge, start, z);
    let end = kicked(&rho, &next);
    (next, end)
}
