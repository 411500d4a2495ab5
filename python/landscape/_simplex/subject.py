"""What a search for a complex works on: minima in one function that comes in batches.

Depends on the Objective and on what lends weights.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from landscape._directions import flat_weights
from landscape._objective import Objective
from landscape._path.subject import Losses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import Engine, Strategy

__all__ = ["Minima", "minima", "parted"]


def parted(models: Any) -> tuple[Any, list[Any]]:
    """The model that evaluates, and those that only lend their weights.

    Raises:
        TypeError: They are no models, or the first is none that can be run.
        ValueError: There is none.
    """
    if isinstance(models, (nn.Module, Objective)):
        models = [models]
    single = isinstance(models, (str, os.PathLike, Mapping, np.ndarray, torch.Tensor))
    if single or not isinstance(models, Sequence):
        raise TypeError(
            f"models is a {type(models).__name__}; pass a list of models, the first a module or "
            "an Objective"
        )
    if not models:
        raise ValueError("models is empty, expected one or more")
    first, *others = models
    if not isinstance(first, (nn.Module, Objective)):
        raise TypeError(
            f"models[0] is a {type(first).__name__}; pass a module or an Objective first: it "
            "evaluates, and the others lend their weights"
        )
    return first, others


def minima(objective: Objective, others: Sequence[Any]) -> NDArray[Any]:
    """The flat vectors of all models, shape (models, d).

    Raises:
        TypeError: One is no source of weights.
        ValueError: A layout differs, a number is not finite, or two models are equal.
    """
    rows = [objective.theta]
    for index, other in enumerate(others, start=1):
        theta = flat_weights(other, objective.layout, objective.dtype, f"models[{index}]")
        for before, row in enumerate(rows):
            if np.array_equal(row, theta):
                raise ValueError(
                    f"models[{index}] has the same weights as models[{before}], so there is "
                    "nothing between them; pass different models"
                )
        rows.append(theta)
    return np.stack(rows)


@dataclass(frozen=True)
class Minima:
    """A function, and points in it."""

    objective: Objective
    """As it is descended."""
    points: NDArray[Any]
    """Shape (minima, d)."""

    @property
    def engine(self) -> Engine:
        """Who evaluates, measured at the first need and then kept."""
        return self.objective.derivatives

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What a search depends on besides its options, as plain data."""
        return {
            "policy": self.objective.policy,
            "batches": self.objective.batches,
            "minima": f"crc32 {zlib.crc32(np.ascontiguousarray(self.points).tobytes()):08x}",
        }

    def operator(self, strategy: Strategy) -> Losses:
        """What the core calls back."""
        return Losses(self.objective, strategy)
