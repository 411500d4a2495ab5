"""AdaptiveRun: points chosen by the core's adaptive grid, with checkpoint, budget and progress."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from landscape import _core, _store
from landscape._progress import reporter
from landscape._runs.accuracy import Accuracy, ErrorScale
from landscape._runs.checkpoint import CHECKPOINT_KIND, Checkpoint
from landscape._runs.fields import read_array, read_mapping, read_seconds
from landscape._runs.plan import RunPlan

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from landscape._progress import Choice

__all__ = ["AdaptiveRun", "ColumnInterpolation"]

ColumnInterpolation = Literal["log cubic", "cubic", "linear"]
Evaluate = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]

_LEVEL_WITH_ESTIMATE = 1
_SOURCE = "source."


@dataclass
class AdaptiveRun:
    """Rows of numbers at the points of a dyadic grid that a tolerance needs.

    Args:
        label: What is computed; shown beside the progress bar.
        ranges: The ends of each axis.
        columns: Names of the numbers of a row.
        interpolations: How each of them is interpolated; the error of those that are not linear is
            controlled.
        accuracy: The tolerance and the budget.
        inputs: What the numbers depend on, as plain data: a resume with others is refused.
        seed: Of the random points that check the error.
        device: Where the points are evaluated.
        resume: The file that keeps the run; None keeps nothing.
        progress: How progress is shown.

    Raises:
        OSError: The file could not be written.
        ValueError: The file belongs to another computation; the difference is named.
    """

    label: str
    ranges: Sequence[tuple[float, float]]
    columns: tuple[str, ...]
    interpolations: Sequence[ColumnInterpolation]
    accuracy: Accuracy
    inputs: Mapping[str, Any]
    seed: int
    device: torch.device
    resume: str | os.PathLike[str] | None = None
    progress: Choice = None
    plan: RunPlan = field(init=False)
    """How points are evaluated: as the file says, or without strategies yet."""
    grid: _core.AdaptiveGrid = field(init=False)
    checks: NDArray[np.float64] = field(init=False)
    """Rows at the fresh random points, shape (checks, columns)."""
    arrays: dict[str, NDArray[Any]] = field(init=False, default_factory=dict)
    """Further arrays of the file: what the source of the values needs to go on."""
    price: float = field(init=False, default=1.0)
    """What a point of the grid costs, in evaluations on all data."""
    spent: int = field(init=False, default=0)
    """Evaluations on all data before the first point."""
    seconds: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        accuracy = self.accuracy
        inputs = {
            **self.inputs,
            "columns": list(self.columns),
            "accuracy": accuracy.to_record(),
            "seed": self.seed if accuracy.checks else None,
        }
        self._checkpoint = Checkpoint(self.resume, inputs)
        self.grid = _core.AdaptiveGrid(
            list(self.ranges),
            columns=list(self.interpolations),
            tolerance=accuracy.tolerance,
            scale="value" if accuracy.scale == "loss" else "range",
            quantile=accuracy.quantile,
            finest=accuracy.finest,
        )
        self.checks = np.empty((0, len(self.columns)))
        stored = self._checkpoint.load()
        if stored is None:
            self.plan = RunPlan.start(self.device)
            return
        with self._checkpoint.reading():
            self.plan = RunPlan.resume(read_mapping(stored.record, "plan"), self.device)
            self.seconds = read_seconds(stored.record)
            columns = len(self.columns)
            own = [name for name in stored.arrays if name.startswith(_SOURCE)]
            self.arrays = {name.removeprefix(_SOURCE): stored.arrays[name] for name in own}
            self._replay(read_array(stored.arrays, "values", (None, columns)))
            self.checks = read_array(stored.arrays, "checks", (None, columns))
            if len(self.checks) > accuracy.checks:
                raise ValueError(
                    f"the array 'checks' has {len(self.checks)} of {accuracy.checks} points"
                )

    @property
    def scale(self) -> ErrorScale:
        """What errors are relative to: the range where a loss is not positive."""
        return "loss" if self.grid.estimate()["scale"] == "value" else "range"

    @property
    def check_points(self) -> NDArray[np.float64]:
        """The fresh random points, uniform in the area, shape (checks, axes)."""
        generator = np.random.default_rng([self.seed, 59])
        low, high = np.array(self.ranges).T
        uniform = generator.random((self.accuracy.checks, len(self.ranges)))
        points: NDArray[np.float64] = low + uniform * (high - low)
        return points

    def check_errors(self) -> NDArray[np.float64]:
        """The errors of the interpolants at the fresh random points."""
        return self.grid.errors_against(self.check_points[: len(self.checks)], self.checks)

    def execute(
        self, evaluate: Evaluate, check: Evaluate, chunk: int, on_level: Callable[[], object]
    ) -> None:
        """Evaluate what is missing; an interrupt or an error leaves a file to resume.

        Args:
            evaluate: Coordinates, shape (k, axes), to rows, shape (k, columns).
            check: The same on all data, for the fresh random points.
            chunk: Points per call.
            on_level: Called after every level of the grid that has an estimate of the error.
        """
        start, before = time.perf_counter(), self.seconds
        self._save()

        def advance() -> None:
            self.seconds = before + time.perf_counter() - start
            if self._checkpoint.due:
                self._save()
            bar.expect(self.grid.total + self.accuracy.checks)
            bar.update(
                self.grid.done + len(self.checks),
                error=self.grid.estimate()["quantile95"],
                tolerance=self.accuracy.tolerance,
            )

        def save_last() -> None:
            self.seconds = before + time.perf_counter() - start
            self._save()

        with reporter(self.progress, None, self.label, start=self.grid.done) as bar:
            try:
                self._refine(evaluate, chunk, advance, on_level)
                points = self.check_points
                while len(self.checks) < len(points):
                    done = len(self.checks)
                    rows = check(points[done : done + chunk])
                    self.checks = np.concatenate([self.checks, rows])
                    advance()
            except BaseException as error:
                self._checkpoint.close(save_last, error)
                raise
            failure = self._checkpoint.close(save_last, None)
            if failure:  # the values are in hand: they are returned
                self.plan = self.plan.with_note(failure)

    def _refine(
        self,
        evaluate: Evaluate,
        chunk: int,
        advance: Callable[[], None],
        on_level: Callable[[], object],
    ) -> None:
        grid, most = self.grid, self.accuracy.evaluations
        while grid.outcome == "running":
            level, points = grid.level, grid.proposed()[:chunk]
            if grid.level >= _LEVEL_WITH_ESTIMATE:
                if most is not None:
                    left = (most - self.spent - self.accuracy.checks) / self.price - grid.done
                    points = points[: max(int(left), 0)]
                is_late = self.accuracy.seconds is not None and self.seconds > self.accuracy.seconds
                if is_late or not len(points):
                    grid.stop()
                    break
            grid.accept(evaluate(np.ascontiguousarray(points)))
            advance()
            if grid.outcome == "running" and grid.level > max(level, _LEVEL_WITH_ESTIMATE - 1):
                on_level()

    def _replay(self, values: NDArray[np.float64]) -> None:
        """Give the grid the rows of a file, level by level."""
        grid = self.grid
        while len(values):
            count = min(len(values), len(grid.proposed()))
            if not count:
                raise ValueError("the array 'values' has more rows than the tolerance needs")
            grid.accept(np.ascontiguousarray(values[:count]))
            values = values[count:]

    def _save(self) -> None:
        _, values = self.grid.evaluated()
        record = {"plan": self.plan.to_record(), "seconds": self.seconds}
        more = {f"{_SOURCE}{name}": array for name, array in self.arrays.items()}
        self._checkpoint.save(record, {"values": values, "checks": self.checks, **more})


def recorded_source(path: str | os.PathLike[str] | None) -> str | None:
    """Where the values of a file come from; None where there is no file of an adaptive run."""
    if path is None or not Path(path).exists():
        return None
    inputs = _store.read(path, CHECKPOINT_KIND).record.get("inputs")
    source = inputs.get("source") if isinstance(inputs, Mapping) else None
    return source if isinstance(source, str) else None
