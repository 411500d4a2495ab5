"""A grid of losses as a run: driven by the core, shown while it lasts, resumable if it stops.

Depends on the core's grid driver, the store, what unfinished runs share and the progress reporter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core, _store
from landscape._progress import reporter
from landscape._resuming import SaveTimes, check_same, plain

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from landscape._progress import Choice

__all__ = ["GridRun", "Progressed", "Start", "begin", "execute"]


@dataclass(frozen=True)
class GridRun:
    """What is to be computed: everything but how fast."""

    label: str
    axes: tuple[NDArray[np.float64], ...]
    columns: tuple[str, ...]
    inputs: Mapping[str, Any]
    """What the values depend on, as plain data: a resume is refused where it differs."""

    @property
    def size(self) -> int:
        """The number of points."""
        return int(np.prod([len(axis) for axis in self.axes]))


@dataclass(frozen=True)
class Start:
    """Where a run begins: at nothing, or at what a file holds."""

    values: NDArray[np.float64]
    """The points that are done, shape (done, columns)."""
    seconds: float
    plan: Mapping[str, Any] | None
    """Strategy, threads and environment of the first run; None for a new one."""


@dataclass(frozen=True)
class Progressed:
    """What a run computed."""

    values: NDArray[np.float64]
    """Shape (points, columns)."""
    seconds: float


def begin(run: GridRun, resume: str | os.PathLike[str] | None) -> Start:
    """Look for a file to go on from, and make sure that one can be written.

    Raises:
        OSError: The file could not be written.
        ValueError: The file belongs to another computation; the difference is named.
    """
    fresh = Start(np.empty((0, len(run.columns))), 0.0, None)
    if resume is None:
        return fresh
    _store.check_writable(resume)
    if not Path(resume).exists():
        return fresh
    stored = _store.read(resume, "partial")
    found = {**stored.record["inputs"], "columns": stored.record["columns"]}
    check_same(resume, found, {**run.inputs, "columns": list(run.columns)})
    return Start(stored.arrays["values"], stored.record["seconds"], stored.record["plan"])


@dataclass
class _Keeper:
    """The values so far, and the file that keeps them."""

    run: GridRun
    plan: Mapping[str, Any]
    path: str | os.PathLike[str] | None
    values: NDArray[np.float64]
    done: int
    earlier: float
    started: float = field(default_factory=time.perf_counter)
    times: SaveTimes = field(default_factory=SaveTimes)

    @property
    def seconds(self) -> float:
        return self.earlier + time.perf_counter() - self.started

    def add(self, done: int, values: NDArray[np.float64]) -> None:
        self.values[self.done : done] = values
        self.done = done
        if self.times.due:
            self.save()

    def save(self) -> None:
        if self.path is None:
            return
        record = {
            "inputs": plain(self.run.inputs),
            "columns": list(self.run.columns),
            "plan": self.plan,
            "seconds": self.seconds,
        }
        arrays = {"values": self.values[: self.done]}
        for index, axis in enumerate(self.run.axes):
            arrays[f"axis_{index}"] = axis
        with self.times.save():
            _store.write(self.path, "partial", record, arrays)


def execute(
    run: GridRun,
    start: Start,
    plan: Mapping[str, Any],
    evaluate: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    chunk: int,
    resume: str | os.PathLike[str] | None,
    progress: Choice,
) -> Progressed:
    """Compute the points that are missing.

    Args:
        run: What is to be computed.
        start: Where it begins.
        plan: How points are evaluated; written before the first one.
        evaluate: Coordinates, shape (k, axes), to values, shape (k, columns).
        chunk: Points per call.
        resume: The file that keeps the run; None keeps nothing.
        progress: How it is shown.

    Returns:
        The values of all points. Whatever stops the run (Ctrl-C, an error of the model) leaves a
        file from which it goes on.
    """
    values = np.empty((run.size, len(run.columns)))
    done = len(start.values)
    values[:done] = start.values
    keeper = _Keeper(run, plan, resume, values, done, start.seconds)
    keeper.save()
    with reporter(progress, run.size, run.label, start=done) as shown:

        def tick(done: int, fresh: NDArray[np.float64]) -> None:
            keeper.add(done, fresh)
            losses = values[:done, 0]
            finite = losses[np.isfinite(losses)]
            shown.update(done, **({"lowest": float(finite.min())} if finite.size else {}))

        try:
            _core.grid(
                evaluate,
                run.axes,
                columns=len(run.columns),
                chunk=chunk,
                start=done,
                tick=tick,
            )
        finally:
            keeper.save()
    return Progressed(values, keeper.seconds)
