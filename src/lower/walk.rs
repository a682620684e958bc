//! Questions about typed expressions and statements: which variables they mention.

use crate::check::typed::{Dist, Expr, ExprKind, LetValue, Stmt, VarId};
use crate::check::visit::{dist_exprs, let_exprs, parts, stmt_exprs};

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
    parts(e, &mut |part| visit(part, f));
}

/// Calls `f` on every expression of a `let`, outermost first.
fn visit_let(value: &LetValue, f: &mut dyn FnMut(&Expr)) {
    let_exprs(value, &mut |e| visit(e, f));
}

/// Calls `f` on every expression of a statement, outermost first.
pub(super) fn visit_stmt(s: &Stmt, f: &mut dyn FnMut(&Expr)) {
    stmt_exprs(s, &mut |e| visit(e, f));
}

/// Calls `f` on every expression of a distribution, outermost first.
pub(super) fn visit_dist(d: &Dist, f: &mut dyn FnMut(&Expr)) {
    dist_exprs(d, &mut |e| visit(e, f));
}
