//! Layers and the residual score network: sizes known at run time, weights in a [`Parameters`].
//!
//! Weights are `[in, out]`, row-major, applied as `x W + b`. The multilayer perceptron is in `mlp`.

use dfdx::prelude::{Axes2, Axis, BroadcastTo, HasShape, ReshapeTo, TryMatMul};
use rand::RngCore;
use rand_distr::{Distribution, StandardNormal, Uniform};

use super::backend::{Backend, Node};
use super::fused::{Second, Term};
use super::optimizer::{Handle, Parameters};
use super::tape::{Element, Matrix, SharedTape, Vector};
use crate::real::Real;

/// How the weights of a [`Linear`] start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// PyTorch's default: weights and biases uniform on `±1/√in`.
    FanIn,
    /// Glorot-normal weights (variance `2/(in + out)`), biases `0.01 · N(0, 1)`: the authors' choice
    /// for Langevin score networks \[geffner2023\].
    GlorotNormal,
}

/// An affine layer `x W + b`, from `[B, in]` to `[B, out]`.
#[derive(Debug, Clone, Copy)]
pub struct Linear {
    /// Weights, `[in, out]`.
    pub weight: Handle,
    /// Biases, `[out]`.
    pub bias: Handle,
    /// `(in, out)`.
    pub shape: (usize, usize),
}

impl Linear {
    /// A layer with new parameters in `group`.
    pub fn new<B: Backend>(
        parameters: &mut Parameters<B>,
        group: usize,
        shape: (usize, usize),
        init: Init,
        rng: &mut impl RngCore,
    ) -> Self {
        let (inputs, outputs) = shape;
        let (weight, bias) = match init {
            Init::FanIn => {
                let bound = 1.0 / (inputs as f64).sqrt();
                let uniform = Uniform::new_inclusive(-bound, bound);
                let mut draw = |n| (0..n).map(|_| Real::of(uniform.sample(rng))).collect();
                let weight: Vec<B::Number> = draw(inputs * outputs);
                (weight, draw(outputs))
            }
            Init::GlorotNormal => {
                let sd = (2.0 / (inputs + outputs) as f64).sqrt();
                let weight = normals(inputs * outputs, sd, rng);
                (weight, normals(outputs, 0.01, rng))
            }
        };
        Linear {
            weight: parameters.add("weight", group, weight),
            bias: parameters.add("bias", group, bias),
            shape,
        }
    }

    /// `x W + b` for `x: [B, in]`.
    #[must_use]
    pub fn forward<B: Backend>(
        &self,
        parameters: &Parameters<B>,
        x: Matrix<B>,
        tape: &SharedTape<B>,
    ) -> Matrix<B> {
        let y = x.matmul(parameters.matrix(self.weight, self.shape, tape));
        let bias = parameters.vector(self.bias, tape).broadcast_like::<_, Axis<0>>(y.shape());
        y + bias
    }
}

/// `n` draws from `N(0, sd²)`.
pub fn normals<E: Element>(n: usize, sd: f64, rng: &mut impl RngCore) -> Vec<E> {
    (0..n).map(|_| StandardNormal.sample(rng)).map(|x: f64| E::of(sd * x)).collect()
}

/// Widest residual blocks. The published tasks need at most 160 columns; at thousands, blocks as wide as the
/// input have more weights than the paths of a whole training can teach.
const WIDEST: usize = 512;

/// Two residual blocks `h + softplus(h W + b)` as wide as the input, then a linear layer, times one
/// trained factor that starts at 0: the score network of [geffner2023, app. D]. To an input of more than
/// 512 numbers, narrower blocks come after a linear layer.
#[derive(Debug, Clone, Copy)]
pub struct ResidualSoftplus {
    /// Weights `[inputs, 512]` that make a wide input narrower.
    narrow: Option<(Handle, (usize, usize))>,
    /// The two blocks and the output layer.
    pub layers: [Linear; 3],
    /// The factor.
    pub scale: Handle,
}

impl ResidualSoftplus {
    /// A network from `[B, inputs]` to `[B, outputs]`.
    pub fn new<B: Backend>(
        parameters: &mut Parameters<B>,
        group: usize,
        inputs: usize,
        outputs: usize,
        rng: &mut impl RngCore,
    ) -> Self {
        let width = inputs.min(WIDEST);
        let narrow = (width < inputs).then(|| {
            let weight = normals(inputs * width, (1.0 / inputs as f64).sqrt(), rng);
            (parameters.add("narrow", group, weight), (inputs, width))
        });
        let mut layer = |shape| Linear::new(parameters, group, shape, Init::GlorotNormal, rng);
        let layers = [layer((width, width)), layer((width, width)), layer((width, outputs))];
        let scale = parameters.add("scale", group, vec![Real::of(0.0)]);
        ResidualSoftplus { narrow, layers, scale }
    }

    /// The network at each row of `x: [B, inputs]`.
    #[must_use]
    pub fn forward<B: Backend>(
        &self,
        parameters: &Parameters<B>,
        x: &B::Node,
        tape: &SharedTape<B>,
    ) -> B::Node {
        let row = |handle, n| parameters.matrix(handle, (1, n), tape);
        let matrix = |handle, shape| B::trained(parameters, handle, shape, tape);
        let weight = |layer: Linear| matrix(layer.weight, layer.shape);
        let [first, second, last] = self.layers;
        let block = |h: &B::Node, layer: Linear| {
            B::residual_softplus(h, &weight(layer), &matrix(layer.bias, (1, layer.shape.1)))
        };
        let narrow = self.narrow.map(|(w, shape)| B::product(x, &matrix(w, shape), Second::Plain));
        let h = block(&block(narrow.as_ref().unwrap_or(x), first), second);
        let y = B::product(&h, &weight(last), Second::Plain);
        let scale = row(self.scale, 1);
        let outputs = (1, last.shape.1);
        let bias = row(last.bias, outputs.1)
            * broadcast_scalar(scale.clone().reshape_like(&(1,)), outputs);
        let (scale, bias) = (B::Node::of(scale), B::Node::of(bias));
        B::combine(y.shape(), &[Term::Scaled(&scale, 0, &y), Term::Offset(&bias, 0)])
    }
}

/// A tensor of one element, repeated to `shape`.
#[must_use]
pub fn broadcast_scalar<B: Backend>(x: Vector<B>, shape: (usize, usize)) -> Matrix<B> {
    x.reshape_like(&()).broadcast_like::<_, Axes2<0, 1>>(&shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::mlp::ReluMlp;
    use crate::inference::node::Node;
    use crate::inference::tape::{backward, tensor};
    use dfdx::prelude::{PutTape, Rank0, SumTo};

    #[test]
    fn gradients_of_networks_agree_with_differences() {
        let mut rng = crate::random::stream(3, "network test");
        let mut p = Parameters::<f64>::default();
        let res = ResidualSoftplus::new(&mut p, 0, 3, 2, &mut rng);
        p.set(res.scale, &[0.7]);
        let wide = ResidualSoftplus::new(&mut p, 0, 3 + WIDEST, 3, &mut rng);
        p.set(wide.scale, &[0.4]);
        let mlp = ReluMlp::new(&mut p, 0, &[2, 5, 1], &mut rng);
        let input: Vec<f64> = normals(4 * (3 + WIDEST), 1.0, &mut rng);
        let loss = |p: &Parameters<f64>, tape: &SharedTape<f64>| {
            let x = tensor(&input, (4, 3 + WIDEST)).put_tape(SharedTape::off());
            let narrow = wide.forward(p, &Node::of(x), tape);
            mlp.forward(p, &res.forward(p, &narrow, tape), tape).tensor().square().sum::<Rank0, _>()
        };
        let mut grads = backward(loss(&p, &SharedTape::recording())).unwrap();
        for h in [
            wide.narrow.unwrap().0,
            wide.layers[2].weight,
            res.layers[0].weight,
            res.layers[1].bias,
            res.scale,
            mlp.layers[0].weight,
            mlp.layers[1].bias,
        ] {
            let g = p.gradient(h, &mut grads);
            let x = p.values(h);
            for i in (0..x.len()).step_by(1 + x.len() / 30) {
                let mut at = |d: f64| {
                    let mut y = x.clone();
                    y[i] += d;
                    p.set(h, &y);
                    loss(&p, &SharedTape::off()).as_vec()[0]
                };
                let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
                assert!(
                    (g[i] - difference).abs() < 1e-6 * (1.0 + difference.abs()),
                    "{} {difference}",
                    g[i]
                );
                p.set(h, &x);
            }
        }
    }
}
