"""By how much the loss rises, or the accuracy falls, at points around the model."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from landscape._sharpness.context import LOSS
from landscape._sharpness.definition import NotApplicable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._sharpness.context import Context

__all__ = ["RiseMetric", "check_metric", "compute_rises", "require_metric"]

RiseMetric = Literal["loss", "accuracy"]


def check_metric(metric: str) -> None:
    """Refuse an unknown metric.

    Raises:
        ValueError: It is neither the loss nor the accuracy.
    """
    if metric not in get_args(RiseMetric):
        raise ValueError(f"metric={metric!r}, expected 'loss' or 'accuracy'")


def require_metric(context: Context, metric: RiseMetric) -> None:
    """Refuse the accuracy of a loss that has none.

    Raises:
        NotApplicable: With the reason.
    """
    if metric == "loss":
        return
    try:
        context.objective.column_names(metric)
    except ValueError as reason:
        raise NotApplicable(str(reason)) from None


def compute_rises(
    context: Context, offsets: Iterable[NDArray[Any]], metric: RiseMetric
) -> NDArray[np.float64]:
    """The rise of the loss, or the fall of the accuracy, at theta + offset for every offset."""
    if metric == "loss":
        return context.losses_around(offsets) - context.loss
    zero = np.zeros_like(context.theta)
    best = context.share("accuracy", lambda: float(_compute_accuracies(context, [zero])[0]))
    return best - _compute_accuracies(context, offsets)


def _compute_accuracies(context: Context, offsets: Iterable[NDArray[Any]]) -> NDArray[np.float64]:
    parts = []
    source = iter(offsets)
    while block := list(islice(source, context.block_size)):
        subspace = context.objective.subspace(
            context.theta, block, metrics="accuracy", strategy=context.loss_strategy
        )
        parts.append(subspace.metrics(np.eye(len(block)))["accuracy"])
        context.charge(len(block) * LOSS)
    return np.concatenate(parts) if parts else np.empty(0)
