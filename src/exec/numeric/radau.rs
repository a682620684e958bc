//! The implicit Runge–Kutta method Radau IIA of order 5, for stiff problems.
//!
//! Reference: [hairer1996, sec. IV.8]. The stages are found by simplified Newton iterations with the
//! Jacobian of one block of states. A problem with sensitivities is several blocks that all have this
//! Jacobian on their diagonal and depend on earlier ones besides, so the iterations converge for it as
//! fast as for the block alone, and matrices stay small [hindmarsh2005, sec. 2.4].

use crate::ir::Tolerance;

use super::lu::{Complex, Lu};
use super::{System, error_norm, first_step, least_step, next_step};

const S6: f64 = 2.449_489_742_783_178;
/// Times of the stages, in steps.
const C: [f64; 3] = [(4.0 - S6) / 10.0, (4.0 + S6) / 10.0, 1.0];
/// Weights of the stages in the error estimate.
const E: [f64; 3] = [(-13.0 - 7.0 * S6) / 3.0, (-13.0 + 7.0 * S6) / 3.0, -1.0 / 3.0];
/// Eigenvalues of the inverse of the coefficient matrix: a real one and a pair.
const MU: f64 = 3.637_834_252_744_496;
const MU_PAIR: Complex = Complex(2.681_082_873_627_752_3, -3.050_430_199_247_410_5);
/// Its eigenvectors in real form, and their inverse.
const T: [[f64; 3]; 3] = [
    [0.094_438_762_488_975_24, -0.141_255_295_020_954_2, 0.030_029_194_105_147_42],
    [0.250_213_122_965_333_3, 0.204_129_352_293_799_94, -0.382_942_112_757_261_9],
    [1.0, 1.0, 0.0],
];
const TI: [[f64; 3]; 3] = [
    [4.178_718_591_551_904, 0.327_682_820_761_062_37, 0.523_376_445_499_449_5],
    [-4.178_718_591_551_904, -0.327_682_820_761_062_37, 0.476_623_554_500_550_44],
    [0.502_872_634_945_786_8, -2.571_926_949_855_605, 0.596_039_204_828_224_9],
];

const MOST_ITERATIONS: usize = 8;

/// Factors of `mu/h − J` for both eigenvalues.
struct Factors {
    real: Lu<f64>,
    pair: Lu<Complex>,
    step: f64,
}

impl Factors {
    fn new(jacobian: &[f64], m: usize, h: f64) -> Self {
        let on = |k: usize| k / m == k % m;
        let shift = |k: usize, x: f64| if on(k) { x } else { 0.0 };
        let real = (0..m * m).map(|k| shift(k, MU / h) - jacobian[k]).collect();
        let pair = (0..m * m)
            .map(|k| Complex(shift(k, MU_PAIR.0 / h) - jacobian[k], shift(k, MU_PAIR.1 / h)))
            .collect();
        Factors { real: Lu::new(real, m), pair: Lu::new(pair, m), step: h }
    }
}

/// Stages `Z`, of which `y + Z[i]` are the states, and the same in the basis of eigenvectors.
struct Stages {
    z: [Vec<f64>; 3],
    w: [Vec<f64>; 3],
    slopes: [Vec<f64>; 3],
    state: Vec<f64>,
}

impl Stages {
    fn new(n: usize) -> Self {
        let zeros = || [vec![0.0; n], vec![0.0; n], vec![0.0; n]];
        Stages { z: zeros(), w: zeros(), slopes: zeros(), state: vec![0.0; n] }
    }

    /// Starts from the stages `z`.
    fn start(&mut self) {
        for (k, row) in TI.iter().enumerate() {
            combine(row, &self.z, &mut self.w[k]);
        }
    }

    /// Solves for the stages; the number of iterations, and how much each shrinks the error, if they
    /// converge.
    fn iterate(
        &mut self,
        system: &mut dyn System,
        (t, y): (f64, &[f64]),
        factors: &Factors,
        m: usize,
        tolerance: Tolerance,
    ) -> Option<(usize, f64)> {
        let h = factors.step;
        let enough =
            (10.0 * f64::EPSILON / tolerance.relative).max(0.03_f64.min(tolerance.relative.sqrt()));
        let mut before: Option<f64> = None;
        let mut change = [vec![0.0; y.len()], vec![0.0; y.len()], vec![0.0; y.len()]];
        let mut pair = vec![Complex(0.0, 0.0); m];
        for k in 0..MOST_ITERATIONS {
            for (i, c) in C.iter().enumerate() {
                for ((s, y), z) in self.state.iter_mut().zip(y).zip(&self.z[i]) {
                    *s = y + z;
                }
                system.slope(t + c * h, &self.state, &mut self.slopes[i]);
            }
            for (row, change) in TI.iter().zip(&mut change) {
                combine(row, &self.slopes, change);
            }
            let [real, re, im] = &mut change;
            for (i, x) in real.iter_mut().enumerate() {
                *x -= MU / h * self.w[0][i];
                let shift =
                    Complex(MU_PAIR.0 / h, MU_PAIR.1 / h) * Complex(self.w[1][i], self.w[2][i]);
                re[i] -= shift.0;
                im[i] -= shift.1;
            }
            for start in (0..y.len()).step_by(m) {
                factors.real.solve(&mut real[start..start + m]);
                for (i, x) in pair.iter_mut().enumerate() {
                    *x = Complex(re[start + i], im[start + i]);
                }
                factors.pair.solve(&mut pair);
                for (i, x) in pair.iter().enumerate() {
                    (re[start + i], im[start + i]) = (x.0, x.1);
                }
            }
            let norm = change.iter().map(|c| error_norm(c, y, y, tolerance)).fold(0.0, f64::max);
            if !norm.is_finite() {
                return None;
            }
            let rate = before.map(|before| norm / before);
            let left = i32::try_from(MOST_ITERATIONS - k).unwrap_or(i32::MAX);
            if rate.is_some_and(|r| r >= 1.0 || r.powi(left) / (1.0 - r) * norm > enough) && k > 2 {
                return None;
            }
            for (w, change) in self.w.iter_mut().zip(&change) {
                for (w, d) in w.iter_mut().zip(change) {
                    *w += d;
                }
            }
            for (row, z) in T.iter().zip(&mut self.z) {
                combine(row, &self.w, z);
            }
            if norm == 0.0 || rate.is_some_and(|r| r < 1.0 && r / (1.0 - r) * norm < enough) {
                return Some((k + 1, rate.unwrap_or(0.0)));
            }
            before = Some(norm);
        }
        None
    }
}

fn combine(weights: &[f64; 3], parts: &[Vec<f64>; 3], out: &mut [f64]) {
    for (i, x) in out.iter_mut().enumerate() {
        *x = weights[0] * parts[0][i] + weights[1] * parts[1][i] + weights[2] * parts[2][i];
    }
}

/// Calls `reached` with the state at each of `times`, until a step fails; `m` states make a block.
pub(super) fn solve(
    system: &mut dyn System,
    m: usize,
    y: &mut [f64],
    times: &[f64],
    tolerance: Tolerance,
    reached: &mut dyn FnMut(&[f64]),
) {
    let n = y.len();
    let mut slope = vec![0.0; n];
    let (mut error, mut new, mut jacobian) = (vec![0.0; n], vec![0.0; n], vec![0.0; m * m]);
    let mut stages = Stages::new(n);
    // The last accepted step and its stages, to guess the next ones from.
    let mut last: Option<(f64, [Vec<f64>; 3])> = None;
    let (mut t, mut wanted): (f64, Option<f64>) = (0.0, None);
    let mut fresh = false;
    for &end in times {
        if !end.is_finite() {
            return;
        }
        if end != t && wanted.is_none() {
            system.slope(t, y, &mut slope);
            system.jacobian(t, y, &mut jacobian);
            fresh = true;
            wanted = Some(first_step(system, (t, end - t), y, &slope, 3.0, tolerance));
        }
        let mut h = wanted.unwrap_or(0.0);
        let (mut steps, mut rejected) = (0, false);
        while t != end {
            let left = (end - t).abs();
            if steps == tolerance.most_steps || h.is_nan() || h < least_step(t).min(left) {
                return;
            }
            steps += 1;
            let size = next_step(h, left);
            let whole = size == left;
            let step = size.copysign(end - t);
            guess(&mut stages, last.as_ref(), step);
            let factors = Factors::new(&jacobian, m, step);
            let Some((iterations, rate)) = stages.iterate(system, (t, y), &factors, m, tolerance)
            else {
                if fresh {
                    h = 0.5 * size;
                } else {
                    system.jacobian(t, y, &mut jacobian);
                    fresh = true;
                }
                continue;
            };
            for ((new, y), z) in new.iter_mut().zip(&*y).zip(&stages.z[2]) {
                *new = y + z;
            }
            let estimate = |from: &[f64], error: &mut [f64]| {
                combine(&E, &stages.z, error);
                for (e, f) in error.iter_mut().zip(from) {
                    *e = f + *e / step;
                }
                for block in error.chunks_exact_mut(m.max(1)) {
                    factors.real.solve(block);
                }
            };
            estimate(&slope, &mut error);
            let mut norm = error_norm(&error, y, &new, tolerance);
            if norm > 1.0 && (rejected || last.is_none()) {
                // Filtered once more: the first estimate exaggerates stiff components.
                let moved: Vec<f64> = y.iter().zip(&error).map(|(y, e)| y + e).collect();
                let mut there = vec![0.0; n];
                system.slope(t, &moved, &mut there);
                estimate(&there, &mut error);
                norm = error_norm(&error, y, &new, tolerance);
            }
            #[allow(clippy::cast_precision_loss, reason = "a few iterations")]
            let safety = {
                let most = 2.0 * MOST_ITERATIONS as f64;
                0.9 * (most + 1.0) / (most + iterations as f64)
            };
            let most = if rejected { 1.0 } else { 8.0 };
            let factor = (safety * norm.powf(-0.25)).clamp(0.2, most);
            if norm <= 1.0 {
                t = if whole { end } else { t + step };
                y.copy_from_slice(&new);
                last = Some((step, stages.z.clone()));
                system.slope(t, y, &mut slope);
                fresh = false;
                if rate > 1e-3 || iterations > 2 {
                    system.jacobian(t, y, &mut jacobian);
                    fresh = true;
                }
                h = if size < h { h.max(size * factor) } else { size * factor };
                rejected = false;
            } else {
                h = size * factor;
                rejected = true;
            }
        }
        wanted = wanted.map(|_| h);
        reached(y);
    }
}

/// First stages: the polynomial through the last step's stages, carried on; zeros at first.
fn guess(stages: &mut Stages, last: Option<&(f64, [Vec<f64>; 3])>, step: f64) {
    match last {
        None => stages.z.iter_mut().for_each(|z| z.fill(0.0)),
        Some((before, z)) => {
            let p = [
                [13.0 / 3.0 + 7.0 * S6 / 3.0, -23.0 / 3.0 - 22.0 * S6 / 3.0, 10.0 / 3.0 + 5.0 * S6],
                [13.0 / 3.0 - 7.0 * S6 / 3.0, -23.0 / 3.0 + 22.0 * S6 / 3.0, 10.0 / 3.0 - 5.0 * S6],
                [1.0 / 3.0, -8.0 / 3.0, 10.0 / 3.0],
            ];
            for (c, out) in C.iter().zip(&mut stages.z) {
                let x = 1.0 + c * step / before;
                // Each old stage's weight at `x`, less that at 1, where the new step begins.
                let weight = |row: &[f64; 3], x: f64| x * (row[0] + x * (row[1] + x * row[2]));
                for (i, o) in out.iter_mut().enumerate() {
                    *o = (0..3).map(|k| z[k][i] * (weight(&p[k], x) - weight(&p[k], 1.0))).sum();
                }
            }
        }
    }
    stages.start();
}
