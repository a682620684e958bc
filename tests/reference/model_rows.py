"""What `models.py` and `posteriordb.py` share: the list of models, and densities that SciPy lacks."""

import json
import pathlib

import numpy as np
from scipy.special import gammaln

HERE = pathlib.Path(__file__).parent
ROWS = []


def model(data, *points, name=None):
    """Registers a log density, named after its model, with data and the points to evaluate it at."""

    def register(function):
        ROWS.append((name or function.__name__, function, data, points))
        return function

    return register


def half(distribution, x):
    """Log density of a symmetric distribution about 0, cut to positive numbers."""
    return np.sum(distribution.logpdf(x)) + np.size(x) * np.log(2)


def lkj_cholesky(factor, eta):
    """Log density of the Cholesky factor of an LKJ correlation matrix, through beta variables."""
    k = len(factor)
    total = 0.0
    # The constant of Lewandowski, Kurowicka and Joe (2009), eq. 16, of the correlation matrix.
    for i in range(1, k):
        b = eta + 0.5 * (k - 1 - i)
        beta = 2 * gammaln(b) - gammaln(2 * b)
        total -= (k - i) * ((2 * eta - 2 + k - i) * np.log(2) + beta)
    omega = factor @ factor.T
    total += (eta - 1) * np.linalg.slogdet(omega)[1]
    # The determinant of the map from the factor to the matrix.
    return total + sum((k - 1 - i) * np.log(factor[i, i]) for i in range(k))


def factor2(r):
    return [[1.0, 0.0], [r, float(np.sqrt(1 - r * r))]]


RNG = np.random.default_rng(20260712)


def normals(*shape):
    return RNG.normal(size=shape).round(3).tolist()


def write(name):
    """Writes a line for each registered model."""
    with open(HERE / name, "w") as out:
        for model_name, function, data, points in ROWS:
            rows = [{"constrained": p, "log_density": float(function(data, p))} for p in points]
            assert all(np.isfinite(row["log_density"]) for row in rows), model_name
            print(json.dumps({"model": model_name, "data": data, "points": rows}), file=out)
