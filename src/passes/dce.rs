//! Drops what no output needs, in scan bodies too. Inputs stay declared.

use crate::ir::Function;

/// `f` without dead values, if it has any.
pub(super) fn run(f: &Function) -> Option<Function> {
    let alive = f.needed_for(f.outputs.iter().map(|o| o.value)).iter().all(|&needed| needed);
    if alive && f.is_flat() {
        return None;
    }
    let mut live = f.extract(f.outputs.clone());
    for inst in &mut live.insts {
        inst.op = inst.op.map_functions(&run);
    }
    (live != *f).then_some(live)
}
