//! Draws from distributions and from what combinators make of them.
//!
//! The elements of the batch are axes: one draw is lowered, with all of them around. Arguments are
//! evaluated without those axes, so that what is random in them is drawn once.

use crate::check::builtins::Builtin;
use crate::check::typed::{Dist, DistId, DistKind, Expr, MemberId, Order};
use crate::diagnostics::Code;
use crate::ir::{BinaryOp, DType, Op, TernaryOp};

use super::Lower;
use super::dist::Batch;
use super::lowerer::Lowerer;
use super::value::{Axis, AxisTable, Val};

/// Draws made at once where one is taken that fulfils a condition. A condition of probability 0.1
/// leaves 2 in 10¹² without.
const TRIES: usize = 256;

/// What is being drawn.
struct Drawn<'a> {
    batch: Batch,
    /// Number of axes around the batch.
    outer: usize,
    /// Shape of one draw.
    event: &'a [usize],
}

impl Drawn<'_> {
    /// The elements along the first axis of a draw, as a further axis of the batch.
    fn each(&self, element: Axis, k: usize) -> Drawn<'_> {
        let mut batch = self.batch.clone();
        batch.shape.push(k);
        batch.axes.push(element);
        Drawn { batch, outer: self.outer, event: &self.event[1..] }
    }
}

impl Lowerer<'_> {
    /// A draw of the given shape.
    pub(super) fn sample(&mut self, dist: &Dist, shape: &[usize], order: Order) -> Lower<Val> {
        self.at(dist.span, |l| {
            let event = match order {
                Order::Any => l.event_rank(dist),
                Order::Ascending => 1,
            };
            let (batch, event) = shape.split_at(shape.len().saturating_sub(event));
            let outer = l.loops.len();
            let axes: Vec<Axis> = batch.iter().map(|&n| l.axes.add(n)).collect();
            let batch =
                Batch { shape: batch.into(), axes: axes.clone(), component: None, strict: false };
            let drawn = Drawn { batch, outer, event };
            let draw = l.within(&axes, |l| match order {
                Order::Any => l.draw(dist, &drawn),
                Order::Ascending => l.draw_in_order(dist, &drawn),
            })?;
            Ok(l.axes.axes_to_own(&mut l.b, &draw, &axes))
        })
    }

    /// One draw, with the axes of the batch around.
    fn draw(&mut self, dist: &Dist, drawn: &Drawn<'_>) -> Lower<Val> {
        self.at(dist.span, |l| match &dist.kind {
            DistKind::Named { dist, args, .. } => {
                let args = l.given_all(*dist, args, drawn)?;
                l.draw_member(*dist, &args, drawn.event)
            }
            DistKind::Mixture { weights, components } => l.draw_mixture(weights, components, drawn),
            DistKind::Truncated { dist, lower, upper, .. } => {
                let lower = lower.as_ref().map(|e| l.given_element(e, drawn)).transpose()?;
                let upper = upper.as_ref().map(|e| l.given_element(e, drawn)).transpose()?;
                l.draw_truncated(dist, lower.as_ref(), upper.as_ref(), drawn)
            }
            DistKind::Censored { dist, lower, upper } => {
                let mut x = l.draw(dist, drawn)?;
                for (end, op) in [(lower, BinaryOp::Max), (upper, BinaryOp::Min)] {
                    if let Some(end) = end {
                        let end = l.given_element(end, drawn)?;
                        x = l.binary(op, &x, &end)?;
                    }
                }
                Ok(x)
            }
            DistKind::ZeroInflated { p, dist } => {
                let p = l.given_element(p, drawn)?;
                let x = l.draw(dist, drawn)?;
                l.zero_with(&p, &x)
            }
            DistKind::Hurdle { p, dist } => {
                let p = l.given_element(p, drawn)?;
                let x = l.draw_until(dist, drawn, |l, x| {
                    let zero = l.real(0.0);
                    l.binary(BinaryOp::Ne, x, &zero)
                })?;
                l.zero_with(&p, &x)
            }
            DistKind::Sorted { dist } => l.draw_sorted(dist, drawn),
            DistKind::Affine { dist, loc, scale } => {
                let (loc, scale) = (l.given_element(loc, drawn)?, l.given_element(scale, drawn)?);
                let x = l.draw(dist, drawn)?;
                let x = l.binary(BinaryOp::Mul, &scale, &x)?;
                l.binary(BinaryOp::Add, &loc, &x)
            }
        })
    }

    /// An argument of which one draw takes `rank` dimensions, evaluated outside of the batch.
    fn given(&mut self, e: &Expr, rank: usize, drawn: &Drawn<'_>) -> Lower<Val> {
        let inner: Vec<Axis> = self.loops.drain(drawn.outer..).collect();
        let value = self.argument(e, rank, &drawn.batch);
        self.loops.extend(inner);
        value
    }

    /// An argument of a combinator: a scalar, or one number for each number drawn.
    fn given_element(&mut self, e: &Expr, drawn: &Drawn<'_>) -> Lower<Val> {
        self.given(e, drawn.event.len(), drawn)
    }

    /// The arguments of a distribution by name.
    fn given_all(&mut self, id: DistId, args: &[Expr], drawn: &Drawn<'_>) -> Lower<Vec<Val>> {
        let ranks = self.ranks(self.model.dist(id));
        args.iter().zip(&ranks).map(|(arg, &rank)| self.given(arg, rank, drawn)).collect()
    }

    fn draw_member(&mut self, dist: DistId, args: &[Val], event: &[usize]) -> Lower<Val> {
        let def = self.model.dist(dist);
        let Some(sampler) = def.member(MemberId::Sample) else {
            return self.drawn_by_cdf(dist, args);
        };
        self.bind_dist(def, args);
        for size in &def.sizes {
            // A size that only the value has.
            if let Some(&n) = event.get(size.axis).filter(|_| size.param == def.params.len()) {
                let n = self.int(n);
                self.define(size.var, n);
            }
        }
        let draw = self.expr(&sampler.body)?;
        let own = draw.shape(&self.b);
        if own[..] != *event {
            return Err(self.shapes_differ(&event.into(), &own));
        }
        Ok(draw)
    }

    /// 0 with probability `p`, else `x`.
    fn zero_with(&mut self, p: &Val, x: &Val) -> Lower<Val> {
        let u = self.random(Builtin::RngUniform, &[])?;
        let is_zero = self.binary(BinaryOp::Lt, &u, p)?;
        let zero = if self.b.ty(x.id).dtype == DType::Int { self.int(0) } else { self.real(0.0) };
        self.elementwise(Op::Ternary(TernaryOp::Select), &[&is_zero, &zero, x])
    }

    fn draw_mixture(
        &mut self,
        weights: &Expr,
        components: &[Dist],
        drawn: &Drawn<'_>,
    ) -> Lower<Val> {
        let weights = self.given(weights, 1, drawn)?;
        let k = weights.shape(&self.b)[0];
        // The component: one more than the number of cumulative weights, the last left out, below a
        // uniform number.
        let u = self.random(Builtin::RngUniform, &[])?;
        let sums = self.apply(Builtin::CumulativeSum, &[weights])?;
        let axis = sums.axes.len();
        let inner = self.b.slice_axis(sums.id, axis, 0, k - 1);
        let inner = Val { id: inner, axes: sums.axes.clone() };
        let passed = self.binary(BinaryOp::Le, &inner, &u)?;
        let passed = self.convert(DType::Int, &passed);
        let chosen = self.reduce(Op::Sum, &passed);
        if let [all] = components {
            let component = self.axes.add(k);
            let batch = Batch { component: Some(component), ..drawn.batch.clone() };
            let each = Drawn { batch, ..*drawn };
            let x = self.within(&[component], |l| l.draw(all, &each))?;
            let index = self.range(0, i64::try_from(k).unwrap_or(i64::MAX) - 1);
            let index = Val { id: index, axes: [component].as_slice().into() };
            let taken = self.binary(BinaryOp::Eq, &chosen, &index)?;
            return self.taken(&taken, &x, component);
        }
        if components.len() != k {
            return Err(self.error(
                Code::E0501,
                format!("{k} weights for {} components", components.len()),
                "as many weights as distributions are needed",
            ));
        }
        let mut result: Option<Val> = None;
        for (i, component) in components.iter().enumerate().rev() {
            let x = self.draw(component, drawn)?;
            let index = self.int(i);
            let taken = self.binary(BinaryOp::Eq, &chosen, &index)?;
            result = Some(match result {
                None => x,
                Some(rest) => {
                    self.elementwise(Op::Ternary(TernaryOp::Select), &[&taken, &x, &rest])?
                }
            });
        }
        result.ok_or_else(|| self.error(Code::E0501, "a mixture of nothing", "no components"))
    }

    /// The elements of `x` where `taken` holds, which is at most once along `axis`; 0 where never.
    fn taken(&mut self, taken: &Val, x: &Val, axis: Axis) -> Lower<Val> {
        let zero = if self.b.ty(x.id).dtype == DType::Int { self.int(0) } else { self.real(0.0) };
        let kept = self.elementwise(Op::Ternary(TernaryOp::Select), &[taken, x, &zero])?;
        Ok(self.sum_axis(&kept, axis))
    }

    fn sum_axis(&mut self, v: &Val, axis: Axis) -> Val {
        match v.axes.iter().position(|&a| a == axis) {
            Some(at) => {
                let axes = v.axes.iter().copied().filter(|&a| a != axis).collect();
                Val { id: self.b.sum(v.id, &[at]), axes }
            }
            None => v.clone(),
        }
    }

    /// A draw between two ends: the quantile of a uniform number between their probabilities, or without
    /// a cdf the first of many draws that lies there.
    fn draw_truncated(
        &mut self,
        dist: &Dist,
        lower: Option<&Val>,
        upper: Option<&Val>,
        drawn: &Drawn<'_>,
    ) -> Lower<Val> {
        if let DistKind::Named { dist: id, args, .. } = &dist.kind
            && self.model.dist(*id).provides(MemberId::Quantile)
            && self.model.dist(*id).member(MemberId::Cdf).is_some()
        {
            let bound = self.given_all(*id, args, drawn)?;
            let mut x = self.drawn_between(*id, &bound, lower, upper)?;
            // Rounding must not lead outside of the ends.
            for (end, op) in [(lower, BinaryOp::Max), (upper, BinaryOp::Min)] {
                if let Some(end) = end {
                    x = self.binary(op, &x, end)?;
                }
            }
            return Ok(x);
        }
        self.draw_until(dist, drawn, |l, x| {
            let one = l.int(1);
            let mut inside = l.convert(DType::Bool, &one);
            if let Some(lower) = lower {
                inside = l.binary(BinaryOp::Le, lower, x)?;
            }
            if let Some(upper) = upper {
                let below = l.binary(BinaryOp::Le, x, upper)?;
                inside = l.binary(BinaryOp::And, &inside, &below)?;
            }
            Ok(inside)
        })
    }

    /// The first of many draws that is accepted; NaN when none is.
    fn draw_until(
        &mut self,
        dist: &Dist,
        drawn: &Drawn<'_>,
        accept: impl FnOnce(&mut Self, &Val) -> Lower<Val>,
    ) -> Lower<Val> {
        let tries = self.axes.add(TRIES);
        let (x, accepted) = self.within(&[tries], |l| -> Lower<_> {
            let x = l.draw(dist, drawn)?;
            let accepted = accept(l, &x)?;
            Ok((x, accepted))
        })?;
        self.first_accepted(&x, &accepted, tries)
    }

    fn first_accepted(&mut self, x: &Val, accepted: &Val, tries: Axis) -> Lower<Val> {
        // The condition on its own has to run along the tries.
        let mut axes = accepted.axes.clone();
        if !axes.contains(&tries) {
            axes.push(tries);
        }
        let accepted = Val { id: self.axes.spread(&mut self.b, accepted, &axes, &[]), axes };
        let at = accepted.axes.iter().position(|&a| a == tries).expect("spread over it");
        let as_real = self.as_real(&accepted);
        let count = self.b.add(Op::CumSum { axis: at, reverse: false }, [as_real.id].as_slice());
        let one = self.real(1.0);
        let first =
            self.binary(BinaryOp::Eq, &Val { id: count, axes: accepted.axes.clone() }, &one)?;
        let first = self.binary(BinaryOp::And, &first, &accepted)?;
        let x = self.taken(&first, x, tries)?;
        let any = self.sum_axis(&as_real, tries);
        let zero = self.real(0.0);
        let any = self.binary(BinaryOp::Lt, &zero, &any)?;
        let nan = self.real(f64::NAN);
        self.elementwise(Op::Ternary(TernaryOp::Select), &[&any, &x, &nan])
    }

    /// Draws in increasing order along a new axis.
    fn draw_sorted(&mut self, dist: &Dist, drawn: &Drawn<'_>) -> Lower<Val> {
        let k = drawn.event[0];
        let element = self.axes.add(k);
        let each = drawn.each(element, k);
        let x = self.within(&[element], |l| l.draw(dist, &each))?;
        let x = self.axes.axes_to_own(&mut self.b, &x, &[element]);
        self.sorted(&x, k)
    }

    /// The first of many vectors whose elements are drawn in increasing order.
    fn draw_in_order(&mut self, dist: &Dist, drawn: &Drawn<'_>) -> Lower<Val> {
        let k = drawn.event[0];
        let tries = self.axes.add(TRIES);
        let element = self.axes.add(k);
        let each = drawn.each(element, k);
        let x = self.within(&[tries, element], |l| l.draw(dist, &each))?;
        let x = self.axes.axes_to_own(&mut self.b, &x, &[element]);
        let low = self.b.slice_axis(x.id, x.axes.len(), 0, k.max(1) - 1);
        let high = self.b.slice_axis(x.id, x.axes.len(), k.min(1), k);
        let [low, high] = [low, high].map(|id| Val { id, axes: x.axes.clone() });
        let wrong = self.binary(BinaryOp::Le, &high, &low)?;
        let wrong = self.convert(DType::Int, &wrong);
        let wrong = self.reduce(Op::Sum, &wrong);
        let zero = self.int(0);
        let accepted = self.binary(BinaryOp::Eq, &wrong, &zero)?;
        self.first_accepted(&x, &accepted, tries)
    }

    /// The elements of a vector in ascending order: each goes where as many are below it.
    fn sorted(&mut self, x: &Val, k: usize) -> Lower<Val> {
        let one = self.axes.add(k);
        let other = self.axes.add(k);
        let (mine, theirs) =
            (AxisTable::own_to_axes(x, &[one]), AxisTable::own_to_axes(x, &[other]));
        let below = self.binary(BinaryOp::Lt, &theirs, &mine)?;
        let below = self.convert(DType::Int, &below);
        let rank = self.sum_axis(&below, other);
        let place = self.range(0, i64::try_from(k).unwrap_or(i64::MAX) - 1);
        let place = Val { id: place, axes: [other].as_slice().into() };
        let here = self.binary(BinaryOp::Eq, &rank, &place)?;
        let kept = self.taken(&here, &mine, one)?;
        Ok(self.axes.axes_to_own(&mut self.b, &kept, &[other]))
    }
}
