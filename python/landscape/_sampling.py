"""Losses on a product of axes, on training and test data: what surfaces and lines share.

Depends on the Objective, the directions and the grid run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np
import torch

from landscape import _core
from landscape._environment import environment, thread_count, versions
from landscape._grid_run import GridRun, Start, begin, execute
from landscape._objective import Objective, Strategy, identify_function, list_metrics
from landscape._results import Recipe, Run
from landscape._resuming import other_environment

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from landscape._directions import Axes
    from landscape._objective import MetricLike, Subspace
    from landscape._progress import Choice

__all__ = ["ObjectiveOptions", "coordinates", "objectives", "planned", "sample"]


_PARTS = ("train", "test")


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
    memory_budget: int


def objectives(
    model: Any, data: Any, loss: Any, *, test: Any, seed: int, options: ObjectiveOptions
) -> tuple[Objective, Objective | None]:
    """The function to measure, and the same function of the test data.

    Raises:
        TypeError: An Objective came together with what it already holds.
    """
    if isinstance(model, Objective):
        given = [name for name, value in (("data", data), ("loss", loss)) if value is not None]
        given += list(options)
        if given:
            raise TypeError(
                f"got an Objective together with {', '.join(given)}; an Objective already holds "
                "them: leave them out, or pass the model itself"
            )
        objective = model
    else:
        if data is None:
            raise TypeError("data is missing; pass (inputs, targets), a Dataset or a DataLoader")
        objective = Objective(model, data, loss, seed=seed, **options)
    return objective, None if test is None else objective.with_data(test)


def coordinates(
    axes: Axes, span: Any, points: int | Sequence[int]
) -> tuple[NDArray[np.float64], ...]:
    """The coordinates to evaluate, one array an axis.

    Raises:
        ValueError: A span is not positive or not finite, or an axis has fewer than two points.
    """
    count = len(axes.basis)
    sizes = list(points) if isinstance(points, Sequence) else [points] * count
    if len(sizes) != count or not all(isinstance(n, (int, np.integer)) and n >= 2 for n in sizes):
        expected = "a number from 2 up" + (", or two of them" if count == 2 else "")
        raise ValueError(f"points={points!r}, expected {expected}")
    return tuple(
        _core.axis(low, high, int(n))
        for (low, high), n in zip(_ranges(axes, span), sizes, strict=True)
    )


def _ranges(axes: Axes, span: Any) -> Sequence[tuple[float, float]]:
    if span is None:
        return axes.span
    count = len(axes.basis)
    advice = "a positive half-width, or (low, high)" + (" for each axis" if count == 2 else "")
    try:
        shape = np.asarray(span, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"span={span!r}, expected {advice}") from None
    if shape.shape == ():
        ranges = [(-float(shape), float(shape))] * count
    elif shape.shape == (2,) and count == 1:
        ranges = [(float(shape[0]), float(shape[1]))]
    elif shape.shape == (count, 2):
        ranges = [(float(low), float(high)) for low, high in shape]
    else:
        raise ValueError(f"span={span!r}, expected {advice}")
    if not np.isfinite(shape).all() or any(low >= high for low, high in ranges):
        raise ValueError(f"span={span!r} has no positive, finite extent; expected {advice}")
    return ranges


def sample(
    objective: Objective,
    tested: Objective | None,
    axes: Axes,
    ticks: tuple[NDArray[np.float64], ...],
    *,
    label: str,
    metrics: Sequence[MetricLike] | MetricLike,
    resume: str | os.PathLike[str] | None,
    progress: Choice,
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Evaluate loss and metrics at every point of the axes' product.

    Args:
        objective: The function.
        tested: The function of the test data, on the same points.
        axes: Origin and directions.
        ticks: Coordinates along each of them.
        label: Stands before the progress bar.
        metrics: Evaluated beside the loss.
        resume: The file that keeps the run.
        progress: How it is shown.

    Returns:
        The fields of a result, arrays shaped (len(beta), len(alpha)) or (len(positions),); and
        those of the test data's result.
    """
    functions = [objective] if tested is None else [objective, tested]
    measured = list_metrics(metrics)
    run = GridRun(
        label=label,
        axes=ticks,
        columns=tuple(
            f"{part} {name}"
            for part, function in zip(_PARTS, functions, strict=False)
            for name in function.column_names(measured)
        ),
        inputs={
            "axes": [[float(axis[0]), float(axis[-1]), len(axis)] for axis in ticks],
            "directions": axes.recipe.fingerprint,
            "metrics": [m if isinstance(m, str) else identify_function(m) for m in measured],
            "policy": {
                part: function.policy for part, function in zip(_PARTS, functions, strict=False)
            },
        },
    )
    start = begin(run, resume)
    plan, notes = planned(functions, start)
    with thread_count(plan["threads"]):
        subspaces = [
            function.subspace(
                axes.origin,
                axes.basis,
                metrics=measured,
                strategy=Strategy.from_record(record) if record else None,
            )
            for function, record in zip(functions, plan["strategies"], strict=True)
        ]
        plan = {**plan, "strategies": [part.strategy.record() for part in subspaces]}
        chunk = subspaces[0].strategy.chunk
        found = execute(
            run,
            start,
            plan,
            _side_by_side(subspaces),
            chunk=chunk,
            resume=resume,
            progress=progress,
        )
    shape = tuple(len(axis) for axis in reversed(ticks))
    columns = iter(found.values.T)
    fields = [
        _fields(
            {name: next(columns).reshape(shape) for name in part.columns},
            axes.recipe,
            _record(
                function,
                function.describe_engine(part.strategy),
                {**plan, "strategy": {**part.strategy.record(), "chunk": chunk}},
                evaluations=run.size,
                seconds=found.seconds,
                notes=notes,
            ),
        )
        for function, part in zip(functions, subspaces, strict=True)
    ]
    return fields[0], fields[1] if tested else None


def planned(functions: Sequence[Objective], start: Start) -> tuple[dict[str, Any], tuple[str, ...]]:
    """How points are evaluated: as a file says, or as is measured here."""
    here = environment(functions[0].device)
    if start.plan is None:
        strategies: list[Any] = [None] * len(functions)
        plan = {"strategies": strategies, "threads": torch.get_num_threads(), "environment": here}
        return plan, ()
    return dict(start.plan), other_environment(start.plan["environment"], here)


def _side_by_side(subspaces: Sequence[Subspace]) -> Any:
    def evaluate(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack([subspace.evaluate(points) for subspace in subspaces])

    return evaluate


def _record(
    function: Objective,
    engine: str,
    plan: Mapping[str, Any],
    *,
    evaluations: int,
    seconds: float,
    notes: tuple[str, ...],
) -> Run:
    return Run(
        engine=engine,
        strategy={**plan["strategy"], "threads": plan["threads"], **plan["environment"]},
        policy=function.policy,
        evaluations=evaluations,
        seconds=seconds,
        seed=function.seed,
        status="; ".join(["complete", *notes]),
        versions=versions(),
        notes=(*function.notes, *notes),
    )


def _fields(values: dict[str, NDArray[np.float64]], recipe: Recipe, run: Run) -> dict[str, Any]:
    return {
        "losses": values.pop("loss"),
        "standard_error": values.pop("standard_error", None),
        "metrics": values,
        "recipe": recipe,
        "run": run,
    }
