//! The triangular map and its derivatives, a point at a time.
//!
//! The first `r` coordinates of `x` are the drivers. For them `v_i = sinh h_i(asinh x_i)`
//! \[jones2009\] with a curve `h(a) = ε + ½ (α + β) a + ½ (α − β) (√(1 + a²) − 1)` that gives each tail a
//! power of its own, `α` to the right and `β` to the left. With `v_i = x_i` for the others,
//! `v̂ = (1, v_1, …)`, and the features
//! `φ = (1, x_1 … x_r, √(1 + x_1²) − 1 … √(1 + x_r²) − 1)` of the drivers, the map is
//!
//! ```text
//! t = v + Σ_k φ_k W_k v̂,    s = Σ_k φ_k c_k,    u = exp(s) ∘ t
//! ```
//!
//! where `W_k` is strictly lower triangular but for its first column, the one of the means, and a feature
//! moves only coordinates after its driver. So the Jacobian is triangular, with the diagonal
//! `exp(s_i) v'_i`, and the map is one to one. Features grow no faster than `|x|`: no scale can grow faster
//! than `exp(|x|)`, so that every moment of `u` is finite.
//!
//! Letters: `t`, `s`, `u`, `v`, `φ` as above; a cotangent has a bar in the comments, a tangent a dot.

use crate::real::Real;

/// A map of `D` coordinates with `r` drivers; with all parameters zero the identity.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Map<E> {
    pub(super) dim: usize,
    pub(super) drivers: usize,
    /// `c: [K, D]`.
    pub(super) log_scales: Vec<E>,
    /// `W: [K, D, D]`, transposed: an input of `v̂` a row. Read on and above the diagonal.
    pub(super) shears: Vec<E>,
    /// `ε`, `log α` and `log β` of the drivers, `[3, r]`.
    pub(super) shapes: Vec<E>,
}

/// A point of the map and all that its derivatives need.
#[derive(Debug)]
pub(super) struct Place<E> {
    curves: Vec<Curve<E>>,
    /// `φ: [K]`.
    features: Vec<E>,
    /// `v̂: [D + 1]`.
    inputs: Vec<E>,
    /// `W_k v̂: [K, D]`.
    sheared: Vec<E>,
    /// `t: [D]`.
    inner: Vec<E>,
    /// `exp(s): [D]`.
    scales: Vec<E>,
    /// `u: [D]`.
    pub(super) image: Vec<E>,
    /// `log |∂u/∂x|`.
    pub(super) log_det: E,
}

/// Cotangents at a [`Place`].
#[derive(Debug)]
pub(super) struct Cotangents<E> {
    inner: Vec<E>,
    log_scales: Vec<E>,
    inputs: Vec<E>,
    features: Vec<E>,
}

/// Tangents at a [`Place`].
#[derive(Debug)]
pub(super) struct Tangents<E> {
    features: Vec<E>,
    sheared: Vec<E>,
    log_scales: Vec<E>,
    /// `u̇: [D]`.
    pub(super) image: Vec<E>,
}

impl<E: Real> Map<E> {
    /// The identity.
    pub(super) fn identity(dim: usize, drivers: usize) -> Self {
        let k = 1 + 2 * drivers;
        Map {
            dim,
            drivers,
            log_scales: vec![E::zero(); k * dim],
            shears: vec![E::zero(); k * dim * dim],
            shapes: vec![E::zero(); 3 * drivers],
        }
    }

    /// The same map at another precision.
    pub(super) fn cast<F: Real>(&self) -> Map<F> {
        let of = |x: &[E]| x.iter().map(|x| F::of(x.f64())).collect();
        Map {
            dim: self.dim,
            drivers: self.drivers,
            log_scales: of(&self.log_scales),
            shears: of(&self.shears),
            shapes: of(&self.shapes),
        }
    }

    /// The features with the first coordinate that each of them moves.
    fn features(&self) -> impl Iterator<Item = (usize, usize)> {
        let r = self.drivers;
        (0..=2 * r).map(move |k| (k, if k == 0 { 0 } else { (k - 1) % r + 1 }))
    }

    /// `c_k`.
    fn log_scale(&self, k: usize) -> &[E] {
        &self.log_scales[k * self.dim..][..self.dim]
    }

    /// The column of `W_k` for an input.
    fn shear(&self, k: usize, input: usize) -> &[E] {
        &self.shears[(k * self.dim + input) * self.dim..][..self.dim]
    }

    /// `W_k v̂` for every `k`: `[K, D]`.
    fn sheared(&self, inputs: &[E]) -> Vec<E> {
        let d = self.dim;
        let mut out = vec![E::zero(); (1 + 2 * self.drivers) * d];
        for (k, first) in self.features() {
            let out = &mut out[k * d..][..d];
            for (j, input) in inputs[..d].iter().enumerate() {
                let from = first.max(j);
                add_scaled(&mut out[from..], *input, &self.shear(k, j)[from..]);
            }
        }
        out
    }

    /// The map at `x: [D]`.
    pub(super) fn at(&self, x: &[E]) -> Place<E> {
        let (d, r) = (self.dim, self.drivers);
        let shape = |i: usize| [0, r, 2 * r].map(|k| self.shapes[k + i]);
        let curves: Vec<Curve<E>> = (0..r).map(|i| Curve::new(x[i], shape(i))).collect();
        let mut inputs = vec![E::one(); d + 1];
        inputs[1..].copy_from_slice(x);
        inputs[1..].iter_mut().zip(&curves).for_each(|(v, c)| *v = c.value);
        let mut features = vec![E::one()];
        features.extend(&x[..r]);
        features.extend(curves.iter().map(|c| c.root - E::one()));
        let sheared = self.sheared(&inputs);
        let (mut inner, mut log_scales) = (inputs[1..].to_vec(), vec![E::zero(); d]);
        for (k, first) in self.features() {
            add_scaled(&mut inner[first..], features[k], &sheared[k * d + first..(k + 1) * d]);
            add_scaled(&mut log_scales[first..], features[k], &self.log_scale(k)[first..]);
        }
        let slopes: E = curves.iter().map(|c| c.log_slope).sum();
        let log_det = log_scales.iter().copied().sum::<E>() + slopes;
        let scales: Vec<E> = log_scales.iter().map(|s| s.exp()).collect();
        let image = scales.iter().zip(&inner).map(|(s, t)| *s * *t).collect();
        Place { curves, features, inputs, sheared, inner, scales, image, log_det }
    }

    /// The cotangents for that of `u: [D]` and of the log-determinant.
    pub(super) fn pull(&self, at: &Place<E>, up: &[E], up_det: E) -> Cotangents<E> {
        let d = self.dim;
        // t̄ = exp(s) ∘ ū,  s̄ = u ∘ ū + 1.
        let inner: Vec<E> = at.scales.iter().zip(up).map(|(s, u)| *s * *u).collect();
        let log_scales: Vec<E> = at.image.iter().zip(up).map(|(u, up)| *u * *up + up_det).collect();
        let mut inputs = inner.clone();
        let mut features = Vec::with_capacity(at.features.len());
        for (k, first) in self.features() {
            self.add_unsheared(&mut inputs, k, first, at.features[k], &inner);
            let sheared = &at.sheared[k * d + first..(k + 1) * d];
            features.push(
                dot(&inner[first..], sheared)
                    + dot(&log_scales[first..], &self.log_scale(k)[first..]),
            );
        }
        Cotangents { inner, log_scales, inputs, features }
    }

    /// `v̄ += factor · W_kᵀ t̄`, without the constant input.
    fn add_unsheared(&self, out: &mut [E], k: usize, first: usize, factor: E, inner: &[E]) {
        for j in 1..self.dim {
            let from = first.max(j);
            out[j - 1] += factor * dot(&self.shear(k, j)[from..], &inner[from..]);
        }
    }

    /// The cotangent of `x: [D]`.
    pub(super) fn point(&self, at: &Place<E>, back: &Cotangents<E>, up_det: E, out: &mut [E]) {
        let r = self.drivers;
        out.copy_from_slice(&back.inputs);
        for (i, c) in at.curves.iter().enumerate() {
            let (linear, curved) = (back.features[1 + i], back.features[1 + r + i]);
            out[i] =
                back.inputs[i] * c.slope + linear + curved * c.root_slope + up_det * c.log_slope_1;
        }
    }

    /// Adds the cotangents of the parameters.
    pub(super) fn add_parameters(
        &self,
        at: &Place<E>,
        back: &Cotangents<E>,
        up_det: E,
        down: [&mut [E]; 3],
    ) {
        let (d, r) = (self.dim, self.drivers);
        let [log_scales, shears, shapes] = down;
        for (k, first) in self.features() {
            let feature = at.features[k];
            add_scaled(
                &mut log_scales[k * d + first..(k + 1) * d],
                feature,
                &back.log_scales[first..],
            );
            for (j, input) in at.inputs[..d].iter().enumerate() {
                let from = first.max(j);
                let row = &mut shears[(k * d + j) * d + from..][..d - from];
                add_scaled(row, feature * *input, &back.inner[from..]);
            }
        }
        for (i, c) in at.curves.iter().enumerate() {
            for (k, by) in c.by_shape.iter().enumerate() {
                let (value, log_slope) = c.along_shape(*by);
                shapes[k * r + i] += back.inputs[i] * value + up_det * log_slope;
            }
        }
    }

    /// The tangents for `ẋ: [D]`.
    pub(super) fn push(&self, at: &Place<E>, v: &[E]) -> Tangents<E> {
        let (d, r) = (self.dim, self.drivers);
        let mut inputs = vec![E::zero(); d + 1];
        inputs[1..].copy_from_slice(v);
        inputs[1..].iter_mut().zip(&at.curves).for_each(|(v, c)| *v *= c.slope);
        let mut features = vec![E::zero()];
        features.extend(&v[..r]);
        features.extend(at.curves.iter().zip(v).map(|(c, v)| c.root_slope * *v));
        let sheared = self.sheared(&inputs);
        let (mut inner, mut log_scales) = (inputs[1..].to_vec(), vec![E::zero(); d]);
        for (k, first) in self.features() {
            let row = k * d + first..(k + 1) * d;
            add_scaled(&mut inner[first..], features[k], &at.sheared[row.clone()]);
            add_scaled(&mut inner[first..], at.features[k], &sheared[row]);
            add_scaled(&mut log_scales[first..], features[k], &self.log_scale(k)[first..]);
        }
        let image =
            (0..d).map(|i| at.scales[i] * (inner[i] + log_scales[i] * at.inner[i])).collect();
        Tangents { features, sheared, log_scales, image }
    }

    /// The tangent of [`point`](Self::point) along `ẋ = v` when that of `ū` is `up_dot`, and that of the
    /// log-determinant's cotangent is zero: the Hessian-vector product of the density of `x`.
    #[allow(
        clippy::too_many_arguments,
        reason = "point and tangent, up and down: the chain rule's own"
    )]
    pub(super) fn second(
        &self,
        at: &Place<E>,
        back: &Cotangents<E>,
        along: &Tangents<E>,
        v: &[E],
        up: &[E],
        up_dot: &[E],
        out: &mut [E],
    ) {
        let (d, r) = (self.dim, self.drivers);
        let inner: Vec<E> =
            (0..d).map(|i| at.scales[i] * (up_dot[i] + along.log_scales[i] * up[i])).collect();
        let log_scales: Vec<E> =
            (0..d).map(|i| along.image[i] * up[i] + at.image[i] * up_dot[i]).collect();
        out.copy_from_slice(&inner);
        let mut features = Vec::with_capacity(at.features.len());
        for (k, first) in self.features() {
            // φ_k t̄ and its tangent in one pass over W_k.
            let mixed: Vec<E> = (0..d)
                .map(|i| along.features[k] * back.inner[i] + at.features[k] * inner[i])
                .collect();
            self.add_unsheared(out, k, first, E::one(), &mixed);
            let row = k * d + first..(k + 1) * d;
            features.push(
                dot(&inner[first..], &at.sheared[row.clone()])
                    + dot(&back.inner[first..], &along.sheared[row])
                    + dot(&log_scales[first..], &self.log_scale(k)[first..]),
            );
        }
        for (i, c) in at.curves.iter().enumerate() {
            let of_curve = out[i] * c.slope + back.inputs[i] * c.slope_1 * v[i];
            let of_root = features[1 + r + i] * c.root_slope
                + back.features[1 + r + i] * c.root_slope_1 * v[i];
            out[i] = of_curve + features[1 + i] + of_root + c.log_slope_2 * v[i];
        }
    }
}

/// `sinh h(asinh x)` and `√(1 + x²)` at a point, with their derivatives.
#[derive(Debug, Clone, Copy)]
struct Curve<E> {
    value: E,
    slope: E,
    slope_1: E,
    /// Log of the slope and its derivatives.
    log_slope: E,
    log_slope_1: E,
    log_slope_2: E,
    root: E,
    root_slope: E,
    root_slope_1: E,
    cosh: E,
    tanh: E,
    /// Derivatives of `h` and of `log h'` by `ε`, `log α` and `log β`.
    by_shape: [(E, E); 3],
}

impl<E: Real> Curve<E> {
    fn new(x: E, [skew, right, left]: [E; 3]) -> Self {
        let (one, half) = (E::one(), E::of(0.5));
        let a = x.asinh();
        let bow = (one + a * a).sqrt();
        let (right, left) = (right.exp(), left.exp());
        let (mean, difference) = (half * (right + left), half * (right - left));
        // h and its first three derivatives by a.
        let angle = skew + mean * a + difference * (bow - one);
        let h1 = mean + difference * a / bow;
        let h2 = difference / (bow * bow * bow);
        let h3 = E::of(-3.0) * h2 * a / (bow * bow);
        let (value, cosh, tanh) = (angle.sinh(), angle.cosh(), angle.tanh());
        let root = (one + x * x).sqrt();
        // a' = 1/√(1 + x²), a'' = −x/(1 + x²)^{3/2} = −bend a'.
        let (rate, bend) = (root.recip(), x / (root * root));
        // log v' = log cosh h + log h' + log a', by a first, then by x.
        let by_a = tanh * h1 + h2 / h1;
        let by_a_twice =
            (one - tanh * tanh) * h1 * h1 + tanh * h2 + h3 / h1 - (h2 / h1) * (h2 / h1);
        let (slope, log_slope_1) = (cosh * h1 * rate, by_a * rate - bend);
        let of_side = |power: E, sign: E| {
            let (by_h, by_slope) = (a + sign * (bow - one), one + sign * a / bow);
            (half * power * by_h, half * power * by_slope / h1)
        };
        Curve {
            value,
            slope,
            slope_1: slope * log_slope_1,
            log_slope: cosh.ln() + h1.ln() - root.ln(),
            log_slope_1,
            log_slope_2: (by_a_twice - by_a * x * rate - one + x * x * rate * rate * E::of(2.0))
                * rate
                * rate,
            root,
            root_slope: x * rate,
            root_slope_1: rate * rate * rate,
            cosh,
            tanh,
            by_shape: [(one, E::zero()), of_side(right, one), of_side(left, -one)],
        }
    }

    /// Derivatives of value and log slope by something that moves `h` and `log h'` so much.
    fn along_shape(&self, (h, log_slope): (E, E)) -> (E, E) {
        (self.cosh * h, self.tanh * h + log_slope)
    }
}

/// `out += factor · x`.
fn add_scaled<E: Real>(out: &mut [E], factor: E, x: &[E]) {
    out.iter_mut().zip(x).for_each(|(o, x)| *o += factor * *x);
}

/// `Σ a b`, in eight sums that do not wait for each other.
fn dot<E: Real>(a: &[E], b: &[E]) -> E {
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [E::zero(); 8];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += *a * *b;
        }
    }
    let rest: E = rest_a.iter().zip(rest_b).map(|(a, b)| *a * *b).sum();
    sums.into_iter().sum::<E>() + rest
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::random::{fill_std_normal, stream};

    /// A map with random parameters, entries that are never read included.
    pub(in super::super) fn random(dim: usize, drivers: usize, seed: u64) -> Map<f64> {
        let mut rng = stream(seed, "map test");
        let mut map = Map::identity(dim, drivers);
        for values in [&mut map.log_scales, &mut map.shears, &mut map.shapes] {
            fill_std_normal(&mut rng, values);
            values.iter_mut().for_each(|x| *x *= 0.3);
        }
        map
    }

    #[test]
    fn no_parameters_no_change() {
        let x = [0.3, -2.0, 5.0];
        let place = Map::<f64>::identity(3, 2).at(&x);
        assert!(place.image.iter().zip(x).all(|(u, x)| (u - x).abs() < 1e-14), "{place:?}");
        assert!(place.log_det.abs() < 1e-14);
    }

    #[test]
    fn the_jacobian_is_triangular_and_its_determinant_is_right() {
        let (map, x) = (random(5, 2, 1), [0.7, -1.2, 0.1, 2.0, -0.4]);
        let place = map.at(&x);
        let mut log_det = 0.0;
        for j in 0..5 {
            let at = |delta: f64| {
                let mut moved = x;
                moved[j] += delta;
                map.at(&moved).image
            };
            let (plus, minus) = (at(1e-6), at(-1e-6));
            let column: Vec<f64> = plus.iter().zip(&minus).map(|(p, m)| (p - m) / 2e-6).collect();
            assert!(column[..j].iter().all(|e| *e == 0.0), "{j}: {column:?}");
            let mut unit = [0.0; 5];
            unit[j] = 1.0;
            let tangent = map.push(&place, &unit).image;
            assert!(tangent.iter().zip(&column).all(|(a, b)| (a - b).abs() < 1e-7), "{column:?}");
            log_det += column[j].ln();
        }
        assert!((place.log_det - log_det).abs() < 1e-8, "{} {log_det}", place.log_det);
    }

    #[test]
    fn gradients_of_the_parameters_agree_with_differences() {
        let (mut map, x, up) = (random(4, 2, 2), [1.3, -0.6, 0.8, -1.1], [0.5, -1.0, 2.0, 0.3]);
        let value = |map: &Map<f64>| {
            let place = map.at(&x);
            dot(&place.image, &up) + 1.7 * place.log_det
        };
        let place = map.at(&x);
        let back = map.pull(&place, &up, 1.7);
        let mut down = Map::identity(4, 2);
        let into = [&mut down.log_scales[..], &mut down.shears, &mut down.shapes];
        map.add_parameters(&place, &back, 1.7, into);
        type Field = fn(&mut Map<f64>) -> &mut Vec<f64>;
        let fields: [Field; 3] = [|m| &mut m.log_scales, |m| &mut m.shears, |m| &mut m.shapes];
        for field in fields {
            for i in 0..field(&mut map).len() {
                let mut at = |delta: f64| {
                    field(&mut map)[i] += delta;
                    let value = value(&map);
                    field(&mut map)[i] -= delta;
                    value
                };
                let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
                let ours = field(&mut down)[i];
                assert!((ours - difference).abs() < 1e-7, "{i}: {ours} {difference}");
            }
        }
    }
}
