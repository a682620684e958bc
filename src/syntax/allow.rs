//! Comments that silence lints: `// ppl: allow W0603` and `// ppl: allow-file W0603`.
//!
//! Behind code the first is for that line; on a line of its own for the item or statement that
//! begins below it. What is no lint is reported, so that a slip silences nothing unseen.

use super::token::{Token, TokenKind};
use super::{lex, split};
use crate::diagnostics::{Code, Diagnostic, Severity};
use crate::source::{FileId, Span};

/// What the comments of one file allow.
#[derive(Clone, Debug, Default)]
pub struct Allowances {
    /// Each code with the bytes of the file within which it is allowed.
    allowed: Vec<(Code, Span)>,
    /// What is wrong with the comments themselves.
    pub diagnostics: Vec<Diagnostic>,
}

impl Allowances {
    /// Reads the comments of a file.
    #[must_use]
    pub fn read(file: FileId, text: &str) -> Self {
        let mut found = Self::default();
        if !text.contains(MARK) {
            return found;
        }
        let tokens = lex(file, text);
        let whole = Span::new(file, 0, text.len());
        for (at, token) in tokens.iter().enumerate() {
            let Some(words) = directive(&text[token.span.range()]) else { continue };
            let (place, codes) = match words.split_first() {
                Some((&"allow-file", codes)) => (whole, codes),
                Some((&"allow", codes)) => (reach(text, &tokens, at), codes),
                _ => {
                    found.complain(*token, "what it asks for is not known");
                    continue;
                }
            };
            for code in codes.iter().take_while(|word| !word.starts_with(['(', '/'])) {
                match Code::parse(code.trim_end_matches(',')) {
                    Some(code) if code.as_str().starts_with('W') => {
                        found.allowed.push((code, place));
                    }
                    Some(code) => found.complain(*token, &format!("{code} is an error")),
                    None => found.complain(*token, &format!("there is no lint `{code}`")),
                }
            }
            if codes.is_empty() {
                found.complain(*token, "it names no lint");
            }
        }
        found
    }

    /// Tells whether a comment allows this.
    #[must_use]
    pub fn allow(&self, diagnostic: &Diagnostic) -> bool {
        let start = Span { end: diagnostic.span().start, ..diagnostic.span() };
        diagnostic.severity == Severity::Warning
            && self
                .allowed
                .iter()
                .any(|(code, place)| *code == diagnostic.code && place.contains(start))
    }

    fn complain(&mut self, token: Token, why: &str) {
        self.diagnostics.push(
            Diagnostic::warning(Code::W0612, token.span, "this comment allows nothing", why)
                .with_help("write `// ppl: allow W0603`, or `// ppl: allow-file W0603`"),
        );
    }
}

const MARK: &str = "ppl:";

/// The words of a comment `// ppl: …`.
fn directive(comment: &str) -> Option<Vec<&str>> {
    let text = comment.strip_prefix("//").filter(|rest| !rest.starts_with('/'))?;
    Some(text.trim_start().strip_prefix(MARK)?.split_whitespace().collect())
}

/// What the comment at index `at` is for.
fn reach(text: &str, tokens: &[Token], at: usize) -> Span {
    let comment = tokens[at].span;
    let line = |offset: usize| {
        let start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let end = text[offset..].find('\n').map_or(text.len(), |newline| offset + newline);
        Span::new(comment.file, start, end)
    };
    let before = tokens[..at].iter().rev().take_while(|t| t.kind != TokenKind::Newline);
    if before.into_iter().any(|token| !token.kind.is_trivia()) {
        return line(comment.range().start);
    }
    let Some(next) = tokens[at..].iter().find(|token| !token.kind.is_trivia()) else {
        return comment;
    };
    let items = split::split(text, tokens).items;
    let item = items.iter().find(|item| item.tokens[0].span == next.span);
    match item.and_then(|item| item.tokens.last()) {
        Some(last) => next.span.to(last.span),
        None => line(next.span.range().start),
    }
}
