"""What a search works on: L and its derivatives, all evaluated in one way.

Depends on the Objective.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import CurvatureOperator, Engine, Objective, Strategy

__all__ = ["Losses", "Start"]


@dataclass(frozen=True)
class Losses:
    """L as the core asks for it."""

    objective: Objective
    strategy: Strategy

    def losses(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """L at each point, shape (k, d) to (k,)."""
        return self.objective.losses(points, strategy=self.strategy)

    def gradients(self, points: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """L and its gradient at each point, shapes (k,) and (k, d)."""
        return self.objective.gradients(points, strategy=self.strategy)

    def curvature_at(self, theta: NDArray[Any]) -> CurvatureOperator:
        """Products with the Hessian at a point."""
        return self.objective.curvature_at(theta, strategy=self.strategy)


@dataclass(frozen=True)
class Start:
    """A function, and the points where searches in it begin."""

    named: ClassVar[str] = "start"
    """What the points are in a refusal to go on from a file."""

    objective: Objective
    points: NDArray[Any]
    """Shape (starts, d)."""

    @property
    def engine(self) -> Engine:
        """Who evaluates, measured at the first need and then kept."""
        return self.objective.derivative_engine

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What a search depends on besides its options, as plain data."""
        return {
            "policy": self.objective.policy,
            self.named: f"crc32 {zlib.crc32(np.ascontiguousarray(self.points).tobytes()):08x}",
        }

    def operator(self, strategy: Strategy) -> Losses:
        """What the core calls back."""
        return Losses(self.objective, strategy)
