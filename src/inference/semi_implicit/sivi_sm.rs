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

use super::critic;
use super::fit::{self, At, Loss, Measure, Objective, Setup};
use super::options::{
    ANNEALING, ANTITHETIC, AVERAGE, CLIP, CRITIC_HIDDEN, CRITIC_LEARNING_RATE, DECAY_EVERY,
    GRAD_SAMPLES, HIDDEN, ITERATIONS, LATENT, LEARNING_RATE, LINEAR, LOG_VARIANCE,
    LOG_VARIANCE_FLOOR, MIXING_DRAWS, RESAMPLE, Reader, SCHEDULE, STANDARDIZE,
};
use crate::inference::fused::{Term, combine, gap};
use crate::inference::method::option;
use crate::inference::node::Node;
use crate::inference::optimizer::Parameters;
use crate::inference::tape::{Element, Pooled, Scalar, SharedTape};
use crate::inference::{InferenceError, Method, MethodOption};
use crate::random::Stream;

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

    fn begin<E: Element>(
        &self,
        setup: &Setup<'_, E>,
        parameters: &mut Parameters<E>,
        at: At,
        rng: &mut Stream,
    ) -> Result<(), InferenceError> {
        let rate = setup.options.critic_learning_rate;
        critic::steps(self.critic_warmup, setup, parameters, rate, at, rng)
    }

    fn loss<E: Element>(
        &self,
        setup: &Setup<'_, E>,
        parameters: &Parameters<E>,
        (): &mut (),
        at: At,
        rng: &mut Stream,
    ) -> Result<Loss<E>, InferenceError> {
        let noise = setup.noise(rng);
        let (u, n) = setup.family.sample(parameters, &noise, &SharedTape::recording());
        let points = u.numbers().to_vec();
        let descent = match self.descent {
            Descent::Fisher => fisher(setup, parameters, (&u, &n), at),
            Descent::Kl => kl(setup, parameters, (&u, &n), at),
        };
        let per_dimension = |(loss, value)| (loss, value / setup.target.dim() as f64);
        Ok(Loss { descent: descent.map(per_dimension), points })
    }

    fn follow<E: Element>(
        &self,
        setup: &Setup<'_, E>,
        parameters: &mut Parameters<E>,
        factor: f64,
        at: At,
        rng: &mut Stream,
    ) -> Result<(), InferenceError> {
        let rate = setup.options.critic_learning_rate * factor;
        critic::steps(self.critic_steps, setup, parameters, rate, at, rng)
    }
}

/// The paper's objective and its value, which estimates the Fisher divergence; `None` where it is
/// not finite.
fn fisher<E: Element>(
    setup: &Setup<'_, E>,
    parameters: &Parameters<E>,
    (u, n): (&Node<E>, &Node<E>),
    At { heat, residual: c }: At,
) -> Option<(Scalar<E>, f64)> {
    let shape = u.shape();
    let s = setup.target.score_at(u);
    // The critic's weights are constants here.
    let rest = setup.critic.rest(parameters, u, c, &SharedTape::off());
    let factor = |x: f64| Node::constant(Pooled::of(&[E::of(x)]), (1, 1));
    let sum =
        |x, rest: &Node<E>| combine(shape, &[Term::Scaled(&factor(x), 0, &s), Term::Plain(rest)]);
    let gap = gap(&sum(c * heat, &rest), &sum(heat, n));
    let objective = gap.tensor().reshape_like(&()) / E::of(shape.0 as f64);
    let value = objective.as_vec()[0].f64();
    value.is_finite().then_some((objective, value))
}

/// An objective whose gradient is that of `KL(q‖p)` along the path, `−E f(u)ᵀ ∂u/∂φ`, and the same
/// estimate of the Fisher divergence. Draws with a score that is not finite are left out; `None`
/// where that is every second one.
fn kl<E: Element>(
    setup: &Setup<'_, E>,
    parameters: &Parameters<E>,
    (u, n): (&Node<E>, &Node<E>),
    At { heat, residual: c }: At,
) -> Option<(Scalar<E>, f64)> {
    let (batch, d) = u.shape();
    let (_, s) = setup.score(u.numbers());
    let seen = setup.points(u.numbers());
    let mut f = setup.critic.rest(parameters, &seen, c, &SharedTape::off()).numbers().to_vec();
    let (heat, c, two) = (E::of(heat), E::of(c), E::of(2.0));
    let (mut divergence, mut used) = (0.0, 0);
    for ((f, s), n) in f.chunks_exact_mut(d).zip(s.chunks_exact(d)).zip(n.numbers().chunks(d)) {
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
    let objective = setup.along(u, &f) / E::of(-size);
    Some((objective, divergence / size))
}

#[cfg(test)]
mod tests {
    use super::super::family::Noise;
    use super::super::testing::{self, AT, gradient_agrees_with_differences, parsed, settings};
    use super::*;

    #[test]
    fn the_paper_s_gradient_agrees_with_differences() {
        gradient_agrees_with_differences::<SiviSm>("objective=fisher", AT, 3.0);
    }

    #[test]
    fn both_objectives_report_the_same_divergence() {
        let (_, options) = parsed::<SiviSm>(&settings(""));
        let (setup, parameters, mut rng) = testing::setup(&options);
        let noise = setup.noise(&mut rng);
        let (u, n) = setup.family.sample(&parameters, &noise, &SharedTape::recording());
        let (_, a) = fisher(&setup, &parameters, (&u, &n), AT).unwrap();
        let (_, b) = kl(&setup, &parameters, (&u, &n), AT).unwrap();
        assert!((a - b).abs() < 1e-12 * a.abs(), "{a} {b}");
    }

    #[test]
    fn antithetic_noise_comes_in_pairs() {
        let (_, options) = parsed::<SiviSm>(&settings(""));
        let (setup, _, mut rng) = testing::setup(&options);
        let noise = setup.noise(&mut rng);
        assert_eq!(noise.z[..6], noise.z[6..]);
        assert!(noise.xi[..9].iter().zip(&noise.xi[9..]).all(|(a, b)| *a == -*b));
        // An odd batch loses one of the second halves.
        let odd: Noise<f64> = Noise::draw(&setup.family, 5, true, &mut rng);
        assert_eq!((odd.z.len(), odd.xi.len()), (10, 15));
    }
}
