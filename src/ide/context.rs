//! What is being written at a place of a text that need not be complete.

use crate::source::{FileId, Span};
use crate::syntax::lex;
use crate::syntax::token::{Token, TokenKind};

/// A name that nobody writes: it stands for what is being written.
pub(super) const PLACEHOLDER: &str = "ppl_is_asked_here";

/// What may be written at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The first word of a line at the top level.
    Item,
    /// A distribution, after `~`.
    Dist,
    /// A type.
    Type,
    /// `lower`, … in a type.
    Bound,
    /// The name of something new, a number, or text in a comment: nothing to propose.
    Nothing,
    /// An expression.
    Expr,
}

/// A place in a text that is being written.
#[derive(Clone, Debug)]
pub(super) struct Context {
    /// What may be written.
    pub(super) wanted: Wanted,
    /// The word that is being written.
    pub(super) word: Span,
    /// The text with a name for the word, and with what closes the brackets that are open there.
    pub(super) completed: String,
}

/// Finds what is being written at byte `offset`.
pub(super) fn context(text: &str, offset: usize) -> Context {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let start = text[..offset]
        .rfind(|c| !is_word(c))
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    let end = text[offset..].find(|c| !is_word(c)).map_or(text.len(), |at| offset + at);
    let tokens = lex(FileId(0), text);
    let before: Vec<Token> =
        tokens.iter().copied().take_while(|token| token.span.range().end <= start).collect();
    let within = tokens.iter().find(|t| {
        let range = t.span.range();
        range.start < start && start < range.end
            || t.kind.is_comment() && range.end == start && start == end
    });
    let commented = within.is_some_and(|t| t.kind.is_comment() || t.kind == TokenKind::Str);
    let item = item_start(text, &before);
    let closers = closers(text, &before[item..], &tokens, end);
    let wanted = if commented || text[start..].starts_with(|c: char| c.is_ascii_digit()) {
        Wanted::Nothing
    } else {
        wanted(text, &before, item)
    };
    let completed = format!("{}{PLACEHOLDER}{closers}{}", &text[..start], &text[end..]);
    Context { wanted, word: Span::new(FileId(0), start, end), completed }
}

/// Index of the first token of the item that the end of `tokens` lies in.
fn item_start(text: &str, tokens: &[Token]) -> usize {
    tokens.iter().rposition(|token| starts_item(text, token)).unwrap_or(0)
}

/// Innermost last: the brackets that are open at the end of `tokens`.
fn open(tokens: &[Token]) -> Vec<(usize, TokenKind)> {
    let mut open: Vec<(usize, TokenKind)> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if token.kind.closer().is_some() {
            open.push((index, token.kind));
        } else if token.kind.is_closer() {
            open.pop();
        }
    }
    open
}

/// What closes the brackets opened in `item` that nothing in the rest of the line closes.
fn closers(text: &str, item: &[Token], tokens: &[Token], end: usize) -> String {
    let mut opened = open(item);
    let mut depth = 0usize;
    let rest = tokens.iter().filter(|token| token.span.range().start >= end);
    for token in rest.take_while(|token| !starts_item(text, token)) {
        if token.kind.closer().is_some() {
            depth += 1;
        } else if token.kind.is_closer() {
            if depth == 0 {
                // Closed below: it is what is outermost that lacks its closer, if anything does.
                opened.pop();
            } else {
                depth -= 1;
            }
        }
    }
    let closing = |kind: &TokenKind| match kind {
        TokenKind::LParen => ")",
        TokenKind::LBracket => "]",
        _ => "}",
    };
    opened.iter().rev().map(|(_, kind)| closing(kind)).collect()
}

/// Whether a token stands at the start of a line and begins a declaration.
fn starts_item(text: &str, token: &Token) -> bool {
    let start = token.span.range().start;
    token.kind.opens_declaration() && (start == 0 || text[..start].ends_with('\n'))
}

fn wanted(text: &str, before: &[Token], item: usize) -> Wanted {
    let last_line: Vec<&Token> =
        before.iter().rev().take_while(|token| token.kind != TokenKind::Newline).collect();
    let significant = |token: &&Token| !token.kind.is_trivia();
    let open = open(&before[item..]);
    if open.is_empty() && !last_line.iter().copied().any(|token| significant(&token)) {
        return Wanted::Item;
    }
    let mut back = before[item..].iter().rev().filter(significant);
    let Some(previous) = back.next() else { return Wanted::Item };
    let word = |token: &Token| &text[token.span.range()];
    let innermost = open.last().map(|(_, kind)| *kind);
    match previous.kind {
        TokenKind::Tilde => Wanted::Dist,
        TokenKind::Arrow => Wanted::Type,
        TokenKind::Colon if innermost != Some(TokenKind::LBracket) => Wanted::Type,
        TokenKind::Ident if word(previous) == "on" => Wanted::Type,
        TokenKind::Less | TokenKind::Comma if in_bounds(text, &before[item..]) => Wanted::Bound,
        // A name is being declared.
        TokenKind::KwData
        | TokenKind::KwParam
        | TokenKind::KwLet
        | TokenKind::KwGen
        | TokenKind::KwMarginal
        | TokenKind::KwFn
        | TokenKind::KwDist
        | TokenKind::KwFor
        | TokenKind::KwImport => Wanted::Nothing,
        TokenKind::RBracket if array_type(text, &before[item..]) => Wanted::Type,
        _ => Wanted::Expr,
    }
}

/// Whether `<` after the name of a type is open at the end of `tokens`, outside of other brackets.
fn in_bounds(text: &str, tokens: &[Token]) -> bool {
    let mut depth = 0usize;
    for (index, token) in tokens.iter().enumerate().rev() {
        match token.kind {
            kind if kind.is_closer() => depth += 1,
            kind if kind.closer().is_some() => match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return false,
            },
            TokenKind::Greater if depth == 0 => return false,
            TokenKind::Less if depth == 0 => {
                let name = tokens[..index].iter().rfind(|token| !token.kind.is_trivia());
                let is_type = |name: &&Token| matches!(&text[name.span.range()], "real" | "int");
                return name.filter(is_type).is_some();
            }
            _ => {}
        }
    }
    false
}

/// Whether `tokens` end with `array[…]`.
fn array_type(text: &str, tokens: &[Token]) -> bool {
    let mut depth = 0usize;
    for (index, token) in tokens.iter().enumerate().rev() {
        match token.kind {
            TokenKind::RBracket => depth += 1,
            TokenKind::LBracket if depth == 1 => {
                let name = tokens[..index].iter().rfind(|token| !token.kind.is_trivia());
                return name.is_some_and(|name| &text[name.span.range()] == "array");
            }
            TokenKind::LBracket => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}
