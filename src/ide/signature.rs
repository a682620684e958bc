//! The parameters of the call that is being written.

use crate::source::{FileId, Span};
use crate::syntax::lex;
use crate::syntax::token::{Token, TokenKind};

use super::analysis::Analysis;
use super::describe::callable;

/// A way to call something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// `normal(mu: real, sigma: real<lower=0>) on real`.
    pub label: String,
    /// Bytes of the label that each parameter takes.
    pub params: Vec<(usize, usize)>,
    /// What is said of it.
    pub doc: String,
    /// The parameter being written; past the end if there are too many arguments.
    pub active: usize,
}

/// The ways to call what is in front of the innermost parenthesis that is open at byte `offset`.
#[must_use]
pub fn signature(analysis: &Analysis, offset: usize) -> Vec<Signature> {
    let text = analysis.text();
    let before: Vec<Token> = lex(FileId(0), &text[..offset])
        .into_iter()
        .filter(|token| !token.kind.is_trivia())
        .collect();
    let Some((name, position, named)) = call_around(text, &before) else { return Vec::new() };
    let Some(found) = callable(analysis, name) else { return Vec::new() };
    let of_head = |head: String| {
        let params = parameters(&head);
        let by_name = named.and_then(|named| {
            params.iter().position(|(start, end)| {
                head[*start..*end].split(':').next().is_some_and(|param| param.trim() == named)
            })
        });
        let active = by_name.unwrap_or(position);
        Signature { label: head, params, doc: found.doc.clone(), active }
    };
    found.heads.clone().into_iter().map(of_head).collect()
}

/// Name of the innermost open call, the position of the argument being written, and its name if given.
fn call_around<'t>(text: &'t str, before: &[Token]) -> Option<(&'t str, usize, Option<&'t str>)> {
    let word = |span: Span| &text[span.range()];
    let (mut depth, mut position) = (0usize, 0);
    let mut named = None;
    for (index, token) in before.iter().enumerate().rev() {
        match token.kind {
            kind if kind.is_closer() => depth += 1,
            TokenKind::LParen if depth == 0 => {
                let callee = before[..index].last()?;
                return (callee.kind == TokenKind::Ident)
                    .then(|| (word(callee.span), position, named));
            }
            // An array or an index within the call.
            TokenKind::LBracket if depth == 0 => position = 0,
            TokenKind::LBrace if depth == 0 => return None,
            kind if kind.closer().is_some() => depth -= 1,
            TokenKind::Comma if depth == 0 => position += 1,
            TokenKind::Equals if depth == 0 && position == 0 => {
                let name = before[..index].last().filter(|name| name.kind == TokenKind::Ident);
                named = name.map(|name| word(name.span));
            }
            _ => {}
        }
    }
    None
}

/// Bytes of each parameter between the parentheses of a head.
fn parameters(head: &str) -> Vec<(usize, usize)> {
    let Some(open) = head.find('(') else { return Vec::new() };
    let mut params = Vec::new();
    let (mut depth, mut start) = (0usize, open + 1);
    for (at, c) in head.char_indices().skip_while(|(at, _)| *at <= open) {
        match c {
            '(' | '[' | '<' => depth += 1,
            ')' if depth == 0 => {
                if !head[start..at].trim().is_empty() {
                    params.push((start, at));
                }
                return params;
            }
            // The `>` of `->` closes nothing.
            '>' if head[..at].ends_with('-') => {}
            ')' | ']' | '>' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                params.push((start, at));
                start = at + 1 + usize::from(head[at + 1..].starts_with(' '));
            }
            _ => {}
        }
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_in_heads() {
        let head = "f(g: fn(real, real[N]) -> real, x: real<lower=0, upper=1>[N, 2]) -> real";
        let shown: Vec<&str> = parameters(head).iter().map(|(a, b)| &head[*a..*b]).collect();
        assert_eq!(shown, ["g: fn(real, real[N]) -> real", "x: real<lower=0, upper=1>[N, 2]"]);
        assert!(parameters("pi() -> real").is_empty());
    }
}
