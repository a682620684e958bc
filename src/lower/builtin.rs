//! What each primitive becomes in the IR.

use crate::check::builtins::{Builtin, Signature};
use crate::check::shape::Dim;
use crate::check::typed::{Expr, Stage};
use crate::ir::{BinaryOp, DType, Op, Shape, Tensor, TernaryOp, Type, UnaryOp, ValueId};

use super::Lower;
use super::lowerer::Lowerer;
use super::value::{AxisTable, Val};

impl Lowerer<'_> {
    /// A primitive applied to arguments.
    pub(super) fn builtin(&mut self, which: Builtin, args: &[Expr]) -> Lower<Val> {
        if matches!(which.signature(), Signature::ShapeInt | Signature::Sizes)
            && args[0].stage != Stage::Data
        {
            return self.shape_in_advance(which, &args[0]);
        }
        let vals = args.iter().map(|a| self.expr(a)).collect::<Lower<Vec<Val>>>()?;
        self.apply(which, &vals)
    }

    /// Sizes of what is known later than its shape: they come from its type.
    fn shape_in_advance(&mut self, which: Builtin, arg: &Expr) -> Lower<Val> {
        let dims = arg.ty.dims();
        let one = || Dim::constant(1);
        let dim = match which {
            Builtin::Dims => {
                let sizes = dims.iter().map(|d| self.expr(&d.to_expr(arg.span)));
                let sizes = sizes.collect::<Lower<Vec<Val>>>()?;
                return self.stack(&sizes);
            }
            Builtin::NumElements => dims.iter().fold(one(), |n, d| n.mul(d)),
            Builtin::Cols => dims.last().cloned().unwrap_or_else(one),
            _ => dims.first().cloned().unwrap_or_else(one),
        };
        self.expr(&dim.to_expr(arg.span))
    }

    /// A primitive applied to values.
    pub(super) fn apply(&mut self, which: Builtin, v: &[Val]) -> Lower<Val> {
        use Builtin as B;
        match which {
            B::Add => self.binary(BinaryOp::Add, &v[0], &v[1]),
            B::Sub => self.binary(BinaryOp::Sub, &v[0], &v[1]),
            B::Mul => self.binary(BinaryOp::Mul, &v[0], &v[1]),
            B::Div => self.binary(BinaryOp::Div, &v[0], &v[1]),
            B::Pow => self.binary(BinaryOp::Pow, &v[0], &v[1]),
            B::Rem => self.binary(BinaryOp::Rem, &v[0], &v[1]),
            B::IntDiv => self.binary(BinaryOp::IntDiv, &v[0], &v[1]),
            B::And => self.binary(BinaryOp::And, &v[0], &v[1]),
            B::Or => self.binary(BinaryOp::Or, &v[0], &v[1]),
            B::Eq => self.binary(BinaryOp::Eq, &v[0], &v[1]),
            B::Ne => self.binary(BinaryOp::Ne, &v[0], &v[1]),
            B::Lt => self.binary(BinaryOp::Lt, &v[0], &v[1]),
            B::Le => self.binary(BinaryOp::Le, &v[0], &v[1]),
            B::Gt => self.binary(BinaryOp::Lt, &v[1], &v[0]),
            B::Ge => self.binary(BinaryOp::Le, &v[1], &v[0]),
            B::Atan2 => self.binary(BinaryOp::Atan2, &v[0], &v[1]),
            B::Lbeta => self.binary(BinaryOp::Lbeta, &v[0], &v[1]),
            B::LogAddExp => self.binary(BinaryOp::LogAddExp, &v[0], &v[1]),
            B::XLogY => self.binary(BinaryOp::XLogY, &v[0], &v[1]),
            B::XLog1pY => self.binary(BinaryOp::XLog1pY, &v[0], &v[1]),
            B::GammaP => self.binary(BinaryOp::GammaP, &v[0], &v[1]),
            B::GammaQ => self.binary(BinaryOp::GammaQ, &v[0], &v[1]),
            B::LogGammaP => self.binary(BinaryOp::LogGammaP, &v[0], &v[1]),
            B::LogGammaQ => self.binary(BinaryOp::LogGammaQ, &v[0], &v[1]),
            B::LogBesselI => self.binary(BinaryOp::LogBesselI, &v[0], &v[1]),
            B::LogBesselK => self.binary(BinaryOp::LogBesselK, &v[0], &v[1]),
            B::OwensT => self.binary(BinaryOp::OwensT, &v[0], &v[1]),
            B::StdSkewNormalCdf => self.binary(BinaryOp::SkewNormalCdf, &v[0], &v[1]),
            B::Min => self.binary(BinaryOp::Min, &v[0], &v[1]),
            B::Max => self.binary(BinaryOp::Max, &v[0], &v[1]),
            B::IncBeta => self.elementwise(Op::Ternary(TernaryOp::IncBeta), &[&v[0], &v[1], &v[2]]),
            B::LogIncBeta => {
                self.elementwise(Op::Ternary(TernaryOp::LogIncBeta), &[&v[0], &v[1], &v[2]])
            }
            B::Neg => Ok(self.unary(UnaryOp::Neg, &v[0])),
            B::Not => Ok(self.unary(UnaryOp::Not, &v[0])),
            B::Abs => Ok(self.unary(UnaryOp::Abs, &v[0])),
            B::Sign => Ok(self.unary(UnaryOp::Sign, &v[0])),
            B::Floor => Ok(self.unary(UnaryOp::Floor, &v[0])),
            B::Ceil => Ok(self.unary(UnaryOp::Ceil, &v[0])),
            B::Round => Ok(self.unary(UnaryOp::Round, &v[0])),
            B::Sqrt => Ok(self.unary(UnaryOp::Sqrt, &v[0])),
            B::Square => Ok(self.unary(UnaryOp::Square, &v[0])),
            B::Exp => Ok(self.unary(UnaryOp::Exp, &v[0])),
            B::Expm1 => Ok(self.unary(UnaryOp::Expm1, &v[0])),
            B::Log => Ok(self.unary(UnaryOp::Log, &v[0])),
            B::Log1p => Ok(self.unary(UnaryOp::Log1p, &v[0])),
            B::Sin => Ok(self.unary(UnaryOp::Sin, &v[0])),
            B::Cos => Ok(self.unary(UnaryOp::Cos, &v[0])),
            B::Tan => Ok(self.unary(UnaryOp::Tan, &v[0])),
            B::Asin => Ok(self.unary(UnaryOp::Asin, &v[0])),
            B::Acos => Ok(self.unary(UnaryOp::Acos, &v[0])),
            B::Atan => Ok(self.unary(UnaryOp::Atan, &v[0])),
            B::Sinh => Ok(self.unary(UnaryOp::Sinh, &v[0])),
            B::Cosh => Ok(self.unary(UnaryOp::Cosh, &v[0])),
            B::Tanh => Ok(self.unary(UnaryOp::Tanh, &v[0])),
            B::Lgamma => Ok(self.unary(UnaryOp::Lgamma, &v[0])),
            B::Digamma => Ok(self.unary(UnaryOp::Polygamma(0), &v[0])),
            B::Trigamma => Ok(self.unary(UnaryOp::Polygamma(1), &v[0])),
            B::Erf => Ok(self.unary(UnaryOp::Erf, &v[0])),
            B::Erfc => Ok(self.unary(UnaryOp::Erfc, &v[0])),
            B::StdNormalCdf => Ok(self.unary(UnaryOp::NormalCdf, &v[0])),
            B::StdNormalLogCdf => Ok(self.unary(UnaryOp::NormalLogCdf, &v[0])),
            B::StdNormalQuantile => Ok(self.unary(UnaryOp::NormalQuantile, &v[0])),
            B::InvLogit => Ok(self.unary(UnaryOp::InvLogit, &v[0])),
            B::Log1pExp => Ok(self.unary(UnaryOp::Log1pExp, &v[0])),
            B::Log1mExp => Ok(self.unary(UnaryOp::Log1mExp, &v[0])),
            B::LogBesselI0 => Ok(self.unary(UnaryOp::LogBesselI0, &v[0])),
            B::ToReal => Ok(self.convert(DType::Real, &v[0])),
            B::ToInt => Ok(self.convert(DType::Int, &v[0])),
            B::ToBool => Ok(self.convert(DType::Bool, &v[0])),
            B::Sum => Ok(self.reduce(Op::Sum, &v[0])),
            B::ReduceMax => Ok(self.reduce(Op::ReduceMax, &v[0])),
            B::ReduceMin => {
                let minus = self.unary(UnaryOp::Neg, &v[0]);
                let peak = self.reduce(Op::ReduceMax, &minus);
                Ok(self.unary(UnaryOp::Neg, &peak))
            }
            B::LogSumExp => Ok(self.reduce(Op::LogSumExp, &v[0])),
            B::Prod => self.product(&v[0]),
            B::Mean => self.mean(&v[0]),
            B::Variance => self.variance(&v[0]),
            B::Sd => {
                let variance = self.variance(&v[0])?;
                Ok(self.unary(UnaryOp::Sqrt, &variance))
            }
            B::DotProduct => {
                let both = self.binary(BinaryOp::Mul, &v[0], &v[1])?;
                Ok(self.reduce(Op::Sum, &both))
            }
            B::CumulativeSum => {
                let axis = v[0].axes.len();
                let id = self.b.add(Op::CumSum { axis, reverse: false }, [v[0].id].as_slice());
                Ok(Val { id, axes: v[0].axes.clone() })
            }
            B::LogSoftmax => {
                let total = self.reduce(Op::LogSumExp, &v[0]);
                self.binary(BinaryOp::Sub, &v[0], &total)
            }
            B::Softmax => {
                let log = self.apply(B::LogSoftmax, v)?;
                Ok(self.unary(UnaryOp::Exp, &log))
            }
            B::ColMeans => self.column_means(&v[0]),
            B::ColSds => {
                let mean = self.column_means(&v[0])?;
                let axis = self.axes.add(v[0].shape(&self.b)[0]);
                let rows = AxisTable::own_to_axes(&v[0], &[axis]);
                let gap = self.binary(BinaryOp::Sub, &rows, &mean)?;
                let square = self.unary(UnaryOp::Square, &gap);
                let square = self.axes.axes_to_own(&mut self.b, &square, &[axis]);
                let variance = self.column_means(&square)?;
                Ok(self.unary(UnaryOp::Sqrt, &variance))
            }
            B::MatMul => self.matmul(&v[0], &v[1]),
            B::Transpose => {
                let n = v[0].axes.len();
                let mut perm: Shape = (0..n).collect();
                perm.extend_from_slice(&[n + 1, n]);
                let id = self.b.transpose(v[0].id, &perm);
                Ok(Val { id, axes: v[0].axes.clone() })
            }
            B::Cholesky => self.each(v, |l, ids| l.b.add(Op::Cholesky, [ids[0]].as_slice())),
            B::SolveLower => self.solution(v, |l, a, y| l.triangular(a, y, true, false)),
            B::SolveUpper => self.solution(v, |l, a, y| l.triangular(a, y, false, false)),
            B::SolveSpd => self.solution(v, |l, a, y| {
                let factor = l.b.add(Op::Cholesky, [a].as_slice());
                let half = l.triangular(factor, y, true, false);
                l.triangular(factor, half, true, true)
            }),
            B::Solve => {
                self.solution(v, |l, a, y| l.b.add(Op::Solve { trans: false }, [a, y].as_slice()))
            }
            B::Determinant => self.each(v, |l, ids| l.b.add(Op::Det, [ids[0]].as_slice())),
            B::LogDeterminant => self.each(v, |l, ids| l.b.add(Op::LogAbsDet, [ids[0]].as_slice())),
            B::MatrixExp => self.each(v, |l, ids| l.b.add(Op::MatrixExp, [ids[0]].as_slice())),
            B::EigenSym => self.each(v, |l, ids| l.b.add(Op::EigenSym, [ids[0]].as_slice())),
            B::SortAsc => self.each(v, |l, ids| {
                let order = l.b.add(Op::SortIndices, [ids[0]].as_slice());
                l.b.gather(ids[0], 0, order)
            }),
            B::SortIndices => {
                let positions =
                    self.each(v, |l, ids| l.b.add(Op::SortIndices, [ids[0]].as_slice()))?;
                let one = self.int(1);
                self.binary(BinaryOp::Add, &positions, &one)
            }
            B::LogDetSpd => self.each(v, |l, ids| {
                let factor = l.b.add(Op::Cholesky, [ids[0]].as_slice());
                let n = l.b.shape(factor)[0];
                let flat = l.b.reshape(factor, &[n * n]);
                let index = l.b.ints((0..n).map(|i| i * (n + 1)));
                let diagonal = l.b.gather(flat, 0, index);
                let log = l.b.unary(UnaryOp::Log, diagonal);
                let half = l.b.sum_all(log);
                l.b.scaled(2.0, half)
            }),
            B::Diag => {
                let n = v[0].shape(&self.b)[0];
                let axis = v[0].axes.len();
                let index = self.b.ints((0..n).map(|i| i * (n + 1)));
                let op = Op::ScatterAdd { axis, size: n * n };
                let id = self.b.add(op, [v[0].id, index].as_slice());
                Ok(self.reshape_own(&Val { id, axes: v[0].axes.clone() }, &[n, n]))
            }
            B::Diagonal => {
                let n = v[0].shape(&self.b)[0];
                let flat = self.reshape_own(&v[0], &[n * n]);
                let index = self.b.ints((0..n).map(|i| i * (n + 1)));
                let id = self.b.gather(flat.id, flat.axes.len(), index);
                Ok(Val { id, axes: flat.axes })
            }
            B::Size | B::Rows => Ok(self.int(v[0].shape(&self.b).first().copied().unwrap_or(1))),
            B::Cols => Ok(self.int(v[0].shape(&self.b).last().copied().unwrap_or(1))),
            B::NumElements => Ok(self.int(v[0].shape(&self.b).iter().product())),
            B::Dims => {
                let sizes = v[0].shape(&self.b);
                Ok(Val::plain(self.b.ints(sizes)))
            }
            B::Flatten => {
                let n = v[0].shape(&self.b).iter().product();
                Ok(self.reshape_own(&v[0], &[n]))
            }
            B::Reshape => {
                let (from, to) = (v[0].shape(&self.b), self.sizes(&v[1..])?);
                if from.iter().product::<usize>() != to.iter().product::<usize>() {
                    return Err(self.shapes_differ(&from, &to));
                }
                Ok(self.reshape_own(&v[0], &to))
            }
            B::Zeros | B::Ones => {
                let shape = self.sizes(v)?;
                let x = if which == B::Ones { 1.0 } else { 0.0 };
                Ok(Val::plain(self.b.splat(x, &shape)))
            }
            B::Fill => {
                let (x, sizes) = v.split_last().expect("the checker asks for an element");
                let shape = self.sizes(sizes)?;
                let id = self.axes.spread(&mut self.b, x, &x.axes, &shape);
                Ok(Val { id, axes: x.axes.clone() })
            }
            B::Append => self.append(v, 0),
            B::AppendCol => self.append(v, 1),
            B::Reverse => {
                let n = v[0].shape(&self.b)[0];
                let index = self.b.ints((0..n).rev());
                let id = self.b.gather(v[0].id, v[0].axes.len(), index);
                Ok(Val { id, axes: v[0].axes.clone() })
            }
            B::Pi => Ok(self.real(std::f64::consts::PI)),
            B::Euler => Ok(self.real(std::f64::consts::E)),
            B::Infinity => Ok(self.real(f64::INFINITY)),
            B::OdeRk45
            | B::OdeRk45Tol
            | B::OdeBdf
            | B::OdeBdfTol
            | B::Integrate1d
            | B::Integrate1dTol
            | B::AlgebraSolver
            | B::AlgebraSolverTol => unreachable!("bug in ppl: solvers take expressions"),
            B::RngStdNormal
            | B::RngUniform
            | B::RngStdExponential
            | B::RngStdGamma
            | B::RngPoisson
            | B::RngBinomial => self.random(which, v),
        }
    }

    /// A real constant.
    pub(super) fn real(&mut self, x: f64) -> Val {
        Val::plain(self.b.scalar(x))
    }

    /// An integer constant.
    #[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
    pub(super) fn int(&mut self, n: usize) -> Val {
        self.integer(n as f64)
    }

    /// An integer constant of any sign.
    pub(super) fn integer(&mut self, n: f64) -> Val {
        let ty = Type::new(DType::Int, Shape::new());
        Val::plain(self.b.tensor(Tensor::new(ty, vec![n])))
    }

    /// Elementwise function of one value.
    pub(super) fn unary(&mut self, op: UnaryOp, v: &Val) -> Val {
        Val { id: self.b.unary(op, v.id), axes: v.axes.clone() }
    }

    /// Elementwise function of two values.
    pub(super) fn binary(&mut self, op: BinaryOp, x: &Val, y: &Val) -> Lower<Val> {
        self.elementwise(Op::Binary(op), &[x, y])
    }

    /// The same numbers as another element type.
    pub(super) fn convert(&mut self, to: DType, v: &Val) -> Val {
        if self.b.ty(v.id).dtype == to {
            return v.clone();
        }
        Val { id: self.b.add(Op::Convert(to), [v.id].as_slice()), axes: v.axes.clone() }
    }

    /// An elementwise operation on values, brought to common axes and shape.
    pub(super) fn elementwise(&mut self, op: Op, vals: &[&Val]) -> Lower<Val> {
        let (ids, axes) = self.align(vals)?;
        Ok(Val { id: self.b.add(op, ids.as_slice()), axes })
    }

    /// Brings values to common loop axes and a common own shape; plain scalars stay scalars.
    ///
    /// # Errors
    /// E0501 when two own shapes differ.
    pub(super) fn align(&mut self, vals: &[&Val]) -> Lower<(Vec<ValueId>, super::value::Axes)> {
        let axes = AxisTable::union(vals.iter().copied());
        let mut own = Shape::new();
        for v in vals {
            let shape = v.shape(&self.b);
            if shape.is_empty() || shape == own {
                continue;
            }
            if !own.is_empty() {
                return Err(self.shapes_differ(&own, &shape));
            }
            own = shape;
        }
        let ids = vals
            .iter()
            .map(|v| {
                if v.axes.is_empty() && v.rank(&self.b) == 0 {
                    v.id
                } else {
                    self.axes.spread(&mut self.b, v, &axes, &own)
                }
            })
            .collect();
        Ok((ids, axes))
    }

    /// A reduction over all own axes.
    pub(super) fn reduce(&mut self, op: impl Fn(Shape) -> Op, v: &Val) -> Val {
        let n = v.axes.len();
        let over: Shape = (n..n + v.rank(&self.b)).collect();
        if over.is_empty() {
            return v.clone();
        }
        Val { id: self.b.add(op(over), [v.id].as_slice()), axes: v.axes.clone() }
    }

    /// The value with its own axes given another shape.
    pub(super) fn reshape_own(&mut self, v: &Val, own: &[usize]) -> Val {
        let mut shape: Shape = v.axes.iter().map(|&a| self.axes.length(a)).collect();
        shape.extend_from_slice(own);
        Val { id: self.b.reshape(v.id, &shape), axes: v.axes.clone() }
    }

    #[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
    fn mean(&mut self, v: &Val) -> Lower<Val> {
        let n: usize = v.shape(&self.b).iter().product();
        let total = self.reduce(Op::Sum, v);
        let n = self.real(n as f64);
        self.binary(BinaryOp::Div, &total, &n)
    }

    #[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
    fn variance(&mut self, v: &Val) -> Lower<Val> {
        let n: usize = v.shape(&self.b).iter().product();
        let mean = self.mean(v)?;
        let gap = self.binary(BinaryOp::Sub, v, &mean)?;
        let square = self.unary(UnaryOp::Square, &gap);
        let total = self.reduce(Op::Sum, &square);
        let n = self.real(n as f64 - 1.0);
        self.binary(BinaryOp::Div, &total, &n)
    }

    #[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
    fn column_means(&mut self, v: &Val) -> Lower<Val> {
        let rows = v.shape(&self.b)[0];
        let total = self.b.sum(v.id, &[v.axes.len()]);
        let n = self.real(rows as f64);
        self.binary(BinaryOp::Div, &Val { id: total, axes: v.axes.clone() }, &n)
    }

    /// The product of all elements, by halves, so that the graph is shallow.
    fn product(&mut self, v: &Val) -> Lower<Val> {
        let n: usize = v.shape(&self.b).iter().product();
        let mut flat = self.reshape_own(v, &[n]);
        let axis = flat.axes.len();
        let mut left = n;
        if left == 0 {
            return Ok(self.real(1.0));
        }
        while left > 1 {
            let half = left / 2;
            let a = self.b.slice_axis(flat.id, axis, 0, half);
            let c = self.b.slice_axis(flat.id, axis, half, 2 * half);
            let mut product = self.b.times(a, c);
            if left % 2 == 1 {
                let rest = self.b.slice_axis(flat.id, axis, left - 1, left);
                product = self.b.concat(&[product, rest], axis);
            }
            flat.id = product;
            left = half + left % 2;
        }
        Ok(self.reshape_own(&flat, &[]))
    }

    /// Joins along the first (`side` 0) or second axis; a value of one axis less counts as one slice.
    fn append(&mut self, parts: &[Val], side: usize) -> Lower<Val> {
        let axes = AxisTable::union(parts);
        let rank = parts.iter().map(|v| v.rank(&self.b)).max().unwrap_or(0).max(side + 1);
        let mut ids = Vec::with_capacity(parts.len());
        for part in parts {
            let own = part.shape(&self.b);
            let id = self.axes.spread(&mut self.b, part, &axes, &own);
            let mut spread = Val { id, axes: axes.clone() };
            if own.len() < rank {
                let mut one = own.clone();
                one.insert(side, 1);
                spread = self.reshape_own(&spread, &one);
            }
            ids.push(spread);
        }
        let first = ids[0].shape(&self.b);
        for id in &ids {
            let shape = id.shape(&self.b);
            let fits = shape.len() == first.len()
                && (0..shape.len()).all(|i| i == side || shape[i] == first[i]);
            if !fits {
                return Err(self.shapes_differ(&first, &shape));
            }
        }
        let ids: Vec<ValueId> = ids.iter().map(|v| v.id).collect();
        let id = self.b.concat(&ids, axes.len() + side);
        Ok(Val { id, axes })
    }

    /// Values as sizes, known now.
    pub(super) fn sizes(&mut self, v: &[Val]) -> Lower<Shape> {
        v.iter().map(|v| self.size(v)).collect()
    }
}
