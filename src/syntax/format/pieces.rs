//! The tokens of an item → pieces: tokens with their comments, brackets with what they hold.

use super::printer::Doc;
use crate::syntax::split::begins_line;
use crate::syntax::token::{Token, TokenKind};

/// A comment's text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comment<'a> {
    /// Without blanks at the end.
    pub(super) text: &'a str,
    own_line: bool,
}

impl<'a> Comment<'a> {
    /// Takes the comment that a token is.
    pub(super) fn new(text: &'a str, token: Token) -> Self {
        Self { text: text[token.span.range()].trim_end(), own_line: false }
    }

    /// Lays it out.
    pub(super) fn doc(self) -> Doc<'a> {
        Doc::Comment { text: self.text, own_line: self.own_line }
    }
}

/// A token with the comments around it.
#[derive(Debug)]
pub(super) struct Leaf<'a> {
    /// What it is.
    pub(super) kind: TokenKind,
    /// Its text.
    pub(super) text: &'a str,
    /// Comments on lines of their own above it.
    pub(super) before: Vec<Comment<'a>>,
    /// Comments behind it on its line.
    pub(super) after: Vec<Comment<'a>>,
    /// Line breaks between the token before it and it, or the first comment above it.
    pub(super) newlines: usize,
    /// Whether it begins a statement, should it stand directly in braces.
    pub(super) begins_line: bool,
}

/// A token, or a bracketed run of them.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    Leaf(Leaf<'a>),
    Group { open: Leaf<'a>, inside: Vec<Self>, close: Leaf<'a> },
}

impl<'a> Piece<'a> {
    /// Returns its first token.
    pub(super) fn first(&self) -> &Leaf<'a> {
        match self {
            Self::Leaf(leaf) | Self::Group { open: leaf, .. } => leaf,
        }
    }

    /// Returns its last token.
    pub(super) fn last(&self) -> &Leaf<'a> {
        match self {
            Self::Leaf(leaf) | Self::Group { close: leaf, .. } => leaf,
        }
    }

    /// Tells whether it is a token of that kind.
    pub(super) fn is(&self, kind: TokenKind) -> bool {
        matches!(self, Self::Leaf(leaf) if leaf.kind == kind)
    }
}

/// Attaches comments to the tokens they belong to.
fn leaves<'a>(text: &'a str, tokens: &[Token]) -> Vec<Leaf<'a>> {
    let mut leaves: Vec<Leaf<'a>> = Vec::new();
    let mut above: Vec<Comment<'a>> = Vec::new();
    let mut newlines = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.kind {
            TokenKind::Newline if above.is_empty() => newlines += 1,
            kind if kind.is_comment() => {
                let comment = Comment::new(text, *token);
                match leaves.last_mut() {
                    Some(leaf) if newlines == 0 => leaf.after.push(comment),
                    _ => above.push(Comment { own_line: true, ..comment }),
                }
            }
            kind if kind.is_trivia() => {}
            kind => {
                let previous = leaves.last().map(|leaf| leaf.kind);
                let starts = newlines > 0
                    && previous.is_none_or(|previous| begins_line(tokens, at, previous));
                leaves.push(Leaf {
                    kind,
                    text: &text[token.span.range()],
                    before: std::mem::take(&mut above),
                    after: Vec::new(),
                    newlines,
                    begins_line: starts,
                });
                newlines = 0;
            }
        }
    }
    leaves
}

type Leaves<'a> = std::vec::IntoIter<Leaf<'a>>;

/// Returns the pieces of an item.
pub(super) fn pieces_of<'a>(text: &'a str, tokens: &[Token]) -> Vec<Piece<'a>> {
    pieces(&mut leaves(text, tokens).into_iter(), None)
}

/// Gathers brackets up to the closing bracket `until`, which is left.
fn pieces<'a>(leaves: &mut Leaves<'a>, until: Option<TokenKind>) -> Vec<Piece<'a>> {
    let mut pieces: Vec<Piece<'a>> = Vec::new();
    while leaves.as_slice().first().is_some_and(|leaf| Some(leaf.kind) != until) {
        let Some(leaf) = leaves.next() else { break };
        let closer = match leaf.kind {
            TokenKind::Less if begins_bounds(&pieces, leaves) => Some(TokenKind::Greater),
            kind => kind.closer(),
        };
        let Some(closer) = closer else {
            pieces.push(Piece::Leaf(leaf));
            continue;
        };
        let inside = self::pieces(leaves, Some(closer));
        match leaves.next() {
            Some(close) => pieces.push(Piece::Group { open: leaf, inside, close }),
            // Only in a text with errors, which is not formatted.
            None => {
                pieces.push(Piece::Leaf(leaf));
                pieces.extend(inside);
            }
        }
    }
    pieces
}

/// Tells whether a `<` opens bounds: it follows a type's name, maybe with a `?`, and `name =` follows it, which no
/// comparison does.
fn begins_bounds(before: &[Piece<'_>], leaves: &Leaves<'_>) -> bool {
    let ends_type = |piece: &Piece<'_>| piece.is(TokenKind::Ident) || piece.is(TokenKind::Question);
    before.last().is_some_and(ends_type)
        && matches!(leaves.as_slice(), [name, equals, ..]
            if name.kind == TokenKind::Ident && equals.kind == TokenKind::Equals)
}
