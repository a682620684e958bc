//! Numerical methods on plain `f64` arrays: what the solver and matrix operations of both executors run.
//!
//! | file | what |
//! |---|---|
//! | `runge_kutta` | initial value problems: an explicit method of order 8 |
//! | `radau` | stiff ones: an implicit method of order 5 |
//! | `quadrature` | integrals |
//! | `newton` | roots of systems of equations |
//! | `increasing` | the root of an increasing function |
//! | `lu` | linear systems, real and complex |
//! | `eigen` | eigenvalues of symmetric matrices |
//! | `expm` | the matrix exponential |
//!
//! One problem at a time, or several in lanes: the steps of one point do not depend on its neighbours in a
//! batch.

pub(super) mod eigen;
pub(super) mod expm;
pub(super) mod increasing;
pub(super) mod lu;
pub(super) mod newton;
pub(super) mod quadrature;
pub(super) mod radau;
pub(super) mod runge_kutta;

use crate::ir::{Method, Tolerance};

/// An initial value problem `y' = f(t, y)` in numbers.
pub(super) trait System {
    /// `f(t, y)`.
    fn slope(&mut self, t: f64, y: &[f64], out: &mut [f64]);
    /// `∂f/∂y` of the first block of states, row by row; its size is that of `out`.
    fn jacobian(&mut self, t: f64, y: &[f64], out: &mut [f64]);
}

/// Which solver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Explicit,
    /// With the Jacobian of blocks of that size.
    Implicit {
        block: usize,
    },
    Quadrature,
}

impl Way {
    pub(super) fn of(method: &Method) -> Self {
        match method {
            Method::Explicit => Way::Explicit,
            Method::Implicit { jacobian } => Way::Implicit { block: jacobian.inputs[1].ty.len() },
            Method::Quadrature => Way::Quadrature,
        }
    }
}

/// Solves by one of the ways that take one problem at a time, from `y` at time 0 to each of `times`; row
/// `i` of `out` is the state then, NaN from where the solver fails.
///
/// # Panics
/// For the explicit way: see [`runge_kutta`].
pub(super) fn solve(
    system: &mut dyn System,
    way: Way,
    y: &mut [f64],
    times: &[f64],
    tolerance: Tolerance,
    out: &mut [f64],
) {
    let n = y.len();
    out.fill(f64::NAN);
    let mut rows = out.chunks_exact_mut(n.max(1));
    let mut reached = |y: &[f64]| {
        if let Some(row) = rows.next() {
            row.copy_from_slice(y);
        }
    };
    match way {
        Way::Explicit => unreachable!("bug in ppl: problems of this way are solved in lanes"),
        Way::Implicit { block } => radau::solve(system, block, y, times, tolerance, &mut reached),
        Way::Quadrature => quadrature::solve(system, y, times, tolerance, &mut reached),
    }
}

/// The largest component of `error`, each in units of what is allowed at `y` and `new`; infinite when
/// anything is not finite. Of several problems, one a lane.
#[allow(clippy::needless_range_loop, reason = "loops over lanes have constant bounds")]
#[inline(always)]
fn error_norms<const W: usize>(
    error: &[[f64; W]],
    y: &[[f64; W]],
    new: &[[f64; W]],
    tolerance: Tolerance,
) -> [f64; W] {
    let mut norms = [0.0_f64; W];
    for ((e, a), b) in error.iter().zip(y).zip(new) {
        for lane in 0..W {
            let size = if a[lane].abs() > b[lane].abs() { a[lane].abs() } else { b[lane].abs() };
            let ratio = e[lane].abs() / (tolerance.absolute + tolerance.relative * size);
            let finite = ratio < f64::INFINITY && b[lane].abs() < f64::INFINITY;
            let ratio = if finite { ratio } else { f64::INFINITY };
            norms[lane] = if ratio > norms[lane] { ratio } else { norms[lane] };
        }
    }
    norms
}

/// The same of one problem.
fn error_norm(error: &[f64], y: &[f64], new: &[f64], tolerance: Tolerance) -> f64 {
    let [error, y, new] = [error, y, new].map(|x| x.as_chunks::<1>().0);
    error_norms(error, y, new, tolerance)[0]
}

/// A first step, from the sizes of the state, its slope and the change of the slope
/// [hairer1993, sec. II.4].
fn first_step(
    system: &mut dyn System,
    (t, span): (f64, f64),
    y: &[f64],
    slope: &[f64],
    order: f64,
    tolerance: Tolerance,
) -> f64 {
    let size = |x: &[f64]| error_norm(x, y, y, tolerance);
    let (d0, d1) = (size(y), size(slope));
    let guess = if d0 < 1e-5 || d1 < 1e-5 { 1e-6 } else { 0.01 * d0 / d1 };
    let guess = if guess.is_finite() { guess.min(span.abs()) } else { 1e-6 };
    let h = guess.copysign(span);
    let ahead: Vec<f64> = y.iter().zip(slope).map(|(y, f)| y + h * f).collect();
    let mut later = vec![0.0; y.len()];
    system.slope(t + h, &ahead, &mut later);
    let change: Vec<f64> = later.iter().zip(slope).map(|(a, b)| a - b).collect();
    let d2 = size(&change) / guess;
    let steepest = d1.max(d2);
    let next = if steepest <= 1e-15 {
        (guess * 1e-3).max(1e-6)
    } else {
        (0.01 / steepest).powf(1.0 / (order + 1.0))
    };
    (100.0 * guess).min(if next > 0.0 { next } else { guess }).min(span.abs())
}

/// The step to take when `h` is wanted and `left` is left: two equal last steps rather than a long and a
/// tiny one.
fn next_step(h: f64, left: f64) -> f64 {
    if h >= left * (1.0 - 1e-12) {
        left
    } else if 2.0 * h > left {
        0.5 * left
    } else {
        h
    }
}

/// The shortest step that makes sense at time `t`.
fn least_step(t: f64) -> f64 {
    10.0 * f64::EPSILON * t.abs().max(f64::MIN_POSITIVE / f64::EPSILON)
}
