//! Distributions made of distributions: `mixture`, `truncate`, `censor`, `zero_inflated`, `hurdle`,
//! `affine`.

use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast;

use super::builtins::Builtin;
use super::call::Formal;
use super::checker::Checker;
use super::dist::{Draw, Value};
use super::interval::Interval;
use super::scope::Combinator;
use super::shape::Dim;
use super::support::{End, Side};
use super::typed::{
    Dist, DistKind, Expr, ExprKind, MemberId, Scalar, Stage, Structure, Support, Type,
};

impl Checker<'_> {
    pub(super) fn combinator(
        &mut self,
        which: Combinator,
        callee: &ast::Ident,
        args: &[ast::Arg],
        value: Option<&Value>,
        components: Option<&Dim>,
        span: Span,
    ) -> Option<(Dist, Draw)> {
        let params: &[(&str, bool)] = match which {
            Combinator::Flat => {
                self.report(
                    Diagnostic::error(
                        Code::E0305,
                        span,
                        "`flat` has no density, so it can only be the prior of a parameter",
                        "not a distribution of values",
                    )
                    .with_help("`param x: real ~ flat()`"),
                );
                return None;
            }
            Combinator::Mixture => return self.mixture(args, value, components, span),
            Combinator::Truncate | Combinator::Censor => {
                &[("dist", false), ("lower", true), ("upper", true)]
            }
            Combinator::ZeroInflated | Combinator::Hurdle => &[("p", false), ("dist", false)],
            Combinator::Affine => &[("dist", false), ("loc", false), ("scale", false)],
        };
        let params =
            params.iter().map(|(name, optional)| ((*name).to_string(), *optional)).collect();
        let formal = Formal { name: &callee.text, params, vars: &[], span: None };
        let Some(slots) = self.match_arguments(&formal, args, span) else {
            self.check_arguments(args);
            return None;
        };
        match (which, slots.as_slice()) {
            (Combinator::Truncate | Combinator::Censor, [Some(dist), lower, upper]) => {
                self.cut(which, dist, [*lower, *upper], value, components, span)
            }
            (Combinator::ZeroInflated | Combinator::Hurdle, [Some(p), Some(dist)]) => {
                self.with_zero(which, p, dist, value, components, span)
            }
            (Combinator::Affine, [Some(dist), Some(loc), Some(scale)]) => {
                self.affine(dist, loc, scale, value, components, span)
            }
            _ => None,
        }
    }

    /// Checks an argument of a combinator: a scalar, or of the shape of the value; over the components
    /// of a mixture it may have their axis, alone or after the shape of the value.
    fn element_argument(
        &mut self,
        arg: &ast::Expr,
        draw: &Draw,
        components: Option<&Dim>,
        what: &str,
    ) -> Option<Expr> {
        let arg = self.expr(arg);
        if arg.ty.is_error() || !self.require_in_joint(&arg) {
            return None;
        }
        if !matches!(arg.ty.scalar(), Some(Scalar::Int | Scalar::Real)) {
            let found = self.show(&arg.ty);
            let message = format!("{what} is a number, found {found}");
            self.report(Diagnostic::error(
                Code::E0201,
                arg.span,
                message,
                format!("this is {found}"),
            ));
            return None;
        }
        let over_components = components.is_some_and(|axis| {
            let full = [draw.ty.dims(), std::slice::from_ref(axis)].concat();
            let dims = arg.ty.dims();
            self.differing(dims, std::slice::from_ref(axis)).is_none()
                || self.differing(dims, &full).is_none()
        });
        if !arg.ty.dims().is_empty()
            && !over_components
            && let Some(problem) = self.differing(arg.ty.dims(), draw.ty.dims())
        {
            let found = self.show(&arg.ty);
            self.report(
                Diagnostic::error(
                    Code::E0202,
                    arg.span,
                    format!("shapes do not agree: {problem}"),
                    format!("{what} is {found}"),
                )
                .with_note(format!("a draw is {}", self.show(&draw.ty))),
            );
            return None;
        }
        Some(arg)
    }

    fn mixture(
        &mut self,
        args: &[ast::Arg],
        value: Option<&Value>,
        outer: Option<&Dim>,
        span: Span,
    ) -> Option<(Dist, Draw)> {
        if let Some(name) = args.iter().find_map(|arg| arg.name.as_ref()) {
            let message = "`mixture` has no named arguments";
            self.report(Diagnostic::error(Code::E0106, name.span, message, "named"));
            return None;
        }
        let Some((weights, dists)) = args.split_first().filter(|(_, dists)| !dists.is_empty())
        else {
            self.report(Diagnostic::error(
                Code::E0106,
                span,
                "`mixture` takes weights, then one distribution or one for each weight",
                format!("found {} arguments", args.len()),
            ));
            return None;
        };
        let weights = self.expr(&weights.value);
        let good = !weights.ty.is_error() && self.require_in_joint(&weights);
        let Some(axis) = weights.ty.dims().last().cloned().filter(|_| good) else {
            if good {
                let found = self.show(&weights.ty);
                self.report(
                    Diagnostic::error(
                        Code::E0203,
                        weights.span,
                        format!("the weights of a mixture are a vector, found {found}"),
                        format!("this is {found}"),
                    )
                    .with_help("of two components: `mixture([p, 1 - p], …)`"),
                );
            }
            return None;
        };
        if outer.is_some() {
            let message = "a mixture cannot be the one component of a mixture";
            let label = "list the components";
            self.report(Diagnostic::error(Code::E0305, span, message, label));
            return None;
        }
        let single = dists.len() == 1;
        let count = Dim::constant(i64::try_from(dists.len()).unwrap_or(i64::MAX));
        if !single && let Some(problem) = self.differing(std::slice::from_ref(&axis), &[count]) {
            self.report(
                Diagnostic::error(
                    Code::E0202,
                    weights.span,
                    format!("one weight for each component: {problem}"),
                    format!("{} weights", self.show_dim(&axis)),
                )
                .with_label(span, format!("{} components", dists.len())),
            );
            return None;
        }
        let over = single.then_some(&axis);
        let parts: Vec<_> =
            dists.iter().map(|arg| self.draw_over(&arg.value, value, over)).collect();
        let parts: Vec<(Dist, Draw)> = parts.into_iter().collect::<Option<_>>()?;
        let (components, draws): (Vec<Dist>, Vec<Draw>) = parts.into_iter().unzip();
        let first = draws[0].clone();
        for (draw, component) in draws.iter().zip(&components).skip(1) {
            let problem = if draw.ty.scalar() == first.ty.scalar() {
                self.differing(first.ty.dims(), draw.ty.dims())
            } else {
                Some(format!("{} against {}", self.show(&first.ty), self.show(&draw.ty)))
            };
            if let Some(problem) = problem {
                let (one, other) = (self.show(&first.ty), self.show(&draw.ty));
                self.report(
                    Diagnostic::error(
                        Code::E0305,
                        component.span,
                        format!("the components of a mixture draw the same type: {problem}"),
                        format!("draws {other}"),
                    )
                    .with_label(components[0].span, format!("draws {one}")),
                );
                return None;
            }
        }
        let batch = &weights.ty.dims()[..weights.ty.dims().len() - 1];
        if !batch.is_empty() && first.ty.dims().len() >= batch.len() {
            let lead = first.ty.dims()[..batch.len()].to_vec();
            if let Some(problem) = self.differing(batch, &lead) {
                let found = self.show(&weights.ty);
                self.report(
                    Diagnostic::error(
                        Code::E0202,
                        weights.span,
                        format!("shapes do not agree: {problem}"),
                        format!("the weights are {found}"),
                    )
                    .with_note(format!("a draw is {}", self.show(&first.ty))),
                );
                return None;
            }
        }
        let support = draws
            .iter()
            .skip(1)
            .fold(first.support.clone(), |all, draw| self.union(all, &draw.support));
        let dist = Dist { kind: DistKind::Mixture { weights, components }, span };
        Some((dist, Draw { ty: first.ty, support }))
    }

    fn cut(
        &mut self,
        which: Combinator,
        dist: &ast::Expr,
        ends: [Option<&ast::Expr>; 2],
        value: Option<&Value>,
        components: Option<&Dim>,
        span: Span,
    ) -> Option<(Dist, Draw)> {
        let (dist, mut draw) = self.draw_over(dist, value, components)?;
        let word = if which == Combinator::Truncate { "truncate" } else { "censor" };
        let [lower, upper] =
            ends.map(|end| end.map(|end| self.element_argument(end, &draw, components, "an end")));
        let lower = if lower.is_some() { Some(lower??) } else { None };
        let upper = if upper.is_some() { Some(upper??) } else { None };
        if lower.is_none() && upper.is_none() {
            self.report(
                Diagnostic::error(
                    Code::E0106,
                    span,
                    format!("`{word}` needs an end"),
                    "no end given",
                )
                .with_help(format!("`{word}(dist, lower=0)`")),
            );
            return None;
        }
        self.require_cdf(&dist, &format!("`{word}`"))?;
        let support = &draw.support;
        if let Structure::Scalar { scalar, lower: low, upper: high, .. } = &support.structure {
            // What is cut off wider than the support is not cut.
            let cut = |given: &Option<Expr>, own: &Option<Expr>, end| {
                let keep = self.side(given.as_ref(), own.as_ref(), end) == Side::Wider;
                if given.is_none() || keep { own.clone() } else { given.clone() }
            };
            let structure = Structure::Scalar {
                scalar: *scalar,
                lower: cut(&lower, low, End::Lower),
                upper: cut(&upper, high, End::Upper),
                offset: None,
                multiplier: None,
            };
            draw.support.structure = structure;
        }
        if components.is_some() {
            let batch = draw.ty.dims().to_vec();
            self.forget_component_bounds(&mut draw.support, &batch);
        }
        let guard = !value.is_some_and(|value| self.lies_within(value, &draw.support));
        let dist = Box::new(dist);
        let kind = match which {
            Combinator::Truncate => DistKind::Truncated { dist, lower, upper, guard },
            _ => DistKind::Censored { dist, lower, upper },
        };
        Some((Dist { kind, span }, draw))
    }

    /// Checks that probabilities of intervals are known, so that cutting can be normalised.
    pub(super) fn require_cdf(&mut self, dist: &Dist, why: &str) -> Option<()> {
        let def = match &dist.kind {
            DistKind::Named { dist: id, .. } => self.model.dist(*id),
            DistKind::Mixture { components, .. } => {
                return components.iter().try_for_each(|part| self.require_cdf(part, why));
            }
            DistKind::Affine { dist, .. }
            | DistKind::Truncated { dist, .. }
            | DistKind::Censored { dist, .. }
            | DistKind::ZeroInflated { dist, .. }
            | DistKind::Hurdle { dist, .. }
            | DistKind::Sorted { dist } => return self.require_cdf(dist, why),
        };
        let known = [MemberId::Cdf, MemberId::LogCdf, MemberId::LogSurvival];
        if known.into_iter().any(|member| def.member(member).is_some()) {
            return Some(());
        }
        let name = def.name.clone();
        self.report(
            Diagnostic::error(
                Code::E0307,
                dist.span,
                format!("`{name}` has no cdf, so it cannot be normalised on an interval"),
                format!("needed by {why}"),
            )
            .with_help("leave the interval out, or define a `dist` with a `cdf`"),
        );
        None
    }

    fn with_zero(
        &mut self,
        which: Combinator,
        p: &ast::Expr,
        dist: &ast::Expr,
        value: Option<&Value>,
        components: Option<&Dim>,
        span: Span,
    ) -> Option<(Dist, Draw)> {
        let drawn = self.draw_over(dist, value, components);
        let Some((dist, mut draw)) = drawn else {
            self.expr(p);
            return None;
        };
        if self.is_multivariate(&dist) {
            let message = "only numbers can be zero";
            let label = "draws a structured value";
            self.report(Diagnostic::error(Code::E0305, dist.span, message, label));
            return None;
        }
        let p = self.element_argument(p, &draw, components, "a probability")?;
        self.require_probability(&p);
        let support = draw.support.clone();
        if let Structure::Scalar { scalar, lower, upper, .. } = support.structure {
            // Zero is drawn too, whatever the distribution.
            let reach = |e: Option<Expr>, inside: fn(f64) -> bool| {
                e.and_then(|e| {
                    let Interval { lo, hi } = self.interval(&e);
                    match (inside(lo), inside(hi)) {
                        (true, true) => Some(e),
                        (false, false) => Some(zero(span)),
                        _ => None,
                    }
                })
            };
            let (lower, upper) = (reach(lower, |x| x <= 0.0), reach(upper, |x| x >= 0.0));
            draw.support.structure =
                Structure::Scalar { scalar, lower, upper, offset: None, multiplier: None };
        }
        let dist = Box::new(dist);
        let kind = match which {
            Combinator::Hurdle => DistKind::Hurdle { p, dist },
            _ => DistKind::ZeroInflated { p, dist },
        };
        Some((Dist { kind, span }, draw))
    }

    /// Whether one draw is more than a number.
    pub(super) fn is_multivariate(&self, dist: &Dist) -> bool {
        match &dist.kind {
            DistKind::Named { dist, .. } => !self.model.dist(*dist).ty.dims().is_empty(),
            DistKind::Mixture { components, .. } => self.is_multivariate(&components[0]),
            DistKind::Sorted { .. } => true,
            DistKind::Affine { dist, .. }
            | DistKind::Truncated { dist, .. }
            | DistKind::Censored { dist, .. }
            | DistKind::ZeroInflated { dist, .. }
            | DistKind::Hurdle { dist, .. } => self.is_multivariate(dist),
        }
    }

    fn require_probability(&mut self, p: &Expr) {
        let found = self.interval(p);
        if found.hi < 0.0 || found.lo > 1.0 {
            self.report(Diagnostic::error(
                Code::E0306,
                p.span,
                "a probability lies between 0 and 1",
                format!("this lies between {} and {}", found.lo, found.hi),
            ));
        }
    }

    fn affine(
        &mut self,
        dist: &ast::Expr,
        loc: &ast::Expr,
        scale: &ast::Expr,
        value: Option<&Value>,
        components: Option<&Dim>,
        span: Span,
    ) -> Option<(Dist, Draw)> {
        // Of the value before shift and scale only the shape is known.
        let inner = value.map(|value| Value {
            support: None,
            interval: Interval::ALL,
            // Whole numbers are drawn by any distribution; those that draw nothing else are refused below.
            ty: Type::array(Scalar::Int, value.ty.dims().to_vec()),
            ..value.clone()
        });
        let (dist, mut draw) = self.draw_over(dist, inner.as_ref(), components)?;
        if draw.ty.scalar() != Some(Scalar::Real) {
            let drawn = self.show(&draw.ty);
            self.report(
                Diagnostic::error(
                    Code::E0305,
                    dist.span,
                    format!("`affine` moves and scales real numbers, this draws {drawn}"),
                    format!("draws {drawn}"),
                )
                .with_help("a shifted count is written as such: `y - 1 ~ poisson(rate)`"),
            );
            return None;
        }
        let loc = self.element_argument(loc, &draw, components, "the location")?;
        let scale = self.element_argument(scale, &draw, components, "the scale")?;
        let found = self.interval(&scale);
        if found.hi <= 0.0 {
            self.report(Diagnostic::error(
                Code::E0306,
                scale.span,
                "the scale of `affine` is positive",
                format!("this is {} or less", found.hi),
            ));
        } else if found.lo < 0.0 && scale.stage == Stage::Parameter {
            self.lint_negative_scale("scale", &scale, "affine");
        }
        let image = |end: &Option<Expr>| {
            end.as_ref().map(|end| {
                let real = |op, a: Expr, b: Expr| {
                    let (stage, span) = (a.stage.max(b.stage), a.span);
                    let wider = if a.ty.dims().is_empty() { &b.ty } else { &a.ty };
                    let ty = Type::array(Scalar::Real, wider.dims().to_vec());
                    Expr { kind: ExprKind::Builtin(op, vec![a, b]), ty, stage, span }
                };
                real(Builtin::Add, loc.clone(), real(Builtin::Mul, scale.clone(), end.clone()))
            })
        };
        if let Structure::Scalar { scalar, lower, upper, .. } = &mut draw.support.structure {
            *scalar = Scalar::Real;
            (*lower, *upper) = (image(lower), image(upper));
        } else {
            let array = Self::sizes_of(draw.ty.dims(), span);
            draw.support = Support { array, structure: super::define::real_line(), missing: false };
        }
        draw.ty = Type::array(Scalar::Real, draw.ty.dims().to_vec());
        if components.is_some() {
            let batch = draw.ty.dims().to_vec();
            self.forget_component_bounds(&mut draw.support, &batch);
        }
        let kind = DistKind::Affine { dist: Box::new(dist), loc, scale };
        Some((Dist { kind, span }, draw))
    }
}

fn zero(span: Span) -> Expr {
    Expr { kind: ExprKind::Int(0), ty: Type::INT, stage: Stage::Data, span }
}
