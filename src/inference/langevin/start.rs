//! The start of a chain, `q = N(μ, Σ)`: draws, density and its gradient on dfdx's tape.
//!
//! With `y = (z − μ)/σ` and a unit lower triangular `I + B`, `x = y (I + B)` is standard normal: the
//! Cholesky factor of the precision, of which a point's gradient takes two products and a draw one solve.
//! Without correlations `B = 0`.

use dfdx::prelude::{BroadcastTo, HasShape, PermuteTo, SumTo, TryMatMul};

use super::chain::Handles;
use crate::inference::fused::{Rows, Term, combine, solve_unit_lower};
use crate::inference::optimizer::Parameters;
use crate::inference::tape::{Element, Matrix, SharedTape, Vector};

/// The start of every chain.
pub(super) struct Start<E: Element> {
    /// `μ`, `σ`, `1/σ` and `−μ/σ`: `[1, D]`.
    mean: Rows<E>,
    sd: Rows<E>,
    inverse_sd: Rows<E>,
    minus_scaled_mean: Rows<E>,
    /// `B`, below the diagonal.
    mixing: Option<Matrix<E>>,
    log_sd: Vector<E>,
}

impl<E: Element> Start<E> {
    pub(super) fn new(
        handles: Handles,
        parameters: &Parameters<E>,
        d: usize,
        tape: &SharedTape<E>,
    ) -> Self {
        let mean = parameters.matrix(handles.mu, (1, d), tape);
        let log_sd = parameters.matrix(handles.log_sd, (1, d), tape);
        let inverse_sd = log_sd.clone().negate().exp();
        let mixing = handles.mixing.map(|m| parameters.matrix(m, (d, d), tape).lower_tri(-1));
        Start {
            sd: Rows::new(log_sd.exp()),
            minus_scaled_mean: Rows::new((mean.clone() * inverse_sd.clone()).negate()),
            inverse_sd: Rows::new(inverse_sd),
            mean: Rows::new(mean),
            mixing,
            log_sd: parameters.vector(handles.log_sd, tape),
        }
    }

    /// The points `[N, D]` of standard normals `ξ`.
    pub(super) fn draw(&self, xi: Matrix<E>) -> Matrix<E> {
        let y = match &self.mixing {
            None => xi,
            Some(mixing) => solve_unit_lower(xi, mixing.clone()),
        };
        combine(*y.shape(), &[Term::Offset(&self.mean, 0), Term::Scaled(&self.sd, 0, &y)])
    }

    /// `−log q` of the draws of standard normals `ξ`, less `½|ξ|²`: `[N]`.
    pub(super) fn minus_log_q(&self, n: usize) -> Vector<E> {
        let d = self.log_sd.shape().0;
        let half_log_2pi = 0.5 * (2.0 * std::f64::consts::PI).ln();
        let entropy = self.log_sd.clone().sum::<(), _>() + E::of(d as f64 * half_log_2pi);
        entropy.broadcast_like::<_, dfdx::prelude::Axis<0>>(&(n,))
    }

    /// `−∇ log q` at each row of `z: [N, D]`.
    pub(super) fn pull(&self, z: &Matrix<E>) -> Matrix<E> {
        let shape = *z.shape();
        let y = combine(
            shape,
            &[Term::Scaled(&self.inverse_sd, 0, z), Term::Offset(&self.minus_scaled_mean, 0)],
        );
        let whitened = match &self.mixing {
            None => y,
            Some(mixing) => {
                let x = y.clone().matmul(mixing.clone());
                let x = combine(shape, &[Term::Plain(&y), Term::Plain(&x)]);
                let back = x.clone().matmul(mixing.clone().permute());
                combine(shape, &[Term::Plain(&x), Term::Plain(&back)])
            }
        };
        combine(shape, &[Term::Scaled(&self.inverse_sd, 0, &whitened)])
    }
}
