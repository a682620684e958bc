//! Densities that fits end with: drawn from, evaluated and differentiated anywhere.

use faer::Mat;
use faer::linalg::solvers::Qr;
use rand_distr::{ChiSquared, Distribution};

use crate::inference::start::Gaussian;
use crate::random::{Stream, fill_std_normal};

/// A distribution with a known density. Points are rows, `[n, D]` row-major.
pub(in crate::inference) trait Proposal {
    /// `n` draws.
    fn draw(&self, n: usize, rng: &mut Stream) -> Vec<f64>;

    /// Log density and score at each point.
    fn log_density(&self, points: &[f64]) -> (Vec<f64>, Vec<f64>);
}

/// `½ D log 2π`.
fn half_log_two_pi(d: usize) -> f64 {
    0.5 * d as f64 * (2.0 * std::f64::consts::PI).ln()
}

/// Standard normals, `[n, D]`.
fn normals(n: usize, d: usize, rng: &mut Stream) -> Vec<f64> {
    let mut xi = vec![0.0; n * d];
    fill_std_normal(rng, &mut xi);
    xi
}

impl Gaussian {
    /// That of `z = mean + A ξ` for standard normal `ξ: [k]`, with `A: [D, k]`.
    pub(super) fn of_map(mean: Vec<f64>, a: &Mat<f64>) -> Option<Gaussian> {
        let d = mean.len();
        // Aᵀ = Q R, so A Aᵀ = Rᵀ R: no squares that would cost half of the digits.
        let r = Qr::new(a.transpose()).thin_R().to_owned();
        let lower = |i: usize, j: usize| if j <= i { r[(j, i)] * r[(j, j)].signum() } else { 0.0 };
        let factor: Vec<f64> = (0..d * d).map(|k| lower(k / d, k % d)).collect();
        let sd: Vec<f64> = factor
            .chunks_exact(d)
            .map(|row| row.iter().map(|l| l * l).sum::<f64>().sqrt())
            .collect();
        let usable = |x: &f64| x.is_finite() && *x > 0.0;
        let definite = (0..d).all(|i| usable(&factor[i * d + i]));
        let finite = mean.iter().chain(&factor).all(|x| x.is_finite());
        (definite && finite).then_some(Gaussian { mean, sd, factor: Some(factor) })
    }

    /// `log |det L|` of the factor, or of the standard deviations.
    fn log_det(&self) -> f64 {
        let d = self.mean.len();
        match &self.factor {
            Some(l) => (0..d).map(|i| l[i * d + i].ln()).sum(),
            None => self.sd.iter().map(|s| s.ln()).sum(),
        }
    }

    /// `Lᵀ v`.
    pub(in crate::inference) fn pull_back(&self, v: &[f64]) -> Vec<f64> {
        let d = v.len();
        let Some(l) = &self.factor else {
            return v.iter().zip(&self.sd).map(|(v, s)| v * s).collect();
        };
        let mut pulled = vec![0.0; d];
        for (i, v) in v.iter().enumerate() {
            pulled[..=i].iter_mut().zip(&l[i * d..]).for_each(|(p, l)| *p += l * v);
        }
        pulled
    }

    /// `ξ = L⁻¹ (z − mean)` and `−Σ⁻¹ (z − mean)`.
    pub(in crate::inference) fn standardize(&self, z: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let d = self.mean.len();
        let mut xi: Vec<f64> = z.iter().zip(&self.mean).map(|(z, m)| z - m).collect();
        let Some(l) = &self.factor else {
            xi.iter_mut().zip(&self.sd).for_each(|(x, s)| *x /= s);
            let score = xi.iter().zip(&self.sd).map(|(x, s)| -x / s).collect();
            return (xi, score);
        };
        for i in 0..d {
            let known: f64 = l[i * d..][..i].iter().zip(&xi).map(|(l, x)| l * x).sum();
            xi[i] = (xi[i] - known) / l[i * d + i];
        }
        let mut score: Vec<f64> = xi.iter().map(|x| -x).collect();
        for i in (0..d).rev() {
            score[i] /= l[i * d + i];
            let solved = score[i];
            score[..i].iter_mut().zip(&l[i * d..]).for_each(|(s, l)| *s -= l * solved);
        }
        (xi, score)
    }
}

impl Proposal for Gaussian {
    fn draw(&self, n: usize, rng: &mut Stream) -> Vec<f64> {
        let d = self.mean.len();
        normals(n, d, rng).chunks_exact(d).flat_map(|xi| self.point(xi)).collect()
    }

    fn log_density(&self, points: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let d = self.mean.len();
        let constant = self.log_det() + half_log_two_pi(d);
        let (mut log_q, mut scores) = (Vec::new(), Vec::with_capacity(points.len()));
        for z in points.chunks_exact(d) {
            let (xi, score) = self.standardize(z);
            log_q.push(-0.5 * xi.iter().map(|x| x * x).sum::<f64>() - constant);
            scores.extend(score);
        }
        (log_q, scores)
    }
}

/// Student's t with mean and covariance of a Gaussian, for tails that no weight can be too large in.
pub(in crate::inference) struct Student {
    pub(in crate::inference) gaussian: Gaussian,
    /// `ν`, above 2.
    pub(in crate::inference) degrees: f64,
}

impl Student {
    /// What the scale is of the standard deviation.
    fn shrink(&self) -> f64 {
        ((self.degrees - 2.0) / self.degrees).sqrt()
    }
}

impl Proposal for Student {
    fn draw(&self, n: usize, rng: &mut Stream) -> Vec<f64> {
        let d = self.gaussian.mean.len();
        let mut xi = normals(n, d, rng);
        // The constructor's caller sees to it that there are degrees of freedom.
        if let Ok(squares) = ChiSquared::new(self.degrees) {
            for xi in xi.chunks_exact_mut(d) {
                let widen = self.shrink() / (squares.sample(rng) / self.degrees).sqrt();
                xi.iter_mut().for_each(|x| *x *= widen);
            }
        }
        xi.chunks_exact(d).flat_map(|xi| self.gaussian.point(xi)).collect()
    }

    fn log_density(&self, points: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (nu, shrink) = (self.degrees, self.shrink());
        let d = self.gaussian.mean.len();
        let half = 0.5 * (nu + d as f64);
        let constant = libm::lgamma(half)
            - libm::lgamma(0.5 * nu)
            - 0.5 * d as f64 * (nu * std::f64::consts::PI).ln()
            - self.gaussian.log_det()
            - d as f64 * shrink.ln();
        let (mut log_q, mut scores) = (Vec::new(), Vec::with_capacity(points.len()));
        for z in points.chunks_exact(d) {
            let (xi, score) = self.gaussian.standardize(z);
            let squares = xi.iter().map(|x| x * x).sum::<f64>() / (shrink * shrink);
            log_q.push(constant - half * (squares / nu).ln_1p());
            let pull = 2.0 * half / (nu + squares) / (shrink * shrink);
            scores.extend(score.iter().map(|s| s * pull));
        }
        (log_q, scores)
    }
}

/// A Gaussian whose covariance, in units of `width`, differs from the identity in a few directions:
/// `z = mean + width ∘ (I + Q (F − I) Qᵀ) ξ`.
#[derive(Debug, Clone)]
pub(super) struct LowRank {
    mean: Vec<f64>,
    width: Vec<f64>,
    /// `Q`: orthonormal columns, `[D, r]`.
    basis: Mat<f64>,
    /// `F`: lower triangular, `[r, r]`.
    factor: Mat<f64>,
    log_det: f64,
}

impl LowRank {
    /// `None` where something is not finite, or a width or an entry of the diagonal not positive.
    pub(super) fn new(
        mean: Vec<f64>,
        width: Vec<f64>,
        basis: Mat<f64>,
        factor: Mat<f64>,
    ) -> Option<LowRank> {
        let log_det = width.iter().map(|w| w.ln()).sum::<f64>()
            + (0..factor.nrows()).map(|i| factor[(i, i)].ln()).sum::<f64>();
        let usable = log_det.is_finite() && mean.iter().all(|m| m.is_finite());
        usable.then_some(LowRank { mean, width, basis, factor, log_det })
    }

    /// `(I + Q (M − I) Qᵀ) x`, with `middle` applying `M` in place.
    fn bend(&self, x: &[f64], middle: impl Fn(&mut [f64])) -> Vec<f64> {
        let r = self.basis.ncols();
        let along: Vec<f64> = (0..r)
            .map(|k| x.iter().enumerate().map(|(i, x)| self.basis[(i, k)] * x).sum())
            .collect();
        let mut bent = along.clone();
        middle(&mut bent);
        let off: Vec<f64> = bent.iter().zip(&along).map(|(b, a)| b - a).collect();
        let add =
            |i: usize| off.iter().enumerate().map(|(k, o)| self.basis[(i, k)] * o).sum::<f64>();
        x.iter().enumerate().map(|(i, x)| x + add(i)).collect()
    }

    /// `F x`.
    fn multiply(&self, x: &mut [f64]) {
        for i in (0..x.len()).rev() {
            x[i] = (0..=i).map(|k| self.factor[(i, k)] * x[k]).sum();
        }
    }

    /// `F⁻¹ x`.
    fn solve(&self, x: &mut [f64]) {
        for i in 0..x.len() {
            let known: f64 = (0..i).map(|k| self.factor[(i, k)] * x[k]).sum();
            x[i] = (x[i] - known) / self.factor[(i, i)];
        }
    }

    /// `F⁻ᵀ x`.
    fn solve_transposed(&self, x: &mut [f64]) {
        let r = x.len();
        for i in (0..r).rev() {
            let known: f64 = (i + 1..r).map(|k| self.factor[(k, i)] * x[k]).sum();
            x[i] = (x[i] - known) / self.factor[(i, i)];
        }
    }
}

impl Proposal for LowRank {
    fn draw(&self, n: usize, rng: &mut Stream) -> Vec<f64> {
        let d = self.mean.len();
        let mut out = normals(n, d, rng);
        for z in out.chunks_exact_mut(d) {
            let bent = self.bend(z, |x| self.multiply(x));
            for (i, z) in z.iter_mut().enumerate() {
                *z = self.mean[i] + self.width[i] * bent[i];
            }
        }
        out
    }

    fn log_density(&self, points: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let d = self.mean.len();
        let constant = self.log_det + half_log_two_pi(d);
        let (mut log_q, mut scores) = (Vec::new(), Vec::with_capacity(points.len()));
        for z in points.chunks_exact(d) {
            let off: Vec<f64> = (0..d).map(|i| (z[i] - self.mean[i]) / self.width[i]).collect();
            let xi = self.bend(&off, |x| self.solve(x));
            log_q.push(-0.5 * xi.iter().map(|x| x * x).sum::<f64>() - constant);
            let pull = self.bend(&xi, |x| self.solve_transposed(x));
            scores.extend(pull.iter().zip(&self.width).map(|(p, w)| -p / w));
        }
        (log_q, scores)
    }
}

/// An equal mixture. Draws are weighed by the density of all parts together, which varies less than
/// that of the part that a draw came from [owen2000, sec. 4].
pub(super) struct Mixture<P>(pub(super) Vec<P>);

impl<P: Proposal> Proposal for Mixture<P> {
    fn draw(&self, n: usize, rng: &mut Stream) -> Vec<f64> {
        let k = self.0.len();
        self.0.iter().enumerate().flat_map(|(i, p)| p.draw((n + k - 1 - i) / k, rng)).collect()
    }

    fn log_density(&self, points: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let parts: Vec<_> = self.0.iter().map(|p| p.log_density(points)).collect();
        let Some(n) = parts.first().map(|(l, _)| l.len()) else { return (Vec::new(), Vec::new()) };
        let d = points.len() / n.max(1);
        let mut log_q = Vec::with_capacity(n);
        let mut scores = vec![0.0; points.len()];
        for b in 0..n {
            let highest = parts.iter().map(|(l, _)| l[b]).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = parts.iter().map(|(l, _)| (l[b] - highest).exp()).sum();
            log_q.push(highest + (sum / parts.len() as f64).ln());
            for (l, s) in &parts {
                let share = (l[b] - highest).exp() / sum;
                let row = scores[b * d..][..d].iter_mut().zip(&s[b * d..]);
                row.for_each(|(out, s)| *out += share * s);
            }
        }
        (log_q, scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::stream;

    fn dense() -> Gaussian {
        let a = Mat::from_fn(3, 4, |i, j| ((i * 4 + j) as f64 * 1.3).sin() + f64::from(i == j));
        Gaussian::of_map(vec![1.0, -2.0, 0.5], &a).unwrap()
    }

    fn low_rank() -> LowRank {
        let v = Mat::from_fn(3, 2, |i, j| ((i + 2 * j) as f64).cos());
        let basis = Qr::new(v.as_ref()).compute_thin_Q();
        let factor = Mat::from_fn(2, 2, |i, j| [[2.0, 0.0], [0.7, 0.4]][i][j]);
        LowRank::new(vec![1.0, 0.0, -1.0], vec![0.5, 2.0, 1.0], basis, factor).unwrap()
    }

    /// Normalised (the mean density ratio to another proposal is 1), with the scores that differences
    /// give, and draws that have the density.
    fn is_consistent(p: &dyn Proposal, wide: &dyn Proposal) {
        let mut rng = stream(3, "proposal test");
        let z = wide.draw(40_000, &mut rng);
        let ((log_q, _), (log_w, _)) = (p.log_density(&z), wide.log_density(&z));
        let mass = log_q.iter().zip(&log_w).map(|(q, w)| (q - w).exp()).sum::<f64>() / 40_000.0;
        assert!((mass - 1.0).abs() < 0.05, "{mass}");
        // E_p[score] = 0 and E_p[zᵀ score] = −D for its own draws.
        let z = p.draw(40_000, &mut rng);
        let (_, s) = p.log_density(&z);
        let trace: f64 = z.iter().zip(&s).map(|(z, s)| z * s).sum::<f64>() / 40_000.0;
        assert!((trace + 3.0).abs() < 0.15, "{trace}");
        for j in 0..3 {
            let step = |h: f64| -> f64 {
                let mut moved = z[..3].to_vec();
                moved[j] += h;
                p.log_density(&moved).0[0]
            };
            let slope = (step(1e-5) - step(-1e-5)) / 2e-5;
            assert!((slope - s[j]).abs() < 1e-6 * (1.0 + slope.abs()), "{slope} {}", s[j]);
        }
    }

    #[test]
    fn draws_densities_and_scores_belong_together() {
        let mut wide = dense();
        wide.factor.as_mut().unwrap().iter_mut().for_each(|l| *l *= 2.0);
        let wide = Student { gaussian: wide, degrees: 5.0 };
        is_consistent(&dense(), &wide);
        is_consistent(&Student { gaussian: dense(), degrees: 10.0 }, &wide);
        let wide = Student {
            gaussian: Gaussian { mean: vec![0.0; 3], sd: vec![5.0; 3], factor: None },
            degrees: 5.0,
        };
        is_consistent(&low_rank(), &wide);
        is_consistent(&Mixture(vec![low_rank(), low_rank()]), &wide);
        let diagonal = Gaussian { mean: vec![0.5; 3], sd: vec![1.0, 2.0, 0.5], factor: None };
        is_consistent(&diagonal, &wide);
    }
}
