//! Mistakes worth recognising where a parse stopped: signs of definition, keywords as names,
//! missing pieces, operators of other languages. `foreign` knows whole items of Stan.
//!
//! Each recogniser answers with a diagnostic or leaves the matter to the next; the order is from
//! particular to general.

use super::build::is_distribution;
use super::error::Stop;
use super::foreign;
use super::parser::Rule;
use super::token::TokenKind;
use super::types;
use crate::diagnostics::{Code, Diagnostic, nearest};
use crate::source::Span;

/// Recognises a known mistake where a parse stopped.
pub(super) fn recognise(stop: &Stop<'_>) -> Option<Diagnostic> {
    const RECOGNISERS: &[fn(&Stop<'_>) -> Option<Diagnostic>] = &[
        foreign::compound_assignment,
        foreign::truncation,
        foreign::word,
        misspelt_keyword,
        missing_tilde,
        comprehension,
        wrong_sign,
        foreign_operator,
        let_in_dist,
        declaration_in_braces,
        keyword_as_name,
        stray_else,
        several_names,
        loop_head,
        types::bounds,
        types::bounds_in_parentheses,
        types::bounds_behind,
        types::dimensions,
        types::two_brackets,
        foreign::typed_parameter,
        stray_string,
        missing_braces,
        missing_type,
        missing_value,
        missing_quotes,
        missing_separator,
    ];
    RECOGNISERS.iter().find_map(|recognise| recognise(stop))
}

/// `params mu ~ …`, `lett x = …`: a name near a keyword, then the name that is declared.
fn misspelt_keyword(stop: &Stop<'_>) -> Option<Diagnostic> {
    const KEYWORDS: [&str; 6] = ["data", "param", "let", "marginal", "gen", "factor"];
    let first = stop.tokens[0];
    if stop.at != 1 || first.kind != TokenKind::Ident || stop.kind(0)? != TokenKind::Ident {
        return None;
    }
    let word = &stop.text[first.span.range()];
    let near = nearest(word, KEYWORDS.into_iter())?;
    let message = format!("`{word}` is no keyword");
    Some(
        Diagnostic::error(Code::E0001, first.span, message, format!("did you mean `{near}`?"))
            .with_fix(format!("write `{near}`"), first.span, near),
    )
}

/// `param mu normal(0, 1)`, `y normal(mu, 1)`.
fn missing_tilde(stop: &Stop<'_>) -> Option<Diagnostic> {
    let stated = stop.kind(0)? == TokenKind::Ident && stop.kind(1)? == TokenKind::LParen;
    let random = matches!(stop.tokens[0].kind, TokenKind::KwParam | TokenKind::KwMarginal)
        && stop.expects(Rule::tilde);
    let statement = stop.tokens[0].kind == TokenKind::Ident
        && is_distribution(stop.shown(0))
        && !stop.tokens[..stop.at].iter().any(|t| t.kind == TokenKind::Tilde);
    (stated && (random || statement) && stop.kind(-1)?.ends_operand()).then(|| {
        let gap = Span { end: stop.span().start, ..stop.behind_previous() };
        let message = format!("expected `~` before the distribution {}", stop.quoted(0));
        Diagnostic::error(Code::E0012, stop.span(), message, "a distribution").with_fix(
            "put a `~` before it",
            gap,
            " ~ ",
        )
    })
}

/// `let (a, b) = …`.
fn several_names(stop: &Stop<'_>) -> Option<Diagnostic> {
    let opener = stop.tokens[0].kind;
    let opens = matches!(stop.kind(0)?, TokenKind::LParen | TokenKind::LBracket);
    (matches!(opener, TokenKind::KwLet | TokenKind::KwGen) && stop.at == 1 && opens).then(|| {
        let message = "a definition names one value";
        Diagnostic::error(Code::E0007, stop.span(), message, "several names").with_help(
            "write a definition for each; a function gives several numbers as one array: \
             `let both = f(x)`, then `both[1]` and `both[2]`",
        )
    })
}

/// `[x for i in 1:N]`, `lambda x: …`.
fn comprehension(stop: &Stop<'_>) -> Option<Diagnostic> {
    let error =
        |message: &str| Diagnostic::error(Code::E0007, stop.span(), message, "of another language");
    if stop.kind(0)? == TokenKind::KwFor && stop.expects(Rule::comma) {
        return Some(error("an array is not made by a `for` in brackets").with_help(
            "what is elementwise needs no loop; else define it element by element: \
             `let m: real[N] { for i in 1:N { m[i] = … } }`",
        ));
    }
    if stop.kind(-1)? == TokenKind::Ident && stop.shown(-1) == "lambda" {
        return Some(
            error("functions have names").with_help(
                "declare it at the top level: `fn f(x: real) -> real = …`, and pass `f`",
            ),
        );
    }
    None
}

/// `param x = …`, `let x ~ …`, `let x <- …`, `let x := …`.
fn wrong_sign(stop: &Stop<'_>) -> Option<Diagnostic> {
    let opener = stop.tokens[0];
    let defines = matches!(opener.kind, TokenKind::KwLet | TokenKind::KwGen | TokenKind::KwData);
    let random = matches!(opener.kind, TokenKind::KwParam | TokenKind::KwMarginal);
    let keyword = &stop.text[opener.span.range()];
    let span = stop.span();
    let sign = if random { "~" } else { "=" };
    match stop.kind(0)? {
        TokenKind::Less if stop.kind(1) == Some(TokenKind::Minus) && stop.touches(0) => {
            let arrow = span.to(stop.token(1)?.span);
            let error =
                Diagnostic::error(Code::E0012, arrow, "`<-` defines nothing", "no operator");
            Some(error.with_fix(format!("write `{sign}`"), arrow, sign))
        }
        TokenKind::Equals if stop.kind(-1) == Some(TokenKind::Colon) && stop.touches(-1) => {
            let walrus = stop.token(-1)?.span.to(span);
            let error =
                Diagnostic::error(Code::E0012, walrus, "`:=` defines nothing", "no operator");
            Some(error.with_fix(format!("write `{sign}`"), walrus, sign))
        }
        TokenKind::Equals if random => Some(
            Diagnostic::error(
                Code::E0012,
                span,
                format!("a `{keyword}` has a distribution, not a value"),
                "expected `~`",
            )
            .with_help(format!(
                "write `{keyword} name ~ distribution(…)`, or `let name = …` for a value"
            ))
            .with_fix("replace it by `~`", span, "~"),
        ),
        TokenKind::Tilde if defined(stop) => None,
        TokenKind::Tilde if opener.kind == TokenKind::KwData => Some(
            Diagnostic::error(
                Code::E0012,
                span,
                "`data` only declares; its distribution is a statement",
                "expected `=` or a new line",
            )
            .with_help("state it on a line of its own: `y ~ normal(mu, sigma)`"),
        ),
        TokenKind::Tilde if defines => Some(
            Diagnostic::error(
                Code::E0012,
                span,
                format!("a `{keyword}` has a value, not a distribution"),
                "expected `=`",
            )
            .with_help("a latent with a distribution is a `param`: `param mu ~ normal(0, 1)`"),
        ),
        _ => None,
    }
}

/// Tells whether the item's `=` has been read.
fn defined(stop: &Stop<'_>) -> bool {
    let mut depth = 0usize;
    stop.tokens[..stop.at].iter().any(|token| {
        // The `=` of bounds stands between `<` and `>`.
        match token.kind {
            TokenKind::Less => depth += 1,
            TokenKind::Greater => depth = depth.saturating_sub(1),
            _ => {}
        }
        token.kind == TokenKind::Equals && depth == 0
    })
}

/// `**`, `%*%`, `a ? b : c`, `and`, `or`, `not`, `real<lower=0>= 1`.
fn foreign_operator(stop: &Stop<'_>) -> Option<Diagnostic> {
    let replace = |first: isize, last: isize, by: &str| {
        let span = stop.token(first)?.span.to(stop.token(last)?.span);
        let shown = &stop.text[span.range()];
        let message = format!("`{shown}` is not an operator");
        Some(Diagnostic::error(Code::E0007, span, message, "of another language").with_fix(
            format!("write `{by}`"),
            span,
            by,
        ))
    };
    let negated = stop.kind(-1) == Some(TokenKind::Ident) && stop.shown(-1) == "not";
    match stop.kind(0)? {
        TokenKind::Star if stop.kind(-1) == Some(TokenKind::Star) => replace(-1, 0, "^"),
        TokenKind::Star if stop.kind(-1) == Some(TokenKind::Percent) => replace(-1, 1, "@"),
        TokenKind::Ident if stop.shown(0) == "and" => replace(0, 0, "&&"),
        TokenKind::Ident if stop.shown(0) == "or" => replace(0, 0, "||"),
        kind if negated && kind.begins_operand() => replace(-1, -1, "!"),
        TokenKind::Question => Some(
            Diagnostic::error(
                Code::E0007,
                stop.span(),
                "`?` is not an operator",
                "only a type may have one: `real?[N]`",
            )
            .with_help("a choice is written `if condition { a } else { b }`"),
        ),
        TokenKind::GreaterEq if stop.expects(Rule::gt) => Some(
            Diagnostic::error(
                Code::E0001,
                stop.span(),
                "expected `>`, found `>=`",
                "reads as one operator",
            )
            .with_fix("write `> =`", stop.span(), "> ="),
        ),
        _ => None,
    }
}

/// `param gen ~ …`, `let x = data + 1`.
fn keyword_as_name(stop: &Stop<'_>) -> Option<Diagnostic> {
    let wants_name = [Rule::name, Rule::binding, Rule::typed_param, Rule::expr, Rule::value]
        .iter()
        .chain(&[Rule::postfix, Rule::operand, Rule::arg, Rule::bound])
        .any(|rule| stop.expects(*rule));
    let word = stop.shown(0);
    if !stop.kind(0)?.is_keyword() || !wants_name || stop.kind(0) == Some(TokenKind::KwElse) {
        return None;
    }
    if stop.kind(-1) == Some(TokenKind::KwFor) && stop.kind(1) != Some(TokenKind::KwIn) {
        return None;
    }
    let message = format!("`{word}` is a keyword, not a name");
    Some(
        Diagnostic::error(Code::E0011, stop.span(), message, "belongs to the language")
            .with_suggestion("choose another name", stop.span(), format!("{word}_")),
    )
}

/// `let` between the members of a `dist`.
fn let_in_dist(stop: &Stop<'_>) -> Option<Diagnostic> {
    let in_dist = stop.tokens[0].kind == TokenKind::KwDist && stop.expects(Rule::rbrace);
    (in_dist && stop.kind(0)? == TokenKind::KwLet).then(|| {
        let message = "a `dist` holds only its functions";
        Diagnostic::error(Code::E0015, stop.span(), message, "a `let` may not stand here")
            .with_help("put it into the function: `log_density(x) { let z = …; … }`")
    })
}

/// `for i in 1:N { param m ~ …`.
fn declaration_in_braces(stop: &Stop<'_>) -> Option<Diagnostic> {
    let kind = stop.kind(0)?;
    let declares = matches!(
        kind,
        TokenKind::KwData
            | TokenKind::KwParam
            | TokenKind::KwMarginal
            | TokenKind::KwGen
            | TokenKind::KwFn
            | TokenKind::KwDist
            | TokenKind::KwImport
    );
    let in_block = stop.expects(Rule::rbrace) || stop.expects(Rule::let_stmt);
    (declares && in_block).then(|| {
        let word = stop.shown(0);
        let message = format!("a `{word}` stands at the top level");
        let error = Diagnostic::error(Code::E0015, stop.span(), message, "inside braces");
        match kind {
            TokenKind::KwParam | TokenKind::KwMarginal => error.with_help(format!(
                "declare it outside, as an array where each step has its own: `{word} m: real[N] ~ …`, \
                 and use `m[i]` here"
            )),
            _ => error.with_help("move it out of the braces"),
        }
    })
}

/// `print("…")`.
fn stray_string(stop: &Stop<'_>) -> Option<Diagnostic> {
    (stop.kind(0)? == TokenKind::Str && !stop.expects(Rule::string)).then(|| {
        let message = "a string stands only after `import`";
        let error = Diagnostic::error(Code::E0001, stop.span(), message, "there are no strings");
        match stop.tokens.iter().find(|token| token.kind == TokenKind::Ident) {
            Some(callee) if &stop.text[callee.span.range()] == "print" => {
                error.with_help("a model prints nothing; name a value with `gen` to see its draws")
            }
            Some(callee) if &stop.text[callee.span.range()] == "reject" => error
                .with_help("nothing is rejected; the type says what is allowed: `real<lower=0>`"),
            _ => error,
        }
    })
}

/// `else` where no `if` is open.
fn stray_else(stop: &Stop<'_>) -> Option<Diagnostic> {
    (stop.kind(0)? == TokenKind::KwElse).then(|| {
        Diagnostic::error(Code::E0001, stop.span(), "`else` without `if`", "no `if` ends here")
            .with_help("write `if condition { … } else { … }`, with braces around each branch")
    })
}

/// `for (i in 1:N)`, `for i = 1:N`.
fn loop_head(stop: &Stop<'_>) -> Option<Diagnostic> {
    let span = stop.span();
    let help = "write `for i in 1:N { … }`";
    if stop.kind(-1) == Some(TokenKind::KwFor) && stop.kind(0) == Some(TokenKind::LParen) {
        let message = "a loop's head stands without parentheses";
        return Some(Diagnostic::error(Code::E0007, span, message, "not needed").with_help(help));
    }
    if stop.expects(Rule::kw_in) {
        let message = format!("expected `in`, found {}", stop.found());
        let error = Diagnostic::error(Code::E0001, span, message, "`in` goes here");
        let error = error.with_help(help);
        return Some(match stop.kind(0) {
            Some(TokenKind::Equals) => error.with_fix("replace it by `in`", span, "in"),
            _ => error,
        });
    }
    None
}

/// `if x > 0 y ~ …`, `for i in 1:N: …`: a statement without braces.
fn missing_braces(stop: &Stop<'_>) -> Option<Diagnostic> {
    let wants = stop.expects(Rule::block) || stop.expects(Rule::lbrace);
    let statement = |kind| matches!(kind, TokenKind::KwFor | TokenKind::KwIf | TokenKind::KwElse);
    let opener = stop.tokens[..stop.at].iter().rev().find(|token| statement(token.kind))?;
    let wants = wants && !stop.expects(Rule::equals);
    wants.then(|| {
        let keyword = &stop.text[opener.span.range()];
        if let Some(colon) = stop.line_ending_colon() {
            let message = format!("the body of a `{keyword}` stands in braces");
            return Diagnostic::error(Code::E0007, colon, message, "a `:` begins no block")
                .with_label(opener.span, format!("this `{keyword}`"))
                .with_help(format!("write `{keyword} … {{ … }}`, even for one statement"));
        }
        let message = format!("expected `{{`, found {}", stop.found());
        Diagnostic::error(Code::E0001, stop.span(), message, "braces begin here")
            .with_label(opener.span, format!("the body of this `{keyword}` needs braces"))
            .with_help(format!("write `{keyword} … {{ … }}`, even for one statement"))
    })
}

/// `data y real[N]`, `data y`, `fn f(x)`, `fn f(x: real) = …`, `dist d(x: real) { … }`.
fn missing_type(stop: &Stop<'_>) -> Option<Diagnostic> {
    let before = stop.behind_previous();
    let found = stop.found();
    if stop.expects(Rule::arrow) {
        let message = format!("expected `->` and the type of the value, found {found}");
        return Some(
            Diagnostic::error(Code::E0001, stop.span(), message, "the type goes before this")
                .with_suggestion("say what type the function has: `-> real`", before, " -> real"),
        );
    }
    if stop.expects(Rule::kw_on) {
        let message = format!("expected `on` and the support, found {found}");
        return Some(
            Diagnostic::error(Code::E0001, stop.span(), message, "the support goes before this")
                .with_suggestion("say what a draw is: `on real`", before, " on real"),
        );
    }
    if !stop.expects(Rule::colon) || stop.kind(-1) != Some(TokenKind::Ident) {
        return None;
    }
    let name = stop.shown(-1);
    let needs = stop.tokens[0].kind == TokenKind::KwData
        || matches!(stop.kind(0), Some(TokenKind::Comma | TokenKind::RParen));
    let only_colon = stop.expected.len() == 1;
    match stop.kind(0) {
        Some(TokenKind::Ident) if only_colon => Some(
            Diagnostic::error(
                Code::E0001,
                stop.span(),
                format!("expected `:`, found {found}"),
                "the type begins here",
            )
            .with_fix(format!("put a `:` after `{name}`"), before, ":"),
        ),
        _ if needs && only_colon => Some(
            Diagnostic::error(
                Code::E0001,
                stop.token(-1)?.span,
                format!("the type of `{name}` is missing"),
                "expected a `:` and a type after this",
            )
            .with_help(format!("write `{name}: real`, or `{name}: real[N]` for an array")),
        ),
        _ => None,
    }
}

/// `let q: real[N]` and nothing more.
fn missing_value(stop: &Stop<'_>) -> Option<Diagnostic> {
    let defines = matches!(stop.tokens[0].kind, TokenKind::KwLet | TokenKind::KwGen);
    let ends = defines && stop.kind(0).is_none() && stop.expects(Rule::equals);
    let name = stop.tokens.get(1).map(|token| &stop.text[token.span.range()])?;
    ends.then(|| {
        let head = &stop.text[stop.tokens[0].span.to(stop.end()).range()];
        let message = format!("`{name}` has no value");
        Diagnostic::error(Code::E0001, stop.span(), message, "expected `=` or `{`").with_help(
            format!(
                "define it where it is declared: `{head} = …`, or element by element: \
                 `{head} {{ {name}[1] = … }}`"
            ),
        )
    })
}

/// `import helpers`.
fn missing_quotes(stop: &Stop<'_>) -> Option<Diagnostic> {
    if !stop.expects(Rule::string) {
        return None;
    }
    let message = format!("expected a path in quotes, found {}", stop.found());
    let error = Diagnostic::error(Code::E0001, stop.span(), message, "not in quotes");
    Some(match (stop.token(0), stop.tokens.last()) {
        (Some(first), Some(last)) => {
            let whole = first.span.to(last.span);
            let path = stop.text[whole.range()].trim_end_matches(".ppl");
            let quoted = format!("\"{path}.ppl\"");
            error.with_fix(format!("write `{quoted}`"), whole, quoted.clone())
        }
        _ => error.with_help("write `import \"helpers.ppl\"`"),
    })
}

/// Two operands side by side: a new statement, or an operator or comma left out.
fn missing_separator(stop: &Stop<'_>) -> Option<Diagnostic> {
    let found = stop.kind(0)?;
    let adjacent = stop.kind(-1)?.ends_operand() && found.begins_operand();
    if !adjacent || stop.starts_line() {
        return None;
    }
    let gap = Span { end: stop.span().start, ..stop.behind_previous() };
    let between = format!("between {} and {}", stop.quoted(-1), stop.quoted(0));
    if stop.expects(Rule::comma) {
        let message = format!("expected `,` or an operator {between}");
        return Some(
            Diagnostic::error(Code::E0001, stop.span(), message, "a new operand begins here")
                .with_suggestion("separate them by a `,`", gap, ", "),
        );
    }
    let rest = stop.tokens.get(stop.at..).unwrap_or_default();
    let states =
        rest.iter().any(|token| matches!(token.kind, TokenKind::Tilde | TokenKind::Equals));
    if states && stop.expects(Rule::EOI) {
        let message = "two items on one line";
        return Some(
            Diagnostic::error(Code::E0009, stop.span(), message, "expected a new line before this")
                .with_fix("begin a new line", gap, "\n"),
        );
    }
    let operator = stop.expects(Rule::op_mul);
    operator.then(|| {
        let message = format!("expected an operator {between}");
        Diagnostic::error(Code::E0001, stop.span(), message, "a new operand begins here")
            .with_help("a product needs its `*`")
    })
}
