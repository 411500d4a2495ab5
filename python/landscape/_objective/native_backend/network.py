"""The native network: sums, gradients and curvature products computed by the core.

It does not use the user's module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape import _core
from landscape._export import Unsupported
from landscape._objective.points import AffinePoints, Points
from landscape._objective.torch_backend.batch_norm import BatchNormPolicy

__all__ = ["NativeNetwork", "NativeReductions"]

_POINTS_AT_ONCE = 256
_STATISTICS: dict[str, Literal["stored", "recalibrated", "batch"]] = {
    "frozen": "stored",
    "recalibrated": "recalibrated",
    "batch": "batch",
}


@dataclass(frozen=True)
class NativeReductions:
    """The sums requested from the core: the loss, classification metrics, and squares."""

    metrics: tuple[str, ...] = ()
    """``"accuracy"`` or ``"error"``."""
    weights: tuple[float, ...] = ()
    """The number of predictions that each metric counts in all."""
    squares: bool = False
    """Whether to sum the squares that a standard error needs."""

    @property
    def columns(self) -> list[str]:
        """The core's names of the sums, in the order of the columns."""
        squares = ["squared_loss", "weighted_loss"] if self.squares else []
        return ["loss", *["hits"] * len(self.metrics), *squares]

    def to_columns(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert the core's sums to the evaluator's columns, in place: hits to errors."""
        for column, (metric, weight) in enumerate(
            zip(self.metrics, self.weights, strict=True), start=1
        ):
            if metric == "error":
                sums[:, column] = weight - sums[:, column]
        return sums


@dataclass(frozen=True, eq=False)
class NativeNetwork:
    """A network with its data in the core."""

    network: _core.Network
    source: _core.Network
    """The network with the data on which batch statistics are re-estimated."""
    normalises: bool = False
    """Whether it has batch norm at all."""
    unsupported_policies: Mapping[str, str] = field(default_factory=dict)
    """The batch-norm policies that it cannot follow, and why."""
    slowness: float = 1.0
    """How many times PyTorch's seconds it is predicted to take."""
    subspaces: dict[Any, Any] = field(default_factory=dict)
    """The last affine subspace that was evaluated, with the vectors that span it."""

    def check(self, policy: BatchNormPolicy) -> None:
        """Refuse a policy that this network cannot follow.

        Raises:
            Unsupported: The policy is one of those.
        """
        if policy in self.unsupported_policies:
            raise Unsupported("batch norm", self.unsupported_policies[policy])

    def sums(self, points: Points, reductions: NativeReductions, policy: BatchNormPolicy) -> Tensor:
        """The sums, float64, shape (points, columns)."""
        columns, statistics = reductions.columns, self._statistics(policy)
        if not len(points):
            return torch.empty(0, len(columns), dtype=torch.float64)
        if isinstance(points, AffinePoints):
            sums = self._affine_subspace(points).sums(
                _coordinates(points), columns=columns, statistics=statistics, source=self.source
            )
        else:
            sums = np.concatenate(
                [
                    self.network.sums(
                        rows, columns=columns, statistics=statistics, source=self.source
                    )
                    for rows in _chunk_rows(points)
                ]
            )
        return torch.from_numpy(reductions.to_columns(sums))

    def sample_losses(self, points: Points, policy: BatchNormPolicy) -> Tensor:
        """Every sample's loss, float64, shape (points, samples), in the order of the data."""
        statistics = self._statistics(policy)
        if not len(points):
            return torch.empty(0, self.network.samples, dtype=torch.float64)
        if isinstance(points, AffinePoints):
            losses = self._affine_subspace(points).sample_losses(
                _coordinates(points), statistics=statistics, source=self.source
            )
        else:
            losses = np.concatenate(
                [
                    self.network.sample_losses(rows, statistics=statistics, source=self.source)
                    for rows in _chunk_rows(points)
                ]
            )
        return torch.from_numpy(losses)

    def gradients(
        self,
        points: Points,
        weights: NDArray[np.float64],
        policy: BatchNormPolicy,
        batches: NDArray[np.int64] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Losses, shape (k,), and gradients, shape (k, d), of sums divided by weights."""
        has_weight = weights > 0
        losses, gradients = self.network.gradients(
            _rows(points, 0, len(points)),
            scale=np.divide(1, weights, out=np.zeros_like(weights), where=has_weight),
            statistics=self._statistics(policy),
            batches=batches,
        )
        losses[~has_weight] = np.nan  # a mean over nothing, whose gradient is 0
        return torch.from_numpy(losses), torch.from_numpy(gradients)

    def objective(
        self,
        weight: float,
        batch_weights: NDArray[np.float64],
        policy: BatchNormPolicy,
        memory: int,
    ) -> _core.NetworkObjective:
        """The sums divided by weights, for solvers that evaluate them without Python."""
        statistics = self._statistics(policy)
        if statistics == "recalibrated":
            raise ValueError(
                "got recalibrated statistics, expected constants of the batch or stored"
            )
        return _core.NetworkObjective(
            self.network,
            weight=weight,
            batch_weights=batch_weights,
            statistics=statistics,
            memory=memory,
        )

    def curvature(
        self, point: NDArray[Any], kind: str, *, weight: float, policy: BatchNormPolicy, memory: int
    ) -> _core.NetworkCurvature:
        """A curvature matrix of the sum divided by the weight, as an operator."""
        return self.network.curvature(
            point,
            kind=kind,
            scale=1 / weight,
            statistics=self._statistics(policy),
            memory=memory,
        )

    def _statistics(self, policy: BatchNormPolicy) -> Literal["stored", "recalibrated", "batch"]:
        return _STATISTICS[policy] if self.normalises else "stored"

    def _affine_subspace(self, points: AffinePoints) -> _core.NetworkSubspace:
        """The affine subspace of these vectors, built once: a run evaluates it many times."""
        key = tuple(map(_fingerprint, (points.origin, *points.basis)))
        entry = self.subspaces.get(key)  # one look: another thread may clear it
        if entry is None:
            subspace = self.network.subspace(
                points.origin.numpy(), [vector.numpy() for vector in points.basis]
            )
            # the vectors are kept too, so that their ids are not used again
            entry = subspace, points.origin, points.basis
            self.subspaces.clear()
            self.subspaces[key] = entry
        cached: _core.NetworkSubspace = entry[0]
        return cached


def _fingerprint(vector: Tensor) -> tuple[int, int]:
    """Identifies a vector and its present values among the vectors that are alive."""
    return id(vector), 0 if vector.is_inference() else vector._version


def _coordinates(points: AffinePoints) -> NDArray[np.float64]:
    return np.asarray(points.coordinates, np.float64).reshape(len(points), len(points.basis))


def _chunk_rows(points: Points) -> list[NDArray[Any]]:
    """Points as rows, a few at a time."""
    count = len(points)
    starts = range(0, count, _POINTS_AT_ONCE)
    return [_rows(points, start, min(start + _POINTS_AT_ONCE, count)) for start in starts]


def _rows(points: Points, start: int, stop: int) -> NDArray[Any]:
    rows: NDArray[Any] = points.stack(start, stop).contiguous().numpy()
    return rows
