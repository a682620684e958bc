//! A distribution applied to arguments: batch shapes, sizes, domains, and the support of a draw.
//!
//! An argument has the shape of its parameter, or that with the batch in front: the dimensions of
//! the value before those of one draw. In a mixture of one distribution over its components, an
//! argument may also have the axis of the components there, alone or after the batch.

use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast;

use super::checker::Checker;
use super::interval::Interval;
use super::scope::Callee;
use super::shape::Dim;
use super::subst::Subst;
use super::typed::{
    Dist, DistDef, DistId, DistKind, Expr, Scalar, Stage, Structure, Support, Type,
};

/// What stands to the left of `~`.
#[derive(Clone, Debug)]
pub(super) struct Value {
    /// Its type.
    pub(super) ty: Type,
    /// Its support, where a declaration gives it.
    pub(super) support: Option<Support>,
    /// Bounds of its elements.
    pub(super) interval: Interval,
    /// Its place.
    pub(super) span: Span,
    /// What messages call it.
    pub(super) name: String,
}

/// What a draw from a distribution is.
#[derive(Clone, Debug)]
pub(super) struct Draw {
    /// Its type, the batch included.
    pub(super) ty: Type,
    /// Its support.
    pub(super) support: Support,
}

impl Checker<'_> {
    /// Checks a distribution. `value` is what it is the distribution of; without one the batch is
    /// that of the arguments. `None` after an error.
    pub(super) fn draw(&mut self, dist: &ast::Expr, value: Option<&Value>) -> Option<(Dist, Draw)> {
        self.draw_over(dist, value, None)
    }

    /// As [`Self::draw`], for a component of a mixture: `components` is the axis of the weights.
    pub(super) fn draw_over(
        &mut self,
        dist: &ast::Expr,
        value: Option<&Value>,
        components: Option<&Dim>,
    ) -> Option<(Dist, Draw)> {
        self.note_dist(dist.span, value.map(|v| &v.ty), value.and_then(|v| v.support.as_ref()));
        let ast::ExprKind::Call { callee, args } = &dist.kind else {
            self.report_no_dist(dist);
            return None;
        };
        let found = self.find_callee(&callee.text);
        if let Some(found) = &found {
            self.note_callee(callee, found);
        }
        match found {
            Some(Callee::Dist(entry)) => {
                let entry = self.dist_form(entry, &callee.text, args.len());
                let Some(id) = self.dist_of(entry, callee.span) else {
                    self.check_arguments(args);
                    return None;
                };
                self.named(id, callee, args, value, components, dist.span)
            }
            Some(Callee::Combinator(which)) => {
                self.combinator(which, callee, args, value, components, dist.span)
            }
            Some(Callee::Fn(_) | Callee::Builtin(_) | Callee::Local(_) | Callee::Member(..)) => {
                self.report(
                    Diagnostic::error(
                        Code::E0105,
                        callee.span,
                        format!("`{}` is a function, not a distribution", callee.text),
                        "a distribution stands to the right of `~`",
                    )
                    .with_help(
                        "a term of the log joint that is no distribution is added by `factor`",
                    ),
                );
                None
            }
            None => {
                self.report_unknown_callee(callee, true);
                self.check_arguments(args);
                None
            }
        }
    }

    fn report_no_dist(&mut self, dist: &ast::Expr) {
        let mut diagnostic = Diagnostic::error(
            Code::E0105,
            dist.span,
            "a distribution stands to the right of `~`",
            "not a distribution",
        );
        if let ast::ExprKind::Name(name) = &dist.kind
            && matches!(self.find_callee(name), Some(Callee::Dist(_) | Callee::Combinator(_)))
        {
            diagnostic = diagnostic
                .with_help(format!("a distribution is written with its arguments: `{name}(…)`"));
        }
        self.report(diagnostic);
    }

    fn named(
        &mut self,
        id: DistId,
        callee: &ast::Ident,
        args: &[ast::Arg],
        value: Option<&Value>,
        components: Option<&Dim>,
        span: Span,
    ) -> Option<(Dist, Draw)> {
        let def = self.model.dist(id).clone();
        let formal = self.formal(&callee.text, &def.params, def.span);
        let Some(slots) = self.match_arguments(&formal, args, span) else {
            self.check_arguments(args);
            return None;
        };
        let args: Vec<Expr> = slots.into_iter().flatten().map(|arg| self.expr(arg)).collect();
        let mut good = !args.iter().any(|arg| arg.ty.is_error()) && !def.ty.is_error();
        for arg in &args {
            good &= self.require_in_joint(arg);
        }
        if !good {
            return None;
        }
        let (extra, batch) = self.batch(&def, &args, value, components, span)?;
        let mut subst = Subst::default();
        let event = match value {
            Some(value) => value.ty.dims().get(batch.len()..),
            None => None,
        };
        self.bind_sizes(&def.params, &def.sizes, &args, &extra, event, &mut subst);
        if let Some(size) = def.sizes.iter().find(|size| subst.dim(size.var).is_none()) {
            let size = self.model.var(size.var).name.clone();
            self.report(
                Diagnostic::error(
                    Code::E0209,
                    span,
                    format!(
                        "the size `{size}` of `{}` does not follow from its arguments",
                        def.name
                    ),
                    "unknown shape",
                )
                .with_help("declare the type of the left side"),
            );
            return None;
        }
        for (i, (param, arg)) in def.params.iter().zip(&args).enumerate() {
            let wanted = subst.ty(&self.model.var(*param).ty);
            if let Some(problem) = self.differing(wanted.dims(), &arg.ty.dims()[extra[i]..]) {
                self.report_argument_shape(*param, arg, &def.name, &wanted, &problem, &args);
                return None;
            }
            self.check_argument_stage(*param, arg, &def.name)?;
        }
        for (param, arg) in def.params.iter().zip(&args) {
            let dim = (arg.ty == Type::INT).then(|| self.dim_of(arg));
            subst.bind_expr(*param, arg, dim);
        }
        for (param, arg) in def.params.iter().zip(&args) {
            self.check_domain(*param, arg, &subst, &def.name);
        }
        let event = subst.ty(&def.ty);
        let ty = Type::array(event.scalar()?, [batch.clone(), event.dims().to_vec()].concat());
        let mut support = subst.support(&def.support);
        support.array = [Self::sizes_of(&batch, span), support.array].concat();
        if components.is_some() {
            self.forget_component_bounds(&mut support, &batch);
        }
        let guard = match value {
            Some(value) => {
                self.value_fits(&def, value, &ty, span)?;
                !self.lies_within(value, &support)
            }
            None => false,
        };
        let dist = Dist { kind: DistKind::Named { dist: id, args, guard }, span };
        Some((dist, Draw { ty, support }))
    }

    /// Returns the number of dimensions in front of each argument, and the batch.
    fn batch(
        &mut self,
        def: &DistDef,
        args: &[Expr],
        value: Option<&Value>,
        components: Option<&Dim>,
        span: Span,
    ) -> Option<(Vec<usize>, Vec<Dim>)> {
        let mut extra = Vec::new();
        for (param, arg) in def.params.iter().zip(args) {
            self.kind_fits(*param, arg, &def.name)?;
            let rank = self.model.var(*param).ty.dims().len();
            let Some(lead) = arg.ty.dims().len().checked_sub(rank) else {
                self.report_argument(Code::E0203, *param, arg, &def.name);
                return None;
            };
            extra.push(lead);
        }
        let batch: Vec<Dim> = match value {
            Some(value) => {
                let event = def.ty.dims().len();
                let Some(lead) = value.ty.dims().len().checked_sub(event) else {
                    self.report_value_rank(def, value, span);
                    return None;
                };
                value.ty.dims()[..lead].to_vec()
            }
            None => {
                let tail = usize::from(components.is_some());
                let widest = (0..args.len()).filter(|&i| extra[i] > tail).max_by_key(|&i| extra[i]);
                widest.map_or_else(Vec::new, |i| args[i].ty.dims()[..extra[i] - tail].to_vec())
            }
        };
        for (i, arg) in args.iter().enumerate() {
            let lead = &arg.ty.dims()[..extra[i]];
            if lead.is_empty() {
                continue;
            }
            let problem = match components {
                None => self.differing(&batch, lead),
                Some(axis) => {
                    let full = [batch.as_slice(), std::slice::from_ref(axis)].concat();
                    let shared = self.differing(std::slice::from_ref(axis), lead);
                    let each = self.differing(&full, lead);
                    if each.is_none() { None } else { shared }
                }
            };
            if let Some(problem) = problem {
                self.report_batch(def, arg, value, &batch, &problem, components, span);
                return None;
            }
        }
        Some((extra, batch))
    }

    #[allow(clippy::too_many_arguments, reason = "one call site; the parts of one message")]
    fn report_batch(
        &mut self,
        def: &DistDef,
        arg: &Expr,
        value: Option<&Value>,
        batch: &[Dim],
        problem: &str,
        components: Option<&Dim>,
        span: Span,
    ) {
        let found = self.show(&arg.ty);
        let mut diagnostic = Diagnostic::error(
            Code::E0202,
            arg.span,
            format!("shapes do not agree: {problem}"),
            format!("this argument of `{}` is {found}", def.name),
        );
        match value {
            Some(value) => {
                let shown = self.show(&value.ty);
                diagnostic = diagnostic
                    .with_label(value.span, format!("{} is {shown}", quoted(&value.name)));
            }
            None => {
                let text = format!("other arguments have {} in front", self.show_dims(batch));
                diagnostic = diagnostic.with_label(span, text);
            }
        }
        if let Some(axis) = components {
            diagnostic = diagnostic.with_note(format!(
                "array arguments of the one distribution of a mixture run over its {} components",
                self.show_dim(axis)
            ));
        }
        if let Some((place, text)) = self.origin(arg)
            && place != arg.span
        {
            diagnostic = diagnostic.with_label(place, text);
        }
        if let Some((place, text)) =
            value.and_then(|value| self.declared_at(&value.name, value.span))
        {
            diagnostic = diagnostic.with_label(place, text);
        }
        self.report(diagnostic);
    }

    /// Returns the declaration of a top-level variable, for messages at another place.
    fn declared_at(&self, name: &str, here: Span) -> Option<(Span, String)> {
        let entry = &self.entries[*self.user.vars.get(name)?];
        let var = self.model.var(entry.var?);
        (var.span != here).then(|| (var.span, format!("`{name}` is {}", self.show(&var.ty))))
    }

    fn report_value_rank(&mut self, def: &DistDef, value: &Value, span: Span) {
        let (found, draw) = (self.show(&value.ty), self.show(&def.ty));
        self.report(
            Diagnostic::error(
                Code::E0305,
                value.span,
                format!(
                    "{} is {found}, but a draw from `{}` is {draw}",
                    quoted(&value.name),
                    def.name
                ),
                format!("this is {found}"),
            )
            .with_label(span, format!("draws {draw}")),
        );
    }

    /// Checks that a value is of the kind that a distribution draws.
    fn value_fits(&mut self, def: &DistDef, value: &Value, draw: &Type, span: Span) -> Option<()> {
        let (found, wanted) = (value.ty.scalar()?, draw.scalar()?);
        if found > wanted {
            let (shown, drawn) = (self.show(&value.ty), self.show(draw));
            let mut diagnostic = Diagnostic::error(
                Code::E0305,
                value.span,
                format!("{} is {shown}, but `{}` draws {drawn}", quoted(&value.name), def.name),
                format!("this is {shown}"),
            )
            .with_label(span, format!("draws {drawn}"));
            if let Some((place, text)) = self.declared_at(&value.name, value.span) {
                diagnostic = diagnostic.with_label(place, text);
            }
            if wanted == Scalar::Int && found == Scalar::Real {
                diagnostic = diagnostic.with_help(
                    "declare it `int`; for a real quantity take a continuous distribution",
                );
            }
            self.report(diagnostic);
            return None;
        }
        if let Some(problem) = self.differing(value.ty.dims(), draw.dims()) {
            let (shown, drawn) = (self.show(&value.ty), self.show(draw));
            self.report(
                Diagnostic::error(
                    Code::E0202,
                    value.span,
                    format!("shapes do not agree: {problem}"),
                    format!("{} is {shown}", quoted(&value.name)),
                )
                .with_label(span, format!("draws {drawn}")),
            );
            return None;
        }
        Some(())
    }

    /// Checks an argument against the constraint of its parameter, as far as it is known.
    fn check_domain(&mut self, param: super::typed::VarId, arg: &Expr, subst: &Subst, name: &str) {
        let Some(support) = self.facts.supports.get(&param).cloned() else { return };
        let Structure::Scalar { lower, upper, .. } = &support.structure else { return };
        let found = self.interval(arg);
        let param = self.model.var(param).name.clone();
        for (bound, is_lower) in [(lower, true), (upper, false)] {
            let Some(bound) = bound else { continue };
            let bound = subst.expr(bound);
            let limit = self.interval(&bound);
            let outside = if is_lower { found.hi < limit.lo } else { found.lo > limit.hi };
            // A scale of exactly 0 is as wrong as a negative one.
            if outside {
                let value = if is_lower { found.hi } else { found.lo };
                let side = if is_lower { "at least" } else { "at most" };
                let end = if is_lower { limit.lo } else { limit.hi };
                self.report(Diagnostic::error(
                    Code::E0306,
                    arg.span,
                    format!("`{param}` of `{name}` is {side} {end}"),
                    if found.lo == found.hi {
                        format!("this is {value}")
                    } else if is_lower {
                        format!("this is {value} or less")
                    } else {
                        format!("this is {value} or more")
                    },
                ));
                return;
            }
            let positive = is_lower && limit.lo == 0.0 && limit.hi == 0.0;
            if positive && found.lo < 0.0 && arg.stage == Stage::Parameter {
                self.lint_negative_scale(&param, arg, name);
            }
        }
    }
}

/// Puts a name in quotes, but not a description.
pub(super) fn quoted(name: &str) -> String {
    if name.contains(' ') { name.to_string() } else { format!("`{name}`") }
}
