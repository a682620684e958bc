//! A group of elementwise operations → a loop over register tiles.

use std::collections::HashMap;

use super::kernels::elementwise::Micro;
use super::plan::{Arg, FusedLoop, Home, LoopOp, Value};
use super::view::{Class, Map, View, ViewKey};

/// Elementwise operations over one domain that run in one loop.
#[derive(Debug)]
pub(super) struct Group {
    /// Elements of the domain.
    pub(super) len: usize,
    pub(super) class: Class,
    /// Row length of the sums at the end, once there is one.
    pub(super) cols: Option<usize>,
    pub(super) ops: Vec<GroupOp>,
}

/// One operation of a group.
#[derive(Debug)]
pub(super) enum GroupOp {
    /// Elementwise, into a value of the domain's length.
    Apply { op: Micro, args: Vec<View>, value: usize },
    /// Sum of each row.
    Sum { arg: View, value: usize },
    /// Sum of all rows, which are as long as the value.
    SumColumns { arg: View, value: usize },
}

impl GroupOp {
    pub(super) fn args(&self) -> &[View] {
        match self {
            GroupOp::Apply { args, .. } => args,
            GroupOp::Sum { arg, .. } | GroupOp::SumColumns { arg, .. } => std::slice::from_ref(arg),
        }
    }
}

impl Group {
    /// Whether a sum over rows of `cols` fits; anything does without a sum.
    pub(super) fn accepts(&self, cols: Option<usize>) -> bool {
        self.cols.is_none() || cols.is_none() || self.cols == cols
    }

    /// Whether the view is of a value that this group has in a register.
    pub(super) fn has_in_register(&self, view: &View, made_here: bool) -> bool {
        made_here && matches!(view.map, Map::Contiguous(0)) && view.len == self.len
    }
}

/// What an operand is: a source that is loaded, or the result of an operation of the group.
#[derive(Clone, Copy)]
enum Operand {
    Source(usize),
    Op(usize),
}

/// Something known of each operand.
struct OfOperands<T> {
    sources: Vec<Option<T>>,
    ops: Vec<Option<T>>,
}

impl<T: Clone> OfOperands<T> {
    fn new(sources: usize, ops: usize) -> Self {
        OfOperands { sources: vec![None; sources], ops: vec![None; ops] }
    }

    fn of(&mut self, operand: Operand) -> &mut Option<T> {
        match operand {
            Operand::Source(i) => &mut self.sources[i],
            Operand::Op(i) => &mut self.ops[i],
        }
    }
}

/// Lowers a group; `values` says which results must be stored (they have a home).
///
/// `numbers` has a place for each value, where this notes which operation makes it; what other groups
/// noted there may stand.
pub(super) fn lower(group: &Group, values: &[Value], numbers: &mut [usize]) -> FusedLoop {
    for (number, op) in group.ops.iter().enumerate() {
        if let GroupOp::Apply { value, .. } = op {
            numbers[*value] = number;
        }
    }
    let made_by = |made: usize| {
        let number = numbers[made];
        let op = group.ops.get(number);
        matches!(op, Some(GroupOp::Apply { value, .. }) if *value == made).then_some(number)
    };
    let mut sources: Vec<View> = Vec::new();
    let mut known: HashMap<ViewKey, usize> = HashMap::new();
    let operands: Vec<Vec<Operand>> = group
        .ops
        .iter()
        .map(|op| {
            let operand = |view: &View| {
                if let Some(number) = made_by(view.value)
                    && group.has_in_register(view, true)
                {
                    return Operand::Op(number);
                }
                Operand::Source(*known.entry(view.key()).or_insert_with(|| {
                    sources.push(view.clone());
                    sources.len() - 1
                }))
            };
            op.args().iter().map(operand).collect()
        })
        .collect();

    let mut last_use = OfOperands::new(sources.len(), group.ops.len());
    for (i, args) in operands.iter().enumerate() {
        for &operand in args {
            *last_use.of(operand) = Some(i);
        }
    }
    let mut registers = Registers::default();
    let mut place = OfOperands::new(sources.len(), group.ops.len());
    let mut once = Vec::new();
    for (i, view) in sources.iter().enumerate() {
        let same_class = values[view.value].class == group.class;
        let single = matches!(view.map, Map::Splat(_)) || view.len == 1;
        if matches!(view.map, Map::Contiguous(_)) && same_class && view.len == group.len {
            place.sources[i] = Some(Arg::Source(i));
        } else if single {
            let reg = registers.take();
            once.push((i, reg));
            place.sources[i] = Some(Arg::Reg(reg));
            // Never freed: it is filled before the loop.
            last_use.sources[i] = None;
        }
    }

    let (mut ops, mut stores) = (Vec::new(), Vec::new());
    let (mut sums, mut columns) = (Vec::new(), Vec::new());
    for (i, (op, operands)) in group.ops.iter().zip(&operands).enumerate() {
        let mut args = [Arg::None; 3];
        let mut unread = None;
        for (arg, &operand) in args.iter_mut().zip(operands) {
            *arg = *place.of(operand).get_or_insert_with(|| match operand {
                Operand::Source(source) => {
                    let reg = registers.take();
                    ops.push(LoopOp::Load { source, reg });
                    Arg::Reg(reg)
                }
                Operand::Op(_) => {
                    unreachable!("bug in ppl: a register is read before it is set")
                }
            });
        }
        match op {
            GroupOp::Apply { op, value, .. } => {
                let reg = registers.take();
                let here = Arg::Reg(reg);
                ops.push(LoopOp::Apply { op: *op, args, reg });
                place.ops[i] = Some(here);
                if values[*value].home != Home::Register {
                    ops.push(LoopOp::Store { arg: here, out: stores.len() });
                    stores.push(*value);
                }
                if last_use.ops[i].is_none() {
                    unread = Some(reg);
                }
            }
            GroupOp::Sum { value, .. } => {
                if values[*value].home != Home::Register {
                    ops.push(LoopOp::Sum { arg: args[0], out: sums.len() });
                    sums.push(*value);
                }
            }
            GroupOp::SumColumns { value, .. } => {
                if values[*value].home != Home::Register {
                    ops.push(LoopOp::SumColumns { arg: args[0], out: columns.len() });
                    columns.push(*value);
                }
            }
        }
        for &operand in operands {
            if *last_use.of(operand) == Some(i)
                && let Some(Arg::Reg(reg)) = place.of(operand).take()
            {
                registers.give_back(reg);
            }
        }
        if let Some(reg) = unread {
            registers.give_back(reg);
        }
    }
    FusedLoop {
        len: group.len,
        class: group.class,
        cols: group.cols.unwrap_or(group.len),
        sources,
        once,
        ops,
        stores,
        sums,
        columns,
        registers: registers.count,
    }
}

#[derive(Default)]
struct Registers {
    free: Vec<usize>,
    count: usize,
}

impl Registers {
    fn take(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.count += 1;
            self.count - 1
        })
    }

    fn give_back(&mut self, reg: usize) {
        self.free.push(reg);
    }
}
