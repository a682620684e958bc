//! Fits a [`Transport`] to a density by its evidence lower bound.
//!
//! The map is the identity at first, so that its bound is that of the Gaussian it starts from, and it is
//! kept only where it turns out to have raised it.

use std::sync::Arc;

use dfdx::prelude::{Merge, PutTape, SplitTape, SumTo, Tape};

use super::density::Transport;
use super::directions::drivers;
use super::map::Map;
use crate::density::{LogDensity, Part};
use crate::inference::affine::{Affine, Coordinates};
use crate::inference::bridge::Bridge;
use crate::inference::optimizer::{Group, Handle, Parameters, Schedule, Update};
use crate::inference::tape::{Element, Matrix, SharedTape, Vector, backward, tensor};
use crate::inference::train::{Context, Plan, Step, Stop, Training, train};
use crate::inference::{Deadline, InferenceError, Monitor};
use crate::random::{Stream, fill_std_normal, stream};

/// Draws a gradient: as many again with the opposite sign.
const PAIRS: usize = 8;
/// Gradients longer than this are shortened: far out in a tail a point may have any.
const LONGEST: f64 = 30.0;
/// Iterations at most: more of them gain little, and the chain is what the time is for.
const MOST_ITERATIONS: usize = 3000;
/// Draws on which the map is compared with none.
const TRIALS: usize = 1000;

/// How a map is trained.
#[derive(Debug, Clone)]
pub struct Config {
    /// Seed of its random numbers.
    pub seed: u64,
    /// Iterations, up to 3000.
    pub iterations: usize,
    /// When the fit is to be done.
    pub deadline: Deadline,
}

/// What is tracked of the map.
#[derive(Debug, Clone, Copy)]
struct Trainable {
    dim: usize,
    drivers: usize,
    handles: [Handle; 3],
}

/// Coordinates in which `density` is about standard normal, better ones than `start` where a few
/// directions drive the curvature of the others; and how their training went.
///
/// # Errors
/// When the density is not finite wherever the map goes.
pub fn fit<E: Element>(
    density: &Arc<dyn LogDensity<E>>,
    exact: &Arc<dyn LogDensity<f64>>,
    start: Coordinates,
    config: &Config,
    monitor: &mut dyn Monitor,
) -> Result<(Transport, Training), InferenceError> {
    let d = density.dim();
    let Some((count, rotation)) = drivers(&Affine::new(exact, &start), config.seed) else {
        return Ok((start.into(), Training::none(Stop::Converged)));
    };
    let turned = turned(&start, &rotation);
    let affine: Arc<dyn LogDensity<E>> = Arc::new(Affine::new(density, &turned));
    let mut parameters = Parameters::default();
    let identity = Map::<E>::identity(d, count);
    let handles = [
        parameters.add("log_scales", 0, identity.log_scales),
        parameters.add("shears", 0, identity.shears),
        parameters.add("shapes", 0, identity.shapes),
    ];
    let map = Trainable { dim: d, drivers: count, handles };
    let bridge = Bridge::new(&affine);
    let group = Group { clip_norm: Some(LONGEST), ..Group::adam(0) };
    let plan = Plan {
        stage: "transport",
        phase: "start",
        objective: "elbo",
        maximise: true,
        iterations: config.iterations.min(MOST_ITERATIONS),
        learning_rate: 5e-3,
        schedule: Schedule::Cosine { warmup: 0.02, floor: 0.01 },
        tolerance: None,
        window: 200,
        least_gain: None,
        deadline: config.deadline.clone(),
    };
    let n = 2 * PAIRS;
    let mut x = vec![E::zero(); n * d];
    let mut rng: Stream = stream(config.seed, "transport noise");
    let step = |parameters: &mut Parameters<E>, rng: &mut Stream, context: Context| {
        density.see(Part::Fresh(context.iteration as u64));
        let (first, second) = x.split_at_mut(PAIRS * d);
        fill_std_normal(rng, first);
        second.iter_mut().zip(first).for_each(|(b, a)| *b = -*a);
        let squares: f64 = x.iter().map(|x| x.f64() * x.f64()).sum();
        let (image, log_det) = map.apply(parameters, &x, &SharedTape::recording());
        let log_p = bridge.log_density(image) + log_det;
        let loss = log_p.sum::<(), _>() * E::of(-1.0 / n as f64);
        let half_log_2pi = 0.5 * (2.0 * std::f64::consts::PI).ln();
        let value = d as f64 * half_log_2pi + 0.5 * squares / n as f64 - loss.as_vec()[0].f64();
        let stepped = value.is_finite()
            && parameters.update(&group, context.rate, &mut backward(loss)?) != Update::NonFinite;
        Ok(if stepped {
            Step::Done(value)
        } else {
            let place = bridge.non_finite_point();
            Step::NonFinite(place.and_then(|u| affine.explain_non_finite(&u)))
        })
    };

    let training = train(&plan, &mut parameters, &mut rng, monitor, step)?;
    density.see(Part::Whole(&start.shift));
    let trained = Transport::new(turned, map.values(&parameters).cast());
    let none = Transport::from(start);
    let better = lower_bound_gain(exact, &none, &trained, config.seed) > 0.0;
    Ok((if better { trained } else { none }, training))
}

/// The same coordinates, turned: `x` is `x Rᵀ` of before.
fn turned(start: &Coordinates, rotation: &[f64]) -> Coordinates {
    let d = start.shift.len();
    let (mix, log_det) = match &start.mix {
        None => ((0..d * d).map(|k| rotation[k % d * d + k / d]).collect(), 0.0),
        Some((mix, log_det)) => {
            let entry =
                |a: usize, j: usize| (0..d).map(|i| rotation[i * d + a] * mix[i * d + j]).sum();
            ((0..d * d).map(|k| entry(k / d, k % d)).collect(), *log_det)
        }
    };
    Coordinates { mix: Some((mix, log_det)), ..start.clone() }
}

/// By how much the second has the higher bound, by as much as it is sure: the mean difference on the same
/// standard normals less two of its standard errors.
fn lower_bound_gain(
    density: &Arc<dyn LogDensity<f64>>,
    first: &Transport,
    second: &Transport,
    seed: u64,
) -> f64 {
    let mut x = vec![0.0; TRIALS * density.dim()];
    fill_std_normal(&mut stream(seed, "transport trial"), &mut x);
    let log_p = |transport: &Transport| {
        let mut log_p = vec![0.0; TRIALS];
        transport.density(density).log_density(&x, &mut log_p);
        log_p
    };
    let (a, b) = (log_p(first), log_p(second));
    let differences: Vec<f64> = b.iter().zip(&a).map(|(b, a)| b - a).collect();
    let (mean, error) = crate::inference::weights::lower_bound(&differences);
    mean - 2.0 * error
}

impl Trainable {
    /// The map as it is now.
    fn values<E: Element>(&self, parameters: &Parameters<E>) -> Map<E> {
        let [log_scales, shears, shapes] = self.handles.map(|h| parameters.values(h));
        Map { dim: self.dim, drivers: self.drivers, log_scales, shears, shapes }
    }

    /// `T(x): [N, D]` and `log |∂T/∂x|: [N]`, differentiable in the parameters.
    fn apply<E: Element>(
        &self,
        parameters: &Parameters<E>,
        x: &[E],
        tape: &SharedTape<E>,
    ) -> (Matrix<E>, Vector<E>) {
        let d = self.dim;
        let map = self.values(parameters);
        let places: Vec<_> = x.chunks_exact(d).map(|x| map.at(x)).collect();
        let n = places.len();
        let images: Vec<E> = places.iter().flat_map(|p| &p.image).copied().collect();
        let log_dets: Vec<E> = places.iter().map(|p| p.log_det).collect();
        let (images, log_dets) = (tensor(&images, (n, d)), tensor(&log_dets, (n,)));
        let (image_ghost, det_ghost) = (images.ghost(), log_dets.ghost());
        let mut tape = tape.clone();
        let ghosts = self.handles.map(|h| {
            let (vector, own) = parameters.vector(h, &tape).split_tape();
            tape = std::mem::take(&mut tape).merge(own);
            vector.ghost()
        });
        tape.add_backward_op(move |grads| {
            let ups = grads.get_or_alloc_mut(&image_ghost)?.to_vec();
            let up_dets = grads.get_or_alloc_mut(&det_ghost)?.to_vec();
            let mut sums = Map::identity(d, map.drivers);
            for ((place, up), up_det) in places.iter().zip(ups.chunks_exact(d)).zip(up_dets) {
                let back = map.pull(place, up, up_det);
                let into = [&mut sums.log_scales[..], &mut sums.shears, &mut sums.shapes];
                map.add_parameters(place, &back, up_det, into);
            }
            for (ghost, sum) in ghosts.iter().zip([sums.log_scales, sums.shears, sums.shapes]) {
                let down: &mut [E] = grads.get_or_alloc_mut(ghost)?;
                down.iter_mut().zip(&sum).for_each(|(d, s)| *d += *s);
            }
            Ok(())
        });
        (images.put_tape(tape.clone()), log_dets.put_tape(tape))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::Silent;
    use crate::inference::transport::density::tests::Funnel;
    use crate::inference::weights::lower_bound;

    #[test]
    fn a_funnel_becomes_a_gaussian() {
        let density: Arc<dyn LogDensity<f64>> = Arc::new(Funnel(5));
        let config = Config { seed: 1, iterations: 1500, deadline: Deadline::never() };
        let start =
            Coordinates { scale: vec![0.5, 1.0, 1.0, 1.0, 1.0], ..Coordinates::identity(5) };
        let gap = |transport: &Transport| {
            let mut x = vec![0.0; 2000 * 5];
            fill_std_normal(&mut stream(2, "funnel test"), &mut x);
            let mut log_p = vec![0.0; 2000];
            transport.density(&density).log_density(&x, &mut log_p);
            // Funnel and standard normal lack the same constant.
            let squares = x.chunks_exact(5).map(|x| 0.5 * x.iter().map(|x| x * x).sum::<f64>());
            let differences: Vec<f64> = log_p.iter().zip(squares).map(|(l, s)| l + s).collect();
            -lower_bound(&differences).0
        };
        let (found, _) = fit(&density, &density, start.clone(), &config, &mut Silent).unwrap();
        let (before, after) = (gap(&start.into()), gap(&found));
        assert!(before > 1.5 && (-0.01..0.3).contains(&after), "{before} {after}");
    }

    #[test]
    fn a_gaussian_is_left_alone() {
        let density: Arc<dyn LogDensity<f64>> = Arc::new(Funnel(1));
        let config = Config { seed: 1, iterations: 10, deadline: Deadline::never() };
        let start = Coordinates::identity(1);
        let (found, training) = fit(&density, &density, start, &config, &mut Silent).unwrap();
        assert_eq!(training.iterations, 0);
        let (z, log_det) = found.apply(&density, &[0.7]);
        assert_eq!((z, log_det), (vec![0.7], vec![0.0]));
    }
}
