//! Roots of systems of equations: Newton's method, its steps shortened until the residuals shrink, and
//! regularised where the Jacobian is singular [nocedal2006, sec. 11.2].

use crate::ir::Tolerance;

use super::lu::Lu;

/// A system of as many equations as unknowns, in numbers.
pub(in crate::exec) trait Equations {
    /// Residuals at `x`, and their Jacobian row by row.
    fn evaluate(&mut self, x: &[f64], residuals: &mut [f64], jacobian: &mut [f64]);
}

/// Shortest fraction of a step that is tried.
const SHORTEST: f64 = 1e-10;

/// Replaces the guess `x` by a root; NaN when none is found.
pub(in crate::exec) fn solve(system: &mut dyn Equations, x: &mut [f64], tolerance: Tolerance) {
    let n = x.len();
    let (mut residuals, mut jacobian) = (vec![0.0; n], vec![0.0; n * n]);
    let (mut next, mut after) = (vec![0.0; n], vec![0.0; n]);
    system.evaluate(x, &mut residuals, &mut jacobian);
    let mut size = norm(&residuals);
    // Weight of the gradient step; 0 is Newton's.
    let mut damping = 0.0;
    for _ in 0..tolerance.most_steps {
        if !size.is_finite() {
            break;
        }
        let largest = residuals.iter().fold(0.0_f64, |m, r| m.max(r.abs()));
        if largest == 0.0 {
            return;
        }
        let step = step(&jacobian, &residuals, damping);
        let small = step.iter().zip(&*x).all(|(d, x)| {
            d.abs() <= tolerance.relative * x.abs() + tolerance.absolute * tolerance.relative
        });
        if small && (damping == 0.0 || largest <= tolerance.absolute) {
            // Newton's step is the distance to the root; it makes the residuals smaller still.
            for (x, d) in x.iter_mut().zip(&step) {
                *x += d;
            }
            return;
        }
        let mut fraction = 1.0;
        let better = loop {
            for ((next, x), d) in next.iter_mut().zip(&*x).zip(&step) {
                *next = x + fraction * d;
            }
            system.evaluate(&next, &mut after, &mut jacobian);
            let reached = norm(&after);
            // Rounding keeps the residuals from shrinking close to the root.
            if reached <= (1.0 - 1e-4 * fraction) * size || (largest <= tolerance.absolute && small)
            {
                break Some(reached);
            }
            fraction *= 0.5;
            if fraction < SHORTEST {
                break None;
            }
        };
        match better {
            Some(reached) => {
                x.copy_from_slice(&next);
                residuals.copy_from_slice(&after);
                size = reached;
                damping *= 0.1;
                if damping < 1e-12 {
                    damping = 0.0;
                }
            }
            // No way down along this step: lean towards the gradient.
            None if damping < 1e6 => {
                system.evaluate(x, &mut residuals, &mut jacobian);
                if largest <= tolerance.absolute {
                    return;
                }
                damping = if damping == 0.0 { 1e-6 } else { damping * 100.0 };
            }
            None => break,
        }
    }
    x.fill(f64::NAN);
}

/// `−J⁻¹ r`, or with damping `−(JᵀJ + λ diag)⁻¹ Jᵀ r`.
fn step(jacobian: &[f64], residuals: &[f64], damping: f64) -> Vec<f64> {
    let n = residuals.len();
    if damping == 0.0 {
        let mut step: Vec<f64> = residuals.iter().map(|r| -r).collect();
        Lu::new(jacobian.to_vec(), n).solve(&mut step);
        if step.iter().all(|d| d.is_finite()) {
            return step;
        }
    }
    let damping = damping.max(1e-8);
    let product = |i: usize, j: usize| -> f64 {
        (0..n).map(|k| jacobian[k * n + i] * jacobian[k * n + j]).sum()
    };
    let largest = (0..n).map(|i| product(i, i)).fold(0.0, f64::max);
    let mut normal: Vec<f64> = (0..n * n).map(|k| product(k / n, k % n)).collect();
    for i in 0..n {
        normal[i * (n + 1)] += damping * largest.max(f64::MIN_POSITIVE);
    }
    let mut step: Vec<f64> =
        (0..n).map(|i| -(0..n).map(|k| jacobian[k * n + i] * residuals[k]).sum::<f64>()).collect();
    Lu::new(normal, n).solve(&mut step);
    step
}

fn norm(x: &[f64]) -> f64 {
    let largest = x.iter().fold(0.0_f64, |m, r| if r.is_nan() { f64::NAN } else { m.max(r.abs()) });
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    largest * x.iter().map(|r| (r / largest) * (r / largest)).sum::<f64>().sqrt()
}
