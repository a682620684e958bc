//! Text → tokens → syntax tree, and back (formatter, highlighting).
//!
//! | step | file | does |
//! |---|---|---|
//! | lex | `lexer`, `token` | lossless tokens, comments included |
//! | split | `split` | where each item begins and ends |
//! | check tokens | `precheck`, `divisor` | what is wrong before any grammar |
//! | parse | `parser` | one item → grammar nodes; the only file that imports pest |
//! | build | `build` | grammar nodes → [`ast`] |
//! | silence | `allow` | comments that allow lints |
//! | explain | `error`, `mistakes`, `types`, `foreign` | a parse that stopped → a message |
//!
//! Names are not resolved and types are not known here; see [`crate::check`].

mod allow;
pub mod ast;
mod build;
mod divisor;
mod emit;
mod error;
mod foreign;
mod format;
mod highlight;
mod lexer;
mod mistakes;
mod parser;
mod precheck;
mod split;
pub mod token;
mod types;

pub use allow::Allowances;
pub use emit::{emit_ast, expr_text, type_text};
pub use format::format;
pub use highlight::{Class, highlight};
pub use lexer::{emit_tokens, lex};

use crate::diagnostics::{Code, Diagnostic, Outcome};
use crate::source::{FileId, MOST_BYTES, Span};

/// Parses a file of at most [`MOST_BYTES`]; see [`parse_at_most`].
#[must_use]
pub fn parse(file: FileId, text: &str) -> Outcome<ast::File> {
    parse_at_most(MOST_BYTES, file, text)
}

/// Parses a file.
///
/// There is always a tree, unless the file has more than `most_bytes`; items that did not parse are
/// [`ast::Item::Error`] in it. Never panics, whatever the text.
#[must_use]
pub fn parse_at_most(most_bytes: usize, file: FileId, text: &str) -> Outcome<ast::File> {
    if text.len() > most_bytes {
        let message = format!("the model has {} bytes, at most {most_bytes} are read", text.len());
        let start = Span::at(file, 0);
        let error = Diagnostic::error(Code::E0018, start, message, "a text this long");
        return Outcome::failed(vec![error.with_help(
            "arrays take the place of many declarations; `--max-model-bytes` takes another limit",
        )]);
    }
    let tokens = lex(file, text);
    let mut bad_tokens = precheck::check_tokens(text, &tokens).into_iter().peekable();
    let mut diagnostics = Vec::new();
    let split = split::split(text, &tokens);
    let mut items = Vec::with_capacity(split.items.len());
    for raw in split.items {
        let span = span_of(raw.tokens);
        while let Some(between) = bad_tokens.next_if(|bad| bad.span().start < span.start) {
            diagnostics.push(between);
        }
        let mut inside = Vec::new();
        while let Some(bad) = bad_tokens.next_if(|bad| bad.span().start < span.end) {
            inside.push(bad);
        }
        let broken = !inside.is_empty();
        if let Some(foreign) = foreign::item(text, raw.tokens) {
            // Nothing inside will be right; one message says it all.
            diagnostics.push(foreign);
            items.push(ast::Item::Error(span));
            continue;
        }
        diagnostics.extend(inside);
        diagnostics.extend(error::layout_errors(&raw));
        if let Some(bracket) = precheck::check_brackets(text, raw.tokens) {
            diagnostics.push(bracket);
            items.push(ast::Item::Error(span));
        } else if broken {
            items.push(ast::Item::Error(span));
        } else {
            match parser::parse_item(file, text, raw.tokens) {
                Ok(node) => {
                    let (item, found) = build::build_item(text, node, raw.doc);
                    diagnostics.extend(found);
                    items.push(item);
                }
                Err(failure) => {
                    diagnostics.push(error::syntax_error(text, raw.tokens, &failure));
                    items.push(ast::Item::Error(span));
                }
            }
        }
    }
    diagnostics.extend(bad_tokens);
    diagnostics.extend(divisor::check_divisors(text, &tokens));
    let span = Span::new(file, 0, text.len());
    Outcome::new(ast::File { doc: split.doc, items, span }, diagnostics)
}

/// Returns the span of a run of tokens, none for an empty one.
fn span_of(tokens: &[token::Token]) -> Span {
    match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => first.span.to(last.span),
        _ => Span::at(FileId(0), 0),
    }
}
