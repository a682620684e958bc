//! What people write who come from Stan, R or Python: blocks, types in front of names, `T[,]`,
//! `target +=`, `return`, `def`, `numpyro.sample`. Each gets its ppl form in the help.

use super::error::Stop;
use super::parser::Rule;
use super::token::{Token, TokenKind};
use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;

/// Stan's types, each with the ppl element type that its dimensions follow.
const TYPES: &[(&str, &str)] = &[
    ("int", "int"),
    ("real", "real"),
    ("vector", "real"),
    ("row_vector", "real"),
    ("matrix", "real"),
    ("array", "array"),
    ("simplex", "simplex"),
    ("ordered", "ordered"),
    ("positive_ordered", "positive_ordered"),
    ("unit_vector", "unit_vector"),
    ("sum_to_zero_vector", "sum_to_zero"),
    ("cov_matrix", "cov_matrix"),
    ("corr_matrix", "corr_matrix"),
    ("cholesky_factor_cov", "cholesky_cov"),
    ("cholesky_factor_corr", "cholesky_corr"),
    ("bool", "bool"),
];

/// Recognises an item in Stan's form; asked before anything inside the item is looked at, since
/// nothing in it will be right.
pub(super) fn item(text: &str, item: &[Token]) -> Option<Diagnostic> {
    let tokens: Vec<Token> = item.iter().filter(|token| !token.kind.is_trivia()).copied().collect();
    block(text, &tokens)
        .or_else(|| typed_declaration(text, &tokens))
        .or_else(|| python(text, &tokens))
}

/// Tells whether a word is one of Stan's types.
pub(super) fn is_type(word: &str) -> bool {
    TYPES.iter().any(|(stan, _)| *stan == word)
}

/// Recognises `parameters { … }`.
fn block(text: &str, tokens: &[Token]) -> Option<Diagnostic> {
    let mut tokens = tokens.iter();
    let mut head = tokens.next()?.span;
    let mut brace = tokens.next()?;
    let mut words = text[head.range()].to_string();
    if matches!(words.as_str(), "transformed" | "generated") {
        words = format!("{words} {}", &text[brace.span.range()]);
        head = head.to(brace.span);
        brace = tokens.next()?;
    }
    if brace.kind != TokenKind::LBrace {
        return None;
    }
    let help = match words.as_str() {
        "data" => {
            "declare each field at the top level: `data y: real[N]`; `N` needs no declaration, it \
             is the length of `y`"
        }
        "parameters" => {
            "declare each latent with its prior: `param sigma: real<lower=0> ~ exponential(1)`"
        }
        "transformed data" | "transformed parameters" => {
            "name each value: `let theta = mu + tau * theta_raw`; the compiler works out when to \
             compute it"
        }
        "model" => "write each statement at the top level: `y ~ normal(mu, sigma)`",
        "generated quantities" => {
            "name each value: `gen r2 = …`; predictive draws and the pointwise log likelihood need \
             none, the compiler derives them"
        }
        "functions" => "declare each function: `fn square_of(x: real) -> real = x * x`",
        _ => return None,
    };
    let message = format!("there are no blocks; this looks like Stan's `{words}` block");
    Some(Diagnostic::error(Code::E0007, head, message, "not a block").with_help(help))
}

/// Recognises `real<lower=0> sigma;` and `param real sigma`.
fn typed_declaration(text: &str, tokens: &[Token]) -> Option<Diagnostic> {
    let opener = tokens.first()?;
    let keyword = matches!(
        opener.kind,
        TokenKind::KwData | TokenKind::KwParam | TokenKind::KwLet | TokenKind::KwGen
    );
    let declared = Declared::read(text, tokens, usize::from(keyword))?;
    let Declared { name, ty, span, next } = declared;
    if next == Some(TokenKind::LParen) && !keyword {
        let message = "functions are declared with `fn`";
        let help = format!("write `fn {name}(x: real) -> {ty} = …`, or a body in braces");
        let error = Diagnostic::error(Code::E0007, span, message, "of another language");
        return Some(error.with_help(help));
    }
    let error = Diagnostic::error(
        Code::E0007,
        span,
        "the type stands behind the name",
        "a type in front of a name",
    );
    if keyword {
        let form = format!("{name}: {ty}");
        return Some(error.with_fix(format!("write `{form}`"), span, form.clone()));
    }
    if next == Some(TokenKind::Equals) {
        let form = format!("let {name}: {ty}");
        return Some(error.with_fix(format!("write `{form}`"), span, form.clone()));
    }
    let form = if ty.starts_with("int") {
        format!("`data {name}: {ty}`")
    } else {
        format!(
            "`data {name}: {ty}` if it is in the data file, `param {name}: {ty} ~ …` if it is latent"
        )
    };
    Some(error.with_help(format!("write {form}")))
}

/// A declaration in Stan's order.
struct Declared {
    name: String,
    /// The type in ppl's words.
    ty: String,
    /// From the type to the end of the name and its dimensions.
    span: Span,
    /// What follows.
    next: Option<TokenKind>,
}

impl Declared {
    /// Reads `type<bounds>[dims] name[dims]` from the tokens that start at `start`.
    fn read(text: &str, tokens: &[Token], start: usize) -> Option<Self> {
        let mut reader = Reader { text, tokens, at: start };
        let first = reader.peek()?.span;
        let mut word = reader.type_word()?;
        let mut dims: Vec<&str> = Vec::new();
        let mut outer = None;
        if word == "array" {
            let array = reader.group(TokenKind::LBracket, TokenKind::RBracket)?;
            word = reader.type_word()?;
            outer = Some(array);
        }
        let bounds = reader.group(TokenKind::Less, TokenKind::Greater);
        let inner = reader.group(TokenKind::LBracket, TokenKind::RBracket);
        let name = reader.next_of(TokenKind::Ident)?;
        let old_style = reader.group(TokenKind::LBracket, TokenKind::RBracket);
        let last = reader.previous()?;
        let structured = !matches!(word, "real" | "int" | "bool");
        let bounds = bounds.map_or_else(String::new, |inside| format!("<{inside}>"));
        let outer: Vec<&str> = outer.into_iter().chain(old_style).collect();
        let ty = if structured && !outer.is_empty() {
            let inner = inner.map_or_else(String::new, |inside| format!("[{inside}]"));
            format!("array[{}] {word}{bounds}{inner}", outer.join(", "))
        } else {
            dims.extend(outer);
            dims.extend(inner);
            let dims =
                if dims.is_empty() { String::new() } else { format!("[{}]", dims.join(", ")) };
            format!("{word}{bounds}{dims}")
        };
        let next = reader.peek().map(|token| token.kind);
        let name = text[name.span.range()].to_string();
        Some(Self { name, ty, span: first.to(last.span), next })
    }
}

/// Walks an item's tokens.
struct Reader<'a> {
    text: &'a str,
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<Token> {
        self.tokens.get(self.at).copied()
    }

    fn previous(&self) -> Option<Token> {
        self.tokens.get(self.at.checked_sub(1)?).copied()
    }

    fn next_of(&mut self, kind: TokenKind) -> Option<Token> {
        let token = self.peek().filter(|token| token.kind == kind)?;
        self.at += 1;
        Some(token)
    }

    /// Takes a Stan type and returns its ppl word.
    fn type_word(&mut self) -> Option<&'static str> {
        let token = self.next_of(TokenKind::Ident)?;
        let shown = &self.text[token.span.range()];
        TYPES.iter().find(|(stan, _)| *stan == shown).map(|(_, word)| *word)
    }

    /// Takes a bracketed group and returns the text inside.
    fn group(&mut self, open: TokenKind, close: TokenKind) -> Option<&'a str> {
        let opener = self.next_of(open)?;
        let mut depth = 1;
        while let Some(token) = self.peek() {
            self.at += 1;
            if token.kind == open {
                depth += 1;
            } else if token.kind == close {
                depth -= 1;
                if depth == 0 {
                    let inside = opener.span.range().end..token.span.range().start;
                    return Some(self.text[inside].trim());
                }
            }
        }
        None
    }
}

/// Recognises `target += …` and `x += …`.
pub(super) fn compound_assignment(stop: &Stop<'_>) -> Option<Diagnostic> {
    let arithmetic = matches!(
        stop.kind(-1)?,
        TokenKind::Plus | TokenKind::Minus | TokenKind::Star | TokenKind::Slash
    );
    if stop.kind(0)? != TokenKind::Equals || !arithmetic || !stop.touches(-1) {
        return None;
    }
    let sign = stop.token(-1)?.span.to(stop.span());
    let first = stop.tokens[0];
    if &stop.text[first.span.range()] == "target" && stop.shown(-1) == "+" {
        let head = first.span.to(sign);
        return Some(
            Diagnostic::error(
                Code::E0007,
                head,
                "terms are added to the log joint by `factor`",
                "of another language",
            )
            .with_fix("write `factor`", head, "factor"),
        );
    }
    let message = format!("`{}` changes a value", &stop.text[sign.range()]);
    Some(
        Diagnostic::error(Code::E0007, sign, message, "not an operator")
            .with_help("names are defined once; a running sum is `sum(…)` or `cumulative_sum(…)`"),
    )
}

/// Recognises `fn f(real x, vector[N] y)`.
pub(super) fn typed_parameter(stop: &Stop<'_>) -> Option<Diagnostic> {
    let start = stop.at.checked_sub(1).filter(|_| stop.expects(Rule::colon))?;
    let declared = Declared::read(stop.text, &stop.tokens, start)?;
    let form = format!("{}: {}", declared.name, declared.ty);
    Some(
        Diagnostic::error(
            Code::E0007,
            declared.span,
            "the type stands behind the name",
            "a type in front of a name",
        )
        .with_fix(format!("write `{form}`"), declared.span, form.clone()),
    )
}

/// Recognises statements of NumPyro's and PyMC's models: `import numpyro`, `with pm.Model()`,
/// `mu = numpyro.sample("mu", dist.Normal(0, 1))`.
fn python(text: &str, tokens: &[Token]) -> Option<Diagnostic> {
    let shown = |at: usize| tokens.get(at).map_or("", |token| &text[token.span.range()]);
    let whole = tokens.first()?.span.to(tokens.last()?.span);
    let error = |message: &str, help: &str| {
        Some(Diagnostic::error(Code::E0007, whole, message, "of another language").with_help(help))
    };
    let imports = tokens[0].kind == TokenKind::KwImport && matches!(shown(2), "." | "as")
        || shown(0) == "from" && tokens.iter().any(|token| token.kind == TokenKind::KwImport);
    if imports {
        return error(
            "Python's modules are not imported",
            "remove the line; distributions and functions are known by their names",
        );
    }
    if shown(0) == "with" && tokens.get(1).is_some_and(|token| token.kind == TokenKind::Ident) {
        return error(
            "there are no `with` blocks",
            "declarations stand at the top level; a plate is an array: `param z: real[N] ~ …`",
        );
    }
    let strings = tokens.iter().any(|token| token.kind == TokenKind::Str);
    let dotted = (0..tokens.len()).any(|at| {
        let module = matches!(shown(at), "numpyro" | "pyro" | "pm" | "pymc" | "tfd");
        module && shown(at + 1) == "."
    });
    if !strings || !dotted {
        return None;
    }
    let observed = tokens.windows(2).any(|pair| {
        matches!(&text[pair[0].span.range()], "obs" | "observed")
            && pair[1].kind == TokenKind::Equals
    });
    if observed {
        return error(
            "an observation is a statement",
            "declare the data, then state its distribution: `y ~ normal(mu, sigma)`",
        );
    }
    error("a latent is declared", "write `param mu ~ normal(0, 1)`")
}

/// Recognises `y ~ normal(mu, sigma) T[0, ]`.
pub(super) fn truncation(stop: &Stop<'_>) -> Option<Diagnostic> {
    let is_stan = stop.shown(0) == "T"
        && stop.kind(-1) == Some(TokenKind::RParen)
        && stop.kind(1) == Some(TokenKind::LBracket);
    is_stan.then(|| {
        let span = stop.span().to(stop.end());
        let error = Diagnostic::error(
            Code::E0007,
            span,
            "truncation is a distribution of its own",
            "of another language",
        );
        match truncated(stop) {
            Some((whole, form)) => error.with_fix(format!("write `{form}`"), whole, form.clone()),
            None => error.with_help("write `y ~ truncate(normal(mu, sigma), lower=0)`"),
        }
    })
}

/// The distribution in front of `T[a, b]`, to the end of that, and what it is here.
fn truncated(stop: &Stop<'_>) -> Option<(Span, String)> {
    let before = &stop.tokens[..stop.at];
    let tilde = before.iter().rposition(|token| token.kind == TokenKind::Tilde)?;
    let dist = before.get(tilde + 1)?.span.to(before.last()?.span);
    let rest = &stop.tokens[stop.at + 2..];
    let close = rest.iter().rposition(|token| token.kind == TokenKind::RBracket)?;
    let whole = dist.to(rest[close].span);
    let mut depth = 0usize;
    let mut ends = rest[..close].split(|token| {
        depth += usize::from(token.kind.closer().is_some());
        depth = depth.saturating_sub(usize::from(token.kind.is_closer()));
        depth == 0 && token.kind == TokenKind::Comma
    });
    let mut form = format!("truncate({}", &stop.text[dist.range()]);
    for bound in ["lower", "upper"] {
        if let Some([first, .., last] | [first @ last]) = ends.next() {
            form += &format!(", {bound}={}", &stop.text[first.span.to(last.span).range()]);
        }
    }
    Some((whole, form + ")"))
}

/// Recognises words that begin a statement in other languages: `return x`, `def f(x):`.
pub(super) fn word(stop: &Stop<'_>) -> Option<Diagnostic> {
    let first = stop.tokens[0];
    // A `while` may look like a call up to its brace.
    let word = if &stop.text[first.span.range()] == "while" { first } else { stop.token(-1)? };
    if word.kind != TokenKind::Ident {
        return None;
    }
    let shown = &stop.text[word.span.range()];
    let error =
        |message: &str| Diagnostic::error(Code::E0007, word.span, message, "of another language");
    match shown {
        "return" => {
            let gap = Span { end: stop.span().start, ..word.span };
            Some(error("a function's value is the expression at its end").with_fix(
                "remove the `return`",
                gap,
                "",
            ))
        }
        "def" | "function" | "func" | "fun" => {
            Some(error("functions are declared with `fn`").with_help(
                "write `fn f(x: real) -> real = …`, or a body in braces that ends with the value",
            ))
        }
        "var" | "const" | "val" | "auto" | "local" => {
            Some(error("values are named with `let`").with_fix("write `let`", word.span, "let"))
        }
        "parameter" | "latent" => Some(error("latents are declared with `param`").with_fix(
            "write `param`",
            word.span,
            "param",
        )),
        "observed" | "input" => {
            Some(error("data is declared with `data`").with_fix("write `data`", word.span, "data"))
        }
        "while" => Some(error("there is no `while`").with_help(
            "a recursion is a `let` with elements: `let s: real[T] { … for t in 2:T { … } }`",
        )),
        _ => None,
    }
}
