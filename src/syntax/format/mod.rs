//! Text → canonical text: the same tokens and comments, laid out anew.
//!
//! Works on the tokens of a file that parses, not on its tree, so that no comment can be lost and
//! no token changed; only semicolons and commas before a closing bracket are dropped. The result
//! is checked to mean what the text meant. Formatting twice is formatting once.
//!
//! Style: two blanks of indentation, lines of at most 100 columns, one blank line at most. A list
//! that does not fit goes one element a line; a sum that does not fit breaks before the operators
//! at which the line would become too long. Braces stay on one line if they were and still fit,
//! those of an `if` and its `else` together. The `=` of a distribution's members stand below each
//! other. `pieces` finds what belongs together, `layout` where lines may break, `printer` where
//! they do.

mod layout;
mod pieces;
mod printer;

use super::emit::emit_ast;
use super::token::{Token, TokenKind};
use super::{lex, parse, split};
use crate::diagnostics::Diagnostic;
use crate::source::FileId;
use layout::layout_item;
use pieces::Comment;
use printer::print;

/// Formats a file.
///
/// # Errors
/// The diagnostics of a file that does not parse; it has no canonical form.
pub fn format(file: FileId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let (tree, _) = parse(file, text).into_result()?;
    let formatted = layout(file, text);
    // A layout that changed the meaning would be a bug; leaving the text alone is always right.
    let same = parse(file, &formatted)
        .into_result()
        .is_ok_and(|(formatted_tree, _)| emit_ast(&formatted_tree) == emit_ast(&tree));
    Ok(if same { formatted } else { text.to_string() })
}

/// Lays out a file that parses.
fn layout(file: FileId, text: &str) -> String {
    let tokens = lex(file, text);
    let items = split::split(text, &tokens).items;
    let mut out = String::new();
    let mut done = 0;
    for item in &items {
        let start = index_of(&tokens, item.tokens);
        between(&mut out, text, &tokens[done..start]);
        out.push_str(&print(&layout_item(text, item.tokens)));
        done = start + item.tokens.len();
    }
    between(&mut out, text, &tokens[done..]);
    let trimmed = out.trim_matches('\n');
    if trimmed.is_empty() { String::new() } else { format!("{trimmed}\n") }
}

/// Returns where in `tokens` the run `item` begins.
fn index_of(tokens: &[Token], item: &[Token]) -> usize {
    let start = item.first().map_or(0, |token| token.span.start);
    tokens.partition_point(|token| token.span.start < start)
}

/// Writes what stands between two items: the comment behind the first, a blank line if there was
/// one, comments on lines of their own.
fn between(out: &mut String, text: &str, trivia: &[Token]) {
    let mut newlines = 0;
    for token in trivia {
        match token.kind {
            TokenKind::Newline => newlines += 1,
            kind if kind.is_comment() => {
                let comment = Comment::new(text, *token);
                if newlines == 0 && !out.is_empty() {
                    out.push(' ');
                } else {
                    break_lines(out, newlines);
                }
                out.push_str(comment.text);
                newlines = 0;
            }
            _ => {}
        }
    }
    break_lines(out, newlines);
}

/// Ends the line, with a blank line after it if the text had one.
fn break_lines(out: &mut String, newlines: usize) {
    if !out.is_empty() {
        out.push_str(if newlines > 1 { "\n\n" } else { "\n" });
    }
}
