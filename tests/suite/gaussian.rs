//! Gaussian methods: right without tuning, honest when cut short, reproducible.

use std::sync::Arc;

use ppl::density::{LogDensity, Residuals};
use ppl::inference::{Fit, Precision, Settings, Silent, VerdictLevel, find};

use crate::densities::{Both, Mixture, Points, x_shaped};
use crate::eight_schools::EightSchools;

fn fit(density: &Both, settings: &Settings) -> Fit {
    fit_by("mean-field", density, settings)
}

fn fit_by(method: &str, density: &Both, settings: &Settings) -> Fit {
    find(method).unwrap().fit(density.target(), settings, &mut Silent).unwrap()
}

/// Settings under which draws are those of the family.
fn plain() -> Settings {
    let options = [("resample".to_owned(), "false".to_owned())].into();
    Settings { options, ..Settings::default() }
}

/// Mean and standard deviation of coordinate `j` of the draws.
pub(crate) fn moments(fit: &Fit, j: usize) -> (f64, f64) {
    let column: Vec<f64> = fit.draws.iter().skip(j).step_by(fit.dim).copied().collect();
    let n = column.len() as f64;
    let mean = column.iter().sum::<f64>() / n;
    let var = column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, var.sqrt())
}

/// The posterior of a normal mean: far from where training starts.
pub(crate) fn conjugate() -> Both {
    Both::new(Points(Mixture::diagonal(&[8.0], &[0.2_f64.sqrt()])))
}

#[test]
fn conjugate_posterior_is_exact() {
    for precision in [Precision::F64, Precision::F32] {
        let settings = Settings { precision, ..Settings::default() };
        let fit = fit(&conjugate(), &settings);
        assert_eq!(fit.verdict.level, VerdictLevel::Ok, "{:?}", fit.verdict);
        assert_eq!(fit.verdict.next, None);
        let (mean, sd) = moments(&fit, 0);
        assert!((mean - 8.0).abs() < 0.05 && (sd / 0.447_213_6 - 1.0).abs() < 0.05, "{mean} {sd}");
        // The density is normalised and in the family: the bound is log Z = 0.
        let (elbo, se) = fit.elbo.unwrap();
        assert!(elbo.abs() < 2e-3 && se < 1e-3, "{elbo} {se}");
        assert!(fit.log_z.unwrap().value.abs() < 2e-3);
    }
}

#[test]
fn very_different_places_and_scales_need_no_tuning() {
    let (mean, sd) = ([4000.0, -0.002, 3.0, 0.0], [30.0, 1e-4, 1.0, 1000.0]);
    let fit = fit(&Both::new(Points(Mixture::diagonal(&mean, &sd))), &Settings::default());
    assert_eq!(fit.verdict.level, VerdictLevel::Ok, "{:?}", fit.verdict);
    for j in 0..4 {
        let (m, s) = moments(&fit, j);
        assert!((m - mean[j]).abs() < 0.1 * sd[j], "{j}: mean {m}");
        assert!((s / sd[j] - 1.0).abs() < 0.1, "{j}: sd {s}");
    }
}

#[test]
fn correlated_gaussian_has_the_known_optimum() {
    // The best mean-field fit has the right mean and the conditional variances; the bound falls short
    // by the correlation's information.
    let rho: f64 = 0.8;
    let density = Mixture::correlated([1.0, -2.0], [[1.0, rho], [rho, 1.0]]);
    let fit = fit(&Both::new(Points(density)), &plain());
    let conditional = (1.0 - rho * rho).sqrt();
    for (j, want) in [1.0, -2.0].into_iter().enumerate() {
        let (mean, sd) = moments(&fit, j);
        assert!((mean - want).abs() < 0.05, "{mean}");
        assert!((sd / conditional - 1.0).abs() < 0.06, "{sd} {conditional}");
    }
    let (elbo, se) = fit.elbo.unwrap();
    assert!((elbo - conditional.ln()).abs() < 0.01 + 4.0 * se, "{elbo}");
    // Its standard deviations are 0.6 of the right ones, and the verdict must not say ok.
    assert!(fit.verdict.level > VerdictLevel::Ok, "{:?}", fit.verdict);
}

#[test]
fn correlations_are_exact_by_every_gaussian_method_that_has_them() {
    // Far from the origin, narrow in one direction, correlation 0.99.
    let density = Mixture::correlated([300.0, -0.02], [[25.0, 0.0495], [0.0495, 1e-4]]);
    for method in &GAUSSIAN[1..] {
        for precision in [Precision::F64, Precision::F32] {
            let settings = Settings { precision, ..plain() };
            let fit = fit_by(method, &Both::new(Points(density.clone())), &settings);
            let ((a, sd_a), (b, sd_b)) = (moments(&fit, 0), moments(&fit, 1));
            assert!((a - 300.0).abs() < 0.3 && (b + 0.02).abs() < 6e-4, "{method}: {a} {b}");
            let (off_a, off_b) = ((sd_a / 5.0 - 1.0).abs(), (sd_b / 0.01 - 1.0).abs());
            assert!(off_a < 0.05 && off_b < 0.05, "{method}: {sd_a} {sd_b}");
            let n = fit.draws.len() as f64 / 2.0;
            let product: f64 = fit.draws.chunks(2).map(|z| (z[0] - a) * (z[1] - b)).sum();
            assert!((product / n / sd_a / sd_b - 0.99).abs() < 0.003, "{method}");
            assert_eq!(fit.verdict.level, VerdictLevel::Ok, "{method}: {:?}", fit.verdict);
            // The density is normalised and in the family; pathfinder's last curvature is an estimate.
            let bound = if *method == "pathfinder" { 0.03 } else { 5e-3 };
            let (elbo, _) = fit.elbo.unwrap();
            assert!(
                elbo.abs() < bound && fit.log_z.unwrap().value.abs() < bound,
                "{method}: {elbo}"
            );
        }
    }
}

#[test]
fn laplace_without_a_maximum_is_failed() {
    // Rising without bound in one direction.
    let fit = fit_by("laplace", &Both::new(Slope), &Settings::default());
    assert_eq!(fit.verdict.level, VerdictLevel::Failed);
    assert!(fit.verdict.reasons.iter().any(|r| r.contains("No mode was reached")), "no reason");
}

/// `log p = z`.
#[derive(Clone)]
pub(crate) struct Slope;

impl<E: ppl::real::Real> LogDensity<E> for Slope {
    fn dim(&self) -> usize {
        1
    }
    fn log_density(&self, z: &[E], log_p: &mut [E]) {
        log_p.copy_from_slice(z);
    }
    fn score(&self, z: &[E], log_p: &mut [E], score: &mut [E]) {
        log_p.copy_from_slice(z);
        score.fill(E::one());
    }
    fn hvp(&self, _: &Residuals<E>, _: &[E], out: &mut [E]) {
        out.fill(E::zero());
    }
}

#[test]
fn a_mode_that_the_draws_miss_is_reported() {
    // Mean-field takes one of them; so far apart, no other check knows.
    let fit = fit(&Both::new(crate::densities::two_modes()), &Settings::default());
    assert_eq!(fit.verdict.level, VerdictLevel::Doubtful, "{:?}", fit.verdict);
    assert!(fit.verdict.reasons[0].contains("miss a mode"), "{:?}", fit.verdict);
}

#[test]
fn eight_schools_is_the_optimum_of_the_family() {
    let fit = fit(&Both::new(EightSchools), &plain());
    // The family's own optimum; posteriordb's means and standard deviations.
    for (j, mean, sd) in [(0, 0.290, 0.992), (4, -0.168, 0.928), (8, 4.411, 3.309)] {
        let (m, s) = moments(&fit, j);
        assert!((m - mean).abs() < 0.15 * sd && (s / sd - 1.0).abs() < 0.12, "{j}: {m} {s}");
    }
    // Mean-field cuts the tails of τ, and the verdict says so.
    assert_eq!(fit.verdict.level, VerdictLevel::Doubtful, "{:?}", fit.verdict);
    assert!(fit.verdict.reasons[0].contains("the mean of tau"), "{:?}", fit.verdict);
}

#[test]
fn eight_schools_come_out_right_by_every_gaussian_method() {
    let Some(reference) = crate::eight_schools::reference() else { return };
    for method in GAUSSIAN {
        let fit = fit_by(method, &Both::new(EightSchools), &Settings::default());
        assert_eq!(fit.verdict.level, VerdictLevel::Ok, "{method}: {:?}", fit.verdict);
        let ours = crate::eight_schools::moments(&fit.draws);
        for (truth, (mean, sd)) in reference.iter().zip(ours) {
            let (moved, ratio) = ((mean - truth.mean).abs() / truth.sd, sd / truth.sd);
            let name = &truth.name;
            assert!(moved < 0.1 && (ratio - 1.0).abs() < 0.1, "{method}, {name}: {moved} {ratio}");
        }
    }
}

/// Those whose draws are weighed.
const GAUSSIAN: [&str; 6] = ["mean-field", "full-rank", "low-rank", "laplace", "pathfinder", "bam"];

#[test]
fn cut_short_is_never_ok() {
    for iterations in [1, 2, 10, 50, 150] {
        let settings = Settings { iterations: Some(iterations), ..Settings::default() };
        let fit = fit(&conjugate(), &settings);
        assert!(fit.verdict.level > VerdictLevel::Ok, "{iterations}: {:?}", fit.verdict);
        assert!(fit.iterations <= iterations + 1, "{}", fit.iterations);
        assert!(fit.verdict.next.is_some());
    }
}

#[test]
fn same_seed_same_bits() {
    let density = Both::new(x_shaped());
    let with = |seed, threads| fit(&density, &Settings { seed, threads, ..Settings::default() });
    let (a, b, c) = (with(3, 1), with(3, 2), with(4, 1));
    assert_eq!((&a.draws, a.elbo, &a.verdict), (&b.draws, b.elbo, &b.verdict));
    assert_ne!(a.draws, c.draws);
}

/// Finite for positive `x` only: `log x − x`.
struct HalfLine;

impl LogDensity<f64> for HalfLine {
    fn dim(&self) -> usize {
        1
    }
    fn log_density(&self, z: &[f64], log_p: &mut [f64]) {
        log_p.iter_mut().zip(z).for_each(|(l, z)| *l = z.ln() - z);
    }
    fn score(&self, z: &[f64], log_p: &mut [f64], score: &mut [f64]) {
        self.log_density(z, log_p);
        score.iter_mut().zip(z).for_each(|(s, z)| *s = 1.0 / z - 1.0);
    }
    fn hvp(&self, residuals: &Residuals<f64>, v: &[f64], out: &mut [f64]) {
        for ((o, z), v) in out.iter_mut().zip(&residuals.points).zip(v) {
            *o = -v / (z * z);
        }
    }
    fn explain_non_finite(&self, z: &[f64]) -> Option<String> {
        (z[0] <= 0.0).then(|| "log of a negative number in line 7".to_owned())
    }
}

#[test]
fn bad_starts_are_survived_or_explained() {
    let density: Arc<dyn LogDensity<f64>> = Arc::new(HalfLine);
    let q = ppl::inference::gaussian::start_mean_field::<f64>(
        &density,
        &density,
        &ppl::inference::gaussian::Config::start_of(&Settings::default()),
        None,
        "half line",
        &mut Silent,
    );
    // Where some draws always fall outside, either outcome is honest; a panic or NaN is not.
    match q {
        Ok(q) => assert!(q.mean[0].is_finite() && q.sd[0] > 0.0),
        Err(e) => assert!(e.to_string().contains("line 7"), "{e}"),
    }
    let nowhere = Both::new(Points(Mixture::diagonal(&[f64::NAN], &[1.0])));
    let method = find("mean-field").unwrap();
    let error = method.fit(nowhere.target(), &Settings::default(), &mut Silent).unwrap_err();
    assert!(error.to_string().contains("not finite at any of 100"), "{error}");
}
