"""Probabilistic models in a small language: compiled, differentiated, fitted.

>>> import ppl
>>> model = ppl.Model("model.ppl", {"J": 8, "y": y, "sigma": sigma})
>>> fit = model.fit("sivi-sm")          # an xarray.DataTree, as ArviZ reads it
>>> model.log_density(z), model.gradient(z), model.hvp(z, v)
"""

from ._native import __version__
from .errors import Error, FitWarning, InferenceError, ModelError, ModelWarning, UsageError
from .model import Model, Parameter

__all__ = [
    "Error",
    "FitWarning",
    "InferenceError",
    "Model",
    "ModelError",
    "ModelWarning",
    "Parameter",
    "UsageError",
    "__version__",
]
