//! Where training happens: the seam between the methods and what computes for them.
//!
//! A method's training step is written once, over a [`Backend`]: parameters with their optimiser, matrices on
//! the tape with the handful of operations of a chain, noise, and a density. On the CPU the number types
//! themselves are backends (`host`): buffers that are reused, fused loops, the compiled density. With
//! [`On`] a dfdx device everything is tensors there ([`device`]), and per iteration only scalars come back.
//!
//! What is not trained (warm starts, assessments, draws) runs on the CPU in any case.

pub mod device;
mod host;
mod noise;

use std::fmt::Debug;
use std::sync::Arc;

use dfdx::prelude::{Device as DfdxDevice, PutTape, ReshapeTo, Shape, Tensor};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use device::On;
pub use host::HostLeaf;

use super::adam::Adam;
use super::fused::{Gaps, Second, Term};
use super::kernel_stein::{Discrepancy, Kernel, Sides};
use super::mlp::ReluMlp;
use super::optimizer::{Handle, Parameters};
use super::tape::{Element, Grads, Matrix, Scalar, SharedTape, backward};
use super::transport::Transport;
use super::workers::Workers;
use super::{Device, InferenceError, Precision, Settings};
use crate::density::LogDensity;
use crate::real::Real;

/// See the module header.
pub trait Backend: Sized + 'static {
    /// `f32` or `f64`.
    type Number: Element;
    /// Where tensors live.
    type Device: DfdxDevice<Self::Number>;
    /// A trainable tensor with its optimiser.
    type Leaf: Leaf<Self>;
    /// A matrix on the tape.
    type Node: Node<Self>;
    /// A density in operations on the tape.
    type Bridge: Density<Self>;
    /// Standard normals for training.
    type Normals: Normals<Self>;

    /// This thread's device.
    fn device() -> Self::Device;

    /// The density in these coordinates; elsewhere than on the CPU, that of the model that the settings have.
    ///
    /// # Errors
    /// When a model has no form on the device.
    fn bridge(
        density: &Arc<dyn LogDensity<Self::Number>>,
        settings: &Settings,
        coordinates: &Transport,
    ) -> Result<Self::Bridge, InferenceError>;

    /// A tensor with the given values, row-major.
    fn tensor<S: Shape>(values: &[Self::Number], shape: S)
    -> Tensor<S, Self::Number, Self::Device>;

    /// The sum of the losses and values of the parts of a batch, which have these sizes, and its gradient by the
    /// parameters of `group`; `None` where one has none. On the CPU the workers share the parts, and each has
    /// random numbers of its own.
    ///
    /// # Errors
    /// When gradients cannot be computed.
    fn batch(
        _: &Workers,
        (bridge, parameters): (&Self::Bridge, &Parameters<Self>),
        _group: usize,
        parts: &[usize],
        normals: &mut Self::Normals,
        loss: impl Fn(&Batch<'_, Self>, usize, &mut Self::Normals) -> Loss<Self> + Sync,
    ) -> Result<ValueAndGrad<Self>, InferenceError> {
        // One after the other, as each has points of its own to keep for its gradient.
        let (mut value, mut gradients) = (0.0, Grads::<Self>::leaky());
        for part in parts {
            let batch = Batch { bridge, parameters, tape: SharedTape::adding_to(gradients) };
            let Some((loss, of_part)) = loss(&batch, *part, normals) else { return Ok(None) };
            value += of_part;
            gradients = backward(loss)?;
        }
        Ok(Some((value, gradients)))
    }

    /// `Σ g²` over the gradients of some leaves; `None` where one cannot be had.
    fn squared_norm<'a>(
        leaves: impl Iterator<Item = &'a Self::Leaf>,
        gradients: &mut Grads<Self>,
    ) -> Option<f64>
    where
        Self::Leaf: 'a;

    /// A trainable tensor as a matrix, tracked by `tape`.
    fn trained(
        parameters: &Parameters<Self>,
        handle: Handle,
        shape: (usize, usize),
        tape: &SharedTape<Self>,
    ) -> Self::Node;

    /// The sum of `terms`, `[N, D]`.
    fn combine(shape: (usize, usize), terms: &[Term<'_, Self::Node>]) -> Self::Node;

    /// `A B`, or `A Bᵀ`.
    fn product(a: &Self::Node, b: &Self::Node, second: Second) -> Self::Node;

    /// `h + softplus(h W + bias)`, for `h: [N, D]`, `W: [D, D]` and `bias: [1, D]`.
    fn residual_softplus(h: &Self::Node, weight: &Self::Node, bias: &Self::Node) -> Self::Node;

    /// `½ |row|²` of every row: `[N, D]` to `[N, 1]`.
    fn half_squares(x: &Self::Node) -> Self::Node;

    /// See [`bounded`](super::fused::bounded).
    fn bounded(x: &Self::Node, limit: f64) -> Self::Node;

    /// The network at each row of `x: [N, in]`; with `tape` [off](SharedTape::off) the weights are constants.
    fn relu_mlp(
        network: &ReluMlp,
        parameters: &Parameters<Self>,
        x: &Self::Node,
        tape: &SharedTape<Self>,
    ) -> Self::Node;

    /// `Σ a ∘ b` over all numbers, `[1, 1]`.
    fn inner(a: &Self::Node, b: &Self::Node) -> Self::Node;

    /// See [`gap`](super::fused::gap).
    fn gap(f: &Self::Node, t: &Self::Node) -> Self::Node;

    /// See [`finite_gaps`](super::fused::finite_gaps).
    fn finite_gaps(f: &Self::Node, t: &Self::Node) -> Gaps<Self::Node>;

    /// See [`discrepancy`](super::kernel_stein::discrepancy).
    fn kernel_stein(kernel: Kernel, sides: Sides<'_, Self::Node>) -> Discrepancy<Self::Node>;

    /// Matrices of equal size one under the other.
    fn stacked(parts: &[Self::Node]) -> Self::Node;

    /// See [`side_by_side`](super::fused::side_by_side).
    fn side_by_side(
        parts: &[&Self::Node],
        table: &Self::Node,
        first: usize,
        steps: usize,
    ) -> Self::Node;

    /// See [`solve_unit_lower`](super::fused::solve_unit_lower).
    fn solve_unit_lower(y: &Self::Node, b: &Self::Node, second: Second) -> Self::Node;

    /// Rows of a constant.
    fn rows(x: &Self::Node, first: usize, count: usize) -> Self::Node;

    /// `Σ a b` of tensors of one size, for what is reported.
    fn dot(a: &Matrix<Self>, b: &Matrix<Self>) -> f64;

    /// `Σ a`, for what is reported.
    fn sum(a: &Matrix<Self>) -> f64;
}

/// A trainable tensor `[n]` with Adam's moments.
pub trait Leaf<B: Backend>: Clone {
    /// A running sum of values, `[n]`.
    type Sum: Clone + Debug + Serialize + DeserializeOwned;

    /// A tensor with these values and moments of zero.
    fn new(values: Vec<B::Number>) -> Self;
    /// The tensor.
    fn tensor(&self) -> &Tensor<(usize,), B::Number, B::Device>;
    /// The number of values.
    fn size(&self) -> usize;
    /// The values.
    fn values(&self) -> Vec<B::Number>;
    /// Overwrites the values.
    fn set(&mut self, values: &[B::Number]);
    /// Adam's moments.
    fn moments(&self) -> [Vec<B::Number>; 2];
    /// Overwrites the moments.
    fn set_moments(&mut self, moments: [&[B::Number]; 2]);
    /// The gradient; zeros if it is not on the tape.
    fn gradient(&self, gradients: &mut Grads<B>) -> Vec<B::Number>;
    /// A step of Adam, then the projection onto `[low, high]`; `None` without a gradient.
    fn step(&mut self, adam: &Adam, bounds: (f64, f64), gradients: &mut Grads<B>) -> Option<()>;
    /// `decay · sum + values`, where there is a sum.
    fn add_to(&self, sum: Option<&mut Self::Sum>, decay: f64) -> Option<Self::Sum>;
    /// Overwrites the values by `sum / weight`.
    fn set_mean(&mut self, sum: &Self::Sum, weight: f64);
}

/// A matrix on the tape as chains use it.
pub trait Node<B: Backend>: Clone {
    /// The numbers of a tensor, to which the gradient goes back.
    fn of(tensor: Matrix<B>) -> Self;
    /// The same as a tensor.
    fn tensor(&self) -> Matrix<B>;
    /// Rows and columns.
    fn shape(&self) -> (usize, usize);
    /// The same numbers off the tape.
    fn detached(&self) -> Self;
}

/// A log density in operations on the tape.
pub trait Density<B: Backend>: Debug {
    /// The dimension `D`.
    fn dim(&self) -> usize;
    /// `log p` at each row of `z: [N, D]`, as `[N, 1]`; its gradient is the score.
    fn log_density_at(&self, z: &B::Node) -> B::Node;
    /// `∇ log p` at each row of `z: [N, D]`; differentiable by Hessian-vector products.
    fn score_at(&self, z: &B::Node) -> B::Node;
    /// `∇ log p` at each row of `z: [N, D]`, off the tape.
    fn constant_score_at(&self, z: &B::Node) -> B::Node;
    /// A finite point at which something was not finite since the last call, if there was one.
    fn non_finite_point(&self) -> Option<Vec<B::Number>>;
}

/// What the loss of a part of a batch is made of, on the thread that computes it.
#[derive(Debug)]
pub struct Batch<'a, B: Backend> {
    /// The density.
    pub bridge: &'a B::Bridge,
    /// The trainable tensors.
    pub parameters: &'a Parameters<B>,
    /// The tape for the loss.
    pub tape: SharedTape<B>,
}

/// What is to be descended, and its value for the user; `None` where it is not finite.
pub type Loss<B> = Option<(Scalar<B>, f64)>;

/// That value and the gradients; `None` likewise.
pub type ValueAndGrad<B> = Option<(f64, Grads<B>)>;

/// A loss's value and gradients.
pub(in crate::inference) fn value_and_grad<B: Backend>(
    loss: Loss<B>,
) -> Result<ValueAndGrad<B>, InferenceError> {
    loss.map(|(loss, value)| Ok((value, backward(loss)?))).transpose()
}

/// A number off the tape, `[1, 1]`.
pub(in crate::inference) fn number<B: Backend>(x: f64) -> B::Node {
    B::Node::of(B::tensor(&[Real::of(x)], (1, 1)).put_tape(SharedTape::off()))
}

/// `Σ x ∘ gradient`, whose gradient by `x` is `gradient`.
pub(in crate::inference) fn along<B: Backend>(x: &B::Node, gradient: &B::Node) -> Scalar<B> {
    B::inner(x, gradient).tensor().reshape_like(&())
}

/// How the second half of the rows of a matrix of noise comes from the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// Not at all.
    Independent,
    /// It repeats it.
    Equal,
    /// It is its negative.
    Opposite,
}

/// A stream of standard normals, a matrix at a time; its state is part of a checkpoint.
pub trait Normals<B: Backend>: Serialize + DeserializeOwned {
    /// The stream `name` of a seed.
    fn new(seed: u64, name: &str) -> Self;
    /// A constant `[rows, columns]`.
    fn draw(&mut self, shape: (usize, usize), pairs: Pairs) -> B::Node;
}

/// A part of a method that runs on any backend.
pub(in crate::inference) trait Stage {
    /// What it leaves.
    type Output;
    /// Runs it.
    fn run<B: Backend>(self) -> Result<Self::Output, InferenceError>;
}

/// Runs a stage where the settings say.
pub(in crate::inference) fn dispatch<S: Stage>(
    settings: &Settings,
    stage: S,
) -> Result<S::Output, InferenceError> {
    use dfdx::prelude::Cpu;
    match (&settings.device, settings.precision) {
        (Device::Cpu, Precision::F32) => stage.run::<f32>(),
        (Device::Cpu, Precision::F64) => stage.run::<f64>(),
        (Device::Tensors(_), Precision::F32) => device::guarded(|| stage.run::<On<f32, Cpu>>()),
        (Device::Tensors(_), Precision::F64) => device::guarded(|| stage.run::<On<f64, Cpu>>()),
        #[cfg(feature = "cuda")]
        (Device::Cuda(_), Precision::F32) => {
            device::guarded(|| stage.run::<On<f32, dfdx::prelude::Cuda>>())
        }
        #[cfg(feature = "cuda")]
        (Device::Cuda(_), Precision::F64) => {
            device::guarded(|| stage.run::<On<f64, dfdx::prelude::Cuda>>())
        }
    }
}
