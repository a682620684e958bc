//! What semi-implicit methods have in common: a first Gaussian fit, the training loop around an
//! [`Objective`], the average of the last iterates, and the examination of the finished family by a
//! critic, whatever it was trained with.

use std::sync::Arc;

use dfdx::prelude::ReshapeTo;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::assessment;
use super::critic::{self, BETAS, Critic};
use super::evidence::{Evidence, Finished};
use super::family::{Family, Noise};
use super::options::{Options, Reader};
use super::standardize::{Affine, Standardized, fit_gaussian};
use crate::density::{LogDensity, Part};
use crate::inference::bridge::Bridge;
use crate::inference::checkpoint;
use crate::inference::deadline::timed;
use crate::inference::fused::inner;
use crate::inference::node::Node;
use crate::inference::optimizer::{Average, Group, Parameters, Schedule, Update};
use crate::inference::start;
use crate::inference::tape::{Element, Pooled, Scalar, backward};
use crate::inference::train::{Context, Plan, Step, Stop, train};
use crate::inference::{
    Deadline, Fit, InferenceError, MethodOption, Monitor, Precision, Settings, Target,
};
use crate::random::{Stream, stream};

/// Parameter group of the family.
pub(super) const FAMILY: usize = 0;
/// Shares of the time, where it is limited: until training is over, and of what is then left for the
/// critic on the finished family.
const TRAINING: f64 = 0.65;
const EXAMINING: f64 = 0.35;
/// Share for the coordinates.
const STANDARDIZING: f64 = 0.2;

/// Every how many iterations the parameters count towards their average.
const AVERAGED: usize = 10;

/// Critic updates on the finished family for methods that train without a critic.
pub(super) const FRESH_EXAMINATION: usize = 2000;

/// How an objective is called, and when it counts as settled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measure {
    /// Standard name, such as `elbo`.
    pub(super) name: &'static str,
    /// In words, for the verdict.
    pub(super) words: &'static str,
    /// Change over the last quarter of training that counts as none.
    pub(super) tolerance: f64,
    /// What it is measured in.
    pub(super) unit: &'static str,
    /// Whether larger is better.
    pub(super) maximise: bool,
}

impl Measure {
    /// The estimate that comes with a critic.
    pub(super) const FISHER: Measure = Measure {
        name: "fisher_divergence",
        words: "Fisher divergence per dimension",
        tolerance: 0.05,
        unit: "(standardised)",
        maximise: false,
    };
}

/// What a family is trained by.
pub(super) trait Objective: Sized {
    /// The method's name.
    const NAME: &'static str;
    /// Its options.
    const OPTIONS: &'static [MethodOption];
    /// Names of the stages for checkpoints: standardisation, training, examination.
    const STAGES: [&'static str; 3];
    /// What [`loss`](Self::loss) reports.
    const MEASURE: Measure;
    /// Critic updates on the finished family before it is judged.
    const EXAMINATION: usize;
    /// What iterations change besides parameters and random streams.
    type State: Serialize + DeserializeOwned + Default;

    /// Reads the method's own options.
    fn new(reader: &Reader<'_>) -> Result<Self, InferenceError>;

    /// What `clip=auto` means.
    fn clip(&self) -> f64 {
        10.0
    }

    /// Weight `c` of the target's score in the critic.
    fn residual(&self, _iteration: usize) -> f64 {
        1.0
    }

    /// What comes before the first iteration.
    fn begin<E: Element>(
        &self,
        _setup: &Setup<'_, E>,
        _parameters: &mut Parameters<E>,
        _at: At,
        _rng: &mut Stream,
    ) -> Result<(), InferenceError> {
        Ok(())
    }

    /// What the family descends, on fresh draws.
    fn loss<E: Element>(
        &self,
        setup: &Setup<'_, E>,
        parameters: &Parameters<E>,
        state: &mut Self::State,
        at: At,
        rng: &mut Stream,
    ) -> Result<Loss<E>, InferenceError>;

    /// What comes after the family's step; `factor` is that of the critic's learning rate.
    fn follow<E: Element>(
        &self,
        _setup: &Setup<'_, E>,
        _parameters: &mut Parameters<E>,
        _factor: f64,
        _at: At,
        _rng: &mut Stream,
    ) -> Result<(), InferenceError> {
        Ok(())
    }
}

/// A loss at some draws.
pub(super) struct Loss<E: Element> {
    /// Its gradient is that of the objective, and the [`Measure`]'s value; `None` where that is not
    /// finite.
    pub(super) descent: Option<(Scalar<E>, f64)>,
    /// The draws, `[B, D]`.
    pub(super) points: Vec<E>,
}

/// What depends on how far training is.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    /// Weight of the target while annealing.
    pub(super) heat: f64,
    /// Weight `c` of the target's score in the critic.
    pub(super) residual: f64,
}

/// Networks and target of one run.
pub(super) struct Setup<'a, E: Element> {
    pub(super) target: Bridge<E>,
    pub(super) family: Family,
    pub(super) critic: Critic,
    pub(super) options: &'a Options,
    /// When what is done with it is to be over.
    pub(super) deadline: Deadline,
}

impl<'a, E: Element> Setup<'a, E> {
    pub(super) fn new(
        density: &Arc<dyn LogDensity<E>>,
        options: &'a Options,
        deadline: Deadline,
        parameters: &mut Parameters<E>,
        rng: &mut Stream,
    ) -> Self {
        let dim = density.dim();
        let family = Family::new(dim, &options.family, parameters, FAMILY, rng);
        let identity = options.family.linear;
        let critic = Critic::new(dim, &options.critic_hidden, identity, parameters, rng);
        Setup { target: Bridge::new(density), family, critic, options, deadline }
    }

    /// Rows of `D` numbers off the tape.
    pub(super) fn points(&self, values: &[E]) -> Node<E> {
        let d = self.target.dim();
        Node::constant(Pooled::of(values), (values.len() / d, d))
    }

    /// `Σ x ∘ gradient`, whose gradient by `x: [B, D]` is `gradient`.
    pub(super) fn along(&self, x: &Node<E>, gradient: &[E]) -> Scalar<E> {
        inner(x, &self.points(gradient)).tensor().reshape_like(&())
    }

    /// `log p: [B]` and its score `[B, D]` at `u: [B, D]`, off the tape.
    pub(super) fn score(&self, u: &[E]) -> (Vec<E>, Vec<E>) {
        let (mut log_p, mut score) =
            (vec![E::zero(); u.len() / self.target.dim()], vec![E::zero(); u.len()]);
        self.target.density().score(u, &mut log_p, &mut score);
        (log_p, score)
    }

    /// Noise for one batch, in antithetic pairs if that is set.
    pub(super) fn noise(&self, rng: &mut Stream) -> Noise<E> {
        Noise::draw(&self.family, self.options.batch, self.options.antithetic, rng)
    }

    /// Noise for one batch of independent draws.
    pub(super) fn independent_noise(&self, rng: &mut Stream) -> Noise<E> {
        Noise::draw(&self.family, self.options.batch, false, rng)
    }

    /// One descent step of the family; the measure's value, per dimension.
    fn descend(
        &self,
        parameters: &mut Parameters<E>,
        rate: f64,
        loss: Loss<E>,
    ) -> Result<Step, InferenceError> {
        let d = self.target.dim();
        let place = || {
            let points = loss.points.chunks_exact(d);
            Step::NonFinite({ points }.find_map(|u| self.target.density().explain_non_finite(u)))
        };
        let Some((objective, value)) = loss.descent else { return Ok(place()) };
        let mut gradients = backward(objective)?;
        let clip_norm = Some(self.options.clip);
        let group = Group { betas: BETAS, clip_norm, ..Group::adam(FAMILY) };
        Ok(match parameters.update(&group, rate, &mut gradients) {
            Update::Stepped { .. } => Step::Done(value),
            Update::NonFinite => place(),
        })
    }
}

/// Weight of the target while annealing takes the first fraction `annealing` of training.
fn heat(annealing: f64, done: f64) -> f64 {
    if annealing > 0.0 { (0.1 + done / annealing).min(1.0) } else { 1.0 }
}

/// The `run` of every semi-implicit method.
pub(super) fn run<O: Objective>(
    target: Target<'_>,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<Fit, InferenceError> {
    let reader = Reader::new(O::OPTIONS, settings);
    let objective = O::new(&reader)?;
    let options = Options::new(&reader, target.f64.dim(), objective.clip())?;
    let standardizing = settings.deadline.share(STANDARDIZING);
    let training = settings.deadline.share(TRAINING);
    target.f64.see(Part::Large);
    let affine = match start::of_settings(O::NAME, target, settings, monitor)? {
        Some(start) => Affine::of(&start, options.standardize),
        None => checkpoint::once(monitor, O::STAGES[0], |_| {
            let mut rng = stream(settings.seed, &format!("{} standardize", O::NAME));
            let timed = timed(target.f64, &standardizing);
            let mut fit = || fit_gaussian(&*timed, options.standardize, &standardizing, &mut rng);
            let first = fit()?;
            if target.f64.estimate().is_none() {
                return Ok(first);
            }
            // Of a part of the data; around there it is corrected to all of it.
            target.f64.see(Part::Whole(&first.mean));
            fit()
        })?,
    };
    let task = Task { target, affine, options: &options, settings, training };
    match settings.precision {
        Precision::F64 => fit(&objective, target.f64, task, monitor),
        Precision::F32 => fit(&objective, target.f32, task, monitor),
    }
}

/// What is to be fitted, and how.
struct Task<'a> {
    target: Target<'a>,
    affine: Affine,
    options: &'a Options,
    settings: &'a Settings,
    /// When training is to be over.
    training: Deadline,
}

/// Trains in precision `E` and assesses in `f64`.
fn fit<E: Element, O: Objective>(
    objective: &O,
    density: &Arc<dyn LogDensity<E>>,
    task: Task<'_>,
    monitor: &mut dyn Monitor,
) -> Result<Fit, InferenceError> {
    let Task { options, settings, .. } = task;
    let mut parameters = Parameters::<E>::default();
    let mut rng = stream(settings.seed, &format!("{} networks", O::NAME));
    density.see(Part::Whole(&task.affine.mean));
    let seen = |deadline: &Deadline| -> Arc<dyn LogDensity<E>> {
        Arc::new(Standardized::new(&timed(density, deadline), &task.affine))
    };
    let mut setup = Setup::new(
        &seen(&task.training),
        options,
        task.training.clone(),
        &mut parameters,
        &mut rng,
    );
    let plan = Plan {
        stage: O::STAGES[1],
        phase: "training",
        objective: O::MEASURE.name,
        maximise: O::MEASURE.maximise,
        iterations: options.iterations,
        learning_rate: options.learning_rate,
        schedule: options.schedule[0],
        tolerance: settings.tolerance,
        window: 500,
        least_gain: None,
        deadline: task.training.clone(),
    };
    let horizon = (options.average * options.iterations as f64 / AVERAGED as f64).max(1.0);
    let mut state = (
        stream(settings.seed, &format!("{} training", O::NAME)),
        Average::<E>::exponential(1.0 - 1.0 / horizon),
        O::State::default(),
    );
    let at = |context: Context| At {
        heat: heat(options.annealing, context.done),
        residual: objective.residual(context.iteration),
    };
    let step = |parameters: &mut Parameters<E>,
                state: &mut (Stream, Average<E>, O::State),
                context: Context| {
        let (rng, average, own) = state;
        let at = at(context);
        if context.iteration == 0 {
            objective.begin(&setup, parameters, at, rng)?;
        }
        density.see(Part::Fresh(context.iteration as u64));
        let loss = objective.loss(&setup, parameters, own, at, rng)?;
        let outcome = setup.descend(parameters, context.rate, loss)?;
        let factor = options.schedule[1].factor(context.iteration, context.done);
        objective.follow(&setup, parameters, factor, at, rng)?;
        let due = options.average > 0.0 && context.iteration.is_multiple_of(AVERAGED);
        if matches!(outcome, Step::Done(_)) && due {
            average.add(parameters);
        }
        Ok(outcome)
    };
    let training = train(&plan, &mut parameters, &mut state, monitor, step)?;
    let (mut rng, average, _) = state;
    if options.average > 0.0 {
        average.store(&mut parameters);
    }
    let at = At { heat: 1.0, residual: objective.residual(training.iterations) };
    let mut stop = training.stop;
    if !training.interrupted() {
        setup.deadline = settings.deadline.share(EXAMINING);
        setup.target = Bridge::new(&seen(&setup.deadline));
        stop = examine::<E, O>(&setup, &mut parameters, &mut rng, at, monitor)?;
    }
    let Task { target, affine, .. } = task;
    target.f64.see(Part::Whole(&affine.mean));
    let from = Finished { name: O::NAME, setup: &setup, parameters: &parameters, at, stop };
    let evidence = Evidence::gather(&from, target, affine, settings, monitor)?;
    Ok(assessment::conclude(O::NAME, &O::MEASURE, &evidence, training, settings))
}

/// Trains the critic (further) on the finished family, so that it finds what differences there are.
/// How it ended.
fn examine<E: Element, O: Objective>(
    setup: &Setup<'_, E>,
    parameters: &mut Parameters<E>,
    rng: &mut Stream,
    at: At,
    monitor: &mut dyn Monitor,
) -> Result<Stop, InferenceError> {
    let plan = Plan {
        stage: O::STAGES[2],
        phase: "examination",
        objective: "critic_gap",
        maximise: true,
        iterations: O::EXAMINATION,
        learning_rate: setup.options.critic_learning_rate,
        schedule: Schedule::Cosine { warmup: 0.0, floor: 0.01 },
        tolerance: None,
        window: O::EXAMINATION,
        least_gain: None,
        deadline: setup.deadline.clone(),
    };
    let run = train(&plan, parameters, rng, monitor, |parameters, rng, context| {
        critic::step(setup, parameters, context.rate, at, rng)
    })?;
    Ok(run.stop)
}
