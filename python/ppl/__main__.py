"""The command line: `ppl`, or `python -m ppl`."""

import signal
import sys

from ._native import main as run


def main() -> None:
    """Runs `ppl` with the arguments of this process and ends it with its exit code."""
    # The command line catches Ctrl-C itself, keeps what it has and says so.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(run(["ppl", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
