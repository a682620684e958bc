//! Constraining transforms: unconstrained reals → a parameter's support, with `log |det J|`.
//!
//! The transforms are Stan's [stan2024, ch. "Constraint Transforms"], so that unconstrained points can
//! be exchanged. `log |det J|` is of the map from the unconstrained to the free constrained numbers.

use crate::check::typed::{Expr, Structure, Support};
use crate::diagnostics::Code;
use crate::ir::{BinaryOp, Op, Shape, Tensor, Type, UnaryOp, num_elements};

use super::Lower;
use super::lowerer::Lowerer;
use super::value::{Axis, AxisTable, Val};

/// A parameter's support with its concrete sizes.
#[derive(Debug, Clone)]
pub(super) struct Shapes {
    /// Sizes of the array around the structure.
    pub(super) array: Shape,
    /// Shape of one constrained structure.
    pub(super) constrained: Shape,
    /// Number of unconstrained reals of one structure.
    pub(super) free: usize,
    /// Name of the transform, for `ppl check --json`.
    pub(super) transform: &'static str,
}

impl Shapes {
    /// Shape of the whole parameter.
    pub(super) fn shape(&self) -> Shape {
        self.array.iter().chain(&self.constrained).copied().collect()
    }

    /// Number of unconstrained reals of the whole parameter.
    pub(super) fn size(&self) -> usize {
        num_elements(&self.array).saturating_mul(self.free)
    }
}

impl Lowerer<'_> {
    /// The concrete sizes of a support.
    pub(super) fn support_shapes(&mut self, support: &Support) -> Lower<Shapes> {
        let array = self.size_list(&support.array)?;
        let one = |l: &mut Self, k: &Expr| -> Lower<usize> {
            let v = l.expr(k)?;
            let may_be_empty =
                matches!(support.structure, Structure::Ordered(_) | Structure::PositiveOrdered(_));
            l.at(k.span, |l| match l.size(&v)? {
                0 if !may_be_empty => Err(l.error(
                    Code::E0504,
                    "this type has at least one element, but its size is 0",
                    "this size",
                )),
                n => Ok(n),
            })
        };
        let vector = |k: usize| -> Shape { [k].as_slice().into() };
        let square = |k: usize| -> Shape { [k, k].as_slice().into() };
        let (constrained, free, transform) = match &support.structure {
            Structure::Scalar { lower, upper, offset, multiplier, .. } => {
                let affine = offset.is_some() || multiplier.is_some();
                let name = scalar_transform(lower.is_some(), upper.is_some(), affine);
                (Shape::new(), 1, name)
            }
            Structure::Simplex(k) => {
                let k = one(self, k)?;
                (vector(k), k.saturating_sub(1), "simplex")
            }
            Structure::Ordered(k) => {
                let k = one(self, k)?;
                (vector(k), k, "ordered")
            }
            Structure::PositiveOrdered(k) => {
                let k = one(self, k)?;
                (vector(k), k, "positive_ordered")
            }
            Structure::UnitVector(k) => {
                let k = one(self, k)?;
                (vector(k), k, "unit_vector")
            }
            Structure::SumToZero(k) => {
                let k = one(self, k)?;
                (vector(k), k.saturating_sub(1), "sum_to_zero")
            }
            Structure::CholeskyCorr(k) => {
                let k = one(self, k)?;
                (square(k), k * k.saturating_sub(1) / 2, "cholesky_corr")
            }
            Structure::CorrMatrix(k) => {
                let k = one(self, k)?;
                (square(k), k * k.saturating_sub(1) / 2, "corr_matrix")
            }
            Structure::CholeskyCov(k) => {
                let k = one(self, k)?;
                (square(k), k * (k + 1) / 2, "cholesky_cov")
            }
            Structure::CovMatrix(k) => {
                let k = one(self, k)?;
                (square(k), k * (k + 1) / 2, "cov_matrix")
            }
        };
        Ok(Shapes { array, constrained, free, transform })
    }

    /// Sizes that have to be known now.
    pub(super) fn size_list(&mut self, sizes: &[Expr]) -> Lower<Shape> {
        sizes
            .iter()
            .map(|e| {
                let v = self.expr(e)?;
                self.at(e.span, |l| l.size(&v))
            })
            .collect()
    }

    /// The constrained parameter and the sum of `log |det J|`; `u` holds its unconstrained reals.
    pub(super) fn constrain(
        &mut self,
        support: &Support,
        shapes: &Shapes,
        u: &Val,
    ) -> Lower<(Val, Option<Val>)> {
        if let Structure::Scalar { lower, upper, offset, multiplier, .. } = &support.structure {
            let mut ends = [None, None, None, None];
            for (value, end) in ends.iter_mut().zip([lower, upper, offset, multiplier]) {
                *value = end.as_ref().map(|e| self.expr(e)).transpose()?;
            }
            return self.constrain_scalars(&shapes.array, ends.each_ref().map(Option::as_ref), u);
        }
        let mut own = shapes.array.clone();
        own.push(shapes.free);
        let u = self.reshape_own(u, &own);
        let batch: Vec<Axis> = shapes.array.iter().map(|&n| self.axes.add(n)).collect();
        let u = AxisTable::own_to_axes(&u, &batch);
        let k = shapes.constrained[0];
        let (x, log_j) = match &support.structure {
            Structure::Scalar { .. } => unreachable!("handled above"),
            Structure::Simplex(_) => self.simplex(&u, k)?,
            Structure::Ordered(_) => self.ordered(&u, k)?,
            Structure::PositiveOrdered(_) => {
                let steps = self.unary(UnaryOp::Exp, &u);
                (self.running_sum(&steps), Some(self.reduce(Op::Sum, &u)))
            }
            Structure::UnitVector(_) => {
                let square = self.unary(UnaryOp::Square, &u);
                let total = self.reduce(Op::Sum, &square);
                let norm = self.unary(UnaryOp::Sqrt, &total);
                let minus_half = self.real(-0.5);
                let log_j = self.binary(BinaryOp::Mul, &minus_half, &total)?;
                (self.binary(BinaryOp::Div, &u, &norm)?, Some(log_j))
            }
            Structure::SumToZero(_) => (self.sum_to_zero(&u, k)?, None),
            Structure::CholeskyCorr(_) => self.cholesky_corr(&u, k)?,
            Structure::CorrMatrix(_) => {
                let (factor, log_j) = self.cholesky_corr(&u, k)?;
                let weights: Vec<f64> = (1..=k).map(|i| to_f64(k - i)).collect();
                self.gram_of_factor(&factor, log_j, &weights, 0.0)?
            }
            Structure::CholeskyCov(_) => self.cholesky_cov(&u, k)?,
            Structure::CovMatrix(_) => {
                let (factor, log_j) = self.cholesky_cov(&u, k)?;
                let weights: Vec<f64> = (0..k).map(|i| to_f64(k - i)).collect();
                self.gram_of_factor(&factor, log_j, &weights, to_f64(k) * std::f64::consts::LN_2)?
            }
        };
        let x = self.axes.axes_to_own(&mut self.b, &x, &batch);
        let log_j = log_j.map(|j| {
            let j = self.axes.axes_to_own(&mut self.b, &j, &batch);
            self.reduce(Op::Sum, &j)
        });
        Ok((x, log_j))
    }

    /// Bounded or affine numbers of the given shape; `ends` are lower, upper, offset, multiplier.
    pub(super) fn constrain_scalars(
        &mut self,
        shape: &[usize],
        ends: [Option<&Val>; 4],
        u: &Val,
    ) -> Lower<(Val, Option<Val>)> {
        let u = self.reshape_own(u, shape);
        let (x, log_j) = self.scalar(&u, ends)?;
        // A Jacobian that does not depend on the element still counts once for each.
        let log_j = match log_j {
            Some(j) if j.rank(&self.b) == 0 && u.rank(&self.b) > 0 => {
                let id = self.axes.spread(&mut self.b, &j, &j.axes, shape);
                Some(Val { id, axes: j.axes })
            }
            other => other,
        };
        let total = log_j.map(|j| self.reduce(Op::Sum, &j));
        Ok((x, total))
    }

    /// Numbers within `[lower, upper]`, or affine images; `ends` are lower, upper, offset, multiplier.
    fn scalar(&mut self, u: &Val, ends: [Option<&Val>; 4]) -> Lower<(Val, Option<Val>)> {
        let [lower, upper, offset, multiplier] = ends;
        match (lower, upper) {
            (None, None) => {
                let mut x = u.clone();
                let mut log_j = None;
                if let Some(m) = multiplier {
                    self.check_positive(m, "the multiplier")?;
                    x = self.binary(BinaryOp::Mul, m, &x)?;
                    log_j = Some(self.unary(UnaryOp::Log, m));
                }
                if let Some(o) = offset {
                    x = self.binary(BinaryOp::Add, o, &x)?;
                }
                Ok((x, log_j))
            }
            (Some(a), None) => {
                let e = self.unary(UnaryOp::Exp, u);
                Ok((self.binary(BinaryOp::Add, a, &e)?, Some(u.clone())))
            }
            (None, Some(c)) => {
                let e = self.unary(UnaryOp::Exp, u);
                Ok((self.binary(BinaryOp::Sub, c, &e)?, Some(u.clone())))
            }
            (Some(a), Some(c)) => {
                let width = self.binary(BinaryOp::Sub, c, a)?;
                self.check_room(&width, a, c)?;
                let s = self.unary(UnaryOp::InvLogit, u);
                let part = self.binary(BinaryOp::Mul, &width, &s)?;
                let x = self.binary(BinaryOp::Add, a, &part)?;
                let log_width = self.unary(UnaryOp::Log, &width);
                let slope = self.log_logistic_density(u)?;
                Ok((x, Some(self.binary(BinaryOp::Add, &log_width, &slope)?)))
            }
        }
    }

    /// Bounds that the data gives must leave the parameter room.
    fn check_room(&mut self, width: &Val, lower: &Val, upper: &Val) -> Lower<()> {
        let Some(numbers) = self.numbers(width.id) else { return Ok(()) };
        let bad = numbers.data.iter().position(|x| x.is_nan() || *x <= 0.0);
        let Some(at) = bad else { return Ok(()) };
        let mut end = |v: &Val| match self.element(v, width, at) {
            Some(x) => x.to_string(),
            None => "?".into(),
        };
        let (lower, upper) = (end(lower), end(upper));
        Err(self.error(
            Code::E0208,
            format!("no value is possible: the lower bound is {lower}, the upper bound is {upper}"),
            "with these bounds",
        ))
    }

    /// What the data gives must leave the parameter room.
    fn check_positive(&mut self, v: &Val, what: &str) -> Lower<()> {
        let bad = |t: Tensor| t.data.iter().copied().find(|x| x.is_nan() || *x <= 0.0);
        match self.numbers(v.id).and_then(bad) {
            None => Ok(()),
            Some(x) => Err(self.error(
                Code::E0208,
                format!("no value is possible here: {what} is {x}, and has to be positive"),
                "with these bounds",
            )),
        }
    }

    /// `log s(u) + log s(−u)` for the logistic function `s`.
    fn log_logistic_density(&mut self, u: &Val) -> Lower<Val> {
        let minus = self.unary(UnaryOp::Neg, u);
        let (p, q) = (self.unary(UnaryOp::Log1pExp, u), self.unary(UnaryOp::Log1pExp, &minus));
        let sum = self.binary(BinaryOp::Add, &p, &q)?;
        Ok(self.unary(UnaryOp::Neg, &sum))
    }

    fn running_sum(&mut self, v: &Val) -> Val {
        let op = Op::CumSum { axis: v.axes.len(), reverse: false };
        Val { id: self.b.add(op, [v.id].as_slice()), axes: v.axes.clone() }
    }

    /// Elements `lo..hi` of the last axis.
    pub(super) fn part(&mut self, v: &Val, lo: usize, hi: usize) -> Val {
        let last = self.b.ty(v.id).rank() - 1;
        Val { id: self.b.slice_axis(v.id, last, lo, hi), axes: v.axes.clone() }
    }

    fn ordered(&mut self, u: &Val, k: usize) -> Lower<(Val, Option<Val>)> {
        if k == 0 {
            return Ok((u.clone(), None));
        }
        let first = self.part(u, 0, 1);
        let rest = self.part(u, 1, k);
        let steps = self.unary(UnaryOp::Exp, &rest);
        let all = self.b.concat(&[first.id, steps.id], u.axes.len());
        let x = self.running_sum(&Val { id: all, axes: u.axes.clone() });
        Ok((x, Some(self.reduce(Op::Sum, &rest))))
    }

    /// Stick breaking: `z_k = s(u_k − log(K − k))`, all in logarithms.
    fn simplex(&mut self, u: &Val, k: usize) -> Lower<(Val, Option<Val>)> {
        let shift: Vec<f64> = (1..k).map(|i| to_f64(k - i).ln()).collect();
        let shift = Val::plain(self.constants(shift));
        let v = self.binary(BinaryOp::Sub, u, &shift)?;
        let minus = self.unary(UnaryOp::Neg, &v);
        let log_z = self.unary(UnaryOp::Log1pExp, &minus);
        let log_z = self.unary(UnaryOp::Neg, &log_z);
        let log_not_z = self.unary(UnaryOp::Log1pExp, &v);
        let log_not_z = self.unary(UnaryOp::Neg, &log_not_z);
        // log of what is left before each break, and after the last.
        let after = self.running_sum(&log_not_z);
        let mut zero_shape: Shape = u.axes.iter().map(|&a| self.axes.length(a)).collect();
        zero_shape.push(1);
        let zero = self.b.splat(0.0, &zero_shape);
        let axis = u.axes.len();
        let left = self.b.concat(&[zero, after.id], axis);
        let left = Val { id: left, axes: u.axes.clone() };
        let one = self.b.splat(0.0, &zero_shape);
        let log_part = self.b.concat(&[log_z.id, one], axis);
        let log_x =
            self.binary(BinaryOp::Add, &left, &Val { id: log_part, axes: u.axes.clone() })?;
        let x = self.unary(UnaryOp::Exp, &log_x);
        let before = self.part(&left, 0, k - 1);
        let slope = self.binary(BinaryOp::Add, &log_z, &log_not_z)?;
        let each = self.binary(BinaryOp::Add, &slope, &before)?;
        Ok((x, Some(self.reduce(Op::Sum, &each))))
    }

    /// Coordinates in an orthonormal basis, so `log |det J|` is 0.
    fn sum_to_zero(&mut self, u: &Val, k: usize) -> Lower<Val> {
        let basis = Val::plain(self.b.tensor(helmert(k)));
        self.apply(crate::check::builtins::Builtin::MatMul, &[u.clone(), basis])
    }

    /// Canonical partial correlations `z = tanh u`, row by row below the diagonal.
    fn cholesky_corr(&mut self, u: &Val, k: usize) -> Lower<(Val, Option<Val>)> {
        // log(1 − tanh² u) = 2 (log 2 − u − log(1 + e^(−2u))).
        let minus_two = self.real(-2.0);
        let double = self.binary(BinaryOp::Mul, &minus_two, u)?;
        let soft = self.unary(UnaryOp::Log1pExp, &double);
        let sum = self.binary(BinaryOp::Add, u, &soft)?;
        let ln2 = self.real(std::f64::consts::LN_2);
        let gap = self.binary(BinaryOp::Sub, &ln2, &sum)?;
        let two = self.real(2.0);
        let log_rest = self.binary(BinaryOp::Mul, &two, &gap)?;
        let z = self.unary(UnaryOp::Tanh, u);
        let below: Vec<usize> = (0..k).flat_map(|i| (0..i).map(move |j| i * k + j)).collect();
        let z = self.place(&z, below.clone(), k);
        let logs = self.place(&log_rest, below, k);
        // Sum of the logs of earlier columns in each row.
        let axis = logs.axes.len() + 1;
        let inclusive = self.b.add(Op::CumSum { axis, reverse: false }, [logs.id].as_slice());
        let inclusive = Val { id: inclusive, axes: logs.axes.clone() };
        let before = self.binary(BinaryOp::Sub, &inclusive, &logs)?;
        let half = self.real(0.5);
        let scale = self.binary(BinaryOp::Mul, &half, &before)?;
        let scale = self.unary(UnaryOp::Exp, &scale);
        let diagonal: Vec<f64> = (0..k * k).map(|i| f64::from(u8::from(i / k == i % k))).collect();
        let eye = Tensor::new(Type::real([k, k].as_slice()), diagonal);
        let eye = Val::plain(self.b.tensor(eye));
        let filled = self.binary(BinaryOp::Add, &z, &eye)?;
        let x = self.binary(BinaryOp::Mul, &filled, &scale)?;
        let tanh_part = self.reduce(Op::Sum, &log_rest);
        // Each element below the diagonal is z times the root of what earlier columns leave.
        let mask: Vec<f64> = (0..k * k).map(|i| f64::from(u8::from(i / k > i % k))).collect();
        let mask = Tensor::new(Type::real([k, k].as_slice()), mask);
        let mask = Val::plain(self.b.tensor(mask));
        let counted = self.binary(BinaryOp::Mul, &mask, &before)?;
        let total = self.reduce(Op::Sum, &counted);
        let scale_part = self.binary(BinaryOp::Mul, &half, &total)?;
        let log_j = self.binary(BinaryOp::Add, &tanh_part, &scale_part)?;
        Ok((x, Some(log_j)))
    }

    /// Lower triangle row by row, the diagonal through `exp`.
    fn cholesky_cov(&mut self, u: &Val, k: usize) -> Lower<(Val, Option<Val>)> {
        let place_of = |i: usize, j: usize| i * (i + 1) / 2 + j;
        let diagonal: Vec<usize> = (0..k).map(|i| place_of(i, i)).collect();
        let below: Vec<(usize, usize)> = (0..k).flat_map(|i| (0..i).map(move |j| (i, j))).collect();
        let axis = u.axes.len();
        let pick = |l: &mut Self, index: Vec<usize>| {
            let index = l.b.ints(index);
            Val { id: l.b.gather(u.id, axis, index), axes: u.axes.clone() }
        };
        let logs = pick(self, diagonal);
        let others = pick(self, below.iter().map(|&(i, j)| place_of(i, j)).collect());
        let positive = self.unary(UnaryOp::Exp, &logs);
        let d = self.place(&positive, (0..k).map(|i| i * (k + 1)).collect(), k);
        let o = self.place(&others, below.iter().map(|&(i, j)| i * k + j).collect(), k);
        let x = self.binary(BinaryOp::Add, &d, &o)?;
        Ok((x, Some(self.reduce(Op::Sum, &logs))))
    }

    /// `L Lᵀ`, with `constant + Σ weights_i log L_ii` added to the Jacobian.
    fn gram_of_factor(
        &mut self,
        factor: &Val,
        log_j: Option<Val>,
        weights: &[f64],
        constant: f64,
    ) -> Lower<(Val, Option<Val>)> {
        use crate::check::builtins::Builtin;
        let turned = self.apply(Builtin::Transpose, std::slice::from_ref(factor))?;
        let x = self.apply(Builtin::MatMul, &[factor.clone(), turned])?;
        let diagonal = self.apply(Builtin::Diagonal, std::slice::from_ref(factor))?;
        let logs = self.unary(UnaryOp::Log, &diagonal);
        let weights = Val::plain(self.constants(weights.to_vec()));
        let weighted = self.binary(BinaryOp::Mul, &weights, &logs)?;
        let total = self.reduce(Op::Sum, &weighted);
        let constant = self.real(constant);
        let extra = self.binary(BinaryOp::Add, &constant, &total)?;
        let log_j = match log_j {
            Some(j) => self.binary(BinaryOp::Add, &j, &extra)?,
            None => extra,
        };
        Ok((x, Some(log_j)))
    }

    /// Zeros of shape `[k, k]` with the vector `v` at the given flat positions.
    fn place(&mut self, v: &Val, positions: Vec<usize>, k: usize) -> Val {
        let axis = v.axes.len();
        let index = self.b.ints(positions);
        let id = self.b.add(Op::ScatterAdd { axis, size: k * k }, [v.id, index].as_slice());
        self.reshape_own(&Val { id, axes: v.axes.clone() }, &[k, k])
    }

    /// A vector of known numbers.
    pub(super) fn constants(&mut self, data: Vec<f64>) -> crate::ir::ValueId {
        self.b.tensor(Tensor::new(Type::real([data.len()].as_slice()), data))
    }
}

/// The name of the transform of bounded or affine numbers.
pub(super) fn scalar_transform(lower: bool, upper: bool, affine: bool) -> &'static str {
    match (lower, upper, affine) {
        (false, false, false) => "identity",
        (false, false, true) => "affine",
        (true, false, _) => "lower",
        (false, true, _) => "upper",
        (true, true, _) => "interval",
    }
}

/// Helmert's orthonormal basis of the vectors of length `k` that sum to zero, one a row.
pub(super) fn helmert(k: usize) -> Tensor {
    let mut basis = vec![0.0; k.saturating_sub(1) * k];
    for i in 1..k {
        let n = to_f64(i);
        let scale = 1.0 / (n * (n + 1.0)).sqrt();
        for j in 0..i {
            basis[(i - 1) * k + j] = scale;
        }
        basis[(i - 1) * k + i] = -n * scale;
    }
    Tensor::new(Type::real([k.saturating_sub(1), k].as_slice()), basis)
}

#[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
pub(super) fn to_f64(n: usize) -> f64 {
    n as f64
}
