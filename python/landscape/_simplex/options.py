"""What a search for a simplicial complex is asked for, and how it ended.

Depends on the schedules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from landscape._path.schedules import Optimizer, check_schedule, cycles, rule

__all__ = ["SCHEDULE", "SimplexOptions"]

SCHEDULE = ((100, 0.02), (100, 0.02), (100, 0.005))
"""Steps and learning rates of a connecting point."""


@dataclass(frozen=True)
class SimplexOptions:
    """The options of a search."""

    connectors: int
    schedule: Sequence[tuple[int, float]]
    optimizer: Optimizer
    volume_weight: float
    spread: float
    draws: int
    seed: int

    def __post_init__(self) -> None:
        check_schedule(self.schedule, self.optimizer)
        if self.connectors < 1 or self.draws < 1:
            raise ValueError(
                f"connectors={self.connectors} and draws={self.draws}, expected 1 connecting "
                "point and 1 point a step, or more"
            )
        if not (math.isfinite(self.volume_weight) and self.volume_weight >= 0):
            raise ValueError(
                f"volume_weight={self.volume_weight}, expected the loss that volume is worth, "
                "0 or more"
            )
        if not (math.isfinite(self.spread) and self.spread > 0):
            raise ValueError(
                f"spread={self.spread}, expected a share of how far the minima are apart, above 0"
            )

    def check_room(self, modes: int, dim: int, itemsize: int, budget: int) -> None:
        """Refuse what does not fit.

        Raises:
            ValueError: There are more connecting points than parameters, or a step's points and
                gradients would take more than the Objective's memory budget.
        """
        if self.connectors > dim:
            raise ValueError(
                f"connectors={self.connectors} for {dim} parameters, expected no more than those: "
                "a simplex has a volume in so many dimensions alone"
            )
        needed = (2 * modes * self.draws + modes + self.connectors) * dim * itemsize
        if needed > budget:
            raise ValueError(
                f"draws={self.draws} points of {dim} parameters in each of {modes} simplices, "
                f"their gradients and the vertices take {needed / 2**30:.3g} GiB, more than "
                f"memory_budget = {budget / 2**30:.3g} GiB; lower draws or connectors, or raise "
                "memory_budget"
            )

    @property
    def most(self) -> int:
        """The number of steps."""
        return self.connectors * sum(steps for steps, _ in self.schedule)

    def limits(self) -> dict[str, Any]:
        """The same for the core."""
        return {
            "connectors": self.connectors,
            "cycles": cycles(self.schedule),
            "rule": rule(self.optimizer),
            "samples": self.draws,
            "volume": self.volume_weight,
            "spread": self.spread,
            "seed": self.seed,
        }
