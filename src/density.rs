//! The one door between a model and the inference methods: an unnormalised log density on `R^D`.
//!
//! Points come in batches, `[B, D]` row-major. A value that is NaN or infinite is returned as such;
//! the methods decide what to do about it.

use crate::real::Real;

/// What a score evaluation keeps for the Hessian-vector products that follow it.
///
/// Opaque to its users: made by [`LogDensity::score_keep`], read by [`LogDensity::hvp`] of the same
/// density. Reuse one across iterations so that nothing is allocated.
#[derive(Debug, Clone, Default)]
pub struct Residuals<E> {
    /// Points of the batch that was evaluated, `[B, D]`.
    pub points: Vec<E>,
    /// Whatever else the density wants to remember; the layout is its own.
    pub saved: Vec<E>,
    /// What the density that this one is a view of keeps, where it is one: of all points, or of one
    /// stretch of them after the other.
    pub inner: Vec<Residuals<E>>,
}

/// Named numbers of `S` points.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalars {
    /// A name for each of the `P` numbers.
    pub names: Vec<String>,
    /// `[S, P]`.
    pub values: Vec<f64>,
}

/// The part of the data that a subsampled density sees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Part<'a> {
    /// One part, as large as is affordable: for what must not change from one evaluation to the next.
    Large,
    /// A fresh random part, the same for the same number; after [`Whole`](Self::Whole) corrected to
    /// value and gradient of all of the data at its point.
    Fresh(u64),
    /// All of it, for values near the point `[D]`; may be an estimate (see
    /// [`estimate`](LogDensity::estimate)) that is exact at that point.
    Whole(&'a [f64]),
}

/// A differentiable log density `log p` on `R^D`, evaluated for `B` points at once.
///
/// Lengths: `z`, `score`, `v` and `out` are `[B, D]` row-major, `log_p` is `[B]`.
pub trait LogDensity<E: Real>: Send + Sync {
    /// The dimension `D` of the unconstrained space.
    fn dim(&self) -> usize;

    /// `log p(z_b)` for each point, in nats.
    fn log_density(&self, z: &[E], log_p: &mut [E]);

    /// `log p(z_b)` and `∇ log p(z_b)` for each point.
    fn score(&self, z: &[E], log_p: &mut [E], score: &mut [E]);

    /// `∇ log p(z_b)` for each point; keeps what [`hvp`](Self::hvp) needs at these points.
    fn score_keep(&self, z: &[E], score: &mut [E], keep: &mut Residuals<E>) {
        keep.points.clear();
        keep.points.extend_from_slice(z);
        self.score(z, &mut vec![E::zero(); z.len() / self.dim()], score);
    }

    /// `out_b = ∇² log p(z_b) v_b` at the points that `residuals` was kept for.
    fn hvp(&self, residuals: &Residuals<E>, v: &[E], out: &mut [E]);

    /// From now on sees that part of the data; a density that is not subsampled always sees all.
    fn see(&self, _part: Part<'_>) {}

    /// A sentence about how its values are estimated, if they are not exact.
    fn estimate(&self) -> Option<String> {
        None
    }

    /// What people call coordinate `index` (from 0) of the unconstrained space.
    fn coordinate_name(&self, index: usize) -> String {
        format!("unconstrained coordinate {}", index + 1)
    }

    /// What people read of the points `z: [S, D]`: the model's parameters as it declares them.
    fn parameters(&self, z: &[E]) -> Scalars {
        Scalars {
            names: (0..self.dim()).map(|j| self.coordinate_name(j)).collect(),
            values: z.iter().map(|x| x.f64()).collect(),
        }
    }

    /// Names where in the model a non-finite value at the point `z: [D]` first arose, if it knows.
    fn explain_non_finite(&self, _z: &[E]) -> Option<String> {
        None
    }
}
