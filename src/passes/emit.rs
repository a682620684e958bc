//! Rebuilds a function instruction by instruction; what passes are written with.

use crate::ir::{Args, Builder, Function, Inst, Op, ValueId};

/// Rebuilds `f`, giving each instruction (with operands already replaced) to `emit`, which returns the
/// value that stands for it. What no output needs is dropped, so that a pass that changes nothing gives
/// back an equal function: `None`.
pub(super) fn rebuild(
    f: &Function,
    emit: &mut dyn FnMut(&mut Builder, &Inst, Args) -> ValueId,
) -> Option<Function> {
    let mut builder = Builder::new(f.name.clone());
    builder.reserve(f.insts.len());
    let inputs: Vec<ValueId> =
        f.inputs.iter().map(|i| builder.input(i.name.clone(), i.ty.clone())).collect();
    let mut map: Vec<ValueId> = Vec::with_capacity(f.insts.len());
    for inst in &f.insts {
        builder.set_span(inst.span);
        map.push(match inst.op {
            Op::Input(i) => inputs[i as usize],
            _ => {
                let args: Args = inst.args.iter().map(|a| map[a.index()]).collect();
                let value = emit(&mut builder, inst, args);
                debug_assert_eq!(
                    builder.ty(value),
                    &inst.ty,
                    "bug in ppl: {inst:?} changed its type"
                );
                value
            }
        });
    }
    for output in &f.outputs {
        builder.output(output.name.clone(), map[output.value.index()]);
    }
    let mut after = builder.finish();
    after.drop_unneeded();
    (after != *f).then_some(after)
}
