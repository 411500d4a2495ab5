"""By how much steepest descent lowers a loss: whether a point is a minimum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["compute_descent_gain"]

_STEP_LENGTHS = 10.0 ** np.arange(-3, 2)  # times the step that would take a linear loss to 0


def compute_descent_gain(
    evaluate: Callable[[Iterator[NDArray[Any]]], NDArray[np.float64]],
    theta: NDArray[Any],
    loss: float,
    gradient: NDArray[Any],
) -> float:
    """The largest decrease of the loss along the negative gradient, at the best of five lengths.

    Args:
        evaluate: The losses of several points, which are made one at a time.
        theta: The point, shape (d,).
        loss: The loss there.
        gradient: The gradient there, shape (d,).
    """
    norm = _core.norm(gradient)
    if not (np.isfinite(norm) and norm > 0 and loss > 0):
        return 0.0
    steps = _STEP_LENGTHS * loss / norm**2
    points = (_core.combine([theta, gradient], np.array([1.0, -step])) for step in steps)
    return max(0.0, loss - float(np.nanmin(evaluate(points), initial=loss)))
