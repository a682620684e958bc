//! Operations on dfdx's tape that dfdx lacks, or has only as many small ones, each costing more in
//! bookkeeping than in arithmetic: linear combinations, residual softplus blocks, triangular solves.
//!
//! Every one has its adjoint beside it; the tests of this file and of the chains compare them with
//! differences.

use std::rc::Rc;

use dfdx::prelude::{HasShape, Merge, PutTape, SplitTape, Tape};
use pulp::{Arch, Simd, WithSimd};

use super::tape::{Element, Matrix, SharedTape, Vector, contents, tensor};

/// A tracked matrix `[K, W]` whose rows are coefficients of [`combine`]: `W` is 1 for a scalar, or the
/// number of columns of what it multiplies.
pub struct Rows<E: Element> {
    tensor: Matrix<E>,
    values: Rc<Vec<E>>,
}

impl<E: Element> std::fmt::Debug for Rows<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rows({:?})", self.tensor.shape())
    }
}

impl<E: Element> Rows<E> {
    /// The rows of a matrix.
    #[must_use]
    pub fn new(tensor: Matrix<E>) -> Self {
        let values = Rc::new(contents(&tensor));
        Rows { tensor, values }
    }

    fn row(&self, k: usize) -> std::ops::Range<usize> {
        let (_, w) = *self.tensor.shape();
        k * w..(k + 1) * w
    }
}

/// A term of [`combine`].
pub enum Term<'a, E: Element> {
    /// A matrix as it is.
    Plain(&'a Matrix<E>),
    /// A matrix times a row of coefficients.
    Scaled(&'a Rows<E>, usize, &'a Matrix<E>),
    /// A row of coefficients, in every row.
    Offset(&'a Rows<E>, usize),
}

impl<E: Element> std::fmt::Debug for Term<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Term::Plain(_) => "Plain",
            Term::Scaled(..) => "Scaled",
            Term::Offset(..) => "Offset",
        })
    }
}

/// The sum of `terms`, `[N, D]`, as one operation.
#[must_use]
pub fn combine<E: Element>((n, d): (usize, usize), terms: &[Term<'_, E>]) -> Matrix<E> {
    let mut out = vec![E::zero(); n * d];
    let mut tape = SharedTape::off();
    let mut recorded = Vec::with_capacity(terms.len());
    for term in terms {
        let (rows, matrix) = match *term {
            Term::Plain(matrix) => (None, Some(matrix)),
            Term::Scaled(rows, k, matrix) => (Some((rows, rows.row(k))), Some(matrix)),
            Term::Offset(rows, k) => (Some((rows, rows.row(k))), None),
        };
        let values = matrix.map(contents);
        let factor = rows.as_ref().map(|(rows, row)| &rows.values[row.clone()]);
        add_product(&mut out, d, factor, values.as_deref());
        let matrix_ghost = matrix.and_then(|m| {
            let (m, own) = m.clone().split_tape();
            let tracked = own.is_recording();
            tape = std::mem::take(&mut tape).merge(own);
            tracked.then(|| m.ghost())
        });
        let rows_ghost = rows.as_ref().and_then(|(rows, _)| {
            let (t, own) = rows.tensor.clone().split_tape();
            let tracked = own.is_recording();
            tape = std::mem::take(&mut tape).merge(own);
            tracked.then(|| t.ghost())
        });
        let kept = rows_ghost.is_some().then_some(values).flatten();
        let rows = rows.map(|(rows, row)| (Rc::clone(&rows.values), row));
        recorded.push((matrix_ghost, rows_ghost, rows, kept));
    }
    let out = tensor(&out, (n, d));
    let out_ghost = out.ghost();
    tape.add_backward_op(move |grads| {
        // The cotangent is moved out for a while so that other buffers can be borrowed.
        let up = std::mem::take(&mut **grads.get_or_alloc_mut(&out_ghost)?);
        for (matrix_ghost, rows_ghost, rows, values) in &recorded {
            if let Some(ghost) = matrix_ghost {
                let factor = rows.as_ref().map(|(values, row)| &values[row.clone()]);
                let down: &mut [E] = grads.get_or_alloc_mut(ghost)?;
                add_product(down, d, factor, Some(&up));
            }
            if let (Some(ghost), Some((_, row))) = (rows_ghost, rows) {
                let down: &mut [E] = &mut grads.get_or_alloc_mut(ghost)?[row.clone()];
                add_columns(down, d, &up, values.as_deref());
            }
        }
        **grads.get_or_alloc_mut(&out_ghost)? = up;
        Ok(())
    });
    out.put_tape(tape)
}

/// `out[n, :] += factor ∘ x[n, :]`; a missing factor or matrix is all ones, a factor of length 1 a scalar.
fn add_product<E: Element>(out: &mut [E], d: usize, factor: Option<&[E]>, x: Option<&[E]>) {
    match (factor, x) {
        (None, None) => out.iter_mut().for_each(|o| *o += E::one()),
        (None, Some(x)) => out.iter_mut().zip(x).for_each(|(o, x)| *o += *x),
        (Some(&[c]), None) => out.iter_mut().for_each(|o| *o += c),
        (Some(&[c]), Some(x)) => out.iter_mut().zip(x).for_each(|(o, x)| *o += c * *x),
        (Some(c), None) => {
            for out in out.chunks_exact_mut(d) {
                out.iter_mut().zip(c).for_each(|(o, c)| *o += *c);
            }
        }
        (Some(c), Some(x)) => {
            for (out, x) in out.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
                out.iter_mut().zip(c).zip(x).for_each(|((o, c), x)| *o += *c * *x);
            }
        }
    }
}

/// The adjoint in the factor: `out[:] += Σ_n up[n, :] ∘ x[n, :]`, summed over columns too for a scalar.
fn add_columns<E: Element>(out: &mut [E], d: usize, up: &[E], x: Option<&[E]>) {
    if let [out] = out {
        *out += match x {
            Some(x) => up.iter().zip(x).map(|(u, x)| *u * *x).sum::<E>(),
            None => up.iter().copied().sum::<E>(),
        };
        return;
    }
    for (i, up) in up.chunks_exact(d).enumerate() {
        match x {
            Some(x) => {
                let x = &x[i * d..(i + 1) * d];
                out.iter_mut().zip(up).zip(x).for_each(|((o, u), x)| *o += *u * *x);
            }
            None => out.iter_mut().zip(up).for_each(|(o, u)| *o += *u),
        }
    }
}

/// `h + softplus(y + bias)`, `softplus(x) = log(1 + exp(x))`, for `h, y: [N, D]` and `bias: [D]`.
#[must_use]
pub fn residual_softplus<E: Element>(h: Matrix<E>, y: Matrix<E>, bias: Vector<E>) -> Matrix<E> {
    let (n, d) = *h.shape();
    let (mut value, mut slope) = (contents(&h), contents(&y));
    let mut shift = vec![E::zero(); d];
    bias.copy_into(&mut shift);
    let simd = Arch::new();
    for (value, slope) in value.chunks_exact_mut(d).zip(slope.chunks_exact_mut(d)) {
        simd.dispatch(AddSoftplus { value, slope, shift: &shift });
    }
    let ((h, tape), (y, of_y), (bias, of_bias)) =
        (h.split_tape(), y.split_tape(), bias.split_tape());
    let mut tape = tape.merge(of_y).merge(of_bias);
    let out = tensor(&value, (n, d));
    let (h_ghost, y_ghost, bias_ghost) = (h.ghost(), y.ghost(), bias.ghost());
    let out_ghost = out.ghost();
    tape.add_backward_op(move |grads| {
        let up = std::mem::take(&mut **grads.get_or_alloc_mut(&out_ghost)?);
        let mut inner = slope;
        inner.iter_mut().zip(&up).for_each(|(s, u)| *s *= *u);
        add_product(grads.get_or_alloc_mut(&h_ghost)?, d, None, Some(&up));
        add_product(grads.get_or_alloc_mut(&y_ghost)?, d, None, Some(&inner));
        add_columns(grads.get_or_alloc_mut(&bias_ghost)?, d, &inner, None);
        **grads.get_or_alloc_mut(&out_ghost)? = up;
        Ok(())
    });
    out.put_tape(tape)
}

/// `value += softplus(slope + shift)`, and the derivative of that into `slope`.
struct AddSoftplus<'a, E> {
    value: &'a mut [E],
    slope: &'a mut [E],
    shift: &'a [E],
}

impl<E: Element> WithSimd for AddSoftplus<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for ((value, slope), shift) in self.value.iter_mut().zip(self.slope).zip(self.shift) {
            let x = *slope + *shift;
            *value += x.fast_log1p_exp();
            *slope = x.fast_inv_logit();
        }
    }
}

/// `X` with `X (I + B) = Y` for `Y: [N, D]` and `B: [D, D]`, of which only what is below the diagonal
/// is read.
///
/// The adjoint of a solve is a solve with the transpose [giles2008, sec. 2.3].
#[must_use]
pub fn solve_unit_lower<E: Element>(y: Matrix<E>, b: Matrix<E>) -> Matrix<E> {
    let (n, d) = *y.shape();
    let mut x = contents(&y);
    let below = contents(&b);
    for x in x.chunks_exact_mut(d) {
        // Column j is that of Y less what the later columns of X bring in.
        for i in (0..d).rev() {
            let done = x[i];
            for (x, b) in x[..i].iter_mut().zip(&below[i * d..]) {
                *x -= done * *b;
            }
        }
    }
    let ((y, tape), (b, of_b)) = (y.split_tape(), b.split_tape());
    let mut tape = tape.merge(of_b);
    let out = tensor(&x, (n, d));
    let (y_ghost, b_ghost, out_ghost) = (y.ghost(), b.ghost(), out.ghost());
    tape.add_backward_op(move |grads| {
        let up = std::mem::take(&mut **grads.get_or_alloc_mut(&out_ghost)?);
        let mut v = up.clone();
        for v in v.chunks_exact_mut(d) {
            for i in 0..d {
                let lost = v[..i].iter().zip(&below[i * d..]).map(|(v, b)| *v * *b).sum::<E>();
                v[i] -= lost;
            }
        }
        add_product(grads.get_or_alloc_mut(&y_ghost)?, d, None, Some(&v));
        let down: &mut [E] = grads.get_or_alloc_mut(&b_ghost)?;
        for (x, v) in x.chunks_exact(d).zip(v.chunks_exact(d)) {
            for i in 0..d {
                let x = x[i];
                down[i * d..i * d + i].iter_mut().zip(v).for_each(|(b, v)| *b -= x * *v);
            }
        }
        **grads.get_or_alloc_mut(&out_ghost)? = up;
        Ok(())
    });
    out.put_tape(tape)
}

/// `x: [steps·N, W]` with a row of `table: [T, V]` appended to each of its rows: row `first` to the first
/// `N`, the next to the next. (dfdx's slices and broadcasts of one tensor lose gradients side by side.)
///
/// # Panics
/// When the table has fewer than `first + steps` rows.
#[must_use]
pub fn append_rows<E: Element>(
    x: Matrix<E>,
    table: Matrix<E>,
    first: usize,
    steps: usize,
) -> Matrix<E> {
    let ((rows, w), (_, v)) = (*x.shape(), *table.shape());
    let (of_x, of_table) = (contents(&x), contents(&table));
    // Which part of the table goes to which row.
    let part = move |row: usize| {
        let k = first + row * steps / rows;
        k * v..(k + 1) * v
    };
    let mut out = Vec::with_capacity(rows * (w + v));
    for (i, x) in of_x.chunks_exact(w).enumerate() {
        out.extend_from_slice(x);
        out.extend_from_slice(&of_table[part(i)]);
    }
    let ((x, tape), (table, other)) = (x.split_tape(), table.split_tape());
    let mut tape = tape.merge(other);
    let out = tensor(&out, (rows, w + v));
    let (x_ghost, table_ghost, out_ghost) = (x.ghost(), table.ghost(), out.ghost());
    tape.add_backward_op(move |grads| {
        let up = std::mem::take(&mut **grads.get_or_alloc_mut(&out_ghost)?);
        let down: &mut [E] = grads.get_or_alloc_mut(&x_ghost)?;
        for (down, up) in down.chunks_exact_mut(w).zip(up.chunks_exact(w + v)) {
            down.iter_mut().zip(up).for_each(|(d, u)| *d += *u);
        }
        let down: &mut [E] = grads.get_or_alloc_mut(&table_ghost)?;
        for (i, up) in up.chunks_exact(w + v).enumerate() {
            down[part(i)].iter_mut().zip(&up[w..]).for_each(|(d, u)| *d += *u);
        }
        **grads.get_or_alloc_mut(&out_ghost)? = up;
        Ok(())
    });
    out.put_tape(tape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::network::normals;
    use crate::inference::optimizer::{Handle, Parameters};
    use crate::inference::tape::backward;
    use dfdx::prelude::{Rank0, SumTo};

    /// Compares the gradient of a sum of squares with differences, for every parameter.
    fn check(
        handles: &[Handle],
        p: &mut Parameters<f64>,
        f: impl Fn(&Parameters<f64>, &SharedTape<f64>) -> Matrix<f64>,
    ) {
        let loss =
            |p: &Parameters<f64>, tape: &SharedTape<f64>| f(p, tape).square().sum::<Rank0, _>();
        let mut grads = backward(loss(p, &SharedTape::recording())).unwrap();
        for &h in handles {
            let (gradient, values) = (p.gradient(h, &mut grads), p.values(h));
            for i in 0..values.len() {
                let mut at = |delta: f64| {
                    let mut moved = values.clone();
                    moved[i] += delta;
                    p.set(h, &moved);
                    loss(p, &SharedTape::off()).as_vec()[0]
                };
                let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
                p.set(h, &values);
                let close = (gradient[i] - difference).abs() < 1e-6 * (1.0 + difference.abs());
                assert!(close, "{h:?}[{i}]: {} {difference}", gradient[i]);
            }
        }
    }

    #[test]
    fn gradients_agree_with_differences() {
        let mut rng = crate::random::stream(2, "fused test");
        let mut p = Parameters::<f64>::default();
        let mut add = |n| p.add("x", 0, normals(n, 1.0, &mut rng));
        let (a, b, wide, scalar, square) = (add(12), add(12), add(8), add(3), add(16));
        let small = [a, b, wide, scalar, square];
        check(&small[..4], &mut p, |p, tape| {
            let (a, b) = (p.matrix(a, (3, 4), tape), p.matrix(b, (3, 4), tape));
            let (wide, scalar) = (
                Rows::new(p.matrix(wide, (2, 4), tape)),
                Rows::new(p.matrix(scalar, (3, 1), tape)),
            );
            // One matrix twice, both kinds of coefficients, an offset.
            combine(
                (3, 4),
                &[
                    Term::Plain(&a),
                    Term::Scaled(&wide, 1, &b),
                    Term::Scaled(&scalar, 2, &a),
                    Term::Offset(&wide, 0),
                    Term::Offset(&scalar, 1),
                ],
            )
        });
        check(&small[..3], &mut p, |p, tape| {
            let (a, b) = (p.matrix(a, (6, 2), tape), p.matrix(b, (6, 2), tape));
            let bias = p.matrix(wide, (4, 2), tape).sum::<(usize,), dfdx::prelude::Axis<0>>();
            residual_softplus(a, b, bias)
        });
        check(&[a, wide], &mut p, |p, tape| {
            let table = p.matrix(wide, (4, 2), tape);
            let x = append_rows(p.matrix(a, (6, 2), tape), table.clone(), 1, 3);
            let one = append_rows(x, table, 2, 1);
            combine((6, 6), &[Term::Plain(&one), Term::Plain(&one)])
        });
        check(&[a, square], &mut p, |p, tape| {
            solve_unit_lower(p.matrix(a, (3, 4), tape), p.matrix(square, (4, 4), tape))
        });
    }

    #[test]
    fn values_are_right() {
        let m = |v: &[f64], shape| tensor(v, shape).put_tape(SharedTape::off());
        // (X (I + B))[0, :] by hand.
        let b = [9.0, 9.0, 9.0, 2.0, 9.0, 9.0, 3.0, 4.0, 9.0];
        let x = solve_unit_lower(m(&[17.0, 14.0, 3.0], (1, 3)), m(&b, (3, 3))).as_vec();
        assert_eq!(x, [4.0, 2.0, 3.0]);
        let h = [1.0, 2.0, 0.0, 0.5];
        let y = [-1.0, 799.0, -801.0, 1.0];
        let bias = tensor(&[1.0], (1,)).put_tape(SharedTape::off());
        let got = residual_softplus(m(&h, (4, 1)), m(&y, (4, 1)), bias).as_vec();
        let want = [1.0 + std::f64::consts::LN_2, 802.0, 0.0, 0.5 + 2.126_928_011_042_972_5];
        for (g, w) in got.iter().zip(want) {
            assert!((g - w).abs() <= 1e-14 * w, "{g} {w}");
        }
    }
}
