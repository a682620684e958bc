//! Elementwise functions over slices of equal length.
//!
//! Arithmetic and the common elementary functions are vector loops (`element`); the rest go through
//! `ir::semantics` in `f64`, one number at a time: each of those costs tens of nanoseconds anyway.
//!
//! Loops are written by a macro, not with closures: a closure that is not inlined would leave the
//! instruction set that the loop was dispatched to.

use pulp::{Arch, Simd, WithSimd};

use crate::exec::element::Element;
use crate::ir::{BinaryOp, TernaryOp, UnaryOp, semantics};

/// One elementwise step of a fused loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::exec) enum Micro {
    Unary(UnaryOp),
    Binary(BinaryOp),
    Ternary(TernaryOp),
    /// Towards zero.
    Trunc,
    /// 1 where non-zero.
    NonZero,
    /// The operand itself.
    Copy,
}

/// Sets each number of a slice to an expression of those of slices with the names in bars.
macro_rules! each {
    ($out:expr, |$a:ident| $value:expr) => {
        for (o, &$a) in $out.iter_mut().zip($a) {
            *o = $value;
        }
    };
    ($out:expr, |$a:ident, $b:ident| $value:expr) => {
        for ((o, &$a), &$b) in $out.iter_mut().zip($a).zip($b) {
            *o = $value;
        }
    };
    ($out:expr, |$a:ident, $b:ident, $c:ident| $value:expr) => {
        for (((o, &$a), &$b), &$c) in $out.iter_mut().zip($a).zip($b).zip($c) {
            *o = $value;
        }
    };
}

/// `out = op(args)`; unused arguments are empty.
pub(in crate::exec) fn apply<E: Element>(arch: Arch, op: Micro, args: [&[E]; 3], out: &mut [E]) {
    arch.dispatch(Loop { op, args, out });
}

struct Loop<'a, E> {
    op: Micro,
    args: [&'a [E]; 3],
    out: &'a mut [E],
}

impl<E: Element> WithSimd for Loop<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        apply_within(simd, self.op, self.args, self.out);
    }
}

/// [`apply`] for use within a dispatched loop.
#[inline(always)]
pub(in crate::exec) fn apply_within<E: Element, S: Simd>(
    _: S,
    op: Micro,
    [a, b, c]: [&[E]; 3],
    out: &mut [E],
) {
    match op {
        Micro::Unary(op) => unary(op, a, out),
        Micro::Binary(op) => binary(op, a, b, out),
        Micro::Ternary(TernaryOp::Select) => {
            each!(out, |a, b, c| if a == E::zero() { c } else { b })
        }
        Micro::Ternary(op) => {
            each!(out, |a, b, c| E::of(semantics::ternary(op, a.f64(), b.f64(), c.f64())))
        }
        Micro::Copy => out.copy_from_slice(a),
        Micro::Trunc => each!(out, |a| a.trunc()),
        Micro::NonZero => each!(out, |a| truth(a != E::zero())),
    }
}

#[inline(always)]
fn truth<E: Element>(x: bool) -> E {
    if x { E::one() } else { E::zero() }
}

#[inline(always)]
fn unary<E: Element>(op: UnaryOp, a: &[E], out: &mut [E]) {
    match op {
        UnaryOp::Neg => each!(out, |a| -a),
        UnaryOp::Abs => each!(out, |a| a.abs()),
        UnaryOp::Sign => each!(out, |a| {
            let sign = if a > E::zero() { E::one() } else { a };
            if a < E::zero() { -E::one() } else { sign }
        }),
        UnaryOp::Floor => each!(out, |a| a.floor()),
        UnaryOp::Ceil => each!(out, |a| a.ceil()),
        UnaryOp::Square => each!(out, |a| a * a),
        UnaryOp::Sqrt => each!(out, |a| a.sqrt()),
        UnaryOp::Exp => each!(out, |a| a.fast_exp()),
        UnaryOp::Expm1 => each!(out, |a| a.fast_expm1()),
        UnaryOp::Log => each!(out, |a| a.fast_log()),
        UnaryOp::Log1p => each!(out, |a| a.fast_log1p()),
        UnaryOp::Log1pExp => each!(out, |a| a.fast_log1p_exp()),
        UnaryOp::Log1mExp => each!(out, |a| a.fast_log1m_exp()),
        UnaryOp::InvLogit => each!(out, |a| a.fast_inv_logit()),
        UnaryOp::Tanh => each!(out, |a| a.fast_tanh()),
        UnaryOp::Not => each!(out, |a| truth(a == E::zero())),
        // Not worth a vector form, or too long for one.
        UnaryOp::Round
        | UnaryOp::Sin
        | UnaryOp::Cos
        | UnaryOp::Tan
        | UnaryOp::Asin
        | UnaryOp::Acos
        | UnaryOp::Atan
        | UnaryOp::Sinh
        | UnaryOp::Cosh
        | UnaryOp::Lgamma
        | UnaryOp::Polygamma(_)
        | UnaryOp::Erf
        | UnaryOp::Erfc
        | UnaryOp::NormalCdf
        | UnaryOp::NormalLogCdf
        | UnaryOp::NormalQuantile
        | UnaryOp::LogBesselI0
        | UnaryOp::BesselRatio => each!(out, |a| E::of(semantics::unary(op, a.f64()))),
    }
}

#[inline(always)]
fn binary<E: Element>(op: BinaryOp, a: &[E], b: &[E], out: &mut [E]) {
    match op {
        BinaryOp::Add => each!(out, |a, b| a + b),
        BinaryOp::Sub => each!(out, |a, b| a - b),
        BinaryOp::Mul => each!(out, |a, b| a * b),
        BinaryOp::ZeroMul => {
            each!(out, |a, b| if a == E::zero() { E::zero() } else { a * b });
        }
        BinaryOp::Div => each!(out, |a, b| a / b),
        // `a` where it is NaN, and where it wins.
        BinaryOp::Min => each!(out, |a, b| if a < b || a.is_nan() { a } else { b }),
        BinaryOp::Max => each!(out, |a, b| if a > b || a.is_nan() { a } else { b }),
        BinaryOp::LogAddExp => each!(out, |a, b| {
            let (hi, lo) = if a < b { (b, a) } else { (a, b) };
            let sum = hi + (lo - hi).fast_exp().fast_log1p();
            // Equal infinities, whose difference is NaN.
            if a == b && a.is_infinite() { a } else { sum }
        }),
        BinaryOp::XLogY => each!(out, |a, b| {
            let y = a * b.fast_log();
            if a == E::zero() && !b.is_nan() { E::zero() } else { y }
        }),
        BinaryOp::XLog1pY => each!(out, |a, b| {
            let y = a * b.fast_log1p();
            if a == E::zero() && !b.is_nan() { E::zero() } else { y }
        }),
        BinaryOp::Lt => each!(out, |a, b| truth(a < b)),
        BinaryOp::Le => each!(out, |a, b| truth(a <= b)),
        BinaryOp::Eq => each!(out, |a, b| truth(a == b)),
        BinaryOp::Ne => each!(out, |a, b| truth(a != b)),
        BinaryOp::And => each!(out, |a, b| truth(a != E::zero() && b != E::zero())),
        BinaryOp::Or => each!(out, |a, b| truth(a != E::zero() || b != E::zero())),
        BinaryOp::Pow
        | BinaryOp::Atan2
        | BinaryOp::IntDiv
        | BinaryOp::Rem
        | BinaryOp::Lbeta
        | BinaryOp::GammaP
        | BinaryOp::GammaQ
        | BinaryOp::LogGammaP
        | BinaryOp::LogGammaQ
        | BinaryOp::GammaPShape(_)
        | BinaryOp::LogBesselI
        | BinaryOp::LogBesselK
        | BinaryOp::OwensT
        | BinaryOp::SkewNormalCdf
        | BinaryOp::RandomBits
        | BinaryOp::GammaDraw
        | BinaryOp::PoissonDraw => {
            each!(out, |a, b| E::of(semantics::binary(op, a.f64(), b.f64())));
        }
    }
}
