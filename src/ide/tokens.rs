//! What each piece of the text is to the reader: the lexer's classes, and for names what they mean.

use std::collections::HashMap;

use crate::check::places::Means;
use crate::check::typed::{Stage, VarKind};
use crate::source::Span;
use crate::syntax::{Class, ast, highlight};

use super::analysis::Analysis;

/// A piece of the text with its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// Its place; a comment may span lines.
    pub span: Span,
    /// What it is.
    pub kind: TokenKind,
    /// Whether it is where the name is declared.
    pub declaration: bool,
    /// Whether its value is known once data is loaded.
    pub readonly: bool,
    /// Whether it is the language's or the standard library's.
    pub library: bool,
}

/// What a piece of text is; the order is that of the protocol's legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// `data`, `for`, …
    Keyword,
    /// `real`, `simplex`, …
    Type,
    /// A function.
    Function,
    /// A distribution.
    Distribution,
    /// A variable of the model.
    Variable,
    /// A parameter of a function or distribution.
    Argument,
    /// A number or truth value.
    Number,
    /// A quoted path.
    Text,
    /// `+`, `~`, …
    Operator,
    /// A comment.
    Comment,
}

/// Colours the text, in order of place.
#[must_use]
pub fn tokens(analysis: &Analysis) -> Vec<Colour> {
    let names = names(analysis);
    let plain =
        |span, kind| Colour { span, kind, declaration: false, readonly: false, library: false };
    let classes = highlight(analysis.text(), &analysis.tokens);
    let colour = |(span, class): (Span, Class)| {
        let kind = match class {
            Class::Name | Class::Function => {
                let fallback = if class == Class::Function {
                    TokenKind::Function
                } else {
                    TokenKind::Variable
                };
                return Some(names.get(&span).copied().unwrap_or(plain(span, fallback)));
            }
            Class::Keyword => TokenKind::Keyword,
            Class::Type => TokenKind::Type,
            Class::Literal => TokenKind::Number,
            Class::Text => TokenKind::Text,
            Class::Operator => TokenKind::Operator,
            Class::Comment | Class::Doc => TokenKind::Comment,
            Class::Punctuation | Class::Error => return None,
        };
        Some(plain(span, kind))
    };
    classes.into_iter().filter_map(colour).collect()
}

/// What is known of the names of the text, by place.
fn names(analysis: &Analysis) -> HashMap<Span, Colour> {
    let places = &analysis.checked.places;
    let here = |span: &Span| span.file == analysis.file();
    let mut names = HashMap::new();
    for found in places.uses.iter().filter(|found| here(&found.span)) {
        names.insert(found.span, meaning(analysis, found.span, found.means, false));
    }
    for (id, var) in analysis.vars().filter(|(_, var)| here(&var.span)) {
        names.insert(var.span, meaning(analysis, var.span, Means::Var(id), true));
    }
    for (index, item) in places.items.iter().enumerate().filter(|(_, item)| here(&item.name.span)) {
        if matches!(item.item(), ast::Item::Fn(_) | ast::Item::Dist(_)) {
            let span = item.name.span;
            names.insert(span, meaning(analysis, span, Means::Item(index), true));
        }
    }
    names
}

fn meaning(analysis: &Analysis, span: Span, means: Means, declaration: bool) -> Colour {
    let (kind, readonly, library) = match means {
        Means::Var(id) => {
            let var = analysis.var(id);
            match var.kind {
                VarKind::Argument => (TokenKind::Argument, false, false),
                _ => (TokenKind::Variable, var.stage == Stage::Data, false),
            }
        }
        Means::Item(index) => {
            let item = &analysis.checked.places.items[index];
            // `normal_cdf` is a function.
            let whole = analysis.sources.slice(span) == item.name.text;
            let is_dist = matches!(item.item(), ast::Item::Dist(_)) && whole;
            let kind = if is_dist { TokenKind::Distribution } else { TokenKind::Function };
            (kind, false, item.library)
        }
        Means::Builtin(_) => (TokenKind::Function, false, true),
        Means::Combinator(_) => (TokenKind::Distribution, false, true),
    };
    Colour { span, kind, declaration, readonly, library }
}
