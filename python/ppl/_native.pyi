"""The compiled part; `ppl.Model` is what to use."""

import numpy as np
import numpy.typing as npt

__version__: str

Array = npt.NDArray[np.float64]

class Model:
    """A model bound to its data; points are `[B, D]`."""

    remarks: list[str]
    dim: int
    parameters: list[tuple[str, list[int], int, int, str]]
    coordinates: list[str]

    def __init__(self, name: str, text: str, data_name: str, data: bytes) -> None: ...
    def log_density(self, z: Array) -> Array: ...
    def value_and_gradient(self, z: Array) -> tuple[Array, Array]: ...
    def hvp(self, z: Array, v: Array) -> Array: ...
    def constrain(self, z: Array, seed: int) -> list[tuple[str, list[int], str, Array]]: ...
    def unconstrain(self, values: bytes) -> Array: ...

def main(args: list[str]) -> int:
    """Runs the command line and returns its exit code."""
