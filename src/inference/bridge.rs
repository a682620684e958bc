//! A [`LogDensity`] as operations on dfdx's tape: log density and score.
//!
//! The backward pass of the log density is the score, that of the score the Hessian-vector product;
//! what the density kept for it forward ([`Residuals`]) goes back into a pool afterwards, so that
//! training allocates nothing after its first iteration.

use std::cmp::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dfdx::prelude::{HasShape, ReshapeTo};

use super::node::Node;
use super::tape::{Element, Matrix, Pooled, Vector};
use super::vector::{add_product, all_finite};
use crate::density::{LogDensity, Residuals};

/// A density that can be used in dfdx computations.
pub struct Bridge<E: Element> {
    density: Arc<dyn LogDensity<E>>,
    pool: Arc<Mutex<Vec<Residuals<E>>>>,
    /// Of the finite points since the last question at which something was not finite, the first in order of
    /// their coordinates: whichever thread found it.
    broken: Mutex<Option<Vec<E>>>,
}

/// A panic elsewhere leaves these whole: they are pushed to and taken from only.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<E: Element> std::fmt::Debug for Bridge<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bridge(dim = {})", self.density.dim())
    }
}

impl<E: Element> Bridge<E> {
    /// Shares `density` with dfdx's tape.
    #[must_use]
    pub fn new(density: &Arc<dyn LogDensity<E>>) -> Self {
        Bridge { density: Arc::clone(density), pool: Arc::default(), broken: Mutex::default() }
    }

    /// The dimension `D`.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.density.dim()
    }

    /// The density itself.
    #[must_use]
    pub fn density(&self) -> &dyn LogDensity<E> {
        &*self.density
    }

    /// A finite point since the last call at which the log density or its score was not finite.
    #[must_use]
    pub fn non_finite_point(&self) -> Option<Vec<E>> {
        locked(&self.broken).take()
    }

    /// Looks for a point with a score that is not finite, or whose log density is not.
    fn notice(&self, z: &[E], log_p: Option<&[E]>, score: &[E]) {
        if all_finite(score) && log_p.is_none_or(all_finite) {
            return;
        }
        let d = self.dim();
        let broken =
            z.chunks_exact(d).zip(score.chunks_exact(d)).enumerate().find(|(i, (z, s))| {
                all_finite(z) && !(all_finite(s) && log_p.is_none_or(|l| l[*i].is_finite()))
            });
        if let Some((_, (z, _))) = broken {
            let mut known = locked(&self.broken);
            if known.as_ref().is_none_or(|known| z.partial_cmp(known).is_some_and(Ordering::is_lt))
            {
                *known = Some(z.to_vec());
            }
        }
    }

    /// `log p: [B]` and its score `[B, D]` at `z: [B, D]`.
    #[must_use]
    pub fn value_and_score(&self, z: &[E]) -> (Pooled<E>, Pooled<E>) {
        let (mut log_p, mut score) = (Pooled::new(z.len() / self.dim()), Pooled::new(z.len()));
        self.density.score(z, &mut log_p, &mut score);
        self.notice(z, Some(&log_p), &score);
        (log_p, score)
    }

    /// `log p` at each row of `z: [B, D]`; its gradient is the score, and there is no second one.
    #[must_use]
    pub fn log_density(&self, z: Matrix<E>) -> Vector<E> {
        let b = z.shape().0;
        self.log_density_at(&Node::of(z)).tensor().reshape_like(&(b,))
    }

    /// Like [`log_density`](Self::log_density), as `[B, 1]`.
    #[must_use]
    pub fn log_density_at(&self, z: &Node<E>) -> Node<E> {
        let (b, d) = z.shape();
        let (log_p, score) = self.value_and_score(z.numbers());
        let out = Node::computed(log_p, (b, 1), [z]);
        let z = z.operand();
        out.record(move |_, up| {
            z.receive(|down| add_scaled_rows(down, &up, &score, d));
            Ok(())
        });
        out
    }

    /// `∇ log p` at each row of `z: [B, D]`, and what Hessian-vector products there need.
    fn score(&self, z: &Node<E>) -> (Pooled<E>, Residuals<E>) {
        let mut score = Pooled::new(z.numbers().len());
        let mut residuals = locked(&self.pool).pop().unwrap_or_default();
        self.density.score_keep(z.numbers(), &mut score, &mut residuals);
        self.notice(z.numbers(), None, &score);
        (score, residuals)
    }

    /// `∇ log p` at each row of `z: [B, D]`, off the tape.
    #[must_use]
    pub fn constant_score_at(&self, z: &Node<E>) -> Node<E> {
        let (score, residuals) = self.score(z);
        locked(&self.pool).push(residuals);
        Node::constant(score, z.shape())
    }

    /// `∇ log p` at each row of `z: [B, D]`, as `[B, D]`; differentiable by Hessian-vector products.
    #[must_use]
    pub fn score_at(&self, z: &Node<E>) -> Node<E> {
        let (score, residuals) = self.score(z);
        let out = Node::computed(score, z.shape(), [z]);
        let (z, density, pool) = (z.operand(), Arc::clone(&self.density), Arc::clone(&self.pool));
        out.record(move |_, up| {
            let mut product = Pooled::new(up.len());
            density.hvp(&residuals, &up, &mut product);
            z.give(product);
            locked(&pool).push(residuals);
            Ok(())
        });
        out
    }
}

/// `out[b, :] += scale[b] · rows[b, :]`; a zero scale adds nothing even where the row is not finite.
fn add_scaled_rows<E: Element>(out: &mut [E], scale: &[E], rows: &[E], d: usize) {
    for ((out, row), s) in out.chunks_exact_mut(d).zip(rows.chunks_exact(d)).zip(scale) {
        if *s != E::zero() {
            add_product(out, (Some(&[*s]), Some(row)));
        }
    }
}
