//! A dfdx device as a backend: everything is tensors there.
//!
//! Operations are dfdx's own, on its tape, but for three whose backward halves are ours: the density's value
//! and score, and rows joined to a matrix. What dfdx's public interface lacks for those is found in its
//! optimisers: a step of SGD with momentum 1 and weight decay 1 adds a tensor to a gradient buffer.
//!
//! dfdx's operations panic where the device fails; [`guarded`] makes that an error.
//!
//! Invariant: a [`DeviceNode`] is contiguous (see `exec::device::array`).

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;

use dfdx::prelude::{
    AdamConfig, Axes2, Axis, BroadcastTo, Cpu, Device as DfdxDevice, GatherTo, HasErr, HasShape,
    Momentum, PermuteTo, PutTape, Rank0, ReshapeTo, SgdConfig, Shape, SplitTape, Storage, SumTo,
    Tape, Tensor, TryMatMul, WeightDecay,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::noise::DeviceNormals;
use super::{Backend, Density, Leaf, Node};
use crate::density::LogDensity;
use crate::exec::device::{Array, DeviceDensity, Join};
use crate::inference::adam::Adam;
use crate::inference::affine::Coordinates;
use crate::inference::fused::{Second, Term};
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
    static CPU: Cpu = {
        use dfdx::prelude::Cache;
        let device = Cpu::default();
        device.enable_cache();
        device
    };
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
    static CUDA: std::cell::OnceCell<dfdx::prelude::Cuda> = const { std::cell::OnceCell::new() };
}

#[cfg(feature = "cuda")]
impl<E: Element> Place<E> for dfdx::prelude::Cuda
where
    dfdx::prelude::Cuda: DfdxDevice<E>,
{
    fn current() -> Self {
        CUDA.with(|cuda| cuda.get_or_init(|| done(Self::try_build(0, 0))).clone())
    }
}

/// Whether this thread can use an NVIDIA GPU.
///
/// # Errors
/// Why not, in one line.
#[cfg(feature = "cuda")]
pub fn gpu() -> Result<(), &'static str> {
    CUDA.with(|cuda| {
        if cuda.get().is_some() {
            return Ok(());
        }
        let built = catch_unwind(|| dfdx::prelude::Cuda::try_build(0, 0));
        match built {
            Ok(Ok(device)) => {
                let _ = cuda.set(device);
                Ok(())
            }
            Ok(Err(error)) => {
                Err(failure(&format!("{error:?}")).unwrap_or("the GPU cannot be used"))
            }
            Err(_) => Err("the NVIDIA driver cannot be used"),
        }
    })
}

/// Runs `work`, which uses a device, and makes an error of the device's failing in it.
///
/// # Errors
/// What `work` fails with, and [`InferenceError::Device`].
pub(super) fn guarded<T>(
    work: impl FnOnce() -> Result<T, InferenceError>,
) -> Result<T, InferenceError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            match text.and_then(failure) {
                Some(why) => Err(InferenceError::Device(why.into())),
                None => resume_unwind(panic),
            }
        }
    }
}

/// What a panic says of a failing device, if it is of one.
fn failure(panic: &str) -> Option<&'static str> {
    let kinds = [
        ("CUDA_ERROR_OUT_OF_MEMORY", "the GPU is out of memory; use fewer --grad-samples"),
        ("CUDA_ERROR_NO_DEVICE", "there is no NVIDIA GPU"),
        ("CUDA_ERROR_INVALID_DEVICE", "there is no NVIDIA GPU"),
        ("CUDA_ERROR_NO_BINARY_FOR_GPU", WRONG_ARCHITECTURE),
        ("CUDA_ERROR_INVALID_PTX", WRONG_ARCHITECTURE),
        ("CUDA_ERROR_UNSUPPORTED_PTX_VERSION", WRONG_ARCHITECTURE),
        ("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "the NVIDIA driver does not fit its library"),
        ("CUDA_ERROR_", "the GPU failed"),
        ("CUBLAS_STATUS_ALLOC_FAILED", "the GPU is out of memory; use fewer --grad-samples"),
        ("CUBLAS_STATUS_ARCH_MISMATCH", WRONG_ARCHITECTURE),
        ("CUBLAS_STATUS_", "the GPU's matrix library failed"),
    ];
    kinds.iter().find(|(name, _)| panic.contains(name)).map(|(_, why)| *why)
}

/// Kernels are compiled for one architecture and later ones.
const WRONG_ARCHITECTURE: &str = "this build is for a newer GPU or driver (docs/cuda.md says how to \
    build for another)";

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
    /// Tables of indices by type and by what they are for.
    static TABLES: RefCell<BTreeMap<(TypeId, Vec<usize>), Rc<dyn Any>>> = RefCell::default();
}

/// A table that is made once for a thread.
pub(super) fn table<T: 'static>(key: &[usize], make: impl FnOnce() -> T) -> Rc<T> {
    let key = (TypeId::of::<T>(), key.to_vec());
    let known = TABLES.with_borrow(|tables| tables.get(&key).cloned());
    let any = known.unwrap_or_else(|| {
        let made: Rc<dyn Any> = Rc::new(make());
        TABLES.with_borrow_mut(|tables| tables.insert(key, Rc::clone(&made)));
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
            gradients.try_alloc_for(&leaf.value).ok()?;
            sum = sum + gradients.get(&leaf.value).square().sum::<Rank0, _>();
        }
        Some(sum.as_vec()[0].f64())
    }

    fn combine(shape: (usize, usize), terms: &[Term<'_, Self::Node>]) -> Self::Node {
        let term = |term: &Term<'_, Self::Node>| match *term {
            Term::Plain(matrix) => matrix.0.clone(),
            Term::Scaled(rows, k, matrix) => matrix.0.clone() * coefficients(rows, k, shape),
            Term::Offset(rows, k) => contiguous(coefficients(rows, k, shape)),
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
}

/// A trainable tensor with Adam's moments, all on the device.
pub struct DeviceLeaf<E: Element, D: Place<E>> {
    value: Tensor<(usize,), E, D>,
    moments: [Buffer<E, D>; 2],
}

impl<E: Element, D: Place<E>> Clone for DeviceLeaf<E, D> {
    fn clone(&self) -> Self {
        DeviceLeaf { value: self.value.clone(), moments: self.moments.clone() }
    }
}

impl<E: Element, D: Place<E>> std::fmt::Debug for DeviceLeaf<E, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceLeaf{:?}", self.value.shape())
    }
}

impl<E: Element, D: Place<E>> Leaf<On<E, D>> for DeviceLeaf<E, D> {
    type Sum = DeviceSum<E, D>;

    fn new(values: Vec<E>) -> Self {
        let (dev, n) = (D::current(), values.len());
        let moments = [zeros::<E, D>(&dev, n), zeros::<E, D>(&dev, n)];
        DeviceLeaf { value: dev.tensor_from_vec(values, (n,)), moments }
    }

    fn tensor(&self) -> &Tensor<(usize,), E, D> {
        &self.value
    }

    fn len(&self) -> usize {
        self.value.shape().0
    }

    fn values(&self) -> Vec<E> {
        self.value.as_vec()
    }

    fn set(&mut self, values: &[E]) {
        self.value.copy_from(values);
    }

    fn moments(&self) -> [Vec<E>; 2] {
        let dev = D::current();
        self.moments.each_ref().map(|m| tensor_of::<E, D>(&dev, m, self.len()).as_vec())
    }

    fn set_moments(&mut self, moments: [&[E]; 2]) {
        let dev = D::current();
        self.moments = moments.map(|numbers| {
            let mut buffer = zeros::<E, D>(&dev, numbers.len());
            let tensor = dev.tensor_from_vec(numbers.to_vec(), (numbers.len(),));
            done(add_to(&mut buffer, tensor));
            buffer
        });
    }

    fn gradient(&self, gradients: &mut Grads<On<E, D>>) -> Vec<E> {
        done(gradients.try_alloc_for(&self.value));
        gradients.get(&self.value).as_vec()
    }

    fn step(
        &mut self,
        adam: &Adam,
        (low, high): (f64, f64),
        gradients: &mut Grads<On<E, D>>,
    ) -> Option<()> {
        let (dev, n) = (D::current(), self.len());
        let gradient = gradients.get_or_alloc_mut(&self.value).ok()?;
        if adam.shorten != 1.0 {
            let config = SgdConfig {
                lr: 0.0,
                momentum: Some(Momentum::Classic(adam.shorten)),
                weight_decay: None,
            };
            let mut scratch: Tensor<(usize,), E, D> = dev.zeros_like(&(n,));
            done(config.try_update(&mut scratch, gradient, &zeros::<E, D>(&dev, n)));
        }
        let config =
            AdamConfig { lr: adam.rate, betas: adam.betas, eps: adam.epsilon, weight_decay: None };
        let [first, second] = &mut self.moments;
        done(config.try_update(adam.steps, &mut self.value, first, second, gradient));
        if low > f64::NEG_INFINITY || high < f64::INFINITY {
            let within = self.value.clone().clamp(low, high);
            // Keeps the tensor's identity, by which gradients find it.
            self.value.axpy(0.0, &within, 1.0);
        }
        Some(())
    }

    fn add_to(&self, sum: Option<&mut DeviceSum<E, D>>, decay: f64) -> Option<DeviceSum<E, D>> {
        let Some(DeviceSum(sum)) = sum else { return Some(DeviceSum(self.value.clone())) };
        sum.axpy(decay, &self.value, 1.0);
        None
    }

    fn set_mean(&mut self, sum: &DeviceSum<E, D>, weight: f64) {
        self.value.axpy(0.0, &sum.0, weight.recip());
    }
}

/// A sum of values on the device.
pub struct DeviceSum<E: Element, D: Place<E>>(Tensor<(usize,), E, D>);

impl<E: Element, D: Place<E>> Clone for DeviceSum<E, D> {
    fn clone(&self) -> Self {
        DeviceSum(self.0.clone())
    }
}

impl<E: Element, D: Place<E>> std::fmt::Debug for DeviceSum<E, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceSum{:?}", self.0.shape())
    }
}

impl<E: Element, D: Place<E>> Serialize for DeviceSum<E, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.as_vec().iter().map(|x| x.f64()))
    }
}

impl<'de, E: Element, D: Place<E>> Deserialize<'de> for DeviceSum<E, D> {
    fn deserialize<S: Deserializer<'de>>(deserializer: S) -> Result<Self, S::Error> {
        let numbers: Vec<E> =
            Vec::<f64>::deserialize(deserializer)?.into_iter().map(E::of).collect();
        let n = numbers.len();
        Ok(DeviceSum(D::current().tensor_from_vec(numbers, (n,))))
    }
}

/// Evaluations among which a point that is not finite is looked for.
const REMEMBERED: usize = 64;

/// A model's density on a device, in the coordinates `x` of `z = shift + scale ∘ (x W)`.
pub struct DeviceBridge<E: Element, D: Place<E>> {
    density: Rc<DeviceDensity<E, D>>,
    shift: Tensor<(usize,), E, D>,
    scale: Tensor<(usize,), E, D>,
    mix: Option<Plain<E, D>>,
    log_det: E,
    /// Where it was evaluated, the latest last.
    seen: RefCell<Vec<Plain<E, D>>>,
}

impl<E: Element, D: Place<E>> std::fmt::Debug for DeviceBridge<E, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceBridge(dim = {})", self.density.dim())
    }
}

impl<E: Element, D: Place<E>> DeviceBridge<E, D> {
    /// A density in these coordinates.
    #[must_use]
    pub fn new(density: &Rc<DeviceDensity<E, D>>, coordinates: &Coordinates) -> Self {
        let (dev, d) = (density.device(), density.dim());
        let of = |x: &[f64]| x.iter().map(|x| E::of(*x)).collect::<Vec<E>>();
        DeviceBridge {
            density: Rc::clone(density),
            shift: dev.tensor_from_vec(of(&coordinates.shift), (d,)),
            scale: dev.tensor_from_vec(of(&coordinates.scale), (d,)),
            mix: coordinates.mix.as_ref().map(|(w, _)| dev.tensor_from_vec(of(w), (d, d))),
            log_det: E::of(coordinates.log_det()),
            seen: RefCell::default(),
        }
    }

    fn mix(&self) -> Option<Matrix<On<E, D>>> {
        self.mix.clone().map(|w| w.put_tape(SharedTape::off()))
    }

    /// A vector in every row.
    fn spread(&self, v: &Tensor<(usize,), E, D>, shape: (usize, usize)) -> Matrix<On<E, D>> {
        v.clone().put_tape(SharedTape::off()).broadcast_like::<_, Axis<0>>(&shape)
    }

    /// The points `z` of `x`.
    fn place(&self, x: &DeviceNode<E, D>) -> Matrix<On<E, D>> {
        let shape = x.shape();
        let mixed = match self.mix() {
            Some(w) => x.0.clone().matmul(w),
            None => x.0.clone(),
        };
        mixed * self.spread(&self.scale, shape) + self.spread(&self.shift, shape)
    }

    fn remember(&self, z: &Plain<E, D>) {
        let mut seen = self.seen.borrow_mut();
        if seen.len() == REMEMBERED {
            seen.remove(0);
        }
        seen.push(z.clone());
    }
}

impl<E: Element, D: Place<E>> Density<On<E, D>> for DeviceBridge<E, D> {
    fn dim(&self) -> usize {
        self.density.dim()
    }

    fn log_density_at(&self, x: &DeviceNode<E, D>) -> DeviceNode<E, D> {
        let (z, tape) = self.place(x).split_tape();
        self.remember(&z);
        let shape @ (n, _) = *z.shape();
        let (log_p, score) = self.density.score(&z);
        let out = log_p.reshape_like(&(n, 1)) + self.log_det;
        computed(out, tape, move |gradients, up| {
            let up = up.reshape_like(&(n,)).broadcast_like::<_, Axis<1>>(&shape);
            add_to(gradients.get_or_alloc_mut(&z)?, score * up)
        })
    }

    fn score_at(&self, x: &DeviceNode<E, D>) -> DeviceNode<E, D> {
        let (z, tape) = self.place(x).split_tape();
        self.remember(&z);
        let shape = *z.shape();
        let (score, kept) = self.density.score_keep(&z);
        let density = Rc::clone(&self.density);
        let score = computed(score, tape, move |gradients, up| {
            let product = density.hvp(&kept, &up);
            add_to(gradients.get_or_alloc_mut(&z)?, product)
        });
        let scaled = score.0 * self.spread(&self.scale, shape);
        DeviceNode(match self.mix() {
            Some(w) => scaled.matmul(w.permute::<_, Axes2<1, 0>>()),
            None => scaled,
        })
    }

    fn non_finite_point(&self) -> Option<Vec<E>> {
        let d = self.dim();
        self.seen.take().into_iter().find_map(|z| {
            let (log_p, score) = self.density.score(&z);
            let (z, log_p, score) = (z.as_vec(), log_p.as_vec(), score.as_vec());
            let finite = |x: &[E]| x.iter().all(|x| x.is_finite());
            let mut rows = z.chunks_exact(d).zip(score.chunks_exact(d)).zip(log_p);
            let broken = rows.find(|((z, s), l)| finite(z) && !(finite(s) && l.is_finite()));
            broken.map(|((z, _), _)| z.to_vec())
        })
    }
}
