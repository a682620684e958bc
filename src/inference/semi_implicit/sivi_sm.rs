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

use dfdx::prelude::ReshapeTo;

use super::critic::{self, Critic};
use super::fit::{self, At, FAMILY, Measure, Objective, Setup, Steps, Task};
use super::options::{
    ANNEALING, ANTITHETIC, AVERAGE, CLIP, CRITIC_HIDDEN, CRITIC_LEARNING_RATE, DECAY_EVERY,
    GRAD_SAMPLES, HIDDEN, ITERATIONS, LATENT, LEARNING_RATE, LINEAR, LOG_VARIANCE,
    LOG_VARIANCE_FLOOR, MIXING_DRAWS, RESAMPLE, Reader, SCHEDULE, STANDARDIZE,
};
use crate::inference::backend::{
    Backend, Batch, Density, Loss, Node, Stage, ValueAndGrad, along, dispatch, number,
};
use crate::inference::fused::{Gaps, Term};
use crate::inference::method::option;
use crate::inference::optimizer::Parameters;
use crate::inference::tape::SharedTape;
use crate::inference::{Fit, InferenceError, Method, MethodOption};
use crate::real::Real;

/// The row of the method table.
pub(in crate::inference) const SIVI_SM: Method = Method {
    name: SiviSm::NAME,
    group: "semi-implicit",
    summary: "A Gaussian mixed by a network, trained by score matching against a critic network.",
    paper: "Yu & Zhang, ICLR 2023, arXiv 2308.10014",
    options: SiviSm::OPTIONS,
    run: fit::run::<SiviSm>,
};

/// What the family descends; the critic is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Descent {
    /// The Fisher divergence, as in the paper.
    Fisher,
    /// The Kullback-Leibler divergence `KL(q‖p)`.
    Kl,
}

impl std::str::FromStr for Descent {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "fisher" => Ok(Descent::Fisher),
            "kl" => Ok(Descent::Kl),
            _ => Err(()),
        }
    }
}

impl Descent {
    /// Critic steps, residual and clip that suit it.
    ///
    /// The descent of the Fisher divergence is a game that the family can win by moving draws to where
    /// the critic is wrong. There a residual, with its linear part, is wrong without bound; a critic
    /// that is kept close to its optimum, and gradients of nearly one length, leave little to win.
    fn suited(self) -> (usize, f64, f64) {
        match self {
            Descent::Kl => (2, 1.0, 10.0),
            Descent::Fisher => (5, 0.0, 0.1),
        }
    }
}

/// Its own settings.
pub(super) struct SiviSm {
    descent: Descent,
    critic_steps: usize,
    critic_warmup: usize,
    residual: f64,
    residual_decay: f64,
}

impl Objective for SiviSm {
    const NAME: &'static str = "sivi-sm";
    const OPTIONS: &'static [MethodOption] = &[
        ITERATIONS,
        LEARNING_RATE,
        CRITIC_LEARNING_RATE,
        GRAD_SAMPLES,
        LATENT,
        HIDDEN,
        CRITIC_HIDDEN,
        option("objective", "kl", "what the family descends: kl, or the paper's fisher", ""),
        option(
            "critic-steps",
            "auto",
            "critic updates per iteration; auto is 2 for kl, 5 for fisher",
            "",
        ),
        option("critic-warmup", "200", "critic updates before the first iteration", ""),
        option(
            "residual",
            "auto",
            "weight c of the target's score in the critic at the start; auto is 1 for kl, 0 for fisher",
            "c",
        ),
        option("residual-decay", "1", "c is divided by this every 100 iterations", "ψ_t"),
        LOG_VARIANCE,
        LOG_VARIANCE_FLOOR,
        LINEAR,
        ANTITHETIC,
        STANDARDIZE,
        MethodOption {
            default: "auto",
            meaning: "longest gradient of the family; auto is 10 for kl, 0.1 for fisher, inf is no limit",
            ..CLIP
        },
        ANNEALING,
        SCHEDULE,
        DECAY_EVERY,
        AVERAGE,
        MIXING_DRAWS,
        RESAMPLE,
    ];
    const STAGES: [&'static str; 3] = ["sivi-sm-standardize", "sivi-sm", "sivi-sm-examination"];
    const MEASURE: Measure = Measure::FISHER;
    const EXAMINATION: usize = 1000;
    type State = ();

    fn new(reader: &Reader<'_>) -> Result<Self, InferenceError> {
        let descent: Descent = reader.get("objective")?;
        let (critic_steps, residual, _) = descent.suited();
        let own = SiviSm {
            descent,
            critic_steps: reader.or_auto("critic-steps", critic_steps)?,
            critic_warmup: reader.get("critic-warmup")?,
            residual: reader.or_auto("residual", residual)?,
            residual_decay: reader.get("residual-decay")?,
        };
        if own.critic_steps == 0 || own.residual_decay < 1.0 {
            return Err(InferenceError::Setting(
                "`critic-steps` and `residual-decay` must be at least 1".into(),
            ));
        }
        Ok(own)
    }

    fn clip(&self) -> f64 {
        self.descent.suited().2
    }

    fn residual(&self, iteration: usize) -> f64 {
        self.residual / self.residual_decay.powf((iteration / 100) as f64)
    }

    fn fit(task: Task<'_, Self>) -> Result<Fit, InferenceError> {
        dispatch(task.settings, task)
    }
}

impl Stage for Task<'_, SiviSm> {
    type Output = Fit;

    fn run<B: Backend>(self) -> Result<Fit, InferenceError> {
        self.fit::<B>()
    }
}

impl<B: Backend> Steps<B> for SiviSm {
    fn begin(
        &self,
        setup: &Setup<'_, B>,
        parameters: &mut Parameters<B>,
        at: At,
        normals: &mut B::Normals,
    ) -> Result<(), InferenceError> {
        let rate = setup.options.critic_learning_rate;
        critic::steps(self.critic_warmup, setup, parameters, rate, at, normals)
    }

    fn value_and_grad(
        &self,
        setup: &Setup<'_, B>,
        parameters: &Parameters<B>,
        (): &mut (),
        at: At,
        normals: &mut B::Normals,
    ) -> Result<ValueAndGrad<B>, InferenceError> {
        let loss = match self.descent {
            Descent::Fisher => fisher,
            Descent::Kl => kl,
        };
        let (family, critic) = (&setup.family, &setup.critic);
        let descended = setup.batch(parameters, FAMILY, normals, |batch, noise| {
            let (u, n) = family.sample(batch.parameters, noise, &batch.tape);
            loss(batch, critic, (&u, &n), at)
        })?;
        Ok(descended.map(|(value, gradients)| (value / setup.target.dim() as f64, gradients)))
    }

    fn follow(
        &self,
        setup: &Setup<'_, B>,
        parameters: &mut Parameters<B>,
        factor: f64,
        at: At,
        normals: &mut B::Normals,
    ) -> Result<(), InferenceError> {
        let rate = setup.options.critic_learning_rate * factor;
        critic::steps(self.critic_steps, setup, parameters, rate, at, normals)
    }
}

/// `x s + y` for the scores `s`.
fn plus_scores<B: Backend>(x: f64, s: &B::Node, y: &B::Node) -> B::Node {
    B::combine(y.shape(), &[Term::Scaled(&number::<B>(x), 0, s), Term::Plain(y)])
}

/// The paper's objective and its value, which estimates the Fisher divergence; `None` where it is
/// not finite.
fn fisher<B: Backend>(
    batch: &Batch<'_, B>,
    critic: &Critic,
    (u, n): (&B::Node, &B::Node),
    At { heat, residual: c }: At,
) -> Loss<B> {
    let s = batch.bridge.score_at(u);
    // The critic's weights are constants here.
    let rest = critic.rest(batch.parameters, u, c, &SharedTape::off());
    let f = plus_scores::<B>(c * heat, &s, &rest);
    let gap = B::gap(&f, &plus_scores::<B>(heat, &s, n));
    let objective = gap.tensor().reshape_like(&()) / B::Number::of(u.shape().0 as f64);
    let value = objective.as_vec()[0].f64();
    value.is_finite().then_some((objective, value))
}

/// An objective whose gradient is that of `KL(q‖p)` along the path, `−E f(u)ᵀ ∂u/∂φ`, and the same
/// estimate of the Fisher divergence. Draws with a score that is not finite are left out; `None`
/// where that is every second one.
fn kl<B: Backend>(
    batch: &Batch<'_, B>,
    critic: &Critic,
    (u, n): (&B::Node, &B::Node),
    At { heat, residual: c }: At,
) -> Loss<B> {
    let (seen, n) = (u.detached(), n.detached());
    let s = batch.bridge.constant_score_at(&seen);
    let rest = critic.rest(batch.parameters, &seen, c, &SharedTape::off());
    let f = plus_scores::<B>(c * heat, &s, &rest);
    let Gaps { kept, sum, rows } = B::finite_gaps(&f, &plus_scores::<B>(heat, &s, &n));
    if rows * 2 < u.shape().0 {
        return None;
    }
    let size = rows as f64;
    Some((along::<B>(u, &kept) / B::Number::of(-size), sum / size))
}

#[cfg(test)]
mod tests {
    use super::super::family::Noise;
    use super::super::testing::{
        self, AT, Probe, gradient_agrees_with_differences, parsed, settings, the_same_on_a_device,
    };
    use super::*;
    use crate::inference::tape::Scalar;

    impl Probe for Descent {
        fn loss<B: Backend>(
            &self,
            setup: &Setup<'_, B>,
            parameters: &Parameters<B>,
            noise: [&Noise<B>; 2],
        ) -> Scalar<B> {
            let batch = setup.whole(parameters);
            let (u, n) = setup.family.sample(parameters, noise[0], &batch.tape);
            let loss = match self {
                Descent::Fisher => fisher(&batch, &setup.critic, (&u, &n), AT),
                Descent::Kl => kl(&batch, &setup.critic, (&u, &n), AT),
            };
            loss.unwrap().0
        }
    }

    #[test]
    fn both_objectives_are_the_same_on_a_device() {
        for descent in [Descent::Fisher, Descent::Kl] {
            the_same_on_a_device("", &descent);
        }
    }

    #[test]
    fn the_paper_s_gradient_agrees_with_differences() {
        gradient_agrees_with_differences::<SiviSm>("objective=fisher", AT, 3.0);
    }

    #[test]
    fn both_objectives_report_the_same_divergence() {
        let (_, options) = parsed::<SiviSm>(&settings(""));
        let (setup, parameters, mut rng) = testing::setup(&options);
        let noise = setup.noise(&mut rng);
        let batch = setup.whole(&parameters);
        let (u, n) = setup.family.sample(&parameters, &noise, &batch.tape);
        let (_, a) = fisher(&batch, &setup.critic, (&u, &n), AT).unwrap();
        let (_, b) = kl(&batch, &setup.critic, (&u, &n), AT).unwrap();
        assert!((a - b).abs() < 1e-12 * a.abs(), "{a} {b}");
    }

    #[test]
    fn antithetic_noise_comes_in_pairs() {
        let (_, options) = parsed::<SiviSm>(&settings(""));
        let (setup, _, mut rng) = testing::setup(&options);
        let noise = setup.noise(&mut rng);
        let (z, xi) = (noise.z.numbers(), noise.xi.numbers());
        assert_eq!(z[..6], z[6..]);
        assert!(xi[..9].iter().zip(&xi[9..]).all(|(a, b)| *a == -*b));
        // An odd batch loses one of the second halves.
        let odd: Noise<f64> = Noise::draw(&setup.family, 5, true, &mut rng);
        assert_eq!((odd.z.shape(), odd.xi.shape()), ((5, 2), (5, 3)));
    }
}
