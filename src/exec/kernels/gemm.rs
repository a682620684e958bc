//! Matrix product of a small left matrix and a wide right one: `C[m, n] = A[m, k] B[k, n]`.
//!
//! Every element of `C` is summed over `k` from the first to the last, one fused multiply-add each, so
//! its bits depend neither on `n` (the number of lanes) nor on how the work is cut. That rules out the
//! tuned libraries, whose kernels change with the shape.

use pulp::{Arch, Simd, WithSimd};

use crate::exec::element::Element;

/// A matrix in a slice: element `(i, j)` is at `i · rows + j · cols`.
#[derive(Debug, Clone, Copy)]
pub(in crate::exec) struct Left<'a, E> {
    pub data: &'a [E],
    pub rows: usize,
    pub cols: usize,
}

/// `C[m, n] = A[m, k] B[k, n]`; row `p` of `B` starts at `p · b_rows`, row `i` of `C` at `i · c_rows`.
///
/// `panel` is scratch space.
#[allow(clippy::too_many_arguments, reason = "the BLAS signature")]
pub(in crate::exec) fn gemm<E: Element>(
    arch: Arch,
    (m, k, n): (usize, usize, usize),
    a: Left<'_, E>,
    b: &[E],
    b_rows: usize,
    c: &mut [E],
    c_rows: usize,
    panel: &mut Vec<E>,
) {
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        for row in c.chunks_mut(c_rows).take(m) {
            row[..n].fill(E::zero());
        }
        return;
    }
    arch.dispatch(Gemm { m, k, n, a, b, b_rows, c, c_rows, panel });
}

struct Gemm<'a, E> {
    m: usize,
    k: usize,
    n: usize,
    a: Left<'a, E>,
    b: &'a [E],
    b_rows: usize,
    c: &'a mut [E],
    c_rows: usize,
    panel: &'a mut Vec<E>,
}

impl<E: Element> WithSimd for Gemm<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // Register tiles of a cache line's width.
        match (size_of::<E>(), self.n) {
            (8, 1) => self.narrow::<32, 1>(),
            (8, 2) => self.narrow::<16, 2>(),
            (8, 3..=7) => self.narrow::<8, 4>(),
            (8, _) => self.wide::<6, 8>(),
            (_, 1) => self.narrow::<64, 1>(),
            (_, 2) => self.narrow::<32, 2>(),
            (_, 3..=7) => self.narrow::<16, 4>(),
            (_, 8..=15) => self.narrow::<8, 8>(),
            _ => self.wide::<6, 16>(),
        }
    }
}

impl<E: Element> Gemm<'_, E> {
    /// Copies rows `i..i + rows` of `A` to `panel`, `[k][R]`, with zeros for missing rows.
    #[inline(always)]
    fn pack<const R: usize>(&mut self, i: usize, rows: usize) {
        self.panel.resize(self.k * R, E::zero());
        for (p, out) in self.panel.chunks_exact_mut(R).enumerate() {
            let from = i * self.a.rows + p * self.a.cols;
            if self.a.rows == 1 {
                out[..rows].copy_from_slice(&self.a.data[from..from + rows]);
            } else {
                for (r, o) in out[..rows].iter_mut().enumerate() {
                    *o = self.a.data[from + r * self.a.rows];
                }
            }
            out[rows..].fill(E::zero());
        }
    }

    /// Vectors run along the columns of `C`.
    #[inline(always)]
    fn wide<const R: usize, const W: usize>(mut self) {
        for i in (0..self.m).step_by(R) {
            let rows = R.min(self.m - i);
            self.pack::<R>(i, rows);
            for j in (0..self.n).step_by(W) {
                let cols = W.min(self.n - j);
                let mut sums = [[E::zero(); W]; R];
                for (p, a) in self.panel.chunks_exact(R).enumerate() {
                    let from = p * self.b_rows + j;
                    let mut b = [E::zero(); W];
                    if cols == W {
                        b.copy_from_slice(&self.b[from..from + W]);
                    } else {
                        b[..cols].copy_from_slice(&self.b[from..from + cols]);
                    }
                    for r in 0..R {
                        for w in 0..W {
                            sums[r][w] = a[r].fma(b[w], sums[r][w]);
                        }
                    }
                }
                for (r, sums) in sums.iter().enumerate().take(rows) {
                    let to = (i + r) * self.c_rows + j;
                    self.c[to..to + cols].copy_from_slice(&sums[..cols]);
                }
            }
        }
    }

    /// Vectors run along the rows of `C`, of which there are few columns.
    #[inline(always)]
    fn narrow<const R: usize, const W: usize>(mut self) {
        for i in (0..self.m).step_by(R) {
            let rows = R.min(self.m - i);
            // Whole panels of a matrix whose columns are contiguous need no copy.
            let direct = self.a.rows == 1 && rows == R;
            if !direct {
                self.pack::<R>(i, rows);
            }
            for j in (0..self.n).step_by(W) {
                let cols = W.min(self.n - j);
                let mut sums = [[E::zero(); R]; W];
                for p in 0..self.k {
                    let from = if direct { i + p * self.a.cols } else { p * R };
                    let source = if direct { self.a.data } else { &self.panel[..] };
                    let mut a = [E::zero(); R];
                    a.copy_from_slice(&source[from..from + R]);
                    let from = p * self.b_rows + j;
                    let mut b = [E::zero(); W];
                    if cols == W {
                        b.copy_from_slice(&self.b[from..from + W]);
                    } else {
                        b[..cols].copy_from_slice(&self.b[from..from + cols]);
                    }
                    for w in 0..W {
                        for r in 0..R {
                            sums[w][r] = a[r].fma(b[w], sums[w][r]);
                        }
                    }
                }
                for (w, sums) in sums.iter().enumerate().take(cols) {
                    for (r, &sum) in sums.iter().enumerate().take(rows) {
                        self.c[(i + r) * self.c_rows + j + w] = sum;
                    }
                }
            }
        }
    }
}
