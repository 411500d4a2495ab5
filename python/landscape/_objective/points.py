"""Parameter vectors to evaluate, and the buffer through which the model reads one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from landscape._parameters import ParameterLayout

__all__ = ["AffinePoints", "PointBuffer", "Points", "Rows"]


class Points(Protocol):
    """Vectors theta_i in R^d, computed on demand on the model's device."""

    def __len__(self) -> int:
        """The number of points."""

    def write(self, index: int, out: Tensor) -> None:
        """Write one point into a flat vector, shape (d,)."""

    def stack(self, start: int, stop: int) -> Tensor:
        """Stack several points, shape (stop - start, d)."""


@dataclass(frozen=True)
class Rows:
    """Points as rows, shape (k, d)."""

    rows: Tensor

    def __len__(self) -> int:
        """The number of points."""
        return len(self.rows)

    def write(self, index: int, out: Tensor) -> None:
        """Write one point into a flat vector."""
        out.copy_(self.rows[index])

    def stack(self, start: int, stop: int) -> Tensor:
        """Stack several points."""
        return self.rows[start:stop].clone()


@dataclass(frozen=True)
class AffinePoints:
    """Points theta = origin + sum_j c_ij basis_j, by their coordinates c, shape (k, m)."""

    origin: Tensor
    basis: Sequence[Tensor]
    coordinates: Sequence[Sequence[float]]

    def __len__(self) -> int:
        """The number of points."""
        return len(self.coordinates)

    def write(self, index: int, out: Tensor) -> None:
        """Write one point into a flat vector, without any other vector of that size."""
        steps = self.coordinates[index]
        torch.add(self.origin, self.basis[0], alpha=steps[0], out=out)
        for step, direction in zip(steps[1:], self.basis[1:], strict=True):
            out.add_(direction, alpha=step)

    def stack(self, start: int, stop: int) -> Tensor:
        """Stack several points, by rank-one updates of the repeated origin."""
        rows = self.origin.repeat(stop - start, 1)
        steps = self.origin.new_tensor(self.coordinates[start:stop])
        for j, direction in enumerate(self.basis):
            rows.addr_(steps[:, j], direction)
        return rows


class PointBuffer:
    """One parameter vector theta, and the tensors by which the model reads it.

    The tensors are views of the flat vector wherever the model computes in its dtype, so that
    writing a point costs one pass over d numbers and no allocation.
    """

    def __init__(
        self,
        layout: ParameterLayout,
        dtypes: Sequence[torch.dtype],
        *,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.flat = torch.empty(layout.size, dtype=dtype, device=device)
        pieces = [self.flat[entry.span].view(entry.shape) for entry in layout.entries]
        self.tensors = [
            piece if piece.dtype == model_dtype else torch.empty_like(piece, dtype=model_dtype)
            for piece, model_dtype in zip(pieces, dtypes, strict=True)
        ]
        self._casts = [
            (tensor, piece)
            for tensor, piece in zip(self.tensors, pieces, strict=True)
            if tensor is not piece
        ]

    def fill(self, points: Points, index: int) -> None:
        """Write one of the points into the buffer, cast for tensors of other dtypes."""
        points.write(index, self.flat)
        for tensor, piece in self._casts:
            tensor.copy_(piece)

    def leaves(self) -> list[Tensor]:
        """The tensors as leaves of a new graph."""
        return [tensor.detach().requires_grad_() for tensor in self.tensors]
