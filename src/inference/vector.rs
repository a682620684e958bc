//! Loops over matrices in slices, in the widest vectors that the machine has.
//!
//! Sums are kept in [`PARTIALS`] partial sums by position modulo that, so that their order, and with it
//! every bit, is the same on any machine.
//!
//! What stays as it is where a condition holds is written with `select_unpredictable`: of an `if` the
//! compiler makes a masked store, which takes several times as long as the loop.

use std::hint::select_unpredictable;

use pulp::{Simd, WithSimd};

use crate::exec::element::Element;
use crate::simd::arch;

/// Partial sums: two of the widest registers of `f64`.
pub(super) const PARTIALS: usize = 16;

/// `out += x`.
pub(super) fn add<E: Element>(out: &mut [E], x: &[E]) {
    add_product(out, (None, Some(x)));
}

/// A factor and a matrix `x`, whose rows are as long as the factor: row `n` is `factor ∘ x[n, :]`. What is
/// missing is all ones; a factor of length 1 is a scalar.
pub(super) type Product<'a, E> = (Option<&'a [E]>, Option<&'a [E]>);

/// `out += product`.
pub(super) fn add_product<E: Element>(out: &mut [E], product: Product<'_, E>) {
    arch().dispatch(SumOfProducts { out, products: &[product], add: true });
}

/// `out = Σ products`.
pub(super) fn set_products<E: Element>(out: &mut [E], products: &[Product<'_, E>]) {
    arch().dispatch(SumOfProducts { out, products, add: false });
}

struct SumOfProducts<'a, E> {
    out: &'a mut [E],
    products: &'a [Product<'a, E>],
    /// Whether to what is there.
    add: bool,
}

impl<E: Element> WithSimd for SumOfProducts<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let SumOfProducts { out, mut products, add } = self;
        if add {
            // Nothing to begin with.
        } else if let Some([a, b, c]) = multiples(products) {
            let terms = a.1.iter().zip(b.1).zip(c.1);
            out.iter_mut().zip(terms).for_each(|(o, ((x, y), z))| {
                *o = a.0 * *x + b.0 * *y + c.0 * *z;
            });
            products = &[];
        } else if let Some([a, b]) = multiples(products) {
            let terms = a.1.iter().zip(b.1);
            out.iter_mut().zip(terms).for_each(|(o, (x, y))| *o = a.0 * *x + b.0 * *y);
            products = &[];
        } else if let [first, rest @ ..] = products {
            each_product(out, *first, |_, x| x);
            products = rest;
        }
        for product in products {
            each_product(out, *product, |o, x| o + x);
        }
    }
}

/// Numbers and the matrices that they multiply, where that is what all products are: their sum is then one
/// loop.
#[inline(always)]
fn multiples<'a, E: Element, const N: usize>(
    products: &[Product<'a, E>],
) -> Option<[(E, &'a [E]); N]> {
    let products = <&[Product<'a, E>; N]>::try_from(products).ok()?;
    let mut multiples = [(E::one(), &[][..]); N];
    for (multiple, product) in multiples.iter_mut().zip(products) {
        *multiple = match *product {
            (None, Some(x)) => (E::one(), x),
            (Some(&[c]), Some(x)) => (c, x),
            _ => return None,
        };
    }
    Some(multiples)
}

/// Replaces each number `o` of `out` by `f(o, x)`, where `x` is the product's.
#[inline(always)]
fn each_product<E: Element>(out: &mut [E], (factor, x): Product<'_, E>, f: impl Fn(E, E) -> E) {
    match (factor, x) {
        (None, None) => out.iter_mut().for_each(|o| *o = f(*o, E::one())),
        (None, Some(x)) => out.iter_mut().zip(x).for_each(|(o, x)| *o = f(*o, *x)),
        (Some(&[c]), None) => out.iter_mut().for_each(|o| *o = f(*o, c)),
        (Some(&[c]), Some(x)) => out.iter_mut().zip(x).for_each(|(o, x)| *o = f(*o, c * *x)),
        (Some(c), None) => {
            for out in out.chunks_exact_mut(c.len()) {
                out.iter_mut().zip(c).for_each(|(o, c)| *o = f(*o, *c));
            }
        }
        (Some(c), Some(x)) => {
            for (out, x) in out.chunks_exact_mut(c.len()).zip(x.chunks_exact(c.len())) {
                out.iter_mut().zip(c).zip(x).for_each(|((o, c), x)| *o = f(*o, *c * *x));
            }
        }
    }
}

/// The adjoint of a [`Product`] in the factor: `out[:] += Σ_n up[n, :] ∘ x[n, :]`, summed over columns
/// too for a scalar.
pub(super) fn add_columns<E: Element>(out: &mut [E], up: &[E], x: Option<&[E]>) {
    arch().dispatch(AddColumns { out, up, x });
}

struct AddColumns<'a, E> {
    out: &'a mut [E],
    up: &'a [E],
    x: Option<&'a [E]>,
}

impl<E: Element> WithSimd for AddColumns<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let AddColumns { out, up, x } = self;
        match (out, x) {
            ([out], Some(x)) => *out += dot_within(up, x),
            ([out], None) => *out += up.iter().copied().sum::<E>(),
            (out, Some(x)) => {
                let d = out.len();
                for (up, x) in up.chunks_exact(d).zip(x.chunks_exact(d)) {
                    out.iter_mut().zip(up).zip(x).for_each(|((o, u), x)| *o += *u * *x);
                }
            }
            (out, None) => {
                for up in up.chunks_exact(out.len()) {
                    out.iter_mut().zip(up).for_each(|(o, u)| *o += *u);
                }
            }
        }
    }
}

/// `out[n] += ½ |x[n, :]|²` for rows of `d` numbers.
pub(super) fn add_half_squares<E: Element>(out: &mut [E], d: usize, x: &[E]) {
    arch().dispatch(AddHalfSquares { out, d, x });
}

struct AddHalfSquares<'a, E> {
    out: &'a mut [E],
    d: usize,
    x: &'a [E],
}

impl<E: Element> WithSimd for AddHalfSquares<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let half = E::of(0.5);
        for (out, row) in self.out.iter_mut().zip(self.x.chunks_exact(self.d)) {
            *out += half * dot_within(row, row);
        }
    }
}

#[inline(always)]
fn dot_within<E: Element>(a: &[E], b: &[E]) -> E {
    let mut sums = [E::zero(); PARTIALS];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<PARTIALS>(), b.as_chunks::<PARTIALS>());
    for (a, b) in a.iter().zip(b) {
        // An array at a time: what is added to one by one ends in narrower vectors.
        sums = std::array::from_fn(|i| sums[i] + a[i] * b[i]);
    }
    for ((sum, a), b) in sums.iter_mut().zip(a_rest).zip(b_rest) {
        *sum += *a * *b;
    }
    sums.into_iter().sum()
}

/// `out[n, :] += Σ_j x[n, j] w[j, :]` for rows of `d` numbers, a term of the sum after the other.
pub(super) fn add_rows_times<E: Element>(out: &mut [E], x: &[E], w: &[E], d: usize) {
    arch().dispatch(AddRowsTimes { out, x, w, d });
}

struct AddRowsTimes<'a, E> {
    out: &'a mut [E],
    x: &'a [E],
    w: &'a [E],
    d: usize,
}

impl<E: Element> WithSimd for AddRowsTimes<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        /// Columns whose sums stay in registers.
        const TILE: usize = 32;
        let AddRowsTimes { out, x, w, d } = self;
        for (out, x) in out.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
            let (tiles, rest) = out.as_chunks_mut::<TILE>();
            let whole = tiles.len() * TILE;
            for (t, tile) in tiles.iter_mut().enumerate() {
                let mut sums = *tile;
                for (x, w) in x.iter().zip(w.chunks_exact(d)) {
                    let w = &w[t * TILE..][..TILE];
                    sums.iter_mut().zip(w).for_each(|(sum, w)| *sum += *x * *w);
                }
                *tile = sums;
            }
            for (x, w) in x.iter().zip(w.chunks_exact(d)) {
                rest.iter_mut().zip(&w[whole..]).for_each(|(out, w)| *out += *x * *w);
            }
        }
    }
}

/// `value = h + softplus(slope)` with `softplus(x) = log(1 + eˣ)`, and the derivative of that into `slope`.
pub(super) fn add_softplus<E: Element>(value: &mut [E], h: &[E], slope: &mut [E]) {
    arch().dispatch(AddSoftplus { value, h, slope });
}

struct AddSoftplus<'a, E> {
    value: &'a mut [E],
    h: &'a [E],
    slope: &'a mut [E],
}

impl<E: Element> WithSimd for AddSoftplus<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for ((value, h), slope) in self.value.iter_mut().zip(self.h).zip(self.slope) {
            let (softplus, logistic) = slope.fast_softplus();
            (*value, *slope) = (*h + softplus, logistic);
        }
    }
}

/// `out = max(out, 0)`, also where it is NaN.
pub(super) fn relu<E: Element>(out: &mut [E]) {
    arch().dispatch(Relu(out));
}

struct Relu<'a, E>(&'a mut [E]);

impl<E: Element> WithSimd for Relu<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let zero = E::zero();
        self.0.iter_mut().for_each(|o| *o = select_unpredictable(*o > zero, *o, zero));
    }
}

/// The adjoint of [`relu`]: `out = out` where its result `y` is positive, else 0.
pub(super) fn keep_positive<E: Element>(out: &mut [E], y: &[E]) {
    arch().dispatch(KeepPositive { out, y });
}

struct KeepPositive<'a, E> {
    out: &'a mut [E],
    y: &'a [E],
}

impl<E: Element> WithSimd for KeepPositive<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let zero = E::zero();
        for (o, y) in self.out.iter_mut().zip(self.y) {
            *o = select_unpredictable(*y > zero, *o, zero);
        }
    }
}

/// `out = out ∘ x`.
pub(super) fn scale<E: Element>(out: &mut [E], x: &[E]) {
    arch().dispatch(Scale { out, x });
}

struct Scale<'a, E> {
    out: &'a mut [E],
    x: &'a [E],
}

impl<E: Element> WithSimd for Scale<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.out.iter_mut().zip(self.x).for_each(|(o, x)| *o *= *x);
    }
}

/// `Σ f ∘ (2 t − f)`.
pub(super) fn sum_of_gaps<E: Element>(f: &[E], t: &[E]) -> E {
    arch().dispatch(SumOfGaps { f, t })
}

struct SumOfGaps<'a, E> {
    f: &'a [E],
    t: &'a [E],
}

impl<E: Element> WithSimd for SumOfGaps<'_, E> {
    type Output = E;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> E {
        let gap = |f: E, t: E| f * (t + t - f);
        let mut sums = [E::zero(); PARTIALS];
        let (f, f_rest) = self.f.as_chunks::<PARTIALS>();
        let (t, t_rest) = self.t.as_chunks::<PARTIALS>();
        for (f, t) in f.iter().zip(t) {
            sums = std::array::from_fn(|i| sums[i] + gap(f[i], t[i]));
        }
        for ((sum, f), t) in sums.iter_mut().zip(f_rest).zip(t_rest) {
            *sum += gap(*f, *t);
        }
        sums.into_iter().sum()
    }
}

/// The largest of `x` and `Σ e^(x − largest)`: what `log Σ eˣ` is made of.
pub(super) fn log_sum_exp_parts<E: Element>(x: &[E]) -> (E, E) {
    arch().dispatch(LogSumExpParts(x))
}

struct LogSumExpParts<'a, E>(&'a [E]);

impl<E: Element> WithSimd for LogSumExpParts<'_, E> {
    type Output = (E, E);

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> (E, E) {
        let (x, rest) = self.0.as_chunks::<PARTIALS>();
        let larger = |a: E, b: E| select_unpredictable(b > a, b, a);
        let mut most = [E::neg_infinity(); PARTIALS];
        for x in x {
            most = std::array::from_fn(|i| larger(most[i], x[i]));
        }
        let most = most.into_iter().chain(rest.iter().copied()).fold(E::neg_infinity(), larger);
        let mut sums = [E::zero(); PARTIALS];
        for x in x {
            sums = std::array::from_fn(|i| sums[i] + (most - x[i]).fast_decay());
        }
        for (sum, x) in sums.iter_mut().zip(rest) {
            *sum += (most - *x).fast_decay();
        }
        (most, sums.into_iter().sum())
    }
}

/// Whether every number is finite.
pub(super) fn all_finite<E: Element>(x: &[E]) -> bool {
    // Zero times anything else is NaN, and so are sums with it.
    arch().dispatch(Annihilate(x)) == E::zero()
}

struct Annihilate<'a, E>(&'a [E]);

impl<E: Element> WithSimd for Annihilate<'_, E> {
    type Output = E;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> E {
        let mut sums = [E::zero(); PARTIALS];
        let (blocks, rest) = self.0.as_chunks::<PARTIALS>();
        for block in blocks {
            sums = std::array::from_fn(|i| sums[i] + E::zero() * block[i]);
        }
        for (sum, x) in sums.iter_mut().zip(rest) {
            *sum += E::zero() * *x;
        }
        sums.into_iter().sum()
    }
}
