//! The part of a function that some outputs need.

use super::entity::ValueId;
use super::function::{Function, Inst, Output};

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
        let mut map = vec![ValueId::new(0); self.insts.len()];
        let mut insts: Vec<Inst> = Vec::new();
        for (i, inst) in self.insts.iter().enumerate().filter(|(i, _)| needed[*i]) {
            map[i] = ValueId::new(insts.len());
            let args = inst.args.iter().map(|a| map[a.index()]).collect();
            insts.push(Inst { args, ..inst.clone() });
        }
        let outputs = outputs
            .into_iter()
            .map(|o| Output { value: map[o.value.index()], name: o.name })
            .collect();
        Function { name: self.name.clone(), inputs: self.inputs.clone(), insts, outputs }
    }
}
