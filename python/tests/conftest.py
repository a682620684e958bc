"""Models that the tests share."""

from pathlib import Path

import numpy as np
import pytest

import ppl

ROOT = Path(__file__).resolve().parents[2]

#: A Gaussian posterior with a closed form: known noise, conjugate prior.
CONJUGATE = """\
data y: real[N]
param mu ~ normal(0, 2)
y ~ normal(mu, 1)
"""


@pytest.fixture(scope="session")
def y() -> np.ndarray:
    return np.array([0.5, 1.5, 1.0, 2.0])


@pytest.fixture(scope="session")
def conjugate(y) -> ppl.Model:
    return ppl.Model.from_string(CONJUGATE, {"y": y})


@pytest.fixture(scope="session")
def schools() -> ppl.Model:
    folder = ROOT / "examples/eight_schools"
    return ppl.Model(folder / "model.ppl", folder / "data.json")
