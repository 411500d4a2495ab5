"""What lies between the points of a grid: the interpolant, its points and its estimated error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from landscape import _core
from landscape._results.fields import check_fields
from landscape._results.frozen import freeze_array

if TYPE_CHECKING:
    from landscape._results.base import Arrays

__all__ = ["EvaluatedPoints", "Interpolation", "SurfaceError", "make_interpolant"]

Floats = NDArray[np.float64]

Interpolation = Literal["log cubic", "cubic"]
"""What a spline is fitted to: the logarithm where all losses are positive, or the loss."""


@dataclass(frozen=True, eq=False)
class SurfaceError:
    r"""The error of an interpolated surface or line, relative to ``scale``.

    The *surplus* of a point is the difference between its loss and what the points of the coarser
    levels predicted. It is the error that the surface had before this point, and overstates what
    remains: the estimate is half of it.

    Without ``confidence`` this is an estimate, and speaks of a fraction of the area: a spike that
    is narrower than the distance of the evaluated points can stay unseen.

    Args:
        quantile95: The error that 95% of the area do not exceed: the estimate, or with
            ``confidence`` the largest error at fresh random points, which exceeds it with that
            probability.
        maximum: What the largest error hardly exceeds: twice the largest surplus, since it may lie
            between the points, or the largest error at a fresh random point. Where a finite loss
            borders on one that is not, there is no error to measure; such places count as infinite
            in ``quantile95`` and are left out here.
        scale: ``"loss"``, the loss at the same point, or ``"range"``, the largest difference
            between the losses evaluated.
        tolerance: The error that was asked for, of 95% of a surface's area, or everywhere on a
            line.
        estimate: The estimated error that 95% of the area do not exceed, also with ``confidence``.
        sampling: The part of it that comes from a calibrated subset of the samples; None where all
            losses were computed on all data.
        confidence: The probability that ``quantile95`` is a bound, from fresh random points; None
            without them.
        checks: The number of those points.
        map: The estimated error at every point of the surface, shape (nb, na), or (n,) of a line.

    Example:
        >>> error = landscape.surface(model, data, tolerance=0.2).error
        >>> error.quantile95 <= error.tolerance, error.scale
        (True, 'loss')
    """

    quantile95: float
    maximum: float
    scale: Literal["loss", "range"]
    tolerance: float
    estimate: float
    sampling: float | None = None
    confidence: float | None = None
    checks: int = 0
    map: Floats = field(default_factory=lambda: np.zeros(0), repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "map", freeze_array(self.map, "the error map", None))

    def to_record(self) -> dict[str, Any]:
        """Every field but the map, which is an array."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "map"}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], error_map: Floats) -> Self:
        """The error that :meth:`to_record` wrote."""
        check_fields(cls, record)
        return cls(**record, map=error_map)

    def __str__(self) -> str:
        of = "of the loss" if self.scale == "loss" else "of the range"
        how = "estimated" if self.confidence is None else f"with {self.confidence:.0%} confidence"
        return (
            f"at most {self.quantile95:.2g} {of} in 95% of the area ({how}; "
            f"{self.tolerance:.2g} asked for), largest {self.maximum:.2g}"
        )


@dataclass(frozen=True, eq=False)
class EvaluatedPoints:
    """The points at which a loss was evaluated, from which all others are interpolated.

    Args:
        coordinates: Shape (k, axes), in the order of evaluation.
        losses: Shape (k,).
        level: The points lie on a grid of 4 * 2**level + 1 points an axis.
        interpolation: What the spline is fitted to.

    Raises:
        ValueError: The shapes do not fit together.

    Example:
        >>> surface = landscape.surface(model, data, tolerance=0.2)
        >>> surface.evaluated.coordinates.shape == (len(surface.evaluated), 2)
        True
    """

    coordinates: Floats
    losses: Floats
    level: int
    interpolation: Interpolation

    def __post_init__(self) -> None:
        coordinates = freeze_array(self.coordinates, "evaluated points", None)
        if coordinates.ndim != 2:
            raise ValueError(f"evaluated points have shape {coordinates.shape}; expected (k, axes)")
        losses = freeze_array(self.losses, "evaluated losses", (len(coordinates),))
        object.__setattr__(self, "coordinates", coordinates)
        object.__setattr__(self, "losses", losses)

    def __len__(self) -> int:
        return len(self.losses)

    def __repr__(self) -> str:
        return f"EvaluatedPoints({len(self)} points, level {self.level}, {self.interpolation})"

    def to_arrays(self) -> dict[str, Floats]:
        """The arrays, by their names in a file."""
        return {"evaluated": self.coordinates, "evaluated_losses": self.losses}

    def to_record(self) -> dict[str, Any]:
        """The fields that are no arrays."""
        return {"level": self.level, "interpolation": self.interpolation}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], arrays: Arrays) -> Self:
        """The points that :meth:`to_record` and :meth:`to_arrays` wrote."""
        check_fields(cls, record)
        return cls(arrays["evaluated"], arrays["evaluated_losses"], **record)


def make_interpolant(
    axes: Sequence[Floats], losses: Floats, evaluated: EvaluatedPoints | None
) -> _core.Interpolant:
    """The interpolant of a grid: of the points evaluated, or of its own where all of them were."""
    if evaluated is None:
        return _core.Interpolant(list(axes), losses.ravel(), "log cubic")
    return _core.Interpolant.nested(
        [(float(axis[0]), float(axis[-1])) for axis in axes],
        evaluated.level,
        evaluated.coordinates,
        evaluated.losses,
        evaluated.interpolation,
    )
