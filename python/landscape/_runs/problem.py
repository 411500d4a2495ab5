"""Problems: a loss function with fixed points, as solvers evaluate it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from landscape._runs.checkpoint import hash_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape import _core
    from landscape._objective import CurvatureOperator, Engine, Objective, Strategy

__all__ = [
    "BatchedLossFunctions",
    "BatchedProblem",
    "CallbackProblem",
    "LossFunctions",
    "Problem",
]


@dataclass(frozen=True)
class LossFunctions:
    """L, its gradient and its Hessian products, all under one strategy."""

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
class BatchedLossFunctions(LossFunctions):
    """The same, with gradients of single mini-batches."""

    @property
    def batches(self) -> int:
        """The number of mini-batches."""
        return self.objective.batches

    def gradients_on(
        self, points: NDArray[Any], batches: Sequence[int]
    ) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """The mean loss over one mini-batch for each point, and its gradient."""
        return self.objective.gradients_on(points, batches, strategy=self.strategy)


@dataclass(frozen=True)
class Problem:
    """A function, and the points where a solver starts."""

    points_name: ClassVar[str] = "start"
    """The points' key in the fingerprint."""

    objective: Objective
    points: NDArray[Any]
    """Shape (d,) or (points, d)."""

    @property
    def engine(self) -> Engine:
        """The backend, chosen by a measurement at the first use, then cached."""
        return self.objective.derivative_engine

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What a solver's numbers depend on besides its options, as plain data."""
        return {
            "policy": self.objective.policy,
            self.points_name: hash_array(self.points),
        }

    def operator(self, strategy: Strategy) -> LossFunctions | _core.NetworkObjective:
        """The function as a solver evaluates it: the native network, or callbacks."""
        native = self.objective.native_objective(strategy, np.empty(0))
        return LossFunctions(self.objective, strategy) if native is None else native


@dataclass(frozen=True)
class CallbackProblem(Problem):
    """A function for solvers in Python, which call it themselves."""

    def operator(self, strategy: Strategy) -> LossFunctions:
        """The callbacks of a solver."""
        return LossFunctions(self.objective, strategy)


@dataclass(frozen=True)
class BatchedProblem(Problem):
    """A function split into mini-batches, and the points that a solver keeps fixed."""

    points_name: ClassVar[str] = "minima"

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What a solver's numbers depend on besides its options, as plain data."""
        return {**super().fingerprint, "batches": self.objective.batches}

    def operator(self, strategy: Strategy) -> BatchedLossFunctions | _core.NetworkObjective:
        """The function as a solver evaluates it: the native network, or callbacks."""
        if strategy.kind == "native":
            weights = self.objective.batch_weights()
            native = self.objective.native_objective(strategy, weights)
            if native is not None:
                return native
        return BatchedLossFunctions(self.objective, strategy)
