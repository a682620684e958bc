//! Trains a chain and assesses it: the `run` of every Langevin method.
//!
//! The start is the mean-field fit (the same code as `--infer mean-field`), to which the curvature
//! under it adds correlations (`precondition=dense`) and a triangular map what those depend on
//! (`precondition=transport`); the chain runs in the coordinates in which all this is standard normal: a
//! mass matrix by another name, one for every place. The published methods have one
//! scalar step size, which a posterior with standard deviations of 0.01 and 10, or a correlation of
//! 0.99, would hold to the narrowest direction; and a start without correlations leaves them all to
//! the chain. Algorithm and bound are unchanged by the choice of coordinates; `precondition=none` is
//! the method as published.

use std::sync::Arc;

use dfdx::prelude::MeanTo;

use super::chain::Chain;
use super::config::{Config, Precondition};
use super::form::{Dynamics, Levels};
use super::watch::Watch;
use crate::density::{LogDensity, Part};
use crate::inference::affine::Coordinates;
use crate::inference::assess::Checks;
use crate::inference::backend::{Backend, Batch, Density, Normals, Pairs, Stage, dispatch};
use crate::inference::bridge::Bridge;
use crate::inference::deadline::timed;
use crate::inference::examine::examine;
use crate::inference::gaussian::{self, MeanField, start_mean_field};
use crate::inference::history::History;
use crate::inference::node::Node;
use crate::inference::optimizer::{Group, Parameters, Schedule, Update};
use crate::inference::start::{self, Gaussian};
use crate::inference::tape::{Element, Pooled, SharedTape};
use crate::inference::train::{Context, Plan, Step, Stop, Training, train};
use crate::inference::transport::{self, Transport};
use crate::inference::weights;
use crate::inference::workers::{Workers, parts};
use crate::inference::{
    Fit, InferenceError, KhatKind, Monitor, Progress, Settings, Target, VerdictLevel,
};
use crate::random::{fill_std_normal, stream};
use crate::real::Real;

/// Shares of the time, where it is limited: until the start is found (and half as much again for the
/// coordinates around it), and until training is over.
const PLACING: f64 = 0.2;
const TRAINING: f64 = 0.75;
/// Share of what is then left for the draws; the rest is for their checks.
const SAMPLING: f64 = 0.7;
/// Chains simulated at once for the final assessment.
const BATCH: usize = 100;
/// Numbers that the points of chains may have that a thread simulates at once: a chain keeps a dozen such
/// matrices.
const POINTS: usize = 1 << 21;
/// Paths behind the final numbers, at least.
const MIN_PATHS: usize = 4000;

/// Iterations over which the bound is averaged before it is asked whether it still rises.
const WINDOW: usize = 200;

/// Learning rate of the step size, relative to that of networks.
const STEP_SIZE_PACE: f64 = 0.2;
/// That of free levels and of what the correction has of the forces: few numbers, of order one, each of
/// which every path says something about.
const COEFFICIENT_PACE: f64 = 3.0;

/// Fits the method called `name`.
///
/// # Errors
/// Settings out of range, and densities that are not finite where they are needed.
pub(super) fn fit(
    name: &'static str,
    dynamics: Dynamics,
    target: Target<'_>,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<Fit, InferenceError> {
    let config = Config::new(settings, target.f64.dim(), dynamics)?;
    // Without a wish the start is the mean-field fit.
    let given = match settings.init.as_deref() {
        Some("mean-field") => None,
        _ => start::of_settings(name, target, settings, monitor)?,
    };
    let training = TrainChain {
        target,
        config: &config,
        settings,
        given: given.as_ref(),
        monitor: &mut *monitor,
    };
    let trained = dispatch(settings, training)?;
    assess(name, &config, &trained, target, settings, monitor)
}

/// The Gaussian that comes before the chain.
struct Start {
    mean: Vec<f64>,
    sd: Vec<f64>,
    converged: bool,
    /// Of everything before the chain.
    iterations: usize,
    /// Whether the user has asked to stop.
    interrupted: bool,
}

impl From<MeanField> for Start {
    fn from(fit: MeanField) -> Self {
        let interrupted = fit.training.stop == Stop::Interrupted;
        let MeanField { mean, sd, converged, iterations, .. } = fit;
        Start { mean, sd, converged, iterations, interrupted }
    }
}

/// What training leaves.
struct Trained<B: Backend> {
    chain: Chain,
    parameters: Parameters<B>,
    start: Start,
    training: Training,
    /// Those in which the chain runs.
    coordinates: Transport,
}

/// Start and training of a chain.
struct TrainChain<'a> {
    target: Target<'a>,
    config: &'a Config,
    settings: &'a Settings,
    given: Option<&'a Gaussian>,
    monitor: &'a mut dyn Monitor,
}

impl Stage for TrainChain<'_> {
    type Output = Trained<f64>;

    fn run<B: Backend>(self) -> Result<Trained<f64>, InferenceError> {
        let Trained { chain, parameters, start, training, coordinates } = train_chain::<B>(self)?;
        Ok(Trained { chain, parameters: parameters.cast(), start, training, coordinates })
    }
}

fn train_chain<B: Backend>(task: TrainChain<'_>) -> Result<Trained<B>, InferenceError> {
    let TrainChain { target, config, settings, given, monitor } = task;
    let density = B::Number::density(target);
    let deadline = settings.deadline.share(TRAINING);
    let of = |v: &[f64]| v.iter().map(|x| Real::of(*x)).collect::<Vec<B::Number>>();
    let (start, coordinates) = place(density, target.f64, config, settings, given, monitor)?;
    let density = &timed(density, &deadline);
    let (mu, log_sd) = if config.precondition == Precondition::None {
        (start.mean.clone(), start.sd.iter().map(|s| s.ln()).collect())
    } else {
        (vec![0.0; density.dim()], vec![0.0; density.dim()])
    };
    let seen = coordinates.density(density);
    let mut parameters = Parameters::default();
    let bridge = B::bridge(density, settings, &coordinates)?;
    let chain = Chain::new(
        config.form,
        (&of(&mu), &of(&log_sd)),
        &mut parameters,
        &mut stream(settings.seed, "langevin network"),
    );
    // While the network is still zero, gradients ask for a smaller step size than the trained network
    // can use; a slower pace keeps it from collapsing before the network has learned.
    parameters.scale_rate(chain.handles.step_size, STEP_SIZE_PACE);
    let free = (config.form.levels == Levels::Free).then_some(chain.handles.schedule);
    for coefficients in chain.handles.guides.into_iter().flatten().chain(free) {
        parameters.scale_rate(coefficients, COEFFICIENT_PACE);
    }
    let n = config.grad_samples;
    let parts = parts(n, config.form.bridges, at_once(&chain));
    let workers = Workers::new(settings.threads.min(parts.len()));
    let group = Group::adam(0);
    let plan = Plan {
        stage: "langevin",
        phase: "training",
        objective: "elbo",
        maximise: true,
        iterations: if start.interrupted { 0 } else { config.iterations },
        learning_rate: config.learning_rate,
        schedule: Schedule::Cosine { warmup: 0.02, floor: 0.01 },
        tolerance: settings.tolerance,
        window: WINDOW,
        least_gain: Some(config.least_gain),
        deadline,
    };
    // The random stream, the step size at each step, and what is known of explosions.
    let mut state: (B::Normals, History, Watch) =
        (B::Normals::new(settings.seed, "langevin noise"), History::default(), Watch::new());
    let explain = || bridge.non_finite_point().and_then(|x| seen.explain_non_finite(&x));
    let step = |parameters: &mut Parameters<B>,
                (normals, step_sizes, watch): &mut (B::Normals, History, Watch),
                context: Context| {
        density.see(Part::Fresh(context.iteration as u64));
        let step_size = parameters.value(chain.handles.step_size).min(watch.largest_step);
        parameters.set(chain.handles.step_size, &[Real::of(step_size)]);
        step_sizes.add(step_size);
        let loss = |batch: &Batch<'_, B>, part: usize, normals: &mut B::Normals| {
            let Batch { bridge, parameters, ref tape } = *batch;
            let noise = normals.draw((part * chain.noises(), chain.dim), Pairs::Independent);
            let paths = chain.simulate(bridge, parameters, &noise, part, tape);
            let loss = paths.log_weights.mean::<(), _>() * B::Number::of(-(part as f64 / n as f64));
            let value = -loss.as_vec()[0].f64();
            Some((loss, value))
        };
        let on = (&bridge, &*parameters);
        let batch = B::batch(&workers, on, group.id, &parts, normals, loss)?;
        let Some((value, mut gradients)) = batch.filter(|b| watch.good(b.0, step_size)) else {
            return Ok(Step::NonFinite(explain()));
        };
        Ok(match parameters.update(&group, context.rate, &mut gradients) {
            Update::Stepped { .. } => Step::Done(value),
            Update::NonFinite => Step::NonFinite(explain()),
        })
    };
    let mut training = train(&plan, &mut parameters, &mut state, monitor, step)?;
    training.traces.push(state.1.trace("step_size"));
    if start.interrupted {
        training.stop = Stop::Interrupted;
    }
    Ok(Trained { chain, parameters, start, training, coordinates })
}

/// How many chains a thread simulates at once, at most.
fn at_once(chain: &Chain) -> usize {
    (POINTS / (chain.noises() * chain.dim).max(1)).max(1)
}

/// Where the chain starts and the coordinates that it runs in.
fn place<E: Element>(
    density: &Arc<dyn LogDensity<E>>,
    exact: &Arc<dyn LogDensity<f64>>,
    config: &Config,
    settings: &Settings,
    given: Option<&Gaussian>,
    monitor: &mut dyn Monitor,
) -> Result<(Start, Transport), InferenceError> {
    let d = density.dim();
    // The chain is what the time is for.
    let deadline = settings.deadline.share(2.0 * PLACING);
    let mut start = match given {
        Some(given) => Start {
            mean: given.mean.clone(),
            sd: given.sd.clone(),
            converged: true,
            iterations: 0,
            interrupted: false,
        },
        None => {
            let mut config = gaussian::Config::start_of(settings);
            config.deadline = settings.deadline.share(PLACING);
            Start::from(start_mean_field(density, exact, &config, None, "langevin-start", monitor)?)
        }
    };
    density.see(Part::Whole(&start.mean));
    exact.see(Part::Whole(&start.mean));
    let (density, exact) = (&timed(density, &deadline), &timed(exact, &deadline));
    let diagonal = || Coordinates { shift: start.mean.clone(), scale: start.sd.clone(), mix: None };
    let dense = || match given {
        Some(given) => given.coordinates(),
        None if d == 1 => diagonal(),
        None => gaussian::correlated(&**exact, &start.mean, &start.sd, settings.seed)
            .unwrap_or_else(diagonal),
    };
    let coordinates = match config.precondition {
        Precondition::None => Coordinates::identity(d).into(),
        Precondition::Diagonal => diagonal().into(),
        Precondition::Dense => dense().into(),
        Precondition::Transport if start.interrupted => dense().into(),
        Precondition::Transport => {
            let config = transport::Config {
                seed: settings.seed,
                iterations: config.iterations,
                deadline: deadline.clone(),
            };
            let (coordinates, training) =
                transport::fit(density, exact, dense(), &config, monitor)?;
            start.interrupted = training.stop == Stop::Interrupted;
            start.iterations += training.iterations;
            coordinates
        }
    };
    Ok((start, coordinates))
}

/// Fresh paths, their weights and end points, and the verdict.
fn assess(
    name: &'static str,
    config: &Config,
    trained: &Trained<f64>,
    target: Target<'_>,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<Fit, InferenceError> {
    let Trained { chain, parameters, coordinates, .. } = trained;
    target.f64.see(Part::Whole(&trained.start.mean));
    let d = chain.dim;
    let paths = config.resample.pool(settings.draws, d).max(MIN_PATHS);
    let mut rng = stream(settings.seed, "langevin draws");
    let (mut log_weights, mut draws, mut log_p) = (Vec::new(), Vec::new(), Vec::new());
    let mut stop = trained.training.stop;
    let sampling = settings.deadline.share(SAMPLING);
    let bridge = Bridge::new(&timed(&coordinates.density(target.f64), &sampling));
    let shape = |n: usize| (n * chain.noises(), d);
    let batch = sampling.lot(2, at_once(chain).min(BATCH), || {
        let mut pilot = stream(settings.seed, "langevin pilot");
        let noise = Normals::<f64>::draw(&mut pilot, shape(2), Pairs::Independent);
        let _ = chain.simulate(&bridge, parameters, &noise, 2, &SharedTape::off());
    });
    let workers = Workers::new(settings.threads);
    while log_weights.len() < paths && !(sampling.passed() && log_weights.len() > 1) {
        // A batch for each thread, on noise that is drawn before.
        let mut left = paths - log_weights.len();
        let mut batches = Vec::new();
        while batches.len() < workers.count() && left > 0 {
            let n = batch.min(left);
            let mut noise = vec![0.0; n * chain.noises() * d];
            fill_std_normal(&mut rng, &mut noise);
            batches.push((n, noise));
            left -= n;
        }
        let simulated = workers.each(&mut batches, |(n, noise)| {
            let noise = Node::constant(Pooled::of(noise), shape(*n));
            let paths = chain.simulate(&bridge, parameters, &noise, *n, &SharedTape::off());
            let numbers = |x: &Node<f64>| x.numbers().to_vec();
            (paths.log_weights.as_vec(), numbers(&paths.ends), numbers(&paths.log_p))
        });
        if sampling.has_cut() {
            break;
        }
        for (weights, ends, of_ends) in simulated {
            log_weights.extend(weights);
            let (ends, log_dets) = coordinates.apply(target.f64, &ends);
            draws.extend(ends);
            log_p.extend(of_ends.iter().zip(log_dets).map(|(l, det)| l - det));
        }
        let progress = Progress {
            phase: "sampling",
            done: log_weights.len(),
            total: paths,
            objective: None,
            trend: None,
        };
        // Draws are what an interrupted run is to leave behind, so sampling goes on to the number asked for.
        if monitor.progress(progress).is_break() {
            stop = Stop::Interrupted;
            if log_weights.len() >= settings.draws {
                break;
            }
        }
    }
    let mut checks = Checks::new();
    judge_training(&mut checks, trained);
    checks.stopped(stop);
    if log_weights.len() < 2 {
        return Err(InferenceError::NoTime);
    }
    let judged = weights::judge(
        &mut checks,
        &log_weights,
        &target.f64.parameters(&draws),
        KhatKind::Augmented,
        config.resample,
        settings.draws,
        &mut stream(settings.seed, "langevin resampling"),
    );
    checks.estimated(target.f64.estimate());
    let elbo = Some(weights::lower_bound(&log_weights)).filter(|(e, _)| e.is_finite());
    let log_z = weights::evidence(&log_weights);
    if elbo.is_none() {
        checks.add(VerdictLevel::Failed, "Some paths ended where the log density is not finite.");
    }
    let (draws, log_p) = judged.select(&draws, &log_p);
    checks.drawn(log_p.len(), settings.draws);
    let interrupted = matches!(stop, Stop::Interrupted | Stop::TimeLimit);
    if !interrupted {
        examine(&mut checks, target.f64.as_ref(), &draws, settings);
    }
    let bridges = config.form.bridges;
    let next = if interrupted {
        format!("--infer {name} --bridges {bridges}")
    } else {
        format!("--infer {name} --bridges {}, or --infer nuts", 2 * bridges)
    };
    Ok(Fit {
        method: name,
        dim: d,
        chains: 1,
        draws,
        log_p,
        log_q: None,
        elbo,
        log_z,
        khat: Some(judged.khat),
        fisher_divergence: None,
        traces: trained.training.traces.clone(),
        iterations: trained.start.iterations + trained.training.iterations,
        median_iteration_ms: trained.training.median_iteration_ms,
        interrupted,
        verdict: checks.verdict(Some(&next)),
    })
}

fn judge_training(checks: &mut Checks, trained: &Trained<f64>) {
    let training = &trained.training;
    checks.trained(training.iterations);
    // Annealing the learning rate hides whether there was more to come, so what came before it counts.
    let steady = &training.objective[..training.steady];
    checks.settled("evidence lower bound", steady, 0.1, "nats");
    if training.skipped * 100 > training.iterations {
        checks.add(
            VerdictLevel::Doubtful,
            format!(
                "{} steps were skipped because the log density was not finite.",
                training.skipped
            ),
        );
    }
    // The chain can repair a poor start, so this alone is no reason to doubt.
    let start = &trained.start;
    if !start.converged {
        checks.add(
            VerdictLevel::Ok,
            format!("The mean-field start had not converged after {} steps.", start.iterations),
        );
    }
}
