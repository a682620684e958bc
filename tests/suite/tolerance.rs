//! Default tolerances, said once.

/// `|a - b| <= rtol * max(|a|, |b|) + atol`; equal infinities and two NaN agree.
#[must_use]
pub(crate) fn close(a: f64, b: f64, rtol: f64, atol: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let scale = a.abs().max(b.abs());
    scale.is_finite() && (a - b).abs() <= rtol * scale + atol
}

#[test]
fn close_is_relative_and_knows_infinity() {
    assert!(close(1e10, 1e10 * (1.0 + 1e-13), 1e-12, 0.0));
    assert!(!close(1e10, 1e10 * (1.0 + 1e-11), 1e-12, 0.0));
    assert!(close(f64::INFINITY, f64::INFINITY, 0.0, 0.0));
    assert!(!close(f64::INFINITY, 1.0, 1e-2, 0.0));
}
