"""Losses and metrics along a curve: where a tolerance needs them, then around its maxima."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core
from landscape._path.predictions import Predictions, split_metrics
from landscape._progress import reporter
from landscape._results import Curve, Profile
from landscape._runs import Accuracy, AdaptiveRun, GridRun, RunPlan, describe_metrics

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from landscape._objective import MetricLike, Objective, Strategy
    from landscape._progress import Choice

__all__ = ["EvaluatedPath", "evaluate_path"]

_PARTS = ("train", "test")
_REFINEMENTS = 2  # rounds around the highest loss
_POINTS_PER_SIDE = 3
_TOLERANCE = 0.01  # of the range of the losses
_FINEST_LEVEL = 5  # 129 positions
_EXPECTED_POSITIONS = 33


@dataclass(frozen=True)
class EvaluatedPath:
    """Losses along a curve on training and test data, with their provenance."""

    train: Profile
    test: Profile | None
    plan: RunPlan
    evaluations: int
    seconds: float
    note: str = ""
    """How accurately the losses between the positions are known."""


def evaluate_path(
    functions: Sequence[Objective],
    curve: Curve,
    points: int | None,
    metrics: Sequence[MetricLike] | MetricLike,
    *,
    inputs: Mapping[str, Any],
    resume: str | os.PathLike[str] | None,
    progress: Choice,
) -> EvaluatedPath:
    """Evaluate a curve.

    Args:
        functions: L of the training data, and of the test data where there are any.
        curve: The curve.
        points: Positions at equal distances; None chooses them: as many as keep a cubic spline
            through them within 1% of the range of the losses.
        metrics: Evaluated beside the losses.
        inputs: What the numbers depend on besides the functions and the metrics.
        resume: A file that keeps the run.
        progress: How progress is shown.

    Raises:
        ValueError: Fewer than three points, or a metric does not fit the loss.
    """
    evaluator = _CurveEvaluator(functions, curve, metrics)
    inputs = {
        **inputs,
        "points": points,
        "metrics": describe_metrics(metrics),
        "policy": {p: f.policy for p, f in zip(_PARTS, functions, strict=False)},
    }
    run: GridRun | AdaptiveRun
    if points is None:
        run = _prepare_adaptive(evaluator, inputs, resume, progress)
    else:
        run = _prepare_grid(evaluator, inputs, points, resume, progress)
    with run.plan.thread_count():
        evaluator.choose_strategies(run.plan.strategies, points or _EXPECTED_POSITIONS)
        run.plan = run.plan.with_strategies(evaluator.strategies)
        chunk = evaluator.strategies[0].chunk
        note = ""
        if isinstance(run, AdaptiveRun):
            run.execute(evaluator, evaluator, chunk, lambda: None)
            positions, values = _sort(*run.grid.evaluated())
            note = _describe_error(run)
        else:
            positions, values = run.axes[0], run.execute(evaluator, chunk)
        positions, values = _refine(positions, values, evaluator, chunk, progress)
    train, test = evaluator.make_profiles(positions, values)
    return EvaluatedPath(train, test, run.plan, len(positions), run.seconds, note)


def _prepare_grid(
    evaluator: _CurveEvaluator,
    inputs: Mapping[str, Any],
    points: int,
    resume: str | os.PathLike[str] | None,
    progress: Choice,
) -> GridRun:
    """A run over positions at equal distances."""
    if points < 3:
        raise ValueError(f"points={points}, expected 3 or more along the path")
    _core.require_memory(f"a path of {points} points", [points, 8])
    return GridRun(
        label="path",
        axes=(np.linspace(0.0, 1.0, points),),
        columns=evaluator.columns,
        inputs=inputs,
        device=evaluator.functions[0].device,
        resume=resume,
        progress=progress,
    )


def _prepare_adaptive(
    evaluator: _CurveEvaluator,
    inputs: Mapping[str, Any],
    resume: str | os.PathLike[str] | None,
    progress: Choice,
) -> AdaptiveRun:
    """A run over the positions that a tolerance needs."""
    return AdaptiveRun(
        label="path",
        ranges=[(0.0, 1.0)],
        columns=evaluator.columns,
        interpolations=[
            "cubic" if name.endswith(" loss") else "linear" for name in evaluator.columns
        ],
        accuracy=Accuracy(_TOLERANCE, scale="range", quantile=1.0, finest=_FINEST_LEVEL),
        inputs=inputs,
        seed=evaluator.functions[0].seed,
        device=evaluator.functions[0].device,
        resume=resume,
        progress=progress,
    )


def _sort(
    points: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    order = np.argsort(points[:, 0])
    return points[order, 0], values[order]


def _describe_error(run: AdaptiveRun) -> str:
    """The tolerance and the spacing of the positions, as a sentence."""
    error, steps = run.grid.estimate(), np.diff(np.sort(run.grid.evaluated()[0][:, 0]))
    kept = "" if run.grid.outcome == "converged" else ", not everywhere within the tolerance"
    return (
        f"the loss was evaluated at {run.grid.done} positions, {steps.min():.3g} to "
        f"{steps.max():.3g} of the length apart; between them a cubic spline is within "
        f"{error['maximum'] / 4:.2g} of the range of the losses (estimated; {_TOLERANCE:g} asked "
        f"for{kept})"
    )


class _CurveEvaluator:
    """Evaluates losses, metrics and predictions at positions on a curve, as columns."""

    def __init__(
        self,
        functions: Sequence[Objective],
        curve: Curve,
        metrics: Sequence[MetricLike] | MetricLike,
    ) -> None:
        self.functions = functions
        self.curve = curve
        self.metrics, paired = split_metrics(metrics)
        start = curve.points[0]
        self.predictions = [Predictions.at(f, start, paired) for f in functions] if paired else []
        self.strategies: tuple[Strategy, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns: part and quantity."""
        paired = self.predictions[0].names if self.predictions else ()
        return tuple(
            f"{part} {name}"
            for part, function in zip(_PARTS, self.functions, strict=False)
            for name in (*function.column_names(self.metrics), *paired)
        )

    def choose_strategies(self, recorded: tuple[Strategy, ...], points: int) -> None:
        """Take the strategies of a checkpoint, or choose them for so many points."""
        first, last = self.curve.points[0], self.curve.points[-1]
        self.strategies = recorded or tuple(
            function.subspace(first, [last - first], metrics=self.metrics, points=points).strategy
            for function in self.functions
        )

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        positions = points[:, 0]
        columns = []
        for index, function in enumerate(self.functions):
            columns.append(self._evaluate(function, self.strategies[index], positions))
            if self.predictions:
                rows = np.stack([self.curve.at(p) for p in positions])
                columns.append(self.predictions[index].columns(rows))
        return np.column_stack(columns)

    def _evaluate(
        self, function: Objective, strategy: Strategy, positions: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Loss, metrics and standard error at each position, one subspace for each segment."""
        coefficients = self.curve.coefficients(positions)
        control = self.curve.points
        pieces = {(0, len(control)): slice(None)}
        if self.curve.kind == "polyline":
            segment = np.minimum((coefficients > 0).argmax(axis=1), len(control) - 2)
            pieces = {(i, i + 2): segment == i for i in np.unique(segment)}
        values = np.empty((len(positions), len(function.column_names(self.metrics))))
        for (first, stop), rows in pieces.items():
            basis = [point - control[first] for point in control[first + 1 : stop]]
            subspace = function.subspace(
                control[first], basis, metrics=self.metrics, strategy=strategy
            )
            values[rows] = subspace.evaluate(coefficients[rows, first + 1 : stop])
        return values

    def make_profiles(
        self, positions: NDArray[np.float64], values: NDArray[np.float64]
    ) -> tuple[Profile, Profile | None]:
        """The profiles of the training and of the test data."""
        by_name = dict(zip(self.columns, values.T, strict=True))
        profiles = []
        for part, function in zip(_PARTS, self.functions, strict=False):
            own = {n.removeprefix(f"{part} "): v for n, v in by_name.items() if n.startswith(part)}
            losses, error = own.pop("loss"), own.pop("standard_error", None)
            top = self.curve.at(positions[int(np.argmax(losses))])
            end = self.curve.at(0.0 if losses[0] >= losses[-1] else 1.0)
            profiles.append(
                Profile(
                    positions,
                    losses,
                    metrics=own,
                    standard_error=error,
                    barrier_error=function.difference_error(top, end),
                )
            )
        return profiles[0], profiles[1] if len(profiles) > 1 else None


def _refine(
    positions: NDArray[np.float64],
    values: NDArray[np.float64],
    evaluator: _CurveEvaluator,
    chunk: int,
    progress: Choice,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Add positions on both sides of where each data set's barrier and excess are."""
    loss_columns = [i for i, name in enumerate(evaluator.columns) if name.endswith(" loss")]
    for _ in range(_REFINEMENTS):
        candidates: list[float] = []
        for column in loss_columns:
            for top in _find_peaks(positions, values[:, column]):
                for left in (top - 1, top):
                    ends = positions[left], positions[left + 1]
                    candidates.extend(np.linspace(*ends, _POINTS_PER_SIDE + 2)[1:-1])
        new = np.setdiff1d(candidates, positions)
        if not len(new):
            break
        joined = np.concatenate([positions, new])
        order = np.argsort(joined)
        rows = [values]
        with reporter(progress, len(new), "refining around the highest losses") as bar:
            for first in range(0, len(new), chunk):
                rows.append(evaluator(new[first : first + chunk, None]))
                bar.update(min(first + chunk, len(new)))
        values = np.concatenate(rows)[order]
        positions = joined[order]
    return positions, values


def _find_peaks(positions: NDArray[np.float64], losses: NDArray[np.float64]) -> list[int]:
    """The inner positions of the highest loss and of the largest rise above the chord."""
    with np.errstate(invalid="ignore"):  # infinite losses are data
        rises = losses - ((1 - positions) * losses[0] + positions * losses[-1])
    peaks = {int(np.argmax(losses)), int(np.argmax(rises))}
    return sorted(peaks - {0, len(positions) - 1})
