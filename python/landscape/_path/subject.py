"""What a search among models works on: their points in one function that comes in batches.

Depends on the Objective and on what searches for critical points work on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from landscape._critical import Losses, Start

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from landscape._objective import Objective, Strategy

__all__ = ["Batched", "Ends", "descended", "descent_notes"]

_BATCH = 256


def descended(objective: Objective) -> Objective:
    """The function that a search descends: differentiable, and in batches.

    Statistics that are re-estimated at every point have no gradient, so that those of the batch at
    hand take their place.
    """
    found = objective.with_batch_norm("batch") if objective.recalibrates else objective
    return found.with_batch_size(_BATCH)


def descent_notes(objective: Objective, descended: Objective) -> tuple[str, ...]:
    """How the function that is descended differs from the one that is reported."""
    told = []
    if objective.recalibrates:
        told.append(
            "the search differentiates under batch_norm='batch', and reported losses are those "
            "under 'recalibrated'"
        )
    if descended.batches > 1:
        told.append(f"the search descends on {descended.batches} mini-batches")
    return tuple(told)


@dataclass(frozen=True)
class Batched(Losses):
    """L as the core asks for it, on single batches too."""

    @property
    def batches(self) -> int:
        """How many there are."""
        return self.objective.batches

    def gradients_on(
        self, points: NDArray[Any], batches: Sequence[int]
    ) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Means over single batches and their gradients: one batch for each point."""
        return self.objective.gradients_on(points, batches, strategy=self.strategy)


@dataclass(frozen=True)
class Ends(Start):
    """A function as it is descended, and the points that a search in it holds fast."""

    named: ClassVar[str] = "minima"

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What a search depends on besides its options, as plain data."""
        return {**super().fingerprint, "batches": self.objective.batches}

    def operator(self, strategy: Strategy) -> Batched:
        """What the core calls back."""
        return Batched(self.objective, strategy)
