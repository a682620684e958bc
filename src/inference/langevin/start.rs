//! The start of a chain, `q = N(μ, Σ)`: draws, density and its gradient on dfdx's tape.
//!
//! With `y = (z − μ)/σ` and a unit lower triangular `I + B`, `x = y (I + B)` is standard normal: the
//! Cholesky factor of the precision, of which a point's gradient takes two products and a draw one solve.
//! Without correlations `B = 0`. A chain runs in the coordinates `z` of the density, or in those of `x`, in
//! which the start is standard normal.

use dfdx::prelude::{Axis, BroadcastTo, HasShape, SumTo};

use super::chain::Handles;
use crate::inference::backend::{Backend, Node};
use crate::inference::fused::{Second, Term};
use crate::inference::optimizer::Parameters;
use crate::inference::tape::{Matrix, SharedTape, Vector};
use crate::real::Real;

/// The start of every chain.
pub(super) struct Start<B: Backend> {
    /// `μ` and `σ`, in every row: `[N, D]`, because loops over rows of few numbers are slow.
    mean: B::Node,
    sd: B::Node,
    /// `a` and `−a μ`, likewise, where `a` is `1/σ` with correlations and its square without.
    pull: [B::Node; 2],
    correlations: Option<Correlations<B>>,
    log_sd: Vector<B>,
    /// Whether the chain's coordinates are those of `x`.
    pub(super) standardized: bool,
}

/// What makes the coordinates of a start dependent.
struct Correlations<B: Backend> {
    /// `B`, below the diagonal.
    mixing: B::Node,
    /// `1/σ` in every row: `[N, D]`.
    inverse_sd: B::Node,
}

impl<B: Backend> Start<B> {
    pub(super) fn new(
        handles: Handles,
        parameters: &Parameters<B>,
        shape @ (_, d): (usize, usize),
        standardized: bool,
        tape: &SharedTape<B>,
    ) -> Self {
        let tiled = |row: Matrix<B>| B::combine(shape, &[Term::Offset(&B::Node::of(row), 0)]);
        let mean = parameters.matrix(handles.mu, (1, d), tape);
        let log_sd = parameters.matrix(handles.log_sd, (1, d), tape);
        let inverse_sd = log_sd.clone().negate().exp();
        let correlations = handles.mixing.map(|m| Correlations {
            mixing: B::Node::of(parameters.matrix(m, (d, d), tape).lower_tri(-1)),
            inverse_sd: tiled(inverse_sd.clone()),
        });
        let slope = if correlations.is_some() { inverse_sd } else { inverse_sd.square() };
        let offset = (mean.clone() * slope.clone()).negate();
        Start {
            sd: tiled(log_sd.exp()),
            pull: [slope, offset].map(tiled),
            mean: tiled(mean),
            correlations,
            log_sd: parameters.vector(handles.log_sd, tape),
            standardized,
        }
    }

    /// The chain's coordinates `[N, D]` of standard normals `ξ`.
    pub(super) fn begin(&self, xi: B::Node) -> B::Node {
        if self.standardized { xi } else { self.draw(xi) }
    }

    /// The points `z: [N, D]` of the chain's coordinates.
    pub(super) fn place(&self, coordinates: &B::Node) -> B::Node {
        if self.standardized { self.draw(coordinates.clone()) } else { coordinates.clone() }
    }

    /// Gradients with respect to `z`, as those with respect to the chain's coordinates: `[N, D]`.
    pub(super) fn pull_back(&self, gradient: B::Node) -> B::Node {
        if !self.standardized {
            return gradient;
        }
        let scaled = B::combine(gradient.shape(), &[Term::Product(&self.sd, &gradient)]);
        match &self.correlations {
            None => scaled,
            Some(c) => B::solve_unit_lower(&scaled, &c.mixing, Second::Transposed),
        }
    }

    /// The points `z` of standard normals.
    fn draw(&self, xi: B::Node) -> B::Node {
        let y = match &self.correlations {
            None => xi,
            Some(c) => B::solve_unit_lower(&xi, &c.mixing, Second::Plain),
        };
        B::combine(y.shape(), &[Term::Plain(&self.mean), Term::Product(&self.sd, &y)])
    }

    /// `−log q` of the draws of standard normals `ξ`, less `½|ξ|²`: `[N]`.
    pub(super) fn minus_log_q(&self, n: usize) -> Vector<B> {
        let d = self.log_sd.shape().0;
        let half_log_2pi = 0.5 * (2.0 * std::f64::consts::PI).ln();
        let entropy = self.log_sd.clone().sum::<(), _>() + B::Number::of(d as f64 * half_log_2pi);
        entropy.broadcast_like::<_, Axis<0>>(&(n,))
    }

    /// `−∇ log q` at each row of points `z: [N, D]`.
    pub(super) fn pull(&self, z: &B::Node) -> B::Node {
        let shape = z.shape();
        let [slope, offset] = &self.pull;
        let y = B::combine(shape, &[Term::Product(slope, z), Term::Plain(offset)]);
        let Some(Correlations { mixing, inverse_sd }) = &self.correlations else { return y };
        let sum = |a: &B::Node, b: &B::Node| B::combine(shape, &[Term::Plain(a), Term::Plain(b)]);
        let x = sum(&y, &B::product(&y, mixing, Second::Plain));
        let whitened = sum(&x, &B::product(&x, mixing, Second::Transposed));
        B::combine(shape, &[Term::Product(inverse_sd, &whitened)])
    }
}
