//! A document of groups → lines of at most [`WIDTH`] columns.
//!
//! The algorithm of Wadler's "A prettier printer" in Lindig's strict form: a group is printed on
//! one line if it fits, else every line break directly in it is taken.

/// The longest line, in characters.
pub(super) const WIDTH: usize = 100;
/// Blanks per level of nesting.
pub(super) const INDENT: usize = 2;

/// A document to be laid out.
#[derive(Debug)]
pub(super) enum Doc<'a> {
    /// Text without line breaks (but for those within a block comment).
    Text(&'a str),
    /// A line break, or this text when the group is on one line.
    Line(&'static str),
    /// This text, or a line break where what follows up to the next one would not fit.
    Soft(&'static str),
    /// A line break in any case; `blank` leaves a line empty.
    Hard { blank: bool },
    /// A comment behind what precedes it, or on a line of its own.
    Comment {
        /// The comment.
        text: &'a str,
        /// Whether it stands on a line of its own.
        own_line: bool,
    },
    /// One after the other.
    Concat(Vec<Self>),
    /// One level deeper.
    Nest(Box<Self>),
    /// On one line, or with all its line breaks.
    Group(Box<Self>),
}

impl Doc<'_> {
    /// Tells whether the document cannot stand on one line. A comment at its very end does not
    /// matter.
    fn must_break(&self) -> bool {
        self.breaks_after(&mut false)
    }

    /// Returns how many columns it takes on one line, if it may stand on one; a comment counts for
    /// nothing.
    pub(super) fn flat_width(&self) -> Option<usize> {
        fn width(doc: &Doc<'_>) -> usize {
            match doc {
                Doc::Text(text) => text.chars().count(),
                Doc::Line(flat) | Doc::Soft(flat) => flat.chars().count(),
                Doc::Hard { .. } | Doc::Comment { .. } => 0,
                Doc::Concat(parts) => parts.iter().map(width).sum(),
                Doc::Nest(inner) | Doc::Group(inner) => width(inner),
            }
        }
        (!self.must_break()).then(|| width(self))
    }

    /// As [`Doc::must_break`]; `commented` says whether a comment has just ended the line.
    fn breaks_after(&self, commented: &mut bool) -> bool {
        match self {
            Self::Text(text) => *commented && !text.is_empty(),
            Self::Line(_) | Self::Soft(_) => *commented,
            Self::Hard { .. } => true,
            Self::Comment { text, own_line } => {
                let breaks = *own_line || *commented || text.contains('\n');
                *commented |= text.starts_with("//");
                breaks
            }
            Self::Concat(parts) => parts.iter().any(|part| part.breaks_after(commented)),
            Self::Nest(inner) | Self::Group(inner) => inner.breaks_after(commented),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Flat,
    Break,
}

/// Prints a document; the result ends without a line break.
pub(super) fn print(doc: &Doc<'_>) -> String {
    let mut printer = Printer { out: String::new(), column: 0, owed: false };
    let mut stack = vec![(0, Mode::Break, doc)];
    while let Some((indent, mode, doc)) = stack.pop() {
        match doc {
            Doc::Text(text) => printer.text(text, indent),
            Doc::Line(flat) | Doc::Soft(flat) if mode == Mode::Flat => printer.blank(flat),
            Doc::Soft(flat) if fits(printer.room(flat), Vec::new(), &stack, Mode::Flat) => {
                printer.blank(flat);
            }
            Doc::Line(_) | Doc::Soft(_) => printer.newline(indent, false),
            Doc::Hard { blank } => printer.newline(indent, *blank),
            Doc::Comment { text, own_line } => printer.comment(text, *own_line, indent),
            Doc::Concat(parts) => {
                stack.extend(parts.iter().rev().map(|part| (indent, mode, part)));
            }
            Doc::Nest(inner) => stack.push((indent + INDENT, mode, inner)),
            Doc::Group(inner) => {
                let first = vec![(Mode::Flat, &**inner)];
                let flat =
                    !inner.must_break() && fits(printer.room(""), first, &stack, Mode::Break);
                stack.push((indent, if flat { Mode::Flat } else { Mode::Break }, inner));
            }
        }
    }
    printer.out
}

/// Tells whether `stack`, then `rest`, up to the next line break take at most `room` columns; groups in
/// the rest are laid out as `groups` says.
fn fits<'d>(
    room: usize,
    mut stack: Vec<(Mode, &'d Doc<'d>)>,
    rest: &[(usize, Mode, &'d Doc<'d>)],
    groups: Mode,
) -> bool {
    let mut used = 0;
    let mut rest = rest.iter().rev();
    loop {
        let Some((mode, doc)) =
            stack.pop().or_else(|| rest.next().map(|(_, mode, doc)| (*mode, *doc)))
        else {
            return true;
        };
        match doc {
            Doc::Text(text) => used += text.chars().count(),
            Doc::Line(flat) | Doc::Soft(flat) if mode == Mode::Flat => used += flat.chars().count(),
            // A group that has to be broken begins a line of its own.
            Doc::Hard { .. } if mode == Mode::Flat => return false,
            // A comment behind the line may stick out.
            Doc::Line(_) | Doc::Soft(_) | Doc::Hard { .. } | Doc::Comment { .. } => {
                return used <= room;
            }
            Doc::Concat(parts) => stack.extend(parts.iter().rev().map(|part| (mode, part))),
            Doc::Nest(inner) => stack.push((mode, inner)),
            Doc::Group(inner) => {
                stack.push((if mode == Mode::Flat { mode } else { groups }, inner))
            }
        }
        if used > room {
            return false;
        }
    }
}

struct Printer {
    out: String,
    /// Characters on the current line.
    column: usize,
    /// Whether a line break must come before any text, since a comment ended the line.
    owed: bool,
}

impl Printer {
    /// Returns the columns that are left behind `text`.
    fn room(&self, text: &str) -> usize {
        WIDTH.saturating_sub(self.column + text.chars().count())
    }

    fn text(&mut self, text: &str, indent: usize) {
        if self.owed && !text.is_empty() {
            self.newline(indent, false);
        }
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    /// Writes the blank between two texts, unless the line is at its end or start.
    fn blank(&mut self, text: &str) {
        if !self.owed {
            self.out.push_str(text);
            self.column += text.chars().count();
        }
    }

    fn newline(&mut self, indent: usize, blank: bool) {
        while self.out.ends_with(' ') {
            self.out.pop();
        }
        self.out.push_str(if blank { "\n\n" } else { "\n" });
        self.out.push_str(&" ".repeat(indent));
        self.column = indent;
        self.owed = false;
    }

    fn comment(&mut self, text: &str, own_line: bool, indent: usize) {
        let line = self.out.rsplit('\n').next().unwrap_or_default();
        let fresh = line.trim().is_empty();
        if self.owed || own_line && !fresh {
            self.newline(indent, false);
        } else if !fresh && !self.out.ends_with(' ') {
            self.out.push(' ');
        }
        self.out.push_str(text);
        self.column += text.chars().count() + 1;
        self.owed = own_line || text.starts_with("//");
    }
}
