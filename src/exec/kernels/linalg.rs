//! Matrix products in lanes, Cholesky factors, triangular solves.
//!
//! Each element is updated in order of the summation index, one fused multiply-add at a time, whatever
//! the number of lanes.

use pulp::{Arch, Simd, WithSimd};

use crate::exec::element::Element;
use crate::exec::plan::MatMul;
use crate::exec::run::Operands;
use crate::exec::workspace::Scratch;

use super::gemm::{Left, gemm};

/// `out = a b`.
pub(in crate::exec) fn matmul<E: Element>(
    product: &MatMul,
    operands: &Operands<'_, E>,
    scratch: &mut Scratch<E>,
    width: usize,
    out: &mut [E],
) {
    let (m, k, n) = product.size;
    let (a, b) = (operands.slice(&product.a), operands.slice(&product.b));
    let (rows, cols) = product.a_strides;
    let (a_width, b_width) = (operands.width(&product.a), operands.width(&product.b));
    let arch = scratch.arch;
    if a_width == 1 && b_width == width {
        let a = Left { data: a, rows, cols };
        let wide = n * width;
        gemm(arch, (m, k, wide), a, b, wide, out, wide, &mut scratch.panel);
    } else if b_width == 1 {
        // Row by row, `outᵀ = bᵀ aᵀ`.
        let b = Left { data: b, rows: 1, cols: n };
        for (i, row) in out.chunks_exact_mut(n * width).enumerate() {
            let a = &a[i * rows * width..];
            gemm(arch, (n, k, width), b, a, cols * width, row, width, &mut scratch.panel);
        }
    } else {
        arch.dispatch(Lanes { a, b, m, k, n, strides: (rows, cols), width, out });
    }
}

/// Matrix product where both matrices differ between lanes.
struct Lanes<'a, E> {
    a: &'a [E],
    b: &'a [E],
    m: usize,
    k: usize,
    n: usize,
    strides: (usize, usize),
    width: usize,
    out: &'a mut [E],
}

impl<E: Element> WithSimd for Lanes<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Lanes { a, b, m, k, n, strides, width, out } = self;
        out.fill(E::zero());
        for i in 0..m {
            let row = &mut out[i * n * width..(i + 1) * n * width];
            for p in 0..k {
                let a = &a[(i * strides.0 + p * strides.1) * width..][..width];
                let b = &b[p * n * width..(p + 1) * n * width];
                for (o, b) in row.chunks_exact_mut(width).zip(b.chunks_exact(width)) {
                    for ((o, &a), &b) in o.iter_mut().zip(a).zip(b) {
                        *o = a.fma(b, *o);
                    }
                }
            }
        }
    }
}

/// Lower Cholesky factor of an `n` by `n` matrix; NaN in lanes where it is not positive definite.
pub(in crate::exec) fn cholesky<E: Element>(
    scratch: &mut Scratch<E>,
    a: &[E],
    n: usize,
    width: usize,
    out: &mut [E],
) {
    scratch.panel.resize((n * width).max(scratch.panel.len()), E::zero());
    let column = &mut scratch.panel[..n * width];
    scratch.arch.dispatch(Cholesky { a, n, width, out, column });
}

struct Cholesky<'a, E> {
    a: &'a [E],
    n: usize,
    width: usize,
    out: &'a mut [E],
    column: &'a mut [E],
}

impl<E: Element> WithSimd for Cholesky<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Cholesky { a, n, width, out, column } = self;
        let at = |i: usize, j: usize| (i * n + j) * width;
        out.copy_from_slice(a);
        // Right-looking: column k is final, then it is taken out of what lies to its right.
        for k in 0..n {
            out[at(k, k + 1)..at(k, n)].fill(E::zero());
            for lane in 0..width {
                let pivot = out[at(k, k) + lane];
                // The square root of a number that is not positive must not pass for a pivot.
                let root = if pivot > E::zero() { pivot.sqrt() } else { E::nan() };
                out[at(k, k) + lane] = root;
                for i in k + 1..n {
                    let l = out[at(i, k) + lane] / root;
                    out[at(i, k) + lane] = l;
                    column[i * width + lane] = -l;
                }
            }
            for i in k + 1..n {
                let (head, tail) = out[at(i, 0)..at(i, i) + width].split_at_mut((k + 1) * width);
                let l = &head[k * width..];
                let column = &column[(k + 1) * width..(i + 1) * width];
                subtract(tail, column, l, width);
            }
        }
        for lane in 0..width {
            // A NaN pivot makes everything to its right NaN, so the last pivot tells.
            if out[at(n - 1, n - 1) + lane].is_nan() {
                out.iter_mut().skip(lane).step_by(width).for_each(|x| *x = E::nan());
            }
        }
    }
}

/// `x += l · y` for blocks of `width`.
#[inline(always)]
fn subtract<E: Element>(x: &mut [E], y: &[E], l: &[E], width: usize) {
    if width == 1 {
        let l = l[0];
        for (x, &y) in x.iter_mut().zip(y) {
            *x = y.fma(l, *x);
        }
    } else {
        for (x, y) in x.chunks_exact_mut(width).zip(y.chunks_exact(width)) {
            for ((x, &y), &l) in x.iter_mut().zip(y).zip(l) {
                *x = y.fma(l, *x);
            }
        }
    }
}

/// Solves `op(a) x = b` for a triangular `a`, which comes with its width.
pub(in crate::exec) fn tri_solve<E: Element>(
    arch: Arch,
    (a, a_width): (&[E], usize),
    b: &[E],
    (n, cols): (usize, usize),
    (lower, trans): (bool, bool),
    width: usize,
    out: &mut [E],
) {
    out.copy_from_slice(b);
    arch.dispatch(TriSolve { a, a_width, n, cols, lower, trans, width, out });
}

struct TriSolve<'a, E> {
    a: &'a [E],
    a_width: usize,
    n: usize,
    cols: usize,
    lower: bool,
    trans: bool,
    width: usize,
    out: &'a mut [E],
}

impl<E: Element> WithSimd for TriSolve<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let TriSolve { a, a_width, n, cols, lower, trans, width, out } = self;
        let row = cols * width;
        let at = |i: usize, j: usize| {
            let (i, j) = if trans { (j, i) } else { (i, j) };
            &a[(i * n + j) * a_width..][..a_width]
        };
        let forward = lower != trans;
        for step in 0..n {
            let i = if forward { step } else { n - 1 - step };
            let solved = if forward { 0..i } else { i + 1..n };
            for k in solved {
                let (x, known) = two_rows(out, i, k, row);
                let l = at(i, k);
                if a_width == 1 {
                    let l = -l[0];
                    for (x, &y) in x.iter_mut().zip(known) {
                        *x = y.fma(l, *x);
                    }
                } else {
                    for (x, y) in x.chunks_exact_mut(width).zip(known.chunks_exact(width)) {
                        for ((x, &y), &l) in x.iter_mut().zip(y).zip(l) {
                            *x = y.fma(-l, *x);
                        }
                    }
                }
            }
            let pivot = at(i, i);
            for (e, x) in out[i * row..(i + 1) * row].iter_mut().enumerate() {
                *x /= pivot[if a_width == 1 { 0 } else { e % width }];
            }
        }
    }
}

/// Row `i` to write and row `k` to read.
#[inline(always)]
fn two_rows<E>(x: &mut [E], i: usize, k: usize, row: usize) -> (&mut [E], &[E]) {
    if k < i {
        let (head, tail) = x.split_at_mut(i * row);
        (&mut tail[..row], &head[k * row..(k + 1) * row])
    } else {
        let (head, tail) = x.split_at_mut(k * row);
        (&mut head[i * row..(i + 1) * row], &tail[..row])
    }
}
