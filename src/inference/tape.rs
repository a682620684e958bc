//! dfdx tensors as the inference code uses them: run-time shapes, one shared tape, either precision.
//!
//! In dfdx the tape travels inside one tensor and must be threaded by hand from operation to
//! operation. [`SharedTape`] is a handle to one tape instead: tracked tensors may be cloned and
//! combined freely, and operations whose operands are all constants record nothing.
//!
//! dfdx forbids one thing that reads naturally: an operation with the *same* tensor twice (`x * x`,
//! `x + x`, and `clone`, `reshape` and `broadcast` keep the identity). Use `square`, `* 2`.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::LocalKey;

use dfdx::prelude::{
    Backward, Cpu, Device as DfdxDevice, Dtype, Gradients, HasErr, Merge, OwnedTape, PutTape,
    Rank0, Shape, SplitTape, Storage, Tape, Tensor, Trace, ZerosTensor,
};

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::backend::Backend;
use super::{InferenceError, Target};
use crate::density::LogDensity;
use crate::exec::element::Element as Real;
use crate::real::Real as _;

/// An element type of dfdx tensors that the densities speak too: `f32` or `f64`.
pub trait Element: Real + Dtype {
    /// Where tensors of this type live.
    type Device: DfdxDevice<Self>
        + Storage<Self, Vec: DerefMut<Target = Vec<Self>> + Send + Sync>
        + Send
        + Sync;

    /// This thread's device.
    fn device() -> Self::Device;

    /// The target in this precision.
    fn density(target: Target<'_>) -> &Arc<dyn LogDensity<Self>>;

    /// This thread's idle buffers.
    fn pool() -> &'static LocalKey<Pool<Self>>;

    /// `out = a b`, or `out += a b`, on one thread.
    fn product(out: MatMut<'_, Self>, accum: Accum, a: MatRef<'_, Self>, b: MatRef<'_, Self>);
}

/// Products of so few columns are computed transposed: along columns, a tuned product fills its vectors.
const THIN: usize = 4;

/// Idle buffers by the logarithm of their capacity, a power of two.
pub type Pool<E> = RefCell<[Vec<Vec<E>>; usize::BITS as usize]>;

thread_local! {
    static CPU: Cpu = {
        // An error means that the global pool exists already; products then use that one.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(1).build_global();
        // Without dfdx's cache of buffers: tensors go from thread to thread, and it is asked and taken from in
        // two steps, between which another thread may empty it.
        Cpu::default()
    };
    static POOL_F32: Pool<f32> = const { RefCell::new([const { Vec::new() }; usize::BITS as usize]) };
    static POOL_F64: Pool<f64> = const { RefCell::new([const { Vec::new() }; usize::BITS as usize]) };
}

macro_rules! element {
    ($type:ty, $name:ident, $pool:ident) => {
        impl Element for $type {
            type Device = Cpu;

            fn device() -> Cpu {
                CPU.with(Cpu::clone)
            }

            fn density(target: Target<'_>) -> &Arc<dyn LogDensity<Self>> {
                target.$name
            }

            fn pool() -> &'static LocalKey<Pool<Self>> {
                &$pool
            }

            fn product(
                mut out: MatMut<'_, Self>,
                accum: Accum,
                a: MatRef<'_, Self>,
                b: MatRef<'_, Self>,
            ) {
                if out.ncols() > THIN {
                    return matmul(out, accum, a, b, 1.0, Par::Seq);
                }
                let (rows, columns) = (out.nrows(), out.ncols());
                let mut turned = Pooled::new(rows * columns);
                let view = MatMut::from_row_major_slice_mut(&mut turned, columns, rows);
                matmul(view, Accum::Replace, b.transpose(), a.transpose(), 1.0, Par::Seq);
                for (j, column) in turned.chunks_exact(rows.max(1)).enumerate() {
                    for (i, x) in column.iter().enumerate() {
                        let old = if let Accum::Add = accum { out[(i, j)] } else { 0.0 };
                        out[(i, j)] = old + x;
                    }
                }
            }
        }
    };
}

element!(f32, f32, POOL_F32);
element!(f64, f64, POOL_F64);

/// A buffer that is lent by this thread's pool and goes back when it is dropped, so that what is
/// needed again in every iteration is allocated once.
#[derive(Debug)]
pub struct Pooled<E: Element>(Vec<E>);

impl<E: Element> Pooled<E> {
    /// A buffer of `n` numbers, whatever they are.
    #[must_use]
    pub fn new(n: usize) -> Self {
        let class = Self::class(n);
        let idle = E::pool().with_borrow_mut(|pool| pool[class].pop());
        let mut buffer = idle.unwrap_or_else(|| Vec::with_capacity(1 << class));
        buffer.resize(n, E::zero());
        Pooled(buffer)
    }

    /// A buffer of `n` zeros.
    #[must_use]
    pub fn zeros(n: usize) -> Self {
        let mut buffer = Self::new(n);
        buffer.fill(E::zero());
        buffer
    }

    /// A copy of `numbers`.
    #[must_use]
    pub fn of(numbers: &[E]) -> Self {
        let mut buffer = Self::new(numbers.len());
        buffer.copy_from_slice(numbers);
        buffer
    }

    /// Where buffers for `n` numbers are in the pool.
    fn class(n: usize) -> usize {
        n.next_power_of_two().trailing_zeros() as usize
    }
}

impl<E: Element> Drop for Pooled<E> {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        let class = Self::class(buffer.len());
        // The pool may be gone already when a thread ends.
        let _ = E::pool().try_with(|pool| pool.borrow_mut()[class].push(buffer));
    }
}

impl<E: Element> Deref for Pooled<E> {
    type Target = [E];

    fn deref(&self) -> &[E] {
        &self.0
    }
}

impl<E: Element> DerefMut for Pooled<E> {
    fn deref_mut(&mut self) -> &mut [E] {
        &mut self.0
    }
}

/// A scalar on a [`SharedTape`].
pub type Scalar<B> = Tensor<Rank0, Number<B>, Device<B>, SharedTape<B>>;
/// A vector `[n]` on a [`SharedTape`].
pub type Vector<B> = Tensor<(usize,), Number<B>, Device<B>, SharedTape<B>>;
/// A matrix `[m, n]`, row-major, on a [`SharedTape`].
pub type Matrix<B> = Tensor<(usize, usize), Number<B>, Device<B>, SharedTape<B>>;
/// Gradient buffers by tensor.
pub type Grads<B> = Gradients<Number<B>, Device<B>>;
/// A gradient or moment buffer.
pub type Buffer<B> = <Device<B> as Storage<Number<B>>>::Vec;
/// The number type of a backend.
type Number<B> = <B as Backend>::Number;
/// Where a backend's tensors live.
type Device<B> = <B as Backend>::Device;

/// A handle to a tape, or to none: see the module header.
pub struct SharedTape<B: Backend>(Option<Recording<B>>);

type Recording<B> = Rc<RefCell<OwnedTape<Number<B>, Device<B>>>>;

impl<B: Backend> SharedTape<B> {
    /// A new, empty tape that records.
    #[must_use]
    pub fn recording() -> Self {
        SharedTape(Some(Rc::default()))
    }

    /// A new tape whose gradients are added to these.
    #[must_use]
    pub fn adding_to(gradients: Grads<B>) -> Self {
        // dfdx gives a tape gradients with a tensor.
        let (_, tape) = B::tensor(&[Number::<B>::of(0.0)], (1,)).traced(gradients).split_tape();
        SharedTape(Some(Rc::new(RefCell::new(tape))))
    }

    /// No tape: for constants, and to evaluate without gradients.
    #[must_use]
    pub fn off() -> Self {
        SharedTape(None)
    }

    /// Whether operations are recorded.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.0.is_some()
    }
}

impl<B: Backend> Clone for SharedTape<B> {
    fn clone(&self) -> Self {
        SharedTape(self.0.clone())
    }
}

impl<B: Backend> Default for SharedTape<B> {
    fn default() -> Self {
        Self::off()
    }
}

impl<B: Backend> std::fmt::Debug for SharedTape<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "SharedTape(recording)" } else { "SharedTape(off)" })
    }
}

impl<B: Backend> Merge<SharedTape<B>> for SharedTape<B> {
    /// All tracked operands of one computation share one tape, so either handle is *the* tape.
    fn merge(self, other: Self) -> Self {
        SharedTape(self.0.or(other.0))
    }
}

impl<B: Backend> Merge<dfdx::prelude::NoneTape> for SharedTape<B> {
    fn merge(self, _: dfdx::prelude::NoneTape) -> Self {
        self
    }
}

impl<B: Backend> Tape<Number<B>, Device<B>> for SharedTape<B> {
    const OWNS_TAPE: bool = true;

    fn add_backward_op<F>(&mut self, operation: F)
    where
        F: 'static + FnOnce(&mut Grads<B>) -> Result<(), <Device<B> as HasErr>::Err>,
    {
        if let Some(tape) = &self.0 {
            tape.borrow_mut().add_backward_op(operation);
        }
    }
}

/// Runs the tape of `loss` backwards and returns the gradients of everything on it.
///
/// # Errors
/// When `loss` is on no tape, or the device is out of memory.
pub fn backward<B: Backend>(loss: Scalar<B>) -> Result<Grads<B>, InferenceError> {
    let (loss, tape) = loss.split_tape();
    let Some(tape) = tape.0 else {
        return Err(InferenceError::Breakdown("bug in ppl: backward of a constant".into()));
    };
    loss.put_tape(tape.take())
        .try_backward()
        .map_err(|e| InferenceError::Breakdown(format!("gradients could not be computed: {e:?}")))
}

/// The device for tensors of type `E`, with matrix products confined to one thread so that their bits depend
/// on nothing else.
#[must_use]
pub fn device<E: Element>() -> E::Device {
    E::device()
}

/// A tensor with the given values, row-major.
pub fn tensor<E: Element, S: Shape>(
    values: &[E],
    shape: S,
) -> Tensor<S, E, <E as Element>::Device> {
    let mut t = device::<E>().zeros_like(&shape);
    t.copy_from(values);
    t
}

#[cfg(test)]
mod tests {
    use super::*;
    use dfdx::prelude::*;

    #[test]
    fn one_tape_serves_a_graph_with_fan_out() {
        let dev = device::<f64>();
        let tape = SharedTape::recording();
        let leaf = dev.tensor_from_vec(vec![1.0, 2.0, 3.0], (3,));
        let x: Vector<f64> = leaf.clone().put_tape(tape);
        let c: Vector<f64> = dev.tensor_from_vec(vec![2.0; 3], (3,)).put_tape(SharedTape::off());
        // f = Σ x² · c + exp(x)
        let f = x.clone().square() * c + x.exp();
        let grads = backward(f.sum::<Rank0, _>()).unwrap();
        let g = grads.get(&leaf).as_vec();
        for (g, x) in g.iter().zip([1.0_f64, 2.0, 3.0]) {
            assert!((g - (4.0 * x + x.exp())).abs() < 1e-12);
        }
    }

    #[test]
    fn gradients_of_one_tape_are_added_to_those_of_another() {
        let leaf = tensor(&[1.0, 2.0], (2,));
        let mut gradients = Grads::<f64>::leaky();
        for c in [1.0, 3.0] {
            let x: Vector<f64> = leaf.clone().put_tape(SharedTape::adding_to(gradients));
            gradients = backward((x.square() * c).sum::<Rank0, _>()).unwrap();
        }
        assert_eq!(gradients.get(&leaf).as_vec(), [8.0, 16.0]);
    }

    #[test]
    fn threads_share_the_tensors_of_a_device() {
        let leaf = tensor(&[0.5_f64; 8], (8,));
        let twice = |leaf: &Tensor<(usize,), f64, Cpu>| {
            for _ in 0..20_000 {
                assert_eq!((leaf.clone() * 2.0).as_vec(), [1.0; 8]);
            }
        };
        std::thread::scope(|scope| {
            (0..4).for_each(|_| drop(scope.spawn(|| twice(&leaf))));
        });
    }
}
