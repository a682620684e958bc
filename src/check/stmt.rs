//! Statements: `~`, `factor`, `for`, `if`, and the elements of a `let`.

use crate::diagnostics::{Code, Diagnostic};
use crate::syntax::ast;

use super::builtins::Builtin;
use super::checker::Checker;
use super::dist::Value;
use super::places::Means;
use super::subst::Subst;
use super::typed::{
    Expr, ExprKind, Index, MemberId, Scalar, Stage, Stmt, StmtKind, Support, Type, VarId, VarKind,
};

impl Checker<'_> {
    /// Checks a statement; `target` is the variable that is being defined element by element.
    /// `None` after an error.
    pub(super) fn stmt(&mut self, stmt: &ast::Stmt, target: Option<VarId>) -> Option<Stmt> {
        let kind = match &stmt.kind {
            ast::StmtKind::Let(d) => {
                let (var, value) = self.local_let(d)?;
                StmtKind::Let { var, value }
            }
            ast::StmtKind::Tilde { lhs, dist } => self.tilde(lhs, dist)?,
            ast::StmtKind::Factor(e) => {
                let e = self.expr(e);
                if matches!(e.ty.scalar(), Some(Scalar::Bool)) {
                    self.report(
                        Diagnostic::error(
                            Code::E0201,
                            e.span,
                            "`factor` adds a number to the log joint, found bool",
                            "a truth value",
                        )
                        .with_help("constraints are declared in the types of parameters"),
                    );
                }
                if e.ty.is_error() || !self.require_in_joint(&e) {
                    return None;
                }
                self.lint_repeated_addends(&e);
                StmtKind::Factor(e)
            }
            ast::StmtKind::Assign { target: name, indices, value } => {
                self.assign(name, indices, value, target)?
            }
            ast::StmtKind::For { var, range, body } => self.for_loop(var, range, body, target)?,
            ast::StmtKind::If { cond, then, otherwise } => {
                let cond = self.expr(cond);
                let good = self.require_bool(&cond) && self.require_in_joint(&cond);
                if good && !cond.ty.dims().is_empty() {
                    let found = self.show(&cond.ty);
                    self.report(
                        Diagnostic::error(
                            Code::E0203,
                            cond.span,
                            format!(
                                "the condition of a statement is one truth value, found {found}"
                            ),
                            format!("this is {found}"),
                        )
                        .with_help("write a loop, or the expression `if c { a } else { b }`"),
                    );
                }
                if let Some(target) = target {
                    self.raise_stage(target, cond.stage);
                }
                self.conditions += 1;
                let then = self.body(then, target);
                let otherwise = self.body(otherwise, target);
                self.conditions -= 1;
                if !good {
                    return None;
                }
                StmtKind::If { cond, then, otherwise }
            }
        };
        Some(Stmt { kind, span: stmt.span })
    }

    fn body(&mut self, stmts: &[ast::Stmt], target: Option<VarId>) -> Vec<Stmt> {
        let mark = self.scope.locals.len();
        let stmts = stmts.iter().filter_map(|stmt| self.stmt(stmt, target)).collect();
        self.scope.locals.truncate(mark);
        stmts
    }

    fn for_loop(
        &mut self,
        var: &ast::Ident,
        range: &ast::Expr,
        body: &[ast::Stmt],
        target: Option<VarId>,
    ) -> Option<StmtKind> {
        let ends = match &range.kind {
            ast::ExprKind::Range { lo, hi } => {
                let (lo, hi) = (self.expr(lo), self.expr(hi));
                let mut good = true;
                for end in [&lo, &hi] {
                    good &= self.require_int(end, "an end of a loop")
                        && self.require_data(end, "an end of a loop");
                }
                good.then_some((lo, hi))
            }
            _ => {
                let over = self.expr(range);
                if !over.ty.is_error() {
                    let found = self.show(&over.ty);
                    self.report(
                        Diagnostic::error(
                            Code::E0205,
                            range.span,
                            format!("a loop runs over a range `lo:hi`, found {found}"),
                            format!("this is {found}"),
                        )
                        .with_help("loop over positions: `for i in 1:size(x) { … x[i] … }`"),
                    );
                }
                None
            }
        };
        let index = self.new_var(var, VarKind::Index, Type::INT, Stage::Data);
        if let Some((lo, hi)) = &ends {
            let range = (self.dim_of(lo), self.dim_of(hi));
            self.facts.ranges.insert(index, range);
        }
        let mark = self.scope.locals.len();
        self.scope.push(&var.text, index);
        let body = self.body(body, target);
        self.scope.locals.truncate(mark);
        let (lo, hi) = ends?;
        Some(StmtKind::For { var: index, lo, hi, body })
    }

    fn assign(
        &mut self,
        name: &ast::Ident,
        indices: &[ast::Index],
        value: &ast::Expr,
        target: Option<VarId>,
    ) -> Option<StmtKind> {
        let value = self.expr(value);
        let target = target?;
        let defined = self.model.var(target).clone();
        if name.text != defined.name {
            self.report(
                Diagnostic::error(
                    Code::E0311,
                    name.span,
                    format!("only elements of `{}` are defined here", defined.name),
                    "another name",
                )
                .with_label(defined.span, "being defined")
                .with_help("a local value is written `let name = …`"),
            );
            return None;
        }
        self.note_use(name.span, Means::Var(target));
        let base = self.read(target, name.span);
        let (indices, dims) = self.indices(&base, indices, name.span)?;
        let late = indices.iter().any(|index| match index {
            Index::At(e) => e.stage > Stage::Data,
            Index::Slice(..) => false,
        });
        if value.ty.is_error() || late {
            return None;
        }
        let wanted = Type::array(defined.ty.scalar()?, dims);
        if !self.require_type(
            &value,
            &wanted,
            &format!("an element of `{}`", name.text),
            defined.span,
        ) {
            return None;
        }
        self.raise_stage(target, value.stage);
        Some(StmtKind::Assign { var: target, indices, value })
    }

    fn tilde(&mut self, lhs: &ast::Expr, dist: &ast::Expr) -> Option<StmtKind> {
        let lhs = self.expr(lhs);
        let lhs = self.picked(lhs);
        let fits = self.require_in_joint(&lhs);
        if lhs.ty.is_error() {
            self.draw(dist, None);
            return None;
        }
        let name = match lhs.kind {
            ExprKind::Var(var) => self.model.var(var).name.clone(),
            _ => "the left side".to_string(),
        };
        let param = self.assigned_param(&lhs);
        let dist = match &param {
            Some((_, support)) => {
                self.prior(dist, support, &lhs.ty.clone(), &name, (lhs.span, lhs.span))?
            }
            None => {
                let value = Value {
                    ty: lhs.ty.clone(),
                    support: self.known_support(&lhs),
                    interval: self.interval(&lhs),
                    span: lhs.span,
                    name,
                };
                let (dist, draw) = self.draw(dist, Some(&value))?;
                self.note_missing(&lhs, &draw.support);
                match self.marginal_of(&lhs) {
                    Some(_) => {
                        let support = self.known_support(&lhs)?;
                        self.cut_to(dist, &support, &draw.support)?
                    }
                    None => dist,
                }
            }
        };
        match param {
            Some((var, _)) => self.note_prior(var, &lhs, &dist),
            None if lhs.stage == Stage::Parameter && self.marginal_of(&lhs).is_none() => {
                self.lint_transformed(&lhs);
            }
            None => {}
        }
        if !fits {
            return None;
        }
        Some(StmtKind::Tilde { lhs, dist })
    }

    /// Warns of one number beside the log densities of many values in a `factor`: the sum of an array
    /// has it once for each, where Stan's `_lpdf`, which is one number, has it once.
    fn lint_repeated_addends(&mut self, factor: &Expr) {
        let mut addends = Vec::new();
        gather_addends(factor, &mut addends);
        let densities = addends.iter().find(|e| {
            !e.ty.dims().is_empty()
                && matches!(e.kind, ExprKind::Member(_, MemberId::LogDensity, _))
        });
        let Some(densities) = densities else { return };
        for number in &addends {
            if number.ty.dims().is_empty() && number.stage == Stage::Parameter {
                let warning = Diagnostic::warning(
                    Code::W0618,
                    number.span,
                    "one number is added to each of many log densities",
                    "counted once for each",
                )
                .with_label(
                    densities.span,
                    format!("{}, one for each value", self.show(&densities.ty)),
                )
                .with_help("for their sum write `sum(…)`, or a `factor` of its own for the number");
                self.report(warning);
            }
        }
    }

    /// Returns the parameter that a left side is, or is an element of, with the support of that
    /// part: the statement is its prior.
    fn assigned_param(&self, lhs: &Expr) -> Option<(VarId, Support)> {
        let var = variable_of(lhs)?;
        if self.model.var(var).kind != VarKind::Param {
            return None;
        }
        Some((var, self.known_support(lhs)?))
    }

    /// A function of a variable that only picks some of its elements, as `segment` does: those elements.
    fn picked(&self, lhs: Expr) -> Expr {
        let ExprKind::Call(f, args) = &lhs.kind else { return lhs };
        let def = self.model.function(*f);
        let ExprKind::Index(base, _) = &def.body.kind else { return lhs };
        let ExprKind::Var(of) = base.kind else { return lhs };
        let arg = def.params.iter().zip(args).find(|(param, _)| **param == of).map(|(_, arg)| arg);
        if !arg.is_some_and(|arg| matches!(arg.kind, ExprKind::Var(_))) {
            return lhs;
        }
        let mut given = Subst::default();
        for (param, arg) in def.params.iter().zip(args) {
            given.bind_expr(*param, arg, None);
        }
        Expr { kind: given.expr(&def.body).kind, ..lhs }
    }

    /// Returns the marginal that a left side is, or is an element of.
    fn marginal_of(&self, lhs: &Expr) -> Option<VarId> {
        variable_of(lhs).filter(|var| self.model.var(*var).kind == VarKind::Marginal)
    }
}

/// The variable that an expression is, or is an element of.
pub(super) fn variable_of(e: &Expr) -> Option<VarId> {
    match &e.kind {
        ExprKind::Var(var) => Some(*var),
        ExprKind::Index(base, _) => match base.kind {
            ExprKind::Var(var) => Some(var),
            _ => None,
        },
        _ => None,
    }
}

/// The terms of a sum, those of the sums in it too.
fn gather_addends<'e>(e: &'e Expr, addends: &mut Vec<&'e Expr>) {
    match &e.kind {
        ExprKind::Builtin(Builtin::Add | Builtin::Sub | Builtin::Neg, terms) => {
            terms.iter().for_each(|term| gather_addends(term, addends));
        }
        _ => addends.push(e),
    }
}
