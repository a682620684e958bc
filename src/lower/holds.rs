//! Whether a value is what a declared type says: the constraint of a `let`.

use crate::check::builtins::Builtin;
use crate::check::typed::{Structure, Support};
use crate::ir::{BinaryOp, DType, Op, Tensor, Type, UnaryOp};

use super::Lower;
use super::lowerer::Lowerer;
use super::value::{Axis, AxisTable, Val};

/// How far sums may be off, as in data.
const TOLERANCE: f64 = 1e-8;

impl Lowerer<'_> {
    /// One truth value: whether all of `x` lies in the support. What is not a number lies in none.
    pub(super) fn holds(&mut self, support: &Support, x: &Val) -> Lower<Val> {
        if let Structure::Scalar { lower, upper, .. } = &support.structure {
            let mut all = None;
            if let Some(lower) = lower {
                let lower = self.expr(lower)?;
                let above = self.binary(BinaryOp::Le, &lower, x)?;
                all = Some(self.all(&above));
            }
            if let Some(upper) = upper {
                let upper = self.expr(upper)?;
                let below = self.binary(BinaryOp::Le, x, &upper)?;
                let below = self.all(&below);
                all = Some(match all {
                    Some(above) => self.binary(BinaryOp::And, &above, &below)?,
                    None => below,
                });
            }
            return Ok(match all {
                Some(all) => all,
                None => self.truth(),
            });
        }
        let rank = x.rank(&self.b) - support.array.len();
        let lead = &x.shape(&self.b)[..support.array.len()];
        let batch: Vec<Axis> = lead.iter().map(|&n| self.axes.add(n)).collect();
        let x = AxisTable::own_to_axes(x, &batch);
        let k = x.shape(&self.b)[rank - 1];
        let each = match &support.structure {
            Structure::Scalar { .. } => unreachable!("handled above"),
            Structure::Simplex(_) => {
                let (one, zero) = (self.real(1.0), self.real(0.0));
                let total = self.reduce(Op::Sum, &x);
                let sums = self.near(&total, &one)?;
                let positive = self.binary(BinaryOp::Le, &zero, &x)?;
                let positive = self.all(&positive);
                self.binary(BinaryOp::And, &sums, &positive)?
            }
            Structure::Ordered(_) if k == 0 => self.truth(),
            Structure::PositiveOrdered(_) if k == 0 => self.truth(),
            Structure::Ordered(_) => self.increasing(&x, k)?,
            Structure::PositiveOrdered(_) => {
                let (increasing, positive) = (self.increasing(&x, k)?, self.positive(&x)?);
                self.binary(BinaryOp::And, &increasing, &positive)?
            }
            Structure::UnitVector(_) => {
                let square = self.unary(UnaryOp::Square, &x);
                let (total, one) = (self.reduce(Op::Sum, &square), self.real(1.0));
                self.near(&total, &one)?
            }
            Structure::SumToZero(_) => {
                let (total, zero) = (self.reduce(Op::Sum, &x), self.real(0.0));
                self.near(&total, &zero)?
            }
            Structure::CholeskyCov(_) => self.is_factor(&x, k)?,
            Structure::CholeskyCorr(_) => {
                let factor = self.is_factor(&x, k)?;
                let turned = self.apply(Builtin::Transpose, std::slice::from_ref(&x))?;
                let product = self.apply(Builtin::MatMul, &[x.clone(), turned])?;
                let unit = self.unit_diagonal(&product)?;
                self.binary(BinaryOp::And, &factor, &unit)?
            }
            Structure::CovMatrix(_) => self.is_covariance(&x)?,
            Structure::CorrMatrix(_) => {
                let (covariance, unit) = (self.is_covariance(&x)?, self.unit_diagonal(&x)?);
                self.binary(BinaryOp::And, &covariance, &unit)?
            }
        };
        let each = self.axes.axes_to_own(&mut self.b, &each, &batch);
        Ok(self.all(&each))
    }

    fn truth(&mut self) -> Val {
        let one = self.int(1);
        self.convert(DType::Bool, &one)
    }

    /// Whether all elements are true.
    fn all(&mut self, v: &Val) -> Val {
        if v.rank(&self.b) == 0 {
            return v.clone();
        }
        let failed = self.unary(UnaryOp::Not, v);
        let failed = self.convert(DType::Real, &failed);
        let any = self.reduce(Op::Sum, &failed);
        let any = self.convert(DType::Bool, &any);
        self.unary(UnaryOp::Not, &any)
    }

    fn near(&mut self, x: &Val, wanted: &Val) -> Lower<Val> {
        let gap = self.binary(BinaryOp::Sub, x, wanted)?;
        let gap = self.unary(UnaryOp::Abs, &gap);
        let tolerance = self.real(TOLERANCE);
        let near = self.binary(BinaryOp::Le, &gap, &tolerance)?;
        Ok(self.all(&near))
    }

    fn positive(&mut self, x: &Val) -> Lower<Val> {
        let zero = self.real(0.0);
        let positive = self.binary(BinaryOp::Lt, &zero, x)?;
        Ok(self.all(&positive))
    }

    fn increasing(&mut self, x: &Val, k: usize) -> Lower<Val> {
        let (later, earlier) = (self.part(x, 1, k), self.part(x, 0, k - 1));
        let rises = self.binary(BinaryOp::Lt, &earlier, &later)?;
        Ok(self.all(&rises))
    }

    /// Lower triangular with a positive diagonal.
    fn is_factor(&mut self, x: &Val, k: usize) -> Lower<Val> {
        let above: Vec<f64> = (0..k * k).map(|i| f64::from(u8::from(i % k > i / k))).collect();
        let above = Tensor::new(Type::real([k, k].as_slice()), above);
        let above = Val::plain(self.b.tensor(above));
        let upper = self.binary(BinaryOp::Mul, x, &above)?;
        let zero = self.real(0.0);
        let lower = self.near(&upper, &zero)?;
        let diagonal = self.apply(Builtin::Diagonal, std::slice::from_ref(x))?;
        let positive = self.positive(&diagonal)?;
        self.binary(BinaryOp::And, &lower, &positive)
    }

    fn unit_diagonal(&mut self, x: &Val) -> Lower<Val> {
        let (diagonal, one) =
            (self.apply(Builtin::Diagonal, std::slice::from_ref(x))?, self.real(1.0));
        self.near(&diagonal, &one)
    }

    /// Symmetric, with a Cholesky factor.
    fn is_covariance(&mut self, x: &Val) -> Lower<Val> {
        let turned = self.apply(Builtin::Transpose, std::slice::from_ref(x))?;
        let symmetric = self.near(x, &turned)?;
        let factor = self.apply(Builtin::Cholesky, std::slice::from_ref(x))?;
        let pivots = self.apply(Builtin::Diagonal, &[factor])?;
        let definite = self.positive(&pivots)?;
        self.binary(BinaryOp::And, &symmetric, &definite)
    }
}
