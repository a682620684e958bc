//! Declarations at the top level: `data`, `param`, `let`, `gen`, `marginal`.

use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast;

use super::checker::Checker;
use super::dist::Value;
use super::interval::Interval;
use super::shape::Dim;
use super::typed::{
    Decl, Dist, Expr, ExprKind, LetValue, Order, Scalar, Stage, Structure, Support, Type, VarId,
    VarKind,
};
use super::visit;

impl Checker<'_> {
    pub(super) fn data(&mut self, id: usize, d: &ast::Data) {
        let Some(var) = self.entries[id].var else { return };
        let Some((support, ty)) = self.declared(&d.ty) else { return };
        self.require_known_bounds(&support);
        if let Structure::Scalar { scalar: Scalar::Real, offset, multiplier, .. } =
            &support.structure
            && let Some(bound) = offset.as_ref().or(multiplier.as_ref())
        {
            self.report(Diagnostic::error(
                Code::E0208,
                bound.span,
                "data has no `offset` or `multiplier`",
                "only for parameters",
            ));
        }
        let default = d.default.as_ref().map(|value| self.expr(value));
        if let Some(value) = &default {
            self.require_type(value, &ty, &format!("the default of `{}`", d.name.text), d.ty.span);
            self.require_data(value, "the default of data");
        }
        // Missing elements are latent, so the array is known only with the parameters.
        let stage = if support.missing { Stage::Parameter } else { Stage::Data };
        // Missing integers are summed out.
        if support.missing && ty.scalar() != Some(Scalar::Real) {
            self.require_range(
                &support,
                d.ty.span,
                &format!("missing elements of `{}`", d.name.text),
            );
            self.facts.discrete.insert(var);
        }
        let entry = self.var_mut(var);
        (entry.ty, entry.stage) = (ty, stage);
        self.declare_support(var, support.clone());
        let missing = support.missing.then(|| Decl::Missing { var, support: support.clone() });
        self.model.decls.push(Decl::Data { var, support, default });
        self.model.decls.extend(missing);
    }

    fn require_known_bounds(&mut self, support: &Support) {
        if let Structure::Scalar { lower, upper, .. } = &support.structure {
            for bound in [lower, upper].into_iter().flatten() {
                self.require_data(bound, "a bound of data");
            }
        }
    }

    pub(super) fn param(&mut self, id: usize, d: &ast::Param) {
        let Some(var) = self.entries[id].var else { return };
        let declared = d.ty.as_ref().map(|ty| (self.declared(ty), ty.span));
        let (support, ty, prior) = match (declared, &d.dist) {
            (Some((None, _)), dist) => {
                if let Some(dist) = dist {
                    let before = self.diagnostics.len();
                    self.draw(dist, None);
                    // Without its type the shape of the parameter is unknown, of course.
                    let found = self.diagnostics.split_off(before);
                    self.diagnostics.extend(found.into_iter().filter(|d| d.code != Code::E0209));
                }
                return;
            }
            (Some((Some((support, ty)), span)), dist) => {
                if !self.require_continuous(&ty, d, span) {
                    return;
                }
                self.forbid_missing(&support, span);
                let prior = dist.as_ref().and_then(|dist| {
                    self.prior(dist, &support, &ty, &d.name.text, (d.name.span, span))
                });
                (support, ty, prior)
            }
            (None, Some(dist)) => {
                if self.is_flat(dist) {
                    self.report_no_type(d);
                    return;
                }
                let Some((prior, draw)) = self.draw(dist, None) else { return };
                if !self.require_continuous(&draw.ty, d, dist.span) {
                    return;
                }
                (draw.support, draw.ty, Some(prior))
            }
            (None, None) => {
                self.report_no_type(d);
                return;
            }
        };
        let support = self.without_random(support);
        self.var_mut(var).ty = ty;
        self.declare_support(var, support.clone());
        if let Some(prior) = &prior {
            self.priors.insert(var, prior.span);
        }
        self.model.decls.push(Decl::Param { var, support, prior, span: d.span });
    }

    fn report_no_type(&mut self, d: &ast::Param) {
        let name = &d.name.text;
        let message = format!("the type of `{name}` is not known");
        let label = "needs a type, or a prior that gives one";
        let help = format!("`param {name}: real ~ flat()`, or `param {name} ~ normal(0, 1)`");
        self.refuse(Code::E0309, &d.name, message, label, help);
    }

    /// Bounds may not be random.
    fn without_random(&mut self, support: Support) -> Support {
        let mut late = Vec::new();
        visit::support_exprs(&support, &mut |e| {
            if e.stage == Stage::Generated {
                late.push(e.clone());
            }
        });
        for e in late {
            self.require_in_joint(&e);
        }
        support
    }

    fn require_continuous(&mut self, ty: &Type, d: &ast::Param, span: Span) -> bool {
        if ty.is_error() {
            return false;
        }
        if ty.scalar() == Some(Scalar::Real) {
            return true;
        }
        let found = self.show(ty);
        let mut diagnostic = Diagnostic::error(
            Code::E0303,
            span,
            format!("parameter `{}` is {found}; parameters are real", d.name.text),
            "discrete, so there is no gradient",
        )
        .with_help(format!(
            "`marginal {}: int<lower=…, upper=…> ~ …` sums a discrete latent out",
            d.name.text
        ));
        let word = Span { end: d.span.start + 5, ..d.span };
        if self.sources.slice(word) == "param" {
            diagnostic = diagnostic.with_suggestion("declare it `marginal`", word, "marginal");
        }
        self.report(diagnostic);
        false
    }

    fn forbid_missing(&mut self, support: &Support, span: Span) {
        if support.missing {
            let message = "only data can have missing elements";
            self.report(Diagnostic::error(Code::E0208, span, message, "`?` has no meaning here"));
        }
    }

    pub(super) fn marginal(&mut self, id: usize, d: &ast::Marginal) {
        let Some(var) = self.entries[id].var else { return };
        let declared = d.ty.as_ref().map(|ty| (self.declared(ty), ty.span));
        let (support, ty, prior) = match (declared, &d.dist) {
            (Some((None, _)), dist) => {
                if let Some(dist) = dist {
                    self.draw(dist, None);
                }
                return;
            }
            (Some((Some((support, ty)), span)), dist) => {
                self.forbid_missing(&support, span);
                let Some(dist) = dist else {
                    return self.declare_marginal(var, d, support, ty, None);
                };
                let value = Value {
                    ty: ty.clone(),
                    support: Some(support.clone()),
                    interval: self.support_interval(&support),
                    span: d.name.span,
                    name: d.name.text.clone(),
                };
                let Some((prior, draw)) = self.draw(dist, Some(&value)) else { return };
                let Some(prior) = self.cut_to(prior, &support, &draw.support) else { return };
                (self.with_bounds_of(support, &draw.support), ty, Some(prior))
            }
            (None, Some(dist)) => {
                let Some((prior, draw)) = self.draw(dist, None) else { return };
                (draw.support, draw.ty, Some(prior))
            }
            (None, None) => {
                let name = &d.name.text;
                let message = format!("the type of `{name}` is not known");
                let label = "needs a type, or a distribution that gives one";
                let help = format!("`marginal {name}: int<lower=1, upper=K>`");
                return self.refuse(Code::E0309, &d.name, message, label, help);
            }
        };
        self.declare_marginal(var, d, support, ty, prior);
    }

    /// Adds a marginal whose values are finitely many.
    fn declare_marginal(
        &mut self,
        var: VarId,
        d: &ast::Marginal,
        support: Support,
        ty: Type,
        prior: Option<Dist>,
    ) {
        if ty.scalar() == Some(Scalar::Real) {
            let found = self.show(&ty);
            let message =
                format!("`{}` is {found}; only discrete latents are summed out", d.name.text);
            return self.refuse(Code::E0303, &d.name, message, "continuous", "declare it `param`");
        }
        if !self.require_range(&support, d.name.span, &format!("`{}`", d.name.text)) {
            return;
        }
        self.var_mut(var).ty = ty;
        self.facts.discrete.insert(var);
        self.declare_support(var, support.clone());
        self.model.decls.push(Decl::Marginal { var, support, prior, span: d.span });
    }

    /// Reports what is wrong with a name's declaration.
    fn refuse(
        &mut self,
        code: Code,
        name: &ast::Ident,
        message: String,
        label: &str,
        help: impl Into<String>,
    ) {
        self.report(Diagnostic::error(code, name.span, message, label).with_help(help));
    }

    /// Requires that integers to sum over have two ends that data decides.
    fn require_range(&mut self, support: &Support, span: Span, what: &str) -> bool {
        let Structure::Scalar { scalar: Scalar::Int, lower, upper, .. } = &support.structure else {
            return true;
        };
        let (Some(lower), Some(upper)) = (lower, upper) else {
            let message = format!("no finite range to sum {what} over");
            let error = Diagnostic::error(Code::E0310, span, message, "unbounded");
            self.report(error.with_help("declare both ends: `int<lower=1, upper=K>`"));
            return false;
        };
        [lower, upper].into_iter().all(|bound| self.require_data(bound, "a bound to sum between"))
    }

    pub(super) fn top_level_let(&mut self, id: usize, d: &ast::Let) {
        let Some(var) = self.entries[id].var else { return };
        let Some((value, support)) = self.let_value(var, d) else { return };
        if self.model.var(var).kind == VarKind::Let {
            visit::let_exprs(&value, &mut |e| {
                if e.stage == Stage::Generated {
                    self.require_in_joint(e);
                }
            });
        }
        self.model.decls.push(Decl::Let { var, value });
        if let Some(support) = support {
            self.declare_support(var, support.clone());
            self.model.decls.push(Decl::Constraint { var, support });
        }
    }

    /// Checks a `let` inside braces and adds it to the scope.
    pub(super) fn local_let(&mut self, d: &ast::Let) -> Option<(VarId, LetValue)> {
        let var = self.new_var(&d.name, VarKind::Local, Type::Error, Stage::Data);
        let value = self.let_value(var, d);
        self.scope.push(&d.name.text, var);
        Some((var, value?.0))
    }

    /// Checks the right-hand side of a `let` and gives the variable its type and stage. Also gives the
    /// declared support if that is a constraint.
    fn let_value(&mut self, var: VarId, d: &ast::Let) -> Option<(LetValue, Option<Support>)> {
        let declared = match &d.ty {
            Some(ty) => match self.declared(ty) {
                Some((support, declared)) => {
                    let constraint = self.let_constraint(var, &support, ty);
                    Some((support, declared, ty.span, constraint))
                }
                None => {
                    if let ast::LetValue::Expr(e) = &d.value {
                        self.expr(e);
                    }
                    return None;
                }
            },
            None => None,
        };
        match &d.value {
            ast::LetValue::Expr(e) => {
                let value = self.expr(e);
                if value.ty.is_error() {
                    if let Some((_, ty, ..)) = declared {
                        self.define(var, ty, value.stage, None);
                    }
                    return None;
                }
                if matches!(value.ty, Type::Function { .. }) {
                    let message = "a function is no value";
                    self.report(Diagnostic::error(Code::E0105, e.span, message, "a function"));
                    return None;
                }
                let what = format!("`{}`", d.name.text);
                let (ty, constraint) = match declared {
                    Some((_, ty, span, constraint)) => {
                        self.require_type(&value, &ty, &what, span);
                        (ty, constraint)
                    }
                    None => (value.ty.clone(), None),
                };
                self.define(var, ty, value.stage, Some(&value));
                Some((LetValue::Expr(value), constraint))
            }
            ast::LetValue::Draw(dist) => {
                let value = self.drawn(dist, declared.map(|(_, ty, ..)| ty), &d.name)?;
                self.define(var, value.ty.clone(), value.stage, Some(&value));
                Some((LetValue::Expr(value), None))
            }
            ast::LetValue::Elements(stmts) => {
                let (support, ty, _, constraint) = declared?;
                self.define(var, ty, Stage::Data, None);
                let mark = self.scope.locals.len();
                self.scope.push(&d.name.text, var);
                let stmts: Vec<_> = stmts.iter().filter_map(|s| self.stmt(s, Some(var))).collect();
                self.scope.locals.truncate(mark);
                if let Some(interval) = self.assigned_interval(&stmts) {
                    self.facts.intervals.insert(var, interval);
                }
                let sizes =
                    self.model.var(var).ty.dims().iter().map(|dim| dim.to_expr(d.name.span));
                let dims = if support.array.is_empty() { sizes.collect() } else { support.array };
                Some((LetValue::Elements { dims, stmts, rest: None }, constraint))
            }
        }
    }

    /// A draw from a distribution; of the declared type, if there is one.
    fn drawn(&mut self, dist: &ast::Expr, ty: Option<Type>, name: &ast::Ident) -> Option<Expr> {
        let value = ty.map(|ty| Value {
            ty,
            support: None,
            interval: Interval::ALL,
            span: name.span,
            name: name.text.clone(),
        });
        self.scope.generated = true;
        let drawn = self.draw(dist, value.as_ref());
        self.scope.generated = false;
        let (drawn, draw) = drawn?;
        self.require_sampler(&drawn)?;
        let ty = value.map_or(draw.ty, |value| value.ty);
        let kind = ExprKind::Draw { dist: Box::new(drawn), order: Order::Any };
        Some(Expr { kind, ty, stage: Stage::Generated, span: dist.span })
    }

    /// Checks that a distribution and all that it is made of can be drawn from.
    fn require_sampler(&mut self, dist: &Dist) -> Option<()> {
        let Some((without, span)) = dist.without_sampler(&self.model) else { return Some(()) };
        let def = self.model.dist(without);
        let diagnostic = Diagnostic::error(
            Code::E0103,
            span,
            format!("`{}` has no `sample`, so it cannot be drawn from", def.name),
            "not defined for this distribution",
        );
        self.report(diagnostic);
        None
    }

    /// Returns the declared support of a `let` if it says more than the plain type. Only the log joint
    /// can enforce it, so only a `let` at the top level has one.
    fn let_constraint(
        &mut self,
        var: VarId,
        support: &Support,
        ty: &ast::TypeExpr,
    ) -> Option<Support> {
        let (bounded, mapped) = match &support.structure {
            Structure::Scalar { lower, upper, offset, multiplier, .. } => {
                (lower.is_some() || upper.is_some(), offset.is_some() || multiplier.is_some())
            }
            _ => (true, false),
        };
        let is_let = self.model.var(var).kind == VarKind::Let;
        if support.missing || mapped || bounded && !is_let {
            let (label, help) = if is_let {
                ("not for a `let`", "a `let` takes `lower`, `upper` and the structured types")
            } else {
                (
                    "nothing would enforce it",
                    "write the plain type; constraints belong to `data`, `param` and a `let` at the \
                     top level",
                )
            };
            self.report(
                Diagnostic::error(Code::E0208, ty.span, "this type has no place here", label)
                    .with_help(help),
            );
            return None;
        }
        bounded.then(|| support.clone())
    }

    /// Gives a variable its type and stage, and remembers what is known of its value.
    fn define(&mut self, var: VarId, ty: Type, stage: Stage, value: Option<&Expr>) {
        let is_gen = self.model.var(var).kind == VarKind::Gen;
        let stage = if is_gen { Stage::Generated } else { stage };
        if let Some(value) = value {
            if ty == Type::INT && stage == Stage::Data {
                let dim = self.dim_of(value);
                self.facts.values.insert(var, dim);
            }
            let interval = self.interval(value);
            self.facts.intervals.insert(var, interval);
            if stage == Stage::Parameter && self.is_discrete(value) {
                self.facts.discrete.insert(var);
            }
        }
        let entry = self.var_mut(var);
        (entry.ty, entry.stage) = (ty, stage);
    }

    /// Raises the stage of a variable that is being defined element by element.
    pub(super) fn raise_stage(&mut self, var: VarId, stage: Stage) {
        let entry = self.var_mut(var);
        entry.stage = entry.stage.max(stage);
    }

    /// Checks that an expression of the log joint is known there.
    pub(super) fn require_in_joint(&mut self, e: &Expr) -> bool {
        if e.stage != Stage::Generated || e.ty.is_error() || self.scope.generated {
            return true;
        }
        let culprit = self.culprit(e, Stage::Parameter);
        let mut diagnostic = Diagnostic::error(
            Code::E0302,
            e.span,
            "this is known only after inference",
            "cannot be part of the log joint",
        );
        match culprit {
            Some((var, span)) => {
                let var = self.model.var(var);
                diagnostic = diagnostic
                    .with_label(span, format!("`{}` is a `gen`", var.name))
                    .with_label(var.span, "declared here");
            }
            None => {
                diagnostic = diagnostic.with_note(
                    "random numbers are drawn in `gen` and in the `sample` of a `dist` only",
                );
            }
        }
        self.report(diagnostic);
        false
    }

    /// Fills bounds that a declaration leaves open from those of the prior.
    fn with_bounds_of(&self, mut declared: Support, draw: &Support) -> Support {
        if let (
            Structure::Scalar { lower, upper, .. },
            Structure::Scalar { lower: low, upper: high, .. },
        ) = (&mut declared.structure, &draw.structure)
        {
            if lower.is_none() {
                lower.clone_from(low);
            }
            if upper.is_none() {
                upper.clone_from(high);
            }
        }
        declared
    }

    /// Tells whether an expression of a prior is `flat()`.
    pub(super) fn is_flat(&self, dist: &ast::Expr) -> bool {
        matches!(&dist.kind, ast::ExprKind::Call { callee, args }
            if callee.text == "flat" && args.is_empty() && !self.user.dists.contains_key("flat"))
    }

    /// Makes sizes of dimensions.
    pub(super) fn sizes_of(dims: &[Dim], span: Span) -> Vec<Expr> {
        dims.iter().map(|dim| dim.to_expr(span)).collect()
    }
}
