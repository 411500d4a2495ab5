"""Sampling of surfaces and lines to a tolerance: few losses, and interpolation between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape._results import EvaluatedPoints, SurfaceError
from landscape._runs.adaptive import AdaptiveRun
from landscape._runs.functions import Functions, join_columns

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from landscape import _core
    from landscape._directions import Axes
    from landscape._objective import MetricLike, Objective
    from landscape._progress import Choice
    from landscape._results import Interpolation
    from landscape._runs.accuracy import Accuracy, ErrorScale

__all__ = ["sample_to_tolerance"]


def sample_to_tolerance(
    objective: Objective,
    test_objective: Objective | None,
    axes: Axes,
    coordinates: tuple[NDArray[np.float64], ...],
    accuracy: Accuracy,
    *,
    label: str,
    metrics: Sequence[MetricLike] | MetricLike,
    resume: str | os.PathLike[str] | None,
    progress: Choice,
    notes: Sequence[str] = (),
    preview: Callable[[dict[str, Any], dict[str, Any] | None], object] | None = None,
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Evaluate loss and metrics where a tolerance needs it, and interpolate them on a grid.

    Args:
        objective: As for :func:`sample_grid`.
        test_objective: The function of the test data, whose error is controlled too.
        axes: As for :func:`sample_grid`.
        coordinates: Of the grid on which the interpolants are evaluated.
        accuracy: The tolerance and the budget.
        label: As for :func:`sample_grid`.
        metrics: As for :func:`sample_grid`; interpolated linearly, without control of their error.
        resume: As for :func:`sample_grid`.
        progress: As for :func:`sample_grid`.
        notes: As for :func:`sample_grid`.
        preview: Called with what is returned after every level.

    Returns:
        As :func:`sample_grid`, with `evaluated` and `error`.
    """
    functions = Functions.of(objective, test_objective, metrics)
    spline: Interpolation = "log cubic" if accuracy.scale == "loss" else "cubic"
    is_loss = [name.endswith(" loss") for name in functions.columns]
    run = AdaptiveRun(
        label=label,
        ranges=[(float(axis[0]), float(axis[-1])) for axis in coordinates],
        columns=functions.columns,
        interpolations=[spline if loss else "linear" for loss in is_loss],
        accuracy=accuracy,
        inputs={
            "axes": [[float(axis[0]), float(axis[-1])] for axis in coordinates],
            **functions.describe(axes),
        },
        seed=objective.seed,
        device=objective.device,
        resume=resume,
        progress=progress,
    )
    with run.plan.thread_count():
        subspaces = functions.make_subspaces(axes, run.plan, progress)
        run.plan = run.plan.with_strategies([subspace.strategy for subspace in subspaces])

        def make_fields() -> tuple[dict[str, Any], dict[str, Any] | None]:
            points, values = run.grid.evaluated()
            grids = [_interpolate(run.grid, i, coordinates) for i in range(len(is_loss))]
            for grid, column in zip(grids, values.T, strict=True):
                _set_evaluated(grid, coordinates, points, column)
            fields = functions.make_fields(
                subspaces,
                grids,
                axes,
                run.plan,
                evaluations=run.evaluations,
                seconds=run.seconds,
                status=_describe_outcome(run),
                notes=notes,
            )
            error = _make_error(run, coordinates)
            losses = [column for column, loss in zip(values.T, is_loss, strict=True) if loss]
            for part, own in zip(fields, losses, strict=True):
                part["evaluated"] = EvaluatedPoints(points, own, run.grid.level, spline)
                part["error"] = error
            return fields[0], fields[1] if len(fields) > 1 else None

        def on_level() -> None:
            if preview is not None:
                preview(*make_fields())

        run.execute(join_columns(subspaces), subspaces[0].strategy.chunk, on_level)
        return make_fields()


def _interpolate(
    grid: _core.AdaptiveGrid, column: int, coordinates: tuple[NDArray[np.float64], ...]
) -> NDArray[np.float64]:
    shape = tuple(len(axis) for axis in reversed(coordinates))
    return grid.interpolant(column).on(list(coordinates)).reshape(shape)


def _set_evaluated(
    grid: NDArray[np.float64],
    coordinates: tuple[NDArray[np.float64], ...],
    points: NDArray[np.float64],
    values: NDArray[np.float64],
) -> None:
    """Put values where a grid point is an evaluated one: a logarithm and back costs last bits."""
    places = [np.searchsorted(axis, x) for axis, x in zip(coordinates, points.T, strict=True)]
    on_grid = np.logical_and.reduce(
        [axis[i] == x for axis, i, x in zip(coordinates, places, points.T, strict=True)]
    )
    grid[tuple(place[on_grid] for place in reversed(places))] = values[on_grid]


def _make_error(run: AdaptiveRun, coordinates: tuple[NDArray[np.float64], ...]) -> SurfaceError:
    """The estimated error, or the one that fresh random points bound."""
    estimate, accuracy = run.grid.estimate(), run.accuracy
    shape = tuple(len(axis) for axis in reversed(coordinates))
    points = np.stack([c.ravel() for c in np.meshgrid(*coordinates)], axis=1)
    error_map = run.grid.errors_at(np.ascontiguousarray(points)).reshape(shape)
    quantile, maximum = estimate["quantile95"], estimate["maximum"]
    checked = run.check_errors()
    is_checked = accuracy.confidence is not None and len(checked) == accuracy.checks
    if is_checked:
        quantile = float(checked.max())
        maximum = max([maximum, *checked[np.isfinite(checked)].tolist()])
    return SurfaceError(
        quantile95=quantile,
        maximum=maximum,
        scale="loss" if estimate["scale"] == "value" else "range",
        tolerance=accuracy.tolerance,
        estimate=estimate["quantile95"],
        confidence=accuracy.confidence if is_checked else None,
        checks=len(checked) if is_checked else 0,
        map=error_map,
    )


def _describe_outcome(run: AdaptiveRun) -> str:
    """How a computation to a tolerance ended, as a sentence."""
    grid, accuracy = run.grid, run.accuracy
    if grid.outcome == "running":
        return "preview: the estimated error is not within the tolerance yet"
    estimate = grid.estimate()
    scale: ErrorScale = "loss" if estimate["scale"] == "value" else "range"
    sentence = {
        "converged": "complete: the estimated error is within the tolerance",
        "finest": "the finest grid was reached before the tolerance",
        "stopped": "the budget ended before the tolerance was reached",
    }[grid.outcome]
    if scale != accuracy.scale:
        sentence += "; a loss is not positive, so that errors are relative to the range"
    return sentence
