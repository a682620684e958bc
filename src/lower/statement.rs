//! Statements: what each adds to the log joint.

use crate::check::typed::{
    Dist, Expr, ExprKind, LetValue, Stmt, StmtKind, Support, VarId, VarKind,
};
use crate::diagnostics::Code;
use crate::ir::{BinaryOp, Op, Shape, TernaryOp};
use crate::source::Span;

use super::Lower;
use super::lengths::lengths_depend_on;
use super::lowerer::{Lowerer, Subject, Term};
use super::value::{AxisTable, Val};

impl Lowerer<'_> {
    /// A statement about the log joint.
    pub(super) fn stmt(&mut self, s: &Stmt) -> Lower<()> {
        self.at(s.span, |l| match &s.kind {
            StmtKind::Tilde { lhs, dist } => {
                let x = l.expr(lhs)?;
                l.subject = Some(Subject { lhs: lhs.clone(), axes: Vec::new() });
                let stated = match l.variable_kind(lhs) {
                    Some((VarKind::Marginal, _)) => l.latent_prior(&x, dist, s.span, None),
                    Some((VarKind::Data, field)) if l.latents.has(field) => {
                        l.latent_prior(&x, dist, s.span, l.observed(lhs))
                    }
                    Some((VarKind::Data, field)) => l
                        .tilde(&x, dist, s.span, l.observed(lhs))
                        .and_then(|()| l.split_missing(lhs, field)),
                    _ => l.tilde(&x, dist, s.span, None),
                };
                l.subject = None;
                stated
            }
            StmtKind::Factor(e) => {
                let v = l.expr(e)?;
                let v = l.as_real(&v);
                l.add_term(&v, s.span, None)
            }
            StmtKind::Let { var, value } => {
                let v = l.let_value(*var, value)?;
                l.define(*var, v);
                Ok(())
            }
            StmtKind::Assign { .. } => Err(l.not_yet("an assignment outside of a definition")),
            StmtKind::For { var, lo, hi, body } => {
                let (lo, hi) = l.loop_bounds(lo, hi)?;
                let run = |l: &mut Self| body.iter().try_for_each(|s| l.stmt(s));
                let before = l.terms.len();
                if lengths_depend_on(l.model, body, *var) {
                    l.unrolled(*var, lo, hi, run)?;
                } else {
                    l.vectorised(*var, lo, hi, run)?;
                }
                l.join_terms(before);
                Ok(())
            }
            StmtKind::If { cond, then, otherwise } => l.branches(cond, |l, taken| {
                let branch = if taken { then } else { otherwise };
                branch.iter().try_for_each(|s| l.stmt(s))
            }),
        })
    }

    /// The value of a `let`.
    pub(super) fn let_value(&mut self, var: VarId, value: &LetValue) -> Lower<Val> {
        match value {
            LetValue::Expr(e) => self.expr(e),
            LetValue::Elements { dims, stmts, rest } => {
                let dims = self.size_list(dims)?;
                let rest = rest.as_ref().map(|e| self.expr(e)).transpose()?;
                self.elements(var, dims, stmts, rest.as_ref())
            }
        }
    }

    /// Takes all density from where a `let` is not what its type says.
    ///
    /// # Errors
    /// E0418 when that is everywhere.
    pub(super) fn constraint(&mut self, var: VarId, support: &Support, span: Span) -> Lower<()> {
        let value = self.env[&var].clone();
        let outside = self.count_outside(support, &value)?;
        let none = self.real(0.0);
        let holds = self.binary(BinaryOp::Le, &outside, &none)?;
        match self.numbers(holds.id).map(|t| t.data[0] != 0.0) {
            Some(true) => Ok(()),
            Some(false) => {
                let name = &self.model.var(var).name;
                let message = format!("with this data `{name}` is not what its type says");
                Err(self.error(Code::E0418, message, "declared here"))
            }
            None => {
                let (zero, never) = (self.real(0.0), self.real(f64::NEG_INFINITY));
                let op = Op::Ternary(TernaryOp::Select);
                let term = self.elementwise(op, &[&holds, &zero, &never])?;
                self.add_term(&term, span, None)
            }
        }
    }

    /// Adds `log p(x)` to the log joint.
    pub(super) fn tilde(
        &mut self,
        x: &Val,
        dist: &Dist,
        span: Span,
        observed: Option<String>,
    ) -> Lower<()> {
        let density = self.log_density(dist, x)?;
        self.add_term(&density, span, observed)
    }

    /// Adds the log probability of a discrete latent, or of data with some in it, to the log joint.
    pub(super) fn latent_prior(
        &mut self,
        x: &Val,
        dist: &Dist,
        span: Span,
        observed: Option<String>,
    ) -> Lower<()> {
        self.note_given(x);
        self.tilde(x, dist, span, observed)?;
        if let Some(term) = self.terms.last_mut() {
            term.of_latent = true;
        }
        Ok(())
    }

    /// Adds the elements of `v` to the log joint, once for each step of the loops around, where the
    /// conditions around hold.
    fn add_term(&mut self, v: &Val, span: Span, observed: Option<String>) -> Lower<()> {
        let axes = self.loops.clone();
        let all = AxisTable::union([v, &Val { id: v.id, axes: axes.clone() }]);
        let own = v.shape(&self.b);
        let mut term = Val { id: self.axes.spread(&mut self.b, v, &all, &own), axes: all };
        for mask in self.masks.clone() {
            let zero = self.real(0.0);
            term = self.elementwise(Op::Ternary(TernaryOp::Select), &[&mask, &term, &zero])?;
        }
        self.check_term(&term)?;
        self.terms.push(Term { value: term.id, span, observed, of_latent: false });
        Ok(())
    }

    /// Joins the terms from number `before` on that the steps of an unrolled loop made of one statement.
    fn join_terms(&mut self, before: usize) {
        let lead = self.enumerated.len();
        if self.loops.len() > lead {
            return;
        }
        let mut groups: Vec<Vec<Term>> = Vec::new();
        for term in self.terms.split_off(before) {
            let same =
                |g: &&mut Vec<Term>| (g[0].span, &g[0].observed) == (term.span, &term.observed);
            match groups.iter_mut().find(same) {
                Some(group) => group.push(term),
                None => groups.push(vec![term]),
            }
        }
        for mut group in groups {
            let mut ids = Vec::with_capacity(group.len());
            for term in &group {
                let full = self.b.shape(term.value);
                let mut shape: Shape = full[..lead].into();
                shape.push(full[lead..].iter().product());
                ids.push(self.b.reshape(term.value, &shape));
            }
            let mut term = group.swap_remove(0);
            if ids.len() > 1 {
                term.value = self.b.concat(&ids, lead);
            }
            self.terms.push(term);
        }
    }

    /// The variable that an expression is, or is an element of, and what it is.
    fn variable_kind(&self, e: &Expr) -> Option<(VarKind, VarId)> {
        match &e.kind {
            ExprKind::Var(v) => Some((self.model.var(*v).kind, *v)),
            ExprKind::Index(base, _) => self.variable_kind(base),
            _ => None,
        }
    }
}
