//! Mistakes in types: bounds without names, commas or their place, dimensions in the wrong brackets.
//!
//! Part of `mistakes`, which asks these among its recognisers.

use super::error::Stop;
use super::foreign;
use super::parser::Rule;
use super::token::{Token, TokenKind};
use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;

/// `real<0, 1>`, `real<lower 0>`, `real<lower=0`, `real<lower=0 upper=1>`, `real<lower=a < b>`.
pub(super) fn bounds(stop: &Stop<'_>) -> Option<Diagnostic> {
    let before = &stop.tokens[..stop.at];
    let opener = before.iter().rposition(|token| token.kind == TokenKind::Less)?;
    let word = opener.checked_sub(1).and_then(|at| before.get(at))?;
    if !foreign::is_type(&stop.text[word.span.range()]) {
        return None;
    }
    let error = |message: String, label: &str| {
        Diagnostic::error(Code::E0001, stop.span(), message, label)
            .with_label(before[opener].span, "bounds begin here")
    };
    let found = stop.found();
    if stop.at == opener + 1 || stop.expects(Rule::equals) {
        let error = error(format!("expected a bound such as `lower=0`, found {found}"), "no name");
        let error = error.with_help("bounds are named: `<lower=0, upper=1>`");
        return Some(match two_ends(stop, opener) {
            Some((span, named)) => {
                error.with_suggestion(format!("write `{named}`"), span, named.clone())
            }
            None => error,
        });
    }
    if !stop.expects(Rule::gt) {
        return None;
    }
    let named = stop.kind(0) == Some(TokenKind::Ident) && stop.kind(1) == Some(TokenKind::Equals);
    Some(match stop.kind(0) {
        Some(TokenKind::Less | TokenKind::LessEq | TokenKind::EqEq | TokenKind::NotEq) => {
            error(format!("expected `>`, found {found}"), "not an operator of bounds")
                .with_help("a comparison in a bound needs parentheses")
        }
        Some(TokenKind::Semicolon) => error(
            format!("expected `,` or `>`, found {found}"),
            "not between bounds",
        )
        .with_fix("separate the bounds by a `,`", stop.span(), ","),
        _ if named => error(format!("expected `,` or `>`, found {found}"), "another bound")
            .with_fix("separate the bounds by a `,`", stop.behind_previous(), ","),
        _ => error(format!("expected `>`, found {found}"), "the bounds should end before this")
            .with_fix("close the bounds with `>`", stop.behind_previous(), ">"),
    })
}

/// The two ends between `<` and `>` that have no names, with them.
fn two_ends(stop: &Stop<'_>, opener: usize) -> Option<(Span, String)> {
    let inside = &stop.tokens[opener + 1..];
    let end = inside.iter().position(|token| token.kind == TokenKind::Greater)?;
    let mut ends = inside[..end].split(|token| token.kind == TokenKind::Comma);
    let text =
        |tokens: &[Token]| Some(&stop.text[tokens.first()?.span.to(tokens.last()?.span).range()]);
    let (low, high) = (text(ends.next()?)?, text(ends.next()?)?);
    let unnamed = ends.next().is_none() && !low.contains('=') && !high.contains('=');
    let span = inside.first()?.span.to(inside.get(end.checked_sub(1)?)?.span);
    unnamed.then(|| (span, format!("lower={low}, upper={high}")))
}

/// `real(lower=0)`.
pub(super) fn bounds_in_parentheses(stop: &Stop<'_>) -> Option<Diagnostic> {
    let opens = stop.kind(0)? == TokenKind::LParen && foreign::is_type(stop.shown(-1));
    let named = stop.kind(1)? == TokenKind::Ident && stop.kind(2)? == TokenKind::Equals;
    if !opens || !named {
        return None;
    }
    let rest = &stop.tokens[stop.at..];
    let close = rest.iter().find(|token| token.kind == TokenKind::RParen)?;
    let whole = stop.span().to(close.span);
    let shown = &stop.text[whole.range()];
    let form = format!("<{}>", &shown[1..shown.len() - 1]);
    Some(
        Diagnostic::error(Code::E0001, whole, "bounds stand between `<` and `>`", "in parentheses")
            .with_fix(format!("write `{form}`"), whole, form.clone()),
    )
}

/// `real[N]<lower=0>`.
pub(super) fn bounds_behind(stop: &Stop<'_>) -> Option<Diagnostic> {
    let behind = stop.kind(0)? == TokenKind::Less && stop.kind(-1)? == TokenKind::RBracket;
    if !behind || stop.kind(1)? != TokenKind::Ident || stop.kind(2)? != TokenKind::Equals {
        return None;
    }
    let before = &stop.tokens[..stop.at];
    let open = before.iter().rposition(|token| token.kind == TokenKind::LBracket)?;
    let close = stop.tokens[stop.at..].iter().find(|token| token.kind == TokenKind::Greater)?;
    let bounds = stop.span().to(close.span);
    let dims = before[open].span.to(before.last()?.span);
    let form = format!("{}{}", &stop.text[bounds.range()], &stop.text[dims.range()]);
    let message = "bounds stand before the dimensions";
    Some(
        Diagnostic::error(Code::E0001, bounds, message, "bounds")
            .with_label(dims, "dimensions")
            .with_fix(format!("write `{form}`"), dims.to(bounds), form.clone()),
    )
}

/// `real(N)`, `real[]`.
pub(super) fn dimensions(stop: &Stop<'_>) -> Option<Diagnostic> {
    let help = "dimensions are names or sizes in square brackets: `real[N, 3]`";
    let error = |message: &str, label: &str| {
        Some(Diagnostic::error(Code::E0001, stop.span(), message, label).with_help(help))
    };
    match (stop.kind(-1)?, stop.kind(0)?) {
        (TokenKind::Ident | TokenKind::Greater, TokenKind::LParen)
            if stop.expects(Rule::lbracket) || stop.expects(Rule::dims) =>
        {
            error("dimensions stand in square brackets", "expected `[`")
        }
        (TokenKind::LBracket, TokenKind::RBracket) if stop.typed_before() => {
            error("a dimension is missing", "nothing between brackets")
        }
        _ => None,
    }
}

/// `real[3][4]`, `simplex[3][4]`.
pub(super) fn two_brackets(stop: &Stop<'_>) -> Option<Diagnostic> {
    let declares = stop.tokens[0].kind.opens_declaration() && stop.kind(0)? == TokenKind::LBracket;
    if !declares || stop.kind(-1)? != TokenKind::RBracket {
        return None;
    }
    let before = &stop.tokens[..stop.at];
    let colon = before.iter().position(|token| token.kind == TokenKind::Colon)?;
    let word = stop.text[before.get(colon + 1)?.span.range()].to_string();
    let defined = before.iter().any(|token| token.kind == TokenKind::Tilde);
    if !foreign::is_type(&word) || defined {
        return None;
    }
    let message = "the dimensions stand in one pair of brackets";
    let error = Diagnostic::error(Code::E0001, stop.span(), message, "a second pair");
    let gap = stop.token(-1)?.span.to(stop.span());
    Some(if matches!(word.as_str(), "real" | "int" | "bool") {
        error.with_fix("join them by a `,`", gap, ", ")
    } else {
        error.with_help(format!("an array of them is `array[M] {word}[K]`"))
    })
}
