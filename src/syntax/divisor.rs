//! `n // 2`: a division of integers in Python, a comment here.

use std::collections::HashSet;

use super::lexer::lex;
use super::token::{Token, TokenKind};
use crate::diagnostics::{Code, Diagnostic};
use crate::source::{FileId, Span};

/// What to write instead.
pub(super) const ADVICE: &str =
    "`//` begins a comment; the quotient of integers is `int_div(a, b)`";

/// Tells whether what a comment says could be the rest of an expression: operands with operators
/// between them, brackets open or not.
pub(super) fn reads_as_operand(comment: &str) -> bool {
    let tokens = lex(FileId(0), said(comment));
    let mut previous: Option<TokenKind> = None;
    for token in tokens.iter().filter(|token| !token.kind.is_trivia()) {
        let kind = token.kind;
        let operand = matches!(kind, TokenKind::Ident | TokenKind::Int | TokenKind::Real);
        let operator = matches!(
            kind,
            TokenKind::Plus
                | TokenKind::Minus
                | TokenKind::Star
                | TokenKind::Slash
                | TokenKind::Comma
        );
        let fits = match previous {
            None => operand || kind == TokenKind::LParen,
            Some(before) if before.ends_operand() => {
                operator || kind.closer().is_some() || kind.is_closer()
            }
            Some(_) => operand || kind.closer().is_some(),
        };
        if !fits {
            return false;
        }
        previous = Some(kind);
    }
    previous.is_some_and(TokenKind::ends_operand)
}

/// What a comment says, up to another `//`.
fn said(comment: &str) -> &str {
    let body = comment.trim_start_matches('/');
    body.split("//").next().unwrap_or(body).trim()
}

/// Warns of comments behind a definition that read as its divisor (W0617).
pub(super) fn check_divisors(text: &str, tokens: &[Token]) -> Vec<Diagnostic> {
    let ident = |token: &&Token| token.kind == TokenKind::Ident;
    let names: HashSet<&str> =
        tokens.iter().filter(ident).map(|token| &text[token.span.range()]).collect();
    let lines = tokens.split(|token| token.kind == TokenKind::Newline);
    lines.filter_map(|line| check_line(text, line, &names)).collect()
}

fn check_line(text: &str, line: &[Token], names: &HashSet<&str>) -> Option<Diagnostic> {
    let comment = line.last().filter(|token| token.kind == TokenKind::LineComment)?;
    let code: Vec<Token> = line.iter().filter(|token| !token.kind.is_trivia()).copied().collect();
    let last = code.last().filter(|token| token.kind.ends_operand())?;
    let sign = code.iter().position(|token| token.kind == TokenKind::Equals)?;
    let bounded = code[..sign].iter().any(|token| token.kind == TokenKind::Less);
    let body = said(&text[comment.span.range()]);
    if bounded || !reads_as_operand(body) {
        return None;
    }
    // Prose may be one word; so a word has to be a name of the model, and not the one defined here.
    let words = lex(comment.span.file, body);
    let defined: Vec<&str> = code[..sign].iter().map(|token| &text[token.span.range()]).collect();
    let of_model = |token: &Token| {
        let name = &body[token.span.range()];
        token.kind != TokenKind::Ident || names.contains(name) && !defined.contains(&name)
    };
    if !words.iter().all(of_model) {
        return None;
    }
    let warning = Diagnostic::warning(
        Code::W0617,
        comment.span,
        "a comment that reads as a division",
        "not part of the value",
    );
    // The fix is known where one token is divided: nothing else can be meant.
    let whole = last.span.to(comment.span);
    let alone = code.len() == sign + 2;
    Some(if alone {
        let form = format!("int_div({}, {})", &text[last.span.range()], body);
        warning.with_note(ADVICE).with_suggestion(format!("write `{form}`"), whole, form.clone())
    } else {
        warning.with_help(ADVICE)
    })
}

/// The comments in `tokens` behind `opener` that have the closing bracket it lacks, but for `//`.
pub(super) fn swallowed(text: &str, tokens: &[Token], opener: Span, closer: &str) -> Option<Span> {
    let comment = tokens.iter().find(|token| {
        let body = &text[token.span.range()];
        token.kind == TokenKind::LineComment
            && token.span.start > opener.start
            && body.contains(closer)
            && reads_as_operand(body)
    });
    comment.map(|token| token.span)
}
