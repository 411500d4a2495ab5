"""Losses and metrics along a curve: dense, then finer about the highest loss.

Depends on the Objective, the grid run and the results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape._environment import thread_count
from landscape._grid_run import GridRun, begin, execute
from landscape._objective import Strategy, identify_function, list_metrics
from landscape._path.predictions import Predictions, split_metrics
from landscape._progress import reporter
from landscape._results import Curve, Profile
from landscape._sampling import planned

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from landscape._objective import MetricLike, Objective
    from landscape._progress import Choice

__all__ = ["Profiled", "profiled"]

_PARTS = ("train", "test")
_ROUNDS, _INSERTED = 2, 3  # of refinement about the highest loss, with so many points on each side


@dataclass(frozen=True)
class Profiled:
    """Losses along a curve, on training and test data, and how they were evaluated."""

    train: Profile
    test: Profile | None
    plan: Mapping[str, Any]
    evaluations: int
    seconds: float
    notes: tuple[str, ...]

    @property
    def strategy(self) -> Strategy:
        """How the training data were evaluated."""
        return Strategy.from_record(self.plan["strategies"][0])


def profiled(
    functions: Sequence[Objective],
    curve: Curve,
    points: int,
    metrics: Sequence[MetricLike] | MetricLike,
    *,
    inputs: Mapping[str, Any],
    resume: str | os.PathLike[str] | None,
    progress: Choice,
) -> Profiled:
    """Evaluate a curve.

    Args:
        functions: L of the training data, and of the test data where there are any.
        curve: Where.
        points: Places at equal distances.
        metrics: Evaluated beside the losses.
        inputs: What the numbers depend on besides the functions and the metrics.
        resume: A file that keeps the run.
        progress: How it is shown.

    Raises:
        ValueError: Fewer than three points, or a metric does not fit the loss.
    """
    if points < 3:
        raise ValueError(f"points={points}, expected 3 or more along the path")
    positions = np.linspace(0.0, 1.0, points)
    along = _Along.over(functions, curve, metrics)
    run = GridRun(
        label="path",
        axes=(positions,),
        columns=along.columns,
        inputs={
            **inputs,
            "points": points,
            "metrics": [
                m if isinstance(m, str) else identify_function(m) for m in list_metrics(metrics)
            ],
            "policy": {p: f.policy for p, f in zip(_PARTS, functions, strict=False)},
        },
    )
    start = begin(run, resume)
    plan, notes = planned(functions, start)
    along.strategies = [Strategy.from_record(record) for record in plan["strategies"] if record]
    with thread_count(plan["threads"]):
        along.decide()
        plan["strategies"] = [s.record() for s in along.strategies]
        chunk = along.strategies[0].chunk
        found = execute(run, start, plan, along, chunk=chunk, resume=resume, progress=progress)
        positions, values = _refined(positions, found.values, along, chunk, progress)
    return Profiled(
        *along.profiles(positions, values),
        plan=plan,
        evaluations=len(positions),
        seconds=found.seconds,
        notes=notes,
    )


@dataclass
class _Along:
    """All numbers at places on a curve, side by side."""

    functions: Sequence[Objective]
    curve: Curve
    metrics: list[MetricLike]
    pairs: list[Predictions]
    strategies: list[Strategy] = field(default_factory=list)

    @classmethod
    def over(
        cls,
        functions: Sequence[Objective],
        curve: Curve,
        metrics: Sequence[MetricLike] | MetricLike,
    ) -> _Along:
        single, paired = split_metrics(metrics)
        first = curve.points[0]
        pairs = [Predictions.at(f, first, paired) for f in functions] if paired else []
        return cls(functions, curve, single, pairs)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns: part and quantity."""
        paired = self.pairs[0].names if self.pairs else ()
        return tuple(
            f"{part} {name}"
            for part, function in zip(_PARTS, self.functions, strict=False)
            for name in (*function.column_names(self.metrics), *paired)
        )

    def decide(self) -> None:
        """Measure how points are evaluated fastest, unless a file says it."""
        if not self.strategies:
            first, last = self.curve.points[0], self.curve.points[-1]
            self.strategies = [
                f.subspace(first, [last - first], metrics=self.metrics).strategy
                for f in self.functions
            ]

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        positions = points[:, 0]
        columns = []
        for place, function in enumerate(self.functions):
            columns.append(self._values(function, self.strategies[place], positions))
            if self.pairs:
                rows = np.stack([self.curve.at(p) for p in positions])
                columns.append(self.pairs[place].columns(rows))
        return np.column_stack(columns)

    def _values(
        self, function: Objective, strategy: Strategy, positions: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Loss, metrics and standard error at each place, piece by piece of the curve."""
        coefficients = self.curve.coefficients(positions)
        control = self.curve.points
        pieces = {(0, len(control)): slice(None)}
        if self.curve.kind == "polyline":
            segment = np.minimum((coefficients > 0).argmax(axis=1), len(control) - 2)
            pieces = {(i, i + 2): segment == i for i in np.unique(segment)}
        values = np.empty((len(positions), len(function.column_names(self.metrics))))
        for (first, stop), rows in pieces.items():
            basis = [point - control[first] for point in control[first + 1 : stop]]
            piece = function.subspace(
                control[first], basis, metrics=self.metrics, strategy=strategy
            )
            values[rows] = piece.evaluate(coefficients[rows, first + 1 : stop])
        return values

    def profiles(
        self, positions: NDArray[np.float64], values: NDArray[np.float64]
    ) -> tuple[Profile, Profile | None]:
        """One for each function."""
        named = dict(zip(self.columns, values.T, strict=True))
        found = []
        for part, function in zip(_PARTS, self.functions, strict=False):
            own = {n.removeprefix(f"{part} "): v for n, v in named.items() if n.startswith(part)}
            losses, error = own.pop("loss"), own.pop("standard_error", None)
            top = self.curve.at(positions[int(np.argmax(losses))])
            end = self.curve.at(0.0 if losses[0] >= losses[-1] else 1.0)
            found.append(
                Profile(
                    positions,
                    losses,
                    metrics=own,
                    standard_error=error,
                    barrier_error=function.difference_error(top, end),
                )
            )
        return found[0], found[1] if len(found) > 1 else None


def _refined(
    positions: NDArray[np.float64],
    values: NDArray[np.float64],
    along: _Along,
    chunk: int,
    progress: Choice,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """More places on both sides of the highest loss, of each set of data."""
    tops = [place for place, name in enumerate(along.columns) if name.endswith(" loss")]
    for _ in range(_ROUNDS):
        fresh: list[float] = []
        for column in tops:
            top = int(np.argmax(values[:, column]))
            for left in (top - 1, top):
                if top not in (0, len(positions) - 1) and 0 <= left < len(positions) - 1:
                    fresh.extend(
                        np.linspace(positions[left], positions[left + 1], _INSERTED + 2)[1:-1]
                    )
        new = np.setdiff1d(fresh, positions)
        if not len(new):
            break
        both = np.concatenate([positions, new])
        order = np.argsort(both)
        rows = [values]
        with reporter(progress, len(new), "about the highest loss") as shown:
            for first in range(0, len(new), chunk):
                rows.append(along(new[first : first + chunk, None]))
                shown.update(min(first + chunk, len(new)))
        values = np.concatenate(rows)[order]
        positions = both[order]
    return positions, values
