//! Initial value problems on a device: Dormand and Prince's pair of orders 5 and 4 [dormand1980], with
//! coefficients as in [hairer1993, table II.5.2], all points in step.
//!
//! The host chooses the steps, for which one number comes back from each: the largest error of any point.
//! Between two times the problem runs from 0 to 1, so that times may differ from point to point. One method
//! serves all problems: a stiff one takes as many small steps as it needs, an integral the steps of a
//! solution.

use dfdx::prelude::{Device, MaxTo, Rank0};

use super::array::{Array, Number};
use super::join::Join;
use super::program::{NotOnDevice, Program, Value};
use crate::ir::{Ode, Tolerance};

/// An error that no step is accepted with, for those that are not numbers.
const ENDLESS: f64 = 1e12;
/// Steps below which a point is given up, as part of the way to the next time.
const LEAST_STEP: f64 = 1e-12;

/// Times of the stages, in steps.
const C: [f64; 6] = [0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0];

/// Weights of the earlier slopes in each stage; the last stage is the new state.
const A: [&[f64]; 6] = [
    &[0.2],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
    &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
    &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
];

/// Order 5 less order 4.
const ERROR: [f64; 7] = [
    71.0 / 57600.0,
    0.0,
    -71.0 / 16695.0,
    71.0 / 1920.0,
    -17253.0 / 339_200.0,
    22.0 / 525.0,
    -1.0 / 40.0,
];

/// A prepared problem.
#[derive(Debug)]
pub(super) struct Flow<E: Number, D: Device<E>> {
    init: Program<E, D>,
    rhs: Program<E, D>,
    tolerance: Tolerance,
    times: usize,
    /// Puts the states at all times one after the other.
    joined: Join<E, D>,
}

/// On the way to a time: the last one and how far it is, `[1, lanes]`.
struct Leg<'a, E: Number, D: Device<E>> {
    from: Array<E, D>,
    span: Array<E, D>,
    args: &'a [&'a Value<E, D>],
}

impl<E: Number, D: Device<E>> Flow<E, D> {
    /// A problem with `n` states that are wanted at so many times.
    pub(super) fn new(dev: &D, ode: &Ode, times: usize, n: usize) -> Result<Self, NotOnDevice> {
        Ok(Flow {
            init: Program::new(dev, &ode.init)?,
            rhs: Program::new(dev, &ode.rhs)?,
            tolerance: ode.tolerance,
            times,
            joined: Join::new(dev, &vec![n; times]),
        })
    }

    /// The states at the times of the first operand, `[times · n, lanes]`.
    pub(super) fn run(&self, dev: &D, operands: &[&Value<E, D>]) -> Option<Array<E, D>> {
        let times = operands[0].array()?;
        let args = &operands[1..];
        let inputs: Vec<Value<E, D>> = args.iter().map(|&v| v.clone()).collect();
        let start = self.init.run(&inputs);
        let mut y = start[0].array()?.clone();
        let mut from = Array::filled(dev, 1, 0.0);
        let mut reached = Vec::with_capacity(self.times);
        for i in 0..self.times {
            let to = times.slice(i, 1);
            let leg = Leg { span: &to - &from, from, args };
            y = self.travel(&leg, y);
            reached.push(y.clone());
            from = to;
        }
        Some(self.joined.of(&reached.iter().collect::<Vec<_>>()))
    }

    /// The state at the end of a leg; NaN for the points that do not get there.
    fn travel(&self, leg: &Leg<'_, E, D>, mut y: Array<E, D>) -> Array<E, D> {
        let mut first = self.slope(leg, 0.0, &y);
        // All points in one shape, and those given up.
        let mut lost = (&y + &first).slice(0, 1).like(0.0);
        let (mut at, mut h) = (0.0, 1.0);
        for _ in 0..self.tolerance.most_steps {
            if at >= 1.0 {
                return y;
            }
            let (new, last, errors) = self.step(leg, at, h, &y, &first);
            let errors = Array::select(&lost, &errors.like(0.0), &errors);
            let worst = errors.0.clone().max::<Rank0, _>().as_vec()[0].f64();
            let factor = (0.9 * worst.powf(-0.2)).clamp(0.2, 10.0);
            if worst <= 1.0 {
                at = if h >= 1.0 - at { 1.0 } else { at + h };
                (y, first) = (new, last);
                h = (h * factor).min(1.0 - at);
                // No rest that is too short for a step of its own.
                if 1.0 - at - h < 0.1 * h {
                    h = 1.0 - at;
                }
            } else if h > LEAST_STEP {
                h *= factor.min(1.0);
            } else {
                lost = &lost + Array::truth(&errors.gt(1.0));
                y = Array::select(&lost, &y.like(f64::NAN), &y);
                h = 1.0 - at;
            }
        }
        if at >= 1.0 { y } else { y.like(f64::NAN) }
    }

    /// `dy/ds` at the part `s` of a leg.
    fn slope(&self, leg: &Leg<'_, E, D>, s: f64, y: &Array<E, D>) -> Array<E, D> {
        let time = &leg.from + &leg.span * s;
        let mut inputs = vec![Value::Array(time), Value::Array(y.clone())];
        inputs.extend(leg.args.iter().map(|&v| v.clone()));
        let slopes = self.rhs.run(&inputs);
        slopes[0].array().map_or_else(|| y.like(0.0), |slope| slope * &leg.span)
    }

    /// A step of size `h` from the part `at`: the state after it, the slope there, and the error of each point
    /// in units of what is allowed, `[1, lanes]`.
    #[allow(clippy::type_complexity, reason = "three arrays")]
    fn step(
        &self,
        leg: &Leg<'_, E, D>,
        at: f64,
        h: f64,
        y: &Array<E, D>,
        first: &Array<E, D>,
    ) -> (Array<E, D>, Array<E, D>, Array<E, D>) {
        let mut slopes = vec![first.clone()];
        let sum = |slopes: &[Array<E, D>], weights: &[f64]| {
            let terms = slopes.iter().zip(weights).filter(|(_, w)| **w != 0.0);
            terms.map(|(k, w)| k * (h * w)).reduce(|a, b| a + b)
        };
        let mut new = y.clone();
        for (weights, c) in A.iter().zip(C) {
            new = sum(&slopes, weights).map_or_else(|| y.clone(), |moved| y + moved);
            slopes.push(self.slope(leg, at + c * h, &new));
        }
        let error = sum(&slopes, &ERROR).unwrap_or_else(|| y.like(0.0));
        let allowed = y.abs().upper(&new.abs()) * self.tolerance.relative;
        let ratio = error.abs() / (allowed + self.tolerance.absolute);
        let norms = ratio.max_groups(ratio.shape().0);
        let norms = Array::choose(&norms.lt(ENDLESS), &norms, &norms.like(ENDLESS));
        let last = slopes.pop().unwrap_or_else(|| first.clone());
        (new, last, norms)
    }
}
