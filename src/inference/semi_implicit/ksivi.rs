//! KSIVI: kernel semi-implicit variational inference [cheng2024].
//!
//! Where SIVI-SM looks for the function that tells the scores apart by training a network, a
//! reproducing kernel Hilbert space has it in closed form, and its norm, the kernel Stein discrepancy
//! with the conditional score in place of the marginal one, is what the family descends:
//!
//! ```text
//! KSD² = E k(u, u') (s_p(u) + ξ/σ)ᵀ (s_p(u') + ξ'/σ)
//! ```
//!
//! over two independent batches (`estimator=vanilla`) or over the pairs within one
//! (`estimator=u-statistic`). Its gradient goes through `u`, the Hessian of `log p`, `σ` and, as in
//! the authors' code, the width of the Gaussian kernel.

use faer::{Accum, MatMut, MatRef};

use super::fit::{self, At, Loss, Measure, Objective, Setup};
use super::options::{
    ANNEALING, ANTITHETIC, AVERAGE, CLIP, CRITIC_HIDDEN, CRITIC_LEARNING_RATE, DECAY_EVERY,
    GRAD_SAMPLES, HIDDEN, ITERATIONS, LATENT, LEARNING_RATE, LINEAR, LOG_VARIANCE,
    LOG_VARIANCE_FLOOR, MIXING_DRAWS, RESAMPLE, Reader, SCHEDULE, STANDARDIZE,
};
use crate::inference::fused::{Term, combine};
use crate::inference::method::option;
use crate::inference::node::Node;
use crate::inference::optimizer::Parameters;
use crate::inference::tape::{Element, Pooled, SharedTape};
use crate::inference::{InferenceError, Method, MethodOption};
use crate::random::Stream;

/// The row of the method table.
pub(in crate::inference) const KSIVI: Method = Method {
    name: Ksivi::NAME,
    group: "semi-implicit",
    summary: "A Gaussian mixed by a network, trained by a kernel Stein discrepancy.",
    paper: "Cheng et al., ICML 2024, arXiv 2405.18997",
    options: Ksivi::OPTIONS,
    run: fit::run::<Ksivi>,
};

/// As a function of the squared distance `r²` and the median `M` of those of a batch of `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kernel {
    /// `exp(−r²/2h²)`, `h² = ½ M / log(n + 1)`.
    Gaussian,
    /// `(1 + r²/h)^−½`, `h = M / log(n + 1)`: its tails see distant modes.
    InverseMultiquadric,
}

impl std::str::FromStr for Kernel {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "gaussian" => Ok(Kernel::Gaussian),
            "imq" => Ok(Kernel::InverseMultiquadric),
            _ => Err(()),
        }
    }
}

impl Kernel {
    /// `k` and `∂k/∂r²` for `x = r²/w`, `w = M / log(n + 1)`.
    fn at<E: Element>(self, x: E, w: E) -> (E, E) {
        match self {
            Kernel::Gaussian => {
                let k = (-x).exp();
                (k, -k / w)
            }
            Kernel::InverseMultiquadric => {
                let base = (E::one() + x).recip();
                let k = base.sqrt();
                (k, E::of(-0.5) * k * base / w)
            }
        }
    }
}

/// Which pairs the discrepancy is averaged over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Estimator {
    /// All of two independent batches.
    Vanilla,
    /// Those of different draws of one batch.
    UStatistic,
}

impl std::str::FromStr for Estimator {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "vanilla" => Ok(Estimator::Vanilla),
            "u-statistic" => Ok(Estimator::UStatistic),
            _ => Err(()),
        }
    }
}

/// Its own settings.
pub(super) struct Ksivi {
    kernel: Kernel,
    estimator: Estimator,
}

impl Objective for Ksivi {
    const NAME: &'static str = "ksivi";
    const OPTIONS: &'static [MethodOption] = &[
        ITERATIONS,
        LEARNING_RATE,
        GRAD_SAMPLES,
        option("kernel", "gaussian", "gaussian, or imq (inverse multiquadric)", "k"),
        option(
            "estimator",
            "vanilla",
            "vanilla (two batches of draws), or u-statistic (the pairs of one)",
            "",
        ),
        LATENT,
        HIDDEN,
        LOG_VARIANCE,
        LOG_VARIANCE_FLOOR,
        LINEAR,
        ANTITHETIC,
        STANDARDIZE,
        CLIP,
        ANNEALING,
        SCHEDULE,
        DECAY_EVERY,
        AVERAGE,
        CRITIC_HIDDEN,
        CRITIC_LEARNING_RATE,
        MIXING_DRAWS,
        RESAMPLE,
    ];
    const STAGES: [&'static str; 3] = ["ksivi-standardize", "ksivi", "ksivi-examination"];
    const MEASURE: Measure = Measure {
        name: "kernel_stein_discrepancy",
        words: "squared kernel Stein discrepancy per dimension",
        tolerance: 0.02,
        unit: "(standardised)",
        maximise: false,
    };
    const EXAMINATION: usize = fit::FRESH_EXAMINATION;
    type State = ();

    fn new(reader: &Reader<'_>) -> Result<Self, InferenceError> {
        Ok(Ksivi { kernel: reader.get("kernel")?, estimator: reader.get("estimator")? })
    }

    fn loss<E: Element>(
        &self,
        setup: &Setup<'_, E>,
        parameters: &Parameters<E>,
        (): &mut (),
        at: At,
        rng: &mut Stream,
    ) -> Result<Loss<E>, InferenceError> {
        let tape = SharedTape::recording();
        let heat = Node::constant(Pooled::of(&[E::of(at.heat)]), (1, 1));
        // Draws and s_p + ξ/σ; pairs of antithetic noise are no independent draws.
        let mut batch = |antithetic: bool| {
            let noise = if antithetic { setup.noise(rng) } else { setup.independent_noise(rng) };
            let (u, n) = setup.family.sample(parameters, &noise, &tape);
            let score = setup.target.score_at(&u);
            let a = combine(u.shape(), &[Term::Scaled(&heat, 0, &score), Term::Plain(&n)]);
            (u, a)
        };
        let d = setup.target.dim();
        let (value, loss, points) = match self.estimator {
            Estimator::Vanilla => {
                let ((u, a), (v, b)) = (batch(true), batch(true));
                let left = Side { u: u.numbers(), a: a.numbers() };
                let right = Side { u: v.numbers(), a: b.numbers() };
                let stein = discrepancy(self.kernel, &left, &right, false, d);
                let [gu, ga, gv, gb] = &stein.gradients;
                let by_left = setup.along(&u, gu) + setup.along(&a, ga);
                let by_right = setup.along(&v, gv) + setup.along(&b, gb);
                (stein.value, by_left + by_right, u)
            }
            Estimator::UStatistic => {
                let (u, a) = batch(false);
                let side = Side { u: u.numbers(), a: a.numbers() };
                let stein = discrepancy(self.kernel, &side, &side, true, d);
                let [gu, ga, gv, gb] = &stein.gradients;
                let loss = setup.along(&u, gu)
                    + setup.along(&u, gv)
                    + setup.along(&a, ga)
                    + setup.along(&a, gb);
                (stein.value, loss, u)
            }
        };
        let descent = value.is_finite().then_some((loss, value / d as f64));
        Ok(Loss { descent, points: points.numbers().to_vec() })
    }
}

/// Draws `[B, D]` with `a = s_p + ξ/σ`, `[B, D]`.
struct Side<'a, E> {
    u: &'a [E],
    a: &'a [E],
}

/// The squared discrepancy and its gradients by the draws and the `a` of both sides.
struct Stein<E> {
    value: f64,
    gradients: [Vec<E>; 4],
}

/// Rows and columns of the pairs whose median distance sets the kernel's width: as good as all, and
/// looked through in no time.
const MEDIAN_OF: usize = 64;

/// The mean over pairs, with `distinct` over those of different rows.
fn discrepancy<E: Element>(
    kernel: Kernel,
    left: &Side<'_, E>,
    right: &Side<'_, E>,
    distinct: bool,
    d: usize,
) -> Stein<E> {
    let n = left.u.len() / d;
    fn of<E>(x: &[E], d: usize) -> MatRef<'_, E> {
        MatRef::from_row_major_slice(x, x.len() / d, d)
    }
    let product = |a: &[E], b: &[E]| {
        let mut out = Pooled::new(n * n);
        let to = MatMut::from_row_major_slice_mut(&mut out, n, n);
        E::product(to, Accum::Replace, of(a, d), of(b, d).transpose());
        out
    };
    // The squared distances, and s_p + ξ/σ of one times that of the other.
    let mut distance = product(left.u, right.u);
    let mut inner = product(left.a, right.a);
    let square = |x: &[E]| -> Vec<E> {
        x.chunks_exact(d).map(|x| x.iter().map(|x| *x * *x).sum::<E>()).collect()
    };
    let (of_left, of_right) = (square(left.u), square(right.u));
    for (row, l) in distance.chunks_exact_mut(n).zip(&of_left) {
        for (r2, r) in row.iter_mut().zip(&of_right) {
            *r2 = (*l + *r - E::of(2.0) * *r2).max(E::zero());
        }
    }
    let (at_median, median) = median(&distance, n, distinct);
    let width = median.max(E::min_positive_value()) / E::of(((n + 1) as f64).ln());
    let pairs = if distinct { n * (n - 1) } else { n * n };
    let share = E::of((pairs as f64).recip());
    // Afterwards `inner` has the weight of each pair's product, `distance` that of its distance.
    let (mut value, mut by_width) = (0.0, E::zero());
    let (mut of_rows, mut of_columns) = (vec![E::zero(); n], vec![E::zero(); n]);
    let inverse = width.recip();
    for (i, (row, inner)) in distance.chunks_exact_mut(n).zip(inner.chunks_exact_mut(n)).enumerate()
    {
        let (mut sum, mut slope, mut total) = (E::zero(), E::zero(), E::zero());
        for (j, ((r2, g), column)) in row.iter_mut().zip(inner).zip(&mut of_columns).enumerate() {
            let weight = if distinct && i == j { E::zero() } else { share };
            let (k, by_r2) = kernel.at(*r2 * inverse, width);
            let change = weight * *g * by_r2;
            sum += weight * *g * k;
            slope += change * *r2;
            total += change;
            *column += change;
            *g = weight * k;
            *r2 = change;
        }
        of_rows[i] = total;
        value += sum.f64();
        by_width += slope;
    }
    if kernel == Kernel::Gaussian {
        // k depends on r²/M: ∂/∂M = −(r²/M) ∂/∂r².
        let change = -by_width / median.max(E::min_positive_value());
        distance[at_median] += change;
        of_rows[at_median / n] += change;
        of_columns[at_median % n] += change;
    }
    let weights = MatRef::from_row_major_slice(&distance, n, n);
    let kernels = MatRef::from_row_major_slice(&inner, n, n);
    let times = |m: MatRef<'_, E>, x: &[E]| {
        let mut out = vec![E::zero(); n * d];
        E::product(MatMut::from_row_major_slice_mut(&mut out, n, d), Accum::Replace, m, of(x, d));
        out
    };
    // ∂r²_ij/∂u_i = 2 (u_i − v_j).
    let by_distance = |m: MatRef<'_, E>, totals: &[E], own: &[E], other: &[E]| {
        let mut out = times(m, other);
        for ((out, own), total) in out.chunks_exact_mut(d).zip(own.chunks_exact(d)).zip(totals) {
            out.iter_mut().zip(own).for_each(|(o, x)| *o = E::of(2.0) * (*total * *x - *o));
        }
        out
    };
    let gradients = [
        by_distance(weights, &of_rows, left.u, right.u),
        times(kernels, right.a),
        by_distance(weights.transpose(), &of_columns, right.u, left.u),
        times(kernels.transpose(), left.a),
    ];
    Stein { value, gradients }
}

/// The (lower) median of the first pairs' squared distances, and which pair it is.
fn median<E: Element>(distance: &[E], n: usize, distinct: bool) -> (usize, E) {
    let part = n.min(MEDIAN_OF);
    let mut pairs: Vec<usize> = (0..part * part)
        .map(|k| k / part * n + k % part)
        .filter(|at| !distinct || at / n != at % n)
        .collect();
    let middle = (pairs.len() - 1) / 2;
    let order = |a: &usize, b: &usize| {
        let (a, b) = (distance[*a], distance[*b]);
        a.partial_cmp(&b).unwrap_or(std::cmp::Ordering::Equal)
    };
    let at = *pairs.select_nth_unstable_by(middle, order).1;
    (at, distance[at])
}

#[cfg(test)]
mod tests {
    use super::super::testing::{AT, gradient_agrees_with_differences};
    use super::*;
    use crate::inference::network::normals;
    use crate::random::stream;

    #[test]
    fn the_gradient_agrees_with_differences() {
        for estimator in ["vanilla", "u-statistic"] {
            gradient_agrees_with_differences::<Ksivi>(&format!("estimator={estimator}"), AT, 3.0);
        }
    }

    /// The definition, pair by pair, with the width given.
    fn plain(kernel: Kernel, [u, a, v, b]: [&[f64]; 4], distinct: bool, width: f64) -> f64 {
        let (mut sum, mut pairs) = (0.0, 0.0);
        for (i, (u, a)) in u.chunks(2).zip(a.chunks(2)).enumerate() {
            for (j, (v, b)) in v.chunks(2).zip(b.chunks(2)).enumerate() {
                if distinct && i == j {
                    continue;
                }
                let r2: f64 = u.iter().zip(v).map(|(u, v)| (u - v).powi(2)).sum();
                let k = match kernel {
                    Kernel::Gaussian => (-r2 / width).exp(),
                    Kernel::InverseMultiquadric => (1.0 + r2 / width).powf(-0.5),
                };
                sum += k * a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                pairs += 1.0;
            }
        }
        sum / pairs
    }

    #[test]
    fn the_discrepancy_is_its_definition() {
        let mut rng = stream(9, "ksivi test");
        let mut draw = || normals::<f64>(10, 1.0, &mut rng);
        let (u, a, v, b) = (draw(), draw(), draw(), draw());
        for kernel in [Kernel::Gaussian, Kernel::InverseMultiquadric] {
            for distinct in [false, true] {
                let (v, b) = if distinct { (&u, &a) } else { (&v, &b) };
                let (left, right) = (Side { u: &u, a: &a }, Side { u: v, a: b });
                let found = discrepancy(kernel, &left, &right, distinct, 2);
                let mut distances: Vec<f64> = (0..25)
                    .filter(|k| !distinct || k / 5 != k % 5)
                    .map(|k| {
                        let (x, y) = (&u[k / 5 * 2..][..2], &v[k % 5 * 2..][..2]);
                        x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum()
                    })
                    .collect();
                distances.sort_by(f64::total_cmp);
                let width = distances[(distances.len() - 1) / 2] / 6_f64.ln();
                let expected = plain(kernel, [&u, &a, v, b], distinct, width);
                assert!((found.value - expected).abs() < 1e-12, "{} {expected}", found.value);
                if kernel == Kernel::Gaussian {
                    continue;
                }
                // This kernel's width is held fixed in the gradient.
                for k in 0..10 {
                    let at = |step: f64| {
                        let mut moved = u.clone();
                        moved[k] += step;
                        plain(kernel, [&moved, &a, v, b], distinct, width)
                    };
                    let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
                    assert!((found.gradients[0][k] - difference).abs() < 1e-8);
                }
            }
        }
    }
}
