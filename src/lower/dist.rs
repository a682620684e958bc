//! Log densities and tail probabilities of distributions by name: their members, applied.
//!
//! Inside, the batch of a value is loop axes ([`Batch`]), so that one draw has the shape that the
//! distribution declares, and what combinators make of it (`combined`) is written for one number.

use crate::check::typed::{Dist, DistDef, DistId, DistKind, Expr, MemberId, Scalar, Structure};
use crate::ir::{BinaryOp, DType, Op, Shape, TernaryOp, UnaryOp};

use super::Lower;
use super::expr::rank;
use super::lowerer::Lowerer;
use super::value::{Axis, AxisTable, Val};

/// Where the draws of a distribution lie.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    /// Sizes of the value in front of one draw.
    pub(super) shape: Shape,
    /// The loop axes that these have become.
    pub(super) axes: Vec<Axis>,
    /// In the one distribution of a mixture: the axis of the components.
    pub(super) component: Option<Axis>,
    /// Whether data outside of the support is an error: it has no density whatever the parameters are.
    pub(super) strict: bool,
}

/// A side of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Less than it.
    Below,
    /// More than it.
    Above,
}

/// An end of an interval and whether it belongs to it.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) at: Val,
    pub(super) closed: bool,
}

impl End {
    /// The same end, of the interval on its other side.
    pub(super) fn turned(&self) -> End {
        End { at: self.at.clone(), closed: !self.closed }
    }
}

impl Lowerer<'_> {
    /// `log p(x)` for each element of the batch that `x` is; normalised.
    pub(super) fn log_density(&mut self, dist: &Dist, x: &Val) -> Lower<Val> {
        self.at(dist.span, |l| {
            let shape = x.shape(&l.b);
            let event = l.event_rank(dist);
            let shape: Shape = shape[..shape.len().saturating_sub(event)].into();
            let axes: Vec<Axis> = shape.iter().map(|&n| l.axes.add(n)).collect();
            let x = AxisTable::own_to_axes(x, &axes);
            let batch = Batch { shape, axes, component: None, strict: true };
            if let Some(subject) = &mut l.subject {
                subject.axes.clone_from(&batch.axes);
            }
            let density = l.within(&batch.axes, |l| {
                l.refuse_nan(&x)?;
                l.density(dist, &x, &batch)
            })?;
            Ok(l.axes.axes_to_own(&mut l.b, &density, &batch.axes))
        })
    }

    /// The rank of one draw.
    pub(super) fn event_rank(&self, dist: &Dist) -> usize {
        match &dist.kind {
            DistKind::Named { dist, .. } => rank(&self.model.dist(*dist).ty),
            DistKind::Mixture { components, .. } => self.event_rank(&components[0]),
            DistKind::Sorted { dist } => 1 + self.event_rank(dist),
            DistKind::Affine { dist, .. }
            | DistKind::Truncated { dist, .. }
            | DistKind::Censored { dist, .. }
            | DistKind::ZeroInflated { dist, .. }
            | DistKind::Hurdle { dist, .. } => self.event_rank(dist),
        }
    }

    /// `log p(x)` of one draw.
    pub(super) fn density(&mut self, dist: &Dist, x: &Val, batch: &Batch) -> Lower<Val> {
        self.at(dist.span, |l| match &dist.kind {
            DistKind::Named { dist, args, guard } => {
                let mut vals = l.arguments(*dist, args, batch)?;
                l.check_domains(l.model.dist(*dist), args, &vals)?;
                vals.push(x.clone());
                if *guard {
                    return l.guarded_density(*dist, &vals, batch.strict);
                }
                l.member(*dist, MemberId::LogDensity, &vals)
            }
            _ => l.combined_density(dist, x, batch),
        })
    }

    /// The arguments of a distribution, their dimensions in front as axes.
    fn arguments(&mut self, dist: DistId, args: &[Expr], batch: &Batch) -> Lower<Vec<Val>> {
        let ranks = self.ranks(self.model.dist(dist));
        args.iter().zip(&ranks).map(|(arg, &rank)| self.argument(arg, rank, batch)).collect()
    }

    /// An argument of which one draw takes `rank` dimensions. Those in front run over the components
    /// of a mixture, or over the batch, or over both.
    pub(super) fn argument(&mut self, arg: &Expr, rank: usize, batch: &Batch) -> Lower<Val> {
        let v = self.expr(arg)?;
        let own = v.shape(&self.b);
        let extra: Shape = own[..own.len().saturating_sub(rank)].into();
        if extra.is_empty() {
            return Ok(v);
        }
        let mut full = batch.shape.clone();
        if let Some(component) = batch.component {
            let k = self.axes.length(component);
            if extra[..] == [k] {
                return Ok(AxisTable::own_to_axes(&v, &[component]));
            }
            full.push(k);
            if extra == full {
                let axes: Vec<Axis> = batch.axes.iter().copied().chain([component]).collect();
                return Ok(AxisTable::own_to_axes(&v, &axes));
            }
        }
        if extra == batch.shape {
            return Ok(AxisTable::own_to_axes(&v, &batch.axes));
        }
        Err(self.shapes_differ(&extra, &full))
    }

    /// The log density of a value that may be outside of the support, where it is −∞. `args` are the
    /// arguments, then the value.
    ///
    /// # Errors
    /// E0416 when `strict` and a value known now is outside.
    fn guarded_density(&mut self, dist: DistId, args: &[Val], strict: bool) -> Lower<Val> {
        let def = self.model.dist(dist);
        let ranks = self.ranks(def);
        self.lifted(args, &ranks, |l, args| {
            l.bind_dist(def, args);
            let mut args = args.to_vec();
            let x = args.last_mut().expect("the value is last");
            let inside = l.in_support(&def.support.structure, x)?;
            if let Some(truth) = l.numbers(inside.id) {
                match truth.data.iter().position(|&t| t == 0.0) {
                    None => return l.member(dist, MemberId::LogDensity, &args),
                    Some(at) if strict => {
                        l.report_outside(&inside, at, x, &format!("`{}`", def.name))?
                    }
                    Some(_) => {}
                }
            }
            // The density itself may not make sense outside: a category that is not there.
            if l.numbers(x.id).is_some() {
                *x = l.clamped(def, x)?;
            }
            let density = l.member(dist, MemberId::LogDensity, &args)?;
            let never = l.real(f64::NEG_INFINITY);
            l.choose(&inside, &density, &never)
        })
    }

    /// A value moved into scalar bounds; the parameters are bound.
    fn clamped(&mut self, def: &DistDef, x: &Val) -> Lower<Val> {
        let mut x = x.clone();
        if let Structure::Scalar { lower, upper, .. } = &def.support.structure {
            for (bound, op) in [(lower, BinaryOp::Max), (upper, BinaryOp::Min)] {
                if let Some(bound) = bound {
                    let bound = self.expr(bound)?;
                    x = self.binary(op, &x, &bound)?;
                }
            }
        }
        Ok(x)
    }

    /// `a` where the condition holds, else `b`.
    pub(super) fn choose(&mut self, condition: &Val, a: &Val, b: &Val) -> Lower<Val> {
        if let Some(truth) = self.numbers(condition.id)
            && let Some(truth) = truth.splat()
            && condition.rank(&self.b) == 0
        {
            return Ok(if truth == 0.0 { b.clone() } else { a.clone() });
        }
        self.elementwise(Op::Ternary(TernaryOp::Select), &[condition, a, b])
    }

    /// Ranks of a distribution's parameters, then of its value.
    pub(super) fn ranks(&self, def: &DistDef) -> Vec<usize> {
        let mut ranks: Vec<usize> =
            def.params.iter().map(|&p| rank(&self.model.var(p).ty)).collect();
        ranks.push(rank(&def.ty));
        ranks
    }

    /// Binds a distribution's parameters and sizes; `args` may end with the value.
    pub(super) fn bind_dist(&mut self, def: &DistDef, args: &[Val]) {
        for (&param, arg) in def.params.iter().zip(args) {
            self.define(param, arg.clone());
        }
        for size in &def.sizes {
            if size.param < args.len() {
                let n = args[size.param].shape(&self.b)[size.axis];
                let n = self.int(n);
                self.define(size.var, n);
            }
        }
    }

    /// A member of a distribution; `args` are its arguments, then the member's own.
    ///
    /// The result has the shape of the batch, also where the body does not depend on the value.
    pub(super) fn member(&mut self, dist: DistId, id: MemberId, args: &[Val]) -> Lower<Val> {
        let def = self.model.dist(dist);
        let member = def.member(id).expect("the checker knows the members");
        let mut ranks = self.ranks(def);
        ranks.truncate(args.len());
        self.lifted(args, &ranks, |l, args| {
            l.bind_dist(def, args);
            for (&param, arg) in member.params.iter().zip(&args[def.params.len()..]) {
                l.define(param, arg.clone());
            }
            l.expr(&member.body)
        })
    }

    /// `normal_log_density(x, mu, sigma)` and the like: the member's arguments come first.
    pub(super) fn member_call(&mut self, dist: DistId, id: MemberId, args: &[Val]) -> Lower<Val> {
        let own = args.len() - self.model.dist(dist).params.len();
        let (of_member, of_dist) = args.split_at(own);
        let turned: Vec<Val> = of_dist.iter().chain(of_member).cloned().collect();
        match id {
            MemberId::LogDensity => self.guarded_density(dist, &turned, false),
            MemberId::Cdf | MemberId::LogCdf | MemberId::LogSurvival => {
                self.tail_member(dist, id, &turned)
            }
            MemberId::Quantile => self.quantile(dist, &turned),
            _ => self.member(dist, id, &turned),
        }
    }

    /// `log P(X ≤ x)`, `log P(X < x)`, `log P(X ≥ x)` or `log P(X > x)` of a distribution by name.
    pub(super) fn named_tail(
        &mut self,
        dist: DistId,
        args: &[Expr],
        side: Side,
        end: &End,
        batch: &Batch,
    ) -> Lower<Val> {
        let args = self.arguments(dist, args, batch)?;
        self.tail_at(dist, &args, side, end)
    }

    /// The same of its arguments' values.
    pub(super) fn tail_at(
        &mut self,
        dist: DistId,
        args: &[Val],
        side: Side,
        end: &End,
    ) -> Lower<Val> {
        let def = self.model.dist(dist);
        let mut x = end.at.clone();
        if matches!(def.support.structure, Structure::Scalar { scalar: Scalar::Int, .. }) {
            // Of whole numbers: P(X < x) = P(X ≤ ⌈x⌉ − 1), and P(X ≥ x) = P(X > ⌈x⌉ − 1).
            let down = (side == Side::Below) == end.closed;
            x = self.unary(if down { UnaryOp::Floor } else { UnaryOp::Ceil }, &x);
            if !down {
                let one = self.real(1.0);
                x = self.binary(BinaryOp::Sub, &x, &one)?;
            }
            x = self.convert(DType::Int, &x);
        }
        let args = [args, &[x]].concat();
        let has = |id| def.member(id).is_some();
        let (own, other) = match side {
            Side::Below => (MemberId::LogCdf, MemberId::LogSurvival),
            Side::Above => (MemberId::LogSurvival, MemberId::LogCdf),
        };
        if has(own) {
            return self.tail_member(dist, own, &args);
        }
        if has(MemberId::Cdf) {
            let cdf = self.tail_member(dist, MemberId::Cdf, &args)?;
            if side == Side::Below {
                return Ok(self.unary(UnaryOp::Log, &cdf));
            }
            let minus = self.unary(UnaryOp::Neg, &cdf);
            return Ok(self.unary(UnaryOp::Log1p, &minus));
        }
        if has(other) {
            let tail = self.tail_member(dist, other, &args)?;
            return Ok(self.unary(UnaryOp::Log1mExp, &tail));
        }
        panic!("bug in ppl: `{}` is cut off without a cdf, which the checker refuses", def.name)
    }

    /// Whether a distribution knows the probability of that side of a point without taking it from 1.
    pub(super) fn knows_tail(&self, dist: &Dist, side: Side) -> bool {
        match &dist.kind {
            DistKind::Named { dist, .. } => {
                let def = self.model.dist(*dist);
                let has = |id| def.member(id).is_some();
                match side {
                    Side::Below => has(MemberId::LogCdf) || has(MemberId::Cdf),
                    Side::Above => has(MemberId::LogSurvival),
                }
            }
            DistKind::Mixture { components, .. } => {
                components.iter().all(|part| self.knows_tail(part, side))
            }
            DistKind::Affine { dist, .. }
            | DistKind::Truncated { dist, .. }
            | DistKind::Censored { dist, .. }
            | DistKind::ZeroInflated { dist, .. }
            | DistKind::Hurdle { dist, .. }
            | DistKind::Sorted { dist } => self.knows_tail(dist, side),
        }
    }

    /// A cdf or its like; beyond the support what it is there. `args` end with the value.
    pub(super) fn tail_member(&mut self, dist: DistId, id: MemberId, args: &[Val]) -> Lower<Val> {
        let def = self.model.dist(dist);
        let ranks = self.ranks(def);
        let [before, after] = match id {
            MemberId::Cdf => [0.0, 1.0],
            MemberId::LogCdf => [f64::NEG_INFINITY, 0.0],
            _ => [0.0, f64::NEG_INFINITY],
        };
        self.lifted(args, &ranks, |l, args| {
            l.bind_dist(def, args);
            let mut args = args.to_vec();
            let x = args.last_mut().expect("the value is last");
            let Structure::Scalar { scalar, lower, upper, .. } = &def.support.structure else {
                return l.member(dist, id, &args);
            };
            let mut beyond = Vec::new();
            if let Some(lower) = lower {
                let lower = l.expr(lower)?;
                // The least whole number has a probability, the end of an interval of reals has none.
                let op = if *scalar == Scalar::Int { BinaryOp::Lt } else { BinaryOp::Le };
                beyond.push((l.binary(op, x, &lower)?, before));
            }
            if let Some(upper) = upper {
                let upper = l.expr(upper)?;
                beyond.push((l.binary(BinaryOp::Le, &upper, x)?, after));
            }
            // The member itself may not make sense outside: an element of an array that is not there.
            if *scalar == Scalar::Int || l.numbers(x.id).is_some() {
                *x = l.clamped(def, x)?;
            }
            let mut tail = l.member(dist, id, &args)?;
            for (outside, value) in beyond {
                let value = l.real(value);
                tail = l.choose(&outside, &value, &tail)?;
            }
            Ok(tail)
        })
    }
}
