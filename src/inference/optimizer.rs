//! Trainable parameters as flat dfdx tensors in groups, and what may be done to them: Adam steps,
//! projection onto bounds, gradient clipping, snapshots, averages of iterates, learning-rate schedules.
//!
//! [`Parameters`] is the whole trainable state of a method. Tensors are stored flat and reshaped for
//! use (which keeps their identity, so gradients find them), because dfdx's own modules and
//! optimisers need sizes at compile time.

use std::sync::Arc;

use dfdx::prelude::{PutTape, ReshapeTo};
use serde::{Deserialize, Serialize, Serializer};

use super::InferenceError;
use super::adam::Adam;
use super::backend::{Backend, Leaf};
use super::checkpoint::packed;
use super::tape::{Element, Grads, Matrix, SharedTape, Vector};
use super::vector::add;
use crate::real::Real;

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
    #[serde(with = "packed")]
    value: Vec<f64>,
    #[serde(with = "packed")]
    first_moment: Vec<f64>,
    #[serde(with = "packed")]
    second_moment: Vec<f64>,
    steps: i32,
}

struct Entry<B: Backend> {
    name: &'static str,
    group: usize,
    leaf: B::Leaf,
    steps: i32,
    /// Factor on the learning rate.
    rate: f64,
    /// Closed interval onto which every element is projected after a step.
    bounds: (f64, f64),
}

impl<B: Backend> Clone for Entry<B> {
    fn clone(&self) -> Self {
        Entry { leaf: self.leaf.clone(), ..*self }
    }
}

/// Trainable tensors with the state of their optimiser; cloning makes a snapshot.
pub struct Parameters<B: Backend> {
    entries: Vec<Entry<B>>,
}

impl<B: Backend> std::fmt::Debug for Parameters<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|e| e.name)).finish()
    }
}

impl<B: Backend> Clone for Parameters<B> {
    fn clone(&self) -> Self {
        Parameters { entries: self.entries.clone() }
    }
}

impl<B: Backend> Default for Parameters<B> {
    fn default() -> Self {
        Parameters { entries: Vec::new() }
    }
}

impl<B: Backend> Parameters<B> {
    /// Adds a tensor with these initial values to the group `group`.
    ///
    /// # Panics
    /// When the device is out of memory.
    pub fn add(&mut self, name: &'static str, group: usize, initial: Vec<B::Number>) -> Handle {
        self.entries.push(Entry {
            name,
            group,
            leaf: B::Leaf::new(initial),
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
    pub fn vector(&self, handle: Handle, tape: &SharedTape<B>) -> Vector<B> {
        self.entries[handle.0].leaf.tensor().clone().put_tape(tape.clone())
    }

    /// The tensor as a matrix `[rows, columns]`, tracked by `tape`.
    #[must_use]
    pub fn matrix(&self, handle: Handle, shape: (usize, usize), tape: &SharedTape<B>) -> Matrix<B> {
        self.vector(handle, tape).reshape_like(&shape)
    }

    /// The values of a tensor.
    #[must_use]
    pub fn values(&self, handle: Handle) -> Vec<B::Number> {
        self.entries[handle.0].leaf.values()
    }

    /// The first value of a tensor, for the scalars.
    #[must_use]
    pub fn value(&self, handle: Handle) -> f64 {
        self.values(handle)[0].f64()
    }

    /// Overwrites a tensor; the optimiser's moments stay.
    pub fn set(&mut self, handle: Handle, values: &[B::Number]) {
        self.entries[handle.0].leaf.set(values);
    }

    /// The gradient of one tensor; zeros if it is not on the tape.
    #[must_use]
    pub fn gradient(&self, handle: Handle, grads: &mut Grads<B>) -> Vec<B::Number> {
        self.entries[handle.0].leaf.gradient(grads)
    }

    /// Total number of trainable scalars.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.iter().map(|e| e.leaf.size()).sum()
    }

    /// Whether there is nothing to train.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Goes back to such a state; `false`, and nothing changed, if it is one of other tensors.
    #[must_use]
    pub fn restore(&mut self, state: &[TensorState]) -> bool {
        let fits = |(e, s): (&Entry<B>, &TensorState)| {
            let n = e.leaf.size();
            [&s.value, &s.first_moment, &s.second_moment].iter().all(|x| x.len() == n)
        };
        if state.len() != self.entries.len() || !self.entries.iter().zip(state).all(fits) {
            return false;
        }
        let of = |x: &[f64]| x.iter().map(|x| Real::of(*x)).collect::<Vec<B::Number>>();
        for (e, s) in self.entries.iter_mut().zip(state) {
            e.leaf.set(&of(&s.value));
            e.leaf.set_moments([&of(&s.first_moment), &of(&s.second_moment)]);
            e.steps = s.steps;
        }
        true
    }

    /// The same values on another backend, under the same handles; Adam's moments start anew.
    #[must_use]
    pub fn cast<F: Backend>(&self) -> Parameters<F> {
        let mut cast = Parameters::default();
        for e in &self.entries {
            let values = e.leaf.values().iter().map(|x| Real::of(x.f64())).collect();
            let handle = cast.add(e.name, e.group, values);
            cast.bound(handle, e.bounds.0, e.bounds.1);
            cast.scale_rate(handle, e.rate);
        }
        cast
    }

    /// Forgets Adam's moments, as at the start of a new stage.
    pub fn reset_moments(&mut self) {
        for e in &mut self.entries {
            let zeros = vec![Real::of(0.0); e.leaf.size()];
            e.leaf.set_moments([&zeros, &zeros]);
            e.steps = 0;
        }
    }

    /// One Adam step of size `rate` on the parameters of `group`, then their projections.
    ///
    /// A gradient with a non-finite element changes nothing at all.
    pub fn update(&mut self, group: &Group, rate: f64, grads: &mut Grads<B>) -> Update {
        let of_group = |e: &&Entry<B>| e.group == group.id;
        let leaves = self.entries.iter().filter(of_group).map(|e| &e.leaf);
        // Squares overflow long before f64 gradients do; such a gradient is as useless as NaN.
        let Some(norm2) = B::squared_norm(leaves, grads).filter(|n| n.is_finite()) else {
            return Update::NonFinite;
        };
        let gradient_norm = norm2.sqrt();
        let shorten =
            group.clip_norm.filter(|c| gradient_norm > *c).map_or(1.0, |c| c / gradient_norm);
        for e in self.entries.iter_mut().filter(|e| e.group == group.id) {
            e.steps = e.steps.saturating_add(1);
            let adam = Adam {
                rate: rate * e.rate,
                betas: group.betas,
                epsilon: group.epsilon,
                steps: e.steps,
                shorten,
            };
            if e.leaf.step(&adam, e.bounds, grads).is_none() {
                return Update::NonFinite;
            }
        }
        Update::Stepped { gradient_norm }
    }
}

/// Everything that training changes, exactly, one [`TensorState`] after the other.
impl<B: Backend> Serialize for Parameters<B> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let wide = |x: Vec<B::Number>| x.iter().map(|x| x.f64()).collect();
        s.collect_seq(self.entries.iter().map(|e| {
            let [first_moment, second_moment] = e.leaf.moments().map(wide);
            TensorState {
                value: wide(e.leaf.values()),
                first_moment,
                second_moment,
                steps: e.steps,
            }
        }))
    }
}

impl<E: Element> Parameters<E> {
    /// Adds the gradients of a group's tensors to those in `sum`.
    ///
    /// # Errors
    /// When memory is out.
    pub fn add_gradients(
        &self,
        group: usize,
        sum: &mut Grads<E>,
        gradients: &mut Grads<E>,
    ) -> Result<(), InferenceError> {
        let failed = |e| InferenceError::Breakdown(format!("gradients could not be added: {e:?}"));
        for e in self.entries.iter().filter(|e| e.group == group) {
            let more = gradients.get_or_alloc_mut(e.leaf.tensor()).map_err(failed)?;
            add(sum.get_or_alloc_mut(e.leaf.tensor()).map_err(failed)?, more);
        }
        Ok(())
    }

    /// The values of a tensor as they are now, without a copy.
    #[must_use]
    pub fn numbers(&self, handle: Handle) -> Arc<Vec<E>> {
        self.entries[handle.0].leaf.numbers()
    }
}

/// Running average of all parameters over iterations; on the CPU in `f64`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Average<B: Backend> {
    sum: Vec<Sum<B>>,
    weight: f64,
    decay: f64,
}

type Sum<B> = <<B as Backend>::Leaf as Leaf<B>>::Sum;

impl<B: Backend> Average<B> {
    /// The plain mean of all iterates added (Polyak and Ruppert).
    #[must_use]
    pub fn polyak() -> Self {
        Self::exponential(1.0)
    }

    /// An exponential moving average, free of the bias towards its start; a weight of `decay` per
    /// iteration.
    #[must_use]
    pub fn exponential(decay: f64) -> Self {
        Average { sum: Vec::new(), weight: 0.0, decay }
    }

    /// Adds the present values.
    pub fn add(&mut self, parameters: &Parameters<B>) {
        self.weight = self.decay * self.weight + 1.0;
        for (i, e) in parameters.entries.iter().enumerate() {
            let first = e.leaf.add_to(self.sum.get_mut(i), self.decay);
            self.sum.extend(first);
        }
    }

    /// Overwrites the values by their average, if there is one.
    pub fn store(&self, parameters: &mut Parameters<B>) {
        if self.weight > 0.0 {
            for (sum, e) in self.sum.iter().zip(&mut parameters.entries) {
                e.leaf.set_mean(sum, self.weight);
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
