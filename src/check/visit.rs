//! Walks over the typed tree.

use std::collections::HashSet;

use crate::source::Span;

use super::typed::{
    Decl, Dist, DistKind, Expr, ExprKind, Index, LetValue, Stmt, StmtKind, Structure, Support,
    VarId,
};

/// Calls `f` on the parts of an expression, not on the expression itself.
pub(crate) fn parts(e: &Expr, f: &mut dyn FnMut(&Expr)) {
    match &e.kind {
        ExprKind::Int(_)
        | ExprKind::Real(_)
        | ExprKind::Bool(_)
        | ExprKind::Var(_)
        | ExprKind::FnRef(_) => {}
        ExprKind::Builtin(_, args) | ExprKind::Call(_, args) | ExprKind::Member(_, _, args) => {
            args.iter().for_each(f);
        }
        ExprKind::Draw { dist, .. } => dist_exprs(dist, f),
        ExprKind::Index(base, indices) => {
            f(base);
            index_parts(indices, f);
        }
        ExprKind::Array(items) => items.iter().for_each(f),
        ExprKind::Range(lo, hi) => {
            f(lo);
            f(hi);
        }
        ExprKind::If(cond, then, otherwise) => {
            f(cond);
            f(then);
            f(otherwise);
        }
        ExprKind::Block(lets, result) => {
            for (_, value) in lets {
                let_exprs(value, f);
            }
            f(result);
        }
    }
}

fn index_parts(indices: &[Index], f: &mut dyn FnMut(&Expr)) {
    for index in indices {
        match index {
            Index::At(e) => f(e),
            Index::Slice(lo, hi) => [lo, hi].into_iter().flatten().for_each(&mut *f),
        }
    }
}

/// Calls `f` on the expressions that define a variable.
pub(crate) fn let_exprs(value: &LetValue, f: &mut dyn FnMut(&Expr)) {
    match value {
        LetValue::Expr(e) => f(e),
        LetValue::Elements { dims, stmts, rest } => {
            dims.iter().chain(rest).for_each(&mut *f);
            stmts.iter().for_each(|stmt| stmt_exprs(stmt, f));
        }
    }
}

/// Calls `f` on the expressions of a statement, those of inner statements included.
pub(crate) fn stmt_exprs(stmt: &Stmt, f: &mut dyn FnMut(&Expr)) {
    match &stmt.kind {
        StmtKind::Tilde { lhs, dist } => {
            f(lhs);
            dist_exprs(dist, f);
        }
        StmtKind::Factor(e) => f(e),
        StmtKind::Let { value, .. } => let_exprs(value, f),
        StmtKind::Assign { indices, value, .. } => {
            index_parts(indices, f);
            f(value);
        }
        StmtKind::For { lo, hi, body, .. } => {
            f(lo);
            f(hi);
            body.iter().for_each(|stmt| stmt_exprs(stmt, f));
        }
        StmtKind::If { cond, then, otherwise } => {
            f(cond);
            then.iter().chain(otherwise).for_each(|stmt| stmt_exprs(stmt, f));
        }
    }
}

/// Calls `f` on the variables that `let` names in a statement, those of inner statements included.
pub(crate) fn stmt_lets(stmt: &Stmt, f: &mut dyn FnMut(VarId)) {
    match &stmt.kind {
        StmtKind::Let { var, .. } => f(*var),
        StmtKind::For { body, .. } => body.iter().for_each(|stmt| stmt_lets(stmt, f)),
        StmtKind::If { then, otherwise, .. } => {
            then.iter().chain(otherwise).for_each(|stmt| stmt_lets(stmt, f));
        }
        StmtKind::Tilde { .. } | StmtKind::Factor(_) | StmtKind::Assign { .. } => {}
    }
}

/// Calls `f` on the arguments of a distribution.
pub(crate) fn dist_exprs(dist: &Dist, f: &mut dyn FnMut(&Expr)) {
    match &dist.kind {
        DistKind::Named { args, .. } => args.iter().for_each(f),
        DistKind::Mixture { weights, components } => {
            f(weights);
            components.iter().for_each(|dist| dist_exprs(dist, f));
        }
        DistKind::Truncated { dist, lower, upper, .. }
        | DistKind::Censored { dist, lower, upper } => {
            dist_exprs(dist, f);
            [lower, upper].into_iter().flatten().for_each(f);
        }
        DistKind::ZeroInflated { p, dist } | DistKind::Hurdle { p, dist } => {
            f(p);
            dist_exprs(dist, f);
        }
        DistKind::Sorted { dist } => dist_exprs(dist, f),
        DistKind::Affine { dist, loc, scale } => {
            dist_exprs(dist, f);
            f(loc);
            f(scale);
        }
    }
}

/// Calls `f` on the sizes and bounds of a support.
pub(crate) fn support_exprs(support: &Support, f: &mut dyn FnMut(&Expr)) {
    support.array.iter().for_each(&mut *f);
    match &support.structure {
        Structure::Scalar { lower, upper, offset, multiplier, .. } => {
            [lower, upper, offset, multiplier].into_iter().flatten().for_each(f);
        }
        Structure::Simplex(k)
        | Structure::Ordered(k)
        | Structure::PositiveOrdered(k)
        | Structure::UnitVector(k)
        | Structure::SumToZero(k)
        | Structure::CholeskyCorr(k)
        | Structure::CorrMatrix(k)
        | Structure::CholeskyCov(k)
        | Structure::CovMatrix(k) => f(k),
    }
}

/// Calls `f` on every variable that an expression reads, with the place.
pub(crate) fn vars(e: &Expr, f: &mut dyn FnMut(VarId, Span)) {
    if let ExprKind::Var(var) = e.kind {
        f(var, e.span);
    }
    parts(e, &mut |part| vars(part, f));
}

/// The variables that a declaration reads.
pub(crate) fn reads(decl: &Decl) -> HashSet<VarId> {
    let mut found = HashSet::new();
    let mut note = |e: &Expr| {
        vars(e, &mut |var, _| {
            found.insert(var);
        });
    };
    match decl {
        Decl::Data { support, default, .. } => {
            support_exprs(support, &mut note);
            default.iter().for_each(note);
        }
        Decl::Param { support, prior, .. } | Decl::Marginal { support, prior, .. } => {
            support_exprs(support, &mut note);
            prior.iter().for_each(|prior| dist_exprs(prior, &mut note));
        }
        Decl::Let { value, .. } => let_exprs(value, &mut note),
        Decl::Recursion(lets) => lets.iter().for_each(|(_, value)| let_exprs(value, &mut note)),
        Decl::Missing { var, support } => {
            support_exprs(support, &mut note);
            found.insert(*var);
        }
        Decl::Constraint { support, .. } => support_exprs(support, &mut note),
        Decl::Stmt(stmt) => stmt_exprs(stmt, &mut note),
    }
    found
}
