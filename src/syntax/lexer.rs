//! Text → tokens. Lossless: the tokens' texts, joined, are the text.

use logos::Logos;

use super::token::{Token, TokenKind};
use crate::source::{FileId, Span};

/// Cuts a text into tokens that cover every byte. Never fails: what has no meaning is
/// [`TokenKind::Unknown`].
#[must_use]
pub fn lex(file: FileId, text: &str) -> Vec<Token> {
    TokenKind::lexer(text)
        .spanned()
        .map(|(kind, range)| Token {
            kind: kind.unwrap_or(TokenKind::Unknown),
            span: Span::new(file, range.start, range.end),
        })
        .collect()
}

/// Prints tokens one a line, `start..end Kind "text"`: what `ppl emit --stage tokens` shows.
#[must_use]
pub fn emit_tokens(text: &str, tokens: &[Token]) -> String {
    let line = |token: &Token| {
        let Span { start, end, .. } = token.span;
        format!("{start}..{end} {:?} {:?}\n", token.kind, &text[token.span.range()])
    };
    tokens.iter().map(line).collect()
}
