//! The outline of a text: its declarations, and the members of its distributions.

use crate::source::Span;
use crate::syntax::ast;

use super::analysis::Analysis;

/// A declaration in the outline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// What it is, bounds and sizes included: `param real<lower=0>[J]`.
    pub detail: String,
    /// What kind of thing.
    pub kind: SymbolKind,
    /// The whole declaration.
    pub span: Span,
    /// Its name's place.
    pub name_span: Span,
    /// What it contains.
    pub children: Vec<Symbol>,
}

/// Kinds of declarations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolKind {
    /// `data`.
    Data,
    /// `param`, `marginal`.
    Latent,
    /// `let`, `gen`.
    Value,
    /// `fn`, or a member of a `dist`.
    Function,
    /// `dist`.
    Distribution,
}

/// Lists the declarations of the text in order.
#[must_use]
pub fn symbols(analysis: &Analysis) -> Vec<Symbol> {
    analysis.checked.tree.items.iter().filter_map(|item| symbol(analysis, item)).collect()
}

fn symbol(analysis: &Analysis, item: &ast::Item) -> Option<Symbol> {
    let (name, word, kind) = match item {
        ast::Item::Data(d) => (&d.name, "data", SymbolKind::Data),
        ast::Item::Param(d) => (&d.name, "param", SymbolKind::Latent),
        ast::Item::Marginal(d) => (&d.name, "marginal", SymbolKind::Latent),
        ast::Item::Let(d) => (&d.name, "let", SymbolKind::Value),
        ast::Item::Gen(d) => (&d.name, "gen", SymbolKind::Value),
        ast::Item::Fn(d) => (&d.name, "fn", SymbolKind::Function),
        ast::Item::Dist(d) => (&d.name, "dist", SymbolKind::Distribution),
        ast::Item::Import(_) | ast::Item::Stmt(_) | ast::Item::Error(_) => return None,
    };
    let ty = analysis.var_declared_at(name.span).map(|var| analysis.show_var(var));
    let detail = ty.map_or_else(|| word.to_string(), |ty| format!("{word} {ty}"));
    let children = match item {
        ast::Item::Dist(d) => d.members.iter().map(member).collect(),
        _ => Vec::new(),
    };
    Some(Symbol {
        name: name.text.clone(),
        detail,
        kind,
        span: item.span(),
        name_span: name.span,
        children,
    })
}

fn member(member: &ast::DistMember) -> Symbol {
    Symbol {
        name: member.name.text.clone(),
        detail: String::new(),
        kind: SymbolKind::Function,
        span: member.span,
        name_span: member.name.span,
        children: Vec::new(),
    }
}
