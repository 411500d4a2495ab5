"""L of the training and of the test data on the same subspace, as columns of numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from landscape._objective import identify_function, list_metrics
from landscape._progress import start_up

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._directions import Axes
    from landscape._objective import MetricLike, Objective, Subspace
    from landscape._progress import Choice
    from landscape._runs.plan import RunPlan

__all__ = ["Functions", "describe_metrics", "join_columns"]

_PARTS = ("train", "test")


@dataclass(frozen=True)
class Functions:
    """L of the training data, and of the test data where there are any, with their metrics."""

    parts: Mapping[str, Objective]
    metrics: Sequence[MetricLike]

    @classmethod
    def of(
        cls,
        objective: Objective,
        test: Objective | None,
        metrics: Sequence[MetricLike] | MetricLike,
    ) -> Self:
        functions = [objective] if test is None else [objective, test]
        return cls(dict(zip(_PARTS, functions, strict=False)), list_metrics(metrics))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the numbers of a row: part and quantity."""
        return tuple(
            f"{part} {name}"
            for part, function in self.parts.items()
            for name in function.column_names(self.metrics)
        )

    def describe(self, axes: Axes) -> dict[str, Any]:
        """What the numbers depend on, as plain data."""
        return {
            "directions": axes.recipe.fingerprint,
            "metrics": describe_metrics(self.metrics),
            "policy": {part: function.policy for part, function in self.parts.items()},
        }

    def make_subspaces(
        self, axes: Axes, plan: RunPlan, progress: Choice, *, points: int
    ) -> list[Subspace]:
        """L on the axes, under the strategies of a plan, or such as suit so many points."""
        recorded = plan.strategies or (None,) * len(self.parts)
        with start_up(progress):
            return [
                function.subspace(
                    axes.origin,
                    axes.basis,
                    metrics=self.metrics,
                    strategy=strategy,
                    points=points,
                )
                for function, strategy in zip(self.parts.values(), recorded, strict=True)
            ]

    def make_fields(
        self,
        columns: Mapping[str, NDArray[np.float64]],
        subspaces: Sequence[Subspace],
        axes: Axes,
        plan: RunPlan,
        *,
        evaluations: int,
        seconds: float,
        status: str,
        notes: Sequence[str],
    ) -> list[dict[str, Any]]:
        """The fields of each part's result, from the columns on the grid, by their names."""
        fields = []
        chunk = subspaces[0].strategy.chunk
        for (part, function), subspace in zip(self.parts.items(), subspaces, strict=True):
            prefix = f"{part} "
            own = {n.removeprefix(prefix): v for n, v in columns.items() if n.startswith(prefix)}
            provenance = plan.make_run(
                function,
                replace(subspace.strategy, chunk=chunk),
                engine=function.describe_engine(subspace.strategy),
                evaluations=evaluations,
                seconds=seconds,
                status="; ".join([status, *plan.notes]),
                notes=notes,
            )
            fields.append(
                {
                    "losses": own.pop("loss"),
                    "standard_error": own.pop("standard_error", None),
                    "metrics": own,
                    "recipe": axes.recipe,
                    "run": provenance,
                }
            )
        return fields


def join_columns(
    subspaces: Sequence[Subspace],
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """The columns of all subspaces, side by side."""
    return lambda points: np.column_stack([s.evaluate(points) for s in subspaces])


def describe_metrics(metrics: Sequence[MetricLike] | MetricLike) -> list[Any]:
    """Metrics as plain data, by which a checkpoint identifies them."""
    return [m if isinstance(m, str) else identify_function(m) for m in list_metrics(metrics)]
