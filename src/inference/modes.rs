//! Modes of a density with the curvature there, and a search for those that draws do not visit.
//!
//! A fit of one of several modes passes every other check: its weights, its score identities and its
//! chains know of nothing else. So the density is climbed from several dispersed points, and a maximum
//! with a share of the posterior mass (by Laplace's approximation) that no draws show is reported. A
//! search can miss modes, so finding none is weak evidence. A start looks for them too: from the one that an
//! ascent happened to reach, no method leads to another.

use faer::{Mat, Side};
use rand::{Rng, RngCore};

use super::assess::Checks;
use super::lbfgs::{Objective, Point, maximise};
use super::{Deadline, VerdictLevel};
use crate::density::{LogDensity, Residuals};
use crate::random::{fill_std_normal, stream};

/// Climbs from Uniform(−2, 2) in each coordinate, and as many from widely around the draws.
const STARTS: usize = 4;
/// Climbs before there are draws: on lotka-volterra half of them reach the mode that has the mass.
const PLACES: usize = 8;
/// Evaluations a climb may take.
const BUDGET: usize = 300;
/// Dimension above which curvatures, and so the search, are too dear.
const LARGEST: usize = 100;
/// Share of the mass below which a missed mode does not matter.
const LEAST_SHARE: f64 = 0.02;
/// How many times the mass of a mode another must have for a start to move there: what is wrong by less may be
/// Laplace's approximation.
const MUCH_MORE: f64 = 100.0;

/// A maximum of a log density and the curvature there.
#[derive(Debug, Clone)]
pub(super) struct Mode {
    /// Where it is, `[D]`.
    pub(super) at: Vec<f64>,
    /// Columns: eigenvectors of the curvature in units of `scale`.
    vectors: Mat<f64>,
    /// Eigenvalues, all positive.
    values: Vec<f64>,
    scale: Vec<f64>,
    /// Log of the mass that Laplace's approximation gives it.
    pub(super) log_mass: f64,
}

impl Mode {
    /// Climbs from `start`, with steps in units of `scale: [D]`.
    ///
    /// # Errors
    /// The last point, where no maximum with a positive definite curvature is reached.
    pub(super) fn climb(
        density: &dyn LogDensity<f64>,
        start: Vec<f64>,
        scale: &[f64],
        budget: usize,
    ) -> Result<Mode, Point> {
        let hill = Hill { density, scale };
        let start = Point::new(&hill, start);
        if !start.value.is_finite() {
            return Err(start);
        }
        let mut top = maximise(&hill, start, budget, 1e-8, |_, _| true).point;
        // Newton's steps from nearby: the gain that the next one promises says whether this is a maximum.
        for _ in 0..6 {
            let Some(mode) = Mode::at(density, &top, scale) else { return Err(top) };
            let (step, gain) = mode.newton(&top.gradient);
            if gain < 1e-7 {
                return Ok(mode);
            }
            let next = top.at.iter().zip(&step).map(|(x, s)| x + s).collect();
            let next = Point::new(&hill, next);
            if next.value.is_nan() || next.value < top.value {
                return Err(top);
            }
            top = next;
        }
        Err(top)
    }

    fn at(density: &dyn LogDensity<f64>, top: &Point, scale: &[f64]) -> Option<Mode> {
        let d = scale.len();
        let curvature = curvature(density, &top.at, scale)?;
        let eigen = curvature.self_adjoint_eigen(Side::Lower).ok()?;
        let values: Vec<f64> = (0..d).map(|k| eigen.S()[k]).collect();
        // A flat direction is as little a maximum as a rising one.
        let widest = values.iter().copied().fold(0.0, f64::max);
        if values.iter().any(|v| v.is_nan() || *v <= 1e-12 * widest) {
            return None;
        }
        let log_volume: f64 = values
            .iter()
            .zip(scale)
            .map(|(v, s)| s.ln() - 0.5 * v.ln() + 0.5 * (2.0 * std::f64::consts::PI).ln())
            .sum();
        Some(Mode {
            at: top.at.clone(),
            vectors: eigen.U().to_owned(),
            values,
            scale: scale.to_vec(),
            log_mass: top.value + log_volume,
        })
    }

    /// Newton's step for this gradient, and the gain it promises.
    fn newton(&self, gradient: &[f64]) -> (Vec<f64>, f64) {
        let scaled: Vec<f64> = gradient.iter().zip(&self.scale).map(|(g, s)| g * s).collect();
        let along = self.along(&scaled);
        let gain = along.iter().zip(&self.values).map(|(a, v)| 0.5 * a * a / v).sum();
        let along: Vec<f64> = along.iter().zip(&self.values).map(|(a, v)| a / v).collect();
        (self.out_of(&along), gain)
    }

    /// Coordinates of `x` (in units of `scale`) along the eigenvectors.
    fn along(&self, x: &[f64]) -> Vec<f64> {
        (0..x.len()).map(|k| (0..x.len()).map(|i| self.vectors[(i, k)] * x[i]).sum()).collect()
    }

    /// The displacement with these coordinates along the eigenvectors.
    fn out_of(&self, along: &[f64]) -> Vec<f64> {
        let d = along.len();
        (0..d)
            .map(|i| self.scale[i] * (0..d).map(|k| self.vectors[(i, k)] * along[k]).sum::<f64>())
            .collect()
    }

    /// `A` with `A Aᵀ` the inverse of the curvature, `[D, D]`.
    pub(super) fn map(&self) -> Mat<f64> {
        Mat::from_fn(self.at.len(), self.at.len(), |i, k| {
            self.scale[i] * self.vectors[(i, k)] / self.values[k].sqrt()
        })
    }

    /// Standard deviation of each coordinate given all others, `[D]`.
    pub(super) fn conditional_sd(&self) -> Vec<f64> {
        let curvature = |j: usize| {
            self.values.iter().enumerate().map(|(k, v)| v * self.vectors[(j, k)].powi(2)).sum()
        };
        self.scale.iter().enumerate().map(|(j, s)| s / f64::sqrt(curvature(j))).collect()
    }

    /// `(z − mode)ᵀ C (z − mode)` with the curvature `C`.
    fn distance2(&self, z: &[f64]) -> f64 {
        let off: Vec<f64> =
            z.iter().zip(&self.at).zip(&self.scale).map(|((z, m), s)| (z - m) / s).collect();
        self.along(&off).iter().zip(&self.values).map(|(a, v)| a * a * v).sum()
    }
}

/// `−∇² log p` at `z`, in units of `scale`; `None` where it is not finite.
fn curvature(density: &dyn LogDensity<f64>, z: &[f64], scale: &[f64]) -> Option<Mat<f64>> {
    let d = scale.len();
    let mut directions = vec![0.0; d * d];
    (0..d).for_each(|i| directions[i * d + i] = scale[i]);
    let mut score = vec![0.0; d * d];
    let (mut residuals, mut products) = (Residuals::default(), vec![0.0; d * d]);
    density.score_keep(&z.repeat(d), &mut score, &mut residuals);
    density.hvp(&residuals, &directions, &mut products);
    let at = |i: usize, j: usize| products[i * d + j] * scale[j];
    let symmetric = Mat::from_fn(d, d, |i, j| -0.5 * (at(i, j) + at(j, i)));
    products.iter().all(|x| x.is_finite()).then_some(symmetric)
}

/// The log density itself, with coordinates as wide as `scale`.
pub(super) struct Hill<'a> {
    pub(super) density: &'a dyn LogDensity<f64>,
    pub(super) scale: &'a [f64],
}

impl Objective for Hill<'_> {
    fn evaluate(&self, at: &[f64]) -> (f64, Vec<f64>) {
        let (mut log_p, mut score) = ([0.0], vec![0.0; at.len()]);
        self.density.score(at, &mut log_p, &mut score);
        let finite = log_p[0].is_finite() && score.iter().all(|g| g.is_finite());
        (if finite { log_p[0] } else { f64::NAN }, score)
    }

    fn precondition(&self, _at: &[f64], gradient: &mut [f64]) {
        gradient.iter_mut().zip(self.scale).for_each(|(g, s)| *g *= s * s);
    }

    /// No coordinate moves by more than ten of its units at once.
    fn first_step(&self, direction: &[f64]) -> f64 {
        let longest = direction.iter().zip(self.scale).map(|(p, s)| (p / s).abs());
        10.0 / longest.fold(0.0, f64::max)
    }
}

/// The different modes above some points, in the order in which they are found, with steps in units of
/// `scale: [D]`; `None` when the deadline comes first.
fn climb_all(
    density: &dyn LogDensity<f64>,
    starts: impl IntoIterator<Item = Vec<f64>>,
    scale: &[f64],
    deadline: &Deadline,
) -> Option<Vec<Mode>> {
    let mut modes: Vec<Mode> = Vec::new();
    for start in starts {
        let mode = Mode::climb(density, start, scale, BUDGET);
        if deadline.passed() {
            return None;
        }
        let Ok(mode) = mode else { continue };
        if modes.iter().all(|known| known.distance2(&mode.at) > 1e-2) {
            modes.push(mode);
        }
    }
    Some(modes)
}

/// The mode of most mass, if it has a hundred times that of the one above `mean: [D]`, the centre of a first
/// fit with standard deviations `sd: [D]`. The others are above points of Uniform(−2, 2).
pub(super) fn elsewhere(
    density: &dyn LogDensity<f64>,
    (mean, sd): (&[f64], &[f64]),
    deadline: &Deadline,
    mut rng: impl RngCore,
) -> Option<Mode> {
    let d = density.dim();
    if d > LARGEST || density.estimate().is_some() {
        return None;
    }
    let known = climb_all(density, [mean.to_vec()], sd, deadline)?.pop()?;
    let starts = (0..PLACES).map(|_| (0..d).map(|_| rng.gen_range(-2.0..2.0)).collect());
    let modes = climb_all(density, starts, sd, deadline)?;
    let best = modes.into_iter().max_by(|a, b| a.log_mass.total_cmp(&b.log_mass))?;
    (best.log_mass > known.log_mass + MUCH_MORE.ln()).then_some(best)
}

/// Adds to `checks` whether a mode with a share of the mass is missed by `draws: [S, D]`.
///
/// Nothing is said where the deadline comes first. Modes are weighed against those that draws do visit; where none is visited, nothing is said.
pub(super) fn search(
    checks: &mut Checks,
    density: &dyn LogDensity<f64>,
    draws: &[f64],
    seed: u64,
    deadline: &Deadline,
) {
    let d = density.dim();
    if d > LARGEST || draws.is_empty() || draws.iter().any(|x| !x.is_finite()) {
        return;
    }
    let (mean, sd) = spread(draws, d);
    if sd.iter().any(|s| !s.is_finite() || *s <= 0.0) {
        return;
    }
    let mut rng = stream(seed, "search for modes");
    // A draw is where the mode that the fit does know is found.
    let mut starts = vec![draws[..d].to_vec()];
    for _ in 0..STARTS {
        starts.push((0..d).map(|_| rng.gen_range(-2.0..2.0)).collect());
        let mut xi = vec![0.0; d];
        fill_std_normal(&mut rng, &mut xi);
        starts.push((0..d).map(|j| mean[j] + 5.0 * sd[j] * xi[j]).collect());
    }
    let tried = starts.len();
    let Some(modes) = climb_all(density, starts, &sd, deadline) else { return };
    let near = d as f64 + 4.0 * (2.0 * d as f64).sqrt();
    let visits = |mode: &Mode| {
        let inside = draws.chunks_exact(d).filter(|z| mode.distance2(z) <= near).count();
        inside as f64 / (draws.len() / d) as f64
    };
    let highest = modes.iter().map(|m| m.log_mass).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = modes.iter().map(|m| (m.log_mass - highest).exp()).sum();
    let (mut visited, mut missed) = (0.0, 0.0);
    for mode in &modes {
        let share = (mode.log_mass - highest).exp() / total;
        if visits(mode) < 0.1 * share { missed += share } else { visited += share }
    }
    if visited == 0.0 {
        return;
    }
    if missed > LEAST_SHARE {
        checks.add(
            VerdictLevel::Doubtful,
            format!(
                "The draws miss a mode: climbing from {tried} places found one with about {:.0} % of \
                 the posterior mass, by the curvature there, that next to no draws visit.",
                100.0 * missed
            ),
        );
    } else {
        checks.add(
            VerdictLevel::Ok,
            format!("Climbing from {tried} places found no mode that the draws miss."),
        );
    }
}

/// Means and standard deviations of the draws.
fn spread(draws: &[f64], d: usize) -> (Vec<f64>, Vec<f64>) {
    let n = (draws.len() / d) as f64;
    let (mut mean, mut sd) = (vec![0.0; d], vec![0.0; d]);
    for z in draws.chunks_exact(d) {
        mean.iter_mut().zip(z).for_each(|(m, z)| *m += z / n);
    }
    for z in draws.chunks_exact(d) {
        sd.iter_mut().zip(z).zip(&mean).for_each(|((s, z), m)| *s += (z - m).powi(2) / n);
    }
    sd.iter_mut().for_each(|s| *s = s.sqrt());
    (mean, sd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// Normals around 0 and 1.5, with standard deviations 1 and 0.1; the weights of both.
    struct Two([f64; 2]);

    const MEANS: [f64; 2] = [0.0, 1.5];
    const SDS: [f64; 2] = [1.0, 0.1];

    impl Two {
        /// Density, and its first and second derivative, relative to the density.
        fn at(&self, z: f64) -> [f64; 3] {
            let mut sums = [0.0; 3];
            for ((w, m), s) in self.0.iter().zip(MEANS).zip(SDS) {
                let t = (z - m) / s;
                let p = w / s * (-0.5 * t * t).exp();
                sums[0] += p;
                sums[1] -= p * t / s;
                sums[2] += p * (t * t - 1.0) / (s * s);
            }
            [sums[0], sums[1] / sums[0], sums[2] / sums[0]]
        }
    }

    impl LogDensity<f64> for Two {
        fn dim(&self) -> usize {
            1
        }
        fn log_density(&self, z: &[f64], log_p: &mut [f64]) {
            z.iter().zip(log_p).for_each(|(z, l)| *l = self.at(*z)[0].ln());
        }
        fn score(&self, z: &[f64], log_p: &mut [f64], score: &mut [f64]) {
            self.log_density(z, log_p);
            z.iter().zip(score).for_each(|(z, s)| *s = self.at(*z)[1]);
        }
        fn hvp(&self, residuals: &Residuals<f64>, v: &[f64], out: &mut [f64]) {
            for ((z, v), o) in residuals.points.iter().zip(v).zip(out) {
                let [_, first, second] = self.at(*z);
                *o = v * (second - first * first);
            }
        }
    }

    #[test]
    fn a_start_moves_to_a_mode_of_far_more_mass_only() {
        let rng: Stream = stream(1, "modes test");
        let from = |weights, mean: f64| {
            let q = (&[mean][..], &[1.0][..]);
            elsewhere(&Two(weights), q, &Deadline::never(), rng.clone())
        };
        let mode = from([0.001, 0.999], 0.0).unwrap();
        assert!((mode.at[0] - 1.5).abs() < 1e-3, "{:?}", mode.at);
        assert!((mode.conditional_sd()[0] / 0.1 - 1.0).abs() < 1e-3);
        assert!(
            (mode.log_mass - (0.999_f64 * (2.0 * std::f64::consts::PI).sqrt()).ln()).abs() < 1e-3
        );
        // It is there already; and half of the mass is no reason to leave the other.
        assert!(from([0.001, 0.999], 1.5).is_none());
        assert!(from([0.5, 0.5], 0.0).is_none());
    }
}
