"""AutoNEB: its options, and its run.

Depends on the core's elastic bands and on the schedules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from landscape import _core
from landscape._path.schedules import Optimizer, check_schedule, cycles, rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._path.subject import Batched, Ends

__all__ = ["MOST_PIVOTS", "PIVOTS", "SCHEDULE", "BandOptions"]

SCHEDULE = ((60, 0.02), (60, 0.02), (60, 0.005))
"""Steps and learning rates of three cycles."""
PIVOTS, MOST_PIVOTS = 3, 30

_BETWEEN = 5  # points of a look between two pivots


@dataclass(frozen=True)
class BandOptions:
    """The options of an elastic band."""

    schedule: Sequence[tuple[int, float]]
    optimizer: Optimizer
    spring: float | None
    climb: int
    tolerance: float
    pivots: int
    max_pivots: int
    insertion: float
    seed: int

    def __post_init__(self) -> None:
        check_schedule(self.schedule, self.optimizer)
        if self.pivots < 1 or self.max_pivots < self.pivots:
            raise ValueError(
                f"pivots={self.pivots} and max_pivots={self.max_pivots}, expected 1 or more "
                "between the two models, and no fewer at most"
            )
        if self.spring is not None and not self.spring > 0:
            raise ValueError(f"spring={self.spring}, expected a stiffness above 0, or None")
        for name in ("tolerance", "insertion", "climb"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"{name}={getattr(self, name)}, expected none below 0")

    @property
    def most(self) -> int:
        """The most steps."""
        return sum(steps for steps, _ in self.schedule)

    def limits(self) -> dict[str, Any]:
        """The same for the core."""
        return {
            "cycles": cycles(self.schedule),
            "rule": rule(self.optimizer),
            "spring": self.spring,
            "climb": self.climb,
            "tolerance": self.tolerance,
            "pivots": self.pivots,
            "max_pivots": self.max_pivots,
            "insertion": self.insertion,
            "between": _BETWEEN,
            "seed": self.seed,
        }

    def solver(
        self,
        losses: Batched,
        ends: Ends,
        begun: tuple[str, Mapping[str, NDArray[Any]]] | None,
    ) -> _core.AutoNeb:
        """The band, at its beginning or where a file has left it."""
        if begun is None:
            return _core.AutoNeb(losses, *ends.points, **self.limits())
        record, arrays = begun
        return _core.AutoNeb.resumed(record, arrays["band"], arrays["best"], arrays["memory"])

    def moving(self, band: _core.AutoNeb) -> Mapping[str, NDArray[Any]]:
        """The band where it is."""
        return {"band": band.band()}

    def described(self, band: _core.AutoNeb) -> str:
        """How it ended, as a sentence."""
        if band.ending == "converged":
            return f"converged: no force above {band.force:.3g}, within {self.tolerance:g}"
        return f"complete: {band.done} steps in {len(self.schedule)} cycles"
