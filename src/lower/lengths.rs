//! Which loops change the shapes in their body, so that their steps cannot be one array.

use std::collections::HashSet;

use crate::check::builtins::Builtin;
use crate::check::typed::{Expr, ExprKind, Index, LetValue, Model, Stmt, StmtKind, VarId};

use super::walk::{any_expr, visit, visit_dist};

/// Whether the ends of a loop, a slice or a range inside, or the size of an array, depend on a loop's
/// index; also through local names and the functions that are called.
pub(super) fn lengths_depend_on(model: &Model, body: &[Stmt], index: VarId) -> bool {
    let mut lengths = Lengths { model, varying: HashSet::from([index]) };
    body.iter().any(|s| lengths.stmt(s))
}

struct Lengths<'m> {
    model: &'m Model,
    /// Variables whose values differ between steps.
    varying: HashSet<VarId>,
}

impl Lengths<'_> {
    fn stmt(&mut self, s: &Stmt) -> bool {
        match &s.kind {
            StmtKind::Tilde { lhs, dist } => {
                let mut found = self.expr(lhs);
                visit_dist(dist, &mut |e| found |= self.changes_length(e));
                found
            }
            StmtKind::Factor(e) => self.expr(e),
            StmtKind::Let { var, value } => self.binding(*var, value),
            StmtKind::Assign { indices, value, .. } => {
                indices.iter().any(|i| self.index(i)) || self.expr(value)
            }
            StmtKind::For { lo, hi, body, .. } => {
                self.varies(lo) || self.varies(hi) || body.iter().any(|s| self.stmt(s))
            }
            StmtKind::If { cond, then, otherwise } => {
                self.expr(cond) || then.iter().chain(otherwise).any(|s| self.stmt(s))
            }
        }
    }

    fn binding(&mut self, var: VarId, value: &LetValue) -> bool {
        match value {
            LetValue::Expr(e) => {
                if self.varies(e) {
                    self.varying.insert(var);
                }
                self.expr(e)
            }
            LetValue::Elements { dims, stmts, rest } => {
                self.varying.insert(var);
                rest.iter().any(|e| self.expr(e))
                    || dims.iter().any(|d| self.varies(d))
                    || stmts.iter().any(|s| self.stmt(s))
            }
        }
    }

    fn varies(&self, e: &Expr) -> bool {
        any_expr(e, &mut |x| matches!(&x.kind, ExprKind::Var(v) if self.varying.contains(v)))
    }

    fn index(&mut self, i: &Index) -> bool {
        match i {
            Index::At(e) => self.expr(e),
            Index::Slice(lo, hi) => lo.iter().chain(hi).any(|e| self.varies(e)),
        }
    }

    fn expr(&mut self, e: &Expr) -> bool {
        let mut found = false;
        visit(e, &mut |x| found |= self.changes_length(x));
        found
    }

    /// Whether one expression, apart from its parts, has another length in each step.
    fn changes_length(&mut self, e: &Expr) -> bool {
        match &e.kind {
            ExprKind::Range(lo, hi) => self.varies(lo) || self.varies(hi),
            ExprKind::Index(_, indices) => indices.iter().any(|i| match i {
                Index::At(_) => false,
                Index::Slice(..) => self.index(i),
            }),
            ExprKind::Builtin(Builtin::Zeros | Builtin::Ones, sizes) => {
                sizes.iter().any(|n| self.varies(n))
            }
            ExprKind::Builtin(Builtin::Fill, args) => {
                args.split_last().is_some_and(|(_, sizes)| sizes.iter().any(|n| self.varies(n)))
            }
            ExprKind::Block(lets, _) => {
                let mut found = false;
                for (var, value) in lets {
                    found |= self.binding(*var, value);
                }
                found
            }
            ExprKind::Call(f, args) => {
                let def = self.model.function(*f);
                let varying: HashSet<VarId> = def
                    .params
                    .iter()
                    .zip(args)
                    .filter(|(_, arg)| self.varies(arg))
                    .map(|(&param, _)| param)
                    .collect();
                !varying.is_empty() && Lengths { model: self.model, varying }.expr(&def.body)
            }
            _ => false,
        }
    }
}
