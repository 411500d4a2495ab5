"""Problems and options of the saved records in `fixtures/solver_records.json`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["OPTIONS", "STARTS", "DoubleWell", "matrix", "stop_after"]

Array = NDArray[Any]
DIM = 3
STARTS = (np.array([-1.0, 0.1, 0.2]), np.array([1.0, -0.1, 0.3]))
CYCLES = [(4, 0.05), (4, 0.01)]
OPTIONS: dict[str, dict[str, Any]] = {
    "AutoNeb": {
        "cycles": CYCLES,
        "rule": "adam",
        "spring": None,
        "climb": 1,
        "tolerance": 0.0,
        "pivots": 3,
        "max_pivots": 6,
        "insertion": 0.01,
        "between": 3,
        "seed": 1,
    },
    "CurveTraining": {
        "kind": "polychain",
        "cycles": CYCLES,
        "rule": 0.9,
        "bends": 2,
        "draws": 3,
        "between": 5,
        "seed": 1,
    },
    "SimplexTraining": {
        "connectors": 2,
        "cycles": CYCLES,
        "rule": "adam",
        "samples": 2,
        "volume": 0.01,
        "spread": 0.2,
        "seed": 1,
    },
    "CriticalPointSearch": {
        "tolerance": 1e-10,
        "max_steps": 6,
        "krylov": 3,
        "negative": 1e-3,
        "seed": 1,
    },
    "Walker": {
        "distance": 2.0,
        "tolerance": 0.5,
        "flat": 0.6,
        "stride": 0.3,
        "max_steps": 5,
        "krylov": 3,
        "seed": 1,
    },
    "Lanczos": {
        "count": 2,
        "which": "both",
        "tolerance": 1e-9,
        "basis": 8,
        "max_products": 60,
        "seed": 1,
    },
    "Trace": {
        "powers": 2,
        "target": 0,
        "logarithm": None,
        "relative": 0.2,
        "absolute": 0.0,
        "max_products": 400,
        "level": 0.95,
        "rows": 8,
        "block": 4,
        "seed": 1,
    },
}


class DoubleWell:
    """L = (x0^2 - 1)^2 + sum of c_i x_i^2 / 2, with two mini-batches of other curvatures c.

    Every operation is one of IEEE arithmetic, so that its bits are the same everywhere.
    """

    batches = 2
    curvatures = np.array([[0.0, 1.0, 3.0], [0.0, 2.0, 5.0]])

    def losses(self, points: Array) -> Array:
        return self.gradients(points)[0]

    def gradients(self, points: Array) -> tuple[Array, Array]:
        return self._derive(points, (self.curvatures[0] + self.curvatures[1]) / 2)

    def gradients_on(self, points: Array, batches: Sequence[int]) -> tuple[Array, Array]:
        return self._derive(points, self.curvatures[list(batches)])

    def _derive(self, points: Array, curvatures: Array) -> tuple[Array, Array]:
        gradients = points * curvatures
        well = points[:, 0] * points[:, 0] - 1.0
        gradients[:, 0] = 4.0 * points[:, 0] * well
        rest = points * points * curvatures
        losses = well * well + (rest[:, 1] + rest[:, 2]) / 2.0
        return losses, gradients

    def curvature_at(self, theta: Array) -> Callable[[Array], Array]:
        diagonal = (self.curvatures[0] + self.curvatures[1]) / 2
        diagonal = np.array([12.0 * theta[0] * theta[0] - 4.0, diagonal[1], diagonal[2]])
        return lambda vectors: vectors * diagonal


def matrix(vectors: Array) -> Array:
    """Products with a diagonal matrix of 40 rows and a few large entries."""
    diagonal = np.linspace(0.5, 1.5, 40)
    diagonal[:4] = [30.0, 20.0, -10.0, 5.0]
    products: Array = vectors * diagonal
    return products


def stop_after(ticks: int) -> Callable[..., bool]:
    """A tick that stops a run after so many calls."""
    left = iter(range(ticks, 0, -1))
    return lambda *_: next(left) > 1
