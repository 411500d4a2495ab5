"""`most_case_basin` and `worst_case_basin`: how far the model can be moved without harm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from landscape import _core
from landscape._sharpness.basin import (
    RADIUS_RANGE,
    RandomDirections,
    Scaling,
    check_scaling,
    compute_profile,
    search_radii,
)
from landscape._sharpness.bounds.intervals import find_quantile_ranks
from landscape._sharpness.context import GRADIENT, LOSS, PRODUCT
from landscape._sharpness.definition import Definition, DerivativeDefinition, Outcome
from landscape._sharpness.eigenvalue import TYPICAL_PRODUCTS
from landscape._sharpness.rises import RiseMetric, check_metric, require_metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._results import Invariance
    from landscape._sharpness.context import Context

__all__ = ["MostCaseBasin", "WorstCaseBasin"]

_TYPICAL_ROUNDS = 8


@dataclass(frozen=True)
class MostCaseBasin(Definition):
    r"""The radius within which most random directions leave the model as good as it is.

    .. math:: \text{the quantile } q \text{ over random } u \text{ of } R(u)
        = \min \{ \rho : L(\theta + \rho u) > L(\theta) + r \}

    All but a share q of the directions keep the loss (or the accuracy) up to this radius. The
    interval is that of order statistics, which holds for any distribution and needs enough
    directions. The curves
    ``basin_radii`` has every R(u), and ``rises`` the rise along every direction at ``radii``.

    Args:
        rise: r: of the loss, or by how much the accuracy falls.
        metric: ``"loss"`` or ``"accuracy"``.
        directions: The number of random directions, at least 2.
        quantile: q, between 0 and 1.
        scaling: ``"unit"``: directions of norm 1, radii in units of the parameters; ``"filter"``:
            every filter with the norm of the model's, radii relative to it.
        tolerance: Of the rise at each R(u), relative to r.
        points: The number of radii of the curves, up to twice the value.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> measure = landscape.measures.MostCaseBasin(metric="accuracy", rise=0.01)
        >>> landscape.sharpness(model, data, measures=[measure])
    """

    name: ClassVar[str] = "most_case_basin"
    reference: ClassVar[str] = (
        "Chen et al. (2025), Understanding Pre-training and Fine-tuning from Loss Landscape "
        "Perspectives: most-case landscape"
    )
    rescaling: ClassVar[Invariance] = "no"

    rise: float = 0.1
    metric: RiseMetric = "loss"
    directions: int = 40
    quantile: float = 0.1
    scaling: Scaling = "unit"
    tolerance: float = 0.02
    points: int = 8

    def __post_init__(self) -> None:
        _check_search(self.rise, self.metric, self.tolerance, self.points)
        check_scaling(self.scaling)
        if self.directions < 2:
            raise ValueError(f"directions={self.directions}, expected at least 2")
        if not 0 < self.quantile < 1:
            raise ValueError(f"quantile={self.quantile}, expected a number between 0 and 1")

    def require(self, context: Context) -> None:
        """Refuse the accuracy of a loss that has none.

        Raises:
            NotApplicable: With the reason.
        """
        require_metric(context, self.metric)

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - the same for any model
        """One loss for each direction in each round, and at each point of its curve."""
        return self.directions * (_TYPICAL_ROUNDS + self.points) * LOSS

    def compute(self, context: Context) -> Outcome:
        """The radius of every direction, their quantile, and the curves."""
        directions = RandomDirections(context, self.name, self.scaling)
        if self.scaling == "filter" and not directions(0).any():
            return Outcome(None, status="failed: every filter of the model is zero")
        found = search_radii(
            context,
            directions,
            self.directions,
            rise=self.rise,
            metric=self.metric,
            start=directions.start,
            tolerance=self.tolerance,
        )
        ordered = np.sort(found.radii)
        value = float(np.quantile(found.radii, self.quantile, method="inverted_cdf"))
        if not (math.isfinite(value) and value > 0):
            return Outcome(None, status=_describe_loss(value, directions.start, self.rise))
        interval = error = None
        if ranks := find_quantile_ranks(self.quantile, self.directions, context.level):
            low, high = interval = float(ordered[ranks[0] - 1]), float(ordered[ranks[1] - 1])
            # that of a normal distribution with this interval
            error = (high - low) / 2 / NormalDist().inv_cdf((1 + context.level) / 2)
        radii = np.linspace(0, 2 * value, self.points + 1)[1:]
        rises = compute_profile(context, directions, self.directions, radii, self.metric)
        return Outcome(
            value,
            error if error is not None and math.isfinite(error) else None,
            interval,
            details={"unbounded": int(np.isinf(found.radii).sum()), "rounds": found.rounds},
            curves={"basin_radii": found.radii, "radii": radii, "rises": rises},
        )


@dataclass(frozen=True)
class WorstCaseBasin(DerivativeDefinition):
    r"""The radius within which no direction that was tried harms the model.

    .. math:: \min_u \, \min \{ \rho : L(\theta + \rho u) > L(\theta) + r \}, \quad
        u \in \{ g / \lVert g \rVert, \; \pm v_1, \; \text{random} \}

    The directions are that of the gradient g, both signs of the top eigenvector of the Hessian, and
    random ones. Another direction may be worse: the true radius is at most this one. The detail
    ``worst`` names the direction; the curve ``rises`` has the rise along each at ``radii``, in the
    order of the detail ``directions``.

    Args:
        rise: r: of the loss, or by how much the accuracy falls.
        metric: ``"loss"`` or ``"accuracy"``.
        random: The number of random directions.
        tolerance: Of the rise at each radius, relative to r.
        points: The number of radii of the curves, up to twice the value.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> landscape.sharpness(model, data, measures=["worst_case_basin"])
    """

    name: ClassVar[str] = "worst_case_basin"
    reference: ClassVar[str] = (
        "Chen et al. (2025), Understanding Pre-training and Fine-tuning from Loss Landscape "
        "Perspectives: worst-case landscape"
    )
    rescaling: ClassVar[Invariance] = "no"
    accuracy: ClassVar[float] = 0.04

    rise: float = 0.1
    metric: RiseMetric = "loss"
    random: int = 4
    tolerance: float = 0.02
    points: int = 8

    def __post_init__(self) -> None:
        _check_search(self.rise, self.metric, self.tolerance, self.points)
        if self.random < 0:
            raise ValueError(f"random={self.random}, expected a number from 0 up")

    def require(self, context: Context) -> None:
        """Refuse a loss without derivatives, or the accuracy of one that has none.

        Raises:
            NotApplicable: With the reason.
        """
        super().require(context)
        require_metric(context, self.metric)

    def estimate_cost(self, context: Context) -> float:
        """A gradient, an eigenvector, and one loss for each direction in each round."""
        losses = (self.random + 3) * (_TYPICAL_ROUNDS + self.points)
        return GRADIENT + min(TYPICAL_PRODUCTS, context.dim) * PRODUCT + losses * LOSS

    def compute(self, context: Context) -> Outcome:
        """The radius of every direction, and the smallest."""
        fixed = self._make_fixed(context)
        directions = RandomDirections(context, self.name)
        names = [*fixed, *(f"random {index}" for index in range(self.random))]
        vectors = list(fixed.values())

        def make_direction(index: int) -> NDArray[Any]:
            return vectors[index] if index < len(vectors) else directions(index - len(vectors))

        found = search_radii(
            context,
            make_direction,
            len(names),
            rise=self.rise,
            metric=self.metric,
            start=directions.start,
            tolerance=self.tolerance,
        )
        worst = int(np.argmin(found.radii))
        value = float(found.radii[worst])
        if not (math.isfinite(value) and value > 0):
            return Outcome(None, status=_describe_loss(value, directions.start, self.rise))
        radii = np.linspace(0, 2 * value, self.points + 1)[1:]
        rises = compute_profile(context, make_direction, len(names), radii, self.metric)
        return Outcome(
            value,
            details={"worst": names[worst], "directions": tuple(names), "rounds": found.rounds},
            curves={"basin_radii": found.radii, "radii": radii, "rises": rises},
        )

    def _make_fixed(self, context: Context) -> dict[str, NDArray[Any]]:
        """The gradient's direction and both signs of the top eigenvector's, by name."""
        spectrum = context.hessian().eigenvalues(
            1, vectors=True, seed=context.seed, progress=context.watch_products()
        )
        context.charge(spectrum.products * PRODUCT)
        if spectrum.vectors is None:
            raise FloatingPointError("the eigenvector was not computed")
        top: NDArray[Any] = np.array(spectrum.vectors[0], context.theta.dtype)
        fixed = {"eigenvector +": top, "eigenvector -": -top}
        norm = _core.norm(context.gradient)
        if norm > 0:
            fixed = {"gradient": context.gradient / norm, **fixed}
        return fixed


def _check_search(rise: float, metric: str, tolerance: float, points: int) -> None:
    if not (np.isfinite(rise) and rise > 0):
        raise ValueError(f"rise={rise}, expected a number above 0")
    check_metric(metric)
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance={tolerance}, expected a number between 0 and 1")
    if points < 1:
        raise ValueError(f"points={points}, expected at least 1")


def _describe_loss(value: float, start: float, rise: float) -> str:
    """Why there is no radius."""
    if value:
        return f"failed: the rise stays below {rise:g} up to a radius of {start * RADIUS_RANGE:.3g}"
    return f"failed: the rise exceeds {rise:g} at a radius of {start / RADIUS_RANGE:.3g} already"
