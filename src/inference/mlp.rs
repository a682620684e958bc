//! The multilayer perceptron with `relu` between its layers, as one operation on dfdx's tape.
//!
//! Forward and backward are a matrix product per layer and a pass over its output: buffers come from
//! a pool, biases are where products start from, and of the gradients only those are computed that
//! someone wants: none of the input's where that is a constant, none of the weights' where they are.
//! Layer by layer through dfdx, which is what runs on a device, takes three times as long.

use dfdx::prelude::{Merge, SplitTape};
use faer::{Accum, MatMut, MatRef};
use rand::RngCore;

use super::backend::Backend;
use super::network::{Init, Linear};
use super::node::Node;
#[cfg(test)]
use super::optimizer::Handle;
use super::optimizer::Parameters;
use super::tape::{Element, Matrix, Pooled, SharedTape};
use super::vector::{add_columns, keep_positive, relu, set_products};
use crate::real::Real;

/// A chain of [`Linear`] layers with `relu` between them, such as the networks of SIVI-SM.
#[derive(Debug, Clone)]
pub struct ReluMlp {
    /// The layers, first to last.
    pub layers: Vec<Linear>,
}

impl ReluMlp {
    /// Layers of widths `sizes` (input first, output last), PyTorch's initial values.
    pub fn new<B: Backend>(
        parameters: &mut Parameters<B>,
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

    /// Handles of all parameters.
    #[cfg(test)]
    pub fn handles(&self) -> impl Iterator<Item = Handle> {
        self.layers.iter().flat_map(|layer| [layer.weight, layer.bias])
    }

    /// Multiplies what the network puts out by `factor`.
    pub fn shrink<B: Backend>(&self, parameters: &mut Parameters<B>, factor: f64) {
        for handle in self.layers.last().iter().flat_map(|last| [last.weight, last.bias]) {
            let mut values = parameters.values(handle);
            values.iter_mut().for_each(|x| *x *= Real::of(factor));
            parameters.set(handle, &values);
        }
    }

    /// The network at each row of `x: [B, in]`; with `tape` [off](SharedTape::off) the weights are
    /// constants.
    #[must_use]
    pub fn forward<B: Backend>(
        &self,
        parameters: &Parameters<B>,
        x: &B::Node,
        tape: &SharedTape<B>,
    ) -> B::Node {
        B::relu_mlp(self, parameters, x, tape)
    }

    /// The same layer by layer through dfdx.
    #[must_use]
    pub fn plain<B: Backend>(
        &self,
        parameters: &Parameters<B>,
        x: Matrix<B>,
        tape: &SharedTape<B>,
    ) -> Matrix<B> {
        self.layers.iter().enumerate().fold(x, |h, (k, layer)| {
            let y = layer.forward(parameters, h, tape);
            if k + 1 < self.layers.len() { y.relu() } else { y }
        })
    }

    /// The same as one operation.
    #[must_use]
    pub fn fused<E: Element>(
        &self,
        parameters: &Parameters<E>,
        x: &Node<E>,
        tape: &SharedTape<E>,
    ) -> Node<E> {
        let rows = x.shape().0;
        let mut hidden: Vec<Pooled<E>> = Vec::with_capacity(self.layers.len());
        let mut weights = Vec::with_capacity(self.layers.len());
        for (k, layer) in self.layers.iter().enumerate() {
            let weight = parameters.numbers(layer.weight);
            let mut y = layer.start(&parameters.numbers(layer.bias), rows);
            let (m, n) = layer.shape;
            let h = hidden.last().map_or(x.numbers(), |h| h);
            E::product(
                MatMut::from_row_major_slice_mut(&mut y, rows, n),
                Accum::Add,
                MatRef::from_row_major_slice(h, rows, m),
                MatRef::from_row_major_slice(&weight, m, n),
            );
            if k + 1 < self.layers.len() {
                relu(&mut y);
            }
            hidden.push(y);
            let ghost = |handle| parameters.vector(handle, tape).split_tape().0.ghost();
            weights.push((layer.shape, weight, ghost(layer.weight), ghost(layer.bias)));
        }
        let Some(out) = hidden.pop() else { return x.clone() };
        let columns = out.len() / rows.max(1);
        let out = Node::on(x.tape().merge(tape.clone()), out, (rows, columns));
        let (x, of_weights) = (x.operand(), tape.is_recording());
        out.record(move |grads, mut g| {
            while let Some(((m, n), weight, w_ghost, b_ghost)) = weights.pop() {
                let below = hidden.pop();
                let h = below.as_deref().unwrap_or(x.numbers());
                if of_weights {
                    grads.try_alloc_for(&w_ghost)?;
                    grads.try_alloc_for(&b_ghost)?;
                    E::product(
                        MatMut::from_row_major_slice_mut(grads.get_or_alloc_mut(&w_ghost)?, m, n),
                        Accum::Add,
                        MatRef::from_row_major_slice(h, rows, m).transpose(),
                        MatRef::from_row_major_slice(&g, rows, n),
                    );
                    let bias: &mut [E] = grads.get_or_alloc_mut(&b_ghost)?;
                    add_columns(bias, &g, None);
                }
                if below.is_none() && !x.is_tracked() {
                    break;
                }
                let mut down = Pooled::new(rows * m);
                E::product(
                    MatMut::from_row_major_slice_mut(&mut down, rows, m),
                    Accum::Replace,
                    MatRef::from_row_major_slice(&g, rows, n),
                    MatRef::from_row_major_slice(&weight, m, n).transpose(),
                );
                match below {
                    Some(h) => keep_positive(&mut down, &h),
                    None => {
                        x.give(down);
                        break;
                    }
                }
                g = down;
            }
            Ok(())
        });
        out
    }
}

impl Linear {
    /// Rows of biases, `[rows, out]`: what `x W` is added to.
    fn start<E: Element>(&self, bias: &[E], rows: usize) -> Pooled<E> {
        let mut y = Pooled::new(rows * self.shape.1);
        set_products(&mut y, &[(Some(bias), None)]);
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::network::normals;
    use crate::inference::tape::{Grads, backward, tensor};
    use dfdx::prelude::{PutTape, Rank0, SumTo};

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
                    true => mlp.forward(&parameters, &Node::of(x), &on(of_weights)).tensor(),
                    false => mlp.plain(&parameters, x, &on(of_weights)),
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
