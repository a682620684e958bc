//! Names of the elementwise operations in IR text: one table each way.

use crate::special::ShapeDerivative;

use super::op::{BinaryOp, TernaryOp, UnaryOp};
use super::ty::DType;

/// All functions of one operand but `Polygamma`, which carries a number.
const UNARY: [UnaryOp; 34] = [
    UnaryOp::Neg,
    UnaryOp::Abs,
    UnaryOp::Sign,
    UnaryOp::Floor,
    UnaryOp::Ceil,
    UnaryOp::Round,
    UnaryOp::Square,
    UnaryOp::Sqrt,
    UnaryOp::Exp,
    UnaryOp::Expm1,
    UnaryOp::Log,
    UnaryOp::Log1p,
    UnaryOp::Log1pExp,
    UnaryOp::Log1mExp,
    UnaryOp::InvLogit,
    UnaryOp::Sin,
    UnaryOp::Cos,
    UnaryOp::Tan,
    UnaryOp::Asin,
    UnaryOp::Acos,
    UnaryOp::Atan,
    UnaryOp::Sinh,
    UnaryOp::Cosh,
    UnaryOp::Tanh,
    UnaryOp::Lgamma,
    UnaryOp::Erf,
    UnaryOp::Erfc,
    UnaryOp::NormalCdf,
    UnaryOp::NormalLogCdf,
    UnaryOp::NormalQuantile,
    UnaryOp::LogBesselI0,
    UnaryOp::BesselRatio,
    UnaryOp::Not,
    UnaryOp::Polygamma(0),
];

/// All functions of two operands.
const BINARY: [BinaryOp; 34] = [
    BinaryOp::Add,
    BinaryOp::Sub,
    BinaryOp::Mul,
    BinaryOp::ZeroMul,
    BinaryOp::Div,
    BinaryOp::Pow,
    BinaryOp::Min,
    BinaryOp::Max,
    BinaryOp::Atan2,
    BinaryOp::IntDiv,
    BinaryOp::Rem,
    BinaryOp::LogAddExp,
    BinaryOp::XLogY,
    BinaryOp::XLog1pY,
    BinaryOp::Lbeta,
    BinaryOp::GammaP,
    BinaryOp::GammaQ,
    BinaryOp::LogGammaP,
    BinaryOp::LogGammaQ,
    BinaryOp::GammaPShape(ShapeDerivative::A),
    BinaryOp::GammaPShape(ShapeDerivative::AA),
    BinaryOp::LogBesselI,
    BinaryOp::LogBesselK,
    BinaryOp::OwensT,
    BinaryOp::SkewNormalCdf,
    BinaryOp::RandomBits,
    BinaryOp::GammaDraw,
    BinaryOp::PoissonDraw,
    BinaryOp::Lt,
    BinaryOp::Le,
    BinaryOp::Eq,
    BinaryOp::Ne,
    BinaryOp::And,
    BinaryOp::Or,
];

/// All functions of three operands.
const TERNARY: [TernaryOp; 9] = [
    TernaryOp::Select,
    TernaryOp::IncBeta,
    TernaryOp::LogIncBeta,
    TernaryOp::IncBetaShape(ShapeDerivative::A),
    TernaryOp::IncBetaShape(ShapeDerivative::B),
    TernaryOp::IncBetaShape(ShapeDerivative::AA),
    TernaryOp::IncBetaShape(ShapeDerivative::AB),
    TernaryOp::IncBetaShape(ShapeDerivative::BB),
    TernaryOp::BinomialDraw,
];

impl UnaryOp {
    /// The name in IR text.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            UnaryOp::Neg => "neg",
            UnaryOp::Abs => "abs",
            UnaryOp::Sign => "sign",
            UnaryOp::Floor => "floor",
            UnaryOp::Ceil => "ceil",
            UnaryOp::Round => "round",
            UnaryOp::Square => "square",
            UnaryOp::Sqrt => "sqrt",
            UnaryOp::Exp => "exp",
            UnaryOp::Expm1 => "expm1",
            UnaryOp::Log => "log",
            UnaryOp::Log1p => "log1p",
            UnaryOp::Log1pExp => "log1p_exp",
            UnaryOp::Log1mExp => "log1m_exp",
            UnaryOp::InvLogit => "inv_logit",
            UnaryOp::Sin => "sin",
            UnaryOp::Cos => "cos",
            UnaryOp::Tan => "tan",
            UnaryOp::Asin => "asin",
            UnaryOp::Acos => "acos",
            UnaryOp::Atan => "atan",
            UnaryOp::Sinh => "sinh",
            UnaryOp::Cosh => "cosh",
            UnaryOp::Tanh => "tanh",
            UnaryOp::Lgamma => "lgamma",
            UnaryOp::Polygamma(_) => "polygamma",
            UnaryOp::Erf => "erf",
            UnaryOp::Erfc => "erfc",
            UnaryOp::NormalCdf => "normal_cdf",
            UnaryOp::NormalLogCdf => "normal_log_cdf",
            UnaryOp::NormalQuantile => "normal_quantile",
            UnaryOp::LogBesselI0 => "log_bessel_i0",
            UnaryOp::BesselRatio => "bessel_ratio",
            UnaryOp::Not => "not",
        }
    }

    /// The operation of that name; `polygamma` comes with order 0.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        UNARY.into_iter().find(|op| op.name() == name)
    }

    /// Every operation, `polygamma` with order 0.
    #[must_use]
    pub fn all() -> &'static [UnaryOp] {
        &UNARY
    }
}

impl BinaryOp {
    /// The name in IR text.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            BinaryOp::Add => "add",
            BinaryOp::Sub => "sub",
            BinaryOp::Mul => "mul",
            BinaryOp::ZeroMul => "zero_mul",
            BinaryOp::Div => "div",
            BinaryOp::Pow => "pow",
            BinaryOp::Min => "min",
            BinaryOp::Max => "max",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::IntDiv => "int_div",
            BinaryOp::Rem => "rem",
            BinaryOp::LogAddExp => "log_add_exp",
            BinaryOp::XLogY => "xlogy",
            BinaryOp::XLog1pY => "xlog1py",
            BinaryOp::Lbeta => "lbeta",
            BinaryOp::GammaP => "gamma_p",
            BinaryOp::GammaQ => "gamma_q",
            BinaryOp::LogGammaP => "log_gamma_p",
            BinaryOp::LogGammaQ => "log_gamma_q",
            BinaryOp::GammaPShape(ShapeDerivative::A) => "gamma_p_a",
            BinaryOp::GammaPShape(_) => "gamma_p_aa",
            BinaryOp::LogBesselI => "log_bessel_i",
            BinaryOp::LogBesselK => "log_bessel_k",
            BinaryOp::OwensT => "owens_t",
            BinaryOp::SkewNormalCdf => "skew_normal_cdf",
            BinaryOp::RandomBits => "random_bits",
            BinaryOp::GammaDraw => "gamma_draw",
            BinaryOp::PoissonDraw => "poisson_draw",
            BinaryOp::Lt => "lt",
            BinaryOp::Le => "le",
            BinaryOp::Eq => "eq",
            BinaryOp::Ne => "ne",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
        }
    }

    /// The operation of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        BINARY.into_iter().find(|op| op.name() == name)
    }

    /// Whether it makes random numbers: a function of `f64` bits, without derivative.
    #[must_use]
    pub fn is_random(self) -> bool {
        matches!(self, BinaryOp::RandomBits | BinaryOp::GammaDraw | BinaryOp::PoissonDraw)
    }

    /// Every operation.
    #[must_use]
    pub fn all() -> &'static [BinaryOp] {
        &BINARY
    }
}

impl TernaryOp {
    /// The name in IR text.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TernaryOp::Select => "select",
            TernaryOp::IncBeta => "inc_beta",
            TernaryOp::LogIncBeta => "log_inc_beta",
            TernaryOp::IncBetaShape(ShapeDerivative::A) => "inc_beta_a",
            TernaryOp::IncBetaShape(ShapeDerivative::B) => "inc_beta_b",
            TernaryOp::IncBetaShape(ShapeDerivative::AA) => "inc_beta_aa",
            TernaryOp::IncBetaShape(ShapeDerivative::AB) => "inc_beta_ab",
            TernaryOp::IncBetaShape(ShapeDerivative::BB) => "inc_beta_bb",
            TernaryOp::BinomialDraw => "binomial_draw",
        }
    }

    /// Every operation.
    #[must_use]
    pub fn all() -> &'static [TernaryOp] {
        &TERNARY
    }

    /// The operation of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        TERNARY.into_iter().find(|op| op.name() == name)
    }
}

impl DType {
    /// The element type of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [DType::Real, DType::Int, DType::Bool, DType::Tuple].into_iter().find(|d| d.name() == name)
    }
}
