//! The typed tree: every name resolved, every expression typed, declarations in order of dependence.
//!
//! Made by `infer` and `model`; read by `lower`. Shapes here are symbolic; `lower` works with the
//! concrete ones that the data gives.
//!
//! Invariants: a [`VarId`], [`FnId`] or [`DistId`] indexes its table in [`Model`]; a declaration stands
//! after everything it reads; functions and distributions that nothing uses are absent.

use crate::source::Span;

use super::builtins::Builtin;
use super::shape::Dim;

/// A variable of any kind: index into [`Model::vars`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VarId(pub u32);

/// A function: index into [`Model::fns`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FnId(pub u32);

/// A distribution: index into [`Model::dists`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DistId(pub u32);

/// A checked model.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// All variables, local ones included.
    pub vars: Vec<Var>,
    /// Functions, the standard library's and the model's own.
    pub fns: Vec<FnDef>,
    /// Distributions, likewise.
    pub dists: Vec<DistDef>,
    /// Declarations and statements, each after what it depends on; parameters in order of declaration.
    pub decls: Vec<Decl>,
}

/// A variable.
#[derive(Clone, Debug)]
pub struct Var {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: VarKind,
    /// Its type.
    pub ty: Type,
    /// When its value is known.
    pub stage: Stage,
    /// Where it is declared.
    pub span: Span,
}

/// What a variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VarKind {
    /// `data`.
    Data,
    /// `param`.
    Param,
    /// `let` at the top level.
    Let,
    /// `gen`.
    Gen,
    /// A drawn copy of an observed variable, in the generative reading of a model.
    Predicted,
    /// `marginal`.
    Marginal,
    /// A size that first appears in the type of data or of a function's parameter: `N` in `real[N]`.
    Size,
    /// A `let` inside braces.
    Local,
    /// The index of a `for`.
    Index,
    /// A parameter of a function, of a distribution or of one of its members.
    Argument,
}

/// When a value is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Once data is loaded.
    Data,
    /// For each point of the parameter space.
    Parameter,
    /// For each draw, after inference.
    Generated,
}

/// What one number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scalar {
    /// A truth value.
    Bool,
    /// An integer.
    Int,
    /// A real number.
    Real,
}

/// The type of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Type {
    /// An array, or with no dimensions a scalar.
    Array {
        /// What its elements are.
        scalar: Scalar,
        /// Its dimensions, outermost first.
        dims: Vec<Dim>,
    },
    /// A function passed by name to a solver.
    Function {
        /// Types of its parameters.
        params: Vec<Type>,
        /// Type of its value.
        result: Box<Type>,
    },
    /// The type of an expression with an error that has been reported; agrees with every other type.
    Error,
}

/// The set of values that a declared variable, or a draw from a distribution, may take.
#[derive(Clone, Debug)]
pub struct Support {
    /// Sizes of the array around the structure (`array[M] simplex[K]` has `[M]`; `real[N, D]` has both).
    pub array: Vec<Expr>,
    /// The structure itself.
    pub structure: Structure,
    /// Whether `null` is allowed in the data file.
    pub missing: bool,
}

impl Support {
    /// Tells whether it says more than what kind of number its elements are.
    #[must_use]
    pub fn restricts(&self) -> bool {
        match &self.structure {
            Structure::Scalar { lower, upper, .. } => lower.is_some() || upper.is_some(),
            _ => true,
        }
    }
}

/// What one element of the array of a [`Support`] is.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "scalars are the common case, and there are few supports"
)]
pub enum Structure {
    /// A number within bounds; an absent bound is infinite.
    Scalar {
        /// Int, real or bool.
        scalar: Scalar,
        /// Inclusive lower bound, scalar or of the array's shape.
        lower: Option<Expr>,
        /// Inclusive upper bound.
        upper: Option<Expr>,
        /// Centre of the affine map from the unconstrained space.
        offset: Option<Expr>,
        /// Scale of that map.
        multiplier: Option<Expr>,
    },
    /// Non-negative numbers that sum to one.
    Simplex(Expr),
    /// Increasing numbers.
    Ordered(Expr),
    /// Increasing positive numbers.
    PositiveOrdered(Expr),
    /// Numbers whose squares sum to one.
    UnitVector(Expr),
    /// Numbers that sum to zero.
    SumToZero(Expr),
    /// Cholesky factor of a correlation matrix.
    CholeskyCorr(Expr),
    /// Correlation matrix.
    CorrMatrix(Expr),
    /// Cholesky factor of a covariance matrix.
    CholeskyCov(Expr),
    /// Covariance matrix.
    CovMatrix(Expr),
}

/// A declaration or statement at the top level.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there are few declarations")]
pub enum Decl {
    /// `data`; sizes that it introduces are in its support as plain [`VarKind::Size`] variables.
    Data {
        /// The variable.
        var: VarId,
        /// Its type with bounds, to be checked against the file.
        support: Support,
        /// Value when the file has no such field.
        default: Option<Expr>,
    },
    /// The latents in place of what `data` misses.
    Missing {
        /// The data.
        var: VarId,
        /// What they may be: the declared bounds, and where there are none those of the distribution
        /// that a statement gives.
        support: Support,
    },
    /// `param`.
    Param {
        /// The variable.
        var: VarId,
        /// Its support, which decides the transform; taken from the prior when not declared.
        support: Support,
        /// Its prior, `Truncated` when the support is narrower than the distribution's; `None` when
        /// a statement gives it, or it is flat.
        prior: Option<Dist>,
        /// The whole declaration.
        span: Span,
    },
    /// `let` or `gen`.
    Let {
        /// The variable.
        var: VarId,
        /// Its value.
        value: LetValue,
    },
    /// Several `let`s or `gen`s, element by element, which read each other.
    Recursion(Vec<(VarId, LetValue)>),
    /// The declared type of a `let`: outside of it there is no density.
    Constraint {
        /// The variable.
        var: VarId,
        /// What its value has to be.
        support: Support,
    },
    /// `marginal`.
    Marginal {
        /// The variable.
        var: VarId,
        /// Its support: integers between two bounds, or truth values.
        support: Support,
        /// Its prior, `Truncated` when the support is narrower than the distribution's; `None` when
        /// statements give it.
        prior: Option<Dist>,
        /// The whole declaration.
        span: Span,
    },
    /// A statement.
    Stmt(Stmt),
}

impl Decl {
    /// The variables that it gives their value.
    #[must_use]
    pub fn defines(&self) -> Vec<VarId> {
        match self {
            Decl::Data { var, .. }
            | Decl::Missing { var, .. }
            | Decl::Param { var, .. }
            | Decl::Marginal { var, .. }
            | Decl::Let { var, .. } => vec![*var],
            Decl::Recursion(lets) => lets.iter().map(|(var, _)| *var).collect(),
            Decl::Constraint { .. } | Decl::Stmt(_) => Vec::new(),
        }
    }
}

/// The right-hand side of a `let`.
#[derive(Clone, Debug)]
pub enum LetValue {
    /// `= expr`.
    Expr(Expr),
    /// Element by element.
    Elements {
        /// Sizes of the array.
        dims: Vec<Expr>,
        /// `Let`, `Assign`, `For` and `If` only.
        stmts: Vec<Stmt>,
        /// An array of the same shape that gives the elements which nothing assigns; without it each
        /// element is assigned exactly once.
        rest: Option<Expr>,
    },
}

/// A statement with its place.
#[derive(Clone, Debug)]
pub struct Stmt {
    /// What it is.
    pub kind: StmtKind,
    /// Its place.
    pub span: Span,
}

/// The forms of a statement.
#[derive(Clone, Debug)]
pub enum StmtKind {
    /// `lhs ~ dist`.
    Tilde {
        /// The value.
        lhs: Expr,
        /// Its distribution.
        dist: Dist,
    },
    /// `factor expr`; arrays are summed.
    Factor(Expr),
    /// A local `let`.
    Let {
        /// The variable.
        var: VarId,
        /// Its value.
        value: LetValue,
    },
    /// `var[indices] = value` inside [`LetValue::Elements`].
    Assign {
        /// The variable being defined.
        var: VarId,
        /// Which element.
        indices: Vec<Index>,
        /// Its value.
        value: Expr,
    },
    /// `for var in lo:hi { body }`, both ends included.
    For {
        /// The index.
        var: VarId,
        /// First value.
        lo: Expr,
        /// Last value.
        hi: Expr,
        /// Body.
        body: Vec<Stmt>,
    },
    /// `if`.
    If {
        /// Condition.
        cond: Expr,
        /// When it holds.
        then: Vec<Stmt>,
        /// When it does not.
        otherwise: Vec<Stmt>,
    },
}

/// A distribution applied to arguments.
#[derive(Clone, Debug)]
pub struct Dist {
    /// What it is.
    pub kind: DistKind,
    /// Its place.
    pub span: Span,
}

/// The forms of a distribution.
#[derive(Clone, Debug)]
pub enum DistKind {
    /// `normal(mu, sigma)`. Scalar parameters take a scalar or an array of the shape of the value;
    /// a batch axis in front of the value is shared by parameters that have it.
    Named {
        /// Which.
        dist: DistId,
        /// Arguments in order of its parameters.
        args: Vec<Expr>,
        /// Whether the value may lie outside the support, so that the density has to be −∞ there.
        guard: bool,
    },
    /// `mixture(weights, dist…)`: with one distribution its array arguments run over the components.
    Mixture {
        /// A simplex, one weight a component.
        weights: Expr,
        /// One distribution over all components, or one each.
        components: Vec<Dist>,
    },
    /// `truncate(dist, lower=, upper=)`, or a prior whose declared support is narrower.
    Truncated {
        /// The distribution.
        dist: Box<Dist>,
        /// Lower end.
        lower: Option<Expr>,
        /// Upper end.
        upper: Option<Expr>,
        /// Whether the value may lie outside, so that the density has to be −∞ there.
        guard: bool,
    },
    /// `censor(dist, lower=, upper=)`: values at an end stand for everything beyond it.
    Censored {
        /// The distribution.
        dist: Box<Dist>,
        /// Lower end.
        lower: Option<Expr>,
        /// Upper end.
        upper: Option<Expr>,
    },
    /// `zero_inflated(p, dist)`: 0 with probability `p`, else a draw.
    ZeroInflated {
        /// Probability of an extra zero.
        p: Expr,
        /// The distribution.
        dist: Box<Dist>,
    },
    /// `hurdle(p, dist)`: 0 with probability `p`, else a draw that is not 0.
    Hurdle {
        /// Probability of zero.
        p: Expr,
        /// The distribution.
        dist: Box<Dist>,
    },
    /// Independent draws put in increasing order along the last axis of the value: the prior of an
    /// `ordered` parameter whose elements share one distribution.
    Sorted {
        /// The distribution of each draw.
        dist: Box<Dist>,
    },
    /// `affine(dist, loc, scale)`: `loc + scale · x`.
    Affine {
        /// The distribution of `x`.
        dist: Box<Dist>,
        /// Location.
        loc: Expr,
        /// Scale, positive.
        scale: Expr,
    },
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its type.
    pub ty: Type,
    /// When it is known.
    pub stage: Stage,
    /// Its place.
    pub span: Span,
}

/// The forms of an expression.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// An integer.
    Int(i64),
    /// A real number.
    Real(f64),
    /// A truth value.
    Bool(bool),
    /// A variable.
    Var(VarId),
    /// A primitive operation, operators included.
    Builtin(Builtin, Vec<Expr>),
    /// A function of the library or the model. Scalar parameters given arrays of one shape: elementwise.
    Call(FnId, Vec<Expr>),
    /// A function passed by name.
    FnRef(FnId),
    /// A member of a distribution called as a function: `normal_log_density(x, mu, sigma)`,
    /// `normal_cdf(x, mu, sigma)`; arguments of the member first, then those of the distribution.
    Member(DistId, MemberId, Vec<Expr>),
    /// A draw from a distribution, of the shape of the expression's type.
    Draw {
        /// From which.
        dist: Box<Dist>,
        /// In which order its elements stand.
        order: Order,
    },
    /// `base[indices]`; as many indices as `base` has dimensions, missing ones filled with slices.
    Index(Box<Expr>, Vec<Index>),
    /// `[a, b, c]`: a further axis in front.
    Array(Vec<Expr>),
    /// `lo:hi`, an array of integers.
    Range(Box<Expr>, Box<Expr>),
    /// `if cond { … } else { … }`. With a condition that is an array: elementwise.
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// Local definitions, then a value; a recursion inside a function is a [`LetValue::Elements`].
    Block(Vec<(VarId, LetValue)>, Box<Expr>),
}

/// In which order the elements of a drawn vector stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they are drawn.
    Any,
    /// Ascending along the last axis, on the condition that they are drawn so: an ordered parameter
    /// whose elements do not share one distribution.
    Ascending,
}

/// One axis of an index list.
#[derive(Clone, Debug)]
pub enum Index {
    /// A 1-based position, or an array of positions, whose axes replace this one.
    At(Expr),
    /// Positions `lo` to `hi`, both included; an absent end is that of the axis.
    Slice(Option<Expr>, Option<Expr>),
}

/// A function.
#[derive(Clone, Debug)]
pub struct FnDef {
    /// Its name.
    pub name: String,
    /// Its parameters.
    pub params: Vec<VarId>,
    /// Sizes bound by the shapes of the arguments.
    pub sizes: Vec<SizeBinding>,
    /// Type of its value.
    pub result: Type,
    /// Its body.
    pub body: Expr,
    /// Where it is declared.
    pub span: Span,
}

/// A size variable takes its value from axis `axis` of argument `param`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeBinding {
    /// The size.
    pub var: VarId,
    /// Index of the parameter; for a distribution, `params.len()` stands for the value itself.
    pub param: usize,
    /// Axis of its declared type.
    pub axis: usize,
}

/// A distribution.
#[derive(Clone, Debug)]
pub struct DistDef {
    /// Its name.
    pub name: String,
    /// Its parameters.
    pub params: Vec<VarId>,
    /// What each parameter may be, where its type says more than what kind of number it is.
    pub domains: Vec<Option<Support>>,
    /// Sizes bound by the shapes of the arguments or of the value.
    pub sizes: Vec<SizeBinding>,
    /// What a draw may be; may refer to the parameters.
    pub support: Support,
    /// Type of a draw.
    pub ty: Type,
    /// Its members; always `log_density`.
    pub members: Vec<Member>,
    /// Where it is declared.
    pub span: Span,
}

impl DistDef {
    /// The member of that name.
    #[must_use]
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.iter().find(|m| m.id == id)
    }

    /// Whether it has that member, or others that it follows from: a number with a cdf has a quantile, and
    /// can be drawn by it.
    #[must_use]
    pub fn provides(&self, id: MemberId) -> bool {
        let has = |id| self.member(id).is_some();
        has(id)
            || match id {
                MemberId::LogCdf | MemberId::LogSurvival => has(MemberId::Cdf),
                MemberId::Quantile | MemberId::Sample => {
                    let scalar = matches!(self.support.structure, Structure::Scalar { .. });
                    scalar && self.support.array.is_empty() && has(MemberId::Cdf)
                }
                _ => false,
            }
    }
}

/// One function of a distribution.
#[derive(Clone, Debug)]
pub struct Member {
    /// Which.
    pub id: MemberId,
    /// Its arguments.
    pub params: Vec<VarId>,
    /// Its body; may refer to the distribution's parameters.
    pub body: Expr,
}

/// The functions that a distribution may define.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MemberId {
    /// `log_density(x)`.
    LogDensity,
    /// `cdf(x)`: probability of values up to and including `x`.
    Cdf,
    /// `log_cdf(x)`.
    LogCdf,
    /// `log_survival(x)`: log probability of values above `x`.
    LogSurvival,
    /// `quantile(p)`.
    Quantile,
    /// `sample()`.
    Sample,
    /// `mean()`.
    Mean,
    /// `variance()`.
    Variance,
}

impl Dist {
    /// A distribution in it that has no `sample`, with the place where it is used.
    #[must_use]
    pub fn without_sampler(&self, model: &Model) -> Option<(DistId, Span)> {
        match &self.kind {
            DistKind::Named { dist, .. } => {
                let drawn = model.dist(*dist).provides(MemberId::Sample);
                (!drawn).then_some((*dist, self.span))
            }
            DistKind::Mixture { components, .. } => {
                components.iter().find_map(|c| c.without_sampler(model))
            }
            DistKind::Truncated { dist, .. }
            | DistKind::Censored { dist, .. }
            | DistKind::ZeroInflated { dist, .. }
            | DistKind::Hurdle { dist, .. }
            | DistKind::Sorted { dist }
            | DistKind::Affine { dist, .. } => dist.without_sampler(model),
        }
    }
}

impl Model {
    /// The variable's entry.
    #[must_use]
    pub fn var(&self, id: VarId) -> &Var {
        &self.vars[id.0 as usize]
    }

    /// The function's entry.
    #[must_use]
    pub fn function(&self, id: FnId) -> &FnDef {
        &self.fns[id.0 as usize]
    }

    /// The distribution's entry.
    #[must_use]
    pub fn dist(&self, id: DistId) -> &DistDef {
        &self.dists[id.0 as usize]
    }
}
