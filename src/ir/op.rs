//! Every operation of the IR, with its shapes and its meaning.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::special::ShapeDerivative;

use super::entity::ValueId;
use super::function::Function;
use super::solver::{Ode, Problem, Root};
use super::ty::{DType, Shape, Type};

/// Operands of an instruction.
pub type Args = SmallVec<[ValueId; 3]>;

/// An operation. `a`, `b`, … are its operands in order.
///
/// Elementwise operations take operands of one shape, or scalars, which stand for every element.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Op {
    /// The function's input of that index.
    Input(u32),
    /// A constant tensor.
    Const(Tensor),
    /// Elementwise function of one operand.
    Unary(UnaryOp),
    /// Elementwise function of two operands.
    Binary(BinaryOp),
    /// Elementwise function of three operands.
    Ternary(TernaryOp),
    /// The same numbers as another element type (real to int truncates; to bool tests for non-zero).
    Convert(DType),
    /// `a` spread over `shape`; axis `i` of `a` becomes axis `axes[i]`; `axes` increase strictly.
    Broadcast {
        /// Result shape.
        shape: Shape,
        /// Result axis of each operand axis.
        axes: Shape,
    },
    /// The same elements in row-major order under another shape.
    Reshape(Shape),
    /// Axes permuted: result axis `i` is operand axis `perm[i]`.
    Transpose(Shape),
    /// The box from `start` (inclusive) to `stop` (exclusive) along each axis.
    Slice {
        /// First index along each axis.
        start: Shape,
        /// One past the last index along each axis.
        stop: Shape,
    },
    /// `a` with `low` zeros before and `high` zeros after along each axis.
    Pad {
        /// Zeros before, along each axis.
        low: Shape,
        /// Zeros after, along each axis.
        high: Shape,
    },
    /// Operands joined along `axis`.
    Concat {
        /// Axis along which sizes add up.
        axis: usize,
    },
    /// `a` indexed along `axis` by the integers `b` (0-based); `b`'s axes replace that axis.
    Gather {
        /// The indexed axis of `a`.
        axis: usize,
    },
    /// Adjoint of `Gather`: zeros of `size` along `axis`, with `a` added at the integers `b`.
    ScatterAdd {
        /// The scattered axis.
        axis: usize,
        /// Its size in the result.
        size: usize,
    },
    /// Sum over `axes` (increasing), which disappear.
    Sum(Shape),
    /// Maximum over `axes`, which disappear; −∞ when empty.
    ReduceMax(Shape),
    /// `log Σ exp a` over `axes`, which disappear; −∞ when empty. No overflow.
    LogSumExp(Shape),
    /// Inclusive running sum along `axis`, from the end when `reverse`.
    CumSum {
        /// Axis.
        axis: usize,
        /// Whether to run from the end.
        reverse: bool,
    },
    /// Matrix product `op(a) op(b)` of two matrices, each transposed first if its flag says so.
    MatMul {
        /// Transpose `a`.
        ta: bool,
        /// Transpose `b`.
        tb: bool,
    },
    /// Lower Cholesky factor of the symmetric positive definite matrix `a` (reads its lower triangle);
    /// NaN throughout when `a` is not positive definite.
    Cholesky,
    /// `op(a)⁻¹ b` for a triangular matrix `a` (the other triangle is not read) and a matrix `b`.
    TriSolve {
        /// Whether `a` is lower triangular.
        lower: bool,
        /// Whether to solve with the transpose of `a`.
        trans: bool,
    },
    /// `op(a)⁻¹ b` for a square matrix `a` (transposed first if `trans`) and a matrix `b`; not finite when
    /// `a` is singular.
    Solve {
        /// Whether to solve with the transpose of `a`.
        trans: bool,
    },
    /// Determinant of the square matrix `a`.
    Det,
    /// `log |det a|`.
    LogAbsDet,
    /// Eigenvalues, ascending, and eigenvectors of the symmetric matrix `a` (reads its lower triangle):
    /// `[n + 1, n]`, the values in row 0, the vectors in the columns below, of length 1, the component of
    /// largest modulus positive. Not differentiable where eigenvalues whose vectors are used coincide.
    EigenSym,
    /// Matrix exponential of the square matrix `a`.
    MatrixExp,
    /// The integers that sort the vector `a` in ascending order, 0-based; equal elements keep theirs.
    SortIndices,
    /// The solution of an initial value problem: see [`Ode`].
    Ode(Problem<Ode>),
    /// A root of a system of equations: see [`Root`].
    Root(Problem<Root>),
    /// A loop with carried state: see [`Scan`]. Its value is a tuple that only `Proj` reads.
    Scan(ScanRef),
    /// Component of a scan: first the final carries, then the stacked outputs.
    Proj(u32),
}

impl Op {
    /// Whether the elements are those of the operand, moved or repeated.
    #[must_use]
    pub fn is_movement(&self) -> bool {
        matches!(self, Op::Broadcast { .. } | Op::Reshape(_) | Op::Transpose(_) | Op::Slice { .. })
    }

    /// The functions that define the operation: the body of a scan, those that a solver is given.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        let functions: SmallVec<[&Function; 3]> = match self {
            Op::Scan(scan) => [&scan.body].into_iter().collect(),
            Op::Ode(ode) => ode.functions().collect(),
            Op::Root(root) => [&root.system].into_iter().collect(),
            _ => SmallVec::new(),
        };
        functions.into_iter()
    }

    /// The operation with its functions replaced by what `f` makes of them; the same operation where
    /// that is `None` for each.
    #[must_use]
    pub fn map_functions(&self, f: &dyn Fn(&Function) -> Option<Function>) -> Op {
        let or_same = |g: &Function| f(g).unwrap_or_else(|| g.clone());
        match self {
            Op::Scan(scan) => match f(&scan.body) {
                Some(body) => Op::Scan(ScanRef(Arc::new(Scan { body, ..Scan::clone(scan) }))),
                None => self.clone(),
            },
            Op::Ode(ode) => Op::Ode(Problem(Arc::new(ode.map(&or_same)))),
            Op::Root(root) => Op::Root(Problem(Arc::new(root.map(&or_same)))),
            _ => self.clone(),
        }
    }
}

/// Elementwise functions of one operand. NaN outside the domain, as in IEEE 754.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `−a`.
    Neg,
    /// `|a|`.
    Abs,
    /// −1, 0 or 1; derivative 0.
    Sign,
    /// Largest integer not above `a`.
    Floor,
    /// Smallest integer not below `a`.
    Ceil,
    /// Nearest integer, ties away from 0.
    Round,
    /// `a²`.
    Square,
    /// `√a`.
    Sqrt,
    /// `eᵃ`.
    Exp,
    /// `eᵃ − 1` without cancellation.
    Expm1,
    /// Natural logarithm.
    Log,
    /// `log(1 + a)` without cancellation.
    Log1p,
    /// `log(1 + eᵃ)` without overflow.
    Log1pExp,
    /// `log(1 − eᵃ)` for `a ≤ 0`.
    Log1mExp,
    /// `1 / (1 + e⁻ᵃ)`.
    InvLogit,
    /// Sine (radians).
    Sin,
    /// Cosine.
    Cos,
    /// Tangent.
    Tan,
    /// Arc sine.
    Asin,
    /// Arc cosine.
    Acos,
    /// Arc tangent.
    Atan,
    /// Hyperbolic sine.
    Sinh,
    /// Hyperbolic cosine.
    Cosh,
    /// Hyperbolic tangent.
    Tanh,
    /// `log |Γ(a)|`.
    Lgamma,
    /// `n`-th derivative of digamma: 0 is digamma, 1 trigamma.
    Polygamma(u8),
    /// Error function.
    Erf,
    /// `1 − erf a` without cancellation.
    Erfc,
    /// Standard normal cdf `Φ(a)`.
    NormalCdf,
    /// `log Φ(a)`, accurate in the left tail.
    NormalLogCdf,
    /// `Φ⁻¹(a)`.
    NormalQuantile,
    /// `log I₀(a)`, the modified Bessel function.
    LogBesselI0,
    /// `I₁(a) / I₀(a)`.
    BesselRatio,
    /// Logical negation.
    Not,
}

/// Elementwise functions of two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `a + b`.
    Add,
    /// `a − b`.
    Sub,
    /// `a b`.
    Mul,
    /// `a b`, but 0 where `a` is 0 even if `b` is not finite. Derivatives of a branch not taken use it.
    ZeroMul,
    /// `a / b`.
    Div,
    /// `aᵇ`.
    Pow,
    /// The smaller; NaN if either is.
    Min,
    /// The larger; NaN if either is.
    Max,
    /// Angle of the point `(b, a)`.
    Atan2,
    /// Integer quotient, truncated (as Stan's `%/%`).
    IntDiv,
    /// Remainder with the sign of `a` (as C and Stan).
    Rem,
    /// `log(eᵃ + eᵇ)`.
    LogAddExp,
    /// `a log b`, 0 when `a` is 0.
    XLogY,
    /// `a log(1 + b)`, 0 when `a` is 0.
    XLog1pY,
    /// `log B(a, b)`.
    Lbeta,
    /// Regularised lower incomplete gamma `P(a, b)`.
    GammaP,
    /// Regularised upper incomplete gamma `Q(a, b)`.
    GammaQ,
    /// `log P(a, b)`, also where `P` underflows.
    LogGammaP,
    /// `log Q(a, b)`, also where `Q` underflows.
    LogGammaQ,
    /// A derivative of `P(a, b)` in `a`, over `bᵃ e⁻ᵇ/Γ(a)`; of the second one there is no further in `a`.
    GammaPShape(ShapeDerivative),
    /// `log I_a(b)`, the modified Bessel function of the first kind; not differentiable in `a`.
    LogBesselI,
    /// `log K_a(b)`, the modified Bessel function of the second kind; not differentiable in `a`.
    LogBesselK,
    /// Owen's `T(a, b)`.
    OwensT,
    /// The cdf at `a` of the standard skew normal distribution of shape `b`.
    SkewNormalCdf,
    /// A random whole number below 2⁵² from the key `a` and the counter `b`, both whole numbers: the same
    /// two give the same number, wherever and in whatever order they are asked for.
    RandomBits,
    /// A gamma variate of shape `b` and scale 1, made of the random number `a`.
    GammaDraw,
    /// A Poisson variate of rate `b`, made of the random number `a`.
    PoissonDraw,
    /// `a < b`.
    Lt,
    /// `a ≤ b`.
    Le,
    /// `a = b`.
    Eq,
    /// `a ≠ b`.
    Ne,
    /// Logical and.
    And,
    /// Logical or.
    Or,
}

/// Elementwise functions of three operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TernaryOp {
    /// `b` where `a` holds, else `c`. The branch not taken contributes nothing, also to derivatives.
    Select,
    /// Regularised incomplete beta `I_c(a, b)`.
    IncBeta,
    /// `log I_c(a, b)`, also where it underflows.
    LogIncBeta,
    /// A derivative of `I_c(a, b)` in `a` and `b`, over `cᵃ (1 − c)ᵇ/B(a, b)`; of a second one there is no
    /// further in these.
    IncBetaShape(ShapeDerivative),
    /// A binomial variate of `b` trials of probability `c`, made of the random number `a`.
    BinomialDraw,
}

/// A constant tensor. Integers and truth values are held as `f64` too.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// Type; `data` holds `ty.len()` numbers, row-major.
    pub ty: Type,
    /// The numbers, shared between copies.
    pub data: Arc<[f64]>,
}

impl Tensor {
    /// Constants up to this many elements are compared by content, larger ones by identity.
    const COMPARED_BY_CONTENT: usize = 64;

    /// A tensor from its parts.
    ///
    /// # Panics
    /// When `data` does not fit the type.
    pub fn new(ty: Type, data: impl Into<Arc<[f64]>>) -> Self {
        let data = data.into();
        assert_eq!(ty.len(), data.len(), "constant of type {ty}");
        Tensor { ty, data }
    }

    /// A real scalar.
    #[must_use]
    pub fn scalar(x: f64) -> Self {
        Tensor::new(Type::real(Shape::new()), vec![x])
    }

    /// The one number that all elements are equal to, if they are (by bits).
    #[must_use]
    pub fn splat(&self) -> Option<f64> {
        let (first, rest) = self.data.split_first()?;
        rest.iter().all(|x| x.to_bits() == first.to_bits()).then_some(*first)
    }
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Self) -> bool {
        self.ty == other.ty
            && (Arc::ptr_eq(&self.data, &other.data)
                || (self.data.len() <= Self::COMPARED_BY_CONTENT
                    && self.data.iter().zip(&*other.data).all(|(a, b)| a.to_bits() == b.to_bits())))
    }
}

impl Eq for Tensor {}

impl Hash for Tensor {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ty.hash(state);
        if self.data.len() <= Self::COMPARED_BY_CONTENT {
            for x in &*self.data {
                x.to_bits().hash(state);
            }
        } else {
            Arc::as_ptr(&self.data).cast::<f64>().hash(state);
        }
    }
}

/// A loop of `length` steps over `body`.
///
/// Operands: `carries` initial states, then `xs` tensors with a leading axis of `length`, then
/// invariants. The body's inputs are the states, one row of each `xs`, the invariants; its outputs the
/// new states, then rows to be stacked. Components of the result: the final states, then the stacked
/// outputs, `[length, …]`. With `reverse` the steps run from the last row to the first; stacked outputs
/// stay in row order.
#[derive(Debug, Clone)]
pub struct Scan {
    /// One step.
    pub body: Function,
    /// Number of steps; may be 0.
    pub length: usize,
    /// Number of carried states.
    pub carries: usize,
    /// Number of operands that are read row by row.
    pub xs: usize,
    /// Whether to run from the last row to the first.
    pub reverse: bool,
}

/// A shared scan, compared by identity.
#[derive(Debug, Clone)]
pub struct ScanRef(pub Arc<Scan>);

impl std::ops::Deref for ScanRef {
    type Target = Scan;
    fn deref(&self) -> &Scan {
        &self.0
    }
}

impl PartialEq for ScanRef {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ScanRef {}

impl Hash for ScanRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}
