//! Grammar nodes → syntax tree, one item at a time.
//!
//! Here stand the rules that a grammar cannot say well: precedence (`expr`), which statement may
//! stand where (`stmt`), the limit on nesting. A broken rule is a diagnostic and makes the item
//! [`Item::Error`]; the tree built beside it is dropped.
//!
//! The grammar promises which children a node has; a broken promise is a bug in ppl.

mod expr;
mod item;
mod stmt;

pub(super) use stmt::is_distribution;

use super::ast::{Expr, ExprKind, Ident, Item, MAX_DEPTH};
use super::parser::{Node, Rule};
use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;

use super::ast::Doc;

/// Builds the item that a node of rule `item` is.
pub(super) fn build_item(text: &str, node: Node, doc: Option<Doc>) -> (Item, Vec<Diagnostic>) {
    let span = node.span;
    let mut builder = Builder { text, depth: 0, diagnostics: Vec::new() };
    let item = builder.item(node, doc);
    if builder.diagnostics.iter().any(Diagnostic::is_error) {
        (Item::Error(span), builder.diagnostics)
    } else {
        (item, builder.diagnostics)
    }
}

/// The state of building one item.
struct Builder<'a> {
    text: &'a str,
    /// Nodes above the one being built.
    depth: usize,
    diagnostics: Vec<Diagnostic>,
}

impl Builder<'_> {
    fn slice(&self, span: Span) -> &str {
        &self.text[span.range()]
    }

    fn ident(&self, node: &Node) -> Ident {
        Ident { text: self.slice(node.span).to_string(), span: node.span }
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Runs `inner` with `levels` more nodes above it, or reports that this is too deep.
    fn nested<T>(
        &mut self,
        levels: usize,
        span: Span,
        inner: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        if self.depth + levels > MAX_DEPTH {
            // Said once per item: what contains the place is too deep as well.
            if !self.diagnostics.iter().any(|known| known.code == Code::E0006) {
                let label = format!("more than {MAX_DEPTH} operators and brackets from here");
                // The whole may be pages long; its beginning says where it is.
                let begin = Span { end: span.start, ..span };
                self.report(
                    Diagnostic::error(Code::E0006, begin, "nested too deeply", label)
                        .with_help("name the parts with `let`, or use `sum([…])` for a long sum"),
                );
            }
            return None;
        }
        self.depth += levels;
        let result = inner(self);
        self.depth -= levels;
        Some(result)
    }
}

/// Stands for an expression that could not be built; its item becomes [`Item::Error`].
fn no_expr(span: Span) -> Expr {
    Expr { kind: ExprKind::Int(0), span }
}

/// The children of a node that carry meaning, in order: keywords and punctuation are skipped.
struct Children {
    rest: std::iter::Peekable<std::vec::IntoIter<Node>>,
}

impl Children {
    fn of(node: Node) -> Self {
        Self {
            rest: node
                .children
                .into_iter()
                .filter(means)
                .collect::<Vec<_>>()
                .into_iter()
                .peekable(),
        }
    }

    /// Takes the next child if it is of this rule.
    fn accept(&mut self, rule: Rule) -> Option<Node> {
        self.rest.next_if(|node| node.rule == rule)
    }

    /// Takes the next child, which the grammar says is of this rule.
    fn need(&mut self, rule: Rule) -> Node {
        self.accept(rule)
            .unwrap_or_else(|| unreachable!("bug in ppl: the grammar promises {rule:?}"))
    }

    /// Takes the next child, which the grammar says is there.
    fn any(&mut self) -> Node {
        self.rest.next().unwrap_or_else(|| unreachable!("bug in ppl: the grammar promises a child"))
    }
}

impl Iterator for Children {
    type Item = Node;

    fn next(&mut self) -> Option<Node> {
        self.rest.next()
    }
}

/// Tells whether a child carries meaning beyond its being there.
fn means(node: &Node) -> bool {
    !matches!(
        node.rule,
        Rule::EOI
            | Rule::kw_data
            | Rule::kw_param
            | Rule::kw_let
            | Rule::kw_marginal
            | Rule::kw_gen
            | Rule::kw_fn
            | Rule::kw_dist
            | Rule::kw_import
            | Rule::kw_factor
            | Rule::kw_for
            | Rule::kw_in
            | Rule::kw_if
            | Rule::kw_else
            | Rule::kw_on
            | Rule::kw_array
            | Rule::lparen
            | Rule::rparen
            | Rule::lbracket
            | Rule::rbracket
            | Rule::lbrace
            | Rule::rbrace
            | Rule::lt
            | Rule::gt
            | Rule::comma
            | Rule::arrow
    )
}
