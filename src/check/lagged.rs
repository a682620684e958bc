//! `y[2:N] ~ normal(a + b * y[1:N-1], s)` as a loop over the elements that it draws, for those depend on
//! each other: what is drawn first is read afterwards.

use crate::source::Span;

use super::builtins::{Builtin, Signature};
use super::shape::Dim;
use super::typed::{
    Dist, DistKind, Expr, ExprKind, FnId, Index, LetValue, Model, Order, Stage, Stmt, StmtKind,
    Type, Var, VarId, VarKind,
};
use super::visit;

/// The assignment of a draw to a slice as a loop over its elements, if the draw reads what it assigns;
/// any other assignment as it is.
pub(super) fn unrolled(model: &mut Model, assign: StmtKind, span: Span) -> StmtKind {
    let StmtKind::Assign { var, value, .. } = &assign else { return assign };
    let ExprKind::Draw { order: Order::Any, .. } = &value.kind else { return assign };
    let mut reads_itself = false;
    visit::vars(value, &mut |read, _| reads_itself |= read == *var);
    match reads_itself {
        true => by_steps(model, &assign, span).unwrap_or(assign),
        false => assign,
    }
}

/// The definition of an array element by element; `None` for one that is not elementwise.
pub(super) fn by_elements(
    model: &mut Model,
    var: VarId,
    value: &LetValue,
    span: Span,
) -> Option<LetValue> {
    let LetValue::Expr(e) = value else { return Some(value.clone()) };
    let assign =
        StmtKind::Assign { var, indices: vec![Index::Slice(None, None)], value: e.clone() };
    let kind = by_steps(model, &assign, span)?;
    let dims = e.ty.dims().iter().map(|dim| dim.to_expr(span)).collect();
    Some(LetValue::Elements { dims, stmts: vec![Stmt { kind, span }], rest: None })
}

/// Whether the elements of an expression read more than the same element of some arrays, or elements
/// that it names.
pub(super) fn reads_whole(model: &Model, e: &Expr, arrays: &[VarId]) -> bool {
    let mut reads = false;
    visit::vars(e, &mut |var, _| reads |= arrays.contains(&var));
    let any = |args: &[Expr]| args.iter().any(|a| reads_whole(model, a, arrays));
    match &e.kind {
        _ if !reads => false,
        ExprKind::Var(_) => e.ty.dims().is_empty(),
        ExprKind::Builtin(op, args) if is_elementwise(*op) => any(args),
        ExprKind::Call(f, args) if is_lifted(model, *f) => any(args),
        ExprKind::Index(base, _) => !matches!(base.kind, ExprKind::Var(_)),
        _ => true,
    }
}

/// The assignment to a slice of a vector as a loop over its elements.
fn by_steps(model: &mut Model, assign: &StmtKind, span: Span) -> Option<StmtKind> {
    let StmtKind::Assign { var, indices, value } = assign else { return None };
    let (Some(Index::Slice(lo, hi)), 1) = (indices.first(), value.ty.dims().len()) else {
        return None;
    };
    let int = |kind| Expr { kind, ty: Type::INT, stage: Stage::Data, span };
    let lo = lo.clone().unwrap_or_else(|| int(ExprKind::Int(1)));
    let hi = hi.clone().unwrap_or_else(|| model.var(*var).ty.dims()[0].to_expr(span));
    let index = VarId(u32::try_from(model.vars.len()).unwrap_or(u32::MAX));
    let at = At { index, lo: &lo, span, model };
    let kind = match &value.kind {
        ExprKind::Draw { dist, order: Order::Any } => {
            ExprKind::Draw { dist: Box::new(at.dist(dist)?), order: Order::Any }
        }
        ExprKind::Draw { .. } => return None,
        _ => at.expr(value).kind,
    };
    let scalar = value.ty.scalar().map_or(Type::REAL, |s| Type::array(s, Vec::new()));
    let mut indices = indices.clone();
    indices[0] = Index::At(int(ExprKind::Var(index)));
    let value = Expr { kind, ty: scalar, ..value.clone() };
    let body = vec![Stmt { kind: StmtKind::Assign { var: *var, indices, value }, span }];
    model.vars.push(Var {
        name: "t".into(),
        kind: VarKind::Index,
        ty: Type::INT,
        stage: Stage::Data,
        span,
    });
    Some(StmtKind::For { var: index, lo, hi, body })
}

/// The element of a vector that belongs to a step of the loop from `lo` on.
struct At<'a> {
    index: VarId,
    lo: &'a Expr,
    span: Span,
    model: &'a Model,
}

impl At<'_> {
    /// A distribution of numbers at this step; `None` for one of vectors, or with another shape.
    fn dist(&self, dist: &Dist) -> Option<Dist> {
        let kind = match &dist.kind {
            DistKind::Named { dist, args, guard } => {
                let def = self.model.dist(*dist);
                let scalars = def.params.iter().all(|&p| self.model.var(p).ty.dims().is_empty());
                if !scalars || !def.ty.dims().is_empty() {
                    return None;
                }
                let args = args.iter().map(|a| self.expr(a)).collect();
                DistKind::Named { dist: *dist, args, guard: *guard }
            }
            DistKind::Truncated { dist, lower, upper, guard } => DistKind::Truncated {
                dist: Box::new(self.dist(dist)?),
                lower: lower.as_ref().map(|e| self.expr(e)),
                upper: upper.as_ref().map(|e| self.expr(e)),
                guard: *guard,
            },
            DistKind::Censored { dist, lower, upper } => DistKind::Censored {
                dist: Box::new(self.dist(dist)?),
                lower: lower.as_ref().map(|e| self.expr(e)),
                upper: upper.as_ref().map(|e| self.expr(e)),
            },
            DistKind::ZeroInflated { p, dist } => {
                DistKind::ZeroInflated { p: self.expr(p), dist: Box::new(self.dist(dist)?) }
            }
            DistKind::Hurdle { p, dist } => {
                DistKind::Hurdle { p: self.expr(p), dist: Box::new(self.dist(dist)?) }
            }
            DistKind::Affine { dist, loc, scale } => DistKind::Affine {
                dist: Box::new(self.dist(dist)?),
                loc: self.expr(loc),
                scale: self.expr(scale),
            },
            DistKind::Mixture { .. } | DistKind::Sorted { .. } => return None,
        };
        Some(Dist { kind, span: dist.span })
    }

    /// The element of an expression; a scalar is its own.
    fn expr(&self, e: &Expr) -> Expr {
        let [_, rest @ ..] = e.ty.dims() else { return e.clone() };
        let ty = e.ty.scalar().map_or(Type::Error, |s| Type::array(s, rest.to_vec()));
        let kind = match &e.kind {
            ExprKind::Builtin(op, args) if is_elementwise(*op) => {
                ExprKind::Builtin(*op, args.iter().map(|a| self.expr(a)).collect())
            }
            ExprKind::Call(f, args) if is_lifted(self.model, *f) => {
                ExprKind::Call(*f, args.iter().map(|a| self.expr(a)).collect())
            }
            ExprKind::Index(base, indices) => {
                let mut indices = indices.clone();
                match &mut indices[0] {
                    Index::Slice(from, _) => {
                        let from = from.clone().unwrap_or_else(|| self.int(ExprKind::Int(1)));
                        indices[0] = Index::At(self.position(&from));
                    }
                    Index::At(e) if !e.ty.dims().is_empty() => *e = self.expr(e),
                    Index::At(_) => return self.element(e),
                }
                ExprKind::Index(base.clone(), indices)
            }
            _ => return self.element(e),
        };
        Expr { kind, ty, ..e.clone() }
    }

    /// `e[t - lo + 1]`.
    fn element(&self, e: &Expr) -> Expr {
        let one = self.int(ExprKind::Int(1));
        let mut indices = vec![Index::At(self.position(&one))];
        indices.resize(e.ty.dims().len(), Index::Slice(None, None));
        let dims = e.ty.dims()[1..].to_vec();
        let ty = e.ty.scalar().map_or(Type::Error, |s| Type::array(s, dims));
        Expr { kind: ExprKind::Index(Box::new(e.clone()), indices), ty, ..e.clone() }
    }

    /// `t + from - lo`, written `t - 1` where the difference is known.
    fn position(&self, from: &Expr) -> Expr {
        let t = self.int(ExprKind::Var(self.index));
        let known = |_| None;
        let shift = Dim::of(from, &known).sub(&Dim::of(self.lo, &known));
        let shifted = |op, by| self.int(ExprKind::Builtin(op, vec![t.clone(), by]));
        match shift.as_constant() {
            Some(0) => t,
            Some(k) if k < 0 => shifted(Builtin::Sub, self.int(ExprKind::Int(-k))),
            Some(k) => shifted(Builtin::Add, self.int(ExprKind::Int(k))),
            None => shifted(Builtin::Add, shift.to_expr(self.span)),
        }
    }

    fn int(&self, kind: ExprKind) -> Expr {
        Expr { kind, ty: Type::INT, stage: Stage::Data, span: self.span }
    }
}

/// Whether a function with an array for its value is one of numbers, applied elementwise.
fn is_lifted(model: &Model, f: FnId) -> bool {
    let def = model.function(f);
    let scalar = |var: &VarId| model.var(*var).ty.dims().is_empty();
    def.result.dims().is_empty() && def.params.iter().all(scalar)
}

fn is_elementwise(op: Builtin) -> bool {
    matches!(
        op.signature(),
        Signature::Real(_)
            | Signature::Number(_)
            | Signature::Int(_)
            | Signature::Compare(_)
            | Signature::Logic(_)
            | Signature::Convert(_)
    )
}
