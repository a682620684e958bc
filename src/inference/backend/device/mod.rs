//! A dfdx device as a backend: everything is tensors there.
//!
//! Operations are dfdx's own, on its tape, but for three whose backward halves are ours: the density's value
//! and score, and rows joined to a matrix. What dfdx's public interface lacks for those is found in its
//! optimisers: a step of SGD with momentum 1 and weight decay 1 adds a tensor to a gradient buffer.
//!
//! dfdx's operations panic where the device fails; `failure` makes that an error.
//!
//! Invariant: a [`DeviceNode`] is contiguous (see `exec::device::array`).

mod bridge;
mod failure;
mod kernel_stein;
mod leaf;

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::Arc;

use dfdx::prelude::{
    Axes2, Axis, BroadcastTo, Cpu, Device as DfdxDevice, GatherTo, HasErr, HasShape, Momentum,
    PermuteTo, PutTape, Rank0, ReshapeTo, SgdConfig, Shape, SplitTape, Storage, SumTo, Tape,
    Tensor, TryMatMul, WeightDecay,
};

pub use bridge::DeviceBridge;
#[cfg(feature = "cuda")]
pub use failure::gpu;
pub(in crate::inference) use failure::guarded;
pub use failure::is_failure;
pub use leaf::{DeviceLeaf, DeviceSum};

use super::noise::DeviceNormals;
use super::{Backend, Leaf, Node};
use crate::density::LogDensity;
use crate::exec::device::{Array, Join};
use crate::inference::fused::{Gaps, Second, Term};
use crate::inference::kernel_stein::{Discrepancy, Kernel, Sides};
use crate::inference::mlp::ReluMlp;
use crate::inference::optimizer::{Handle, Parameters};
use crate::inference::tape::{Element, Grads, Matrix, SharedTape};
use crate::inference::transport::Transport;
use crate::inference::{InferenceError, Settings};

/// Training on a device of type `D` in `E`.
#[derive(Debug)]
pub struct On<E, D>(PhantomData<(E, D)>);

/// A dfdx device that a thread has one of.
pub trait Place<E: Element>: DfdxDevice<E> {
    /// This thread's.
    fn current() -> Self;
}

thread_local! {
    static CPU: Cpu = Cpu::default();
}

impl<E: Element> Place<E> for Cpu
where
    Cpu: DfdxDevice<E>,
{
    fn current() -> Self {
        CPU.with(Cpu::clone)
    }
}

type Plain<E, D> = Tensor<(usize, usize), E, D>;
type Buffer<E, D> = <D as Storage<E>>::Vec;
type Failure<D> = <D as HasErr>::Err;

#[cfg(feature = "cuda")]
thread_local! {
    /// Never dropped: when a thread ends, the driver may be gone already.
    static CUDA: std::cell::OnceCell<ManuallyDrop<dfdx::prelude::Cuda>> =
        const { std::cell::OnceCell::new() };
}

#[cfg(feature = "cuda")]
impl<E: Element> Place<E> for dfdx::prelude::Cuda
where
    dfdx::prelude::Cuda: DfdxDevice<E>,
{
    fn current() -> Self {
        let build = || ManuallyDrop::new(done(Self::try_build(0, 0)));
        CUDA.with(|cuda| Self::clone(cuda.get_or_init(build)))
    }
}

/// What has no error to give: a failure of the device itself.
fn done<T, F: std::fmt::Debug>(result: Result<T, F>) -> T {
    result.unwrap_or_else(|e| panic!("device failure: {e:?}"))
}

/// A buffer of `n` zeros.
fn zeros<E: Element, D: Place<E>>(dev: &D, n: usize) -> Buffer<E, D> {
    done(<D as Storage<E>>::try_alloc_len(dev, n))
}

/// Adds a tensor to a buffer.
fn add_to<E: Element, D: Place<E>, S: Shape>(
    buffer: &mut Buffer<E, D>,
    mut x: Tensor<S, E, D>,
) -> Result<(), Failure<D>> {
    let dev = x.device().clone();
    let none = <D as Storage<E>>::try_alloc_len(&dev, x.shape().num_elements())?;
    let config = SgdConfig {
        lr: 0.0,
        momentum: Some(Momentum::Classic(1.0)),
        weight_decay: Some(WeightDecay::L2(1.0)),
    };
    config.try_update(&mut x, buffer, &none)
}

/// A tensor of what a buffer holds.
fn tensor_of<E: Element, D: Place<E>>(
    dev: &D,
    buffer: &Buffer<E, D>,
    n: usize,
) -> Tensor<(usize,), E, D> {
    let mut out: Tensor<(usize,), E, D> = dev.zeros_like(&(n,));
    let config = SgdConfig { lr: -1.0, momentum: None, weight_decay: None };
    done(config.try_update(&mut out, &mut zeros::<E, D>(dev, n), buffer));
    out
}

thread_local! {
    /// Tables of indices by type and by what they are for; never dropped, as they may be a device's.
    static TABLES: ManuallyDrop<RefCell<Tables>> = ManuallyDrop::default();
}

type Tables = BTreeMap<(TypeId, Vec<usize>), Rc<dyn Any>>;

/// A table that is made once for a thread.
pub(super) fn table<T: 'static>(key: &[usize], make: impl FnOnce() -> T) -> Rc<T> {
    let key = (TypeId::of::<T>(), key.to_vec());
    let known = TABLES.with(|tables| tables.borrow().get(&key).cloned());
    let any = known.unwrap_or_else(|| {
        let made: Rc<dyn Any> = Rc::new(make());
        TABLES.with(|tables| tables.borrow_mut().insert(key, Rc::clone(&made)));
        made
    });
    any.downcast().unwrap_or_else(|_| unreachable!("bug in ppl: tables are kept by type"))
}

/// Rows of these numbers, the table under `key`.
fn gathered<E: Element, D: Place<E>>(
    x: Matrix<On<E, D>>,
    key: &[usize],
    rows: impl Fn() -> Vec<usize>,
) -> Matrix<On<E, D>> {
    let index: Rc<Tensor<(usize,), usize, D>> = table(key, || {
        let rows = rows();
        let n = rows.len();
        D::current().tensor_from_vec(rows, (n,))
    });
    x.gather((*index).clone())
}

/// Row `k` of coefficients, repeated to a shape.
fn coefficients<E: Element, D: Place<E>>(
    rows: &DeviceNode<E, D>,
    k: usize,
    shape: (usize, usize),
) -> Matrix<On<E, D>> {
    let (all, width) = rows.shape();
    let row = match all {
        1 => rows.0.clone(),
        // Not a slice, whose gradient dfdx overwrites where it ought to add.
        _ => gathered(rows.0.clone(), &[0, k], || vec![k]),
    };
    match width {
        1 => row.reshape_like(&()).broadcast_like::<_, Axes2<0, 1>>(&shape),
        _ => row.reshape_like(&(width,)).broadcast_like::<_, Axis<0>>(&shape),
    }
}

fn contiguous<E: Element, D: Place<E>>(x: Matrix<On<E, D>>) -> Matrix<On<E, D>> {
    let none: Plain<E, D> = x.device().zeros_like(x.shape());
    x + none.put_tape(SharedTape::off())
}

impl<E: Element, D: Place<E>> Backend for On<E, D> {
    type Number = E;
    type Device = D;
    type Leaf = DeviceLeaf<E, D>;
    type Node = DeviceNode<E, D>;
    type Bridge = DeviceBridge<E, D>;
    type Normals = DeviceNormals<E, D>;

    fn device() -> D {
        D::current()
    }

    fn bridge(
        _: &Arc<dyn LogDensity<E>>,
        settings: &Settings,
        coordinates: &Transport,
    ) -> Result<Self::Bridge, InferenceError> {
        let coordinates = coordinates
            .affine()
            .ok_or_else(|| InferenceError::Setting("a transport map is for the CPU".into()))?;
        let source = settings
            .device
            .source()
            .ok_or_else(|| InferenceError::Breakdown("bug in ppl: no model for a device".into()))?;
        let density = source.density(&D::current());
        let density = Rc::new(density.map_err(|e| InferenceError::Device(e.to_string()))?);
        Ok(DeviceBridge::new(&density, coordinates))
    }

    fn tensor<S: Shape>(values: &[E], shape: S) -> Tensor<S, E, D> {
        D::current().tensor_from_vec(values.to_vec(), shape)
    }

    fn squared_norm<'a>(
        leaves: impl Iterator<Item = &'a DeviceLeaf<E, D>>,
        gradients: &mut Grads<Self>,
    ) -> Option<f64> {
        let mut sum: Tensor<Rank0, E, D> = D::current().zeros_like(&());
        for leaf in leaves {
            gradients.try_alloc_for(leaf.tensor()).ok()?;
            sum = sum + gradients.get(leaf.tensor()).square().sum::<Rank0, _>();
        }
        Some(sum.as_vec()[0].f64())
    }

    fn trained(
        parameters: &Parameters<Self>,
        handle: Handle,
        shape: (usize, usize),
        tape: &SharedTape<Self>,
    ) -> Self::Node {
        DeviceNode(parameters.matrix(handle, shape, tape))
    }

    fn combine(shape: (usize, usize), terms: &[Term<'_, Self::Node>]) -> Self::Node {
        let term = |term: &Term<'_, Self::Node>| match *term {
            Term::Plain(matrix) => matrix.0.clone(),
            Term::Scaled(rows, k, matrix) => matrix.0.clone() * coefficients(rows, k, shape),
            Term::Offset(rows, k) => contiguous(coefficients(rows, k, shape)),
            Term::Product(a, b) => a.0.clone() * b.0.clone(),
        };
        let sum = terms.iter().map(term).reduce(|a, b| a + b);
        DeviceNode(sum.unwrap_or_else(|| {
            let none: Plain<E, D> = D::current().zeros_like(&shape);
            none.put_tape(SharedTape::off())
        }))
    }

    fn product(a: &Self::Node, b: &Self::Node, second: Second) -> Self::Node {
        let (a, b) = (a.0.clone(), b.0.clone());
        DeviceNode(match second {
            Second::Plain => a.matmul(b),
            Second::Transposed => a.matmul(b.permute::<_, Axes2<1, 0>>()),
        })
    }

    fn residual_softplus(h: &Self::Node, weight: &Self::Node, bias: &Self::Node) -> Self::Node {
        let inner = h.0.clone().matmul(weight.0.clone()) + coefficients(bias, 0, h.shape());
        let none: Plain<E, D> = D::current().zeros_like(&h.shape());
        // log(1 + eˣ) is the cross entropy of the logit x and a label of 0.
        let softplus = inner.bce_with_logits(none.put_tape(SharedTape::<Self>::off()));
        DeviceNode(h.0.clone() + softplus)
    }

    fn half_squares(x: &Self::Node) -> Self::Node {
        let rows = x.shape().0;
        let sums = x.0.clone().square().sum::<(usize,), Axis<1>>() * E::of(0.5);
        DeviceNode(sums.reshape_like(&(rows, 1)))
    }

    fn bounded(x: &Self::Node, limit: f64) -> Self::Node {
        DeviceNode(x.0.clone().clamp(-limit, limit))
    }

    fn relu_mlp(
        network: &ReluMlp,
        parameters: &Parameters<Self>,
        x: &Self::Node,
        tape: &SharedTape<Self>,
    ) -> Self::Node {
        DeviceNode(network.plain(parameters, x.0.clone(), tape))
    }

    fn inner(a: &Self::Node, b: &Self::Node) -> Self::Node {
        let product = a.0.clone() * b.0.clone();
        DeviceNode(product.sum::<Rank0, _>().reshape_like(&(1, 1)))
    }

    fn gap(f: &Self::Node, t: &Self::Node) -> Self::Node {
        let rest = t.0.clone() * E::of(2.0) - f.0.clone();
        Self::inner(f, &DeviceNode(rest))
    }

    fn finite_gaps(f: &Self::Node, t: &Self::Node) -> Gaps<Self::Node> {
        let (f, t) = (f.0.clone().split_tape().0, t.0.clone().split_tape().0);
        let (rows, _) = *f.shape();
        let products = f.clone() * (t * E::of(2.0) - f.clone());
        let gaps = products.sum::<(usize,), Axis<1>>().reshape_like(&(rows, 1));
        let gaps: Array<E, D> = Array::of(gaps);
        let finite = gaps.finite();
        let sum = |x: &Array<E, D>| x.tensor().clone().sum::<Rank0, _>().as_vec()[0].f64();
        let none = gaps.like(0.0);
        let kept = Array::select(&finite, &Array::of(f), &none).tensor().clone();
        Gaps {
            kept: DeviceNode(kept.put_tape(SharedTape::off())),
            sum: sum(&Array::select(&finite, &gaps, &none)),
            rows: sum(&finite) as usize,
        }
    }

    fn kernel_stein(kernel: Kernel, sides: Sides<'_, Self::Node>) -> Discrepancy<Self::Node> {
        kernel_stein::discrepancy(kernel, sides)
    }

    fn stacked(parts: &[Self::Node]) -> Self::Node {
        let (rows, columns) = parts[0].shape();
        let (plain, tape) = taken(parts.iter());
        let join: Rc<Join<E, D>> =
            table(&[1, rows, parts.len()], || Join::new(&D::current(), &vec![rows; parts.len()]));
        let arrays: Vec<Array<E, D>> = plain.iter().cloned().map(Array::of).collect();
        let out = join.of(&arrays.iter().collect::<Vec<_>>()).tensor().clone();
        joined(out, tape, plain, move |up, k| {
            up.clone().slice((k * rows..(k + 1) * rows, 0..columns))
        })
    }

    fn side_by_side(
        parts: &[&Self::Node],
        coefficients: &Self::Node,
        first: usize,
        steps: usize,
    ) -> Self::Node {
        let rows = parts[0].shape().0;
        let of_rows =
            DeviceNode(gathered(coefficients.0.clone(), &[2, first, steps, rows], || {
                (0..rows).map(|row| first + row * steps / rows).collect()
            }));
        let all: Vec<&Self::Node> = parts.iter().copied().chain([&of_rows]).collect();
        let widths: Vec<usize> = all.iter().map(|part| part.shape().1).collect();
        let (plain, tape) = taken(all.into_iter());
        let key: Vec<usize> = [3].into_iter().chain(widths.iter().copied()).collect();
        let join: Rc<Join<E, D>> = table(&key, || Join::new(&D::current(), &widths));
        let arrays: Vec<Array<E, D>> = plain.iter().cloned().map(Array::transposed).collect();
        let out = join.of(&arrays.iter().collect::<Vec<_>>());
        let out = Array::transposed(out.tensor().clone()).tensor().clone();
        joined(out, tape, plain, move |up, k| {
            let start: usize = widths[..k].iter().sum();
            up.clone().slice((0..rows, start..start + widths[k]))
        })
    }

    /// With `N = −B`, of which a power vanishes: `(I + B)⁻¹ = (I + N)(I + N²)(I + N⁴)…`.
    fn solve_unit_lower(y: &Self::Node, b: &Self::Node, second: Second) -> Self::Node {
        let d = b.shape().0;
        let mut power = b.0.clone().negate();
        let turned = |m: Matrix<Self>| match second {
            Second::Plain => m,
            Second::Transposed => m.permute::<_, Axes2<1, 0>>(),
        };
        let mut x = y.0.clone();
        let mut reached = 1;
        while reached < d {
            x = x.clone() + x.matmul(turned(power.clone()));
            // A copy of its own: dfdx cannot multiply a tensor by itself.
            power = power.clone().matmul(power * E::of(1.0));
            reached *= 2;
        }
        DeviceNode(x)
    }

    fn rows(x: &Self::Node, first: usize, count: usize) -> Self::Node {
        let plain = x.0.clone().split_tape().0;
        let rows = plain.slice((first..first + count, 0..x.shape().1));
        DeviceNode(rows.put_tape(SharedTape::off()))
    }

    fn dot(a: &Matrix<Self>, b: &Matrix<Self>) -> f64 {
        let (a, b) = (a.clone().split_tape().0, b.clone().split_tape().0);
        (a * b).sum::<Rank0, _>().as_vec()[0].f64()
    }

    fn sum(a: &Matrix<Self>) -> f64 {
        a.clone().split_tape().0.sum::<Rank0, _>().as_vec()[0].f64()
    }
}

/// Nodes without their tape, and the tape of those that are on one.
#[allow(clippy::type_complexity, reason = "a pair")]
fn taken<'a, E: Element, D: Place<E>>(
    nodes: impl Iterator<Item = &'a DeviceNode<E, D>>,
) -> (Vec<Plain<E, D>>, Vec<SharedTape<On<E, D>>>) {
    nodes.map(|node| node.0.clone().split_tape()).unzip()
}

/// A matrix that was joined from `parts`; part `k` gets back what `share` takes of its gradient.
fn joined<E: Element, D: Place<E>>(
    out: Plain<E, D>,
    tapes: Vec<SharedTape<On<E, D>>>,
    parts: Vec<Plain<E, D>>,
    share: impl Fn(&Plain<E, D>, usize) -> Plain<E, D> + 'static,
) -> DeviceNode<E, D> {
    let tracked: Vec<bool> = tapes.iter().map(SharedTape::is_recording).collect();
    let tape = tapes.into_iter().find(SharedTape::is_recording).unwrap_or_default();
    computed(out, tape, move |gradients, up| {
        for (k, part) in parts.iter().enumerate().filter(|(k, _)| tracked[*k]) {
            add_to(gradients.get_or_alloc_mut(part)?, share(&up, k))?;
        }
        Ok(())
    })
}

/// A matrix with a backward half of our own, which gets its gradient.
fn computed<E: Element, D: Place<E>>(
    out: Plain<E, D>,
    mut tape: SharedTape<On<E, D>>,
    backward: impl FnOnce(&mut Grads<On<E, D>>, Plain<E, D>) -> Result<(), Failure<D>> + 'static,
) -> DeviceNode<E, D> {
    let of = out.clone();
    tape.add_backward_op(move |gradients| {
        gradients.try_alloc_for(&of)?;
        let up = gradients.get(&of);
        backward(gradients, up)
    });
    DeviceNode(out.put_tape(tape))
}

/// A tensor on the tape.
pub struct DeviceNode<E: Element, D: Place<E>>(pub(super) Matrix<On<E, D>>);

impl<E: Element, D: Place<E>> Clone for DeviceNode<E, D> {
    fn clone(&self) -> Self {
        DeviceNode(self.0.clone())
    }
}

impl<E: Element, D: Place<E>> std::fmt::Debug for DeviceNode<E, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceNode{:?}", self.0.shape())
    }
}

impl<E: Element, D: Place<E>> Node<On<E, D>> for DeviceNode<E, D> {
    fn of(tensor: Matrix<On<E, D>>) -> Self {
        DeviceNode(tensor)
    }

    fn tensor(&self) -> Matrix<On<E, D>> {
        self.0.clone()
    }

    fn shape(&self) -> (usize, usize) {
        *self.0.shape()
    }

    fn detached(&self) -> Self {
        DeviceNode(self.0.clone().split_tape().0.put_tape(SharedTape::off()))
    }
}
