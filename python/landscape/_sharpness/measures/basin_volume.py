"""`basin_volume`: the volume in which the loss rises by no more than a given number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landscape._sharpness.basin import RADIUS_RANGE, RandomDirections, search_radii
from landscape._sharpness.context import LOSS
from landscape._sharpness.definition import Definition, Outcome
from landscape._sharpness.sampling import average_exponentials

if TYPE_CHECKING:
    from landscape._results import Invariance
    from landscape._sharpness.context import Context

__all__ = ["BasinVolume"]

_TYPICAL_ROUNDS = 7


@dataclass(frozen=True)
class BasinVolume(Definition):
    r"""The logarithm of the volume around the model where the loss rises by no more than r.

    .. math:: \log V = \log V_d + \log E_u \left[ R(u)^d \right], \quad
        R(u) = \min \{ \rho : L(\theta + \rho u) > L(\theta) + r \}

    Directions u are uniform on the sphere, and V_d is the volume of the unit ball. It is the part
    of the sublevel set that straight lines from the model reach. For a quadratic minimum it is the
    volume of an ellipsoid, :math:`\log V_d + \frac{d}{2} \log 2 r - \frac{1}{2} \log \det H`.

    In thousands of dimensions the power d lets a few directions decide the mean, however many are
    drawn. The status then says so, the detail ``effective_directions`` how many count, and the
    value is likely too low: only differences between models that are measured alike are of use.

    Args:
        rise: r, in units of the loss.
        directions: The number of random directions, at least 2.
        tolerance: Of the rise at the end of each direction, relative to r; the detail
            ``search_error`` is what it may add to the logarithm.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> measure = landscape.measures.BasinVolume(rise=0.5, directions=100)
        >>> landscape.sharpness(model, data, measures=[measure])
    """

    name: ClassVar[str] = "basin_volume"
    reference: ClassVar[str] = (
        "Huang et al. (2020), Understanding Generalization through Visualizations, section 4; "
        "Scherlis and Belrose (2025), Estimating the Probability of Sampling a Trained Neural "
        "Network at Random"
    )
    rescaling: ClassVar[Invariance] = "no"

    rise: float = 0.1
    directions: int = 50
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        if not (np.isfinite(self.rise) and self.rise > 0):
            raise ValueError(f"rise={self.rise}, expected a number above 0")
        if self.directions < 2:
            raise ValueError(f"directions={self.directions}, expected at least 2")
        if not 0 < self.tolerance < 1:
            raise ValueError(f"tolerance={self.tolerance}, expected a number between 0 and 1")

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - the same for any model
        """One loss for each direction in each round of the search."""
        return (self.directions * _TYPICAL_ROUNDS + 1) * LOSS

    def compute(self, context: Context) -> Outcome:
        """The end of every direction, and the mean of its power."""
        dim = context.dim
        directions = RandomDirections(context, self.name)
        found = search_radii(
            context,
            directions,
            self.directions,
            rise=self.rise,
            metric="loss",
            start=directions.start,
            tolerance=self.tolerance,
        )
        if not found.is_found.all():
            unbounded = int(np.isinf(found.radii).sum())
            lost = int((found.radii == 0).sum())
            ends = directions.start / RADIUS_RANGE, directions.start * RADIUS_RANGE
            return Outcome(
                None,
                status=f"failed: along {unbounded} of {self.directions} directions the loss does "
                f"not rise by {self.rise:g} up to a radius of {ends[1]:.3g}, and along {lost} it "
                f"does within {ends[0]:.3g}",
            )
        powers = dim * np.log(found.radii)
        mean = average_exponentials(powers)
        unit_ball = dim / 2 * math.log(math.pi) - math.lgamma(dim / 2 + 1)
        weights = np.exp(powers - powers.max())
        search_error = dim * float(weights @ found.log_errors / weights.sum())
        return Outcome(
            unit_ball + mean.value,
            mean.standard_error if np.isfinite(mean.standard_error) else None,
            status=mean.status,
            details={
                "effective_directions": mean.effective,
                "equivalent_radius": math.exp(mean.value / dim),
                "search_error": search_error,
            },
            curves={"radii": found.radii},
        )
