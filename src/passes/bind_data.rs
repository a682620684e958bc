//! Inputs → constants.

use crate::ir::{Args, Builder, Function, Op, Tensor, ValueId};

/// `f` with the named inputs replaced by values.
///
/// # Panics
/// When there is no input of a name, or its shape differs.
pub(super) fn run(f: &Function, values: &[(&str, Tensor)]) -> Function {
    for (name, tensor) in values {
        let input = f.input(name).unwrap_or_else(|| panic!("bug in ppl: no input {name}"));
        assert_eq!(f.inputs[input].ty.shape, tensor.ty.shape, "bug in ppl: shape of {name}");
    }
    let mut builder = Builder::new(f.name.clone());
    builder.reserve(f.insts.len());
    let inputs: Vec<ValueId> = f
        .inputs
        .iter()
        .map(|input| match values.iter().find(|(name, _)| *name == input.name) {
            // The declared element type: 3 given for a real is a real.
            Some((_, tensor)) => builder.tensor(Tensor::new(input.ty.clone(), tensor.data.clone())),
            None => builder.input(input.name.clone(), input.ty.clone()),
        })
        .collect();
    let mut map: Vec<ValueId> = Vec::with_capacity(f.insts.len());
    for inst in &f.insts {
        builder.set_span(inst.span);
        map.push(match inst.op {
            Op::Input(i) => inputs[i as usize],
            _ => {
                let args: Args = inst.args.iter().map(|a| map[a.index()]).collect();
                builder.add(inst.op.clone(), args)
            }
        });
    }
    for output in &f.outputs {
        builder.output(output.name.clone(), map[output.value.index()]);
    }
    builder.finish()
}
