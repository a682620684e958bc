//! Sums of squared residuals that are affine in few unknowns, without a loop over the rows.
//!
//! `Σ (c + A u)²` over `N` rows with constant `c` and `A: [N, K]` is `|R (u, 1)|²`, where `R` is the
//! triangular factor of `(A, c)`, `K + 1` rows [golub2013, sec. 5.3]. It is computed once, here, so that a
//! linear regression with normal errors takes a time that does not depend on how many rows it has. An
//! orthogonal transformation keeps lengths: the sum is as accurate as that of the residuals, which the
//! normal equations' would not be.
//!
//! Not in the pipeline: `subsample` needs to see the rows.

use std::collections::BTreeMap;

use crate::ir::{BinaryOp, Builder, Function, Op, Tensor, Type, UnaryOp, ValueId};

use super::emit::rebuild;

/// Most numbers in `(A, c)`.
const MOST_NUMBERS: usize = 1 << 24;
/// Most multiplications that the factor may take.
const MOST_WORK: usize = 1 << 28;
/// Operations between a square and what its residual is made of.
const DEEPEST: usize = 256;

/// `f` with such sums replaced, if there are any.
pub(super) fn run(f: &Function) -> Option<Function> {
    rebuild(f, &mut |b, inst, args| {
        let all = matches!(&inst.op, Op::Sum(axes) if axes.len() == b.ty(args[0]).rank());
        let sum = if all { sum_of_squares(b, args[0]) } else { None };
        sum.unwrap_or_else(|| b.add(inst.op.clone(), args))
    })
}

/// The sum of all elements of `squares`, if they are squares of such residuals.
fn sum_of_squares(b: &mut Builder, squares: ValueId) -> Option<ValueId> {
    let rows = b.ty(squares).len();
    let Op::Unary(UnaryOp::Square) = b.inst(squares).op else { return None };
    let (factors, residual) = factors(b, b.inst(squares).args[0]);
    let Affine { constant, terms } = Affine::of(b, residual, rows, DEEPEST)?;
    let k = terms.len();
    if k == 0 || rows < 2 * (k + 1) || rows * (k + 1) * (k + 1) > MOST_WORK {
        return None;
    }
    // The terms of a value are all of its elements, one after the other.
    let values: Vec<ValueId> = terms.keys().filter(|(_, i)| *i == 0).map(|(v, _)| *v).collect();
    let mut columns: Vec<Vec<f64>> = terms.into_values().collect();
    columns.push(constant.unwrap_or_else(|| vec![0.0; rows]));
    triangulate(&mut columns);
    if columns.iter().any(|c| c[..=k].iter().any(|x| !x.is_finite())) {
        return None;
    }
    let vector = |b: &mut Builder, value| {
        let n = b.ty(value).len();
        b.reshape(value, &[n])
    };
    let unknowns: Vec<ValueId> = values.into_iter().map(|value| vector(b, value)).collect();
    let unknowns = b.concat(&unknowns, 0);
    let matrix: Vec<f64> = (0..k).flat_map(|i| columns[..k].iter().map(move |c| c[i])).collect();
    let matrix = b.tensor(Tensor::new(Type::real([k, k].as_slice()), matrix));
    let offset = b.tensor(Tensor::new(Type::real([k].as_slice()), columns[k][..k].to_vec()));
    let column = b.reshape(unknowns, &[k, 1]);
    let product = b.matmul(matrix, column, false, false);
    let product = vector(b, product);
    let moved = b.plus(offset, product);
    let squared = b.unary(UnaryOp::Square, moved);
    let sum = b.sum_all(squared);
    let least = b.scalar(columns[k][k] * columns[k][k]);
    let sum = b.plus(least, sum);
    Some(factors.into_iter().fold(sum, |sum, factor| {
        let squared = b.unary(UnaryOp::Square, factor);
        b.times(squared, sum)
    }))
}

/// Replaces the columns of a matrix by those of its triangular factor, by Householder's reflections; what
/// is below the diagonal means nothing.
fn triangulate(columns: &mut [Vec<f64>]) {
    for k in 0..columns.len() {
        let (done, rest) = columns.split_at_mut(k + 1);
        let v = &mut done[k][k..];
        let length = dot(v, v).sqrt();
        let diagonal = if v[0] > 0.0 { -length } else { length };
        v[0] -= diagonal;
        let squared = dot(v, v);
        if squared > 0.0 {
            for column in rest {
                let x = &mut column[k..];
                let twice = 2.0 * dot(v, x) / squared;
                x.iter_mut().zip(&*v).for_each(|(x, v)| *x -= twice * v);
            }
        }
        v[0] = diagonal;
        v[1..].fill(0.0);
    }
}

/// In several sums, which are faster and err less than one.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 16];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for (a, b) in a.iter().zip(b) {
        sums = std::array::from_fn(|i| sums[i] + a[i] * b[i]);
    }
    sums.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

/// The unknown scalars that `value` is multiplied by, and what is left of it.
fn factors(b: &Builder, mut value: ValueId) -> (Vec<ValueId>, ValueId) {
    let mut factors = Vec::new();
    let unknown = |a: ValueId| b.ty(a).rank() == 0 && b.as_splat(a).is_none();
    // An unknown times constants is an unknown of its own.
    let varied = |a: ValueId| b.ty(a).rank() > 0 && constant(b, a).is_none();
    loop {
        let inst = b.inst(value);
        value = match (&inst.op, &inst.args[..]) {
            (Op::Binary(BinaryOp::Mul), &[s, x] | &[x, s]) if unknown(s) && varied(x) => {
                factors.push(s);
                x
            }
            (Op::Reshape(_) | Op::Unary(UnaryOp::Neg), &[x]) if varied(x) => x,
            _ => return (factors, value),
        };
    }
}

/// The elements of a constant.
fn constant(b: &Builder, value: ValueId) -> Option<Vec<f64>> {
    match (&b.inst(value).op, b.as_splat(value)) {
        (Op::Const(t), _) => Some(t.data.to_vec()),
        (_, Some(x)) => Some(vec![x; b.ty(value).len()]),
        _ => None,
    }
}

/// `c + Σ u a`: a vector `c` and, for each element `u` of a value, a vector `a`. `None` is a vector of zeros.
#[derive(Default)]
struct Affine {
    constant: Option<Vec<f64>>,
    terms: BTreeMap<(ValueId, usize), Vec<f64>>,
}

impl Affine {
    /// What `value` is, its elements in row-major order; a scalar stands for `rows` equal ones.
    fn of(b: &Builder, value: ValueId, rows: usize, depth: usize) -> Option<Affine> {
        let spread = |x: Vec<f64>| if x.len() == rows { x } else { vec![x[0]; rows] };
        if let Some(c) = constant(b, value) {
            return Some(Affine { constant: Some(spread(c)), ..Affine::default() });
        }
        let one = |value, column| Affine {
            terms: BTreeMap::from([((value, 0), column)]),
            ..Affine::default()
        };
        if b.ty(value).rank() == 0 {
            return Some(one(value, vec![1.0; rows]));
        }
        let inst = b.inst(value);
        let depth = depth.checked_sub(1)?;
        match (&inst.op, &inst.args[..]) {
            (Op::Broadcast { axes, .. }, &[a]) if axes.is_empty() => Affine::of(b, a, rows, depth),
            (Op::Reshape(_), &[a]) => Affine::of(b, a, rows, depth),
            (Op::Unary(UnaryOp::Neg), &[a]) => Some(Affine::of(b, a, rows, depth)?.map(|_, x| -x)),
            (Op::Binary(BinaryOp::Add), &[x, y]) => {
                Affine::of(b, x, rows, depth)?.plus(Affine::of(b, y, rows, depth)?, rows)
            }
            (Op::Binary(BinaryOp::Sub), &[x, y]) => {
                let y = Affine::of(b, y, rows, depth)?.map(|_, y| -y);
                Affine::of(b, x, rows, depth)?.plus(y, rows)
            }
            (Op::Binary(BinaryOp::Mul), &[x, y]) => {
                let (c, x) = match (constant(b, x), constant(b, y)) {
                    (Some(c), _) => (c, y),
                    (None, Some(c)) => (c, x),
                    (None, None) => return None,
                };
                let c = spread(c);
                Some(Affine::of(b, x, rows, depth)?.map(|i, x| c[i] * x))
            }
            (Op::Binary(BinaryOp::Div), &[x, y]) => {
                let c = spread(constant(b, y)?);
                Some(Affine::of(b, x, rows, depth)?.map(|i, x| x / c[i]))
            }
            (Op::MatMul { ta, .. }, &[a, x]) => {
                // A constant matrix times one column.
                let Op::Const(matrix) = &b.inst(a).op else { return None };
                let k = b.ty(x).len();
                if matrix.ty.len() != rows * k || rows * k > MOST_NUMBERS {
                    return None;
                }
                let (by_row, by_term) = if *ta { (1, rows) } else { (k, 1) };
                let column = |j| (0..rows).map(|i| matrix.data[i * by_row + j * by_term]).collect();
                let terms = (0..k).map(|j| ((x, j), column(j))).collect();
                Some(Affine { constant: None, terms })
            }
            _ => None,
        }
    }

    fn map(mut self, f: impl Fn(usize, f64) -> f64) -> Affine {
        for column in self.constant.iter_mut().chain(self.terms.values_mut()) {
            column.iter_mut().enumerate().for_each(|(i, x)| *x = f(i, *x));
        }
        self
    }

    /// The sum; `None` where it would be too large.
    fn plus(mut self, other: Affine, rows: usize) -> Option<Affine> {
        let add = |to: &mut Vec<f64>, x: &[f64]| to.iter_mut().zip(x).for_each(|(to, x)| *to += x);
        if let Some(x) = other.constant {
            match &mut self.constant {
                Some(to) => add(to, &x),
                none => *none = Some(x),
            }
        }
        for (unknown, column) in other.terms {
            match self.terms.get_mut(&unknown) {
                Some(to) => add(to, &column),
                None => _ = self.terms.insert(unknown, column),
            }
        }
        (rows * (self.terms.len() + 1) <= MOST_NUMBERS).then_some(self)
    }
}
