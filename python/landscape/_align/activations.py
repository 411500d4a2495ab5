"""Activations of hidden units over the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from landscape._objective import Objective

__all__ = ["UNIT_LAYERS", "record_unit_activations"]

UNIT_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Modules whose output channels are units."""

_MAX_NUMBERS = 1 << 22  # of a module's activations that are kept


def record_unit_activations(objective: Objective) -> dict[str, NDArray[np.float64]]:
    """The activations of every linear layer and convolution, shape (channels, observations).

    Args:
        objective: The model and the data; batch norm uses its running statistics.
    """
    frozen = objective.with_batch_norm("frozen")
    names = [name for name, m in frozen.model.named_modules() if isinstance(m, UNIT_LAYERS)]
    return {name: _subsample(values) for name, values in frozen.record_activations(names).items()}


def _subsample(values: NDArray[np.float64]) -> NDArray[np.float64]:
    step = max(1, values.size // _MAX_NUMBERS)
    return values[:, ::step]
