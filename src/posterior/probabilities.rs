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
    for latent in lowered.latents.clone() {
        let f = &lowered.function;
        let joint = f.extract(vec![f.outputs[0].clone()]);
        let gradient = autodiff::gradient(&joint, latent.probe)?;
        let mut b = Builder::new(f.name.clone());
        let args: Vec<_> = f.inputs.iter().map(|i| b.input(i.name.clone(), i.ty.clone())).collect();
        let values = b.inline(f, &args);
        for output in &f.outputs {
            b.output(output.name.clone(), values[output.value.index()]);
        }
        let derivatives = b.inline(&gradient, &args);
        let score = gradient.outputs[gradient.outputs.len() - 1].value;
        let mut shape = latent.shape.clone();
        shape.push(latent.values);
        let value = b.reshape(derivatives[score.index()], &shape);
        let name = format!("{}_prob", latent.name);
        b.output(name.clone(), value);
        let output = f.outputs.len();
        lowered.function = b.finish();
        lowered.variables.push(Variable { name, shape, role: Role::Gen, output });
    }
    Ok(lowered)
}
