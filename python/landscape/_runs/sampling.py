"""Sampling of surfaces and lines: losses and metrics on a grid, on training and test data."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np
import torch

from landscape import _core
from landscape._objective import Objective, identify_function, list_metrics
from landscape._progress import start_up
from landscape._runs.grid import GridRun

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from landscape._directions import Axes
    from landscape._objective import MetricLike
    from landscape._progress import Choice

__all__ = [
    "ObjectiveOptions",
    "build_objective",
    "build_objectives",
    "check_option_names",
    "describe_metrics",
    "grid_coordinates",
    "sample_grid",
]


_PARTS = ("train", "test")
_MAX_POINTS = 2**53


class ObjectiveOptions(TypedDict, total=False):
    """The keywords of :class:`Objective` that every function takes."""

    engine: Literal["auto", "torch", "native"]
    batch_norm: Literal["frozen", "recalibrated", "batch"] | None
    device: torch.device | str | None
    dtype: torch.dtype | str | None
    parameters: str | Iterable[str] | None
    samples: int | Sequence[int] | None
    dropout: Literal["off", "seeded"]
    weight_decay: float
    batch_size: int | None
    weight: Callable[[Any], Any] | None
    memory_budget: int
    check: Literal["on", "off"]


def check_option_names(
    function: Callable[..., Any], options: Iterable[str], more: Iterable[str] = ()
) -> None:
    """Refuse options that a public function does not know.

    Args:
        function: The function, whose own keywords are known besides those of an Objective.
        options: The names that were passed beyond its own keywords.
        more: Further names that it knows.

    Raises:
        TypeError: A name is unknown; the text has the nearest known one.
    """
    own = inspect.signature(function).parameters.values()
    known = [*(p.name for p in own if p.kind is p.KEYWORD_ONLY), *more]
    known += ObjectiveOptions.__annotations__
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            advice = f"did you mean {near[0]}=?" if near else f"it knows {', '.join(known)}"
            raise TypeError(f"{function.__name__}() got an unknown option {name}=; {advice}")


def build_objective(
    function: Callable[..., Any],
    model: Any,
    data: Any,
    loss: Any,
    *,
    seed: int,
    options: ObjectiveOptions,
    progress: Choice = "off",
) -> Objective:
    """Build the Objective of a public function, or take the one that it was given.

    Args:
        function: The public function that was called.
        model: The model, or an Objective.
        data: The training data.
        loss: The loss.
        seed: That of the Objective.
        options: Its other options.
        progress: How the start-up is shown.

    Raises:
        TypeError: An option is unknown, or an Objective is passed together with what it already
            holds.
    """
    check_option_names(function, options)
    if isinstance(model, Objective):
        redundant = [n for n, value in (("data", data), ("loss", loss)) if value is not None]
        redundant += list(options)
        if redundant:
            raise TypeError(
                f"got an Objective together with {', '.join(redundant)}; an Objective already "
                "holds them: leave them out, or pass the model itself"
            )
        return model
    if data is None:
        raise TypeError("data is missing; pass (inputs, targets), a Dataset or a DataLoader")
    with start_up(progress):
        return Objective(model, data, loss, seed=seed, **options)


def build_objectives(
    function: Callable[..., Any],
    model: Any,
    data: Any,
    loss: Any,
    *,
    test: Any,
    seed: int,
    options: ObjectiveOptions,
    progress: Choice = "off",
) -> tuple[Objective, Objective | None]:
    """Build the same, and the Objective of the test data where there are any (None without).

    Raises:
        TypeError: As for :func:`build_objective`.
    """
    objective = build_objective(
        function, model, data, loss, seed=seed, options=options, progress=progress
    )
    with start_up(progress):
        return objective, None if test is None else objective.with_data(test)


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
    functions = [objective] if test_objective is None else [objective, test_objective]
    metric_list = list_metrics(metrics)
    parts = dict(zip(_PARTS, functions, strict=False))
    run = GridRun(
        label=label,
        axes=coordinates,
        columns=tuple(
            f"{part} {name}"
            for part, function in parts.items()
            for name in function.column_names(metric_list)
        ),
        inputs={
            "axes": [[float(axis[0]), float(axis[-1]), len(axis)] for axis in coordinates],
            "directions": axes.recipe.fingerprint,
            "metrics": describe_metrics(metric_list),
            "policy": {part: function.policy for part, function in parts.items()},
        },
        device=objective.device,
        resume=resume,
        progress=progress,
    )
    with run.plan.thread_count():
        recorded = run.plan.strategies or (None,) * len(functions)
        with start_up(progress):
            subspaces = [
                function.subspace(
                    axes.origin,
                    axes.basis,
                    metrics=metric_list,
                    strategy=strategy,
                    points=run.size,
                )
                for function, strategy in zip(functions, recorded, strict=True)
            ]
        run.plan = run.plan.with_strategies([subspace.strategy for subspace in subspaces])
        chunk = subspaces[0].strategy.chunk
        values = run.execute(
            lambda points: np.column_stack([s.evaluate(points) for s in subspaces]), chunk
        )
    shape = tuple(len(axis) for axis in reversed(coordinates))
    columns = iter(values.T)
    fields = []
    for function, subspace in zip(functions, subspaces, strict=True):
        arrays = {name: next(columns).reshape(shape) for name in subspace.columns}
        provenance = run.plan.make_run(
            function,
            replace(subspace.strategy, chunk=chunk),
            engine=function.describe_engine(subspace.strategy),
            evaluations=run.size,
            seconds=run.seconds,
            status="; ".join(["complete", *run.plan.notes]),
            notes=notes,
        )
        fields.append(
            {
                "losses": arrays.pop("loss"),
                "standard_error": arrays.pop("standard_error", None),
                "metrics": arrays,
                "recipe": axes.recipe,
                "run": provenance,
            }
        )
    return fields[0], fields[1] if len(fields) > 1 else None


def describe_metrics(metrics: Sequence[MetricLike] | MetricLike) -> list[Any]:
    """Metrics as plain data, by which a checkpoint identifies them."""
    return [m if isinstance(m, str) else identify_function(m) for m in list_metrics(metrics)]
