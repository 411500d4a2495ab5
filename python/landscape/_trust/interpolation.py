"""Bicubic interpolation on a grid, and its error from held-out points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._results import Surface

__all__ = ["FEWEST_POINTS", "compute_held_out_error", "interpolate"]

FEWEST_POINTS = 7
"""Along an axis, for held-out points: the coarse half must have four, a cubic's nodes."""

_ORDER = 4
_QUANTILE = 95.0


def interpolate(
    alpha: NDArray[np.float64],
    beta: NDArray[np.float64],
    values: NDArray[np.float64],
    points: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Piecewise bicubic interpolation at points, by Lagrange's polynomials on the four next nodes.

    Local, so that a value that is not finite reaches its own neighbourhood alone; exact for
    bicubic polynomials.

    Args:
        alpha: (na,) nodes.
        beta: (nb,) nodes.
        values: (nb, na).
        points: (k, 2) coordinates.

    Returns:
        Shape (k,); NaN outside the grid.
    """
    columns, across = _stencil(alpha, points[:, 0])
    rows, along = _stencil(beta, points[:, 1])
    patches = values[rows[:, :, None], columns[:, None, :]]
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float64] = np.einsum("ki,kij,kj->k", along, patches, across)
    return found


def compute_held_out_error(surface: Surface) -> tuple[tuple[float, float], str]:
    """The error with which every second point predicts the points between.

    Losses that are all positive are interpolated by their logarithms, and errors are relative to
    the loss; otherwise they are relative to the range. The points are twice as far apart as those
    of the surface: where the loss is smooth, the surface's own error is a sixteenth.

    Returns:
        95th percentile and maximum of the error, and what it is relative to.

    Raises:
        ValueError: There are too few points, or too few of them are finite.
    """
    alpha, beta, losses = surface.alpha, surface.beta, surface.losses
    if min(losses.shape) < FEWEST_POINTS:
        raise ValueError(
            f"{losses.shape[1]} x {losses.shape[0]} points are too few for held-out ones, "
            f"expected {FEWEST_POINTS} along each axis"
        )
    low, high = surface.range
    is_positive = low > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.log(losses) if is_positive else losses
    inside = losses[: (len(beta) - 1) // 2 * 2 + 1, : (len(alpha) - 1) // 2 * 2 + 1]
    held_out = np.ones(inside.shape, bool)
    held_out[::2, ::2] = False
    rows, columns = np.nonzero(held_out)
    points = np.column_stack([alpha[columns], beta[rows]])
    found = interpolate(alpha[::2], beta[::2], values[::2, ::2], points)
    truth = inside[held_out]
    with np.errstate(invalid="ignore", over="ignore"):
        errors = np.abs(np.exp(found) / truth - 1 if is_positive else (found - truth))
    if not is_positive:
        errors /= (high - low) or 1.0
    errors = errors[np.isfinite(errors)]
    if not errors.size:
        raise ValueError("no held-out point has finite losses around it")
    pair = float(np.percentile(errors, _QUANTILE)), float(errors.max())
    return pair, "loss" if is_positive else "range"


def _stencil(
    nodes: NDArray[np.float64], points: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The indices of the nodes around each point and their weights, shape (k, 4) each."""
    width = min(_ORDER, len(nodes))
    first = np.searchsorted(nodes, points, side="right") - width // 2
    indices = np.clip(first, 0, len(nodes) - width)[:, None] + np.arange(width)
    x = nodes[indices]
    weights = np.ones_like(x)
    for j in range(width):
        for m in range(width):
            if m != j:
                weights[:, j] *= (points - x[:, m]) / (x[:, j] - x[:, m])
    weights[(points < nodes[0]) | (points > nodes[-1])] = np.nan
    return indices, weights
