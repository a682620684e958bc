//! The semi-implicit family `u = A z + μ(z) + σ ⊙ ξ` with `z` and `ξ` standard normal: its networks and
//! draws. Its density is in `marginal`.

use dfdx::prelude::{PutTape, ReshapeTo};
use rand::RngCore;

use crate::inference::InferenceError;
use crate::inference::fused::{Second, Term, combine, inner, product};
use crate::inference::mlp::ReluMlp;
use crate::inference::node::Node;
use crate::inference::optimizer::{Handle, Parameters};
use crate::inference::tape::{Element, Matrix, Pooled, SharedTape, backward, tensor};
use crate::random::fill_std_normal;

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
pub(super) struct Noise<E> {
    /// Mixing draws, `[B, m]`.
    pub(super) z: Vec<E>,
    /// Conditional noise, `[B, D]`.
    pub(super) xi: Vec<E>,
}

impl<E: Element> Noise<E> {
    /// Fresh noise for `batch` draws. Antithetic noise comes in pairs with the same `z` and opposite
    /// `ξ`, which takes the `1/σ` out of the variance of `E[f(u)ᵀ ξ/σ]`; each draw alone has the
    /// right distribution.
    pub(super) fn draw(
        family: &Family,
        batch: usize,
        antithetic: bool,
        rng: &mut impl RngCore,
    ) -> Noise<E> {
        let fresh = if antithetic { batch.div_ceil(2) } else { batch };
        let (mut z, mut xi) =
            (vec![E::zero(); fresh * family.latent], vec![E::zero(); fresh * family.dim]);
        fill_std_normal(rng, &mut z);
        fill_std_normal(rng, &mut xi);
        if antithetic {
            z.extend_from_within(..(batch - fresh) * family.latent);
            xi.extend_from_within(..(batch - fresh) * family.dim);
            xi[fresh * family.dim..].iter_mut().for_each(|x| *x = -*x);
        }
        Noise { z, xi }
    }
}

impl Family {
    /// A family with new parameters in `group`, close to the standard normal if it has a linear part.
    pub(super) fn new<E: Element>(
        dim: usize,
        settings: &FamilySettings,
        parameters: &mut Parameters<E>,
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
            let mut a = vec![E::zero(); latent * dim];
            if latent >= dim {
                (0..dim).for_each(|i| a[i * dim + i] = E::of(free.sqrt()));
            } else {
                fill_std_normal(rng, &mut a);
                let scale = E::of((free / dim as f64).sqrt());
                a.iter_mut().for_each(|a| *a *= scale);
            }
            parameters.add("linear", group, a)
        });
        let floor = settings.log_variance_floor.exp();
        let variance = settings.log_variance.exp() + free * (1.0 - covered);
        let excess = (variance - floor).max(0.1 * floor).max(1e-12);
        let rho = parameters.add("log_variance", group, vec![E::of(excess.ln()); dim]);
        Family { latent, dim, network, linear, rho, floor }
    }

    /// `μ(z) + A z` for `z: [B, m]`; the parameters are tracked by `tape`, and `z` by its own.
    fn centre<E: Element>(
        &self,
        parameters: &Parameters<E>,
        z: &Node<E>,
        tape: &SharedTape<E>,
    ) -> Node<E> {
        let network = self.network.forward(parameters, z, tape);
        let Some(a) = self.linear else { return network };
        let a = Node::of(parameters.matrix(a, (self.latent, self.dim), tape));
        let linear = product(z, &a, Second::Plain);
        combine(network.shape(), &[Term::Plain(&network), Term::Plain(&linear)])
    }

    /// `μ(z) + A z` for constants `z: [B, m]`.
    pub(super) fn centre_at<E: Element>(
        &self,
        parameters: &Parameters<E>,
        z: &[E],
        tape: &SharedTape<E>,
    ) -> Node<E> {
        let shape = (z.len() / self.latent, self.latent);
        self.centre(parameters, &Node::constant(Pooled::of(z), shape), tape)
    }

    /// `σ: [1, D]`, tracked by `tape`.
    pub(super) fn scale<E: Element>(
        &self,
        parameters: &Parameters<E>,
        tape: &SharedTape<E>,
    ) -> Matrix<E> {
        (parameters.matrix(self.rho, (1, self.dim), tape).exp() + E::of(self.floor)).sqrt()
    }

    /// Draws `u: [B, D]` and the negative conditional score `ξ/σ: [B, D]`, both tracked by `tape`.
    pub(super) fn sample<E: Element>(
        &self,
        parameters: &Parameters<E>,
        noise: &Noise<E>,
        tape: &SharedTape<E>,
    ) -> (Node<E>, Node<E>) {
        let centre = self.centre_at(parameters, &noise.z, tape);
        let shape = centre.shape();
        let xi = Node::constant(Pooled::of(&noise.xi), shape);
        let sigma = self.scale(parameters, tape);
        let (spread, precise) = (Node::of(sigma.clone()), Node::of(sigma.recip()));
        let u = combine(shape, &[Term::Plain(&centre), Term::Scaled(&spread, 0, &xi)]);
        (u, combine(shape, &[Term::Scaled(&precise, 0, &xi)]))
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
        let mut gradients = backward(inner(&tracked, &by).tensor().reshape_like(&()))?;
        let mut gradient: Vec<E> = z.iter().map(|z| -*z).collect();
        if let Ok(by_centre) = gradients.get_or_alloc_mut(&leaf) {
            gradient.iter_mut().zip(by_centre.iter()).for_each(|(g, c)| *g += *c);
        }
        Ok(Conditional { log, gradient, pull })
    }

    /// Draws `u: [B, D]` and `ξ/σ: [B, D]` as plain numbers.
    pub(super) fn values<E: Element>(
        &self,
        parameters: &Parameters<E>,
        noise: &Noise<E>,
    ) -> (Vec<E>, Vec<E>) {
        let (u, n) = self.sample(parameters, noise, &SharedTape::off());
        (u.numbers().to_vec(), n.numbers().to_vec())
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
        let layers = self.network.layers.iter().flat_map(|l| [l.weight, l.bias]);
        layers.chain(self.linear).chain([self.rho]).collect()
    }

    /// Dimension of the mixing variable.
    pub(super) fn latent(&self) -> usize {
        self.latent
    }

    /// The conditional standard deviations `σ: [D]`.
    pub(super) fn sigma<E: Element>(&self, parameters: &Parameters<E>) -> Vec<f64> {
        parameters.values(self.rho).iter().map(|r| (r.f64().exp() + self.floor).sqrt()).collect()
    }

    /// The centres `A z + μ(z): [B, D]` as plain numbers.
    pub(super) fn centres<E: Element>(&self, parameters: &Parameters<E>, z: &[E]) -> Vec<f64> {
        self.centre_at(parameters, z, &SharedTape::off())
            .numbers()
            .iter()
            .map(|x| x.f64())
            .collect()
    }
}
