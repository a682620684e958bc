//! Typed tree → text: what `ppl emit --stage typed` shows, and how messages write types.

use super::builtins::{Builtin, Signature};
use super::typed::{
    Decl, Dist, DistDef, DistKind, Expr, ExprKind, FnDef, Index, LetValue, MemberId, Model, Order,
    Stage, Stmt, StmtKind, Structure, Support, Type, VarId, VarKind,
};

type Names<'a> = &'a dyn Fn(VarId) -> String;

/// Writes a type: `real[N, D]`.
#[must_use]
pub fn ty(ty: &Type, names: Names<'_>) -> String {
    match ty {
        Type::Array { scalar, dims } if dims.is_empty() => scalar.name().to_string(),
        Type::Array { scalar, dims } => {
            let dims: Vec<String> = dims.iter().map(|dim| dim.show(names)).collect();
            format!("{}[{}]", scalar.name(), dims.join(", "))
        }
        Type::Function { params, result } => {
            let params: Vec<String> = params.iter().map(|param| self::ty(param, names)).collect();
            format!("fn({}) -> {}", params.join(", "), self::ty(result, names))
        }
        Type::Error => "?".to_string(),
    }
}

/// Writes an expression with the fewest parentheses. Functions and distributions, which it cannot
/// name without the model, go by number.
#[must_use]
pub fn expr(e: &Expr, names: Names<'_>) -> String {
    Printer { names, model: None }.expr(e, 0)
}

/// Writes what one element of a support is: `real<lower=0>`, `simplex`.
#[must_use]
pub fn structure(structure: &Structure, names: Names<'_>) -> String {
    let bounds = Printer { names, model: None }.bounds(structure);
    match structure {
        Structure::Scalar { scalar, .. } => format!("{}{bounds}", scalar.name()),
        _ => bounds,
    }
}

/// Writes the typed tree: functions, distributions, then declarations in order of dependence, each
/// variable with its type, its constraint and its stage.
#[must_use]
pub fn emit(model: &Model) -> String {
    let names = |var: VarId| model.var(var).name.clone();
    let printer = Printer { names: &names, model: Some(model) };
    let mut lines = Vec::new();
    for function in &model.fns {
        lines.push(printer.function(function));
    }
    for dist in &model.dists {
        lines.push(printer.dist_def(dist));
    }
    let sizes = model
        .vars
        .iter()
        .enumerate()
        .filter(|(_, var)| var.kind == VarKind::Size && !printer.is_bound(var.span, model));
    for (id, _) in sizes {
        let id = VarId(u32::try_from(id).unwrap_or(u32::MAX));
        lines.push(format!("size {}", printer.head(id, "")));
    }
    for decl in &model.decls {
        printer.decl(decl, &mut lines);
    }
    lines.join("\n") + "\n"
}

struct Printer<'a> {
    names: Names<'a>,
    model: Option<&'a Model>,
}

impl Printer<'_> {
    /// Tells whether the size at that place belongs to a function or distribution.
    fn is_bound(&self, span: crate::source::Span, model: &Model) -> bool {
        let inside = |outer: crate::source::Span| {
            outer.file == span.file && outer.start <= span.start && span.end <= outer.end
        };
        model.fns.iter().any(|f| inside(f.span)) || model.dists.iter().any(|d| inside(d.span))
    }

    /// `name : type constraint  stage`.
    fn head(&self, id: VarId, constraint: &str) -> String {
        let Some(model) = self.model else { return (self.names)(id) };
        let var = model.var(id);
        let stage = match var.stage {
            Stage::Data => "data",
            Stage::Parameter => "parameter",
            Stage::Generated => "generated",
        };
        let gap = if constraint.is_empty() { "" } else { " " };
        format!("{} : {}{gap}{constraint}  @{stage}", var.name, ty(&var.ty, self.names))
    }

    fn params(&self, params: &[VarId]) -> String {
        let Some(model) = self.model else { return String::new() };
        let one = |id: &VarId| {
            let var = model.var(*id);
            format!("{}: {}", var.name, ty(&var.ty, self.names))
        };
        params.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    fn function(&self, f: &FnDef) -> String {
        let (params, result) = (self.params(&f.params), ty(&f.result, self.names));
        format!("fn {}({params}) -> {result} = {}", f.name, self.expr(&f.body, 0))
    }

    fn dist_def(&self, dist: &DistDef) -> String {
        let (params, support) = (self.params(&dist.params), self.support(&dist.support));
        let gap = if support.is_empty() { "" } else { " " };
        let drawn = ty(&dist.ty, self.names);
        let mut text = format!("dist {}({params}) on {drawn}{gap}{support} {{\n", dist.name);
        for member in &dist.members {
            let params: Vec<String> = member.params.iter().map(|p| (self.names)(*p)).collect();
            let body = self.expr(&member.body, 0);
            text += &format!("  {}({}) = {body}\n", member.id.name(), params.join(", "));
        }
        text + "}"
    }

    fn support(&self, support: &Support) -> String {
        let text = self.bounds(&support.structure);
        if support.missing { text + "?" } else { text }
    }

    /// The bounds of a number, or the name of a structure.
    fn bounds(&self, structure: &Structure) -> String {
        match structure {
            Structure::Scalar { lower, upper, offset, multiplier, .. } => {
                let bounds = [
                    ("lower", lower),
                    ("upper", upper),
                    ("offset", offset),
                    ("multiplier", multiplier),
                ];
                let shown: Vec<String> = bounds
                    .iter()
                    .filter_map(|(name, bound)| {
                        bound.as_ref().map(|bound| format!("{name}={}", self.expr(bound, 0)))
                    })
                    .collect();
                if shown.is_empty() { String::new() } else { format!("<{}>", shown.join(", ")) }
            }
            structured => structured.name().to_string(),
        }
    }

    fn decl(&self, decl: &Decl, lines: &mut Vec<String>) {
        match decl {
            Decl::Data { var, support, default, .. } => {
                let head = self.head(*var, &self.support(support));
                let default = default.as_ref().map(|e| format!(" = {}", self.expr(e, 0)));
                lines.push(format!("data {head}{}", default.unwrap_or_default()));
            }
            Decl::Missing { .. } => {}
            Decl::Param { var, support, prior, .. } => {
                let head = self.head(*var, &self.support(support));
                let prior = prior.as_ref().map(|dist| format!(" ~ {}", self.dist(dist)));
                lines.push(format!("param {head}{}", prior.unwrap_or_default()));
            }
            Decl::Marginal { var, support, prior, .. } => {
                let head = self.head(*var, &self.support(support));
                let prior = prior.as_ref().map(|dist| format!(" ~ {}", self.dist(dist)));
                lines.push(format!("marginal {head}{}", prior.unwrap_or_default()));
            }
            Decl::Let { var, value } => self.definition(*var, value, lines),
            Decl::Recursion(lets) => {
                lets.iter().for_each(|(var, value)| self.definition(*var, value, lines));
            }
            Decl::Constraint { var, support } => {
                lines.push(format!("require {}", self.head(*var, &self.support(support))));
            }
            Decl::Stmt(stmt) => self.stmt(stmt, 0, lines),
        }
    }

    /// A `let` or `gen` at the top level.
    fn definition(&self, var: VarId, value: &LetValue, lines: &mut Vec<String>) {
        let word = match self.model.map(|model| model.var(var).kind) {
            Some(VarKind::Gen) => "gen",
            _ => "let",
        };
        self.binding(word, var, value, 0, lines);
    }

    fn binding(
        &self,
        word: &str,
        var: VarId,
        value: &LetValue,
        depth: usize,
        lines: &mut Vec<String>,
    ) {
        let indent = "  ".repeat(depth);
        let head = self.head(var, "");
        match value {
            LetValue::Expr(e) => lines.push(format!("{indent}{word} {head} = {}", self.expr(e, 0))),
            LetValue::Elements { stmts, .. } => {
                lines.push(format!("{indent}{word} {head} {{"));
                self.stmts(stmts, depth + 1, lines);
                lines.push(format!("{indent}}}"));
            }
        }
    }

    fn stmts(&self, stmts: &[Stmt], depth: usize, lines: &mut Vec<String>) {
        for stmt in stmts {
            self.stmt(stmt, depth, lines);
        }
    }

    fn stmt(&self, stmt: &Stmt, depth: usize, lines: &mut Vec<String>) {
        let indent = "  ".repeat(depth);
        match &stmt.kind {
            StmtKind::Tilde { lhs, dist } => {
                lines.push(format!("{indent}{} ~ {}", self.expr(lhs, 0), self.dist(dist)));
            }
            StmtKind::Factor(e) => lines.push(format!("{indent}factor {}", self.expr(e, 0))),
            StmtKind::Let { var, value } => self.binding("let", *var, value, depth, lines),
            StmtKind::Assign { var, indices, value } => {
                let target = (self.names)(*var);
                let indices = self.indices(indices);
                lines.push(format!("{indent}{target}{indices} = {}", self.expr(value, 0)));
            }
            StmtKind::For { var, lo, hi, body } => {
                let (lo, hi) = (self.expr(lo, 0), self.expr(hi, 0));
                lines.push(format!("{indent}for {} in {lo}:{hi} {{", (self.names)(*var)));
                self.stmts(body, depth + 1, lines);
                lines.push(format!("{indent}}}"));
            }
            StmtKind::If { cond, then, otherwise } => {
                lines.push(format!("{indent}if {} {{", self.expr(cond, 0)));
                self.stmts(then, depth + 1, lines);
                if !otherwise.is_empty() {
                    lines.push(format!("{indent}}} else {{"));
                    self.stmts(otherwise, depth + 1, lines);
                }
                lines.push(format!("{indent}}}"));
            }
        }
    }

    fn dist(&self, dist: &Dist) -> String {
        let ends = |lower: &Option<Expr>, upper: &Option<Expr>| {
            let end = |name: &str, e: &Option<Expr>| {
                e.as_ref().map(|e| format!(", {name}={}", self.expr(e, 0))).unwrap_or_default()
            };
            end("lower", lower) + &end("upper", upper)
        };
        match &dist.kind {
            DistKind::Named { dist, args, guard } => {
                let name = match self.model {
                    Some(model) => model.dist(*dist).name.clone(),
                    None => format!("dist{}", dist.0),
                };
                let guard = if *guard { "?" } else { "" };
                format!("{name}{guard}({})", self.list(args))
            }
            DistKind::Mixture { weights, components } => {
                let components: Vec<String> = components.iter().map(|c| self.dist(c)).collect();
                format!("mixture({}, {})", self.expr(weights, 0), components.join(", "))
            }
            DistKind::Truncated { dist, lower, upper, .. } => {
                format!("truncate({}{})", self.dist(dist), ends(lower, upper))
            }
            DistKind::Censored { dist, lower, upper } => {
                format!("censor({}{})", self.dist(dist), ends(lower, upper))
            }
            DistKind::ZeroInflated { p, dist } => {
                format!("zero_inflated({}, {})", self.expr(p, 0), self.dist(dist))
            }
            DistKind::Hurdle { p, dist } => {
                format!("hurdle({}, {})", self.expr(p, 0), self.dist(dist))
            }
            DistKind::Sorted { dist } => format!("sorted({})", self.dist(dist)),
            DistKind::Affine { dist, loc, scale } => format!(
                "affine({}, {}, {})",
                self.dist(dist),
                self.expr(loc, 0),
                self.expr(scale, 0)
            ),
        }
    }

    fn list(&self, items: &[Expr]) -> String {
        items.iter().map(|e| self.expr(e, 0)).collect::<Vec<_>>().join(", ")
    }

    fn indices(&self, indices: &[Index]) -> String {
        let end = |e: &Option<Expr>| e.as_ref().map(|e| self.expr(e, 3)).unwrap_or_default();
        let one = |index: &Index| match index {
            Index::At(e) => self.expr(e, 0),
            Index::Slice(lo, hi) => format!("{}:{}", end(lo), end(hi)),
        };
        if indices.is_empty() {
            return String::new();
        }
        format!("[{}]", indices.iter().map(one).collect::<Vec<_>>().join(", "))
    }

    /// Writes an expression that stands where an operator of level `outer` binds.
    fn expr(&self, e: &Expr, outer: u8) -> String {
        match &e.kind {
            ExprKind::Int(n) => n.to_string(),
            ExprKind::Real(x) => format!("{x:?}"),
            ExprKind::Bool(b) => b.to_string(),
            ExprKind::Var(var) => (self.names)(*var),
            ExprKind::Builtin(op, args) => self.builtin(*op, args, outer),
            ExprKind::Call(id, args) => {
                let name = match self.model {
                    Some(model) => model.function(*id).name.clone(),
                    None => format!("fn{}", id.0),
                };
                format!("{name}({})", self.list(args))
            }
            ExprKind::FnRef(id) => match self.model {
                Some(model) => model.function(*id).name.clone(),
                None => format!("fn{}", id.0),
            },
            ExprKind::Member(id, member, args) => {
                let name = match self.model {
                    Some(model) => model.dist(*id).name.clone(),
                    None => format!("dist{}", id.0),
                };
                format!("{name}_{}({})", member.name(), self.list(args))
            }
            ExprKind::Draw { dist, order: Order::Any } => format!("draw {}", self.dist(dist)),
            ExprKind::Draw { dist, order: Order::Ascending } => {
                format!("draw ascending {}", self.dist(dist))
            }
            ExprKind::Index(base, indices) => self.expr(base, 9) + &self.indices(indices),
            ExprKind::Array(items) => format!("[{}]", self.list(items)),
            ExprKind::Range(lo, hi) => {
                let text = format!("{}:{}", self.expr(lo, 3), self.expr(hi, 3));
                if outer > 0 { format!("({text})") } else { text }
            }
            ExprKind::If(cond, then, otherwise) => format!(
                "if {} {{ {} }} else {{ {} }}",
                self.expr(cond, 0),
                self.expr(then, 0),
                self.expr(otherwise, 0)
            ),
            ExprKind::Block(lets, result) => {
                let mut lines = Vec::new();
                for (var, value) in lets {
                    self.binding("let", *var, value, 0, &mut lines);
                }
                lines.push(self.expr(result, 0));
                format!("{{ {} }}", inline(&lines))
            }
        }
    }

    fn builtin(&self, op: Builtin, args: &[Expr], outer: u8) -> String {
        let level = level(op);
        let text = match (level, args) {
            (Some(level), [a, b]) => {
                // Powers group to the right, everything else to the left.
                let (left, right) = if op == Builtin::Pow { (1, 0) } else { (0, 1) };
                let (a, b) = (self.expr(a, level + left), self.expr(b, level + right));
                format!("{a} {} {b}", op.name())
            }
            (Some(level), [a]) if op == Builtin::Transpose => format!("{}'", self.expr(a, level)),
            (Some(level), [a]) if op == Builtin::Not => format!("!{}", self.expr(a, level)),
            (Some(level), [a]) => format!("-{}", self.expr(a, level)),
            (_, args) => {
                return format!("{}({})", primitive_name(op), self.list(args));
            }
        };
        if level.is_some_and(|level| level < outer) { format!("({text})") } else { text }
    }
}

/// Joins the lines of a block in one, with `;` between definitions.
fn inline(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines.iter().map(|line| line.trim_start()) {
        let opens = text.is_empty() || text.ends_with('{');
        let gap = match (opens, line.starts_with('}')) {
            (true, _) if text.is_empty() => "",
            (true, _) | (_, true) => " ",
            (false, false) => "; ",
        };
        text += gap;
        text += line;
    }
    text
}

/// How tightly an operator binds; the grammar's table.
fn level(op: Builtin) -> Option<u8> {
    Some(match op {
        Builtin::Or => 1,
        Builtin::And => 2,
        Builtin::Eq | Builtin::Ne | Builtin::Lt | Builtin::Le | Builtin::Gt | Builtin::Ge => 3,
        Builtin::Add | Builtin::Sub => 4,
        Builtin::Mul | Builtin::Div | Builtin::Rem => 5,
        Builtin::MatMul => 6,
        Builtin::Neg | Builtin::Not => 7,
        Builtin::Pow => 8,
        Builtin::Transpose => 9,
        _ => return None,
    })
}

impl MemberId {
    /// All members.
    pub const ALL: [Self; 8] = [
        Self::LogDensity,
        Self::Cdf,
        Self::LogCdf,
        Self::LogSurvival,
        Self::Quantile,
        Self::Sample,
        Self::Mean,
        Self::Variance,
    ];

    /// Returns the name that a `dist` gives it; `normal_cdf` is that of `normal`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LogDensity => "log_density",
            Self::Cdf => "cdf",
            Self::LogCdf => "log_cdf",
            Self::LogSurvival => "log_survival",
            Self::Quantile => "quantile",
            Self::Sample => "sample",
            Self::Mean => "mean",
            Self::Variance => "variance",
        }
    }

    /// What may follow the name of a distribution and `_`: the member's name, or Stan's.
    pub(super) fn suffixes() -> impl Iterator<Item = (Self, &'static str)> {
        let stan = [
            (Self::LogDensity, "lpdf"),
            (Self::LogDensity, "lpmf"),
            (Self::LogCdf, "lcdf"),
            (Self::LogSurvival, "lccdf"),
            (Self::Sample, "rng"),
        ];
        Self::ALL.into_iter().map(|member| (member, member.name())).chain(stan)
    }

    /// Returns the number of its arguments.
    #[must_use]
    pub fn arity(self) -> usize {
        match self {
            Self::Sample | Self::Mean | Self::Variance => 0,
            Self::LogDensity | Self::Cdf | Self::LogCdf | Self::LogSurvival | Self::Quantile => 1,
        }
    }
}

impl Structure {
    /// Tells whether one element is a square matrix.
    #[must_use]
    pub fn is_matrix(&self) -> bool {
        matches!(
            self,
            Self::CholeskyCorr(_) | Self::CorrMatrix(_) | Self::CholeskyCov(_) | Self::CovMatrix(_)
        )
    }

    /// Returns the name that a type gives it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Scalar { scalar, .. } => scalar.name(),
            Self::Simplex(_) => "simplex",
            Self::Ordered(_) => "ordered",
            Self::PositiveOrdered(_) => "positive_ordered",
            Self::UnitVector(_) => "unit_vector",
            Self::SumToZero(_) => "sum_to_zero",
            Self::CholeskyCorr(_) => "cholesky_corr",
            Self::CorrMatrix(_) => "corr_matrix",
            Self::CholeskyCov(_) => "cholesky_cov",
            Self::CovMatrix(_) => "cov_matrix",
        }
    }
}

/// Returns the name of a primitive as models write it.
#[must_use]
pub fn primitive_name(builtin: Builtin) -> &'static str {
    match builtin {
        Builtin::ReduceMin => "min",
        Builtin::ReduceMax => "max",
        Builtin::Neg => "-",
        other => other.name(),
    }
}

/// Writes what a primitive takes, for messages.
#[must_use]
pub fn signature(signature: Signature) -> &'static str {
    match signature {
        Signature::Real(_) | Signature::Number(_) | Signature::Compare(_) => "numbers",
        Signature::Int(_) | Signature::Filled | Signature::RandomInt(_) => "integers",
        Signature::Logic(_) => "truth values",
        Signature::Convert(_) | Signature::RandomReal(_) => "numbers",
        Signature::Reduce | Signature::ReduceReal | Signature::Same => "an array",
        Signature::Dot => "two vectors of one length",
        Signature::VectorToVector | Signature::VectorToInts | Signature::VectorToSquare => {
            "a vector"
        }
        Signature::MatMul => "vectors or matrices",
        Signature::Transpose | Signature::Columns => "a matrix",
        Signature::SquareToSquare
        | Signature::SquareToReal
        | Signature::SquareToVector
        | Signature::SquareToTall => "a square matrix",
        Signature::Solve => "a square matrix and a vector or matrix",
        Signature::ShapeInt | Signature::Sizes | Signature::Flat => "an array",
        Signature::Reshape => "an array, then sizes",
        Signature::Fill => "sizes, then an element",
        Signature::Append => "arrays",
        Signature::Constant => "nothing",
        Signature::Solver { solver, .. } => super::solver::takes(solver),
    }
}

/// Writes how a named primitive is called and what it gives, its forms separated by `; `. "number" is
/// an integer or a real, and gives the same; what is elementwise takes arrays too.
#[must_use]
pub fn primitive_forms(builtin: Builtin) -> String {
    let name = primitive_name(builtin);
    let letters = |n: usize| ["x", "y", "z"][..n].to_vec();
    let typed = |n: usize, ty: &str| {
        let params: Vec<String> = letters(n).iter().map(|x| format!("{x}: {ty}")).collect();
        params.join(", ")
    };
    let own = match builtin.signature() {
        Signature::Real(n) => format!("{name}({}) -> real", typed(n, "real")),
        Signature::Number(n) => format!("{name}({}) -> number", typed(n, "number")),
        Signature::Int(n) => format!("{name}({}) -> int", typed(n, "int")),
        Signature::Compare(n) => format!("{name}({}) -> bool", typed(n, "number")),
        Signature::Logic(n) => format!("{name}({}) -> bool", typed(n, "bool")),
        Signature::Convert(scalar) => format!("{name}(x: number) -> {}", scalar.name()),
        Signature::Reduce => format!("{name}(x: number[…]) -> number"),
        Signature::ReduceReal => format!("{name}(x: number[…]) -> real"),
        Signature::Dot => format!("{name}(x: real[N], y: real[N]) -> real"),
        Signature::VectorToVector => format!("{name}(x: real[N]) -> real[N]"),
        Signature::MatMul => format!("{name}(x: real[M, K], y: real[K, N]) -> real[M, N]"),
        Signature::Transpose => format!("{name}(x: real[M, N]) -> real[N, M]"),
        Signature::SquareToSquare => format!("{name}(x: real[N, N]) -> real[N, N]"),
        Signature::Solve => {
            format!(
                "{name}(A: real[N, N], b: real[N]) -> real[N]; \
                 {name}(A: real[N, N], B: real[N, M]) -> real[N, M]"
            )
        }
        Signature::SquareToReal => format!("{name}(x: real[N, N]) -> real"),
        Signature::VectorToSquare => format!("{name}(x: real[N]) -> real[N, N]"),
        Signature::SquareToVector => format!("{name}(x: real[N, N]) -> real[N]"),
        Signature::Columns => format!("{name}(x: real[M, N]) -> real[N]"),
        Signature::ShapeInt => format!("{name}(x: number[…]) -> int"),
        Signature::Filled => format!("{name}(n: int, …) -> real[n, …]"),
        Signature::Fill => format!("{name}(n: int, …, x: number) -> number[n, …]"),
        Signature::Append => format!("{name}(x: number[…], …) -> number[…]"),
        Signature::Same => format!("{name}(x: number[…]) -> number[…]"),
        Signature::VectorToInts => format!("{name}(x: real[N]) -> int[N]"),
        Signature::SquareToTall => format!("{name}(x: real[N, N]) -> real[N + 1, N]"),
        Signature::Flat => format!("{name}(x: number[…]) -> number[N]"),
        Signature::Reshape => format!("{name}(x: number[…], n: int, …) -> number[n, …]"),
        Signature::Sizes => format!("{name}(x: number[…]) -> int[R]"),
        Signature::Solver { solver, tolerances } => {
            let further = if tolerances { solver.tolerances() } else { &[] };
            let own: Vec<&str> = solver.own().iter().chain(further).copied().collect();
            format!("{name}(f, {}, …)", own.join(", "))
        }
        Signature::Constant => format!("{name}() -> real"),
        Signature::RandomReal(n) => format!("{name}({}) -> real", typed(n, "real")),
        Signature::RandomInt(n) => format!("{name}({}) -> int", typed(n, "real")),
    };
    match builtin {
        Builtin::Min | Builtin::Max => format!("{own}; {name}(x: number[…]) -> number"),
        _ => own,
    }
}
