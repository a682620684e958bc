//! A density seen through `z = shift + scale ∘ x`: the coordinates in which a known Gaussian start is
//! standard normal.
//!
//! Methods that step in `x` are thereby preconditioned by the start's standard deviations (for
//! Langevin methods: a diagonal mass matrix), with their algorithms left as published.

use std::sync::Arc;

use crate::density::{LogDensity, Residuals};
use crate::real::Real;

/// The density of `x` when `z = shift + scale ∘ x` has density `inner`; log-determinant included.
#[derive(Clone)]
pub struct Affine<E: Real> {
    inner: Arc<dyn LogDensity<E>>,
    shift: Vec<E>,
    scale: Vec<E>,
    log_det: E,
}

impl<E: Real> std::fmt::Debug for Affine<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Affine(dim = {})", self.shift.len())
    }
}

impl<E: Real> Affine<E> {
    /// Sees `inner` through `z = shift + scale ∘ x`, all of length `D`, `scale` positive.
    #[must_use]
    pub fn new(inner: &Arc<dyn LogDensity<E>>, shift: &[f64], scale: &[f64]) -> Self {
        let of = |v: &[f64]| v.iter().map(|x| E::of(*x)).collect();
        Affine {
            inner: Arc::clone(inner),
            shift: of(shift),
            scale: of(scale),
            log_det: E::of(scale.iter().map(|s| s.ln()).sum()),
        }
    }

    /// `z` for each row of `x: [B, D]`.
    #[must_use]
    pub fn apply(&self, x: &[E]) -> Vec<E> {
        let mut z = x.to_vec();
        for row in z.chunks_exact_mut(self.shift.len()) {
            for ((z, shift), scale) in row.iter_mut().zip(&self.shift).zip(&self.scale) {
                *z = *shift + *scale * *z;
            }
        }
        z
    }

    fn scale_rows(&self, rows: &mut [E]) {
        for row in rows.chunks_exact_mut(self.scale.len()) {
            row.iter_mut().zip(&self.scale).for_each(|(x, s)| *x *= *s);
        }
    }
}

impl<E: Real> LogDensity<E> for Affine<E> {
    fn dim(&self) -> usize {
        self.shift.len()
    }

    fn log_density(&self, x: &[E], log_p: &mut [E]) {
        self.inner.log_density(&self.apply(x), log_p);
        log_p.iter_mut().for_each(|l| *l += self.log_det);
    }

    fn score(&self, x: &[E], log_p: &mut [E], score: &mut [E]) {
        self.inner.score(&self.apply(x), log_p, score);
        self.scale_rows(score);
        log_p.iter_mut().for_each(|l| *l += self.log_det);
    }

    fn score_keep(&self, x: &[E], log_p: &mut [E], score: &mut [E], keep: &mut Residuals<E>) {
        self.inner.score_keep(&self.apply(x), log_p, score, keep);
        self.scale_rows(score);
        log_p.iter_mut().for_each(|l| *l += self.log_det);
    }

    fn hvp(&self, residuals: &Residuals<E>, v: &[E], out: &mut [E]) {
        let mut scaled = v.to_vec();
        self.scale_rows(&mut scaled);
        self.inner.hvp(residuals, &scaled, out);
        self.scale_rows(out);
    }

    fn explain_non_finite(&self, x: &[E]) -> Option<String> {
        self.inner.explain_non_finite(&self.apply(x))
    }
}
