"""Metrics of pairs of models: disagreement of predictions, and ensembles of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape._objective import list_metrics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import MetricLike, Objective

__all__ = ["PAIRED", "Predictions", "split_metrics"]

PAIRED = ("disagreement", "ensemble_accuracy")
"""Metrics of a position on a path together with its first end."""


def split_metrics(
    metrics: Sequence[MetricLike] | MetricLike,
) -> tuple[list[MetricLike], tuple[str, ...]]:
    """Separate the metrics of single points from those of pairs."""
    every_metric = list_metrics(metrics)
    paired = tuple(name for name in every_metric if isinstance(name, str) and name in PAIRED)
    return [metric for metric in every_metric if metric not in paired], paired


@dataclass(frozen=True)
class Predictions:
    r"""Class probabilities at the first end, with which those at other positions are compared.

    disagreement: the share of samples whose predicted class differs from that of the end;
    ensemble_accuracy: of the mean of both probabilities.

    Reference:
        Fort, Hu and Lakshminarayanan, "Deep Ensembles: A Loss Landscape Perspective" (2019),
        section 4; Garipov et al., "Loss Surfaces, Mode Connectivity, and Fast Ensembling of DNNs"
        (2018), section 4.
    """

    objective: Objective
    expected: NDArray[np.int64]
    """Shape (n, ...); -1 where a target is ignored."""
    probabilities: NDArray[np.float64]
    """Shape (n, classes, ...)."""
    names: tuple[str, ...]

    @classmethod
    def at(cls, objective: Objective, theta: NDArray[Any], names: tuple[str, ...]) -> Predictions:
        """Compute the predictions of one end.

        Raises:
            ValueError: The loss is not one of classes.
        """
        expected = objective.expected_classes()
        if expected is None:
            raise ValueError(
                f"{' and '.join(names)} need classes, and the loss is "
                f"{objective.policy['loss']}; leave them out"
            )
        (outputs,) = objective.outputs(theta[None])
        return cls(objective, expected, _probabilities(outputs), names)

    def columns(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """The metrics at points, shape (k, d) to (k, names)."""
        return np.array([self._row(_probabilities(o)) for o in self.objective.outputs(points)])

    def _row(self, other: NDArray[np.float64]) -> list[float]:
        values = {
            "disagreement": self.probabilities.argmax(1) != other.argmax(1),
            "ensemble_accuracy": (self.probabilities + other).argmax(1) == self.expected,
        }
        return [float(values[name][self.expected >= 0].mean()) for name in self.names]


def _probabilities(outputs: NDArray[Any]) -> NDArray[np.float64]:
    """Softmax over the classes in float64; log-probabilities become probabilities as well."""
    wide = outputs.astype(np.float64)
    powers = np.exp(wide - wide.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities
