//! UIVI: unbiased implicit variational inference [titsias2019].
//!
//! The gradient of the evidence lower bound along the path is `E[(s_p(u) − s_q(u))ᵀ ∂u/∂φ]`, and the
//! intractable score of the mixture is an expectation of tractable ones,
//! `s_q(u) = E_{z'|u} ∇ log N(u; centre(z'), σ²)`. The `z'` come from Hamiltonian Monte Carlo on
//! `N(z'; 0, I) N(u; centre(z'), σ²)`, started from the `z` that made `u`: an exact draw already, so
//! the iterations only have to make it forget the noise that `∂u/∂φ` is taken at.

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::family::Conditional;
use super::fit::{self, At, Measure, Objective, Setup, Steps, Task};
use super::options::{
    ANNEALING, AVERAGE, CLIP, CRITIC_HIDDEN, CRITIC_LEARNING_RATE, DECAY_EVERY, GRAD_SAMPLES,
    HIDDEN, ITERATIONS, LATENT, LEARNING_RATE, LINEAR, LOG_VARIANCE, LOG_VARIANCE_FLOOR,
    MIXING_DRAWS, RESAMPLE, Reader, SCHEDULE, STANDARDIZE,
};
use crate::inference::backend::{ValueAndGrad, value_and_grad};
use crate::inference::method::option;
use crate::inference::node::Node;
use crate::inference::optimizer::Parameters;
use crate::inference::tape::{Element, SharedTape};
use crate::inference::{Fit, InferenceError, Method, MethodOption};
use crate::random::{Stream, fill_std_normal};

/// The row of the method table.
pub(in crate::inference) const UIVI: Method = Method {
    name: Uivi::NAME,
    group: "semi-implicit",
    summary: "A Gaussian mixed by a network, its score estimated by an inner Monte Carlo chain.",
    paper: "Titsias & Ruiz, AISTATS 2019, arXiv 1808.02078",
    options: Uivi::OPTIONS,
    run: fit::run::<Uivi>,
};

/// Its own settings: those of the inner chain.
pub(super) struct Uivi {
    burn_in: usize,
    draws: usize,
    leapfrog: usize,
    acceptance: f64,
}

/// The inner chain's step size, which follows the acceptance rate.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct StepSize(f64);

impl Default for StepSize {
    fn default() -> Self {
        StepSize(0.3)
    }
}

impl StepSize {
    /// How fast it follows.
    const PACE: f64 = 0.05;

    /// Longer where more was accepted than wanted, within what makes sense for a standard normal.
    fn follow(&mut self, accepted: f64, wanted: f64) {
        self.0 = (self.0 * (Self::PACE * (accepted - wanted)).exp()).clamp(1e-4, 1.5);
    }
}

impl Objective for Uivi {
    const NAME: &'static str = "uivi";
    const OPTIONS: &'static [MethodOption] = &[
        ITERATIONS,
        LEARNING_RATE,
        GRAD_SAMPLES,
        option("hmc-burn-in", "5", "iterations of the inner chain before its first draw", ""),
        option("hmc-draws", "5", "draws of the inner chain per draw of the family", ""),
        option(
            "leapfrog-steps",
            "5",
            "leapfrog steps per iteration of the inner chain, at most",
            "L",
        ),
        option("hmc-acceptance", "0.9", "acceptance rate that its step size aims for", ""),
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
    const STAGES: [&'static str; 3] = ["uivi-standardize", "uivi", "uivi-examination"];
    const MEASURE: Measure = Measure::FISHER;
    const EXAMINATION: usize = fit::FRESH_EXAMINATION;
    type State = StepSize;

    fn new(reader: &Reader<'_>) -> Result<Self, InferenceError> {
        let acceptance: f64 = reader.get("hmc-acceptance")?;
        if !(acceptance > 0.0 && acceptance < 1.0) {
            return Err(InferenceError::Setting("`hmc-acceptance` is between 0 and 1".into()));
        }
        Ok(Uivi {
            burn_in: reader.get("hmc-burn-in")?,
            draws: reader.at_least_one("hmc-draws")?,
            leapfrog: reader.at_least_one("leapfrog-steps")?,
            acceptance,
        })
    }

    fn fit(task: Task<'_, Self>) -> Result<Fit, InferenceError> {
        task.fit_on_cpu()
    }
}

impl<E: Element> Steps<E> for Uivi {
    fn value_and_grad(
        &self,
        setup: &Setup<'_, E>,
        parameters: &Parameters<E>,
        state: &mut StepSize,
        at: At,
        rng: &mut Stream,
    ) -> Result<ValueAndGrad<E>, InferenceError> {
        let noise = setup.noise(rng);
        let (u, n) = setup.family.sample(parameters, &noise, &SharedTape::recording());
        let (_, score) = setup.target.value_and_score(u.numbers());
        let d = setup.target.dim();
        // −s_q, to which s_p is added.
        let mut f = self.minus_score(setup, parameters, &u, &noise.z, state, rng)?;
        let (mut divergence, mut used) = (0.0, 0_usize);
        for ((f, s), n) in
            f.chunks_exact_mut(d).zip(score.chunks_exact(d)).zip(n.numbers().chunks(d))
        {
            // Given u, the mean of ξ/σ is −s_q too, and independent of the chain's.
            let mut product = 0.0;
            for ((f, s), n) in f.iter_mut().zip(s).zip(n) {
                let s = *s * E::of(at.heat);
                *f += s;
                product += (*f * (s + *n)).f64();
            }
            if product.is_finite() {
                divergence += product;
                used += 1;
            } else {
                f.fill(E::zero());
            }
        }
        if used * 2 < f.len() / d {
            return Ok(None);
        }
        let loss = setup.along(&u, &f) / E::of(-(used as f64));
        let value = divergence / ((used * d) as f64);
        value_and_grad(Some((loss, value)))
    }
}

impl Uivi {
    /// `−s_q` at draws `u: [B, D]` that `z: [B, m]` made, averaged over the chain.
    fn minus_score<E: Element>(
        &self,
        setup: &Setup<'_, E>,
        parameters: &Parameters<E>,
        u: &Node<E>,
        z: &Node<E>,
        step: &mut StepSize,
        rng: &mut Stream,
    ) -> Result<Vec<E>, InferenceError> {
        let look = |z: &[E]| setup.family.conditional(parameters, u.numbers(), z);
        let mut chain = Chain { z: z.numbers().to_vec(), at: look(z.numbers())? };
        let mut mean = vec![E::zero(); u.numbers().len()];
        let share = E::of((self.draws as f64).recip());
        for iteration in 0..self.burn_in + self.draws {
            // A fixed length may be a whole period of the trajectories, which then all end where they
            // began.
            let leapfrog = rng.gen_range(1..=self.leapfrog);
            let accepted = chain.advance(leapfrog, step.0, &look, rng)?;
            step.follow(accepted, self.acceptance);
            if iteration >= self.burn_in {
                mean.iter_mut().zip(&chain.at.pull).for_each(|(m, p)| *m += share * *p);
            }
        }
        Ok(mean)
    }
}

/// One Hamiltonian chain a row.
#[derive(Clone)]
struct Chain<E> {
    /// Where they are, `[B, m]`.
    z: Vec<E>,
    at: Conditional<E>,
}

impl<E: Element> Chain<E> {
    /// One iteration: fresh momenta, `leapfrog` steps, acceptance row by row; the mean acceptance
    /// probability.
    fn advance(
        &mut self,
        leapfrog: usize,
        step: f64,
        look: &impl Fn(&[E]) -> Result<Conditional<E>, InferenceError>,
        rng: &mut Stream,
    ) -> Result<f64, InferenceError> {
        let (step, half) = (E::of(step), E::of(0.5 * step));
        let rows = self.at.log.len();
        let m = self.z.len() / rows;
        let mut momentum = vec![E::zero(); self.z.len()];
        fill_std_normal(rng, &mut momentum);
        let kinetic = |p: &[E]| 0.5 * p.iter().map(|p| p.f64() * p.f64()).sum::<f64>();
        let kick = |momentum: &mut [E], size: E, gradient: &[E]| {
            momentum.iter_mut().zip(gradient).for_each(|(p, g)| *p += size * *g);
        };
        let before: Vec<f64> = momentum.chunks_exact(m).map(kinetic).collect();
        let mut ahead = self.clone();
        for k in 0..leapfrog {
            kick(&mut momentum, if k == 0 { half } else { step }, &ahead.at.gradient);
            ahead.z.iter_mut().zip(&momentum).for_each(|(z, p)| *z += step * *p);
            ahead.at = look(&ahead.z)?;
        }
        kick(&mut momentum, half, &ahead.at.gradient);
        let mut accepted = 0.0;
        for (row, (before, p)) in before.iter().zip(momentum.chunks_exact(m)).enumerate() {
            let gain = (ahead.at.log[row] - self.at.log[row]).f64() + before - kinetic(p);
            // NaN, where the step was far too long, is not accepted.
            let probability = if gain.is_nan() { 0.0 } else { gain.min(0.0).exp() };
            accepted += probability / rows as f64;
            if rng.gen_range(0.0..1.0) < probability {
                self.take(&ahead, row);
            }
        }
        Ok(accepted)
    }

    /// Takes over one row.
    fn take(&mut self, from: &Chain<E>, row: usize) {
        fn copy<E: Copy>(to: &mut [E], from: &[E], row: usize, rows: usize) {
            let width = to.len() / rows;
            let at = row * width..(row + 1) * width;
            to[at.clone()].copy_from_slice(&from[at]);
        }
        let rows = self.at.log.len();
        copy(&mut self.z, &from.z, row, rows);
        copy(&mut self.at.log, &from.at.log, row, rows);
        copy(&mut self.at.gradient, &from.at.gradient, row, rows);
        copy(&mut self.at.pull, &from.at.pull, row, rows);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, parsed, settings};
    use super::*;

    #[test]
    fn the_chain_finds_the_score_of_a_gaussian() {
        // As many mixing variables as dimensions, and no network: the family is N(0, I), its score −u.
        let words = "latent=3 hmc-draws=300 grad-samples=40";
        let (uivi, options) = parsed::<Uivi>(&settings(words));
        let (setup, mut parameters, mut rng) = testing::setup(&options);
        setup.family.silence(&mut parameters);
        let noise = setup.noise(&mut rng);
        let (u, _) = setup.family.sample(&parameters, &noise, &SharedTape::off());
        let mut step = StepSize::default();
        let score = uivi.minus_score(&setup, &parameters, &u, &noise.z, &mut step, &mut rng);
        for (score, u) in score.unwrap().iter().zip(u.numbers()) {
            assert!((score - u).abs() < 0.4, "{score} {u}");
        }
        // z | u has standard deviation σ; steps are about as long.
        assert!(step.0 > 0.2 && step.0 < 1.4, "{}", step.0);
    }

    #[test]
    fn the_gradient_of_the_conditional_agrees_with_differences() {
        let (_, options) = parsed::<Uivi>(&settings("hmc-draws=1"));
        let (setup, parameters, mut rng) = testing::setup(&options);
        let noise = setup.noise(&mut rng);
        let (u, n) = setup.family.sample(&parameters, &noise, &SharedTape::off());
        let (u, mut z) = (u.numbers(), noise.z.numbers().to_vec());
        let at = setup.family.conditional(&parameters, u, &z).unwrap();
        assert!(at.pull.iter().zip(n.numbers()).all(|(p, n)| (p - n).abs() < 1e-12));
        for (k, gradient) in at.gradient.iter().enumerate() {
            let mut log = |step: f64| {
                z[k] += step;
                let log = setup.family.conditional(&parameters, u, &z).unwrap().log[k / 2];
                z[k] -= step;
                log
            };
            let difference = (log(1e-6) - log(-1e-6)) / 2e-6;
            assert!((gradient - difference).abs() < 1e-6 * (1.0 + difference.abs()));
        }
    }
}
