//! The primitives: one row per operation that the compiler knows. Everything else is in `stdlib/`.
//!
//! `Signature` says what each takes and gives; `lower::builtin` says what it becomes.

macro_rules! builtins {
    ($($(#[doc = $doc:literal])* $variant:ident $name:literal $signature:expr;)*) => {
        /// A primitive operation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Builtin {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Builtin {
            /// All primitives, operators first.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name (or operator) that models write.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it is, in a sentence.
            #[must_use]
            pub fn doc(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc,)*).trim_ascii(),)*
                }
            }

            /// What it takes and gives.
            #[must_use]
            pub fn signature(self) -> Signature {
                use Signature::*;
                match self {
                    $(Self::$variant => $signature,)*
                }
            }
        }
    };
}

/// What a primitive takes and gives. "Elementwise": arguments are scalars or arrays of one shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// `n` numbers, elementwise, to a real.
    Real(usize),
    /// `n` numbers, elementwise; integers give an integer.
    Number(usize),
    /// Integers, elementwise, to an integer.
    Int(usize),
    /// `n` numbers, elementwise, to a truth value.
    Compare(usize),
    /// `n` truth values, elementwise, to a truth value.
    Logic(usize),
    /// One number, elementwise, to that element type.
    Convert(super::typed::Scalar),
    /// One array of any rank, to a scalar; integers give an integer.
    Reduce,
    /// One array of any rank, to a real scalar.
    ReduceReal,
    /// Two vectors of one length, to a real.
    Dot,
    /// A vector to an integer vector of that length.
    VectorToInts,
    /// A vector to a real vector of that length.
    VectorToVector,
    /// Matrix and vector products: `[m,k]@[k,n]`, `[m,k]@[k]`, `[k]@[k,n]`, `[k]@[k]`.
    MatMul,
    /// `[m, n]` to `[n, m]`.
    Transpose,
    /// `[n, n]` to a real matrix of that shape.
    SquareToSquare,
    /// `[n, n]` and a vector or matrix of `n` rows, to the shape of the latter.
    Solve,
    /// `[n, n]` to a real.
    SquareToReal,
    /// `[n, n]` to `[n + 1, n]`.
    SquareToTall,
    /// `[n]` to `[n, n]`.
    VectorToSquare,
    /// `[n, n]` to `[n]`.
    SquareToVector,
    /// `[m, n]` to `[n]`: a reduction of each column.
    Columns,
    /// Any array to an integer known from its shape; optional second argument none.
    ShapeInt,
    /// Any array to a vector of its elements.
    Flat,
    /// `reshape(x, n…)`: an array, then one to four sizes.
    Reshape,
    /// Any array to the vector of its sizes.
    Sizes,
    /// Sizes (one to four integers) to a real array of them.
    Filled,
    /// Sizes, then... `fill(n…, x)`: the last argument is the element.
    Fill,
    /// Any number of arrays of equal element type and equal trailing shape, joined along the first axis;
    /// scalars count as one element.
    Append,
    /// One array, to the same shape.
    Same,
    /// No argument, to a real.
    Constant,
    /// A function by name, what the solver needs, and arguments that are passed on.
    Solver {
        /// What is solved.
        solver: super::solver::Solver,
        /// Whether tolerances are given.
        tolerances: bool,
    },
    /// `n` numbers, elementwise, to a random real; only in `sample` and `gen`.
    RandomReal(usize),
    /// `n` numbers, elementwise, to a random integer; only in `sample` and `gen`.
    RandomInt(usize),
}

builtins! {
    // -- Operators
    /// `a + b`
    Add "+" Number(2);
    /// `a - b`
    Sub "-" Number(2);
    /// `a * b`
    Mul "*" Number(2);
    /// `a / b`, real division
    Div "/" Real(2);
    /// `a ^ b`
    Pow "^" Real(2);
    /// `a % b`
    Rem "%" Int(2);
    /// `-a`
    Neg "unary -" Number(1);
    /// `!a`
    Not "!" Logic(1);
    /// `a && b`
    And "&&" Logic(2);
    /// `a || b`
    Or "||" Logic(2);
    /// `a == b`
    Eq "==" Compare(2);
    /// `a != b`
    Ne "!=" Compare(2);
    /// `a < b`
    Lt "<" Compare(2);
    /// `a <= b`
    Le "<=" Compare(2);
    /// `a > b`
    Gt ">" Compare(2);
    /// `a >= b`
    Ge ">=" Compare(2);
    /// `a @ b`
    MatMul "@" MatMul;
    /// `a'`
    Transpose "'" Transpose;
    // -- Conversions
    /// To a real.
    ToReal "real" Convert(super::typed::Scalar::Real);
    /// To an integer, truncating.
    ToInt "int" Convert(super::typed::Scalar::Int);
    /// To a truth value: not zero.
    ToBool "bool" Convert(super::typed::Scalar::Bool);
    // -- Elementwise functions
    /// Absolute value.
    Abs "abs" Number(1);
    /// Sign.
    Sign "sign" Number(1);
    /// Round down.
    Floor "floor" Real(1);
    /// Round up.
    Ceil "ceil" Real(1);
    /// Round to nearest.
    Round "round" Real(1);
    /// Square root.
    Sqrt "sqrt" Real(1);
    /// Square.
    Square "square" Number(1);
    /// Exponential.
    Exp "exp" Real(1);
    /// `exp(x) - 1`.
    Expm1 "expm1" Real(1);
    /// Natural logarithm.
    Log "log" Real(1);
    /// `log(1 + x)`.
    Log1p "log1p" Real(1);
    /// Sine.
    Sin "sin" Real(1);
    /// Cosine.
    Cos "cos" Real(1);
    /// Tangent.
    Tan "tan" Real(1);
    /// Arc sine.
    Asin "asin" Real(1);
    /// Arc cosine.
    Acos "acos" Real(1);
    /// Arc tangent.
    Atan "atan" Real(1);
    /// Hyperbolic sine.
    Sinh "sinh" Real(1);
    /// Hyperbolic cosine.
    Cosh "cosh" Real(1);
    /// Hyperbolic tangent.
    Tanh "tanh" Real(1);
    /// Angle of the point `(x, y)`.
    Atan2 "atan2" Real(2);
    /// Log gamma function.
    Lgamma "lgamma" Real(1);
    /// Derivative of `lgamma`.
    Digamma "digamma" Real(1);
    /// Derivative of `digamma`.
    Trigamma "trigamma" Real(1);
    /// Log beta function.
    Lbeta "lbeta" Real(2);
    /// Error function.
    Erf "erf" Real(1);
    /// Complementary error function.
    Erfc "erfc" Real(1);
    /// Standard normal cdf.
    StdNormalCdf "std_normal_cdf" Real(1);
    /// Its logarithm.
    StdNormalLogCdf "std_normal_log_cdf" Real(1);
    /// Its inverse.
    StdNormalQuantile "std_normal_quantile" Real(1);
    /// Logistic function.
    InvLogit "inv_logit" Real(1);
    /// `log(1 + exp(x))`.
    Log1pExp "log1p_exp" Real(1);
    /// `log(1 - exp(x))` for `x <= 0`.
    Log1mExp "log1m_exp" Real(1);
    /// `log(exp(a) + exp(b))`.
    LogAddExp "log_add_exp" Real(2);
    /// `a log(b)`, 0 when `a` is 0.
    XLogY "xlogy" Real(2);
    /// `a log(1 + b)`, 0 when `a` is 0.
    XLog1pY "xlog1py" Real(2);
    /// Regularised lower incomplete gamma function.
    GammaP "gamma_p" Real(2);
    /// Regularised upper incomplete gamma function.
    GammaQ "gamma_q" Real(2);
    /// `log(gamma_p(a, x))`, also where that underflows.
    LogGammaP "log_gamma_p" Real(2);
    /// `log(gamma_q(a, x))`, also where that underflows.
    LogGammaQ "log_gamma_q" Real(2);
    /// Regularised incomplete beta function `inc_beta(a, b, x)`.
    IncBeta "inc_beta" Real(3);
    /// `log(inc_beta(a, b, x))`, also where that underflows.
    LogIncBeta "log_inc_beta" Real(3);
    /// Log of the modified Bessel function `I0`.
    LogBesselI0 "log_bessel_i0" Real(1);
    /// `log_bessel_i(nu, x)`: log of the modified Bessel function of the first kind; no derivative in `nu`.
    LogBesselI "log_bessel_i" Real(2);
    /// `log_bessel_k(nu, x)`: log of the modified Bessel function of the second kind; likewise.
    LogBesselK "log_bessel_k" Real(2);
    /// Owen's `T(h, a)`.
    OwensT "owens_t" Real(2);
    /// `std_skew_normal_cdf(z, alpha)`: cdf of the standard skew normal distribution.
    StdSkewNormalCdf "std_skew_normal_cdf" Real(2);
    /// The smaller of two, elementwise; of one array, its least element.
    Min "min" Number(2);
    /// The larger of two, elementwise; of one array, its greatest element.
    Max "max" Number(2);
    /// Integer quotient, truncated.
    IntDiv "int_div" Int(2);
    // -- Reductions
    /// Least element of an array (`min` of one argument).
    ReduceMin "min of array" Reduce;
    /// Greatest element of an array (`max` of one argument).
    ReduceMax "max of array" Reduce;
    /// Sum of all elements.
    Sum "sum" Reduce;
    /// Product of all elements.
    Prod "prod" Reduce;
    /// Mean of all elements.
    Mean "mean" ReduceReal;
    /// Sample variance of all elements (divides by n − 1).
    Variance "variance" ReduceReal;
    /// Sample standard deviation of all elements (divides by n − 1).
    Sd "sd" ReduceReal;
    /// `log(sum(exp(x)))`.
    LogSumExp "log_sum_exp" ReduceReal;
    /// Inner product.
    DotProduct "dot_product" Dot;
    /// Running sum.
    CumulativeSum "cumulative_sum" VectorToVector;
    /// `exp(x) / sum(exp(x))`.
    Softmax "softmax" VectorToVector;
    /// `log(softmax(x))`.
    LogSoftmax "log_softmax" VectorToVector;
    /// Mean of each column of a matrix.
    ColMeans "col_means" Columns;
    /// Population standard deviation of each column of a matrix (divides by n).
    ColSds "col_sds" Columns;
    // -- Linear algebra
    /// Lower Cholesky factor of a positive definite matrix.
    Cholesky "cholesky" SquareToSquare;
    /// `L⁻¹ b` for a lower triangular `L`.
    SolveLower "solve_lower" Solve;
    /// `U⁻¹ b` for an upper triangular `U`.
    SolveUpper "solve_upper" Solve;
    /// `A⁻¹ b` for a symmetric positive definite `A`.
    SolveSpd "solve_spd" Solve;
    /// `A⁻¹ b` for a square matrix `A`.
    Solve "solve" Solve;
    /// Determinant of a square matrix.
    Determinant "determinant" SquareToReal;
    /// Logarithm of the modulus of the determinant of a square matrix.
    LogDeterminant "log_determinant" SquareToReal;
    /// Matrix exponential.
    MatrixExp "matrix_exp" SquareToSquare;
    /// Eigenvalues of a symmetric matrix, ascending, above its eigenvectors (as columns): `[n + 1, n]`.
    EigenSym "eigen_sym" SquareToTall;
    /// Log determinant of a symmetric positive definite matrix.
    LogDetSpd "log_determinant_spd" SquareToReal;
    /// Diagonal matrix.
    Diag "diag" VectorToSquare;
    /// Diagonal of a matrix.
    Diagonal "diagonal" SquareToVector;
    // -- Shapes
    /// Number of elements along the first axis (1 for a scalar).
    Size "size" ShapeInt;
    /// Number of elements of an array of any rank.
    NumElements "num_elements" ShapeInt;
    /// Sizes of an array.
    Dims "dims" Sizes;
    /// Number of rows.
    Rows "rows" ShapeInt;
    /// Number of columns.
    Cols "cols" ShapeInt;
    /// Array of zeros.
    Zeros "zeros" Filled;
    /// Array of ones.
    Ones "ones" Filled;
    /// `fill(n, x)`: array of `x`.
    Fill "fill" Fill;
    /// Arrays joined along the first axis.
    Append "append" Append;
    /// `append_col(A, B)`: matrices (a vector counts as one column) joined side by side.
    AppendCol "append_col" Append;
    /// All elements of an array, row by row.
    Flatten "flatten" Flat;
    /// All elements of an array, row by row, as an array of other sizes: `reshape(x, n, m)`.
    Reshape "reshape" Reshape;
    /// Elements of a vector in ascending order.
    SortAsc "sort_asc" VectorToVector;
    /// Positions of the elements of a vector in ascending order.
    SortIndices "sort_indices_asc" VectorToInts;
    /// Elements of a vector, or rows of a matrix, in reverse order.
    Reverse "reverse" Same;
    // -- Solvers
    /// `ode_rk45(f, y0, t0, ts, args…)`: the solution at the times `ts` of `dy/dt = f(t, y, args…)` with
    /// `y(t0) = y0`, `[T, n]`, by the explicit Runge–Kutta method of Dormand and Prince of order 8.
    OdeRk45 "ode_rk45" Solver { solver: super::solver::Solver::Ode, tolerances: false };
    /// The same with tolerances `rel_tol, abs_tol, max_num_steps` before the arguments passed on.
    OdeRk45Tol "ode_rk45_tol" Solver { solver: super::solver::Solver::Ode, tolerances: true };
    /// The same for a stiff equation, by the implicit Runge–Kutta method Radau IIA of order 5.
    OdeBdf "ode_bdf" Solver { solver: super::solver::Solver::Ode, tolerances: false };
    /// The same with tolerances `rel_tol, abs_tol, max_num_steps` before the arguments passed on.
    OdeBdfTol "ode_bdf_tol" Solver { solver: super::solver::Solver::Ode, tolerances: true };
    /// `integrate_1d(f, a, b, args…)`: the integral of `f(x, args…)` from `a` to `b`, which may be
    /// infinite; integrable singularities at the ends do no harm.
    Integrate1d "integrate_1d" Solver { solver: super::solver::Solver::Integral, tolerances: false };
    /// The same with a relative tolerance before the arguments passed on.
    Integrate1dTol "integrate_1d_tol" Solver { solver: super::solver::Solver::Integral, tolerances: true };
    /// `algebra_solver(f, guess, args…)`: a root `x` of `f(x, args…) = 0` by Newton's method from a guess.
    AlgebraSolver "algebra_solver" Solver { solver: super::solver::Solver::Root, tolerances: false };
    /// The same with tolerances `rel_tol, abs_tol, max_num_steps` before the arguments passed on.
    AlgebraSolverTol "algebra_solver_tol" Solver { solver: super::solver::Solver::Root, tolerances: true };
    // -- Constants
    /// π.
    Pi "pi" Constant;
    /// Euler's number.
    Euler "e" Constant;
    /// +∞.
    Infinity "infinity" Constant;
    // -- Random numbers
    /// Standard normal.
    RngStdNormal "rng_std_normal" RandomReal(0);
    /// Uniform on (0, 1).
    RngUniform "rng_uniform" RandomReal(0);
    /// Standard exponential.
    RngStdExponential "rng_std_exponential" RandomReal(0);
    /// Gamma of that shape, scale 1.
    RngStdGamma "rng_std_gamma" RandomReal(1);
    /// Poisson of that rate.
    RngPoisson "rng_poisson" RandomInt(1);
    /// Binomial of that number and probability.
    RngBinomial "rng_binomial" RandomInt(2);
}

/// Other names of primitives, mostly Stan's.
const ALIASES: &[(&str, Builtin)] = &[
    ("fabs", Builtin::Abs),
    ("pow", Builtin::Pow),
    ("fmin", Builtin::Min),
    ("fmax", Builtin::Max),
    ("Phi", Builtin::StdNormalCdf),
    ("inv_Phi", Builtin::StdNormalQuantile),
    ("multiply_log", Builtin::XLogY),
    ("lmultiply", Builtin::XLogY),
    ("append_row", Builtin::Append),
    ("append_array", Builtin::Append),
    ("to_array_1d", Builtin::Flatten),
    ("transpose", Builtin::Transpose),
    ("multiply", Builtin::MatMul),
    ("zeros_vector", Builtin::Zeros),
    ("zeros_row_vector", Builtin::Zeros),
    ("zeros_array", Builtin::Zeros),
    ("ones_vector", Builtin::Ones),
    ("ones_row_vector", Builtin::Ones),
    ("ones_array", Builtin::Ones),
    ("diag_matrix", Builtin::Diag),
    ("cholesky_decompose", Builtin::Cholesky),
    ("mdivide_left", Builtin::Solve),
    ("mdivide_left_spd", Builtin::SolveSpd),
    ("mdivide_left_tri_low", Builtin::SolveLower),
    ("ode_adams", Builtin::OdeRk45),
    ("ode_adams_tol", Builtin::OdeRk45Tol),
    ("ode_ckrk", Builtin::OdeRk45),
    ("ode_ckrk_tol", Builtin::OdeRk45Tol),
    ("algebra_solver_newton", Builtin::AlgebraSolver),
    ("solve_newton", Builtin::AlgebraSolver),
    ("solve_newton_tol", Builtin::AlgebraSolverTol),
    ("solve_powell", Builtin::AlgebraSolver),
    ("solve_powell_tol", Builtin::AlgebraSolverTol),
];

impl Builtin {
    /// Finds a named primitive; operators are not found by name, and neither are the array forms of
    /// `min` and `max`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let own = Self::ALL.iter().copied();
        let alias = || ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, b)| *b);
        own.into_iter()
            .find(|b| b.name() == name && name.starts_with(char::is_alphabetic))
            .or_else(alias)
    }
}
