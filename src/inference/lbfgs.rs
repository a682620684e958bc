//! L-BFGS ascent with a backtracking line search, for objectives without noise.

use std::collections::VecDeque;

/// Pairs of differences that are remembered.
const MEMORY: usize = 8;

/// What is maximised.
pub(super) trait Objective {
    /// Value and gradient; the value is NaN where either is not finite.
    fn evaluate(&self, at: &[f64]) -> (f64, Vec<f64>);

    /// Multiplies a gradient at `at` by the first guess of the inverse curvature, in place.
    fn precondition(&self, at: &[f64], gradient: &mut [f64]);

    /// The multiple of `direction` to try first, at most 1.
    fn first_step(&self, direction: &[f64]) -> f64;
}

/// A point with the objective there.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) at: Vec<f64>,
    pub(super) value: f64,
    pub(super) gradient: Vec<f64>,
}

impl Point {
    pub(super) fn new(objective: &impl Objective, at: Vec<f64>) -> Point {
        let (value, gradient) = objective.evaluate(&at);
        Point { at, value, gradient }
    }
}

/// Where an ascent ended.
#[derive(Debug, Clone)]
pub(super) struct Ascent {
    pub(super) point: Point,
    /// Evaluations spent, the starting point's not among them.
    pub(super) evaluations: usize,
}

/// Climbs from `start` until a full step promises less than `least_gain`, the line search finds no
/// better point, `budget` evaluations are spent, or `go_on` (told evaluations and the point reached) says no.
pub(super) fn maximise(
    objective: &impl Objective,
    start: Point,
    budget: usize,
    least_gain: f64,
    mut go_on: impl FnMut(usize, &Point) -> bool,
) -> Ascent {
    let mut now = start;
    let mut evaluations = 0;
    let mut memory = Memory::default();
    while evaluations < budget && go_on(evaluations, &now) {
        let mut direction = memory.direction(objective, &now);
        let mut slope = dot(&direction, &now.gradient);
        if slope.is_nan() || slope <= 0.0 {
            memory.0.clear();
            direction = memory.direction(objective, &now);
            slope = dot(&direction, &now.gradient);
        }
        if slope.is_nan() || slope < least_gain {
            break;
        }
        let mut step = objective.first_step(&direction).min(1.0);
        let next = loop {
            let at = now.at.iter().zip(&direction).map(|(x, p)| x + step * p).collect();
            let trial = Point::new(objective, at);
            evaluations += 1;
            if trial.value.is_finite() && trial.value >= now.value + 1e-4 * step * slope {
                break Some(trial);
            }
            step *= if trial.value.is_finite() { 0.4 } else { 0.1 };
            if evaluations >= budget || step < 1e-12 {
                break None;
            }
        };
        let Some(next) = next else {
            if memory.0.is_empty() {
                break;
            }
            memory.0.clear();
            continue;
        };
        memory.add(&now, &next);
        now = next;
    }
    Ascent { point: now, evaluations }
}

/// Steps, changes of the gradient of `−F` and the reciprocals of their products.
#[derive(Default)]
struct Memory(VecDeque<(Vec<f64>, Vec<f64>, f64)>);

impl Memory {
    /// The two-loop recursion.
    fn direction(&self, objective: &impl Objective, now: &Point) -> Vec<f64> {
        let mut q = now.gradient.clone();
        let mut alphas = Vec::with_capacity(self.0.len());
        for (s, y, rho) in self.0.iter().rev() {
            let alpha = rho * dot(s, &q);
            q.iter_mut().zip(y).for_each(|(q, y)| *q -= alpha * y);
            alphas.push(alpha);
        }
        objective.precondition(&now.at, &mut q);
        for ((s, y, rho), alpha) in self.0.iter().zip(alphas.into_iter().rev()) {
            let beta = rho * dot(y, &q);
            q.iter_mut().zip(s).for_each(|(q, s)| *q += (alpha - beta) * s);
        }
        q
    }

    /// Keeps a step if it shows the curvature of a maximum.
    fn add(&mut self, now: &Point, next: &Point) {
        let s: Vec<f64> = next.at.iter().zip(&now.at).map(|(a, b)| a - b).collect();
        let y: Vec<f64> = now.gradient.iter().zip(&next.gradient).map(|(a, b)| a - b).collect();
        let sy = dot(&s, &y);
        if sy > 1e-10 * (dot(&s, &s) * dot(&y, &y)).sqrt() {
            if self.0.len() == MEMORY {
                self.0.pop_front();
            }
            self.0.push_back((s, y, 1.0 / sy));
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
