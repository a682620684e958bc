//! Expressions: types, shapes and stages, bottom up.

use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast;

use super::builtins::Builtin;
use super::checker::Checker;
use super::shape::{Agreement, Dim};
use super::typed::{Expr, ExprKind, LetValue, Scalar, Stage, Type, VarId, VarKind};

/// Makes the expression that stands for one with an error.
pub(super) fn error(span: Span) -> Expr {
    Expr { kind: ExprKind::Int(0), ty: Type::Error, stage: Stage::Data, span }
}

/// Returns the latest stage of several expressions.
pub(super) fn latest<'e>(exprs: impl IntoIterator<Item = &'e Expr>) -> Stage {
    exprs.into_iter().map(|e| e.stage).max().unwrap_or(Stage::Data)
}

impl Checker<'_> {
    /// Checks an expression.
    pub(super) fn expr(&mut self, e: &ast::Expr) -> Expr {
        let checked = self.expr_of(e);
        self.note_expr(&checked);
        checked
    }

    fn expr_of(&mut self, e: &ast::Expr) -> Expr {
        let constant = |kind, ty| Expr { kind, ty, stage: Stage::Data, span: e.span };
        match &e.kind {
            ast::ExprKind::Int(n) => constant(ExprKind::Int(*n), Type::INT),
            ast::ExprKind::Real(x) => constant(ExprKind::Real(*x), Type::REAL),
            ast::ExprKind::Bool(b) => constant(ExprKind::Bool(*b), Type::BOOL),
            ast::ExprKind::Name(name) => self.name(name, e.span),
            ast::ExprKind::Call { callee, args } => self.call(callee, args, e.span),
            ast::ExprKind::Index { base, indices } => self.index(base, indices, e.span),
            ast::ExprKind::Unary { op, op_span, operand } => {
                let operand = self.expr(operand);
                let builtin = match op {
                    ast::UnaryOp::Neg => Builtin::Neg,
                    ast::UnaryOp::Not => Builtin::Not,
                    ast::UnaryOp::Plus => return Expr { span: e.span, ..operand },
                };
                self.primitive(builtin, vec![operand], e.span, *op_span)
            }
            ast::ExprKind::Transpose(operand) => {
                let operand = self.expr(operand);
                self.primitive(Builtin::Transpose, vec![operand], e.span, e.span)
            }
            ast::ExprKind::Binary { op, op_span, lhs, rhs } => {
                let args = vec![self.expr(lhs), self.expr(rhs)];
                self.primitive(binary(*op), args, e.span, *op_span)
            }
            ast::ExprKind::Range { lo, hi } => {
                let (lo, hi) = (self.expr(lo), self.expr(hi));
                let ends = self.require_int(&lo, "the start of a range")
                    & self.require_int(&hi, "the end of a range");
                if !ends
                    || !self.require_data(&lo, "the start of a range")
                    || !self.require_data(&hi, "the end of a range")
                {
                    return error(e.span);
                }
                let length = self.dim_of(&hi).sub(&self.dim_of(&lo)).offset(1);
                let ty = Type::array(Scalar::Int, vec![length]);
                let kind = ExprKind::Range(Box::new(lo), Box::new(hi));
                Expr { kind, ty, stage: Stage::Data, span: e.span }
            }
            ast::ExprKind::Array(items) => self.array(items, e.span),
            ast::ExprKind::If { cond, then, otherwise } => {
                let cond = self.expr(cond);
                self.conditions += 1;
                let then = self.block(then);
                let otherwise = self.block(otherwise);
                self.conditions -= 1;
                self.conditional(cond, then, otherwise, e.span)
            }
        }
    }

    fn name(&mut self, name: &str, span: Span) -> Expr {
        match self.find_var(name, span) {
            Some(var) => self.read(var, span),
            None => error(span),
        }
    }

    pub(super) fn read(&self, id: VarId, span: Span) -> Expr {
        let var = self.model.var(id);
        Expr { kind: ExprKind::Var(id), ty: var.ty.clone(), stage: var.stage, span }
    }

    fn array(&mut self, items: &[ast::Expr], span: Span) -> Expr {
        let items: Vec<Expr> = items.iter().map(|item| self.expr(item)).collect();
        if items.iter().any(|item| item.ty.is_error()) {
            return error(span);
        }
        let length = Dim::constant(i64::try_from(items.len()).unwrap_or(i64::MAX));
        let mut ty = Type::array(Scalar::Real, vec![length.clone()]);
        if let Some((first, rest)) = items.split_first() {
            let Some(mut scalar) = first.ty.scalar() else {
                return self.report_function_value(first, span);
            };
            for item in rest {
                let Some(other) = item.ty.scalar() else {
                    return self.report_function_value(item, span);
                };
                if let Some(problem) = self.differing(first.ty.dims(), item.ty.dims()) {
                    let diagnostic = Diagnostic::error(
                        Code::E0206,
                        item.span,
                        format!("elements of an array have one shape: {problem}"),
                        format!("this is {}", self.show(&item.ty)),
                    )
                    .with_label(first.span, format!("this is {}", self.show(&first.ty)));
                    self.report(diagnostic);
                    return error(span);
                }
                scalar = scalar.max(other);
            }
            let mut dims = vec![length];
            dims.extend_from_slice(first.ty.dims());
            ty = Type::array(scalar, dims);
        }
        let stage = latest(&items);
        Expr { kind: ExprKind::Array(items), ty, stage, span }
    }

    fn report_function_value(&mut self, e: &Expr, span: Span) -> Expr {
        let message = "a function is no value";
        self.report(Diagnostic::error(Code::E0105, e.span, message, "a function"));
        error(span)
    }

    /// Checks `{ let …  result }`.
    pub(super) fn block(&mut self, block: &ast::Block) -> Expr {
        let mark = self.scope.locals.len();
        let mut lets: Vec<(VarId, LetValue)> = Vec::new();
        for definition in &block.lets {
            lets.extend(self.local_let(definition));
        }
        let result = self.expr(&block.result);
        self.scope.locals.truncate(mark);
        if lets.is_empty() {
            return result;
        }
        let (ty, stage) = (result.ty.clone(), result.stage);
        let stage = lets.iter().map(|(var, _)| self.model.var(*var).stage).fold(stage, Stage::max);
        let kind = ExprKind::Block(lets, Box::new(result));
        Expr { kind, ty, stage, span: block.span }
    }

    pub(super) fn conditional(
        &mut self,
        cond: Expr,
        then: Expr,
        otherwise: Expr,
        span: Span,
    ) -> Expr {
        if !self.require_bool(&cond) || then.ty.is_error() || otherwise.ty.is_error() {
            return error(span);
        }
        let (Some(a), Some(b)) = (then.ty.scalar(), otherwise.ty.scalar()) else {
            return error(span);
        };
        let scalar = a.max(b);
        // A scalar condition chooses a whole value; an array chooses element by element.
        let dims = if cond.ty.dims().is_empty() {
            if let Some(problem) = self.differing(then.ty.dims(), otherwise.ty.dims()) {
                let diagnostic = Diagnostic::error(
                    Code::E0202,
                    otherwise.span,
                    format!("the branches of `if` have different shapes: {problem}"),
                    format!("this is {}", self.show(&otherwise.ty)),
                )
                .with_label(then.span, format!("this is {}", self.show(&then.ty)));
                self.report(diagnostic);
                return error(span);
            }
            then.ty.dims().to_vec()
        } else {
            match self.elementwise("if", span, &[&cond, &then, &otherwise]) {
                Some(dims) => dims,
                None => return error(span),
            }
        };
        let stage = latest([&cond, &then, &otherwise]);
        let kind = ExprKind::If(Box::new(cond), Box::new(then), Box::new(otherwise));
        Expr { kind, ty: Type::array(scalar, dims), stage, span }
    }

    /// Checks that a condition is a truth value, or an array of them.
    pub(super) fn require_bool(&mut self, cond: &Expr) -> bool {
        if cond.ty.is_error() {
            return false;
        }
        let is_bool = cond.ty.scalar() == Some(Scalar::Bool);
        if !is_bool {
            let found = self.show(&cond.ty);
            let mut diagnostic = Diagnostic::error(
                Code::E0201,
                cond.span,
                format!("a condition is a truth value, found {found}"),
                format!("this is {found}"),
            );
            if cond.ty.scalar() == Some(Scalar::Int) {
                diagnostic = diagnostic.with_help("compare: `n != 0`");
            }
            self.report(diagnostic);
        }
        is_bool
    }

    /// Says how two shapes differ, if it is certain that they do.
    pub(super) fn differing(&self, a: &[Dim], b: &[Dim]) -> Option<String> {
        if a.len() != b.len() {
            let count = |dims: &[Dim]| match dims.len() {
                0 => "a scalar".to_string(),
                1 => format!("one dimension {}", self.show_dims(dims)),
                n => format!("{n} dimensions {}", self.show_dims(dims)),
            };
            return Some(format!("{} against {}", count(a), count(b)));
        }
        let axis = (0..a.len()).find(|&i| self.compare(&a[i], &b[i]) == Agreement::Differ)?;
        let (left, right) = (self.show_dim(&a[axis]), self.show_dim(&b[axis]));
        Some(if a.len() == 1 {
            format!("{left} elements against {right}")
        } else {
            format!("{left} against {right} along axis {}", axis + 1)
        })
    }

    /// Returns the shape of an elementwise operation: arguments are scalars or arrays of one shape.
    pub(super) fn elementwise(&mut self, what: &str, at: Span, args: &[&Expr]) -> Option<Vec<Dim>> {
        let mut arrays = args.iter().filter(|e| !e.ty.dims().is_empty());
        let Some(first) = arrays.next() else { return Some(Vec::new()) };
        for other in arrays {
            if let Some(problem) = self.differing(first.ty.dims(), other.ty.dims()) {
                self.report_shapes(what, at, first, other, &problem);
                return None;
            }
        }
        // A shape whose sizes are plain says more than one that only data can tell.
        let known = |dims: &[Dim]| {
            dims.iter().all(|dim| self.compare(dim, &Dim::constant(0)) != Agreement::Unknown)
        };
        let best = args.iter().find(|e| !e.ty.dims().is_empty() && known(e.ty.dims()));
        Some(best.unwrap_or(first).ty.dims().to_vec())
    }

    /// Reports two operands whose shapes differ, with the declarations that the shapes come from.
    pub(super) fn report_shapes(
        &mut self,
        what: &str,
        at: Span,
        a: &Expr,
        b: &Expr,
        problem: &str,
    ) {
        let (left, right) = (self.show(&a.ty), self.show(&b.ty));
        let mut diagnostic = Diagnostic::error(
            Code::E0202,
            at,
            format!("shapes do not agree: {problem}"),
            format!("`{what}` of {left} and {right}"),
        )
        .with_label(a.span, left)
        .with_label(b.span, right);
        for operand in [a, b] {
            if let Some((span, text)) = self.origin(operand) {
                diagnostic = diagnostic.with_label(span, text);
            }
        }
        let may_agree = |m: &Dim, n: &Dim| self.compare(m, n) != Agreement::Differ;
        match (what, a.ty.dims(), b.ty.dims()) {
            ("*", [.., inner], [first, ..]) if may_agree(inner, first) => {
                diagnostic = diagnostic.with_suggestion("the matrix product is `@`", at, "@");
            }
            ("@", [rows, _], [first, ..]) if may_agree(rows, first) => {
                diagnostic = diagnostic.with_help("`X'` is the transposed matrix");
            }
            _ => {}
        }
        self.report(diagnostic);
    }

    /// Finds the declaration that an expression has its shape from.
    pub(super) fn origin(&self, e: &Expr) -> Option<(Span, String)> {
        let mut found = None;
        super::visit::vars(e, &mut |id, _| {
            let var = self.model.var(id);
            let same = var.ty.dims() == e.ty.dims() && !var.ty.dims().is_empty();
            let named = !matches!(var.kind, VarKind::Local | VarKind::Index);
            if found.is_none() && same && named {
                found = Some((var.span, format!("`{}` is {}", var.name, self.show(&var.ty))));
            }
        });
        found
    }

    /// Checks that a value can be used where `wanted` is declared: no loss of kind, the same shape.
    pub(super) fn require_type(
        &mut self,
        value: &Expr,
        wanted: &Type,
        what: &str,
        declared: Span,
    ) -> bool {
        if value.ty.is_error() || wanted.is_error() {
            return true;
        }
        let (found, expected) = (self.show(&value.ty), self.show(wanted));
        let kind_fits = match (value.ty.scalar(), wanted.scalar()) {
            (Some(found), Some(wanted)) => found <= wanted,
            _ => value.ty == *wanted,
        };
        let (code, problem) = if kind_fits {
            match self.differing(value.ty.dims(), wanted.dims()) {
                Some(problem) => (Code::E0202, format!("{what} has another shape: {problem}")),
                None => return true,
            }
        } else {
            (Code::E0201, format!("{what} should be {expected}, found {found}"))
        };
        let mut diagnostic =
            Diagnostic::error(code, value.span, problem, format!("this is {found}"))
                .with_label(declared, format!("declared as {expected}"));
        if !kind_fits && wanted.scalar() == Some(Scalar::Int) {
            diagnostic = diagnostic.with_help("`int(x)` truncates a real to an integer");
        }
        if let Some((span, text)) = self.origin(value)
            && span != declared
        {
            diagnostic = diagnostic.with_label(span, text);
        }
        self.report(diagnostic);
        false
    }
}

fn binary(op: ast::BinaryOp) -> Builtin {
    match op {
        ast::BinaryOp::Or => Builtin::Or,
        ast::BinaryOp::And => Builtin::And,
        ast::BinaryOp::Eq => Builtin::Eq,
        ast::BinaryOp::Ne => Builtin::Ne,
        ast::BinaryOp::Lt => Builtin::Lt,
        ast::BinaryOp::Le => Builtin::Le,
        ast::BinaryOp::Gt => Builtin::Gt,
        ast::BinaryOp::Ge => Builtin::Ge,
        ast::BinaryOp::Add => Builtin::Add,
        ast::BinaryOp::Sub => Builtin::Sub,
        ast::BinaryOp::Mul => Builtin::Mul,
        ast::BinaryOp::Div => Builtin::Div,
        ast::BinaryOp::Rem => Builtin::Rem,
        ast::BinaryOp::MatMul => Builtin::MatMul,
        ast::BinaryOp::Pow => Builtin::Pow,
    }
}
