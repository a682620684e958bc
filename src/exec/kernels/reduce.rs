//! Sums, running sums, maximum and log-sum-exp, each lane by itself.

use pulp::{Arch, Simd, WithSimd};

use crate::exec::element::Element;
use crate::exec::workspace::Scratch;

/// Adds the numbers of `data` to `acc`, number `i` to `acc[i % acc.len()]`.
pub(in crate::exec) fn accumulate<E: Element>(arch: Arch, data: &[E], acc: &mut [E]) {
    if data.len() <= 8 {
        for (i, &x) in data.iter().enumerate() {
            let i = i % acc.len();
            acc[i] += x;
        }
        return;
    }
    arch.dispatch(Accumulate { data, acc });
}

struct Accumulate<'a, E> {
    data: &'a [E],
    acc: &'a mut [E],
}

impl<E: Element> WithSimd for Accumulate<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        /// Kept in registers, as many as the lanes of a chain, or one lane in eight partial sums.
        #[inline(always)]
        fn few<E: Element, const N: usize>(data: &[E], acc: &mut [E]) {
            let (chunks, tail) = data.as_chunks::<N>();
            let mut sums = [E::zero(); N];
            sums.copy_from_slice(acc);
            for chunk in chunks {
                sums.iter_mut().zip(chunk).for_each(|(sum, &x)| *sum += x);
            }
            sums.iter_mut().zip(tail).for_each(|(sum, &x)| *sum += x);
            acc.copy_from_slice(&sums);
        }
        let Accumulate { data, acc } = self;
        match acc.len() {
            4 => few::<E, 4>(data, acc),
            5 => few::<E, 5>(data, acc),
            8 => few::<E, 8>(data, acc),
            16 => few::<E, 16>(data, acc),
            n => {
                for chunk in data.chunks(n) {
                    acc.iter_mut().zip(chunk).for_each(|(sum, &x)| *sum += x);
                }
            }
        }
    }
}

/// Adds up partial sums pairwise into `out`; there are 1 or 8 times as many as `out` is long.
pub(in crate::exec) fn add_up<E: Element>(partials: &[E], out: &mut [E]) {
    let width = out.len();
    if partials.len() == width {
        out.copy_from_slice(partials);
        return;
    }
    for (lane, o) in out.iter_mut().enumerate() {
        let p = |i: usize| partials[i * width + lane];
        *o = ((p(0) + p(4)) + (p(2) + p(6))) + ((p(1) + p(5)) + (p(3) + p(7)));
    }
}

/// Inclusive sums along the middle axis of `[before, size, after]`.
pub(in crate::exec) fn running_sum<E: Element>(
    data: &[E],
    (before, size, after): (usize, usize, usize),
    reverse: bool,
    width: usize,
    out: &mut [E],
) {
    out.copy_from_slice(data);
    let row = after * width;
    for block in out.chunks_exact_mut(size * row).take(before) {
        for step in 1..size {
            let (earlier, later) = if reverse {
                let (head, tail) = block.split_at_mut((size - step) * row);
                (&tail[..row], &mut head[(size - step - 1) * row..])
            } else {
                let (head, tail) = block.split_at_mut(step * row);
                (&head[(step - 1) * row..], &mut tail[..row])
            };
            for (x, &sum) in later.iter_mut().zip(earlier) {
                *x += sum;
            }
        }
    }
}

/// Maximum of rows of `cols` elements, or their log-sum-exp.
pub(in crate::exec) fn extreme<E: Element>(
    scratch: &mut Scratch<E>,
    data: &[E],
    cols: usize,
    log_sum_exp: bool,
    width: usize,
    out: &mut [E],
) {
    let panel = &mut scratch.panel;
    let needed = width.max(cols);
    panel.resize(needed.max(panel.len()), E::zero());
    let work = Extreme { data, cols, log_sum_exp, width, out, work: &mut panel[..needed] };
    scratch.arch.dispatch(work);
}

struct Extreme<'a, E> {
    data: &'a [E],
    cols: usize,
    log_sum_exp: bool,
    width: usize,
    out: &'a mut [E],
    work: &'a mut [E],
}

impl<E: Element> WithSimd for Extreme<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let width = self.width;
        let rows = self.data.chunks_exact(self.cols * width);
        for (row, out) in rows.zip(self.out.chunks_exact_mut(width)) {
            out.fill(E::neg_infinity());
            for element in row.chunks_exact(width) {
                for (m, &x) in out.iter_mut().zip(element) {
                    *m = if x > *m || x.is_nan() { x } else { *m };
                }
            }
            if !self.log_sum_exp {
                continue;
            }
            if width == 1 {
                // One lane: vectors along the row, then the sum in the same order as below.
                let m = out[0];
                for (term, &x) in self.work.iter_mut().zip(row) {
                    *term = (x - m).fast_exp();
                }
                let sum = self.work[..self.cols].iter().fold(E::zero(), |sum, &x| sum + x);
                out[0] = if m.is_finite() { m + sum.fast_log() } else { m };
                continue;
            }
            let sums = &mut self.work[..width];
            sums.fill(E::zero());
            for element in row.chunks_exact(width) {
                for ((sum, &x), &m) in sums.iter_mut().zip(element).zip(&*out) {
                    *sum += (x - m).fast_exp();
                }
            }
            for (m, &sum) in out.iter_mut().zip(&*sums) {
                // At an infinite or NaN maximum the differences mean nothing.
                *m = if m.is_finite() { *m + sum.fast_log() } else { *m };
            }
        }
    }
}
