//! LU factors with partial pivoting, of real and of complex matrices [golub2013, alg. 3.4.1].

use std::ops::{Div, Mul, Sub};

/// A number of a field: what elimination needs.
pub(in crate::exec) trait Scalar:
    Copy + Mul<Output = Self> + Sub<Output = Self> + Div<Output = Self>
{
    /// Its size, for the choice of pivots.
    fn size(self) -> f64;
}

impl Scalar for f64 {
    fn size(self) -> f64 {
        self.abs()
    }
}

/// A complex number, `(re, im)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::exec) struct Complex(pub(super) f64, pub(super) f64);

impl Mul for Complex {
    type Output = Self;
    fn mul(self, x: Self) -> Self {
        Complex(self.0 * x.0 - self.1 * x.1, self.0 * x.1 + self.1 * x.0)
    }
}

impl Sub for Complex {
    type Output = Self;
    fn sub(self, x: Self) -> Self {
        Complex(self.0 - x.0, self.1 - x.1)
    }
}

impl Div for Complex {
    type Output = Self;
    fn div(self, x: Self) -> Self {
        let d = x.0 * x.0 + x.1 * x.1;
        Complex((self.0 * x.0 + self.1 * x.1) / d, (self.1 * x.0 - self.0 * x.1) / d)
    }
}

impl Scalar for Complex {
    fn size(self) -> f64 {
        self.0.abs() + self.1.abs()
    }
}

/// `P A = L U`, both in one matrix; singular matrices have a zero on the diagonal of `U`.
#[derive(Debug, Clone)]
pub(in crate::exec) struct Lu<T> {
    factors: Vec<T>,
    /// The row that was swapped with row `k` at step `k`.
    swaps: Vec<usize>,
    n: usize,
}

impl<T: Scalar> Lu<T> {
    /// Factors the `n` by `n` matrix `a`, row by row.
    pub(in crate::exec) fn new(a: Vec<T>, n: usize) -> Self {
        let mut a = a;
        let mut swaps = Vec::with_capacity(n);
        for k in 0..n {
            let mut pivot = k;
            for i in k + 1..n {
                if a[i * n + k].size() > a[pivot * n + k].size() {
                    pivot = i;
                }
            }
            swaps.push(pivot);
            if pivot != k {
                for j in 0..n {
                    a.swap(k * n + j, pivot * n + j);
                }
            }
            for i in k + 1..n {
                if a[i * n + k].size() == 0.0 {
                    continue;
                }
                let factor = a[i * n + k] / a[k * n + k];
                a[i * n + k] = factor;
                for j in k + 1..n {
                    a[i * n + j] = a[i * n + j] - factor * a[k * n + j];
                }
            }
        }
        Lu { factors: a, swaps, n }
    }

    /// Replaces the vector `b` by `A⁻¹ b`.
    pub(in crate::exec) fn solve(&self, b: &mut [T]) {
        let (n, a) = (self.n, &self.factors);
        for (k, &pivot) in self.swaps.iter().enumerate() {
            b.swap(k, pivot);
        }
        for i in 1..n {
            for j in 0..i {
                b[i] = b[i] - a[i * n + j] * b[j];
            }
        }
        for i in (0..n).rev() {
            for j in i + 1..n {
                b[i] = b[i] - a[i * n + j] * b[j];
            }
            b[i] = b[i] / a[i * n + i];
        }
    }
}

impl Lu<f64> {
    /// The determinant.
    pub(in crate::exec) fn determinant(&self) -> f64 {
        let swapped = self.swaps.iter().enumerate().filter(|(k, p)| k != *p).count();
        let sign = if swapped % 2 == 0 { 1.0 } else { -1.0 };
        self.pivots().fold(sign, |product, x| product * x)
    }

    /// `log |det A|`.
    pub(in crate::exec) fn log_abs_determinant(&self) -> f64 {
        self.pivots().map(|x| x.abs().ln()).sum()
    }

    fn pivots(&self) -> impl Iterator<Item = f64> {
        (0..self.n).map(|k| self.factors[k * (self.n + 1)])
    }
}

/// `op(A)⁻¹ B` for `A: [n, n]` and `B: [n, cols]`.
pub(in crate::exec) fn solve(a: &[f64], b: &[f64], n: usize, cols: usize, trans: bool) -> Vec<f64> {
    let a = if trans { (0..n * n).map(|k| a[k % n * n + k / n]).collect() } else { a.to_vec() };
    let lu = Lu::new(a, n);
    let mut out = b.to_vec();
    let mut column = vec![0.0; n];
    for c in 0..cols {
        for (i, x) in column.iter_mut().enumerate() {
            *x = b[i * cols + c];
        }
        lu.solve(&mut column);
        for (i, x) in column.iter().enumerate() {
            out[i * cols + c] = *x;
        }
    }
    out
}
