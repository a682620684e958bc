//! What can be found wrong in tokens alone, before the grammar is tried: characters without
//! meaning, comments and strings without end, brackets without partner, too deep nesting.

use super::divisor::{ADVICE, swallowed};
use super::token::{Token, TokenKind};
use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;

/// The deepest nesting of brackets that is parsed; the parser recurses once per bracket.
pub(super) const MAX_BRACKETS: usize = 64;

/// Reports every token that cannot be part of a file.
pub(super) fn check_tokens(text: &str, tokens: &[Token]) -> Vec<Diagnostic> {
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    let mut unknown_end = None;
    for token in tokens {
        let shown = &text[token.span.range()];
        match token.kind {
            TokenKind::Unknown => {
                // A run of such characters is one mistake.
                let continues = unknown_end == Some(token.span.start);
                unknown_end = Some(token.span.end);
                if !continues {
                    diagnostics.push(unknown_character(*token, shown, text));
                }
            }
            TokenKind::HashComment => {
                let hashes = shown.len() - shown.trim_start_matches('#').len();
                let start = token.span.range().start;
                let sign = Span::new(token.span.file, start, start + hashes);
                let message = "a comment begins with `//`";
                let label = "of another language";
                let error = Diagnostic::error(Code::E0002, sign, message, label);
                diagnostics.push(error.with_fix("write `//`", sign, "//"));
            }
            TokenKind::BadNumber => diagnostics.push(bad_number(*token, shown)),
            TokenKind::BlockComment if shown.len() < 4 || !shown.ends_with("*/") => {
                let opener = Span { end: token.span.start + 2, ..token.span };
                let message = "a comment that does not end";
                let end = Span { start: token.span.end, ..token.span };
                diagnostics.push(
                    Diagnostic::error(Code::E0004, opener, message, "begins here, without a `*/`")
                        .with_fix("close it with `*/`", end, " */"),
                );
            }
            TokenKind::Str if shown.len() < 2 || !shown.ends_with('"') => {
                let message = "a string that does not end";
                let end = Span { start: token.span.end, ..token.span };
                diagnostics.push(
                    Diagnostic::error(Code::E0004, token.span, message, "no `\"` on this line")
                        .with_fix("close it with `\"`", end, "\""),
                );
            }
            _ => {}
        }
    }
    diagnostics
}

fn bad_number(token: Token, shown: &str) -> Diagnostic {
    let message = format!("`{shown}` is not a number");
    let error = Diagnostic::error(Code::E0005, token.span, message, "letters glued to a number");
    let letters = shown.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '_');
    let number = &shown[..shown.len() - letters.len()];
    if matches!(letters, "e" | "E") {
        error.with_help("an exponent needs digits: `1e3`, `1e-3`")
    } else {
        let product = format!("{number} * {letters}");
        error.with_fix(format!("for a product write `{product}`"), token.span, product)
    }
}

fn unknown_character(token: Token, shown: &str, text: &str) -> Diagnostic {
    let shown_code = shown.chars().next().map_or(0, u32::from);
    let name = match shown {
        "\u{a0}" => "a non-breaking blank".to_string(),
        _ if shown.chars().any(|c| c.is_control() || c.is_whitespace()) => {
            format!("the invisible character U+{shown_code:04X}")
        }
        _ => format!("`{shown}`"),
    };
    let message = format!("{name} has no meaning here");
    let error = Diagnostic::error(Code::E0002, token.span, message, "not part of the language");
    let plain = |error: Diagnostic, plain: &str| {
        error.with_fix(format!("write `{plain}`"), token.span, plain)
    };
    match shown {
        "\u{a0}" | "\u{2009}" | "\u{202f}" | "\u{3000}" => {
            error.with_fix("replace it by a blank", token.span, " ")
        }
        "\u{200b}" | "\u{200c}" | "\u{200d}" | "\u{2060}" => {
            error.with_fix("remove it", token.span, "")
        }
        "−" | "–" | "—" => plain(error, "-"),
        "×" | "·" | "∗" => plain(error, "*"),
        "≤" => plain(error, "<="),
        "≥" => plain(error, ">="),
        "≠" => plain(error, "!="),
        "∼" | "˜" => plain(error, "~"),
        "“" | "”" => plain(error, "\""),
        "’" => plain(error, "'"),
        "|" if of_density(&text[..token.span.range().start]) => {
            let blanks = text[..token.span.range().start].trim_end().len();
            let bar = Span::new(token.span.file, blanks, token.span.range().end);
            error.with_help("a density is stated with `~`: `y ~ normal(mu, sigma)`").with_fix(
                "separate the arguments by `,`",
                bar,
                ",",
            )
        }
        "|" => error.with_help("`||` is the logical or; arguments are separated by `,`"),
        "&" => error.with_help("`&&` is the logical and"),
        "$" => error.with_help("there are no fields; each name stands alone"),
        "\\" => error.with_help("division is `/`; a long line needs no `\\` to go on"),
        "." if text[token.span.range().end..].starts_with(['*', '/', '^']) => error
            .with_help("`*`, `/` and `^` are elementwise already; the matrix product is `@`")
            .with_fix("remove the dot", token.span, ""),
        "." => match qualifier(text, token) {
            Some(module) => {
                let title = format!("remove `{}`", &text[module.range()]);
                error
                    .with_help("there are no modules; every name stands alone")
                    .with_fix(title, module, "")
            }
            None => field(error, token, text),
        },
        _ => error,
    }
}

/// `y.shape`, `x.sum()`, `X.T`, or R's `a.name`.
fn field(error: Diagnostic, dot: Token, text: &str) -> Diagnostic {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let (before, after) = (&text[..dot.span.range().start], &text[dot.span.range().end..]);
    let name = &before[before.trim_end_matches(word).len()..];
    let member = &after[..after.len() - after.trim_start_matches(word).len()];
    let called = after[member.len()..].starts_with('(');
    match member {
        "shape" | "size" | "len" | "length" => error.with_help(
            "the number of elements is `size(y)`, of rows `rows(X)`, of columns `cols(X)`",
        ),
        "T" => error.with_help("the transposed matrix is `X'`"),
        _ if called && !name.is_empty() => error.with_help(format!(
            "there are no methods; what acts on `{name}` takes it as argument: `f({name})`"
        )),
        _ => error.with_help("there are no fields").with_fix("use `_` within names", dot.span, "_"),
    }
}

/// Tells whether the text ends within the parentheses of a call such as `normal_lpdf(y`.
fn of_density(before: &str) -> bool {
    let call = before.rfind('(').map_or("", |paren| &before[..paren]);
    ["_lpdf", "_lpmf", "_lcdf", "_lccdf", "_cdf", "_lupdf", "_lupmf"]
        .iter()
        .any(|suffix| call.trim_end().ends_with(suffix))
}

/// The name of a module before a `.`, with it: `np.`.
fn qualifier(text: &str, dot: Token) -> Option<Span> {
    const MODULES: &[&str] = &[
        "np", "jnp", "numpy", "math", "torch", "tf", "tfd", "dist", "pm", "pymc", "pyro",
        "numpyro", "stats", "scipy", "special", "jax", "F",
    ];
    let before = &text[..dot.span.range().start];
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let name = before.trim_end_matches(word).len();
    let span = Span::new(dot.span.file, name, dot.span.range().end);
    MODULES.contains(&&before[name..]).then_some(span)
}

/// Reports brackets that do not match and nesting that is too deep; at most one of each kind of
/// mistake per item, since the others usually follow from it.
pub(super) fn check_brackets(text: &str, tokens: &[Token]) -> Option<Diagnostic> {
    let mut open: Vec<Token> = Vec::new();
    // `array[2] array[2] …` nests without brackets within brackets.
    let mut arrays = 0;
    for token in tokens {
        if &text[token.span.range()] == "array" {
            arrays += 1;
            if arrays > MAX_BRACKETS {
                return Some(too_deep(*token));
            }
        }
        if token.kind.closer().is_some() {
            open.push(*token);
            if open.len() > MAX_BRACKETS {
                return Some(too_deep(*token));
            }
        } else if token.kind.is_closer() {
            match open.pop() {
                None => return Some(unopened(*token, text)),
                Some(opener) if opener.kind.closer() != Some(token.kind) => {
                    return Some(mismatched(opener, *token, text));
                }
                Some(_) => {}
            }
        }
    }
    let opener = open.pop()?;
    Some(unclosed(opener, tokens, text))
}

fn too_deep(token: Token) -> Diagnostic {
    let message = "nested too deeply";
    let label = format!("more than {MAX_BRACKETS} open brackets");
    Diagnostic::error(Code::E0006, token.span, message, label)
        .with_help("name the inner parts with `let`")
}

fn unopened(token: Token, text: &str) -> Diagnostic {
    let shown = &text[token.span.range()];
    let message = format!("`{shown}` closes nothing");
    Diagnostic::error(Code::E0003, token.span, message, "no bracket is open here").with_suggestion(
        format!("remove the `{shown}`"),
        token.span,
        "",
    )
}

fn mismatched(opener: Token, token: Token, text: &str) -> Diagnostic {
    let (left, right) = (&text[opener.span.range()], &text[token.span.range()]);
    let wanted = closing_text(opener.kind);
    let message = format!("`{left}` is closed by `{right}`");
    Diagnostic::error(Code::E0003, token.span, message, format!("expected `{wanted}`"))
        .with_label(opener.span, "opened here")
        .with_help(format!(
            "write `{wanted}` here, or close the `{left}` before if this `{right}` belongs to a \
             bracket further out"
        ))
}

fn unclosed(opener: Token, tokens: &[Token], text: &str) -> Diagnostic {
    let left = &text[opener.span.range()];
    let wanted = closing_text(opener.kind);
    let message = format!("`{left}` is never closed");
    let error = Diagnostic::error(Code::E0003, opener.span, message, "opened here");
    match tokens.last() {
        Some(last) => {
            let end = Span { start: last.span.end, ..last.span };
            let insert = if wanted == "}" { "\n}" } else { wanted };
            let error = match swallowed(text, tokens, opener.span, wanted) {
                Some(comment) => error
                    .with_label(comment, format!("a `{wanted}` in a comment"))
                    .with_note(ADVICE),
                None => error,
            };
            error.with_label(end, format!("no `{wanted}` up to here")).with_fix(
                format!("insert the missing `{wanted}`"),
                end,
                insert,
            )
        }
        None => error,
    }
}

fn closing_text(opener: TokenKind) -> &'static str {
    match opener {
        TokenKind::LParen => ")",
        TokenKind::LBracket => "]",
        _ => "}",
    }
}
