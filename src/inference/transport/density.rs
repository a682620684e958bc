//! A density seen through an affine map and, after it, a triangular one.

use std::sync::Arc;

use super::map::{Cotangents, Map, Place};
use crate::density::{LogDensity, Part, Residuals, Scalars};
use crate::exec::element::Element;
use crate::inference::affine::{Affine, Coordinates};

/// The coordinates `x` of `z = A(T(x))`, for an affine `A` and a triangular `T` if there is one.
#[derive(Debug, Clone)]
pub struct Transport {
    affine: Coordinates,
    map: Option<Map<f64>>,
}

impl From<Coordinates> for Transport {
    fn from(affine: Coordinates) -> Self {
        Transport { affine, map: None }
    }
}

impl Transport {
    pub(super) fn new(affine: Coordinates, map: Map<f64>) -> Self {
        Transport { affine, map: Some(map) }
    }

    /// The affine map, if it is all.
    #[must_use]
    pub fn affine(&self) -> Option<&Coordinates> {
        self.map.is_none().then_some(&self.affine)
    }

    /// The density of `x` when `z` has density `inner`.
    #[must_use]
    pub fn density<E: Element>(&self, inner: &Arc<dyn LogDensity<E>>) -> Arc<dyn LogDensity<E>> {
        let affine = Affine::new(inner, &self.affine);
        match &self.map {
            None => Arc::new(affine),
            Some(map) => Arc::new(Transported { inner: affine, map: map.cast() }),
        }
    }

    /// `z` for each row of `x: [B, D]`, and `log |∂z/∂x|: [B]`.
    #[must_use]
    pub fn apply(&self, inner: &Arc<dyn LogDensity<f64>>, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let affine = Affine::new(inner, &self.affine);
        let d = self.affine.shift.len();
        let constant = self.affine.log_det();
        let Some(map) = &self.map else {
            return (affine.apply(x), vec![constant; x.len() / d]);
        };
        let (mut images, mut log_dets) = (Vec::with_capacity(x.len()), Vec::new());
        for x in x.chunks_exact(d) {
            let place = map.at(x);
            images.extend(&place.image);
            log_dets.push(constant + place.log_det);
        }
        (affine.apply(&images), log_dets)
    }
}

/// The density of `x` when `T(x)` has density `inner`; log-determinant included.
#[derive(Debug)]
struct Transported<E: Element> {
    inner: Affine<E>,
    map: Map<E>,
}

impl<E: Element> Transported<E> {
    fn places(&self, x: &[E]) -> (Vec<Place<E>>, Vec<E>) {
        let places: Vec<Place<E>> = x.chunks_exact(self.map.dim).map(|x| self.map.at(x)).collect();
        let images = places.iter().flat_map(|p| &p.image).copied().collect();
        (places, images)
    }

    /// From the score of `u` to that of `x`.
    fn pull_back(&self, places: &[Place<E>], score: &mut [E]) {
        for (place, score) in places.iter().zip(score.chunks_exact_mut(self.map.dim)) {
            let back = self.map.pull(place, score, E::one());
            self.map.point(place, &back, E::one(), score);
        }
    }
}

fn add_log_dets<E: Element>(places: &[Place<E>], log_p: &mut [E]) {
    log_p.iter_mut().zip(places).for_each(|(l, p)| *l += p.log_det);
}

impl<E: Element> LogDensity<E> for Transported<E> {
    fn dim(&self) -> usize {
        self.map.dim
    }

    fn log_density(&self, x: &[E], log_p: &mut [E]) {
        let (places, images) = self.places(x);
        self.inner.log_density(&images, log_p);
        add_log_dets(&places, log_p);
    }

    fn score(&self, x: &[E], log_p: &mut [E], score: &mut [E]) {
        let (places, images) = self.places(x);
        self.inner.score(&images, log_p, score);
        add_log_dets(&places, log_p);
        self.pull_back(&places, score);
    }

    fn score_keep(&self, x: &[E], score: &mut [E], keep: &mut Residuals<E>) {
        let (places, images) = self.places(x);
        keep.inner.resize_with(1, Residuals::default);
        self.inner.score_keep(&images, score, &mut keep.inner[0]);
        keep.points.clear();
        keep.points.extend_from_slice(x);
        keep.saved.clear();
        keep.saved.extend_from_slice(score);
        self.pull_back(&places, score);
    }

    fn hvp(&self, residuals: &Residuals<E>, v: &[E], out: &mut [E]) {
        let d = self.map.dim;
        let inner = residuals.inner.first().expect("score_keep of this density");
        let (places, _) = self.places(&residuals.points);
        let pushed: Vec<_> =
            places.iter().zip(v.chunks_exact(d)).map(|(p, v)| self.map.push(p, v)).collect();
        let directions: Vec<E> = pushed.iter().flat_map(|t| &t.image).copied().collect();
        let mut ups = vec![E::zero(); v.len()];
        self.inner.hvp(inner, &directions, &mut ups);
        for (i, out) in out.chunks_exact_mut(d).enumerate() {
            let row = i * d..(i + 1) * d;
            let up = &residuals.saved[row.clone()];
            let back: Cotangents<E> = self.map.pull(&places[i], up, E::one());
            let (v, up_dot) = (&v[row.clone()], &ups[row]);
            self.map.second(&places[i], &back, &pushed[i], v, up, up_dot, out);
        }
    }

    fn see(&self, part: Part<'_>) {
        self.inner.see(part);
    }

    fn estimate(&self) -> Option<String> {
        self.inner.estimate()
    }

    fn parameters(&self, x: &[E]) -> Scalars {
        self.inner.parameters(&self.places(x).1)
    }

    fn explain_non_finite(&self, x: &[E]) -> Option<String> {
        self.inner.explain_non_finite(&self.map.at(x).image)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::inference::transport::map::tests::random;

    /// Neal's funnel: `z_1 ~ N(0, 1)`, the others `N(0, exp(z_1)²)`, up to a constant.
    pub(in super::super) struct Funnel(pub(in super::super) usize);

    impl LogDensity<f64> for Funnel {
        fn dim(&self) -> usize {
            self.0
        }
        fn log_density(&self, z: &[f64], log_p: &mut [f64]) {
            self.score(z, log_p, &mut vec![0.0; z.len()]);
        }
        fn score(&self, z: &[f64], log_p: &mut [f64], score: &mut [f64]) {
            let rows = z.chunks_exact(self.0).zip(score.chunks_exact_mut(self.0));
            for ((z, g), l) in rows.zip(log_p) {
                let (n, w) = (self.0 as f64 - 1.0, (-2.0 * z[0]).exp());
                let squares: f64 = z[1..].iter().map(|b| b * b).sum();
                *l = -0.5 * z[0] * z[0] - n * z[0] - 0.5 * w * squares;
                g[0] = -z[0] - n + w * squares;
                g[1..].iter_mut().zip(&z[1..]).for_each(|(g, b)| *g = -w * b);
            }
        }
        fn hvp(&self, at: &Residuals<f64>, v: &[f64], out: &mut [f64]) {
            let rows = at.points.chunks_exact(self.0).zip(v.chunks_exact(self.0));
            for ((z, v), out) in rows.zip(out.chunks_exact_mut(self.0)) {
                let w = (-2.0 * z[0]).exp();
                let squares: f64 = z[1..].iter().map(|b| b * b).sum();
                let along: f64 = z[1..].iter().zip(&v[1..]).map(|(b, v)| b * v).sum();
                out[0] = -v[0] - 2.0 * w * squares * v[0] + 2.0 * w * along;
                for i in 1..self.0 {
                    out[i] = 2.0 * w * z[i] * v[0] - w * v[i];
                }
            }
        }
    }

    /// A funnel seen through a random map and a mix that is not symmetric.
    fn seen() -> (Transport, Arc<dyn LogDensity<f64>>) {
        let inner: Arc<dyn LogDensity<f64>> = Arc::new(Funnel(4));
        let mut mix = vec![0.0; 16];
        (0..4).for_each(|i| mix[5 * i] = 1.0 + 0.1 * i as f64);
        (mix[1], mix[11]) = (0.4, -0.3);
        let log_det = (0..4).map(|i| mix[5 * i].ln()).sum();
        let affine = Coordinates {
            shift: vec![0.1, -0.2, 0.3, 0.0],
            scale: vec![0.5, 1.0, 2.0, 1.5],
            mix: Some((mix, log_det)),
        };
        (Transport::new(affine, random(4, 2, 3)), inner)
    }

    const POINTS: [f64; 8] = [0.3, -0.8, 1.1, 0.4, -1.2, 0.5, 0.2, -0.9];

    #[test]
    fn score_and_product_agree_with_differences() {
        let (transport, inner) = seen();
        let density = transport.density(&inner);
        let v = [0.7, -0.2, 0.4, 1.0, -0.5, 0.9, 0.1, 0.6];
        let mut keep = Residuals::default();
        let (mut score, mut product) = ([0.0; 8], [0.0; 8]);
        density.score_keep(&POINTS, &mut score, &mut keep);
        density.hvp(&keep, &v, &mut product);
        let at = |delta: f64| {
            let x: Vec<f64> = POINTS.iter().zip(v).map(|(x, v)| x + delta * v).collect();
            let (mut log_p, mut score) = ([0.0; 2], [0.0; 8]);
            density.score(&x, &mut log_p, &mut score);
            let mut again = [0.0; 2];
            density.log_density(&x, &mut again);
            assert_eq!(again, log_p);
            (log_p, score)
        };
        let (plus, minus) = (at(1e-5), at(-1e-5));
        for b in 0..2 {
            let slope: f64 = (4 * b..4 * b + 4).map(|i| score[i] * v[i]).sum();
            let difference = (plus.0[b] - minus.0[b]) / 2e-5;
            assert!(
                (slope - difference).abs() < 1e-7 * (1.0 + slope.abs()),
                "{slope} {difference}"
            );
        }
        for (i, product) in product.into_iter().enumerate() {
            let difference = (plus.1[i] - minus.1[i]) / 2e-5;
            let close = (product - difference).abs() < 1e-7 * (1.0 + difference.abs());
            assert!(close, "{i}: {product} {difference}");
        }
    }

    #[test]
    fn points_keep_their_density() {
        let (transport, inner) = seen();
        let (z, log_det) = transport.apply(&inner, &POINTS);
        let (mut of_x, mut of_z) = ([0.0; 2], [0.0; 2]);
        transport.density(&inner).log_density(&POINTS, &mut of_x);
        inner.log_density(&z, &mut of_z);
        for b in 0..2 {
            assert!((of_x[b] - of_z[b] - log_det[b]).abs() < 1e-12, "{of_x:?} {of_z:?}");
        }
    }
}
