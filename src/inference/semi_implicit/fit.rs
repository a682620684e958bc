//! What semi-implicit methods have in common: a first Gaussian fit, the training loop around an
//! [`Objective`], the average of the last iterates, and the examination of the finished family by a
//! critic, whatever it was trained with.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::assessment;
use super::critic::{self, BETAS, Critic};
use super::evidence::{Evidence, Finished};
use super::family::{Family, Noise};
use super::options::{Options, Reader};
use super::standardize::fit_gaussian;
use crate::density::{LogDensity, Part};
use crate::inference::affine::Coordinates;
use crate::inference::backend::{Backend, Batch, Density, Loss, Normals, ValueAndGrad, along};
use crate::inference::checkpoint;
use crate::inference::deadline::timed;
use crate::inference::node::Node;
use crate::inference::optimizer::{Average, Group, Parameters, Schedule, Update};
use crate::inference::start;
use crate::inference::tape::{Element, Pooled, Scalar};
use crate::inference::train::{Context, Plan, Step, train};
use crate::inference::transport::Transport;
use crate::inference::workers::{Workers, parts};
use crate::inference::{
    Deadline, Fit, InferenceError, MethodOption, Monitor, Precision, Settings, Target,
};
use crate::random::{Stream, stream};
use crate::real::Real;

/// Parameter group of the family.
pub(super) const FAMILY: usize = 0;
/// Shares of the time, where it is limited: until training is over, and of what is then left for the
/// critic on the finished family.
const TRAINING: f64 = 0.65;
const EXAMINING: f64 = 0.35;
/// Share for the coordinates.
const STANDARDIZING: f64 = 0.2;

/// What a draw takes, in steps of a chain: passes through the family and the critic, there and back.
const STEPS: usize = 2;

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
    /// What its steps report.
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

    /// Trains and examines where the settings say, as far as the method is for other places than the CPU.
    fn fit(task: Task<'_, Self>) -> Result<Fit, InferenceError>;
}

/// The steps of an objective on a backend.
pub(super) trait Steps<B: Backend>: Objective {
    /// What comes before the first iteration.
    fn begin(
        &self,
        _setup: &Setup<'_, B>,
        _parameters: &mut Parameters<B>,
        _at: At,
        _normals: &mut B::Normals,
    ) -> Result<(), InferenceError> {
        Ok(())
    }

    /// The [`Measure`]'s value and the gradients that the family descends, on fresh draws; `None` where that is
    /// not finite.
    fn value_and_grad(
        &self,
        setup: &Setup<'_, B>,
        parameters: &Parameters<B>,
        state: &mut Self::State,
        at: At,
        normals: &mut B::Normals,
    ) -> Result<ValueAndGrad<B>, InferenceError>;

    /// What comes after the family's step; `factor` is that of the critic's learning rate.
    fn follow(
        &self,
        _setup: &Setup<'_, B>,
        _parameters: &mut Parameters<B>,
        _factor: f64,
        _at: At,
        _normals: &mut B::Normals,
    ) -> Result<(), InferenceError> {
        Ok(())
    }
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
pub(super) struct Setup<'a, B: Backend> {
    /// The target in operations, and as it is on the CPU.
    pub(super) target: B::Bridge,
    seen: Arc<dyn LogDensity<B::Number>>,
    pub(super) family: Family,
    pub(super) critic: Critic,
    pub(super) options: &'a Options,
    /// When what is done with it is to be over.
    pub(super) deadline: Deadline,
    /// Who shares a batch, and how it is cut.
    pub(super) workers: Workers,
    parts: Vec<usize>,
}

impl<'a, B: Backend> Setup<'a, B> {
    pub(super) fn new(
        (target, seen): (B::Bridge, Arc<dyn LogDensity<B::Number>>),
        options: &'a Options,
        deadline: Deadline,
        parameters: &mut Parameters<B>,
        rng: &mut Stream,
    ) -> Self {
        let dim = target.dim();
        let family = Family::new(dim, &options.family, parameters, FAMILY, rng);
        let identity = options.family.linear;
        let critic = Critic::new(dim, &options.critic_hidden, identity, parameters, rng);
        let parts = parts(options.batch, STEPS, options.batch);
        Setup {
            target,
            seen,
            family,
            critic,
            options,
            deadline,
            workers: Workers::default(),
            parts,
        }
    }

    /// Noise for one batch, in antithetic pairs if that is set.
    pub(super) fn noise(&self, normals: &mut B::Normals) -> Noise<B> {
        Noise::draw(&self.family, self.options.batch, self.options.antithetic, normals)
    }

    /// Value and gradients by the parameters of `group` of a loss that is a mean over draws, on fresh noise.
    pub(super) fn batch(
        &self,
        parameters: &Parameters<B>,
        group: usize,
        normals: &mut B::Normals,
        loss: impl Fn(&Batch<'_, B>, &Noise<B>) -> Loss<B> + Sync,
    ) -> Result<ValueAndGrad<B>, InferenceError> {
        let Options { batch: whole, antithetic, .. } = *self.options;
        let family = &self.family;
        let of_part = |batch: &Batch<'_, B>, part: usize, normals: &mut B::Normals| {
            let of_part = loss(batch, &Noise::draw(family, part, antithetic, normals));
            if part == whole {
                return of_part;
            }
            let share = part as f64 / whole as f64;
            of_part.map(|(loss, value)| (loss * B::Number::of(share), value * share))
        };
        let on = (&self.target, parameters);
        B::batch(&self.workers, on, group, &self.parts, normals, of_part)
    }

    /// What a loss of the whole batch is made of.
    #[cfg(test)]
    pub(super) fn whole<'b>(&'b self, parameters: &'b Parameters<B>) -> Batch<'b, B> {
        Batch {
            bridge: &self.target,
            parameters,
            tape: crate::inference::tape::SharedTape::recording(),
        }
    }

    /// Noise for one batch of independent draws.
    pub(super) fn independent_noise(&self, normals: &mut B::Normals) -> Noise<B> {
        Noise::draw(&self.family, self.options.batch, false, normals)
    }

    /// One descent step of the family; the measure's value, per dimension.
    fn descend(&self, parameters: &mut Parameters<B>, rate: f64, descent: ValueAndGrad<B>) -> Step {
        let place = || {
            let point = self.target.non_finite_point();
            Step::NonFinite(point.and_then(|u| self.seen.explain_non_finite(&u)))
        };
        let Some((value, mut gradients)) = descent else { return place() };
        let clip_norm = Some(self.options.clip);
        let group = Group { betas: BETAS, clip_norm, ..Group::adam(FAMILY) };
        match parameters.update(&group, rate, &mut gradients) {
            Update::Stepped { .. } => Step::Done(value),
            Update::NonFinite => place(),
        }
    }
}

impl<E: Element> Setup<'_, E> {
    /// `Σ x ∘ gradient`, whose gradient by `x` is `gradient`.
    pub(super) fn along(&self, x: &Node<E>, gradient: &[E]) -> Scalar<E> {
        along::<E>(x, &Node::constant(Pooled::of(gradient), x.shape()))
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
    let start = match start::of_settings(O::NAME, target, settings, monitor)? {
        Some(start) => start,
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
    let coordinates = options.standardize.coordinates(&start);
    O::fit(Task { objective, target, coordinates, options, settings, training, monitor })
}

/// What is to be fitted, and how.
pub(super) struct Task<'a, O> {
    objective: O,
    target: Target<'a>,
    coordinates: Coordinates,
    options: Options,
    pub(super) settings: &'a Settings,
    /// When training is to be over.
    training: Deadline,
    monitor: &'a mut dyn Monitor,
}

impl<O: Objective> Task<'_, O> {
    /// Trains on the CPU.
    pub(super) fn fit_on_cpu(self) -> Result<Fit, InferenceError>
    where
        O: Steps<f32> + Steps<f64>,
    {
        match self.settings.precision {
            Precision::F64 => self.fit::<f64>(),
            Precision::F32 => self.fit::<f32>(),
        }
    }

    /// Trains and examines on a backend; draws and weighs them on the CPU.
    pub(super) fn fit<B: Backend>(self) -> Result<Fit, InferenceError>
    where
        O: Steps<B>,
    {
        let Task { objective, target, coordinates, options, settings, training, monitor } = self;
        let density = B::Number::density(target);
        let mut parameters = Parameters::<B>::default();
        let mut rng = stream(settings.seed, &format!("{} networks", O::NAME));
        density.see(Part::Whole(&coordinates.shift));
        let transport = Transport::from(coordinates.clone());
        let until = |deadline: &Deadline| -> Result<_, InferenceError> {
            let timed = timed(density, deadline);
            Ok((B::bridge(&timed, settings, &transport)?, transport.density(&timed)))
        };
        let target_until = until(&training)?;
        let mut setup =
            Setup::new(target_until, &options, training.clone(), &mut parameters, &mut rng);
        setup.workers = Workers::new(settings.threads.min(setup.parts.len()));
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
            deadline: training,
        };
        let horizon = (options.average * options.iterations as f64 / AVERAGED as f64).max(1.0);
        let mut state = (
            B::Normals::new(settings.seed, &format!("{} training", O::NAME)),
            Average::<B>::exponential(1.0 - 1.0 / horizon),
            O::State::default(),
        );
        let at = |context: Context| At {
            heat: heat(options.annealing, context.done),
            residual: objective.residual(context.iteration),
        };
        let step = |parameters: &mut Parameters<B>,
                    state: &mut (B::Normals, Average<B>, O::State),
                    context: Context| {
            let (normals, average, own) = state;
            let at = at(context);
            if context.iteration == 0 {
                objective.begin(&setup, parameters, at, normals)?;
            }
            density.see(Part::Fresh(context.iteration as u64));
            let descent = objective.value_and_grad(&setup, parameters, own, at, normals)?;
            let outcome = setup.descend(parameters, context.rate, descent);
            let factor = options.schedule[1].factor(context.iteration, context.done);
            objective.follow(&setup, parameters, factor, at, normals)?;
            let due = options.average > 0.0 && context.iteration.is_multiple_of(AVERAGED);
            if matches!(outcome, Step::Done(_)) && due {
                average.add(parameters);
            }
            Ok(outcome)
        };
        let training = train(&plan, &mut parameters, &mut state, monitor, step)?;
        let (mut normals, average, _) = state;
        if options.average > 0.0 {
            average.store(&mut parameters);
        }
        let at = At { heat: 1.0, residual: objective.residual(training.iterations) };
        let mut stop = training.stop;
        if !training.interrupted() {
            setup.deadline = settings.deadline.share(EXAMINING);
            (setup.target, setup.seen) = until(&setup.deadline)?;
            let plan = examination::<O>(&options, setup.deadline.clone());
            stop = train(&plan, &mut parameters, &mut normals, monitor, |p, normals, context| {
                critic::step(&setup, p, context.rate, at, normals)
            })?
            .stop;
        }
        target.f64.see(Part::Whole(&coordinates.shift));
        let finished = Finished::<B::Number> {
            name: O::NAME,
            family: &setup.family,
            critic: &setup.critic,
            options: &options,
            parameters: &parameters.cast(),
            at,
            workers: &Workers::new(settings.threads),
            stop,
        };
        let evidence = Evidence::gather(&finished, target, coordinates, settings, monitor)?;
        Ok(assessment::conclude(O::NAME, &O::MEASURE, &evidence, target, training, settings))
    }
}

/// How the critic is trained (further) on the finished family, so that it finds what differences there are.
fn examination<O: Objective>(options: &Options, deadline: Deadline) -> Plan {
    Plan {
        stage: O::STAGES[2],
        phase: "examination",
        objective: "critic_gap",
        maximise: true,
        iterations: O::EXAMINATION,
        learning_rate: options.critic_learning_rate,
        schedule: Schedule::Cosine { warmup: 0.0, floor: 0.01 },
        tolerance: None,
        window: O::EXAMINATION,
        least_gain: None,
        deadline,
    }
}
