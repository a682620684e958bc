//! One augmented Langevin chain on dfdx's tape: parameters and noise → log weights and end points.
//!
//! `ula`, `mcd`, `uha`, `ldvi` and `cmcd` are the same chain with different [`Dynamics`]:
//! how momentum is refreshed, and which kernels a network corrects. The forward kernels move points
//! from the start `q = N(μ, diag σ²)` along densities `L_b = b log p + (1 − b) log q` with learned
//! levels `0 < b_1 < … < b_K < 1`; the backward kernels define the augmented target.
//!
//! Structure that pays: a network that enters backward densities only, never the dynamics, is run
//! once on all `K·N` rows, after the chain; and the score at a point serves both steps
//! that meet there, so a chain costs `K + 1` evaluations (and as many Hessian-vector products).
//!
//! Reference: [geffner2023, alg. 1–2]; letters: `e` step size, `g` friction `γ`, `η` retention,
//! `ξ` noise, `s` network. The forward and backward kernels of a step have equal variances, so their
//! normalisers cancel and a step adds `|ξ|²/2 − |residual|²/(2·variance)`.

use dfdx::prelude::{
    Axis, BroadcastTo, HasShape, PutTape, ReshapeTo, SumTo, TryConcatAlong, TryMatMul, TryStack,
};
use rand::RngCore;

use crate::inference::bridge::Bridge;
use crate::inference::network::{ResidualSoftplus, broadcast_scalar, normals};
use crate::inference::optimizer::{Handle, Parameters};
use crate::inference::tape::{Element, Matrix, SharedTape, Vector, tensor};

/// Width of the learned embedding of the step index.
const EMBEDDING: usize = 20;
/// Most knots of the schedule of levels.
const MAX_KNOTS: usize = 32;

/// How momentum behaves: the first column of the table of methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Momentum {
    /// None: the overdamped limit, unadjusted Langevin steps.
    Overdamped,
    /// Kept by a learned factor `η` and refreshed exactly, `ρ' = η ρ + √(1 − η²) ξ`; leapfrog.
    Retained,
    /// Damped by a learned friction `γ`, Euler: `ρ' = (1 − γe) ρ + √(2γe) ξ`; leapfrog.
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
    /// Steps that the network tells apart. A control is needed at both ends of each.
    fn embeddings(self, bridges: usize) -> usize {
        bridges + usize::from(self.steered())
    }

    /// Whether the network enters the forward kernel.
    fn steered(self) -> bool {
        self.correction == Correction::Both
    }
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

/// Where the parameters of a chain are.
#[derive(Debug, Clone, Copy)]
pub struct Handles {
    /// Mean of the start, `[D]`.
    pub mu: Handle,
    /// Log standard deviations of the start, `[D]`.
    pub log_sd: Handle,
    /// Step size, `[1]`.
    pub step_size: Handle,
    /// Friction or retention, `[1]`, if the momentum has one.
    pub friction: Option<Handle>,
    /// Unnormalised increments of the levels, `[min(K, 32) + 1]`.
    pub increments: Handle,
    /// The network and the table of step embeddings, `[K, 20]` (of a control, `K + 1`).
    pub network: Option<(ResidualSoftplus, Handle)>,
}

/// A chain of `K` steps towards a density.
#[derive(Debug)]
pub struct Chain<E: Element> {
    dynamics: Dynamics,
    bridges: usize,
    bridge: Bridge<E>,
    /// The parameters.
    pub handles: Handles,
}

/// What simulating `N` chains gives.
#[derive(Debug)]
pub struct Paths<E: Element> {
    /// Log weights `[N]`; their mean estimates the evidence lower bound.
    pub log_weights: Vector<E>,
    /// End points `z_K: [N, D]`.
    pub ends: Matrix<E>,
    /// `log p(z_K): [N]`.
    pub log_p: Vector<E>,
}

impl<E: Element> Chain<E> {
    /// A chain with new parameters in group 0: start `N(μ, exp(log_sd)²)`, the network random but
    /// multiplied by zero, evenly spaced levels.
    ///
    /// # Panics
    /// For a control of a chain with momentum.
    pub fn new(
        dynamics: Dynamics,
        bridges: usize,
        bridge: Bridge<E>,
        start: (&[E], &[E]),
        initial: Initial,
        parameters: &mut Parameters<E>,
        rng: &mut impl RngCore,
    ) -> Self {
        assert!(
            !dynamics.steered() || dynamics.momentum == Momentum::Overdamped,
            "a control steers overdamped chains only"
        );
        let d = bridge.dim();
        let mut one = |name, value, (low, high)| {
            let handle = parameters.add(name, 0, vec![E::of(value)]);
            parameters.bound(handle, low, high);
            handle
        };
        let step_size = one("step_size", initial.step_size, (1e-7, 0.5));
        let friction = match dynamics.momentum {
            Momentum::Overdamped => None,
            Momentum::Retained => Some(one("retention", initial.retention, (0.0, 0.99))),
            Momentum::Damped => Some(one("friction", initial.friction, (1e-3, f64::INFINITY))),
        };
        let increments =
            parameters.add("increments", 0, vec![E::one(); bridges.min(MAX_KNOTS) + 1]);
        parameters.bound(increments, 1e-3, f64::INFINITY);
        let network = (dynamics.correction != Correction::None).then(|| {
            let seen = if dynamics.momentum == Momentum::Overdamped { d } else { 2 * d };
            let network = ResidualSoftplus::new(parameters, 0, seen + EMBEDDING, d, rng);
            let table = normals(dynamics.embeddings(bridges) * EMBEDDING, 0.05, rng);
            (network, parameters.add("embedding", 0, table))
        });
        let handles = Handles {
            mu: parameters.add("mu", 0, start.0.to_vec()),
            log_sd: parameters.add("log_sd", 0, start.1.to_vec()),
            step_size,
            friction,
            increments,
            network,
        };
        Chain { dynamics, bridges, bridge, handles }
    }

    /// The same chain towards the same density at another precision.
    #[must_use]
    pub fn with_bridge<F: Element>(&self, bridge: Bridge<F>) -> Chain<F> {
        Chain { dynamics: self.dynamics, bridges: self.bridges, bridge, handles: self.handles }
    }

    /// The dimension `D`.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.bridge.dim()
    }

    /// Standard normals that `simulate` needs for each chain.
    #[must_use]
    pub fn noise_per_chain(&self) -> usize {
        (self.bridges + 2) * self.bridge.dim()
    }

    /// The annealing levels `b_1 … b_K`, `[1, K]`: the normalised cumulative increments,
    /// interpolated linearly at `k/(K + 1)`.
    #[must_use]
    pub fn levels(&self, parameters: &Parameters<E>, tape: &SharedTape<E>) -> Matrix<E> {
        let (k, knots) = (self.bridges, self.bridges.min(MAX_KNOTS) + 1);
        // Level k is the sum over increments of the share of each that lies before it.
        let mut share = vec![E::zero(); knots * k];
        for i in 0..k {
            let position = (i + 1) as f64 / (k + 1) as f64 * knots as f64;
            for j in 0..knots {
                share[j * k + i] = E::of((position - j as f64).clamp(0.0, 1.0));
            }
        }
        let share = tensor(&share, (knots, k)).put_tape(SharedTape::off());
        let increments = parameters.matrix(self.handles.increments, (1, knots), tape);
        let total = increments.clone().sum::<(usize,), Axis<1>>();
        increments.matmul(share) / total.broadcast_like::<_, Axis<1>>(&(1, k))
    }

    /// Runs `n` chains on `noise: [K + 2, N, D]` (start, initial momentum, steps).
    ///
    /// # Panics
    /// When `noise` is shorter than that.
    #[must_use]
    pub fn simulate(
        &self,
        parameters: &Parameters<E>,
        noise: &[E],
        n: usize,
        tape: &SharedTape<E>,
    ) -> Paths<E> {
        let shape = (n, self.bridge.dim());
        let mut noise = noise.chunks_exact(shape.0 * shape.1);
        let xi = || device_constant(noise.next().expect("noise for every step"), shape);
        match self.dynamics.momentum {
            Momentum::Overdamped => self.overdamped(parameters, shape, xi, tape),
            Momentum::Retained | Momentum::Damped => self.underdamped(parameters, shape, xi, tape),
        }
    }

    /// Unadjusted Langevin: `z' = z + e ∇L_b(z) + √(2e) ξ`, backward mean `z' + e ∇L_b(z') + e s(z')`.
    /// A control is in both: `z' = z + e (∇L_b(z) − s_k(z)) + √(2e) ξ`, with `+ s_{k+1}(z')` on the way
    /// back, so that the network at a point serves both steps that meet there.
    fn overdamped(
        &self,
        parameters: &Parameters<E>,
        shape: (usize, usize),
        mut xi: impl FnMut() -> Matrix<E>,
        tape: &SharedTape<E>,
    ) -> Paths<E> {
        let start = Start::new(self.handles, parameters, shape, tape);
        let levels = self.levels(parameters, tape);
        let step = broadcast_scalar(parameters.vector(self.handles.step_size, tape), shape);
        let spread = (step.clone() * E::of(2.0)).sqrt();
        let (z, mut log_w) = start.draw(xi());
        let _ = xi();
        let mut node = Node::at(&self.bridge, &start, z);
        let (mut points, mut residuals) = (Vec::new(), Vec::new());
        let mut control = self.control(parameters, &node.z, 0, tape);
        for k in 0..self.bridges {
            let (b, xi) = (level(&levels, k, shape), xi());
            log_w = log_w + half_squares(xi.clone());
            let mut drift = node.drift(b.clone());
            if let Some(control) = control {
                drift = drift - control;
            }
            let next = node.z.clone() + step.clone() * drift + spread.clone() * xi;
            let next = Node::at(&self.bridge, &start, next);
            let mut drift = next.drift(b);
            control = self.control(parameters, &next.z, k + 1, tape);
            if let Some(control) = &control {
                drift = drift + control.clone();
            }
            let back = next.z.clone() + step.clone() * drift;
            residuals.push(node.z - back);
            points.push(next.z.clone());
            node = next;
        }
        log_w = log_w + node.log_p.clone();
        let rows = self.bridges * shape.0;
        let mut residual = stacked(residuals);
        if self.dynamics.correction == Correction::Backward {
            let score = self.correction(parameters, stacked(points), tape);
            let step = parameters.vector(self.handles.step_size, tape);
            residual = residual - broadcast_scalar(step, (rows, shape.1)) * score;
        }
        let step = parameters.vector(self.handles.step_size, tape);
        let per_row = half_squares(residual).reshape_like(&(self.bridges, shape.0))
            / broadcast_scalar(step * E::of(2.0), (self.bridges, shape.0));
        let log_weights = log_w - per_row.sum::<(usize,), Axis<0>>();
        Paths { log_weights, ends: node.z, log_p: node.log_p }
    }

    /// Momentum refresh, then leapfrog; see [`Momentum`] and the module header.
    fn underdamped(
        &self,
        parameters: &Parameters<E>,
        shape: (usize, usize),
        mut xi: impl FnMut() -> Matrix<E>,
        tape: &SharedTape<E>,
    ) -> Paths<E> {
        let start = Start::new(self.handles, parameters, shape, tape);
        let levels = self.levels(parameters, tape);
        let step_size = parameters.vector(self.handles.step_size, tape);
        let step = broadcast_scalar(step_size.clone(), shape);
        let half_step = step.clone() * E::of(0.5);
        // Forward refresh: ρ' = keep·ρ + √variance·ξ.
        let friction = self.handles.friction.expect("momentum comes with a friction");
        let friction = parameters.vector(friction, tape);
        let (keep, variance) = if self.dynamics.momentum == Momentum::Retained {
            (friction.clone(), friction.square().negate() + E::one())
        } else {
            let a = friction * step_size;
            (a.clone().negate() + E::one(), a * E::of(2.0))
        };
        let keep_all = broadcast_scalar(keep.clone(), shape);
        let spread = broadcast_scalar(variance.clone().sqrt(), shape);
        let (z, mut log_w) = start.draw(xi());
        let mut rho = xi();
        log_w = log_w + half_squares(rho.clone());
        let mut node = Node::at(&self.bridge, &start, z);
        let (mut points, mut momenta, mut refreshed) = (Vec::new(), Vec::new(), Vec::new());
        for k in 0..self.bridges {
            let (b, xi) = (level(&levels, k, shape), xi());
            log_w = log_w + half_squares(xi.clone());
            let fresh = keep_all.clone() * rho.clone() + spread.clone() * xi;
            let middle = fresh.clone() + half_step.clone() * node.drift(b.clone());
            let next = node.z.clone() + step.clone() * middle.clone();
            let next = Node::at(&self.bridge, &start, next);
            momenta.push(rho);
            points.push(node.z);
            refreshed.push(fresh);
            rho = middle + half_step.clone() * next.drift(b);
            node = next;
        }
        // log p(z_K) + log N(ρ_K; 0, I), less the initial momentum's density added above.
        log_w = log_w + node.log_p.clone() - half_squares(rho);
        let (k, (n, d)) = (self.bridges, shape);
        let rows = (k * n, d);
        let (momenta, refreshed) = (stacked(momenta), stacked(refreshed));
        let mut residual = momenta - broadcast_scalar(keep, rows) * refreshed.clone();
        if self.dynamics.correction != Correction::None {
            let seen = (stacked(points), refreshed).concat_along(Axis::<1>);
            let score = self.correction(parameters, seen, tape);
            residual = residual - broadcast_scalar(variance.clone(), rows) * score;
        }
        let per_row =
            half_squares(residual).reshape_like(&(k, n)) / broadcast_scalar(variance, (k, n));
        let log_weights = log_w - per_row.sum::<(usize,), Axis<0>>();
        Paths { log_weights, ends: node.z, log_p: node.log_p }
    }

    /// The control at the rows `[N, ·]` of one step; `None` where nothing is steered.
    fn control(
        &self,
        parameters: &Parameters<E>,
        z: &Matrix<E>,
        step: usize,
        tape: &SharedTape<E>,
    ) -> Option<Matrix<E>> {
        self.dynamics.steered().then(|| self.network(parameters, z.clone(), step..step + 1, tape))
    }

    /// The network at all rows `[K·N, ·]`, each with the embedding of its step.
    fn correction(
        &self,
        parameters: &Parameters<E>,
        seen: Matrix<E>,
        tape: &SharedTape<E>,
    ) -> Matrix<E> {
        self.network(parameters, seen, 0..self.bridges, tape)
    }

    /// The network at rows `[steps·N, ·]`, each with the embedding of its step.
    fn network(
        &self,
        parameters: &Parameters<E>,
        seen: Matrix<E>,
        steps: std::ops::Range<usize>,
        tape: &SharedTape<E>,
    ) -> Matrix<E> {
        let (network, table) = self.handles.network.expect("this correction has a network");
        let (rows, k) = (seen.shape().0, steps.len());
        let all = (self.dynamics.embeddings(self.bridges), EMBEDDING);
        let mut embedding = parameters.matrix(table, all, tape);
        if k < all.0 {
            embedding = embedding.slice((steps, 0..EMBEDDING)).reshape_like(&(k, EMBEDDING));
        }
        let embedding = embedding
            .broadcast_like::<_, Axis<1>>(&(k, rows / k, EMBEDDING))
            .reshape_like(&(rows, EMBEDDING));
        network.forward(parameters, (seen, embedding).concat_along(Axis::<1>), tape)
    }
}

/// The start `q = N(μ, diag σ²)`, broadcast over chains.
struct Start<E: Element> {
    mean: Matrix<E>,
    sd: Matrix<E>,
    precision: Matrix<E>,
    /// `-log q` at the mean, `[N]`.
    minus_log_q: Vector<E>,
}

impl<E: Element> Start<E> {
    fn new(
        handles: Handles,
        parameters: &Parameters<E>,
        shape: (usize, usize),
        tape: &SharedTape<E>,
    ) -> Self {
        let (n, d) = shape;
        let log_sd = parameters.vector(handles.log_sd, tape);
        let half_log_2pi = 0.5 * (2.0 * std::f64::consts::PI).ln();
        let entropy = log_sd.clone().sum::<(), _>() + E::of(d as f64 * half_log_2pi);
        Start {
            mean: parameters.vector(handles.mu, tape).broadcast_like::<_, Axis<0>>(&shape),
            sd: log_sd.clone().exp().broadcast_like::<_, Axis<0>>(&shape),
            precision: (log_sd * E::of(-2.0)).exp().broadcast_like::<_, Axis<0>>(&shape),
            minus_log_q: entropy.broadcast_like::<_, Axis<0>>(&(n,)),
        }
    }

    /// `z_0 = μ + σ ξ` and `-log q(z_0)`.
    fn draw(&self, xi: Matrix<E>) -> (Matrix<E>, Vector<E>) {
        let log_w = self.minus_log_q.clone() + half_squares(xi.clone());
        (self.mean.clone() + self.sd.clone() * xi, log_w)
    }
}

/// A point of every chain with what the two steps that meet there share.
struct Node<E: Element> {
    z: Matrix<E>,
    log_p: Vector<E>,
    /// `∇ log p − ∇ log q`.
    difference: Matrix<E>,
    /// `−∇ log q = (z − μ)/σ²`.
    pull: Matrix<E>,
}

impl<E: Element> Node<E> {
    fn at(bridge: &Bridge<E>, start: &Start<E>, z: Matrix<E>) -> Self {
        let (log_p, score) = bridge.log_density_and_score(z.clone());
        let pull = (z.clone() - start.mean.clone()) * start.precision.clone();
        Node { z, log_p, difference: score + pull.clone(), pull }
    }

    /// `∇L_b = b ∇ log p + (1 − b) ∇ log q`.
    fn drift(&self, b: Matrix<E>) -> Matrix<E> {
        b * self.difference.clone() - self.pull.clone()
    }
}

/// Level `k`, repeated to `shape`.
fn level<E: Element>(levels: &Matrix<E>, k: usize, shape: (usize, usize)) -> Matrix<E> {
    let one = levels.clone().slice((0..1, k..k + 1)).reshape_like(&(1,));
    broadcast_scalar(one, shape)
}

/// `½ |row|²` of every row: `[N, D]` to `[N]`.
fn half_squares<E: Element>(x: Matrix<E>) -> Vector<E> {
    x.square().sum::<(usize,), Axis<1>>() * E::of(0.5)
}

/// `K` matrices `[N, D]` as one `[K·N, D]`.
fn stacked<E: Element>(parts: Vec<Matrix<E>>) -> Matrix<E> {
    let (k, (n, d)) = (parts.len(), *parts[0].shape());
    parts.stack().reshape_like(&(k * n, d))
}

fn device_constant<E: Element>(values: &[E], shape: (usize, usize)) -> Matrix<E> {
    tensor(values, shape).put_tape(SharedTape::off())
}
