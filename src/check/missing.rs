//! Missing data: between which bounds its elements lie, and when that is known.

use std::collections::{HashMap, HashSet};

use crate::syntax::ast;

use super::checker::Checker;
use super::shape::Dim;
use super::stmt::variable_of;
use super::typed::{
    Decl, Expr, ExprKind, Index, LetValue, Stage, Stmt, StmtKind, Structure, Support, VarId,
    VarKind,
};
use super::visit::{self, reads};

impl Checker<'_> {
    /// Gives the missing elements of the data that `lhs` is all of the bounds of its distribution,
    /// where none are declared.
    pub(super) fn note_missing(&mut self, lhs: &Expr, drawn: &Support) {
        let Structure::Scalar { lower: low, upper: high, .. } = &drawn.structure else { return };
        let Some(field) = variable_of(lhs) else { return };
        let of_field = |decl: &Decl| matches!(decl, Decl::Missing { var, .. } if *var == field);
        let Some(at) = self.model.decls.iter().position(of_field) else { return };
        let found = [low, high].map(|bound| self.missing_bound(field, lhs, bound.as_ref()?));
        if let Decl::Missing { support, .. } = &mut self.model.decls[at]
            && let Structure::Scalar { lower, upper, .. } = &mut support.structure
        {
            for (own, found) in [lower, upper].into_iter().zip(found) {
                if own.is_none() {
                    *own = found;
                }
            }
        }
    }

    /// The bound that a distribution gives `lhs` as one for all of the field: a scalar, or an array of
    /// its shape. `None` where `lhs` is only a part, or where the bound is known only there.
    fn missing_bound(&mut self, field: VarId, lhs: &Expr, bound: &Expr) -> Option<Expr> {
        let mut steps = HashSet::new();
        let mut here_only = match bound.stage {
            Stage::Data => false,
            Stage::Parameter => self.is_discrete(bound),
            Stage::Generated => true,
        };
        visit::vars(bound, &mut |var, _| match self.model.var(var).kind {
            VarKind::Index => {
                steps.insert(var);
            }
            VarKind::Local | VarKind::Marginal => here_only = true,
            _ => {}
        });
        let ty = self.model.var(field).ty.clone();
        let indices = match &lhs.kind {
            ExprKind::Index(_, indices) => self.loops_over(indices, ty.dims())?,
            _ => Vec::new(),
        };
        if here_only || !steps.iter().all(|step| indices.contains(step)) {
            return None;
        }
        let own = bound.ty.dims().len();
        if steps.is_empty() && (own == 0 || own == ty.dims().len()) {
            return Some(bound.clone());
        }
        // `b[i] = bound` in the same loops.
        let span = bound.span;
        let name = ast::Ident { text: "bound".into(), span };
        let array = self.new_var(&name, VarKind::Local, ty.clone(), bound.stage);
        let int = |kind| Expr { kind, ty: super::typed::Type::INT, stage: Stage::Data, span };
        let at = |step: &VarId| Index::At(int(ExprKind::Var(*step)));
        let assign = StmtKind::Assign {
            var: array,
            indices: indices.iter().map(at).collect(),
            value: bound.clone(),
        };
        let mut stmt = Stmt { kind: assign, span };
        for (step, dim) in indices.iter().zip(ty.dims()).rev() {
            let (lo, hi) = (int(ExprKind::Int(1)), dim.to_expr(span));
            stmt = Stmt { kind: StmtKind::For { var: *step, lo, hi, body: vec![stmt] }, span };
        }
        let dims = ty.dims().iter().map(|dim| dim.to_expr(span)).collect();
        let value = LetValue::Elements { dims, stmts: vec![stmt], rest: None };
        let var = Expr { kind: ExprKind::Var(array), ty: ty.clone(), stage: bound.stage, span };
        let kind = ExprKind::Block(vec![(array, value)], Box::new(var));
        Some(Expr { kind, ty, stage: bound.stage, span })
    }

    /// The loops whose steps the indices are, one for each, if together they go through all elements or
    /// rows.
    fn loops_over(&self, indices: &[Index], dims: &[Dim]) -> Option<Vec<VarId>> {
        if self.conditions > 0 {
            return None;
        }
        let mut found = Vec::new();
        for (index, dim) in indices.iter().zip(dims) {
            let Index::At(Expr { kind: ExprKind::Var(step), .. }) = index else { return None };
            let (lo, hi) = self.facts.ranges.get(step)?;
            if lo.as_constant() != Some(1) || hi != dim || found.contains(step) {
                return None;
            }
            found.push(*step);
        }
        Some(found)
    }

    /// Moves the latents in place of missing data behind what their bounds read, and what reads them
    /// behind that. Bounds that depend on the missing elements themselves are left out.
    pub(super) fn place_missing(&mut self) {
        let fields = self.model.decls.iter().filter_map(|decl| match decl {
            Decl::Missing { var, support } if is_late(support) => Some(*var),
            _ => None,
        });
        for field in fields.collect::<Vec<_>>() {
            self.place_one(field);
        }
    }

    fn place_one(&mut self, field: VarId) {
        let decls = &mut self.model.decls;
        let is_field = |decl: &Decl| matches!(decl, Decl::Missing { var, .. } if *var == field);
        let Some(at) = decls.iter().position(is_field) else { return };
        let mut definers: HashMap<VarId, Vec<usize>> = HashMap::new();
        for (i, decl) in decls.iter().enumerate() {
            for var in decl.defines() {
                definers.entry(var).or_default().push(i);
            }
        }
        let Decl::Missing { support, .. } = &mut decls[at] else { return };
        let mut wanted: Vec<VarId> = Vec::new();
        visit::support_exprs(support, &mut |e| visit::vars(e, &mut |var, _| wanted.push(var)));
        let mut before: HashSet<usize> = HashSet::new();
        let mut circular = false;
        while let Some(var) = wanted.pop() {
            circular |= var == field;
            for &i in definers.get(&var).into_iter().flatten() {
                if i != at && before.insert(i) {
                    wanted.extend(reads(&self.model.decls[i]));
                }
            }
        }
        let decls = &mut self.model.decls;
        if circular {
            if let Decl::Missing { support, .. } = &mut decls[at]
                && let Structure::Scalar { lower, upper, .. } = &mut support.structure
            {
                for bound in [lower, upper] {
                    bound.take_if(|bound| bound.stage > Stage::Data);
                }
            }
            return;
        }
        let last = before.into_iter().max().unwrap_or(at);
        if last < at {
            return;
        }
        // From the latents on up to the last that their bounds need: what reads them waits.
        let mut late: HashSet<VarId> = HashSet::from([field]);
        let rest = decls.split_off(last + 1);
        let mut waiting = Vec::new();
        for decl in decls.split_off(at) {
            if reads(&decl).iter().any(|var| late.contains(var)) {
                late.extend(decl.defines());
                waiting.push(decl);
            } else {
                decls.push(decl);
            }
        }
        decls.extend(waiting.into_iter().chain(rest));
    }
}

/// Whether parameters decide a bound.
fn is_late(support: &Support) -> bool {
    let mut late = false;
    visit::support_exprs(support, &mut |e| late |= e.stage > Stage::Data);
    late
}
