//! Standard normals that are made on the device.
//!
//! Uniform numbers are Wichmann and Hill's, the fraction of the sum of three multiplicative congruential
//! sequences [wichmann1982, sec. 2]: their products stay below 2²⁴, so that they are exact in `f32` as well,
//! and the arithmetic of tensors is all that they need. Every element of a matrix has two such generators,
//! whose first states come from the run's random stream, once; a draw takes each of them one number on.
//! Normals are Box and Muller's.
//!
//! That is enough for the noise of gradients, which is all that it is for: draws and assessments are made on
//! the CPU. The state is how often each size was drawn; a checkpoint leads to the same numbers.

use std::collections::BTreeMap;

use dfdx::prelude::{PutTape, ReshapeTo};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::device::{DeviceNode, On, Place, table};
use super::{Normals, Pairs};
use crate::exec::device::Array;
use crate::inference::tape::{Element, SharedTape};
use crate::random::stream;

/// Multipliers and moduli of the three sequences.
const SEQUENCES: [(u64, u64); 3] = [(171, 30269), (172, 30307), (170, 30323)];

/// The stream of a seed and a name.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct DeviceNormals<E: Element, D: Place<E>> {
    seed: u64,
    name: String,
    /// How many draws of so many numbers there were.
    drawn: BTreeMap<usize, u64>,
    /// States `[6, n]` for draws of `n` numbers: the three sequences of one generator, those of the other.
    #[serde(skip)]
    states: BTreeMap<usize, Array<E, D>>,
}

impl<E: Element, D: Place<E>> std::fmt::Debug for DeviceNormals<E, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceNormals({}, {:?})", self.name, self.drawn)
    }
}

/// `base^exponent mod modulus`.
fn power(base: u64, mut exponent: u64, modulus: u64) -> u64 {
    let (mut square, mut product) = (base % modulus, 1);
    while exponent > 0 {
        if exponent % 2 == 1 {
            product = product * square % modulus;
        }
        square = square * square % modulus;
        exponent /= 2;
    }
    product
}

/// The constant column of one number for each of the two generators' sequences.
fn column<E: Element, D: Place<E>>(
    key: usize,
    number: impl Fn((u64, u64)) -> f64,
) -> std::rc::Rc<Array<E, D>> {
    table(&[4, key], || {
        let numbers: Vec<f64> =
            SEQUENCES.iter().chain(&SEQUENCES).map(|sequence| number(*sequence)).collect();
        Array::uniform(&D::current(), &numbers)
    })
}

impl<E: Element, D: Place<E>> DeviceNormals<E, D> {
    /// The states after that many draws of `n` numbers.
    fn state(&self, n: usize, draws: u64) -> Array<E, D> {
        let mut rng = stream(self.seed, &format!("{} of {n}", self.name));
        let mut numbers = Vec::with_capacity(6 * n);
        for (multiplier, modulus) in SEQUENCES.iter().chain(&SEQUENCES) {
            let jump = power(*multiplier, draws, *modulus);
            numbers.extend((0..n).map(|_| {
                let first = rng.gen_range(1..*modulus);
                E::of((first * jump % modulus) as f64)
            }));
        }
        Array::of(D::current().tensor_from_vec(numbers, (6, n)))
    }

    /// `n` standard normals, `[1, n]`.
    fn normals(&mut self, n: usize) -> Array<E, D> {
        let draws = self.drawn.get(&n).copied().unwrap_or(0);
        let state = self.states.remove(&n).unwrap_or_else(|| self.state(n, draws));
        let modulus = column(0, |(_, modulus)| modulus as f64);
        let inverse = column(1, |(_, modulus)| (modulus as f64).recip());
        let multiplier = column(2, |(multiplier, _)| multiplier as f64);
        let product = &state * &*multiplier;
        let rest = &product - (&product * &*inverse).floor() * &*modulus;
        // The quotient may have been rounded up or down to a whole number.
        let rest = Array::select(&rest.below(0.0), &(&rest + &*modulus), &rest);
        let state = Array::select(&(&rest - &*modulus).below(0.0), &rest, &(&rest - &*modulus));
        let uniform = (&state * &*inverse).sum_groups(3);
        let uniform = &uniform - uniform.floor();
        self.states.insert(n, state);
        self.drawn.insert(n, draws + 1);
        let [first, second] = [0, 1].map(|i| uniform.slice(i, 1));
        // Never zero, of which there is no logarithm.
        let least = E::epsilon().f64().max(1e-12);
        let first = Array::select(&first.below(least), &first.like(least), &first);
        (first.ln() * -2.0).sqrt() * (second * (2.0 * std::f64::consts::PI)).cos()
    }
}

impl<E: Element, D: Place<E>> Normals<On<E, D>> for DeviceNormals<E, D> {
    fn new(seed: u64, name: &str) -> Self {
        let (name, drawn, states) = (name.into(), BTreeMap::new(), BTreeMap::new());
        DeviceNormals { seed, name, drawn, states }
    }

    fn draw(&mut self, shape: (usize, usize), pairs: Pairs) -> DeviceNode<E, D> {
        let (rows, columns) = shape;
        let fresh = if pairs == Pairs::Independent { rows } else { rows.div_ceil(2) };
        let normals = self.normals(fresh * columns).tensor().clone();
        let mut out = Array::of(normals.reshape_like(&(fresh, columns)));
        if fresh < rows {
            let index = table(&[5, rows], || {
                let index: Vec<usize> = (0..rows).map(|row| row % fresh).collect();
                D::current().tensor_from_vec(index, (rows,))
            });
            out = out.rows(&index);
        }
        if pairs == Pairs::Opposite {
            let sign = table(&[6, rows], || {
                let sign = |row: usize| if row < fresh { 1.0 } else { -1.0 };
                Array::<E, D>::uniform(&D::current(), &(0..rows).map(sign).collect::<Vec<_>>())
            });
            out = out * &*sign;
        }
        DeviceNode(out.tensor().clone().put_tape(SharedTape::off()))
    }
}
