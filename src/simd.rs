//! The instruction set of vector loops: the best that the processor has, or a lower one that is asked for.
//!
//! Of the loops of this crate; the matrix products of faer and dfdx choose for themselves.

use std::sync::OnceLock;

use pulp::Arch;

/// An instruction set, from the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// One number at a time.
    Scalar,
    /// Four doubles at a time, with fused products, where the processor has AVX2 and FMA.
    Avx2,
}

static HIGHEST: OnceLock<Level> = OnceLock::new();

/// Keeps this process to at most that level; the first call of a process counts, and none after the first
/// evaluation.
pub fn limit(level: Level) {
    let _ = HIGHEST.set(level);
}

/// What vector loops are dispatched to.
pub(crate) fn arch() -> Arch {
    match HIGHEST.get_or_init(|| Level::Avx2) {
        Level::Scalar => Arch::Scalar,
        Level::Avx2 => Arch::new(),
    }
}
