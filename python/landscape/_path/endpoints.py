"""The two ends of a path: their weights, and evidence of whether they are minima."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core
from landscape._directions import open_weights, read_weights
from landscape._outside import adopt_weights, holds_statistics
from landscape._runs import compute_descent_gain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from landscape._objective import Objective

__all__ = ["EndpointEvidence", "compute_stored_losses", "measure_endpoints", "read_far_end"]


@dataclass(frozen=True)
class EndpointEvidence:
    """How far both ends are from being minima."""

    gradient_norms: tuple[float, float]
    descent_gain: tuple[float, float]
    """By how much one steepest-descent step lowers the loss, at the best of several lengths."""


def read_far_end(objective: Objective, model_b: Any) -> NDArray[Any]:
    """Read the flat vector of the second end.

    Raises:
        TypeError: It is no source of weights.
        ValueError: Its layout differs, it is not finite, or it is the same model.
    """
    theta = read_weights(model_b, objective.layout, objective.dtype, "model_b")
    if np.array_equal(theta, objective.theta):
        raise ValueError(
            "model_b has the same weights as model_a (distance zero), so there is no path between "
            "them; pass two different models"
        )
    return theta


def measure_endpoints(objective: Objective, ends: NDArray[Any]) -> EndpointEvidence:
    """Measure the gradient norms and the descent gains of both ends.

    Args:
        objective: The function that a search minimises.
        ends: The two points, shape (2, d).
    """
    losses, gradients = objective.gradients(ends)
    norms = [_core.norm(gradient) for gradient in gradients]

    def evaluate(points: Iterator[NDArray[Any]]) -> NDArray[np.float64]:
        return objective.losses(np.stack(list(points)))

    gains = [
        compute_descent_gain(evaluate, end, float(loss), gradient)
        for end, loss, gradient in zip(ends, losses, gradients, strict=True)
    ]
    return EndpointEvidence((norms[0], norms[1]), (gains[0], gains[1]))


def compute_stored_losses(objective: Objective, model_b: Any) -> tuple[float, float] | None:
    """L at each end under the running statistics of its own model.

    None where the function uses these already, or has no batch norm; NaN for an end that is passed
    as weights without statistics.
    """
    if not objective.recalibrates:
        return None
    own = objective.with_batch_norm("frozen").loss()
    source = open_weights(model_b)
    if not holds_statistics(objective.model, source, objective.layout):
        return own, float("nan")
    other = adopt_weights(objective.model, source, objective.layout)
    return own, objective.with_model(other).with_batch_norm("frozen").loss()
