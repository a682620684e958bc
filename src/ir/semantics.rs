//! Elementwise operation × numbers → number, in `f64`. Constant folding and the reference executor
//! share this one definition.

use crate::random;
use crate::special;

use super::op::{BinaryOp, TernaryOp, UnaryOp};

fn truth(x: bool) -> f64 {
    f64::from(u8::from(x))
}

/// The value of an elementwise function of one operand.
#[must_use]
pub fn unary(op: UnaryOp, a: f64) -> f64 {
    match op {
        UnaryOp::Neg => -a,
        UnaryOp::Abs => a.abs(),
        UnaryOp::Sign => {
            if a > 0.0 {
                1.0
            } else if a < 0.0 {
                -1.0
            } else {
                a
            }
        }
        UnaryOp::Floor => a.floor(),
        UnaryOp::Ceil => a.ceil(),
        UnaryOp::Round => a.round(),
        UnaryOp::Square => a * a,
        UnaryOp::Sqrt => a.sqrt(),
        UnaryOp::Exp => a.exp(),
        UnaryOp::Expm1 => a.exp_m1(),
        UnaryOp::Log => a.ln(),
        UnaryOp::Log1p => a.ln_1p(),
        UnaryOp::Log1pExp => special::log1p_exp(a),
        UnaryOp::Log1mExp => special::log1m_exp(a),
        UnaryOp::InvLogit => special::inv_logit(a),
        UnaryOp::Sin => a.sin(),
        UnaryOp::Cos => a.cos(),
        UnaryOp::Tan => a.tan(),
        UnaryOp::Asin => a.asin(),
        UnaryOp::Acos => a.acos(),
        UnaryOp::Atan => a.atan(),
        UnaryOp::Sinh => a.sinh(),
        UnaryOp::Cosh => a.cosh(),
        UnaryOp::Tanh => a.tanh(),
        UnaryOp::Lgamma => special::lgamma(a),
        UnaryOp::Polygamma(n) => special::polygamma(u32::from(n), a),
        UnaryOp::Erf => special::erf(a),
        UnaryOp::Erfc => special::erfc(a),
        UnaryOp::NormalCdf => special::std_normal_cdf(a),
        UnaryOp::NormalLogCdf => special::std_normal_log_cdf(a),
        UnaryOp::NormalQuantile => special::std_normal_quantile(a),
        UnaryOp::LogBesselI0 => special::log_bessel_i0(a),
        UnaryOp::BesselRatio => special::bessel_i1_over_i0(a),
        UnaryOp::Not => truth(a == 0.0),
    }
}

/// The value of an elementwise function of two operands.
#[must_use]
pub fn binary(op: BinaryOp, a: f64, b: f64) -> f64 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::ZeroMul => {
            if a == 0.0 {
                0.0
            } else {
                a * b
            }
        }
        BinaryOp::Div => a / b,
        BinaryOp::Pow => a.powf(b),
        BinaryOp::Min if a.is_nan() || b.is_nan() => f64::NAN,
        BinaryOp::Max if a.is_nan() || b.is_nan() => f64::NAN,
        BinaryOp::Min => a.min(b),
        BinaryOp::Max => a.max(b),
        BinaryOp::Atan2 => a.atan2(b),
        BinaryOp::IntDiv => (a / b).trunc(),
        BinaryOp::Rem => a % b,
        BinaryOp::LogAddExp => special::log_add_exp(a, b),
        BinaryOp::XLogY => special::xlogy(a, b),
        BinaryOp::XLog1pY => special::xlog1py(a, b),
        BinaryOp::Lbeta => special::lbeta(a, b),
        BinaryOp::GammaP => special::gamma_p(a, b),
        BinaryOp::GammaQ => special::gamma_q(a, b),
        BinaryOp::LogGammaP => special::log_gamma_p(a, b),
        BinaryOp::LogGammaQ => special::log_gamma_q(a, b),
        BinaryOp::GammaPShape(which) => special::gamma_p_shape(which, a, b),
        BinaryOp::LogBesselI => special::log_bessel_i(a, b),
        BinaryOp::LogBesselK => special::log_bessel_k(a, b),
        BinaryOp::OwensT => special::owens_t(a, b),
        BinaryOp::SkewNormalCdf => special::skew_normal_cdf(a, b),
        BinaryOp::RandomBits => random::bits(a, b),
        BinaryOp::GammaDraw => random::gamma(a, b),
        BinaryOp::PoissonDraw => random::poisson(a, b),
        BinaryOp::Lt => truth(a < b),
        BinaryOp::Le => truth(a <= b),
        #[allow(clippy::float_cmp, reason = "equality is what was asked for")]
        BinaryOp::Eq => truth(a == b),
        #[allow(clippy::float_cmp, reason = "inequality is what was asked for")]
        BinaryOp::Ne => truth(a != b),
        BinaryOp::And => truth(a != 0.0 && b != 0.0),
        BinaryOp::Or => truth(a != 0.0 || b != 0.0),
    }
}

/// The value of an elementwise function of three operands.
#[must_use]
pub fn ternary(op: TernaryOp, a: f64, b: f64, c: f64) -> f64 {
    match op {
        TernaryOp::Select => {
            if a == 0.0 {
                c
            } else {
                b
            }
        }
        TernaryOp::IncBeta => special::inc_beta(a, b, c),
        TernaryOp::LogIncBeta => special::log_inc_beta(a, b, c),
        TernaryOp::IncBetaShape(which) => special::inc_beta_shape(which, a, b, c),
        TernaryOp::BinomialDraw => random::binomial(a, b, c),
    }
}
