//! A kernel Stein test of draws against the score of a density.
//!
//! The kernel Stein discrepancy is zero for draws from the density alone [liu2016; gorham2017]; it needs
//! no normaliser and no density of the fit, so every method can be asked. What size chance gives it
//! is known from random signs (a wild bootstrap). It sees where draws are, not where they are missing.

use rand::Rng;

use super::VerdictLevel;
use super::assess::Checks;
use super::start::Gaussian;
use crate::density::LogDensity;
use crate::random::stream;

/// Draws that are looked at.
const DRAWS: usize = 300;
/// Fewest from which anything is concluded.
const FEWEST: usize = 50;
/// Sets of random signs; a statistic above all of them is no chance.
const SIGNS: usize = 500;
/// Dimension above which draws are standardised one coordinate at a time.
const WHITENED: usize = 100;

/// Adds to `checks` whether the draws `[S, D]` could be the density's.
pub(super) fn test(checks: &mut Checks, density: &dyn LogDensity<f64>, draws: &[f64], seed: u64) {
    let d = density.dim();
    // An estimated score has noise that this test would take for an error.
    if density.estimate().is_some() || draws.iter().any(|x| !x.is_finite()) {
        return;
    }
    let chosen = spread(draws, d);
    let n = chosen.len() / d;
    let scale = if d <= WHITENED {
        Gaussian::of_draws(draws, d)
    } else {
        Gaussian::of_coordinates(draws, d)
    };
    let Some(scale) = scale.filter(|_| n >= FEWEST) else { return };
    let (mut log_p, mut score) = (vec![0.0; n], vec![0.0; n * d]);
    density.score(&chosen, &mut log_p, &mut score);
    if score.iter().any(|s| !s.is_finite()) {
        return;
    }
    let x: Vec<f64> = chosen.chunks_exact(d).flat_map(|z| scale.standardize(z).0).collect();
    let s: Vec<f64> = score.chunks_exact(d).flat_map(|g| scale.pull_back(g)).collect();
    let h = stein_kernel(&x, &s, d);
    let (statistic, chance) = bootstrap(&h, n, &mut stream(seed, "kernel Stein test"));
    if statistic <= chance {
        checks.add(
            VerdictLevel::Ok,
            format!("A kernel Stein test of {n} draws finds no difference from the posterior."),
        );
    } else {
        checks.add(
            VerdictLevel::Doubtful,
            format!(
                "A kernel Stein test of {n} draws says that they are not the posterior's: the \
                 statistic is {statistic:.3}, and at most {chance:.3} by chance."
            ),
        );
    }
}

/// Evenly spaced rows, each once.
fn spread(draws: &[f64], d: usize) -> Vec<f64> {
    let total = draws.len() / d;
    let n = total.min(DRAWS);
    let row = |k: usize| &draws[k * total / n.max(1) * d..][..d];
    let mut chosen: Vec<&[f64]> = (0..n).map(row).collect();
    chosen.dedup();
    chosen.concat()
}

/// `h_ij` of [liu2016, eq. 14] for the inverse multiquadric `(D + |x − y|²)^{-½}`, `[n, n]`, with
/// nothing on the diagonal.
fn stein_kernel(x: &[f64], s: &[f64], d: usize) -> Vec<f64> {
    let n = x.len() / d;
    let mut h = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..i {
            let (mut squares, mut scores, mut along) = (0.0, 0.0, 0.0);
            for k in 0..d {
                let off = x[i * d + k] - x[j * d + k];
                let (a, b) = (s[i * d + k], s[j * d + k]);
                squares += off * off;
                scores += a * b;
                along += (a - b) * off;
            }
            let base = d as f64 + squares;
            let k = base.sqrt().recip();
            // ∇_x k = −δ base^{-3/2} = −∇_y k, and the trace of ∇_x ∇_yᵀ k.
            let slope = k / base;
            let trace = slope * (d as f64 - 3.0 * squares / base);
            let value = scores * k + along * slope + trace;
            (h[i * n + j], h[j * n + i]) = (value, value);
        }
    }
    h
}

/// `n` times the mean of `h`, and the largest that random signs make of it.
fn bootstrap(h: &[f64], n: usize, rng: &mut impl Rng) -> (f64, f64) {
    let statistic = h.iter().sum::<f64>() / n as f64;
    let mut largest = 0.0_f64;
    for _ in 0..SIGNS {
        let signs: Vec<f64> =
            (0..n).map(|_| if rng.r#gen::<bool>() { 1.0 } else { -1.0 }).collect();
        let sum: f64 = h
            .chunks_exact(n)
            .zip(&signs)
            .map(|(row, sign)| sign * row.iter().zip(&signs).map(|(h, s)| h * s).sum::<f64>())
            .sum();
        largest = largest.max(sum / n as f64);
    }
    (statistic, largest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::Residuals;
    use crate::random::fill_std_normal;

    /// The standard normal in three dimensions.
    struct Normal;

    impl LogDensity<f64> for Normal {
        fn dim(&self) -> usize {
            3
        }
        fn log_density(&self, z: &[f64], log_p: &mut [f64]) {
            let rows = z.chunks_exact(3);
            log_p
                .iter_mut()
                .zip(rows)
                .for_each(|(l, z)| *l = -0.5 * z.iter().map(|z| z * z).sum::<f64>());
        }
        fn score(&self, z: &[f64], log_p: &mut [f64], score: &mut [f64]) {
            self.log_density(z, log_p);
            score.iter_mut().zip(z).for_each(|(s, z)| *s = -z);
        }
        fn hvp(&self, _: &Residuals<f64>, v: &[f64], out: &mut [f64]) {
            out.iter_mut().zip(v).for_each(|(o, v)| *o = -v);
        }
    }

    fn level(change: impl Fn(usize, f64) -> f64, seed: u64) -> VerdictLevel {
        let mut draws = vec![0.0; 3000 * 3];
        fill_std_normal(&mut stream(seed, "stein test"), &mut draws);
        draws.iter_mut().enumerate().for_each(|(k, z)| *z = change(k % 3, *z));
        let mut checks = Checks::new();
        test(&mut checks, &Normal, &draws, seed);
        checks.level()
    }

    #[test]
    fn right_draws_pass_and_wrong_ones_do_not() {
        for seed in 0..5 {
            assert_eq!(level(|_, z| z, seed), VerdictLevel::Ok);
        }
        let shifted = |j: usize, z: f64| if j == 1 { z + 0.5 } else { z };
        assert_eq!(level(shifted, 1), VerdictLevel::Doubtful);
        let narrow = |_: usize, z: f64| 0.6 * z;
        assert_eq!(level(narrow, 1), VerdictLevel::Doubtful);
    }

    #[test]
    fn the_stein_kernel_has_mean_zero() {
        // E h(x, y) = 0 over y for the density's own draws, by 20,000 of them.
        let n = 20_000;
        let mut y = vec![0.0; n * 2];
        fill_std_normal(&mut stream(3, "stein test"), &mut y);
        let x = [0.7, -1.2];
        let values: Vec<f64> = y
            .chunks_exact(2)
            .map(|y| {
                let pair = [x[0], x[1], y[0], y[1]];
                let score: Vec<f64> = pair.iter().map(|z| -z).collect();
                stein_kernel(&pair, &score, 2)[1]
            })
            .collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
        assert!(mean.abs() < 4.0 * sd / (n as f64).sqrt(), "{mean} {sd}");
    }
}
