"""The error between the points of a full grid, from held-out points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landscape._results.interpolation import make_interpolant

if TYPE_CHECKING:
    from landscape._results import Surface

__all__ = ["compute_held_out_error"]

_FEWEST_POINTS = 7
"""Along an axis: the coarse half must have four, a cubic's nodes."""

_QUANTILE = 95.0


def compute_held_out_error(surface: Surface) -> tuple[tuple[float, float], str]:
    """The error with which every second point predicts the points between.

    By the interpolant that the surface has between its own points. These are half as far apart as
    those that predict here: where the loss is smooth, the surface's own error is a sixteenth.

    Returns:
        95th percentile and maximum of the error, and what it is relative to: the loss where all are
        positive, otherwise the range.

    Raises:
        ValueError: There are too few points, or too few of them are finite.
    """
    alpha, beta, losses = surface.alpha, surface.beta, surface.losses
    if min(losses.shape) < _FEWEST_POINTS:
        raise ValueError(
            f"{losses.shape[1]} x {losses.shape[0]} points are too few for held-out ones, "
            f"expected {_FEWEST_POINTS} along each axis"
        )
    inside = losses[: (len(beta) - 1) // 2 * 2 + 1, : (len(alpha) - 1) // 2 * 2 + 1]
    held_out = np.ones(inside.shape, bool)
    held_out[::2, ::2] = False
    rows, columns = np.nonzero(held_out)
    coarse = make_interpolant([alpha[::2], beta[::2]], losses[::2, ::2], None)
    found = coarse.at(np.column_stack([alpha[columns], beta[rows]]))
    truth, (low, high) = inside[held_out], surface.range
    with np.errstate(invalid="ignore"):
        errors = np.abs(found - truth) / (truth if low > 0 else (high - low) or 1.0)
    errors = errors[np.isfinite(errors)]
    if not errors.size:
        raise ValueError("no held-out point has finite losses around it")
    pair = float(np.percentile(errors, _QUANTILE)), float(errors.max())
    return pair, "loss" if low > 0 else "range"
