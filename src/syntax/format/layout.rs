//! The tokens of an item → a document: where blanks go, what stays together, where lines may
//! break.

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

    fn doc(self) -> Doc<'a> {
        Doc::Comment { text: self.text, own_line: self.own_line }
    }
}

/// A token with the comments around it.
#[derive(Debug)]
struct Leaf<'a> {
    kind: TokenKind,
    text: &'a str,
    /// Comments on lines of their own above it.
    before: Vec<Comment<'a>>,
    /// Comments behind it on its line.
    after: Vec<Comment<'a>>,
    /// Line breaks between the token before it and it, or the first comment above it.
    newlines: usize,
    /// Whether it begins a statement, should it stand directly in braces.
    begins_line: bool,
}

/// A token, or a bracketed run of them.
#[derive(Debug)]
enum Piece<'a> {
    Leaf(Leaf<'a>),
    Group { open: Leaf<'a>, inside: Vec<Self>, close: Leaf<'a> },
}

impl<'a> Piece<'a> {
    fn first(&self) -> &Leaf<'a> {
        match self {
            Self::Leaf(leaf) | Self::Group { open: leaf, .. } => leaf,
        }
    }

    fn last(&self) -> &Leaf<'a> {
        match self {
            Self::Leaf(leaf) | Self::Group { close: leaf, .. } => leaf,
        }
    }

    fn is(&self, kind: TokenKind) -> bool {
        matches!(self, Self::Leaf(leaf) if leaf.kind == kind)
    }
}

/// Lays out an item.
pub(super) fn layout_item<'a>(text: &'a str, tokens: &[Token]) -> Doc<'a> {
    let mut leaves = leaves(text, tokens).into_iter();
    let pieces = pieces(&mut leaves, None);
    statement(&pieces)
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

/// Tells whether a `<` opens bounds: it follows a type's name, and `name =` follows it, which no
/// comparison does.
fn begins_bounds(before: &[Piece<'_>], leaves: &Leaves<'_>) -> bool {
    before.last().is_some_and(|piece| piece.is(TokenKind::Ident))
        && matches!(leaves.as_slice(), [name, equals, ..]
            if name.kind == TokenKind::Ident && equals.kind == TokenKind::Equals)
}

/// What surrounds a run of tokens; decides how `=` and `:` are set.
#[derive(Clone, Copy, PartialEq)]
enum Context {
    /// A declaration or statement: `x: real = 1`.
    Statement,
    /// Arguments, bounds, elements: `lower=0`, `1:N`.
    List,
    /// The parameters of a function: `x: real`.
    Parameters,
}

/// Lays out a declaration or statement.
fn statement<'a>(pieces: &[Piece<'a>]) -> Doc<'a> {
    sequence(pieces, Context::Statement)
}

/// Lays out a run of tokens. It is cut into stretches at definitions, keywords and braces; in
/// each the operators that bind least are where lines break.
fn sequence<'a>(pieces: &[Piece<'a>], context: Context) -> Doc<'a> {
    let loosest = stretches(pieces);
    let mut parts: Vec<Doc<'a>> = Vec::new();
    let mut stretch = Stretch::default();
    let mut parameters = matches!(
        pieces.first().map(|piece| piece.first().kind),
        Some(TokenKind::KwFn | TokenKind::KwDist)
    ) && context == Context::Statement;
    for (at, piece) in pieces.iter().enumerate() {
        let breaks = loosest[at];
        if at > 0 && spaced(pieces, at, context) {
            let blank = if breaks { Doc::Line(" ") } else { Doc::Text(" ") };
            stretch.push(blank, breaks);
        }
        if cuts(piece) {
            stretch.close(&mut parts);
        }
        let inner = if parameters { Context::Parameters } else { Context::List };
        if let Piece::Group { open, .. } = piece {
            parameters &= open.kind != TokenKind::LParen;
        }
        stretch.push(self::piece(piece, inner, pieces), false);
        if cuts(piece) {
            stretch.close(&mut parts);
        }
    }
    stretch.close(&mut parts);
    Doc::Concat(parts)
}

/// The documents of a stretch; what follows the first line break is nested.
#[derive(Default)]
struct Stretch<'a> {
    head: Vec<Doc<'a>>,
    tail: Vec<Doc<'a>>,
}

impl<'a> Stretch<'a> {
    fn push(&mut self, doc: Doc<'a>, breaks: bool) {
        let part = if breaks || !self.tail.is_empty() { &mut self.tail } else { &mut self.head };
        part.push(doc);
    }

    fn close(&mut self, parts: &mut Vec<Doc<'a>>) {
        let mut inner = std::mem::take(&mut self.head);
        let tail = std::mem::take(&mut self.tail);
        if !tail.is_empty() {
            inner.push(Doc::Nest(Box::new(Doc::Concat(tail))));
        }
        if !inner.is_empty() {
            parts.push(Doc::Group(Box::new(Doc::Concat(inner))));
        }
    }
}

/// Tells whether a piece ends one stretch and begins another.
fn cuts(piece: &Piece<'_>) -> bool {
    match piece {
        Piece::Group { open, .. } => open.kind == TokenKind::LBrace,
        Piece::Leaf(leaf) => {
            leaf.kind.is_keyword() && !leaf.kind.ends_operand()
                || matches!(leaf.kind, TokenKind::Equals | TokenKind::Tilde | TokenKind::Arrow)
        }
    }
}

/// Marks the operators that bind least in their stretch.
fn stretches(pieces: &[Piece<'_>]) -> Vec<bool> {
    let mut marks = vec![false; pieces.len()];
    let mut start = 0;
    for end in 0..=pieces.len() {
        if end < pieces.len() && !cuts(&pieces[end]) {
            continue;
        }
        let levels: Vec<(usize, u8)> = (start..end)
            .filter(|at| is_infix(pieces, *at))
            .filter_map(|at| Some((at, looseness(pieces[at].first().kind)?)))
            .collect();
        if let Some(loosest) = levels.iter().map(|(_, level)| *level).max() {
            for (at, _) in levels.iter().filter(|(_, level)| *level == loosest) {
                marks[*at] = true;
            }
        }
        start = end + 1;
    }
    marks
}

/// Returns how loosely an operator binds, if a line may break before it.
fn looseness(kind: TokenKind) -> Option<u8> {
    match kind {
        TokenKind::OrOr => Some(5),
        TokenKind::AndAnd => Some(4),
        kind if is_comparison(kind) => Some(3),
        TokenKind::Plus | TokenKind::Minus => Some(2),
        TokenKind::Star | TokenKind::Slash | TokenKind::Percent | TokenKind::At => Some(1),
        _ => None,
    }
}

fn is_comparison(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::EqEq
            | TokenKind::NotEq
            | TokenKind::Less
            | TokenKind::LessEq
            | TokenKind::Greater
            | TokenKind::GreaterEq
    )
}

/// Tells whether the piece is an operator between two operands.
fn is_infix(pieces: &[Piece<'_>], at: usize) -> bool {
    let Some(Piece::Leaf(leaf)) = pieces.get(at) else { return false };
    let operator = looseness(leaf.kind).is_some() || leaf.kind == TokenKind::Caret;
    operator && at > 0 && pieces[at - 1].last().kind.ends_operand()
}

/// Tells whether a blank stands before the piece, which is not the first.
fn spaced(pieces: &[Piece<'_>], at: usize, context: Context) -> bool {
    let previous = pieces[at - 1].last().kind;
    let next = pieces[at].first().kind;
    let group = matches!(pieces[at], Piece::Group { .. });
    let sign = |at: usize| {
        let kind = pieces[at].first().kind;
        matches!(kind, TokenKind::Minus | TokenKind::Plus | TokenKind::Bang)
            && !is_infix(pieces, at)
    };
    match next {
        TokenKind::Quote | TokenKind::Question | TokenKind::Comma | TokenKind::Colon => false,
        TokenKind::Caret => false,
        TokenKind::Less if group => false,
        TokenKind::LParen | TokenKind::LBracket
            if matches!(previous, TokenKind::KwFn | TokenKind::Question | TokenKind::Greater)
                && !is_infix(pieces, at - 1) =>
        {
            false
        }
        TokenKind::LParen | TokenKind::LBracket if previous.ends_operand() => false,
        TokenKind::Equals => context == Context::Statement,
        _ => match previous {
            TokenKind::Equals => context == Context::Statement,
            TokenKind::Caret => false,
            TokenKind::Colon => annotates(pieces, at - 1, context),
            _ => !sign(at - 1),
        },
    }
}

/// Tells whether the colon stands before a type rather than in a range.
fn annotates(pieces: &[Piece<'_>], at: usize, context: Context) -> bool {
    match context {
        Context::Parameters => true,
        Context::List => false,
        Context::Statement => {
            at == 2
                && matches!(
                    pieces[0].first().kind,
                    TokenKind::KwData
                        | TokenKind::KwParam
                        | TokenKind::KwLet
                        | TokenKind::KwMarginal
                        | TokenKind::KwGen
                )
        }
    }
}

fn leaf<'a>(leaf: &Leaf<'a>) -> Doc<'a> {
    let before = leaf.before.iter().map(|comment| comment.doc());
    let after = leaf.after.iter().map(|comment| comment.doc());
    Doc::Concat(before.chain([Doc::Text(leaf.text)]).chain(after).collect())
}

/// A closing bracket without the comments above it, which stand at the depth of what it closes.
fn without_above<'a>(close: &Leaf<'a>) -> Doc<'a> {
    let after = close.after.iter().map(|comment| comment.doc());
    Doc::Concat([Doc::Text(close.text)].into_iter().chain(after).collect())
}

/// The comments of a token that is dropped.
fn comments_only<'a>(leaf: &Leaf<'a>) -> Doc<'a> {
    Doc::Concat(leaf.before.iter().chain(&leaf.after).map(|comment| comment.doc()).collect())
}

fn piece<'a>(piece: &Piece<'a>, inner: Context, around: &[Piece<'a>]) -> Doc<'a> {
    match piece {
        Piece::Leaf(only) => leaf(only),
        Piece::Group { open, inside, close } if open.kind == TokenKind::LBrace => {
            let members = around[0].is(TokenKind::KwDist);
            braces(open, inside, close, members)
        }
        Piece::Group { open, inside, close } => list(open, inside, close, inner),
    }
}

/// `(a, b)`, `[a, b]`, `<a, b>`: on one line, or an element a line.
fn list<'a>(open: &Leaf<'a>, inside: &[Piece<'a>], close: &Leaf<'a>, context: Context) -> Doc<'a> {
    if inside.is_empty() {
        return Doc::Concat(vec![leaf(open), leaf(close)]);
    }
    let mut elements: Vec<Doc<'a>> = vec![Doc::Line("")];
    let mut rest = inside;
    while !rest.is_empty() {
        let comma = rest.iter().position(|piece| piece.is(TokenKind::Comma));
        let (element, after) = rest.split_at(comma.unwrap_or(rest.len()));
        if !element.is_empty() {
            elements.push(sequence(element, context));
        }
        rest = match after.split_first() {
            Some((comma, [])) if !element.is_empty() => {
                elements.push(comments_only(comma.first()));
                &[]
            }
            Some((comma, more)) => {
                elements.push(leaf(comma.first()));
                elements.push(Doc::Line(" "));
                more
            }
            None => &[],
        };
    }
    elements.extend(close.before.iter().map(|comment| comment.doc()));
    Doc::Group(Box::new(Doc::Concat(vec![
        leaf(open),
        Doc::Nest(Box::new(Doc::Concat(elements))),
        Doc::Line(""),
        without_above(close),
    ])))
}

/// `{ … }`: on one line if it was and fits, else a statement a line.
fn braces<'a>(open: &Leaf<'a>, inside: &[Piece<'a>], close: &Leaf<'a>, members: bool) -> Doc<'a> {
    if inside.is_empty() {
        if close.before.is_empty() && open.after.is_empty() {
            return Doc::Concat(vec![leaf(open), Doc::Text(" "), leaf(close)]);
        }
        let mut comments: Vec<Doc<'a>> = Vec::new();
        for comment in &close.before {
            comments.extend([Doc::Hard { blank: false }, comment.doc()]);
        }
        let comments = Doc::Nest(Box::new(Doc::Concat(comments)));
        let end = [Doc::Hard { blank: false }, without_above(close)];
        return Doc::Concat([leaf(open), comments].into_iter().chain(end).collect());
    }
    let statements = statements(inside);
    let spread = members
        || close.newlines > 0
        || statements.iter().any(|statement| statement[0].first().newlines > 0);
    let mut body: Vec<Doc<'a>> = Vec::new();
    for (at, pieces) in statements.iter().enumerate() {
        if at > 0 && !spread {
            // Braces on one line: the semicolon goes when they are broken.
            body.push(Doc::Line("; "));
        } else if spread {
            let blank = at > 0 && pieces[0].first().newlines > 1;
            body.push(Doc::Hard { blank });
        } else {
            body.push(Doc::Line(" "));
        }
        let end = pieces.iter().rposition(|piece| !piece.is(TokenKind::Semicolon));
        let (kept, dropped) = pieces.split_at(end.map_or(0, |end| end + 1));
        body.push(statement(kept));
        body.extend(dropped.iter().map(|piece| comments_only(piece.first())));
    }
    body.extend(close.before.iter().map(|comment| comment.doc()));
    Doc::Group(Box::new(Doc::Concat(vec![
        leaf(open),
        Doc::Nest(Box::new(Doc::Concat(body))),
        if spread { Doc::Hard { blank: false } } else { Doc::Line(" ") },
        without_above(close),
    ])))
}

/// Cuts the inside of braces into statements, semicolons at their ends.
fn statements<'p, 'a>(inside: &'p [Piece<'a>]) -> Vec<&'p [Piece<'a>]> {
    let mut statements = Vec::new();
    let mut start = 0;
    for at in 1..inside.len() {
        let semicolon = inside[at].is(TokenKind::Semicolon);
        let ended = inside[at - 1].is(TokenKind::Semicolon);
        if !semicolon && (ended || inside[at].first().begins_line) {
            statements.push(&inside[start..at]);
            start = at;
        }
    }
    statements.push(&inside[start..]);
    statements
}
