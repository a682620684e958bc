//! A [`LogDensity`] as operations on dfdx's tape: log density, score, or both from one evaluation.
//!
//! The backward pass of the log density is the score, that of the score the Hessian-vector product;
//! what the density kept for it forward ([`Residuals`]) goes back into a pool afterwards, so that
//! training allocates nothing after its first iteration.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use dfdx::prelude::{HasShape, PutTape, ReshapeTo, SplitTape, Tape};

use super::tape::{Element, Matrix, Vector, contents, tensor};
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
        let d = self.dim();
        let finite = |row: &[E]| row.iter().all(|x| x.is_finite());
        let mut rows = z.chunks_exact(d).zip(log_p).zip(score.chunks_exact(d));
        let broken = rows.find(|((z, l), s)| !(l.is_finite() && finite(s)) && finite(z));
        if let Some(((z, _), _)) = broken {
            self.broken.borrow_mut().get_or_insert_with(|| z.to_vec());
        }
    }

    /// `log p` at each row of `z: [B, D]`; its gradient is the score, and there is no second one.
    #[must_use]
    pub fn log_density(&self, z: Matrix<E>) -> Vector<E> {
        let (b, d) = *z.shape();
        let (z, mut tape) = z.contiguous().split_tape();
        let (mut log_p, mut score) = (vec![E::zero(); b], vec![E::zero(); b * d]);
        let at = contents(&z);
        self.density.score(&at, &mut log_p, &mut score);
        self.notice(&at, &log_p, &score);
        let out = tensor(&log_p, (b,));
        let (z_ghost, out_ghost) = (z.ghost(), out.ghost());
        tape.add_backward_op(move |grads| {
            grads.try_alloc_for(&z_ghost)?;
            // The cotangent is moved out for a moment so that both buffers can be borrowed.
            let upstream = std::mem::take(&mut **grads.get_or_alloc_mut(&out_ghost)?);
            let down: &mut [E] = grads.get_or_alloc_mut(&z_ghost)?;
            add_scaled_rows(down, &upstream, &score, d);
            **grads.get_or_alloc_mut(&out_ghost)? = upstream;
            Ok(())
        });
        out.put_tape(tape)
    }

    /// `∇ log p` at each row of `z: [B, D]`, as `[B, D]`; differentiable by Hessian-vector products.
    #[must_use]
    pub fn score(&self, z: Matrix<E>) -> Matrix<E> {
        self.log_density_and_score(z).1
    }

    /// `log p: [B]` and `∇ log p: [B, D]` at each row of `z: [B, D]` from one evaluation, both
    /// differentiable.
    #[must_use]
    pub fn log_density_and_score(&self, z: Matrix<E>) -> (Vector<E>, Matrix<E>) {
        let (b, d) = *z.shape();
        let (z, mut tape) = z.contiguous().split_tape();
        let (mut log_p, mut score) = (vec![E::zero(); b], vec![E::zero(); b * d]);
        let mut residuals = self.pool.borrow_mut().pop().unwrap_or_default();
        let at = contents(&z);
        self.density.score_keep(&at, &mut log_p, &mut score, &mut residuals);
        self.notice(&at, &log_p, &score);
        let log_p = tensor(&log_p, (b,));
        let kept_score = score;
        let score = tensor(&kept_score, (b, d));
        let (z_ghost, log_p_ghost, score_ghost) = (z.ghost(), log_p.ghost(), score.ghost());
        let (density, pool) = (Arc::clone(&self.density), Rc::clone(&self.pool));
        tape.add_backward_op(move |grads| {
            grads.try_alloc_for(&z_ghost)?;
            let up_log_p = std::mem::take(&mut **grads.get_or_alloc_mut(&log_p_ghost)?);
            let up_score = std::mem::take(&mut **grads.get_or_alloc_mut(&score_ghost)?);
            let down: &mut [E] = grads.get_or_alloc_mut(&z_ghost)?;
            add_scaled_rows(down, &up_log_p, &kept_score, d);
            if up_score.iter().any(|g| *g != E::zero()) {
                let mut product = kept_score;
                density.hvp(&residuals, &up_score, &mut product);
                for (down, h) in down.iter_mut().zip(&product) {
                    *down += *h;
                }
            }
            **grads.get_or_alloc_mut(&log_p_ghost)? = up_log_p;
            **grads.get_or_alloc_mut(&score_ghost)? = up_score;
            pool.borrow_mut().push(residuals);
            Ok(())
        });
        (log_p.put_tape(tape.clone()), score.put_tape(tape))
    }
}

/// `out[b, :] += scale[b] · rows[b, :]`; a zero scale adds nothing even where the row is not finite.
fn add_scaled_rows<E: Element>(out: &mut [E], scale: &[E], rows: &[E], d: usize) {
    for ((out, row), s) in out.chunks_exact_mut(d).zip(rows.chunks_exact(d)).zip(scale) {
        if *s != E::zero() {
            for (out, x) in out.iter_mut().zip(row) {
                *out += *s * *x;
            }
        }
    }
}
