//! Tokens → items: where each declaration or statement begins and ends.
//!
//! Works on tokens alone, so that an item that does not parse hides no other. An item begins at a
//! line whose first token cannot continue the line before; inside brackets only a token that can
//! stand nowhere but at the top level begins one, which contains the damage of a missing bracket.

use super::ast::Doc;
use super::precheck::MAX_BRACKETS;
use super::token::{Token, TokenKind};
use crate::source::Span;

/// The tokens of one item.
#[derive(Clone, Debug)]
pub(super) struct RawItem<'t> {
    /// From the first token to the last, trivia between them included; never empty.
    pub(super) tokens: &'t [Token],
    /// The `///` lines directly above.
    pub(super) doc: Option<Doc>,
    /// Semicolons that end the item, to be reported.
    pub(super) semicolons: Vec<Span>,
    /// Whether the item begins on the line on which the one before it ends.
    pub(super) shares_line: bool,
}

/// The items of a file.
#[derive(Clone, Debug)]
pub(super) struct Split<'t> {
    /// The `///` lines at the top of the file.
    pub(super) doc: Option<Doc>,
    /// Items in order.
    pub(super) items: Vec<RawItem<'t>>,
}

/// Finds the items of a file.
pub(super) fn split<'t>(text: &str, tokens: &'t [Token]) -> Split<'t> {
    let mut items = Vec::new();
    let mut start = 0;
    while let Some(item) = next_item(text, tokens, start) {
        items.push(RawItem {
            tokens: &tokens[item.first..item.end],
            doc: doc_above(text, tokens, start, item.first),
            semicolons: item.semicolons,
            shares_line: item.first > 0
                && !items.is_empty()
                && !tokens[start..item.first].iter().any(|token| token.kind == TokenKind::Newline),
        });
        start = item.next;
    }
    let doc = file_doc(text, tokens, items.first_mut());
    Split { doc, items }
}

/// One item as token indices.
struct Extent {
    /// First token.
    first: usize,
    /// One past the last token.
    end: usize,
    /// Where to look for the next item.
    next: usize,
    semicolons: Vec<Span>,
}

/// Finds the first item at or after token `start`.
fn next_item(text: &str, tokens: &[Token], start: usize) -> Option<Extent> {
    let mut semicolons = Vec::new();
    let mut first = start;
    // A semicolon that no item precedes is given to the item that follows.
    loop {
        let token = tokens.get(first)?;
        match token.kind {
            TokenKind::Semicolon => semicolons.push(token.span),
            kind if !kind.is_trivia() => break,
            _ => {}
        }
        first += 1;
    }
    let end = match item_end(text, tokens, first, Braces::MayHoldAnyLine) {
        (end, Closed::Yes) => end,
        // A brace that is never closed must not swallow the rest of the file.
        (_, Closed::No) => item_end(text, tokens, first, Braces::HoldIndentedLines).0,
    };
    let mut next = end;
    while let Some(token) = tokens.get(next) {
        match token.kind {
            TokenKind::Semicolon => semicolons.push(token.span),
            kind if !kind.is_trivia() || kind == TokenKind::Newline => break,
            _ => {}
        }
        next += 1;
    }
    Some(Extent { first, end, next: if semicolons.is_empty() { end } else { next }, semicolons })
}

/// Which lines belong to an open brace.
#[derive(Clone, Copy, PartialEq)]
enum Braces {
    MayHoldAnyLine,
    HoldIndentedLines,
}

/// Whether all brackets of an item are closed.
#[derive(Clone, Copy, PartialEq)]
enum Closed {
    Yes,
    No,
}

/// Returns one past the last significant token of the item that begins at `first`.
fn item_end(text: &str, tokens: &[Token], first: usize, braces: Braces) -> (usize, Closed) {
    // Asked for at the start of a line only: a long line must not be measured token by token.
    let margin = || column(text, tokens[first]);
    let mut open: Vec<TokenKind> = Vec::new();
    let mut last = first;
    let mut line_start = false;
    for (at, token) in tokens.iter().enumerate().skip(first) {
        let kind = token.kind;
        if kind.is_trivia() {
            line_start |= kind == TokenKind::Newline;
            continue;
        }
        if at > first {
            let indented = || column(text, *token) > margin();
            let previous = tokens[last].kind;
            let boundary = match open.last() {
                None => {
                    kind == TokenKind::Semicolon && !within_bounds(&tokens[first..at])
                        || kind.opens_declaration()
                            && (line_start
                                || previous.ends_operand()
                                    && !imports(text, tokens[first], tokens[last], kind))
                        || line_start && begins_line(tokens, at, previous)
                        // An import is one line, whatever word it ends with.
                        || line_start
                            && tokens[first].kind == TokenKind::KwImport
                            && kind != TokenKind::Str
                        || line_start && !indented() && states_distribution(tokens, at, previous)
                }
                Some(TokenKind::LBrace) => {
                    line_start
                        && match braces {
                            // Indented, it is meant to be inside, where the parser refuses it.
                            Braces::MayHoldAnyLine => opens_top_level(kind) && !indented(),
                            Braces::HoldIndentedLines => {
                                opens_top_level(kind) || !indented() && !kind.is_closer()
                            }
                        }
                }
                Some(_) => {
                    kind == TokenKind::Semicolon
                        || line_start
                            && (kind.opens_declaration()
                                || !indented()
                                    && (previous.ends_operand() && kind.begins_operand()
                                        || states_distribution(tokens, at, previous)))
                }
            };
            if boundary {
                break;
            }
        }
        if kind.closer().is_some() {
            open.push(kind);
            // Whatever closes these, the item is refused; to look for it further would cost a file
            // of unclosed braces the square of its length.
            if open.len() > MAX_BRACKETS && braces == Braces::MayHoldAnyLine {
                return (at + 1, Closed::No);
            }
        } else if kind.is_closer() {
            // A wrong closer closes what is innermost; `precheck` reports it.
            open.pop();
        }
        last = at;
        line_start = false;
    }
    (last + 1, if open.is_empty() { Closed::Yes } else { Closed::No })
}

/// Tells whether the token, the first of its line and outside parentheses, begins an item or
/// statement; `previous` is the significant token before it.
pub(super) fn begins_line(tokens: &[Token], at: usize, previous: TokenKind) -> bool {
    let kind = tokens[at].kind;
    let glued = || tokens.get(at + 1).is_some_and(|next| !next.kind.is_trivia());
    let sign = matches!(kind, TokenKind::Plus | TokenKind::Minus) && glued();
    let continues = kind.joins() && !sign
        || kind.is_closer()
        || matches!(kind, TokenKind::LBrace | TokenKind::KwElse | TokenKind::KwIn);
    // An `if` block may be followed by `else`, but whatever else follows a closed operand is new.
    // A function's declaration is no type: that has its parenthesis right after `fn`.
    let next = tokens[at + 1..].iter().find(|token| !token.kind.is_trivia());
    let declares =
        kind == TokenKind::KwFn && next.is_some_and(|next| next.kind == TokenKind::Ident);
    let wanting = previous.joins()
        && previous != TokenKind::Question
        && !(previous == TokenKind::Greater && closes_bounds(&tokens[..at]))
        || previous == TokenKind::Bang
        || previous.is_keyword() && !previous.ends_operand();
    declares || !continues && !wanting
}

/// Tokens of the longest bounds that are recognised.
const LONGEST_BOUNDS: usize = 256;

/// Tells whether the `>` at the end of `tokens` closes bounds, as in `real<lower=0>`.
fn closes_bounds(tokens: &[Token]) -> bool {
    // A bound is no long text; looking further would cost a long file dear.
    let tokens = &tokens[tokens.len().saturating_sub(LONGEST_BOUNDS)..];
    let Some(opener) = tokens.iter().rposition(|token| token.kind == TokenKind::Less) else {
        return false;
    };
    opens_bounds(tokens, opener)
}

/// Tells whether the `<` at `opener` begins bounds: a type's name before it, `name =` behind it.
fn opens_bounds(tokens: &[Token], opener: usize) -> bool {
    let significant = |token: &&Token| !token.kind.is_trivia();
    let before = tokens[..opener].iter().rfind(significant).map(|token| token.kind);
    let mut after = tokens[opener + 1..].iter().filter(significant).map(|token| token.kind);
    before == Some(TokenKind::Ident)
        && after.next() == Some(TokenKind::Ident)
        && after.next() == Some(TokenKind::Equals)
}

/// Tells whether bounds are open at the end of `tokens`, as in `real<lower=0`.
fn within_bounds(tokens: &[Token]) -> bool {
    let tokens = &tokens[tokens.len().saturating_sub(LONGEST_BOUNDS)..];
    let last =
        tokens.iter().rposition(|token| matches!(token.kind, TokenKind::Less | TokenKind::Greater));
    last.is_some_and(|at| tokens[at].kind == TokenKind::Less && opens_bounds(tokens, at))
}

/// Tells whether a line `y[i] ~ …` begins here although the line above is unfinished: no
/// expression goes on with a name that is distributed.
fn states_distribution(tokens: &[Token], at: usize, previous: TokenKind) -> bool {
    if matches!(previous, TokenKind::Colon | TokenKind::Arrow) {
        return false;
    }
    let mut depth = 0usize;
    let mut kinds =
        tokens[at..].iter().map(|token| token.kind).filter(|kind| *kind != TokenKind::Blank);
    if kinds.next() != Some(TokenKind::Ident) {
        return false;
    }
    for kind in kinds {
        match kind {
            TokenKind::LParen | TokenKind::LBracket => depth += 1,
            TokenKind::RParen | TokenKind::RBracket if depth > 0 => depth -= 1,
            TokenKind::Tilde if depth == 0 => return true,
            TokenKind::Newline => return false,
            _ if depth == 0 => return false,
            _ => {}
        }
    }
    false
}

/// Tells whether the token can stand only at the top level, never inside braces.
fn opens_top_level(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::KwData
            | TokenKind::KwParam
            | TokenKind::KwMarginal
            | TokenKind::KwGen
            | TokenKind::KwDist
            | TokenKind::KwImport
    )
}

/// Tells whether a keyword is a word of Python's `import x as dist`, `from x import y`.
fn imports(text: &str, first: Token, previous: Token, kind: TokenKind) -> bool {
    let is = |token: Token, word: &str| &text[token.span.range()] == word;
    first.kind == TokenKind::KwImport && is(previous, "as")
        || is(first, "from") && kind == TokenKind::KwImport
}

/// Returns how many bytes precede the token on its line.
fn column(text: &str, token: Token) -> usize {
    let start = token.span.range().start;
    start - text[..start].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Collects the `///` lines that end directly above token `first`, not reaching before `start`.
fn doc_above(text: &str, tokens: &[Token], start: usize, first: usize) -> Option<Doc> {
    let mut lines = Vec::new();
    let mut newlines = 0;
    for token in tokens[start..first].iter().rev() {
        match token.kind {
            TokenKind::DocComment => {
                lines.push(*token);
                newlines = 0;
            }
            TokenKind::Newline if newlines == 0 => newlines = 1,
            TokenKind::Blank => {}
            _ => break,
        }
    }
    lines.reverse();
    doc(text, &lines)
}

/// Takes the file's doc: the first run of `///` lines when no item precedes it. A run directly
/// above the first item is the file's; it stays the item's as well if that is a `fn` or `dist`,
/// since such a file is a library.
fn file_doc(text: &str, tokens: &[Token], first: Option<&mut RawItem<'_>>) -> Option<Doc> {
    let mut lines = Vec::new();
    let mut newlines = 0;
    for token in tokens {
        match token.kind {
            TokenKind::DocComment => {
                lines.push(*token);
                newlines = 0;
            }
            TokenKind::Newline => {
                newlines += 1;
                if newlines > 1 && !lines.is_empty() {
                    break;
                }
            }
            kind if kind.is_trivia() && lines.is_empty() => {}
            TokenKind::Blank => {}
            _ => break,
        }
    }
    let doc = doc(text, &lines)?;
    if let Some(item) = first {
        let library = matches!(item.tokens[0].kind, TokenKind::KwFn | TokenKind::KwDist);
        if !library && item.doc.as_ref() == Some(&doc) {
            item.doc = None;
        }
    }
    Some(doc)
}

/// Joins `///` lines.
fn doc(text: &str, lines: &[Token]) -> Option<Doc> {
    let span = lines.first()?.span.to(lines.last()?.span);
    let strip = |token: &Token| {
        let line = text[token.span.range()].trim_start_matches("///").trim_end();
        line.strip_prefix(' ').unwrap_or(line)
    };
    let text = lines.iter().map(strip).collect::<Vec<_>>().join("\n");
    Some(Doc { text, span })
}
