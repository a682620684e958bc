//! Drops what no output needs, in scan bodies too. Inputs stay declared.

use crate::ir::{Function, Op};

use super::emit::in_body;

/// `f` without dead values.
pub(super) fn run(f: &Function) -> Function {
    let mut live = f.extract(f.outputs.clone());
    for inst in &mut live.insts {
        if let Op::Scan(scan) = &inst.op {
            inst.op = in_body(scan, run);
        }
    }
    live
}
