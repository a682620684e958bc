#!/usr/bin/env python3
"""Hours of training on both families: memory and speed, every ten seconds.

    tests/long_run.py SECONDS [PPL]        (PPL: target/release/ppl)

Each run is a process of its own on two threads that share its batches, on eight schools, with far more iterations than it has time
for. A line has the method, the seconds since the start, the iterations of its last checkpoint, the seconds of
the processor and the resident memory in MB. The end compares the last quarter of training with the second:
memory, and seconds of the processor an iteration. The exit code is 1 where either has grown by a tenth.
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


def main():
    seconds = float(sys.argv[1])
    ppl = sys.argv[2] if len(sys.argv) > 2 else ROOT / "target/release/ppl"
    model = ROOT / "examples/eight_schools/model.ppl"
    grown = False
    with tempfile.TemporaryDirectory() as folder:
        began, children = time.time(), {}
        for method, (_, flags) in RUNS.items():
            command = [ppl, "run", model, "--infer", method, "--iterations", "1000000000", "--threads", "2",
                       "--max-seconds", str(2 * seconds), "--checkpoint-seconds", "10", "--quiet",
                       "--out", f"{folder}/{method}", *flags]
            children[method] = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
        seen = {method: [] for method in RUNS}
        # Training has more than half of a run's time; what follows is not what this is about.
        while time.time() - began < seconds:
            time.sleep(10)
            for method, child in children.items():
                if child.poll() is not None:
                    sys.exit(f"{method} ended early")
                cpu, memory = usage(child.pid)
                done = iterations(pathlib.Path(folder) / method, RUNS[method][0])
                seen[method].append((done, cpu, memory))
                print(f"{method} {time.time() - began:.0f} {done} {cpu:.1f} {memory:.1f}", flush=True)
        for method, rows in seen.items():
            quarter = len(rows) // 4
            parts = rows[quarter:2 * quarter], rows[-quarter:]
            cost = [(p[-1][1] - p[0][1]) / max(p[-1][0] - p[0][0], 1) * 1e3 for p in parts]
            memory = [max(row[2] for row in p) for p in parts]
            print(f"{method}: {rows[-1][0]} iterations; ms an iteration {cost[0]:.4f} then {cost[1]:.4f}; "
                  f"MB {memory[0]:.1f} then {memory[1]:.1f}")
            grown |= cost[1] > 1.1 * cost[0] or memory[1] > 1.1 * memory[0]
        for child in children.values():
            child.terminate()
            child.wait()
    sys.exit(grown)


main()
