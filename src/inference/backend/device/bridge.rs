//! A model's density on a device, as operations on the tape.

use std::cell::RefCell;
use std::rc::Rc;

use dfdx::prelude::{
    Axes2, Axis, BroadcastTo, HasShape, PermuteTo, PutTape, ReshapeTo, SplitTape, Tensor, TryMatMul,
};

use super::{DeviceNode, On, Place, Plain, add_to, computed};
use crate::exec::device::DeviceDensity;
use crate::inference::affine::Coordinates;
use crate::inference::backend::{Density, Node};
use crate::inference::tape::{Element, Matrix, SharedTape};

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

    /// From the score of `z` to that of `x`.
    fn pull_back(&self, score: Matrix<On<E, D>>) -> DeviceNode<E, D> {
        let shape = *score.shape();
        let scaled = score * self.spread(&self.scale, shape);
        DeviceNode(match self.mix() {
            Some(w) => scaled.matmul(w.permute::<_, Axes2<1, 0>>()),
            None => scaled,
        })
    }

    fn remember(&self, x: &DeviceNode<E, D>) {
        let mut seen = self.seen.borrow_mut();
        if seen.len() == REMEMBERED {
            seen.remove(0);
        }
        seen.push(x.0.clone().split_tape().0);
    }
}

impl<E: Element, D: Place<E>> Density<On<E, D>> for DeviceBridge<E, D> {
    fn dim(&self) -> usize {
        self.density.dim()
    }

    fn log_density_at(&self, x: &DeviceNode<E, D>) -> DeviceNode<E, D> {
        self.remember(x);
        let (z, tape) = self.place(x).split_tape();
        let shape @ (n, _) = *z.shape();
        let (log_p, score) = self.density.score(&z);
        let out = log_p.reshape_like(&(n, 1)) + self.log_det;
        computed(out, tape, move |gradients, up| {
            let up = up.reshape_like(&(n,)).broadcast_like::<_, Axis<1>>(&shape);
            add_to(gradients.get_or_alloc_mut(&z)?, score * up)
        })
    }

    fn score_at(&self, x: &DeviceNode<E, D>) -> DeviceNode<E, D> {
        self.remember(x);
        let (z, tape) = self.place(x).split_tape();
        let (score, kept) = self.density.score_keep(&z);
        let density = Rc::clone(&self.density);
        let score = computed(score, tape, move |gradients, up| {
            let product = density.hvp(&kept, &up);
            add_to(gradients.get_or_alloc_mut(&z)?, product)
        });
        self.pull_back(score.0)
    }

    fn constant_score_at(&self, x: &DeviceNode<E, D>) -> DeviceNode<E, D> {
        let x = x.detached();
        self.remember(&x);
        let (_, score) = self.density.score(&self.place(&x).split_tape().0);
        self.pull_back(score.put_tape(SharedTape::off()))
    }

    fn non_finite_point(&self) -> Option<Vec<E>> {
        let d = self.dim();
        self.seen.take().into_iter().find_map(|x| {
            let z = self.place(&DeviceNode(x.clone().put_tape(SharedTape::off())));
            let (log_p, score) = self.density.score(&z.split_tape().0);
            let (x, log_p, score) = (x.as_vec(), log_p.as_vec(), score.as_vec());
            let finite = |x: &[E]| x.iter().all(|x| x.is_finite());
            let mut rows = x.chunks_exact(d).zip(score.chunks_exact(d)).zip(log_p);
            let broken = rows.find(|((x, s), l)| finite(x) && !(finite(s) && l.is_finite()));
            broken.map(|((x, _), _)| x.to_vec())
        })
    }
}
