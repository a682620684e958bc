//! Tokens → classes for colouring, for editors and reports. Works on any text, broken or not.

use super::token::{Token, TokenKind};
use crate::source::Span;

/// What a piece of text is to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// `data`, `param`, `for`, …
    Keyword,
    /// `real`, `simplex`, … where a type stands.
    Type,
    /// A name before `(`: a function or distribution.
    Function,
    /// Any other name.
    Name,
    /// A number, `true` or `false`.
    Literal,
    /// A quoted path.
    Text,
    /// `+`, `~`, `=`, …
    Operator,
    /// Brackets, commas, colons.
    Punctuation,
    /// `// …`, `/* … */`
    Comment,
    /// `/// …`
    Doc,
    /// What has no meaning.
    Error,
}

/// Classifies every token but blanks and line breaks, in order.
#[must_use]
pub fn highlight(text: &str, tokens: &[Token]) -> Vec<(Span, Class)> {
    let mut classes = Vec::with_capacity(tokens.len());
    let mut previous = None;
    for (at, token) in tokens.iter().enumerate() {
        if matches!(token.kind, TokenKind::Blank | TokenKind::Newline) {
            continue;
        }
        let next = tokens[at + 1..].iter().find(|token| !token.kind.is_trivia());
        let shown = &text[token.span.range()];
        classes.push((token.span, class(token.kind, shown, previous, next.map(|next| next.kind))));
        if !token.kind.is_trivia() {
            previous = Some((token.kind, shown));
        }
    }
    classes
}

fn class(
    kind: TokenKind,
    shown: &str,
    previous: Option<(TokenKind, &str)>,
    next: Option<TokenKind>,
) -> Class {
    match kind {
        TokenKind::KwTrue | TokenKind::KwFalse | TokenKind::Int | TokenKind::Real => Class::Literal,
        kind if kind.is_keyword() => Class::Keyword,
        TokenKind::DocComment => Class::Doc,
        kind if kind.is_comment() => Class::Comment,
        TokenKind::Str => Class::Text,
        TokenKind::Ident => name_class(shown, previous, next),
        TokenKind::Unknown | TokenKind::BadNumber => Class::Error,
        kind if kind.closer().is_some() || kind.is_closer() => Class::Punctuation,
        TokenKind::Comma | TokenKind::Colon | TokenKind::Semicolon => Class::Punctuation,
        _ => Class::Operator,
    }
}

fn name_class(shown: &str, previous: Option<(TokenKind, &str)>, next: Option<TokenKind>) -> Class {
    // `on` is a word only between a distribution's parameters and its support.
    let after_paren = matches!(previous, Some((TokenKind::RParen, _)));
    match (previous, next) {
        _ if shown == "on" && after_paren => Class::Keyword,
        (_, Some(TokenKind::LParen)) => Class::Function,
        (Some((TokenKind::Colon | TokenKind::Arrow, _)), _) if is_type_word(shown) => Class::Type,
        (Some((TokenKind::Ident, "on")), _) => Class::Type,
        (Some((TokenKind::RBracket, _)), _) if is_type_word(shown) => Class::Type,
        _ => Class::Name,
    }
}

fn is_type_word(word: &str) -> bool {
    matches!(
        word,
        "int"
            | "real"
            | "bool"
            | "array"
            | "simplex"
            | "ordered"
            | "positive_ordered"
            | "unit_vector"
            | "sum_to_zero"
            | "cholesky_corr"
            | "corr_matrix"
            | "cholesky_cov"
            | "cov_matrix"
    )
}
