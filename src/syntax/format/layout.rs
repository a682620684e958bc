//! The pieces of an item → a document: where blanks go, what stays together, where lines may
//! break.

use super::pieces::{Leaf, Piece, pieces_of};
use super::printer::{Doc, INDENT, WIDTH};
use crate::syntax::token::{Token, TokenKind};

/// Lays out an item.
pub(super) fn layout_item<'a>(text: &'a str, tokens: &[Token]) -> Doc<'a> {
    statement(&pieces_of(text, tokens))
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
    let mut unit: Option<Unit> = None;
    let mut before_unit: Vec<Doc<'a>> = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let breaks = loosest[at];
        if at > 0 && spaced(pieces, at, context) {
            let blank = if breaks { Doc::Soft(" ") } else { Doc::Text(" ") };
            stretch.push(blank, breaks);
        }
        let signature = matches!(unit, Some(Unit::Signature { .. }));
        if cuts(piece) {
            stretch.close(&mut parts, signature);
        }
        if unit.is_none() {
            unit = Unit::at(pieces, at, context);
            if unit.is_some() {
                stretch.close(&mut parts, false);
                before_unit = std::mem::take(&mut parts);
            }
        }
        stretch.push(self::piece(piece, pieces, unit), false);
        if cuts(piece) {
            stretch.close(&mut parts, unit.is_some());
        }
        if unit.is_some_and(|unit| unit.end() == at) {
            stretch.close(&mut parts, unit.is_some_and(Unit::is_signature));
            let whole = std::mem::replace(&mut parts, std::mem::take(&mut before_unit));
            parts.push(Doc::Group(Box::new(Doc::Concat(whole))));
            unit = None;
        }
    }
    stretch.close(&mut parts, false);
    Doc::Concat(parts)
}

/// Stretches whose line breaks are taken together or not at all; `end` is the last piece.
#[derive(Clone, Copy)]
enum Unit {
    /// What a function or distribution takes and gives: if it does not fit, a parameter a line.
    Signature { end: usize },
    /// `if … { … } else { … }`: all braces on one line, or none.
    Branches { end: usize, spread: bool },
}

impl Unit {
    /// Finds the unit that begins at a piece.
    fn at(pieces: &[Piece<'_>], at: usize, context: Context) -> Option<Self> {
        match pieces[at].first().kind {
            TokenKind::KwFn | TokenKind::KwDist if at == 0 && context == Context::Statement => {
                let body = |piece: &Piece<'_>| {
                    piece.first().kind == TokenKind::LBrace || piece.is(TokenKind::Equals)
                };
                let end = pieces.iter().position(body).unwrap_or(pieces.len()) - 1;
                Some(Self::Signature { end })
            }
            TokenKind::KwIf => {
                let is_brace = |piece: &Piece<'_>| piece.first().kind == TokenKind::LBrace;
                let mut spread = false;
                let mut end = at;
                let mut branches = 0;
                loop {
                    end += 1 + pieces[end + 1..].iter().position(is_brace)?;
                    spread |= is_spread(&pieces[end]);
                    branches += 1;
                    if !pieces.get(end + 1).is_some_and(|piece| piece.is(TokenKind::KwElse)) {
                        return (branches > 1).then_some(Self::Branches { end, spread });
                    }
                }
            }
            _ => None,
        }
    }

    fn end(self) -> usize {
        match self {
            Self::Signature { end } | Self::Branches { end, .. } => end,
        }
    }

    fn is_signature(self) -> bool {
        matches!(self, Self::Signature { .. })
    }
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

    /// Ends the stretch; a `bare` one shares its line breaks with the unit it is part of.
    fn close(&mut self, parts: &mut Vec<Doc<'a>>, bare: bool) {
        let mut inner = std::mem::take(&mut self.head);
        let tail = std::mem::take(&mut self.tail);
        if !tail.is_empty() {
            inner.push(Doc::Nest(Box::new(Doc::Concat(tail))));
        }
        if bare {
            parts.append(&mut inner);
        } else if !inner.is_empty() {
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

/// Lays out a piece that stands among others; within a unit its line breaks are the unit's.
fn piece<'a>(piece: &Piece<'a>, around: &[Piece<'a>], unit: Option<Unit>) -> Doc<'a> {
    let Piece::Group { open, inside, close } = piece else { return leaf(piece.first()) };
    let bare = match unit {
        _ if open.kind == TokenKind::LBrace => {
            if around[0].is(TokenKind::KwDist) {
                return members(open, inside, close);
            }
            let spread = match unit {
                Some(Unit::Branches { spread, .. }) => spread,
                _ => is_spread(piece),
            };
            let doc = braces(open, inside, close, spread);
            return if unit.is_some() { doc } else { Doc::Group(Box::new(doc)) };
        }
        Some(Unit::Signature { .. }) => open.kind == TokenKind::LParen,
        _ => false,
    };
    let context = if bare { Context::Parameters } else { Context::List };
    let doc = list(open, inside, close, context);
    if bare { doc } else { Doc::Group(Box::new(doc)) }
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
    Doc::Concat(vec![
        leaf(open),
        Doc::Nest(Box::new(Doc::Concat(elements))),
        Doc::Line(""),
        without_above(close),
    ])
}

/// Tells whether braces hold a statement a line, as they did in the text.
fn is_spread(braces: &Piece<'_>) -> bool {
    let Piece::Group { inside, close, .. } = braces else { return false };
    let begins = |statement: &[Piece<'_>]| statement[0].first().newlines > 0;
    !inside.is_empty()
        && (close.newlines > 0 || statements(inside).iter().any(|statement| begins(statement)))
}

/// `{ … }`: on one line, or a statement a line.
fn braces<'a>(open: &Leaf<'a>, inside: &[Piece<'a>], close: &Leaf<'a>, spread: bool) -> Doc<'a> {
    if inside.is_empty() {
        return empty_braces(open, close);
    }
    let mut body: Vec<Doc<'a>> = Vec::new();
    for (at, pieces) in statements(inside).into_iter().enumerate() {
        if at > 0 && !spread {
            // Braces on one line: the semicolon goes when they are broken.
            body.push(Doc::Line("; "));
        } else if spread {
            let blank = at > 0 && pieces[0].first().newlines > 1;
            body.push(Doc::Hard { blank });
        } else {
            body.push(Doc::Line(" "));
        }
        let (kept, dropped) = without_semicolons(pieces);
        body.push(statement(kept));
        body.extend(dropped);
    }
    let end = if spread { Doc::Hard { blank: false } } else { Doc::Line(" ") };
    enclosed(open, body, end, close)
}

fn empty_braces<'a>(open: &Leaf<'a>, close: &Leaf<'a>) -> Doc<'a> {
    if close.before.is_empty() && open.after.is_empty() {
        return Doc::Concat(vec![leaf(open), Doc::Text(" "), leaf(close)]);
    }
    let mut comments: Vec<Doc<'a>> = Vec::new();
    for comment in &close.before {
        comments.extend([Doc::Hard { blank: false }, comment.doc()]);
    }
    let comments = Doc::Nest(Box::new(Doc::Concat(comments)));
    let end = [Doc::Hard { blank: false }, without_above(close)];
    Doc::Concat([leaf(open), comments].into_iter().chain(end).collect())
}

/// A body between its braces.
fn enclosed<'a>(
    open: &Leaf<'a>,
    mut body: Vec<Doc<'a>>,
    end: Doc<'a>,
    close: &Leaf<'a>,
) -> Doc<'a> {
    body.extend(close.before.iter().map(|comment| comment.doc()));
    let body = Doc::Nest(Box::new(Doc::Concat(body)));
    Doc::Concat(vec![leaf(open), body, end, without_above(close)])
}

/// A statement, and the comments of the semicolons behind it.
fn without_semicolons<'p, 'a>(pieces: &'p [Piece<'a>]) -> (&'p [Piece<'a>], Vec<Doc<'a>>) {
    let end = pieces.iter().rposition(|piece| !piece.is(TokenKind::Semicolon));
    let (kept, dropped) = pieces.split_at(end.map_or(0, |end| end + 1));
    (kept, dropped.iter().map(|piece| comments_only(piece.first())).collect())
}

/// `{ … }` of a distribution: a member a line, the signs of definition of neighbours that fit on
/// their lines below each other.
fn members<'a>(open: &Leaf<'a>, inside: &[Piece<'a>], close: &Leaf<'a>) -> Doc<'a> {
    if inside.is_empty() {
        return empty_braces(open, close);
    }
    let all = statements(inside);
    let heads = align(&all);
    let mut body: Vec<Doc<'a>> = Vec::new();
    for (at, pieces) in all.iter().enumerate() {
        body.push(Doc::Hard { blank: at > 0 && pieces[0].first().newlines > 1 });
        let (kept, dropped) = without_semicolons(pieces);
        match (equals(kept), heads[at]) {
            (Some(sign), Some(head)) => {
                let (left, right) = kept.split_at(sign);
                let left = sequence(left, Context::Statement);
                let gap = head + 1 - left.flat_width().unwrap_or(head).min(head);
                body.extend([left, Doc::Text(&BLANKS[..gap]), sequence(right, Context::Statement)]);
            }
            _ => body.push(statement(kept)),
        }
        body.extend(dropped);
    }
    enclosed(open, body, Doc::Hard { blank: false }, close)
}

const BLANKS: &str = "                                                                          ";

/// Where the `=` of a member stands.
fn equals(member: &[Piece<'_>]) -> Option<usize> {
    member.iter().position(|piece| piece.is(TokenKind::Equals))
}

/// Returns for each member how wide what precedes its `=` is to be, if it is to stand in line.
fn align(members: &[&[Piece<'_>]]) -> Vec<Option<usize>> {
    // The widths of what precedes `=` and of the whole, of members on one line.
    let widths: Vec<Option<(usize, usize)>> = members
        .iter()
        .map(|member| {
            let (kept, _) = without_semicolons(member);
            let head = sequence(&kept[..equals(kept)?], Context::Statement).flat_width()?;
            Some((head, statement(kept).flat_width()?))
        })
        .collect();
    let mut heads = vec![None; members.len()];
    let mut start = 0;
    while start < members.len() {
        // A run grows as long as each of its members still fits behind the widest head.
        let mut head = 0;
        let mut longest = 0;
        let mut end = start;
        while let Some(Some((own_head, whole))) = widths.get(end) {
            let apart = end > start && members[end][0].first().newlines > 1;
            let wider = head.max(*own_head);
            let tail = longest.max(whole - own_head);
            if apart || INDENT + wider + tail > WIDTH || wider >= BLANKS.len() {
                break;
            }
            (head, longest) = (wider, tail);
            end += 1;
        }
        heads[start..end].fill(Some(head));
        start = end.max(start + 1);
    }
    heads
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
