//! The multilayer perceptron with `relu` between its layers, as one operation on dfdx's tape.
//!
//! Forward and backward are a matrix product per layer and a pass over its output: buffers come from
//! a pool, biases are where products start from, and of the gradients only those are computed that
//! someone wants: none of the input's where that is a constant, none of the weights' where they are.
//! Layer by layer through dfdx, which the tests compare with, takes three times as long.

use dfdx::prelude::{HasShape, PutTape, ReshapeTo, SplitTape, Tape};
use faer::{Accum, MatMut, MatRef};
use rand::RngCore;

use super::network::{Init, Linear};
use super::optimizer::Parameters;
use super::tape::{Element, Matrix, Pooled, SharedTape, tensor};
use super::vector::{add, add_columns, keep_positive, relu, set_products};

/// A chain of [`Linear`] layers with `relu` between them, such as the networks of SIVI-SM.
#[derive(Debug, Clone)]
pub struct ReluMlp {
    /// The layers, first to last.
    pub layers: Vec<Linear>,
}

impl ReluMlp {
    /// Layers of widths `sizes` (input first, output last), PyTorch's initial values.
    pub fn new<E: Element>(
        parameters: &mut Parameters<E>,
        group: usize,
        sizes: &[usize],
        rng: &mut impl RngCore,
    ) -> Self {
        let layers = sizes
            .windows(2)
            .map(|w| Linear::new(parameters, group, (w[0], w[1]), Init::FanIn, rng))
            .collect();
        ReluMlp { layers }
    }

    /// Multiplies what the network puts out by `factor`.
    pub fn shrink<E: Element>(&self, parameters: &mut Parameters<E>, factor: f64) {
        for handle in self.layers.last().iter().flat_map(|last| [last.weight, last.bias]) {
            let mut values = parameters.values(handle);
            values.iter_mut().for_each(|x| *x *= E::of(factor));
            parameters.set(handle, &values);
        }
    }

    /// The network at each row of `x: [B, in]`; with `tape` [off](SharedTape::off) the weights are
    /// constants.
    #[must_use]
    pub fn forward<E: Element>(
        &self,
        parameters: &Parameters<E>,
        x: Matrix<E>,
        tape: &SharedTape<E>,
    ) -> Matrix<E> {
        let (rows, inputs) = *x.shape();
        let (x, input_tape) = x.contiguous().split_tape();
        let (of_input, of_weights) = (input_tape.is_recording(), tape.is_recording());
        let mut h = Pooled::new(rows * inputs);
        x.copy_into(&mut h);
        let mut kept = Vec::new();
        for (k, layer) in self.layers.iter().enumerate() {
            let weight = parameters.numbers(layer.weight);
            let mut y = layer.start(&parameters.numbers(layer.bias), rows);
            let (m, n) = layer.shape;
            E::product(
                MatMut::from_row_major_slice_mut(&mut y, rows, n),
                Accum::Add,
                MatRef::from_row_major_slice(&h, rows, m),
                MatRef::from_row_major_slice(&weight, m, n),
            );
            if k + 1 < self.layers.len() {
                relu(&mut y);
            }
            let input = std::mem::replace(&mut h, y);
            if of_input || of_weights {
                let ghost = |handle| parameters.vector(handle, tape).split_tape().0.ghost();
                let ghosts = (ghost(layer.weight), ghost(layer.bias));
                kept.push((layer.shape, input, weight, ghosts));
            }
        }
        let out = tensor(&h, (rows, self.layers.last().map_or(inputs, |l| l.shape.1)));
        if !of_input && !of_weights {
            return out.put_tape(SharedTape::off());
        }
        let mut joint = if of_input { input_tape } else { tape.clone() };
        let (x_ghost, out_ghost) = (x.ghost(), out.ghost());
        let mut g = h;
        joint.add_backward_op(move |grads| {
            let upstream: &mut [E] = grads.get_or_alloc_mut(&out_ghost)?;
            g.copy_from_slice(upstream);
            while let Some(((m, n), h, weight, (w_ghost, b_ghost))) = kept.pop() {
                if of_weights {
                    grads.try_alloc_for(&w_ghost)?;
                    grads.try_alloc_for(&b_ghost)?;
                    E::product(
                        MatMut::from_row_major_slice_mut(grads.get_or_alloc_mut(&w_ghost)?, m, n),
                        Accum::Add,
                        MatRef::from_row_major_slice(&h, rows, m).transpose(),
                        MatRef::from_row_major_slice(&g, rows, n),
                    );
                    let bias: &mut [E] = grads.get_or_alloc_mut(&b_ghost)?;
                    add_columns(bias, n, &g, None);
                }
                let first = kept.is_empty();
                if first && !of_input {
                    break;
                }
                let mut down = Pooled::new(rows * m);
                E::product(
                    MatMut::from_row_major_slice_mut(&mut down, rows, m),
                    Accum::Replace,
                    MatRef::from_row_major_slice(&g, rows, n),
                    MatRef::from_row_major_slice(&weight, m, n).transpose(),
                );
                if first {
                    grads.try_alloc_for(&x_ghost)?;
                    let input: &mut [E] = grads.get_or_alloc_mut(&x_ghost)?;
                    add(input, &down);
                } else {
                    keep_positive(&mut down, &h);
                }
                g = down;
            }
            Ok(())
        });
        out.put_tape(joint)
    }
}

impl Linear {
    /// Rows of biases, `[rows, out]`: what `x W` is added to.
    fn start<E: Element>(&self, bias: &[E], rows: usize) -> Pooled<E> {
        let mut y = Pooled::new(rows * self.shape.1);
        set_products(&mut y, self.shape.1, &[(Some(bias), None)]);
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::network::normals;
    use crate::inference::tape::{Grads, backward};
    use dfdx::prelude::{Rank0, SumTo};

    /// Layer by layer through dfdx.
    fn plain(
        mlp: &ReluMlp,
        parameters: &Parameters<f64>,
        x: Matrix<f64>,
        tape: &SharedTape<f64>,
    ) -> Matrix<f64> {
        mlp.layers.iter().enumerate().fold(x, |h, (k, layer)| {
            let y = layer.forward(parameters, h, tape);
            if k + 1 < mlp.layers.len() { y.relu() } else { y }
        })
    }

    #[test]
    fn the_fused_network_is_the_plain_one() {
        let mut rng = crate::random::stream(4, "mlp test");
        let mut parameters = Parameters::<f64>::default();
        let mlp = ReluMlp::new(&mut parameters, 0, &[3, 17, 9, 2], &mut rng);
        let input = tensor(&normals::<f64>(15, 1.0, &mut rng), (5, 3));
        let weight = tensor(&normals::<f64>(10, 1.0, &mut rng), (5, 2));
        // Whether input and weights are on the tape; both networks twice on it, so that gradients add.
        for (of_input, of_weights) in [(true, true), (true, false), (false, true)] {
            let run = |fused: bool| {
                let tape = SharedTape::recording();
                let on = |yes: bool| if yes { tape.clone() } else { SharedTape::off() };
                let x: Matrix<f64> = input.clone().put_tape(on(of_input));
                let f = |x| match fused {
                    true => mlp.forward(&parameters, x, &on(of_weights)),
                    false => plain(&mlp, &parameters, x, &on(of_weights)),
                };
                let w: Matrix<f64> = weight.clone().put_tape(SharedTape::off());
                let y = f(x.clone() * 0.5) * w + f(x).square();
                (y.as_vec(), backward(y.sum::<Rank0, _>()).unwrap())
            };
            let ((value, mut grads), (expected, mut wanted)) = (run(true), run(false));
            let same = |a: &[f64], b: &[f64]| {
                assert_eq!(a.len(), b.len());
                let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12 * (1.0 + b.abs());
                assert!(a.iter().zip(b).all(near), "{a:?} {b:?}");
            };
            same(&value, &expected);
            if of_input {
                let of = |g: &mut Grads<f64>| g.get_or_alloc_mut(&input).unwrap().to_vec();
                same(&of(&mut grads), &of(&mut wanted));
            }
            for layer in &mlp.layers {
                for handle in [layer.weight, layer.bias] {
                    let (a, b) = (
                        parameters.gradient(handle, &mut grads),
                        parameters.gradient(handle, &mut wanted),
                    );
                    assert_eq!(of_weights, a.iter().any(|g| *g != 0.0));
                    if of_weights {
                        same(&a, &b);
                    }
                }
            }
        }
    }
}
