//! A first Gaussian fit to the posterior, and the posterior seen through it.
//!
//! The fit is batch-and-match (see [`batch_and_match`]) where all covariances are wanted, else the start of
//! mean-field. It only has to be roughly right: the method that works in the standardised coordinates does
//! the rest.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::density::{LogDensity, Part, Residuals, Scalars};
use crate::inference::gaussian::{FULL_DIM, batch_and_match, mean_field_start};
use crate::inference::start::Gaussian;
use crate::inference::{Deadline, InferenceError};
use crate::random::Stream;
use crate::real::Real;

/// `x = mean + L u`, `L` lower triangular or diagonal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Affine {
    pub(super) mean: Vec<f64>,
    pub(super) scale: Scale,
}

/// The matrix `L`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Scale {
    /// Its diagonal.
    Diagonal(Vec<f64>),
    /// All of it, `[D, D]` row-major, zero above the diagonal.
    Lower(Vec<f64>),
}

/// What the standardising fit may look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standardize {
    /// Full covariance up to [`FULL_DIM`] dimensions, diagonal beyond.
    Auto,
    /// Full covariance.
    Full,
    /// Diagonal covariance.
    Diagonal,
    /// Work in the model's own coordinates.
    None,
}

impl std::str::FromStr for Standardize {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Standardize::Auto),
            "full" => Ok(Standardize::Full),
            "diagonal" => Ok(Standardize::Diagonal),
            "none" => Ok(Standardize::None),
            _ => Err(()),
        }
    }
}

impl Affine {
    /// `x = u`.
    pub(super) fn identity(dim: usize) -> Affine {
        Affine { mean: vec![0.0; dim], scale: Scale::Diagonal(vec![1.0; dim]) }
    }

    /// The coordinates of a Gaussian, with its correlations where they are wanted and known.
    pub(super) fn of(start: &Gaussian, kind: Standardize) -> Affine {
        let dim = start.mean.len();
        let full = match kind {
            Standardize::None => return Affine::identity(dim),
            Standardize::Auto => dim <= FULL_DIM,
            Standardize::Full => true,
            Standardize::Diagonal => false,
        };
        let scale = match &start.factor {
            Some(factor) if full => Scale::Lower(factor.clone()),
            _ => Scale::Diagonal(start.sd.clone()),
        };
        Affine { mean: start.mean.clone(), scale }
    }

    pub(super) fn dim(&self) -> usize {
        self.mean.len()
    }

    fn log_det(&self) -> f64 {
        let d = self.mean.len();
        match &self.scale {
            Scale::Diagonal(s) => s.iter().map(|s| s.ln()).sum(),
            Scale::Lower(l) => (0..d).map(|i| l[i * d + i].ln()).sum(),
        }
    }

    /// `out_b = L u_b`.
    fn multiply<E: Real>(&self, u: &[E], out: &mut [E]) {
        let d = self.mean.len();
        for (u, out) in u.chunks_exact(d).zip(out.chunks_exact_mut(d)) {
            match &self.scale {
                Scale::Diagonal(s) => {
                    for ((o, u), s) in out.iter_mut().zip(u).zip(s) {
                        *o = *u * E::of(*s);
                    }
                }
                Scale::Lower(l) => {
                    for (i, o) in out.iter_mut().enumerate() {
                        let row = &l[i * d..=i * d + i];
                        *o = row.iter().zip(u).map(|(l, u)| E::of(*l) * *u).sum();
                    }
                }
            }
        }
    }

    /// `v_b ← Lᵀ v_b`, in place: entry `i` needs entries `i` and later only.
    fn multiply_transposed<E: Real>(&self, v: &mut [E]) {
        let d = self.mean.len();
        for v in v.chunks_exact_mut(d) {
            match &self.scale {
                Scale::Diagonal(s) => {
                    for (v, s) in v.iter_mut().zip(s) {
                        *v *= E::of(*s);
                    }
                }
                Scale::Lower(l) => {
                    for i in 0..d {
                        let x = v[i];
                        v[i] = E::zero();
                        for (k, l) in l[i * d..=i * d + i].iter().enumerate() {
                            v[k] += E::of(*l) * x;
                        }
                    }
                }
            }
        }
    }

    /// The points `x_b` of `u_b`.
    pub(super) fn points<E: Real>(&self, u: &[E]) -> Vec<E> {
        let d = self.mean.len();
        let mut x = vec![E::zero(); u.len()];
        self.multiply(u, &mut x);
        for x in x.chunks_exact_mut(d) {
            for (x, m) in x.iter_mut().zip(&self.mean) {
                *x += E::of(*m);
            }
        }
        x
    }
}

/// The density of `u` where `x = mean + L u` has the density `inner`.
pub(super) struct Standardized<E> {
    inner: Arc<dyn LogDensity<E>>,
    affine: Affine,
    log_det: E,
}

impl<E: Real> Standardized<E> {
    pub(super) fn new(inner: &Arc<dyn LogDensity<E>>, affine: &Affine) -> Self {
        Standardized {
            inner: Arc::clone(inner),
            affine: affine.clone(),
            log_det: E::of(affine.log_det()),
        }
    }

    /// The density of `x`.
    pub(super) fn inner(&self) -> &dyn LogDensity<E> {
        &*self.inner
    }

    /// `log |det L|`, which the density of `u` has more than that of `x`.
    pub(super) fn log_det(&self) -> E {
        self.log_det
    }
}

impl<E: Real> LogDensity<E> for Standardized<E> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn log_density(&self, u: &[E], log_p: &mut [E]) {
        self.inner.log_density(&self.affine.points(u), log_p);
        log_p.iter_mut().for_each(|l| *l += self.log_det);
    }

    fn score(&self, u: &[E], log_p: &mut [E], score: &mut [E]) {
        self.inner.score(&self.affine.points(u), log_p, score);
        log_p.iter_mut().for_each(|l| *l += self.log_det);
        self.affine.multiply_transposed(score);
    }

    fn score_keep(&self, u: &[E], score: &mut [E], keep: &mut Residuals<E>) {
        self.inner.score_keep(&self.affine.points(u), score, keep);
        self.affine.multiply_transposed(score);
    }

    fn hvp(&self, residuals: &Residuals<E>, v: &[E], out: &mut [E]) {
        let mut moved = vec![E::zero(); v.len()];
        self.affine.multiply(v, &mut moved);
        self.inner.hvp(residuals, &moved, out);
        self.affine.multiply_transposed(out);
    }

    fn see(&self, part: Part<'_>) {
        self.inner.see(part);
    }

    fn estimate(&self) -> Option<String> {
        self.inner.estimate()
    }

    fn parameters(&self, u: &[E]) -> Scalars {
        self.inner.parameters(&self.affine.points(u))
    }

    fn explain_non_finite(&self, u: &[E]) -> Option<String> {
        self.inner.explain_non_finite(&self.affine.points(u))
    }
}

/// Fits a Gaussian to `density`, as far as it comes before the deadline.
///
/// # Errors
/// As [`batch_and_match`] and [`mean_field_start`].
pub(super) fn fit_gaussian(
    density: &dyn LogDensity<f64>,
    kind: Standardize,
    deadline: &Deadline,
    rng: &mut Stream,
) -> Result<Affine, InferenceError> {
    let d = density.dim();
    let full = match kind {
        Standardize::None => return Ok(Affine::identity(d)),
        Standardize::Auto => d <= FULL_DIM,
        Standardize::Full => true,
        Standardize::Diagonal => false,
    };
    let fit = if full {
        batch_and_match(density, deadline, rng)
    } else {
        mean_field_start(density, deadline, rng)
    };
    Ok(Affine::of(&fit?, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Gaussian with correlated coordinates far from the origin.
    struct Far;

    const MEAN: [f64; 2] = [300.0, -0.02];
    // Precision of covariance [[25, 0.04], [0.04, 0.0001]].
    const PRECISION: [f64; 3] = [1.0 / 9.0, -400.0 / 9.0, 250_000.0 / 9.0];

    impl LogDensity<f64> for Far {
        fn dim(&self) -> usize {
            2
        }
        fn log_density(&self, z: &[f64], log_p: &mut [f64]) {
            for (z, l) in z.chunks_exact(2).zip(log_p) {
                let (a, b) = (z[0] - MEAN[0], z[1] - MEAN[1]);
                *l = -0.5
                    * (PRECISION[0] * a * a + 2.0 * PRECISION[1] * a * b + PRECISION[2] * b * b);
            }
        }
        fn score(&self, z: &[f64], log_p: &mut [f64], score: &mut [f64]) {
            self.log_density(z, log_p);
            for (z, g) in z.chunks_exact(2).zip(score.chunks_exact_mut(2)) {
                let (a, b) = (z[0] - MEAN[0], z[1] - MEAN[1]);
                g[0] = -PRECISION[0] * a - PRECISION[1] * b;
                g[1] = -PRECISION[1] * a - PRECISION[2] * b;
            }
        }
        fn hvp(&self, _: &Residuals<f64>, v: &[f64], out: &mut [f64]) {
            for (v, o) in v.chunks_exact(2).zip(out.chunks_exact_mut(2)) {
                o[0] = -PRECISION[0] * v[0] - PRECISION[1] * v[1];
                o[1] = -PRECISION[1] * v[0] - PRECISION[2] * v[1];
            }
        }
    }

    #[test]
    fn through_its_own_fit_a_gaussian_is_standard_normal() {
        let mut rng = crate::random::stream(1, "standardize test");
        let fit = fit_gaussian(&Far, Standardize::Auto, &Deadline::never(), &mut rng).unwrap();
        // Through it, the density is the standard normal.
        let seen = Standardized::new(&(Arc::new(Far) as Arc<dyn LogDensity<f64>>), &fit);
        let u = [0.3, -1.1, 2.0, 0.4];
        let (mut log_p, mut score) = ([0.0; 2], [0.0; 4]);
        let mut keep = Residuals::default();
        seen.log_density(&u, &mut log_p);
        seen.score_keep(&u, &mut score, &mut keep);
        let mut hvp = [0.0; 4];
        seen.hvp(&keep, &[1.0, 2.0, -1.0, 0.5], &mut hvp);
        for (k, v) in [1.0, 2.0, -1.0, 0.5].iter().enumerate() {
            assert!(
                (score[k] + u[k]).abs() < 1e-2 && (hvp[k] + v).abs() < 1e-2,
                "{score:?} {hvp:?}"
            );
        }
        let log_det = 0.5 * (25e-4_f64 - 0.0016).ln();
        assert!((log_p[0] - (-0.5 * (0.09 + 1.21) + log_det)).abs() < 1e-2, "{log_p:?}");
    }
}
