"""Bezier curves and polygonal chains: their options, and their run.

Depends on the core's curves and on the schedules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from landscape import _core
from landscape._path.schedules import Optimizer, check_schedule, cycles, rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._path.subject import Batched, Ends

__all__ = ["CURVE_SCHEDULE", "CurveOptions"]

CURVE_SCHEDULE = ((100, 0.02), (100, 0.02), (100, 0.005))
"""Steps and learning rates of three cycles."""

_DRAWS = 4  # points of a step, in as many equal parts of the curve
_BETWEEN = 15  # points of a look


@dataclass(frozen=True)
class CurveOptions:
    """The options of a trained curve."""

    kind: Literal["bezier", "polychain"]
    schedule: Sequence[tuple[int, float]]
    optimizer: Optimizer
    bends: int
    seed: int

    def __post_init__(self) -> None:
        check_schedule(self.schedule, self.optimizer)
        if self.bends < 1:
            raise ValueError(
                f"pivots={self.bends}, expected 1 control point or more between the two models"
            )

    @property
    def most(self) -> int:
        """The most steps."""
        return sum(steps for steps, _ in self.schedule)

    def limits(self) -> dict[str, Any]:
        """The same for the core."""
        return {
            "kind": self.kind,
            "cycles": cycles(self.schedule),
            "rule": rule(self.optimizer),
            "bends": self.bends,
            "draws": _DRAWS,
            "between": _BETWEEN,
            "seed": self.seed,
        }

    def solver(
        self, losses: Batched, ends: Ends, begun: tuple[str, Mapping[str, NDArray[Any]]] | None
    ) -> _core.Bending:
        """The curve, at its beginning or where a file has left it."""
        if begun is None:
            return _core.Bending(losses, *ends.points, **self.limits())
        record, arrays = begun
        return _core.Bending.resumed(record, arrays["control"], arrays["best"], arrays["memory"])

    def moving(self, curve: _core.Bending) -> Mapping[str, NDArray[Any]]:
        """The control points where they are."""
        return {"control": curve.control()}

    def described(self, curve: _core.Bending) -> str:
        """How it ended, as a sentence."""
        return f"complete: {curve.done} steps in {len(self.schedule)} cycles"
