//! Quantiles: the member that a distribution declares, else the inverse of its cdf.
//!
//! The inverse is read in the logarithm of the smaller tail, so that it is exact in both.

use crate::check::builtins::Builtin;
use crate::check::typed::{DistId, MemberId, Scalar, Structure};
use crate::ir::{BinaryOp, DType, UnaryOp};

use super::Lower;
use super::dist::{End, Side};
use super::lowerer::Lowerer;
use super::value::Val;

/// What a probability may be off by from that of a whole number and still be meant to be the same.
const ROUNDING: f64 = 64.0 * f64::EPSILON;

/// The two sides of a place: `P(X ≤ x)` and `P(X > x)`, each without loss where it is small.
#[derive(Debug, Clone)]
struct Sides {
    below: Val,
    above: Val,
}

impl Lowerer<'_> {
    /// `quantile(p)`; `args` are the distribution's arguments, then `p`.
    pub(super) fn quantile(&mut self, dist: DistId, args: &[Val]) -> Lower<Val> {
        let def = self.model.dist(dist);
        let ranks = self.ranks(def);
        self.lifted(args, &ranks, |l, args| {
            let (p, own) = args.split_last().expect("the probability is last");
            let one = l.real(1.0);
            let sides = Sides { below: p.clone(), above: l.binary(BinaryOp::Sub, &one, p)? };
            if def.member(MemberId::Quantile).is_some() {
                let x = l.member(dist, MemberId::Quantile, args)?;
                return l.at_ends(dist, own, &x, &sides);
            }
            l.inverse_cdf(dist, own, &sides)
        })
    }

    /// A draw by inverting the cdf.
    pub(super) fn drawn_by_cdf(&mut self, dist: DistId, args: &[Val]) -> Lower<Val> {
        let below = self.random(Builtin::RngUniform, &[])?;
        let one = self.real(1.0);
        let above = self.binary(BinaryOp::Sub, &one, &below)?;
        self.inverse_cdf(dist, args, &Sides { below, above })
    }

    /// A draw between two ends, which belong to what is drawn.
    pub(super) fn drawn_between(
        &mut self,
        dist: DistId,
        args: &[Val],
        lower: Option<&Val>,
        upper: Option<&Val>,
    ) -> Lower<Val> {
        let first = self.sides_of(dist, args, lower, [0.0, 1.0], false)?;
        let last = self.sides_of(dist, args, upper, [1.0, 0.0], true)?;
        let u = self.random(Builtin::RngUniform, &[])?;
        let one = self.real(1.0);
        let rest = self.binary(BinaryOp::Sub, &one, &u)?;
        let mut between = |from: &Val, to: &Val, share: &Val| {
            let width = self.binary(BinaryOp::Sub, to, from)?;
            let part = self.binary(BinaryOp::Mul, &width, share)?;
            self.binary(BinaryOp::Add, from, &part)
        };
        let below = between(&first.below, &last.below, &u)?;
        let above = between(&last.above, &first.above, &rest)?;
        self.inverse_cdf(dist, args, &Sides { below, above })
    }

    /// The probabilities on both sides of an end, which is below if `closed`; without an end, `otherwise`.
    fn sides_of(
        &mut self,
        dist: DistId,
        args: &[Val],
        end: Option<&Val>,
        otherwise: [f64; 2],
        closed: bool,
    ) -> Lower<Sides> {
        let Some(at) = end else {
            let [below, above] = otherwise.map(|p| self.real(p));
            return Ok(Sides { below, above });
        };
        let mut side = |side, closed| -> Lower<Val> {
            let tail = self.tail_at(dist, args, side, &End { at: at.clone(), closed })?;
            Ok(self.unary(UnaryOp::Exp, &tail))
        };
        Ok(Sides { below: side(Side::Below, closed)?, above: side(Side::Above, !closed)? })
    }

    /// Where the cdf is `sides.below`; of a distribution on whole numbers, the least at which it is not less.
    fn inverse_cdf(&mut self, dist: DistId, args: &[Val], sides: &Sides) -> Lower<Val> {
        let def = self.model.dist(dist);
        let Structure::Scalar { scalar, .. } = &def.support.structure else {
            unreachable!("bug in ppl: the quantile of `{}`", def.name);
        };
        let whole = *scalar != Scalar::Real;
        let Sides { below, above } = if whole { self.lenient(sides)? } else { sides.clone() };
        let guess = self.guess(dist, args, &below)?;
        let all = [args, &[below, above]].concat();
        let mut x = self.crossing(&guess, &all, |l, x, all| {
            let (own, sides) = all.split_at(args.len());
            let [below, above] = sides else { unreachable!("bug in ppl: two sides") };
            let end = |closed| End { at: x.clone(), closed };
            let log_cdf = l.tail_at(dist, own, Side::Below, &end(true))?;
            let log_survival = l.tail_at(dist, own, Side::Above, &end(false))?;
            let (log_below, log_above) =
                (l.unary(UnaryOp::Log, below), l.unary(UnaryOp::Log, above));
            let rise = l.binary(BinaryOp::Sub, &log_cdf, &log_below)?;
            let fall = l.binary(BinaryOp::Sub, &log_above, &log_survival)?;
            let left = l.binary(BinaryOp::Lt, below, above)?;
            l.choose(&left, &rise, &fall)
        })?;
        if whole {
            x = self.convert(DType::Int, &x);
        }
        self.at_ends(dist, args, &x, sides)
    }

    /// A quantile, which is an end of the support where there is nothing on that side, never beyond one, and
    /// no number where the sides are no probabilities.
    fn at_ends(&mut self, dist: DistId, args: &[Val], x: &Val, sides: &Sides) -> Lower<Val> {
        let def = self.model.dist(dist);
        let Structure::Scalar { lower, upper, .. } = &def.support.structure else {
            return Ok(x.clone());
        };
        self.bind_dist(def, args);
        let mut x = x.clone();
        let dtype = self.b.ty(x.id).dtype;
        let (zero, nan) = (self.real(0.0), self.real(f64::NAN));
        let ends = [
            (&sides.below, lower, f64::NEG_INFINITY, BinaryOp::Max),
            (&sides.above, upper, f64::INFINITY, BinaryOp::Min),
        ];
        for (side, end, infinite, op) in ends {
            let end = match end {
                Some(end) => {
                    let end = self.expr(end)?;
                    x = self.binary(op, &x, &end)?;
                    end
                }
                None => self.real(infinite),
            };
            let is_end = self.binary(BinaryOp::Eq, side, &zero)?;
            x = self.choose(&is_end, &end, &x)?;
            let is_none = self.binary(BinaryOp::Lt, side, &zero)?;
            x = self.choose(&is_none, &nan, &x)?;
        }
        Ok(if dtype == DType::Int { self.convert(DType::Int, &x) } else { x })
    }

    /// The sides of a place that the cdf of a whole number may miss by rounding.
    fn lenient(&mut self, sides: &Sides) -> Lower<Sides> {
        let rounding = self.real(ROUNDING);
        let part = self.binary(BinaryOp::Mul, &rounding, &sides.below)?;
        Ok(Sides {
            below: self.binary(BinaryOp::Sub, &sides.below, &part)?,
            above: self.binary(BinaryOp::Add, &sides.above, &part)?,
        })
    }

    /// A number to start from: the declared quantile, exact but in the upper tail, or the mean.
    fn guess(&mut self, dist: DistId, args: &[Val], below: &Val) -> Lower<Val> {
        let def = self.model.dist(dist);
        let guess = if def.member(MemberId::Quantile).is_some() {
            self.member(dist, MemberId::Quantile, &[args, std::slice::from_ref(below)].concat())?
        } else if def.member(MemberId::Mean).is_some() {
            self.member(dist, MemberId::Mean, args)?
        } else {
            return Ok(self.real(0.0));
        };
        Ok(self.as_real(&guess))
    }
}
