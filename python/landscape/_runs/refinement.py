"""Sampling of surfaces and lines to a tolerance: few losses, and interpolation between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core
from landscape._calibration import SubsetUnavailable
from landscape._results import EvaluatedPoints, SurfaceError
from landscape._runs.adaptive import AdaptiveRun, recorded_source
from landscape._runs.functions import Functions
from landscape._runs.sources import (
    SUBSET_SHARE,
    FullSource,
    Source,
    SourceRequest,
    SubsetChoice,
    SubsetSource,
)

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from landscape._directions import Axes
    from landscape._objective import MetricLike, Objective
    from landscape._progress import Choice
    from landscape._runs.accuracy import Accuracy

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
    subset: SubsetChoice = "never",
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
        subset: Whether losses are estimated from a calibrated subset of the samples: ``"auto"``
            where that is possible and takes fewer evaluations, ``"always"`` or ``"never"``.
        notes: As for :func:`sample_grid`.
        preview: Called with what is returned after every level.

    Returns:
        As :func:`sample_grid`, with `evaluated` and `error`.

    Raises:
        SubsetUnavailable: ``subset="always"``, and it is not possible.
    """
    functions = Functions.of(objective, test_objective, metrics)

    def make_run(source: Source, tolerance: float) -> AdaptiveRun:
        return AdaptiveRun(
            label=label,
            ranges=[(float(axis[0]), float(axis[-1])) for axis in coordinates],
            columns=source.columns,
            interpolations=source.list_interpolations(),
            accuracy=replace(accuracy, tolerance=tolerance),
            inputs={
                "axes": [[float(axis[0]), float(axis[-1])] for axis in coordinates],
                "source": source.name,
                **functions.describe(axes),
            },
            seed=objective.seed,
            device=objective.device,
            resume=resume,
            progress=progress,
        )

    request = SourceRequest(functions, axes, coordinates, accuracy, progress)
    source, run, remarks = _choose_source(request, subset, recorded_source(resume), make_run)

    def make_fields() -> tuple[dict[str, Any], dict[str, Any] | None]:
        return _make_fields(run, source, coordinates, [*notes, *remarks])

    def on_level() -> None:
        if preview is not None:
            preview(*make_fields())

    with run.plan.thread_count():
        run.execute(source.evaluate, source.check, source.chunk, on_level)
        source.settle(run)
        return make_fields()


def _choose_source(
    request: SourceRequest,
    subset: SubsetChoice,
    recorded: str | None,
    make_run: Callable[[Source, float], AdaptiveRun],
) -> tuple[Source, AdaptiveRun, tuple[str, ...]]:
    """A calibrated subset where it is asked for or pays, or all data, with its run and remarks."""
    why = request.explain_full(subset, recorded)
    if why is None:
        source: Source = SubsetSource(request, subset)
        run = make_run(source, SUBSET_SHARE * request.accuracy.tolerance)
        try:
            source.prepare(run)
        except SubsetUnavailable as refusal:
            if subset == "always":
                raise
            request.known = refusal.pilots, refusal.losses
            why = refusal.reason if len(refusal.losses) else ""
        else:
            return source, run, source.notes
    source = FullSource(request)
    run = make_run(source, request.accuracy.tolerance)
    source.prepare(run)
    if not why and len(request.known[1]):  # a resumed run, whose file has the pilots
        why = "a calibrated subset was not cheaper."
    return source, run, (f"computed on all data: {why}",) if why else ()


def _make_fields(
    run: AdaptiveRun,
    source: Source,
    coordinates: tuple[NDArray[np.float64], ...],
    notes: Sequence[str],
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The fields of each part's result, as the run stands."""
    points, values = source.read_evaluated(run)
    arrays = []
    for column, interpolation in enumerate(run.interpolations):
        losses = np.ascontiguousarray(values[:, column])
        interpolant = _core.Interpolant.nested(
            list(run.ranges), run.grid.level, points, losses, interpolation
        )
        grid = interpolant.on(list(coordinates)).reshape([len(a) for a in reversed(coordinates)])
        _set_evaluated(grid, coordinates, points, losses)
        arrays.append(grid)
    named = dict(zip(run.columns, arrays, strict=True))
    fields = source.functions.make_fields(
        named,
        source.subspaces,
        source.axes,
        run.plan,
        evaluations=source.count_evaluations(run),
        seconds=run.seconds,
        status=_describe_outcome(run),
        notes=notes,
    )
    error = _make_error(run, source, coordinates, named)
    for part, name in zip(fields, source.functions.parts, strict=True):
        own = values[:, run.columns.index(f"{name} loss")]
        part["evaluated"] = EvaluatedPoints(points, own, run.grid.level, run.accuracy.spline)
        part["error"] = error
    return fields[0], fields[1] if len(fields) > 1 else None


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


def _make_error(
    run: AdaptiveRun,
    source: Source,
    coordinates: tuple[NDArray[np.float64], ...],
    named: Mapping[str, NDArray[np.float64]],
) -> SurfaceError:
    """The estimated error, or the one that fresh random points bound."""
    estimate, accuracy, scale = run.grid.estimate(), run.accuracy, run.scale
    shape = tuple(len(axis) for axis in reversed(coordinates))
    points = np.stack([c.ravel() for c in np.meshgrid(*coordinates)], axis=1)
    error_map = run.grid.errors_at(np.ascontiguousarray(points)).reshape(shape)
    quantile, maximum = estimate["quantile95"], estimate["maximum"]
    sampling = source.bound_sampling(named, scale)
    if sampling is not None:
        quantile, maximum = quantile + sampling.quantile95, maximum + sampling.maximum
        error_map += sampling.map
    checked = run.check_errors()
    is_checked = accuracy.confidence is not None and len(checked) == accuracy.checks
    bound = quantile
    if is_checked:
        bound = float(checked.max())
        maximum = max([maximum, *checked[np.isfinite(checked)].tolist()])
    return SurfaceError(
        quantile95=bound,
        maximum=maximum,
        scale=scale,
        tolerance=source.tolerance,
        estimate=quantile,
        sampling=None if sampling is None else sampling.quantile95,
        confidence=accuracy.confidence if is_checked else None,
        checks=len(checked) if is_checked else 0,
        map=error_map,
    )


def _describe_outcome(run: AdaptiveRun) -> str:
    """How a computation to a tolerance ended, as a sentence."""
    grid, accuracy = run.grid, run.accuracy
    if grid.outcome == "running":
        return "preview: the estimated error is not within the tolerance yet"
    sentence = {
        "converged": "complete: the estimated error is within the tolerance",
        "finest": "the finest grid was reached before the tolerance",
        "stopped": "the budget ended before the tolerance was reached",
    }[grid.outcome]
    if run.scale != accuracy.scale:
        sentence += "; a loss is not positive, so that errors are relative to the range"
    return sentence
