//! How far draws are from a known answer, as in the peers' `sivi_sm_jax.py`. The table of `benches/` uses
//! this file too, so it knows nothing of the suite.

use ppl::density::LogDensity;

/// Mean and standard deviation of each coordinate of draws `[S, D]`.
pub(crate) fn moments(draws: &[f64], d: usize) -> Vec<(f64, f64)> {
    let n = (draws.len() / d) as f64;
    (0..d)
        .map(|j| {
            let column = || draws.iter().skip(j).step_by(d);
            let mean = column().sum::<f64>() / n;
            let variance = column().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
            (mean, variance.sqrt())
        })
        .collect()
}

/// Width of the squares into which draws are counted.
const CELL: f64 = 0.2;
/// Squares (first to last, in both directions) outside which none of the toys has any mass.
const BOX: [std::ops::Range<i32>; 2] = [-50..50, -160..50];

/// `KL(q‖p)` in nats from draws `[S, 2]` of `q` by counting them in squares, where `p` is normalised.
///
/// Counts are noisy, which alone makes the estimate positive: 0.0027 for 400,000 exact draws of the
/// x-shaped toy, ten times the divergences to be measured. What as many exact draws give on average
/// is known (Poisson counts in every square) and taken off, so that exact draws come out at zero.
pub(crate) fn grid_kl(p: &dyn LogDensity<f64>, draws: &[f64]) -> f64 {
    let mut counts = std::collections::BTreeMap::<(i32, i32), f64>::new();
    for x in draws.chunks_exact(2) {
        let key = ((x[0] / CELL).floor() as i32, (x[1] / CELL).floor() as i32);
        *counts.entry(key).or_default() += 1.0;
    }
    let n = (draws.len() / 2) as f64;
    let terms = counts.iter().map(|((i, j), c)| c / n * (c / n / mass(p, *i, *j)).ln());
    let exact = BOX[0].clone().flat_map(|i| BOX[1].clone().map(move |j| (i, j)));
    let bias: f64 = exact.map(|(i, j)| expected_excess(n * mass(p, i, j)) / n).sum();
    terms.sum::<f64>() - bias
}

/// The mass of `p` in a square, by the midpoints of its sixteen parts.
fn mass(p: &dyn LogDensity<f64>, i: i32, j: i32) -> f64 {
    const SUB: i32 = 4;
    let at = |k: i32, sub: i32| (f64::from(k) + (f64::from(sub) + 0.5) / f64::from(SUB)) * CELL;
    let points: Vec<f64> = (0..SUB * SUB).flat_map(|k| [at(i, k / SUB), at(j, k % SUB)]).collect();
    let mut log_p = vec![0.0; (SUB * SUB) as usize];
    p.log_density(&points, &mut log_p);
    log_p.iter().map(|l| l.exp()).sum::<f64>() * (CELL / f64::from(SUB)).powi(2)
}

/// `E[c log(c/λ)]` for Poisson counts `c` of mean `λ`; about ½ where `λ` is large.
fn expected_excess(lambda: f64) -> f64 {
    // Far from all mass there is nothing to count, and the quotients below would overflow.
    if lambda < 1e-100 {
        return 0.0;
    }
    if lambda > 60.0 {
        return 0.5 + (1.0 + lambda.recip()) / (12.0 * lambda);
    }
    let (mut probability, mut sum) = ((-lambda).exp(), 0.0);
    for c in (1..200).map(f64::from) {
        probability *= lambda / c;
        sum += probability * c * (c / lambda).ln();
    }
    sum
}

/// Gaussian KL of the moments of draws `[S, D]` from those of a reference (`mean`, `sd`, `cov`), and the
/// largest errors of means (in sd) and of sds (relative).
pub(crate) fn gaussian_kl(draws: &[f64], reference: &serde_json::Value) -> (f64, f64, f64) {
    let numbers = |name: &str| -> Vec<f64> {
        let rows = reference[name].as_array().expect("an array of numbers").iter();
        rows.flat_map(|row| match row.as_array() {
            Some(row) => row.iter().map(|x| x.as_f64().expect("a number")).collect(),
            None => vec![row.as_f64().expect("a number")],
        })
        .collect()
    };
    let (mean, sd, cov) = (numbers("mean"), numbers("sd"), numbers("cov"));
    let d = mean.len();
    let n = (draws.len() / d) as f64;
    let ours = moments(draws, d);
    let centred = faer::Mat::from_fn(draws.len() / d, d, |b, i| draws[b * d + i] - ours[i].0);
    let q = centred.transpose() * &centred * faer::Scale(1.0 / (n - 1.0));
    let p = faer::Mat::from_fn(d, d, |i, j| cov[i * d + j]);
    let log_det = |m: &faer::Mat<f64>| -> f64 {
        let l = m.llt(faer::Side::Lower).expect("a covariance");
        (0..d).map(|i| 2.0 * l.L()[(i, i)].ln()).sum()
    };
    let off = faer::Mat::from_fn(d, 1, |i, _| mean[i] - ours[i].0);
    let solver = p.llt(faer::Side::Lower).expect("a covariance");
    use faer::linalg::solvers::Solve;
    let trace: f64 = {
        let r = solver.solve(&q);
        (0..d).map(|i| r[(i, i)]).sum()
    };
    let quadratic = (off.transpose() * solver.solve(&off))[(0, 0)];
    let kl = 0.5 * (trace - d as f64 + quadratic + log_det(&p) - log_det(&q));
    let worst = |f: &dyn Fn(usize) -> f64| (0..d).map(f).fold(0.0, f64::max);
    (
        kl,
        worst(&|i| (ours[i].0 - mean[i]).abs() / sd[i]),
        worst(&|i| (ours[i].1 / sd[i] - 1.0).abs()),
    )
}
