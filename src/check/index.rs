//! `base[indices]`: which axes remain, and positions that are certainly outside.

use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast;

use super::builtins::Builtin;
use super::checker::Checker;
use super::infer::{error, latest};
use super::shape::Dim;
use super::typed::{Expr, ExprKind, Index, Scalar, Stage, Type};

impl Checker<'_> {
    pub(super) fn index(&mut self, base: &ast::Expr, indices: &[ast::Index], span: Span) -> Expr {
        let base = self.expr(base);
        let Some((indices, dims)) = self.indices(&base, indices, span) else { return error(span) };
        let Some(scalar) = base.ty.scalar() else { return error(span) };
        let within = indices.iter().flat_map(|index| match index {
            Index::At(e) => vec![e],
            Index::Slice(lo, hi) => lo.iter().chain(hi).collect(),
        });
        let stage = latest(within).max(base.stage);
        let kind = ExprKind::Index(Box::new(base), indices);
        Expr { kind, ty: Type::array(scalar, dims), stage, span }
    }

    /// Checks an index list against what it indexes. Returns as many indices as `base` has
    /// dimensions, and the dimensions that remain.
    pub(super) fn indices(
        &mut self,
        base: &Expr,
        indices: &[ast::Index],
        span: Span,
    ) -> Option<(Vec<Index>, Vec<Dim>)> {
        let axes = base.ty.dims().to_vec();
        let fits = !base.ty.is_error() && indices.len() <= axes.len();
        if !fits && !base.ty.is_error() {
            self.report_too_many(base, indices.len(), span);
        }
        let mut typed = Vec::new();
        let mut dims = Vec::new();
        let mut good = fits;
        for (position, index) in indices.iter().enumerate() {
            let axis = if fits { axes.get(position) } else { None };
            match index {
                ast::Index::At(e) => {
                    let at = self.expr(e);
                    if let Some(axis) = axis {
                        good &= self.check_position(&at, axis, base);
                    }
                    dims.extend_from_slice(at.ty.dims());
                    typed.push(Index::At(at));
                }
                ast::Index::Slice { lo, hi, .. } => {
                    let (lo, hi) = (self.slice_end(lo.as_ref()), self.slice_end(hi.as_ref()));
                    let (Some(lo), Some(hi)) = (lo, hi) else {
                        good = false;
                        continue;
                    };
                    if let Some(axis) = axis {
                        dims.push(self.slice_length(lo.as_ref(), hi.as_ref(), axis));
                        good &= self.check_slice(lo.as_ref(), hi.as_ref(), axis, base);
                    }
                    typed.push(Index::Slice(lo, hi));
                }
            }
        }
        if !good {
            return None;
        }
        for axis in &axes[indices.len()..] {
            typed.push(Index::Slice(None, None));
            dims.push(axis.clone());
        }
        Some((typed, dims))
    }

    fn report_too_many(&mut self, base: &Expr, count: usize, span: Span) {
        let found = self.show(&base.ty);
        let (message, label) = if base.ty.dims().is_empty() {
            (format!("{found} cannot be indexed"), "not an array".to_string())
        } else {
            let rank = base.ty.dims().len();
            let plural = if rank == 1 { "dimension" } else { "dimensions" };
            (format!("{count} indices into {rank} {plural}"), format!("too many for {found}"))
        };
        let mut diagnostic = Diagnostic::error(Code::E0203, span, message, label);
        if let ExprKind::Var(var) = base.kind {
            let var = self.model.var(var);
            diagnostic = diagnostic.with_label(var.span, format!("`{}` is {found}", var.name));
        }
        self.report(diagnostic);
    }

    /// The outer `None` is an error, the inner one an absent end.
    fn slice_end(&mut self, end: Option<&ast::Expr>) -> Option<Option<Expr>> {
        let Some(end) = end else { return Some(None) };
        let end = self.expr(end);
        let good = self.require_int(&end, "an end of a slice")
            && self.require_data(&end, "an end of a slice");
        good.then_some(Some(end))
    }

    fn slice_length(&self, lo: Option<&Expr>, hi: Option<&Expr>, axis: &Dim) -> Dim {
        let first = lo.map_or_else(|| Dim::constant(1), |lo| self.dim_of(lo));
        let last = hi.map_or_else(|| axis.clone(), |hi| self.dim_of(hi));
        last.sub(&first).offset(1)
    }

    fn check_slice(
        &mut self,
        lo: Option<&Expr>,
        hi: Option<&Expr>,
        axis: &Dim,
        base: &Expr,
    ) -> bool {
        // An empty slice may start one past the end, so only what is beyond that is wrong.
        let low = lo.is_none_or(|lo| self.check_bounds(lo, &axis.offset(1), 1, base));
        let high = hi.is_none_or(|hi| self.check_bounds(hi, axis, 0, base));
        low && high
    }

    fn check_position(&mut self, at: &Expr, axis: &Dim, base: &Expr) -> bool {
        if at.ty.is_error() {
            return false;
        }
        if at.ty.scalar() != Some(Scalar::Int) {
            let found = self.show(&at.ty);
            let mut diagnostic = Diagnostic::error(
                Code::E0205,
                at.span,
                format!("an index is an integer or an array of integers, found {found}"),
                format!("this is {found}"),
            );
            if matches!(at.kind, ExprKind::Builtin(Builtin::Div, _)) {
                diagnostic = diagnostic.with_help("`/` divides reals; write `int_div(a, b)`");
            }
            self.report(diagnostic);
            return false;
        }
        let summed_out = at.stage == Stage::Parameter && self.is_discrete(at);
        if !summed_out && !self.require_data(at, "an index") {
            return false;
        }
        at.ty.rank() != Some(0) || self.check_bounds(at, axis, 1, base)
    }

    /// Tells whether only discrete latents make an expression depend on parameters.
    pub(super) fn is_discrete(&self, e: &Expr) -> bool {
        let mut all = true;
        super::visit::vars(e, &mut |var, _| {
            let late = self.model.var(var).stage > Stage::Data;
            all &= !late || self.facts.discrete.contains(&var);
        });
        all
    }

    /// Reports a position that is certainly less than `least` or more than `most`. A condition around it
    /// may keep that step of a loop from reading it.
    fn check_bounds(&mut self, at: &Expr, most: &Dim, least: i64, base: &Expr) -> bool {
        if self.conditions > 0 {
            return true;
        }
        let position = self.dim_of(at);
        let (low, high) = self.extremes(&position);
        let below = low.as_constant().filter(|n| *n < least);
        let beyond = high.sub(most).as_constant().filter(|n| *n > 0);
        let shown = self.show(&base.ty);
        let problem = match (below, beyond) {
            (Some(n), _) if low == position => format!("index {n}, but positions start at 1"),
            (Some(n), _) => format!("the index goes down to {n}, but positions start at 1"),
            (None, Some(_)) if high == position => {
                format!("index {} is past the end of {shown}", self.show_dim(&position))
            }
            (None, Some(_)) => {
                format!("the index goes up to {}, past the end of {shown}", self.show_dim(&high))
            }
            (None, None) => return true,
        };
        let running = position.vars().find(|var| self.facts.ranges.contains_key(var));
        let step = running.and_then(|var| Some((var, position.linear_in(var)?.0)));
        let help = match (step, below, beyond) {
            (Some((var, 1)), Some(n), _) => {
                let first = self.facts.ranges[&var].0.offset(least - n);
                Some(format!("begin the loop at {}", self.show_dim(&first)))
            }
            (Some((var, 1)), None, Some(n)) => {
                let last = self.facts.ranges[&var].1.offset(-n);
                Some(format!("end the loop at {}", self.show_dim(&last)))
            }
            (None, Some(0), _) => Some("the first element has the index 1".into()),
            (None, Some(_), _) => {
                Some(format!("the last element has the index {}", self.show_dim(most)))
            }
            _ => None,
        };
        let mut diagnostic = Diagnostic::error(Code::E0204, at.span, problem, "outside the array");
        diagnostic.help = help;
        if let Some((span, text)) = self.origin(base) {
            diagnostic = diagnostic.with_label(span, text);
        }
        for var in position.vars() {
            if self.facts.ranges.contains_key(&var) {
                let var = self.model.var(var);
                diagnostic = diagnostic.with_label(var.span, format!("`{}` runs here", var.name));
            }
        }
        self.report(diagnostic);
        false
    }

    /// Returns the least and the greatest value of a position while loop indices run.
    fn extremes(&self, position: &Dim) -> (Dim, Dim) {
        let running = position.vars().find(|var| self.facts.ranges.contains_key(var));
        let Some(var) = running else { return (position.clone(), position.clone()) };
        let Some((factor, rest)) = position.linear_in(var) else {
            return (position.clone(), position.clone());
        };
        let (first, last) = self.facts.ranges[&var].clone();
        let at = |value: &Dim| Dim::constant(factor).mul(value).add(&rest);
        if factor > 0 { (at(&first), at(&last)) } else { (at(&last), at(&first)) }
    }
}
