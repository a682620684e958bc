"""A fit: the command line in a process of its own, and its run directory as a DataTree.

A process of its own keeps Python free while the fit runs, ends at Ctrl-C with what it has, and cannot take the
session down with it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import xarray as xr

from .errors import Error, FitWarning, InferenceError, ModelError, UsageError

_ERRORS = {1: ModelError, 2: UsageError, 4: InferenceError}
_INTERRUPTED = 130


def flags(options: dict[str, Any]) -> list[str]:
    """Keyword arguments as flags: `learning_rate=0.1` is `--learning-rate 0.1`.

    `True` is a flag alone, `None` and `False` are none; `set` takes a mapping `{"method.option": value}`.
    """
    out: list[str] = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if name == "set":
            for key, setting in value.items():
                out += [flag, f"{key}={setting}"]
        elif name == "minibatch" and isinstance(value, dict):
            for key, size in value.items():
                out += [flag, f"{key}={size}"]
        elif value is True:
            out.append(flag)
        elif value is not None and value is not False:
            out.append(f"{flag}={value}")
    return out


def run(arguments: list[str]) -> None:
    """Runs `ppl` with these arguments; what it refuses is an exception with its words."""
    # Out of reach of the terminal's Ctrl-C, which would come twice, and twice ends a fit without results.
    alone = sys.platform != "win32"
    process = subprocess.Popen(
        [sys.executable, "-m", "ppl", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=alone,
    )
    try:
        _, said = process.communicate()
    except KeyboardInterrupt:
        if alone:
            process.send_signal(signal.SIGINT)
        try:
            # It writes what it has.
            process.communicate()
        except KeyboardInterrupt:
            process.kill()
        raise
    code = process.returncode
    if code == _INTERRUPTED or code < 0:
        raise KeyboardInterrupt
    if code != 0:
        said = said.strip().removeprefix("Error: ")
        raise _ERRORS.get(code, Error)(said)


def read(directory: Path) -> xr.DataTree:
    """A run directory as a DataTree in memory, with its verdict among the attributes."""
    with xr.open_datatree(directory / "fit.zarr", engine="zarr") as stored:
        tree = stored.load()
    summary = json.loads((directory / "summary.json").read_text())
    for name in ("verdict", "reasons", "elbo", "log_z", "khat"):
        if summary.get(name) is not None:
            tree.attrs[name] = summary[name]
    if summary["verdict"] != "ok":
        reasons = "; ".join(summary["reasons"])
        warnings.warn(f"{summary['method']}: {summary['verdict']}: {reasons}", FitWarning, stacklevel=3)
    return tree
