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
        .map(|(kind, range)| {
            let mut kind = kind.unwrap_or(TokenKind::Unknown);
            // Where what follows begins with a byte that a letter might begin with (`data` before a
            // byte-order mark), logos takes a keyword for a name.
            let ascii = text.as_bytes().get(range.end).is_none_or(u8::is_ascii);
            if kind == TokenKind::Ident && !ascii {
                let alone = TokenKind::lexer(&text[range.clone()]).next();
                kind = alone.and_then(Result::ok).unwrap_or(kind);
            }
            Token { kind, span: Span::new(file, range.start, range.end) }
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
