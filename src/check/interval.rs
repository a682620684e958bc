//! What is known of a value from declarations alone: an interval that all its elements lie in.

use super::builtins::Builtin;
use super::checker::Checker;
use super::typed::{Expr, ExprKind, Stmt, StmtKind, Structure, Support, VarId, VarKind};

/// Bounds of the elements of a value, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    pub(super) lo: f64,
    pub(super) hi: f64,
}

impl Interval {
    pub(super) const ALL: Self = Self { lo: f64::NEG_INFINITY, hi: f64::INFINITY };

    pub(super) fn new(lo: f64, hi: f64) -> Self {
        // Arithmetic on infinite ends may give NaN, which says nothing.
        Self {
            lo: if lo.is_nan() { f64::NEG_INFINITY } else { lo },
            hi: if hi.is_nan() { f64::INFINITY } else { hi },
        }
    }

    fn point(x: f64) -> Self {
        Self::new(x, x)
    }

    pub(super) fn is_point(self) -> bool {
        self.hi - self.lo == 0.0
    }

    pub(super) fn hull(self, other: Self) -> Self {
        Self::new(self.lo.min(other.lo), self.hi.max(other.hi))
    }

    /// What lies in both; all of the line where nothing does.
    pub(super) fn meet(self, other: Self) -> Self {
        let (lo, hi) = (self.lo.max(other.lo), self.hi.min(other.hi));
        if lo <= hi { Self::new(lo, hi) } else { Self::ALL }
    }

    fn add(self, other: Self) -> Self {
        Self::new(self.lo + other.lo, self.hi + other.hi)
    }

    fn neg(self) -> Self {
        Self::new(-self.hi, -self.lo)
    }

    fn mul(self, other: Self) -> Self {
        // 0 times an end at infinity is 0: the infinity is never taken.
        let times = |a: f64, b: f64| if a == 0.0 || b == 0.0 { 0.0 } else { a * b };
        let corners = [
            times(self.lo, other.lo),
            times(self.lo, other.hi),
            times(self.hi, other.lo),
            times(self.hi, other.hi),
        ];
        corners.into_iter().map(Self::point).reduce(Self::hull).unwrap_or(Self::ALL)
    }

    fn recip(self) -> Self {
        if self.lo >= 0.0 {
            Self::new(1.0 / self.hi, 1.0 / self.lo.abs())
        } else if self.hi < 0.0 {
            Self::new(1.0 / self.hi, 1.0 / self.lo)
        } else {
            Self::ALL
        }
    }

    /// Applies a function that never decreases.
    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self::new(f(self.lo), f(self.hi))
    }

    fn abs(self) -> Self {
        let high = self.lo.abs().max(self.hi.abs());
        let low =
            if self.lo <= 0.0 && self.hi >= 0.0 { 0.0 } else { self.lo.abs().min(self.hi.abs()) };
        Self::new(low, high)
    }
}

impl Checker<'_> {
    /// Bounds the elements of an expression.
    pub(super) fn interval(&self, e: &Expr) -> Interval {
        match &e.kind {
            #[allow(clippy::cast_precision_loss, reason = "a bound, rounded at worst")]
            ExprKind::Int(n) => Interval::point(*n as f64),
            ExprKind::Real(x) => Interval::point(*x),
            ExprKind::Bool(_) => Interval::new(0.0, 1.0),
            ExprKind::Var(var) => match self.facts.intervals.get(var) {
                Some(known) => *known,
                None if self.model.var(*var).kind == VarKind::Size => {
                    Interval::new(0.0, f64::INFINITY)
                }
                None => Interval::ALL,
            },
            ExprKind::Builtin(op, args) => {
                let args: Vec<Interval> = args.iter().map(|arg| self.interval(arg)).collect();
                primitive(*op, &args)
            }
            ExprKind::Index(base, _) => self.interval(base),
            ExprKind::Array(items) => items
                .iter()
                .map(|item| self.interval(item))
                .reduce(Interval::hull)
                .unwrap_or(Interval::ALL),
            ExprKind::Range(lo, hi) => Interval::new(self.interval(lo).lo, self.interval(hi).hi),
            ExprKind::If(_, then, otherwise) => self.interval(then).hull(self.interval(otherwise)),
            // Locals of a block keep what is known of them.
            ExprKind::Block(_, result) => self.interval(result),
            // What the body says for any arguments within their declared bounds.
            ExprKind::Call(id, _) => self.facts.results.get(id).copied().unwrap_or(Interval::ALL),
            ExprKind::Member(..) | ExprKind::Draw { .. } | ExprKind::FnRef(_) => Interval::ALL,
        }
    }

    /// Notes what a variable's type says of its values. The interval is found here, once: bounds may refer
    /// to other variables, and those to others.
    pub(super) fn declare_support(&mut self, var: VarId, support: Support) {
        let known = self.facts.intervals.get(&var).copied().unwrap_or(Interval::ALL);
        let declared = self.support_interval(&support);
        self.facts.intervals.insert(var, known.meet(declared));
        self.facts.supports.insert(var, support);
    }

    /// Bounds the elements of the values of a support.
    pub(super) fn support_interval(&self, support: &Support) -> Interval {
        match &support.structure {
            Structure::Scalar { lower, upper, .. } => Interval::new(
                lower.as_ref().map_or(f64::NEG_INFINITY, |e| self.interval(e).lo),
                upper.as_ref().map_or(f64::INFINITY, |e| self.interval(e).hi),
            ),
            Structure::Simplex(_) => Interval::new(0.0, 1.0),
            Structure::PositiveOrdered(_) => Interval::new(0.0, f64::INFINITY),
            Structure::UnitVector(_) | Structure::CholeskyCorr(_) | Structure::CorrMatrix(_) => {
                Interval::new(-1.0, 1.0)
            }
            Structure::Ordered(_)
            | Structure::SumToZero(_)
            | Structure::CholeskyCov(_)
            | Structure::CovMatrix(_) => Interval::ALL,
        }
    }

    /// Bounds the elements that statements define.
    pub(super) fn assigned_interval(&self, stmts: &[Stmt]) -> Option<Interval> {
        let each = stmts.iter().filter_map(|stmt| match &stmt.kind {
            StmtKind::Assign { value, .. } => Some(self.interval(value)),
            StmtKind::For { body, .. } => self.assigned_interval(body),
            StmtKind::If { then, otherwise, .. } => {
                let ends = [self.assigned_interval(then), self.assigned_interval(otherwise)];
                ends.into_iter().flatten().reduce(Interval::hull)
            }
            StmtKind::Let { .. } | StmtKind::Tilde { .. } | StmtKind::Factor(_) => None,
        });
        each.reduce(Interval::hull)
    }
}

fn primitive(op: Builtin, args: &[Interval]) -> Interval {
    let positive = Interval::new(0.0, f64::INFINITY);
    match (op, args) {
        (Builtin::Add, [a, b]) => a.add(*b),
        (Builtin::Sub, [a, b]) => a.add(b.neg()),
        (Builtin::Mul, [a, b]) => a.mul(*b),
        (Builtin::Div, [a, b]) => a.mul(b.recip()),
        (Builtin::Neg, [a]) => a.neg(),
        (Builtin::Pow, [a, _]) if a.lo >= 0.0 => positive,
        (Builtin::Abs, [a]) => a.abs(),
        (Builtin::Square, [a]) => a.abs().mul(a.abs()),
        (Builtin::Sqrt, [a]) => Interval::new(a.lo.max(0.0), a.hi.max(0.0)).map(f64::sqrt),
        (Builtin::Exp, [a]) => a.map(f64::exp),
        (Builtin::Expm1, [a]) => a.map(f64::exp_m1),
        (Builtin::Log, [a]) => Interval::new(a.lo.max(0.0), a.hi.max(0.0)).map(f64::ln),
        (Builtin::Log1p, [a]) => Interval::new(a.lo.max(-1.0), a.hi.max(-1.0)).map(f64::ln_1p),
        (Builtin::Log1pExp, [a]) => a.map(|x| if x > 700.0 { x } else { x.exp().ln_1p() }),
        (Builtin::Log1mExp, [_]) => Interval::new(f64::NEG_INFINITY, 0.0),
        (
            Builtin::InvLogit
            | Builtin::StdNormalCdf
            | Builtin::GammaP
            | Builtin::GammaQ
            | Builtin::IncBeta
            | Builtin::Softmax
            | Builtin::RngUniform,
            _,
        ) => Interval::new(0.0, 1.0),
        (Builtin::StdNormalLogCdf | Builtin::LogSoftmax, _) => {
            Interval::new(f64::NEG_INFINITY, 0.0)
        }
        (Builtin::Sin | Builtin::Cos | Builtin::Tanh | Builtin::Erf | Builtin::Sign, _) => {
            Interval::new(-1.0, 1.0)
        }
        (Builtin::Atan, _) => {
            Interval::new(-std::f64::consts::FRAC_PI_2, std::f64::consts::FRAC_PI_2)
        }
        (Builtin::Erfc, _) => Interval::new(0.0, 2.0),
        (Builtin::Cosh, _) => Interval::new(1.0, f64::INFINITY),
        (
            Builtin::ColSds
            | Builtin::Variance
            | Builtin::Sd
            | Builtin::Size
            | Builtin::Rows
            | Builtin::Cols
            | Builtin::RngStdExponential
            | Builtin::RngStdGamma
            | Builtin::RngPoisson
            | Builtin::RngBinomial,
            _,
        ) => positive,
        (Builtin::Min, [a, b]) => Interval::new(a.lo.min(b.lo), a.hi.min(b.hi)),
        (Builtin::Max, [a, b]) => Interval::new(a.lo.max(b.lo), a.hi.max(b.hi)),
        (Builtin::Floor, [a]) => a.map(f64::floor),
        (Builtin::Ceil, [a]) => a.map(f64::ceil),
        (Builtin::Round, [a]) => a.map(f64::round),
        (Builtin::ToInt, [a]) => a.map(f64::trunc),
        (
            Builtin::ToReal
            | Builtin::ReduceMin
            | Builtin::ReduceMax
            | Builtin::Mean
            | Builtin::ColMeans
            | Builtin::Transpose
            | Builtin::Reverse
            | Builtin::Diagonal,
            [a],
        ) => *a,
        (Builtin::Diag, [a]) => a.hull(Interval::point(0.0)),
        (Builtin::Sum | Builtin::CumulativeSum | Builtin::Prod, [a]) if a.lo >= 0.0 => positive,
        (Builtin::DotProduct | Builtin::MatMul, [a, b]) if a.lo >= 0.0 && b.lo >= 0.0 => positive,
        (Builtin::Append | Builtin::AppendCol, all) => {
            all.iter().copied().reduce(Interval::hull).unwrap_or(Interval::ALL)
        }
        (Builtin::Fill, [.., element]) => *element,
        (Builtin::Zeros, _) => Interval::point(0.0),
        (Builtin::Ones, _) => Interval::point(1.0),
        (Builtin::Pi, _) => Interval::point(std::f64::consts::PI),
        (Builtin::Euler, _) => Interval::point(std::f64::consts::E),
        (Builtin::Infinity, _) => Interval::new(f64::INFINITY, f64::INFINITY),
        _ => Interval::ALL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reciprocal_of_a_root_of_a_positive_number_is_positive() {
        let positive = Interval::new(0.0, f64::INFINITY);
        let root = primitive(Builtin::Sqrt, &[positive]);
        let scale = primitive(Builtin::Div, &[Interval::point(1.0), root]);
        assert_eq!(scale, positive);
        assert_eq!(primitive(Builtin::Sub, &[positive, positive]), Interval::ALL);
    }
}
