//! Draws of one number → what is drawn of them: a density curve, quantile dots, whole-number counts.

/// A curve of a density over an interval.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Curve {
    /// Evenly spaced positions.
    pub(super) x: Vec<f64>,
    /// Densities there.
    pub(super) y: Vec<f64>,
}

impl Curve {
    /// The largest density.
    pub(super) fn peak(&self) -> f64 {
        self.y.iter().copied().fold(0.0, f64::max)
    }
}

/// Points of a curve.
const POINTS: usize = 160;

/// The finite draws in ascending order.
pub(super) fn sorted(draws: &[f64]) -> Vec<f64> {
    let mut finite: Vec<f64> = draws.iter().copied().filter(|x| x.is_finite()).collect();
    finite.sort_by(f64::total_cmp);
    finite
}

/// Quantile of sorted values, between its neighbours.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a position in a slice, not negative"
)]
pub(super) fn quantile(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = p * last as f64;
    let low = position as usize;
    let high = (low + 1).min(last);
    sorted[low] + (position - low as f64) * (sorted[high] - sorted[low])
}

/// The part of the axis that shows the draws: what lies between the 1 % and the 99 % quantile with a
/// quarter of that on both sides, as far as there are draws. `None` when they do not vary.
pub(super) fn view(sorted: &[f64]) -> Option<(f64, f64)> {
    let (&first, &last) = (sorted.first()?, sorted.last()?);
    let (low, high) = (quantile(sorted, 0.01), quantile(sorted, 0.99));
    let pad = 0.25 * (high - low);
    let (low, high) = ((low - pad).max(first), (high + pad).min(last));
    // Also when the two differ by rounding alone.
    (high - low > 1e-12 * low.abs().max(high.abs())).then_some((low, high))
}

/// Kernel density of sorted draws over `low..high`.
///
/// # Numerics
/// Gaussian kernel, bandwidth by Silverman's rule, `0.9 min(sd, IQR/1.34) S^(-1/5)`. The kernel is
/// reflected at the first and the last draw, so that a density that ends at a bound does not bleed over
/// it. Draws outside of the interval count for its normalisation.
///
/// # Reference
/// [silverman1986, sec. 2.10 and 3.4.2]
pub(super) fn curve(sorted: &[f64], (low, high): (f64, f64)) -> Curve {
    let n = sorted.len() as f64;
    let (first, last) = (sorted[0], sorted[sorted.len() - 1]);
    let mean = sorted.iter().sum::<f64>() / n;
    let sd = (sorted.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
    let iqr = (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / 1.34;
    let spread = if iqr > 0.0 { sd.min(iqr) } else { sd };
    let h = 0.9 * spread * n.powf(-0.2);
    let x: Vec<f64> =
        (0..POINTS).map(|i| low + (high - low) * i as f64 / (POINTS - 1) as f64).collect();
    let scale = 1.0 / (n * h * (2.0 * std::f64::consts::PI).sqrt());
    // Beyond four bandwidths the kernel adds nothing to see.
    let reach = 4.0 * h;
    let mass = |at: f64| {
        let from = sorted.partition_point(|d| *d < at - reach);
        let to = sorted.partition_point(|d| *d <= at + reach);
        sorted[from..to].iter().map(|d| (-0.5 * ((at - d) / h).powi(2)).exp()).sum::<f64>()
    };
    let y = x
        .iter()
        .map(|&at| match (first..=last).contains(&at) {
            true => scale * (mass(at) + mass(2.0 * first - at) + mass(2.0 * last - at)),
            false => 0.0,
        })
        .collect();
    Curve { x, y }
}

/// Positions of `count` dots that stand for equal shares of the draws, ascending.
///
/// # Reference
/// [kay2016, sec. 3.1]
pub(super) fn quantile_dots(sorted: &[f64], count: usize) -> Vec<f64> {
    (0..count).map(|i| quantile(sorted, (i as f64 + 0.5) / count as f64)).collect()
}

/// Stacks dots of diameter `width` from the left: the centre and the height of each stack.
///
/// # Reference
/// [wilkinson1999]
pub(super) fn stacks(dots: &[f64], width: f64) -> Vec<(f64, usize)> {
    let mut stacks = Vec::new();
    let mut rest = dots;
    while let Some(&start) = rest.first() {
        let count = rest.partition_point(|x| *x < start + width).max(1);
        stacks.push((0.5 * (start + rest[count - 1]), count));
        rest = &rest[count..];
    }
    stacks
}

/// How often each whole number of the view occurs, as shares; `None` when the draws are not whole or
/// spread over more than `most` numbers.
#[allow(clippy::cast_possible_truncation, reason = "whole numbers within an interval of a few")]
pub(super) fn shares(sorted: &[f64], most: usize) -> Option<Vec<(i64, f64)>> {
    let (&first, &last) = (sorted.first()?, sorted.last()?);
    if last - first >= most as f64 || sorted.iter().any(|x| x.fract() != 0.0) {
        return None;
    }
    let n = sorted.len() as f64;
    let share = |k: i64| {
        let k = k as f64;
        let count = sorted.partition_point(|x| *x <= k) - sorted.partition_point(|x| *x < k);
        count as f64 / n
    };
    Some((first as i64..=last as i64).map(|k| (k, share(k))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles of the standard exponential distribution.
    fn exponential(n: usize) -> Vec<f64> {
        (0..n).map(|i| -(1.0 - (i as f64 + 0.5) / n as f64).ln()).collect()
    }

    #[test]
    fn a_density_that_ends_at_a_bound_is_not_halved_there() {
        let draws = exponential(4000);
        let view = view(&draws).unwrap();
        let curve = curve(&draws, view);
        // Exact: 1 at 0 and exp(-1) at 1. Reflection makes the slope 0 at the bound, so a little is
        // missing there; without it, a half would be.
        assert!((curve.y[0] - 1.0).abs() < 0.15, "{}", curve.y[0]);
        let at_one = curve.x.iter().position(|x| *x >= 1.0).unwrap();
        assert!((curve.y[at_one] - (-1.0_f64).exp()).abs() < 0.03);
        let step = curve.x[1] - curve.x[0];
        let area: f64 = curve.y.iter().sum::<f64>() * step;
        assert!((area - 1.0).abs() < 0.03, "{area}");
        let wide = super::curve(&draws, (-20.0, 20.0));
        let outside = wide.x.iter().zip(&wide.y).filter(|(x, _)| **x < 0.0 || **x > draws[3999]);
        assert!(outside.clone().count() > 10 && outside.into_iter().all(|(_, y)| *y == 0.0));
    }

    #[test]
    fn the_view_leaves_out_far_tails_and_constants() {
        let mut draws: Vec<f64> = (0..1000).map(|i| f64::from(i) / 1000.0).collect();
        draws.push(1e9);
        let (low, high) = view(&draws).unwrap();
        assert!((0.0..0.02).contains(&low) && high < 1.5, "{low} {high}");
        assert_eq!(view(&[2.5; 10]), None);
        assert_eq!(view(&[]), None);
    }

    #[test]
    fn dots_are_equal_shares_and_stacks_hold_them_all() {
        let draws = exponential(1000);
        let dots = quantile_dots(&draws, 20);
        // The median lies between the tenth and the eleventh dot.
        assert!(dots[9] < 2.0_f64.ln() && 2.0_f64.ln() < dots[10]);
        let stacks = stacks(&dots, 0.3);
        assert_eq!(stacks.iter().map(|s| s.1).sum::<usize>(), 20);
        assert!(stacks.windows(2).all(|s| s[0].0 < s[1].0));
        assert!(stacks[0].1 > stacks[stacks.len() - 1].1);
    }

    #[test]
    fn whole_numbers_are_counted_and_others_are_not() {
        let shares = shares(&[0.0, 0.0, 2.0, 3.0], 10).unwrap();
        assert_eq!(shares, [(0, 0.5), (1, 0.0), (2, 0.25), (3, 0.25)]);
        assert_eq!(super::shares(&[0.0, 0.5], 10), None);
        assert_eq!(super::shares(&[0.0, 10.0], 10), None);
    }
}
