//! Questions about typed expressions and statements: which variables they mention.

use crate::check::typed::{Dist, DistKind, Expr, ExprKind, Index, LetValue, Stmt, StmtKind, VarId};

/// Whether `test` holds for `e` or any expression in it.
pub(super) fn any_expr(e: &Expr, test: &mut dyn FnMut(&Expr) -> bool) -> bool {
    let mut found = false;
    visit(e, &mut |x| found |= test(x));
    found
}

/// Whether the expression mentions the variable.
pub(super) fn mentions(e: &Expr, var: VarId) -> bool {
    any_expr(e, &mut |x| matches!(x.kind, ExprKind::Var(v) if v == var))
}

/// Whether the statement reads the variable.
pub(super) fn stmt_mentions(s: &Stmt, var: VarId) -> bool {
    stmt_reads(s, &|v| v == var)
}

/// Whether the statement reads a variable for which `test` holds.
pub(super) fn stmt_reads(s: &Stmt, test: &dyn Fn(VarId) -> bool) -> bool {
    let mut found = false;
    visit_stmt(s, &mut |x| found |= matches!(x.kind, ExprKind::Var(v) if test(v)));
    found
}

/// Whether the value of a `let` does.
pub(super) fn let_reads(value: &LetValue, test: &dyn Fn(VarId) -> bool) -> bool {
    let mut found = false;
    visit_let(value, &mut |x| found |= matches!(x.kind, ExprKind::Var(v) if test(v)));
    found
}

/// Whether a distribution does.
pub(super) fn dist_reads(dist: &Dist, test: &dyn Fn(VarId) -> bool) -> bool {
    let mut found = false;
    visit_dist(dist, &mut |x| found |= matches!(x.kind, ExprKind::Var(v) if test(v)));
    found
}

/// Whether the statement reads the variable other than by indexing it.
pub(super) fn stmt_mentions_bare(s: &Stmt, var: VarId) -> bool {
    let (mut all, mut indexed) = (0, 0);
    visit_stmt(s, &mut |x| match &x.kind {
        ExprKind::Var(v) if *v == var => all += 1,
        ExprKind::Index(base, _) if matches!(base.kind, ExprKind::Var(v) if v == var) => {
            indexed += 1;
        }
        _ => {}
    });
    all > indexed
}

/// Calls `f` on every expression, outermost first.
pub(super) fn visit(e: &Expr, f: &mut dyn FnMut(&Expr)) {
    f(e);
    match &e.kind {
        ExprKind::Int(_)
        | ExprKind::Real(_)
        | ExprKind::Bool(_)
        | ExprKind::Var(_)
        | ExprKind::FnRef(_) => {}
        ExprKind::Builtin(_, args)
        | ExprKind::Call(_, args)
        | ExprKind::Member(_, _, args)
        | ExprKind::Array(args) => args.iter().for_each(|a| visit(a, f)),
        ExprKind::Draw { dist, .. } => visit_dist(dist, f),
        ExprKind::Index(base, indices) => {
            visit(base, f);
            indices.iter().for_each(|i| visit_index(i, f));
        }
        ExprKind::Range(lo, hi) => {
            visit(lo, f);
            visit(hi, f);
        }
        ExprKind::If(cond, then, otherwise) => {
            visit(cond, f);
            visit(then, f);
            visit(otherwise, f);
        }
        ExprKind::Block(lets, result) => {
            lets.iter().for_each(|(_, value)| visit_let(value, f));
            visit(result, f);
        }
    }
}

fn visit_index(i: &Index, f: &mut dyn FnMut(&Expr)) {
    match i {
        Index::At(e) => visit(e, f),
        Index::Slice(lo, hi) => lo.iter().chain(hi).for_each(|e| visit(e, f)),
    }
}

fn visit_let(value: &LetValue, f: &mut dyn FnMut(&Expr)) {
    match value {
        LetValue::Expr(e) => visit(e, f),
        LetValue::Elements { dims, stmts, rest } => {
            dims.iter().chain(rest).for_each(|d| visit(d, f));
            stmts.iter().for_each(|s| visit_stmt(s, f));
        }
    }
}

/// Calls `f` on every expression of a statement, outermost first.
pub(super) fn visit_stmt(s: &Stmt, f: &mut dyn FnMut(&Expr)) {
    match &s.kind {
        StmtKind::Tilde { lhs, dist } => {
            visit(lhs, f);
            visit_dist(dist, f);
        }
        StmtKind::Factor(e) => visit(e, f),
        StmtKind::Let { value, .. } => visit_let(value, f),
        StmtKind::Assign { indices, value, .. } => {
            indices.iter().for_each(|i| visit_index(i, f));
            visit(value, f);
        }
        StmtKind::For { lo, hi, body, .. } => {
            visit(lo, f);
            visit(hi, f);
            body.iter().for_each(|s| visit_stmt(s, f));
        }
        StmtKind::If { cond, then, otherwise } => {
            visit(cond, f);
            then.iter().chain(otherwise).for_each(|s| visit_stmt(s, f));
        }
    }
}

/// Calls `f` on every expression of a distribution, outermost first.
pub(super) fn visit_dist(d: &Dist, f: &mut dyn FnMut(&Expr)) {
    match &d.kind {
        DistKind::Named { args, .. } => args.iter().for_each(|a| visit(a, f)),
        DistKind::Mixture { weights, components } => {
            visit(weights, f);
            components.iter().for_each(|c| visit_dist(c, f));
        }
        DistKind::Truncated { dist, lower, upper, .. }
        | DistKind::Censored { dist, lower, upper } => {
            visit_dist(dist, f);
            lower.iter().chain(upper).for_each(|e| visit(e, f));
        }
        DistKind::ZeroInflated { p, dist } | DistKind::Hurdle { p, dist } => {
            visit(p, f);
            visit_dist(dist, f);
        }
        DistKind::Sorted { dist } => visit_dist(dist, f),
        DistKind::Affine { dist, loc, scale } => {
            visit_dist(dist, f);
            visit(loc, f);
            visit(scale, f);
        }
    }
}
