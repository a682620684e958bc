//! Putting parts in place, gather and scatter.

use crate::exec::element::Element;
use crate::exec::plan::Places;
use crate::exec::reference::in_bounds;

/// Copies the elements of `data` to their places in `out`.
pub(in crate::exec) fn put<E: Element>(data: &[E], places: &Places, width: usize, out: &mut [E]) {
    match places {
        Places::From(start) => out[start * width..][..data.len()].copy_from_slice(data),
        Places::Blocks { start, chunk, stride } => {
            for (i, block) in data.chunks_exact(chunk * width).enumerate() {
                out[(start + i * stride) * width..][..block.len()].copy_from_slice(block);
            }
        }
        Places::Table(table) => {
            for (&place, element) in table.iter().zip(data.chunks_exact(width)) {
                out[place as usize * width..][..width].copy_from_slice(element);
            }
        }
    }
}

/// Adds element `e` of `data` to element `places[e]` of zeros, in order.
pub(in crate::exec) fn scatter<E: Element>(
    data: &[E],
    places: &[u32],
    width: usize,
    out: &mut [E],
) {
    out.fill(E::zero());
    if width == 1 {
        for (&place, &x) in places.iter().zip(data) {
            if place != u32::MAX {
                out[place as usize] += x;
            }
        }
        return;
    }
    for (&place, element) in places.iter().zip(data.chunks_exact(width)) {
        if place != u32::MAX {
            for (o, &x) in out[place as usize * width..][..width].iter_mut().zip(element) {
                *o += x;
            }
        }
    }
}

/// Rows of `data`, `[before, size, after]`, at the indices; NaN for those outside.
///
/// `data` and `index` come with their widths.
pub(in crate::exec) fn gather<E: Element>(
    (data, data_width): (&[E], usize),
    (index, index_width): (&[E], usize),
    (before, size, after): (usize, usize, usize),
    width: usize,
    out: &mut [E],
) {
    let indices = index.len() / index_width;
    for (e, out) in out.chunks_exact_mut(width).enumerate() {
        let (i, rest) = (e / (indices * after), e % (indices * after));
        let (j, k) = (rest / after, rest % after);
        debug_assert!(i < before, "more elements than there are");
        for (lane, o) in out.iter_mut().enumerate() {
            let at = index[j * index_width + lane % index_width];
            *o = match in_bounds(at.f64(), size) {
                Some(row) => data[((i * size + row) * after + k) * data_width + lane % data_width],
                None => E::nan(),
            };
        }
    }
}

/// Adds rows of `data` to zeros `[before, size, after]` at the indices; those outside are dropped.
pub(in crate::exec) fn scatter_at<E: Element>(
    data: &[E],
    (index, index_width): (&[E], usize),
    (before, size, after): (usize, usize, usize),
    width: usize,
    out: &mut [E],
) {
    out.fill(E::zero());
    let indices = index.len() / index_width;
    for (e, element) in data.chunks_exact(width).enumerate() {
        let (i, rest) = (e / (indices * after), e % (indices * after));
        let (j, k) = (rest / after, rest % after);
        debug_assert!(i < before, "more elements than there are");
        for (lane, &x) in element.iter().enumerate() {
            let at = index[j * index_width + lane % index_width];
            if let Some(row) = in_bounds(at.f64(), size) {
                out[((i * size + row) * after + k) * width + lane] += x;
            }
        }
    }
}
