//! Draws of discrete latents given the parameters and the data, for generated quantities.
//!
//! Elimination leaves, for each site, its table given the sites that were summed out after it. So the
//! sites are drawn one after the other in the opposite order, each given those already drawn: exact
//! draws of all latents jointly. Along a chain that is forward filtering, backward sampling
//! [scott2002, sec. 2.2].

use std::collections::HashMap;

use crate::check::builtins::Builtin;
use crate::ir::{BinaryOp, Builder, DType, Op, Scan, Shape, Type, UnaryOp, ValueId};

use super::Lower;
use super::data::dtype;
use super::dependence::Site;
use super::lowerer::Lowerer;
use super::value::Val;

/// How components of one structure were summed out.
pub(super) enum Elimination {
    /// By the forward algorithm.
    Forward(Chain),
    /// In this order.
    SiteBySite(Vec<Eliminated>),
}

/// What the forward algorithm leaves.
pub(super) struct Chain {
    /// The positions of the sites in order.
    pub(super) path: Vec<usize>,
    /// `[components, values]`: the log weight of the first site.
    pub(super) first: ValueId,
    /// `[steps − 1, components, values]`: of each other site, those before it summed out.
    pub(super) filtered: ValueId,
    /// `[steps − 1, components, from, to]`: log transition weights.
    pub(super) joint: ValueId,
}

/// A site that was summed out.
pub(super) struct Eliminated {
    /// Its place in `scope`.
    pub(super) at: usize,
    /// Positions of the sites of the table, ascending.
    pub(super) scope: Vec<usize>,
    /// `[components, values…]`: what was summed.
    pub(super) table: ValueId,
}

/// Sites with the numbers of their values, `int[sites]`, counted from 0.
pub(super) type Drawn = (Vec<Site>, ValueId);

impl Lowerer<'_> {
    /// Draws the sites of components of one structure.
    pub(super) fn draw_components(
        &mut self,
        elimination: &Elimination,
        components: &[&Vec<Site>],
    ) -> Lower<Vec<Drawn>> {
        match elimination {
            Elimination::Forward(chain) => self.draw_chain(chain, components),
            Elimination::SiteBySite(order) => self.draw_sites(order, components),
        }
    }

    fn draw_sites(&mut self, order: &[Eliminated], components: &[&Vec<Site>]) -> Lower<Vec<Drawn>> {
        let count = components.len();
        let mut drawn: HashMap<usize, ValueId> = HashMap::new();
        let mut all = Vec::with_capacity(order.len());
        for Eliminated { at, scope, table } in order.iter().rev() {
            let sizes: Shape = self.b.shape(*table)[1..].into();
            let stride = |i: usize| sizes[i + 1..].iter().product::<usize>();
            let (k, whole) = (sizes[*at], sizes.iter().product::<usize>());
            // Row `c` of the table where the other sites have their values.
            let start = (0..count * k).map(|i| i / k * whole + i % k * stride(*at));
            let start = self.b.ints(start);
            let mut index = self.b.reshape(start, &[count, k]);
            for (i, site) in scope.iter().enumerate().filter(|(i, _)| i != at) {
                index = shifted(&mut self.b, index, drawn[site], stride(i));
            }
            let flat = self.b.reshape(*table, &[count * whole]);
            let logits = self.b.gather(flat, 0, index);
            let uniform = self.uniform(&[count])?;
            let value = categorical(&mut self.b, logits, uniform);
            drawn.insert(scope[*at], value);
            all.push((components.iter().map(|c| c[scope[*at]]).collect(), value));
        }
        Ok(all)
    }

    /// Forward filtering, backward sampling.
    fn draw_chain(&mut self, chain: &Chain, components: &[&Vec<Site>]) -> Lower<Vec<Drawn>> {
        let Chain { path, first, filtered, joint } = chain;
        let shape = self.b.shape(*filtered);
        let (steps, count, k) = (shape[0], shape[1], shape[2]);
        let row = |l: &mut Self, at: usize| {
            let row = l.b.slice_axis(*filtered, 0, at, at + 1);
            l.b.reshape(row, &[count, k])
        };
        let uniform = self.uniform(&[count])?;
        let end = row(self, steps - 1);
        let last = categorical(&mut self.b, end, uniform);

        let mut step = Builder::new("backward");
        step.set_span(self.b.span());
        let after = step.input("after", Type::new(DType::Int, [count].as_slice()));
        let here = step.input("filtered", Type::real([count, k].as_slice()));
        let weights = step.input("transition", Type::real([count, k, k].as_slice()));
        let random = step.input("uniform", Type::real([count].as_slice()));
        let start = step.ints((0..count * k).map(|i| i * k));
        let start = step.reshape(start, &[count, k]);
        let index = shifted(&mut step, start, after, 1);
        let flat = step.reshape(weights, &[count * k * k]);
        let weights = step.gather(flat, 0, index);
        let logits = step.plus(here, weights);
        let value = categorical(&mut step, logits, random);
        step.output("before", value);
        step.output("drawn", value);
        let scan = Scan { body: step.finish(), length: steps, carries: 1, xs: 3, reverse: true };
        let before = self.b.slice_axis(*filtered, 0, 0, steps - 1);
        let start = self.b.reshape(*first, &[1, count, k]);
        let before = self.b.concat(&[start, before], 0);
        let uniform = self.uniform(&[steps, count])?;
        let rows = self.b.scan(scan, &[last, before, *joint, uniform])[1];
        let rows = self.b.reshape(rows, &[steps * count]);
        let sites = |at: &[usize]| -> Vec<Site> {
            at.iter().flat_map(|&at| components.iter().map(move |c| c[at])).collect()
        };
        Ok(vec![(sites(&path[..steps]), rows), (sites(&path[steps..]), last)])
    }

    /// Makes each latent of a family its draw.
    pub(super) fn define_drawn(&mut self, family: &[usize], drawn: &[Drawn]) {
        let place: HashMap<Site, usize> =
            drawn.iter().flat_map(|(sites, _)| sites).enumerate().map(|(i, &s)| (s, i)).collect();
        let parts: Vec<ValueId> = drawn.iter().map(|(_, value)| *value).collect();
        for &latent in family {
            let latent = self.latents.all[latent].clone();
            let ty = dtype(&self.model.var(latent.var).ty);
            let sites = latent.first..latent.first + latent.sites();
            let numbers = if parts.is_empty() {
                self.b.ints([])
            } else {
                let all = self.b.concat(&parts, 0);
                let index = self.b.ints(sites.map(|s| place[&s]));
                self.b.gather(all, 0, index)
            };
            let numbers = self.b.reshape(numbers, &latent.shape);
            let lowest = self.b.tensor(crate::ir::Tensor::new(
                Type::new(DType::Int, Shape::new()),
                vec![latent.number(0)],
            ));
            let value = self.b.plus(numbers, lowest);
            let value = if ty == DType::Int {
                value
            } else {
                self.b.add(Op::Convert(ty), [value].as_slice())
            };
            self.latents.drawn.push((latent.var, value));
        }
    }

    /// Random numbers between 0 and 1.
    fn uniform(&mut self, shape: &[usize]) -> Lower<ValueId> {
        let sizes: Vec<Val> = shape.iter().map(|&n| self.int(n)).collect();
        Ok(self.random(Builtin::RngUniform, &sizes)?.id)
    }
}

/// `index: int[count, k]` plus `stride` times `value: int[count]`.
fn shifted(b: &mut Builder, index: ValueId, value: ValueId, stride: usize) -> ValueId {
    let shape = b.shape(index);
    let stride = b.ints([stride]);
    let stride = b.reshape(stride, &[]);
    let value = b.times(value, stride);
    let value = b.broadcast(value, &shape, &[0]);
    b.plus(index, value)
}

/// For each row of `logits: [count, k]` the number of a value with these log weights: how many of the
/// cumulative probabilities, the last left out, lie below `uniform: [count]`.
fn categorical(b: &mut Builder, logits: ValueId, uniform: ValueId) -> ValueId {
    let shape = b.shape(logits);
    let total = b.add(Op::LogSumExp([1].as_slice().into()), [logits].as_slice());
    let total = b.broadcast(total, &shape, &[0]);
    let log_p = b.minus(logits, total);
    let p = b.unary(UnaryOp::Exp, log_p);
    let sums = b.add(Op::CumSum { axis: 1, reverse: false }, [p].as_slice());
    let sums = b.slice_axis(sums, 1, 0, shape[1] - 1);
    let shape = b.shape(sums);
    let uniform = b.broadcast(uniform, &shape, &[0]);
    let passed = b.binary(BinaryOp::Le, sums, uniform);
    let passed = b.add(Op::Convert(DType::Int), [passed].as_slice());
    b.sum(passed, &[1])
}
