"""A model bound to its data."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Union

import numpy as np
import numpy.typing as npt
import xarray as xr

from . import _native, fitting
from .data import Data, read, to_json
from .errors import ModelError, ModelWarning

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Parameter:
    """A parameter and its part of an unconstrained point."""

    #: Its name in the model.
    name: str
    #: Shape of its value.
    shape: tuple[int, ...]
    #: Its coordinates in an unconstrained point.
    coordinates: slice
    #: What makes its value from them, as `ppl check --json` names it.
    transform: str


class Model:
    """A model compiled with its data: its posterior, to be fitted or evaluated.

    Points are unconstrained: `[D]`, or `[B, D]` for many at once. The log density includes the log Jacobian
    of the transforms, so it is what a sampler wants.

    Parameters
    ----------
    model
        Path of a `.ppl` file.
    data
        A mapping from names to numbers, lists, NumPy arrays or pandas series; a data frame; or the path of a
        JSON or CSV file. Elements that are `None` or masked are missing.

    Raises
    ------
    ModelError
        With what `ppl check` prints.
    """

    def __init__(self, model: Union[str, PathLike], data: Data = None) -> None:
        path = Path(model)
        self._compile(path, path.read_text(encoding="utf-8"), data)

    @classmethod
    def from_string(cls, text: str, data: Data = None, name: str = "model.ppl") -> Model:
        """Compiles the text of a model."""
        self = cls.__new__(cls)
        self._compile(None, text, data, name)
        return self

    def _compile(self, path: Path | None, text: str, data: Data, name: str = "") -> None:
        self._path, self._text, self._name = path, text, str(path) if path else name
        data_name, self._data = read(data)
        self._data_path = None if isinstance(data, Mapping) or data_name == "data" else data_name
        try:
            self._native = _native.Model(self._name, text, data_name, self._data)
        except ValueError as error:
            raise ModelError(str(error)) from None
        for remark in self._native.remarks:
            warnings.warn(remark, ModelWarning, stacklevel=3)

    @property
    def dim(self) -> int:
        """Number of unconstrained coordinates, `D`."""
        return self._native.dim

    @property
    def parameters(self) -> list[Parameter]:
        """The parameters in order of declaration, which is that of their coordinates."""
        return [
            Parameter(name, tuple(shape), slice(start, start + length), transform)
            for name, shape, start, length, transform in self._native.parameters
        ]

    @property
    def coordinates(self) -> list[str]:
        """What to call each coordinate of an unconstrained point."""
        return self._native.coordinates

    def log_density(self, z: npt.ArrayLike) -> Any:
        """The log joint at `z`, in nats: a number for `[D]`, an array `[B]` for `[B, D]`."""
        points, one = _points(z)
        value = self._native.log_density(points)
        return float(value[0]) if one else value

    def gradient(self, z: npt.ArrayLike) -> Array:
        """The gradient of the log joint, in the shape of `z`."""
        return self.value_and_gradient(z)[1]

    def value_and_gradient(self, z: npt.ArrayLike) -> tuple[Any, Array]:
        """Both at once, for the price of the gradient."""
        points, one = _points(z)
        value, gradient = self._native.value_and_gradient(points)
        return (float(value[0]), gradient[0]) if one else (value, gradient)

    def hvp(self, z: npt.ArrayLike, v: npt.ArrayLike) -> Array:
        """The Hessian of the log joint at `z` times `v`; both have the shape of the result."""
        points, one = _points(z)
        vectors, _ = _points(v)
        product = self._native.hvp(points, vectors)
        return product[0] if one else product

    def constrain(self, z: npt.ArrayLike, *, seed: int = 1) -> dict[str, np.ndarray]:
        """Parameters, transformed parameters and generated quantities at `z`, by name.

        An array has the shape of the variable, behind `B` for points `[B, D]`. What is random in the generated
        quantities depends on `seed`.
        """
        points, one = _points(z)
        variables = self._native.constrain(points, seed)
        arrays = {name: values.reshape(shape) for name, shape, _, values in variables}
        return {name: array[0] for name, array in arrays.items()} if one else arrays

    def unconstrain(self, values: Mapping[str, Any]) -> Array:
        """The point `[D]` at which the parameters have these values.

        Raises `ValueError` where one is absent, has another shape, or lies outside of its support.
        """
        return self._native.unconstrain(to_json(values))

    def fit(
        self,
        method: str = "auto",
        *,
        out: Union[str, PathLike, None] = None,
        **options: Any,
    ) -> xr.DataTree:
        """Fits the model, as `ppl run --infer METHOD` does.

        Parameters
        ----------
        method
            One of those that `ppl methods` lists: `"auto"`, `"nuts"`, `"sivi-sm"`, `"ldvi"`, …
        out
            Keep the run directory there; `ppl report`, `ppl predict` and `init=` can use it.
        options
            The flags of `ppl run`: `seed=1`, `draws=4000`, `iterations=…`, `learning_rate=…`, `threads=…`,
            `max_seconds=…`, `minibatch={"N": 400}`, `set={"sivi-sm.hidden": 64}`.

        Returns
        -------
        xarray.DataTree
            With the groups of `fit.zarr`: `posterior`, `posterior_predictive`, `log_likelihood`, … Its attributes
            have the verdict. A verdict that is not "ok" is a `FitWarning`.

        Raises
        ------
        UsageError, InferenceError, KeyboardInterrupt
            After Ctrl-C what was found so far is in `out`.
        """
        with tempfile.TemporaryDirectory(prefix="ppl-") as folder:
            directory = Path(out) if out is not None else Path(folder) / "run"
            arguments = ["run", *self._files(Path(folder)), "--infer", method, "--out", str(directory)]
            fitting.run(arguments + ["--quiet", *fitting.flags(options)])
            return fitting.read(directory)

    def _files(self, folder: Path) -> list[str]:
        """The model and its data as files, and the arguments that name them."""
        model = self._path
        if model is None:
            model = folder / Path(self._name).name
            model.write_text(self._text, encoding="utf-8")
        data = self._data_path
        if data is None:
            data = str(folder / "data.json")
            Path(data).write_bytes(self._data)
        return [str(model), "--data", data]

    def __repr__(self) -> str:
        names = ", ".join(parameter.name for parameter in self.parameters)
        return f"<ppl.Model {self._name}: {self.dim} coordinates, parameters {names}>"


def _points(z: npt.ArrayLike) -> tuple[Array, bool]:
    """Points as `[B, D]`, and whether `z` was one of them alone."""
    points = np.asarray(z, dtype=np.float64)
    if points.ndim not in (1, 2):
        raise ValueError(f"a point is [D], points are [B, D], not {list(points.shape)}")
    return np.atleast_2d(points), points.ndim == 1
