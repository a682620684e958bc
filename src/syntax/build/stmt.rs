//! Statements and blocks: which statement may stand where.

use super::{Builder, Children, no_expr};
use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{
    BinaryOp, Block, Doc, Expr, ExprKind, Ident, Index, Item, Let, Stmt, StmtKind, UnaryOp,
};
use crate::syntax::foreign;
use crate::syntax::parser::{Node, Rule};

/// Where a statement stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// At the top level or in a `for` or `if` there.
    Model,
    /// In the braces of a `let`.
    Elements,
}

/// A statement, or the expression that ends a block.
#[allow(clippy::large_enum_variant, reason = "lives for one call, never stored")]
enum Form {
    Stmt(Stmt),
    Value(Expr),
}

impl Builder<'_> {
    /// Builds a top-level item from a node of rule `stmt`.
    pub(super) fn top_level_stmt(&mut self, node: Node, doc: Option<Doc>) -> Item {
        let span = node.span;
        match self.stmt(node, Place::Model).map(|stmt| stmt.kind) {
            Some(StmtKind::Let(binding)) => Item::Let(Let { doc, ..binding }),
            Some(kind) => Item::Stmt(Stmt { kind, span }),
            None => Item::Error(span),
        }
    }

    /// Builds the statements of the braces of a `let`.
    pub(super) fn elements(&mut self, block: Node) -> Vec<Stmt> {
        self.stmts(block, Place::Elements)
    }

    fn stmts(&mut self, block: Node, place: Place) -> Vec<Stmt> {
        let span = block.span;
        self.nested(1, span, |builder| {
            let statements = builder.separated(block);
            statements.into_iter().filter_map(|stmt| builder.stmt(stmt, place)).collect()
        })
        .unwrap_or_default()
    }

    /// Returns the `stmt` nodes of a block and reports those that share a line without a `;`.
    fn separated(&mut self, block: Node) -> Vec<Node> {
        let mut statements: Vec<Node> = Vec::new();
        let mut semicolon = true;
        for child in Children::of(block) {
            if child.rule == Rule::semicolon {
                semicolon = true;
                continue;
            }
            if let Some(previous) = statements.last() {
                let between = previous.span.end as usize..child.span.start as usize;
                if !semicolon && !self.text[between].contains('\n') {
                    let word = previous.span;
                    if self.report_shared_line(word, child.span) {
                        statements.pop();
                    }
                }
            }
            semicolon = false;
            statements.push(child);
        }
        statements
    }

    /// Reports two statements on a line; tells whether the first is no statement but a word of
    /// another language, as in `return x` or `real y = x`.
    fn report_shared_line(&mut self, previous: Span, span: Span) -> bool {
        let gap = Span { start: previous.end, end: span.start, ..span };
        let word = self.slice(previous);
        let foreign = |message: &str| {
            Diagnostic::error(Code::E0007, previous, message, "of another language")
        };
        let (error, is_word) = if word == "return" {
            let error = foreign("a function's value is the expression at its end");
            (error.with_fix("remove the `return`", previous.to(gap), ""), true)
        } else if foreign::is_type(word) {
            let error = foreign("values are named with `let`");
            (error.with_fix("write `let`", previous, "let"), true)
        } else {
            let message = "two statements on one line";
            let label = "expected a new line before this";
            let error = Diagnostic::error(Code::E0009, span, message, label);
            (error.with_fix("separate them by a line break or `;`", gap, "; "), false)
        };
        self.report(error);
        is_word
    }

    /// Builds a statement, or reports why this one may not stand here.
    fn stmt(&mut self, node: Node, place: Place) -> Option<Stmt> {
        let span = node.span;
        let stmt = match self.form(node, place)? {
            Form::Stmt(stmt) => stmt,
            Form::Value(expr) => {
                self.report_idle(&expr);
                return None;
            }
        };
        match (&stmt.kind, place) {
            (StmtKind::Tilde { .. } | StmtKind::Factor(_), Place::Elements) => {
                self.report(
                    Diagnostic::error(
                        Code::E0015,
                        span,
                        "a `let` only defines values",
                        "this adds to the log joint",
                    )
                    .with_help("move it out of the braces, to the top level"),
                );
                None
            }
            (StmtKind::Assign { target, indices, value }, Place::Model) => {
                let error = self.assignment_in_model(span, target, indices, value);
                self.report(error);
                None
            }
            _ => Some(stmt),
        }
    }

    fn form(&mut self, node: Node, place: Place) -> Option<Form> {
        let span = node.span;
        let form = Children::of(node).any();
        let kind = match form.rule {
            Rule::let_stmt => StmtKind::Let(self.binding(form, None)),
            Rule::factor_stmt => StmtKind::Factor(self.expr(Children::of(form).need(Rule::expr))),
            Rule::for_stmt => {
                let mut children = Children::of(form);
                let var = self.ident(&children.need(Rule::name));
                let range = self.value(children.need(Rule::value));
                let body = self.stmts(children.need(Rule::block), place);
                StmtKind::For { var, range, body }
            }
            Rule::if_form => {
                let branches: Vec<Node> = Children::of(form).collect();
                self.if_stmt(branches.into_iter(), span, place).kind
            }
            _ => return self.simple(form),
        };
        Some(Form::Stmt(Stmt { kind, span }))
    }

    /// Builds `if` from condition, block, condition, block, …, and perhaps a last block.
    fn if_stmt(
        &mut self,
        mut branches: std::vec::IntoIter<Node>,
        span: Span,
        place: Place,
    ) -> Stmt {
        let (Some(cond), Some(then)) = (branches.next(), branches.next()) else {
            unreachable!("bug in ppl: the grammar promises a condition and a block");
        };
        let cond = self.expr(cond);
        let then = self.stmts(then, place);
        let rest = branches.as_slice().first().map(|next| (next.rule, next.span));
        let otherwise = match rest {
            None => Vec::new(),
            Some((Rule::block, _)) => {
                branches.next().map_or_else(Vec::new, |block| self.stmts(block, place))
            }
            Some((_, start)) => {
                let inner = Span { start: start.start, ..span };
                self.nested(1, inner, |builder| builder.if_stmt(branches, inner, place))
                    .map_or_else(Vec::new, |stmt| vec![stmt])
            }
        };
        Stmt { kind: StmtKind::If { cond, then, otherwise }, span }
    }

    /// Builds `lhs ~ dist`, `target = value` or a bare expression.
    fn simple(&mut self, node: Node) -> Option<Form> {
        let span = node.span;
        let mut children = Children::of(node);
        let lhs = self.value(children.need(Rule::value));
        let kind = if children.accept(Rule::tilde).is_some() {
            StmtKind::Tilde { lhs, dist: self.expr(children.need(Rule::expr)) }
        } else if let Some(equals) = children.accept(Rule::equals) {
            let value = self.value(children.need(Rule::value));
            let (target, indices) = self.target(lhs, equals.span)?;
            StmtKind::Assign { target, indices, value }
        } else {
            return Some(Form::Value(lhs));
        };
        Some(Form::Stmt(Stmt { kind, span }))
    }

    /// Splits `s[t]` or `s` into name and indices.
    fn target(&mut self, lhs: Expr, equals: Span) -> Option<(Ident, Vec<Index>)> {
        let span = lhs.span;
        match lhs.kind {
            ExprKind::Name(text) => return Some((Ident { text, span }, Vec::new())),
            ExprKind::Index { base, indices } => {
                if let ExprKind::Name(text) = base.kind {
                    return Some((Ident { text, span: base.span }, indices));
                }
            }
            _ => {}
        }
        self.report(
            Diagnostic::error(
                Code::E0016,
                span,
                "only a name or an element of one can be defined",
                "not a name",
            )
            .with_label(equals, "this `=` defines what is left of it")
            .with_help("write `name[i, j] = …`; a comparison is `==`"),
        );
        None
    }

    /// Builds the braces of a function or branch: `let`s and a value.
    pub(super) fn value_block(&mut self, block: Node) -> Block {
        let span = block.span;
        let built = self.nested(1, span, |builder| builder.value_block_inner(block));
        built.unwrap_or_else(|| Block { lets: Vec::new(), result: Box::new(no_expr(span)), span })
    }

    fn value_block_inner(&mut self, block: Node) -> Block {
        let span = block.span;
        let mut statements = self.separated(block);
        let last = statements.pop();
        let mut lets = Vec::new();
        for node in statements {
            match self.form(node, Place::Elements) {
                Some(Form::Stmt(Stmt { kind: StmtKind::Let(binding), .. })) => lets.push(binding),
                Some(Form::Stmt(stmt)) => self.report_impure(&stmt),
                Some(Form::Value(expr)) => self.report_idle(&expr),
                None => {}
            }
        }
        let result = match last {
            None => {
                self.report_no_value(span, "there is nothing in it");
                no_expr(span)
            }
            Some(node) => self.block_result(node, span),
        };
        Block { lets, result: Box::new(result), span }
    }

    /// Builds the last statement of a block, which must be an expression.
    fn block_result(&mut self, node: Node, block: Span) -> Expr {
        let span = node.span;
        // An `if` here is a value, although it parses as a statement.
        if node.children.first().is_some_and(|form| form.rule == Rule::if_form) {
            return self.if_value(Children::of(node).need(Rule::if_form));
        }
        match self.form(node, Place::Elements) {
            Some(Form::Value(expr)) => return expr,
            Some(Form::Stmt(Stmt { kind: StmtKind::Let(binding), .. })) => {
                self.report_no_value(
                    Span { start: block.end.saturating_sub(1), ..block },
                    &format!("expected an expression after `let {}`", binding.name.text),
                );
            }
            Some(Form::Stmt(stmt)) => self.report_impure(&stmt),
            None => {}
        }
        no_expr(span)
    }

    // -- What is wrong with a statement ----------------------------------------------------------

    fn report_no_value(&mut self, span: Span, label: &str) {
        self.report(
            Diagnostic::error(Code::E0013, span, "a block without a value", label)
                .with_help("end the block with the expression that is its value"),
        );
    }

    /// Reports a statement in a function or a branch of an `if` expression.
    fn report_impure(&mut self, stmt: &Stmt) {
        let (label, help) = match &stmt.kind {
            StmtKind::Tilde { .. } | StmtKind::Factor(_) => (
                "this adds to the log joint",
                "values are pure: state distributions at the top level",
            ),
            StmtKind::Assign { .. } => (
                "names are defined once, with `let`",
                "write `let name = …`, or `let name: real[N] { name[i] = … }` for elements",
            ),
            StmtKind::For { .. } | StmtKind::If { .. } | StmtKind::Let(_) => (
                "only `let` and a final expression may stand here",
                "put loops into the braces of a `let`: `let s: real[N] { for i in 1:N { … } }`",
            ),
        };
        let message = "a statement inside a value";
        self.report(Diagnostic::error(Code::E0015, stmt.span, message, label).with_help(help));
    }

    /// Reports an expression whose value goes nowhere.
    fn report_idle(&mut self, expr: &Expr) {
        if let Some(error) = self.left_arrow(expr) {
            self.report(error);
            return;
        }
        let error = Diagnostic::error(
            Code::E0014,
            expr.span,
            "an expression that does nothing",
            "its value goes nowhere",
        );
        let error = match &expr.kind {
            ExprKind::Call { callee, .. } if callee.text == "print" || callee.text == "reject" => {
                error.with_help(format!("there is no `{}`; remove the line", callee.text))
            }
            ExprKind::Call { callee, args }
                if callee.text.ends_with("_lpdf") || callee.text.ends_with("_lpmf") =>
            {
                let name = &callee.text[..callee.text.len() - "_lpdf".len()];
                match args.split_first() {
                    Some((value, rest)) => {
                        let rest: Vec<&str> =
                            rest.iter().map(|arg| self.slice(arg.value.span)).collect();
                        let left = self.slice(value.value.span);
                        let stated = format!("{left} ~ {name}({})", rest.join(", "));
                        error.with_fix(format!("write `{stated}`"), expr.span, stated.clone())
                    }
                    None => error,
                }
            }
            _ if self.slice(expr.span).starts_with(['-', '+']) => error.with_help(
                "a sign glued to its operand begins a new expression; to continue the line above \
                 put a blank after it: `- x`",
            ),
            _ if self.slice(expr.span).starts_with(['(', '[']) => error.with_help(
                "a bracket at the start of a line begins a new expression; put it on the line it \
                 belongs to",
            ),
            _ => error.with_help(
                "name it with `let name = …`, or add it to the log joint with `factor …`",
            ),
        };
        self.report(error);
    }

    /// Recognises `x <- 3`, which parses as the comparison `x < -3`.
    fn left_arrow(&self, expr: &Expr) -> Option<Diagnostic> {
        let ExprKind::Binary { op: BinaryOp::Lt, op_span, lhs, rhs } = &expr.kind else {
            return None;
        };
        // The minus binds tighter than any operator after it, so it may be nested to the left.
        let mut leftmost = rhs;
        while let ExprKind::Binary { lhs, .. } = &leftmost.kind {
            leftmost = lhs;
        }
        let ExprKind::Unary { op: UnaryOp::Neg, op_span: minus, .. } = &leftmost.kind else {
            return None;
        };
        (minus.start == op_span.end).then(|| {
            let arrow = op_span.to(*minus);
            let name = self.slice(lhs.span);
            let whole = Span { end: arrow.end, ..lhs.span };
            let error =
                Diagnostic::error(Code::E0012, arrow, "`<-` defines nothing", "not an operator");
            if let ExprKind::Call { callee, .. } = &lhs.kind {
                return error.with_help(format!(
                    "a link function stands on the other side, as its inverse: `let p = inv_{}(…)`",
                    callee.text
                ));
            }
            error.with_fix(format!("write `let {name} =`"), whole, format!("let {name} ="))
        })
    }

    /// Reports `x = …` where nothing is being defined element by element.
    fn assignment_in_model(
        &self,
        span: Span,
        target: &Ident,
        indices: &[Index],
        value: &Expr,
    ) -> Diagnostic {
        let name = &target.text;
        if !indices.is_empty() {
            let message = format!("an element of `{name}` is defined outside a `let`");
            return Diagnostic::error(Code::E0015, span, message, "belongs into a `let`")
                .with_help(format!(
                    "write `let {name}: real[…] {{ … }}` with this statement inside the braces"
                ));
        }
        let (start, end) = (target.span, value.span);
        let error = Diagnostic::error(
            Code::E0012,
            span,
            format!("`{name} = …` defines nothing"),
            "neither a `let` nor a `~`",
        );
        let looks_random = matches!(&value.kind, ExprKind::Call { callee, .. }
            if is_distribution(&callee.text));
        if looks_random {
            let gap = Span { start: start.end, end: end.start, ..span };
            error.with_fix("state the distribution with `~`", gap, " ~ ")
        } else {
            let at = Span { end: start.start, ..start };
            error.with_fix("define the name with `let`", at, "let ")
        }
    }

    /// Reports `let x { … }`.
    pub(super) fn report_elements_without_type(&mut self, name: &Ident, block: Span) {
        let end = Span { start: name.span.end, ..name.span };
        self.report(
            Diagnostic::error(
                Code::E0001,
                block,
                format!("the elements of `{}` need its type", name.text),
                "defined element by element",
            )
            .with_suggestion(
                format!("write `let {}: real[N] {{`", name.text),
                end,
                ": real[N]",
            ),
        );
    }
}

/// Tells whether a name almost surely is a distribution.
pub(in crate::syntax) fn is_distribution(name: &str) -> bool {
    KNOWN_DISTRIBUTIONS.contains(&name)
}

/// Names that almost surely are distributions, to tell `y = normal(…)` from `x = sqrt(…)`; the
/// real list is the standard library, which syntax does not know.
const KNOWN_DISTRIBUTIONS: &[&str] = &[
    "normal",
    "cauchy",
    "student_t",
    "gamma",
    "inv_gamma",
    "beta",
    "exponential",
    "lognormal",
    "uniform",
    "bernoulli",
    "bernoulli_logit",
    "binomial",
    "binomial_logit",
    "poisson",
    "poisson_log",
    "categorical",
    "dirichlet",
    "multi_normal",
    "mixture",
    "flat",
    "weibull",
    "laplace",
    "double_exponential",
    "logistic",
    "neg_binomial_2",
    "truncate",
    "censor",
];
