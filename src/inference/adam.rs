//! The arithmetic of an Adam step.

use pulp::{Simd, WithSimd};

use crate::exec::element::Element;
use crate::simd::arch;

/// `Σ g²` in `f64`, in eight sums that do not wait for each other.
pub(super) fn sum_of_squares<E: Element>(g: &[E]) -> f64 {
    arch().dispatch(SumOfSquares(g))
}

struct SumOfSquares<'a, E>(&'a [E]);

impl<E: Element> WithSimd for SumOfSquares<'_, E> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let mut sums = [0.0; 8];
        let (blocks, rest) = self.0.as_chunks::<8>();
        for block in blocks {
            sums = std::array::from_fn(|i| sums[i] + block[i].f64() * block[i].f64());
        }
        sums.iter().sum::<f64>() + rest.iter().map(|g| g.f64() * g.f64()).sum::<f64>()
    }
}

/// Moments below these are zero: they move nothing beside any usual `ε`, and the denormal numbers that
/// the moments of an idle weight would end in are slow.
const IDLE: [f64; 2] = [1e-20, 1e-35];

/// What one step of Adam depends on beside gradient and moments.
#[derive(Debug, Clone, Copy)]
pub struct Adam {
    /// Learning rate.
    pub rate: f64,
    /// Decay rates of the moments.
    pub betas: [f64; 2],
    /// `ε`.
    pub epsilon: f64,
    /// Steps including this one.
    pub steps: i32,
    /// Factor on the gradient.
    pub shorten: f64,
}

impl Adam {
    /// Moves `x` by a step against the gradient `g` [kingma2015, algorithm 1].
    pub(super) fn step<E: Element>(&self, x: &mut [E], g: &[E], moments: [&mut [E]; 2]) {
        arch().dispatch(Step { adam: self, x, g, moments });
    }
}

struct Step<'a, E> {
    adam: &'a Adam,
    x: &'a mut [E],
    g: &'a [E],
    moments: [&'a mut [E]; 2],
}

impl<E: Element> WithSimd for Step<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Step { adam, x, g, moments: [first, second] } = self;
        let [b1, b2] = adam.betas.map(E::of);
        let [a1, a2] = adam.betas.map(|b| E::of(1.0 - b));
        let [c1, c2] = adam.betas.map(|b| E::of((1.0 - b.powi(adam.steps)).recip()));
        let [idle1, idle2] = IDLE.map(E::of);
        let (rate, epsilon, shorten) = (E::of(adam.rate), E::of(adam.epsilon), E::of(adam.shorten));
        for (((x, g), m), v) in x.iter_mut().zip(g).zip(first).zip(second) {
            let gradient = *g * shorten;
            let (next_m, next_v) = (b1 * *m + a1 * gradient, b2 * *v + a2 * gradient * gradient);
            *m = if next_m.abs() < idle1 { E::zero() } else { next_m };
            *v = if next_v < idle2 { E::zero() } else { next_v };
            *x -= rate * (c1 * *m) / ((c2 * *v).sqrt() + epsilon);
        }
    }
}

#[cfg(test)]
mod tests {
    use dfdx::prelude::{AdamConfig, Storage};

    use super::*;
    use crate::inference::tape::{device, tensor};

    #[test]
    fn steps_are_those_of_dfdx() {
        let betas = [0.9, 0.99];
        let config = AdamConfig { lr: 0.01, betas, eps: 1e-8, weight_decay: None };
        let mut theirs = tensor(&[0.0_f64; 3], (3,));
        let (mut m1, mut v1) = (vec![0.0; 3], vec![0.0; 3]);
        let (mut m2, mut v2) = (m1.clone(), v1.clone());
        let mut ours = [0.0; 3];
        let buffer = |x: &[f64]| {
            let mut b = device::<f64>().try_alloc_len(x.len()).unwrap();
            b.copy_from_slice(x);
            b
        };
        let (mut mb, mut vb) = (buffer(&m1), buffer(&v1));
        for steps in 1..50 {
            let g = [0.3, -1e-3, 0.0].map(|g| g * f64::from(steps % 7));
            config.try_update(steps, &mut theirs, &mut mb, &mut vb, &buffer(&g)).unwrap();
            Adam { rate: 0.01, betas, epsilon: 1e-8, steps, shorten: 1.0 }.step(
                &mut ours,
                &g,
                [&mut m2, &mut v2],
            );
        }
        m1.copy_from_slice(&mb);
        v1.copy_from_slice(&vb);
        for (a, b) in [(&theirs.as_vec(), &ours.to_vec()), (&m1, &m2), (&v1, &v2)] {
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-14), "{a:?} {b:?}");
        }
    }

    #[test]
    fn moments_of_an_idle_weight_become_zero() {
        let adam =
            |steps| Adam { rate: 0.01, betas: [0.9, 0.99], epsilon: 1e-8, steps, shorten: 1.0 };
        let (mut m, mut v) = ([0.0_f32], [0.0_f32]);
        adam(1).step(&mut [0.0], &[1.0_f32], [&mut m, &mut v]);
        for steps in 2..10_000 {
            adam(steps).step(&mut [0.0], &[0.0_f32], [&mut m, &mut v]);
            assert!(!m[0].is_subnormal() && !v[0].is_subnormal(), "{m:?} {v:?}");
        }
        assert_eq!((m, v), ([0.0], [0.0]));
    }
}
