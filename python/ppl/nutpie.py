"""A model for nutpie.

>>> trace = nutpie.sample(ppl.nutpie.compiled(model))
"""

from __future__ import annotations

from typing import Any

import numpy as np
from nutpie.compiled_pyfunc import from_pyfunc

from .model import Model


def compiled(model: Model) -> Any:
    """The model as nutpie samples it; its trace has the names of the model."""
    at = model.constrain(np.zeros(model.dim))

    def make_logp() -> Any:
        return lambda z: model.value_and_gradient(z)

    def make_expand(seed1: int, seed2: int, chain: int) -> Any:
        seeds = np.random.default_rng([seed1, seed2, chain])

        def expand(z: np.ndarray) -> dict[str, np.ndarray]:
            values = model.constrain(z, seed=int(seeds.integers(2**63)))
            return {name: np.asarray(value) for name, value in values.items()}

        return expand

    return from_pyfunc(
        ndim=model.dim,
        make_logp_fn=make_logp,
        make_expand_fn=make_expand,
        expanded_dtypes=[np.dtype(np.float64) for _ in at],
        expanded_shapes=[np.shape(value) for value in at.values()],
        expanded_names=list(at),
    )
