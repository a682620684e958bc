"""What the Python packages make of a run directory.

usage: read_a_run.py RUN_DIR METHOD

The run is of examples/eight_schools. Every assertion compares two of the packages, or one with summary.json.
"""

import json
import sys
import warnings
from pathlib import Path

import arviz as az
import cmdstanpy
import matplotlib
import numpy as np
import pyarrow.parquet
import xarray as xr

matplotlib.use("Agg")
warnings.filterwarnings("ignore")

run, method = Path(sys.argv[1]), sys.argv[2]
summary = json.loads((run / "summary.json").read_text())
fit = xr.open_datatree(run / "fit.zarr", engine="zarr")

groups = {
    "posterior",
    "unconstrained_posterior",
    "posterior_predictive",
    "prior",
    "prior_predictive",
    "log_likelihood",
    "observed_data",
    "constant_data",
    "sample_stats",
    "fit",
    "fit_stats",
}
assert groups == set(fit.children), set(fit.children) ^ groups
assert fit.attrs["inference_library"] == "ppl" and fit.attrs["method"] == method
theta = fit["posterior"]["theta"]
assert theta.dims == ("chain", "draw", "theta_dim_0") and theta.shape[2] == 8
assert theta.shape[0] * theta.shape[1] == summary["draws"]
assert fit["observed_data"]["y"].dtype == float, "declared real"
assert {"lp", "log_p"} <= set(fit["sample_stats"].data_vars)

# The table says what ArviZ says.
table = az.summary(fit, round_to="none")
for name, mean in [("mu", summary["variables"]["mu"]["mean"])] + [
    (f"theta[{i}]", m) for i, m in enumerate(summary["variables"]["theta"]["mean"])
]:
    assert np.isclose(table.loc[name, "mean"], mean, rtol=1e-12), (name, mean)
if method == "nuts":
    ours, theirs = summary["variables"]["tau"], table.loc["tau"]
    assert np.isclose(ours["rhat"], theirs["r_hat"], rtol=1e-6), (ours["rhat"], theirs["r_hat"])
    assert np.isclose(ours["ess"], theirs["ess_bulk"], rtol=1e-6), (ours["ess"], theirs["ess_bulk"])

# cmdstanpy's reader: one chain of all draws, Stan's names, column-major.
csv = cmdstanpy.from_csv(str(run / "draws.csv"))
assert csv.column_names[:4] == ("lp__", "mu", "tau", "theta_raw[1]"), csv.column_names
assert np.array_equal(csv.stan_variable("theta"), theta.values.reshape(-1, 8))
assert np.array_equal(csv.method_variables()["lp__"].ravel(), fit["sample_stats"]["lp"].values.ravel())

# Parquet: the same columns.
parquet = pyarrow.parquet.read_table(run / "draws.parquet").to_pandas()
with open(run / "draws.csv") as lines:
    header = next(line for line in lines if not line.startswith("#")).strip().split(",")
assert list(parquet.columns) == ["chain__", "iter__", "draw__"] + header
assert np.array_equal(parquet["theta.8"], theta.values[..., 7].ravel())
assert np.array_equal(parquet["chain__"].unique(), np.arange(theta.shape[0]) + 1)
assert np.array_equal(parquet["iter__"][: theta.shape[1]], np.arange(theta.shape[1]) + 1)

plots = [
    az.plot_dist,
    az.plot_forest,
    az.plot_trace,
    az.plot_trace_dist,
    az.plot_ess,
    az.plot_mcse,
    az.plot_autocorr,
    az.plot_parallel,
    az.plot_prior_posterior,
    az.plot_ppc_dist,
    az.plot_ppc_pit,
    az.plot_loo_pit,
]
if method == "nuts":
    plots += [az.plot_rank, az.plot_energy]
for plot in plots:
    plot(fit)
    matplotlib.pyplot.close("all")
az.plot_pair(fit, var_names=["mu", "tau"])

loo = az.loo(fit, pointwise=True)
az.plot_khat(loo)
if method != "nuts":
    stats = fit["sample_stats"]
    log_p, log_q = (stats[name].values.ravel() for name in ["log_p", "log_q"])
    loo = az.loo_approximate_posterior(fit, log_p=log_p, log_q=log_q)
# What ArviZ's own example draws of this model give, within their standard error of 1.4.
assert abs(loo.elpd + 30.8) < 0.5, loo
(run / "elpd.txt").write_text(repr(float(loo.elpd)))
print(f"{method}: {len(plots) + 2} plots, elpd_loo {loo.elpd:.2f}")
