//! What a step of a chain is made of: points with their forces, and everything that multiplies something.

use dfdx::prelude::{ReshapeTo, TryMatMul};
use smallvec::SmallVec;

use super::chain::Chain;
use super::form::{Integrator, Momentum};
use crate::inference::backend::{Backend, Node};
use crate::inference::fused::Term;
use crate::inference::network::broadcast_scalar;
use crate::inference::optimizer::Parameters;
use crate::inference::tape::{Matrix, SharedTape, Vector};
use crate::real::Real;

/// A point of every chain and the forces there, `[N, D]` each.
pub(super) struct Point<B: Backend> {
    pub(super) z: B::Node,
    /// What add up to the target's part of the forces beside the start's, `f = ∇ log p − ∇ log q`: `f` itself,
    /// or `∇ log p` and `−∇ log q`.
    pub(super) forces: SmallVec<[B::Node; 2]>,
}

/// What a step does between kicks.
pub(super) enum Motion<B: Backend> {
    /// `z + drift ρ`; the start's force is in the kicks.
    Straight { drift: B::Node },
    /// `(z, ρ)` turned by the angle `h`: the motion under the pull of a standard normal.
    Turn { cos: B::Node, sin: B::Node, minus_sin: B::Node },
}

/// Everything that multiplies something in a step.
pub(super) struct Coefficients<B: Backend> {
    /// Of the old momentum in the new one, and its negative; none where it is forgotten.
    pub(super) keep: Option<B::Node>,
    pub(super) minus_keep: Option<B::Node>,
    /// Of the noise; none if 1.
    pub(super) spread: Option<B::Node>,
    /// The square of that.
    pub(super) variance: Option<Vector<B>>,
    /// Of the network, and its negative.
    pub(super) push: B::Node,
    pub(super) minus_push: B::Node,
    pub(super) motion: Motion<B>,
    /// Of the forces of a point at each level: `[K, ·]`.
    pub(super) kicks: SmallVec<[B::Node; 2]>,
    /// Of the forces in the correction of each step.
    guides: SmallVec<[B::Node; 2]>,
}

impl<B: Backend> Coefficients<B> {
    pub(super) fn new(chain: &Chain, parameters: &Parameters<B>, tape: &SharedTape<B>) -> Self {
        let (handles, form) = (chain.handles, chain.form);
        let e = parameters.matrix(handles.step_size, (1, 1), tape);
        let pace = if form.dynamics.overdamped() {
            (e.clone() * B::Number::of(2.0)).sqrt()
        } else {
            e.clone()
        };
        // `h`: [1, 1], or [1, D].
        let h = match handles.step_scales {
            None => pace,
            Some(scales) => {
                let d = chain.dim;
                let scales = parameters.matrix(scales, (1, d), tape).exp();
                scales * broadcast_scalar(pace.reshape_like(&(1,)), (1, d))
            }
        };
        let half = h.clone() * B::Number::of(0.5);
        let exact = form.integrator == Integrator::Exponential;
        let momentum = handles.friction.map(|friction| {
            let friction = parameters.matrix(friction, (1, 1), tape);
            let kept =
                |keep: Matrix<B>| (keep.clone(), keep.square().negate() + B::Number::of(1.0));
            match form.dynamics.momentum {
                Momentum::Retained => kept(friction),
                _ if exact => kept((friction * e).negate().exp()),
                _ => {
                    let a = friction * e;
                    (a.clone().negate() + B::Number::of(1.0), a * B::Number::of(2.0))
                }
            }
        });
        let (keep, variance) = momentum.unzip();
        let push = variance.clone().unwrap_or_else(|| half.clone());
        let levels = chain.levels(parameters, tape).reshape_like(&(form.bridges, 1));
        let mut kicks = SmallVec::new();
        let motion = if exact {
            kicks.push(B::Node::of(levels.matmul(half)));
            let sin = h.clone().sin();
            let minus_sin = B::Node::of(sin.clone().negate());
            Motion::Turn { cos: B::Node::of(h.cos()), sin: B::Node::of(sin), minus_sin }
        } else {
            // `∇L_b = b ∇ log p + (b − 1)(−∇ log q)`.
            kicks.push(B::Node::of(levels.clone().matmul(half.clone())));
            kicks.push(B::Node::of((levels - B::Number::of(1.0)).matmul(half)));
            Motion::Straight { drift: B::Node::of(h) }
        };
        let rows = form.dynamics.embeddings(form.bridges);
        let guides = handles.guides.into_iter().flatten();
        let guides = guides.map(|g| B::trained(parameters, g, (rows, 1), tape)).collect();
        Coefficients {
            minus_keep: keep.clone().map(|keep| B::Node::of(keep.negate())),
            keep: keep.map(B::Node::of),
            spread: variance.clone().map(|variance| B::Node::of(variance.sqrt())),
            variance: variance.map(|variance| variance.reshape_like(&(1,))),
            minus_push: B::Node::of(push.clone().negate()),
            push: B::Node::of(push),
            motion,
            kicks,
            guides,
        }
    }

    /// The correction of one step, `[N, D]`: what the network says and what the forces at `points` add.
    pub(super) fn corrected(&self, network: B::Node, step: usize, points: &[&Point<B>]) -> B::Node {
        if self.guides.is_empty() {
            return network;
        }
        let mut terms: SmallVec<[Term<'_, B::Node>; 4]> = SmallVec::new();
        terms.push(Term::Plain(&network));
        terms.extend(self.guidance(step, points.iter().copied()));
        B::combine(network.shape(), &terms)
    }

    /// The corrections of all steps, `[K·N, D]`; step `k` has the forces from `points[k]` on.
    pub(super) fn guided(&self, network: B::Node, points: &[Point<B>]) -> B::Node {
        if self.guides.is_empty() {
            return network;
        }
        let shape = points[0].z.shape();
        let steps = network.shape().0 / shape.0;
        let of_step = |step: usize| {
            let terms: SmallVec<[_; 4]> = self.guidance(step, &points[step..]).collect();
            B::combine(shape, &terms)
        };
        let forces = B::stacked(&(0..steps).map(of_step).collect::<Vec<_>>());
        B::combine(network.shape(), &[Term::Plain(&network), Term::Plain(&forces)])
    }

    /// What the forces at some points add to the correction of a step.
    fn guidance<'a>(
        &'a self,
        step: usize,
        points: impl IntoIterator<Item = &'a Point<B>>,
    ) -> impl Iterator<Item = Term<'a, B::Node>> {
        let guides = self.guides.iter().zip(points);
        guides.flat_map(move |(guide, point)| {
            point.forces.iter().map(move |force| Term::Scaled(guide, step, force))
        })
    }
}
