"""Timing of the native network: programs interleaved round-robin, time per unit of work.

Depends on PyTorch for a lower bound of the machine's peak.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from _measure import Pairs, Ratio, quickest, timed

GIGA = 1e9
Items = Sequence[Any] | torch.Tensor
Found = TypeVar("Found")


@dataclass(frozen=True)
class Program:
    """Something that works through a part of a work's items."""

    name: str
    run: Callable[[Any], Any]
    step: int = 1
    """Items come in multiples of it."""
    detail: str = ""
    """What tuning by trial has found best."""


@dataclass(frozen=True)
class Work:
    """One row of the table: what is to be done, by ours and by every rival."""

    name: str
    unit: str
    """What an item is: a point, a product, a gradient."""
    items: Items
    operations: float
    """Floating-point operations that an item needs, two for a multiply-add."""
    sample: Items
    """Items on which all must agree, as many as any step wants."""
    ours: Callable[[], Program]
    """Made anew for its preparation to be seen."""
    rivals: Callable[[], Iterable[Program]]
    """Made one after another; one that cannot be built says so, and is left out."""
    checked: Callable[[Any], Any] = np.asarray
    """What of the results is compared."""


@dataclass
class Timing:
    """Seconds an item, one for each round."""

    items: int
    wall: np.ndarray
    cpu: np.ndarray


@dataclass
class Row:
    """What was found out about one work."""

    work: Work
    threads: int
    times: dict[str, Timing] = field(default_factory=dict)
    """Ours comes first."""

    @property
    def ours(self) -> Timing:
        """The timing that the others are compared with."""
        return next(iter(self.times.values()))

    @property
    def rate(self) -> float:
        """Our GFLOP/s."""
        return self.work.operations / float(np.median(self.ours.wall)) / GIGA

    def pairs(self, name: str) -> Pairs:
        """Another program's seconds beside ours: ratios above 1 are how often we are faster."""
        other = self.times[name]
        wall, cpu = ((other.wall, self.ours.wall), (other.cpu, self.ours.cpu))
        return Pairs(np.column_stack(wall), np.column_stack(cpu))

    def speedups(self) -> dict[str, Ratio]:
        """How often we are faster than each of the others."""
        return {name: self.pairs(name).ratio for name in list(self.times)[1:]}


def measured(
    programs: Sequence[Program],
    items: Items,
    rounds: int,
    seconds: Sequence[float],
) -> list[Timing]:
    """Run all programs round-robin, every round in the opposite order of the one before.

    Args:
        programs: What to compare.
        items: What they work on; each takes as many of them as fit its seconds.
        rounds: How often.
        seconds: About how long one run of each program may take.
    """
    counts = [affordable(p, items, s) for p, s in zip(programs, seconds, strict=True)]
    times = [Timing(count, np.empty(rounds), np.empty(rounds)) for count in counts]
    for turn in range(rounds):
        places = range(len(programs))
        for place in places if turn % 2 else reversed(places):
            chunk, run = items[: counts[place]], programs[place].run
            wall, cpu = timed(partial(run, chunk))
            times[place].wall[turn] = wall / counts[place]
            times[place].cpu[turn] = cpu / counts[place]
    return times


def affordable(program: Program, items: Items, seconds: float) -> int:
    """How many items fit into some seconds, in whole steps; all of them where they do."""
    most = len(items) // program.step
    steps = 1
    while True:
        taken, _ = timed(partial(program.run, items[: steps * program.step]))
        if steps == most or taken > seconds / 4:
            return max(1, min(most, int(steps * seconds / taken))) * program.step
        steps = min(most, 4 * steps)


def fastest(
    makers: Iterable[Callable[[], Found]], run: Callable[[Found], object], patience: float
) -> Found:
    """The quickest of a few candidates, trying them while patience lasts.

    Args:
        makers: One for each candidate; only the best so far is kept in memory.
        run: The same work by any of them.
        patience: Seconds after which no further candidate is tried.
    """
    best: Found | None = None
    least, start = float("inf"), time.perf_counter()
    for make in makers:
        if best is not None and time.perf_counter() - start > patience:
            break
        candidate = make()
        seconds = quickest(partial(run, candidate))
        if best is None or seconds < least:
            best, least = candidate, seconds
    if best is None:
        raise ValueError("there is no candidate to choose from")
    return best


def torch_rate() -> float:
    """GFLOP/s of a large `torch.mm` in float32 with PyTorch's threads: the peak is not below it."""
    size = 1024
    a, b = torch.rand(2, size, size)
    out = torch.empty(size, size)
    times = [quickest(lambda: torch.mm(a, b, out=out)) for _ in range(5)]
    return 2 * size**3 / min(times) / GIGA
