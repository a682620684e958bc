//! A parse that stopped → a message for people: what was expected, what was found.
//!
//! `mistakes` is asked first; it knows what people write who come from elsewhere.

use super::mistakes;
use super::parser::{Failure, Rule};
use super::split::RawItem;
use super::token::{Token, TokenKind};
use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;

/// Where the parse of an item stopped, with the item around it.
pub(super) struct Stop<'a> {
    /// The text of the file.
    pub(super) text: &'a str,
    /// The item's tokens without trivia; never empty.
    pub(super) tokens: Vec<Token>,
    /// Index of the token at which the parse stopped; `tokens.len()` at the end of the item.
    pub(super) at: usize,
    /// What would have been read further.
    pub(super) expected: Vec<Rule>,
}

impl<'a> Stop<'a> {
    fn new(text: &'a str, item: &[Token], failure: &Failure) -> Self {
        let significant = item.iter().filter(|token| !token.kind.is_trivia());
        let tokens: Vec<Token> = significant.copied().collect();
        let at = tokens.partition_point(|token| token.span.range().end <= failure.offset);
        Self { text, tokens, at, expected: failure.expected.clone() }
    }

    /// Returns the kind of the token `offset` places from where the parse stopped.
    pub(super) fn kind(&self, offset: isize) -> Option<TokenKind> {
        self.token(offset).map(|token| token.kind)
    }

    /// Returns the token `offset` places from where the parse stopped.
    pub(super) fn token(&self, offset: isize) -> Option<Token> {
        self.at.checked_add_signed(offset).and_then(|at| self.tokens.get(at)).copied()
    }

    /// Returns the text of the token `offset` places from where the parse stopped, or nothing.
    pub(super) fn shown(&self, offset: isize) -> &'a str {
        self.token(offset).map_or("", |token| &self.text[token.span.range()])
    }

    /// Returns the place where the parse stopped: the token, or the end of the item.
    pub(super) fn span(&self) -> Span {
        match self.token(0) {
            Some(token) => token.span,
            None => self.end(),
        }
    }

    /// Returns the empty place behind the item's last token.
    pub(super) fn end(&self) -> Span {
        let last = self.tokens[self.tokens.len() - 1].span;
        Span { start: last.end, ..last }
    }

    /// Tells whether this could have stood where the parse stopped.
    pub(super) fn expects(&self, rule: Rule) -> bool {
        self.expected.contains(&rule)
    }

    /// Returns the empty place behind the token before the one at which the parse stopped.
    pub(super) fn behind_previous(&self) -> Span {
        match self.token(-1) {
            Some(previous) => Span { start: previous.span.end, ..previous.span },
            None => self.span(),
        }
    }

    /// Tells whether nothing, not even a blank, follows the token `offset` places from the stop.
    pub(super) fn touches(&self, offset: isize) -> bool {
        match (self.token(offset), self.token(offset + 1)) {
            (Some(token), Some(next)) => token.span.end == next.span.start,
            _ => false,
        }
    }

    /// Tells whether the two tokens before the stop are a type's name and an opening bracket.
    pub(super) fn typed_before(&self) -> bool {
        super::foreign::is_type(self.shown(-2)) || self.kind(-2) == Some(TokenKind::Greater)
    }

    /// Returns the last `:` up to the stop that ends its line.
    pub(super) fn line_ending_colon(&self) -> Option<Span> {
        let ends_line = |pair: &&[Token]| {
            let between = pair[0].span.range().end..pair[1].span.range().start;
            pair[0].kind == TokenKind::Colon && self.text[between].contains('\n')
        };
        let read = &self.tokens[..(self.at + 2).min(self.tokens.len())];
        read.windows(2).rev().find(ends_line).map(|pair| pair[0].span)
    }

    /// Returns the token `offset` places from the stop in quotes.
    pub(super) fn quoted(&self, offset: isize) -> String {
        format!("`{}`", self.shown(offset))
    }

    /// Says in words what stands where the parse stopped.
    pub(super) fn found(&self) -> String {
        match self.kind(0) {
            None => "the end of the line".to_string(),
            Some(kind) if kind.is_keyword() => format!("the keyword {}", self.quoted(0)),
            Some(_) => self.quoted(0),
        }
    }

    /// Tells whether the token starts a line.
    pub(super) fn starts_line(&self) -> bool {
        match (self.token(-1), self.token(0)) {
            (Some(previous), Some(token)) => {
                self.text[previous.span.range().end..token.span.range().start].contains('\n')
            }
            _ => true,
        }
    }
}

/// Says why an item did not parse.
pub(super) fn syntax_error(text: &str, item: &[Token], failure: &Failure) -> Diagnostic {
    let stop = Stop::new(text, item, failure);
    mistakes::recognise(&stop).unwrap_or_else(|| unexpected(&stop))
}

fn unexpected(stop: &Stop<'_>) -> Diagnostic {
    let expected = expected_text(&stop.expected);
    let found = stop.found();
    let message = format!("expected {expected}, found {found}");
    let label = if stop.kind(0).is_some() { "not expected here" } else { "needed here" };
    Diagnostic::error(Code::E0001, stop.span(), message, label)
}

/// "a, b or c", without repetition; operators go unmentioned beside anything more telling.
fn expected_text(rules: &[Rule]) -> String {
    let mut phrases: Vec<&str> = Vec::new();
    for phrase in rules.iter().map(|rule| prose(*rule)) {
        if !phrases.contains(&phrase) {
            phrases.push(phrase);
        }
    }
    if phrases.iter().any(|phrase| *phrase != OPERATOR) {
        phrases.retain(|phrase| *phrase != OPERATOR);
    }
    // Where a `'` may stand an operand ends; a call or index after it is likely not meant.
    if rules.contains(&Rule::transpose) && phrases.iter().any(|phrase| !GLUED.contains(phrase)) {
        phrases.retain(|phrase| !GLUED.contains(phrase));
    }
    phrases.sort_by_key(|phrase| *phrase == prose(Rule::EOI));
    match phrases.split_last() {
        None => "something else".to_string(),
        Some((last, [])) => (*last).to_string(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

const OPERATOR: &str = "an operator";
const GLUED: &[&str] = &["`(`", "`[`", "an index in `[ ]`", "arguments in `( )`", "`'`"];

/// Says in words what a rule stands for. Exhaustive, so that a new rule asks for its words.
fn prose(rule: Rule) -> &'static str {
    match rule {
        Rule::item => "a declaration or statement",
        Rule::EOI => "a new line",
        Rule::import_decl => "an import",
        Rule::data_decl | Rule::param_decl | Rule::marginal_decl | Rule::gen_decl => {
            "a declaration"
        }
        Rule::fn_decl => "a function",
        Rule::dist_decl => "a distribution",
        Rule::member => "a member such as `log_density(x) = …`",
        Rule::name_list => "names in `( )`",
        Rule::typed_param_list => "parameters in `( )`",
        Rule::typed_param => "a parameter such as `mu: real`",
        Rule::body => "`=` or `{`",
        Rule::stmt | Rule::simple => "a statement",
        Rule::let_stmt => "a `let`",
        Rule::binding | Rule::drawn => "a name",
        Rule::factor_stmt => "a `factor`",
        Rule::for_stmt => "a `for`",
        Rule::if_form | Rule::if_expr => "an `if`",
        Rule::block => "`{`",
        Rule::type_expr | Rule::base_type | Rule::type_name => "a type such as `real[N]`",
        Rule::array_type => "an array type",
        Rule::fn_type => "a function type",
        Rule::bounds => "bounds such as `<lower=0>`",
        Rule::bound => "a bound such as `lower=0`",
        Rule::dims => "dimensions in `[ ]`",
        Rule::value | Rule::expr | Rule::arith | Rule::postfix | Rule::paren | Rule::array => {
            "an expression"
        }
        Rule::op_neg | Rule::op_plus | Rule::op_not => "an expression",
        Rule::real | Rule::int | Rule::boolean => "an expression",
        Rule::call => "arguments in `( )`",
        Rule::arg => "an argument",
        Rule::arg_name => "the name of an argument",
        Rule::index => "an index in `[ ]`",
        Rule::index_item => "an index",
        Rule::transpose => "`'`",
        Rule::op_or
        | Rule::op_and
        | Rule::op_eq
        | Rule::op_ne
        | Rule::op_le
        | Rule::op_ge
        | Rule::op_lt
        | Rule::op_gt
        | Rule::op_add
        | Rule::op_sub
        | Rule::op_mul
        | Rule::op_div
        | Rule::op_rem
        | Rule::op_matmul
        | Rule::op_pow => OPERATOR,
        Rule::name => "a name",
        Rule::string => "a path in quotes",
        Rule::kw_data => "`data`",
        Rule::kw_param => "`param`",
        Rule::kw_let => "`let`",
        Rule::kw_marginal => "`marginal`",
        Rule::kw_gen => "`gen`",
        Rule::kw_fn => "`fn`",
        Rule::kw_dist => "`dist`",
        Rule::kw_import => "`import`",
        Rule::kw_factor => "`factor`",
        Rule::kw_for => "`for`",
        Rule::kw_in => "`in`",
        Rule::kw_if => "`if`",
        Rule::kw_else => "`else`",
        Rule::kw_on => "`on`",
        Rule::kw_array => "`array`",
        Rule::lparen => "`(`",
        Rule::rparen => "`)`",
        Rule::lbracket => "`[`",
        Rule::rbracket => "`]`",
        Rule::lbrace => "`{`",
        Rule::rbrace => "`}`",
        Rule::lt => "`<`",
        Rule::gt => "`>`",
        Rule::comma => "`,`",
        Rule::colon => "`:`",
        Rule::semicolon => "`;`",
        Rule::equals => "`=`",
        Rule::tilde => "`~`",
        Rule::arrow => "`->`",
        Rule::question => "`?`",
        // Silent rules; pest names them nowhere, but they are variants.
        Rule::WHITESPACE
        | Rule::COMMENT
        | Rule::block_comment
        | Rule::continues
        | Rule::line_sign
        | Rule::gap
        | Rule::blanks
        | Rule::operand
        | Rule::primary
        | Rule::infix
        | Rule::arith_infix
        | Rule::prefix
        | Rule::name_start
        | Rule::name_char
        | Rule::keyword
        | Rule::digits
        | Rule::exponent => "something else",
    }
}

/// Reports semicolons after an item, and an item that shares its line with the one before.
pub(super) fn layout_errors(item: &RawItem<'_>) -> Vec<Diagnostic> {
    let first = item.tokens[0].span;
    let semicolon =
        |span: &Span| {
            Diagnostic::error(Code::E0008, *span, "no semicolon ends a line", "not needed")
                .with_fix("remove the semicolon", *span, "")
        };
    let mut errors: Vec<Diagnostic> = item.semicolons.iter().map(semicolon).collect();
    if item.shares_line {
        let before = Span { end: first.start, ..first };
        errors.push(
            Diagnostic::error(
                Code::E0009,
                before,
                "two items on one line",
                "expected a new line before this",
            )
            .with_fix("begin a new line", before, "\n"),
        );
    }
    errors
}
