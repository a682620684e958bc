"""A model's log density for JAX, and so for BlackJAX and for NumPyro's samplers.

>>> log_density = ppl.jax.log_density(model)
>>> blackjax.nuts(log_density, step_size=0.1, inverse_mass_matrix=numpy.ones(model.dim))
"""

from __future__ import annotations

from typing import Any, Callable

import jax
import jax.numpy as jnp
import numpy as np

from .model import Model


def log_density(model: Model) -> Callable[[Any], Any]:
    """The log joint as a function of a point `[D]` that JAX can differentiate, compile and map.

    JAX calls the compiled model back on the host; many points (`vmap`) are one call. Set `jax_enable_x64` for the
    model's own precision.
    """

    def evaluate(z: Any) -> tuple[np.ndarray, np.ndarray]:
        points = np.asarray(z, dtype=np.float64).reshape(-1, model.dim)
        value, gradient = model.value_and_gradient(points)
        shape, dtype = np.shape(z), np.asarray(z).dtype
        return value.reshape(shape[:-1]).astype(dtype), gradient.reshape(shape).astype(dtype)

    def value_and_gradient(z: Any) -> Any:
        result = (jax.ShapeDtypeStruct(z.shape[:-1], z.dtype), jax.ShapeDtypeStruct(z.shape, z.dtype))
        return jax.pure_callback(evaluate, result, z, vmap_method="expand_dims")

    @jax.custom_vjp
    def density(z: Any) -> Any:
        return value_and_gradient(jnp.asarray(z))[0]

    def forward(z: Any) -> Any:
        return value_and_gradient(jnp.asarray(z))

    def backward(gradient: Any, cotangent: Any) -> Any:
        return (cotangent[..., None] * gradient,)

    density.defvjp(forward, backward)
    return density
