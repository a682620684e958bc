//! The kernel Stein discrepancy on a device; what it is, is in `inference::kernel_stein`.

use dfdx::prelude::{
    Axes2, Axis, HasShape, PermuteTo, PutTape, Rank0, ReshapeTo, SplitTape, SumTo, TryMatMul,
};

use super::{DeviceNode, Place, Plain, table};
use crate::exec::device::{Array, Comparison};
use crate::inference::kernel_stein::{Discrepancy, Kernel, MEDIAN_OF, Sides};
use crate::inference::tape::{Element, SharedTape};

/// The sum of every row, `[n, 1]`.
fn of_rows<E: Element, D: Place<E>>(x: &Array<E, D>) -> Array<E, D> {
    let rows = x.tensor().shape().0;
    Array::of(x.tensor().clone().sum::<(usize,), Axis<1>>().reshape_like(&(rows, 1)))
}

/// The same numbers in another shape.
fn shaped<E: Element, D: Place<E>>(x: &Array<E, D>, shape: (usize, usize)) -> Array<E, D> {
    Array::of(x.tensor().clone().reshape_like(&shape))
}

/// The sum of all numbers, `[1, 1]`.
fn total<E: Element, D: Place<E>>(x: &Array<E, D>) -> Array<E, D> {
    Array::of(x.tensor().clone().sum::<Rank0, _>().reshape_like(&(1, 1)))
}

fn transposed<E: Element, D: Place<E>>(x: &Plain<E, D>) -> Plain<E, D> {
    x.clone().permute::<_, Axes2<1, 0>>()
}

/// What is the same for all batches of `n`.
struct Pairs<E: Element, D: Place<E>> {
    /// The weight of each pair in the mean, `[n, n]`, or of all, `[1, 1]`.
    share: Array<E, D>,
    /// The places of the pairs whose median is the width, among `n n`, and 1 in those, `[n, n]`.
    median_of: dfdx::prelude::Tensor<(usize,), usize, D>,
    within: Array<E, D>,
}

impl<E: Element, D: Place<E>> Pairs<E, D> {
    fn new(n: usize, distinct: bool) -> Self {
        let dev = D::current();
        let apart = |at: &usize| !distinct || at / n != at % n;
        let pairs = (0..n * n).filter(apart).count() as f64;
        let share = if distinct {
            let shares = (0..n * n).map(|at| if apart(&at) { pairs.recip() } else { 0.0 });
            shaped(&Array::uniform(&dev, &shares.collect::<Vec<_>>()), (n, n))
        } else {
            Array::uniform(&dev, &[pairs.recip()])
        };
        let part = n.min(MEDIAN_OF);
        let chosen: Vec<usize> =
            (0..part * part).map(|k| k / part * n + k % part).filter(apart).collect();
        let mut within = vec![0.0; n * n];
        chosen.iter().for_each(|at| within[*at] = 1.0);
        let among = chosen.len();
        Pairs {
            share,
            median_of: dev.tensor_from_vec(chosen, (among,)),
            within: shaped(&Array::uniform(&dev, &within), (n, n)),
        }
    }

    /// The (lower) median of some of the distances, `[1, 1]`.
    fn median(&self, distance: &Array<E, D>) -> Array<E, D> {
        let n = distance.tensor().shape().0;
        let x = shaped(distance, (n * n, 1)).rows(&self.median_of);
        let among = x.tensor().shape().0;
        let others = shaped(&x, (1, among));
        let count = |how| of_rows(&others.compare(how, &x));
        let middle = ((among - 1) / 2) as f64 + 0.5;
        let low = count(Comparison::Less).below(middle);
        let is_median = &low - &low * count(Comparison::LessOrEqual).below(middle);
        Array::select(&is_median, &x, &x.like(f64::NEG_INFINITY)).max_groups(among)
    }
}

/// See [`discrepancy`](crate::inference::kernel_stein::discrepancy).
pub(super) fn discrepancy<E: Element, D: Place<E>>(
    kernel: Kernel,
    Sides { left, right, distinct }: Sides<'_, DeviceNode<E, D>>,
) -> Discrepancy<DeviceNode<E, D>> {
    let plain = |node: &DeviceNode<E, D>| node.0.clone().split_tape().0;
    let [u, a] = left.map(plain);
    // Copies: dfdx cannot multiply a tensor by itself.
    let [v, b] = right.map(|node| plain(node) * E::of(1.0));
    let n = u.shape().0;
    let pairs = table(&[7, n, usize::from(distinct)], || Pairs::<E, D>::new(n, distinct));
    let squares = |x: &Plain<E, D>| of_rows(&Array::of(x.clone().square()));
    let distance = squares(&u) + shaped(&squares(&v), (1, n))
        - Array::of(u.clone().matmul(transposed(&v))) * 2.0;
    let distance = Array::select(&distance.below(0.0), &distance.like(0.0), &distance);
    let median = pairs.median(&distance);
    let least = E::min_positive_value().f64();
    let median_floored = Array::select(&median.below(least), &median.like(least), &median);
    let width = &median_floored * ((n + 1) as f64).ln().recip();
    let x = &distance / &width;
    let (k, by_distance) = match kernel {
        Kernel::Gaussian => {
            let k = (-&x).exp();
            let slope = -(&k / &width);
            (k, slope)
        }
        Kernel::InverseMultiquadric => {
            let base = (x + 1.0).recip();
            let k = base.sqrt();
            let slope = &k * &base / &width * -0.5;
            (k, slope)
        }
    };
    let products = Array::of(a.clone().matmul(transposed(&b))) * &pairs.share;
    let value = total(&(&products * &k)).tensor().as_vec()[0].f64();
    let mut change = products * by_distance;
    if kernel == Kernel::Gaussian {
        // k depends on r²/M: ∂/∂M = −(r²/M) ∂/∂r².
        let by_median = total(&(&change * &distance)) / &median_floored;
        let chosen = distance.compare(Comparison::Equal, &median) * &pairs.within;
        let share = by_median / total(&chosen);
        change = change - chosen * share;
    }
    // ∂r²_ij/∂u_i = 2 (u_i − v_j).
    let back = |change: &Plain<E, D>, totals: Array<E, D>, own: &Plain<E, D>, other| {
        let pull = change.clone().matmul(other);
        (Array::of(own.clone()) * totals - Array::of(pull)) * 2.0
    };
    let of_columns = shaped(&change.sum_groups(n), (n, 1));
    let by_left = back(change.tensor(), of_rows(&change), &u, v.clone());
    let by_right = back(&transposed(change.tensor()), of_columns, &v, u);
    let kernels = k * &pairs.share;
    let by_a = kernels.tensor().clone().matmul(b);
    let by_b = transposed(kernels.tensor()).matmul(a);
    let node = |x: Plain<E, D>| DeviceNode(x.put_tape(SharedTape::off()));
    let [by_u, by_v] = [by_left, by_right].map(|x| node(x.tensor().clone()));
    Discrepancy { value, gradients: [by_u, node(by_a), by_v, node(by_b)] }
}
