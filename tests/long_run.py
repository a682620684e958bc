#!/usr/bin/env python3
"""Hours of training on both families: memory and speed, every ten seconds.

    tests/long_run.py SECONDS [PPL]        (PPL: target/release/ppl)

Each run is a process of its own on two threads that share its batches, on eight schools, with far more
iterations than it has time for. For the last eighth of the time (100 s at least) a fresh process of each
trains beside it: what an iteration takes depends on what else the machine does, so the two are compared over the
same time. A line has the run, the seconds since the start, the iterations of its last checkpoint, the seconds of
the processor and the resident memory in MB. The exit code is 1 where memory has grown by a tenth from the second
quarter to the last, or an iteration takes a tenth longer than in a fresh process.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Batches of two parts, one for each thread.
RUNS = {"ldvi": ("langevin", ["--set", "ldvi.least-gain=-1e300", "--set", "ldvi.bridges=32"]),
        "sivi-sm": ("sivi-sm", ["--set", "sivi-sm.grad-samples=256"])}


def iterations(out, stage):
    """Those of the last checkpoint."""
    try:
        rates = json.loads((out / "checkpoint" / f"{stage}.json").read_text())["log"]["rates"]
    except (OSError, ValueError):
        return 0
    return len(rates["means"]) * rates["each"] + rates["rest"][1]


def usage(pid):
    """Seconds of the processor and resident memory in MB."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    ticks = int(fields[11]) + int(fields[12])
    pages = int(fields[21])
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cost(rows):
    """Milliseconds of the processor an iteration, from the first to the last of some rows."""
    return (rows[-1][2] - rows[0][2]) / max(rows[-1][1] - rows[0][1], 1) * 1e3


def main():
    seconds = float(sys.argv[1])
    ppl = sys.argv[2] if len(sys.argv) > 2 else ROOT / "target/release/ppl"
    model = ROOT / "examples/eight_schools/model.ppl"
    grown = False
    with tempfile.TemporaryDirectory() as folder:
        began, children, seen = time.time(), {}, {}

        def start(name, method):
            command = [ppl, "run", model, "--infer", method, "--iterations", "1000000000", "--threads", "2",
                       "--max-seconds", str(2 * seconds), "--checkpoint-seconds", "10", "--quiet",
                       "--out", f"{folder}/{name}", *RUNS[method][1]]
            children[name] = method, subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
            seen[name] = []

        for method in RUNS:
            start(method, method)
        # Training has more than half of a run's time; what follows is not what this is about.
        while (now := time.time() - began) < seconds:
            if now > seconds - max(seconds / 8, 100) and len(children) == len(RUNS):
                for method in RUNS:
                    start(f"fresh-{method}", method)
            time.sleep(10)
            for name, (method, child) in children.items():
                if child.poll() is not None:
                    sys.exit(f"{name} ended early")
                cpu, memory = usage(child.pid)
                done = iterations(pathlib.Path(folder) / name, RUNS[method][0])
                seen[name].append((time.time() - began, done, cpu, memory))
                print(f"{name} {seen[name][-1][0]:.0f} {done} {cpu:.1f} {memory:.1f}", flush=True)
        for method in RUNS:
            rows = seen[method]
            quarter = len(rows) // 4
            memory = [max(row[3] for row in part) for part in (rows[quarter:2 * quarter], rows[-quarter:])]
            # From its second checkpoint on, so that what comes before training does not count.
            fresh = [row for row in seen[f"fresh-{method}"] if row[1]][1:]
            beside = [row for row in rows if row[0] >= fresh[0][0] - 5]
            took = cost(beside), cost(fresh)
            print(f"{method}: {rows[-1][1]} iterations; ms an iteration {took[0]:.4f}, in a fresh process beside it "
                  f"{took[1]:.4f}; MB {memory[0]:.1f} then {memory[1]:.1f}")
            grown |= took[0] > 1.1 * took[1] or memory[1] > 1.1 * memory[0]
        for _, child in children.values():
            child.terminate()
            child.wait()
    sys.exit(grown)


main()
