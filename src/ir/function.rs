//! A function: inputs, instructions in order of dependence, outputs.

use crate::source::Span;

use super::entity::ValueId;
use super::op::{Args, Op};
use super::ty::Type;

/// A declared input.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// Name, for the text form and for binding data.
    pub name: String,
    /// Type.
    pub ty: Type,
}

/// A named result.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Name.
    pub name: String,
    /// The value.
    pub value: ValueId,
}

/// One instruction; its index is the [`ValueId`] it defines.
#[derive(Debug, Clone, PartialEq)]
pub struct Inst {
    /// Operation.
    pub op: Op,
    /// Operands, all defined earlier.
    pub args: Args,
    /// Type of the result.
    pub ty: Type,
    /// The source text this came from.
    pub span: Option<Span>,
}

/// A pure function over tensors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Function {
    /// Name.
    pub name: String,
    /// Inputs.
    pub inputs: Vec<Input>,
    /// Instructions.
    pub insts: Vec<Inst>,
    /// Outputs.
    pub outputs: Vec<Output>,
}

impl Function {
    /// The instruction that defines `value`.
    #[must_use]
    pub fn inst(&self, value: ValueId) -> &Inst {
        &self.insts[value.index()]
    }

    /// The type of `value`.
    #[must_use]
    pub fn ty(&self, value: ValueId) -> &Type {
        &self.inst(value).ty
    }

    /// The types of an instruction's operands.
    #[must_use]
    pub fn operand_types(&self, inst: &Inst) -> Vec<Type> {
        inst.args.iter().map(|&a| self.ty(a).clone()).collect()
    }

    /// All values in order of definition.
    pub fn values(&self) -> impl Iterator<Item = (ValueId, &Inst)> {
        self.insts.iter().enumerate().map(|(i, inst)| (ValueId::new(i), inst))
    }

    /// The index of the input of that name.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<usize> {
        self.inputs.iter().position(|i| i.name == name)
    }

    /// Whether no operation is defined by further functions: there is no scan and no solver.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.insts.iter().all(|inst| inst.op.functions().next().is_none())
    }

    /// For each value, whether it depends on any of the inputs for which `on` holds.
    #[must_use]
    pub fn depends_on(&self, on: impl Fn(usize) -> bool) -> Vec<bool> {
        let mut depends = Vec::with_capacity(self.insts.len());
        for inst in &self.insts {
            depends.push(match inst.op {
                Op::Input(i) => on(i as usize),
                _ => inst.args.iter().any(|a| depends[a.index()]),
            });
        }
        depends
    }
}
