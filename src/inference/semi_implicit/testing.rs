//! What the tests of objectives share: a density whose Hessian varies, small networks on it, and comparisons
//! of gradients with differences and with a device's.

use std::sync::Arc;

use super::fit::{At, Objective, Setup, Steps};
use super::options::{Options, Reader};
use crate::density::{LogDensity, Residuals};
use crate::inference::bridge::Bridge;
use crate::inference::optimizer::Parameters;
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
    let target = (Bridge::new(&density), density);
    let setup = Setup::new(target, options, Deadline::never(), &mut parameters, &mut rng);
    (setup, parameters, rng)
}

/// Whether the loss's gradient is `factor` times that of the value it reports.
pub(super) fn gradient_agrees_with_differences<O: Steps<f64>>(words: &str, at: At, factor: f64) {
    let (objective, options) = parsed::<O>(&settings(words));
    let (setup, mut parameters, rng) = setup(&options);
    // The same noise every time.
    let value_and_grad = |parameters: &Parameters<f64>| {
        let state = &mut O::State::default();
        objective.value_and_grad(&setup, parameters, state, at, &mut rng.clone()).unwrap().unwrap()
    };
    let mut gradients = value_and_grad(&parameters).1;
    for handle in setup.family.handles() {
        let gradient = parameters.gradient(handle, &mut gradients);
        let start = parameters.values(handle);
        for i in 0..start.len() {
            let mut moved_by = |step: f64| {
                let mut moved = start.clone();
                moved[i] += step;
                parameters.set(handle, &moved);
                value_and_grad(&parameters).0
            };
            let difference = factor * (moved_by(1e-6) - moved_by(-1e-6)) / 2e-6;
            let error = (gradient[i] - difference).abs();
            assert!(error < 1e-6 * (1.0 + difference.abs()), "{} {difference}", gradient[i]);
            parameters.set(handle, &start);
        }
    }
}

pub(super) use on_device::{Probe, the_same_on_a_device};

#[cfg(test)]
mod on_device {
    use std::sync::Arc;

    use dfdx::prelude::{Cpu, PutTape};

    use super::super::family::Noise;
    use super::super::fit::{Objective, Setup};
    use super::super::options::{Options, Reader};
    use super::super::sivi_sm::SiviSm;
    use super::settings;
    use crate::data::{DataSet, Format};
    use crate::density::LogDensity;
    use crate::driver::Session;
    use crate::inference::affine::Coordinates;
    use crate::inference::backend::{Backend, Node, Normals, On, Pairs};
    use crate::inference::optimizer::Parameters;
    use crate::inference::tape::{Scalar, SharedTape, backward};
    use crate::inference::transport::Transport;
    use crate::inference::{Deadline, Device, Settings};
    use crate::random::stream;

    /// A loss at given noise.
    pub(in super::super) trait Probe {
        fn loss<B: Backend>(
            &self,
            setup: &Setup<'_, B>,
            parameters: &Parameters<B>,
            noise: [&Noise<B>; 2],
        ) -> Scalar<B>;
    }

    const MODEL: &str = "param x ~ normal(0.3, 1.2)\nparam y ~ normal(0.4 * x * x, exp(0.3 * x))\n";

    /// Whether value and all gradients of a loss on dfdx's CPU device are those of the fast path, at the same
    /// parameters and noise.
    pub(in super::super) fn the_same_on_a_device(words: &str, probe: &impl Probe) {
        let data = DataSet::from_bytes("data.json", Some(Format::Json), b"{}").unwrap();
        let mut session = Session::new();
        let model = session.check("model", MODEL).unwrap();
        let posterior = session.compile(&model, &data).unwrap();
        let device = Device::Tensors(posterior.source().unwrap());
        let settings = Settings { device, ..settings(words) };
        let density = posterior.target().f64;
        let found = losses::<On<f64, Cpu>>(probe, density, &settings);
        let expected = losses::<f64>(probe, density, &settings);
        let scale = expected.iter().flatten().fold(1.0, |m: f64, x| m.max(x.abs()));
        // dfdx has gradients of constants too.
        let constant = |gradient: &[f64]| gradient.iter().all(|g| *g == 0.0);
        let pairs = found.iter().zip(&expected).filter(|(_, e)| !constant(e));
        assert!(pairs.clone().count() > 4, "{words}");
        for (found, expected) in pairs {
            assert_eq!(found.len(), expected.len(), "{words}");
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-9 * scale, "{words}: {found} {expected}");
            }
        }
    }

    /// The value and all gradients.
    fn losses<B: Backend<Number = f64>>(
        probe: &impl Probe,
        density: &Arc<dyn LogDensity<f64>>,
        settings: &Settings,
    ) -> Vec<Vec<f64>> {
        let options = Options::new(&Reader::new(SiviSm::OPTIONS, settings), 2, 10.0).unwrap();
        let coordinates = Transport::from(Coordinates {
            shift: vec![0.2, -0.1],
            scale: vec![0.9, 1.3],
            mix: Some((vec![1.0, 0.3, -0.2, 0.9], (0.9_f64 + 0.06).ln())),
        });
        let mut rng = stream(5, "semi-implicit test");
        let mut parameters = Parameters::<B>::default();
        let bridge = B::bridge(density, settings, &coordinates).unwrap();
        let target = (bridge, coordinates.density(density));
        let setup = Setup::new(target, &options, Deadline::never(), &mut parameters, &mut rng);
        let mut draw = |columns| {
            let numbers = Normals::<f64>::draw(&mut rng, (6, columns), Pairs::Independent);
            let tensor = B::tensor(numbers.numbers(), (6, columns));
            B::Node::of(tensor.put_tape(SharedTape::off()))
        };
        let mut noise = || Noise { z: draw(2), xi: draw(2) };
        let loss = probe.loss(&setup, &parameters, [&noise(), &noise()]);
        let mut all = vec![loss.as_vec()];
        let mut gradients = backward(loss).unwrap();
        for handle in [setup.family.handles(), setup.critic.handles()].concat() {
            all.push(parameters.gradient(handle, &mut gradients));
        }
        all
    }
}
