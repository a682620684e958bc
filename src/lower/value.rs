//! Values during lowering: an IR value whose leading axes may stand for surrounding loops.
//!
//! A `for` whose steps do not depend on each other is not run step by step: its index becomes an
//! axis, and everything computed from it carries that axis in front of its own. Lifting a scalar
//! function over arrays is the same thing with axes that have no loop.

use smallvec::SmallVec;

use crate::ir::{Builder, Shape, ValueId};

/// A loop axis. Numbered from the outermost inwards, so that sorted order is layout order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Axis(pub(super) u32);

/// Loop axes in ascending order.
pub(super) type Axes = SmallVec<[Axis; 2]>;

/// An IR value with its loop axes.
///
/// Invariant: the shape of `id` is the lengths of `axes`, then the value's own shape.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Val {
    pub(super) id: ValueId,
    pub(super) axes: Axes,
}

impl Val {
    /// A value that no loop index enters.
    pub(super) fn plain(id: ValueId) -> Self {
        Val { id, axes: Axes::new() }
    }

    /// The value's own shape.
    pub(super) fn shape(&self, b: &Builder) -> Shape {
        b.ty(self.id).shape[self.axes.len()..].into()
    }

    /// The number of its own axes.
    pub(super) fn rank(&self, b: &Builder) -> usize {
        b.ty(self.id).rank() - self.axes.len()
    }
}

/// The lengths of the loop axes that exist.
#[derive(Debug, Default)]
pub(super) struct AxisTable {
    lengths: Vec<usize>,
}

impl AxisTable {
    /// A new innermost axis.
    pub(super) fn add(&mut self, length: usize) -> Axis {
        self.lengths.push(length);
        Axis(u32::try_from(self.lengths.len() - 1).expect("fewer than 2^32 loops"))
    }

    /// The length of an axis.
    pub(super) fn length(&self, axis: Axis) -> usize {
        self.lengths[axis.0 as usize]
    }

    /// The union of the axes of some values.
    pub(super) fn union<'a>(vals: impl IntoIterator<Item = &'a Val>) -> Axes {
        let mut all = Axes::new();
        for v in vals {
            all.extend(v.axes.iter().copied());
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// `v` spread over `axes` (a superset of its own) and, if it is a scalar, over `own`.
    pub(super) fn spread(&self, b: &mut Builder, v: &Val, axes: &Axes, own: &[usize]) -> ValueId {
        let mut shape: Shape = axes.iter().map(|&a| self.length(a)).collect();
        shape.extend_from_slice(own);
        let mut places: Shape = v
            .axes
            .iter()
            .map(|a| axes.iter().position(|x| x == a).expect("spread over a superset"))
            .collect();
        if v.rank(b) > 0 {
            places.extend((0..own.len()).map(|i| axes.len() + i));
        }
        b.broadcast(v.id, &shape, &places)
    }

    /// Makes the first `new.len()` own axes of `v` loop axes. They must be newer than its axes.
    pub(super) fn own_to_axes(v: &Val, new: &[Axis]) -> Val {
        let mut axes = v.axes.clone();
        axes.extend_from_slice(new);
        Val { id: v.id, axes }
    }

    /// Makes `last`, the innermost loop axes of `v`, its first own axes; spreads `v` over those of them
    /// that it lacks.
    pub(super) fn axes_to_own(&self, b: &mut Builder, v: &Val, last: &[Axis]) -> Val {
        let outer: Axes = v.axes.iter().copied().filter(|a| !last.contains(a)).collect();
        let mut all = outer.clone();
        all.extend_from_slice(last);
        let own = v.shape(b);
        let id = self.spread(b, v, &all, &own);
        Val { id, axes: outer }
    }
}
