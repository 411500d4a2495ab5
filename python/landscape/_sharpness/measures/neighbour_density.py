"""`neighbour_density`: the share of points at a distance that are as good as the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landscape._sharpness.basin import RandomDirections, Scaling, check_scaling
from landscape._sharpness.context import LOSS
from landscape._sharpness.definition import Definition, Outcome
from landscape._sharpness.rises import RiseMetric, check_metric, compute_rises, require_metric
from landscape._sharpness.sampling import bound_share

if TYPE_CHECKING:
    from landscape._results import Invariance
    from landscape._sharpness.context import Context

__all__ = ["NeighbourDensity"]


@dataclass(frozen=True)
class NeighbourDensity(Definition):
    r"""The share of points at a given distance whose loss is no worse than the model's.

    .. math:: P_u \left( L(\theta + \rho u) \le L(\theta) + r \right)

    Directions u are random. The interval is that of Clopper and Pearson, also for a share of 0 or
    1. Its logarithm is a local entropy: how many of the neighbours are solutions too.

    Args:
        distance: rho: relative to each filter's norm, or in units of the parameters.
        rise: r: of the loss, or by how much the accuracy may fall; 0 asks for points that are no
            worse.
        metric: ``"loss"`` or ``"accuracy"``.
        draws: The number of points.
        scaling: ``"filter"``: every filter of a direction has the norm of the model's; ``"unit"``:
            directions of norm 1.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> measure = landscape.measures.NeighbourDensity(distance=1.0, scaling="unit")
        >>> landscape.sharpness(model, data, measures=[measure])
    """

    name: ClassVar[str] = "neighbour_density"
    reference: ClassVar[str] = (
        "Baldassi et al. (2016), Unreasonable Effectiveness of Learning Neural Networks, "
        "equation 3; Clopper and Pearson (1934) for the interval"
    )
    rescaling: ClassVar[Invariance] = "no"

    distance: float = 0.1
    rise: float = 0.02
    metric: RiseMetric = "loss"
    draws: int = 60
    scaling: Scaling = "filter"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.distance) and self.distance > 0):
            raise ValueError(f"distance={self.distance}, expected a number above 0")
        if not (np.isfinite(self.rise) and self.rise >= 0):
            raise ValueError(f"rise={self.rise}, expected a number from 0 up")
        check_metric(self.metric)
        check_scaling(self.scaling)
        if self.draws < 1:
            raise ValueError(f"draws={self.draws}, expected at least 1")

    def require(self, context: Context) -> None:
        """Refuse the accuracy of a loss that has none.

        Raises:
            NotApplicable: With the reason.
        """
        require_metric(context, self.metric)

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - the same for any model
        """One loss a point, and that at the model."""
        return (self.draws + 1) * LOSS

    def compute(self, context: Context) -> Outcome:
        """Random points at the distance; one without a finite loss is worse."""
        directions = RandomDirections(context, self.name, self.scaling)
        if not directions(0).any():
            return Outcome(None, status="failed: every filter of the model is zero")
        rises = compute_rises(
            context, (self.distance * directions(i) for i in range(self.draws)), self.metric
        )
        good = int((rises <= self.rise).sum())
        share = good / self.draws
        return Outcome(
            share,
            (share * (1 - share) / self.draws) ** 0.5,
            bound_share(good, self.draws, context.level),
            details={"good": good},
            curves={"rises": rises},
        )
