//! A [`LogDensity`] as operations on dfdx's tape: log density, score, or both from one evaluation.
//!
//! The backward pass of the log density is the score, that of the score the Hessian-vector product;
//! what the density kept for it forward ([`Residuals`]) goes back into a pool afterwards, so that
//! training allocates nothing after its first iteration.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use dfdx::prelude::{HasShape, ReshapeTo};

use super::node::Node;
use super::tape::{Element, Matrix, Pooled, Vector};
use super::vector::{add_product, all_finite};
use crate::density::{LogDensity, Residuals};

/// A density that can be used in dfdx computations.
pub struct Bridge<E: Element> {
    density: Arc<dyn LogDensity<E>>,
    pool: Rc<RefCell<Vec<Residuals<E>>>>,
    /// The first finite point since the last question at which something was not finite.
    broken: RefCell<Option<Vec<E>>>,
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
        Bridge { density: Arc::clone(density), pool: Rc::default(), broken: RefCell::default() }
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

    /// The first finite point since the last call at which the log density or its score was not finite.
    #[must_use]
    pub fn non_finite_point(&self) -> Option<Vec<E>> {
        self.broken.take()
    }

    fn notice(&self, z: &[E], log_p: &[E], score: &[E]) {
        if all_finite(log_p) && all_finite(score) {
            return;
        }
        let d = self.dim();
        let mut rows = z.chunks_exact(d).zip(log_p).zip(score.chunks_exact(d));
        let broken = rows.find(|((z, l), s)| !(l.is_finite() && all_finite(s)) && all_finite(z));
        if let Some(((z, _), _)) = broken {
            self.broken.borrow_mut().get_or_insert_with(|| z.to_vec());
        }
    }

    /// `log p` at each row of `z: [B, D]`; its gradient is the score, and there is no second one.
    #[must_use]
    pub fn log_density(&self, z: Matrix<E>) -> Vector<E> {
        let b = z.shape().0;
        self.log_density_at(&Node::of(z)).tensor().reshape_like(&(b,))
    }

    /// `∇ log p` at each row of `z: [B, D]`, as `[B, D]`; differentiable by Hessian-vector products.
    #[must_use]
    pub fn score(&self, z: Matrix<E>) -> Matrix<E> {
        self.log_density_and_score(&Node::of(z)).1.tensor()
    }

    /// `log p: [B, 1]` at each row of `z: [B, D]`, like [`log_density`](Self::log_density).
    #[must_use]
    pub fn log_density_at(&self, z: &Node<E>) -> Node<E> {
        let (b, d) = z.shape();
        let (mut log_p, mut score) = (Pooled::new(b), Pooled::new(b * d));
        self.density.score(z.numbers(), &mut log_p, &mut score);
        self.notice(z.numbers(), &log_p, &score);
        let out = Node::computed(log_p, (b, 1), [z]);
        let z = z.operand();
        out.record(move |_, up| {
            z.receive(|down| add_scaled_rows(down, &up, &score, d));
            Ok(())
        });
        out
    }

    /// `log p: [B, 1]` and `∇ log p: [B, D]` at each row of `z: [B, D]` from one evaluation, both
    /// differentiable.
    #[must_use]
    pub fn log_density_and_score(&self, z: &Node<E>) -> (Node<E>, Node<E>) {
        let (b, d) = z.shape();
        let (mut log_p, mut score) = (Pooled::new(b), Pooled::new(b * d));
        let at = z.operand();
        let mut residuals = Residuals::default();
        if at.tracked() {
            residuals = self.pool.borrow_mut().pop().unwrap_or_default();
            self.density.score_keep(at.numbers(), &mut log_p, &mut score, &mut residuals);
        } else {
            self.density.score(at.numbers(), &mut log_p, &mut score);
        }
        self.notice(at.numbers(), &log_p, &score);
        let log_p = Node::computed(log_p, (b, 1), [z]);
        let score = Node::computed(score, (b, d), [z]);
        let kept_score = score.operand();
        let (density, pool) = (Arc::clone(&self.density), Rc::clone(&self.pool));
        log_p.record_both(&score, move |up_log_p, up_score| {
            if let Some(up) = up_log_p {
                at.receive(|down| add_scaled_rows(down, &up, kept_score.numbers(), d));
            }
            if let Some(up) = up_score {
                let mut product = Pooled::new(up.len());
                density.hvp(&residuals, &up, &mut product);
                at.give(product);
            }
            pool.borrow_mut().push(residuals);
        });
        (log_p, score)
    }
}

/// `out[b, :] += scale[b] · rows[b, :]`; a zero scale adds nothing even where the row is not finite.
fn add_scaled_rows<E: Element>(out: &mut [E], scale: &[E], rows: &[E], d: usize) {
    for ((out, row), s) in out.chunks_exact_mut(d).zip(rows.chunks_exact(d)).zip(scale) {
        if *s != E::zero() {
            add_product(out, d, Some(&[*s]), Some(row));
        }
    }
}
