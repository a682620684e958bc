//! The inverses of the constraining transforms: a parameter's value → its unconstrained reals.

use crate::check::builtins::Builtin;
use crate::check::typed::{Structure, Support};
use crate::ir::{BinaryOp, Op, UnaryOp};

use super::Lower;
use super::lowerer::Lowerer;
use super::transform::{Shapes, helmert, to_f64};
use super::value::{Axis, AxisTable, Val};

impl Lowerer<'_> {
    /// The unconstrained reals of a parameter's value, as one vector; not finite where the value lies
    /// outside of the support. Of a unit vector, whose length is free, the value itself.
    pub(super) fn unconstrain(
        &mut self,
        support: &Support,
        shapes: &Shapes,
        x: &Val,
    ) -> Lower<Val> {
        if let Structure::Scalar { lower, upper, offset, multiplier, .. } = &support.structure {
            let mut ends = Vec::with_capacity(4);
            for end in [lower, upper, offset, multiplier] {
                ends.push(end.as_ref().map(|e| self.expr(e)).transpose()?);
            }
            let u = self.free_scalar(
                x,
                [ends[0].as_ref(), ends[1].as_ref(), ends[2].as_ref(), ends[3].as_ref()],
            )?;
            return Ok(self.reshape_own(&u, &[shapes.size()]));
        }
        let batch: Vec<Axis> = shapes.array.iter().map(|&n| self.axes.add(n)).collect();
        let x = AxisTable::own_to_axes(x, &batch);
        let k = shapes.constrained[0];
        let factor = |l: &mut Self| l.apply(Builtin::Cholesky, std::slice::from_ref(&x));
        let u = match &support.structure {
            Structure::Scalar { .. } => unreachable!("handled above"),
            Structure::Simplex(_) => self.free_simplex(&x, k)?,
            Structure::Ordered(_) => self.free_ordered(&x, k, false)?,
            Structure::PositiveOrdered(_) => self.free_ordered(&x, k, true)?,
            Structure::UnitVector(_) => x.clone(),
            Structure::SumToZero(_) => {
                let basis = Val::plain(self.b.tensor(helmert(k)));
                let turned = self.apply(Builtin::Transpose, &[basis])?;
                self.apply(Builtin::MatMul, &[x.clone(), turned])?
            }
            Structure::CholeskyCorr(_) => self.free_cholesky_corr(&x, k)?,
            Structure::CorrMatrix(_) => {
                let l = factor(self)?;
                self.free_cholesky_corr(&l, k)?
            }
            Structure::CholeskyCov(_) => self.free_cholesky_cov(&x, k),
            Structure::CovMatrix(_) => {
                let l = factor(self)?;
                self.free_cholesky_cov(&l, k)
            }
        };
        let u = self.axes.axes_to_own(&mut self.b, &u, &batch);
        Ok(self.reshape_own(&u, &[shapes.size()]))
    }

    /// The inverse of bounded or affine maps; `ends` are lower, upper, offset, multiplier.
    pub(super) fn free_scalar(&mut self, x: &Val, ends: [Option<&Val>; 4]) -> Lower<Val> {
        let [lower, upper, offset, multiplier] = ends;
        let above = lower.map(|a| self.binary(BinaryOp::Sub, x, a)).transpose()?;
        let below = upper.map(|c| self.binary(BinaryOp::Sub, c, x)).transpose()?;
        match (above, below) {
            (None, None) => {
                let mut u = x.clone();
                if let Some(o) = offset {
                    u = self.binary(BinaryOp::Sub, &u, o)?;
                }
                if let Some(m) = multiplier {
                    u = self.binary(BinaryOp::Div, &u, m)?;
                }
                Ok(u)
            }
            (Some(gap), None) | (None, Some(gap)) => Ok(self.unary(UnaryOp::Log, &gap)),
            (Some(above), Some(below)) => {
                let (p, q) = (self.unary(UnaryOp::Log, &above), self.unary(UnaryOp::Log, &below));
                self.binary(BinaryOp::Sub, &p, &q)
            }
        }
    }

    fn free_ordered(&mut self, x: &Val, k: usize, positive: bool) -> Lower<Val> {
        if k == 0 {
            return Ok(x.clone());
        }
        let mut first = self.part(x, 0, 1);
        if positive {
            first = self.unary(UnaryOp::Log, &first);
        }
        let (later, earlier) = (self.part(x, 1, k), self.part(x, 0, k - 1));
        let gaps = self.binary(BinaryOp::Sub, &later, &earlier)?;
        let steps = self.unary(UnaryOp::Log, &gaps);
        Ok(Val { id: self.b.concat(&[first.id, steps.id], x.axes.len()), axes: x.axes.clone() })
    }

    /// `u_k = log(x_k / (x_{k+1} + … + x_K)) + log(K − k)`.
    fn free_simplex(&mut self, x: &Val, k: usize) -> Lower<Val> {
        let op = Op::CumSum { axis: x.axes.len(), reverse: true };
        let left = Val { id: self.b.add(op, [x.id].as_slice()), axes: x.axes.clone() };
        let (piece, after) = (self.part(x, 0, k - 1), self.part(&left, 1, k));
        let (piece, after) = (self.unary(UnaryOp::Log, &piece), self.unary(UnaryOp::Log, &after));
        let shift: Vec<f64> = (1..k).map(|i| to_f64(k - i).ln()).collect();
        let shift = Val::plain(self.constants(shift));
        let odds = self.binary(BinaryOp::Sub, &piece, &after)?;
        self.binary(BinaryOp::Add, &odds, &shift)
    }

    /// Each element below the diagonal over the root of what earlier columns of its row leave.
    fn free_cholesky_corr(&mut self, factor: &Val, k: usize) -> Lower<Val> {
        let squares = self.unary(UnaryOp::Square, factor);
        let op = Op::CumSum { axis: squares.axes.len() + 1, reverse: false };
        let all = self.b.add(op, [squares.id].as_slice());
        let all = Val { id: all, axes: squares.axes.clone() };
        let before = self.binary(BinaryOp::Sub, &all, &squares)?;
        let below: Vec<usize> = (0..k).flat_map(|i| (0..i).map(move |j| i * k + j)).collect();
        let before = self.entries(&before, below.clone(), k);
        let element = self.entries(factor, below, k);
        let one = self.real(1.0);
        let rest = self.binary(BinaryOp::Sub, &one, &before)?;
        let rest = self.unary(UnaryOp::Sqrt, &rest);
        let z = self.binary(BinaryOp::Div, &element, &rest)?;
        let minus = self.unary(UnaryOp::Neg, &z);
        let (p, q) = (self.unary(UnaryOp::Log1p, &z), self.unary(UnaryOp::Log1p, &minus));
        let gap = self.binary(BinaryOp::Sub, &p, &q)?;
        let half = self.real(0.5);
        self.binary(BinaryOp::Mul, &half, &gap)
    }

    /// The lower triangle row by row, the diagonal in logarithms.
    fn free_cholesky_cov(&mut self, factor: &Val, k: usize) -> Val {
        let diagonal = self.entries(factor, (0..k).map(|i| i * (k + 1)).collect(), k);
        let logs = self.unary(UnaryOp::Log, &diagonal);
        let below: Vec<usize> = (0..k).flat_map(|i| (0..i).map(move |j| i * k + j)).collect();
        let others = self.entries(factor, below, k);
        let axis = factor.axes.len();
        let joined = self.b.concat(&[logs.id, others.id], axis);
        // Row i takes its i elements below the diagonal, then its logarithm.
        let order: Vec<usize> = (0..k)
            .flat_map(|i| (0..i).map(move |j| k + i * i.saturating_sub(1) / 2 + j).chain([i]))
            .collect();
        let order = self.b.ints(order);
        Val { id: self.b.gather(joined, axis, order), axes: factor.axes.clone() }
    }

    /// Elements of a matrix at flat positions, as a vector.
    fn entries(&mut self, matrix: &Val, positions: Vec<usize>, k: usize) -> Val {
        let flat = self.reshape_own(matrix, &[k * k]);
        let index = self.b.ints(positions);
        Val { id: self.b.gather(flat.id, flat.axes.len(), index), axes: flat.axes }
    }
}
