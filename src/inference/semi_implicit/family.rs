//! The semi-implicit family `u = A z + μ(z) + σ ⊙ ξ` with `z` and `ξ` standard normal: its networks and
//! draws. Its density is in `marginal`.

use dfdx::prelude::PutTape;
use rand::RngCore;

use crate::inference::InferenceError;
use crate::inference::backend::{Backend, Node as _, Normals, Pairs, along};
use crate::inference::fused::{Second, Term};
use crate::inference::mlp::ReluMlp;
use crate::inference::node::Node;
use crate::inference::optimizer::{Handle, Parameters};
use crate::inference::tape::{Element, Matrix, Pooled, SharedTape, backward, tensor};
use crate::random::fill_std_normal;
use crate::real::Real;

/// Sizes and starting values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FamilySettings {
    /// Dimension `m` of the mixing variable `z`.
    pub(super) latent: usize,
    /// Widths of the hidden layers of `μ`.
    pub(super) hidden: Vec<usize>,
    /// Whether there is a linear part `A z`.
    pub(super) linear: bool,
    /// Logarithm of `σ²` at the start.
    pub(super) log_variance: f64,
    /// Smooth lower bound of `log σ²`.
    pub(super) log_variance_floor: f64,
}

/// The family; its parameters live in a [`Parameters`].
#[derive(Debug, Clone)]
pub(super) struct Family {
    latent: usize,
    dim: usize,
    network: ReluMlp,
    linear: Option<Handle>,
    /// `ρ`, with `σ² = floor + exp ρ`: unlike a clamp this always has a gradient.
    rho: Handle,
    floor: f64,
}

/// What draws say about their mixing variables; see [`Family::conditional`].
#[derive(Debug, Clone)]
pub(super) struct Conditional<E> {
    /// Log density of `z` given `u` up to a constant, `[B]`.
    pub(super) log: Vec<E>,
    /// Its gradient by `z`, `[B, m]`.
    pub(super) gradient: Vec<E>,
    /// `(u − centre(z)) / σ²`, the negative conditional score, `[B, D]`.
    pub(super) pull: Vec<E>,
}

/// One batch of standard normal noise.
#[derive(Debug, Clone)]
pub(super) struct Noise<B: Backend> {
    /// Mixing draws, `[B, m]`.
    pub(super) z: B::Node,
    /// Conditional noise, `[B, D]`.
    pub(super) xi: B::Node,
}

impl<B: Backend> Noise<B> {
    /// Fresh noise for `batch` draws. Antithetic noise comes in pairs with the same `z` and opposite
    /// `ξ`, which takes the `1/σ` out of the variance of `E[f(u)ᵀ ξ/σ]`; each draw alone has the
    /// right distribution.
    pub(super) fn draw(
        family: &Family,
        batch: usize,
        antithetic: bool,
        normals: &mut B::Normals,
    ) -> Self {
        let (equal, opposite) = match antithetic {
            true => (Pairs::Equal, Pairs::Opposite),
            false => (Pairs::Independent, Pairs::Independent),
        };
        let z = normals.draw((batch, family.latent), equal);
        Noise { z, xi: normals.draw((batch, family.dim), opposite) }
    }
}

impl Family {
    /// A family with new parameters in `group`, close to the standard normal if it has a linear part.
    pub(super) fn new<B: Backend>(
        dim: usize,
        settings: &FamilySettings,
        parameters: &mut Parameters<B>,
        group: usize,
        rng: &mut impl RngCore,
    ) -> Family {
        let latent = settings.latent;
        let sizes: Vec<usize> = std::iter::once(latent)
            .chain(settings.hidden.iter().copied())
            .chain(std::iter::once(dim))
            .collect();
        let network = ReluMlp::new(parameters, group, &sizes, rng);
        // Variance that σ leaves free is the mixing variables'. Where they are fewer than dimensions, each
        // takes it in one direction, and the rest of it goes to σ. There the network moves all
        // coordinates by the same few numbers at once, so each of them by less.
        let free =
            if settings.linear { (1.0 - settings.log_variance.exp()).max(0.01) } else { 0.0 };
        let covered = (latent as f64 / dim as f64).min(1.0);
        if settings.linear && latent < dim {
            network.shrink(parameters, (dim as f64).sqrt().recip());
        }
        let linear = settings.linear.then(|| {
            let mut a = vec![B::Number::of(0.0); latent * dim];
            if latent >= dim {
                (0..dim).for_each(|i| a[i * dim + i] = Real::of(free.sqrt()));
            } else {
                fill_std_normal(rng, &mut a);
                let scale = B::Number::of((free / dim as f64).sqrt());
                a.iter_mut().for_each(|a| *a *= scale);
            }
            parameters.add("linear", group, a)
        });
        let floor = settings.log_variance_floor.exp();
        let variance = settings.log_variance.exp() + free * (1.0 - covered);
        let excess = (variance - floor).max(0.1 * floor).max(1e-12);
        let rho = parameters.add("log_variance", group, vec![Real::of(excess.ln()); dim]);
        Family { latent, dim, network, linear, rho, floor }
    }

    /// `μ(z) + A z` for `z: [B, m]`; the parameters are tracked by `tape`, and `z` by its own.
    pub(super) fn centre<B: Backend>(
        &self,
        parameters: &Parameters<B>,
        z: &B::Node,
        tape: &SharedTape<B>,
    ) -> B::Node {
        let network = self.network.forward(parameters, z, tape);
        let Some(a) = self.linear else { return network };
        let a = B::trained(parameters, a, (self.latent, self.dim), tape);
        let linear = B::product(z, &a, Second::Plain);
        B::combine(network.shape(), &[Term::Plain(&network), Term::Plain(&linear)])
    }

    /// `σ: [1, D]`, tracked by `tape`.
    pub(super) fn scale<B: Backend>(
        &self,
        parameters: &Parameters<B>,
        tape: &SharedTape<B>,
    ) -> Matrix<B> {
        let rho = parameters.matrix(self.rho, (1, self.dim), tape);
        (rho.exp() + B::Number::of(self.floor)).sqrt()
    }

    /// Draws `u: [B, D]` and the negative conditional score `ξ/σ: [B, D]`, both tracked by `tape`.
    pub(super) fn sample<B: Backend>(
        &self,
        parameters: &Parameters<B>,
        noise: &Noise<B>,
        tape: &SharedTape<B>,
    ) -> (B::Node, B::Node) {
        let centre = self.centre(parameters, &noise.z, tape);
        let shape = centre.shape();
        let sigma = self.scale(parameters, tape);
        let (spread, precise) = (B::Node::of(sigma.clone()), B::Node::of(sigma.recip()));
        let u = B::combine(shape, &[Term::Plain(&centre), Term::Scaled(&spread, 0, &noise.xi)]);
        (u, B::combine(shape, &[Term::Scaled(&precise, 0, &noise.xi)]))
    }

    /// What `u: [B, D]` says about `z: [B, m]`, up to a constant: `log N(z; 0, I) N(u; centre(z), σ²)`,
    /// its gradient by `z`, and the negative conditional score.
    pub(super) fn conditional<E: Element>(
        &self,
        parameters: &Parameters<E>,
        u: &[E],
        z: &[E],
    ) -> Result<Conditional<E>, InferenceError> {
        let precision: Vec<E> = self.sigma(parameters).iter().map(|s| E::of(s.powi(-2))).collect();
        let leaf = tensor(z, (z.len() / self.latent, self.latent));
        let input = Node::of(leaf.clone().put_tape(SharedTape::recording()));
        let tracked = self.centre(parameters, &input, &SharedTape::off());
        let centre = tracked.numbers();
        let mut pull = vec![E::zero(); centre.len()];
        let mut log = Vec::with_capacity(z.len() / self.latent);
        let half = E::of(0.5);
        let rows = z.chunks_exact(self.latent).zip(u.chunks_exact(self.dim));
        let centres = centre.chunks_exact(self.dim).zip(pull.chunks_exact_mut(self.dim));
        for ((z, u), (c, pull)) in rows.zip(centres) {
            let mut sum: E = z.iter().map(|z| *z * *z).sum();
            for (((u, c), p), pull) in u.iter().zip(c).zip(&precision).zip(pull) {
                *pull = (*u - *c) * *p;
                sum += (*u - *c) * *pull;
            }
            log.push(-half * sum);
        }
        let by = Node::constant(Pooled::of(&pull), tracked.shape());
        let mut gradients = backward(along::<E>(&tracked, &by))?;
        let mut gradient: Vec<E> = z.iter().map(|z| -*z).collect();
        if let Ok(by_centre) = gradients.get_or_alloc_mut(&leaf) {
            gradient.iter_mut().zip(by_centre.iter()).for_each(|(g, c)| *g += *c);
        }
        Ok(Conditional { log, gradient, pull })
    }

    /// Sets the network's last layer to zero, which leaves a Gaussian.
    #[cfg(test)]
    pub(super) fn silence<E: Element>(&self, parameters: &mut Parameters<E>) {
        if let Some(last) = self.network.layers.last() {
            parameters.set(last.weight, &vec![E::zero(); last.shape.0 * last.shape.1]);
            parameters.set(last.bias, &vec![E::zero(); last.shape.1]);
        }
    }

    /// Handles of all parameters.
    #[cfg(test)]
    pub(super) fn handles(&self) -> Vec<Handle> {
        self.network.handles().chain(self.linear).chain([self.rho]).collect()
    }

    /// Dimension of the mixing variable.
    pub(super) fn latent(&self) -> usize {
        self.latent
    }

    /// The conditional standard deviations `σ: [D]`.
    pub(super) fn sigma<B: Backend>(&self, parameters: &Parameters<B>) -> Vec<f64> {
        parameters.values(self.rho).iter().map(|r| (r.f64().exp() + self.floor).sqrt()).collect()
    }

    /// The centres `A z + μ(z): [B, D]` as plain numbers.
    pub(super) fn centres<E: Element>(&self, parameters: &Parameters<E>, z: &[E]) -> Vec<f64> {
        let z = Node::constant(Pooled::of(z), (z.len() / self.latent, self.latent));
        let centres = self.centre(parameters, &z, &SharedTape::off());
        centres.numbers().iter().map(|x| x.f64()).collect()
    }
}
