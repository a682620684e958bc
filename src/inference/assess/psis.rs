//! Pareto-smoothed importance sampling \[vehtari2024\].
//!
//! The largest importance weights are fitted by a generalised Pareto distribution, whose shape
//! k-hat says how far the weights can be trusted, and replaced by its quantiles.

/// Smoothed importance weights and the shape of their tail.
#[derive(Debug, Clone, PartialEq)]
pub struct Psis {
    /// Smoothed log weights, normalised: their exponentials add up to 1. In the order of the input.
    pub log_weights: Vec<f64>,
    /// Estimated Pareto shape of the raw weights; infinite where there is no usable tail.
    pub khat: f64,
}

/// Pareto shape k-hat of the importance weights `exp(log_weights)`.
///
/// Infinite when a log weight is NaN or `+∞`, or when fewer than five weights stand out; 0 when the
/// weights do not vary at all, which is the bounded case.
///
/// # Reference
/// [vehtari2024, sec. 3], with the fit of \[zhang2009\] and the weak prior of its appendix C.
#[must_use]
pub fn khat(log_weights: &[f64]) -> f64 {
    psis(log_weights).khat
}

/// The k-hat up to which `draws` weights give a reliable answer: `min(1 − 1/log₁₀ S, 0.7)`.
///
/// # Reference
/// [vehtari2024, eq. 13]
#[must_use]
pub fn khat_threshold(draws: usize) -> f64 {
    (1.0 - 1.0 / (draws as f64).log10()).min(0.7)
}

/// Smooths and normalises the importance weights `exp(log_weights)`.
///
/// The tail holds `⌈min(S/5, 3√S)⌉` weights. Where the fit fails the weights are normalised but not
/// smoothed.
///
/// # Reference
/// [vehtari2024, algorithm 1]
#[must_use]
pub fn psis(log_weights: &[f64]) -> Psis {
    let s = log_weights.len();
    let max = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if s == 0 || !max.is_finite() || log_weights.iter().any(|w| w.is_nan()) {
        return Psis { log_weights: log_weights.to_vec(), khat: f64::INFINITY };
    }
    let mut w: Vec<f64> = log_weights.iter().map(|x| x - max).collect();
    let mut order: Vec<usize> = (0..s).collect();
    order.sort_by(|&i, &j| w[i].total_cmp(&w[j]));
    // Weights that differ by rounding only have no tail to fit, and need none.
    if w[order[0]] > -1e-10 {
        normalise(&mut w);
        return Psis { log_weights: w, khat: 0.0 };
    }
    let mut tail_len = (s as f64 / 5.0).min(3.0 * (s as f64).sqrt()).ceil() as usize;
    let mut khat = f64::INFINITY;
    if tail_len < s {
        // A near-perfect fit of a skew posterior: the weight as a function of the draw has a local
        // maximum, draws pile up below its value, and a pile right above the cutoff passes for a
        // heavy tail. A tail that really is heavy takes the effective sample size with it, and has
        // the same shape further out; so look there.
        while tail_len >= 2 * NARROWEST
            && relative_ess(&w) > 0.5
            && tail_shape(&w, &order, tail_len) > khat_threshold(s)
        {
            tail_len /= 2;
        }
        let cutoff = w[order[s - tail_len - 1]].max(f64::MIN_POSITIVE.ln());
        let first = order.partition_point(|&i| w[i] <= cutoff);
        let tail = &order[first..];
        if tail.len() > 4 {
            let floor = cutoff.exp();
            let exceedances: Vec<f64> = tail.iter().map(|&i| w[i].exp() - floor).collect();
            let (shape, scale) = fit_generalised_pareto(&exceedances);
            khat = shape;
            if shape.is_finite() && scale > 0.0 {
                let n = tail.len() as f64;
                for (rank, &i) in tail.iter().enumerate() {
                    let p = (rank as f64 + 0.5) / n;
                    w[i] = (generalised_pareto_quantile(p, shape, scale) + floor).ln().min(0.0);
                }
            }
        }
    }
    normalise(&mut w);
    Psis { log_weights: w, khat: if khat.is_nan() { f64::INFINITY } else { khat } }
}

/// Fewest weights of a narrowed tail.
const NARROWEST: usize = 40;

/// Kish's effective sample size of the weights over their number.
fn relative_ess(w: &[f64]) -> f64 {
    let sum: f64 = w.iter().map(|x| x.exp()).sum();
    let squares: f64 = w.iter().map(|x| (2.0 * x).exp()).sum();
    sum * sum / squares / w.len() as f64
}

/// The Pareto shape of the `tail_len` largest weights; 0 where too few stand out.
fn tail_shape(w: &[f64], order: &[usize], tail_len: usize) -> f64 {
    let cutoff = w[order[order.len() - tail_len - 1]].max(f64::MIN_POSITIVE.ln());
    let first = order.partition_point(|&i| w[i] <= cutoff);
    let exceedances: Vec<f64> = order[first..].iter().map(|&i| w[i].exp() - cutoff.exp()).collect();
    if exceedances.len() > 4 { fit_generalised_pareto(&exceedances).0 } else { 0.0 }
}

/// Subtracts the log of the summed exponentials; the largest entry must be finite.
fn normalise(w: &mut [f64]) {
    let max = w.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let log_sum = max + w.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
    for x in w {
        *x -= log_sum;
    }
}

/// Shape and scale of a generalised Pareto distribution from exceedances in ascending order.
///
/// An average over a grid of the profile likelihood \[zhang2009\]; the shape is then drawn towards
/// 0.5 as if ten more observations had said so [vehtari2024, app. C].
fn fit_generalised_pareto(x: &[f64]) -> (f64, f64) {
    const PRIOR_B: f64 = 3.0;
    const PRIOR_K: f64 = 10.0;
    let n = x.len() as f64;
    let grid = 30 + n.sqrt() as usize;
    let quartile = x[(n / 4.0 + 0.5) as usize - 1];
    let mean_log1p = |b: f64| x.iter().map(|v| (-b * v).ln_1p()).sum::<f64>() / n;
    let candidates: Vec<(f64, f64)> = (1..=grid)
        .map(|j| {
            let b = 1.0 / x[x.len() - 1]
                + (1.0 - (grid as f64 / (j as f64 - 0.5)).sqrt()) / (PRIOR_B * quartile);
            let k = mean_log1p(b);
            (b, n * ((-b / k).ln() - k - 1.0))
        })
        .collect();
    let best = candidates.iter().map(|c| c.1).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = candidates.iter().map(|c| (c.1 - best).exp()).sum();
    let (mut b, mut kept) = (0.0, 0.0);
    for (candidate, log_likelihood) in candidates {
        let weight = (log_likelihood - best).exp() / total;
        if weight >= 10.0 * f64::EPSILON {
            b += weight * candidate;
            kept += weight;
        }
    }
    b /= kept;
    let k = mean_log1p(b);
    ((n * k + PRIOR_K * 0.5) / (n + PRIOR_K), -k / b)
}

/// Quantile function of the generalised Pareto distribution that starts at 0.
fn generalised_pareto_quantile(p: f64, shape: f64, scale: f64) -> f64 {
    let e = -(-p).ln_1p();
    if shape.abs() < f64::EPSILON { scale * e } else { scale * (shape * e).exp_m1() / shape }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_that_do_not_vary_are_bounded() {
        let fit = psis(&[3.0; 100]);
        assert!(fit.khat.abs() < 1e-15);
        assert!(fit.log_weights.iter().all(|w| (w + 100_f64.ln()).abs() < 1e-12));
    }

    #[test]
    fn a_bad_weight_is_never_reliable() {
        let mut w: Vec<f64> = (0..200).map(|i| f64::from(i) * 0.01).collect();
        assert!(khat(&w) < 0.7);
        w[7] = f64::NAN;
        assert!(khat(&w).is_infinite());
        w[7] = f64::INFINITY;
        assert!(khat(&w).is_infinite());
        assert!(khat(&[]).is_infinite());
    }

    #[test]
    fn exact_pareto_quantiles_give_back_their_shape() {
        // A fine deterministic sample of a Pareto tail: k-hat must come out at the true shape,
        // but for the prior's pull by 10 in 600.
        for shape in [0.2, 0.5, 0.9] {
            let w: Vec<f64> = (0..40_000)
                .map(|i| -shape * (1.0 - (f64::from(i) + 0.5) / 40_000.0).ln())
                .collect();
            assert!((khat(&w) - shape).abs() < 0.03, "{} for {shape}", khat(&w));
        }
    }

    #[test]
    fn draws_piled_up_below_a_local_maximum_are_no_heavy_tail() {
        // Log weights of a slightly skew posterior under its best Gaussian, c (z³ − 3z): 99 % of the
        // sample size is effective. About 2.3 % of the draws lie around the maximum at z = −1, whose
        // value is met again at z = 2, where the largest 4.75 % of the weights begin.
        let normal = crate::special::std_normal_quantile;
        let z = (0..4000).map(|i| normal((f64::from(i) + 0.5) / 4000.0));
        let w: Vec<f64> = z.map(|z| 0.037 * (z * z * z - 3.0 * z)).collect();
        assert!(khat(&w) < 0.7, "{}", khat(&w));
    }

    #[test]
    fn threshold_tightens_for_few_draws() {
        assert!((khat_threshold(100) - 0.5).abs() < 1e-12);
        assert!((khat_threshold(4000) - 0.7).abs() < 1e-12);
    }
}
