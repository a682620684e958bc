//! Elementwise functions over slices of equal length.
//!
//! Arithmetic and the common elementary functions are vector loops (`element`); the rest go through
//! `ir::semantics` in `f64`, one number at a time: each of those costs tens of nanoseconds anyway.

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
    fn with_simd<S: Simd>(self, _: S) {
        let [a, b, c] = self.args;
        match self.op {
            Micro::Unary(op) => unary(op, a, self.out),
            Micro::Binary(op) => binary(op, a, b, self.out),
            Micro::Ternary(TernaryOp::Select) => {
                for (((o, &a), &b), &c) in self.out.iter_mut().zip(a).zip(b).zip(c) {
                    *o = if a == E::zero() { c } else { b };
                }
            }
            Micro::Ternary(op) => {
                for (((o, &a), &b), &c) in self.out.iter_mut().zip(a).zip(b).zip(c) {
                    *o = E::of(semantics::ternary(op, a.f64(), b.f64(), c.f64()));
                }
            }
            Micro::Copy => self.out.copy_from_slice(a),
            Micro::Trunc => map(a, self.out, |a| a.trunc()),
            Micro::NonZero => map(a, self.out, |a| truth(a != E::zero())),
        }
    }
}

#[inline(always)]
fn truth<E: Element>(x: bool) -> E {
    if x { E::one() } else { E::zero() }
}

#[inline(always)]
fn map<E: Element>(a: &[E], out: &mut [E], f: impl Fn(E) -> E) {
    for (o, &a) in out.iter_mut().zip(a) {
        *o = f(a);
    }
}

#[inline(always)]
fn zip<E: Element>(a: &[E], b: &[E], out: &mut [E], f: impl Fn(E, E) -> E) {
    for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *o = f(a, b);
    }
}

#[inline(always)]
fn unary<E: Element>(op: UnaryOp, a: &[E], out: &mut [E]) {
    match op {
        UnaryOp::Neg => map(a, out, |a| -a),
        UnaryOp::Abs => map(a, out, |a| a.abs()),
        UnaryOp::Sign => map(a, out, |a| {
            let sign = if a > E::zero() { E::one() } else { a };
            if a < E::zero() { -E::one() } else { sign }
        }),
        UnaryOp::Floor => map(a, out, |a| a.floor()),
        UnaryOp::Ceil => map(a, out, |a| a.ceil()),
        UnaryOp::Square => map(a, out, |a| a * a),
        UnaryOp::Sqrt => map(a, out, |a| a.sqrt()),
        UnaryOp::Exp => map(a, out, |a| a.fast_exp()),
        UnaryOp::Expm1 => map(a, out, |a| a.fast_expm1()),
        UnaryOp::Log => map(a, out, |a| a.fast_log()),
        UnaryOp::Log1p => map(a, out, |a| a.fast_log1p()),
        UnaryOp::Log1pExp => map(a, out, |a| a.fast_log1p_exp()),
        UnaryOp::Log1mExp => map(a, out, |a| a.fast_log1m_exp()),
        UnaryOp::InvLogit => map(a, out, |a| a.fast_inv_logit()),
        UnaryOp::Tanh => map(a, out, |a| a.fast_tanh()),
        UnaryOp::Not => map(a, out, |a| truth(a == E::zero())),
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
        | UnaryOp::BesselRatio => map(a, out, |a| E::of(semantics::unary(op, a.f64()))),
    }
}

#[inline(always)]
fn binary<E: Element>(op: BinaryOp, a: &[E], b: &[E], out: &mut [E]) {
    match op {
        BinaryOp::Add => zip(a, b, out, |a, b| a + b),
        BinaryOp::Sub => zip(a, b, out, |a, b| a - b),
        BinaryOp::Mul => zip(a, b, out, |a, b| a * b),
        BinaryOp::ZeroMul => {
            zip(a, b, out, |a, b| if a == E::zero() { E::zero() } else { a * b });
        }
        BinaryOp::Div => zip(a, b, out, |a, b| a / b),
        // `a` where it is NaN, and where it wins.
        BinaryOp::Min => zip(a, b, out, |a, b| if a < b || a.is_nan() { a } else { b }),
        BinaryOp::Max => zip(a, b, out, |a, b| if a > b || a.is_nan() { a } else { b }),
        BinaryOp::LogAddExp => zip(a, b, out, |a, b| {
            let (hi, lo) = if a < b { (b, a) } else { (a, b) };
            let sum = hi + (lo - hi).fast_exp().fast_log1p();
            // Equal infinities, whose difference is NaN.
            if a == b && a.is_infinite() { a } else { sum }
        }),
        BinaryOp::XLogY => zip(a, b, out, |a, b| {
            let y = a * b.fast_log();
            if a == E::zero() && !b.is_nan() { E::zero() } else { y }
        }),
        BinaryOp::XLog1pY => zip(a, b, out, |a, b| {
            let y = a * b.fast_log1p();
            if a == E::zero() && !b.is_nan() { E::zero() } else { y }
        }),
        BinaryOp::Lt => zip(a, b, out, |a, b| truth(a < b)),
        BinaryOp::Le => zip(a, b, out, |a, b| truth(a <= b)),
        BinaryOp::Eq => zip(a, b, out, |a, b| truth(a == b)),
        BinaryOp::Ne => zip(a, b, out, |a, b| truth(a != b)),
        BinaryOp::And => zip(a, b, out, |a, b| truth(a != E::zero() && b != E::zero())),
        BinaryOp::Or => zip(a, b, out, |a, b| truth(a != E::zero() || b != E::zero())),
        BinaryOp::Pow
        | BinaryOp::Atan2
        | BinaryOp::IntDiv
        | BinaryOp::Rem
        | BinaryOp::Lbeta
        | BinaryOp::GammaP
        | BinaryOp::GammaQ => {
            zip(a, b, out, |a, b| E::of(semantics::binary(op, a.f64(), b.f64())));
        }
    }
}
