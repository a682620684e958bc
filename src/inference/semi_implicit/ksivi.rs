//! KSIVI: kernel semi-implicit variational inference [cheng2024].
//!
//! Where SIVI-SM looks for the function that tells the scores apart by training a network, a
//! reproducing kernel Hilbert space has it in closed form, and its norm, the kernel Stein discrepancy
//! with the conditional score in place of the marginal one, is what the family descends:
//!
//! ```text
//! KSD² = E k(u, u') (s_p(u) + ξ/σ)ᵀ (s_p(u') + ξ'/σ)
//! ```
//!
//! over two independent batches (`estimator=vanilla`) or over the pairs within one
//! (`estimator=u-statistic`). Its gradient goes through `u`, the Hessian of `log p`, `σ` and, as in
//! the authors' code, the width of the Gaussian kernel.

use super::family::Noise;
use super::fit::{self, At, Measure, Objective, Setup, Steps, Task};
use super::options::{
    ANNEALING, ANTITHETIC, AVERAGE, CLIP, CRITIC_HIDDEN, CRITIC_LEARNING_RATE, DECAY_EVERY,
    GRAD_SAMPLES, HIDDEN, ITERATIONS, LATENT, LEARNING_RATE, LINEAR, LOG_VARIANCE,
    LOG_VARIANCE_FLOOR, MIXING_DRAWS, RESAMPLE, Reader, SCHEDULE, STANDARDIZE,
};
use crate::inference::backend::{
    Backend, Density, Loss, Node, Stage, ValueAndGrad, along, dispatch, number, value_and_grad,
};
use crate::inference::fused::Term;
use crate::inference::kernel_stein::{Discrepancy, Kernel, Sides};
use crate::inference::method::option;
use crate::inference::optimizer::Parameters;
use crate::inference::tape::SharedTape;
use crate::inference::{Fit, InferenceError, Method, MethodOption};

/// The row of the method table.
pub(in crate::inference) const KSIVI: Method = Method {
    name: Ksivi::NAME,
    group: "semi-implicit",
    summary: "A Gaussian mixed by a network, trained by a kernel Stein discrepancy.",
    paper: "Cheng et al., ICML 2024, arXiv 2405.18997",
    options: Ksivi::OPTIONS,
    run: fit::run::<Ksivi>,
};

/// Which pairs the discrepancy is averaged over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Estimator {
    /// All of two independent batches.
    Vanilla,
    /// Those of different draws of one batch.
    UStatistic,
}

impl std::str::FromStr for Estimator {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "vanilla" => Ok(Estimator::Vanilla),
            "u-statistic" => Ok(Estimator::UStatistic),
            _ => Err(()),
        }
    }
}

/// Its own settings.
pub(super) struct Ksivi {
    kernel: Kernel,
    estimator: Estimator,
}

impl Objective for Ksivi {
    const NAME: &'static str = "ksivi";
    const OPTIONS: &'static [MethodOption] = &[
        ITERATIONS,
        LEARNING_RATE,
        GRAD_SAMPLES,
        option("kernel", "gaussian", "gaussian, or imq (inverse multiquadric)", "k"),
        option(
            "estimator",
            "vanilla",
            "vanilla (two batches of draws), or u-statistic (the pairs of one)",
            "",
        ),
        LATENT,
        HIDDEN,
        LOG_VARIANCE,
        LOG_VARIANCE_FLOOR,
        LINEAR,
        ANTITHETIC,
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
    const STAGES: [&'static str; 3] = ["ksivi-standardize", "ksivi", "ksivi-examination"];
    const MEASURE: Measure = Measure {
        name: "kernel_stein_discrepancy",
        words: "squared kernel Stein discrepancy per dimension",
        tolerance: 0.02,
        unit: "(standardised)",
        maximise: false,
    };
    const EXAMINATION: usize = fit::FRESH_EXAMINATION;
    type State = ();

    fn new(reader: &Reader<'_>) -> Result<Self, InferenceError> {
        Ok(Ksivi { kernel: reader.get("kernel")?, estimator: reader.get("estimator")? })
    }

    fn fit(task: Task<'_, Self>) -> Result<Fit, InferenceError> {
        dispatch(task.settings, task)
    }
}

impl Stage for Task<'_, Ksivi> {
    type Output = Fit;

    fn run<B: Backend>(self) -> Result<Fit, InferenceError> {
        self.fit::<B>()
    }
}

impl<B: Backend> Steps<B> for Ksivi {
    fn value_and_grad(
        &self,
        setup: &Setup<'_, B>,
        parameters: &Parameters<B>,
        (): &mut (),
        at: At,
        normals: &mut B::Normals,
    ) -> Result<ValueAndGrad<B>, InferenceError> {
        value_and_grad(match self.estimator {
            Estimator::Vanilla => {
                let (first, second) = (setup.noise(normals), setup.noise(normals));
                self.at(setup, parameters, [&first, &second], at)
            }
            // Pairs of antithetic noise are no independent draws.
            Estimator::UStatistic => {
                let noise = setup.independent_noise(normals);
                self.at(setup, parameters, [&noise, &noise], at)
            }
        })
    }
}

impl Ksivi {
    /// The discrepancy of the draws of two batches of noise, or within the first.
    fn at<B: Backend>(
        &self,
        setup: &Setup<'_, B>,
        parameters: &Parameters<B>,
        noise: [&Noise<B>; 2],
        at: At,
    ) -> Loss<B> {
        let tape = SharedTape::recording();
        let heat = number::<B>(at.heat);
        let distinct = self.estimator == Estimator::UStatistic;
        // Draws and s_p + ξ/σ.
        let batch = |noise: &Noise<B>| {
            let (u, n) = setup.family.sample(parameters, noise, &tape);
            let score = setup.target.score_at(&u);
            let a = B::combine(u.shape(), &[Term::Scaled(&heat, 0, &score), Term::Plain(&n)]);
            [u, a]
        };
        let left = batch(noise[0]);
        let right = if distinct { left.clone() } else { batch(noise[1]) };
        let sides = Sides { left: left.each_ref(), right: right.each_ref(), distinct };
        let Discrepancy { value, gradients } = B::kernel_stein(self.kernel, sides);
        let [gu, ga, gv, gb] = &gradients;
        let [by_left, by_right] = [(&left, gu, ga), (&right, gv, gb)]
            .map(|([u, a], by_u, by_a)| along::<B>(u, by_u) + along::<B>(a, by_a));
        let value = value / setup.target.dim() as f64;
        value.is_finite().then(|| (by_left + by_right, value))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{
        AT, Probe, gradient_agrees_with_differences, parsed, settings, the_same_on_a_device,
    };
    use super::*;
    use crate::inference::tape::Scalar;

    impl Probe for Ksivi {
        fn loss<B: Backend>(
            &self,
            setup: &Setup<'_, B>,
            parameters: &Parameters<B>,
            noise: [&Noise<B>; 2],
        ) -> Scalar<B> {
            self.at(setup, parameters, noise, AT).unwrap().0
        }
    }

    #[test]
    fn it_is_the_same_on_a_device() {
        for words in ["", "kernel=imq", "estimator=u-statistic"] {
            the_same_on_a_device(words, &parsed::<Ksivi>(&settings(words)).0);
        }
    }

    #[test]
    fn the_gradient_agrees_with_differences() {
        for estimator in ["vanilla", "u-statistic"] {
            gradient_agrees_with_differences::<Ksivi>(&format!("estimator={estimator}"), AT, 3.0);
        }
    }
}
