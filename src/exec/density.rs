//! The log density of a model as compiled programs.
//!
//! In:  one function of `theta: real[D]` and `v: real[D]` with outputs `log_joint: real`,
//!      `score: real[D]` and `hvp: real[D]`. Further inputs are *held*: the same for all points of an
//!      evaluation, such as the rows of a minibatch.
//! Out: a [`LogDensity`]; with held inputs, one for given numbers ([`CompiledDensity::holding`]).
//!
//! What does not depend on `v` is computed once, by `score_keep`; the values of it that the
//! Hessian-vector product reads (*residuals*) are kept in lane layout, block after block, and the product
//! itself is a program of the residuals and `v`. `log_density` and `score` are programs of their own
//! that keep nothing.

use std::ops::Range;

use crate::density::{LogDensity, Residuals};
use crate::ir::{Args, Builder, Function, Op, Output, ValueId};

use super::element::Element;
use super::plan::Plan;
use super::pool::Pool;
use super::program::{Block, Blocks, concatenated, most_lanes, partition, stage};
use super::schedule::{self, Binding};
use super::view::Class;

/// A log density with its score and Hessian-vector products, compiled.
#[derive(Debug)]
pub struct CompiledDensity<E> {
    dim: usize,
    /// Points in a block; the same for all programs, so that residuals fit.
    lanes: usize,
    /// Residual numbers of a point.
    saved: usize,
    /// The held inputs, by their number in the function and in that of the Hessian-vector product.
    held: Vec<(usize, usize)>,
    log_density: Blocks<E>,
    score: Blocks<E>,
    score_keep: Blocks<E>,
    hvp: Blocks<E>,
}

impl<E: Element> CompiledDensity<E> {
    /// Compiles the function described above.
    ///
    /// # Panics
    /// When the function lacks an input or output, or its log joint or score depends on `v`.
    #[must_use]
    pub fn new(f: &Function) -> Self {
        let input =
            |name: &str| f.input(name).unwrap_or_else(|| panic!("bug in ppl: no input {name}"));
        let output = |name: &str| {
            f.outputs
                .iter()
                .find(|o| o.name == name)
                .cloned()
                .unwrap_or_else(|| panic!("bug in ppl: no output {name}"))
        };
        let (theta, v) = (input("theta"), input("v"));
        let dim = f.inputs[theta].ty.len();
        let (log_joint, score, hvp) = (output("log_joint"), output("score"), output("hvp"));
        let depends = f.depends_on(|i| i == v);
        for o in [&log_joint, &score] {
            assert!(!depends[o.value.index()], "bug in ppl: {} depends on v", o.name);
        }
        let split = split_at_v(f, hvp.value, theta, v);

        let mut pool = Pool::new();
        let held: Vec<usize> = (0..f.inputs.len()).filter(|i| ![theta, v].contains(i)).collect();
        let mut of_theta = |outputs: Vec<Output>| -> Plan<E> {
            // v is not read but keeps its place in the list.
            let mut bindings = vec![Binding::Slot(Class::Uniform); f.inputs.len()];
            for i in [theta, v] {
                bindings[i] = Binding::External { buffer: 0, offset: 0 };
            }
            schedule::plan(&f.extract(outputs), &bindings, &mut pool)
        };
        let value_plan = of_theta(vec![log_joint.clone()]);
        let score_plan = of_theta(vec![log_joint.clone(), score.clone()]);
        let mut kept = vec![score];
        kept.extend(split.residuals.iter().map(|&value| Output { name: String::new(), value }));
        let keep_plan = of_theta(kept);

        let lengths: Vec<usize> = split.residuals.iter().map(|&r| f.ty(r).len()).collect();
        let mut bindings = concatenated(&lengths, 1);
        bindings.extend(concatenated(&[dim], 0));
        let first_held = bindings.len();
        bindings.extend(held.iter().map(|_| Binding::Slot(Class::Uniform)));
        let hvp_plan = schedule::plan(&split.function, &bindings, &mut pool);
        CompiledDensity {
            dim,
            lanes: most_lanes(&[&keep_plan, &hvp_plan]),
            saved: lengths.iter().sum(),
            held: held.into_iter().zip(first_held..).collect(),
            log_density: Blocks::new(value_plan),
            score: Blocks::new(score_plan),
            score_keep: Blocks::new(keep_plan),
            hvp: Blocks::new(hvp_plan),
        }
    }

    /// Numbers that `score_keep` keeps for each point, besides the point itself.
    #[must_use]
    pub fn saved_per_point(&self) -> usize {
        self.saved
    }

    /// The density with these numbers for its held inputs, in order of declaration.
    ///
    /// # Panics
    /// When there are more or fewer than held inputs.
    #[must_use]
    pub fn holding<'a>(&'a self, numbers: &'a [Vec<E>]) -> Holding<'a, E> {
        assert_eq!(numbers.len(), self.held.len(), "held inputs");
        Holding { density: self, numbers }
    }
}

/// A compiled density with numbers for its held inputs.
#[derive(Debug, Clone, Copy)]
pub struct Holding<'a, E> {
    density: &'a CompiledDensity<E>,
    numbers: &'a [Vec<E>],
}

impl<E: Element> Holding<'_, E> {
    /// Runs a program of the points `z: [batch, D]` and lets `read` have the outputs of each block,
    /// for the points of a range.
    fn evaluate(
        &self,
        blocks: &Blocks<E>,
        batch: usize,
        z: &[E],
        mut read: impl FnMut(&mut Block<E>, Range<usize>),
    ) {
        let own = self.density;
        let (dim, plan) = (own.dim, &blocks.plan);
        assert_eq!(z.len(), batch * dim, "points");
        for (start, lanes) in partition(batch, own.lanes) {
            blocks.with(lanes, |block| {
                for (&(input, _), numbers) in own.held.iter().zip(self.numbers) {
                    block.hold(plan, input, numbers);
                }
                stage(&z[start * dim..(start + lanes) * dim], dim, 0, lanes, &mut block.staged);
                block.run(plan, &[], lanes);
                read(block, start..start + lanes);
            });
        }
    }
}

impl<E: Element> LogDensity<E> for Holding<'_, E> {
    fn dim(&self) -> usize {
        self.density.dim
    }

    fn log_density(&self, z: &[E], log_p: &mut [E]) {
        let program = &self.density.log_density;
        self.evaluate(program, log_p.len(), z, |block, points| {
            block.read(&program.plan, &[], points.len(), 0, &mut log_p[points]);
        });
    }

    fn score(&self, z: &[E], log_p: &mut [E], score: &mut [E]) {
        let (program, dim) = (&self.density.score, self.density.dim);
        self.evaluate(program, log_p.len(), z, |block, points| {
            let lanes = points.len();
            let rows = points.start * dim..points.end * dim;
            block.read(&program.plan, &[], lanes, 0, &mut log_p[points]);
            block.read(&program.plan, &[], lanes, 1, &mut score[rows]);
        });
    }

    fn score_keep(&self, z: &[E], score: &mut [E], keep: &mut Residuals<E>) {
        let CompiledDensity { score_keep: program, dim, saved, .. } = self.density;
        let batch = z.len() / (*dim).max(1);
        keep.points.clear();
        keep.points.extend_from_slice(z);
        keep.saved.resize(batch * saved, E::zero());
        self.evaluate(program, batch, z, |block, points| {
            let lanes = points.len();
            block.read(
                &program.plan,
                &[],
                lanes,
                0,
                &mut score[points.start * dim..][..lanes * dim],
            );
            let mut rest = &mut keep.saved[points.start * saved..];
            for (i, view) in program.plan.outputs.iter().enumerate().skip(1) {
                let (out, after) = rest.split_at_mut(view.len * lanes);
                block.read_lanes(&program.plan, &[], lanes, i, out);
                rest = after;
            }
        });
    }

    fn hvp(&self, residuals: &Residuals<E>, v: &[E], out: &mut [E]) {
        assert_eq!(v.len(), residuals.points.len(), "one direction for each point kept");
        let own = self.density;
        let (dim, plan) = (own.dim, &own.hvp.plan);
        let batch = v.len() / dim.max(1);
        for (start, lanes) in partition(batch, own.lanes) {
            let points = start * dim..(start + lanes) * dim;
            let saved = &residuals.saved[start * own.saved..(start + lanes) * own.saved];
            own.hvp.with(lanes, |block| {
                for (&(_, input), numbers) in own.held.iter().zip(self.numbers) {
                    block.hold(plan, input, numbers);
                }
                stage(&v[points.clone()], dim, 0, lanes, &mut block.staged);
                block.run(plan, saved, lanes);
                block.read(plan, saved, lanes, 0, &mut out[points]);
            });
        }
    }
}

/// A density without held inputs.
impl<E: Element> LogDensity<E> for CompiledDensity<E> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn log_density(&self, z: &[E], log_p: &mut [E]) {
        self.holding(&[]).log_density(z, log_p);
    }

    fn score(&self, z: &[E], log_p: &mut [E], score: &mut [E]) {
        self.holding(&[]).score(z, log_p, score);
    }

    fn score_keep(&self, z: &[E], score: &mut [E], keep: &mut Residuals<E>) {
        self.holding(&[]).score_keep(z, score, keep);
    }

    fn hvp(&self, residuals: &Residuals<E>, v: &[E], out: &mut [E]) {
        self.holding(&[]).hvp(residuals, v, out);
    }
}

/// The part of a function that depends on `v`.
pub(super) struct Split {
    /// Its inputs are the residuals, then `v`, then the held ones; its output is the product.
    pub(super) function: Function,
    /// Values of the original function.
    pub(super) residuals: Vec<ValueId>,
}

pub(super) fn split_at_v(f: &Function, hvp: ValueId, theta: usize, v: usize) -> Split {
    let on_v = f.depends_on(|i| i == v);
    let on_theta = f.depends_on(|i| i == theta);
    // Movements that only spread numbers out are redone rather than remembered.
    let redone = |value: ValueId| {
        let inst = f.inst(value);
        matches!(
            inst.op,
            Op::Broadcast { .. } | Op::Reshape(_) | Op::Transpose(_) | Op::Gather { .. }
        ) && f.ty(inst.args[0]).len() <= inst.ty.len()
            && inst.args[1..].iter().all(|a| !on_theta[a.index()])
    };
    let is_residual =
        |value: ValueId| on_theta[value.index()] && !on_v[value.index()] && !redone(value);
    let mut needed = vec![false; f.insts.len()];
    needed[hvp.index()] = true;
    for i in (0..f.insts.len()).rev() {
        if needed[i] && !is_residual(ValueId::new(i)) {
            for arg in &f.insts[i].args {
                needed[arg.index()] = true;
            }
        }
    }
    let wanted = |i: &ValueId| needed[i.index()];
    let residuals: Vec<ValueId> =
        f.values().map(|(id, _)| id).filter(wanted).filter(|&id| is_residual(id)).collect();

    let mut builder = Builder::new("hvp");
    let mut map: Vec<Option<ValueId>> = vec![None; f.insts.len()];
    for (i, &residual) in residuals.iter().enumerate() {
        map[residual.index()] = Some(builder.input(format!("residual{i}"), f.ty(residual).clone()));
    }
    let direction = builder.input("v", f.inputs[v].ty.clone());
    let inputs: Vec<ValueId> = f
        .inputs
        .iter()
        .enumerate()
        .map(|(i, input)| match i {
            // Never read: what depends on theta alone is a residual.
            _ if i == theta || i == v => direction,
            _ => builder.input(input.name.clone(), input.ty.clone()),
        })
        .collect();
    for (id, inst) in f.values().filter(|(id, _)| wanted(id)) {
        if map[id.index()].is_some() {
            continue;
        }
        let new = match inst.op {
            Op::Input(i) => inputs[i as usize],
            _ => {
                builder.set_span(inst.span);
                let args: Args = inst.args.iter().filter_map(|a| map[a.index()]).collect();
                builder.add(inst.op.clone(), args)
            }
        };
        map[id.index()] = Some(new);
    }
    builder.output("hvp", map[hvp.index()].expect("bug in ppl: the product is wanted"));
    Split { function: builder.finish(), residuals }
}
