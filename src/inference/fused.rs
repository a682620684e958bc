//! Operations on [`Node`]s: linear combinations, products, residual softplus blocks, triangular solves.
//!
//! Every one has its adjoint beside it; the tests of this file and of the chains compare them with
//! differences.

use std::ops::Range;

use faer::{Accum, MatMut, MatRef};
use smallvec::SmallVec;

use super::node::{Node, Operand};
use super::tape::{Element, Pooled};
use super::vector::{
    Product, add_columns, add_half_squares, add_softplus, scale, set_products, sum_of_gaps,
};

/// A term of [`combine`]. Coefficients are a row of a matrix, of one number or as many as there are
/// columns.
#[derive(Debug)]
pub enum Term<'a, Node> {
    /// A matrix as it is.
    Plain(&'a Node),
    /// A matrix times a row of coefficients.
    Scaled(&'a Node, usize, &'a Node),
    /// A row of coefficients, in every row.
    Offset(&'a Node, usize),
    /// Two matrices, element by element.
    Product(&'a Node, &'a Node),
}

/// A term as its derivatives need it.
struct Part<E: Element> {
    factor: Option<(Operand<E>, Range<usize>)>,
    matrix: Option<Operand<E>>,
}

impl<E: Element> Part<E> {
    fn factor(&self) -> Option<&[E]> {
        self.factor.as_ref().map(|(rows, row)| &rows.numbers()[row.clone()])
    }

    fn matrix(&self) -> Option<&[E]> {
        self.matrix.as_ref().map(Operand::numbers)
    }

    fn product(&self) -> Product<'_, E> {
        (self.factor(), self.matrix())
    }
}

/// The sum of `terms`, `[N, D]`.
#[must_use]
pub fn combine<E: Element>(shape: (usize, usize), terms: &[Term<'_, Node<E>>]) -> Node<E> {
    let mut operands: SmallVec<[&Node<E>; 8]> = SmallVec::new();
    let mut parts: SmallVec<[Part<E>; 4]> = SmallVec::new();
    for term in terms {
        let row = |rows: &Node<E>, k: usize| k * rows.shape().1..(k + 1) * rows.shape().1;
        let (factor, matrix) = match *term {
            Term::Plain(matrix) => (None, Some(matrix)),
            Term::Scaled(rows, k, matrix) => (Some((rows, row(rows, k))), Some(matrix)),
            Term::Offset(rows, k) => (Some((rows, row(rows, k))), None),
            Term::Product(a, b) => (Some((a, 0..a.numbers().len())), Some(b)),
        };
        operands.extend(matrix.into_iter().chain(factor.as_ref().map(|(rows, _)| *rows)));
        let factor = factor.map(|(rows, row)| (rows.operand(), row));
        parts.push(Part { factor, matrix: matrix.map(Node::operand) });
    }
    let mut out = Pooled::new(shape.0 * shape.1);
    let products: SmallVec<[Product<'_, E>; 4]> = parts.iter().map(Part::product).collect();
    set_products(&mut out, &products);
    drop(products);
    let out = Node::computed(out, shape, operands);
    // One that gets the gradient as it is can have the buffer.
    let plain = parts.iter().position(|part| part.factor.is_none()).map(|i| parts.remove(i));
    out.record(move |_, up| {
        for part in &parts {
            if let Some(matrix) = &part.matrix {
                matrix.receive_product((part.factor(), Some(&up)));
            }
            if let Some((rows, row)) = &part.factor {
                rows.receive(|down| add_columns(&mut down[row.clone()], &up, part.matrix()));
            }
        }
        if let Some(matrix) = plain.and_then(|part| part.matrix) {
            matrix.give(up);
        }
        Ok(())
    });
    out
}

/// Whether the second matrix of a [`product`] is transposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Second {
    /// As it is.
    Plain,
    /// Transposed.
    Transposed,
}

impl Second {
    fn turn<E>(self, b: MatRef<'_, E>) -> MatRef<'_, E> {
        match self {
            Second::Plain => b,
            Second::Transposed => b.transpose(),
        }
    }
}

fn view<E>(x: &[E], shape: (usize, usize)) -> MatRef<'_, E> {
    MatRef::from_row_major_slice(x, shape.0, shape.1)
}

fn view_mut<E>(x: &mut [E], shape: (usize, usize)) -> MatMut<'_, E> {
    MatMut::from_row_major_slice_mut(x, shape.0, shape.1)
}

/// `A B`, or `A Bᵀ`.
#[must_use]
pub fn product<E: Element>(a: &Node<E>, b: &Node<E>, second: Second) -> Node<E> {
    let (of_a, of_b) = (a.shape(), b.shape());
    let matrix = second.turn(view(b.numbers(), of_b));
    let shape = (of_a.0, matrix.ncols());
    let mut out = Pooled::new(shape.0 * shape.1);
    E::product(view_mut(&mut out, shape), Accum::Replace, view(a.numbers(), of_a), matrix);
    let out = Node::computed(out, shape, [a, b]);
    let (a, b) = (a.operand(), b.operand());
    out.record(move |_, up| {
        let up = view(&up, shape);
        a.receive(|down| {
            let b = second.turn(view(b.numbers(), of_b));
            E::product(view_mut(down, of_a), Accum::Add, up, b.transpose());
        });
        b.receive(|down| {
            let (down, a) = (view_mut(down, of_b), view(a.numbers(), of_a));
            match second {
                Second::Plain => E::product(down, Accum::Add, a.transpose(), up),
                Second::Transposed => E::product(down, Accum::Add, up.transpose(), a),
            }
        });
        Ok(())
    });
    out
}

/// `h + softplus(h W + bias)`, `softplus(x) = log(1 + exp(x))`, for `h: [N, D]`, `W: [D, D]` and
/// `bias: [1, D]`.
#[must_use]
pub fn residual_softplus<E: Element>(h: &Node<E>, weight: &Node<E>, bias: &Node<E>) -> Node<E> {
    let shape @ (n, d) = h.shape();
    let (mut value, mut slope) = (Pooled::new(n * d), Pooled::new(n * d));
    let of_weight = view(weight.numbers(), (d, d));
    // Added to the biases, so that what is left is one loop without rows.
    set_products(&mut slope, &[(Some(bias.numbers()), None)]);
    E::product(view_mut(&mut slope, shape), Accum::Add, view(h.numbers(), shape), of_weight);
    add_softplus(&mut value, h.numbers(), &mut slope);
    let out = Node::computed(value, shape, [h, weight, bias]);
    let (h, weight, bias) = (h.operand(), weight.operand(), bias.operand());
    out.record(move |_, up| {
        scale(&mut slope, &up);
        let inner = view(&slope, shape);
        h.give(up);
        h.receive(|down| {
            let weight = view(weight.numbers(), (d, d));
            E::product(view_mut(down, shape), Accum::Add, inner, weight.transpose());
        });
        weight.receive(|down| {
            let h = view(h.numbers(), shape);
            E::product(view_mut(down, (d, d)), Accum::Add, h.transpose(), inner);
        });
        bias.receive(|down| add_columns(down, &slope, None));
        Ok(())
    });
    out
}

/// `½ |row|²` of every row: `[N, D]` to `[N, 1]`.
#[must_use]
pub fn half_squares<E: Element>(x: &Node<E>) -> Node<E> {
    let (n, d) = x.shape();
    let mut out = Pooled::zeros(n);
    add_half_squares(&mut out, d, x.numbers());
    let out = Node::computed(out, (n, 1), [x]);
    let x = x.operand();
    out.record(move |_, up| {
        x.receive(|down| {
            let rows = down.chunks_exact_mut(d).zip(x.numbers().chunks_exact(d));
            for ((down, x), up) in rows.zip(&*up) {
                down.iter_mut().zip(x).for_each(|(down, x)| *down += *up * *x);
            }
        });
        Ok(())
    });
    out
}

/// Every number brought to the nearest in `[−limit, limit]`; NaN stays.
#[must_use]
pub fn bounded<E: Element>(x: &Node<E>, limit: E) -> Node<E> {
    if !x.numbers().iter().any(|x| x.abs() > limit) {
        return x.clone();
    }
    let mut out = Pooled::of(x.numbers());
    out.iter_mut().filter(|x| x.abs() > limit).for_each(|x| *x = limit.copysign(*x));
    let out = Node::computed(out, x.shape(), [x]);
    let x = x.operand();
    out.record(move |_, mut up| {
        let beyond = up.iter_mut().zip(x.numbers()).filter(|(_, x)| x.abs() > limit);
        beyond.for_each(|(up, _)| *up = E::zero());
        x.give(up);
        Ok(())
    });
    out
}

/// `Σ a ∘ b` over all numbers, `[1, 1]`.
#[must_use]
pub fn inner<E: Element>(a: &Node<E>, b: &Node<E>) -> Node<E> {
    let sum = a.numbers().iter().zip(b.numbers()).map(|(a, b)| *a * *b).sum();
    let out = Node::computed(Pooled::of(&[sum]), (1, 1), [a, b]);
    let (a, b) = (a.operand(), b.operand());
    out.record(move |_, up| {
        a.receive_product((Some(&up), Some(b.numbers())));
        b.receive_product((Some(&up), Some(a.numbers())));
        Ok(())
    });
    out
}

/// `Σ f ∘ (2 t − f)` over all numbers, `[1, 1]`: as a function of `f` greatest at `f = t`.
#[must_use]
pub fn gap<E: Element>(f: &Node<E>, t: &Node<E>) -> Node<E> {
    let sum = sum_of_gaps(f.numbers(), t.numbers());
    let out = Node::computed(Pooled::of(&[sum]), (1, 1), [f, t]);
    let (f, t) = (f.operand(), t.operand());
    out.record(move |_, up| {
        let up = [up[0] + up[0]];
        t.receive_product((Some(&up), Some(f.numbers())));
        f.receive_product((Some(&up), Some(t.numbers())));
        f.receive_product((Some(&[-up[0]]), Some(f.numbers())));
        Ok(())
    });
    out
}

/// What [`finite_gaps`] finds.
#[derive(Debug)]
pub struct Gaps<Node> {
    /// `f` off the tape, with zeros in the rows that are left out.
    pub kept: Node,
    /// `Σ f ∘ (2 t − f)` over the others.
    pub sum: f64,
    /// How many those are.
    pub rows: usize,
}

/// The [`gap`] of `f` and `t: [N, D]` without the rows in which it is not finite.
#[must_use]
pub fn finite_gaps<E: Element>(f: &Node<E>, t: &Node<E>) -> Gaps<Node<E>> {
    let d = f.shape().1;
    let mut kept = Pooled::of(f.numbers());
    let (mut sum, mut rows) = (0.0, 0);
    for (f, t) in kept.chunks_exact_mut(d).zip(t.numbers().chunks_exact(d)) {
        let gap = sum_of_gaps(f, t).f64();
        if gap.is_finite() {
            sum += gap;
            rows += 1;
        } else {
            f.fill(E::zero());
        }
    }
    Gaps { kept: Node::constant(kept, f.shape()), sum, rows }
}

/// Matrices of equal width one under the other.
///
/// # Panics
/// When there are none.
#[must_use]
pub fn stacked<E: Element>(parts: &[Node<E>]) -> Node<E> {
    let (rows, columns) = (parts.iter().map(|p| p.shape().0).sum(), parts[0].shape().1);
    let mut out = Pooled::new(rows * columns);
    let mut rest = &mut out[..];
    for part in parts {
        rest.split_off_mut(..part.numbers().len())
            .expect("as long")
            .copy_from_slice(part.numbers());
    }
    let out = Node::computed(out, (rows, columns), parts);
    let parts: Vec<Operand<E>> = parts.iter().map(Node::operand).collect();
    out.record(move |_, up| {
        let mut rest = &up[..];
        for part in &parts {
            let (up, after) = rest.split_at(part.numbers().len());
            part.receive_product((None, Some(up)));
            rest = after;
        }
        Ok(())
    });
    out
}

/// The columns of `parts: [steps·N, ·]` side by side, and after them a row of `table: [T, V]`: row
/// `first` in the first `N` rows, the next in the next.
///
/// # Panics
/// When the table has fewer than `first + steps` rows.
#[must_use]
pub fn side_by_side<E: Element>(
    parts: &[&Node<E>],
    table: &Node<E>,
    first: usize,
    steps: usize,
) -> Node<E> {
    let (rows, v) = (parts[0].shape().0, table.shape().1);
    let width = v + parts.iter().map(|p| p.shape().1).sum::<usize>();
    let mut out = Pooled::new(rows * width);
    // Column by column: where a part begins, and which of its rows is in which row.
    let mut columns = Vec::with_capacity(parts.len() + 1);
    let mut at = 0;
    for part in parts {
        columns.push((part.operand(), at, part.shape().1, None));
        at += part.shape().1;
    }
    columns.push((table.operand(), at, v, Some(first)));
    let source = move |row: usize, first: Option<usize>, w: usize| {
        let row = first.map_or(row, |first| first + row * steps / rows);
        row * w..(row + 1) * w
    };
    for (part, at, w, first) in &columns {
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            out[*at..at + w].copy_from_slice(&part.numbers()[source(row, *first, *w)]);
        }
    }
    let out = Node::computed(out, (rows, width), parts.iter().copied().chain([table]));
    out.record(move |_, up| {
        for (part, at, w, first) in &columns {
            part.receive(|down| {
                for (row, up) in up.chunks_exact(width).enumerate() {
                    let down = &mut down[source(row, *first, *w)];
                    down.iter_mut().zip(&up[*at..at + w]).for_each(|(d, u)| *d += *u);
                }
            });
        }
        Ok(())
    });
    out
}

/// `X` with `X (I + B) = Y`, or with `X (I + B)ᵀ = Y`, for `Y: [N, D]` and `B: [D, D]`, of which only what
/// is below the diagonal is read.
///
/// The adjoint of a solve is a solve with the transpose [giles2008, sec. 2.3].
#[must_use]
pub fn solve_unit_lower<E: Element>(y: &Node<E>, b: &Node<E>, second: Second) -> Node<E> {
    let shape @ (_, d) = y.shape();
    let mut x = Pooled::of(y.numbers());
    solve_rows(&mut x, b.numbers(), d, second);
    let out = Node::computed(x, shape, [y, b]);
    let (x, y, b) = (out.operand(), y.operand(), b.operand());
    out.record(move |_, mut v| {
        let adjoint = match second {
            Second::Plain => Second::Transposed,
            Second::Transposed => Second::Plain,
        };
        solve_rows(&mut v, b.numbers(), d, adjoint);
        b.receive(|down| {
            for (x, v) in x.numbers().chunks_exact(d).zip(v.chunks_exact(d)) {
                let (rows, columns) = if second == Second::Plain { (x, v) } else { (v, x) };
                for (i, r) in rows.iter().enumerate() {
                    let below = &mut down[i * d..i * d + i];
                    below.iter_mut().zip(columns).for_each(|(b, c)| *b -= *r * *c);
                }
            }
        });
        y.give(v);
        Ok(())
    });
    out
}

/// Solves for every row of `rows: [N, D]` in place.
fn solve_rows<E: Element>(rows: &mut [E], b: &[E], d: usize, second: Second) {
    for x in rows.chunks_exact_mut(d) {
        match second {
            // Column j is that of Y less what the later columns of X bring in.
            Second::Plain => {
                for i in (0..d).rev() {
                    let done = x[i];
                    for (x, b) in x[..i].iter_mut().zip(&b[i * d..]) {
                        *x -= done * *b;
                    }
                }
            }
            Second::Transposed => {
                for i in 0..d {
                    let earlier = x[..i].iter().zip(&b[i * d..]).map(|(x, b)| *x * *b).sum::<E>();
                    x[i] -= earlier;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::network::normals;
    use crate::inference::optimizer::{Handle, Parameters};
    use crate::inference::tape::{SharedTape, backward};
    use dfdx::prelude::{Rank0, SumTo};

    /// Compares the gradient of a sum of squares with differences, for every parameter.
    fn check(
        handles: &[Handle],
        p: &mut Parameters<f64>,
        f: impl Fn(&Parameters<f64>, &SharedTape<f64>) -> Node<f64>,
    ) {
        let loss = |p: &Parameters<f64>, tape: &SharedTape<f64>| {
            f(p, tape).tensor().square().sum::<Rank0, _>()
        };
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
        let of = |p: &Parameters<f64>, handle, shape, tape: &SharedTape<f64>| {
            Node::of(p.matrix(handle, shape, tape))
        };
        check(&small[..4], &mut p, |p, tape| {
            let (a, b) = (of(p, a, (3, 4), tape), of(p, b, (3, 4), tape));
            let (wide, scalar) = (of(p, wide, (2, 4), tape), of(p, scalar, (3, 1), tape));
            // One matrix twice, both kinds of coefficients, an offset.
            combine(
                (3, 4),
                &[
                    Term::Plain(&a),
                    Term::Scaled(&wide, 1, &b),
                    Term::Scaled(&scalar, 2, &a),
                    Term::Offset(&wide, 0),
                    Term::Offset(&scalar, 1),
                    Term::Product(&a, &b),
                ],
            )
        });
        check(&[a, square, wide], &mut p, |p, tape| {
            let (a, square) = (of(p, a, (3, 4), tape), of(p, square, (4, 4), tape));
            let bias = combine((1, 4), &[Term::Offset(&of(p, wide, (2, 4), tape), 1)]);
            residual_softplus(&a, &square, &bias)
        });
        check(&[a, b], &mut p, |p, tape| {
            let (a, b) = (of(p, a, (3, 4), tape), of(p, b, (3, 4), tape));
            gap(&gap(&a, &b), &half_squares(&gap(&b, &b)))
        });
        check(&[a], &mut p, |p, tape| {
            let a = of(p, a, (3, 4), tape);
            combine((3, 4), &[Term::Product(&bounded(&a, 0.7), &bounded(&a, 9.0))])
        });
        check(&[a, wide], &mut p, |p, tape| {
            let (x, table) = (of(p, a, (6, 2), tape), of(p, wide, (4, 2), tape));
            let wide = side_by_side(&[&x, &x], &table, 1, 3);
            half_squares(&side_by_side(&[&wide], &table, 2, 1))
        });
        check(&[a, b], &mut p, |p, tape| {
            let (a, b) = (of(p, a, (2, 6), tape), of(p, b, (2, 6), tape));
            stacked(&[a.clone(), b, a])
        });
        check(&[a, b, square], &mut p, |p, tape| {
            let (a, square) = (of(p, a, (3, 4), tape), of(p, square, (4, 4), tape));
            let x = product(&a, &square, Second::Plain);
            // A matrix with itself, too.
            let x = product(&x, &of(p, b, (3, 4), tape), Second::Transposed);
            product(&x, &x, Second::Plain)
        });
        check(&[a, square], &mut p, |p, tape| {
            let (a, b) = (of(p, a, (3, 4), tape), of(p, square, (4, 4), tape));
            solve_unit_lower(&solve_unit_lower(&a, &b, Second::Plain), &b, Second::Transposed)
        });
    }

    #[test]
    fn values_are_right() {
        let m = |v: &[f64], shape| Node::constant(Pooled::of(v), shape);
        // (X (I + B))[0, :] by hand.
        let b = [9.0, 9.0, 9.0, 2.0, 9.0, 9.0, 3.0, 4.0, 9.0];
        let b = m(&b, (3, 3));
        let x = solve_unit_lower(&m(&[17.0, 14.0, 3.0], (1, 3)), &b, Second::Plain);
        assert_eq!(x.numbers(), [4.0, 2.0, 3.0]);
        let x = solve_unit_lower(&m(&[4.0, 10.0, 23.0], (1, 3)), &b, Second::Transposed);
        assert_eq!(x.numbers(), [4.0, 2.0, 3.0]);
        let h = [1.0, -799.0, 801.0, 0.5];
        let got = residual_softplus(&m(&h, (4, 1)), &m(&[-1.0], (1, 1)), &m(&[1.0], (1, 1)));
        let want = [1.0 + std::f64::consts::LN_2, 1.0, 801.0, 0.5 + 0.974_076_984_180_106_7];
        for (g, w) in got.numbers().iter().zip(want) {
            assert!((g - w).abs() <= 1e-14 * w, "{g} {w}");
        }
    }
}
