"""The native network as a supplier: sums, gradients and products from the core.

Depends on the core and on how points are given. It answers what the evaluator would have answered,
in the same columns, and never touches the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape import _core
from landscape._export import Unsupported
from landscape._objective.points import Plane, Points
from landscape._objective.torch_backend.batch_norm import BatchNormPolicy

__all__ = ["NativeNetwork", "Sums"]

_POINTS_AT_ONCE = 256
_STATISTICS: dict[str, Literal["stored", "recalibrated", "batch"]] = {
    "frozen": "stored",
    "recalibrated": "recalibrated",
    "batch": "batch",
}


@dataclass(frozen=True, eq=False)
class NativeNetwork:
    """A network with its data in the core, under one batch-norm policy."""

    network: _core.Network
    source: _core.Network
    """The network with the data that batch statistics are re-estimated on."""
    normalises: bool = False
    """Whether it has batch norm at all."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """The batch-norm policies that it cannot follow, and why."""
    planes: dict[Any, Any] = field(default_factory=dict)
    """The last plane that was asked for, with what it was made from."""

    def check(self, policy: BatchNormPolicy) -> None:
        """Refuse a policy that this network cannot follow.

        Raises:
            Unsupported: The policy is one of those.
        """
        if policy in self.refused:
            raise Unsupported("batch norm", self.refused[policy])

    def sums(self, points: Points, wanted: Sums, policy: BatchNormPolicy) -> Tensor:
        """The sums of a measurement, float64, shape (points, columns)."""
        letters, statistics = wanted.letters, self._statistics(policy)
        if not len(points):
            return torch.empty(0, len(letters), dtype=torch.float64)
        if isinstance(points, Plane):
            found = self._plane(points).sums(
                _coordinates(points), columns=letters, statistics=statistics, source=self.source
            )
        else:
            found = np.concatenate(
                [
                    self.network.sums(
                        rows, columns=letters, statistics=statistics, source=self.source
                    )
                    for rows in _stretches(points)
                ]
            )
        return torch.from_numpy(wanted.arranged(found))

    def sample_losses(self, points: Points, policy: BatchNormPolicy) -> Tensor:
        """Every sample's loss, float64, shape (points, samples), in the order of the data."""
        statistics = self._statistics(policy)
        if not len(points):
            return torch.empty(0, self.network.samples, dtype=torch.float64)
        if isinstance(points, Plane):
            found = self._plane(points).sample_losses(
                _coordinates(points), statistics=statistics, source=self.source
            )
        else:
            found = np.concatenate(
                [
                    self.network.sample_losses(rows, statistics=statistics, source=self.source)
                    for rows in _stretches(points)
                ]
            )
        return torch.from_numpy(found)

    def gradients(
        self,
        points: Points,
        weights: NDArray[np.float64],
        policy: BatchNormPolicy,
        batches: NDArray[np.int64] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Losses, shape (k,), and gradients, shape (k, d), of sums divided by weights."""
        counted = weights > 0
        losses, slopes = self.network.gradients(
            _rows(points, 0, len(points)),
            scale=np.divide(1, weights, out=np.zeros_like(weights), where=counted),
            statistics=self._statistics(policy),
            batches=batches,
        )
        losses[~counted] = np.nan  # a mean over nothing, whose gradient is 0
        return torch.from_numpy(losses), torch.from_numpy(slopes)

    def curvature(
        self, point: NDArray[Any], kind: str, *, weight: float, policy: BatchNormPolicy, memory: int
    ) -> _core.NetworkCurvature:
        """A curvature of the sum divided by the weight, as an operator."""
        return self.network.curvature(
            point,
            kind=kind,
            scale=1 / weight,
            statistics=self._statistics(policy),
            memory=memory,
        )

    def _statistics(self, policy: BatchNormPolicy) -> Literal["stored", "recalibrated", "batch"]:
        return _STATISTICS[policy] if self.normalises else "stored"

    def _plane(self, points: Plane) -> _core.NetworkPlane:
        """The plane of these vectors: made once, for a run asks for it again and again."""
        key = tuple(map(_mark, (points.origin, *points.basis)))
        if key not in self.planes:
            self.planes.clear()
            plane = self.network.plane(
                points.origin.numpy(), [vector.numpy() for vector in points.basis]
            )
            # the vectors are kept too, so that no others can take their place in memory
            self.planes[key] = (plane, points.origin, points.basis)
        found: _core.NetworkPlane = self.planes[key][0]
        return found


def _mark(vector: Tensor) -> tuple[int, int]:
    """What tells a vector, as it is now, from others that are alive."""
    return id(vector), 0 if vector.is_inference() else vector._version


def _coordinates(points: Plane) -> NDArray[np.float64]:
    return np.asarray(points.coordinates, np.float64).reshape(len(points), len(points.basis))


def _stretches(points: Points) -> list[NDArray[Any]]:
    """Points as rows, a few at a time."""
    count = len(points)
    starts = range(0, count, _POINTS_AT_ONCE)
    return [_rows(points, start, min(start + _POINTS_AT_ONCE, count)) for start in starts]


def _rows(points: Points, start: int, stop: int) -> NDArray[Any]:
    rows: NDArray[Any] = points.stacked(start, stop).contiguous().numpy()
    return rows


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
        """The reductions' columns: an error counts what is not right."""
        columns: Sequence[str] = self.metrics
        for column, (metric, weight) in enumerate(zip(columns, self.weights, strict=True), start=1):
            if metric == "error":
                found[:, column] = weight - found[:, column]
        return found
