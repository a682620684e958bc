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

use super::family::{Family, Noise};
use super::fit::{At, Setup};
use crate::inference::InferenceError;
use crate::inference::backend::{Backend, Batch, Density, Node, number};
use crate::inference::fused::Term;
use crate::inference::mlp::ReluMlp;
use crate::inference::optimizer::{Group, Handle, Parameters, Update};
use crate::inference::tape::{Scalar, SharedTape};
use crate::inference::train::Step;
use crate::real::Real;

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
    pub(super) fn new<B: Backend>(
        dim: usize,
        hidden: &[usize],
        linear: bool,
        parameters: &mut Parameters<B>,
        rng: &mut impl RngCore,
    ) -> Self {
        let sizes: Vec<usize> = [&[dim], hidden, &[dim]].concat();
        let network = ReluMlp::new(parameters, CRITIC, &sizes, rng);
        let zeros = || vec![Real::of(0.0); dim];
        Critic { network, scales: linear.then(|| parameters.add("critic_scales", CRITIC, zeros())) }
    }

    /// Handles of all parameters.
    #[cfg(test)]
    pub(super) fn handles(&self) -> Vec<Handle> {
        self.network.handles().chain(self.scales).collect()
    }

    /// What is added to `c s_p`.
    pub(super) fn rest<B: Backend>(
        &self,
        parameters: &Parameters<B>,
        u: &B::Node,
        c: f64,
        tape: &SharedTape<B>,
    ) -> B::Node {
        let network = self.network.forward(parameters, u, tape);
        let Some(scales) = self.scales else { return network };
        let scales = parameters.matrix(scales, (1, u.shape().1), tape) + B::Number::of(c);
        let scales = B::Node::of(scales);
        B::combine(u.shape(), &[Term::Plain(&network), Term::Scaled(&scales, 0, u)])
    }
}

/// So many ascent steps of the critic, as long as there is time.
pub(super) fn steps<B: Backend>(
    count: usize,
    setup: &Setup<'_, B>,
    parameters: &mut Parameters<B>,
    rate: f64,
    at: At,
    normals: &mut B::Normals,
) -> Result<(), InferenceError> {
    for _ in 0..count {
        if setup.deadline.refuses() {
            break;
        }
        step(setup, parameters, rate, at, normals)?;
    }
    Ok(())
}

/// One ascent step of the critic on fresh draws, which are constants here; the gap, per dimension,
/// up to the part that does not depend on the critic.
pub(super) fn step<B: Backend>(
    setup: &Setup<'_, B>,
    parameters: &mut Parameters<B>,
    rate: f64,
    at: At,
    normals: &mut B::Normals,
) -> Result<Step, InferenceError> {
    let networks = (&setup.family, &setup.critic);
    let descent = setup.batch(parameters, CRITIC, normals, |batch, noise| {
        let loss = loss(batch, networks, noise, at);
        let value = -loss.as_vec()[0].f64();
        value.is_finite().then_some((loss, value))
    })?;
    let Some((value, mut gradients)) = descent else { return Ok(Step::NonFinite(None)) };
    let group = Group { betas: BETAS, ..Group::adam(CRITIC) };
    Ok(match parameters.update(&group, rate, &mut gradients) {
        Update::Stepped { .. } => Step::Done(value),
        Update::NonFinite => Step::NonFinite(None),
    })
}

/// The negative gap.
fn loss<B: Backend>(
    batch: &Batch<'_, B>,
    (family, critic): (&Family, &Critic),
    noise: &Noise<B>,
    at: At,
) -> Scalar<B> {
    let (u, mut n) = family.sample(batch.parameters, noise, &SharedTape::off());
    let shape = u.shape();
    // f (2s + 2n − f) with f = cs + r is r (2(1−c)s + 2n − r) and a part without r: at c = 1 the
    // critic learns −s_q alone and needs nothing of the target.
    if at.residual != 1.0 {
        let s = batch.bridge.constant_score_at(&u);
        let share = number::<B>((1.0 - at.residual) * at.heat);
        n = B::combine(shape, &[Term::Plain(&n), Term::Scaled(&share, 0, &s)]);
    }
    let r = critic.rest(batch.parameters, &u, at.residual, &batch.tape);
    let size = (shape.0 * shape.1) as f64;
    B::gap(&r, &n).tensor().reshape_like(&()) / B::Number::of(-size)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use super::super::sivi_sm::SiviSm;
    use super::super::testing::{self, AT, Probe, parsed, settings, the_same_on_a_device};
    use super::*;
    use crate::inference::{Clock, Deadline};

    struct Ascent;

    impl Probe for Ascent {
        fn loss<B: Backend>(
            &self,
            setup: &Setup<'_, B>,
            parameters: &Parameters<B>,
            noise: [&Noise<B>; 2],
        ) -> Scalar<B> {
            let networks = (&setup.family, &setup.critic);
            loss(&setup.whole(parameters), networks, noise[0], AT)
        }
    }

    #[test]
    fn a_step_is_the_same_on_a_device() {
        the_same_on_a_device("", &Ascent);
        the_same_on_a_device("linear=false", &Ascent);
    }

    #[test]
    fn steps_end_with_the_time() {
        let (_, options) = parsed::<SiviSm>(&settings(""));
        let (mut setup, mut parameters, mut rng) = testing::setup(&options);
        let now = Arc::new(AtomicU64::new(0));
        let until =
            |seconds| Deadline::by(Clock::Manual(Arc::clone(&now)), Duration::from_secs(seconds));
        let mut changes = |deadline: Deadline| {
            setup.deadline = deadline;
            let state = |p: &Parameters<f64>| serde_json::to_string(p).unwrap();
            let before = state(&parameters);
            steps(3, &setup, &mut parameters, 1e-3, AT, &mut rng).unwrap();
            (before != state(&parameters), setup.deadline.has_cut())
        };
        assert_eq!(changes(until(1)), (true, false));
        let over = until(0);
        now.store(1_000_000_000, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(changes(over), (false, true), "a run that is resumed repeats the iteration");
    }
}
