//! Where methods start from: with `--init` the Gaussian of another method or an earlier run, else a random
//! point.

use faer::{Mat, Side};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::affine::Coordinates;
use super::{InferenceError, Monitor, Settings, Target, find};
use crate::density::LogDensity;
use crate::random::{Stream, fill_std_normal};

/// Dimension above which a covariance is not taken from draws.
const LARGEST: usize = 1000;

/// Mean and covariance of draws on the unconstrained space.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gaussian {
    /// The mean, `[D]`.
    pub mean: Vec<f64>,
    /// Standard deviations, `[D]`, positive.
    pub sd: Vec<f64>,
    /// Lower Cholesky factor of the covariance, `[D, D]` row-major; `None` where the draws do not
    /// determine it.
    pub factor: Option<Vec<f64>>,
}

impl Gaussian {
    /// That of draws `[S, D]`; `None` where a coordinate does not vary, or is not finite.
    #[must_use]
    pub fn of_draws(draws: &[f64], d: usize) -> Option<Self> {
        let n = draws.len() / d.max(1);
        if n < 2 {
            return None;
        }
        Self::of_weighted(draws, &vec![1.0 / n as f64; n], d)
    }

    /// That of draws `[S, D]` without correlations.
    pub(super) fn of_coordinates(draws: &[f64], d: usize) -> Option<Self> {
        let n = draws.len() / d.max(1);
        Self::diagonal(draws, &vec![1.0 / n as f64; n], d)
    }

    /// That of draws `[S, D]` under weights `[S]` that add up to 1.
    pub(super) fn of_weighted(draws: &[f64], weights: &[f64], d: usize) -> Option<Self> {
        let diagonal = Self::diagonal(draws, weights, d)?;
        let squares: f64 = weights.iter().map(|w| w * w).sum();
        // With hardly more draws than dimensions the correlations are noise.
        if squares.recip() <= 2.0 * d as f64 || d > LARGEST {
            return Some(diagonal);
        }
        let share = |i: usize| (weights[i] / (1.0 - squares)).sqrt();
        let off = |i: usize, j: usize| share(i) * (draws[i * d + j] - diagonal.mean[j]);
        let centred = Mat::from_fn(weights.len(), d, off);
        let factor = (centred.transpose() * &centred).llt(Side::Lower).ok().map(|llt| {
            let l = llt.L();
            let entry = |k: usize| if k % d <= k / d { l[(k / d, k % d)] } else { 0.0 };
            (0..d * d).map(entry).collect()
        });
        Some(Gaussian { factor, ..diagonal })
    }

    fn diagonal(draws: &[f64], weights: &[f64], d: usize) -> Option<Self> {
        let mut mean = vec![0.0; d];
        for (row, w) in draws.chunks_exact(d).zip(weights) {
            mean.iter_mut().zip(row).for_each(|(m, x)| *m += w * x);
        }
        let squares: f64 = weights.iter().map(|w| w * w).sum();
        let mut sd = vec![0.0; d];
        for (row, w) in draws.chunks_exact(d).zip(weights) {
            let off = row.iter().zip(&mean).map(|(x, m)| w * (x - m).powi(2) / (1.0 - squares));
            sd.iter_mut().zip(off).for_each(|(s, o)| *s += o);
        }
        sd.iter_mut().for_each(|s| *s = s.sqrt());
        let varies = sd.iter().all(|s| s.is_finite() && *s > 0.0);
        let finite = mean.iter().all(|m| m.is_finite());
        (finite && varies).then_some(Gaussian { mean, sd, factor: None })
    }

    /// Coordinates in which it is standard normal.
    #[must_use]
    pub fn coordinates(&self) -> Coordinates {
        let d = self.mean.len();
        let mix = self.factor.as_ref().and_then(|l| {
            // The symmetric root of the correlation matrix.
            let scaled = Mat::from_fn(d, d, |i, j| l[i * d + j] / self.sd[i]);
            let eigen = (&scaled * scaled.transpose()).self_adjoint_eigen(Side::Lower).ok()?;
            let (vectors, values) = (eigen.U(), eigen.S().column_vector());
            let widths: Vec<f64> = (0..d).map(|k| values[k].sqrt()).collect();
            if !widths.iter().all(|w| w.is_finite() && *w > 0.0) {
                return None;
            }
            let entry = |i: usize, j: usize| {
                (0..d).map(|k| vectors[(i, k)] * widths[k] * vectors[(j, k)]).sum()
            };
            let root: Vec<f64> = (0..d * d).map(|k| entry(k / d, k % d)).collect();
            Some((root, widths.iter().map(|w| w.ln()).sum()))
        });
        Coordinates { shift: self.mean.clone(), scale: self.sd.clone(), mix }
    }

    /// The point of standard normals `ξ: [D]`.
    #[must_use]
    pub fn point(&self, xi: &[f64]) -> Vec<f64> {
        let d = self.mean.len();
        (0..d)
            .map(|i| {
                let step: f64 = match &self.factor {
                    Some(l) => l[i * d..=i * d + i].iter().zip(xi).map(|(l, x)| l * x).sum(),
                    None => self.sd[i] * xi[i],
                };
                self.mean[i] + step
            })
            .collect()
    }
}

/// The Gaussian that the settings ask the method `name` to start from: one that is given, or that of
/// another method's draws, on a quarter of the time.
///
/// # Errors
/// When the method cannot start from itself, when the other one fails, or when its draws have no spread.
pub fn of_settings(
    name: &str,
    target: Target<'_>,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<Option<Gaussian>, InferenceError> {
    if let Some(start) = &settings.start {
        return Ok(Some(start.clone()));
    }
    let Some(init) = settings.init.as_deref() else { return Ok(None) };
    let method = find(init)
        .filter(|m| m.name != name)
        .ok_or_else(|| InferenceError::Setting(format!("{name} cannot start from `{init}`")))?;
    let inner = Settings {
        seed: settings.seed,
        threads: settings.threads,
        precision: settings.precision,
        deadline: settings.deadline.share(0.25),
        ..Settings::default()
    };
    let first = method.fit(target, &inner, monitor)?;
    let gaussian = Gaussian::of_draws(&first.draws, first.dim);
    gaussian.map(Some).ok_or_else(|| {
        InferenceError::Breakdown(format!("the draws of `{init}` do not span the space"))
    })
}

/// Points tried before giving up, as in Stan.
const TRIES: usize = 100;
/// Most steps away from an absurd start.
const STEPS: usize = 100;

/// A point, drawn from the given Gaussian or else from Uniform(−2, 2) in each coordinate, where density
/// and score are finite.
///
/// From some random points the density rises so much that a trajectory started there flies off to where
/// parameters are their bounds to the last bit, and does not come back: `exp` of a cubic polynomial may
/// be 1e20. So as long as a step of at most 1 in each coordinate up the gradient gains more nats than
/// draws lie below a mode, it is taken first; an ordinary start stays where it is.
///
/// # Errors
/// When the density is finite at none of the points tried.
pub(super) fn point(
    density: &dyn LogDensity<f64>,
    given: Option<&Gaussian>,
    rng: &mut Stream,
) -> Result<Vec<f64>, InferenceError> {
    let d = density.dim();
    let mut z = vec![0.0; d];
    for _ in 0..TRIES {
        if let Some(given) = given {
            fill_std_normal(rng, &mut z);
            z = given.point(&z);
        } else {
            z.fill_with(|| rng.gen_range(-2.0..2.0));
        }
        let Some(mut now) = Place::new(density, z.clone()) else { continue };
        for _ in 0..STEPS {
            match now.uphill(density) {
                Some(next) if next.log_p - now.log_p > 10.0 * (d as f64 + 100.0) => now = next,
                _ => break,
            }
        }
        return Ok(now.z);
    }
    Err(InferenceError::NonFinite { tried: TRIES, place: density.explain_non_finite(&z) })
}

/// A point with its log density and score, both finite.
struct Place {
    z: Vec<f64>,
    log_p: f64,
    score: Vec<f64>,
}

impl Place {
    fn new(density: &dyn LogDensity<f64>, z: Vec<f64>) -> Option<Self> {
        let (mut log_p, mut score) = ([0.0], vec![0.0; z.len()]);
        density.score(&z, &mut log_p, &mut score);
        let finite = log_p[0].is_finite() && score.iter().all(|g| g.is_finite());
        finite.then_some(Place { z, log_p: log_p[0], score })
    }

    /// The highest place along the gradient at distances of 1, 1/4, 1/16 … in the steepest coordinate.
    fn uphill(&self, density: &dyn LogDensity<f64>) -> Option<Self> {
        let steepest = self.score.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
        let at = |k: i32| {
            let step = 0.25_f64.powi(k) / steepest;
            let z = self.z.iter().zip(&self.score).map(|(z, g)| z + step * g).collect();
            Place::new(density, z)
        };
        (0..8).filter_map(at).max_by(|a, b| a.log_p.total_cmp(&b.log_p))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::Residuals;
    use crate::random::stream;

    #[test]
    fn mean_factor_and_coordinates_are_those_of_the_draws() {
        // x = (2 + 3a, −1 + a + 2b) for a, b with an exact identity covariance.
        let r = 1.5_f64.sqrt();
        let base = [[r, 0.0], [-r, 0.0], [0.0, r], [0.0, -r], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]];
        let scale = (6.0_f64 / 3.0).sqrt();
        let draws: Vec<f64> = base
            .iter()
            .flat_map(|[a, b]| {
                let (a, b) = (a * scale, b * scale);
                [2.0 + 3.0 * a, -1.0 + a + 2.0 * b]
            })
            .collect();
        let g = Gaussian::of_draws(&draws, 2).unwrap();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(g.mean[0], 2.0) && close(g.mean[1], -1.0), "{g:?}");
        let l = g.factor.clone().unwrap();
        assert!(close(l[0], 3.0) && close(l[2], 1.0) && close(l[3], 2.0), "{g:?}");
        let c = g.coordinates();
        let log_det = (l[0] * l[3]).ln();
        assert!(close(c.log_det(), log_det), "{} {log_det}", c.log_det());
        // (scale W)(scale W)ᵀ is the covariance.
        let (w, _) = c.mix.as_ref().unwrap();
        let s: f64 = (0..2).map(|k| c.scale[0] * w[k] * w[2 + k] * c.scale[1]).sum();
        assert!(close(s, 3.0), "{s}");
        assert_eq!(Gaussian::of_draws(&[1.0, 2.0, 1.0, 3.0], 2), None, "no spread");
    }

    /// log p(z) = −exp(a z) − z² / 2 in each coordinate.
    struct Wall(f64);

    impl LogDensity<f64> for Wall {
        fn dim(&self) -> usize {
            2
        }
        fn log_density(&self, z: &[f64], log_p: &mut [f64]) {
            self.score(z, log_p, &mut vec![0.0; z.len()]);
        }
        fn score(&self, z: &[f64], log_p: &mut [f64], score: &mut [f64]) {
            for (k, z) in z.chunks_exact(2).enumerate() {
                log_p[k] = z.iter().map(|z| -(self.0 * z).exp() - 0.5 * z * z).sum();
                for (g, z) in score[2 * k..].iter_mut().zip(z) {
                    *g = -self.0 * (self.0 * z).exp() - z;
                }
            }
        }
        fn hvp(&self, _: &Residuals<f64>, _: &[f64], _: &mut [f64]) {
            unreachable!("no start needs it")
        }
    }

    #[test]
    fn a_start_is_left_alone_unless_it_is_absurd() {
        for seed in 0..20 {
            let mut rng = stream(seed, "test");
            let drawn = [rng.gen_range(-2.0..2.0), rng.gen_range(-2.0..2.0)];
            let start = |a| point(&Wall(a), None, &mut stream(seed, "test")).unwrap();
            assert_eq!(start(1.0), drawn);
            // exp(40) is far more than any draw lies below a mode.
            let steep = start(20.0);
            let mut log_p = [0.0];
            Wall(20.0).log_density(&steep, &mut log_p);
            assert!(log_p[0] > -3000.0, "{drawn:?} to {steep:?}: {log_p:?}");
            assert!(steep.iter().all(|z| z.abs() < 20.0), "{drawn:?} to {steep:?}");
        }
    }
}
