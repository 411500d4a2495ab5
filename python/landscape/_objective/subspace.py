"""L on an affine subspace: theta = origin + sum_j c_j basis_j, by its coordinates alone.

The vectors stay on the model's device; only coordinates and values are exchanged with the driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from landscape._objective.engine import Backends
from landscape._objective.losses.reductions import SubsetStandardError
from landscape._objective.points import AffinePoints
from landscape._objective.strategy import Strategy
from landscape._objective.weight_decay import WeightDecay

__all__ = ["Subspace"]


@dataclass(frozen=True)
class Subspace:
    r"""The restriction of L to an affine subspace of dimension m.

    Memory: the origin and the m basis vectors (borrowed from the caller's arrays on a CPU, which
    must not change while the subspace is in use), and one working point while points are
    evaluated: m + 2 vectors of length d. Under vmap there are as many working points as are
    evaluated at once.
    """

    backends: Backends
    origin: torch.Tensor
    basis: tuple[torch.Tensor, ...]
    strategy: Strategy
    weights: tuple[float, ...]
    """The denominators of the loss and of each metric."""
    weight_decay: WeightDecay
    standard_error: SubsetStandardError | None
    """The estimator of the standard error; None unless the samples are a random subset."""

    @property
    def dim(self) -> int:
        """The number m of coordinates."""
        return len(self.basis)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of :meth:`evaluate`."""
        metrics = tuple(metric.name for metric in self.backends.evaluator.reductions.metrics)
        return ("loss", *metrics, *(("standard_error",) if self.standard_error else ()))

    def evaluate(self, coordinates: ArrayLike) -> NDArray[np.float64]:
        """Evaluate the loss, the metrics and the standard error together.

        Args:
            coordinates: Points, shape (k, m).

        Returns:
            One row per point, shape (k, len(columns)).
        """
        points = self._points(coordinates)
        sums = self.backends.sums(points, self.strategy).numpy()
        values = sums[:, : len(self.weights)] / self.weights
        if self.standard_error:
            errors = self.standard_error.estimate(values[:, 0], sums[:, -2:], self.weights[0])
            values = np.column_stack([values, errors])
        values[:, 0] += self.weight_decay.penalties(points, self.origin)
        return values

    def losses(self, coordinates: ArrayLike) -> NDArray[np.float64]:
        """L at each point, shape (k,)."""
        return self.evaluate(coordinates)[:, 0]

    def metrics(self, coordinates: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """The metrics at each point, by name, shape (k,) each."""
        values = self.evaluate(coordinates)
        return {
            metric.name: values[:, column]
            for column, metric in enumerate(self.backends.evaluator.reductions.metrics, start=1)
        }

    def gradients(self, coordinates: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Losses, shape (k,), and derivatives along the basis, dL/dc_j, shape (k, m)."""
        coords = self._read_coordinates(coordinates)
        losses, gradients = np.empty(len(coords)), np.empty((len(coords), self.dim))
        for row, coord in enumerate(coords):  # one d-sized gradient at a time
            points = self._points(coord[None])
            loss, gradient = self.backends.gradients(points, self.strategy, self.weights[0])
            self.weight_decay.add_derivative(points.stack(0, 1)[0].cpu(), gradient[0])
            losses[row] = float(loss[0]) + self.weight_decay.penalties(points, self.origin)[0]
            gradients[row] = [
                float(gradient[0].double() @ direction.cpu().double()) for direction in self.basis
            ]
        return losses, gradients

    def sample_losses(self, coordinates: ArrayLike) -> NDArray[np.float64]:
        """Every sample's loss at each point, shape (k, n), in the order of the data."""
        points = self._points(coordinates)
        return self.backends.sample_losses(points, self.strategy, self.weights[0]).numpy()

    def penalties(self, coordinates: ArrayLike) -> NDArray[np.float64]:
        """The weight decay at each point, which is part of no sample's loss, shape (k,)."""
        return self.weight_decay.penalties(self._points(coordinates), self.origin)

    def _points(self, coordinates: ArrayLike) -> AffinePoints:
        return AffinePoints(self.origin, self.basis, self._read_coordinates(coordinates).tolist())

    def _read_coordinates(self, coordinates: ArrayLike) -> NDArray[np.float64]:
        coords = np.array(coordinates, dtype=np.float64)
        if coords.ndim != 2 or coords.shape[1] != self.dim:
            raise ValueError(
                f"got coordinates of shape {coords.shape}, expected (points, {self.dim})"
            )
        return coords


def as_vector(
    value: Sequence[float] | Any, dim: int, dtype: torch.dtype, name: str
) -> torch.Tensor:
    """Read a flat vector, borrowing the caller's memory where dtype and layout allow.

    Raises:
        ValueError: The vector is not one-dimensional, or has another length.
    """
    tensor = value.detach() if isinstance(value, torch.Tensor) else _borrow(np.asarray(value))
    if tuple(tensor.shape) != (dim,):
        raise ValueError(
            f"{name} has shape {tuple(tensor.shape)}, expected ({dim},): one number for each "
            "parameter that varies"
        )
    return tensor.to(dtype).contiguous()


def _borrow(array: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(array if array.flags.writeable else array.copy())
