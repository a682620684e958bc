//! Drops what no output needs, in scan bodies too. Inputs stay declared.

use crate::ir::Function;

/// `f` without dead values.
pub(super) fn run(f: &Function) -> Function {
    let mut live = f.extract(f.outputs.clone());
    for inst in &mut live.insts {
        inst.op = inst.op.map_functions(&run);
    }
    live
}
