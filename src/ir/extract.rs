//! The part of a function that some outputs need.

use super::entity::ValueId;
use super::function::{Function, Output};

impl Function {
    /// Whether each value is needed for any of `outputs`.
    #[must_use]
    pub fn needed_for(&self, outputs: impl IntoIterator<Item = ValueId>) -> Vec<bool> {
        let mut needed = vec![false; self.insts.len()];
        for value in outputs {
            needed[value.index()] = true;
        }
        for i in (0..self.insts.len()).rev() {
            if needed[i] {
                for arg in &self.insts[i].args {
                    needed[arg.index()] = true;
                }
            }
        }
        needed
    }

    /// The same function with these outputs only and without what they do not need; every input stays
    /// declared.
    #[must_use]
    pub fn extract(&self, outputs: Vec<Output>) -> Function {
        let needed = self.needed_for(outputs.iter().map(|o| o.value));
        let insts = self.insts.iter().zip(&needed).filter(|(_, needed)| **needed);
        let insts = insts.map(|(inst, _)| inst.clone()).collect();
        let (name, inputs) = (self.name.clone(), self.inputs.clone());
        let mut part = Function { name, inputs, insts, outputs };
        part.renumber(&needed);
        part
    }

    /// Drops what no output needs; every input stays declared.
    pub fn drop_unneeded(&mut self) {
        let needed = self.needed_for(self.outputs.iter().map(|o| o.value));
        let mut keep = needed.iter();
        self.insts.retain(|_| keep.next().is_some_and(|&needed| needed));
        self.renumber(&needed);
    }

    /// Instructions and outputs, whose operands go by the numbers of a function that some of its
    /// instructions were taken out of, get the numbers of this one.
    fn renumber(&mut self, kept: &[bool]) {
        let mut next = 0;
        let number = kept.iter().map(|&kept| {
            next += usize::from(kept);
            ValueId::new(next - usize::from(kept))
        });
        let map: Vec<ValueId> = number.collect();
        for arg in self.insts.iter_mut().flat_map(|inst| &mut inst.args) {
            *arg = map[arg.index()];
        }
        for output in &mut self.outputs {
            output.value = map[output.value.index()];
        }
    }
}
