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
    fn with_simd<S: Simd>(mut self, simd: S) {
        // Tiles fill the vector registers: the sums, the operands, and one to spare. AVX-512 has 32
        // registers, all others 16.
        let many = E::lanes::<S>() * size_of::<E>() == 64;
        match self.n {
            1 => self.narrow::<S, 8, 1>(simd),
            2 if many => self.narrow::<S, 8, 2>(simd),
            2 => self.narrow::<S, 4, 2>(simd),
            3 | 4 if many => self.narrow::<S, 4, 4>(simd),
            3 | 4 => self.narrow::<S, 3, 4>(simd),
            5 if many => self.narrow::<S, 4, 5>(simd),
            5 => self.narrow::<S, 2, 5>(simd),
            6 if many => self.narrow::<S, 4, 6>(simd),
            6 => self.narrow::<S, 2, 6>(simd),
            n if n <= E::lanes::<S>().min(8) && many => self.narrow::<S, 3, 8>(simd),
            n if n <= E::lanes::<S>().min(8) => self.narrow::<S, 1, 8>(simd),
            _ => self.wide(simd, many),
        }
    }
}

impl<E: Element> Gemm<'_, E> {
    /// Vectors run along the columns of `C`.
    #[inline(always)]
    fn wide<S: Simd>(&mut self, simd: S, many: bool) {
        let mut i = 0;
        while i < self.m {
            i += match self.m - i {
                12.. if many => self.rows::<S, 12>(simd, i),
                6.. => self.rows::<S, 6>(simd, i),
                4 | 5 => self.rows::<S, 4>(simd, i),
                2 | 3 => self.rows::<S, 2>(simd, i),
                _ => self.rows::<S, 1>(simd, i),
            };
        }
    }

    /// Rows `i..i + R` of `C`; gives `R`.
    #[inline(always)]
    fn rows<S: Simd, const R: usize>(&mut self, simd: S, i: usize) -> usize {
        // These rows of `A`, column after column: where they are if contiguous, else copied.
        if self.a.rows != 1 {
            self.pack(i, R, R, 0);
        }
        let mut j = 0;
        while j < self.n {
            j += match self.n - j {
                left if left > E::lanes::<S>() => self.tile::<S, R, 2>(simd, i, j),
                _ => self.tile::<S, R, 1>(simd, i, j),
            };
        }
        R
    }

    /// As many columns of rows `i..i + R` of `C` from `j` on as `V` vectors hold, or as there are; gives that
    /// number.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize>(
        &mut self,
        simd: S,
        i: usize,
        j: usize,
    ) -> usize {
        let lanes = E::lanes::<S>();
        let cols = (self.n - j).min(V * lanes);
        let (a, stride) = match self.a.rows {
            1 => (&self.a.data[i..], self.a.cols),
            _ => (&self.panel[..], R),
        };
        let part = |v: usize| (v * lanes).min(cols)..((v + 1) * lanes).min(cols);
        let mut sums = [[E::splat(simd, E::zero()); V]; R];
        for p in 0..self.k {
            let b = &self.b[p * self.b_rows + j..];
            // What is read beyond the row is not stored.
            let b: [E::Vector<S>; V] = match E::vectors::<S>(b).first_chunk() {
                Some(whole) => *whole,
                None => std::array::from_fn(|v| E::load(simd, &b[part(v)])),
            };
            for (a, sums) in a[p * stride..][..R].iter().zip(&mut sums) {
                let a = E::splat(simd, *a);
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = E::fma_vector(simd, a, b, *sum);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            let row = &mut self.c[(i + r) * self.c_rows + j..][..cols];
            for (v, sum) in sums.iter().enumerate() {
                E::store(simd, &mut row[part(v)], *sum);
            }
        }
        cols
    }

    /// Vectors run along the rows of `C`, of which there are at most `W` columns.
    #[inline(always)]
    fn narrow<S: Simd, const V: usize, const W: usize>(&mut self, simd: S) {
        let lanes = E::lanes::<S>();
        let mut i = 0;
        while i < self.m {
            i += match (self.m - i).div_ceil(lanes) {
                vectors if vectors >= V => self.panel::<S, V, W>(simd, i),
                4.. if V > 4 => self.panel::<S, 4, W>(simd, i),
                2.. if V > 2 => self.panel::<S, 2, W>(simd, i),
                _ => self.panel::<S, 1, W>(simd, i),
            };
        }
    }

    /// As many rows of `C` from `i` on as `V` vectors hold, or as there are; gives that number.
    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "constant bounds keep the sums in registers")]
    fn panel<S: Simd, const V: usize, const W: usize>(&mut self, simd: S, i: usize) -> usize {
        let width = V * E::lanes::<S>();
        let rows = (self.m - i).min(width);
        let direct = self.direct(i, width);
        self.pack(i, rows, width, direct);
        let mut sums = [[E::splat(simd, E::zero()); V]; W];
        let from_a = self.a.data.get(i..).unwrap_or_default();
        let parts = [(0..direct, from_a, self.a.cols), (direct..self.k, &self.panel[..], width)];
        for (columns, a, stride) in parts {
            for (q, p) in columns.enumerate() {
                let a = E::vectors::<S>(&a[q * stride..][..width]);
                let b = &self.b[p * self.b_rows..];
                let padded;
                let b = match b.first_chunk::<W>() {
                    Some(b) => b,
                    None => {
                        padded = std::array::from_fn(|w| b[w.min(b.len() - 1)]);
                        &padded
                    }
                };
                // What comes of columns beyond the last is not stored.
                for w in 0..W {
                    let b = E::splat(simd, b[w]);
                    for v in 0..V {
                        sums[w][v] = E::fma_vector(simd, a[v], b, sums[w][v]);
                    }
                }
            }
        }
        self.panel.resize(self.panel.len().max(W * width), E::zero());
        for (sums, done) in sums.iter().zip(self.panel.chunks_exact_mut(width)) {
            E::vectors_mut::<S>(done)[..V].copy_from_slice(sums);
        }
        let done: [&[E]; W] = std::array::from_fn(|w| &self.panel[w * width..][..width]);
        let out = &mut self.c[i * self.c_rows..];
        if self.n == W && self.c_rows == W {
            // Nothing between the rows: lengths that the compiler knows.
            for (r, out) in out.as_chunks_mut::<W>().0[..rows].iter_mut().enumerate() {
                *out = std::array::from_fn(|w| done[w][r]);
            }
        } else {
            for (r, out) in out.chunks_mut(self.c_rows).take(rows).enumerate() {
                out[..self.n].iter_mut().zip(done).for_each(|(out, done)| *out = done[r]);
            }
        }
        rows
    }

    /// How many columns of `A`, from the first, can be read where they are, `width` rows from `i` on:
    /// contiguous ones. Rows that there are not are read from the next column and never stored.
    #[inline(always)]
    fn direct(&self, i: usize, width: usize) -> usize {
        match self.a.data.len().checked_sub(i + width) {
            Some(last) if self.a.rows == 1 => {
                last.checked_div(self.a.cols).map_or(self.k, |column| self.k.min(column + 1))
            }
            _ => 0,
        }
    }

    /// Copies rows `i..i + rows` of the columns of `A` from `first` on to `panel`, `[k − first][width]`,
    /// with zeros for missing rows.
    #[inline(always)]
    fn pack(&mut self, i: usize, rows: usize, width: usize, first: usize) {
        let columns = self.k - first;
        self.panel.resize((columns * width).max(self.panel.len()), E::zero());
        for (p, out) in self.panel.chunks_exact_mut(width).take(columns).enumerate() {
            let from = i * self.a.rows + (first + p) * self.a.cols;
            for (r, o) in out.iter_mut().enumerate() {
                *o = if r < rows { self.a.data[from + r * self.a.rows] } else { E::zero() };
            }
        }
    }
}
