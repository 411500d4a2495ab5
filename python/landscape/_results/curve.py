"""Polylines and Bezier curves through parameter space, parametrised by arc length."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import comb
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Curve", "CurveKind"]

CurveKind = Literal["polyline", "bezier"]

_STEPS = 4096  # of the table from a Bezier curve's parameter to its length


@dataclass(frozen=True, eq=False)
class Curve:
    r"""theta(s) = sum_j c_j(s) P_j, with s the share of the arc length: 0 is P_0, 1 the last point.

    A polyline goes straight from each point to the next. A Bezier curve of degree n has the
    Bernstein polynomials of its own parameter t(s) as coefficients.
    """

    points: NDArray[Any]
    """Shape (k, d)."""
    kind: CurveKind

    @cached_property
    def segments(self) -> NDArray[np.float64]:
        """Distances of successive points, shape (k - 1,)."""
        steps = [np.subtract(b, a, dtype=np.float64) for a, b in self._pairs]
        return np.array([np.linalg.norm(step) for step in steps])

    @cached_property
    def length(self) -> float:
        """The arc length."""
        return float(self._table[1][-1])

    @property
    def cosines(self) -> NDArray[np.float64]:
        """Cosines between successive segments, shape (k - 2,)."""
        steps = [np.subtract(b, a, dtype=np.float64) for a, b in self._pairs]
        unit = [step / (np.linalg.norm(step) or 1.0) for step in steps]
        return np.array([a @ b for a, b in pairwise(unit)])

    @property
    def _pairs(self) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        return list(pairwise(self.points))

    def coefficients(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """The coefficients c_j at shares of the arc length, shape (n,) to (n, k)."""
        parameters, lengths = self._table
        parameter = np.interp(np.asarray(positions, np.float64) * lengths[-1], lengths, parameters)
        if self.kind == "bezier":
            return _bernstein(parameter, len(self.points))
        vertices = np.arange(len(self.points))
        hats: NDArray[np.float64] = np.clip(1 - np.abs(parameter[:, None] - vertices), 0.0, None)
        return hats

    def at(self, position: float) -> NDArray[Any]:
        """The point at a share of the arc length, shape (d,), rounded once.

        Raises:
            ValueError: The share is not from 0 to 1.
        """
        if not 0 <= position <= 1:
            raise ValueError(f"position {position}, expected a share of the length from 0 to 1")
        total = np.zeros(self.points.shape[1])
        (weights,) = self.coefficients(np.array([position]))
        for weight, point in zip(weights, self.points, strict=True):
            if weight:
                total += weight * point.astype(np.float64)
        return total.astype(self.points.dtype)

    @cached_property
    def _table(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The curve's own parameter, and the arc length up to it."""
        if self.kind == "polyline":
            lengths = np.concatenate([[0.0], np.cumsum(self.segments)])
            return np.arange(len(self.points), dtype=np.float64), lengths
        steps = np.linspace(0.0, 1.0, 2 * _STEPS + 1)
        order = len(self.points) - 1
        sides = np.stack([np.subtract(b, a, dtype=np.float64) for a, b in self._pairs])
        weights = order * _bernstein(steps, order)
        squares = np.einsum("ni,ij,nj->n", weights, sides @ sides.T, weights)
        speed = np.sqrt(np.clip(squares, 0.0, None))
        # Simpson's rule over pairs of steps
        pieces = (speed[:-2:2] + 4 * speed[1:-1:2] + speed[2::2]) / (6 * _STEPS)
        return steps[::2], np.concatenate([[0.0], np.cumsum(pieces)])


def _bernstein(parameters: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The Bernstein polynomials of degree count - 1, shape (n, count)."""
    order = count - 1
    t = parameters[:, None]
    j = np.arange(count)
    binomials = np.array([comb(order, int(k)) for k in j], np.float64)
    values: NDArray[np.float64] = binomials * t**j * (1 - t) ** (order - j)
    return values
