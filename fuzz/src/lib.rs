//! What the fuzz targets share: well-typed models, and comparisons.

pub mod model;

/// Whether two numbers agree to `tolerance`, relative to the larger of 1 and the second; equal infinities
/// do, and NaN agrees with NaN.
#[must_use]
pub fn close(a: f64, b: f64, tolerance: f64) -> bool {
    a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= tolerance * b.abs().max(1.0)
}
