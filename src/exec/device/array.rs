//! Numbers of many points on a dfdx device, `[n, lanes]`: an element a row, a point (lane) a column.
//!
//! Lanes are innermost, as in the fast executor, so that a movement of elements is dfdx's `gather` along
//! the first axis, and neighbouring threads of a GPU read neighbouring numbers. What is the same for all
//! points has one lane, and a scalar one row; both stand for as many as the other operand has.
//!
//! Invariant: an [`Array`] is contiguous. dfdx compiles its kernels for `concat`, `stack`, `to_dtype` and
//! for reshaping what is not contiguous at run time, from headers that only the machine it was built on
//! has; nothing here uses them.

use std::ops::{Add, Div, Mul, Neg, Sub};

use dfdx::prelude::{
    Axes2, Axis, BroadcastTo, ChooseFrom, Device, Dtype, GatherTo, HasShape, MaxTo, PermuteTo,
    ReshapeTo, SumTo, Tensor, TryEq, TryGt, TryLe, TryLt, TryNe, ZerosTensor,
};

use crate::exec::element::Element;

/// A number type of programs and of dfdx: `f32` or `f64`.
pub trait Number: Element + Dtype {}

impl<E: Element + Dtype> Number for E {}

/// Indices of rows.
pub(super) type Index<D> = Tensor<(usize,), usize, D>;
/// Truth values, `[n, lanes]`.
pub(super) type Mask<D> = Tensor<(usize, usize), bool, D>;
/// A stack of matrices.
pub(super) type Cube<E, D> = Tensor<(usize, usize, usize), E, D>;

/// `[n, lanes]`; see the module header.
#[derive(Clone)]
pub struct Array<E: Number, D: Device<E>>(pub(super) Tensor<(usize, usize), E, D>);

impl<E: Number, D: Device<E>> std::fmt::Debug for Array<E, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Array{:?}", self.shape())
    }
}

impl<E: Number, D: Device<E>> Array<E, D> {
    /// The numbers of a contiguous tensor.
    #[must_use]
    pub fn of(tensor: Tensor<(usize, usize), E, D>) -> Self {
        Array(tensor)
    }

    /// The numbers.
    #[must_use]
    pub fn tensor(&self) -> &Tensor<(usize, usize), E, D> {
        &self.0
    }

    /// Rows and lanes.
    pub(super) fn shape(&self) -> (usize, usize) {
        *self.0.shape()
    }

    /// Numbers that are the same for all points.
    pub(crate) fn uniform(dev: &D, numbers: &[f64]) -> Self {
        let n = numbers.len();
        Array(dev.tensor_from_vec(numbers.iter().map(|x| E::of(*x)).collect(), (n, 1)))
    }

    /// `value` everywhere.
    pub(super) fn filled(dev: &D, n: usize, value: f64) -> Self {
        Self::uniform(dev, &vec![value; n])
    }

    /// The numbers as a tensor of the given shape, spread as the module header says.
    fn spread(&self, shape: (usize, usize)) -> Tensor<(usize, usize), E, D> {
        let (n, lanes) = shape;
        let own = self.shape();
        let t = self.0.clone();
        match (own.0 == n, own.1 == lanes) {
            (true, true) => t,
            (true, false) => t.reshape_like(&(n,)).broadcast_like::<_, Axis<1>>(&shape),
            (false, true) => t.reshape_like(&(lanes,)).broadcast_like::<_, Axis<0>>(&shape),
            (false, false) => t.reshape_like(&()).broadcast_like::<_, Axes2<0, 1>>(&shape),
        }
    }

    /// The shape of an elementwise result.
    fn joint(&self, other: &Self) -> (usize, usize) {
        let (a, b) = (self.shape(), other.shape());
        (a.0.max(b.0), a.1.max(b.1))
    }

    /// Both operands in one shape.
    #[allow(clippy::type_complexity, reason = "a pair of tensors")]
    fn both(&self, other: &Self) -> (Tensor<(usize, usize), E, D>, Tensor<(usize, usize), E, D>) {
        let shape = self.joint(other);
        (self.spread(shape), other.spread(shape))
    }

    /// With every number in a place of its own.
    fn unshared(t: Tensor<(usize, usize), E, D>) -> Self {
        let zeros = t.device().zeros_like(t.shape());
        Array(t + zeros)
    }

    /// As many rows and lanes as that, each number in a place of its own.
    pub(super) fn to_shape(&self, shape: (usize, usize)) -> Self {
        if self.shape() == shape { self.clone() } else { Self::unshared(self.spread(shape)) }
    }

    /// The rows of these indices.
    pub(crate) fn rows(&self, index: &Index<D>) -> Self {
        Array(self.0.clone().gather(index.clone()))
    }

    /// Points as rows `[lanes, n]` instead, and back.
    pub(crate) fn transposed(t: Tensor<(usize, usize), E, D>) -> Self {
        Self::unshared(t.permute::<_, Axes2<1, 0>>())
    }

    /// The same numbers as `[a, b, lanes]`.
    pub(super) fn cube(&self, a: usize, b: usize) -> Cube<E, D> {
        let lanes = self.shape().1;
        self.0.clone().reshape_like(&(a, b, lanes))
    }

    /// The numbers of a contiguous `[a, b, lanes]`.
    pub(super) fn of_cube(cube: Cube<E, D>) -> Self {
        let (a, b, lanes) = *cube.shape();
        Array(cube.reshape_like(&(a * b, lanes)))
    }

    /// The sums of every `columns` rows.
    pub(crate) fn sum_groups(&self, columns: usize) -> Self {
        let rows = self.shape().0 / columns;
        Array(self.cube(rows, columns).sum::<_, Axis<1>>())
    }

    /// The maxima of every `columns` rows; NaN where one of them is.
    pub(crate) fn max_groups(&self, columns: usize) -> Self {
        let rows = self.shape().0 / columns;
        let found = Array(self.cube(rows, columns).max::<_, Axis<1>>());
        let is_nan = Self::truth(&self.is_nan()).sum_groups(columns);
        Self::choose(&is_nan.gt(0.0), &found.like(f64::NAN), &found)
    }

    /// `log Σ exp` of every `columns` rows.
    pub(super) fn log_sum_exp_groups(&self, columns: usize) -> Self {
        let most = self.max_groups(columns);
        // Zero times anything else is NaN.
        let finite = (&most * 0.0).eq(0.0);
        let shift = Self::choose(&finite, &most, &most.like(0.0));
        let rows = most.shape().0;
        let lanes = self.shape().1;
        let spread: Cube<E, D> =
            shift.0.clone().broadcast_like::<_, Axis<1>>(&(rows, columns, lanes));
        let scaled = Self::of_cube(self.cube(rows, columns) - spread).exp();
        Self::choose(&finite, &(&shift + &scaled.sum_groups(columns).ln()), &most)
    }

    /// The same number everywhere, in this shape.
    pub(crate) fn like(&self, value: f64) -> Self {
        // Not by arithmetic, for 0 × NaN.
        let none = self.0.device().zeros_like(&self.shape());
        Array(none + E::of(value))
    }

    /// 1 where it holds, else 0.
    pub(super) fn truth(mask: &Mask<D>) -> Self {
        let zeros = Array(Self::device_zeros(mask));
        let ones = &zeros + 1.0;
        Self::choose(mask, &ones, &zeros)
    }

    fn device_zeros(mask: &Mask<D>) -> Tensor<(usize, usize), E, D> {
        <D as ZerosTensor<E>>::zeros_like(mask.device(), mask.shape())
    }

    /// `a` where it holds, else `b`, all of one shape.
    pub(super) fn choose(mask: &Mask<D>, a: &Self, b: &Self) -> Self {
        Array(mask.clone().choose(a.0.clone(), b.0.clone()))
    }

    /// `yes` where the condition is not 0, else `no`.
    pub(crate) fn select(condition: &Self, yes: &Self, no: &Self) -> Self {
        let (a, b) = (yes.joint(no), condition.shape());
        let shape = (a.0.max(b.0), a.1.max(b.1));
        let mask = condition.spread(shape).ne(E::of(0.0));
        Array(mask.choose(yes.spread(shape), no.spread(shape)))
    }

    pub(super) fn lt(&self, x: f64) -> Mask<D> {
        self.0.lt(E::of(x))
    }

    /// 1 where finite.
    pub(crate) fn finite(&self) -> Self {
        // Zero times anything else is NaN.
        Self::truth(&(self * 0.0).eq(0.0))
    }

    /// 1 where less than `x`.
    pub(crate) fn below(&self, x: f64) -> Self {
        Self::truth(&self.lt(x))
    }

    pub(super) fn gt(&self, x: f64) -> Mask<D> {
        self.0.gt(E::of(x))
    }

    pub(super) fn eq(&self, x: f64) -> Mask<D> {
        self.0.eq(E::of(x))
    }

    pub(super) fn is_nan(&self) -> Mask<D> {
        self.0.ne(&self.0)
    }

    /// This where it is smaller than `x`, the other where not.
    pub(super) fn where_lt(&self, x: f64, yes: &Self, no: &Self) -> Self {
        Self::choose(&self.lt(x), yes, no)
    }

    /// 1 where the comparison of two arrays holds.
    pub(crate) fn compare(&self, how: Comparison, other: &Self) -> Self {
        let (a, b) = self.both(other);
        Self::truth(&match how {
            Comparison::Less => a.lt(&b),
            Comparison::LessOrEqual => a.le(&b),
            Comparison::Equal => a.eq(&b),
            Comparison::NotEqual => a.ne(&b),
        })
    }
}

/// How two numbers are compared.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
}

macro_rules! unary {
    ($($name:ident),*) => {
        impl<E: Number, D: Device<E>> Array<E, D> {
            $(pub(crate) fn $name(&self) -> Self {
                Array(self.0.clone().$name())
            })*
        }
    };
}

unary!(abs, square, sqrt, exp, ln, recip, sin, cos, tanh, sigmoid);

macro_rules! arithmetic {
    ($($trait:ident $method:ident $operator:tt),*) => {$(
        impl<E: Number, D: Device<E>> $trait<&Array<E, D>> for &Array<E, D> {
            type Output = Array<E, D>;
            fn $method(self, other: &Array<E, D>) -> Array<E, D> {
                let (a, b) = self.both(other);
                Array(a $operator b)
            }
        }
        impl<E: Number, D: Device<E>> $trait<Array<E, D>> for &Array<E, D> {
            type Output = Array<E, D>;
            fn $method(self, other: Array<E, D>) -> Array<E, D> {
                self $operator &other
            }
        }
        impl<E: Number, D: Device<E>> $trait<&Array<E, D>> for Array<E, D> {
            type Output = Array<E, D>;
            fn $method(self, other: &Array<E, D>) -> Array<E, D> {
                &self $operator other
            }
        }
        impl<E: Number, D: Device<E>> $trait<Array<E, D>> for Array<E, D> {
            type Output = Array<E, D>;
            fn $method(self, other: Array<E, D>) -> Array<E, D> {
                &self $operator &other
            }
        }
        impl<E: Number, D: Device<E>> $trait<f64> for &Array<E, D> {
            type Output = Array<E, D>;
            fn $method(self, other: f64) -> Array<E, D> {
                Array(self.0.clone() $operator E::of(other))
            }
        }
        impl<E: Number, D: Device<E>> $trait<f64> for Array<E, D> {
            type Output = Array<E, D>;
            fn $method(self, other: f64) -> Array<E, D> {
                &self $operator other
            }
        }
    )*};
}

arithmetic!(Add add +, Sub sub -, Mul mul *, Div div /);

impl<E: Number, D: Device<E>> Neg for &Array<E, D> {
    type Output = Array<E, D>;
    fn neg(self) -> Array<E, D> {
        Array(self.0.clone().negate())
    }
}

impl<E: Number, D: Device<E>> Neg for Array<E, D> {
    type Output = Array<E, D>;
    fn neg(self) -> Array<E, D> {
        -&self
    }
}
