"""Metrics: accuracy, error, or any ``metric(outputs, targets)``, as means over samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from landscape._objective.losses.criterion import Criterion
from landscape._objective.losses.recognised import ClassLoss

__all__ = ["Metric", "MetricLike", "choose_metrics", "list_metrics"]

_COLUMNS = frozenset({"loss", "standard_error"})

MetricLike = str | Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Metric:
    """A mean over samples: batch totals, divided by the total weight of all data."""

    name: str
    total: Callable[[Any, Tensor, float], Tensor]
    """(outputs, targets, weight) -> the batch's term of the numerator, float64, shape ()."""
    weight: Callable[[Tensor, float], float]
    """(targets, weight) -> the batch's term of the denominator."""
    separable: bool
    """Whether batches may be cut anew without changing the mean."""


def list_metrics(metrics: Sequence[MetricLike] | MetricLike) -> list[MetricLike]:
    """One metric or several, as a list."""
    return [metrics] if isinstance(metrics, str) or callable(metrics) else list(metrics)


def choose_metrics(
    metrics: Sequence[MetricLike] | MetricLike, criterion: Criterion
) -> list[Metric]:
    """Turn names and functions into metrics.

    Args:
        metrics: ``"accuracy"``, ``"error"`` or callables ``metric(outputs, targets)`` that return
            a mean over the batch.
        criterion: Decides how the outputs are read.

    Returns:
        The metrics, in order.

    Raises:
        ValueError: A name is unknown, reserved, appears twice, or does not fit the loss.
    """
    chosen = [_choose_metric(metric, criterion) for metric in list_metrics(metrics)]
    names = [metric.name for metric in chosen]
    reserved = sorted(_COLUMNS.intersection(names))
    if reserved:
        raise ValueError(
            f"a metric is called {reserved[0]!r}, as a column of every result is; give it another "
            "__name__"
        )
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise ValueError(f"two metrics are called {repeated.pop()!r}; give each its own __name__")
    return chosen


def _choose_metric(metric: MetricLike, criterion: Criterion) -> Metric:
    if callable(metric):
        return _wrap_function(metric)
    if metric not in {"accuracy", "error"}:
        raise ValueError(
            f"metric {metric!r} is unknown; expected 'accuracy', 'error' or a function "
            "metric(outputs, targets)"
        )
    loss = criterion.recognised
    if isinstance(loss, ClassLoss):
        ignored = loss.options["ignore_index"]
        return _count_predictions(metric, lambda outputs: outputs.argmax(1), _classes, ignored)
    if loss is not None and loss.name == "BCE with logits":
        return _count_predictions(
            metric, lambda outputs: outputs > 0, lambda targets: targets > 0.5, None
        )
    raise ValueError(
        f"{metric!r} is not defined for the loss {criterion.name!r}; pass a function "
        "metric(outputs, targets)"
    )


def _classes(targets: Tensor) -> Tensor:
    return targets.argmax(1) if targets.is_floating_point() else targets.long()


def _count_predictions(
    name: str,
    predict: Callable[[Tensor], Tensor],
    expect: Callable[[Tensor], Tensor],
    ignored: int | None,
) -> Metric:
    """Count the correct (accuracy) or wrong (error) predictions among those not ignored."""
    compare = torch.eq if name == "accuracy" else torch.ne

    def total(outputs: Tensor, targets: Tensor, weight: float) -> Tensor:  # noqa: ARG001
        expected = expect(targets)
        counted = compare(predict(outputs), expected)
        return (counted if ignored is None else counted & (expected != ignored)).sum().double()

    def weigh(targets: Tensor, weight: float) -> float:  # noqa: ARG001
        expected = expect(targets)
        return float(expected.numel() if ignored is None else (expected != ignored).sum())

    return Metric(name, total, weigh, separable=True)


def _wrap_function(function: Callable[[Any, Any], Any]) -> Metric:
    name = getattr(function, "__name__", type(function).__name__)

    def total(outputs: Any, targets: Tensor, weight: float) -> Tensor:
        value = torch.as_tensor(function(outputs, targets), dtype=torch.float64)
        if value.numel() != 1:
            raise ValueError(
                f"metric {name!r} returned shape {tuple(value.shape)}; a metric must return one "
                "number for the batch, the mean over its samples"
            )
        return value.reshape(()) * weight

    return Metric(name, total, lambda _, weight: weight, separable=False)
