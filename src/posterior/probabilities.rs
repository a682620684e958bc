//! Posterior probabilities of discrete latents, by differentiating the log joint.

use crate::autodiff::{self, NotDifferentiable};
use crate::ir::Builder;
use crate::lower::{Lowered, Role, Variable};

/// Adds the posterior probabilities of each discrete latent `z`, given the other parameters, to what a
/// draw reports: `z_prob`, of the shape of `z` with an axis for its values behind. They are the
/// derivative of the log joint in the latent's probe: differentiating the forward algorithm gives the
/// backward one \[eisner2016\].
///
/// # Errors
/// When the log joint has no derivative in the probe.
pub fn with_probabilities(mut lowered: Lowered) -> Result<Lowered, NotDifferentiable> {
    if lowered.latents.is_empty() {
        return Ok(lowered);
    }
    let f = &lowered.function;
    let joint = f.extract(vec![f.outputs[0].clone()]);
    let probes: Vec<usize> = lowered.latents.iter().map(|latent| latent.probe).collect();
    let gradients = autodiff::gradients(&joint, &probes)?;
    let mut b = Builder::new(f.name.clone());
    let args: Vec<_> = f.inputs.iter().map(|i| b.input(i.name.clone(), i.ty.clone())).collect();
    let values = b.inline(f, &args);
    for output in &f.outputs {
        b.output(output.name.clone(), values[output.value.index()]);
    }
    let derivatives = b.inline(&gradients, &args);
    for (latent, score) in lowered.latents.iter().zip(&gradients.outputs[1..]) {
        let mut shape = latent.shape.clone();
        shape.push(latent.values);
        let value = b.reshape(derivatives[score.value.index()], &shape);
        let name = format!("{}_prob", latent.name);
        let output = b.function().outputs.len();
        b.output(name.clone(), value);
        lowered.variables.push(Variable { name, shape, role: Role::Gen, output });
    }
    lowered.function = b.finish();
    Ok(lowered)
}
