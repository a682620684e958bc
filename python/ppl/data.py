"""Data as Python has it → Stan JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Union

import numpy as np

#: A mapping of names to numbers and arrays, a pandas data frame of columns, or the path of a JSON or
#: CSV file.
Data = Union[Mapping[str, Any], str, PathLike, None]


def read(data: Data) -> tuple[str, bytes]:
    """The name of the data and their bytes, as Stan JSON or CSV."""
    if data is None:
        return "(no data)", b"{}"
    if isinstance(data, (str, PathLike)):
        return str(data), Path(data).read_bytes()
    if hasattr(data, "items"):
        return "data", to_json(data)
    raise TypeError(f"data is a mapping, a data frame or a path, not {type(data).__name__}")


def to_json(values: Any) -> bytes:
    """Names and values as Stan JSON: row-major, `null` where a value is masked or `None`."""
    plain = {str(name): _plain(value) for name, value in values.items()}
    return json.dumps(plain, allow_nan=False).encode()


def _plain(value: Any) -> Any:
    """The value in the types of JSON."""
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_)):
        return int(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return _real(float(value))
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    # pandas has its own mark of what is missing.
    if hasattr(value, "isna") and hasattr(value, "to_numpy"):
        missing = value.isna().to_numpy() & _nullable(value)
        array = np.ma.masked_array(np.asarray(value.to_numpy(dtype=object)), mask=missing)
    else:
        array = np.ma.asanyarray(value)
    if array.dtype == object:
        # `tolist` gives None where an element is masked.
        return _each(array.tolist())
    if array.dtype.kind not in "biuf":
        raise TypeError(f"an array of {array.dtype} is not data")
    if array.dtype.kind == "b":
        array = array.astype(int)
    return _each(array.tolist())


def _nullable(value: Any) -> bool:
    """Whether a pandas series tells a missing element from one that is not a number."""
    return getattr(value.dtype, "na_value", math.nan) is not math.nan and not isinstance(
        value.dtype, np.dtype
    )


def _each(item: Any) -> Any:
    if isinstance(item, list):
        return [_each(part) for part in item]
    return _real(item) if isinstance(item, float) else item if item is None else _plain(item)


def _real(x: float) -> Any:
    """A real; what JSON has no number for is a string, as in Stan."""
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "Infinity" if x > 0 else "-Infinity"
    return x
