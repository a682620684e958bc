//! Row-major index arithmetic on shapes.

use crate::ir::Shape;

/// Row-major strides of a shape, in elements.
pub(super) fn strides(shape: &[usize]) -> Shape {
    let mut strides: Shape = shape.iter().map(|_| 1).collect();
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}

/// For every element of `shape` in row-major order, `offset + Σᵢ indexᵢ · strides[i]`.
pub(super) fn positions(shape: &[usize], offset: usize, strides: &[usize]) -> Vec<usize> {
    let mut out = vec![offset];
    for (&size, &stride) in shape.iter().zip(strides) {
        let mut next = Vec::with_capacity(out.len() * size);
        for base in out {
            next.extend((0..size).map(|i| base + i * stride));
        }
        out = next;
    }
    out
}

/// Splits a shape at `axis` into the sizes before, at and after it.
pub(super) fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    (shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product())
}

/// Axes of a tensor of rank `rank` with those in `last` moved to the end, the order kept otherwise.
pub(super) fn moved_last(rank: usize, last: &[usize]) -> Shape {
    (0..rank).filter(|a| !last.contains(a)).chain(last.iter().copied()).collect()
}
