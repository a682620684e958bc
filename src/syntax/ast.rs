//! The syntax tree: close to the text, a span on every node, nothing resolved.
//!
//! Made by `build` from pest pairs, one item at a time. Parentheses leave no node: they widen the
//! span of what they enclose. Comments are not here; the formatter takes them from the tokens.
//!
//! Invariant: an expression or statement nests at most [`MAX_DEPTH`] deep, so recursive walks
//! need no guard of their own.

use crate::source::Span;

/// The deepest nesting of a tree, counted in nodes.
pub const MAX_DEPTH: usize = 256;

/// One source file.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// The `///` text at the top of the file.
    pub doc: Option<Doc>,
    /// Declarations and statements in source order.
    pub items: Vec<Item>,
    /// The whole file.
    pub span: Span,
}

/// A run of `///` lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Doc {
    /// The text without the slashes and one following blank, lines joined by `\n`.
    pub text: String,
    /// From the first line to the last.
    pub span: Span,
}

/// A name as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ident {
    /// The name.
    pub text: String,
    /// Its place.
    pub span: Span,
}

/// A declaration or statement at the top level.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `import "helpers.ppl"`
    Import(Import),
    /// `data y: real[N] = default`
    Data(Data),
    /// `param mu: real ~ normal(0, 1)`
    Param(Param),
    /// `let x = expr`
    Let(Let),
    /// `marginal z: int<lower=1, upper=K>[N] ~ categorical(w)`
    Marginal(Marginal),
    /// `gen x = expr`; the same shape as a `let`.
    Gen(Let),
    /// `fn f(x: real) -> real = expr`
    Fn(FnDecl),
    /// `dist d(mu: real) on real { … }`
    Dist(DistDecl),
    /// `~`, `factor`, `for` or `if`. Never `Stmt::Let` or `Stmt::Assign`.
    Stmt(Stmt),
    /// An item that did not parse; its diagnostics say why.
    Error(Span),
}

impl Item {
    /// Returns the place of the item, without its doc comment.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Import(import) => import.span,
            Self::Data(data) => data.span,
            Self::Param(param) => param.span,
            Self::Let(binding) | Self::Gen(binding) => binding.span,
            Self::Marginal(marginal) => marginal.span,
            Self::Fn(function) => function.span,
            Self::Dist(dist) => dist.span,
            Self::Stmt(stmt) => stmt.span,
            Self::Error(span) => *span,
        }
    }
}

/// `import "helpers.ppl"`: the declarations of another file.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// The path as written between the quotes.
    pub path: String,
    /// The string literal, quotes included.
    pub path_span: Span,
    /// The whole item.
    pub span: Span,
}

/// `data name: ty = default`.
#[derive(Clone, Debug, PartialEq)]
pub struct Data {
    /// The `///` text above.
    pub doc: Option<Doc>,
    /// The field of the data file.
    pub name: Ident,
    /// Its type.
    pub ty: TypeExpr,
    /// The value when the data file has no such field.
    pub default: Option<Expr>,
    /// The whole item.
    pub span: Span,
}

/// `param name: ty ~ dist`.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// The `///` text above.
    pub doc: Option<Doc>,
    /// The latent's name.
    pub name: Ident,
    /// Its type; without one it is that of a draw from `dist`.
    pub ty: Option<TypeExpr>,
    /// Its prior.
    pub dist: Option<Expr>,
    /// The whole item.
    pub span: Span,
}

/// `marginal name: ty ~ dist`: a discrete latent that the compiler sums out.
#[derive(Clone, Debug, PartialEq)]
pub struct Marginal {
    /// The `///` text above.
    pub doc: Option<Doc>,
    /// The latent's name.
    pub name: Ident,
    /// Its type.
    pub ty: Option<TypeExpr>,
    /// Its prior; statements may give it instead, as for the states of a chain.
    pub dist: Option<Expr>,
    /// The whole item.
    pub span: Span,
}

/// `let name: ty = expr` or `let name: ty { … }`; also a `gen`.
#[derive(Clone, Debug, PartialEq)]
pub struct Let {
    /// The `///` text above; only top-level items have one.
    pub doc: Option<Doc>,
    /// The name defined.
    pub name: Ident,
    /// Its type; always present with [`LetValue::Elements`].
    pub ty: Option<TypeExpr>,
    /// What it is.
    pub value: LetValue,
    /// The whole item.
    pub span: Span,
}

/// The right-hand side of a `let`.
#[derive(Clone, Debug, PartialEq)]
pub enum LetValue {
    /// `= expr`
    Expr(Expr),
    /// `~ dist`: a draw; only of a `gen`.
    Draw(Expr),
    /// `{ … }`: element by element; holds `Let`, `Assign`, `For` and `If` statements only.
    Elements(Vec<Stmt>),
}

/// `fn name(params) -> result = body`.
#[derive(Clone, Debug, PartialEq)]
pub struct FnDecl {
    /// The `///` text above.
    pub doc: Option<Doc>,
    /// The function's name.
    pub name: Ident,
    /// Its parameters.
    pub params: Vec<TypedParam>,
    /// The type of its value.
    pub result: TypeExpr,
    /// Its body; `= expr` is a block without `let`s.
    pub body: Block,
    /// The whole item.
    pub span: Span,
}

/// `name: ty` in a parameter list.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedParam {
    /// The parameter.
    pub name: Ident,
    /// Its type.
    pub ty: TypeExpr,
}

/// `dist name(params) on support { members }`.
#[derive(Clone, Debug, PartialEq)]
pub struct DistDecl {
    /// The `///` text above.
    pub doc: Option<Doc>,
    /// The distribution's name.
    pub name: Ident,
    /// Its parameters.
    pub params: Vec<TypedParam>,
    /// The type of a draw: `real<lower=0>`, `simplex[K]`.
    pub support: TypeExpr,
    /// `log_density`, `cdf`, …
    pub members: Vec<DistMember>,
    /// The whole item.
    pub span: Span,
}

/// `log_density(x) = body` inside a `dist`.
#[derive(Clone, Debug, PartialEq)]
pub struct DistMember {
    /// Which function of the distribution it is.
    pub name: Ident,
    /// Names of its arguments; their types follow from the member.
    pub params: Vec<Ident>,
    /// Its body; `= expr` is a block without `let`s.
    pub body: Block,
    /// The whole member.
    pub span: Span,
}

/// `{ let a = …  let b = …  result }`: the value of a function or of a branch.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Local definitions in order.
    pub lets: Vec<Let>,
    /// The value.
    pub result: Box<Expr>,
    /// With the braces, or just the expression after `=`.
    pub span: Span,
}

/// A type as written.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeExpr {
    /// What it is.
    pub kind: TypeKind,
    /// Its place.
    pub span: Span,
}

/// The forms of a type.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeKind {
    /// `real<lower=0>?[N, D]`, `simplex[K]`, `int`.
    Base {
        /// `real`, `int`, `bool`, `simplex`, …; not resolved.
        name: Ident,
        /// `<lower=…, upper=…>` in order.
        bounds: Vec<Bound>,
        /// The `?` that lets the data file say `null`.
        missing: Option<Span>,
        /// Dimensions; empty for a scalar.
        dims: Vec<Expr>,
    },
    /// `array[M] simplex[K]`.
    Array {
        /// The dimensions of the array.
        dims: Vec<Expr>,
        /// What it is an array of.
        elem: Box<TypeExpr>,
    },
    /// `fn(real, real[2]) -> real[2]`, for a parameter of a function.
    Function {
        /// Types of the parameters.
        params: Vec<TypeExpr>,
        /// Type of the value.
        result: Box<TypeExpr>,
    },
}

/// `lower=0` in a type.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// `lower`, `upper`, `offset` or `multiplier`; not resolved.
    pub name: Ident,
    /// Its value.
    pub value: Expr,
    /// The whole of it.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Stmt {
    /// What it is.
    pub kind: StmtKind,
    /// Its place.
    pub span: Span,
}

/// The forms of a statement.
#[derive(Clone, Debug, PartialEq)]
pub enum StmtKind {
    /// A `let` inside braces.
    Let(Let),
    /// `lhs ~ dist`.
    Tilde {
        /// The value that is distributed.
        lhs: Expr,
        /// Its distribution.
        dist: Expr,
    },
    /// `factor expr`: adds to the log joint.
    Factor(Expr),
    /// `target[indices] = value`, only inside [`LetValue::Elements`].
    Assign {
        /// The name being defined.
        target: Ident,
        /// Which element; empty for a scalar.
        indices: Vec<Index>,
        /// Its value.
        value: Expr,
    },
    /// `for var in range { body }`.
    For {
        /// The loop's index.
        var: Ident,
        /// What it runs over, usually an [`ExprKind::Range`].
        range: Expr,
        /// What is repeated.
        body: Vec<Stmt>,
    },
    /// `if cond { then } else { otherwise }`; an `else if` is an `otherwise` of one statement.
    If {
        /// The condition.
        cond: Expr,
        /// When it holds.
        then: Vec<Stmt>,
        /// When it does not; empty without `else`.
        otherwise: Vec<Stmt>,
    },
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its place, with parentheses around it.
    pub span: Span,
}

/// The forms of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `3`; never negative.
    Int(i64),
    /// `3.0`, `1e-3`, `.5`; never negative, always finite.
    Real(f64),
    /// `true`, `false`.
    Bool(bool),
    /// A name.
    Name(String),
    /// `callee(args)`: a function, a distribution or a conversion (`real(n)`).
    Call {
        /// What is called.
        callee: Ident,
        /// Positional arguments, then named ones, as written.
        args: Vec<Arg>,
    },
    /// `base[indices]`.
    Index {
        /// What is indexed.
        base: Box<Expr>,
        /// One per axis; at least one.
        indices: Vec<Index>,
    },
    /// `-x`, `+x`, `!x`.
    Unary {
        /// The operator.
        op: UnaryOp,
        /// The place of the operator.
        op_span: Span,
        /// What it applies to.
        operand: Box<Expr>,
    },
    /// `x'`.
    Transpose(Box<Expr>),
    /// `lhs op rhs`.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// The place of the operator.
        op_span: Span,
        /// Left operand.
        lhs: Box<Expr>,
        /// Right operand.
        rhs: Box<Expr>,
    },
    /// `lo:hi`, both ends included.
    Range {
        /// First value.
        lo: Box<Expr>,
        /// Last value.
        hi: Box<Expr>,
    },
    /// `[a, b, c]`; nested for matrices, may be empty.
    Array(Vec<Expr>),
    /// `if cond { a } else { b }`; an `else if` is an `otherwise` without `let`s.
    If {
        /// The condition.
        cond: Box<Expr>,
        /// The value when it holds.
        then: Block,
        /// The value when it does not.
        otherwise: Block,
    },
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// `lower` in `lower=0`.
    pub name: Option<Ident>,
    /// The value.
    pub value: Expr,
}

/// One axis of an index list.
#[derive(Clone, Debug, PartialEq)]
pub enum Index {
    /// `a[i]`, `a[g]`: a position, or an array of positions.
    At(Expr),
    /// `a[lo:hi]`, both ends included; an absent end is that of the axis. `a[:]` and `a[, 1]` have
    /// neither.
    Slice {
        /// First position.
        lo: Option<Expr>,
        /// Last position.
        hi: Option<Expr>,
        /// The place; empty, before the comma, in `a[, 1]`.
        span: Span,
    },
}

impl Index {
    /// Returns the place.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::At(expr) => expr.span,
            Self::Slice { span, .. } => *span,
        }
    }
}

/// Operators of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `+`
    Plus,
    /// `!`
    Not,
}

impl UnaryOp {
    /// Returns the operator as written.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Neg => "-",
            Self::Plus => "+",
            Self::Not => "!",
        }
    }
}

/// Operators of two operands; elementwise with scalar broadcast, but for `@`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `||`
    Or,
    /// `&&`
    And,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
    /// `@`, the matrix product
    MatMul,
    /// `^`
    Pow,
}

impl BinaryOp {
    /// Returns the operator as written.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Or => "||",
            Self::And => "&&",
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Rem => "%",
            Self::MatMul => "@",
            Self::Pow => "^",
        }
    }

    /// Tells whether the operator compares and gives a truth value.
    #[must_use]
    pub fn is_comparison(self) -> bool {
        matches!(self, Self::Eq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge)
    }
}
