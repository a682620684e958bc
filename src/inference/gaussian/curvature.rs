//! A dense Gaussian from a mean-field one and the curvature of the density under it.
//!
//! The best full-covariance Gaussian satisfies `Σ⁻¹ = E_q[−∇² log p]` [opper2009, eq. 7]. One
//! evaluation of the right-hand side under the mean-field fit gives the correlations that fit lacks.

use faer::{Mat, Side};

use crate::density::{LogDensity, Residuals};
use crate::inference::affine::Coordinates;
use crate::random::{fill_std_normal, stream};

/// Draws over which the curvature is averaged.
const DRAWS: usize = 16;
/// Least curvature of a direction in which the halves of the draws do not agree, relative to the
/// mean-field precision: such a direction is not taken to be more than seven times as wide as
/// mean-field says, and none to be a minimum.
const FLOOR: f64 = 0.02;
/// Factor within which the halves agree.
const AGREE: f64 = 2.0;

/// Eigenvectors of `E_q[−∇² log p]` in units of the standard deviations of `q`, and the standard
/// deviations along them that the curvature implies.
pub(super) struct Principal {
    /// Columns, `[D, D]`.
    pub(super) vectors: Mat<f64>,
    pub(super) widths: Vec<f64>,
}

/// That of the diagonal Gaussian `q`; `None` when the curvature is not finite.
///
/// Costs `16 D` Hessian-vector products and an eigendecomposition, so it is for moderate `D`.
pub(super) fn principal(
    density: &dyn LogDensity<f64>,
    mean: &[f64],
    sd: &[f64],
    seed: u64,
) -> Option<Principal> {
    let d = mean.len();
    let mut rng = stream(seed, "curvature");
    let mut xi = vec![0.0; DRAWS / 2 * d];
    fill_std_normal(&mut rng, &mut xi);
    // In units of σ; row i of the products is the Hessian times the i-th scaled unit vector.
    let mut directions = vec![0.0; d * d];
    (0..d).for_each(|i| directions[i * d + i] = sd[i]);
    let mut halves = [vec![0.0; d * d], vec![0.0; d * d]];
    let mut score = vec![0.0; d * d];
    let (mut residuals, mut products) = (Residuals::default(), vec![0.0; d * d]);
    for (i, sign) in (0..DRAWS).map(|m| (m / 2, if m % 2 == 0 { 1.0 } else { -1.0 })) {
        let z: Vec<f64> = (0..d).map(|j| mean[j] + sign * sd[j] * xi[i * d + j]).collect();
        density.score_keep(&z.repeat(d), &mut score, &mut residuals);
        density.hvp(&residuals, &directions, &mut products);
        let half = &mut halves[2 * i / (DRAWS / 2)];
        for (k, (c, h)) in half.iter_mut().zip(&products).enumerate() {
            *c -= 2.0 * h * sd[k % d] / DRAWS as f64;
        }
    }
    if halves.iter().flatten().any(|c| !c.is_finite()) {
        return None;
    }
    let [a, b] = halves.map(|h| Mat::from_fn(d, d, |i, j| 0.5 * (h[i * d + j] + h[j * d + i])));
    let both = Mat::from_fn(d, d, |i, j| 0.5 * (a[(i, j)] + b[(i, j)]));
    let eigen = both.self_adjoint_eigen(Side::Lower).ok()?;
    let (vectors, values) = (eigen.U().to_owned(), eigen.S());
    let along = |m: &Mat<f64>| m * &vectors;
    let (a, b) = (along(&a), along(&b));
    let width = |k: usize| {
        let of = |m: &Mat<f64>| (0..d).map(|i| vectors[(i, k)] * m[(i, k)]).sum::<f64>();
        let (a, b) = (of(&a), of(&b));
        let agree = a > 0.0 && b > 0.0 && a <= AGREE * b && b <= AGREE * a;
        let least = if agree { f64::MIN_POSITIVE } else { FLOOR };
        values[k].max(least).sqrt().recip()
    };
    let widths = (0..d).map(width).collect();
    Some(Principal { vectors, widths })
}

/// Coordinates in which the Gaussian with mean `μ` and precision `E_q[−∇² log p]` is standard normal;
/// `None` when the curvature is not finite.
#[must_use]
pub fn correlated(
    density: &dyn LogDensity<f64>,
    mean: &[f64],
    sd: &[f64],
    seed: u64,
) -> Option<Coordinates> {
    let d = mean.len();
    let Principal { vectors, widths } = principal(density, mean, sd, seed)?;
    let mut mix = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..d {
            mix[i * d + j] = (0..d).map(|k| vectors[(i, k)] * widths[k] * vectors[(j, k)]).sum();
        }
    }
    let log_det = widths.iter().map(|w| w.ln()).sum();
    Some(Coordinates { shift: mean.to_vec(), scale: sd.to_vec(), mix: Some((mix, log_det)) })
}
