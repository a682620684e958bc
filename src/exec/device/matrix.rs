//! Matrices of many points at once: products, factors and solutions, a column a step.
//!
//! A matrix is an [`Array`] of its elements, row-major. Decompositions work on all points in step, and choose
//! by arithmetic what differs between them, such as the row of a pivot.

use dfdx::prelude::{
    Axes3, Axis, BroadcastTo, Device, HasShape, PermuteTo, ReshapeTo, SumTo, TryMatMul,
};

use super::array::{Array, Comparison, Cube, Number};
use super::join::{Join, Rows};

/// Every row `times` times in a row, as `[n, times, lanes]`.
fn repeated<E: Number, D: Device<E>>(x: &Array<E, D>, times: usize) -> Cube<E, D> {
    let (n, lanes) = x.shape();
    x.0.clone().broadcast_like::<_, Axis<1>>(&(n, times, lanes))
}

/// All rows `times` times, as `[times, n, lanes]`.
fn tiled<E: Number, D: Device<E>>(x: &Array<E, D>, times: usize) -> Cube<E, D> {
    let (n, lanes) = x.shape();
    x.0.clone().broadcast_like::<_, Axis<0>>(&(times, n, lanes))
}

/// The same numbers with each in a place of its own.
fn unshared<E: Number, D: Device<E>>(cube: Cube<E, D>) -> Cube<E, D> {
    let zeros = cube.device().zeros_like(cube.shape());
    cube + zeros
}

/// `u vᵀ`.
fn outer<E: Number, D: Device<E>>(u: &Array<E, D>, v: &Array<E, D>) -> Array<E, D> {
    let ((n, l), (m, k)) = (u.shape(), v.shape());
    let lanes = l.max(k);
    let (u, v) = (u.to_shape((n, lanes)), v.to_shape((m, lanes)));
    Array::of_cube(repeated(&u, m) * tiled(&v, n))
}

/// Column `j` of a matrix of that many columns.
fn column<E: Number, D: Device<E>>(x: &Array<E, D>, j: usize, columns: usize) -> Array<E, D> {
    let (n, lanes) = x.shape();
    let n = n / columns;
    let cube = x.cube(n, columns).slice((0..n, j..j + 1, 0..lanes));
    Array(cube.reshape_like(&(n, lanes)))
}

/// `a b` for `a: [m, k]` and `b: [k, n]`.
pub(super) fn product<E: Number, D: Device<E>>(
    a: &Array<E, D>,
    b: &Array<E, D>,
    (m, k, n): (usize, usize, usize),
) -> Array<E, D> {
    let lanes = (a.shape().1, b.shape().1);
    match lanes {
        // The points' columns side by side.
        (1, lanes) => {
            let a = a.0.clone().reshape_like(&(m, k));
            let b = b.0.clone().reshape_like(&(k, n * lanes));
            Array(a.matmul(b).reshape_like(&(m * n, lanes)))
        }
        // A row of all points at a time, from the other side.
        (lanes, 1) => {
            let turned = Array::transposed(b.0.clone().reshape_like(&(k, n))).0;
            let b = turned.broadcast_like::<_, Axis<0>>(&(m, n, k));
            Array::of_cube(b.matmul(a.cube(m, k)).reshape_like(&(m, n, lanes)))
        }
        _ => {
            let first = |x: &Array<E, D>, rows, columns| {
                unshared(x.cube(rows, columns).permute::<_, Axes3<2, 0, 1>>())
            };
            let all = first(a, m, k).matmul(first(b, k, n));
            Array::of_cube(unshared(all.permute::<_, Axes3<1, 2, 0>>()))
        }
    }
}

/// The rows of a transposed `[m, n]`.
pub(super) fn transposition(m: usize, n: usize) -> Vec<Option<usize>> {
    (0..n * m).map(|i| Some(i % m * n + i / m)).collect()
}

/// Constants of a decomposition of `[n, n]`.
#[derive(Debug)]
pub(super) struct Square<E: Number, D: Device<E>> {
    n: usize,
    /// For each step: 1 from that row on.
    from: Vec<Array<E, D>>,
    /// For each step: 1 in that row.
    only: Vec<Array<E, D>>,
    /// `[n, n]`: 1 where the column is less than the row.
    below: Array<E, D>,
    transposed: Rows<E, D>,
    columns: Join<E, D>,
}

impl<E: Number, D: Device<E>> Square<E, D> {
    pub(super) fn new(dev: &D, n: usize) -> Self {
        let truth = |holds: bool| f64::from(u8::from(holds));
        let mask = |f: &dyn Fn(usize) -> bool| {
            let mask: Vec<f64> = (0..n).map(|i| truth(f(i))).collect();
            Array::uniform(dev, &mask)
        };
        let below: Vec<f64> = (0..n * n).map(|k| truth(k % n < k / n)).collect();
        Square {
            n,
            from: (0..n).map(|j| mask(&|i| i >= j)).collect(),
            only: (0..n).map(|j| mask(&|i| i == j)).collect(),
            below: Array::uniform(dev, &below),
            transposed: Rows::new(dev, &transposition(n, n), 0.0),
            columns: Join::new(dev, &vec![n; n]),
        }
    }

    /// The lower Cholesky factor; NaN throughout where there is none.
    pub(super) fn cholesky(&self, a: &Array<E, D>) -> Array<E, D> {
        let n = self.n;
        let mut left = a.clone();
        let mut columns = Vec::with_capacity(n);
        let mut least = a.slice(0, 1);
        for j in 0..n {
            let now = column(&left, j, n);
            let pivot = now.slice(j, 1);
            least = least.lower(&pivot);
            let factor = Array::select(&self.from[j], &(&now / pivot.sqrt()), &now.like(0.0));
            if j + 1 < n {
                left = left - outer(&factor, &factor);
            }
            columns.push(factor);
        }
        let factor = self.transposed.of(&self.columns.of(&columns.iter().collect::<Vec<_>>()));
        let definite = least.like(0.0).compare(Comparison::Less, &least);
        Array::select(&definite, &factor, &least.like(f64::NAN))
    }

    /// `a⁻¹ b` for a triangular `a`, or for its transpose, and `b: [n, c]`.
    pub(super) fn solve_triangular(
        &self,
        a: &Array<E, D>,
        lower: bool,
        transpose: bool,
        b: &Array<E, D>,
        joined: &Join<E, D>,
    ) -> Array<E, D> {
        let n = self.n;
        let c = b.shape().0 / n;
        let a = if transpose { self.transposed.of(a) } else { a.clone() };
        let order: Vec<usize> =
            if lower == transpose { (0..n).rev().collect() } else { (0..n).collect() };
        let mut left = b.clone();
        let mut solved = vec![None; n];
        for i in order {
            let of_step = column(&a, i, n);
            let x = left.slice(i * c, c) / of_step.slice(i, 1);
            left = left - outer(&of_step, &x);
            solved[i] = Some(x);
        }
        joined.of(&solved.iter().flatten().collect::<Vec<_>>())
    }

    /// Gauss and Jordan with row pivots: `a⁻¹ b` for `b: [n, c]` if there is one, and the determinant.
    pub(super) fn eliminate(&self, a: &Array<E, D>, b: Option<&Array<E, D>>) -> Elimination<E, D> {
        let n = self.n;
        let one = a.slice(0, 1).like(1.0);
        let (mut left, mut right) = (a.clone(), b.cloned());
        let (mut pivots, mut sign) = (Vec::with_capacity(n), one.clone());
        for j in 0..n {
            // The first of the largest in the rest of the column.
            let size = Array::select(&self.from[j], &column(&left, j, n).abs(), &one.like(-1.0));
            let largest = size.max_groups(n).compare_all(&size, n);
            let before = product(&self.below, &largest, (n, n, 1));
            let taken = Array::truth(&before.eq(0.0)) * &largest;
            // Where the row at hand is the one, nothing is exchanged.
            sign = sign * (taken.slice(j, 1) * 2.0 - 1.0);
            let exchange = |x: &Array<E, D>| {
                let width = x.shape().0 / n;
                let wide = |mask: &Array<E, D>| mask.repeated(width);
                let of_pivot = Array::select(&wide(&taken), x, &x.like(0.0));
                let pivot = of_pivot.sum_over_rows(n);
                let here = x.slice(j * width, width);
                let x = Array::select(&wide(&taken), &here.tiled(n), x);
                (Array::select(&wide(&self.only[j]), &pivot.tiled(n), &x), pivot)
            };
            let (x, row) = exchange(&left);
            let pivot = row.slice(j, 1);
            let multiple = column(&x, j, n) / &pivot;
            // A column without a pivot leaves a determinant of 0.
            let multiple = Array::select(&pivot, &multiple, &multiple.like(0.0));
            let multiple = Array::select(&self.only[j], &multiple.like(0.0), &multiple);
            left = x - outer(&multiple, &row);
            right = right.map(|b| {
                let (x, row) = exchange(&b);
                x - outer(&multiple, &row)
            });
            pivots.push(pivot);
        }
        let pivots: Vec<&Array<E, D>> = pivots.iter().collect();
        let solution = right.map(|b| {
            let width = b.shape().0 / n;
            let row = |(j, pivot): (usize, &&Array<E, D>)| b.slice(j * width, width) / *pivot;
            pivots.iter().enumerate().map(row).collect()
        });
        Elimination {
            solution,
            determinant: pivots.iter().fold(sign, |product, pivot| product * *pivot),
            log_size: pivots.iter().fold(one.like(0.0), |sum, pivot| sum + pivot.abs().ln()),
        }
    }

    /// `exp a` by scaling, Taylor's series and squaring.
    pub(super) fn exp(&self, a: &Array<E, D>) -> Array<E, D> {
        /// Halvings: enough for norms to `2^SCALINGS / 2`.
        const SCALINGS: usize = 40;
        /// Terms that reach double precision from a norm of ½.
        const TERMS: u32 = 16;
        let n = self.n;
        let shape = (n, n, n);
        let mut norm = a.abs().sum_over_rows(n).max_groups(n);
        let (mut x, mut halved) = (a.clone(), Vec::new());
        for _ in 0..SCALINGS {
            let large = Array::truth(&norm.gt(0.5));
            x = Array::select(&large, &(&x * 0.5), &x);
            norm = Array::select(&large, &(&norm * 0.5), &norm);
            halved.push(large);
        }
        let unit: Vec<f64> = (0..n * n).map(|k| f64::from(u8::from(k % n == k / n))).collect();
        let unit = Array::uniform(x.0.device(), &unit).to_shape(x.shape());
        let mut sum = unit.clone();
        for k in (1..=TERMS).rev() {
            sum = &unit + product(&x, &sum, shape) * f64::from(k).recip();
        }
        halved.iter().fold(sum, |y, large| Array::select(large, &product(&y, &y, shape), &y))
    }
}

/// What [`Square::eliminate`] finds.
pub(super) struct Elimination<E: Number, D: Device<E>> {
    /// The rows of the solution.
    pub(super) solution: Option<Vec<Array<E, D>>>,
    pub(super) determinant: Array<E, D>,
    pub(super) log_size: Array<E, D>,
}

impl<E: Number, D: Device<E>> Array<E, D> {
    /// `count` rows from `first` on.
    pub(crate) fn slice(&self, first: usize, count: usize) -> Self {
        let (n, lanes) = self.shape();
        if (first, count) == (0, n) {
            return self.clone();
        }
        Array(self.0.clone().slice((first..first + count, 0..lanes)))
    }

    /// Every row `times` times in a row.
    fn repeated(&self, times: usize) -> Self {
        Array::of_cube(unshared(repeated(self, times)))
    }

    /// All rows, `times` times.
    fn tiled(&self, times: usize) -> Self {
        Array::of_cube(unshared(tiled(self, times)))
    }

    /// The sum of the `n` rows of a matrix.
    fn sum_over_rows(&self, n: usize) -> Self {
        let columns = self.shape().0 / n;
        Array(self.cube(n, columns).sum::<_, Axis<0>>())
    }

    /// 1 where one of `n` rows equals this.
    fn compare_all(&self, rows: &Self, n: usize) -> Self {
        self.tiled(n).compare(Comparison::Equal, rows)
    }

    /// The integers that sort the rows in ascending order, equal ones in their order.
    pub(super) fn sort_indices(&self) -> Self {
        let n = self.shape().0;
        let dev = self.0.device().clone();
        // Element [i, j] compares row j with row i.
        let (this, other) = (self.repeated(n), self.tiled(n));
        let earlier: Vec<f64> = (0..n * n).map(|k| f64::from(u8::from(k % n < k / n))).collect();
        let ties = other.compare(Comparison::Equal, &this) * Array::uniform(&dev, &earlier);
        let rank = (other.compare(Comparison::Less, &this) + ties).sum_groups(n);
        // Row r of the result is the i whose rank is r.
        let numbers: Vec<f64> = (0..n).map(|i| i as f64).collect();
        let numbers = Array::uniform(&dev, &numbers);
        let found = rank.tiled(n).compare(Comparison::Equal, &numbers.repeated(n));
        (found * numbers.tiled(n)).sum_groups(n)
    }
}
