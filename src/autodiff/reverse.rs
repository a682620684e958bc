//! Reverse accumulation: visits instructions last to first and adds up cotangents.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::ir::{BinaryOp, Builder, DType, Function, Op, Scan, TernaryOp, ValueId};

use super::{NotDifferentiable, rules, scan};

/// A function copied into a builder, with what the way back needs to know.
pub(super) struct Forward {
    /// New value of each value of the function.
    map: Vec<ValueId>,
    /// Which values carry a derivative: real, and dependent on an active input.
    active: Vec<bool>,
    /// Values that reach the result through a branch that may not be taken. Their derivatives may be
    /// multiplied by an exact zero, which has to stay zero.
    guarded: Vec<bool>,
    /// For each active scan, the stacked states at the start of each step.
    pub(super) histories: HashMap<usize, Vec<ValueId>>,
}

impl Forward {
    /// Copies `f` into `b`; `active` says which inputs derivatives are taken in, `guarded` comes from
    /// [`guarded`].
    pub(super) fn new(
        b: &mut Builder,
        f: &Function,
        args: &[ValueId],
        active: impl Fn(usize) -> bool,
        guarded: Vec<bool>,
    ) -> Self {
        let depends = f.depends_on(active);
        let active: Vec<bool> = f
            .values()
            .map(|(v, inst)| {
                depends[v.index()] && matches!(inst.ty.dtype, DType::Real | DType::Tuple)
            })
            .collect();
        let mut forward = Forward {
            map: Vec::with_capacity(f.insts.len()),
            guarded,
            active,
            histories: HashMap::new(),
        };
        let outer = b.span();
        b.reserve(f.insts.len());
        for (value, inst) in f.values() {
            b.set_span(inst.span.or(outer));
            let operands: Vec<ValueId> = inst.args.iter().map(|a| forward.map[a.index()]).collect();
            let new = match &inst.op {
                Op::Input(i) => args[*i as usize],
                Op::Scan(s) if forward.active[value.index()] => {
                    let (tuple, history) = scan::with_history(b, s, &operands);
                    forward.histories.insert(value.index(), history);
                    tuple
                }
                op => b.add(op.clone(), operands.as_slice()),
            };
            forward.map.push(new);
        }
        b.set_span(outer);
        forward
    }

    /// The new value of a value of the function.
    pub(super) fn value(&self, v: ValueId) -> ValueId {
        self.map[v.index()]
    }

    /// Whether the value carries a derivative.
    pub(super) fn is_active(&self, v: ValueId) -> bool {
        self.active[v.index()]
    }

    /// Whether the value's cotangent may be an exact zero beside a derivative that is not finite.
    pub(super) fn is_guarded(&self, v: ValueId) -> bool {
        self.guarded[v.index()]
    }
}

/// Which values of `f` reach the result through a branch that may not be taken, if those of its outputs
/// for which `outputs` holds do.
pub(super) fn guarded(f: &Function, outputs: &[bool]) -> Vec<bool> {
    let mut guarded = vec![false; f.insts.len()];
    for (output, &is_guarded) in f.outputs.iter().zip(outputs) {
        guarded[output.value.index()] |= is_guarded;
    }
    for index in (0..f.insts.len()).rev() {
        let (value, inst) = (ValueId::new(index), &f.insts[index]);
        let by_itself = |i: usize| match &inst.op {
            Op::Ternary(TernaryOp::Select) => i > 0,
            // The smaller of two is a branch not taken as well; so is a summand that is zero.
            Op::Binary(BinaryOp::ZeroMul | BinaryOp::Min | BinaryOp::Max | BinaryOp::LogAddExp)
            | Op::ReduceMax(_)
            | Op::LogSumExp(_) => true,
            _ => false,
        };
        let in_body = match &inst.op {
            Op::Scan(scan) => guarded_inputs(scan, guarded[value.index()]),
            _ => Vec::new(),
        };
        for (i, a) in inst.args.iter().enumerate() {
            let body = in_body.get(i).copied().unwrap_or(false);
            guarded[a.index()] |= guarded[value.index()] || by_itself(i) || body;
        }
    }
    guarded
}

/// Which outputs of a scan's body are guarded: all if the scan is; a state's if the next step's is.
pub(super) fn guarded_outputs(scan: &Scan, all: bool) -> Vec<bool> {
    let mut outputs = vec![all; scan.body.outputs.len()];
    loop {
        let inputs = inputs_among(&scan.body, &guarded(&scan.body, &outputs));
        let mut changed = false;
        for (output, input) in outputs.iter_mut().zip(inputs).take(scan.carries) {
            changed |= input && !*output;
            *output |= input;
        }
        if !changed {
            return outputs;
        }
    }
}

fn guarded_inputs(scan: &Scan, all: bool) -> Vec<bool> {
    inputs_among(&scan.body, &guarded(&scan.body, &guarded_outputs(scan, all)))
}

fn inputs_among(f: &Function, values: &[bool]) -> Vec<bool> {
    let mut inputs = vec![false; f.inputs.len()];
    for (value, inst) in f.values() {
        if let Op::Input(i) = inst.op {
            inputs[i as usize] |= values[value.index()];
        }
    }
    inputs
}

/// Cotangents being accumulated.
pub(super) struct Cotangents {
    of: Vec<Sum>,
    of_component: HashMap<(usize, usize), ValueId>,
}

/// A sum being accumulated: partial sums with how many terms each has, longest first.
///
/// A few terms are added one after the other. Many are added like the digits of a binary number, each
/// to one of its length: the slices of a long vector of parameters are put together by passes that
/// look at all parts of a sum, which for a chain of sums would take the square of its length.
#[derive(Clone, Default)]
struct Sum(SmallVec<[(ValueId, u32); 1]>);

impl Sum {
    const FEW: u32 = 8;

    fn add(&mut self, b: &mut Builder, term: ValueId) {
        let (mut sum, mut terms) = (term, 1);
        while let Some(&(before, count)) = self.0.last()
            && (count <= terms || count < Self::FEW)
        {
            self.0.pop();
            (sum, terms) = (b.plus(before, sum), count + terms);
        }
        self.0.push((sum, terms));
    }

    fn total(&self, b: &mut Builder) -> Option<ValueId> {
        let (last, before) = self.0.split_last()?;
        Some(before.iter().rev().fold(last.0, |sum, (part, _)| b.plus(*part, sum)))
    }
}

impl Cotangents {
    /// Adds a contribution to the cotangent of `v`, a value of the function.
    pub(super) fn add(&mut self, b: &mut Builder, v: ValueId, contribution: ValueId) {
        self.of[v.index()].add(b, contribution);
    }

    /// The cotangent of component `i` of the scan `v`, if anything depends on it.
    pub(super) fn component(&self, v: ValueId, i: usize) -> Option<ValueId> {
        self.of_component.get(&(v.index(), i)).copied()
    }
}

/// Propagates the cotangents `seeds` (of values of `f`) back to the inputs of `f`; `None` for an input
/// that nothing reaches.
pub(super) fn backward(
    b: &mut Builder,
    f: &Function,
    forward: &Forward,
    seeds: &[(ValueId, ValueId)],
) -> Result<Vec<Option<ValueId>>, NotDifferentiable> {
    let of = vec![Sum::default(); f.insts.len()];
    let mut cotangents = Cotangents { of, of_component: HashMap::new() };
    for &(value, seed) in seeds {
        if forward.is_active(value) {
            cotangents.add(b, value, seed);
        }
    }
    let mut inputs = vec![None; f.inputs.len()];
    let outer = b.span();
    for index in (0..f.insts.len()).rev() {
        let value = ValueId::new(index);
        let inst = f.inst(value);
        if !forward.is_active(value) {
            continue;
        }
        b.set_span(inst.span.or(outer));
        let cotangent = std::mem::take(&mut cotangents.of[index]).total(b);
        match (&inst.op, cotangent) {
            (Op::Scan(s), _) => {
                scan::transpose(b, f, forward, value, s, &mut cotangents)?;
            }
            (_, None) => {}
            (Op::Input(i), Some(ct)) => inputs[*i as usize] = Some(ct),
            (Op::Proj(i), Some(ct)) => {
                let key = (inst.args[0].index(), *i as usize);
                let ct = match cotangents.of_component.get(&key) {
                    Some(&so_far) => b.plus(so_far, ct),
                    None => ct,
                };
                cotangents.of_component.insert(key, ct);
            }
            (_, Some(ct)) => rules::transpose(b, f, forward, value, ct, &mut cotangents)?,
        }
    }
    b.set_span(outer);
    Ok(inputs)
}
