//! Eight schools, non-centred, as a closed-form density, and its posteriordb reference.
//!
//! Unconstrained coordinates: eight standardised effects, μ, log τ. Written by hand so that the
//! inference methods are tested without the compiler.
#![allow(clippy::print_stdout, reason = "tests say what they skip")]

use ppl::density::{LogDensity, Residuals, Scalars};
use ppl::real::Real;

const Y: [f64; 8] = [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0];
const SIGMA: [f64; 8] = [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0];
/// Index of μ; log τ follows.
const MU: usize = 8;

/// μ ~ N(0, 5), τ ~ half-Cauchy(0, 5), y_j ~ N(μ + τ z_j, σ_j).
#[derive(Debug, Clone, Copy)]
pub(crate) struct EightSchools;

impl<E: Real> LogDensity<E> for EightSchools {
    fn dim(&self) -> usize {
        10
    }

    fn log_density(&self, z: &[E], log_p: &mut [E]) {
        let ln_2pi = (2.0 * std::f64::consts::PI).ln();
        for (z, out) in z.chunks_exact(10).zip(log_p) {
            let (mu, log_tau) = (z[MU].f64(), z[MU + 1].f64());
            let tau = log_tau.exp();
            let mut sum = -0.5 * (mu / 5.0).powi(2) - 0.5 * ln_2pi - 5_f64.ln();
            sum +=
                (2.0 / (5.0 * std::f64::consts::PI)).ln() - (tau / 5.0).powi(2).ln_1p() + log_tau;
            for j in 0..8 {
                let raw = z[j].f64();
                let error = (Y[j] - mu - tau * raw) / SIGMA[j];
                sum += -0.5 * (raw * raw + error * error) - ln_2pi - SIGMA[j].ln();
            }
            *out = E::of(sum);
        }
    }

    fn score(&self, z: &[E], log_p: &mut [E], score: &mut [E]) {
        self.log_density(z, log_p);
        for (z, g) in z.chunks_exact(10).zip(score.chunks_exact_mut(10)) {
            let mu = z[MU].f64();
            let tau = z[MU + 1].f64().exp();
            let (mut g_mu, mut g_tau) = (-mu / 25.0, 1.0 - 2.0 * tau * tau / (25.0 + tau * tau));
            for j in 0..8 {
                let raw = z[j].f64();
                let e = (Y[j] - mu - tau * raw) / SIGMA[j].powi(2);
                g[j] = E::of(tau * e - raw);
                g_mu += e;
                g_tau += e * tau * raw;
            }
            g[MU] = E::of(g_mu);
            g[MU + 1] = E::of(g_tau);
        }
    }

    fn parameters(&self, z: &[E]) -> Scalars {
        let names = (0..8).map(|j| format!("theta_raw[{}]", j + 1));
        let declared = |(j, x): (usize, &E)| if j % 10 == MU + 1 { x.f64().exp() } else { x.f64() };
        Scalars {
            names: names.chain(["mu".into(), "tau".into()]).collect(),
            values: z.iter().enumerate().map(declared).collect(),
        }
    }

    fn hvp(&self, residuals: &Residuals<E>, v: &[E], out: &mut [E]) {
        let rows = residuals.points.chunks_exact(10).zip(v.chunks_exact(10));
        for ((z, v), out) in rows.zip(out.chunks_exact_mut(10)) {
            let mu = z[MU].f64();
            let tau = z[MU + 1].f64().exp();
            let (v_mu, v_log_tau) = (v[MU].f64(), v[MU + 1].f64());
            let mut o_mu = -v_mu / 25.0;
            let mut o_tau = -100.0 * tau * tau / (25.0 + tau * tau).powi(2) * v_log_tau;
            for j in 0..8 {
                let (raw, v_raw) = (z[j].f64(), v[j].f64());
                let w = SIGMA[j].powi(2).recip();
                let e = (Y[j] - mu - tau * raw) * w;
                let d_e = -w * (v_mu + tau * raw * v_log_tau + tau * v_raw);
                out[j] = E::of(-v_raw + tau * v_log_tau * e + tau * d_e);
                o_mu += d_e;
                o_tau += d_e * tau * raw + e * tau * v_log_tau * raw + e * tau * v_raw;
            }
            out[MU] = E::of(o_mu);
            out[MU + 1] = E::of(o_tau);
        }
    }
}

/// θ₁…θ₈, μ, τ of one unconstrained point.
pub(crate) fn constrain(z: &[f64]) -> [f64; 10] {
    let (mu, tau) = (z[MU], z[MU + 1].exp());
    std::array::from_fn(|j| match j {
        0..8 => mu + tau * z[j],
        8 => mu,
        _ => tau,
    })
}

/// Mean and sd of one scalar.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moments {
    pub name: String,
    pub mean: f64,
    pub sd: f64,
}

/// Moments of the draws `[S, 10]` on the constrained scale.
pub(crate) fn moments(draws: &[f64]) -> Vec<(f64, f64)> {
    let rows: Vec<[f64; 10]> = draws.chunks_exact(10).map(constrain).collect();
    let n = rows.len() as f64;
    (0..10)
        .map(|j| {
            let mean = rows.iter().map(|r| r[j]).sum::<f64>() / n;
            let variance = rows.iter().map(|r| (r[j] - mean).powi(2)).sum::<f64>() / (n - 1.0);
            (mean, variance.sqrt())
        })
        .collect()
}

/// θ₁…θ₈, μ, τ from posteriordb's gold-standard draws; `None` (and a note) where they are absent.
pub(crate) fn reference() -> Option<Vec<Moments>> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/reference/posteriordb/eight_schools-eight_schools_noncentered/reference.json"
    );
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: ../shared is absent");
        return None;
    };
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rows = json["parameters"].as_array().unwrap();
    Some(
        rows.iter()
            .map(|row| Moments {
                name: row["name"].as_str().unwrap().to_owned(),
                mean: row["mean"].as_f64().unwrap(),
                sd: row["sd"].as_f64().unwrap(),
            })
            .collect(),
    )
}

#[test]
fn derivatives_agree_with_differences() {
    let h = 1e-5;
    let z: Vec<f64> = (0..10).map(|j| (f64::from(j) * 1.7).sin() * 1.3).collect();
    let v: Vec<f64> = (0..10).map(|j| (f64::from(j) * 0.9).cos()).collect();
    let at = |t: f64| -> (f64, Vec<f64>) {
        let moved: Vec<f64> = z.iter().zip(&v).map(|(z, v)| z + t * v).collect();
        let (mut log_p, mut score) = ([0.0], vec![0.0; 10]);
        EightSchools.score(&moved, &mut log_p, &mut score);
        (log_p[0], score)
    };
    let (plus, minus, (_, score)) = (at(h), at(-h), at(0.0));
    let slope: f64 = score.iter().zip(&v).map(|(s, v)| s * v).sum();
    assert!((slope - (plus.0 - minus.0) / (2.0 * h)).abs() < 1e-7);
    let keep = Residuals { points: z.clone(), ..Residuals::default() };
    let mut hvp = vec![0.0; 10];
    EightSchools.hvp(&keep, &v, &mut hvp);
    for (j, product) in hvp.iter().enumerate() {
        let difference = (plus.1[j] - minus.1[j]) / (2.0 * h);
        assert!((product - difference).abs() < 1e-7, "{j}: {product} {difference}");
    }
}
