"""GridRun: a grid of points evaluated by the core's grid driver, with checkpoint and progress."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core
from landscape._progress import reporter
from landscape._runs.checkpoint import Checkpoint
from landscape._runs.fields import read_array, read_mapping, read_seconds
from landscape._runs.plan import RunPlan

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from landscape._progress import Choice

__all__ = ["GridRun"]


@dataclass
class GridRun:
    """Rows of numbers at every point of a product of axes.

    Args:
        label: What is computed; shown beside the progress bar.
        axes: Coordinates along each axis.
        columns: Names of the numbers of a row; the first is the loss.
        inputs: What the numbers depend on, as plain data: a resume with others is refused.
        device: Where the points are evaluated.
        resume: The file that keeps the run; None keeps nothing.
        progress: How progress is shown.

    Raises:
        OSError: The file could not be written.
        ValueError: The file belongs to another computation; the difference is named.
    """

    label: str
    axes: tuple[NDArray[np.float64], ...]
    columns: tuple[str, ...]
    inputs: Mapping[str, Any]
    device: torch.device
    resume: str | os.PathLike[str] | None = None
    progress: Choice = None
    plan: RunPlan = field(init=False)
    """How points are evaluated: as the file says, or without strategies yet."""
    values: NDArray[np.float64] = field(init=False)
    """Shape (points, columns); the rows before `done` are filled."""
    done: int = field(init=False, default=0)
    seconds: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        inputs = {**self.inputs, "columns": list(self.columns)}
        self._checkpoint = Checkpoint(self.resume, inputs)
        columns = len(self.columns)
        what = f"the values of {self.size} points in {columns} columns"
        _core.require_memory(what, [self.size, columns])
        self.values = np.empty((self.size, columns))
        stored = self._checkpoint.load()
        if stored is None:
            self.plan = RunPlan.start(self.device)
            return
        with self._checkpoint.reading():
            self.plan = RunPlan.resume(read_mapping(stored.record, "plan"), self.device)
            self.seconds = read_seconds(stored.record)
            for index, axis in enumerate(self.axes):
                kept = read_array(stored.arrays, f"axis_{index}", (len(axis),))
                if kept.tobytes() != axis.tobytes():
                    raise ValueError(f"the array 'axis_{index}' holds other coordinates")
            values = read_array(stored.arrays, "values", (None, columns))
            if len(values) > self.size:
                raise ValueError(f"the array 'values' has {len(values)} of {self.size} points")
        self.done = len(values)
        self.values[: self.done] = values

    @property
    def size(self) -> int:
        """The number of points."""
        return int(np.prod([len(axis) for axis in self.axes]))

    def execute(
        self, evaluate: Callable[[NDArray[np.float64]], NDArray[np.float64]], chunk: int
    ) -> NDArray[np.float64]:
        """Compute the points that are missing; an interrupt or an error leaves a file to resume.

        Args:
            evaluate: Coordinates, shape (k, axes), to rows, shape (k, columns).
            chunk: Points per call.

        Returns:
            The rows of all points, shape (points, columns).
        """
        start, before = time.perf_counter(), self.seconds
        self._save()
        with reporter(self.progress, self.size, self.label, start=self.done) as bar:

            def tick(done: int, rows: NDArray[np.float64]) -> None:
                self.values[self.done : done] = rows
                self.done = done
                self.seconds = before + time.perf_counter() - start
                if self._checkpoint.due:
                    self._save()
                losses = self.values[:done, 0]
                finite = losses[np.isfinite(losses)]
                bar.update(done, **({"lowest": float(finite.min())} if finite.size else {}))

            def save_last() -> None:
                self.seconds = before + time.perf_counter() - start
                self._save()

            try:
                _core.grid(
                    evaluate,
                    self.axes,
                    columns=len(self.columns),
                    chunk=chunk,
                    start=self.done,
                    tick=tick,
                )
            except BaseException as error:
                self._checkpoint.close(save_last, error)
                raise
            failure = self._checkpoint.close(save_last, None)
            if failure:  # the values are in hand: they are returned
                self.plan = self.plan.with_note(failure)
        return self.values

    def _save(self) -> None:
        arrays = {f"axis_{index}": axis for index, axis in enumerate(self.axes)}
        arrays["values"] = self.values[: self.done]
        record = {"plan": self.plan.to_record(), "seconds": self.seconds}
        self._checkpoint.save(record, arrays)
