//! What may be written at a place: distributions that fit, names in scope, functions, words.

use std::collections::HashSet;

use crate::check::builtins::Builtin;
use crate::check::typed::{Stage, VarKind};
use crate::check::{Combinator, Imported};
use crate::source::Span;
use crate::syntax::ast;
use crate::syntax::token::TokenKind;

use super::analysis::Analysis;
use super::context::{PLACEHOLDER, Wanted, context};
use super::describe::{Callable, callable};
use super::fit::{Fit, fit};
use super::library::library;
use super::words::{self, Word};

/// Something that may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What is written.
    pub label: String,
    /// What kind of thing it is.
    pub kind: CandidateKind,
    /// Its type or form, on one line.
    pub detail: String,
    /// The better, the less.
    pub rank: u8,
}

/// Kinds of candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandidateKind {
    /// A word of the language.
    Keyword,
    /// A type.
    Type,
    /// A bound of a type, or a named argument.
    Property,
    /// A function.
    Function,
    /// A distribution.
    Distribution,
    /// A variable.
    Variable,
}

/// Lists what may be written at byte `offset` of a text that need not be complete, the best first;
/// and the word that it replaces.
#[must_use]
pub fn complete(
    name: &str,
    text: &str,
    offset: usize,
    import: &mut dyn FnMut(&str, &str) -> Imported,
) -> (Span, Vec<Candidate>) {
    let context = context(text, offset);
    let of_words = |words: &[Word], kind| words.iter().map(move |w| of_word(*w, kind)).collect();
    let mut found: Vec<Candidate> = match context.wanted {
        Wanted::Nothing => Vec::new(),
        Wanted::Type => of_words(words::TYPES, CandidateKind::Type),
        Wanted::Bound => of_words(words::BOUNDS, CandidateKind::Property),
        Wanted::Item | Wanted::Dist | Wanted::Expr => {
            let analysis = Analysis::new(name, &context.completed, import);
            let Ok(analysis) = analysis else { return (context.word, Vec::new()) };
            let at = context.word.range().start;
            match context.wanted {
                Wanted::Dist => distributions(&analysis, at),
                Wanted::Item => {
                    let mut found: Vec<Candidate> =
                        of_words(words::DECLARATIONS, CandidateKind::Keyword);
                    found.extend(variables(&analysis, at));
                    found
                }
                _ => {
                    let mut found = variables(&analysis, at);
                    if analysis.checked.places.dists.iter().any(|dist| stands_at(dist.span, at)) {
                        found.extend(distributions(&analysis, at));
                    }
                    found.extend(functions(&analysis));
                    found.extend(
                        words::INNER.iter().map(|word| of_word(*word, CandidateKind::Keyword)),
                    );
                    found
                }
            }
        }
    };
    found.retain(|candidate| candidate.label != PLACEHOLDER);
    found.sort_by(|a, b| (a.rank, &a.label).cmp(&(b.rank, &b.label)));
    found.dedup_by(|a, b| a.label == b.label && a.kind == b.kind);
    (context.word, found)
}

/// The documentation of a candidate, in Markdown.
#[must_use]
pub fn document(analysis: &Analysis, label: &str) -> Option<String> {
    if let Some(word) = words::find(label) {
        return Some(word.doc.to_string());
    }
    let Callable { heads, doc, .. } = callable(analysis, label)?;
    Some(format!("```ppl\n{}\n```\n\n{doc}", heads.join("\n")))
}

fn of_word(word: Word, kind: CandidateKind) -> Candidate {
    Candidate { label: word.name.into(), kind, detail: word.form.into(), rank: 2 }
}

fn stands_at(span: Span, at: usize) -> bool {
    span.range().start == at && span.len() == PLACEHOLDER.len()
}

/// Distributions that fit what is to the left; all if that is not known.
fn distributions(analysis: &Analysis, at: usize) -> Vec<Candidate> {
    let left = analysis.checked.places.dists.iter().find(|dist| stands_at(dist.span, at));
    let latent = is_latent(analysis, at);
    let own = analysis.checked.places.items.iter().filter(|d| !d.library).map(|d| d.item());
    let mut found = Vec::new();
    for item in own.chain(library().values()) {
        let ast::Item::Dist(d) = item else { continue };
        let fits = match left {
            Some(left) => fit(&d.support, left, latent),
            None => Some(Fit::Allowed),
        };
        let Some(fits) = fits else { continue };
        let head = callable(analysis, &d.name.text).map(|c| c.heads.join("; "));
        found.push(Candidate {
            label: d.name.text.clone(),
            kind: CandidateKind::Distribution,
            detail: head.unwrap_or_default(),
            rank: if fits == Fit::Exact { 0 } else { 1 },
        });
    }
    let is_param = matches!(analysis.item_at(at), Some(ast::Item::Param(_)));
    let fitting =
        Combinator::ALL.into_iter().filter(|(which, _)| is_param || *which != Combinator::Flat);
    found.extend(fitting.map(|(which, name)| Candidate {
        label: name.into(),
        kind: CandidateKind::Distribution,
        detail: which.doc().0.into(),
        rank: 2,
    }));
    found
}

/// Whether the distribution at a byte of the text is that of a parameter, whose values it has to cover.
fn is_latent(analysis: &Analysis, at: usize) -> bool {
    match analysis.item_at(at) {
        Some(ast::Item::Param(_)) => true,
        Some(ast::Item::Stmt(stmt)) => {
            let ast::StmtKind::Tilde { lhs, .. } = &stmt.kind else { return false };
            let ast::ExprKind::Name(name) = &lhs.kind else { return false };
            analysis.vars().any(|(_, var)| var.name == *name && var.kind == VarKind::Param)
        }
        _ => false,
    }
}

/// Variables that are visible at a byte of the text.
fn variables(analysis: &Analysis, at: usize) -> Vec<Candidate> {
    let item = analysis.item_at(at);
    let pure = matches!(item, Some(ast::Item::Fn(_) | ast::Item::Dist(_)));
    let inside = |span: Span| item.is_some_and(|item| item.span().contains(span));
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    // Inner names hide outer ones.
    let vars: Vec<_> = analysis.vars().collect();
    for (id, var) in vars.into_iter().rev() {
        let local = matches!(var.kind, VarKind::Local | VarKind::Index | VarKind::Argument)
            || var.kind == VarKind::Size && pure;
        let visible = if local {
            inside(var.span) && in_scope(analysis, var.kind, var.span, at)
        } else {
            let library = analysis.sources.name(var.span.file).starts_with("stdlib/");
            !pure
                && !library
                && !matches!(var.kind, VarKind::Predicted)
                && is_top_level(analysis, var.span)
        };
        if !visible || !seen.insert(var.name.clone()) {
            continue;
        }
        let stage = match var.stage {
            Stage::Data => "data",
            Stage::Parameter => "parameter",
            Stage::Generated => "generated",
        };
        let stage = if local { String::new() } else { format!("  @{stage}") };
        found.push(Candidate {
            label: var.name.clone(),
            kind: CandidateKind::Variable,
            detail: format!("{}{stage}", analysis.show_var(id)),
            rank: 0,
        });
    }
    found
}

/// Whether a variable is none of a function's or distribution's.
fn is_top_level(analysis: &Analysis, span: Span) -> bool {
    !analysis.checked.places.items.iter().any(|declared| {
        matches!(declared.item(), ast::Item::Fn(_) | ast::Item::Dist(_))
            && declared.item().span().contains(span)
    })
}

/// Whether the braces in which a local variable is declared are still open at a byte of its item.
fn in_scope(analysis: &Analysis, kind: VarKind, declared: Span, at: usize) -> bool {
    let start = declared.range().end;
    if start > at {
        return false;
    }
    let mut depth = 0i32;
    for token in &analysis.tokens {
        let place = token.span.range().start;
        if place < start || place >= at {
            continue;
        }
        match token.kind {
            TokenKind::LBrace => depth += 1,
            TokenKind::RBrace => depth -= 1,
            _ => {}
        }
        // A loop's index lives in the braces that follow it.
        let closed = if kind == VarKind::Index {
            token.kind == TokenKind::RBrace && depth == 0
        } else {
            depth < 0
        };
        if closed {
            return false;
        }
    }
    true
}

/// Everything that can be called for a value.
fn functions(analysis: &Analysis) -> Vec<Candidate> {
    let builtins =
        Builtin::ALL.iter().map(|b| b.name()).filter(|name| Builtin::parse(name).is_some());
    let is_fn = |item: &ast::Item| match item {
        ast::Item::Fn(f) => Some(f.name.text.clone()),
        _ => None,
    };
    let own = analysis.checked.places.items.iter().filter(|d| !d.library).map(|d| d.item());
    let names: Vec<String> = own
        .filter_map(is_fn)
        .chain(builtins.map(str::to_string))
        .chain(library().values().filter_map(is_fn))
        .collect();
    let candidate = |name: String| {
        let found = callable(analysis, &name)?;
        let detail = found.heads.first().cloned().unwrap_or_default();
        Some(Candidate { label: name, kind: CandidateKind::Function, detail, rank: 1 })
    };
    names.into_iter().filter_map(candidate).collect()
}
