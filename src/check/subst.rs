//! Replacing variables: the parameters of a function or distribution by what they are given.

use std::collections::HashMap;

use super::shape::Dim;
use super::typed::{
    Dist, DistKind, Expr, ExprKind, Index, LetValue, Stmt, StmtKind, Structure, Support, Type,
    VarId,
};

/// What stands for which variable.
#[derive(Clone, Debug, Default)]
pub struct Subst {
    dims: HashMap<VarId, Dim>,
    exprs: HashMap<VarId, Expr>,
}

impl Subst {
    /// Lets a dimension stand for a size.
    pub fn bind_dim(&mut self, var: VarId, dim: Dim) {
        self.dims.insert(var, dim);
    }

    /// Lets an expression stand for a parameter; an integer one also within dimensions.
    pub fn bind_expr(&mut self, var: VarId, expr: &Expr, dim: Option<Dim>) {
        self.exprs.insert(var, expr.clone());
        if let Some(dim) = dim {
            self.dims.insert(var, dim);
        }
    }

    /// Returns the variable that stands for another; itself where none does.
    #[must_use]
    pub fn var(&self, var: VarId) -> VarId {
        match self.exprs.get(&var) {
            Some(Expr { kind: ExprKind::Var(given), .. }) => *given,
            _ => var,
        }
    }

    /// Returns the dimension that stands for a variable.
    #[must_use]
    pub fn dim(&self, var: VarId) -> Option<Dim> {
        self.dims.get(&var).cloned()
    }

    /// Replaces in a type.
    #[must_use]
    pub fn ty(&self, ty: &Type) -> Type {
        match ty {
            Type::Array { scalar, dims } => {
                Type::array(*scalar, dims.iter().map(|dim| dim.substitute(self)).collect())
            }
            Type::Function { params, result } => Type::Function {
                params: params.iter().map(|param| self.ty(param)).collect(),
                result: Box::new(self.ty(result)),
            },
            Type::Error => Type::Error,
        }
    }

    /// Replaces in a support.
    #[must_use]
    pub fn support(&self, support: &Support) -> Support {
        let one = |e: &Expr| self.expr(e);
        let maybe = |e: &Option<Expr>| e.as_ref().map(|e| self.expr(e));
        let structure = match &support.structure {
            Structure::Scalar { scalar, lower, upper, offset, multiplier } => Structure::Scalar {
                scalar: *scalar,
                lower: maybe(lower),
                upper: maybe(upper),
                offset: maybe(offset),
                multiplier: maybe(multiplier),
            },
            Structure::Simplex(k) => Structure::Simplex(one(k)),
            Structure::Ordered(k) => Structure::Ordered(one(k)),
            Structure::PositiveOrdered(k) => Structure::PositiveOrdered(one(k)),
            Structure::UnitVector(k) => Structure::UnitVector(one(k)),
            Structure::SumToZero(k) => Structure::SumToZero(one(k)),
            Structure::CholeskyCorr(k) => Structure::CholeskyCorr(one(k)),
            Structure::CorrMatrix(k) => Structure::CorrMatrix(one(k)),
            Structure::CholeskyCov(k) => Structure::CholeskyCov(one(k)),
            Structure::CovMatrix(k) => Structure::CovMatrix(one(k)),
        };
        Support {
            array: support.array.iter().map(one).collect(),
            structure,
            missing: support.missing,
        }
    }

    /// Replaces in an expression.
    #[must_use]
    pub fn expr(&self, expr: &Expr) -> Expr {
        let all = |list: &[Expr]| list.iter().map(|e| self.expr(e)).collect::<Vec<_>>();
        let boxed = |e: &Expr| Box::new(self.expr(e));
        let kind = match &expr.kind {
            ExprKind::Var(var) => {
                if let Some(given) = self.exprs.get(var) {
                    return given.clone();
                }
                if let Some(dim) = self.dims.get(var) {
                    return dim.to_expr(expr.span);
                }
                expr.kind.clone()
            }
            ExprKind::Int(_) | ExprKind::Real(_) | ExprKind::Bool(_) | ExprKind::FnRef(_) => {
                expr.kind.clone()
            }
            ExprKind::Builtin(op, args) => ExprKind::Builtin(*op, all(args)),
            ExprKind::Call(id, args) => ExprKind::Call(*id, all(args)),
            ExprKind::Member(id, member, args) => ExprKind::Member(*id, *member, all(args)),
            ExprKind::Draw { dist, order } => {
                ExprKind::Draw { dist: Box::new(self.dist(dist)), order: *order }
            }
            ExprKind::Index(base, indices) => {
                ExprKind::Index(boxed(base), indices.iter().map(|i| self.index(i)).collect())
            }
            ExprKind::Array(items) => ExprKind::Array(all(items)),
            ExprKind::Range(lo, hi) => ExprKind::Range(boxed(lo), boxed(hi)),
            ExprKind::If(cond, then, otherwise) => {
                ExprKind::If(boxed(cond), boxed(then), boxed(otherwise))
            }
            ExprKind::Block(lets, result) => ExprKind::Block(
                lets.iter().map(|(var, value)| (*var, self.let_value(value))).collect(),
                boxed(result),
            ),
        };
        let ty = self.ty(&expr.ty);
        Expr { kind, ty, stage: expr.stage, span: expr.span }
    }

    /// Replaces in a distribution.
    #[must_use]
    pub fn dist(&self, dist: &Dist) -> Dist {
        let boxed = |d: &Dist| Box::new(self.dist(d));
        let end = |e: &Option<Expr>| e.as_ref().map(|e| self.expr(e));
        let kind = match &dist.kind {
            DistKind::Named { dist, args, guard } => DistKind::Named {
                dist: *dist,
                args: args.iter().map(|a| self.expr(a)).collect(),
                guard: *guard,
            },
            DistKind::Mixture { weights, components } => DistKind::Mixture {
                weights: self.expr(weights),
                components: components.iter().map(|c| self.dist(c)).collect(),
            },
            DistKind::Truncated { dist, lower, upper, guard } => DistKind::Truncated {
                dist: boxed(dist),
                lower: end(lower),
                upper: end(upper),
                guard: *guard,
            },
            DistKind::Censored { dist, lower, upper } => {
                DistKind::Censored { dist: boxed(dist), lower: end(lower), upper: end(upper) }
            }
            DistKind::ZeroInflated { p, dist } => {
                DistKind::ZeroInflated { p: self.expr(p), dist: boxed(dist) }
            }
            DistKind::Hurdle { p, dist } => DistKind::Hurdle { p: self.expr(p), dist: boxed(dist) },
            DistKind::Sorted { dist } => DistKind::Sorted { dist: boxed(dist) },
            DistKind::Affine { dist, loc, scale } => {
                DistKind::Affine { dist: boxed(dist), loc: self.expr(loc), scale: self.expr(scale) }
            }
        };
        Dist { kind, span: dist.span }
    }

    fn index(&self, index: &Index) -> Index {
        let end = |e: &Option<Expr>| e.as_ref().map(|e| self.expr(e));
        match index {
            Index::At(e) => Index::At(self.expr(e)),
            Index::Slice(lo, hi) => Index::Slice(end(lo), end(hi)),
        }
    }

    /// Replaces in the definition of a variable.
    #[must_use]
    pub fn let_value(&self, value: &LetValue) -> LetValue {
        match value {
            LetValue::Expr(e) => LetValue::Expr(self.expr(e)),
            LetValue::Elements { dims, stmts, rest } => LetValue::Elements {
                rest: rest.as_ref().map(|e| self.expr(e)),
                dims: dims.iter().map(|e| self.expr(e)).collect(),
                stmts: stmts.iter().map(|s| self.stmt(s)).collect(),
            },
        }
    }

    /// Replaces in a statement.
    #[must_use]
    pub fn stmt(&self, stmt: &Stmt) -> Stmt {
        let all = |list: &[Stmt]| list.iter().map(|s| self.stmt(s)).collect::<Vec<_>>();
        let kind = match &stmt.kind {
            StmtKind::Let { var, value } => {
                StmtKind::Let { var: *var, value: self.let_value(value) }
            }
            StmtKind::Assign { var, indices, value } => StmtKind::Assign {
                var: self.var(*var),
                indices: indices.iter().map(|i| self.index(i)).collect(),
                value: self.expr(value),
            },
            StmtKind::For { var, lo, hi, body } => {
                StmtKind::For { var: *var, lo: self.expr(lo), hi: self.expr(hi), body: all(body) }
            }
            StmtKind::If { cond, then, otherwise } => {
                StmtKind::If { cond: self.expr(cond), then: all(then), otherwise: all(otherwise) }
            }
            StmtKind::Tilde { lhs, dist } => {
                StmtKind::Tilde { lhs: self.expr(lhs), dist: self.dist(dist) }
            }
            StmtKind::Factor(e) => StmtKind::Factor(self.expr(e)),
        };
        Stmt { kind, span: stmt.span }
    }
}
