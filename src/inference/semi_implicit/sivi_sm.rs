//! SIVI-SM: semi-implicit variational inference by score matching [yu2023].
//!
//! The Fisher divergence of `q` from `p` is a maximum over functions `f`, in which the score of the
//! mixture may be replaced by that of a conditional:
//!
//! ```text
//! E_q|s_p − s_q|² = max_f E_{z,ξ}[ f(u)ᵀ (2 s_p(u) + 2 ξ/σ − f(u)) ],    f* = s_p − s_q
//! ```
//!
//! Each iteration makes one descent step in the family's parameters `φ` (through `u`, `f(u)`, `s_p(u)`,
//! so Hessian-vector products of `log p`, and `ξ/σ`), and `critic-steps` ascent steps in those of `f`.
//!
//! By default the descent step is another one with the same critic: `−E f(u)ᵀ ∂u/∂φ`, the gradient of
//! `KL(q‖p)` along the path, because `f` is `s_p − s_q`. It needs no Hessian, cannot drive the draws to
//! where the critic is wrong in order to lower the objective, and, unlike the Fisher divergence, sees
//! how mass is divided between distant parts; `objective=fisher` is the paper's.
//!
//! Further departures, each an option that can be set back: standardised coordinates; `σ²`
//! bounded smoothly, so that no gradient is lost at the bound; antithetic `ξ`; a linear part of the
//! family; `f = c s_p + u + network` with a constant `c = 1`, so that the network has to learn `−s_q`
//! only, which is smooth and known for the standard normal; several critic steps; a learning rate
//! that ends near zero; the draws come from an average of the last iterates.

use std::sync::Arc;
use std::time::Instant;

use dfdx::prelude::{HasShape, PutTape, Rank0, SumTo};

use super::assessment::{self, Evidence};
use super::family::{Family, Noise};
use super::marginal::Marginal;
use super::options::{OPTIONS, Objective, Options};
use super::standardize::{Affine, Standardized, fit_gaussian};
use crate::density::{LogDensity, Part};
use crate::inference::bridge::Bridge;
use crate::inference::checkpoint;
use crate::inference::network::ReluMlp;
use crate::inference::optimizer::{Average, Group, Parameters, Schedule, Update};
use crate::inference::start;
use crate::inference::tape::{Element, Matrix, Scalar, SharedTape, backward, tensor};
use crate::inference::train::{Context, Plan, Step, Stop, Training, train};
use crate::inference::{Fit, InferenceError, Method, Monitor, Precision, Settings, Target};
use crate::random::{Stream, stream};

/// The row of the method table.
pub(in crate::inference) const SIVI_SM: Method = Method {
    name: "sivi-sm",
    group: "semi-implicit",
    summary: "A Gaussian mixed by a network, trained by score matching against a critic network.",
    paper: "Yu & Zhang, ICLR 2023, arXiv 2308.10014",
    options: OPTIONS,
    run,
};

/// Parameter group of the family.
const FAMILY: usize = 0;
/// Parameter group of the critic.
const CRITIC: usize = 1;
/// Decay rates of Adam's moments [yu2023].
const BETAS: [f64; 2] = [0.9, 0.99];
/// Draws, at most, at which the density of the fit is estimated.
const WEIGHED: usize = 2000;
/// Critic updates on the finished family, before it is judged.
const EXAMINATION: usize = 1000;
/// Draws that go through the networks at once when there is nothing to train.
const CHUNK: usize = 4096;

fn run(
    target: Target<'_>,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<Fit, InferenceError> {
    let dim = target.f64.dim();
    let options = Options::new(settings, dim)?;
    let began = Instant::now();
    target.f64.see(Part::Large);
    let affine = match start::of_settings(SIVI_SM.name, target, settings, monitor)? {
        Some(start) => Affine::of(&start, options.standardize),
        None => checkpoint::once(monitor, "sivi-sm-standardize", |_| {
            let mut rng = stream(settings.seed, "sivi-sm standardize");
            let mut fit = || fit_gaussian(&**target.f64, options.standardize, &mut rng);
            let first = fit()?;
            if target.f64.estimate().is_none() {
                return Ok(first);
            }
            // Of a part of the data; around there it is corrected to all of it.
            target.f64.see(Part::Whole(&first.mean));
            fit()
        })?,
    };
    let mut settings = settings.clone();
    settings.max_time = settings.max_time.map(|limit| limit.saturating_sub(began.elapsed()));
    match settings.precision {
        Precision::F64 => fit(target.f64, target, affine, &options, &settings, monitor),
        Precision::F32 => fit(target.f32, target, affine, &options, &settings, monitor),
    }
}

/// The critic `f(u) = c (s_p(u) + u) + network(u)`; without the part `u` where there is no linear part.
struct Critic {
    network: ReluMlp,
    identity: bool,
}

impl Critic {
    /// What is added to `c s_p`.
    fn rest<E: Element>(
        &self,
        parameters: &Parameters<E>,
        u: Matrix<E>,
        c: f64,
        tape: &SharedTape<E>,
    ) -> Matrix<E> {
        let network = self.network.forward(parameters, u.clone(), tape);
        if self.identity { network + u * E::of(c) } else { network }
    }
}

/// Networks, target and noise of one run.
struct Trainer<'a, E: Element> {
    target: Bridge<E>,
    family: Family,
    critic: Critic,
    options: &'a Options,
}

impl<E: Element> Trainer<'_, E> {
    fn constant(&self, values: &[E]) -> Matrix<E> {
        let d = self.target.dim();
        let rows = values.len() / d;
        tensor(values, (rows, d)).put_tape(SharedTape::off())
    }

    fn noise(&self, rng: &mut Stream) -> Noise<E> {
        Noise::draw(&self.family, self.options.batch, self.options.antithetic, rng)
    }

    /// Weight `c` of the target's score in the critic.
    fn residual(&self, iteration: usize) -> f64 {
        self.options.residual / self.options.residual_decay.powf((iteration / 100) as f64)
    }

    /// Weight of the target's score while annealing.
    fn temperature(&self, done: f64) -> f64 {
        if self.options.annealing > 0.0 {
            (0.1 + done / self.options.annealing).min(1.0)
        } else {
            1.0
        }
    }

    /// One descent step of the family; the objective, per dimension.
    fn family_step(
        &self,
        parameters: &mut Parameters<E>,
        context: Context,
        rng: &mut Stream,
    ) -> Result<Step, InferenceError> {
        let noise = self.noise(rng);
        let (c, heat) = (self.residual(context.iteration), self.temperature(context.done));
        let tape = SharedTape::recording();
        let (u, n) = self.family.sample(parameters, &noise, &tape);
        let points = u.as_vec();
        let outcome = match self.options.objective {
            Objective::Fisher => self.fisher_objective(parameters, (u, n), c, heat),
            Objective::Kl => self.kl_objective(parameters, (u, n), c, heat),
        };
        let place = || {
            let d = self.target.dim();
            points.chunks_exact(d).find_map(|u| self.target.density().explain_non_finite(u))
        };
        let Some((objective, divergence)) = outcome else { return Ok(Step::NonFinite(place())) };
        let mut gradients = backward(objective)?;
        let group =
            Group { betas: BETAS, clip_norm: Some(self.options.clip), ..Group::adam(FAMILY) };
        Ok(match parameters.update(&group, context.rate, &mut gradients) {
            Update::Stepped { .. } => Step::Done(divergence / self.target.dim() as f64),
            Update::NonFinite => Step::NonFinite(place()),
        })
    }

    /// The paper's objective and its value, which estimates the Fisher divergence; `None` where it is
    /// not finite.
    fn fisher_objective(
        &self,
        parameters: &Parameters<E>,
        (u, n): (Matrix<E>, Matrix<E>),
        c: f64,
        heat: f64,
    ) -> Option<(Scalar<E>, f64)> {
        let s = self.target.score(u.clone()) * E::of(heat);
        // The critic's weights are constants here.
        let rest = self.critic.rest(parameters, u, c, &SharedTape::off());
        let f = s.clone() * E::of(c) + rest;
        let gap = f.clone() * ((s + n) * E::of(2.0)) - f.square();
        let size = E::of(gap.shape().0 as f64);
        let objective = gap.sum::<Rank0, _>() / size;
        let value = objective.as_vec()[0].f64();
        value.is_finite().then_some((objective, value))
    }

    /// An objective whose gradient is that of `KL(q‖p)` along the path, `−E f(u)ᵀ ∂u/∂φ`, and the same
    /// estimate of the Fisher divergence. Draws with a score that is not finite are left out; `None`
    /// where that is every second one.
    fn kl_objective(
        &self,
        parameters: &Parameters<E>,
        (u, n): (Matrix<E>, Matrix<E>),
        c: f64,
        heat: f64,
    ) -> Option<(Scalar<E>, f64)> {
        let d = self.target.dim();
        let points = u.as_vec();
        let batch = points.len() / d;
        let (mut log_p, mut s) = (vec![E::zero(); batch], vec![E::zero(); points.len()]);
        self.target.density().score(&points, &mut log_p, &mut s);
        let mut f =
            self.critic.rest(parameters, self.constant(&points), c, &SharedTape::off()).as_vec();
        let (heat, c, two) = (E::of(heat), E::of(c), E::of(2.0));
        let (mut divergence, mut used) = (0.0, 0);
        for ((f, s), n) in f.chunks_exact_mut(d).zip(s.chunks_exact(d)).zip(n.as_vec().chunks(d)) {
            let mut gap = 0.0;
            for ((f, s), n) in f.iter_mut().zip(s).zip(n) {
                let s = *s * heat;
                *f += c * s;
                gap += (*f * (two * (s + *n) - *f)).f64();
            }
            if gap.is_finite() {
                divergence += gap;
                used += 1;
            } else {
                f.fill(E::zero());
            }
        }
        if used * 2 < batch {
            return None;
        }
        let size = used as f64;
        let objective = (u * self.constant(&f)).sum::<Rank0, _>() / E::of(-size);
        Some((objective, divergence / size))
    }

    /// One ascent step of the critic on fresh draws, which are constants here; the gap, per dimension,
    /// up to the part that does not depend on the critic.
    fn critic_step(
        &self,
        parameters: &mut Parameters<E>,
        rate: f64,
        (c, heat): (f64, f64),
        rng: &mut Stream,
    ) -> Result<Step, InferenceError> {
        let noise = self.noise(rng);
        let (u, mut n) = self.family.values(parameters, &noise);
        // f (2s + 2n − f) with f = cs + r is r (2(1−c)s + 2n − r) and a part without r: at c = 1 the
        // critic learns −s_q alone and needs nothing of the target.
        if c != 1.0 {
            let (mut log_p, mut s) =
                (vec![E::zero(); u.len() / self.target.dim()], vec![E::zero(); u.len()]);
            self.target.density().score(&u, &mut log_p, &mut s);
            for (n, s) in n.iter_mut().zip(&s) {
                *n += E::of((1.0 - c) * heat) * *s;
            }
        }
        let tape = SharedTape::recording();
        let r = self.critic.rest(parameters, self.constant(&u), c, &tape);
        let size = (r.shape().0 * self.target.dim()) as f64;
        let gap = r.clone().square() - r * (self.constant(&n) * E::of(2.0));
        let loss = gap.sum::<Rank0, _>() / E::of(size);
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
}

/// Trains in precision `E` and assesses in `f64`.
fn fit<E: Element>(
    density: &Arc<dyn LogDensity<E>>,
    target: Target<'_>,
    affine: Affine,
    options: &Options,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<Fit, InferenceError> {
    let dim = density.dim();
    let mut parameters = Parameters::<E>::default();
    let mut rng = stream(settings.seed, "sivi-sm networks");
    let family = Family::new(dim, &options.family, &mut parameters, FAMILY, &mut rng);
    let sizes: Vec<usize> = std::iter::once(dim)
        .chain(options.critic_hidden.iter().copied())
        .chain(std::iter::once(dim))
        .collect();
    let critic = Critic {
        network: ReluMlp::new(&mut parameters, CRITIC, &sizes, &mut rng),
        identity: options.family.linear,
    };
    density.see(Part::Whole(&affine.mean));
    let seen: Arc<dyn LogDensity<E>> = Arc::new(Standardized::new(density, &affine));
    let trainer = Trainer { target: Bridge::new(&seen), family, critic, options };

    let plan = Plan {
        stage: "sivi-sm",
        phase: "training",
        objective: "fisher_divergence",
        maximise: false,
        iterations: options.iterations,
        learning_rate: options.learning_rate,
        schedule: options.schedule[0],
        tolerance: settings.tolerance,
        window: 500,
        // The rest is for the examination.
        least_gain: None,
        max_time: settings.max_time.map(|t| t.mul_f64(0.85)),
    };
    let horizon = (options.average * options.iterations as f64).max(1.0);
    let mut state =
        (stream(settings.seed, "sivi-sm training"), Average::exponential(1.0 - 1.0 / horizon));
    let step = |parameters: &mut Parameters<E>, state: &mut (Stream, Average), context: Context| {
        let (rng, average) = state;
        if context.iteration == 0 {
            let at = (trainer.residual(0), trainer.temperature(0.0));
            for _ in 0..options.critic_warmup {
                trainer.critic_step(parameters, options.critic_learning_rate, at, rng)?;
            }
        }
        density.see(Part::Fresh(context.iteration as u64));
        let outcome = trainer.family_step(parameters, context, rng)?;
        let factor = options.schedule[1].factor(context.iteration, context.done);
        let rate = options.critic_learning_rate * factor;
        let at = (trainer.residual(context.iteration), trainer.temperature(context.done));
        for _ in 0..options.critic_steps {
            trainer.critic_step(parameters, rate, at, rng)?;
        }
        if matches!(outcome, Step::Done(_)) && options.average > 0.0 {
            average.add(parameters);
        }
        Ok(outcome)
    };
    let training = train(&plan, &mut parameters, &mut state, monitor, step)?;
    let (mut rng, average) = state;
    if options.average > 0.0 {
        average.store(&mut parameters);
    }
    let c = trainer.residual(training.iterations);
    let examined = examine(&trainer, &mut parameters, &mut rng, c, &training, settings, monitor)?;
    let evidence = evidence(&trainer, &parameters, target, affine, c, settings);
    Ok(assessment::conclude(SIVI_SM.name, &evidence, training, examined, settings.seed))
}

/// Trains the critic further on the finished family, so that it finds what differences there are.
/// Whether it got to its end.
fn examine<E: Element>(
    trainer: &Trainer<'_, E>,
    parameters: &mut Parameters<E>,
    rng: &mut Stream,
    c: f64,
    training: &Training,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<bool, InferenceError> {
    if training.stop == Stop::Interrupted {
        return Ok(false);
    }
    let plan = Plan {
        stage: "sivi-sm-examination",
        phase: "examination",
        objective: "critic_gap",
        maximise: true,
        iterations: EXAMINATION,
        learning_rate: trainer.options.critic_learning_rate,
        schedule: Schedule::Cosine { warmup: 0.0, floor: 0.01 },
        tolerance: None,
        window: EXAMINATION,
        least_gain: None,
        max_time: settings.max_time.map(|t| t.mul_f64(0.15)),
    };
    let run = train(&plan, parameters, rng, monitor, |parameters, rng, context| {
        trainer.critic_step(parameters, context.rate, (c, 1.0), rng)
    })?;
    Ok(run.stop == Stop::Iterations)
}

/// Fresh draws, their densities, and the critic's opinion of them.
fn evidence<E: Element>(
    trainer: &Trainer<'_, E>,
    parameters: &Parameters<E>,
    target: Target<'_>,
    affine: Affine,
    c: f64,
    settings: &Settings,
) -> Evidence {
    target.f64.see(Part::Whole(&affine.mean));
    let family = &trainer.family;
    let mut rng = stream(settings.seed, "sivi-sm draws");
    let (mut u, mut n, mut rest, mut z) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let wide = |x: &[E]| x.iter().map(|x| x.f64()).collect::<Vec<f64>>();
    while u.len() < settings.draws * affine.dim() {
        let rows = CHUNK.min(settings.draws - u.len() / affine.dim());
        let noise: Noise<E> = Noise::draw(family, rows, false, &mut rng);
        let (points, scores) = family.values(parameters, &noise);
        let seen = trainer.constant(&points);
        rest.extend(wide(&trainer.critic.rest(parameters, seen, c, &SharedTape::off()).as_vec()));
        u.extend(wide(&points));
        n.extend(wide(&scores));
        z.extend(wide(&noise.z));
    }
    let mixing_draws = trainer.options.mixing_draws;
    let weighed = settings.draws.min(WEIGHED);
    let (some_u, some_z) = (&u[..weighed * affine.dim()], &z[..weighed * family.latent()]);
    Evidence {
        estimate: Marginal::new(family, parameters).estimate(
            some_u,
            some_z,
            mixing_draws,
            &mut rng,
        ),
        u,
        negative_conditional_score: n,
        critic_rest: rest,
        critic_residual: c,
        density: Standardized::new(target.f64, &affine),
        affine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::Residuals;

    /// `−¼ Σ (x_j − ½ x_{j+1})⁴`: a Hessian that varies, so that a wrong product shows.
    struct Quartic;

    impl Quartic {
        fn gap(x: &[f64], j: usize) -> f64 {
            x[j] - 0.5 * x[(j + 1) % 3]
        }
    }

    impl LogDensity<f64> for Quartic {
        fn dim(&self) -> usize {
            3
        }
        fn log_density(&self, z: &[f64], log_p: &mut [f64]) {
            for (x, l) in z.chunks_exact(3).zip(log_p) {
                *l = (0..3).map(|j| -0.25 * Self::gap(x, j).powi(4)).sum();
            }
        }
        fn score(&self, z: &[f64], log_p: &mut [f64], score: &mut [f64]) {
            self.log_density(z, log_p);
            for (x, g) in z.chunks_exact(3).zip(score.chunks_exact_mut(3)) {
                for (j, g) in g.iter_mut().enumerate() {
                    *g = -Self::gap(x, j).powi(3) + 0.5 * Self::gap(x, (j + 2) % 3).powi(3);
                }
            }
        }
        fn hvp(&self, keep: &Residuals<f64>, v: &[f64], out: &mut [f64]) {
            let rows = keep.points.chunks_exact(3).zip(v.chunks_exact(3));
            for ((x, v), o) in rows.zip(out.chunks_exact_mut(3)) {
                let change = |j: usize| 3.0 * Self::gap(x, j).powi(2) * Self::gap(v, j);
                for (j, o) in o.iter_mut().enumerate() {
                    *o = -change(j) + 0.5 * change((j + 2) % 3);
                }
            }
        }
    }

    fn trainer(options: &Options) -> (Trainer<'_, f64>, Parameters<f64>, Stream) {
        let density: Arc<dyn LogDensity<f64>> = Arc::new(Quartic);
        let mut parameters = Parameters::default();
        let mut rng = stream(5, "sivi-sm test");
        let family = Family::new(3, &options.family, &mut parameters, FAMILY, &mut rng);
        let network = ReluMlp::new(&mut parameters, CRITIC, &[3, 6, 3], &mut rng);
        let critic = Critic { network, identity: true };
        (Trainer { target: Bridge::new(&density), family, critic, options }, parameters, rng)
    }

    fn options() -> Options {
        let mut settings = Settings::default();
        for (name, value) in [("hidden", "5"), ("grad-samples", "6"), ("latent", "2")] {
            settings.options.insert(name.into(), value.into());
        }
        Options::new(&settings, 3).unwrap()
    }

    #[test]
    fn the_paper_s_gradient_agrees_with_differences() {
        let options = options();
        let (trainer, mut parameters, mut rng) = trainer(&options);
        let noise = trainer.noise(&mut rng);
        let value = |parameters: &Parameters<f64>, tape: &SharedTape<f64>| {
            let sample = trainer.family.sample(parameters, &noise, tape);
            trainer.fisher_objective(parameters, sample, 0.7, 0.9).unwrap()
        };
        let mut gradients = backward(value(&parameters, &SharedTape::recording()).0).unwrap();
        for handle in trainer.family.handles() {
            let gradient = parameters.gradient(handle, &mut gradients);
            let start = parameters.values(handle);
            for i in 0..start.len() {
                let mut at = |step: f64| {
                    let mut moved = start.clone();
                    moved[i] += step;
                    parameters.set(handle, &moved);
                    value(&parameters, &SharedTape::recording()).1
                };
                let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
                let tolerance = 1e-6 * (1.0 + difference.abs());
                assert!(
                    (gradient[i] - difference).abs() < tolerance,
                    "{} {difference}",
                    gradient[i]
                );
                parameters.set(handle, &start);
            }
        }
    }

    #[test]
    fn both_objectives_report_the_same_divergence() {
        let options = options();
        let (trainer, parameters, mut rng) = trainer(&options);
        let noise = trainer.noise(&mut rng);
        let sample = || trainer.family.sample(&parameters, &noise, &SharedTape::recording());
        let (_, fisher) = trainer.fisher_objective(&parameters, sample(), 0.7, 0.9).unwrap();
        let (_, kl) = trainer.kl_objective(&parameters, sample(), 0.7, 0.9).unwrap();
        assert!((fisher - kl).abs() < 1e-12 * fisher.abs(), "{fisher} {kl}");
    }

    #[test]
    fn antithetic_noise_comes_in_pairs() {
        let options = options();
        let (trainer, _, mut rng) = trainer(&options);
        let noise = trainer.noise(&mut rng);
        assert_eq!(noise.z[..6], noise.z[6..]);
        assert!(noise.xi[..9].iter().zip(&noise.xi[9..]).all(|(a, b)| *a == -*b));
        // An odd batch loses one of the second halves.
        let odd: Noise<f64> = Noise::draw(&trainer.family, 5, true, &mut rng);
        assert_eq!((odd.z.len(), odd.xi.len()), (10, 15));
    }
}
