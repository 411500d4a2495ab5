"""Time of `import landscape` in fresh processes: median and range.

python benchmarks/import_time.py [--runs N]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

PROGRAM = """
from time import perf_counter
start = perf_counter()
import landscape
print(perf_counter() - start)
"""
LIMIT = 0.2  # seconds


def main() -> None:
    """Measure, and fail above the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=25)
    runs = parser.parse_args().runs
    seconds = [seconds_here() for _ in range(runs + 1)][1:]  # the first one fills the disk's cache
    median = statistics.median(seconds)
    print(
        f"import landscape: {1000 * median:.1f} ms, the median of {runs} processes "
        f"({1000 * min(seconds):.1f} to {1000 * max(seconds):.1f}); at most {1000 * LIMIT:.0f}"
    )
    if median > LIMIT:
        sys.exit("too slow")


def seconds_here() -> float:
    """One import in a process of its own."""
    command = [sys.executable, "-c", PROGRAM]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
