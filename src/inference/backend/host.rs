//! The CPU as a backend: the number types themselves, with reused buffers and fused loops.

use std::sync::Arc;

use dfdx::prelude::{Shape, Storage, Tensor, TensorFromVec};

use rand::{RngCore, SeedableRng};

use super::{Backend, Batch, Density, Leaf, Loss, Normals, Pairs, ValueAndGrad, value_and_grad};
use crate::density::LogDensity;
use crate::inference::adam::{Adam, sum_of_squares};
use crate::inference::bridge::Bridge;
use crate::inference::fused::{self, Gaps, Second, Term};
use crate::inference::kernel_stein::{self, Discrepancy, Kernel, Sides};
use crate::inference::mlp::ReluMlp;
use crate::inference::node::Node;
use crate::inference::optimizer::{Handle, Parameters};
use crate::inference::tape::{self, Buffer, Element, Grads, Matrix, Pooled, SharedTape};
use crate::inference::transport::Transport;
use crate::inference::workers::Workers;
use crate::inference::{InferenceError, Settings};
use crate::random::{Stream, fill_std_normal, stream};

impl<E: Element> Backend for E {
    type Number = E;
    type Device = <E as Element>::Device;
    type Leaf = HostLeaf<E>;
    type Node = Node<E>;
    type Bridge = Bridge<E>;
    type Normals = Stream;

    fn device() -> Self::Device {
        E::device()
    }

    fn bridge(
        density: &Arc<dyn LogDensity<E>>,
        _: &Settings,
        coordinates: &Transport,
    ) -> Result<Bridge<E>, InferenceError> {
        Ok(Bridge::new(&coordinates.density(density)))
    }

    fn tensor<S: Shape>(values: &[E], shape: S) -> Tensor<S, E, Self::Device> {
        tape::tensor(values, shape)
    }

    fn batch(
        workers: &Workers,
        (bridge, parameters): (&Bridge<E>, &Parameters<E>),
        group: usize,
        parts: &[usize],
        normals: &mut Stream,
        loss: impl Fn(&Batch<'_, E>, usize, &mut Stream) -> Loss<E> + Sync,
    ) -> Result<ValueAndGrad<E>, InferenceError> {
        let of_part = |part: usize, normals: &mut Stream| {
            let batch = Batch { bridge, parameters, tape: SharedTape::recording() };
            value_and_grad(loss(&batch, part, normals))
        };
        if let [whole] = parts {
            return of_part(*whole, normals);
        }
        let stream = |part: &usize| (*part, Stream::seed_from_u64(normals.next_u64()));
        let mut parts: Vec<(usize, Stream)> = parts.iter().map(stream).collect();
        let mut done: ValueAndGrad<E> = Some((0.0, Grads::<E>::leaky()));
        for part in workers.each(&mut parts, |(part, normals)| of_part(*part, normals)) {
            let (Some((value, sum)), Some((more, mut gradients))) = (&mut done, part?) else {
                return Ok(None);
            };
            *value += more;
            parameters.add_gradients(group, sum, &mut gradients)?;
        }
        Ok(done)
    }

    fn squared_norm<'a>(
        leaves: impl Iterator<Item = &'a HostLeaf<E>>,
        gradients: &mut Grads<E>,
    ) -> Option<f64> {
        let mut sum = 0.0;
        for leaf in leaves {
            sum += sum_of_squares::<E>(gradients.get_or_alloc_mut(&leaf.value).ok()?);
        }
        Some(sum)
    }

    fn trained(
        parameters: &Parameters<E>,
        handle: Handle,
        shape: (usize, usize),
        tape: &SharedTape<E>,
    ) -> Node<E> {
        Node::trained(parameters, handle, shape, tape)
    }

    fn combine(shape: (usize, usize), terms: &[Term<'_, Node<E>>]) -> Node<E> {
        fused::combine(shape, terms)
    }

    fn product(a: &Node<E>, b: &Node<E>, second: Second) -> Node<E> {
        fused::product(a, b, second)
    }

    fn residual_softplus(h: &Node<E>, weight: &Node<E>, bias: &Node<E>) -> Node<E> {
        fused::residual_softplus(h, weight, bias)
    }

    fn half_squares(x: &Node<E>) -> Node<E> {
        fused::half_squares(x)
    }

    fn bounded(x: &Node<E>, limit: f64) -> Node<E> {
        fused::bounded(x, E::of(limit))
    }

    fn relu_mlp(
        network: &ReluMlp,
        parameters: &Parameters<E>,
        x: &Node<E>,
        tape: &SharedTape<E>,
    ) -> Node<E> {
        network.fused(parameters, x, tape)
    }

    fn inner(a: &Node<E>, b: &Node<E>) -> Node<E> {
        fused::inner(a, b)
    }

    fn gap(f: &Node<E>, t: &Node<E>) -> Node<E> {
        fused::gap(f, t)
    }

    fn finite_gaps(f: &Node<E>, t: &Node<E>) -> Gaps<Node<E>> {
        fused::finite_gaps(f, t)
    }

    fn kernel_stein(kernel: Kernel, sides: Sides<'_, Node<E>>) -> Discrepancy<Node<E>> {
        kernel_stein::discrepancy(kernel, sides)
    }

    fn stacked(parts: &[Node<E>]) -> Node<E> {
        fused::stacked(parts)
    }

    fn side_by_side(parts: &[&Node<E>], table: &Node<E>, first: usize, steps: usize) -> Node<E> {
        fused::side_by_side(parts, table, first, steps)
    }

    fn solve_unit_lower(y: &Node<E>, b: &Node<E>, second: Second) -> Node<E> {
        fused::solve_unit_lower(y, b, second)
    }

    fn rows(x: &Node<E>, first: usize, count: usize) -> Node<E> {
        x.rows(first..first + count)
    }

    fn dot(a: &Matrix<E>, b: &Matrix<E>) -> f64 {
        a.as_vec().iter().zip(b.as_vec()).map(|(a, b)| a.f64() * b.f64()).sum()
    }

    fn sum(a: &Matrix<E>) -> f64 {
        a.as_vec().iter().map(|a| a.f64()).sum()
    }
}

impl<E: Element> super::Node<E> for Node<E> {
    fn of(tensor: Matrix<E>) -> Self {
        Node::of(tensor)
    }

    fn tensor(&self) -> Matrix<E> {
        Node::tensor(self)
    }

    fn shape(&self) -> (usize, usize) {
        Node::shape(self)
    }

    fn detached(&self) -> Self {
        Node::detached(self)
    }
}

impl<E: Element> Density<E> for Bridge<E> {
    fn dim(&self) -> usize {
        Bridge::dim(self)
    }

    fn log_density_at(&self, z: &Node<E>) -> Node<E> {
        Bridge::log_density_at(self, z)
    }

    fn score_at(&self, z: &Node<E>) -> Node<E> {
        Bridge::score_at(self, z)
    }

    fn constant_score_at(&self, z: &Node<E>) -> Node<E> {
        Bridge::constant_score_at(self, z)
    }

    fn non_finite_point(&self) -> Option<Vec<E>> {
        Bridge::non_finite_point(self)
    }
}

/// A tensor, and its numbers where loops that are not dfdx's can read them.
#[derive(Clone)]
pub struct HostLeaf<E: Element> {
    value: Tensor<(usize,), E, <E as Element>::Device>,
    numbers: Arc<Vec<E>>,
    moments: [Buffer<E>; 2],
}

impl<E: Element> std::fmt::Debug for HostLeaf<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HostLeaf[{}]", self.numbers.len())
    }
}

impl<E: Element> HostLeaf<E> {
    /// The values as they are now, without a copy.
    pub(in crate::inference) fn numbers(&self) -> Arc<Vec<E>> {
        Arc::clone(&self.numbers)
    }
}

impl<E: Element> Leaf<E> for HostLeaf<E> {
    type Sum = Vec<f64>;

    fn new(values: Vec<E>) -> Self {
        let n = values.len();
        let device = <E as Element>::device();
        let buffer =
            || Storage::<E>::try_alloc_len(&device, n).expect("out of memory for a parameter");
        HostLeaf {
            moments: [buffer(), buffer()],
            numbers: Arc::new(values.clone()),
            value: device.tensor_from_vec(values, (n,)),
        }
    }

    fn tensor(&self) -> &Tensor<(usize,), E, <E as Element>::Device> {
        &self.value
    }

    fn size(&self) -> usize {
        self.numbers.len()
    }

    fn values(&self) -> Vec<E> {
        self.numbers.to_vec()
    }

    fn set(&mut self, values: &[E]) {
        Arc::make_mut(&mut self.numbers).copy_from_slice(values);
        self.value.copy_from(values);
    }

    fn moments(&self) -> [Vec<E>; 2] {
        self.moments.each_ref().map(|m| m.to_vec())
    }

    fn set_moments(&mut self, moments: [&[E]; 2]) {
        self.moments.iter_mut().zip(moments).for_each(|(m, new)| m.copy_from_slice(new));
    }

    fn gradient(&self, gradients: &mut Grads<E>) -> Vec<E> {
        gradients.get_or_alloc_mut(&self.value).map_or_else(|_| Vec::new(), |g| g.to_vec())
    }

    fn step(
        &mut self,
        adam: &Adam,
        (low, high): (f64, f64),
        gradients: &mut Grads<E>,
    ) -> Option<()> {
        let g = gradients.get_or_alloc_mut(&self.value).ok()?;
        let x = Arc::make_mut(&mut self.numbers);
        let [first, second] = &mut self.moments;
        adam.step(x, g, [first, second]);
        if low > f64::NEG_INFINITY || high < f64::INFINITY {
            let (low, high) = (E::of(low), E::of(high));
            x.iter_mut().for_each(|x| *x = x.max(low).min(high));
        }
        // `copy_from` keeps the tensor's identity, by which gradients find it.
        self.value.copy_from(x);
        Some(())
    }

    fn add_to(&self, sum: Option<&mut Vec<f64>>, decay: f64) -> Option<Vec<f64>> {
        let Some(sum) = sum else {
            return Some(self.numbers.iter().map(|x| 0.0 + x.f64()).collect());
        };
        for (s, x) in sum.iter_mut().zip(&*self.numbers) {
            *s = decay * *s + x.f64();
        }
        None
    }

    fn set_mean(&mut self, sum: &Vec<f64>, weight: f64) {
        let mean: Vec<E> = sum.iter().map(|s| E::of(s / weight)).collect();
        self.set(&mean);
    }
}

impl<E: Element> Normals<E> for Stream {
    fn new(seed: u64, name: &str) -> Self {
        stream(seed, name)
    }

    fn draw(&mut self, shape: (usize, usize), pairs: Pairs) -> Node<E> {
        let (rows, columns) = shape;
        let mut out = Pooled::new(rows * columns);
        let fresh = if pairs == Pairs::Independent { rows } else { rows.div_ceil(2) };
        let (first, second) = out.split_at_mut(fresh * columns);
        fill_std_normal(self, first);
        let sign = if pairs == Pairs::Opposite { -E::one() } else { E::one() };
        second.iter_mut().zip(first).for_each(|(b, a)| *b = sign * *a);
        Node::constant(out, shape)
    }
}
