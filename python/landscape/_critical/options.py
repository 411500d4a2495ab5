"""What a search for a critical point is asked for, and how it ended.

Knows nothing of models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["SearchOptions"]

Method = Literal["newton_mr", "saddle_free"]


@dataclass(frozen=True)
class SearchOptions:
    """The options of one search."""

    method: Method
    tolerance: float
    max_steps: int
    krylov: int
    negative: float
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
        if not 0 <= self.negative < 1:
            raise ValueError(
                f"negative={self.negative}, expected a share of the largest |eigenvalue|"
            )

    def check_room(self, dim: int, itemsize: int, budget: int) -> None:
        """Refuse a Krylov space that does not fit.

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

    def limits(self, dim: int) -> dict[str, Any]:
        """The same for the core."""
        return {
            "method": self.method,
            "tolerance": self.tolerance,
            "max_steps": self.max_steps,
            "krylov": min(self.krylov, dim),
            "negative": self.negative,
            "seed": self.seed,
        }

    def described(self, ending: str, norm: float, dtype: str) -> str:
        """How a search ended, as a sentence."""
        found = f"the gradient's norm is {norm:.3g}"
        if ending == "converged":
            status = f"converged: {found}, within tolerance={self.tolerance:g}"
            if self.method == "saddle_free":
                status += f"; no curvature is below -{self.negative:g} of the largest"
            return status
        if ending == "flat":
            return (
                f"gradient-flat: {found} and lies in the kernel of the Hessian, where it has no "
                "slope; the point is not critical. Begin elsewhere"
            )
        if ending == "stalled":
            what = "the loss" if self.method == "saddle_free" else "the gradient's norm"
            advice = (
                "raise krylov" if dtype == "float64" else "raise krylov, or pass dtype='float64'"
            )
            return f"stalled: {found}, and no step that was found lowers {what}; {advice}"
        return f"stopped at max_steps={self.max_steps}: {found}; raise max_steps or the tolerance"
