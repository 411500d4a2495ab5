"""The expected rise under noise that comes in pairs of both signs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape._sharpness.definition import Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import Objective
    from landscape._sharpness.context import Context

__all__ = ["measure_weight_noise", "summarise_pairs"]


def measure_weight_noise(
    context: Context, name: str, draws: int, scale: NDArray[Any] | float, function: Objective
) -> Outcome:
    """The mean rise of a function under Gaussian noise in the weights.

    Args:
        context: Where it is evaluated.
        name: The measure, whose random numbers are used.
        draws: The number of pairs.
        scale: Standard deviation of the noise, shape (d,), or one for all parameters.
        function: L, or another function of the same parameters.
    """
    offsets = (
        sign * scale * noise
        for noise in context.iter_gaussians(name, draws)
        for sign in (1.0, -1.0)
    )
    losses = context.losses_around(offsets, function=function)
    return summarise_pairs(losses.reshape(-1, 2).mean(1) - context.loss_of(function))


def summarise_pairs(pairs: NDArray[np.float64]) -> Outcome:
    """The mean over pairs, with the standard error of that mean.

    Args:
        pairs: The mean rise of each pair, shape (draws,).
    """
    draws = len(pairs)
    if not np.isfinite(pairs).all():
        lost = int((~np.isfinite(pairs)).sum())
        return Outcome(None, status=f"{lost} of {draws} pairs have no finite loss")
    error = float(pairs.std(ddof=1) / np.sqrt(draws))
    return Outcome(float(pairs.mean()), error, freedom=draws - 1, curves={"pairs": pairs})
