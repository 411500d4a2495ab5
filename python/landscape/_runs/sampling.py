"""Sampling of surfaces and lines: losses and metrics at every point of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core
from landscape._runs.functions import Functions, join_columns
from landscape._runs.grid import GridRun

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from landscape._directions import Axes
    from landscape._objective import MetricLike, Objective
    from landscape._progress import Choice

__all__ = ["grid_coordinates", "sample_grid"]

_MAX_POINTS = 2**53


def grid_coordinates(
    axes: Axes, span: Any, points: int | Sequence[int]
) -> tuple[NDArray[np.float64], ...]:
    """The coordinates to evaluate, one array an axis.

    Raises:
        ValueError: A span is not positive or not finite, or an axis has fewer than two points.
    """
    count = len(axes.basis)
    sizes = list(points) if isinstance(points, Sequence) else [points] * count
    if len(sizes) != count or not all(
        isinstance(n, (int, np.integer)) and 2 <= n < _MAX_POINTS for n in sizes
    ):
        expected = "a number from 2 up, below 2**53" + (", or two of them" if count == 2 else "")
        raise ValueError(f"points={points!r}, expected {expected}")
    return tuple(
        _core.axis(low, high, int(n))
        for (low, high), n in zip(_read_ranges(axes, span), sizes, strict=True)
    )


def _read_ranges(axes: Axes, span: Any) -> Sequence[tuple[float, float]]:
    if span is None:
        return axes.span
    count = len(axes.basis)
    advice = "a positive half-width, or (low, high)" + (" for each axis" if count == 2 else "")
    try:
        array = np.asarray(span, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"span={span!r}, expected {advice}") from None
    if array.shape == ():
        ranges = [(-float(array), float(array))] * count
    elif array.shape == (2,) and count == 1:
        ranges = [(float(array[0]), float(array[1]))]
    elif array.shape == (count, 2):
        ranges = [(float(low), float(high)) for low, high in array]
    else:
        raise ValueError(f"span={span!r}, expected {advice}")
    if not np.isfinite(array).all() or any(low >= high for low, high in ranges):
        raise ValueError(f"span={span!r} has no positive, finite extent; expected {advice}")
    return ranges


def sample_grid(
    objective: Objective,
    test_objective: Objective | None,
    axes: Axes,
    coordinates: tuple[NDArray[np.float64], ...],
    *,
    label: str,
    metrics: Sequence[MetricLike] | MetricLike,
    resume: str | os.PathLike[str] | None,
    progress: Choice,
    notes: Sequence[str] = (),
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Evaluate loss and metrics at every point of the axes' product.

    Args:
        objective: The function.
        test_objective: The function of the test data, on the same points.
        axes: Origin and directions.
        coordinates: Along each of them.
        label: Shown beside the progress bar.
        metrics: Evaluated beside the loss.
        resume: The file that keeps the run.
        progress: How progress is shown.
        notes: Further remarks for the record.

    Returns:
        The fields of a result, arrays shaped (len(beta), len(alpha)) or (len(positions),); and
        those of the test data's result.
    """
    functions = Functions.of(objective, test_objective, metrics)
    run = GridRun(
        label=label,
        axes=coordinates,
        columns=functions.columns,
        inputs={
            "axes": [[float(axis[0]), float(axis[-1]), len(axis)] for axis in coordinates],
            **functions.describe(axes),
        },
        device=objective.device,
        resume=resume,
        progress=progress,
    )
    with run.plan.thread_count():
        subspaces = functions.make_subspaces(axes, run.plan, progress, points=run.size)
        run.plan = run.plan.with_strategies([subspace.strategy for subspace in subspaces])
        values = run.execute(join_columns(subspaces), subspaces[0].strategy.chunk)
    shape = tuple(len(axis) for axis in reversed(coordinates))
    columns = zip(functions.columns, values.T, strict=True)
    fields = functions.make_fields(
        {name: column.reshape(shape) for name, column in columns},
        subspaces,
        axes,
        run.plan,
        evaluations=run.size,
        seconds=run.seconds,
        status="complete",
        notes=notes,
    )
    return fields[0], fields[1] if len(fields) > 1 else None
