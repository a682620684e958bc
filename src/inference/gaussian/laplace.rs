//! Laplace's approximation: the Gaussian with the mode and the curvature of the log density.
//!
//! The climb starts from the warm start of `mean-field`, whose standard deviations give the steps
//! their scale. Of several climbs the mode with the most mass is taken.

use super::warm_start::{WarmStart, warm_start};
use crate::inference::assess::Checks;
use crate::inference::method::{RESAMPLE, option};
use crate::inference::modes::{self, Mode};
use crate::inference::weights::{self, Resample};
use crate::inference::{
    Fit, InferenceError, KhatKind, Method, Monitor, Progress, Settings, Target, VerdictLevel,
};
use crate::random::{fill_std_normal, stream};

/// The row of the method table.
pub const LAPLACE: Method = Method {
    name: "laplace",
    group: "Gaussian",
    summary: "The Gaussian at the posterior mode with the curvature there: exact for Gaussians.",
    paper: "Tierney & Kadane, JASA 1986",
    options: &[
        option("iterations", "2000", "evaluations that a climb to a mode may take", ""),
        option(
            "starts",
            "4",
            "climbs from different places; the mode with the most mass is taken",
            "",
        ),
        RESAMPLE,
    ],
    run,
};

fn run(
    target: Target<'_>,
    settings: &Settings,
    monitor: &mut dyn Monitor,
) -> Result<Fit, InferenceError> {
    let budget: usize = settings.option("iterations", settings.iterations.unwrap_or(2000))?;
    let starts: usize = settings.option("starts", 4)?;
    let resample = settings.option("resample", Resample::Never)?;
    if budget == 0 || starts == 0 {
        return Err(InferenceError::Setting("`iterations` and `starts` must be at least 1".into()));
    }
    let density = target.f64.as_ref();
    let d = density.dim();
    let began = std::time::Instant::now();
    let (mut best, mut done, mut stopped): (Option<Mode>, usize, bool) = (None, 0, false);
    while done < starts && !stopped {
        let mut rng = stream(settings.seed, &format!("laplace start {done}"));
        let warm = warm_start(density, budget.min(200), &mut rng, |_, _| true)?;
        let WarmStart { mean, log_sd, .. } = warm;
        let scale: Vec<f64> = log_sd.iter().map(|l| l.exp()).collect();
        // Later climbs start away from the first.
        let start = if done == 0 {
            mean.clone()
        } else {
            let mut xi = vec![0.0; d];
            fill_std_normal(&mut rng, &mut xi);
            (0..d).map(|j| mean[j] + 3.0 * scale[j] * xi[j]).collect()
        };
        let mode = Mode::climb(density, start, &scale, budget);
        let better = |m: &Mode| best.as_ref().is_none_or(|b| m.log_mass > b.log_mass);
        if let Some(mode) = mode.filter(better) {
            best = Some(mode);
        }
        done += 1;
        let progress = Progress {
            phase: "climbing",
            done,
            total: starts,
            objective: best.as_ref().map(|m| ("log_evidence", m.log_mass)),
            trend: None,
        };
        let late = settings.max_time.is_some_and(|limit| began.elapsed() >= limit);
        stopped = monitor.progress(progress).is_break() || (late && done < starts);
    }
    let Some(mode) = best else {
        return Err(InferenceError::Breakdown(format!(
            "laplace: no maximum of the log density was reached in {done} climbs (a density that rises \
             without bound, or is flat in some direction, has none); try --infer mean-field"
        )));
    };
    Ok(assess(&mode, resample, (stopped, done), target, settings))
}

/// Draws from the Gaussian, their weights and the verdict.
fn assess(
    mode: &Mode,
    resample: Resample,
    (stopped, climbs): (bool, usize),
    target: Target<'_>,
    settings: &Settings,
) -> Fit {
    let density = target.f64.as_ref();
    let d = density.dim();
    let pool = resample.pool(settings.draws, d);
    let mut xi = vec![0.0; pool * d];
    fill_std_normal(&mut stream(settings.seed, "laplace draws"), &mut xi);
    let (mut draws, mut log_q) = (Vec::with_capacity(pool * d), Vec::with_capacity(pool));
    for xi in xi.chunks_exact(d) {
        let (z, l) = mode.gaussian(xi);
        draws.extend(z);
        log_q.push(l);
    }
    let mut log_p = vec![0.0; pool];
    density.log_density(&draws, &mut log_p);
    let log_weights: Vec<f64> = log_p.iter().zip(&log_q).map(|(p, q)| p - q).collect();
    let mut checks = Checks::new();
    checks.add(VerdictLevel::Ok, format!("A mode was reached ({climbs} climbs)."));
    if stopped {
        checks.interrupted();
    }
    let judged = weights::judge(
        &mut checks,
        &log_weights,
        &draws,
        KhatKind::Exact,
        density,
        resample,
        settings.draws,
        &mut stream(settings.seed, "laplace resampling"),
    );
    let (draws, log_p) = judged.select(&draws, &log_p);
    modes::search(&mut checks, density, &draws, settings.seed);
    let elbo = Some(weights::lower_bound(&log_weights)).filter(|(e, _)| e.is_finite());
    Fit {
        method: LAPLACE.name,
        dim: d,
        chains: 1,
        draws,
        log_p,
        log_q: Some(judged.chosen.iter().map(|i| log_q[*i]).collect()),
        elbo,
        log_z: Some(weights::log_mean_weight(&log_weights)).filter(|z| z.is_finite()),
        khat: Some(judged.khat),
        fisher_divergence: None,
        traces: Vec::new(),
        iterations: climbs,
        median_iteration_ms: 0.0,
        interrupted: stopped,
        verdict: checks.verdict(Some("--infer ldvi")),
    }
}
