"""Options of a search for a critical point, and the text of its status."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["SearchOptions"]

Method = Literal["newton_mr", "saddle_free"]


@dataclass(frozen=True)
class SearchOptions:
    """Options of one search; validated when created."""

    method: Method
    tolerance: float
    max_steps: int
    krylov: int
    negative_tolerance: float
    seed: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise ValueError(
                f"tolerance={self.tolerance}, expected the norm of a gradient that counts as zero"
            )
        if self.max_steps < 0 or self.krylov < 1:
            raise ValueError(
                f"max_steps={self.max_steps} and krylov={self.krylov}, expected steps from 0 and "
                "vectors from 1 up"
            )
        if not 0 <= self.negative_tolerance < 1:
            raise ValueError(
                f"negative_tolerance={self.negative_tolerance}, expected a share of the largest "
                "|eigenvalue|"
            )

    def check_memory(self, dim: int, itemsize: int, budget: int) -> None:
        """Check that the Krylov space fits the memory budget.

        Raises:
            ValueError: Its vectors would take more than the Objective's memory budget.
        """
        needed = min(self.krylov, dim) * dim * itemsize
        if needed > budget:
            raise ValueError(
                f"krylov={self.krylov} vectors of {dim} parameters take {needed / 2**30:.3g} GiB, "
                f"more than memory_budget = {budget / 2**30:.3g} GiB; pass at most "
                f"krylov={budget // (dim * itemsize)}, or raise memory_budget"
            )

    def to_core(self, dim: int) -> dict[str, Any]:
        """The options of the core's search."""
        return {
            "method": self.method,
            "tolerance": self.tolerance,
            "max_steps": self.max_steps,
            "krylov": min(self.krylov, dim),
            "negative": self.negative_tolerance,
            "seed": self.seed,
        }

    def describe_status(self, ending: str, norm: float, dtype: str) -> str:
        """Describe how a search ended, in one sentence."""
        reached = f"the gradient's norm is {norm:.3g}"
        if ending == "converged":
            status = f"converged: {reached}, within tolerance={self.tolerance:g}"
            if self.method == "saddle_free":
                status += f"; no curvature is below -{self.negative_tolerance:g} of the largest"
            return status
        if ending == "flat":
            return (
                f"gradient-flat: {reached} and lies in the kernel of the Hessian, where it has no "
                "slope; the point is not critical. Begin elsewhere"
            )
        if ending == "stalled":
            quantity = "the loss" if self.method == "saddle_free" else "the gradient's norm"
            advice = (
                "raise krylov" if dtype == "float64" else "raise krylov, or pass dtype='float64'"
            )
            return f"stalled: {reached}, and no step that was found lowers {quantity}; {advice}"
        return f"stopped at max_steps={self.max_steps}: {reached}; raise max_steps or the tolerance"
