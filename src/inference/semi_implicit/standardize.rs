//! A first Gaussian fit to the posterior, and the posterior seen through it.
//!
//! The fit is batch-and-match [cai2024]: closed-form updates from draws and scores alone, which find
//! location and scale by themselves however far away they are. It only has to be roughly right: the
//! method that works in the standardised coordinates does the rest.

use std::sync::Arc;

use faer::{Mat, Side};
use serde::{Deserialize, Serialize};

use crate::density::{LogDensity, Part, Residuals};
use crate::inference::InferenceError;
use crate::inference::start::Gaussian;
use crate::random::{Stream, fill_std_normal};
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

/// Dimension up to which a full covariance is worth its `D²` multiplications a draw.
const FULL_DIM: usize = 150;
/// Updates of the fit once it has arrived, with steps that fall off.
const UPDATES: usize = 100;
/// Updates at most, those of the way there included.
const MOST_UPDATES: usize = 2000;
/// Mean score in units of the fit (per square root of the dimension) above which it is on its way.
const ARRIVED: f64 = 2.0;

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

    fn score_keep(&self, u: &[E], log_p: &mut [E], score: &mut [E], keep: &mut Residuals<E>) {
        self.inner.score_keep(&self.affine.points(u), log_p, score, keep);
        log_p.iter_mut().for_each(|l| *l += self.log_det);
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

    fn explain_non_finite(&self, u: &[E]) -> Option<String> {
        self.inner.explain_non_finite(&self.affine.points(u))
    }
}

/// Mean `[D]` and covariance (divided by the number of rows) of rows `[S, D]`.
struct Moments {
    mean: Vec<f64>,
    covariance: Mat<f64>,
}

impl Moments {
    fn of(rows: &[f64], dim: usize) -> Moments {
        let n = (rows.len() / dim) as f64;
        let mut mean = vec![0.0; dim];
        for row in rows.chunks_exact(dim) {
            for (m, x) in mean.iter_mut().zip(row) {
                *m += x / n;
            }
        }
        let centred = Mat::from_fn(rows.len() / dim, dim, |b, i| rows[b * dim + i] - mean[i]);
        let covariance = centred.transpose() * &centred * faer::Scale(1.0 / n);
        Moments { mean, covariance }
    }
}

/// The lower Cholesky factor, row-major; `None` where the matrix is not positive definite.
fn cholesky(matrix: &Mat<f64>) -> Option<Vec<f64>> {
    let d = matrix.nrows();
    let factor = matrix.llt(Side::Lower).ok()?;
    let l = factor.L();
    let lower: Vec<f64> =
        (0..d * d).map(|k| if k % d <= k / d { l[(k / d, k % d)] } else { 0.0 }).collect();
    lower.iter().all(|x| x.is_finite()).then_some(lower)
}

/// Fits a Gaussian to `density` by batch-and-match.
///
/// # Errors
/// [`InferenceError::NonFinite`] when no draw around the start has a finite score.
pub(super) fn fit_gaussian(
    density: &dyn LogDensity<f64>,
    kind: Standardize,
    rng: &mut Stream,
) -> Result<Affine, InferenceError> {
    let d = density.dim();
    let mut affine = start(density, rng)?;
    let full = match kind {
        Standardize::None => return Ok(Affine::identity(d)),
        Standardize::Auto => d <= FULL_DIM,
        Standardize::Full => true,
        Standardize::Diagonal => false,
    };
    let batch = if full { (2 * d + 16).min(256) } else { 64 };
    let mut u = vec![0.0; batch * d];
    let (mut log_p, mut score) = (vec![0.0; batch], vec![0.0; batch * d]);
    let (mut failures, mut arrived) = (0, 0);
    for _ in 0..MOST_UPDATES {
        if arrived >= UPDATES || failures >= UPDATES {
            break;
        }
        fill_std_normal(rng, &mut u);
        let x = affine.points(&u);
        density.score(&x, &mut log_p, &mut score);
        let (mut xs, mut gs) = (Vec::with_capacity(x.len()), Vec::with_capacity(x.len()));
        for (x, g) in x.chunks_exact(d).zip(score.chunks_exact(d)) {
            if g.iter().all(|g| g.is_finite()) {
                xs.extend_from_slice(x);
                gs.extend_from_slice(g);
            }
        }
        let step = ((batch * d) as f64).max(100.0) / (arrived + 1) as f64;
        let updated = if xs.len() > d { update(&affine, &xs, &gs, step, full) } else { None };
        match updated {
            Some(next) => {
                // Steps stay long until the fit is near: a short step moves by less than the fit's
                // own width, which may be far too small for the way still to go.
                let far = affine.drift(&gs) > ARRIVED * (d as f64).sqrt();
                arrived = if far { arrived } else { arrived + 1 };
                affine = next;
            }
            None => {
                // Too wide for this density: come closer to the centre, where it was finite.
                failures += 1;
                affine.shrink();
            }
        }
    }
    if failures >= UPDATES {
        return Err(InferenceError::NonFinite {
            tried: failures * batch,
            place: density.explain_non_finite(&affine.points(&u[..d])),
        });
    }
    Ok(affine)
}

impl Affine {
    /// `|Lᵀ ḡ|` for scores `g: [B, D]`: how many of its own widths the fit is pulled by.
    fn drift(&self, g: &[f64]) -> f64 {
        let d = self.mean.len();
        let mut mean = Moments::of(g, d).mean;
        self.multiply_transposed(&mut mean);
        mean.iter().map(|m| m * m).sum::<f64>().sqrt()
    }

    fn shrink(&mut self) {
        match &mut self.scale {
            Scale::Diagonal(s) | Scale::Lower(s) => s.iter_mut().for_each(|s| *s *= 0.5),
        }
    }

    fn covariance(&self) -> Mat<f64> {
        let d = self.mean.len();
        match &self.scale {
            Scale::Diagonal(s) => Mat::from_fn(d, d, |i, j| if i == j { s[i] * s[i] } else { 0.0 }),
            Scale::Lower(l) => {
                let l = Mat::from_fn(d, d, |i, j| l[i * d + j]);
                &l * l.transpose()
            }
        }
    }
}

/// A unit Gaussian around the origin, or around a point of Uniform(−2, 2) where the origin is bad.
fn start(density: &dyn LogDensity<f64>, rng: &mut Stream) -> Result<Affine, InferenceError> {
    use rand::Rng;
    const TRIES: usize = 100;
    let d = density.dim();
    let mut affine = Affine::identity(d);
    let (mut log_p, mut score) = ([0.0], vec![0.0; d]);
    for _ in 0..TRIES {
        density.score(&affine.mean, &mut log_p, &mut score);
        if log_p[0].is_finite() && score.iter().all(|g| g.is_finite()) {
            return Ok(affine);
        }
        affine.mean.fill_with(|| rng.gen_range(-2.0..2.0));
    }
    Err(InferenceError::NonFinite { tried: TRIES, place: density.explain_non_finite(&affine.mean) })
}

/// One batch-and-match update with step `λ` from draws `x` and their scores `g`, `[B, D]` each.
///
/// `U = λ G + λ/(1+λ) ḡḡᵀ` and `V = Σ + λ C + λ/(1+λ) (μ − x̄)(μ − x̄)ᵀ`, with `C` and `G` the
/// covariances of draws and scores; then `Σ' U Σ' + Σ' = V`. With `V = L Lᵀ` and the eigenvalues `e`
/// of the symmetric `Lᵀ U L`, `Σ' = L Q diag(2/(1 + √(1 + 4e))) Qᵀ Lᵀ`. The diagonal fit solves the
/// same equation for each coordinate alone.
///
/// # Reference
/// [cai2024, algorithm 1]
fn update(now: &Affine, x: &[f64], g: &[f64], step: f64, full: bool) -> Option<Affine> {
    let d = now.mean.len();
    let (draws, scores) = (Moments::of(x, d), Moments::of(g, d));
    let pull = step / (1.0 + step);
    let off: Vec<f64> = now.mean.iter().zip(&draws.mean).map(|(m, x)| m - x).collect();
    let u = Mat::from_fn(d, d, |i, j| {
        step * scores.covariance[(i, j)] + pull * scores.mean[i] * scores.mean[j]
    });
    let sigma = now.covariance();
    let v = Mat::from_fn(d, d, |i, j| {
        sigma[(i, j)] + step * draws.covariance[(i, j)] + pull * off[i] * off[j]
    });
    let shape = |e: f64| 2.0 / (1.0 + (1.0 + 4.0 * e.max(0.0)).sqrt());
    let (sigma, scale) = if full {
        let l = cholesky(&v)?;
        let l = Mat::from_fn(d, d, |i, j| l[i * d + j]);
        let inner = l.transpose() * &u * &l;
        let eigen = inner.self_adjoint_eigen(Side::Lower).ok()?;
        let (q, e) = (eigen.U(), eigen.S());
        let half = &l * q;
        let half = Mat::from_fn(d, d, |i, j| half[(i, j)] * shape(e[j]).sqrt());
        let sigma = &half * half.transpose();
        let lower = cholesky(&sigma)?;
        (sigma, Scale::Lower(lower))
    } else {
        let variance: Vec<f64> = (0..d).map(|i| v[(i, i)] * shape(u[(i, i)] * v[(i, i)])).collect();
        let sigma = Mat::from_fn(d, d, |i, j| if i == j { variance[i] } else { 0.0 });
        (sigma, Scale::Diagonal(variance.iter().map(|v| v.sqrt()).collect()))
    };
    let mean: Vec<f64> = (0..d)
        .map(|i| {
            let towards: f64 = (0..d).map(|j| sigma[(i, j)] * scores.mean[j]).sum();
            now.mean[i] / (1.0 + step) + pull * (towards + draws.mean[i])
        })
        .collect();
    let finite = mean.iter().all(|m| m.is_finite())
        && match &scale {
            Scale::Diagonal(s) => s.iter().all(|s| s.is_finite() && *s > 0.0),
            Scale::Lower(_) => true,
        };
    finite.then_some(Affine { mean, scale })
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
    fn a_far_and_narrow_gaussian_is_found_exactly() {
        let mut rng = crate::random::stream(1, "standardize test");
        let fit = fit_gaussian(&Far, Standardize::Auto, &mut rng).unwrap();
        let sigma = fit.covariance();
        assert!((fit.mean[0] - 300.0).abs() < 1e-3 && (fit.mean[1] + 0.02).abs() < 1e-6, "{fit:?}");
        for (ij, want) in [((0, 0), 25.0), ((0, 1), 0.04), ((1, 1), 1e-4)] {
            assert!((sigma[ij] / want - 1.0).abs() < 1e-3, "{ij:?}: {}", sigma[ij]);
        }
        // Through it, the density is the standard normal.
        let seen = Standardized::new(&(Arc::new(Far) as Arc<dyn LogDensity<f64>>), &fit);
        let u = [0.3, -1.1, 2.0, 0.4];
        let (mut log_p, mut score) = ([0.0; 2], [0.0; 4]);
        let mut keep = Residuals::default();
        seen.score_keep(&u, &mut log_p, &mut score, &mut keep);
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

    #[test]
    fn the_diagonal_fit_finds_location_and_conditional_scale() {
        let mut rng = crate::random::stream(1, "standardize test");
        let fit = fit_gaussian(&Far, Standardize::Diagonal, &mut rng).unwrap();
        let Scale::Diagonal(sd) = &fit.scale else { panic!("{fit:?}") };
        assert!((fit.mean[0] - 300.0).abs() < 1.0, "{fit:?}");
        assert!(sd[0] > 2.0 && sd[0] < 6.0 && sd[1] > 0.004 && sd[1] < 0.012, "{fit:?}");
    }
}
