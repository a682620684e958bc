//! The critic: a network that learns, from draws alone, by how much the family's score differs from
//! the target's.
//!
//! Denoising score matching [yu2023]: over functions `f`, the maximum of
//! `E_{z,ξ}[f(u)ᵀ (2 s_p(u) + 2 ξ/σ − f(u))]` is the Fisher divergence `E_q|s_p − s_q|²`, at
//! `f = s_p − s_q`. Here `f = c (s_p + u) + a ∘ u + network`: with `c = 1` the rest has to learn `−s_q − u`
//! only, which is smooth, and zero for the standard normal. The factors `a`, one a coordinate, are for
//! its scales, which a network narrower than the dimension cannot tell.

use dfdx::prelude::ReshapeTo;
use rand::RngCore;

use super::fit::{At, Setup};
use crate::inference::InferenceError;
use crate::inference::fused::{Term, combine, gap};
use crate::inference::mlp::ReluMlp;
use crate::inference::node::Node;
use crate::inference::optimizer::{Group, Handle, Parameters, Update};
use crate::inference::tape::{Element, SharedTape, backward};
use crate::inference::train::Step;
use crate::random::Stream;

/// Parameter group of the critic.
pub(super) const CRITIC: usize = 1;
/// Decay rates of Adam's moments, for the family as well [yu2023, app. C].
pub(super) const BETAS: [f64; 2] = [0.9, 0.99];

/// `f(u) = c (s_p(u) + u) + a ∘ u + network(u)`; without the parts in `u` where the family has no linear
/// part.
#[derive(Debug, Clone)]
pub(super) struct Critic {
    network: ReluMlp,
    /// `a`: `[D]`, zero at first.
    scales: Option<Handle>,
}

impl Critic {
    /// A critic in `dim` dimensions with hidden layers of these widths.
    pub(super) fn new<E: Element>(
        dim: usize,
        hidden: &[usize],
        linear: bool,
        parameters: &mut Parameters<E>,
        rng: &mut impl RngCore,
    ) -> Self {
        let sizes: Vec<usize> = [&[dim], hidden, &[dim]].concat();
        let network = ReluMlp::new(parameters, CRITIC, &sizes, rng);
        let zeros = || vec![E::zero(); dim];
        Critic { network, scales: linear.then(|| parameters.add("critic_scales", CRITIC, zeros())) }
    }

    /// What is added to `c s_p`.
    pub(super) fn rest<E: Element>(
        &self,
        parameters: &Parameters<E>,
        u: &Node<E>,
        c: f64,
        tape: &SharedTape<E>,
    ) -> Node<E> {
        let network = self.network.forward(parameters, u, tape);
        let Some(scales) = self.scales else { return network };
        let scales = Node::of(parameters.matrix(scales, (1, u.shape().1), tape) + E::of(c));
        combine(u.shape(), &[Term::Plain(&network), Term::Scaled(&scales, 0, u)])
    }
}

/// So many ascent steps of the critic, as long as there is time.
pub(super) fn steps<E: Element>(
    count: usize,
    setup: &Setup<'_, E>,
    parameters: &mut Parameters<E>,
    rate: f64,
    at: At,
    rng: &mut Stream,
) -> Result<(), InferenceError> {
    for _ in 0..count {
        if setup.deadline.refuses() {
            break;
        }
        step(setup, parameters, rate, at, rng)?;
    }
    Ok(())
}

/// One ascent step of the critic on fresh draws, which are constants here; the gap, per dimension,
/// up to the part that does not depend on the critic.
pub(super) fn step<E: Element>(
    setup: &Setup<'_, E>,
    parameters: &mut Parameters<E>,
    rate: f64,
    at: At,
    rng: &mut Stream,
) -> Result<Step, InferenceError> {
    let noise = setup.noise(rng);
    let (u, mut n) = setup.family.values(parameters, &noise);
    // f (2s + 2n − f) with f = cs + r is r (2(1−c)s + 2n − r) and a part without r: at c = 1 the
    // critic learns −s_q alone and needs nothing of the target.
    if at.residual != 1.0 {
        let s = setup.target.score_at(&setup.points(&u));
        for (n, s) in n.iter_mut().zip(s.numbers()) {
            *n += E::of((1.0 - at.residual) * at.heat) * *s;
        }
    }
    let tape = SharedTape::recording();
    let r = setup.critic.rest(parameters, &setup.points(&u), at.residual, &tape);
    let loss = gap(&r, &setup.points(&n)).tensor().reshape_like(&()) / E::of(-(u.len() as f64));
    let value = -loss.as_vec()[0].f64();
    if !value.is_finite() {
        return Ok(Step::NonFinite(None));
    }
    let mut gradients = backward(loss)?;
    let group = Group { betas: BETAS, ..Group::adam(CRITIC) };
    Ok(match parameters.update(&group, rate, &mut gradients) {
        Update::Stepped { .. } => Step::Done(value),
        Update::NonFinite => Step::NonFinite(None),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use super::super::sivi_sm::SiviSm;
    use super::super::testing::{self, AT, parsed, settings};
    use super::*;
    use crate::inference::{Clock, Deadline};

    #[test]
    fn steps_end_with_the_time() {
        let (_, options) = parsed::<SiviSm>(&settings(""));
        let (mut setup, mut parameters, mut rng) = testing::setup(&options);
        let now = Arc::new(AtomicU64::new(0));
        let until =
            |seconds| Deadline::by(Clock::Manual(Arc::clone(&now)), Duration::from_secs(seconds));
        let mut changes = |deadline: Deadline| {
            setup.deadline = deadline;
            let before = parameters.state();
            steps(3, &setup, &mut parameters, 1e-3, AT, &mut rng).unwrap();
            (before != parameters.state(), setup.deadline.has_cut())
        };
        assert_eq!(changes(until(1)), (true, false));
        let over = until(0);
        now.store(1_000_000_000, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(changes(over), (false, true), "a run that is resumed repeats the iteration");
    }
}
