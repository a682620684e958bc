//! A density seen through `z = shift + scale ∘ (x W)`: coordinates in which a known Gaussian is
//! standard normal.
//!
//! Methods that step in `x` are thereby preconditioned by that Gaussian (for Langevin methods: a mass
//! matrix, diagonal without `W`, dense with it), with their algorithms left as published.

use std::sync::Arc;

use super::vector::add_rows_times;
use crate::density::{LogDensity, Part, Residuals, Scalars};
use crate::exec::element::Element;

/// Where and how wide a Gaussian is: `z = shift + scale ∘ (x W)` for standard normal `x`.
#[derive(Debug, Clone, PartialEq)]
pub struct Coordinates {
    /// The mean, `[D]`.
    pub shift: Vec<f64>,
    /// Scales, `[D]`, positive.
    pub scale: Vec<f64>,
    /// Invertible `W: [D, D]` and its log |determinant|; without, the identity.
    pub mix: Option<(Vec<f64>, f64)>,
}

impl Coordinates {
    /// The coordinates that change nothing, in `D` dimensions.
    #[must_use]
    pub fn identity(d: usize) -> Self {
        Coordinates { shift: vec![0.0; d], scale: vec![1.0; d], mix: None }
    }

    /// `log |∂z/∂x|`.
    #[must_use]
    pub fn log_det(&self) -> f64 {
        self.scale.iter().map(|s| s.ln()).sum::<f64>() + self.mix.as_ref().map_or(0.0, |m| m.1)
    }
}

/// The density of `x` when `z = shift + scale ∘ (x W)` has density `inner`; log-determinant included.
#[derive(Clone)]
pub struct Affine<E: Element> {
    inner: Arc<dyn LogDensity<E>>,
    shift: Vec<E>,
    scale: Vec<E>,
    /// `W: [D, D]` and its transpose; the identity if there is none.
    mix: Option<[Vec<E>; 2]>,
    log_det: E,
}

impl<E: Element> std::fmt::Debug for Affine<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Affine(dim = {})", self.shift.len())
    }
}

impl<E: Element> Affine<E> {
    /// Sees `inner` through these coordinates.
    #[must_use]
    pub fn new(inner: &Arc<dyn LogDensity<E>>, coordinates: &Coordinates) -> Self {
        let of = |v: &[f64]| v.iter().map(|x| E::of(*x)).collect();
        let d = coordinates.shift.len();
        let transposed = |w: &[f64]| (0..d * d).map(|k| E::of(w[k % d * d + k / d])).collect();
        Affine {
            inner: Arc::clone(inner),
            shift: of(&coordinates.shift),
            scale: of(&coordinates.scale),
            mix: coordinates.mix.as_ref().map(|(w, _)| [of(w), transposed(w)]),
            log_det: E::of(coordinates.log_det()),
        }
    }

    /// `z` for each row of `x: [B, D]`.
    #[must_use]
    pub fn apply(&self, x: &[E]) -> Vec<E> {
        let mut z = self.direction(x);
        for row in z.chunks_exact_mut(self.shift.len()) {
            row.iter_mut().zip(&self.shift).for_each(|(z, shift)| *z += *shift);
        }
        z
    }

    /// `scale ∘ (v W)` for each row of `v: [B, D]`.
    fn direction(&self, v: &[E]) -> Vec<E> {
        let mut out = match &self.mix {
            None => v.to_vec(),
            Some([w, _]) => product(v, w, self.scale.len()),
        };
        self.scale_rows(&mut out);
        out
    }

    /// The transpose of [`direction`](Self::direction), in place: `(scale ∘ g) Wᵀ`.
    fn pull_back(&self, g: &mut [E]) {
        self.scale_rows(g);
        if let Some([_, transposed]) = &self.mix {
            g.copy_from_slice(&product(g, transposed, self.scale.len()));
        }
    }

    fn scale_rows(&self, rows: &mut [E]) {
        for row in rows.chunks_exact_mut(self.scale.len()) {
            row.iter_mut().zip(&self.scale).for_each(|(x, s)| *x *= *s);
        }
    }
}

/// Each row times the matrix.
fn product<E: Element>(rows: &[E], matrix: &[E], d: usize) -> Vec<E> {
    let mut out = vec![E::zero(); rows.len()];
    add_rows_times(&mut out, rows, matrix, d);
    out
}

impl<E: Element> LogDensity<E> for Affine<E> {
    fn dim(&self) -> usize {
        self.shift.len()
    }

    fn log_density(&self, x: &[E], log_p: &mut [E]) {
        self.inner.log_density(&self.apply(x), log_p);
        log_p.iter_mut().for_each(|l| *l += self.log_det);
    }

    fn score(&self, x: &[E], log_p: &mut [E], score: &mut [E]) {
        self.inner.score(&self.apply(x), log_p, score);
        self.pull_back(score);
        log_p.iter_mut().for_each(|l| *l += self.log_det);
    }

    fn score_keep(&self, x: &[E], score: &mut [E], keep: &mut Residuals<E>) {
        self.inner.score_keep(&self.apply(x), score, keep);
        self.pull_back(score);
    }

    fn hvp(&self, residuals: &Residuals<E>, v: &[E], out: &mut [E]) {
        self.inner.hvp(residuals, &self.direction(v), out);
        self.pull_back(out);
    }

    fn see(&self, part: Part<'_>) {
        self.inner.see(part);
    }

    fn estimate(&self) -> Option<String> {
        self.inner.estimate()
    }

    fn parameters(&self, x: &[E]) -> Scalars {
        self.inner.parameters(&self.apply(x))
    }

    fn explain_non_finite(&self, x: &[E]) -> Option<String> {
        self.inner.explain_non_finite(&self.apply(x))
    }
}
