//! The directions along which the curvature of a density changes most.
//!
//! Under a standard normal `x`, a direction `w` changes the curvature by the matrix
//! `T_w = E[∂_w ∇² log p]`, whose size `|T_w|² = wᵀ G w` measures how much of a driver it is: where it
//! scales the width of `n` others by `exp(c)` each, `|T_w|² = 4 n c²`, and a Gaussian that holds the
//! widths fixed loses about `n c² = |T_w|² / 4` nats by that. The eigenvectors of `G` rank all directions;
//! coordinates play no part, nor does the order in which a model declares its parameters.

use faer::{Mat, Side};

use crate::density::{LogDensity, Residuals};
use crate::random::{fill_std_normal, stream};

/// Points over which the changes are averaged, and how far out they are, relative to draws of the start:
/// in its tails one point in ten may outweigh all others.
const POINTS: (usize, f64) = (8, 0.5);
/// Distance to either side over which a change is measured.
const SIDE: f64 = 0.5;
/// Random vectors that a change is multiplied with, to measure its size.
const PROBES: usize = 16;
/// Most drivers.
const MOST: usize = 3;
/// What a driver must be worth, in nats.
const WORTH: f64 = 0.005;
/// Its least share of all change, `tr G`: a single driver has a third, since what it drives has the other
/// two, and where every direction changes the curvature a bit (a logistic regression), none has much.
const SHARE: f64 = 0.1;
/// Its least share of what the first one changes.
const OF_FIRST: f64 = 0.25;

/// How many directions drive the others, and an orthogonal matrix `[D, D]` that has them as its first
/// columns; `None` where there are none.
///
/// Costs `256 D` Hessian-vector products and an eigendecomposition.
pub(super) fn drivers(density: &dyn LogDensity<f64>, seed: u64) -> Option<(usize, Vec<f64>)> {
    let d = density.dim();
    if d < 2 {
        return None;
    }
    let gram = changes(density, seed)?;
    let eigen = gram.self_adjoint_eigen(Side::Lower).ok()?;
    // In ascending order.
    let square = |k: usize| eigen.S()[d - 1 - k].max(0.0);
    let all: f64 = (0..d).map(square).sum();
    let least = (4.0 * WORTH).max(SHARE * all).max(OF_FIRST * square(0));
    let count = (0..MOST.min(d - 1)).take_while(|k| square(*k) >= least).count();
    let directions = (0..count).map(|k| (0..d).map(|i| eigen.U()[(i, d - 1 - k)]).collect());
    (count > 0).then(|| (count, rotation(directions, d)))
}

/// `G: [D, D]`; `None` when the curvature is not finite.
fn changes(density: &dyn LogDensity<f64>, seed: u64) -> Option<Mat<f64>> {
    let d = density.dim();
    let mut rng = stream(seed, "transport directions");
    let rows = 2 * PROBES;
    let mut score = vec![0.0; rows * d];
    let (mut residuals, mut products) = (Residuals::default(), vec![0.0; rows * d]);
    let mut gram = Mat::<f64>::zeros(d, d);
    for _ in 0..POINTS.0 {
        let (mut point, mut probes) = (vec![0.0_f64; d], vec![0.0_f64; PROBES * d]);
        fill_std_normal(&mut rng, &mut point);
        point.iter_mut().for_each(|x| *x *= POINTS.1);
        fill_std_normal(&mut rng, &mut probes);
        probes.iter_mut().for_each(|v| *v = v.signum());
        let probes = probes.repeat(2);
        // Row j: half the difference of the products a step to either side along coordinate j.
        let mut change = Mat::<f64>::zeros(d, PROBES * d);
        for j in 0..d {
            let side = |at: f64| {
                let mut x = point.clone();
                x[j] = at;
                x.repeat(PROBES)
            };
            let sides = [side(SIDE), side(-SIDE)].concat();
            density.score_keep(&sides, &mut score, &mut residuals);
            density.hvp(&residuals, &probes, &mut products);
            let (plus, minus) = products.split_at(PROBES * d);
            for (k, (p, m)) in plus.iter().zip(minus).enumerate() {
                change[(j, k)] = 0.5 * (p - m) / SIDE;
            }
        }
        gram += &change * change.transpose();
    }
    gram *= faer::Scale(1.0 / (POINTS.0 * PROBES) as f64);
    let finite = (0..d * d).all(|k| gram[(k / d, k % d)].is_finite());
    finite.then_some(gram)
}

/// An orthogonal matrix with these orthonormal first columns that turns the other coordinates as little
/// as it can: a reflection for each column.
fn rotation(directions: impl Iterator<Item = Vec<f64>>, d: usize) -> Vec<f64> {
    // Columns are basis vectors.
    let mut basis = Mat::<f64>::identity(d, d);
    for (k, direction) in directions.enumerate() {
        let along = |basis: &Mat<f64>| -> Vec<f64> {
            (0..d).map(|j| (0..d).map(|i| basis[(i, j)] * direction[i]).sum()).collect()
        };
        let parts = along(&basis);
        let nearest =
            (k..d).max_by(|a, b| parts[*a].abs().total_cmp(&parts[*b].abs())).unwrap_or(k);
        for i in 0..d {
            let (a, b) = (basis[(i, k)], basis[(i, nearest)]);
            (basis[(i, k)], basis[(i, nearest)]) = (b.copysign(b * parts[nearest]), a);
        }
        let mut normal = along(&basis);
        normal.iter_mut().for_each(|n| *n = -*n);
        normal[k] += 1.0;
        let square: f64 = normal.iter().map(|n| n * n).sum();
        if square < 1e-20 {
            continue;
        }
        for i in 0..d {
            let along: f64 = (0..d).map(|j| basis[(i, j)] * normal[j]).sum();
            for j in 0..d {
                basis[(i, j)] -= 2.0 * along * normal[j] / square;
            }
        }
    }
    (0..d * d).map(|k| basis[(k / d, k % d)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `b = a R` for a fixed orthogonal `R`, and `b_1 ~ N(0, 1)`, `b_i ~ N(0, exp(c b_1)²)`.
    struct Turned {
        rotation: Vec<f64>,
        strength: f64,
    }

    const D: usize = 6;

    impl Turned {
        fn turn(&self, x: &[f64]) -> Vec<f64> {
            (0..D).map(|j| (0..D).map(|i| x[i] * self.rotation[i * D + j]).sum()).collect()
        }
    }

    impl LogDensity<f64> for Turned {
        fn dim(&self) -> usize {
            D
        }
        fn log_density(&self, _: &[f64], log_p: &mut [f64]) {
            log_p.fill(0.0);
        }
        fn score(&self, _: &[f64], _: &mut [f64], score: &mut [f64]) {
            score.fill(0.0);
        }
        fn hvp(&self, at: &Residuals<f64>, v: &[f64], out: &mut [f64]) {
            for ((x, v), out) in
                at.points.chunks_exact(D).zip(v.chunks_exact(D)).zip(out.chunks_exact_mut(D))
            {
                let (b, v, c) = (self.turn(x), self.turn(v), self.strength);
                let w = (-2.0 * c * b[0]).exp();
                let squares: f64 = b[1..].iter().map(|b| b * b).sum();
                let along: f64 = b[1..].iter().zip(&v[1..]).map(|(b, v)| b * v).sum();
                let mut h = vec![-v[0] - 2.0 * c * c * w * squares * v[0] + 2.0 * c * w * along];
                h.extend((1..D).map(|i| 2.0 * c * w * b[i] * v[0] - w * v[i]));
                for (i, out) in out.iter_mut().enumerate() {
                    *out = (0..D).map(|j| self.rotation[i * D + j] * h[j]).sum();
                }
            }
        }
    }

    fn turned(strength: f64) -> Turned {
        let first = vec![0.6, 0.0, -0.48, 0.0, 0.64, 0.0];
        Turned { rotation: rotation(std::iter::once(first), D), strength }
    }

    #[test]
    fn the_scale_of_a_funnel_is_found_whichever_way_it_points() {
        let density = turned(0.4);
        let (_, found) = drivers(&density, 1).unwrap();
        // The first column of what was found, in the funnel's own coordinates.
        let first: Vec<f64> = (0..D).map(|i| found[i * D]).collect();
        let own = density.turn(&first);
        assert!(own[0].abs() > 0.95, "{own:?}");
    }

    #[test]
    fn a_gaussian_has_no_drivers() {
        assert_eq!(drivers(&turned(0.0), 1), None);
        assert_eq!(drivers(&turned(0.02), 1), None, "not worth it");
    }

    #[test]
    fn a_rotation_is_orthogonal_and_begins_with_its_directions() {
        let (a, b) = (vec![0.0, -0.8, 0.6, 0.0], vec![0.5, 0.3, 0.4, -0.5_f64.sqrt()]);
        let q = rotation([a.clone(), b.clone()].into_iter(), 4);
        let dot = |i: usize, j: usize| (0..4).map(|k| q[k * 4 + i] * q[k * 4 + j]).sum::<f64>();
        for i in 0..4 {
            for j in 0..4 {
                assert!((dot(i, j) - f64::from(i == j)).abs() < 1e-14, "{i} {j}");
            }
            assert!((q[i * 4] - a[i]).abs() < 1e-14 && (q[i * 4 + 1] - b[i]).abs() < 1e-14);
        }
    }
}
