"""Options of a search for a simplicial complex."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from landscape._path import Cycles, Optimizer, cycles_to_core, optimizer_to_core, validate_cycles

__all__ = ["CYCLES", "SimplexOptions"]

CYCLES: Cycles = ((100, 0.02), (100, 0.02), (100, 0.005))
"""Steps and learning rates of a connecting point."""


@dataclass(frozen=True)
class SimplexOptions:
    """Options of a search; validated when created."""

    connectors: int
    cycles: Cycles
    optimizer: Optimizer
    volume_weight: float
    spread: float
    draws: int
    seed: int

    def __post_init__(self) -> None:
        validate_cycles(self.cycles, self.optimizer)
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

    def check_memory(self, modes: int, dim: int, itemsize: int, budget: int) -> None:
        """Check that the search fits the memory budget.

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
    def max_steps(self) -> int:
        """The number of steps."""
        return self.connectors * sum(steps for steps, _ in self.cycles)

    def to_core(self) -> dict[str, Any]:
        """The options of the core's search."""
        return {
            "connectors": self.connectors,
            "cycles": cycles_to_core(self.cycles),
            "rule": optimizer_to_core(self.optimizer),
            "samples": self.draws,
            "volume": self.volume_weight,
            "spread": self.spread,
            "seed": self.seed,
        }
