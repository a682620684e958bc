//! What the combinators make of a distribution: densities and probabilities of intervals.
//!
//! Everything is for one draw. Probabilities stay logarithms, and each tail is computed where it is
//! small: the probability of an interval above the median is a difference of survivals.

use crate::check::typed::{Dist, DistKind, Expr, Scalar, Structure};
use crate::ir::{BinaryOp, Op, UnaryOp};

use super::Lower;
use super::dist::{Batch, End, Side};
use super::expr::rank;
use super::lowerer::Lowerer;
use super::transform::to_f64;
use super::value::Val;

impl Lowerer<'_> {
    /// `log p(x)` of what a combinator makes.
    pub(super) fn combined_density(&mut self, dist: &Dist, x: &Val, batch: &Batch) -> Lower<Val> {
        let lenient = Batch { strict: false, ..batch.clone() };
        match &dist.kind {
            DistKind::Named { .. } => self.density(dist, x, batch),
            DistKind::Mixture { weights, components } => {
                self.mixture(weights, components, &lenient, |l, part, batch| {
                    l.density(part, x, batch)
                })
            }
            DistKind::Truncated { dist, lower, upper, guard } => {
                let [lower, upper] = self.ends([lower, upper], batch)?;
                let mut density = self.density(dist, x, batch)?;
                let mass = self.log_interval(dist, lower.as_ref(), upper.as_ref(), batch)?;
                density = self.less(dist, &density, &mass)?;
                if *guard {
                    let never = self.real(f64::NEG_INFINITY);
                    for (end, side) in [(lower, Side::Below), (upper, Side::Above)] {
                        let Some(end) = end else { continue };
                        let outside = self.lies(x, side, &end.turned())?;
                        if batch.strict
                            && let Some(truth) = self.numbers(outside.id)
                            && let Some(at) = truth.data.iter().position(|&t| t != 0.0)
                        {
                            self.report_outside(&outside, at, x, "the truncated distribution")?;
                        }
                        density = self.choose(&outside, &never, &density)?;
                    }
                }
                Ok(density)
            }
            DistKind::Censored { dist, lower, upper } => {
                let [lower, upper] = self.ends([lower, upper], batch)?;
                let mut density = self.density(dist, x, &lenient)?;
                // Values at an end stand for all that lies beyond it.
                for (end, side) in [(lower, Side::Below), (upper, Side::Above)] {
                    let Some(end) = end else { continue };
                    let beyond = self.log_tail(dist, side, &end, batch)?;
                    let at_end = self.lies(x, side, &end)?;
                    density = self.choose(&at_end, &beyond, &density)?;
                }
                Ok(density)
            }
            DistKind::ZeroInflated { p, dist } => {
                let (log_p, log_q) = self.log_odds(p, batch)?;
                let inside = self.density(dist, x, &lenient)?;
                let drawn = self.binary(BinaryOp::Add, &log_q, &inside)?;
                // A continuous draw is never 0.
                let zero = if self.is_discrete(dist) {
                    self.binary(BinaryOp::LogAddExp, &log_p, &drawn)?
                } else {
                    log_p
                };
                self.where_zero(x, &zero, &drawn)
            }
            DistKind::Hurdle { p, dist } => {
                let (log_p, log_q) = self.log_odds(p, batch)?;
                let inside = self.density(dist, x, &lenient)?;
                let mut drawn = self.binary(BinaryOp::Add, &log_q, &inside)?;
                if let Some(not_zero) = self.log_not_zero(dist, &lenient)? {
                    drawn = self.less(dist, &drawn, &not_zero)?;
                }
                self.where_zero(x, &log_p, &drawn)
            }
            DistKind::Sorted { dist } => {
                // All K! orders of the draws give one sorted vector.
                let k = x.shape(&self.b)[0];
                let each = self.log_density(dist, x)?;
                let total = self.reduce(Op::Sum, &each);
                let orders = self.real((1..=k).map(|i| to_f64(i).ln()).sum());
                self.binary(BinaryOp::Add, &orders, &total)
            }
            DistKind::Affine { dist, loc, scale } => {
                let (z, scale) = self.standardized(x, loc, scale, batch)?;
                let inside = self.density(dist, &z, batch)?;
                let log_scale = self.unary(UnaryOp::Log, &scale);
                // One factor for each element of a vector.
                let n: usize = z.shape(&self.b).iter().product();
                let log_scale = if scale.rank(&self.b) > 0 {
                    self.reduce(Op::Sum, &log_scale)
                } else {
                    let n = self.int(n);
                    self.binary(BinaryOp::Mul, &n, &log_scale)?
                };
                self.less(dist, &inside, &log_scale)
            }
        }
    }

    /// The log probability of that side of a point; the point belongs to it where the end is closed.
    fn log_tail(&mut self, dist: &Dist, side: Side, end: &End, batch: &Batch) -> Lower<Val> {
        match &dist.kind {
            DistKind::Named { dist, args, .. } => self.named_tail(*dist, args, side, end, batch),
            DistKind::Mixture { weights, components } => {
                self.mixture(weights, components, batch, |l, part, batch| {
                    l.log_tail(part, side, end, batch)
                })
            }
            DistKind::Truncated { dist, lower, upper, .. } => {
                let [lower, upper] = self.ends([lower, upper], batch)?;
                let mass = self.log_interval(dist, lower.as_ref(), upper.as_ref(), batch)?;
                let part = match side {
                    Side::Below => self.log_interval(dist, lower.as_ref(), Some(end), batch)?,
                    Side::Above => self.log_interval(dist, Some(end), upper.as_ref(), batch)?,
                };
                let tail = self.binary(BinaryOp::Sub, &part, &mass)?;
                self.between(side, end, lower.as_ref(), upper.as_ref(), &tail)
            }
            DistKind::Censored { dist, lower, upper } => {
                let [lower, upper] = self.ends([lower, upper], batch)?;
                let tail = self.log_tail(dist, side, end, batch)?;
                self.between(side, end, lower.as_ref(), upper.as_ref(), &tail)
            }
            DistKind::ZeroInflated { p, dist } => {
                let (log_p, log_q) = self.log_odds(p, batch)?;
                let tail = self.log_tail(dist, side, end, batch)?;
                let drawn = self.binary(BinaryOp::Add, &log_q, &tail)?;
                self.with_zero(side, end, &log_p, &drawn)
            }
            DistKind::Hurdle { p, dist } => {
                let (log_p, log_q) = self.log_odds(p, batch)?;
                let mut tail = self.log_tail(dist, side, end, batch)?;
                if let Some(not_zero) = self.log_not_zero(dist, batch)? {
                    let nought = self.real(0.0);
                    let zero = End { at: nought, closed: false };
                    // Without 0: P(X < 0) + P(0 < X ≤ x) where 0 is on that side.
                    let far = self.log_tail(dist, side, &zero, batch)?;
                    let near = match side {
                        Side::Below => self.log_interval(dist, Some(&zero), Some(end), batch)?,
                        Side::Above => self.log_interval(dist, Some(end), Some(&zero), batch)?,
                    };
                    let both = self.binary(BinaryOp::LogAddExp, &far, &near)?;
                    let holds_zero = self.lies(&zero.at, side, end)?;
                    tail = self.choose(&holds_zero, &both, &tail)?;
                    tail = self.binary(BinaryOp::Sub, &tail, &not_zero)?;
                }
                let drawn = self.binary(BinaryOp::Add, &log_q, &tail)?;
                self.with_zero(side, end, &log_p, &drawn)
            }
            DistKind::Sorted { .. } => unreachable!("bug in ppl: a vector has no tails"),
            DistKind::Affine { dist, loc, scale } => {
                let (at, _) = self.standardized(&end.at, loc, scale, batch)?;
                self.log_tail(dist, side, &End { at, closed: end.closed }, batch)
            }
        }
    }

    /// The log probability of an interval; an absent end is infinite.
    fn log_interval(
        &mut self,
        dist: &Dist,
        lower: Option<&End>,
        upper: Option<&End>,
        batch: &Batch,
    ) -> Lower<Val> {
        let (lower, upper) = match (lower, upper) {
            (None, None) => return Ok(self.real(0.0)),
            (None, Some(upper)) => return self.log_tail(dist, Side::Below, upper, batch),
            (Some(lower), None) => return self.log_tail(dist, Side::Above, lower, batch),
            (Some(lower), Some(upper)) => (lower, upper),
        };
        let below = self.log_tail(dist, Side::Below, &lower.turned(), batch)?;
        let by_cdf = |l: &mut Self| {
            let high = l.log_tail(dist, Side::Below, upper, batch)?;
            l.log_diff_exp(&high, &below)
        };
        if !self.knows_tail(dist, Side::Above) {
            return by_cdf(self);
        }
        let above = self.log_tail(dist, Side::Above, lower, batch)?;
        let by_survival = |l: &mut Self| {
            let beyond = l.log_tail(dist, Side::Above, &upper.turned(), batch)?;
            l.log_diff_exp(&above, &beyond)
        };
        if !self.knows_tail(dist, Side::Below) {
            return by_survival(self);
        }
        let (by_cdf, by_survival) = (by_cdf(self)?, by_survival(self)?);
        let is_high = self.binary(BinaryOp::Lt, &above, &below)?;
        self.choose(&is_high, &by_survival, &by_cdf)
    }

    /// A log density divided by something that is no matter where there is no density: there it stays
    /// −∞ without a slope.
    fn less(&mut self, dist: &Dist, density: &Val, by: &Val) -> Lower<Val> {
        let quotient = self.binary(BinaryOp::Sub, density, by)?;
        if !has_guard(dist) {
            return Ok(quotient);
        }
        let never = self.real(f64::NEG_INFINITY);
        let nowhere = self.binary(BinaryOp::Eq, density, &never)?;
        self.choose(&nowhere, &never, &quotient)
    }

    /// `log(exp a − exp b)` for `a ≥ b`.
    fn log_diff_exp(&mut self, a: &Val, b: &Val) -> Lower<Val> {
        let gap = self.binary(BinaryOp::Sub, b, a)?;
        let rest = self.unary(UnaryOp::Log1mExp, &gap);
        self.binary(BinaryOp::Add, a, &rest)
    }

    /// `log Σ_k w_k exp f(component k)`.
    fn mixture(
        &mut self,
        weights: &Expr,
        components: &[Dist],
        batch: &Batch,
        mut f: impl FnMut(&mut Self, &Dist, &Batch) -> Lower<Val>,
    ) -> Lower<Val> {
        let weights = self.argument(weights, 1, batch)?;
        let log_w = self.unary(UnaryOp::Log, &weights);
        let k = weights.shape(&self.b)[0];
        let terms = if let [all] = components {
            // The components of one distribution become one more axis.
            let component = self.axes.add(k);
            let inner = Batch { component: Some(component), ..batch.clone() };
            let part = self.within(&[component], |l| f(l, all, &inner))?;
            let part = self.axes.axes_to_own(&mut self.b, &part, &[component]);
            self.binary(BinaryOp::Add, &log_w, &part)?
        } else {
            let parts = components
                .iter()
                .map(|component| f(self, component, batch))
                .collect::<Lower<Vec<Val>>>()?;
            let parts = self.stack(&parts)?;
            self.binary(BinaryOp::Add, &log_w, &parts)?
        };
        Ok(self.reduce(Op::LogSumExp, &terms))
    }

    /// The ends of a cut; values at them are kept.
    fn ends(&mut self, ends: [&Option<Expr>; 2], batch: &Batch) -> Lower<[Option<End>; 2]> {
        let mut end = |e: &Option<Expr>| -> Lower<Option<End>> {
            let Some(e) = e else { return Ok(None) };
            Ok(Some(End { at: self.argument(e, 0, batch)?, closed: true }))
        };
        Ok([end(ends[0])?, end(ends[1])?])
    }

    /// Whether a point lies on that side of an end.
    fn lies(&mut self, x: &Val, side: Side, end: &End) -> Lower<Val> {
        let op = if end.closed { BinaryOp::Le } else { BinaryOp::Lt };
        match side {
            Side::Below => self.binary(op, x, &end.at),
            Side::Above => self.binary(op, &end.at, x),
        }
    }

    /// A log tail probability where all draws lie between two ends: 0 or −∞ beyond them.
    fn between(
        &mut self,
        side: Side,
        end: &End,
        lower: Option<&End>,
        upper: Option<&End>,
        tail: &Val,
    ) -> Lower<Val> {
        let (none, all) = (self.real(f64::NEG_INFINITY), self.real(0.0));
        let (near, far) = match side {
            Side::Below => (lower, upper),
            Side::Above => (upper, lower),
        };
        let mut tail = tail.clone();
        if let Some(far) = far {
            let holds_all = self.lies(&far.at, side, end)?;
            tail = self.choose(&holds_all, &all, &tail)?;
        }
        if let Some(near) = near {
            let holds_some = self.lies(&near.at, side, end)?;
            tail = self.choose(&holds_some, &tail, &none)?;
        }
        Ok(tail)
    }

    /// A log tail probability with that of an extra 0 added where 0 is on that side.
    fn with_zero(&mut self, side: Side, end: &End, log_p: &Val, drawn: &Val) -> Lower<Val> {
        let both = self.binary(BinaryOp::LogAddExp, log_p, drawn)?;
        let nought = self.real(0.0);
        let holds_zero = self.lies(&nought, side, end)?;
        self.choose(&holds_zero, &both, drawn)
    }

    fn where_zero(&mut self, x: &Val, zero: &Val, other: &Val) -> Lower<Val> {
        let nought = self.real(0.0);
        let is_zero = self.binary(BinaryOp::Eq, x, &nought)?;
        self.choose(&is_zero, zero, other)
    }

    /// `log p` and `log(1 − p)`.
    fn log_odds(&mut self, p: &Expr, batch: &Batch) -> Lower<(Val, Val)> {
        let p = self.argument(p, 0, batch)?;
        let minus_p = self.unary(UnaryOp::Neg, &p);
        Ok((self.unary(UnaryOp::Log, &p), self.unary(UnaryOp::Log1p, &minus_p)))
    }

    /// `log P(X ≠ 0)`; `None` for continuous draws, where it is 0.
    fn log_not_zero(&mut self, dist: &Dist, batch: &Batch) -> Lower<Option<Val>> {
        if !self.is_discrete(dist) {
            return Ok(None);
        }
        let nought = self.int(0);
        let at_zero = self.density(dist, &nought, batch)?;
        Ok(Some(self.unary(UnaryOp::Log1mExp, &at_zero)))
    }

    /// Whether draws are whole numbers.
    fn is_discrete(&self, dist: &Dist) -> bool {
        match &dist.kind {
            DistKind::Named { dist, .. } => {
                let support = &self.model.dist(*dist).support;
                matches!(support.structure, Structure::Scalar { scalar: Scalar::Int, .. })
            }
            DistKind::Mixture { components, .. } => {
                components.iter().any(|part| self.is_discrete(part))
            }
            DistKind::Affine { dist, .. }
            | DistKind::Truncated { dist, .. }
            | DistKind::Censored { dist, .. }
            | DistKind::ZeroInflated { dist, .. }
            | DistKind::Hurdle { dist, .. }
            | DistKind::Sorted { dist } => self.is_discrete(dist),
        }
    }

    /// `(x − loc) / scale`, and the scale.
    fn standardized(
        &mut self,
        x: &Val,
        loc: &Expr,
        scale: &Expr,
        batch: &Batch,
    ) -> Lower<(Val, Val)> {
        let event = x.rank(&self.b);
        let value = |l: &mut Self, e: &Expr| {
            let whole = rank(&e.ty) > 0;
            l.argument(e, if whole { event } else { 0 }, batch)
        };
        let loc = value(self, loc)?;
        let scale = value(self, scale)?;
        let gap = self.binary(BinaryOp::Sub, x, &loc)?;
        Ok((self.binary(BinaryOp::Div, &gap, &scale)?, scale))
    }
}

/// Whether a value may lie outside of the support.
fn has_guard(dist: &Dist) -> bool {
    match &dist.kind {
        DistKind::Named { guard, .. } => *guard,
        DistKind::Mixture { components, .. } => components.iter().any(has_guard),
        DistKind::Truncated { dist, guard, .. } => *guard || has_guard(dist),
        DistKind::Affine { dist, .. }
        | DistKind::Censored { dist, .. }
        | DistKind::ZeroInflated { dist, .. }
        | DistKind::Hurdle { dist, .. }
        | DistKind::Sorted { dist } => has_guard(dist),
    }
}
