//! What a step of a chain is made of: points with their forces, and everything that multiplies something.

use dfdx::prelude::{ReshapeTo, TryMatMul};
use smallvec::SmallVec;

use super::chain::Chain;
use super::form::{Integrator, Momentum};
use crate::inference::fused::{Term, combine, stacked};
use crate::inference::network::broadcast_scalar;
use crate::inference::node::Node;
use crate::inference::optimizer::Parameters;
use crate::inference::tape::{Element, Matrix, SharedTape, Vector};

/// A point of every chain and what is known there, `[N, D]` each: `∇L_b = b force − pull`.
pub(super) struct Point<E: Element> {
    pub(super) z: Node<E>,
    /// What the target adds to the start, `∇ log p − ∇ log q`.
    pub(super) force: Node<E>,
    /// `−∇ log q`.
    pub(super) pull: Node<E>,
}

/// What a step does between kicks.
pub(super) enum Motion<E: Element> {
    /// `z + drift ρ`; the start's pull is in the kicks, times `recall`.
    Straight { drift: Node<E>, recall: Node<E> },
    /// `(z, ρ)` turned by the angle `h`: the motion under the pull of a standard normal.
    Turn { cos: Node<E>, sin: Node<E>, minus_sin: Node<E> },
}

/// Everything that multiplies something in a step.
pub(super) struct Coefficients<E: Element> {
    /// Of the old momentum in the new one, and its negative; none where it is forgotten.
    pub(super) keep: Option<Node<E>>,
    pub(super) minus_keep: Option<Node<E>>,
    /// Of the noise; none if 1.
    pub(super) spread: Option<Node<E>>,
    /// The square of that.
    pub(super) variance: Option<Vector<E>>,
    /// Of the network, and its negative.
    pub(super) push: Node<E>,
    pub(super) minus_push: Node<E>,
    pub(super) motion: Motion<E>,
    /// Of the force at each level: `[K, ·]`.
    pub(super) kick: Node<E>,
    /// Of the forces in the correction of each step.
    guides: SmallVec<[Node<E>; 2]>,
}

impl<E: Element> Coefficients<E> {
    pub(super) fn new(chain: &Chain<E>, parameters: &Parameters<E>, tape: &SharedTape<E>) -> Self {
        let (handles, form) = (chain.handles, chain.form);
        let e = parameters.matrix(handles.step_size, (1, 1), tape);
        let pace =
            if form.dynamics.overdamped() { (e.clone() * E::of(2.0)).sqrt() } else { e.clone() };
        // `h`: [1, 1], or [1, D].
        let h = match handles.step_scales {
            None => pace,
            Some(scales) => {
                let d = chain.dim();
                let scales = parameters.matrix(scales, (1, d), tape).exp();
                scales * broadcast_scalar(pace.reshape_like(&(1,)), (1, d))
            }
        };
        let half = h.clone() * E::of(0.5);
        let exact = form.integrator == Integrator::Exponential;
        let momentum = handles.friction.map(|friction| {
            let friction = parameters.matrix(friction, (1, 1), tape);
            let kept = |keep: Matrix<E>| (keep.clone(), keep.square().negate() + E::one());
            match form.dynamics.momentum {
                Momentum::Retained => kept(friction),
                _ if exact => kept((friction * e).negate().exp()),
                _ => {
                    let a = friction * e;
                    (a.clone().negate() + E::one(), a * E::of(2.0))
                }
            }
        });
        let (keep, variance) = momentum.unzip();
        let push = variance.clone().unwrap_or_else(|| half.clone());
        let levels = chain.levels(parameters, tape).reshape_like(&(form.bridges, 1));
        let kick = Node::of(levels.matmul(half.clone()));
        let motion = if exact {
            let sin = h.clone().sin();
            let minus_sin = Node::of(sin.clone().negate());
            Motion::Turn { cos: Node::of(h.cos()), sin: Node::of(sin), minus_sin }
        } else {
            Motion::Straight { drift: Node::of(h), recall: Node::of(half.negate()) }
        };
        let rows = form.dynamics.embeddings(form.bridges);
        let guides = handles.guides.into_iter().flatten();
        let guides = guides.map(|g| Node::of(parameters.matrix(g, (rows, 1), tape))).collect();
        Coefficients {
            minus_keep: keep.clone().map(|keep| Node::of(keep.negate())),
            keep: keep.map(Node::of),
            spread: variance.clone().map(|variance| Node::of(variance.sqrt())),
            variance: variance.map(|variance| variance.reshape_like(&(1,))),
            minus_push: Node::of(push.clone().negate()),
            push: Node::of(push),
            motion,
            kick,
            guides,
        }
    }

    /// The correction of one step, `[N, D]`: what the network says and what the forces at `points` add.
    pub(super) fn corrected(&self, network: Node<E>, step: usize, points: &[&Point<E>]) -> Node<E> {
        if self.guides.is_empty() {
            return network;
        }
        let mut terms: SmallVec<[Term<'_, E>; 3]> = SmallVec::new();
        terms.push(Term::Plain(&network));
        let forces = self.guides.iter().zip(points);
        terms.extend(forces.map(|(guide, point)| Term::Scaled(guide, step, &point.force)));
        combine(network.shape(), &terms)
    }

    /// The corrections of all steps, `[K·N, D]`; step `k` has the forces from `points[k]` on.
    pub(super) fn guided(&self, network: Node<E>, points: &[Point<E>]) -> Node<E> {
        if self.guides.is_empty() {
            return network;
        }
        let shape = points[0].z.shape();
        let steps = network.shape().0 / shape.0;
        let of_step = |step: usize| {
            let forces = self.guides.iter().zip(&points[step..]);
            let terms: SmallVec<[_; 2]> =
                forces.map(|(guide, point)| Term::Scaled(guide, step, &point.force)).collect();
            combine(shape, &terms)
        };
        let forces = stacked(&(0..steps).map(of_step).collect::<Vec<_>>());
        combine(network.shape(), &[Term::Plain(&network), Term::Plain(&forces)])
    }
}
