"""Fits."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import xarray as xr

import ppl


def test_a_fit_is_a_data_tree(conjugate, y):
    fit = conjugate.fit("laplace", seed=3, draws=2000, threads=1)
    assert isinstance(fit, xr.DataTree)
    groups = {"posterior", "posterior_predictive", "log_likelihood", "observed_data"}
    assert groups <= set(fit.children)
    mu = fit["posterior"]["mu"]
    assert mu.dims == ("chain", "draw") and mu.size == 2000
    # Conjugate: precision 1/4 + N.
    precision = 0.25 + len(y)
    assert abs(float(mu.mean()) - y.sum() / precision) < 5 / np.sqrt(2000 * precision)
    assert float(mu.std()) == pytest.approx(precision**-0.5, rel=0.1)
    assert fit.attrs["verdict"] == "ok" and fit.attrs["method"] == "laplace"
    again = conjugate.fit("laplace", seed=3, draws=2000, threads=1)
    np.testing.assert_array_equal(again["posterior"]["mu"], mu)


def test_a_run_directory_is_kept_on_request(conjugate, tmp_path):
    out = tmp_path / "run"
    conjugate.fit("mean-field", out=out, draws=500, threads=1)
    assert (out / "summary.json").exists() and (out / "data.json").exists()
    # Which another fit may start from.
    fit = conjugate.fit("nuts", init=str(out), draws=2000, threads=1)
    assert fit["posterior"].sizes["chain"] == 4


def test_a_model_from_a_file_is_fitted_with_its_imports(tmp_path):
    (tmp_path / "helpers.ppl").write_text("fn twice(x: real) -> real = 2 * x\n")
    model = 'import "helpers.ppl"\ndata y: real\nparam m ~ normal(twice(3), 1)\ny ~ normal(m, 1)\n'
    (tmp_path / "m.ppl").write_text(model)
    fit = ppl.Model(tmp_path / "m.ppl", {"y": 8.0}).fit("laplace", draws=500, threads=1)
    assert float(fit["posterior"]["m"].mean()) == pytest.approx(7, abs=0.3)


def test_what_is_refused(conjugate):
    with pytest.raises(ppl.UsageError, match="there is no method `gibbs`"):
        conjugate.fit("gibbs")
    with pytest.raises(ppl.UsageError, match="--draws must be at least 1"):
        conjugate.fit("laplace", draws=0)
    with pytest.raises(ValueError, match="no option"):
        conjugate.fit("laplace", set={"laplace.hidden": 3})


def test_a_verdict_that_is_not_ok_is_a_warning(conjugate):
    with pytest.warns(ppl.FitWarning):
        conjugate.fit("nuts", draws=20, iterations=5, threads=1)


def test_other_threads_run_on(schools):
    turns = 0
    done = threading.Event()

    def count():
        nonlocal turns
        while not done.is_set():
            turns += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    schools.fit("pathfinder", draws=500, threads=1)
    done.set()
    thread.join()
    assert turns > 10


INTERRUPTED = """
import ppl, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job ignores
text = "data y: real[N]\\nparam mu ~ normal(0, 2)\\ny ~ normal(mu, 1)\\n"
model = ppl.Model.from_string(text, {"y": [1.0, 2.0]})
print("fitting", flush=True)
try:
    model.fit("sivi-sm", out=sys.argv[1], iterations=10_000_000, checkpoint_seconds=0.5, threads=1)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_ctrl_c_ends_a_fit(tmp_path):
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(out)],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout.readline() == "fitting\n"
    # A checkpoint says that the fit is under way.
    deadline = time.monotonic() + 120
    while not (out / "checkpoint").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert said == "interrupted\n"
    assert (out / "summary.json").exists(), "what was found so far is kept"


def test_the_command_line_comes_along():
    command = [sys.executable, "-m", "ppl", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout.startswith("ppl ")
