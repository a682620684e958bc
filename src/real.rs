//! The floating-point types that models are evaluated in: `f32` and `f64`.

use num_traits::{Float, FloatConst, NumAssign};

/// `f32` or `f64`, as the executor and the inference methods see them.
pub trait Real:
    Float + FloatConst + NumAssign + std::iter::Sum + Default + std::fmt::Debug + Send + Sync + 'static
{
    /// Rounds an `f64` to this type.
    fn of(x: f64) -> Self;
    /// Widens to `f64`.
    fn f64(self) -> f64;
}

impl Real for f32 {
    #[allow(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
    #[inline(always)]
    fn of(x: f64) -> Self {
        x as f32
    }
    #[inline(always)]
    fn f64(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    #[inline(always)]
    fn of(x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn f64(self) -> f64 {
        self
    }
}
