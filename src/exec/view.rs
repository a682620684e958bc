//! Views: which elements of a stored value an operand reads, without copying them.
//!
//! A varying value of `n` elements is stored `[n][L]`, lane innermost; a uniform one (the same in all
//! lanes) `[n]`. Reshapes, slices, broadcasts, transpositions and gathers by constant indices only
//! change the view.

use std::sync::Arc;

use super::element::Element;

/// Whether a value differs between lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Class {
    /// The same in all lanes; stored once.
    Uniform,
    /// Stored for each lane.
    Varying,
}

impl Class {
    /// Numbers stored for each element when there are `lanes` lanes.
    pub(super) fn width(self, lanes: usize) -> usize {
        match self {
            Class::Uniform => 1,
            Class::Varying => lanes,
        }
    }
}

/// Element of the view → element of the stored value.
#[derive(Debug, Clone)]
pub(super) enum Map {
    /// `e ↦ offset + e`.
    Contiguous(usize),
    /// `e ↦ offset`.
    Splat(usize),
    /// `e ↦ table[e]`.
    Table(Arc<[u32]>),
}

/// Some elements of a stored value, in some order.
#[derive(Debug, Clone)]
pub(super) struct View {
    /// Index of the value in its plan.
    pub(super) value: usize,
    /// Which elements.
    pub(super) map: Map,
    /// How many.
    pub(super) len: usize,
}

/// See [`View::key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ViewKey {
    value: usize,
    len: usize,
    map: (u8, usize),
}

impl View {
    /// All of a value.
    pub(super) fn whole(value: usize, len: usize) -> Self {
        View { value, map: Map::Contiguous(0), len }
    }

    /// The stored element behind element `e`.
    pub(super) fn at(&self, e: usize) -> usize {
        match &self.map {
            Map::Contiguous(offset) => offset + e,
            Map::Splat(offset) => *offset,
            Map::Table(table) => table[e] as usize,
        }
    }

    /// The elements `positions` of this view, in that order.
    ///
    /// # Panics
    /// When a value has more than 2³² elements.
    pub(super) fn select(&self, positions: &[usize]) -> View {
        let len = positions.len();
        let map = match &self.map {
            Map::Splat(offset) => Map::Splat(*offset),
            _ => {
                let first = positions.first().map_or(0, |&p| self.at(p));
                let places = || positions.iter().map(|&p| self.at(p));
                if places().enumerate().all(|(i, p)| p == first + i) {
                    Map::Contiguous(first)
                } else if places().all(|p| p == first) {
                    Map::Splat(first)
                } else {
                    let place = |p| u32::try_from(p).expect("fewer than 2^32 elements");
                    Map::Table(places().map(place).collect())
                }
            }
        };
        View { value: self.value, map, len }
    }

    /// What two views that read the same elements of the same value have in common, as long as both
    /// live: a table is known by where it is.
    pub(super) fn key(&self) -> ViewKey {
        let map = match &self.map {
            Map::Contiguous(offset) => (0, *offset),
            Map::Splat(offset) => (1, *offset),
            Map::Table(table) => (2, Arc::as_ptr(table).addr()),
        };
        ViewKey { value: self.value, len: self.len, map }
    }

    /// Copies elements `start..` of the view to `out`, as many as fit.
    ///
    /// `source` is the stored value with `from` numbers an element; `out` has `to` an element.
    pub(super) fn load<E: Element>(
        &self,
        source: &[E],
        from: usize,
        start: usize,
        out: &mut [E],
        to: usize,
    ) {
        match &self.map {
            Map::Contiguous(offset) if from == to => {
                let first = (offset + start) * from;
                out.copy_from_slice(&source[first..first + out.len()]);
            }
            _ if from == to => elements(out, to, |i, o| {
                let first = self.at(start + i) * from;
                o.copy_from_slice(&source[first..first + o.len()]);
            }),
            // Uniform to varying.
            Map::Contiguous(offset) => {
                let source = &source[offset + start..];
                elements(out, to, |i, o| o.fill(source[i]));
            }
            _ => elements(out, to, |i, o| o.fill(source[self.at(start + i)])),
        }
    }
}

/// Calls `write` with each element of `out` and its number; an element is `width` numbers. Lengths of the few
/// lanes that a chain has are made known to the compiler.
#[inline(always)]
fn elements<E>(out: &mut [E], width: usize, write: impl Fn(usize, &mut [E])) {
    fn groups<E, const N: usize>(out: &mut [E], write: impl Fn(usize, &mut [E])) {
        out.as_chunks_mut::<N>().0.iter_mut().enumerate().for_each(|(i, o)| write(i, o));
    }
    match width {
        1 => groups::<E, 1>(out, write),
        4 => groups::<E, 4>(out, write),
        5 => groups::<E, 5>(out, write),
        8 => groups::<E, 8>(out, write),
        16 => groups::<E, 16>(out, write),
        _ => out.chunks_exact_mut(width).enumerate().for_each(|(i, o)| write(i, o)),
    }
}
