//! Changes that one may want: what a message proposes, a non-centred hierarchy, a prior.

use crate::check::typed::{
    Decl, Dist, DistKind, Expr, ExprKind, Model, Stage, Stmt, StmtKind, Structure, VarId,
};
use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::{ast, type_text};

use super::analysis::Analysis;

/// A change of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What it does, as an instruction.
    pub title: String,
    /// The replacements; they do not overlap.
    pub edits: Vec<Edit>,
    /// The message that it settles.
    pub settles: Option<Diagnostic>,
    /// Whether it needs no decision.
    pub certain: bool,
}

/// A replacement of a piece of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The piece; empty for an insertion.
    pub span: Span,
    /// The new text.
    pub text: String,
}

/// Lists the changes for the bytes `start..end` of the text.
#[must_use]
pub fn actions(analysis: &Analysis, start: usize, end: usize) -> Vec<Action> {
    let touches = |span: Span| {
        span.file == analysis.file() && span.range().start <= end && start <= span.range().end
    };
    let mut found = Vec::new();
    for diagnostic in &analysis.checked.diagnostics {
        let places = std::iter::once(&diagnostic.primary).chain(&diagnostic.secondary);
        if let Some(fix) = &diagnostic.fix
            && (touches(fix.span) || places.map(|label| label.span).any(touches))
        {
            found.push(Action {
                title: fix.title.clone(),
                edits: vec![Edit { span: fix.span, text: fix.replacement.clone() }],
                settles: Some(diagnostic.clone()),
                certain: fix.certain,
            });
        }
    }
    for item in &analysis.checked.tree.items {
        let ast::Item::Param(d) = item else { continue };
        let stated = statement_of(analysis, d).map(|(span, _)| span);
        if touches(d.span) || stated.is_some_and(touches) {
            found.extend(non_centre(analysis, d));
        }
        if touches(d.span) {
            found.extend(add_prior(analysis, d));
        }
    }
    found
}

/// The declaration of a parameter in the typed tree.
fn declared<'a>(analysis: &'a Analysis, d: &ast::Param) -> Option<(VarId, &'a Decl)> {
    let id = analysis.var_declared_at(d.name.span)?;
    Some((id, analysis.param(id)?))
}

/// A message of that code about the item.
fn message(analysis: &Analysis, code: Code, item: Span) -> Option<Diagnostic> {
    let about = |d: &&Diagnostic| d.code == code && item.contains(d.span());
    analysis.checked.diagnostics.iter().find(about).cloned()
}

/// The statement `theta ~ …` about the whole of a parameter that is declared without a prior, if it is the
/// only one: its place, and the distribution.
fn statement_of<'a>(analysis: &'a Analysis, d: &ast::Param) -> Option<(Span, &'a Dist)> {
    let (id, decl) = declared(analysis, d)?;
    let Decl::Param { prior: None, .. } = decl else { return None };
    let about = |stmt: &Stmt| match &stmt.kind {
        StmtKind::Tilde { lhs, .. } => matches!(lhs.kind, ExprKind::Var(var) if var == id),
        _ => false,
    };
    let mut stated = analysis.checked.model.decls.iter().filter_map(|decl| match decl {
        Decl::Stmt(stmt) if about(stmt) => Some(stmt),
        _ => None,
    });
    let (Some(stmt), None) = (stated.next(), stated.next()) else { return None };
    let StmtKind::Tilde { dist, .. } = &stmt.kind else { return None };
    (stmt.span.file == d.span.file).then_some((stmt.span, dist))
}

/// `param theta: real[J] ~ normal(mu, tau)` of parameters `mu`, `tau` becomes a standard normal
/// parameter and a `let`: their posterior no longer depends on each other's scale. The distribution may
/// also be stated later, `theta ~ normal(mu, tau)`; the `let` then stands there.
fn non_centre(analysis: &Analysis, d: &ast::Param) -> Option<Action> {
    let (id, decl) = declared(analysis, d)?;
    let Decl::Param { support, prior, .. } = decl else { return None };
    let stated = statement_of(analysis, d);
    let prior = prior.as_ref().or(stated.map(|(_, dist)| dist))?;
    let DistKind::Named { dist, args, .. } = &prior.kind else { return None };
    let model = &analysis.checked.model;
    let [loc, scale] = args.as_slice() else { return None };
    let late = |e: &Expr| e.stage == Stage::Parameter;
    let plain = matches!(
        &support.structure,
        Structure::Scalar { lower: None, upper: None, offset: None, multiplier: None, .. }
    );
    if model.dist(*dist).name != "normal" || !plain || !late(loc) && !late(scale) {
        return None;
    }
    let name = &d.name.text;
    let raw = fresh(analysis, &format!("{name}_raw"));
    let ty = match &d.ty {
        Some(ty) => format!(": {}", type_text(ty)),
        // Without its arguments the prior no longer says of how many elements it is.
        None if !model.var(id).ty.dims().is_empty() => {
            format!(": {}", analysis.show_type(&model.var(id).ty))
        }
        None => String::new(),
    };
    let [loc, scale] = [loc, scale].map(|e| analysis.sources.slice(e.span));
    let param = format!("param {raw}{ty} ~ normal(0, 1)");
    let value = format!("let {name} = {} + {} * {raw}", grouped(loc), grouped(scale));
    let mut edits = match stated {
        None => vec![Edit { span: d.span, text: format!("{param}\n{value}") }],
        Some((span, _)) => {
            vec![Edit { span: d.span, text: param }, Edit { span, text: value }]
        }
    };
    edits.sort_by_key(|edit| edit.span.start);
    let place = stated.map_or(d.span, |(span, _)| span);
    Some(Action {
        title: format!("Non-centre `{name}`"),
        edits,
        settles: message(analysis, Code::W0606, place),
        certain: false,
    })
}

/// An operand of a sum or product: in parentheses unless it is a name, a number, a call or an element.
fn grouped(text: &str) -> String {
    let mut depth = 0usize;
    let simple = text.chars().all(|c| {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > 0 || c.is_alphanumeric() || matches!(c, '_' | '.' | ')' | ']')
    });
    if simple { text.to_string() } else { format!("({text})") }
}

/// A name that nothing has yet.
fn fresh(analysis: &Analysis, wanted: &str) -> String {
    let taken = |name: &str| analysis.vars().any(|(_, var)| var.name == name);
    let numbered = (2..).map(|n| format!("{wanted}{n}"));
    std::iter::once(wanted.to_string())
        .chain(numbered)
        .find(|name| !taken(name))
        .unwrap_or_else(|| wanted.to_string())
}

/// A proper prior for a parameter that has none, or a flat one.
fn add_prior(analysis: &Analysis, d: &ast::Param) -> Option<Action> {
    let (id, decl) = declared(analysis, d)?;
    let Decl::Param { support, prior: None, .. } = decl else { return None };
    if has_statement(&analysis.checked.model, id) {
        return None;
    }
    let prior = match &support.structure {
        Structure::Scalar { lower, upper, .. } => match (lower, upper) {
            (Some(low), Some(high)) => {
                let [low, high] = [low, high].map(|e| analysis.sources.slice(e.span));
                format!("uniform({low}, {high})")
            }
            (None, None) => "normal(0, 1)".to_string(),
            (Some(low), None) if analysis.sources.slice(low.span) == "0" => {
                "exponential(1)".to_string()
            }
            _ => "normal(0, 1)".to_string(),
        },
        Structure::Simplex(k) => format!("dirichlet(ones({}))", analysis.sources.slice(k.span)),
        Structure::Ordered(_) | Structure::PositiveOrdered(_) => "normal(0, 1)".to_string(),
        Structure::SumToZero(_) => "zero_sum_normal(1)".to_string(),
        Structure::CholeskyCorr(_) => "lkj_corr_cholesky(2)".to_string(),
        Structure::CorrMatrix(_) => "lkj_corr(2)".to_string(),
        Structure::UnitVector(_) | Structure::CholeskyCov(_) | Structure::CovMatrix(_) => {
            return None;
        }
    };
    let edit = match &d.dist {
        Some(flat) => Edit { span: flat.span, text: prior.clone() },
        None => {
            Edit { span: Span::at(d.span.file, d.span.range().end), text: format!(" ~ {prior}") }
        }
    };
    Some(Action {
        title: format!("Give `{}` the prior `{prior}`", d.name.text),
        edits: vec![edit],
        settles: message(analysis, Code::W0601, d.span),
        certain: false,
    })
}

/// Whether a statement gives the parameter, or elements of it, a distribution.
fn has_statement(model: &Model, id: VarId) -> bool {
    fn within(stmts: &[Stmt], id: VarId) -> bool {
        stmts.iter().any(|stmt| match &stmt.kind {
            StmtKind::Tilde { lhs, .. } => match &lhs.kind {
                ExprKind::Var(var) => *var == id,
                ExprKind::Index(base, _) => {
                    matches!(base.kind, ExprKind::Var(var) if var == id)
                }
                _ => false,
            },
            StmtKind::For { body, .. } => within(body, id),
            StmtKind::If { then, otherwise, .. } => within(then, id) || within(otherwise, id),
            StmtKind::Factor(_) | StmtKind::Let { .. } | StmtKind::Assign { .. } => false,
        })
    }
    model.decls.iter().any(|decl| match decl {
        Decl::Stmt(stmt) => within(std::slice::from_ref(stmt), id),
        _ => false,
    })
}
