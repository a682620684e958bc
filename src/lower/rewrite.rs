//! Changes typed expressions in place.

use crate::check::typed::{Dist, DistKind, Expr, ExprKind, Index, LetValue, Stmt, StmtKind};

/// Calls `f` on every expression of a statement, outermost first; what `f` puts in its place is gone
/// through as well.
pub(super) fn rewrite_stmt(s: &mut Stmt, f: &mut dyn FnMut(&mut Expr)) {
    match &mut s.kind {
        StmtKind::Tilde { lhs, dist } => {
            rewrite(lhs, f);
            rewrite_dist(dist, f);
        }
        StmtKind::Factor(e) => rewrite(e, f),
        StmtKind::Let { value, .. } => rewrite_let(value, f),
        StmtKind::Assign { indices, value, .. } => {
            indices.iter_mut().for_each(|i| rewrite_index(i, f));
            rewrite(value, f);
        }
        StmtKind::For { lo, hi, body, .. } => {
            rewrite(lo, f);
            rewrite(hi, f);
            body.iter_mut().for_each(|s| rewrite_stmt(s, f));
        }
        StmtKind::If { cond, then, otherwise } => {
            rewrite(cond, f);
            then.iter_mut().chain(otherwise).for_each(|s| rewrite_stmt(s, f));
        }
    }
}

fn rewrite(e: &mut Expr, f: &mut dyn FnMut(&mut Expr)) {
    f(e);
    match &mut e.kind {
        ExprKind::Int(_)
        | ExprKind::Real(_)
        | ExprKind::Bool(_)
        | ExprKind::Var(_)
        | ExprKind::FnRef(_) => {}
        ExprKind::Builtin(_, args)
        | ExprKind::Call(_, args)
        | ExprKind::Member(_, _, args)
        | ExprKind::Array(args) => args.iter_mut().for_each(|a| rewrite(a, f)),
        ExprKind::Draw { dist, .. } => rewrite_dist(dist, f),
        ExprKind::Index(base, indices) => {
            rewrite(base, f);
            indices.iter_mut().for_each(|i| rewrite_index(i, f));
        }
        ExprKind::Range(lo, hi) => {
            rewrite(lo, f);
            rewrite(hi, f);
        }
        ExprKind::If(cond, then, otherwise) => {
            rewrite(cond, f);
            rewrite(then, f);
            rewrite(otherwise, f);
        }
        ExprKind::Block(lets, result) => {
            lets.iter_mut().for_each(|(_, value)| rewrite_let(value, f));
            rewrite(result, f);
        }
    }
}

fn rewrite_index(i: &mut Index, f: &mut dyn FnMut(&mut Expr)) {
    match i {
        Index::At(e) => rewrite(e, f),
        Index::Slice(lo, hi) => lo.iter_mut().chain(hi).for_each(|e| rewrite(e, f)),
    }
}

fn rewrite_let(value: &mut LetValue, f: &mut dyn FnMut(&mut Expr)) {
    match value {
        LetValue::Expr(e) => rewrite(e, f),
        LetValue::Elements { dims, stmts, rest } => {
            dims.iter_mut().chain(rest).for_each(|d| rewrite(d, f));
            stmts.iter_mut().for_each(|s| rewrite_stmt(s, f));
        }
    }
}

fn rewrite_dist(d: &mut Dist, f: &mut dyn FnMut(&mut Expr)) {
    match &mut d.kind {
        DistKind::Named { args, .. } => args.iter_mut().for_each(|a| rewrite(a, f)),
        DistKind::Mixture { weights, components } => {
            rewrite(weights, f);
            components.iter_mut().for_each(|c| rewrite_dist(c, f));
        }
        DistKind::Truncated { dist, lower, upper, .. }
        | DistKind::Censored { dist, lower, upper } => {
            rewrite_dist(dist, f);
            lower.iter_mut().chain(upper).for_each(|e| rewrite(e, f));
        }
        DistKind::ZeroInflated { p, dist } | DistKind::Hurdle { p, dist } => {
            rewrite(p, f);
            rewrite_dist(dist, f);
        }
        DistKind::Sorted { dist } => rewrite_dist(dist, f),
        DistKind::Affine { dist, loc, scale } => {
            rewrite_dist(dist, f);
            rewrite(loc, f);
            rewrite(scale, f);
        }
    }
}
