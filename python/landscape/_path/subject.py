"""What a search for a path works on: two models in one function that comes in batches.

Depends on the Objective.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import Engine, Objective, Strategy

__all__ = ["Losses", "Pair", "descended", "descent_notes"]

_BATCH = 256


def descended(objective: Objective) -> Objective:
    """The function that a search descends: differentiable, and in batches.

    Statistics that are re-estimated at every point have no gradient, so that those of the batch at
    hand take their place.
    """
    policy = objective.policy["batch_norm"]
    found = objective.under("batch") if policy == "recalibrated" else objective
    return found.in_batches(_BATCH)


def descent_notes(objective: Objective, descended: Objective) -> tuple[str, ...]:
    """How the function that is descended differs from the one that is reported."""
    here, there = objective.policy, descended.policy
    told = []
    if here["batch_norm"] != there["batch_norm"]:
        told.append(
            f"the search differentiates under batch_norm={there['batch_norm']!r}, and reported "
            f"losses are those under {here['batch_norm']!r}"
        )
    if descended.batches > 1:
        told.append(f"the search descends on {descended.batches} mini-batches")
    return tuple(told)


@dataclass(frozen=True)
class Losses:
    """L as the core asks for it, on all data and on batches."""

    objective: Objective
    strategy: Strategy

    @property
    def batches(self) -> int:
        """How many there are."""
        return self.objective.batches

    def losses(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """L at each point, shape (k, d) to (k,)."""
        return self.objective.losses(points, strategy=self.strategy)

    def gradients(self, points: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """L and its gradient at each point, shapes (k,) and (k, d)."""
        return self.objective.gradients(points, strategy=self.strategy)

    def gradients_on(
        self, points: NDArray[Any], batches: Sequence[int]
    ) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """The same of means over single batches, one for each point."""
        return self.objective.gradients_on(points, batches, strategy=self.strategy)


@dataclass(frozen=True)
class Pair:
    """A function, and the two ends of a path in it."""

    objective: Objective
    """As it is descended."""
    ends: tuple[NDArray[Any], NDArray[Any]]
    """Shape (d,) each."""

    @property
    def engine(self) -> Engine:
        """Who evaluates, measured at the first need and then kept."""
        return self.objective.derivatives

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What a search depends on besides its options, as plain data."""
        prints = [f"crc32 {zlib.crc32(np.ascontiguousarray(e).tobytes()):08x}" for e in self.ends]
        return {"policy": self.objective.policy, "batches": self.objective.batches, "ends": prints}

    def operator(self, strategy: Strategy) -> Losses:
        """What the core calls back."""
        return Losses(self.objective, strategy)
