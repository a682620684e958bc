//! The kernel Stein discrepancy of two batches of draws, with the gradients that kernel semi-implicit
//! inference descends \[cheng2024\].
//!
//! `mean k(u, v) aᵀ b` over the pairs of draws `u` with vectors `a` and draws `v` with vectors `b`. The width of
//! the kernel is that of the draws. Forward and backward are one pass over the pairs between matrix products.

use faer::{Accum, MatMut, MatRef};
use pulp::{Simd, WithSimd};

use super::node::Node;
use super::tape::{Element, Pooled};
use super::vector::PARTIALS;
use crate::simd::arch;

/// A kernel, as a function of the squared distance `r²` and the median `M` of those of a batch of `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
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
    #[inline(always)]
    fn at<E: Element>(self, x: E, w: E) -> (E, E) {
        match self {
            Kernel::Gaussian => {
                let k = x.fast_decay();
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

/// Rows and columns of the pairs whose median distance sets the kernel's width: as good as all, and
/// looked through in no time.
pub(super) const MEDIAN_OF: usize = 64;

/// The draws of a discrepancy and the vectors at them, `[N, D]` each.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a, Node> {
    /// `u` and `a`.
    pub left: [&'a Node; 2],
    /// `v` and `b`; the same where the pairs are those of one batch.
    pub right: [&'a Node; 2],
    /// Whether a draw makes no pair with the one in its own row.
    pub distinct: bool,
}

/// `mean k(u, v) aᵀ b` over pairs.
#[derive(Debug)]
pub struct Discrepancy<Node> {
    /// The mean.
    pub value: f64,
    /// Its gradients by `u`, `a`, `v` and `b`, off the tape.
    pub gradients: [Node; 4],
}

/// The mean over pairs and its gradients, through the kernel's width as well where the kernel is Gaussian.
#[must_use]
pub fn discrepancy<E: Element>(kernel: Kernel, sides: Sides<'_, Node<E>>) -> Discrepancy<Node<E>> {
    let Sides { left, right, distinct } = sides;
    let shape @ (n, d) = left[0].shape();
    let ([u, a], [v, b]) = (left.map(Node::numbers), right.map(Node::numbers));
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
    let mut distance = product(u, v);
    let mut inner = product(a, b);
    let square = |x: &[E]| -> Vec<E> {
        x.chunks_exact(d).map(|x| x.iter().map(|x| *x * *x).sum::<E>()).collect()
    };
    arch().dispatch(Squares { products: &mut distance, left: &square(u), right: &square(v) });
    let (at_median, median) = median(&distance, n, distinct);
    let width = median.max(E::min_positive_value()) / E::of(((n + 1) as f64).ln());
    let pairs = if distinct { n * (n - 1) } else { n * n };
    let share = E::of((pairs as f64).recip());
    let weigh =
        Weigh { kernel, width, share, distinct, distance: &mut distance, inner: &mut inner };
    let Weighed { value, by_width, mut of_rows, mut of_columns } = arch().dispatch(weigh);
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
        let mut out = Pooled::new(n * d);
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
        by_distance(weights, &of_rows, u, v),
        times(kernels, b),
        by_distance(weights.transpose(), &of_columns, v, u),
        times(kernels.transpose(), a),
    ];
    Discrepancy { value, gradients: gradients.map(|g| Node::constant(g, shape)) }
}

/// Makes the squared distance of each pair of its inner product `[N, N]` and the squares of both `[N]`.
struct Squares<'a, E> {
    products: &'a mut [E],
    left: &'a [E],
    right: &'a [E],
}

impl<E: Element> WithSimd for Squares<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Squares { products, left, right } = self;
        for (row, l) in products.chunks_exact_mut(right.len()).zip(left) {
            for (x, r) in row.iter_mut().zip(right) {
                *x = (*l + *r - E::of(2.0) * *x).max(E::zero());
            }
        }
    }
}

/// Adds up the pairs, and leaves the weight of each pair's product in `inner` and that of its squared
/// distance in `distance`, `[N, N]` both.
struct Weigh<'a, E> {
    kernel: Kernel,
    width: E,
    /// Of a pair in the mean.
    share: E,
    distinct: bool,
    distance: &'a mut [E],
    inner: &'a mut [E],
}

/// The mean, its derivative by the logarithm of the kernel's width, and sums of the distances' weights by
/// row and column, `[N]`.
struct Weighed<E> {
    value: f64,
    by_width: E,
    of_rows: Vec<E>,
    of_columns: Vec<E>,
}

impl<E: Element> WithSimd for Weigh<'_, E> {
    type Output = Weighed<E>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Weighed<E> {
        // The kernel is chosen outside of the loops.
        match self.kernel {
            Kernel::Gaussian => self.by(|x, w| Kernel::Gaussian.at(x, w)),
            Kernel::InverseMultiquadric => self.by(|x, w| Kernel::InverseMultiquadric.at(x, w)),
        }
    }
}

impl<E: Element> Weigh<'_, E> {
    #[inline(always)]
    fn by(self, kernel: impl Fn(E, E) -> (E, E)) -> Weighed<E> {
        let Weigh { width, share, distinct, distance, inner, .. } = self;
        let n = distance.len().isqrt();
        let inverse = width.recip();
        let (mut value, mut by_width) = (0.0, E::zero());
        let (mut of_rows, mut of_columns) = (vec![E::zero(); n], vec![E::zero(); n]);
        let rows = distance.chunks_exact_mut(n).zip(inner.chunks_exact_mut(n));
        for (i, (row, inner)) in rows.enumerate() {
            if distinct {
                inner[i] = E::zero();
            }
            // Of the mean, of its derivative, and of the weights.
            let mut sums = [[E::zero(); PARTIALS]; 3];
            let pair =
                |sums: &mut [[E; PARTIALS]; 3], at: usize, r2: &mut E, g: &mut E, c: &mut E| {
                    let (k, by_r2) = kernel(*r2 * inverse, width);
                    let weighted = share * *g;
                    let change = weighted * by_r2;
                    sums[0][at] += weighted * k;
                    sums[1][at] += change * *r2;
                    sums[2][at] += change;
                    *c += change;
                    *g = share * k;
                    *r2 = change;
                };
            let (row, last_of_row) = row.as_chunks_mut::<PARTIALS>();
            let (products, last_products) = inner.as_chunks_mut::<PARTIALS>();
            let (columns, last_columns) = of_columns.as_chunks_mut::<PARTIALS>();
            for ((row, products), columns) in row.iter_mut().zip(products).zip(columns) {
                for at in 0..PARTIALS {
                    pair(&mut sums, at, &mut row[at], &mut products[at], &mut columns[at]);
                }
            }
            for (at, ((r2, g), c)) in
                last_of_row.iter_mut().zip(last_products).zip(last_columns).enumerate()
            {
                pair(&mut sums, at, r2, g, c);
            }
            let [sum, slope, total] = sums.map(|partial| partial.into_iter().sum::<E>());
            if distinct {
                inner[i] = E::zero();
            }
            of_rows[i] = total;
            value += sum.f64();
            by_width += slope;
        }
        Weighed { value, by_width, of_rows, of_columns }
    }
}

/// The (lower) median of the first pairs' squared distances, and a pair that has it.
fn median<E: Element>(distance: &[E], n: usize, distinct: bool) -> (usize, E) {
    let part = n.min(MEDIAN_OF);
    let pairs = (0..part * part)
        .map(|k| k / part * n + k % part)
        .filter(|at| !distinct || at / n != at % n);
    let mut distances: Vec<E> = pairs.clone().map(|at| distance[at]).collect();
    let middle = (distances.len() - 1) / 2;
    let order = |a: &E, b: &E| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal);
    let median = *distances.select_nth_unstable_by(middle, order).1;
    let at = pairs.clone().find(|&at| distance[at] == median);
    (at.unwrap_or_default(), median)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::network::normals;
    use crate::random::stream;

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
                let node = |x: &[f64]| Node::constant(Pooled::of(x), (5, 2));
                let [left, right] = [[&u, &a], [v, b]].map(|side| side.map(|x| node(x)));
                let sides = Sides { left: left.each_ref(), right: right.each_ref(), distinct };
                let found = discrepancy(kernel, sides);
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
                    assert!((found.gradients[0].numbers()[k] - difference).abs() < 1e-8);
                }
            }
        }
    }
}
