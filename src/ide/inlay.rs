//! What the text leaves to be inferred, shown in it: types with their shapes, stages, transforms.

use crate::check::typed::{Decl, Stage};
use crate::syntax::ast;

use super::analysis::Analysis;
use super::hover::transform;

/// A piece of text to show at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inlay {
    /// Byte of the text before which it is shown.
    pub offset: usize,
    /// What to show.
    pub label: String,
    /// What it means.
    pub tooltip: String,
    /// Whether it is a type, which may be inserted as it is.
    pub is_type: bool,
}

/// Lists what is inferred in the bytes `start..end` of the text, in order.
#[must_use]
pub fn inlays(analysis: &Analysis, start: usize, end: usize) -> Vec<Inlay> {
    let mut found = Vec::new();
    for item in &analysis.checked.tree.items {
        let range = item.span().range();
        if range.end < start || range.start > end {
            continue;
        }
        match item {
            ast::Item::Let(d) => {
                types_of_let(analysis, d, &mut found);
                stage(analysis, d, &mut found);
            }
            ast::Item::Gen(d) => types_of_let(analysis, d, &mut found),
            ast::Item::Param(d) => {
                if d.ty.is_none() {
                    ty(analysis, &d.name, &mut found);
                }
                transform_of(analysis, d, &mut found);
            }
            ast::Item::Marginal(d) if d.ty.is_none() => ty(analysis, &d.name, &mut found),
            ast::Item::Fn(d) => types_of_block(analysis, &d.body, &mut found),
            ast::Item::Dist(d) => {
                for member in &d.members {
                    types_of_block(analysis, &member.body, &mut found);
                }
            }
            ast::Item::Stmt(stmt) => {
                types_of_stmts(analysis, std::slice::from_ref(stmt), &mut found)
            }
            ast::Item::Data(d) => shape(analysis, d, &mut found),
            ast::Item::Marginal(_) | ast::Item::Import(_) | ast::Item::Error(_) => {}
        }
    }
    found.retain(|inlay| (start..=end).contains(&inlay.offset));
    found.sort_by_key(|inlay| inlay.offset);
    found
}

fn types_of_let(analysis: &Analysis, d: &ast::Let, found: &mut Vec<Inlay>) {
    if d.ty.is_none() {
        ty(analysis, &d.name, found);
    }
    if let ast::LetValue::Elements(stmts) = &d.value {
        types_of_stmts(analysis, stmts, found);
    }
}

fn types_of_block(analysis: &Analysis, block: &ast::Block, found: &mut Vec<Inlay>) {
    for d in &block.lets {
        types_of_let(analysis, d, found);
    }
}

fn types_of_stmts(analysis: &Analysis, stmts: &[ast::Stmt], found: &mut Vec<Inlay>) {
    for stmt in stmts {
        match &stmt.kind {
            ast::StmtKind::Let(d) => types_of_let(analysis, d, found),
            ast::StmtKind::For { body, .. } => types_of_stmts(analysis, body, found),
            ast::StmtKind::If { then, otherwise, .. } => {
                types_of_stmts(analysis, then, found);
                types_of_stmts(analysis, otherwise, found);
            }
            ast::StmtKind::Tilde { .. }
            | ast::StmtKind::Factor(_)
            | ast::StmtKind::Assign { .. } => {}
        }
    }
}

/// The type of a name that is declared without.
fn ty(analysis: &Analysis, name: &ast::Ident, found: &mut Vec<Inlay>) {
    let Some(var) = analysis.var_declared_at(name.span) else { return };
    if analysis.var(var).ty.is_error() {
        return;
    }
    found.push(Inlay {
        offset: name.span.range().end,
        label: format!(": {}", analysis.show_var(var)),
        tooltip: "inferred".into(),
        is_type: true,
    });
}

/// The stage of a `let` that is computed once.
fn stage(analysis: &Analysis, d: &ast::Let, found: &mut Vec<Inlay>) {
    let Some(var) = analysis.var_declared_at(d.name.span) else { return };
    let var = analysis.var(var);
    if var.stage == Stage::Data && !var.ty.is_error() {
        found.push(Inlay {
            offset: d.span.range().end,
            label: " @data".into(),
            tooltip: "computed once, when the data is loaded".into(),
            is_type: false,
        });
    }
}

/// The shape that the data beside the model has.
fn shape(analysis: &Analysis, d: &ast::Data, found: &mut Vec<Inlay>) {
    let var = analysis.var_declared_at(d.name.span).map(|id| analysis.var(id));
    let bound = var.and_then(|var| analysis.show_bound(&var.ty));
    if let Some((_, dims)) = bound.as_deref().and_then(|ty| ty.split_once('[')) {
        found.push(Inlay {
            offset: d.ty.span.range().end,
            label: format!(" = [{dims}"),
            tooltip: "in the data file beside the model".into(),
            is_type: false,
        });
    }
}

/// How a constrained parameter is mapped to the real line.
fn transform_of(analysis: &Analysis, d: &ast::Param, found: &mut Vec<Inlay>) {
    let Some(id) = analysis.var_declared_at(d.name.span) else { return };
    let Some(Decl::Param { support, .. }) = analysis.param(id) else { return };
    let map = transform(&support.structure);
    if map != "identity" {
        found.push(Inlay {
            offset: d.span.range().end,
            label: format!(" @{map}"),
            tooltip: format!("`{}` is mapped to the real line by: {map}", analysis.var(id).name),
            is_type: false,
        });
    }
}
