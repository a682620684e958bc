//! What predictions read instead of data, and what is said about discrete latents with the data that is
//! there.

use std::collections::HashSet;

use super::super::subst::Subst;
use super::super::typed::{
    Decl, Dist, Expr, ExprKind, LetValue, Scalar, Stage, Stmt, StmtKind, Var, VarId, VarKind,
};
use super::super::visit;
use super::super::visit::reads;
use super::order::Node;
use super::{Parameters, Reader, copy_of};

impl Reader<'_> {
    /// A variable that stands for `var` in predictions.
    fn copy(&mut self, var: VarId, kind: VarKind) -> VarId {
        let copy = VarId(u32::try_from(self.model.vars.len()).unwrap_or(u32::MAX));
        let entry = Var { kind, stage: Stage::Generated, ..self.source.var(var).clone() };
        let (ty, span) = (entry.ty.clone(), entry.span);
        let e = Expr { kind: ExprKind::Var(copy), ty, stage: Stage::Generated, span };
        self.model.vars.push(entry);
        self.copies.bind_expr(var, &e, None);
        copy
    }

    /// Makes the copies that predictions read: of each observed variable, and with given parameters of
    /// each discrete latent and of each `let` that depends on such.
    pub(super) fn make_copies(&mut self) {
        let observed: Vec<VarId> =
            self.targets.keys().copied().filter(|&v| self.is_observed(v)).collect();
        let mut copied: HashSet<VarId> = observed.iter().copied().collect();
        let mut copies: Vec<(VarId, VarId)> = Vec::with_capacity(observed.len());
        for var in observed {
            copies.push((var, self.copy(var, VarKind::Predicted)));
        }
        let mut later = Vec::new();
        for decl in &self.source.decls {
            if self.parameters == Parameters::Drawn {
                break;
            }
            match decl {
                Decl::Data { var, support, .. } => {
                    let real = self.source.var(*var).ty.scalar() == Some(Scalar::Real);
                    if support.missing && !real {
                        self.latent.insert(*var);
                    }
                }
                Decl::Marginal { var, support, prior, span } => {
                    self.latent.insert(*var);
                    copied.insert(*var);
                    let copy = self.copy(*var, VarKind::Let);
                    later.push((decl, Some((*var, copy, (support, prior, *span)))));
                }
                Decl::Let { .. } | Decl::Recursion(_) => {
                    let defines = decl.defines();
                    let in_joint = |var: &VarId| {
                        let entry = self.source.var(*var);
                        entry.kind == VarKind::Let && entry.stage != Stage::Data
                    };
                    if !defines.iter().any(in_joint) {
                        continue;
                    }
                    let read = reads(decl);
                    if read.iter().any(|v| self.latent.contains(v)) {
                        self.latent.extend(&defines);
                    }
                    if read.iter().any(|v| copied.contains(v)) {
                        copied.extend(&defines);
                        for var in defines {
                            self.copy(var, VarKind::Let);
                        }
                        later.push((decl, None));
                    }
                }
                _ => {}
            }
        }
        let node = |decl, original, span| Node { decl, original, span, named: true };
        for (var, copy) in copies {
            let span = self.source.var(var).span;
            if let Some(value) = self.drawn(var, copy, None) {
                self.nodes.push(node(Decl::Let { var: copy, value }, None, span));
            }
        }
        for (decl, latent) in later {
            match latent {
                Some((var, copy, prior)) => {
                    let span = self.source.var(var).span;
                    if let Some(value) = self.drawn(var, copy, Some(prior)) {
                        self.nodes.push(node(Decl::Let { var: copy, value }, None, span));
                    }
                }
                None => {
                    let span = self.source.var(decl.defines()[0]).span;
                    let original = copied_from_data(decl, &self.copies);
                    self.nodes.push(node(copy_of(decl, &self.copies), original, span));
                }
            }
        }
    }

    /// Whether a term of the log joint needs data that is not there.
    pub(super) fn reads_absent(&self, lhs: &Expr, dist: Option<&Dist>) -> bool {
        let mut found = false;
        let mut note = |e: &Expr| visit::vars(e, &mut |var, _| found |= self.absent.contains(&var));
        note(lhs);
        if let Some(dist) = dist {
            visit::dist_exprs(dist, &mut note);
        }
        found
    }

    /// What a statement says about discrete latents with the data that is there.
    pub(super) fn about_latents(&self, stmt: &Stmt) -> Option<Stmt> {
        let all = |body: &[Stmt]| -> Vec<Stmt> {
            body.iter().filter_map(|s| self.about_latents(s)).collect()
        };
        let says = |body: &[Stmt]| body.iter().any(|s| !matches!(s.kind, StmtKind::Let { .. }));
        let kind = match &stmt.kind {
            StmtKind::Tilde { lhs, dist } if self.reads_absent(lhs, Some(dist)) => return None,
            StmtKind::Factor(e) if self.reads_absent(e, None) => return None,
            StmtKind::For { var, lo, hi, body } => {
                let body = all(body);
                if !says(&body) {
                    return None;
                }
                StmtKind::For { var: *var, lo: lo.clone(), hi: hi.clone(), body }
            }
            StmtKind::If { cond, then, otherwise } => {
                let (then, otherwise) = (all(then), all(otherwise));
                if !says(&then) && !says(&otherwise) {
                    return None;
                }
                StmtKind::If { cond: cond.clone(), then, otherwise }
            }
            kind => kind.clone(),
        };
        let stmt = Stmt { kind, span: stmt.span };
        let mut of_latent = matches!(stmt.kind, StmtKind::Let { .. });
        visit::stmt_exprs(&stmt, &mut |e| {
            visit::vars(e, &mut |var, _| of_latent |= self.latent.contains(&var));
        });
        of_latent.then_some(stmt)
    }
}

/// The copy of a `let`, or of several that read each other, computed from what they are computed from
/// themselves.
fn copied_from_data(decl: &Decl, copies: &Subst) -> Option<Decl> {
    match decl {
        Decl::Let { var, value } => Some(Decl::Let { var: copies.var(*var), value: value.clone() }),
        Decl::Recursion(lets) => {
            let one = |(var, value): &(VarId, LetValue)| (copies.var(*var), value.clone());
            Some(Decl::Recursion(lets.iter().map(one).collect()))
        }
        _ => None,
    }
}
