"""Timing: interleaved pairs, median ratios, peak memory of a process.

Depends on NumPy alone.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RESAMPLES = 10_000
LEAST = 3  # pairs
SLOW = 1.0  # seconds


@dataclass(frozen=True)
class Ratio:
    """The median of ratios, with its 95% bootstrap interval."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, ratios: np.ndarray) -> Ratio:
        """Resample the pairs, not the runs: what disturbs one disturbs its neighbour."""
        draws = np.random.default_rng(0).integers(len(ratios), size=(RESAMPLES, len(ratios)))
        low, high = np.percentile(np.median(ratios[draws], axis=1), [2.5, 97.5])
        return cls(float(np.median(ratios)), float(low), float(high))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Pairs:
    """Seconds of two programs that ran interleaved, shape (pairs, 2) each."""

    wall: np.ndarray
    cpu: np.ndarray

    @property
    def ratio(self) -> Ratio:
        """Time of the first over time of the second."""
        return Ratio.of(self.wall[:, 0] / self.wall[:, 1])

    @property
    def cpu_ratio(self) -> Ratio:
        """The same in processor time, which other programs on the machine disturb less."""
        return Ratio.of(self.cpu[:, 0] / self.cpu[:, 1])

    def __str__(self) -> str:
        return f"{self.ratio}, processor time {self.cpu_ratio}, {len(self.wall)} pairs"


def interleaved(
    first: Callable[[], object], second: Callable[[], object], pairs: int, patience: float
) -> Pairs:
    """Run two programs alternately, each pair in the opposite order of the one before.

    Args:
        first: One program.
        second: The other one.
        pairs: How often.
        patience: Seconds after which at least three pairs will do.
    """
    first()
    second()
    wall, cpu, start = [], [], time.perf_counter()
    for pair in range(pairs):
        if pair >= LEAST and time.perf_counter() - start > patience:
            break
        runs = {place: timed((first, second)[place]) for place in ((0, 1), (1, 0))[pair % 2]}
        wall.append([runs[0][0], runs[1][0]])
        cpu.append([runs[0][1], runs[1][1]])
    return Pairs(np.array(wall), np.array(cpu))


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one run, without the garbage of the one before."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def quickest(run: Callable[[], object]) -> float:
    """The least wall seconds of three runs after one that warms up; of less where it is slow."""
    first, _ = timed(run)
    return min(timed(run)[0] for _ in range(3)) if first < SLOW else first


def peak_growth(run: Callable[[], object]) -> int | None:
    """By how many bytes the resident memory of this process peaks above where it is now.

    None where the system does not let a process reset its own peak (Linux does).
    """
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def kilobytes(name: str) -> int:
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name))

    try:
        gc.collect()
        reset.write_text("5")
        before = kilobytes("VmRSS:")
        run()
        return 1024 * (kilobytes("VmHWM:") - before)
    except (OSError, StopIteration):
        return None


def in_fresh_process(script: str, *arguments: str) -> object:
    """Run a script of this folder anew; it prints one line of JSON, last."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(script)), *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])
