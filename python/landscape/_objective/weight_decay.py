"""The penalty (lambda / 2) |theta|^2 and its derivatives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape._objective.points import Points

__all__ = ["WeightDecay"]


@dataclass(frozen=True)
class WeightDecay:
    """Weight decay over the varied parameters; a weight of 0 adds nothing and costs nothing."""

    weight: float

    def penalties(self, points: Points, like: Tensor) -> NDArray[np.float64]:
        """(lambda / 2) |theta|^2 of each point, shape (k,), in the dtype of ``like``, (..., d)."""
        penalties = np.zeros(len(points))
        if self.weight:
            buffer = like.new_empty(like.shape[-1])
            for index in range(len(points)):
                points.write(index, buffer)
                norm = float(torch.linalg.vector_norm(buffer, dtype=torch.float64))
                penalties[index] = self.weight / 2 * norm**2
        return penalties

    def add_derivative(self, vector: Tensor, out: Tensor) -> None:
        """Add lambda times a point to its gradient, or lambda times a vector to its product."""
        if self.weight:
            out.add_(vector, alpha=self.weight)
