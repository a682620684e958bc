//! The start of a chain, `q = N(μ, Σ)`: draws, density and its gradient on dfdx's tape.
//!
//! With `y = (z − μ)/σ` and a unit lower triangular `I + B`, `x = y (I + B)` is standard normal: the
//! Cholesky factor of the precision, of which a point's gradient takes two products and a draw one solve.
//! Without correlations `B = 0`. A chain runs in the coordinates `z` of the density, or in those of `x`, in
//! which the start is standard normal.

use dfdx::prelude::{Axis, BroadcastTo, HasShape, SumTo};

use super::chain::Handles;
use crate::inference::fused::{Second, Term, combine, product, solve_unit_lower};
use crate::inference::node::Node;
use crate::inference::optimizer::Parameters;
use crate::inference::tape::{Element, SharedTape, Vector};

/// The start of every chain.
pub(super) struct Start<E: Element> {
    /// `μ` and `σ`: `[1, D]`.
    mean: Node<E>,
    sd: Node<E>,
    /// `a` and `−a μ`: `[1, D]`, where `a` is `1/σ` with correlations and its square without.
    pull: [Node<E>; 2],
    correlations: Option<Correlations<E>>,
    log_sd: Vector<E>,
    /// Whether the chain's coordinates are those of `x`.
    standardized: bool,
}

/// What makes the coordinates of a start dependent.
struct Correlations<E: Element> {
    /// `B`, below the diagonal.
    mixing: Node<E>,
    /// `1/σ`: `[1, D]`.
    inverse_sd: Node<E>,
}

impl<E: Element> Start<E> {
    pub(super) fn new(
        handles: Handles,
        parameters: &Parameters<E>,
        d: usize,
        standardized: bool,
        tape: &SharedTape<E>,
    ) -> Self {
        let mean = parameters.matrix(handles.mu, (1, d), tape);
        let log_sd = parameters.matrix(handles.log_sd, (1, d), tape);
        let inverse_sd = log_sd.clone().negate().exp();
        let correlations = handles.mixing.map(|m| Correlations {
            mixing: Node::of(parameters.matrix(m, (d, d), tape).lower_tri(-1)),
            inverse_sd: Node::of(inverse_sd.clone()),
        });
        let slope = if correlations.is_some() { inverse_sd } else { inverse_sd.square() };
        let offset = (mean.clone() * slope.clone()).negate();
        Start {
            sd: Node::of(log_sd.exp()),
            pull: [slope, offset].map(Node::of),
            mean: Node::of(mean),
            correlations,
            log_sd: parameters.vector(handles.log_sd, tape),
            standardized,
        }
    }

    /// The chain's coordinates `[N, D]` of standard normals `ξ`.
    pub(super) fn begin(&self, xi: Node<E>) -> Node<E> {
        if self.standardized { xi } else { self.draw(xi) }
    }

    /// The points `z: [N, D]` of the chain's coordinates.
    pub(super) fn place(&self, coordinates: &Node<E>) -> Node<E> {
        if self.standardized { self.draw(coordinates.clone()) } else { coordinates.clone() }
    }

    /// Gradients with respect to `z`, as those with respect to the chain's coordinates: `[N, D]`.
    pub(super) fn pull_back(&self, gradient: Node<E>) -> Node<E> {
        if !self.standardized {
            return gradient;
        }
        let scaled = combine(gradient.shape(), &[Term::Scaled(&self.sd, 0, &gradient)]);
        match &self.correlations {
            None => scaled,
            Some(c) => solve_unit_lower(&scaled, &c.mixing, Second::Transposed),
        }
    }

    /// The points `z` of standard normals.
    fn draw(&self, xi: Node<E>) -> Node<E> {
        let y = match &self.correlations {
            None => xi,
            Some(c) => solve_unit_lower(&xi, &c.mixing, Second::Plain),
        };
        combine(y.shape(), &[Term::Offset(&self.mean, 0), Term::Scaled(&self.sd, 0, &y)])
    }

    /// `−log q` of the draws of standard normals `ξ`, less `½|ξ|²`: `[N]`.
    pub(super) fn minus_log_q(&self, n: usize) -> Vector<E> {
        let d = self.log_sd.shape().0;
        let half_log_2pi = 0.5 * (2.0 * std::f64::consts::PI).ln();
        let entropy = self.log_sd.clone().sum::<(), _>() + E::of(d as f64 * half_log_2pi);
        entropy.broadcast_like::<_, Axis<0>>(&(n,))
    }

    /// `−∇ log q` at each row of the chain's coordinates `z: [N, D]`.
    pub(super) fn pull(&self, z: &Node<E>) -> Node<E> {
        if self.standardized {
            return z.clone();
        }
        let shape = z.shape();
        let [slope, offset] = &self.pull;
        let y = combine(shape, &[Term::Scaled(slope, 0, z), Term::Offset(offset, 0)]);
        let Some(Correlations { mixing, inverse_sd }) = &self.correlations else { return y };
        let sum = |a: &Node<E>, b: &Node<E>| combine(shape, &[Term::Plain(a), Term::Plain(b)]);
        let x = sum(&y, &product(&y, mixing, Second::Plain));
        let whitened = sum(&x, &product(&x, mixing, Second::Transposed));
        combine(shape, &[Term::Scaled(inverse_sd, 0, &whitened)])
    }
}
