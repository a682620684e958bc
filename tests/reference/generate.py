"""Writes the reference files of the test suite. Run from this folder: `python3 generate.py`.

Needs what requirements.txt lists: mpmath, and SciPy for `functions`. The output is committed, so that tests need no Python.
"""

import json
import sys
from pathlib import Path

from mpmath import mp, mpf

HERE = Path(__file__).parent


def text(x):
    """A number as a decimal string: 25 digits, infinities as `inf`, not-a-number as `nan`."""
    if isinstance(x, float):
        return repr(x)
    x = mpf(x)
    if mp.isnan(x):
        return "nan"
    if mp.isinf(x):
        return "inf" if x > 0 else "-inf"
    return mp.nstr(x, 25, min_fixed=-5, max_fixed=20)


def write(name, objects):
    with open(HERE / name, "w", encoding="utf-8") as f:
        for o in objects:
            f.write(json.dumps(o) + "\n")


def special():
    import special as table

    write(
        "special.jsonl",
        ({"f": f, "x": [text(float(v)) for v in x], "y": text(y)} for f, x, y in table.rows()),
    )


def distributions():
    import distributions as table

    write("distributions.jsonl", table.rows(text))


def combinators():
    import combinators as table

    write("combinators.jsonl", table.rows(text))


def functions():
    import functions as table

    data = {name: value.tolist() for name, value in table.DATA.items()}
    write("functions.jsonl", [{"header": table.HEADER, "data": data}, *table.rows()])


if __name__ == "__main__":
    for task in sys.argv[1:] or ["special", "distributions", "combinators", "functions"]:
        globals()[task]()
