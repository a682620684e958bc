//! Lints about what is said twice, or for nothing: loops that repeat a statement, data that two
//! statements describe, definitions that nothing uses or that hide the library's.

use std::collections::{HashMap, HashSet};

use crate::diagnostics::{Code, Diagnostic};
use crate::source::FileId;
use crate::syntax::ast;

use super::checker::Checker;
use super::stdlib;
use super::typed::{
    Decl, Expr, ExprKind, LetValue, Stage, Stmt, StmtKind, Type, Var, VarId, VarKind,
};
use super::visit;

impl Checker<'_> {
    /// Adds these lints for a model without errors.
    pub(super) fn lint_idle(&mut self, decls: &[Decl], main: FileId) {
        let mut described: HashMap<VarId, &Expr> = HashMap::new();
        for decl in decls {
            let Decl::Stmt(stmt) = decl else { continue };
            self.lint_loops(stmt);
            if let StmtKind::Tilde { lhs, .. } = &stmt.kind
                && let ExprKind::Var(var) = lhs.kind
                && self.model.var(var).kind == VarKind::Data
                && let Some(earlier) = described.insert(var, lhs)
            {
                let name = &self.model.var(var).name;
                let diagnostic = Diagnostic::warning(
                    Code::W0614,
                    lhs.span,
                    format!("two statements describe `{name}`, which counts twice"),
                    "the second",
                )
                .with_label(earlier.span, "the first")
                .with_help("keep one; two ways to arise are one `mixture([…], …, …)`");
                self.report(diagnostic);
            }
        }
        self.lint_locals(decls);
        if !decls.is_empty() {
            self.lint_definitions(main);
        }
    }

    fn lint_loops(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::For { var, lo, hi, body } => {
                let once =
                    matches!((&lo.kind, &hi.kind), (ExprKind::Int(a), ExprKind::Int(b)) if a >= b);
                if !once {
                    self.lint_repeats(*var, &mut HashSet::from([*var]), body);
                }
                body.iter().for_each(|stmt| self.lint_loops(stmt));
            }
            StmtKind::If { then, otherwise, .. } => {
                then.iter().chain(otherwise).for_each(|stmt| self.lint_loops(stmt));
            }
            StmtKind::Tilde { .. }
            | StmtKind::Factor(_)
            | StmtKind::Let { .. }
            | StmtKind::Assign { .. } => {}
        }
    }

    /// Warns of statements that are the same in every step of the loop over `index`; `varying` are
    /// the names that differ from step to step.
    fn lint_repeats(&mut self, index: VarId, varying: &mut HashSet<VarId>, body: &[Stmt]) {
        for stmt in body {
            match &stmt.kind {
                StmtKind::Tilde { lhs, dist } => {
                    let mut drawn = false;
                    visit::dist_exprs(dist, &mut |e| drawn |= mentions(e, varying));
                    let same_data = lhs.stage == Stage::Data && !mentions(lhs, varying);
                    if same_data || !drawn && !mentions(lhs, varying) {
                        self.report_repeat(index, stmt, lhs, drawn);
                    }
                }
                StmtKind::Factor(e) if !mentions(e, varying) => {
                    self.report_repeat(index, stmt, e, false);
                }
                StmtKind::Let { var, value } => {
                    let mut depends = false;
                    visit::let_exprs(value, &mut |e| depends |= mentions(e, varying));
                    if depends {
                        varying.insert(*var);
                    }
                }
                StmtKind::For { body, .. } => self.lint_repeats(index, varying, body),
                StmtKind::If { cond, then, otherwise } if !mentions(cond, varying) => {
                    self.lint_repeats(index, varying, then);
                    self.lint_repeats(index, varying, otherwise);
                }
                StmtKind::If { .. } | StmtKind::Factor(_) | StmtKind::Assign { .. } => {}
            }
        }
    }

    fn report_repeat(&mut self, index: VarId, stmt: &Stmt, subject: &Expr, drawn: bool) {
        let Var { name, span, .. } = self.model.var(index).clone();
        let diagnostic = if drawn {
            let message = "the same data is observed in every step of the loop";
            Diagnostic::warning(Code::W0613, subject.span, message, format!("no `{name}` here"))
                .with_help(format!("did you mean one element, indexed by `[{name}]`?"))
        } else {
            let message = "this statement is the same in every step of the loop";
            let label = format!("does not depend on `{name}`, and counts once for each step");
            Diagnostic::warning(Code::W0613, stmt.span, message, label)
                .with_help(format!("index by `[{name}]`, or take the statement out of the loop"))
        };
        self.report(diagnostic.with_label(span, format!("the loop over `{name}`")));
    }

    /// Warns of local names that nothing reads.
    fn lint_locals(&mut self, decls: &[Decl]) {
        let mut locals = Vec::new();
        let mut read = HashSet::new();
        for decl in decls {
            match decl {
                Decl::Stmt(stmt) => {
                    visit::stmt_lets(stmt, &mut |var| locals.push(var));
                    visit::stmt_exprs(stmt, &mut |e| collect(e, &mut locals, &mut read));
                }
                Decl::Let { value, .. } => {
                    visit::let_exprs(value, &mut |e| collect(e, &mut locals, &mut read));
                }
                Decl::Recursion(lets) => {
                    for (_, value) in lets {
                        visit::let_exprs(value, &mut |e| collect(e, &mut locals, &mut read));
                    }
                }
                Decl::Data { .. }
                | Decl::Missing { .. }
                | Decl::Param { .. }
                | Decl::Marginal { .. }
                | Decl::Constraint { .. } => {}
            }
        }
        let own = self.entries.iter().filter(|entry| !entry.library);
        for id in own.flat_map(|entry| entry.fns.values()) {
            collect(&self.model.function(*id).body, &mut locals, &mut read);
        }
        for var in &self.model.vars {
            read.extend(var.ty.dims().iter().flat_map(super::shape::Dim::vars));
        }
        for id in locals.into_iter().filter(|id| !read.contains(id)) {
            let Var { name, span, ty, .. } = self.model.var(id).clone();
            if ty == Type::Error || name.starts_with('_') {
                continue;
            }
            self.report(
                Diagnostic::warning(
                    Code::W0616,
                    span,
                    format!("`{name}` is never used"),
                    "an unused local name",
                )
                .with_help(format!("remove it, or call it `_{name}` to say that this is meant")),
            );
        }
    }

    /// Warns of functions and distributions of the model's own file that nothing calls, and of those
    /// that hide one of the library.
    fn lint_definitions(&mut self, main: FileId) {
        for id in 0..self.entries.len() {
            let entry = &self.entries[id];
            let what = match &entry.file.items[entry.item] {
                ast::Item::Fn(_) => "function",
                ast::Item::Dist(_) => "distribution",
                _ => continue,
            };
            if entry.library {
                continue;
            }
            let name = entry.name.clone();
            if stdlib::file_of(&name.text).is_some() {
                self.report(
                    Diagnostic::warning(
                        Code::W0615,
                        name.span,
                        format!("the standard library has a {what} `{}` already", name.text),
                        "defined anew here, for this model",
                    )
                    .with_help("remove the definition, or choose another name"),
                );
            }
            if name.span.file == main && !self.called.contains(&id) {
                self.report(
                    Diagnostic::warning(
                        Code::W0616,
                        name.span,
                        format!("`{}` is never used", name.text),
                        format!("an unused {what}"),
                    )
                    .with_help("remove it, or move it to a file that is imported"),
                );
            }
        }
    }
}

fn mentions(e: &Expr, vars: &HashSet<VarId>) -> bool {
    let mut found = false;
    visit::vars(e, &mut |var, _| found |= vars.contains(&var));
    found
}

/// Collects the local names that an expression defines, and all that it reads.
fn collect(e: &Expr, locals: &mut Vec<VarId>, read: &mut HashSet<VarId>) {
    visit::vars(e, &mut |var, _| {
        read.insert(var);
    });
    collect_blocks(e, locals);
}

fn collect_blocks(e: &Expr, locals: &mut Vec<VarId>) {
    if let ExprKind::Block(lets, _) = &e.kind {
        for (var, value) in lets {
            locals.push(*var);
            if let LetValue::Elements { stmts, .. } = value {
                stmts.iter().for_each(|stmt| visit::stmt_lets(stmt, &mut |var| locals.push(var)));
            }
        }
    }
    visit::parts(e, &mut |part| collect_blocks(part, locals));
}
