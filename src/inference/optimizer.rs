//! Trainable parameters as flat dfdx tensors in groups, and what may be done to them: Adam steps,
//! projection onto bounds, gradient clipping, snapshots, averages of iterates, learning-rate schedules.
//!
//! [`Parameters`] is the whole trainable state of a method. Tensors are stored flat and reshaped for
//! use (which keeps their identity, so gradients find them), because dfdx's own modules and
//! optimisers need sizes at compile time.

use std::sync::Arc;

use dfdx::prelude::{PutTape, ReshapeTo, Storage, Tensor, TensorFromVec};

use serde::{Deserialize, Serialize};

use super::adam::{Adam, sum_of_squares};
use super::tape::{Buffer, Element, Grads, Matrix, SharedTape, Vector, device};

/// Names one tensor of a [`Parameters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handle(usize);

/// Parameters that are updated together, with their own Adam.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// Number by which parameters and updates refer to it.
    pub id: usize,
    /// Decay rates of Adam's moments, `β₁` and `β₂`.
    pub betas: [f64; 2],
    /// Adam's `ε`.
    pub epsilon: f64,
    /// Gradients of a larger Euclidean norm (over the group) are shortened to it.
    pub clip_norm: Option<f64>,
}

impl Group {
    /// Adam with its customary constants and no clipping.
    #[must_use]
    pub fn adam(id: usize) -> Self {
        Group { id, betas: [0.9, 0.999], epsilon: 1e-8, clip_norm: None }
    }
}

/// What [`Parameters::update`] did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Update {
    /// A step was made; the gradient had this Euclidean norm before clipping.
    Stepped {
        /// Norm over all parameters of the group.
        gradient_norm: f64,
    },
    /// The gradient was not finite; nothing was changed.
    NonFinite,
}

/// One tensor and its optimiser, as a checkpoint has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TensorState {
    value: Vec<f64>,
    moments: [Vec<f64>; 2],
    steps: i32,
}

#[derive(Clone)]
struct Entry<E: Element> {
    name: &'static str,
    group: usize,
    value: Tensor<(usize,), E, E::Device>,
    /// The numbers of `value`, where loops that are not dfdx's can read them.
    numbers: Arc<Vec<E>>,
    first_moment: Buffer<E>,
    second_moment: Buffer<E>,
    steps: i32,
    /// Factor on the learning rate.
    rate: f64,
    /// Closed interval onto which every element is projected after a step.
    bounds: (f64, f64),
}

/// Trainable tensors with the state of their optimiser; cloning makes a snapshot.
#[derive(Clone)]
pub struct Parameters<E: Element> {
    device: E::Device,
    entries: Vec<Entry<E>>,
}

impl<E: Element> std::fmt::Debug for Parameters<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|e| e.name)).finish()
    }
}

impl<E: Element> Default for Parameters<E> {
    fn default() -> Self {
        Parameters { device: device::<E>(), entries: Vec::new() }
    }
}

impl<E: Element> Parameters<E> {
    /// Adds a tensor with these initial values to the group `group`.
    ///
    /// # Panics
    /// When the device is out of memory.
    pub fn add(&mut self, name: &'static str, group: usize, initial: Vec<E>) -> Handle {
        let n = initial.len();
        let buffer = || {
            <E::Device as Storage<E>>::try_alloc_len(&self.device, n)
                .expect("out of memory for a parameter")
        };
        self.entries.push(Entry {
            name,
            group,
            first_moment: buffer(),
            second_moment: buffer(),
            numbers: Arc::new(initial.clone()),
            value: self.device.tensor_from_vec(initial, (n,)),
            steps: 0,
            rate: 1.0,
            bounds: (f64::NEG_INFINITY, f64::INFINITY),
        });
        Handle(self.entries.len() - 1)
    }

    /// Keeps every element of a tensor within `[low, high]` after each step (Adam's moments are left
    /// alone).
    pub fn bound(&mut self, handle: Handle, low: f64, high: f64) {
        self.entries[handle.0].bounds = (low, high);
    }

    /// Multiplies the learning rate of one tensor by `factor`.
    pub fn scale_rate(&mut self, handle: Handle, factor: f64) {
        self.entries[handle.0].rate = factor;
    }

    /// The tensor `[n]`, tracked by `tape`.
    #[must_use]
    pub fn vector(&self, handle: Handle, tape: &SharedTape<E>) -> Vector<E> {
        self.entries[handle.0].value.clone().put_tape(tape.clone())
    }

    /// The tensor as a matrix `[rows, columns]`, tracked by `tape`.
    #[must_use]
    pub fn matrix(&self, handle: Handle, shape: (usize, usize), tape: &SharedTape<E>) -> Matrix<E> {
        self.vector(handle, tape).reshape_like(&shape)
    }

    /// The values of a tensor.
    #[must_use]
    pub fn values(&self, handle: Handle) -> Vec<E> {
        self.entries[handle.0].numbers.to_vec()
    }

    /// The values of a tensor as they are now, without a copy.
    #[must_use]
    pub fn numbers(&self, handle: Handle) -> Arc<Vec<E>> {
        Arc::clone(&self.entries[handle.0].numbers)
    }

    /// The first value of a tensor, for the scalars.
    #[must_use]
    pub fn value(&self, handle: Handle) -> f64 {
        self.values(handle)[0].f64()
    }

    /// Overwrites a tensor; the optimiser's moments stay.
    pub fn set(&mut self, handle: Handle, values: &[E]) {
        self.entries[handle.0].set(values);
    }

    /// The gradient of one tensor; zeros if it is not on the tape.
    #[must_use]
    pub fn gradient(&self, handle: Handle, grads: &mut Grads<E>) -> Vec<E> {
        grads
            .get_or_alloc_mut(&self.entries[handle.0].value)
            .map_or_else(|_| Vec::new(), |g| g.to_vec())
    }

    /// Total number of trainable scalars.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.iter().map(|e| e.first_moment.len()).sum()
    }

    /// Whether there is nothing to train.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything that training changes, exactly.
    #[must_use]
    pub fn state(&self) -> Vec<TensorState> {
        let wide = |x: &[E]| x.iter().map(|x| x.f64()).collect();
        let state = |e: &Entry<E>| TensorState {
            value: wide(&e.numbers),
            moments: [wide(&e.first_moment), wide(&e.second_moment)],
            steps: e.steps,
        };
        self.entries.iter().map(state).collect()
    }

    /// Goes back to such a state; `false`, and nothing changed, if it is one of other tensors.
    #[must_use]
    pub fn restore(&mut self, state: &[TensorState]) -> bool {
        let fits = |(e, s): (&Entry<E>, &TensorState)| {
            let n = e.first_moment.len();
            s.value.len() == n && s.moments.iter().all(|m| m.len() == n)
        };
        if state.len() != self.entries.len() || !self.entries.iter().zip(state).all(fits) {
            return false;
        }
        let of = |x: &[f64]| x.iter().map(|x| E::of(*x)).collect::<Vec<E>>();
        for (e, s) in self.entries.iter_mut().zip(state) {
            e.set(&of(&s.value));
            e.first_moment.copy_from_slice(&of(&s.moments[0]));
            e.second_moment.copy_from_slice(&of(&s.moments[1]));
            e.steps = s.steps;
        }
        true
    }

    /// The same values at another precision, under the same handles; Adam's moments start anew.
    #[must_use]
    pub fn cast<F: Element>(&self) -> Parameters<F> {
        let mut cast = Parameters::default();
        for e in &self.entries {
            let values = e.numbers.iter().map(|x| F::of(x.f64())).collect();
            let handle = cast.add(e.name, e.group, values);
            cast.bound(handle, e.bounds.0, e.bounds.1);
            cast.scale_rate(handle, e.rate);
        }
        cast
    }

    /// Forgets Adam's moments, as at the start of a new stage.
    pub fn reset_moments(&mut self) {
        for e in &mut self.entries {
            e.first_moment.fill(E::zero());
            e.second_moment.fill(E::zero());
            e.steps = 0;
        }
    }

    /// One Adam step of size `rate` on the parameters of `group`, then their projections.
    ///
    /// A gradient with a non-finite element changes nothing at all.
    pub fn update(&mut self, group: &Group, rate: f64, grads: &mut Grads<E>) -> Update {
        let mut norm2 = 0.0;
        for e in self.entries.iter().filter(|e| e.group == group.id) {
            let Ok(g) = grads.get_or_alloc_mut(&e.value) else { return Update::NonFinite };
            norm2 += sum_of_squares(g);
        }
        // Squares overflow long before f64 gradients do; such a gradient is as useless as NaN.
        if !norm2.is_finite() {
            return Update::NonFinite;
        }
        let gradient_norm = norm2.sqrt();
        let shorten =
            group.clip_norm.filter(|c| gradient_norm > *c).map_or(1.0, |c| c / gradient_norm);
        for e in self.entries.iter_mut().filter(|e| e.group == group.id) {
            let Ok(g) = grads.get_or_alloc_mut(&e.value) else { return Update::NonFinite };
            e.steps = e.steps.saturating_add(1);
            let adam = Adam {
                rate: rate * e.rate,
                betas: group.betas,
                epsilon: group.epsilon,
                steps: e.steps,
                shorten,
            };
            let x = Arc::make_mut(&mut e.numbers);
            adam.step(x, g, [&mut e.first_moment, &mut e.second_moment]);
            let (low, high) = e.bounds;
            if low > f64::NEG_INFINITY || high < f64::INFINITY {
                let (low, high) = (E::of(low), E::of(high));
                x.iter_mut().for_each(|x| *x = x.max(low).min(high));
            }
            // `copy_from` keeps the tensor's identity, by which gradients find it.
            e.value.copy_from(x);
        }
        Update::Stepped { gradient_norm }
    }
}

impl<E: Element> Entry<E> {
    fn set(&mut self, values: &[E]) {
        Arc::make_mut(&mut self.numbers).copy_from_slice(values);
        self.value.copy_from(values);
    }
}

/// Running average of all parameters over iterations, in `f64`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Average {
    sum: Vec<Vec<f64>>,
    weight: f64,
    decay: f64,
}

impl Average {
    /// The plain mean of all iterates added (Polyak and Ruppert).
    #[must_use]
    pub fn polyak() -> Self {
        Average { decay: 1.0, ..Average::default() }
    }

    /// An exponential moving average, free of the bias towards its start; a weight of `decay` per
    /// iteration.
    #[must_use]
    pub fn exponential(decay: f64) -> Self {
        Average { decay, ..Average::default() }
    }

    /// Adds the present values.
    pub fn add<E: Element>(&mut self, parameters: &Parameters<E>) {
        if self.sum.is_empty() {
            self.sum = parameters.entries.iter().map(|e| vec![0.0; e.first_moment.len()]).collect();
        }
        self.weight = self.decay * self.weight + 1.0;
        for (sum, e) in self.sum.iter_mut().zip(&parameters.entries) {
            for (s, x) in sum.iter_mut().zip(&*e.numbers) {
                *s = self.decay * *s + x.f64();
            }
        }
    }

    /// Overwrites the values by their average, if there is one.
    pub fn store<E: Element>(&self, parameters: &mut Parameters<E>) {
        if self.weight > 0.0 {
            for (sum, e) in self.sum.iter().zip(&mut parameters.entries) {
                let mean: Vec<E> = sum.iter().map(|s| E::of(s / self.weight)).collect();
                e.set(&mean);
            }
        }
    }

    /// Forgets everything added.
    pub fn clear(&mut self) {
        self.sum.clear();
        self.weight = 0.0;
    }
}

/// How the learning rate changes over a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Schedule {
    /// Not at all.
    Constant,
    /// Linear warm-up over the first fraction `warmup` of the run, then half a cosine down to `floor`
    /// (both relative to the base rate) \[loshchilov2017\].
    Cosine {
        /// Fraction of the run spent warming up.
        warmup: f64,
        /// Last rate, relative to the base rate.
        floor: f64,
    },
    /// Multiplied by `factor` every `every` iterations.
    Step {
        /// Iterations between two reductions.
        every: usize,
        /// The reduction.
        factor: f64,
    },
}

impl Schedule {
    /// The factor on the base rate at `iteration` (from 0), the fraction `done` of the run being past.
    #[must_use]
    pub fn factor(&self, iteration: usize, done: f64) -> f64 {
        match *self {
            Schedule::Constant => 1.0,
            Schedule::Cosine { warmup, floor } => {
                if done < warmup {
                    // Never zero, so that the first step moves.
                    (done / warmup).max(0.01)
                } else {
                    let u = ((done - warmup) / (1.0 - warmup)).clamp(0.0, 1.0);
                    floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * u).cos())
                }
            }
            Schedule::Step { every, factor } => factor.powf((iteration / every.max(1)) as f64),
        }
    }
}
