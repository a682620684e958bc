//! Lints: what is allowed but probably not meant.

use std::collections::{HashMap, HashSet};

use crate::diagnostics::{Code, Diagnostic};
use crate::source::FileId;

use super::checker::Checker;
use super::dist::{Value, quoted};
use super::shape::Dim;
use super::typed::{
    Decl, Dist, DistKind, Expr, ExprKind, Model, Stage, Stmt, StmtKind, Structure, Support, VarId,
    VarKind,
};
use super::visit;

/// A centred hierarchy of fewer groups than this mixes badly.
const FEW_GROUPS: i64 = 30;

/// Adds the warnings that need the whole model; with errors in it there are no warnings at all.
/// `main` is the model's own file.
pub(super) fn lint(checker: &mut Checker<'_>, main: FileId) {
    // The absence of what an error kept out of the tree says nothing.
    let broken = !checker.broken_names.is_empty();
    if broken || checker.diagnostics.iter().any(Diagnostic::is_error) {
        checker.diagnostics.retain(Diagnostic::is_error);
        return;
    }
    let decls = std::mem::take(&mut checker.model.decls);
    let reads = Reads::of(&decls, checker);
    checker.lint_priors(&decls);
    checker.lint_reach(&decls, &reads);
    checker.lint_unused_data(&decls, &reads);
    let known = |var| checker.facts.values.get(&var).and_then(Dim::as_constant);
    let found = hierarchies(&checker.model, &decls, &|dim| dim.evaluate(&known));
    checker.diagnostics.extend(found);
    checker.lint_hard_coded_sizes(&decls);
    checker.lint_idle(&decls, main);
    for decl in &decls {
        match decl {
            Decl::Stmt(stmt) => checker.lint_branches(stmt),
            Decl::Let { value, .. } => {
                visit::let_exprs(value, &mut |e| checker.lint_branch_expr(e));
            }
            Decl::Recursion(lets) => {
                for (_, value) in lets {
                    visit::let_exprs(value, &mut |e| checker.lint_branch_expr(e));
                }
            }
            Decl::Data { .. }
            | Decl::Missing { .. }
            | Decl::Param { .. }
            | Decl::Marginal { .. }
            | Decl::Constraint { .. } => {}
        }
    }
    checker.model.decls = decls;
}

/// Returns the warnings that need the sizes which data gives: those of [`check`](super::check) are
/// without data.
#[must_use]
pub fn lint_with_sizes(model: &Model, size: &dyn Fn(VarId) -> Option<i64>) -> Vec<Diagnostic> {
    hierarchies(model, &model.decls, &|dim| match dim.as_constant() {
        Some(_) => None,
        None => dim.evaluate(size),
    })
}

/// Warns of `param theta: real[J] ~ normal(mu, tau)` with parameters `mu` and `tau` and few groups.
fn hierarchies(
    model: &Model,
    decls: &[Decl],
    size: &dyn Fn(&Dim) -> Option<i64>,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    // Inference already works on another scale than that of these.
    let mapped: HashSet<VarId> = decls
        .iter()
        .filter_map(|decl| match decl {
            Decl::Param { var, support, .. } => match &support.structure {
                Structure::Scalar { multiplier: Some(_), .. } => Some(*var),
                _ => None,
            },
            _ => None,
        })
        .collect();
    for decl in decls {
        let (id, dist) = match decl {
            Decl::Param { var, prior: Some(prior), .. } => (*var, prior),
            Decl::Stmt(Stmt { kind: StmtKind::Tilde { lhs, dist }, .. }) => match lhs.kind {
                ExprKind::Var(var) if model.var(var).kind == VarKind::Param => (var, dist),
                _ => continue,
            },
            _ => continue,
        };
        let DistKind::Named { dist: normal, args, .. } = &dist.kind else { continue };
        if mapped.contains(&id) {
            continue;
        }
        let ([groups], [loc, scale]) = (model.var(id).ty.dims(), args.as_slice()) else { continue };
        let late = |e: &Expr| e.ty.dims().is_empty() && e.stage == Stage::Parameter;
        let centred = model.dist(*normal).name == "normal" && late(loc) && late(scale);
        let Some(n) = size(groups).filter(|n| centred && *n < FEW_GROUPS) else { continue };
        let (name, span) = (&model.var(id).name, model.var(id).span);
        let names = |var: VarId| model.var(var).name.clone();
        let shown = [loc, scale].map(|e| super::print::expr(e, &names));
        found.push(
            Diagnostic::warning(
                Code::W0606,
                dist.span,
                format!("a centred hierarchy of {n} groups"),
                "its scale and its elements depend on each other",
            )
            .with_label(span, format!("{n} groups"))
            .with_help(format!(
                "write `param {name}_raw: real[{}] ~ normal(0, 1)` and \
                 `let {name} = {} + {} * {name}_raw`",
                groups.show(&names),
                shown[0],
                shown[1]
            )),
        );
    }
    found
}

/// Which declarations read which variables.
struct Reads {
    /// For each declaration, the variables in it besides the one it declares.
    of_decl: Vec<HashSet<VarId>>,
    /// Which declaration declares a variable.
    declared_by: HashMap<VarId, usize>,
}

impl Reads {
    fn of(decls: &[Decl], checker: &Checker<'_>) -> Self {
        let mut of_decl = Vec::new();
        let mut declared_by = HashMap::new();
        for (index, decl) in decls.iter().enumerate() {
            let mut vars = visit::reads(decl);
            for own in decl.defines() {
                vars.remove(&own);
                declared_by.insert(own, index);
            }
            // Sizes of a shape are read through `size(x)` and its kin only by name.
            vars.retain(|var| checker.model.var(*var).kind != VarKind::Index);
            of_decl.push(vars);
        }
        Self { of_decl, declared_by }
    }
}

impl Checker<'_> {
    /// Warns of an argument that has to be positive and need not be.
    pub(super) fn lint_negative_scale(&mut self, param: &str, arg: &Expr, name: &str) {
        let mut diagnostic = Diagnostic::warning(
            Code::W0605,
            arg.span,
            format!("`{param}` of `{name}` can become negative"),
            "nothing keeps this positive",
        );
        if let Some((var, span)) = self.culprit(arg, Stage::Data) {
            let var = self.model.var(var);
            diagnostic = match (var.kind, span == arg.span) {
                (VarKind::Param, true) => diagnostic
                    .with_label(var.span, "declared without a lower bound")
                    .with_help("declare it `<lower=0>`"),
                _ => diagnostic
                    .with_label(var.span, format!("`{}` is declared here", var.name))
                    .with_help("take `exp(…)` or `log1p_exp(…)` of it"),
            };
        }
        self.report(diagnostic);
    }

    /// Warns of a prior whose constant on the declared support is not known.
    pub(super) fn lint_unnormalised(&mut self, value: &Value, dist: &Dist, support: &Support) {
        let mut late = false;
        visit::dist_exprs(dist, &mut |e| late |= e.stage > Stage::Data);
        let mut warning = Diagnostic::warning(
            Code::W0609,
            dist.span,
            format!(
                "the prior of {} is not normalised on a `{}`",
                quoted(&value.name),
                support.structure.name()
            ),
            "its constant is not known there",
        )
        .with_note(match late {
            false => "the evidence estimate is off by that constant; the posterior is not",
            true => "that constant depends on parameters, so the posterior depends on it too",
        });
        if matches!(support.structure, Structure::SumToZero(_)) {
            warning = warning.with_help("`zero_sum_normal(sigma)` is normal and normalised there");
        }
        self.report(warning);
    }

    /// Remembers that a statement gives a parameter its prior, and warns of a second one for the
    /// same whole parameter, or of one that the declared support cuts.
    pub(super) fn note_prior(&mut self, var: VarId, lhs: &Expr, dist: &Dist) {
        let span = lhs.span;
        if matches!(lhs.kind, ExprKind::Var(_))
            && let Some(earlier) = self.priors.get(&var).copied()
        {
            let name = self.model.var(var).name.clone();
            self.report(
                Diagnostic::warning(
                    Code::W0611,
                    span,
                    format!("`{name}` has two priors, which are multiplied"),
                    "the second",
                )
                .with_label(earlier, "the first"),
            );
        }
        if let DistKind::Truncated { .. } = dist.kind
            && !self.text_says_truncate(dist)
        {
            let (name, place) = (self.model.var(var).name.clone(), self.model.var(var).span);
            self.report(
                Diagnostic::warning(
                    Code::W0604,
                    dist.span,
                    format!("the declared support of `{name}` cuts this distribution"),
                    "truncated, and normalised",
                )
                .with_label(place, "declared with bounds")
                .with_help("to say so, write the prior into the declaration of the parameter"),
            );
        }
        self.priors.insert(var, span);
    }

    fn text_says_truncate(&self, dist: &Dist) -> bool {
        self.sources.slice(dist.span).starts_with("truncate")
    }

    /// Warns of a left side that is a function of parameters: its Jacobian is missing.
    pub(super) fn lint_transformed(&mut self, lhs: &Expr) {
        let touches_data = {
            let mut found = false;
            visit::vars(lhs, &mut |var, _| {
                found |= self.model.var(var).kind == VarKind::Data;
            });
            found
        };
        let mut param = None;
        self.params_behind(lhs, &mut param);
        if let (Some(var), false) = (param, touches_data) {
            let name = self.model.var(var).name.clone();
            self.report(
                Diagnostic::warning(
                    Code::W0610,
                    lhs.span,
                    format!("a distribution of a function of `{name}`"),
                    "not a parameter or data",
                )
                .with_note("the log joint gets this term as it is; no Jacobian is added")
                .with_help("give the parameter itself a prior, or add the Jacobian by `factor`"),
            );
        }
    }

    fn params_behind(&self, e: &Expr, found: &mut Option<VarId>) {
        visit::vars(e, &mut |var, _| {
            if found.is_none() && self.model.var(var).kind == VarKind::Param {
                *found = Some(var);
            }
        });
    }

    fn lint_priors(&mut self, decls: &[Decl]) {
        for decl in decls {
            let Decl::Param { var, support, .. } = decl else { continue };
            if self.priors.contains_key(var) || self.is_compact(support) {
                continue;
            }
            let (name, span) = (self.model.var(*var).name.clone(), self.model.var(*var).span);
            self.report(
                Diagnostic::warning(
                    Code::W0601,
                    span,
                    format!("`{name}` has an improper prior"),
                    "flat over an infinite range",
                )
                .with_note("the evidence is not defined, and the posterior may not be either")
                .with_help(format!("give it a prior: `param {name} … ~ normal(0, 10)`")),
            );
        }
    }

    fn is_compact(&self, support: &Support) -> bool {
        match &support.structure {
            Structure::Scalar { lower, upper, .. } => lower.is_some() && upper.is_some(),
            Structure::Simplex(_)
            | Structure::UnitVector(_)
            | Structure::CholeskyCorr(_)
            | Structure::CorrMatrix(_) => true,
            Structure::Ordered(_)
            | Structure::PositiveOrdered(_)
            | Structure::SumToZero(_)
            | Structure::CholeskyCov(_)
            | Structure::CovMatrix(_) => false,
        }
    }

    /// Warns of parameters that no likelihood reaches, through other declarations included.
    fn lint_reach(&mut self, decls: &[Decl], reads: &Reads) {
        // A term of the log joint ties everything in it together; a definition passes reach on.
        let mut touches: HashMap<VarId, Vec<usize>> = HashMap::new();
        let mut waiting: Vec<usize> = Vec::new();
        for (index, decl) in decls.iter().enumerate() {
            match decl {
                Decl::Param { .. }
                | Decl::Marginal { .. }
                | Decl::Let { .. }
                | Decl::Recursion(_) => {
                    for var in decl.defines() {
                        touches.entry(var).or_default().push(index);
                    }
                }
                Decl::Data { .. } | Decl::Missing { .. } | Decl::Constraint { .. } => {}
                Decl::Stmt(stmt) => {
                    let late = |var: &&VarId| self.model.var(**var).stage > Stage::Data;
                    for var in reads.of_decl[index].iter().filter(late) {
                        touches.entry(*var).or_default().push(index);
                    }
                    if self.has_likelihood(stmt) {
                        waiting.push(index);
                    }
                }
            }
        }
        if waiting.is_empty() {
            return;
        }
        let mut reached: HashSet<VarId> = HashSet::new();
        while let Some(index) = waiting.pop() {
            for var in &reads.of_decl[index] {
                if reached.insert(*var) {
                    waiting.extend(touches.get(var).into_iter().flatten());
                }
            }
        }
        for decl in decls {
            let Decl::Param { var, .. } = decl else { continue };
            if !reached.contains(var) {
                let (name, span) = (self.model.var(*var).name.clone(), self.model.var(*var).span);
                self.report(
                    Diagnostic::warning(
                        Code::W0602,
                        span,
                        format!("no likelihood depends on `{name}`"),
                        "its posterior is its prior",
                    )
                    .with_help("use it in the distribution of some data, or remove it"),
                );
            }
        }
    }

    /// Tells whether a statement ties parameters to data.
    fn has_likelihood(&self, stmt: &Stmt) -> bool {
        match &stmt.kind {
            StmtKind::Tilde { lhs, .. } => {
                let mut data = false;
                visit::vars(lhs, &mut |var, _| data |= self.model.var(var).kind == VarKind::Data);
                data || lhs.stage == Stage::Data
            }
            StmtKind::Factor(_) => true,
            StmtKind::For { body, .. } => body.iter().any(|stmt| self.has_likelihood(stmt)),
            StmtKind::If { then, otherwise, .. } => {
                then.iter().chain(otherwise).any(|stmt| self.has_likelihood(stmt))
            }
            StmtKind::Let { .. } | StmtKind::Assign { .. } => false,
        }
    }

    fn lint_unused_data(&mut self, decls: &[Decl], reads: &Reads) {
        let mut read: HashSet<VarId> = reads.of_decl.iter().flatten().copied().collect();
        // A size may be used only in a type, which no expression shows.
        for var in &self.model.vars {
            read.extend(var.ty.dims().iter().flat_map(Dim::vars));
        }
        for decl in decls {
            let Decl::Data { var, .. } = decl else { continue };
            if !read.contains(var) && reads.declared_by.contains_key(var) {
                let (name, span) = (self.model.var(*var).name.clone(), self.model.var(*var).span);
                self.report(
                    Diagnostic::warning(
                        Code::W0603,
                        span,
                        format!("`{name}` is never used"),
                        "unused data",
                    )
                    .with_help(format!("did you forget `{name} ~ …`?")),
                );
            }
        }
    }

    /// Warns of literal sizes that equal a named one.
    fn lint_hard_coded_sizes(&mut self, decls: &[Decl]) {
        let mut named: HashMap<i64, VarId> = HashMap::new();
        for decl in decls {
            let (var, value) = match decl {
                Decl::Let { var, value: super::typed::LetValue::Expr(e) } => (*var, Some(e)),
                Decl::Data { var, default, .. } => (*var, default.as_ref()),
                _ => continue,
            };
            if let Some(ExprKind::Int(n)) = value.map(|e| &e.kind)
                && *n > 1
            {
                named.entry(*n).or_insert(var);
            }
        }
        for (n, span) in std::mem::take(&mut self.literal_sizes) {
            let Some(var) = named.get(&n) else { continue };
            let (name, place) = (self.model.var(*var).name.clone(), self.model.var(*var).span);
            self.report(
                Diagnostic::warning(
                    Code::W0607,
                    span,
                    format!("the size {n} is also called `{name}`"),
                    "written as a number",
                )
                .with_label(place, format!("`{name}` is {n}"))
                .with_fix(format!("write `{name}`"), span, name),
            );
        }
    }

    fn lint_branches(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::If { cond, then, otherwise } => {
                self.lint_condition(cond);
                for stmt in then.iter().chain(otherwise) {
                    self.lint_branches(stmt);
                }
            }
            StmtKind::For { body, .. } => body.iter().for_each(|stmt| self.lint_branches(stmt)),
            StmtKind::Tilde { .. }
            | StmtKind::Factor(_)
            | StmtKind::Let { .. }
            | StmtKind::Assign { .. } => visit::stmt_exprs(stmt, &mut |e| self.lint_branch_expr(e)),
        }
    }

    fn lint_branch_expr(&mut self, e: &Expr) {
        if let ExprKind::If(cond, ..) = &e.kind
            && e.stage == Stage::Parameter
        {
            self.lint_condition(cond);
        }
        visit::parts(e, &mut |part| self.lint_branch_expr(part));
    }

    fn lint_condition(&mut self, cond: &Expr) {
        if cond.stage != Stage::Parameter || self.is_discrete(cond) {
            return;
        }
        let mut diagnostic = Diagnostic::warning(
            Code::W0608,
            cond.span,
            "a branch that depends on parameters",
            "the density has a kink or a jump where this changes",
        )
        .with_help(
            "gradient-based inference wants a smooth form, such as `inv_logit` of the difference",
        );
        if let Some((var, _)) = self.culprit(cond, Stage::Data) {
            let var = self.model.var(var);
            let text = format!("`{}` is declared here", var.name);
            diagnostic = diagnostic.with_label(var.span, text);
        }
        self.report(diagnostic);
    }
}
