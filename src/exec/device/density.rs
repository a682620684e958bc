//! The log density of a model on a device: value, score and Hessian-vector product as dfdx tensors.
//!
//! In:  the function that [`CompiledDensity`](crate::exec::density::CompiledDensity) is made of.
//! Out: programs for points `[B, D]`, split where that one splits: what the product reads of the points is
//! computed once, by [`DeviceDensity::score_keep`].

use std::sync::Arc;

use dfdx::prelude::{Cpu, Device, HasShape, ReshapeTo, Tensor};

use super::array::{Array, Number};
use super::program::{NotOnDevice, Program, Value};
use crate::exec::density::split_at_v;
use crate::ir::{Function, Output};

/// A batch of points or vectors, `[B, D]`, off any tape.
pub type Points<E, D> = Tensor<(usize, usize), E, D>;

/// What a score evaluation keeps for the Hessian-vector products that follow it.
#[derive(Debug, Clone)]
pub struct Kept<E: Number, D: Device<E>>(Vec<Value<E, D>>);

/// The function of a log density, for those who need not know what it looks like.
#[derive(Debug, Clone)]
pub struct Source(Arc<Function>);

impl Source {
    /// Of the function that [`DeviceDensity::new`] takes.
    #[must_use]
    pub fn new(f: &Arc<Function>) -> Self {
        Source(Arc::clone(f))
    }

    /// The first operation that has no form on a device, if there is one.
    #[must_use]
    pub fn refusal(&self) -> Option<NotOnDevice> {
        // What has a form does not depend on the device.
        self.density::<f64, Cpu>(&Cpu::default()).err()
    }

    /// The density on a device.
    ///
    /// # Errors
    /// As [`DeviceDensity::new`].
    pub fn density<E: Number, D: Device<E>>(
        &self,
        dev: &D,
    ) -> Result<DeviceDensity<E, D>, NotOnDevice> {
        DeviceDensity::new(dev, &self.0)
    }
}

/// A log density without held inputs, on a device.
#[derive(Debug)]
pub struct DeviceDensity<E: Number, D: Device<E>> {
    dim: usize,
    dev: D,
    log_density: Program<E, D>,
    score: Program<E, D>,
    score_keep: Program<E, D>,
    hvp: Program<E, D>,
}

impl<E: Number, D: Device<E>> DeviceDensity<E, D> {
    /// Prepares a function of `theta: real[D]` and `v: real[D]` with outputs `log_joint`, `score` and `hvp`.
    ///
    /// # Errors
    /// An operation that has no form on a device.
    ///
    /// # Panics
    /// When the function lacks an input or output.
    pub fn new(dev: &D, f: &Function) -> Result<Self, NotOnDevice> {
        let input = |name: &str| f.input(name).expect("bug in ppl: an input of a log joint");
        let output = |name: &str| {
            let found = f.outputs.iter().find(|o| o.name == name);
            found.cloned().expect("bug in ppl: an output of a log joint")
        };
        let (theta, v) = (input("theta"), input("v"));
        let (log_joint, score, hvp) = (output("log_joint"), output("score"), output("hvp"));
        let split = split_at_v(f, hvp.value, theta, v);
        let mut kept = vec![score.clone()];
        kept.extend(split.residuals.iter().map(|&value| Output { name: String::new(), value }));
        let program = |outputs: Vec<Output>| Program::new(dev, &f.extract(outputs));
        Ok(DeviceDensity {
            dim: f.inputs[theta].ty.len(),
            dev: dev.clone(),
            log_density: program(vec![log_joint.clone()])?,
            score: program(vec![log_joint, score])?,
            score_keep: program(kept)?,
            hvp: Program::new(dev, &split.function)?,
        })
    }

    /// The dimension `D`.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Where it is.
    #[must_use]
    pub fn device(&self) -> &D {
        &self.dev
    }

    /// `log p(z_b): [B]`.
    #[must_use]
    pub fn log_density(&self, z: &Points<E, D>) -> Tensor<(usize,), E, D> {
        let out = self.log_density.run(&self.inputs(z));
        self.column(&out[0], z)
    }

    /// `log p(z_b): [B]` and `∇ log p(z_b): [B, D]`.
    #[must_use]
    pub fn score(&self, z: &Points<E, D>) -> (Tensor<(usize,), E, D>, Points<E, D>) {
        let out = self.score.run(&self.inputs(z));
        (self.column(&out[0], z), self.points(&out[1], z))
    }

    /// `∇ log p(z_b): [B, D]`, and what [`hvp`](Self::hvp) needs at these points.
    #[must_use]
    pub fn score_keep(&self, z: &Points<E, D>) -> (Points<E, D>, Kept<E, D>) {
        let mut out = self.score_keep.run(&self.inputs(z));
        let kept = out.split_off(1);
        (self.points(&out[0], z), Kept(kept))
    }

    /// `∇² log p(z_b) v_b: [B, D]` at the points that `kept` is of.
    #[must_use]
    pub fn hvp(&self, kept: &Kept<E, D>, v: &Points<E, D>) -> Points<E, D> {
        let mut inputs = kept.0.clone();
        inputs.push(Value::Array(Array::transposed(v.clone())));
        let out = self.hvp.run(&inputs);
        self.points(&out[0], v)
    }

    /// `theta`, and in the place of `v`, which nothing reads, the same.
    fn inputs(&self, z: &Points<E, D>) -> [Value<E, D>; 2] {
        let theta = Value::Array(Array::transposed(z.clone()));
        [theta.clone(), theta]
    }

    fn column(&self, out: &Value<E, D>, of: &Points<E, D>) -> Tensor<(usize,), E, D> {
        let lanes = of.shape().0;
        let numbers = out.array().expect("bug in ppl: a log joint is a number");
        numbers.to_shape((1, lanes)).0.reshape_like(&(lanes,))
    }

    fn points(&self, out: &Value<E, D>, of: &Points<E, D>) -> Points<E, D> {
        let (lanes, dim) = *of.shape();
        let numbers = out.array().expect("bug in ppl: there are parameters");
        Array::transposed(numbers.to_shape((dim, lanes)).0).0
    }
}
