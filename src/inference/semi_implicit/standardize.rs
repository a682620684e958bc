//! A first Gaussian fit to the posterior, and the coordinates in which it is standard normal.
//!
//! The fit is batch-and-match (see [`batch_and_match`]) where all covariances are wanted, else the start of
//! mean-field. It only has to be roughly right: the method that works in the standardised coordinates does
//! the rest.

use crate::density::LogDensity;
use crate::inference::affine::Coordinates;
use crate::inference::gaussian::{FULL_DIM, batch_and_match, mean_field_start};
use crate::inference::start::Gaussian;
use crate::inference::{Deadline, InferenceError};
use crate::random::Stream;

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

impl Standardize {
    /// Whether a fit in `dim` dimensions has correlations.
    fn correlated(self, dim: usize) -> bool {
        match self {
            Standardize::Auto => dim <= FULL_DIM,
            Standardize::Full => true,
            Standardize::Diagonal | Standardize::None => false,
        }
    }

    /// The coordinates in which a Gaussian is standard normal, with its correlations where they are wanted and
    /// known.
    pub(super) fn coordinates(self, start: &Gaussian) -> Coordinates {
        let d = start.mean.len();
        if self == Standardize::None {
            return Coordinates::identity(d);
        }
        let shift = start.mean.clone();
        match &start.factor {
            Some(l) if self.correlated(d) => {
                let transposed =
                    (0..d * d).map(|k| if k / d <= k % d { l[k % d * d + k / d] } else { 0.0 });
                let log_det = (0..d).map(|i| l[i * d + i].ln()).sum();
                let mix = Some((transposed.collect(), log_det));
                Coordinates { shift, scale: vec![1.0; d], mix }
            }
            _ => Coordinates { shift, scale: start.sd.clone(), mix: None },
        }
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
) -> Result<Gaussian, InferenceError> {
    let d = density.dim();
    if kind == Standardize::None {
        return Ok(Gaussian { mean: vec![0.0; d], sd: vec![1.0; d], factor: None });
    }
    if kind.correlated(d) {
        batch_and_match(density, deadline, rng)
    } else {
        mean_field_start(density, deadline, rng)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::density::Residuals;
    use crate::inference::affine::Affine;

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
        let far: Arc<dyn LogDensity<f64>> = Arc::new(Far);
        let seen = Affine::new(&far, &Standardize::Auto.coordinates(&fit));
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
