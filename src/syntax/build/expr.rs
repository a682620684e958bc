//! Expressions: precedence climbing over the flat lists that the grammar gives.

use super::{Builder, Children, no_expr};
use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast::{Arg, BinaryOp, Block, Expr, ExprKind, Index, UnaryOp};
use crate::syntax::parser::{Node, Rule};

/// How tightly an operator binds; `grammar/README.md` shows the table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Or,
    And,
    Comparison,
    Sum,
    Product,
    Sign,
    Power,
}

/// An operator with its place, or an operand.
enum Piece {
    Infix(BinaryOp, Span),
    Prefix(UnaryOp, Span),
    Operand(Node),
}

type Pieces = std::iter::Peekable<std::vec::IntoIter<Piece>>;

impl Builder<'_> {
    /// Builds an expression or range from a node of rule `value`.
    pub(super) fn value(&mut self, node: Node) -> Expr {
        let span = node.span;
        let mut children = Children::of(node);
        let lo = self.expr(children.need(Rule::expr));
        if children.accept(Rule::colon).is_none() {
            return lo;
        }
        let hi = self.expr(children.need(Rule::expr));
        Expr { kind: ExprKind::Range { lo: Box::new(lo), hi: Box::new(hi) }, span }
    }

    /// Builds an expression from a node of rule `expr` or `arith`.
    pub(super) fn expr(&mut self, node: Node) -> Expr {
        let span = node.span;
        let pieces: Vec<Piece> = node.children.into_iter().map(piece).collect();
        let operators = pieces.iter().filter(|piece| !matches!(piece, Piece::Operand(_))).count();
        self.nested(operators + 1, span, |builder| {
            builder.climb(&mut pieces.into_iter().peekable(), Level::Or)
        })
        .unwrap_or_else(|| no_expr(span))
    }

    /// Reads an operand and every operator at or above `floor` that follows it.
    fn climb(&mut self, pieces: &mut Pieces, floor: Level) -> Expr {
        let mut lhs = match pieces.next() {
            Some(Piece::Operand(node)) => self.postfix(node),
            Some(Piece::Prefix(op, op_span)) => {
                let operand = Box::new(self.climb(pieces, Level::Sign));
                let span = op_span.to(operand.span);
                Expr { kind: ExprKind::Unary { op, op_span, operand }, span }
            }
            Some(Piece::Infix(..)) | None => {
                unreachable!("bug in ppl: the grammar promises an operand")
            }
        };
        let mut compared: Option<Span> = None;
        while let Some((op, op_span)) = next_infix(pieces, floor) {
            let level = level(op);
            let rhs = self.climb(pieces, tighter(level));
            if level == Level::Comparison {
                if let Some(first) = compared {
                    self.report_chain(first, op_span, &lhs, &rhs);
                }
                compared = Some(op_span);
            }
            let span = lhs.span.to(rhs.span);
            let (lhs_box, rhs) = (Box::new(lhs), Box::new(rhs));
            lhs = Expr { kind: ExprKind::Binary { op, op_span, lhs: lhs_box, rhs }, span };
        }
        lhs
    }

    fn report_chain(&mut self, first: Span, second: Span, lhs: &Expr, rhs: &Expr) {
        let error = Diagnostic::error(
            Code::E0010,
            second,
            "comparisons do not chain",
            "compares the truth value of the first comparison",
        )
        .with_label(first, "first comparison");
        let ExprKind::Binary { rhs: middle, .. } = &lhs.kind else {
            return self.report(error);
        };
        let (middle_text, rhs_text) = (self.slice(middle.span), self.slice(rhs.span));
        let split =
            format!("{} && {middle_text} {} {rhs_text}", self.slice(lhs.span), self.slice(second));
        let error =
            error.with_fix(format!("write `{split}`"), lhs.span.to(rhs.span), split.clone());
        self.report(error);
    }

    /// Builds a primary with its calls, indices and transposes.
    fn postfix(&mut self, node: Node) -> Expr {
        let span = node.span;
        let suffixes = node.children.len();
        self.nested(suffixes, span, |builder| {
            let mut children = node.children.into_iter();
            let Some(primary) = children.next() else {
                unreachable!("bug in ppl: the grammar promises a primary");
            };
            let parenthesised = primary.rule == Rule::paren;
            let base = builder.primary(primary);
            children.enumerate().fold(base, |base, (at, suffix)| {
                builder.suffix(base, suffix, at == 0 && parenthesised)
            })
        })
        .unwrap_or_else(|| no_expr(span))
    }

    fn suffix(&mut self, base: Expr, suffix: Node, parenthesised: bool) -> Expr {
        let span = base.span.to(suffix.span);
        let kind = match suffix.rule {
            Rule::transpose => ExprKind::Transpose(Box::new(base)),
            Rule::index => {
                let indices = self.indices(suffix);
                ExprKind::Index { base: Box::new(base), indices }
            }
            _ => {
                let args = self.args(suffix);
                match base.kind {
                    ExprKind::Name(text) if !parenthesised => {
                        let callee = crate::syntax::ast::Ident { text, span: base.span };
                        ExprKind::Call { callee, args }
                    }
                    _ => {
                        self.report_not_callable(base.span);
                        return no_expr(span);
                    }
                }
            }
        };
        Expr { kind, span }
    }

    fn report_not_callable(&mut self, span: Span) {
        self.report(
            Diagnostic::error(
                Code::E0016,
                span,
                "only a name can be called",
                "not the name of a function",
            )
            .with_help("a product needs its `*`: `(a + b) * (c + d)`"),
        );
    }

    fn args(&mut self, node: Node) -> Vec<Arg> {
        let mut args: Vec<Arg> = Vec::new();
        for child in Children::of(node) {
            let mut children = Children::of(child);
            let name = children.accept(Rule::arg_name).map(|name| self.ident(&name));
            children.accept(Rule::equals);
            let value = self.value(children.need(Rule::value));
            let named = args.last().and_then(|arg: &Arg| arg.name.clone());
            if let (None, Some(named)) = (&name, named) {
                self.report(
                    Diagnostic::error(
                        Code::E0001,
                        value.span,
                        "a positional argument after a named one",
                        "which parameter this is cannot be told",
                    )
                    .with_label(named.span, "named argument")
                    .with_help("put named arguments last, or name this one as well"),
                );
            }
            args.push(Arg { name, value });
        }
        args
    }

    fn indices(&mut self, node: Node) -> Vec<Index> {
        let span = node.span;
        let items: Vec<Node> = Children::of(node).collect();
        let lone = items.len() == 1;
        items
            .into_iter()
            .map(|item| {
                let item_span = item.span;
                let mut children = Children::of(item);
                let lo = children.accept(Rule::expr).map(|lo| self.expr(lo));
                let colon = children.accept(Rule::colon).is_some();
                let hi = children.accept(Rule::expr).map(|hi| self.expr(hi));
                match lo {
                    Some(at) if !colon => Index::At(at),
                    None if !colon && lone => {
                        self.report_no_index(span);
                        Index::Slice { lo: None, hi: None, span: item_span }
                    }
                    lo => Index::Slice { lo, hi, span: item_span },
                }
            })
            .collect()
    }

    fn report_no_index(&mut self, span: Span) {
        self.report(
            Diagnostic::error(Code::E0001, span, "an index is missing", "nothing between brackets")
                .with_help("write `a[i]`, `a[2:N]`, or `a[:]` for the whole axis"),
        );
    }

    fn primary(&mut self, node: Node) -> Expr {
        let span = node.span;
        let kind = match node.rule {
            Rule::name => ExprKind::Name(self.slice(span).to_string()),
            Rule::boolean => ExprKind::Bool(self.slice(span) == "true"),
            Rule::int => self.int(span),
            Rule::real => self.real(span),
            Rule::array => {
                ExprKind::Array(Children::of(node).map(|item| self.value(item)).collect())
            }
            Rule::paren => self.value(Children::of(node).need(Rule::value)).kind,
            Rule::if_expr => return self.if_value(Children::of(node).need(Rule::if_form)),
            rule => unreachable!("bug in ppl: {rule:?} is no primary"),
        };
        Expr { kind, span }
    }

    fn int(&mut self, span: Span) -> ExprKind {
        let digits = self.slice(span).replace('_', "");
        match digits.parse() {
            Ok(value) => ExprKind::Int(value),
            Err(_) => {
                self.report(
                    Diagnostic::error(
                        Code::E0005,
                        span,
                        "the integer is too large",
                        format!("more than {}", i64::MAX),
                    )
                    .with_help(format!("a real has room for it: `{digits}.0`")),
                );
                ExprKind::Int(0)
            }
        }
    }

    fn real(&mut self, span: Span) -> ExprKind {
        let digits = self.slice(span).replace('_', "");
        match digits.parse::<f64>() {
            Ok(value) if value.is_finite() => ExprKind::Real(value),
            Ok(_) | Err(_) => {
                self.report(
                    Diagnostic::error(
                        Code::E0005,
                        span,
                        "the number is too large",
                        "more than about 1.8e308",
                    )
                    .with_help("for infinity write `positive_infinity()`"),
                );
                ExprKind::Real(0.0)
            }
        }
    }

    /// Builds an `if` as a value from a node of rule `if_form`.
    pub(super) fn if_value(&mut self, node: Node) -> Expr {
        let span = node.span;
        let branches: Vec<Node> = Children::of(node).collect();
        self.if_branches(branches.into_iter(), span)
    }

    /// Builds from condition, block, condition, block, …, and a last block.
    fn if_branches(&mut self, mut branches: std::vec::IntoIter<Node>, span: Span) -> Expr {
        let (Some(cond), Some(then)) = (branches.next(), branches.next()) else {
            unreachable!("bug in ppl: the grammar promises a condition and a block");
        };
        let cond = Box::new(self.expr(cond));
        let then = self.value_block(then);
        let rest = branches.as_slice().first().map(|next| (next.rule, next.span));
        let otherwise = match rest {
            None => {
                self.report(
                    Diagnostic::error(
                        Code::E0013,
                        span,
                        "an `if` without `else` has no value when the condition fails",
                        "used as a value",
                    )
                    .with_suggestion(
                        "add a branch",
                        Span { start: span.end, ..span },
                        " else { 0 }",
                    ),
                );
                empty_block(span)
            }
            Some((Rule::block, _)) => {
                branches.next().map_or_else(|| empty_block(span), |block| self.value_block(block))
            }
            Some((_, start)) => {
                let inner = Span { start: start.start, ..span };
                let expr = self.nested(1, inner, |builder| builder.if_branches(branches, inner));
                let result = Box::new(expr.unwrap_or_else(|| no_expr(inner)));
                Block { lets: Vec::new(), result, span: inner }
            }
        };
        Expr { kind: ExprKind::If { cond, then, otherwise }, span }
    }
}

fn empty_block(span: Span) -> Block {
    Block { lets: Vec::new(), result: Box::new(no_expr(span)), span }
}

fn next_infix(pieces: &mut Pieces, floor: Level) -> Option<(BinaryOp, Span)> {
    match pieces.peek() {
        Some(&Piece::Infix(op, span)) if level(op) >= floor => {
            pieces.next();
            Some((op, span))
        }
        _ => None,
    }
}

fn level(op: BinaryOp) -> Level {
    match op {
        BinaryOp::Or => Level::Or,
        BinaryOp::And => Level::And,
        BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => {
            Level::Comparison
        }
        BinaryOp::Add | BinaryOp::Sub => Level::Sum,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Rem | BinaryOp::MatMul => Level::Product,
        BinaryOp::Pow => Level::Power,
    }
}

/// The floor for the right operand: one above for operators that group to the left, the same for
/// the power, which groups to the right.
fn tighter(level: Level) -> Level {
    match level {
        Level::Or => Level::And,
        Level::And => Level::Comparison,
        Level::Comparison => Level::Sum,
        Level::Sum => Level::Product,
        Level::Product => Level::Sign,
        Level::Sign | Level::Power => Level::Power,
    }
}

fn piece(node: Node) -> Piece {
    let span = node.span;
    match node.rule {
        Rule::op_or => Piece::Infix(BinaryOp::Or, span),
        Rule::op_and => Piece::Infix(BinaryOp::And, span),
        Rule::op_eq => Piece::Infix(BinaryOp::Eq, span),
        Rule::op_ne => Piece::Infix(BinaryOp::Ne, span),
        Rule::op_lt => Piece::Infix(BinaryOp::Lt, span),
        Rule::op_le => Piece::Infix(BinaryOp::Le, span),
        Rule::op_gt => Piece::Infix(BinaryOp::Gt, span),
        Rule::op_ge => Piece::Infix(BinaryOp::Ge, span),
        Rule::op_add => Piece::Infix(BinaryOp::Add, span),
        Rule::op_sub => Piece::Infix(BinaryOp::Sub, span),
        Rule::op_mul => Piece::Infix(BinaryOp::Mul, span),
        Rule::op_div => Piece::Infix(BinaryOp::Div, span),
        Rule::op_rem => Piece::Infix(BinaryOp::Rem, span),
        Rule::op_matmul => Piece::Infix(BinaryOp::MatMul, span),
        Rule::op_pow => Piece::Infix(BinaryOp::Pow, span),
        Rule::op_neg => Piece::Prefix(UnaryOp::Neg, span),
        Rule::op_plus => Piece::Prefix(UnaryOp::Plus, span),
        Rule::op_not => Piece::Prefix(UnaryOp::Not, span),
        _ => Piece::Operand(node),
    }
}
