//! Log densities of distributions and of what combinators make of them.

use crate::check::typed::{Dist, DistDef, DistId, DistKind, Expr, MemberId, Scalar, Structure};
use crate::diagnostics::Code;
use crate::ir::{BinaryOp, Op, TernaryOp, UnaryOp};

use super::Lower;
use super::expr::rank;
use super::lowerer::Lowerer;
use super::value::{Axis, AxisTable, Val};

impl Lowerer<'_> {
    /// `log p(x)` for each element of the batch that `x` is; normalised.
    pub(super) fn log_density(&mut self, dist: &Dist, x: &Val) -> Lower<Val> {
        self.at(dist.span, |l| match &dist.kind {
            DistKind::Named { dist, args, guard } => {
                let mut args = args.iter().map(|a| l.expr(a)).collect::<Lower<Vec<_>>>()?;
                args.push(x.clone());
                l.named_log_density(*dist, &args, *guard)
            }
            DistKind::Mixture { weights, components } => l.mixture(weights, components, x),
            DistKind::Truncated { dist, lower, upper, guard } => {
                l.truncated(dist, lower.as_ref(), upper.as_ref(), *guard, x)
            }
            DistKind::Censored { dist, lower, upper } => {
                l.censored(dist, lower.as_ref(), upper.as_ref(), x)
            }
            DistKind::ZeroInflated { p, dist } => {
                let p = l.expr(p)?;
                let inside = l.log_density(dist, x)?;
                let log_p = l.unary(UnaryOp::Log, &p);
                let minus_p = l.unary(UnaryOp::Neg, &p);
                let log_q = l.unary(UnaryOp::Log1p, &minus_p);
                let drawn = l.binary(BinaryOp::Add, &log_q, &inside)?;
                let zero = l.binary(BinaryOp::LogAddExp, &log_p, &drawn)?;
                l.where_zero(x, &zero, &drawn)
            }
            DistKind::Hurdle { p, dist } => {
                let p = l.expr(p)?;
                let inside = l.log_density(dist, x)?;
                let nought = l.real(0.0);
                let at_zero = l.log_density(dist, &nought)?;
                let not_zero = l.unary(UnaryOp::Log1mExp, &at_zero);
                let log_p = l.unary(UnaryOp::Log, &p);
                let minus_p = l.unary(UnaryOp::Neg, &p);
                let log_q = l.unary(UnaryOp::Log1p, &minus_p);
                let drawn = l.binary(BinaryOp::Add, &log_q, &inside)?;
                let drawn = l.binary(BinaryOp::Sub, &drawn, &not_zero)?;
                l.where_zero(x, &log_p, &drawn)
            }
            DistKind::Affine { dist, loc, scale } => {
                let (loc, scale) = (l.expr(loc)?, l.expr(scale)?);
                let gap = l.binary(BinaryOp::Sub, x, &loc)?;
                let z = l.binary(BinaryOp::Div, &gap, &scale)?;
                let inside = l.log_density(dist, &z)?;
                let log_scale = l.unary(UnaryOp::Log, &scale);
                l.binary(BinaryOp::Sub, &inside, &log_scale)
            }
        })
    }

    fn where_zero(&mut self, x: &Val, zero: &Val, other: &Val) -> Lower<Val> {
        let nought = self.real(0.0);
        let is_zero = self.binary(BinaryOp::Eq, x, &nought)?;
        self.elementwise(Op::Ternary(TernaryOp::Select), &[&is_zero, zero, other])
    }

    /// The log density of a distribution by name; `args` are its arguments, then the value. Where the
    /// value may be outside of the support, it is −∞ there; data outside of it is an error.
    fn named_log_density(&mut self, dist: DistId, args: &[Val], guard: bool) -> Lower<Val> {
        let def = self.model.dist(dist);
        if !guard {
            return self.member(dist, MemberId::LogDensity, args);
        }
        let ranks = self.ranks(def);
        let inside = self.lifted(args, &ranks, |l, args| {
            l.bind_dist(def, args);
            l.in_support(def, &args[args.len() - 1])
        })?;
        // First, for the density itself may not make sense outside: a category that is not there.
        let is_inside = self.known_inside(&inside, &args[args.len() - 1], def)?;
        let body = self.member(dist, MemberId::LogDensity, args)?;
        if is_inside {
            return Ok(body);
        }
        let never = self.real(f64::NEG_INFINITY);
        self.elementwise(Op::Ternary(TernaryOp::Select), &[&inside, &body, &never])
    }

    /// Whether it is known that all values lie in the support; an error when data is known not to.
    fn known_inside(&mut self, inside: &Val, x: &Val, def: &DistDef) -> Lower<bool> {
        let Some(truth) = self.numbers(inside.id) else { return Ok(false) };
        let Some(at) = truth.data.iter().position(|&t| t == 0.0) else { return Ok(true) };
        if self.is_enumerated(inside) {
            return Ok(false);
        }
        let Some(values) = self.numbers(x.id) else { return Ok(false) };
        let value = values.data[at.min(values.data.len() - 1)];
        Err(self.error(
            Code::E0416,
            format!(
                "element {} of the data, {value}, lies outside of the support of `{}`",
                at + 1,
                def.name
            ),
            "its density is zero there, whatever the parameters are",
        ))
    }

    /// Whether a value lies in the support of a distribution whose parameters are bound.
    fn in_support(&mut self, def: &DistDef, x: &Val) -> Lower<Val> {
        let one = self.int(1);
        let mut inside = self.convert(crate::ir::DType::Bool, &one);
        match &def.support.structure {
            Structure::Scalar { scalar, lower, upper, .. } => {
                if let Some(lower) = lower {
                    let lower = self.expr(lower)?;
                    inside = self.binary(BinaryOp::Le, &lower, x)?;
                }
                if let Some(upper) = upper {
                    let upper = self.expr(upper)?;
                    let below = self.binary(BinaryOp::Le, x, &upper)?;
                    inside = self.binary(BinaryOp::And, &inside, &below)?;
                }
                if *scalar == Scalar::Int {
                    let whole = self.unary(UnaryOp::Floor, x);
                    let is_whole = self.binary(BinaryOp::Eq, &whole, x)?;
                    inside = self.binary(BinaryOp::And, &inside, &is_whole)?;
                }
                if x.rank(&self.b) > 0 {
                    // A vector is inside when all of its elements are.
                    let outside = self.unary(UnaryOp::Not, &inside);
                    let outside = self.convert(crate::ir::DType::Real, &outside);
                    let any = self.reduce(Op::ReduceMax, &outside);
                    inside = self.unary(UnaryOp::Not, &any);
                }
            }
            Structure::Simplex(_) => {
                let zero = self.real(0.0);
                let least = self
                    .apply(crate::check::builtins::Builtin::ReduceMin, std::slice::from_ref(x))?;
                let positive = self.binary(BinaryOp::Le, &zero, &least)?;
                let total = self.reduce(Op::Sum, x);
                let one = self.real(1.0);
                let gap = self.binary(BinaryOp::Sub, &total, &one)?;
                let gap = self.unary(UnaryOp::Abs, &gap);
                let tolerance = self.real(1e-8);
                let sums = self.binary(BinaryOp::Le, &gap, &tolerance)?;
                inside = self.binary(BinaryOp::And, &positive, &sums)?;
            }
            // These constrain matrices and orders that only parameters take; their transforms hold them.
            Structure::Ordered(_)
            | Structure::PositiveOrdered(_)
            | Structure::UnitVector(_)
            | Structure::SumToZero(_)
            | Structure::CholeskyCorr(_)
            | Structure::CorrMatrix(_)
            | Structure::CholeskyCov(_)
            | Structure::CovMatrix(_) => {}
        }
        Ok(inside)
    }

    /// Ranks of a distribution's parameters, then of its value.
    fn ranks(&self, def: &DistDef) -> Vec<usize> {
        let mut ranks: Vec<usize> =
            def.params.iter().map(|&p| rank(&self.model.var(p).ty)).collect();
        ranks.push(rank(&def.ty));
        ranks
    }

    /// Binds a distribution's parameters and sizes; `args` may end with the value.
    fn bind_dist(&mut self, def: &DistDef, args: &[Val]) {
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
    fn member(&mut self, dist: DistId, id: MemberId, args: &[Val]) -> Lower<Val> {
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
        self.member(dist, id, &turned)
    }

    /// `log Σ_k w_k p_k(x)`.
    fn mixture(&mut self, weights: &Expr, components: &[Dist], x: &Val) -> Lower<Val> {
        let weights = self.expr(weights)?;
        let log_w = self.unary(UnaryOp::Log, &weights);
        let k = weights.shape(&self.b)[0];
        if let [all] = components {
            // One distribution: the elements of x become loop axes, then the components one more.
            let shape = x.shape(&self.b);
            let batch: Vec<Axis> = shape.iter().map(|&n| self.axes.add(n)).collect();
            let component = self.axes.add(k);
            let x = AxisTable::own_to_axes(x, &batch);
            let around: Vec<Axis> = batch.iter().copied().chain([component]).collect();
            let density = self
                .within(&around, |l| l.component_density(all, &x, &shape, &batch, component, k))?;
            let density = self.axes.axes_to_own(&mut self.b, &density, &[component]);
            let joint = self.binary(BinaryOp::Add, &log_w, &density)?;
            let total = self.reduce(Op::LogSumExp, &joint);
            return Ok(self.axes.axes_to_own(&mut self.b, &total, &batch));
        }
        if components.len() != k {
            return Err(self.error(
                Code::E0501,
                format!("{k} weights for {} components", components.len()),
                "as many weights as distributions are needed",
            ));
        }
        let mut parts = Vec::with_capacity(k);
        for (i, component) in components.iter().enumerate() {
            let density = self.log_density(component, x)?;
            let index = self.b.ints([i]);
            let w = self.b.gather(log_w.id, log_w.axes.len(), index);
            let w = self.reshape_own(&Val { id: w, axes: log_w.axes.clone() }, &[]);
            parts.push(self.binary(BinaryOp::Add, &w, &density)?);
        }
        let shape = parts[0].shape(&self.b);
        let stacked = self.stack(&parts)?;
        let axis = stacked.axes.len();
        let id = self.b.add(Op::LogSumExp([axis].as_slice().into()), [stacked.id].as_slice());
        Ok(self.reshape_own(&Val { id, axes: stacked.axes }, &shape))
    }

    /// The density of a component whose array arguments run over the components, or over the batch, or
    /// over both.
    fn component_density(
        &mut self,
        dist: &Dist,
        x: &Val,
        shape: &[usize],
        batch: &[Axis],
        component: Axis,
        k: usize,
    ) -> Lower<Val> {
        let DistKind::Named { dist: id, args, guard } = &dist.kind else {
            return Err(self.not_yet("a mixture of combined distributions given as one"));
        };
        let def = self.model.dist(*id);
        let ranks = self.ranks(def);
        let mut bound = Vec::with_capacity(args.len() + 1);
        for (arg, &rank) in args.iter().zip(&ranks) {
            let v = self.expr(arg)?;
            let own = v.shape(&self.b);
            let extra = &own[..own.len() - rank];
            let mut both = shape.to_vec();
            both.push(k);
            let axes: Vec<Axis> = if extra.is_empty() {
                Vec::new()
            } else if extra == [k] {
                vec![component]
            } else if extra == both {
                batch.iter().copied().chain([component]).collect()
            } else if extra == shape {
                batch.to_vec()
            } else {
                let (extra, k): (crate::ir::Shape, crate::ir::Shape) =
                    (extra.into(), [k].as_slice().into());
                return Err(self.shapes_differ(&extra, &k));
            };
            bound.push(AxisTable::own_to_axes(&v, &axes));
        }
        bound.push(x.clone());
        self.named_log_density(*id, &bound, *guard)
    }

    /// A distribution cut off at known ends and normalised again.
    fn truncated(
        &mut self,
        dist: &Dist,
        lower: Option<&Expr>,
        upper: Option<&Expr>,
        guard: bool,
        x: &Val,
    ) -> Lower<Val> {
        let density = self.log_density(dist, x)?;
        let (lower, upper) = self.ends(lower, upper)?;
        let mass = self.log_mass(dist, lower.as_ref(), upper.as_ref())?;
        let density = self.binary(BinaryOp::Sub, &density, &mass)?;
        if !guard {
            return Ok(density);
        }
        let mut inside: Option<Val> = None;
        if let Some(lower) = &lower {
            inside = Some(self.binary(BinaryOp::Le, lower, x)?);
        }
        if let Some(upper) = &upper {
            let below = self.binary(BinaryOp::Le, x, upper)?;
            inside = Some(match inside {
                Some(above) => self.binary(BinaryOp::And, &above, &below)?,
                None => below,
            });
        }
        match inside {
            Some(inside) => {
                let never = self.real(f64::NEG_INFINITY);
                self.elementwise(Op::Ternary(TernaryOp::Select), &[&inside, &density, &never])
            }
            None => Ok(density),
        }
    }

    fn ends(
        &mut self,
        lower: Option<&Expr>,
        upper: Option<&Expr>,
    ) -> Lower<(Option<Val>, Option<Val>)> {
        let lower = lower.map(|e| self.expr(e)).transpose()?;
        let upper = upper.map(|e| self.expr(e)).transpose()?;
        Ok((lower, upper))
    }

    /// Values at an end stand for all that lies beyond it.
    fn censored(
        &mut self,
        dist: &Dist,
        lower: Option<&Expr>,
        upper: Option<&Expr>,
        x: &Val,
    ) -> Lower<Val> {
        let mut density = self.log_density(dist, x)?;
        let (lower, upper) = self.ends(lower, upper)?;
        if let Some(lower) = &lower {
            let beyond = self.log_mass(dist, None, Some(lower))?;
            let at_end = self.binary(BinaryOp::Le, x, lower)?;
            density =
                self.elementwise(Op::Ternary(TernaryOp::Select), &[&at_end, &beyond, &density])?;
        }
        if let Some(upper) = &upper {
            let beyond = self.log_mass(dist, Some(upper), None)?;
            let at_end = self.binary(BinaryOp::Le, upper, x)?;
            density =
                self.elementwise(Op::Ternary(TernaryOp::Select), &[&at_end, &beyond, &density])?;
        }
        Ok(density)
    }

    /// `log P(lower ≤ X ≤ upper)`.
    fn log_mass(&mut self, dist: &Dist, lower: Option<&Val>, upper: Option<&Val>) -> Lower<Val> {
        let DistKind::Named { dist: id, args, .. } = &dist.kind else {
            return Err(self.not_yet("truncation of a combined distribution"));
        };
        let args = args.iter().map(|a| self.expr(a)).collect::<Lower<Vec<_>>>()?;
        let def = self.model.dist(*id);
        let whole = matches!(def.support.structure, Structure::Scalar { scalar: Scalar::Int, .. });
        let lower = match lower {
            // Of a discrete distribution the lower end itself belongs to the interval.
            Some(lower) if whole => {
                let one = self.int(1);
                Some(self.binary(BinaryOp::Sub, lower, &one)?)
            }
            other => other.cloned(),
        };
        let with =
            |args: &[Val], end: &Val| -> Vec<Val> { args.iter().chain([end]).cloned().collect() };
        match (&lower, upper) {
            (None, None) => Ok(self.real(0.0)),
            (None, Some(upper)) => self.log_cdf(*id, &with(&args, upper)),
            (Some(lower), None) => self.log_survival(*id, &with(&args, lower)),
            (Some(lower), Some(upper)) => {
                // log(F(u) − F(l)) = log F(u) + log(1 − exp(log F(l) − log F(u))).
                let high = self.log_cdf(*id, &with(&args, upper))?;
                let low = self.log_cdf(*id, &with(&args, lower))?;
                let gap = self.binary(BinaryOp::Sub, &low, &high)?;
                let rest = self.unary(UnaryOp::Log1mExp, &gap);
                self.binary(BinaryOp::Add, &high, &rest)
            }
        }
    }

    fn log_cdf(&mut self, dist: DistId, args: &[Val]) -> Lower<Val> {
        let def = self.model.dist(dist);
        if def.member(MemberId::LogCdf).is_some() {
            return self.member(dist, MemberId::LogCdf, args);
        }
        let cdf = self.cdf(dist, args)?;
        Ok(self.unary(UnaryOp::Log, &cdf))
    }

    fn log_survival(&mut self, dist: DistId, args: &[Val]) -> Lower<Val> {
        let def = self.model.dist(dist);
        if def.member(MemberId::LogSurvival).is_some() {
            return self.member(dist, MemberId::LogSurvival, args);
        }
        let cdf = self.cdf(dist, args)?;
        let minus = self.unary(UnaryOp::Neg, &cdf);
        Ok(self.unary(UnaryOp::Log1p, &minus))
    }

    fn cdf(&mut self, dist: DistId, args: &[Val]) -> Lower<Val> {
        let def = self.model.dist(dist);
        if def.member(MemberId::Cdf).is_none() {
            return Err(self
                .error(
                    Code::E0508,
                    format!("`{}` has no cdf here, so it cannot be normalised again after cutting it off", def.name),
                    "cut off by a declared bound or by `truncate`",
                )
                .with_help("drop the bound, or choose a distribution whose support is that range")
                .into());
        }
        self.member(dist, MemberId::Cdf, args)
    }
}
