"""`pac_bayes_sigma` and `magnitude_sigma`: the noise in the weights that a model can bear."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from landscape._sharpness.context import LOSS
from landscape._sharpness.crossing import find_crossings
from landscape._sharpness.definition import Definition, Outcome
from landscape._sharpness.rises import RiseMetric, check_metric, compute_rises, require_metric

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from landscape._results import Invariance
    from landscape._sharpness.context import Context

__all__ = ["MagnitudeSigma", "PACBayesSigma"]

_TYPICAL_ROUNDS = 8
_RANGE = 1e6  # largest over smallest sigma that is tried, on either side of the first


@dataclass(frozen=True)
class PACBayesSigma(Definition):
    r"""The inverse square of the largest Gaussian noise that costs at most a given rise.

    .. math:: \frac{1}{\sigma^2}, \quad \sigma = \max \left\{ \sigma : E_{\xi \sim N(0, 1)}
        \left[ L(\theta + \sigma \xi) \right] - L(\theta) \le r \right\}

    To second order it is the trace of the Hessian over 2 r. Sigma is found by a search in which
    every sigma has the same noise, in pairs of both signs; its standard error is that of the mean
    rise, over its slope. The detail ``sigma`` is the noise itself.

    Args:
        rise: r: of the loss, or by how much the accuracy falls.
        metric: ``"loss"``, or ``"accuracy"`` as in the paper, where r is 0.1.
        draws: The number of pairs, at least 2.
        tolerance: Of the mean rise, relative to r.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> measure = landscape.measures.PACBayesSigma(rise=0.05)
        >>> landscape.sharpness(model, data, measures=[measure])
    """

    name: ClassVar[str] = "pac_bayes_sigma"
    reference: ClassVar[str] = (
        "Jiang, Neyshabur, Mobahi, Krishnan and Bengio (2020), Fantastic Generalization Measures "
        "and Where to Find Them, appendix C: pacbayes-flatness"
    )
    rescaling: ClassVar[Invariance] = "no"

    rise: float = 0.1
    metric: RiseMetric = "loss"
    draws: int = 10
    tolerance: float = 0.01

    def __post_init__(self) -> None:
        if not (np.isfinite(self.rise) and self.rise > 0):
            raise ValueError(f"rise={self.rise}, expected a number above 0")
        check_metric(self.metric)
        if self.draws < 2:
            raise ValueError(f"draws={self.draws}, expected at least 2 for a standard error")
        if not 0 < self.tolerance < 1:
            raise ValueError(f"tolerance={self.tolerance}, expected a number between 0 and 1")

    def require(self, context: Context) -> None:
        """Refuse the accuracy of a loss that has none.

        Raises:
            NotApplicable: With the reason.
        """
        require_metric(context, self.metric)

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - the same for any model
        """Two losses a pair in every round of the search."""
        return 2 * self.draws * _TYPICAL_ROUNDS * LOSS

    def compute(self, context: Context) -> Outcome:
        """The search, and the standard error of its end."""
        scale = self._scale(context)
        start = self._start
        pairs: dict[float, NDArray[np.float64]] = {}

        def evaluate(_: Any, sigmas: NDArray[np.float64]) -> NDArray[np.float64]:
            sigma = float(sigmas[0])
            offsets = (
                sign * sigma * (noise * scale)
                for noise in context.iter_gaussians(self.name, self.draws)
                for sign in (1.0, -1.0)
            )
            rises = compute_rises(context, offsets, self.metric)
            pairs[sigma] = rises.reshape(-1, 2).mean(1)
            return np.array([pairs[sigma].mean()])

        found = find_crossings(
            evaluate,
            1,
            self.rise,
            start,
            tolerance=self.tolerance,
            largest=start * _RANGE,
            smallest=start / _RANGE,
        )
        sigma = float(found.radii[0])
        if not found.is_found[0]:
            side = "below" if sigma else "above"
            end = start * _RANGE if sigma else start / _RANGE
            return Outcome(
                None, status=f"failed: the mean rise is {side} {self.rise:g} at sigma={end:g}"
            )
        order = sorted(pairs)
        profile = {
            "sigmas": np.array(order),
            "rises": np.array([pairs[sigma].mean() for sigma in order]),
        }
        nearest = pairs[min(pairs, key=lambda other: abs(np.log(other / sigma)))]
        exponent = _estimate_exponent(pairs, sigma)
        value = sigma**-2
        details = {"sigma": sigma, "rounds": found.rounds}
        error = float(nearest.std(ddof=1) / np.sqrt(self.draws)) / self.rise / exponent
        if not np.isfinite(error):
            return Outcome(
                value,
                status="the rise is a step at sigma, so that the standard error is not known",
                details=details,
                curves=profile,
            )
        half = 2 * NormalDist().inv_cdf((1 + context.level) / 2) * error
        return Outcome(
            value,
            2 * value * error,
            (value * np.exp(-half), value * np.exp(half)),
            details=details,
            curves=profile,
        )

    def _scale(self, context: Context) -> NDArray[Any] | float:  # noqa: ARG002 - a subclass uses it
        """The standard deviation of each parameter's noise, over sigma."""
        return 1.0

    @property
    def _start(self) -> float:
        """The first sigma of the search."""
        return 0.01


@dataclass(frozen=True)
class MagnitudeSigma(PACBayesSigma):
    r"""The same with noise in proportion to the size of every parameter.

    .. math:: \frac{1}{\sigma^2}, \quad \sigma = \max \left\{ \sigma : E_{\xi \sim N(0, 1)}
        \left[ L(\theta + \sigma |\theta| \circ \xi) \right] - L(\theta) \le r \right\}

    The paper adds a constant to the noise of every parameter, for a bound; without it, as here, a
    rescaling of units that leaves the function unchanged leaves the measure unchanged.

    Args:
        rise: r: of the loss, or by how much the accuracy falls.
        metric: ``"loss"``, or ``"accuracy"`` as in the paper, where r is 0.1.
        draws: The number of pairs, at least 2.
        tolerance: Of the mean rise, relative to r.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> measure = landscape.measures.MagnitudeSigma(metric="accuracy")
        >>> landscape.sharpness(model, data, measures=[measure])
    """

    name: ClassVar[str] = "magnitude_sigma"
    reference: ClassVar[str] = (
        "Jiang, Neyshabur, Mobahi, Krishnan and Bengio (2020), Fantastic Generalization Measures "
        "and Where to Find Them, appendix C: pacbayes-mag-flatness"
    )
    rescaling: ClassVar[Invariance] = "exact"
    penalised: ClassVar[bool] = True

    def _scale(self, context: Context) -> NDArray[Any] | float:
        sizes: NDArray[Any] = np.abs(context.theta)
        return sizes

    @property
    def _start(self) -> float:
        return 0.05


def _estimate_exponent(pairs: Mapping[float, NDArray[np.float64]], sigma: float) -> float:
    """D log rise / d log sigma, from the two evaluated points nearest to sigma; NaN without."""
    near = sorted(pairs, key=lambda other: abs(np.log(other / sigma)))[:2]
    rises = [float(pairs[other].mean()) for other in near]
    if len(near) < 2 or not (np.isfinite(rises).all() and min(rises) > 0):
        return float("nan")
    slope = float(np.log(rises[0] / rises[1]) / np.log(near[0] / near[1]))
    return slope if slope > 0 else float("nan")
