"""Checkpoints of a trajectory: their distances from the plane and their own losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core
from landscape._directions import PrincipalComponents, read_weights
from landscape._progress import reporter

if TYPE_CHECKING:
    from landscape._directions import PlaneContext
    from landscape._progress import Choice
    from landscape._results import Surface

__all__ = ["compare_trajectory"]

_MOVED = 1e-4  # of the path's extent: more than rounding in float32


def compare_trajectory(
    context: PlaneContext, checkpoints: PrincipalComponents, surface: Surface, progress: Choice
) -> dict[str, Any]:
    """Project the checkpoints anew, and evaluate the loss at them.

    Returns:
        Fields of the result.

    Raises:
        ValueError: A checkpoint is not where it was when the surface was computed.
    """
    objective, axes = context.objective, context.axes
    count = len(checkpoints.models)
    basis, gram = list(axes.basis), _core.gram(list(axes.basis))
    points, losses = np.empty((count, 2)), np.empty(count)
    distances, outside = np.empty(count), np.empty(count)
    with reporter(progress, count, "trust: checkpoints", start=0) as bar:
        for index, (name, source) in enumerate(checkpoints.models.items()):
            theta = read_weights(source, objective.layout, axes.origin.dtype, name)
            step = theta - axes.origin
            along = np.array([_core.dot(vector, step) for vector in basis])
            points[index] = np.linalg.solve(gram, along)
            rest = _core.combine([step, *basis], np.array([1.0, *-points[index]]))
            distances[index], outside[index] = _core.norm(step), _core.norm(rest)
            losses[index] = objective.losses(theta[None], strategy=objective.strategy)[0]
            bar.update(index + 1)
    recorded = surface.recipe.trajectory
    if recorded is not None and np.abs(points - recorded).max() > _MOVED * np.ptp(recorded):
        raise ValueError("the checkpoints have changed since the surface was computed")
    return {
        "checkpoint_losses": losses,
        "plane_losses": surface(*points.T),
        "distances": distances,
        "outside": outside,
    }
