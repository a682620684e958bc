//! Storage: which values need it, and which may take turns in one slot.

use super::element::Element;
use super::fuse::{self, GroupOp};
use super::plan::{Home, Plan, Slot, Step};
use super::schedule::{Node, Planner};
use super::straight;
use super::view::View;

/// Assigns slots and lowers the loops: the last stage of planning.
pub(super) fn finish<E: Element>(mut planner: Planner<'_, E>, outputs: Vec<View>) -> Plan<E> {
    let last_read = last_reads(&planner, &outputs);
    let mut made_in: Vec<Vec<usize>> = vec![Vec::new(); planner.nodes.len()];
    for (value, made_by) in planner.made_by.iter().enumerate() {
        if let Some((node, _)) = made_by {
            made_in[*node].push(value);
        }
    }
    let mut slots = Slots::default();
    let values = &mut planner.values;
    for &value in &planner.pinned {
        values[value].home = slots.take_new(values[value].len, values[value].class);
    }
    let mut dying: Vec<Vec<usize>> = vec![Vec::new(); planner.nodes.len()];
    for (value, last) in last_read.iter().enumerate() {
        if let (Some(last), Some(_)) = (last, planner.made_by[value])
            && let Some(dying) = dying.get_mut(*last)
        {
            dying.push(value);
        }
    }
    for (made, dying) in made_in.iter().zip(&dying) {
        // Results first: they must not lie where an operand does.
        for &value in made {
            if last_read[value].is_some() {
                values[value].home = slots.take(values[value].len, values[value].class);
            }
        }
        for &value in dying {
            if let Home::Slot(slot) = values[value].home {
                slots.free.push(slot);
            }
        }
    }
    let mut numbers = vec![usize::MAX; planner.values.len()];
    let steps: Vec<Step<E>> = planner
        .nodes
        .into_iter()
        .map(|node| match node {
            Node::Fused(group) => Step::Fused(fuse::lower(&group, &planner.values, &mut numbers)),
            Node::Step(step) => step,
        })
        .collect();
    let loops = || {
        steps.iter().filter_map(|s| match s {
            Step::Fused(f) => Some(f),
            _ => None,
        })
    };
    let kept = |step: usize, end: usize| {
        let outlives = |value: &usize| last_read[*value].is_some_and(|last| last >= end);
        made_in[step].iter().copied().filter(outlives).collect()
    };
    Plan {
        alone: straight::stretches(&planner.values, &planner.consts, &steps, kept),
        registers: loops().map(|f| f.registers).max().unwrap_or(0),
        sums: loops().map(|f| f.sums.len()).max().unwrap_or(0),
        values: planner.values,
        steps,
        consts: planner.consts,
        slots: slots.all,
        inputs: planner.inputs,
        outputs,
    }
}

/// The last node that reads each value from storage; `usize::MAX` for outputs, `None` if none does.
fn last_reads<E: Element>(planner: &Planner<'_, E>, outputs: &[View]) -> Vec<Option<usize>> {
    let mut last = vec![None; planner.values.len()];
    for (i, node) in planner.nodes.iter().enumerate() {
        match node {
            Node::Fused(group) => {
                for view in group.ops.iter().flat_map(GroupOp::args) {
                    let made_here = planner.made_by[view.value] == Some((i, true));
                    if !group.has_in_register(view, made_here) {
                        last[view.value] = Some(i);
                    }
                }
            }
            Node::Step(step) => {
                for view in step.reads() {
                    last[view.value] = Some(i);
                }
            }
        }
    }
    for view in outputs {
        last[view.value] = Some(usize::MAX);
    }
    last
}

#[derive(Default)]
struct Slots {
    all: Vec<Slot>,
    free: Vec<usize>,
}

impl Slots {
    fn take_new(&mut self, len: usize, class: super::view::Class) -> Home {
        self.all.push(Slot { len, class });
        Home::Slot(self.all.len() - 1)
    }

    /// The smallest free slot that is large enough, else the largest made larger, else a new one.
    fn take(&mut self, len: usize, class: super::view::Class) -> Home {
        let fit = |&i: &usize| {
            let slot = self.all[self.free[i]];
            let short = slot.len < len;
            (short, if short { len - slot.len } else { slot.len - len })
        };
        let best =
            (0..self.free.len()).filter(|&i| self.all[self.free[i]].class == class).min_by_key(fit);
        match best {
            Some(i) => {
                let slot = self.free.swap_remove(i);
                self.all[slot].len = self.all[slot].len.max(len);
                Home::Slot(slot)
            }
            None => self.take_new(len, class),
        }
    }
}
