"""Accuracy: to which error a surface or a line is computed, and what it may cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["FIRST_POINTS", "Accuracy", "ErrorScale", "read_accuracy"]

ErrorScale = Literal["loss", "range"]

_QUANTILE = 0.95
_FINEST_LEVEL = {1: 6, 2: 5}  # 257 points of a line, 129 along each axis of a surface
FIRST_POINTS = {1: 9, 2: 81}
"""By the number of axes: so many points give the first estimate of the error."""


@dataclass(frozen=True)
class Accuracy:
    """The error that may remain, and the limits of the computation."""

    tolerance: float
    scale: ErrorScale = "loss"
    quantile: float = _QUANTILE
    """The fraction of the area in which the tolerance must hold."""
    finest: int = _FINEST_LEVEL[2]
    """The finest level: 4 * 2**level + 1 points an axis."""
    evaluations: int | None = None
    """The most evaluations."""
    seconds: float | None = None
    """The time after which no further evaluation begins."""
    confidence: float | None = None
    """The probability with which fresh random points bound the error."""

    @property
    def spline(self) -> Literal["log cubic", "cubic"]:
        """What a spline is fitted to, so that its error is on this scale."""
        return "log cubic" if self.scale == "loss" else "cubic"

    @property
    def checks(self) -> int:
        """The number of fresh random points.

        The largest error of n independent points is below the 95th percentile with probability
        0.95^n.
        """
        if self.confidence is None:
            return 0
        return math.ceil(math.log(1.0 - self.confidence) / math.log(_QUANTILE))

    def to_record(self) -> dict[str, Any]:
        """What the numbers depend on, as plain data; a larger budget continues the same run."""
        return {
            "tolerance": self.tolerance,
            "scale": self.scale,
            "quantile": self.quantile,
            "finest": self.finest,
            "confidence": self.confidence,
        }


def read_accuracy(
    dimensions: int,
    *,
    tolerance: float | None,
    tolerance_of: ErrorScale,
    evaluations: int | None,
    seconds: float | None,
    confidence: float | None,
) -> Accuracy | None:
    """Read the options of a computation to a tolerance; None where there is no tolerance.

    Args:
        dimensions: 1 for a line, of which the whole must be within the tolerance; 2 for a surface,
            of which 95% of the area must be.
        tolerance: See :func:`landscape.surface`, as for all others.
        tolerance_of: See there.
        evaluations: See there.
        seconds: See there.
        confidence: See there.

    Raises:
        ValueError: A number is out of range, or an option needs a tolerance.
    """
    if tolerance is None:
        given = {
            "tolerance_of": None if tolerance_of == "loss" else tolerance_of,
            "evaluations": evaluations,
            "seconds": seconds,
            "confidence": confidence,
        }
        idle = [f"{name}={value!r}" for name, value in given.items() if value is not None]
        if idle:
            raise ValueError(
                f"got {', '.join(idle)} without tolerance=, whose options these are: a full grid "
                "evaluates all its points; pass tolerance=0.05, or leave them out"
            )
        return None
    if not _is_positive(tolerance):
        raise ValueError(f"tolerance={tolerance!r}, expected a positive number, such as 0.05")
    if tolerance_of not in ("loss", "range"):
        raise ValueError(f"tolerance_of={tolerance_of!r}, expected 'loss' or 'range'")
    first = FIRST_POINTS[dimensions]
    if evaluations is not None and not (type(evaluations) is int and evaluations >= first):
        raise ValueError(
            f"evaluations={evaluations!r}, expected a whole number from {first} up: so many points "
            "are needed to estimate an error"
        )
    if seconds is not None and not _is_positive(seconds):
        raise ValueError(f"seconds={seconds!r}, expected a positive number")
    if confidence is not None and not (_is_positive(confidence) and confidence < 1):
        raise ValueError(f"confidence={confidence!r}, expected a number between 0 and 1, as 0.95")
    accuracy = Accuracy(
        tolerance=float(tolerance),
        scale=tolerance_of,
        quantile=_QUANTILE if dimensions == 2 else 1.0,
        finest=_FINEST_LEVEL[dimensions],
        evaluations=evaluations,
        seconds=None if seconds is None else float(seconds),
        confidence=None if confidence is None else float(confidence),
    )
    if evaluations is not None and evaluations < first + accuracy.checks:
        raise ValueError(
            f"evaluations={evaluations} and confidence={confidence}, expected at least "
            f"{first + accuracy.checks}: {first} first points and {accuracy.checks} random ones"
        )
    return accuracy


def _is_positive(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and value > 0
