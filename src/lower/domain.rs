//! What lies outside: values of a support, arguments of their domain, and what the data alone makes
//! impossible, whatever the parameters are.

use crate::check::builtins::Builtin;
use crate::check::typed::{DistDef, Expr, ExprKind, Scalar, Structure, Support, VarId, VarKind};
use crate::diagnostics::Code;
use crate::ir::{BinaryOp, DType, Op, Tensor, TernaryOp, Type, UnaryOp};

use super::Lower;
use super::data::place;
use super::expr::rank;
use super::lowerer::Lowerer;
use super::value::{Axis, AxisTable, Val};
use super::walk::any_expr;

/// How far a sum, a length or a symmetric entry may be off, as it is for data.
const TOLERANCE: f64 = 1e-8;

impl Lowerer<'_> {
    /// Whether `x`, one draw, lies in a support whose bounds can be evaluated here.
    pub(super) fn in_support(&mut self, structure: &Structure, x: &Val) -> Lower<Val> {
        match structure {
            Structure::Scalar { scalar, lower, upper, .. } => {
                let mut inside = self.truth();
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
                // A vector is inside when all of its elements are.
                if x.rank(&self.b) > 0 { self.all(&inside) } else { Ok(inside) }
            }
            Structure::Simplex(_) => {
                let zero = self.real(0.0);
                let positive = self.binary(BinaryOp::Le, &zero, x)?;
                let positive = self.all(&positive)?;
                let total = self.reduce(Op::Sum, x);
                self.and_near(&positive, &total, 1.0)
            }
            Structure::Ordered(_) => self.ascends(x),
            Structure::PositiveOrdered(_) => {
                let zero = self.real(0.0);
                let positive = self.binary(BinaryOp::Lt, &zero, x)?;
                let (positive, ascends) = (self.all(&positive)?, self.ascends(x)?);
                self.binary(BinaryOp::And, &positive, &ascends)
            }
            Structure::UnitVector(_) => {
                let square = self.unary(UnaryOp::Square, x);
                let total = self.reduce(Op::Sum, &square);
                let whole = self.truth();
                self.and_near(&whole, &total, 1.0)
            }
            Structure::SumToZero(_) => {
                let total = self.reduce(Op::Sum, x);
                let whole = self.truth();
                self.and_near(&whole, &total, 0.0)
            }
            Structure::CholeskyCov(_) => self.is_factor(x),
            Structure::CholeskyCorr(_) => {
                let factor = self.is_factor(x)?;
                let square = self.unary(UnaryOp::Square, x);
                let lengths = self.along_rows(&square);
                self.and_near(&factor, &lengths, 1.0)
            }
            Structure::CovMatrix(_) => self.is_positive_definite(x),
            Structure::CorrMatrix(_) => {
                let definite = self.is_positive_definite(x)?;
                let diagonal = self.apply(Builtin::Diagonal, std::slice::from_ref(x))?;
                self.and_near(&definite, &diagonal, 1.0)
            }
        }
    }

    fn truth(&mut self) -> Val {
        let ty = Type::new(DType::Bool, crate::ir::Shape::new());
        Val::plain(self.b.tensor(Tensor::new(ty, vec![1.0])))
    }

    /// Whether all elements hold; those of an empty array do.
    fn all(&mut self, truth: &Val) -> Lower<Val> {
        let fails = self.unary(UnaryOp::Not, truth);
        let fails = self.convert(DType::Real, &fails);
        let total = self.reduce(Op::Sum, &fails);
        let zero = self.real(0.0);
        self.binary(BinaryOp::Le, &total, &zero)
    }

    /// `truth`, and all elements of `x` are `wanted` but for rounding.
    fn and_near(&mut self, truth: &Val, x: &Val, wanted: f64) -> Lower<Val> {
        let wanted = self.real(wanted);
        let gap = self.binary(BinaryOp::Sub, x, &wanted)?;
        let gap = self.unary(UnaryOp::Abs, &gap);
        let tolerance = self.real(TOLERANCE);
        let near = self.binary(BinaryOp::Le, &gap, &tolerance)?;
        let near = self.all(&near)?;
        self.binary(BinaryOp::And, truth, &near)
    }

    fn ascends(&mut self, x: &Val) -> Lower<Val> {
        let (axis, n) = (x.axes.len(), x.shape(&self.b)[0]);
        if n < 2 {
            return Ok(self.truth());
        }
        let low = Val { id: self.b.slice_axis(x.id, axis, 0, n - 1), axes: x.axes.clone() };
        let high = Val { id: self.b.slice_axis(x.id, axis, 1, n), axes: x.axes.clone() };
        let rises = self.binary(BinaryOp::Lt, &low, &high)?;
        self.all(&rises)
    }

    /// Sums of the rows of a matrix.
    fn along_rows(&mut self, x: &Val) -> Val {
        let last = x.axes.len() + 1;
        Val { id: self.b.sum(x.id, &[last]), axes: x.axes.clone() }
    }

    /// Whether a square matrix is lower triangular with a positive diagonal.
    fn is_factor(&mut self, x: &Val) -> Lower<Val> {
        let k = x.shape(&self.b)[0];
        let above: Vec<f64> = (0..k * k).map(|at| f64::from(u8::from(at % k > at / k))).collect();
        let above = Tensor::new(Type::real([k, k].as_slice()), above);
        let above = Val::plain(self.b.tensor(above));
        let above = self.binary(BinaryOp::Mul, x, &above)?;
        let zero = self.real(0.0);
        let empty = self.binary(BinaryOp::Eq, &above, &zero)?;
        let empty = self.all(&empty)?;
        let diagonal = self.apply(Builtin::Diagonal, std::slice::from_ref(x))?;
        let positive = self.binary(BinaryOp::Lt, &zero, &diagonal)?;
        let positive = self.all(&positive)?;
        self.binary(BinaryOp::And, &empty, &positive)
    }

    fn is_positive_definite(&mut self, x: &Val) -> Lower<Val> {
        let transposed = self.apply(Builtin::Transpose, std::slice::from_ref(x))?;
        let gap = self.binary(BinaryOp::Sub, x, &transposed)?;
        // The factorisation of what is not positive definite is NaN, which is not positive.
        let factor = self.apply(Builtin::Cholesky, std::slice::from_ref(x))?;
        let diagonal = self.apply(Builtin::Diagonal, &[factor])?;
        let zero = self.real(0.0);
        let positive = self.binary(BinaryOp::Lt, &zero, &diagonal)?;
        let positive = self.all(&positive)?;
        self.and_near(&positive, &gap, 0.0)
    }

    /// The number of elements of a whole parameter that lie outside of its declared support.
    pub(super) fn count_outside(&mut self, support: &Support, x: &Val) -> Lower<Val> {
        let inside = match &support.structure {
            // Its bounds may be arrays of its shape.
            Structure::Scalar { .. } => self.in_support(&support.structure, x)?,
            structured => {
                let rank = x.rank(&self.b) - support.array.len();
                self.lifted(std::slice::from_ref(x), &[rank], |l, x| {
                    l.in_support(structured, &x[0])
                })?
            }
        };
        let outside = self.unary(UnaryOp::Not, &inside);
        let outside = self.convert(DType::Real, &outside);
        Ok(self.reduce(Op::Sum, &outside))
    }

    /// The error that a value known now is outside of what a distribution draws: element `at` of
    /// `like`, which has the axes of the batch.
    pub(super) fn report_outside(
        &mut self,
        like: &Val,
        at: usize,
        x: &Val,
        dist: &str,
    ) -> Lower<()> {
        // Some of the values of a discrete latent may be impossible.
        if !self.enumerated.is_empty() {
            return Ok(());
        }
        let Some(value) = self.element(x, like, at) else { return Ok(()) };
        let subject = self.subject.clone();
        let found = subject.and_then(|s| self.place_in_data(&s.lhs, &s.axes, like, at));
        let found = found.unwrap_or_else(|| format!("element {} of the data", at + 1));
        let why = if value.is_nan() { "it has no density" } else { "its density is zero" };
        Err(self.error(
            Code::E0416,
            format!("{found} is {value}, outside of the support of {dist}"),
            format!("{why} there, whatever the parameters are"),
        ))
    }

    /// Refuses data that is no number where a distribution is to draw it.
    pub(super) fn refuse_nan(&mut self, x: &Val) -> Lower<()> {
        let Some(known) = self.numbers(x.id) else { return Ok(()) };
        match known.data.iter().position(|x| x.is_nan()) {
            Some(at) => self.report_outside(x, at, x, "its distribution"),
            None => Ok(()),
        }
    }

    /// Refuses arguments that the data alone shows to lie outside of what a distribution allows.
    pub(super) fn check_domains(
        &mut self,
        def: &DistDef,
        exprs: &[Expr],
        args: &[Val],
    ) -> Lower<()> {
        if !self.enumerated.is_empty() {
            return Ok(());
        }
        let ranks: Vec<usize> = def.params.iter().map(|&p| rank(&self.model.var(p).ty)).collect();
        for (i, (expr, domain)) in exprs.iter().zip(&def.domains).enumerate() {
            let Some(domain) = domain else { continue };
            let is_scalar = matches!(domain.structure, Structure::Scalar { .. });
            // Numbers in the model's text were compared with their domain by the checker.
            if is_scalar && !any_expr(expr, &mut |e| matches!(e.kind, ExprKind::Var(_))) {
                continue;
            }
            if self.numbers(args[i].id).is_none() {
                continue;
            }
            let inside = self.lifted(args, &ranks, |l, args| {
                l.bind_dist(def, args);
                l.in_support(&domain.structure, &args[i])
            })?;
            let truth = self.numbers(inside.id);
            let Some(at) = truth.and_then(|t| t.data.iter().position(|&t| t == 0.0)) else {
                continue;
            };
            let param = &self.model.var(def.params[i]).name;
            let model = self.model;
            let names = |var: VarId| model.var(var).name.clone();
            let wanted = crate::check::print::structure(&domain.structure, &names);
            let value = self.element(&args[i], &inside, at);
            let axes = self.subject.as_ref().map_or_else(Vec::new, |s| s.axes.clone());
            let found = self.place_in_data(expr, &axes, &inside, at);
            let found = found.unwrap_or_else(|| "this".into());
            let (message, label) = match value {
                Some(value) => (
                    format!("{found} is {value}, but `{param}` of `{}` is {wanted}", def.name),
                    format!("this is {value}"),
                ),
                None => (
                    format!("{found} is no {wanted}, as `{param}` of `{}` has to be", def.name),
                    format!("no {wanted}"),
                ),
            };
            return Err(self.at(expr.span, |l| l.error(Code::E0306, message, label)));
        }
        Ok(())
    }

    /// Refuses a term of the log joint that the data alone makes infinite or NaN.
    pub(super) fn check_term(&mut self, term: &Val) -> Lower<()> {
        if self.is_enumerated(term) {
            return Ok(());
        }
        let Some(numbers) = self.numbers(term.id) else { return Ok(()) };
        let Some(at) = numbers.data.iter().position(|x| !x.is_finite()) else { return Ok(()) };
        let value = match numbers.data[at] {
            x if x.is_nan() => "NaN",
            x if x > 0.0 => "∞",
            _ => "−∞",
        };
        let which = match numbers.data.len() {
            1 => String::new(),
            _ => format!("element {} of ", at + 1),
        };
        Err(self.error(
            Code::E0417,
            format!("{which}this term of the log joint is {value} with this data"),
            "so is then the log joint, whatever the parameters are",
        ))
    }

    /// The element of `v` that element `at` of `like`, which has the batch's shape, is about; `None`
    /// if `v` is not known or that is an array.
    pub(super) fn element(&mut self, v: &Val, like: &Val, at: usize) -> Option<f64> {
        let like = &self.convert(DType::Bool, like);
        let spread = self.elementwise(Op::Ternary(TernaryOp::Select), &[like, v, v]).ok()?;
        if spread.shape(&self.b) != like.shape(&self.b) || spread.axes != like.axes {
            return None;
        }
        self.numbers(spread.id)?.data.get(at).copied()
    }

    /// Where in the data file the element of `e` stands that element `at` of `like` is about; `e` is
    /// a data field or a part of one, its dimensions those of `like` or the loop axes `batch`.
    pub(super) fn place_in_data(
        &mut self,
        e: &Expr,
        batch: &[Axis],
        like: &Val,
        at: usize,
    ) -> Option<String> {
        let var = self.field_of(e)?;
        let name = &self.model.var(var).name;
        let file = self.file;
        let array = file.get(name)?;
        // The same part of an array that holds its own positions says which element is meant.
        #[allow(clippy::cast_precision_loss, reason = "positions are far below 2^53")]
        let positions: Vec<f64> = (0..array.len()).map(|i| i as f64).collect();
        let ty = Type::new(DType::Int, crate::ir::Shape::from(&array.shape[..]));
        let positions = Val::plain(self.b.tensor(Tensor::new(ty, positions)));
        let field = self.env.insert(var, positions)?;
        let part = self.expr(e);
        self.env.insert(var, field);
        let part = part.ok()?;
        let is_batch = !batch.is_empty() && part.rank(&self.b) == batch.len();
        let part = if is_batch { AxisTable::own_to_axes(&part, batch) } else { part };
        let position = self.element(&part, like, at)?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "made from a position above"
        )]
        Some(place(name, array, position as usize, file))
    }

    /// The data field that an expression is, or is a part of.
    fn field_of(&self, e: &Expr) -> Option<VarId> {
        match &e.kind {
            ExprKind::Var(v) if self.model.var(*v).kind == VarKind::Data => Some(*v),
            ExprKind::Index(base, _) => self.field_of(base),
            _ => None,
        }
    }

    /// The data field of an observed expression.
    pub(super) fn observed(&self, e: &Expr) -> Option<String> {
        self.field_of(e).map(|var| self.model.var(var).name.clone())
    }
}
