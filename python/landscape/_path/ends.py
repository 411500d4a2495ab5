"""The two ends of a path: their weights, and whether they are minima.

Depends on the Objective and on what lends weights.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from landscape import _core
from landscape._directions import flat_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import Objective

__all__ = ["Evidence", "evidence", "far_end", "stored_losses"]

_TRIALS = 10.0 ** np.arange(-3, 2)  # of the step that would take the loss to 0 at its first slope


@dataclass(frozen=True)
class Evidence:
    """How far the ends are from being minima."""

    gradient_norms: tuple[float, float]
    slack: tuple[float, float]
    """What one step along the gradient takes off the loss, at the best of several lengths."""


def far_end(objective: Objective, model_b: Any) -> NDArray[Any]:
    """The other end's flat vector.

    Raises:
        TypeError: It is no source of weights.
        ValueError: Its layout differs, it is not finite, or it is the same model.
    """
    theta = flat_weights(model_b, objective.layout, objective.dtype, "model_b")
    if np.array_equal(theta, objective.theta):
        raise ValueError(
            "model_b has the same weights as model_a (distance zero), so there is no path between "
            "them; pass two different models"
        )
    return theta


def evidence(objective: Objective, ends: NDArray[Any]) -> Evidence:
    """Gradient norms at the ends, and what steepest descent alone gains there.

    Args:
        objective: As it is descended.
        ends: The two points, shape (2, d).
    """
    losses, slopes = objective.gradients(ends)
    norms = [_core.norm(slope) for slope in slopes]
    slack = [
        _gain(objective, end, float(loss), slope, norm)
        for end, loss, slope, norm in zip(ends, losses, slopes, norms, strict=True)
    ]
    return Evidence((norms[0], norms[1]), (slack[0], slack[1]))


def _gain(
    objective: Objective, theta: NDArray[Any], loss: float, slope: NDArray[Any], norm: float
) -> float:
    """The most that a step along -slope takes off the loss."""
    if not (np.isfinite(norm) and norm > 0 and loss > 0):
        return 0.0
    steps = _TRIALS * loss / norm**2
    rows = [_core.combine([theta, slope], np.array([1.0, -step])) for step in steps]
    found = objective.losses(np.stack(rows))
    return max(0.0, loss - float(np.nanmin(found, initial=loss)))


def stored_losses(
    objective: Objective, model_b: Any, theta_b: NDArray[Any]
) -> tuple[float, float] | None:
    """L at each end under the statistics that its own model holds.

    None where the function is that already, or has no batch norm; NaN for an end that has brought
    weights alone.
    """
    if not objective.recalibrates:
        return None
    own = objective.with_batch_norm("frozen").loss()
    twin = _module(objective.model, model_b)
    if twin is None:
        return own, float("nan")
    return own, objective.with_model(twin).with_batch_norm("frozen").loss(theta_b)


def _module(model: nn.Module, model_b: Any) -> nn.Module | None:
    """The other end as a module with buffers of its own; None where it has brought none."""
    if isinstance(model_b, nn.Module):
        return model_b
    names = {name for name, _ in model.named_buffers()}
    if not isinstance(model_b, Mapping) or not names.issubset(model_b):
        return None
    made = copy.deepcopy(model)
    with torch.no_grad():
        for name, buffer in made.named_buffers():
            buffer.copy_(torch.as_tensor(model_b[name]))
    return made
