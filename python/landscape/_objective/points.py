"""Parameter vectors to evaluate: given rows, or points of a subspace that are made one at a time.

Depends on PyTorch alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Plane", "Points", "Rows"]


class Points(Protocol):
    """Vectors theta_i in R^d, made on demand where the model lives."""

    def __len__(self) -> int:
        """How many there are."""

    def write(self, index: int, out: Tensor) -> None:
        """Write one point into a flat vector, shape (d,)."""

    def stacked(self, start: int, stop: int) -> Tensor:
        """Several points at once, shape (stop - start, d)."""


@dataclass(frozen=True)
class Rows:
    """Points given one by one, shape (k, d)."""

    rows: Tensor

    def __len__(self) -> int:
        """How many there are."""
        return len(self.rows)

    def write(self, index: int, out: Tensor) -> None:
        """Write one point into a flat vector."""
        out.copy_(self.rows[index])

    def stacked(self, start: int, stop: int) -> Tensor:
        """Several points at once."""
        return self.rows[start:stop].clone()


@dataclass(frozen=True)
class Plane:
    """Points theta = origin + sum_j c_ij basis_j, by their coordinates c, shape (k, m)."""

    origin: Tensor
    basis: Sequence[Tensor]
    coordinates: Sequence[Sequence[float]]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.coordinates)

    def write(self, index: int, out: Tensor) -> None:
        """Write one point into a flat vector, without any other vector of that size."""
        steps = self.coordinates[index]
        torch.add(self.origin, self.basis[0], alpha=steps[0], out=out)
        for step, direction in zip(steps[1:], self.basis[1:], strict=True):
            out.add_(direction, alpha=step)

    def stacked(self, start: int, stop: int) -> Tensor:
        """Several points at once, by rank-one updates of the repeated origin."""
        rows = self.origin.repeat(stop - start, 1)
        steps = self.origin.new_tensor(self.coordinates[start:stop])
        for j, direction in enumerate(self.basis):
            rows.addr_(steps[:, j], direction)
        return rows
