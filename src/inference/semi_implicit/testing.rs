//! What the tests of objectives share: a density whose Hessian varies, small networks on it, and a
//! comparison of gradients with differences.

use std::sync::Arc;

use super::fit::{At, Objective, Setup};
use super::options::{Options, Reader};
use crate::density::{LogDensity, Residuals};
use crate::inference::optimizer::Parameters;
use crate::inference::tape::backward;
use crate::inference::{Deadline, Settings};
use crate::random::{Stream, stream};

/// `−¼ Σ (x_j − ½ x_{j+1})⁴`: a Hessian that varies, so that a wrong product shows.
pub(super) struct Quartic;

impl Quartic {
    fn gap(x: &[f64], j: usize) -> f64 {
        x[j] - 0.5 * x[(j + 1) % 3]
    }
}

impl LogDensity<f64> for Quartic {
    fn dim(&self) -> usize {
        3
    }
    fn log_density(&self, z: &[f64], log_p: &mut [f64]) {
        for (x, l) in z.chunks_exact(3).zip(log_p) {
            *l = (0..3).map(|j| -0.25 * Self::gap(x, j).powi(4)).sum();
        }
    }
    fn score(&self, z: &[f64], log_p: &mut [f64], score: &mut [f64]) {
        self.log_density(z, log_p);
        for (x, g) in z.chunks_exact(3).zip(score.chunks_exact_mut(3)) {
            for (j, g) in g.iter_mut().enumerate() {
                *g = -Self::gap(x, j).powi(3) + 0.5 * Self::gap(x, (j + 2) % 3).powi(3);
            }
        }
    }
    fn hvp(&self, keep: &Residuals<f64>, v: &[f64], out: &mut [f64]) {
        let rows = keep.points.chunks_exact(3).zip(v.chunks_exact(3));
        for ((x, v), o) in rows.zip(out.chunks_exact_mut(3)) {
            let change = |j: usize| 3.0 * Self::gap(x, j).powi(2) * Self::gap(v, j);
            for (j, o) in o.iter_mut().enumerate() {
                *o = -change(j) + 0.5 * change((j + 2) % 3);
            }
        }
    }
}

/// In the midst of annealing, with part of a residual.
pub(super) const AT: At = At { heat: 0.9, residual: 0.7 };

/// Small networks, and options given as `name=value` words.
pub(super) fn settings(words: &str) -> Settings {
    let mut settings = Settings::default();
    let small = "hidden=5 critic-hidden=6 grad-samples=6 latent=2";
    for (name, value) in
        format!("{small} {words}").split_whitespace().filter_map(|w| w.split_once('='))
    {
        settings.options.insert(name.into(), value.into());
    }
    settings
}

/// An objective and the options around it.
pub(super) fn parsed<O: Objective>(settings: &Settings) -> (O, Options) {
    let reader = Reader::new(O::OPTIONS, settings);
    (O::new(&reader).unwrap(), Options::new(&reader, 3, 10.0).unwrap())
}

pub(super) fn setup(options: &Options) -> (Setup<'_, f64>, Parameters<f64>, Stream) {
    let density: Arc<dyn LogDensity<f64>> = Arc::new(Quartic);
    let mut parameters = Parameters::default();
    let mut rng = stream(5, "semi-implicit test");
    let setup = Setup::new(&density, options, Deadline::never(), &mut parameters, &mut rng);
    (setup, parameters, rng)
}

/// Whether the loss's gradient is `factor` times that of the value it reports.
pub(super) fn gradient_agrees_with_differences<O: Objective>(words: &str, at: At, factor: f64) {
    let (objective, options) = parsed::<O>(&settings(words));
    let (setup, mut parameters, rng) = setup(&options);
    // The same noise every time.
    let loss = |parameters: &Parameters<f64>| {
        let state = &mut O::State::default();
        objective.loss(&setup, parameters, state, at, &mut rng.clone()).unwrap().descent.unwrap()
    };
    let mut gradients = backward(loss(&parameters).0).unwrap();
    for handle in setup.family.handles() {
        let gradient = parameters.gradient(handle, &mut gradients);
        let start = parameters.values(handle);
        for i in 0..start.len() {
            let mut moved_by = |step: f64| {
                let mut moved = start.clone();
                moved[i] += step;
                parameters.set(handle, &moved);
                loss(&parameters).1
            };
            let difference = factor * (moved_by(1e-6) - moved_by(-1e-6)) / 2e-6;
            let error = (gradient[i] - difference).abs();
            assert!(error < 1e-6 * (1.0 + difference.abs()), "{} {difference}", gradient[i]);
            parameters.set(handle, &start);
        }
    }
}
