"""A raw random subset of the samples, as a peer of a calibrated one of the same size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    import landscape

__all__ = ["evaluate_raw_subset"]


def evaluate_raw_subset(
    objective: landscape.Objective,
    basis: Sequence[ArrayLike],
    coordinates: ArrayLike,
    count: int,
    seed: int,
) -> NDArray[np.float64]:
    """Estimate the loss by the mean over so many samples, drawn without replacement.

    Args:
        objective: The function of all samples.
        basis: The directions from the model's own parameters, shape (d,) each.
        coordinates: Points, shape (k, dim).
        count: The number of samples.
        seed: Of their choice.

    Returns:
        Losses, shape (k,).
    """
    rows = np.random.default_rng(seed).choice(objective.samples, count, replace=False)
    subset: Any = objective.with_samples(np.sort(rows)).subspace(None, basis)
    losses: NDArray[np.float64] = subset.losses(coordinates)
    return losses
