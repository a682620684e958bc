//! Closed-form densities with exact scores and Hessian-vector products, to test inference without
//! the compiler. Normalised where that is said, so that evidence lower bounds have a known ceiling.

use std::sync::Arc;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ppl::density::{LogDensity, Residuals};
use ppl::inference::Target;
use ppl::real::Real;

use crate::tolerance::close;

/// A density at both precisions.
pub(crate) struct Both {
    pub f64: Arc<dyn LogDensity<f64>>,
    pub f32: Arc<dyn LogDensity<f32>>,
}

impl Both {
    pub(crate) fn new<P: LogDensity<f64> + LogDensity<f32> + Clone + 'static>(density: P) -> Self {
        Both { f64: Arc::new(density.clone()), f32: Arc::new(density) }
    }

    pub(crate) fn target(&self) -> Target<'_> {
        Target { f64: &self.f64, f32: &self.f32 }
    }
}

/// A density given point by point.
pub(crate) trait Pointwise: Clone + Send + Sync + 'static {
    fn dim(&self) -> usize;
    /// Log density; writes its gradient.
    fn score(&self, z: &[f64], score: &mut [f64]) -> f64;
    /// Hessian at `z` times `v`.
    fn hvp(&self, z: &[f64], v: &[f64], out: &mut [f64]);
}

/// Makes a [`Pointwise`] density a [`LogDensity`] of either precision, computed in `f64`.
#[derive(Clone)]
pub(crate) struct Points<P>(pub P);

fn wide<E: Real>(x: &[E]) -> Vec<f64> {
    x.iter().map(|x| x.f64()).collect()
}

impl<E: Real, P: Pointwise> LogDensity<E> for Points<P> {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn log_density(&self, z: &[E], log_p: &mut [E]) {
        let mut score = vec![E::zero(); z.len()];
        self.score(z, log_p, &mut score);
    }

    fn score(&self, z: &[E], log_p: &mut [E], score: &mut [E]) {
        let d = self.0.dim();
        let mut g = vec![0.0; d];
        for ((z, l), s) in z.chunks_exact(d).zip(log_p).zip(score.chunks_exact_mut(d)) {
            *l = E::of(self.0.score(&wide(z), &mut g));
            s.iter_mut().zip(&g).for_each(|(s, g)| *s = E::of(*g));
        }
    }

    fn hvp(&self, residuals: &Residuals<E>, v: &[E], out: &mut [E]) {
        let d = self.0.dim();
        let mut h = vec![0.0; d];
        let rows = residuals.points.chunks_exact(d).zip(v.chunks_exact(d));
        for ((z, v), o) in rows.zip(out.chunks_exact_mut(d)) {
            self.0.hvp(&wide(z), &wide(v), &mut h);
            o.iter_mut().zip(&h).for_each(|(o, h)| *o = E::of(*h));
        }
    }
}

/// A normalised mixture of Gaussians; with one component, a Gaussian.
#[derive(Clone)]
pub(crate) struct Mixture {
    /// Log weight and normaliser, mean, precision `[D, D]` of each component.
    components: Vec<(f64, Vec<f64>, Vec<f64>)>,
}

/// Weight, mean and covariance of a two-dimensional component.
type Planar = (f64, [f64; 2], [[f64; 2]; 2]);

impl Mixture {
    /// From weights, means and two-dimensional covariances.
    fn planar(components: &[Planar]) -> Self {
        let ln_2pi = (2.0 * std::f64::consts::PI).ln();
        let components = components
            .iter()
            .map(|(w, m, [[a, b], [_, c]])| {
                let det = a * c - b * b;
                let precision = vec![c / det, -b / det, -b / det, a / det];
                (w.ln() - ln_2pi - 0.5 * det.ln(), m.to_vec(), precision)
            })
            .collect();
        Mixture { components }
    }

    /// A normalised Gaussian with independent coordinates.
    pub(crate) fn diagonal(mean: &[f64], sd: &[f64]) -> Self {
        let d = mean.len();
        let mut precision = vec![0.0; d * d];
        let mut log = -0.5 * d as f64 * (2.0 * std::f64::consts::PI).ln();
        for (i, sd) in sd.iter().enumerate() {
            precision[i * d + i] = sd.powi(-2);
            log -= sd.ln();
        }
        Mixture { components: vec![(log, mean.to_vec(), precision)] }
    }

    /// A normalised two-dimensional Gaussian.
    pub(crate) fn correlated(mean: [f64; 2], covariance: [[f64; 2]; 2]) -> Self {
        Mixture::planar(&[(1.0, mean, covariance)])
    }

    /// Log density and gradient of one component.
    fn component(&self, k: usize, z: &[f64]) -> (f64, Vec<f64>) {
        let (log, mean, precision) = &self.components[k];
        let d = mean.len();
        let diff: Vec<f64> = z.iter().zip(mean).map(|(z, m)| z - m).collect();
        let score = minus_product(precision, &diff);
        (log + 0.5 * (0..d).map(|i| diff[i] * score[i]).sum::<f64>(), score)
    }

    fn responsibilities(&self, z: &[f64]) -> (f64, Vec<(f64, Vec<f64>)>) {
        let mut parts: Vec<_> = (0..self.components.len()).map(|k| self.component(k, z)).collect();
        let max = parts.iter().map(|p| p.0).fold(f64::NEG_INFINITY, f64::max);
        let total = max + parts.iter().map(|p| (p.0 - max).exp()).sum::<f64>().ln();
        parts.iter_mut().for_each(|p| p.0 = (p.0 - total).exp());
        (total, parts)
    }
}

/// `-A x`.
fn minus_product(a: &[f64], x: &[f64]) -> Vec<f64> {
    a.chunks_exact(x.len()).map(|row| -row.iter().zip(x).map(|(a, x)| a * x).sum::<f64>()).collect()
}

impl Pointwise for Mixture {
    fn dim(&self) -> usize {
        self.components[0].1.len()
    }

    fn score(&self, z: &[f64], score: &mut [f64]) -> f64 {
        let (log_p, parts) = self.responsibilities(z);
        for (i, s) in score.iter_mut().enumerate() {
            *s = parts.iter().map(|(r, g)| r * g[i]).sum();
        }
        log_p
    }

    fn hvp(&self, z: &[f64], v: &[f64], out: &mut [f64]) {
        let (_, parts) = self.responsibilities(z);
        let mut score = vec![0.0; z.len()];
        self.score(z, &mut score);
        let dot = |a: &[f64]| a.iter().zip(v).map(|(a, v)| a * v).sum::<f64>();
        for (i, o) in out.iter_mut().enumerate() {
            *o = -score[i] * dot(&score);
            for (k, (r, g)) in parts.iter().enumerate() {
                *o += r * (minus_product(&self.components[k].2, v)[i] + g[i] * dot(g));
            }
        }
    }
}

/// SIVI-SM's "multimodal": `½ N(±2 e₁, I)`.
pub(crate) fn multimodal() -> Points<Mixture> {
    let eye = [[1.0, 0.0], [0.0, 1.0]];
    Points(Mixture::planar(&[(0.5, [2.0, 0.0], eye), (0.5, [-2.0, 0.0], eye)]))
}

/// Two modes far apart, each with half of the mass: `½ N((−10, 0), I) + ½ N((8, 0), I)`.
pub(crate) fn two_modes() -> Points<Mixture> {
    let eye = [[1.0, 0.0], [0.0, 1.0]];
    Points(Mixture::planar(&[(0.5, [-10.0, 0.0], eye), (0.5, [8.0, 0.0], eye)]))
}

/// SIVI-SM's "x-shaped": `½ N(0, [[2, ±1.8], [±1.8, 2]])`.
pub(crate) fn x_shaped() -> Points<Mixture> {
    let arm = |c: f64| (0.5, [0.0, 0.0], [[2.0, c], [c, 2.0]]);
    Points(Mixture::planar(&[arm(1.8), arm(-1.8)]))
}

/// SIVI-SM's "banana": `(x₁, x₁² + x₂ + 1) ~ N(0, [[1, 0.9], [0.9, 1]])`, normalised.
#[derive(Clone)]
pub(crate) struct Banana;

pub(crate) fn banana() -> Points<Banana> {
    Points(Banana)
}

impl Banana {
    const DET: f64 = 1.0 - 0.81;

    /// `P u` for the precision `P`, at the image `u` of `z`.
    fn pulled(z: &[f64]) -> ([f64; 2], [f64; 2]) {
        let u = [z[0], z[0] * z[0] + z[1] + 1.0];
        (u, [(u[0] - 0.9 * u[1]) / Self::DET, (u[1] - 0.9 * u[0]) / Self::DET])
    }
}

impl Pointwise for Banana {
    fn dim(&self) -> usize {
        2
    }

    fn score(&self, z: &[f64], score: &mut [f64]) -> f64 {
        let (u, p) = Self::pulled(z);
        score.copy_from_slice(&[-p[0] - 2.0 * z[0] * p[1], -p[1]]);
        -0.5 * (u[0] * p[0] + u[1] * p[1])
            - (2.0 * std::f64::consts::PI).ln()
            - 0.5 * Self::DET.ln()
    }

    fn hvp(&self, z: &[f64], v: &[f64], out: &mut [f64]) {
        let (_, p) = Self::pulled(z);
        let du = [v[0], 2.0 * z[0] * v[0] + v[1]];
        let dp = [(du[0] - 0.9 * du[1]) / Self::DET, (du[1] - 0.9 * du[0]) / Self::DET];
        out.copy_from_slice(&[-dp[0] - 2.0 * z[0] * dp[1] - 2.0 * v[0] * p[1], -dp[1]]);
    }
}

/// The target of the Langevin fixtures, unnormalised:
/// `-½ (z₀/1.5)² - ½ ((z₁ - 0.4 z₀²)/0.7)² + 0.25`.
#[derive(Clone)]
pub(crate) struct FixtureTarget;

impl Pointwise for FixtureTarget {
    fn dim(&self) -> usize {
        2
    }

    fn score(&self, z: &[f64], score: &mut [f64]) -> f64 {
        let r = (z[1] - 0.4 * z[0] * z[0]) / 0.49;
        score.copy_from_slice(&[-z[0] / 2.25 + 0.8 * z[0] * r, -r]);
        -0.5 * z[0] * z[0] / 2.25 - 0.5 * 0.49 * r * r + 0.25
    }

    fn hvp(&self, z: &[f64], v: &[f64], out: &mut [f64]) {
        let r = (z[1] - 0.4 * z[0] * z[0]) / 0.49;
        let dr = (v[1] - 0.8 * z[0] * v[0]) / 0.49;
        out.copy_from_slice(&[-v[0] / 2.25 + 0.8 * (v[0] * r + z[0] * dr), -dr]);
    }
}

/// Bayesian logistic regression with independent `N(0, 1/precision)` weights, every constant kept.
#[derive(Clone)]
pub(crate) struct Logistic<E> {
    /// Design, `[N, D]`.
    x: Vec<E>,
    /// Labels 0 or 1, `[N]`.
    y: Vec<E>,
    d: usize,
    precision: f64,
}

impl Logistic<f64> {
    pub(crate) fn new(x: Vec<f64>, y: Vec<f64>, precision: f64) -> Self {
        let d = x.len() / y.len();
        Logistic { x, y, d, precision }
    }

    /// At both precisions.
    pub(crate) fn both(self) -> Both {
        let of = |v: &[f64]| v.iter().map(|x| f32::of(*x)).collect();
        let single =
            Logistic { x: of(&self.x), y: of(&self.y), d: self.d, precision: self.precision };
        Both { f64: Arc::new(self), f32: Arc::new(single) }
    }
}

impl<E: Real + faer::traits::ComplexField> Logistic<E> {
    /// `x wᵀ` or, transposed, `w x`: rows of the batch stay rows.
    fn logits(&self, z: &[E]) -> Vec<E> {
        let (b, n) = (z.len() / self.d, self.y.len());
        let mut out = vec![E::default(); b * n];
        matmul(
            MatMut::from_row_major_slice_mut(&mut out, b, n),
            Accum::Replace,
            MatRef::from_row_major_slice(z, b, self.d),
            MatRef::from_row_major_slice(&self.x, n, self.d).transpose(),
            <E as num_traits::One>::one(),
            Par::Seq,
        );
        out
    }

    fn back(&self, r: &[E], out: &mut [E]) {
        let (b, n) = (out.len() / self.d, self.y.len());
        matmul(
            MatMut::from_row_major_slice_mut(out, b, self.d),
            Accum::Add,
            MatRef::from_row_major_slice(r, b, n),
            MatRef::from_row_major_slice(&self.x, n, self.d),
            <E as num_traits::One>::one(),
            Par::Seq,
        );
    }

    /// Log density and score, and what products need.
    fn evaluate(&self, z: &[E], log_p: &mut [E], score: &mut [E], keep: &mut Residuals<E>) {
        let one = <E as num_traits::One>::one();
        let prec = E::of(self.precision);
        let constant = 0.5 * self.d as f64 * (self.precision / (2.0 * std::f64::consts::PI)).ln();
        let mut logits = self.logits(z);
        keep.points.clear();
        keep.points.extend_from_slice(z);
        keep.saved.clear();
        let n = self.y.len();
        for ((row, z), l) in logits.chunks_exact_mut(n).zip(z.chunks_exact(self.d)).zip(log_p) {
            let mut sum = constant;
            for (t, y) in row.iter_mut().zip(&self.y) {
                let e = num_traits::Float::exp(-num_traits::Float::abs(*t));
                let p = if *t >= E::default() { one } else { e } / (one + e);
                let soft = num_traits::Float::max(*t, E::default()) + num_traits::Float::ln_1p(e);
                sum += (*y * *t - soft).f64();
                keep.saved.push(p * (one - p));
                *t = *y - p;
            }
            sum -= 0.5 * self.precision * z.iter().map(|z| z.f64() * z.f64()).sum::<f64>();
            *l = E::of(sum);
        }
        score.iter_mut().zip(z).for_each(|(s, z)| *s = -prec * *z);
        self.back(&logits, score);
    }
}

impl<E: Real + faer::traits::ComplexField> LogDensity<E> for Logistic<E> {
    fn dim(&self) -> usize {
        self.d
    }

    fn log_density(&self, z: &[E], log_p: &mut [E]) {
        let mut score = vec![E::default(); z.len()];
        self.score(z, log_p, &mut score);
    }

    fn score(&self, z: &[E], log_p: &mut [E], score: &mut [E]) {
        self.evaluate(z, log_p, score, &mut Residuals::default());
    }

    fn score_keep(&self, z: &[E], score: &mut [E], keep: &mut Residuals<E>) {
        self.evaluate(z, &mut vec![E::default(); z.len() / self.d], score, keep);
    }

    fn hvp(&self, residuals: &Residuals<E>, v: &[E], out: &mut [E]) {
        let prec = E::of(self.precision);
        let mut xv = self.logits(v);
        xv.iter_mut().zip(&residuals.saved).for_each(|(a, w)| *a = -*a * *w);
        out.iter_mut().zip(v).for_each(|(o, v)| *o = -prec * *v);
        self.back(&xv, out);
    }
}

/// The folder of shared reference data, or `None` (and a word about it) where it is absent.
pub(crate) fn reference() -> Option<std::path::PathBuf> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference");
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: ../shared is absent");
    None
}

pub(crate) fn json(path: &str) -> Option<serde_json::Value> {
    Some(serde_json::from_str(&std::fs::read_to_string(reference()?.join(path)).unwrap()).unwrap())
}

/// All numbers in a JSON value, depth first.
pub(crate) fn numbers(value: &serde_json::Value) -> Vec<f64> {
    match value {
        serde_json::Value::Array(items) => items.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

/// `sonar` or `ionosphere`: logistic regression on standardised columns after one of ones.
pub(crate) fn logistic_task(name: &str) -> Option<Logistic<f64>> {
    let path = reference()?.join(format!("langevin/{name}.csv"));
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for record in csv::Reader::from_path(path).unwrap().records() {
        rows.push(record.unwrap().iter().map(|x| x.parse().unwrap()).collect());
    }
    let (n, columns) = (rows.len(), rows[0].len() - 1);
    let positive = |y: f64| f64::from(u8::from(y > 0.0));
    let y = rows.iter().map(|r| positive(r[columns])).collect();
    for j in 0..columns {
        let mean = rows.iter().map(|r| r[j]).sum::<f64>() / n as f64;
        let sd = (rows.iter().map(|r| (r[j] - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
        let sd = if sd == 0.0 { 1.0 } else { sd };
        rows.iter_mut().for_each(|r| r[j] = (r[j] - mean) / sd);
    }
    let x = rows.iter().flat_map(|r| std::iter::once(1.0).chain(r[..columns].iter().copied()));
    Some(Logistic::new(x.collect(), y, 1.0))
}

/// The seeds model [crowder1978]: `z = (a₀, a₁, a₁₂, a₂, b[21], log τ)`.
#[derive(Clone)]
pub(crate) struct Seeds {
    r: Vec<f64>,
    n: Vec<f64>,
    x1: Vec<f64>,
    x2: Vec<f64>,
}

pub(crate) fn seeds() -> Option<Points<Seeds>> {
    let data = json("langevin/seeds.json")?;
    let get = |key: &str| numbers(&data[key]);
    Some(Points(Seeds { r: get("r"), n: get("n"), x1: get("x1"), x2: get("x2") }))
}

fn ln_gamma(x: f64) -> f64 {
    libm::lgamma(x)
}

impl Seeds {
    const LOG_TAU: usize = 25;

    /// Regressors of group `i`, in the order of `z`.
    fn row(&self, i: usize) -> [f64; 4] {
        [1.0, self.x1[i], self.x1[i] * self.x2[i], self.x2[i]]
    }

    fn logit(&self, i: usize, z: &[f64]) -> f64 {
        self.row(i).iter().zip(z).map(|(x, a)| x * a).sum::<f64>() + z[4 + i]
    }
}

impl Pointwise for Seeds {
    fn dim(&self) -> usize {
        26
    }

    fn score(&self, z: &[f64], score: &mut [f64]) -> f64 {
        let ln_2pi = (2.0 * std::f64::consts::PI).ln();
        let (t, tau) = (z[Self::LOG_TAU], z[Self::LOG_TAU].exp());
        let mut sum = 0.01 * 0.01_f64.ln() - ln_gamma(0.01) + 0.01 * t - 0.01 * tau;
        let mut g_t = 0.01 - 0.01 * tau;
        for j in 0..4 {
            sum -= 0.5 * (z[j] / 10.0).powi(2) + 0.5 * ln_2pi + 10_f64.ln();
            score[j] = -z[j] / 100.0;
        }
        for i in 0..21 {
            let (b, logit) = (z[4 + i], self.logit(i, z));
            let (r, n) = (self.r[i], self.n[i]);
            let soft = logit.max(0.0) + (-logit.abs()).exp().ln_1p();
            sum += r * logit - n * soft + ln_gamma(n + 1.0)
                - ln_gamma(r + 1.0)
                - ln_gamma(n - r + 1.0);
            sum += 0.5 * t - 0.5 * ln_2pi - 0.5 * tau * b * b;
            g_t += 0.5 - 0.5 * tau * b * b;
            let e = r - n / (1.0 + (-logit).exp());
            score[4 + i] = e - tau * b;
            for (s, x) in score.iter_mut().zip(self.row(i)) {
                *s += e * x;
            }
        }
        score[Self::LOG_TAU] = g_t;
        sum
    }

    fn hvp(&self, z: &[f64], v: &[f64], out: &mut [f64]) {
        let tau = z[Self::LOG_TAU].exp();
        let d_tau = tau * v[Self::LOG_TAU];
        let mut o_t = -0.01 * d_tau;
        for j in 0..4 {
            out[j] = -v[j] / 100.0;
        }
        for i in 0..21 {
            let (b, db, logit) = (z[4 + i], v[4 + i], self.logit(i, z));
            let p = 1.0 / (1.0 + (-logit).exp());
            let d_e = -self.n[i] * p * (1.0 - p) * self.logit(i, v);
            out[4 + i] = d_e - d_tau * b - tau * db;
            o_t -= 0.5 * d_tau * b * b + tau * b * db;
            for (o, x) in out.iter_mut().zip(self.row(i)) {
                *o += d_e * x;
            }
        }
        out[Self::LOG_TAU] = o_t;
    }
}

/// Score against differences of the value, Hessian-vector product against differences of the score.
fn check_derivatives(name: &str, density: &dyn LogDensity<f64>) {
    let d = density.dim();
    let mut rng = ppl::random::stream(11, name);
    for _ in 0..5 {
        let (mut z, mut v) = (vec![0.0; d], vec![0.0; d]);
        ppl::random::fill_std_normal(&mut rng, &mut z);
        ppl::random::fill_std_normal(&mut rng, &mut v);
        let eval = |h: f64| {
            let at: Vec<f64> = z.iter().zip(&v).map(|(z, v)| z + h * v).collect();
            let (mut l, mut s, mut keep) = ([0.0], vec![0.0; d], Residuals::default());
            density.log_density(&at, &mut l);
            density.score_keep(&at, &mut s, &mut keep);
            (l[0], s, keep)
        };
        let (_, score, keep) = eval(0.0);
        let h = 1e-5;
        let ((l1, s1, _), (l0, s0, _)) = (eval(h), eval(-h));
        let slope: f64 = score.iter().zip(&v).map(|(s, v)| s * v).sum();
        assert!(close(slope, (l1 - l0) / (2.0 * h), 1e-6, 1e-6), "{name}: score");
        let mut product = vec![0.0; d];
        density.hvp(&keep, &v, &mut product);
        for i in 0..d {
            let difference = (s1[i] - s0[i]) / (2.0 * h);
            assert!(close(product[i], difference, 1e-5, 1e-4), "{name}: hvp {i}");
        }
    }
}

#[test]
fn derivatives_agree_with_differences() {
    check_derivatives("banana", &banana());
    check_derivatives("multimodal", &multimodal());
    check_derivatives("x-shaped", &x_shaped());
    check_derivatives("fixture target", &Points(FixtureTarget));
    let x = (0..60).map(|i| (f64::from(i) * 0.7).sin()).collect();
    let y = (0..20).map(|i| f64::from(i % 3 / 2)).collect();
    check_derivatives("logistic", &Logistic::new(x, y, 0.3));
    if let Some(seeds) = seeds() {
        check_derivatives("seeds", &seeds);
    }
}

#[test]
fn langevin_tasks_agree_with_their_fixtures() {
    let tasks: Vec<(&str, Box<dyn LogDensity<f64>>)> = ["sonar", "ionosphere"]
        .into_iter()
        .filter_map(|t| Some((t, Box::new(logistic_task(t)?) as Box<dyn LogDensity<f64>>)))
        .chain(seeds().map(|s| ("seeds", Box::new(s) as Box<dyn LogDensity<f64>>)))
        .collect();
    for (name, density) in tasks {
        let fixtures = json(&format!("langevin/fixtures_{name}.json")).unwrap();
        for point in fixtures["points"].as_array().unwrap() {
            let z = numbers(&point["z"]);
            let (mut l, mut s) = ([0.0], vec![0.0; z.len()]);
            density.score(&z, &mut l, &mut s);
            let keys = point.as_object().unwrap();
            let want = keys.iter().find(|(k, _)| k.starts_with("log")).unwrap().1;
            assert!(close(l[0], want.as_f64().unwrap(), 1e-10, 0.0), "{name}: {} {want}", l[0]);
            let grad = numbers(keys.iter().find(|(k, _)| k.starts_with("grad")).unwrap().1);
            for (s, g) in s.iter().zip(grad) {
                assert!(close(*s, g, 1e-8, 1e-8), "{name}: {s} {g}");
            }
        }
    }
}
