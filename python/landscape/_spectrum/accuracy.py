"""How well an estimate is to be known, and how its run ended.

Knows nothing of matrices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from landscape._iteration import Interrupt

if TYPE_CHECKING:
    from landscape._progress import Choice

__all__ = ["FEWEST", "Accuracy", "EstimateOptions"]

FEWEST = 30
"""Independent random vectors below which no interval is trusted."""


class EstimateOptions(TypedDict, total=False):
    r"""What every estimate from random vectors can be asked for.

    Args:
        relative_error: Wanted standard error over the \|estimate\|; 0.01 unless told.
        absolute_error: Wanted standard error in the quantity's own units; either is enough.
        max_products: The most products; 10,000 unless told.
        level: Probability with which an interval contains the truth; 0.95 unless told.
        seed: Of the random vectors.
        interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` the estimate by then.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, most)
            products.
    """

    relative_error: float
    absolute_error: float
    max_products: int
    level: float
    seed: int
    interrupt: Interrupt
    progress: Choice


@dataclass(frozen=True)
class Accuracy:
    """How well something is to be known, and how the run is watched."""

    relative_error: float = 0.01
    absolute_error: float = 0.0
    max_products: int = 10_000
    level: float = 0.95
    seed: int = 0
    interrupt: Interrupt = "raise"
    progress: Choice = None

    def __post_init__(self) -> None:
        errors = self.relative_error, self.absolute_error
        if not all(math.isfinite(e) and e >= 0 for e in errors) or not sum(errors) > 0:
            raise ValueError(
                f"relative_error={errors[0]} and absolute_error={errors[1]}, expected one of them "
                "above 0 and none below: a standard error, over the estimate or in its own units"
            )
        if not 0 < self.level < 1:
            raise ValueError(f"level={self.level}, expected a probability such as 0.95")
        if self.max_products < FEWEST:
            raise ValueError(
                f"max_products={self.max_products}, expected at least {FEWEST}: an interval from "
                "fewer random vectors cannot be trusted"
            )

    @property
    def limits(self) -> dict[str, Any]:
        """The same for the core."""
        return {
            "relative": self.relative_error,
            "absolute": self.absolute_error,
            "max_products": self.max_products,
            "level": self.level,
            "seed": self.seed,
        }

    def described(self, status: str, errors: float, sizes: float, interrupted: bool) -> str:
        """How a run ended, as a sentence."""
        reached = f"a relative standard error of {errors / sizes:.2g}" if sizes else "zero"
        if interrupted:
            return f"interrupted at {reached}"
        if status == "exhausted":
            return "exact: the whole space was summed"
        if status == "converged":
            wanted = f"relative_error={self.relative_error:g}"
            if self.absolute_error:
                wanted += f" or absolute_error={self.absolute_error:g}"
            return f"converged: {reached} meets {wanted}"
        return (
            f"stopped at max_products={self.max_products} with {reached}; raise max_products or "
            "the error"
        )
