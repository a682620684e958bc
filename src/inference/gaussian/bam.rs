//! Batch and match: a Gaussian whose score is matched to the density's in closed form, draws at a time.
//!
//! It needs neither a learning rate nor a start that is near: the updates find location and scale by
//! themselves. As a method it starts from that of `mean-field` and goes on until the fit of twice as
//! many updates is the same; as the first look of the semi-implicit methods it only has to be roughly
//! right.

use faer::{Mat, Side};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::ascent::largest_divergence;
use super::conclude::Fitted;
use super::config::AGREEMENT;
use super::warm_start::mean_field_start;
use crate::density::{LogDensity, Part};
use crate::inference::assess::Checks;
use crate::inference::deadline::timed;
use crate::inference::history::History;
use crate::inference::method::{RESAMPLE, option};
use crate::inference::modes;
use crate::inference::start::{self, Gaussian};
use crate::inference::train::{Stop, Training};
use crate::inference::weights::Resample;
use crate::inference::{
    Deadline, Fit, InferenceError, Method, Monitor, Progress, Settings, Target, VerdictLevel,
    checkpoint,
};
use crate::random::{Stream, fill_std_normal, stream};

/// The row of the method table.
pub const BAM: Method = Method {
    name: "bam",
    group: "Gaussian",
    summary: "Batch and match: a Gaussian by closed-form updates from draws and scores, no tuning.",
    paper: "Cai et al., ICML 2024",
    options: &[
        option("iterations", "2000", "updates at most; usually far fewer", "T"),
        option("grad-samples", "auto", "draws per update; auto is 2 D + 16, 64 if diagonal", "B"),
        option("covariance", "auto", "full, diagonal, or auto: full up to D = 150", "Σ"),
        AGREEMENT,
        RESAMPLE,
    ],
    run,
};

/// Name of the stage in checkpoints.
const STAGE: &str = "bam";
/// Dimension up to which a full covariance is worth its `D²` multiplications a draw.
pub(in crate::inference) const FULL_DIM: usize = 150;
/// Updates once the fit has arrived that a first look takes, and that a first window has.
const UPDATES: usize = 100;
/// Updates at most, those of the way there included.
const MOST_UPDATES: usize = 2000;
/// Updates that a first look spends on the way from the unit Gaussian.
const UNAIDED: usize = 500;
/// Mean score in units of the fit (per square root of the dimension) above which it is on its way.
const ARRIVED: f64 = 2.0;
/// Places tried for a start.
const TRIES: usize = 100;

fn run(
    target: Target<'_>,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<Fit, InferenceError> {
    let until = settings.deadline.share(0.6);
    let density = &*timed(target.f64, &until);
    let d = density.dim();
    let full = match settings.option("covariance", "auto".to_owned())?.as_str() {
        "auto" => d <= FULL_DIM,
        "full" => true,
        "diagonal" => false,
        text => {
            let message = format!("`covariance` must be auto, full or diagonal, not `{text}`");
            return Err(InferenceError::Setting(message));
        }
    };
    let most = settings.option("iterations", settings.iterations.unwrap_or(MOST_UPDATES))?;
    let batch = settings.option("grad-samples", settings.grad_samples.unwrap_or(batch(full, d)))?;
    let agreement: f64 = settings.option("agreement", 0.0025)?;
    let resample = settings.option("resample", Resample::Auto)?;
    if most == 0 || batch < 2 {
        return Err(InferenceError::Setting(
            "`iterations` must be at least 1, `grad-samples` at least 2".into(),
        ));
    }
    density.see(Part::Large);
    let given = start::of_settings(BAM.name, target, settings, monitor)?;
    let mut matching = match checkpoint::load(monitor, STAGE)? {
        Some(saved) => saved,
        None => {
            let mut rng = stream(settings.seed, "bam");
            // Where coordinates differ by orders of magnitude, the way from the unit Gaussian is long.
            let start = match given {
                Some(given) => given,
                None => mean_field_start(density, &until, &mut rng)?,
            };
            Matching::new(density, full, batch, Some(start), rng)?
        }
    };
    let (mut stop, began_at) = (Stop::Iterations, matching.updates);
    while matching.updates < most && !matching.agrees(agreement) {
        if !matching.update(density, &until)? {
            stop = Stop::TimeLimit;
            break;
        }
        matching.average();
        let progress = Progress {
            phase: "matching",
            done: matching.updates,
            total: most,
            objective: matching.drifts.values().last().map(|x| ("mean_score", *x)),
            trend: None,
        };
        if monitor.progress(progress).is_break() {
            stop = Stop::Interrupted;
            break;
        }
        checkpoint::offer(monitor, STAGE, false, || &matching);
    }
    if matching.updates > began_at {
        checkpoint::offer(monitor, STAGE, true, || &matching);
    }
    let agreed = matching.agrees(agreement);
    if agreed {
        stop = Stop::Converged;
    }
    let mut checks = Checks::new();
    let difference = matching.divergence.map_or_else(String::new, |x| {
        format!(" (it differs from that of half as many by {x:.1e} in symmetrised KL divergence)")
    });
    let (level, said) = if agreed {
        (VerdictLevel::Ok, "The matching has converged")
    } else {
        (VerdictLevel::Doubtful, "The matching had not converged")
    };
    checks.add(level, format!("{said} after {} updates{difference}.", matching.updates));
    let training = Training {
        stop,
        iterations: matching.updates,
        traces: vec![matching.drifts.trace("mean_score")],
        ..Training::none(stop)
    };
    checks.stopped(stop);
    let fit = matching.averaged();
    density.see(Part::Whole(&fit.mean));
    let fitted = Fitted {
        method: BAM.name,
        proposal: &fit,
        checks,
        resample,
        training,
        iterations: matching.updates,
        next: if agreed {
            "--infer ldvi".to_owned()
        } else {
            format!("--infer bam --iterations {}", 10 * matching.updates.max(200))
        },
    };
    fitted.conclude(target, settings, monitor)
}

/// Draws of an update.
fn batch(full: bool, d: usize) -> usize {
    if full { (2 * d + 16).min(256) } else { 64 }
}

/// A first Gaussian fit to `density`, with all covariances: from the unit Gaussian, which is wide enough
/// to see several modes, and again from a mode with far more mass, where there is one that it did not
/// see; where it does not get there, from the start of `mean-field`.
///
/// It is as far as it has come when the deadline comes.
///
/// # Errors
/// [`InferenceError::NonFinite`] when no draw around the start has a finite score.
pub fn batch_and_match(
    density: &dyn LogDensity<f64>,
    deadline: &Deadline,
    rng: &mut Stream,
) -> Result<Gaussian, InferenceError> {
    let batch = batch(true, density.dim());
    let mut from = None;
    loop {
        let near = from.is_some();
        let mut matching = Matching::new(density, true, batch, from, rng.clone())?;
        let most = if near { MOST_UPDATES } else { UNAIDED };
        while matching.updates < most && matching.arrived < UPDATES {
            if !matching.update(density, deadline)? {
                break;
            }
        }
        *rng = matching.rng;
        let fit = matching.fit;
        if near || deadline.passed() {
            return Ok(fit);
        }
        if matching.arrived < UPDATES {
            from = Some(mean_field_start(density, deadline, rng)?);
            continue;
        }
        let mode = modes::elsewhere(density, (&fit.mean, &fit.sd), deadline, rng.clone());
        from = mode.and_then(|mode| Gaussian::of_map(mode.at.clone(), &mode.map()));
        if from.is_none() {
            return Ok(fit);
        }
    }
}

/// The fit on its way, and all that an update changes.
#[derive(Debug, Serialize, Deserialize)]
struct Matching {
    fit: Gaussian,
    full: bool,
    batch: usize,
    rng: Stream,
    /// Updates made.
    updates: usize,
    /// Those since the fit is near.
    arrived: usize,
    /// Updates that left nothing usable, in all.
    failures: usize,
    /// Running mean of means and covariance factors since the last window began.
    window: Option<Window>,
    /// Means and log standard deviations at the end of the last window.
    previous: Option<(Vec<f64>, Vec<f64>)>,
    divergence: Option<f64>,
    /// `|Lᵀ ḡ| / √D` at each update.
    drifts: History,
}

/// A sum of iterates.
#[derive(Debug, Serialize, Deserialize)]
struct Window {
    sum: Gaussian,
    count: usize,
    length: usize,
}

impl Matching {
    /// From the unit Gaussian around the origin, or around a point of Uniform(−2, 2) where the origin
    /// is bad, if no start is given.
    fn new(
        density: &dyn LogDensity<f64>,
        full: bool,
        batch: usize,
        given: Option<Gaussian>,
        mut rng: Stream,
    ) -> Result<Matching, InferenceError> {
        let d = density.dim();
        let fit = match given {
            Some(given) if full => given,
            Some(given) => Gaussian { factor: None, ..given },
            None => {
                let (mut mean, mut tries) = (vec![0.0; d], 0);
                let (mut log_p, mut score) = ([0.0], vec![0.0; d]);
                loop {
                    density.score(&mean, &mut log_p, &mut score);
                    if log_p[0].is_finite() && score.iter().all(|g| g.is_finite()) {
                        break Gaussian { mean, sd: vec![1.0; d], factor: None };
                    }
                    tries += 1;
                    if tries == TRIES {
                        let place = density.explain_non_finite(&mean);
                        return Err(InferenceError::NonFinite { tried: TRIES, place });
                    }
                    mean.fill_with(|| rng.gen_range(-2.0..2.0));
                }
            }
        };
        Ok(Matching {
            fit,
            full,
            batch,
            rng,
            updates: 0,
            arrived: 0,
            failures: 0,
            window: None,
            previous: None,
            divergence: None,
            drifts: History::default(),
        })
    }

    /// Whether the fits at the ends of two windows are the same.
    fn agrees(&self, agreement: f64) -> bool {
        self.divergence.is_some_and(|d| d <= agreement)
    }

    /// One update, and what it says about convergence; `false`, and none, where the deadline comes first.
    fn update(
        &mut self,
        density: &dyn LogDensity<f64>,
        deadline: &Deadline,
    ) -> Result<bool, InferenceError> {
        if deadline.passed() {
            return Ok(false);
        }
        let before = self.rng.clone();
        let d = density.dim();
        let mut xi = vec![0.0; self.batch * d];
        fill_std_normal(&mut self.rng, &mut xi);
        let x: Vec<f64> = xi.chunks_exact(d).flat_map(|xi| self.fit.point(xi)).collect();
        let (mut log_p, mut score) = (vec![0.0; self.batch], vec![0.0; x.len()]);
        density.score(&x, &mut log_p, &mut score);
        if deadline.has_cut() {
            self.rng = before;
            return Ok(false);
        }
        let (mut xs, mut gs) = (Vec::with_capacity(x.len()), Vec::with_capacity(x.len()));
        for (x, g) in x.chunks_exact(d).zip(score.chunks_exact(d)) {
            if g.iter().all(|g| g.is_finite()) {
                xs.extend_from_slice(x);
                gs.extend_from_slice(g);
            }
        }
        self.updates += 1;
        let step = ((self.batch * d) as f64).max(100.0) / (self.arrived + 1) as f64;
        let next = if xs.len() > d { matched(&self.fit, &xs, &gs, step, self.full) } else { None };
        let Some(next) = next else {
            // Too wide for this density: come closer to the centre, where it was finite.
            self.failures += 1;
            let Gaussian { sd, factor, .. } = &mut self.fit;
            sd.iter_mut().chain(factor.iter_mut().flatten()).for_each(|s| *s *= 0.5);
            if self.failures >= UPDATES {
                let place = density.explain_non_finite(&x[..d]);
                return Err(InferenceError::NonFinite { tried: self.failures * self.batch, place });
            }
            return Ok(true);
        };
        // Steps stay long until the fit is near: a short step moves by less than the fit's own width,
        // which may be far too small for the way still to go.
        let drift = self.fit.pull_back(&Moments::of(&gs, d).mean);
        let drift = (drift.iter().map(|m| m * m).sum::<f64>() / d as f64).sqrt();
        self.drifts.add(drift);
        self.arrived = if drift > ARRIVED { self.arrived } else { self.arrived + 1 };
        self.fit = next;
        Ok(true)
    }

    /// Takes note of an iterate that is near; windows double, and their averages are compared.
    fn average(&mut self) {
        if self.arrived == 0 {
            return;
        }
        let window = self.window.get_or_insert_with(|| Window {
            sum: Gaussian { mean: Vec::new(), sd: Vec::new(), factor: None },
            count: 0,
            length: UPDATES / 2,
        });
        window.add(&self.fit);
        if window.count < window.length {
            return;
        }
        let average = window.mean();
        let length = 2 * window.length;
        let now = (average.mean.clone(), average.sd.iter().map(|s| s.ln()).collect());
        self.divergence = self.previous.as_ref().map(|before| largest_divergence(before, &now));
        self.previous = Some(now);
        self.fit = average;
        let sum = Gaussian { mean: Vec::new(), sd: Vec::new(), factor: None };
        self.window = Some(Window { sum, count: 0, length });
    }

    /// The average of the unfinished window where that has the most iterates, else the last fit.
    fn averaged(&self) -> Gaussian {
        match &self.window {
            Some(window) if 2 * window.count > window.length => window.mean(),
            _ => self.fit.clone(),
        }
    }
}

impl Window {
    fn add(&mut self, fit: &Gaussian) {
        self.count += 1;
        if self.count == 1 {
            self.sum = fit.clone();
            return;
        }
        let add = |sum: &mut [f64], x: &[f64]| sum.iter_mut().zip(x).for_each(|(s, x)| *s += x);
        add(&mut self.sum.mean, &fit.mean);
        add(&mut self.sum.sd, &fit.sd);
        if let (Some(sum), Some(l)) = (&mut self.sum.factor, &fit.factor) {
            add(sum, l);
        }
    }

    /// Means of means and of Cholesky factors, which are such factors again.
    fn mean(&self) -> Gaussian {
        let d = self.sum.mean.len();
        let over = |x: &[f64]| x.iter().map(|x| x / self.count as f64).collect::<Vec<f64>>();
        let factor = self.sum.factor.as_deref().map(over);
        let sd = match &factor {
            Some(l) => l.chunks_exact(d).map(norm).collect(),
            None => over(&self.sum.sd),
        };
        Gaussian { mean: over(&self.sum.mean), sd, factor }
    }
}

fn norm(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
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

fn covariance(fit: &Gaussian) -> Mat<f64> {
    let d = fit.mean.len();
    match &fit.factor {
        None => Mat::from_fn(d, d, |i, j| if i == j { fit.sd[i] * fit.sd[i] } else { 0.0 }),
        Some(l) => {
            let l = Mat::from_fn(d, d, |i, j| l[i * d + j]);
            &l * l.transpose()
        }
    }
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
fn matched(now: &Gaussian, x: &[f64], g: &[f64], step: f64, full: bool) -> Option<Gaussian> {
    let d = now.mean.len();
    let (draws, scores) = (Moments::of(x, d), Moments::of(g, d));
    let pull = step / (1.0 + step);
    let off: Vec<f64> = now.mean.iter().zip(&draws.mean).map(|(m, x)| m - x).collect();
    let u = Mat::from_fn(d, d, |i, j| {
        step * scores.covariance[(i, j)] + pull * scores.mean[i] * scores.mean[j]
    });
    let sigma = covariance(now);
    let v = Mat::from_fn(d, d, |i, j| {
        sigma[(i, j)] + step * draws.covariance[(i, j)] + pull * off[i] * off[j]
    });
    let shape = |e: f64| 2.0 / (1.0 + (1.0 + 4.0 * e.max(0.0)).sqrt());
    let (sigma, factor) = if full {
        let l = cholesky(&v)?;
        let l = Mat::from_fn(d, d, |i, j| l[i * d + j]);
        let inner = l.transpose() * &u * &l;
        let eigen = inner.self_adjoint_eigen(Side::Lower).ok()?;
        let (q, e) = (eigen.U(), eigen.S());
        let half = &l * q;
        let half = Mat::from_fn(d, d, |i, j| half[(i, j)] * shape(e[j]).sqrt());
        let sigma = &half * half.transpose();
        let lower = cholesky(&sigma)?;
        (sigma, Some(lower))
    } else {
        let variance: Vec<f64> = (0..d).map(|i| v[(i, i)] * shape(u[(i, i)] * v[(i, i)])).collect();
        let sigma = Mat::from_fn(d, d, |i, j| if i == j { variance[i] } else { 0.0 });
        (sigma, None)
    };
    let mean: Vec<f64> = (0..d)
        .map(|i| {
            let towards: f64 = (0..d).map(|j| sigma[(i, j)] * scores.mean[j]).sum();
            now.mean[i] / (1.0 + step) + pull * (towards + draws.mean[i])
        })
        .collect();
    let sd: Vec<f64> = (0..d).map(|i| sigma[(i, i)].sqrt()).collect();
    let finite = mean.iter().all(|m| m.is_finite()) && sd.iter().all(|s| s.is_finite() && *s > 0.0);
    finite.then_some(Gaussian { mean, sd, factor })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::Residuals;

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
        let mut rng = stream(1, "standardize test");
        let fit = batch_and_match(&Far, &Deadline::never(), &mut rng).unwrap();
        let sigma = covariance(&fit);
        assert!((fit.mean[0] - 300.0).abs() < 1e-3 && (fit.mean[1] + 0.02).abs() < 1e-6, "{fit:?}");
        for (ij, want) in [((0, 0), 25.0), ((0, 1), 0.04), ((1, 1), 1e-4)] {
            assert!((sigma[ij] / want - 1.0).abs() < 1e-3, "{ij:?}: {}", sigma[ij]);
        }
    }

    #[test]
    fn the_diagonal_fit_finds_location_and_conditional_scale() {
        let rng = stream(1, "matching test");
        let mut matching = Matching::new(&Far, false, batch(false, 2), None, rng).unwrap();
        while matching.arrived < UPDATES {
            assert!(matching.update(&Far, &Deadline::never()).unwrap());
        }
        let fit = matching.fit;
        assert!(fit.factor.is_none() && (fit.mean[0] - 300.0).abs() < 1.0, "{fit:?}");
        let sd = &fit.sd;
        assert!(sd[0] > 2.0 && sd[0] < 6.0 && sd[1] > 0.004 && sd[1] < 0.012, "{fit:?}");
    }
}
