//! What is shown when one points at something: type, shape, stage, support, documentation.

use crate::check::places::Means;
use crate::check::typed::{Decl, Structure, VarId, VarKind};
use crate::source::Span;

use super::analysis::{Analysis, kind_word, stage_words};
use super::describe::{Callable, callable, item_doc, of_builtin, of_combinator};
use super::words;

/// Something to show about a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hover {
    /// The place it is about.
    pub span: Span,
    /// What to show, in Markdown.
    pub markdown: String,
}

/// Says what stands at a byte of the text: a name, a word of the language, else the innermost
/// expression.
#[must_use]
pub fn hover(analysis: &Analysis, offset: usize) -> Option<Hover> {
    if let Some((span, means)) = analysis.name_at(offset) {
        let mut markdown = match means {
            Means::Var(var) => of_var(analysis, var),
            // A member such as `normal_cdf` is named by the whole word.
            Means::Item(_) => of_callable(&callable(analysis, analysis.sources.slice(span))?),
            Means::Builtin(builtin) => of_callable(&of_builtin(builtin)),
            Means::Combinator(combinator) => of_callable(&of_combinator(combinator)),
        };
        if !matches!(means, Means::Var(_))
            && let Some(value) = value_of_call(analysis, span)
        {
            markdown.push_str(&format!("\n\nHere: {value}"));
        }
        return Some(Hover { span, markdown });
    }
    let at = analysis.at(offset);
    let token =
        analysis.tokens.iter().find(|token| token.span.contains(at) && !token.kind.is_trivia())?;
    if let Some(word) = words::find(analysis.sources.slice(token.span)) {
        let markdown = format!("{}\n\n{}", code(word.form), word.doc);
        return Some(Hover { span: token.span, markdown });
    }
    let inside = analysis.checked.places.exprs.iter().filter(|e| e.span.contains(at));
    let innermost = inside.filter(|e| !e.ty.is_error()).min_by_key(|e| e.span.len())?;
    let markdown =
        format!("{}\n\n{}", code(&analysis.show_type(&innermost.ty)), stage_words(innermost.stage));
    Some(Hover { span: innermost.span, markdown })
}

fn code(text: &str) -> String {
    format!("```ppl\n{text}\n```")
}

/// What a call gives, whose callee stands at `callee`.
fn value_of_call(analysis: &Analysis, callee: Span) -> Option<String> {
    let starts = |span: Span| span.file == callee.file && span.start == callee.start;
    let exprs = &analysis.checked.places.exprs;
    let call = exprs
        .iter()
        .filter(|e| starts(e.span) && e.span.end > callee.end && !e.ty.is_error())
        .min_by_key(|e| e.span.len())?;
    Some(format!("`{}`, {}", analysis.show_type(&call.ty), stage_words(call.stage)))
}

fn of_callable(callable: &Callable) -> String {
    let word = if callable.dist { "dist " } else { "fn " };
    let heads: Vec<String> = callable.heads.iter().map(|head| format!("{word}{head}")).collect();
    let mut text = code(&heads.join("\n"));
    if !callable.doc.is_empty() {
        text.push_str(&format!("\n\n{}", paragraphs(&callable.doc)));
    }
    if let Some(file) = callable.library {
        text.push_str(&format!("\n\n`stdlib/{file}`"));
    }
    text
}

/// A doc comment in Markdown: each of its lines stays a line.
fn paragraphs(doc: &str) -> String {
    doc.lines().collect::<Vec<_>>().join("  \n")
}

fn of_var(analysis: &Analysis, id: VarId) -> String {
    let var = analysis.var(id);
    let mut text =
        code(&format!("{} {}: {}", kind_word(var.kind), var.name, analysis.show_var(id)));
    if let Some(doc) = analysis.item_declared_at(var.span).and_then(|d| item_doc(d.item())) {
        text.push_str(&format!("\n\n{}", paragraphs(&doc.text)));
    }
    let mut facts = Vec::new();
    // A function's argument may be known at any stage.
    if var.kind != VarKind::Argument {
        facts.push(stage_words(var.stage).to_string());
    }
    if let Some(Decl::Param { support, prior, .. }) = analysis.param(id) {
        if let Some(prior) = prior {
            facts.push(format!("prior: `{}`", analysis.sources.slice(prior.span)));
        }
        facts.push(format!("unconstrained by: {}", transform(&support.structure)));
    }
    match analysis.size(id) {
        Some(size) => facts.push(format!("with the data: {size}")),
        None => {
            facts.extend(analysis.show_bound(&var.ty).map(|ty| format!("with the data: `{ty}`")));
        }
    }
    if var.kind == VarKind::Size {
        facts.push("a size, bound by the shape of what is declared with it".into());
    }
    if !facts.is_empty() {
        let list: Vec<String> = facts.iter().map(|fact| format!("- {fact}")).collect();
        text.push_str(&format!("\n\n{}", list.join("\n")));
    }
    text
}

/// The map between a parameter's values and the real line [stan2024, ch. "Constraint Transforms"].
pub(super) fn transform(structure: &Structure) -> &'static str {
    match structure {
        Structure::Scalar { lower, upper, offset, multiplier, .. } => {
            match (lower.is_some(), upper.is_some(), offset.is_some() || multiplier.is_some()) {
                (false, false, false) => "identity",
                (false, false, true) => "affine map",
                (true, false, _) => "log",
                (false, true, _) => "log, mirrored",
                (true, true, _) => "logit",
            }
        }
        structure => structure.name(),
    }
}
