"""Which sums the core is asked for, and how they become a measurement's columns.

Depends on NumPy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Sums"]


@dataclass(frozen=True)
class Sums:
    """The loss, metrics that count right guesses, and the squares that a standard error needs."""

    metrics: tuple[str, ...] = ()
    """``"accuracy"`` or ``"error"``."""
    weights: tuple[float, ...] = ()
    """How many guesses each metric counts in all."""
    spread: bool = False

    @property
    def letters(self) -> str:
        """What the core is asked for: l (loss), h (hits), q (squares), x (cross products)."""
        return "l" + "h" * len(self.metrics) + "qx" * self.spread

    def arranged(self, found: NDArray[np.float64]) -> NDArray[np.float64]:
        """The measurement's columns: an error counts what is not right."""
        columns: Sequence[str] = self.metrics
        for column, (metric, weight) in enumerate(zip(columns, self.weights, strict=True), start=1):
            if metric == "error":
                found[:, column] = weight - found[:, column]
        return found
