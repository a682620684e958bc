//! Which discrete latents each element of a value depends on.
//!
//! Found by following the instructions element by element: the elements of a value carry the number
//! of a set of sites (a site is one discrete latent), and each operation moves or unites these sets
//! as it moves or combines the elements. Indices and conditions that data decides are exact; one that
//! a latent decides makes its result depend on all that it may choose from.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::exec::reference;
use crate::ir::{
    Function, Inst, Op, Output, Scan, Shape, Tensor, TernaryOp, Type, ValueId, num_elements,
};

use super::latents::{checked_product, colour};
use super::lowerer::Lowerer;

/// The number of a discrete latent among all of the model.
pub(super) type Site = u32;

/// Sites in ascending order.
pub(super) type Sites = SmallVec<[Site; 2]>;

/// Most choices of values of latents that indices are computed for.
const MOST_CHOICES: usize = 4096;

/// The set of each element of a value, by number; `None` where all are empty.
type Sets = Option<Tensor>;

/// Sets of sites by number, and those of the values seen so far.
#[derive(Debug)]
pub(super) struct Dependence {
    /// By number; 0 is the empty set.
    sets: Vec<Sites>,
    numbers: HashMap<Sites, u32>,
    unions: HashMap<(u32, u32), u32>,
    /// By value of the function being built; the components of a scan.
    values: Vec<Vec<Sets>>,
}

impl Default for Dependence {
    fn default() -> Self {
        Dependence {
            sets: vec![Sites::new()],
            numbers: HashMap::from([(Sites::new(), 0)]),
            unions: HashMap::new(),
            values: Vec::new(),
        }
    }
}

impl Lowerer<'_> {
    /// The sites that each element of a value depends on, row-major; `None` if none does on any.
    pub(super) fn dependence(&mut self, value: ValueId) -> Option<Vec<Sites>> {
        let mut state = std::mem::take(&mut self.dependence);
        while state.values.len() <= value.index() {
            let id = ValueId::new(state.values.len());
            let inst = self.b.inst(id).clone();
            let of_latent = match inst.op {
                Op::Input(i) => self.latents.all.iter().find(|l| l.input == i),
                _ => None,
            };
            let sets = match of_latent {
                Some(latent) => {
                    let sites = latent.first..latent.first + latent.sites();
                    let numbers: Vec<u32> =
                        sites.map(|s| state.number(Sites::from_slice(&[s]))).collect();
                    vec![state.tensor(&inst.ty.shape, &numbers)]
                }
                None => {
                    let args: Vec<Sets> = match inst.op {
                        Op::Proj(_) => Vec::new(),
                        _ => inst.args.iter().map(|a| state.values[a.index()][0].clone()).collect(),
                    };
                    match inst.op {
                        Op::Proj(i) => {
                            let scan = &state.values[inst.args[0].index()];
                            vec![scan.get(i as usize).cloned().flatten()]
                        }
                        _ => {
                            let types = self.b.function().operand_types(&inst);
                            let sets = state.sets.clone();
                            state.through(&inst, &types, &args, &mut |i| match &args[i] {
                                None => self.numbers(inst.args[i]).into_iter().collect(),
                                Some(of) => {
                                    let scopes: Vec<Sites> =
                                        of.data.iter().map(|&n| sets[number(n)].clone()).collect();
                                    self.possible(inst.args[i], &scopes)
                                }
                            })
                        }
                    }
                }
            };
            state.values.push(sets);
        }
        let sets = state.values[value.index()][0].clone();
        let of_elements =
            sets.map(|t| t.data.iter().map(|&n| state.sets[number(n)].clone()).collect());
        self.dependence = state;
        of_elements
    }

    /// What a value with elements of the given scopes may be: one tensor for each choice of the values of
    /// its sites; none if it depends on parameters or there are too many choices.
    fn possible(&mut self, value: ValueId, scopes: &[Sites]) -> Vec<Tensor> {
        let Ok(colours) = self.colours(scopes, self.here()) else { return Vec::new() };
        let slots = self.slots(scopes, &colours);
        let sizes: Vec<usize> = slots.iter().map(|&(l, _)| self.latents.all[l].values).collect();
        let Some(choices) = checked_product(&sizes).filter(|&n| n <= MOST_CHOICES) else {
            return Vec::new();
        };
        let output = Output { name: "value".into(), value };
        let f = self.b.function().extract(vec![output]);
        let mut inputs: Vec<Option<Tensor>> = (0..f.inputs.len())
            .map(|i| self.data.get(&u32::try_from(i).expect("few inputs")).cloned())
            .collect();
        let latents = self.latents.all.clone();
        if f.depends_on(|i| inputs[i].is_none() && latents.iter().all(|l| l.input as usize != i))
            [f.outputs[0].value.index()]
        {
            return Vec::new();
        }
        (0..choices)
            .map(|choice| {
                for (l, latent) in latents.iter().enumerate() {
                    let number = |site: Site| {
                        let slot = slots.binary_search(&(l, colour(&colours, site)));
                        let behind = slot.map_or(0, |i| sizes[i + 1..].iter().product());
                        let k = slot.map_or(0, |_| choice / behind.max(1) % latent.values);
                        latent.number(k)
                    };
                    let sites = latent.first..latent.first + latent.sites();
                    let ty = f.inputs[latent.input as usize].ty.clone();
                    inputs[latent.input as usize] =
                        Some(Tensor::new(ty, sites.map(number).collect::<Vec<f64>>()));
                }
                let inputs: Vec<Tensor> = inputs
                    .iter()
                    .zip(&f.inputs)
                    .map(|(t, input)| {
                        let zeros = || Tensor::new(input.ty.clone(), vec![0.0; input.ty.len()]);
                        t.clone().unwrap_or_else(zeros)
                    })
                    .collect();
                reference::evaluate(&f, &inputs).pop().expect("one output")
            })
            .collect()
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers of sets are small integers"
)]
fn number(x: f64) -> usize {
    x as usize
}

fn set_of(sets: &Tensor, i: usize) -> u32 {
    let n = number(sets.data[if sets.data.len() == 1 { 0 } else { i }]);
    u32::try_from(n).expect("fewer than 2^32 sets")
}

impl Dependence {
    fn number(&mut self, set: Sites) -> u32 {
        if let Some(&n) = self.numbers.get(&set) {
            return n;
        }
        let n = u32::try_from(self.sets.len()).expect("fewer than 2^32 sets");
        self.sets.push(set.clone());
        self.numbers.insert(set, n);
        n
    }

    fn union(&mut self, a: u32, b: u32) -> u32 {
        if a == b || b == 0 {
            return a;
        }
        if a == 0 {
            return b;
        }
        let key = (a.min(b), a.max(b));
        if let Some(&n) = self.unions.get(&key) {
            return n;
        }
        let n = self.union_all(&[a, b]);
        self.unions.insert(key, n);
        n
    }

    fn union_all(&mut self, numbers: &[u32]) -> u32 {
        match numbers {
            [] => 0,
            [one] => *one,
            _ => {
                let mut numbers = numbers.to_vec();
                numbers.sort_unstable();
                numbers.dedup();
                let mut all: Sites =
                    numbers.iter().flat_map(|&n| self.sets[n as usize].iter().copied()).collect();
                all.sort_unstable();
                all.dedup();
                self.number(all)
            }
        }
    }

    fn tensor(&self, shape: &[usize], numbers: &[u32]) -> Sets {
        if numbers.iter().all(|&n| n == 0) {
            return None;
        }
        let data: Vec<f64> = numbers.iter().map(|&n| f64::from(n)).collect();
        Some(Tensor::new(Type::real(shape), data))
    }

    /// The set of a scalar or of element `i`.
    fn at(sets: &Sets, i: usize) -> u32 {
        sets.as_ref().map_or(0, |sets| set_of(sets, i))
    }

    /// What the results of an instruction depend on, by component; `types` are those of its operands,
    /// `possible` what an operand may be, where parameters do not decide it.
    fn through(
        &mut self,
        inst: &Inst,
        types: &[Type],
        args: &[Sets],
        possible: &mut dyn FnMut(usize) -> Vec<Tensor>,
    ) -> Vec<Sets> {
        if let Op::Scan(scan) = &inst.op {
            return self.scan(scan, types, args);
        }
        if args.iter().all(Option::is_none) {
            return vec![None];
        }
        let shape = &inst.ty.shape;
        let sets = match &inst.op {
            Op::Input(_) | Op::Const(_) | Op::Proj(_) | Op::Scan(_) => None,
            Op::Unary(_) | Op::Convert(_) => args[0].clone(),
            Op::Ternary(TernaryOp::Select) => {
                let conditions = possible(0);
                if conditions.is_empty() {
                    return vec![self.elementwise(shape, args)];
                }
                // Where the condition never holds, or always, a branch does not matter, nor what
                // the condition depends on.
                let holds = |i: usize| {
                    let at = |t: &Tensor| t.data[if t.data.len() == 1 { 0 } else { i }] != 0.0;
                    (conditions.iter().any(at), !conditions.iter().all(at))
                };
                let numbers: Vec<u32> = (0..num_elements(shape))
                    .map(|i| match holds(i) {
                        (true, false) => Self::at(&args[1], i),
                        (false, _) => Self::at(&args[2], i),
                        (true, true) => {
                            let all = [0, 1, 2].map(|arg: usize| Self::at(&args[arg], i));
                            self.union_all(&all)
                        }
                    })
                    .collect();
                self.tensor(shape, &numbers)
            }
            Op::Binary(_) | Op::Ternary(_) => self.elementwise(shape, args),
            Op::Broadcast { .. }
            | Op::Reshape(_)
            | Op::Transpose(_)
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Concat { .. } => self.moved(inst, types, args),
            Op::Gather { axis } => {
                let indices = if args[0].is_some() { possible(1) } else { Vec::new() };
                self.gather(inst, *axis, types, args, &indices)
            }
            Op::ScatterAdd { axis, size } => {
                let index = if args[1].is_none() { possible(1).pop() } else { None };
                self.scatter(shape, *axis, *size, types, args, index)
            }
            Op::Sum(axes) | Op::ReduceMax(axes) | Op::LogSumExp(axes) => {
                self.reduced(&args[0], &types[0].shape, axes)
            }
            Op::CumSum { axis, .. } => {
                // Coarse: all elements along the axis.
                let united = self.reduced(&args[0], &types[0].shape, &[*axis]);
                let axes: Shape = (0..shape.len()).filter(|a| a != axis).collect();
                self.spread(&united, shape, &axes)
            }
            Op::MatMul { ta, tb } => {
                let rows = self.reduced(&args[0], &types[0].shape, &[usize::from(!ta)]);
                let columns = self.reduced(&args[1], &types[1].shape, &[usize::from(*tb)]);
                let rows = self.spread(&rows, shape, &[0]);
                let columns = self.spread(&columns, shape, &[1]);
                self.elementwise(shape, &[rows, columns])
            }
            // Each column of the solution has its own right side.
            Op::TriSolve { .. } | Op::Solve { .. } => {
                let matrix = self.reduced(&args[0], &types[0].shape, &[0, 1]);
                let matrix = self.spread(&matrix, shape, &[]);
                let columns = self.reduced(&args[1], &types[1].shape, &[0]);
                let columns = self.spread(&columns, shape, &[1]);
                self.elementwise(shape, &[matrix, columns])
            }
            Op::Cholesky
            | Op::Det
            | Op::LogAbsDet
            | Op::EigenSym
            | Op::MatrixExp
            | Op::SortIndices
            | Op::Ode(_)
            | Op::Root(_) => {
                let mut all = 0;
                for (sets, ty) in args.iter().zip(types) {
                    let axes: Shape = (0..ty.rank()).collect();
                    let united = self.reduced(sets, &ty.shape, &axes);
                    all = self.union(all, Self::at(&united, 0));
                }
                self.tensor(shape, &vec![all; num_elements(shape)])
            }
        };
        vec![sets]
    }

    fn elementwise(&mut self, shape: &[usize], args: &[Sets]) -> Sets {
        let some: Vec<&Sets> = args.iter().filter(|s| s.is_some()).collect();
        if let [Some(one)] = some.as_slice()
            && one.ty.shape[..] == *shape
        {
            return Some(one.clone());
        }
        let numbers: Vec<u32> = (0..num_elements(shape))
            .map(|i| some.iter().fold(0, |all, sets| self.union(all, Self::at(sets, i))))
            .collect();
        self.tensor(shape, &numbers)
    }

    /// An operation that only moves elements: the sets move along. Padding is the empty set, 0.
    fn moved(&self, inst: &Inst, types: &[Type], args: &[Sets]) -> Sets {
        let args: Vec<Tensor> = args
            .iter()
            .zip(types)
            .map(|(sets, ty)| {
                sets.clone().unwrap_or_else(|| {
                    Tensor::new(Type::real(ty.shape.clone()), vec![0.0; ty.len()])
                })
            })
            .collect();
        Some(reference::apply(inst, &args.iter().collect::<Vec<_>>()))
    }

    fn spread(&self, sets: &Sets, shape: &[usize], axes: &[usize]) -> Sets {
        let sets = sets.as_ref()?;
        let op = Op::Broadcast { shape: shape.into(), axes: axes.into() };
        let inst = Inst { op, args: SmallVec::new(), ty: Type::real(shape), span: None };
        Some(reference::apply(&inst, &[sets]))
    }

    fn reduced(&mut self, sets: &Sets, shape: &[usize], axes: &[usize]) -> Sets {
        let sets = sets.as_ref()?;
        let kept: Shape = (0..shape.len()).filter(|a| !axes.contains(a)).collect();
        let out: Shape = kept.iter().map(|&a| shape[a]).collect();
        let mut gathered: Vec<Vec<u32>> = vec![Vec::new(); num_elements(&out)];
        for i in 0..sets.data.len() {
            let index = unravel(shape, i);
            let at = kept.iter().fold(0, |at, &a| at * shape[a] + index[a]);
            gathered[at].push(set_of(sets, i));
        }
        let numbers: Vec<u32> = gathered.iter().map(|g| self.union_all(g)).collect();
        self.tensor(&out, &numbers)
    }

    fn gather(
        &mut self,
        inst: &Inst,
        axis: usize,
        types: &[Type],
        args: &[Sets],
        indices: &[Tensor],
    ) -> Sets {
        let shape = &inst.ty.shape;
        let across = types[1].rank();
        let source = match &args[0] {
            None => None,
            Some(_) if indices.is_empty() => {
                let united = self.reduced(&args[0], &types[0].shape, &[axis]);
                let axes: Shape = (0..axis).chain(axis + across..shape.len()).collect();
                self.spread(&united, shape, &axes)
            }
            Some(sets) => {
                let inst = Inst { ty: Type::real(shape.clone()), ..inst.clone() };
                let mut united = None;
                for index in indices {
                    let moved = reference::apply(&inst, &[sets, index]);
                    // Outside of the axis nothing is read.
                    let number = |x: &f64| if x.is_nan() { 0.0 } else { *x };
                    let data: Vec<f64> = moved.data.iter().map(number).collect();
                    let moved = Some(Tensor::new(moved.ty, data));
                    united = self.elementwise(shape, &[united, moved]);
                }
                united
            }
        };
        let axes: Shape = (axis..axis + across).collect();
        let position = self.spread(&args[1], shape, &axes);
        self.elementwise(shape, &[source, position])
    }

    fn scatter(
        &mut self,
        shape: &[usize],
        axis: usize,
        size: usize,
        types: &[Type],
        args: &[Sets],
        index: Option<Tensor>,
    ) -> Sets {
        let from = &types[0].shape;
        let across = types[1].rank();
        let mut gathered: Vec<Vec<u32>> = vec![Vec::new(); num_elements(shape)];
        let place = |at: &[usize], to: usize| {
            let out = at[..axis].iter().chain([&to]).chain(&at[axis + across..]);
            out.zip(shape).fold(0, |flat, (i, n)| flat * n + i)
        };
        for i in 0..num_elements(from) {
            let at = unravel(from, i);
            let row = at[axis..axis + across]
                .iter()
                .zip(&types[1].shape)
                .fold(0, |flat, (i, n)| flat * n + i);
            let set = [Self::at(&args[0], i), Self::at(&args[1], row)];
            let to = match &index {
                Some(index) => number(index.data[row])..number(index.data[row]) + 1,
                None => 0..size,
            };
            for to in to.filter(|&to| to < size) {
                gathered[place(&at, to)].extend(set);
            }
        }
        let numbers: Vec<u32> = gathered.iter().map(|g| self.union_all(g)).collect();
        self.tensor(shape, &numbers)
    }

    /// A scan is followed step by step.
    fn scan(&mut self, scan: &Scan, types: &[Type], args: &[Sets]) -> Vec<Sets> {
        let body = &scan.body;
        if args.iter().all(Option::is_none) {
            return vec![None; body.outputs.len()];
        }
        let mut states: Vec<Sets> = args[..scan.carries].to_vec();
        let mut rows: Vec<Vec<Sets>> = vec![Vec::new(); body.outputs.len() - scan.carries];
        let mut steps: Vec<usize> = (0..scan.length).collect();
        if scan.reverse {
            steps.reverse();
        }
        for &step in &steps {
            let inputs: Vec<Sets> = (0..args.len())
                .map(|i| {
                    if i < scan.carries {
                        return states[i].clone();
                    }
                    if i >= scan.carries + scan.xs {
                        return args[i].clone();
                    }
                    let sets = args[i].as_ref()?;
                    let shape: Shape = types[i].shape[1..].into();
                    let n = num_elements(&shape);
                    let data = sets.data[step * n..(step + 1) * n].to_vec();
                    Some(Tensor::new(Type::real(shape), data))
                })
                .collect();
            let outputs = self.body(body, &inputs);
            states = outputs[..scan.carries].to_vec();
            for (row, sets) in rows.iter_mut().zip(&outputs[scan.carries..]) {
                row.push(sets.clone());
            }
        }
        if scan.reverse {
            rows.iter_mut().for_each(|r| r.reverse());
        }
        let stacked = rows.iter().zip(&body.outputs[scan.carries..]).map(|(steps, output)| {
            let ty = body.ty(output.value);
            let numbers: Vec<u32> =
                steps.iter().flat_map(|sets| (0..ty.len()).map(|i| Self::at(sets, i))).collect();
            let mut shape: Shape = [scan.length].as_slice().into();
            shape.extend_from_slice(&ty.shape);
            self.tensor(&shape, &numbers)
        });
        let stacked: Vec<Sets> = stacked.collect();
        states.into_iter().chain(stacked).collect()
    }

    /// The outputs of a function whose inputs depend on `inputs`.
    fn body(&mut self, f: &Function, inputs: &[Sets]) -> Vec<Sets> {
        let mut values: Vec<Vec<Sets>> = Vec::with_capacity(f.insts.len());
        for inst in &f.insts {
            let sets = match inst.op {
                Op::Input(i) => vec![inputs[i as usize].clone()],
                Op::Proj(i) => {
                    vec![values[inst.args[0].index()].get(i as usize).cloned().flatten()]
                }
                _ => {
                    let args: Vec<Sets> =
                        inst.args.iter().map(|a| values[a.index()][0].clone()).collect();
                    let constant = &mut |i: usize| match &f.inst(inst.args[i]).op {
                        Op::Const(t) => vec![t.clone()],
                        _ => Vec::new(),
                    };
                    self.through(inst, &f.operand_types(inst), &args, constant)
                }
            };
            values.push(sets);
        }
        f.outputs.iter().map(|o| values[o.value.index()][0].clone()).collect()
    }
}

fn unravel(shape: &[usize], mut flat: usize) -> SmallVec<[usize; 4]> {
    let mut index: SmallVec<[usize; 4]> = shape.iter().map(|_| 0).collect();
    for (i, &n) in index.iter_mut().zip(shape).rev() {
        *i = flat % n.max(1);
        flat /= n.max(1);
    }
    index
}
