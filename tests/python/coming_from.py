"""The models of docs/coming_from_*.md: each has the log density of the model of ppl beside it, up to a constant.

usage: coming_from.py PPL PAGE

PPL is the binary. The data are those of examples/.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ppl, page = sys.argv[1], Path(sys.argv[2])
root = page.resolve().parents[1]
text = page.read_text()
models = dict(re.findall(r"<!-- file: (\w+)\.ppl -->\n```ppl\n(.*?)```", text, re.S))
programs = re.findall(r"<!-- file: (\w+)\.ppl -->\n```ppl\n.*?```\n\n```stan\n(.*?)```", text, re.S)
namespace: dict = dict(programs)
for block in re.findall(r"```python\n(.*?)```", text, re.S):
    exec(block, namespace)

rng = np.random.default_rng(1)
x = np.linspace(-1, 2, 12)


def example(name):
    return json.loads((root / f"examples/{name}/data.json").read_text())


def positive(*shape):
    return np.exp(rng.normal(size=shape))


seeds = example("seeds")
garch = {key: value for key, value in example("garch").items() if key != "T"}
schools = example("eight_schools")
mixture = {"y": example("mixture")["y"][:60]}
DATA = {
    "regression": {"x": x, "y": 1 + 2 * x + 0.3 * rng.normal(size=12)},
    "schools": {name: schools[name] for name in ("y", "sigma")},
    "seeds": {name: seeds[name] for name in ("n", "r", "x1", "x2")},
    "mixture": mixture,
    "garch": {"y": garch["y"], "sigma1": garch["sigma1"]},
}
POINTS = {
    "regression": lambda: {"a": rng.normal(), "b": rng.normal(), "sigma": positive()},
    "schools": lambda: {"mu": rng.normal(), "tau": positive(), "theta_raw": rng.normal(size=8)},
    "seeds": lambda: {"tau": positive(), "a": rng.normal(size=4), "b": rng.normal(size=21)},
    "mixture": lambda: {
        "mu": np.sort(rng.normal(size=2)) + [1.0, 3.0],
        "sigma": positive(2),
        "theta": rng.uniform(),
    },
    "garch": lambda: {
        "mu": 0.1 * rng.normal(),
        "alpha0": positive(),
        "alpha1": 0.5 * rng.uniform(),
        "beta1": 0.5 * rng.uniform(),
    },
}


def plain(values):
    return {name: np.asarray(value).tolist() for name, value in values.items()}


def ours(name, data, points):
    """The log densities of ppl at constrained points."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "m.ppl").write_text(models[name])
        (folder / "m.json").write_text(json.dumps(plain(data)))
        (folder / "at.json").write_text(json.dumps([{"constrained": plain(p)} for p in points]))
        command = [ppl, "log-density", "m.ppl", "--data", "m.json", "--at", "at.json", "--quiet"]
        said = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert said.returncode == 0, said.stderr
        return np.array([json.loads(line)["log_density"] for line in said.stdout.splitlines()])


def numpyro(name, data, points):
    import jax

    jax.config.update("jax_enable_x64", True)
    from numpyro.infer.util import log_density

    arrays = {key: jax.numpy.asarray(value) for key, value in data.items()}
    at = [{key: jax.numpy.asarray(value) for key, value in point.items()} for point in points]
    return np.array([float(log_density(namespace[name], (), arrays, point)[0]) for point in at])


def pymc(name, data, points):
    import pytensor

    # No C compiler needed.
    pytensor.config.cxx = ""
    model = namespace[name](**{key: np.asarray(value) for key, value in data.items()})
    density = model.compile_logp(jacobian=False)
    values = []
    for point in points:
        start = {}
        for variable in model.free_RVs:
            value, transform = point[variable.name], model.rvs_to_transforms[variable]
            if transform is not None:
                # The bounds of a variable may depend on others.
                value = pytensor.tensor.as_tensor(np.asarray(value))
                forward = transform.forward(value, *variable.owner.inputs)
                given = {rv: np.asarray(point[rv.name]) for rv in model.free_RVs if rv is not variable}
                graph = pytensor.graph.replace.graph_replace(forward, given, strict=False)
                value = graph.eval()
            start[model.rvs_to_values[variable].name] = np.asarray(value, dtype=float)
        values.append(float(density(start)))
    return np.array(values)


def stan(name, data, points):
    # Compiled models are kept beside the packages.
    os.environ.setdefault("XDG_CACHE_HOME", sys.prefix)
    import asyncio

    from httpstan.models import (
        build_services_extension_module,
        calculate_model_name,
        import_services_extension_module,
    )

    program, model = namespace[name], calculate_model_name(namespace[name])
    try:
        module = import_services_extension_module(model)
    except KeyError:
        asyncio.run(build_services_extension_module(program))
        module = import_services_extension_module(model)
    # Stan has sizes declared.
    sizes = {"regression": {"N": 12}, "schools": {"J": 8}, "seeds": {"I": 21}}.get(name)
    sizes = sizes or {"N" if name == "mixture" else "T": len(data["y"])}
    data = plain(data) | sizes
    free = [module.transform_inits(data, plain(point)) for point in points]
    return np.array([module.log_prob(data, u, False) for u in free])


theirs = {"coming_from_stan": stan, "coming_from_numpyro": numpyro, "coming_from_pymc": pymc}[page.stem]
assert set(models) == set(DATA), set(models) ^ set(DATA)
for name, data in DATA.items():
    points = [POINTS[name]() for _ in range(6)]
    difference = ours(name, data, points) - theirs(name, data, points)
    assert np.all(np.isfinite(difference)), (name, difference)
    assert np.ptp(difference) < 1e-8 * max(1, np.abs(difference).max()), (name, difference)
    print(f"{name}: the same up to {difference[0]:.6f}")
