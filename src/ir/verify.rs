//! The invariants of the IR, and the check of them.
//!
//! 1. An operand is defined by an earlier instruction; an output is defined.
//! 2. Every value has the type that `shape_rule` gives its operation; an input that of its declaration.
//! 3. An input is read by at most one instruction.
//! 4. A constant holds as many numbers as its shape says.
//! 5. `Proj` reads a `Scan`, and nothing else does, outputs included.
//! 6. Constant indices of `Gather` and `ScatterAdd` are integers within bounds.
//! 7. The body of a scan keeps all of these, and so do the functions that a solver is given.

use super::entity::ValueId;
use super::function::{Function, Inst};
use super::op::Op;
use super::shape_rule::{infer_type, proj_type};
use super::ty::{DType, Type};

/// Where and how a function breaks an invariant: a bug in the code that built it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{function}: {place}: {message}")]
pub struct VerifyError {
    /// Name of the function (that of the body, within a scan).
    pub function: String,
    /// The instruction, as `%7`, or the output.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

/// Checks every invariant of `f`.
///
/// # Errors
/// The first one that does not hold.
pub fn verify(f: &Function) -> Result<(), VerifyError> {
    let mut read = vec![false; f.inputs.len()];
    for (value, inst) in f.values() {
        let at = |message: String| VerifyError {
            function: f.name.clone(),
            place: value.to_string(),
            message,
        };
        verify_inst(f, value, inst, &mut read).map_err(at)?;
        inst.op.functions().try_for_each(verify)?;
    }
    for output in &f.outputs {
        let at = |message: String| VerifyError {
            function: f.name.clone(),
            place: format!("output {}", output.name),
            message,
        };
        if output.value.index() >= f.insts.len() {
            return Err(at(format!("{} is not defined", output.value)));
        }
        if f.ty(output.value).dtype == DType::Tuple {
            return Err(at("is a tuple".to_owned()));
        }
    }
    Ok(())
}

fn verify_inst(f: &Function, value: ValueId, inst: &Inst, read: &mut [bool]) -> Result<(), String> {
    for &arg in &inst.args {
        if arg >= value {
            return Err(format!("{arg} is used before it is defined"));
        }
        let is_proj = matches!(inst.op, Op::Proj(_));
        if (f.ty(arg).dtype == DType::Tuple) != is_proj {
            return Err(format!("{arg} is {}", f.ty(arg)));
        }
    }
    let expected = match &inst.op {
        Op::Input(i) => {
            let i = *i as usize;
            let Some(input) = f.inputs.get(i) else { return Err(format!("there is no input {i}")) };
            if !inst.args.is_empty() {
                return Err("an input has no operands".to_owned());
            }
            if std::mem::replace(&mut read[i], true) {
                return Err(format!("input {} is read twice", input.name));
            }
            input.ty.clone()
        }
        Op::Const(t) if t.data.len() != t.ty.len() => {
            return Err(format!("{} numbers for a constant of type {}", t.data.len(), t.ty));
        }
        Op::Proj(i) => match inst.args.as_slice() {
            [scan] => match &f.inst(*scan).op {
                Op::Scan(scan) => proj_type(scan, *i as usize).map_err(|e| e.0)?,
                _ => return Err(format!("{scan} is not a scan")),
            },
            _ => return Err("a projection has one operand".to_owned()),
        },
        Op::Scan(scan)
            if scan.body.outputs.iter().any(|o| o.value.index() >= scan.body.insts.len()) =>
        {
            return Err("the body returns an undefined value".to_owned());
        }
        op => {
            let types: Vec<&Type> = inst.args.iter().map(|&a| f.ty(a)).collect();
            infer_type(op, &types).map_err(|e| e.0)?
        }
    };
    if expected != inst.ty {
        return Err(format!("has type {} where {expected} follows from its operands", inst.ty));
    }
    verify_indices(f, inst)
}

fn verify_indices(f: &Function, inst: &Inst) -> Result<(), String> {
    let size = match inst.op {
        Op::Gather { axis } => f.ty(inst.args[0]).shape[axis],
        Op::ScatterAdd { size, .. } => size,
        _ => return Ok(()),
    };
    if let Op::Const(index) = &f.inst(inst.args[1]).op {
        #[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
        let size = size as f64;
        match index.data.iter().find(|&&i| !(0.0 <= i && i < size && i.fract() == 0.0)) {
            Some(i) => return Err(format!("index {i} is outside 0..{size}")),
            None => return Ok(()),
        }
    }
    Ok(())
}
