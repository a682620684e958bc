//! SIVI: semi-implicit variational inference by a surrogate bound [yin2018].
//!
//! With `K` more mixing draws `z_k` beside the one, `z_0`, that made a draw,
//!
//! ```text
//! L_K = E[log p(u) − log 1/(K+1) Σ_{k=0..K} N(u; centre(z_k), σ²)]
//! ```
//!
//! is a lower bound of the evidence lower bound that rises to it with `K` [yin2018, theorem 1]. The
//! `K` mixing draws are shared by all draws of an iteration, as in [yin2018, algorithm 1].
//!
//! In many dimensions none of them comes near a draw that it did not make; the bound then asks for
//! little more than a wide `σ`, and the fit stays close to the Gaussian that it started from.

use dfdx::prelude::{Rank0, SumTo};
use faer::{Accum, MatMut, MatRef};

use super::fit::{self, At, Measure, Objective, Setup, Steps, Task};
use super::options::{
    ANNEALING, AVERAGE, CLIP, CRITIC_HIDDEN, CRITIC_LEARNING_RATE, DECAY_EVERY, GRAD_SAMPLES,
    HIDDEN, ITERATIONS, LATENT, LEARNING_RATE, LINEAR, LOG_VARIANCE, LOG_VARIANCE_FLOOR,
    MIXING_DRAWS, RESAMPLE, Reader, SCHEDULE, STANDARDIZE,
};
use crate::inference::backend::{Normals, Pairs, ValueAndGrad, value_and_grad};
use crate::inference::fused::{Term, combine};
use crate::inference::method::option;
use crate::inference::node::Node;
use crate::inference::optimizer::Parameters;
use crate::inference::tape::{Element, Pooled, SharedTape};
use crate::inference::{Fit, InferenceError, Method, MethodOption};
use crate::random::Stream;

/// The row of the method table.
pub(in crate::inference) const SIVI: Method = Method {
    name: Sivi::NAME,
    group: "semi-implicit",
    summary: "A Gaussian mixed by a network, trained by a surrogate of the evidence lower bound.",
    paper: "Yin & Zhou, ICML 2018, arXiv 1805.11183",
    options: Sivi::OPTIONS,
    run: fit::run::<Sivi>,
};

/// Its own settings.
pub(super) struct Sivi {
    /// `K`.
    mixing: usize,
}

impl Objective for Sivi {
    const NAME: &'static str = "sivi";
    const OPTIONS: &'static [MethodOption] = &[
        ITERATIONS,
        LEARNING_RATE,
        GRAD_SAMPLES,
        option("surrogate-draws", "200", "further mixing draws in the surrogate bound", "K"),
        LATENT,
        HIDDEN,
        LOG_VARIANCE,
        LOG_VARIANCE_FLOOR,
        LINEAR,
        STANDARDIZE,
        CLIP,
        ANNEALING,
        SCHEDULE,
        DECAY_EVERY,
        AVERAGE,
        CRITIC_HIDDEN,
        CRITIC_LEARNING_RATE,
        MIXING_DRAWS,
        RESAMPLE,
    ];
    const STAGES: [&'static str; 3] = ["sivi-standardize", "sivi", "sivi-examination"];
    const MEASURE: Measure = Measure {
        name: "elbo",
        words: "surrogate of the evidence lower bound",
        tolerance: 0.1,
        unit: "nats",
        maximise: true,
    };
    const EXAMINATION: usize = fit::FRESH_EXAMINATION;
    type State = ();

    fn new(reader: &Reader<'_>) -> Result<Self, InferenceError> {
        Ok(Sivi { mixing: reader.at_least_one("surrogate-draws")? })
    }

    fn fit(task: Task<'_, Self>) -> Result<Fit, InferenceError> {
        task.fit_on_cpu()
    }
}

impl<E: Element> Steps<E> for Sivi {
    fn value_and_grad(
        &self,
        setup: &Setup<'_, E>,
        parameters: &Parameters<E>,
        (): &mut (),
        at: At,
        rng: &mut Stream,
    ) -> Result<ValueAndGrad<E>, InferenceError> {
        let family = &setup.family;
        let noise = setup.noise(rng);
        let shape = (self.mixing, family.latent());
        let fresh = Normals::<E>::draw(rng, shape, Pairs::Independent);
        let tape = SharedTape::recording();
        let (u, _) = family.sample(parameters, &noise, &tape);
        let sigma = family.scale(parameters, &tape);
        let precise = Node::of(sigma.clone().recip());
        let whiten = |x: &Node<E>| combine(x.shape(), &[Term::Scaled(&precise, 0, x)]);
        let white = whiten(&u);
        let centres = whiten(&family.centre(parameters, &fresh, &tape));

        let (log_p, mut score) = setup.target.value_and_score(u.numbers());
        let d = setup.target.dim();
        let finite = |(l, s): (&E, &[E])| l.is_finite() && s.iter().all(|s| s.is_finite());
        let kept: Vec<bool> = log_p.iter().zip(score.chunks_exact(d)).map(finite).collect();
        let used = kept.iter().filter(|kept| **kept).count();
        if used * 2 < kept.len() {
            return Ok(None);
        }
        for (s, kept) in score.chunks_exact_mut(d).zip(&kept) {
            s.iter_mut().for_each(|s| *s = if *kept { *s * E::of(at.heat) } else { E::zero() });
        }
        let mixed = mixed(white.numbers(), centres.numbers(), noise.xi.numbers(), &kept, d);
        let log_scale: f64 = sigma.as_vec().iter().map(|s| s.f64().ln()).sum();
        let sum: f64 = log_p
            .iter()
            .zip(&mixed.log_q)
            .zip(&kept)
            .filter(|(_, kept)| **kept)
            .map(|((p, q), _)| p.f64() - q)
            .sum();
        let log_q = setup.along(&white, &mixed.by_draw) + setup.along(&centres, &mixed.by_centre);
        let log_p = setup.along(&u, &score);
        let loss = (log_q - log_p) / E::of(used as f64) - sigma.ln().sum::<Rank0, _>();
        value_and_grad(Some((loss, sum / used as f64 + log_scale)))
    }
}

/// The mixture's log densities at its draws, and the gradient of their sum.
struct Mixed<E> {
    /// `log 1/(K+1) Σ_k N(white; centre_k, I)`, `[B]`.
    log_q: Vec<f64>,
    /// By the draws, `[B, D]`, those not kept left out.
    by_draw: Vec<E>,
    /// By the centres, `[K, D]`.
    by_centre: Vec<E>,
}

/// All in units of `σ`: draws `white: [B, D]`, each its own centre plus `xi: [B, D]`, and further
/// centres `[K, D]`.
fn mixed<E: Element>(white: &[E], centres: &[E], xi: &[E], kept: &[bool], d: usize) -> Mixed<E> {
    let (b, k) = (white.len() / d, centres.len() / d);
    let half_square = |x: &[E]| E::of(0.5) * x.iter().map(|x| *x * *x).sum::<E>();
    let of_centres: Vec<E> = centres.chunks_exact(d).map(half_square).collect();
    let draws = MatRef::from_row_major_slice(white, b, d);
    let others = MatRef::from_row_major_slice(centres, k, d);
    // log N(white_i; centre_k, I) + ½|white_i|², then the share of each centre in the density.
    let mut shares = Pooled::new(b * k);
    E::product(
        MatMut::from_row_major_slice_mut(&mut shares, b, k),
        Accum::Replace,
        draws,
        others.transpose(),
    );
    let constant = -0.5 * d as f64 * (2.0 * std::f64::consts::PI).ln() - ((k + 1) as f64).ln();
    let mut log_q = Vec::with_capacity(b);
    let mut by_draw = vec![E::zero(); b * d];
    let mut by_centre = vec![E::zero(); k * d];
    let mut total = vec![E::zero(); k];
    let rows = white.chunks_exact(d).zip(xi.chunks_exact(d)).zip(kept);
    let outputs = shares.chunks_exact_mut(k).zip(by_draw.chunks_exact_mut(d));
    for (((x, xi), kept), (shares, gradient)) in rows.zip(outputs) {
        let square = half_square(x);
        let own = -half_square(xi);
        let mut max = own;
        for (l, c) in shares.iter_mut().zip(&of_centres) {
            *l -= *c + square;
            max = max.max(*l);
        }
        let mut sum = (own - max).exp();
        for l in shares.iter_mut() {
            *l = (*l - max).exp();
            sum += *l;
        }
        log_q.push(max.f64() + sum.f64().ln() + constant);
        // The own centre moves with its draw: at a fixed ξ its part does not change.
        let scale = if *kept { sum.recip() } else { E::zero() };
        let mut others = E::zero();
        for (share, total) in shares.iter_mut().zip(&mut total) {
            *share *= scale;
            others += *share;
            *total += *share;
        }
        gradient.iter_mut().zip(x).for_each(|(g, x)| *g = -others * *x);
    }
    for ((g, c), total) in by_centre.chunks_exact_mut(d).zip(centres.chunks_exact(d)).zip(&total) {
        g.iter_mut().zip(c).for_each(|(g, c)| *g = -*total * *c);
    }
    let shares = MatRef::from_row_major_slice(&shares, b, k);
    let by_draw_mat = MatMut::from_row_major_slice_mut(&mut by_draw, b, d);
    E::product(by_draw_mat, Accum::Add, shares, others);
    let by_centre_mat = MatMut::from_row_major_slice_mut(&mut by_centre, k, d);
    E::product(by_centre_mat, Accum::Add, shares.transpose(), draws);
    Mixed { log_q, by_draw, by_centre }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{AT, gradient_agrees_with_differences};
    use super::*;

    #[test]
    fn the_gradient_agrees_with_differences() {
        // The value is not annealed, so neither may the loss be.
        gradient_agrees_with_differences::<Sivi>("surrogate-draws=7", At { heat: 1.0, ..AT }, -1.0);
    }

    #[test]
    fn densities_are_those_of_the_mixture() {
        // One dimension: log ⅓ (N(0.5; −0.2, 1) + N(0.5; 1, 1) + N(0.5; −3, 1)).
        let mixed = mixed(&[0.5], &[1.0, -3.0], &[0.7], &[true], 1);
        let normal = |x: f64| (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let expected = ((normal(0.7) + normal(-0.5) + normal(3.5)) / 3.0).ln();
        assert!((mixed.log_q[0] - expected).abs() < 1e-14);
    }
}
