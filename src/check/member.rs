//! Calls of the members of a distribution: `normal_cdf(x, mu, sigma)`.

use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast;

use super::builtins::Builtin;
use super::checker::Checker;
use super::infer::{error, latest};
use super::shape::Dim;
use super::subst::Subst;
use super::typed::{DistId, Expr, ExprKind, MemberId, Stage, Type, VarId, VarKind};

impl Checker<'_> {
    pub(super) fn call_member(
        &mut self,
        entry: usize,
        member: MemberId,
        callee: &ast::Ident,
        args: &[ast::Arg],
        span: Span,
    ) -> Expr {
        let Some(id) = self.dist_of(entry, callee.span) else {
            self.check_arguments(args);
            return error(span);
        };
        let dist = self.model.dist(id).clone();
        let has_cdf = dist.member(MemberId::Cdf).is_some();
        let own = match dist.member(member) {
            Some(definition) => Some(definition.params.clone()),
            // The inverse of the cdf.
            None if member == MemberId::Quantile && dist.provides(member) => {
                let p = ast::Ident { text: "p".to_string(), span: dist.span };
                Some(vec![self.new_var(&p, VarKind::Argument, Type::REAL, Stage::Data)])
            }
            None => None,
        };
        let Some(own) = own else {
            // What the distribution leaves to be derived from its cdf.
            if has_cdf && matches!(member, MemberId::LogCdf | MemberId::LogSurvival) {
                let cdf = self.call_member(entry, MemberId::Cdf, callee, args, span);
                return if member == MemberId::LogCdf {
                    elementwise(Builtin::Log, cdf)
                } else {
                    elementwise(Builtin::Log1p, elementwise(Builtin::Neg, cdf))
                };
            }
            let known = MemberId::ALL.into_iter().filter(|&id| dist.provides(id));
            let has: Vec<&str> = known.map(MemberId::name).collect();
            self.report(
                Diagnostic::error(
                    Code::E0103,
                    callee.span,
                    format!("`{}` has no `{}`", dist.name, member.name()),
                    "not defined for this distribution",
                )
                .with_note(format!("it has: {}", has.join(", "))),
            );
            self.check_arguments(args);
            return error(span);
        };
        let params = [own.as_slice(), &dist.params].concat();
        let own = own.len();
        let formal = self.formal(&callee.text, &params, dist.span);
        let Some(slots) = self.match_arguments(&formal, args, span) else {
            self.check_arguments(args);
            return error(span);
        };
        let args: Vec<Expr> = slots.into_iter().flatten().map(|value| self.expr(value)).collect();
        if args.iter().any(|arg| arg.ty.is_error()) || dist.ty.is_error() {
            return error(span);
        }
        self.member_type(id, member, own, &params, args, callee, span)
            .unwrap_or_else(|| error(span))
    }

    #[allow(clippy::too_many_arguments, reason = "one call site; the parts of one call")]
    fn member_type(
        &mut self,
        id: DistId,
        member: MemberId,
        own: usize,
        params: &[VarId],
        args: Vec<Expr>,
        callee: &ast::Ident,
        span: Span,
    ) -> Option<Expr> {
        let dist = self.model.dist(id).clone();
        let name = callee.text.as_str();
        let mut extra = Vec::new();
        let mut batch: Option<(usize, Vec<Dim>)> = None;
        for (i, (param, arg)) in params.iter().zip(&args).enumerate() {
            self.kind_fits(*param, arg, name)?;
            let rank = self.model.var(*param).ty.dims().len();
            let Some(lead) = arg.ty.dims().len().checked_sub(rank) else {
                self.report_argument(Code::E0203, *param, arg, name);
                return None;
            };
            extra.push(lead);
            if lead == 0 {
                continue;
            }
            match &batch {
                None => batch = Some((i, arg.ty.dims()[..lead].to_vec())),
                Some((first, dims)) => {
                    if let Some(problem) = self.differing(dims, &arg.ty.dims()[..lead]) {
                        self.report_shapes(name, span, &args[*first], arg, &problem);
                        return None;
                    }
                }
            }
        }
        let batch = batch.map(|(_, dims)| dims).unwrap_or_default();
        let mut subst = Subst::default();
        let event = args[..own].first().map(|value| &value.ty.dims()[extra[0]..]);
        let event = event.filter(|dims| dims.len() == dist.ty.dims().len());
        self.bind_sizes(
            &params[own..],
            &dist.sizes,
            &args[own..],
            &extra[own..],
            event,
            &mut subst,
        );
        for (i, (param, arg)) in params.iter().zip(&args).enumerate() {
            let wanted = subst.ty(&self.model.var(*param).ty);
            if let Some(problem) = self.differing(wanted.dims(), &arg.ty.dims()[extra[i]..]) {
                self.report_argument_shape(*param, arg, name, &wanted, &problem, &args);
                return None;
            }
        }
        let result = subst.ty(dist.member(member).map_or(&dist.ty, |m| &m.body.ty));
        let unbound = dist.sizes.iter().find(|size| {
            subst.dim(size.var).is_none()
                && result.dims().iter().any(|d| d.vars().any(|v| v == size.var))
        });
        if let Some(size) = unbound {
            let size = self.model.var(size.var).name.clone();
            self.report(Diagnostic::error(
                Code::E0209,
                span,
                format!("the size `{size}` of `{}` does not follow from the arguments", dist.name),
                "unknown shape",
            ));
            return None;
        }
        let dims = [batch, result.dims().to_vec()].concat();
        let stage = if member == MemberId::Sample { Stage::Generated } else { latest(&args) };
        let ty = Type::array(result.scalar()?, dims);
        Some(Expr { kind: ExprKind::Member(id, member, args), ty, stage, span })
    }
}

/// A primitive of one real, applied to each element.
fn elementwise(op: Builtin, e: Expr) -> Expr {
    let (ty, stage, span) = (e.ty.clone(), e.stage, e.span);
    Expr { kind: ExprKind::Builtin(op, vec![e]), ty, stage, span }
}
