"""Radii at which the loss has risen, or the accuracy fallen, along many directions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from landscape import _core
from landscape._sharpness.crossing import find_crossings
from landscape._sharpness.rises import RiseMetric, compute_rises

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._sharpness.context import Context
    from landscape._sharpness.crossing import Crossings

__all__ = [
    "RADIUS_RANGE",
    "RandomDirections",
    "Scaling",
    "check_scaling",
    "compute_profile",
    "search_radii",
]

RADIUS_RANGE = 1e4
"""The largest radius that is tried over the first, and the first over the smallest."""

Scaling = Literal["unit", "filter"]
MakeDirection = Callable[[int], "NDArray[Any]"]


@dataclass(frozen=True)
class RandomDirections:
    """Random directions of a measure, made anew from its seed every time.

    Args:
        context: The model.
        name: The measure.
        scaling: ``"unit"``: of norm 1, uniform on the sphere; ``"filter"``: every filter (and every
            bias or scale as a whole) has the norm of the same filter of the model.
    """

    context: Context
    name: str
    scaling: Scaling = "unit"

    def __call__(self, index: int) -> NDArray[Any]:
        """The direction of an index, shape (d,)."""
        context = self.context
        vector = next(context.iter_gaussians(self.name, 1, index))
        if self.scaling == "filter":
            table = context.objective.layout.filter_table("include")
            return _core.normalise(vector, context.theta, table, "filter")
        unit: NDArray[Any] = vector / _core.norm(vector)
        return unit

    @property
    def start(self) -> float:
        """A radius of small but noticeable noise: 0.01 in every weight, or a tenth of filters."""
        return 0.01 * math.sqrt(self.context.dim) if self.scaling == "unit" else 0.1


def check_scaling(scaling: str) -> None:
    """Refuse an unknown scaling.

    Raises:
        ValueError: It is neither ``"unit"`` nor ``"filter"``.
    """
    if scaling not in get_args(Scaling):
        raise ValueError(f"scaling={scaling!r}, expected 'unit' or 'filter'")


def search_radii(
    context: Context,
    make_direction: MakeDirection,
    count: int,
    *,
    rise: float,
    metric: RiseMetric,
    start: float,
    tolerance: float,
) -> Crossings:
    """The radius along each direction at which the rise is first exceeded."""

    def iter_steps(
        indices: NDArray[np.int64], radii: NDArray[np.float64]
    ) -> Iterator[NDArray[Any]]:
        for index, radius in zip(indices, radii, strict=True):
            yield radius * make_direction(int(index))

    return find_crossings(
        lambda indices, radii: compute_rises(context, iter_steps(indices, radii), metric),
        count,
        rise,
        start,
        tolerance=tolerance,
        largest=start * RADIUS_RANGE,
        smallest=start / RADIUS_RANGE,
    )


def compute_profile(
    context: Context,
    make_direction: MakeDirection,
    count: int,
    radii: NDArray[np.float64],
    metric: RiseMetric,
) -> NDArray[np.float64]:
    """The rise along each direction at each radius, shape (count, radii)."""

    def iter_steps() -> Iterator[NDArray[Any]]:
        for index in range(count):
            direction = make_direction(index)
            for radius in radii:
                yield float(radius) * direction

    return compute_rises(context, iter_steps(), metric).reshape(count, len(radii))
