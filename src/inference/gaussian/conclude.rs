//! From a fitted Gaussian, or any fit with a known density, to draws and a verdict.

use crate::inference::assess::Checks;
use crate::inference::train::Training;
use crate::inference::weights::{self, Resample};
use crate::inference::{Fit, KhatKind, Settings, Target, modes};
use crate::random::{fill_std_normal, stream};

/// From standard normals `[D]` to a draw and its log density.
type Draw<'a> = dyn Fn(&[f64]) -> (Vec<f64>, f64) + 'a;

/// A fit whose draws are a function of standard normals.
pub(super) struct Fitted<'a> {
    pub(super) method: &'static str,
    /// The draw that standard normals `[D]` mean, and its log density.
    pub(super) draw: &'a Draw<'a>,
    /// What is known about the training.
    pub(super) checks: Checks,
    pub(super) resample: Resample,
    pub(super) training: Training,
    /// All iterations, also those before the training.
    pub(super) iterations: usize,
    /// Flags to try when not all is well.
    pub(super) next: String,
}

impl Fitted<'_> {
    /// Draws, their weights and the verdict.
    pub(super) fn conclude(mut self, target: Target<'_>, settings: &Settings) -> Fit {
        let density = target.f64.as_ref();
        let d = density.dim();
        let pool = self.resample.pool(settings.draws, d);
        let mut xi = vec![0.0; pool * d];
        fill_std_normal(&mut stream(settings.seed, &format!("{} draws", self.method)), &mut xi);
        let (mut draws, mut log_q) = (Vec::with_capacity(pool * d), Vec::with_capacity(pool));
        for xi in xi.chunks_exact(d) {
            let (z, l) = (self.draw)(xi);
            draws.extend(z);
            log_q.push(l);
        }
        let mut log_p = vec![0.0; pool];
        density.log_density(&draws, &mut log_p);
        let log_weights: Vec<f64> = log_p.iter().zip(&log_q).map(|(p, q)| p - q).collect();
        let judged = weights::judge(
            &mut self.checks,
            &log_weights,
            &draws,
            KhatKind::Exact,
            density,
            self.resample,
            settings.draws,
            &mut stream(settings.seed, &format!("{} resampling", self.method)),
        );
        self.checks.estimated(density.estimate());
        let (draws, log_p) = judged.select(&draws, &log_p);
        let interrupted = self.training.interrupted();
        if !interrupted {
            modes::search(&mut self.checks, density, &draws, settings.seed);
        }
        Fit {
            method: self.method,
            dim: d,
            chains: 1,
            draws,
            log_p,
            log_q: Some(judged.chosen.iter().map(|i| log_q[*i]).collect()),
            elbo: Some(weights::lower_bound(&log_weights)).filter(|(e, _)| e.is_finite()),
            log_z: weights::evidence(&log_weights),
            khat: Some(judged.khat),
            fisher_divergence: None,
            traces: self.training.traces,
            iterations: self.iterations,
            median_iteration_ms: self.training.median_iteration_ms,
            interrupted,
            verdict: self.checks.verdict(Some(&self.next)),
        }
    }
}
