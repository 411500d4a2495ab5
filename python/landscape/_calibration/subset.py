"""The loss estimated from a calibrated subset of the samples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from landscape._objective import Objective, Subspace

__all__ = ["CalibratedSubset", "SubsetError", "identify_point"]

_NUMBERS_AT_ONCE = 1 << 22
_LEVEL = 0.05
_BISECTIONS = 30


@dataclass(frozen=True)
class SubsetError:
    """The relative error of estimates, by cross-validation over the pilots."""

    quantile95: float
    """A bound on 95% of the errors over the span."""
    maximum: float
    """A bound on the largest error of all points, with a confidence of about 95%."""
    residual: float
    """The largest error at a calibrated pilot: what bounds and ridge leave."""
    inflation: float
    """The factor on standard errors that the errors at pilots ask for."""


class CalibratedSubset:
    r"""L on an affine subspace, estimated from m of the n samples with calibrated weights.

    .. math:: \hat L(c) = \sum_{i \in S} w_i \ell_i(c) + \frac{\lambda}{2} \lVert\theta(c)\rVert^2

    A point that was evaluated on all data, such as a pilot, keeps its exact loss. Another one costs
    m / n of an evaluation on all data.

    Args:
        objective: The function of all samples.
        subspace: Its restriction to the subspace.
        arrays: What :meth:`to_arrays` returned: estimates have the bits of the first subset's
            under the same strategy.
    """

    def __init__(
        self, objective: Objective, subspace: Subspace, arrays: Mapping[str, NDArray[Any]]
    ) -> None:
        self._arrays = {name: np.asarray(array) for name, array in arrays.items()}
        self.samples = objective.samples
        """The number n of all samples."""
        self.rows: NDArray[np.int64] = self._arrays["rows"]
        """The chosen samples in the order of the data, shape (m,)."""
        self.error = SubsetError(*map(float, self._arrays["error"]))
        self.pilots: NDArray[np.float64] = self._arrays["pilots"]
        """The pilots that calibrate the weights, shape (K, dim)."""
        self.evaluated = 0
        """Points that were estimated so far."""
        self._full = subspace
        twin = objective.with_samples(self.rows)
        self._subset = twin.subspace(subspace.origin, subspace.basis, strategy=subspace.strategy)
        self._calibration = _core.SubsetCalibration(
            self._arrays["pilot_losses"],
            self._arrays["targets"],
            self._arrays["inclusion"],
            population=self.samples,
        )
        # each Objective's sample losses are terms of its own mean
        own, whole = (s.weights[0] for s in (self._subset, subspace))
        self._unit = own / len(self.rows) * (self.samples / whole)
        known = zip(self._arrays["known"], self._arrays["known_losses"], strict=True)
        self._known = {identify_point(point): float(loss) for point, loss in known}
        self._known_points = [np.array(point) for point in self._arrays["known"]]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The state as plain arrays, with the points that are known on all data."""
        known = {
            "known": np.array(self._known_points).reshape(-1, self._full.dim),
            "known_losses": np.array([self._known[identify_point(p)] for p in self._known_points]),
        }
        return {**self._arrays, **known}

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weights w of the chosen samples, shape (m,); they sum to about 1."""
        return self._calibration.weights

    @property
    def cost_per_point(self) -> float:
        """The cost m / n of a point in evaluations on all data."""
        return len(self.rows) / self.samples

    @property
    def cost(self) -> float:
        """What was spent so far, in evaluations on all data."""
        return len(self._known) + self.evaluated * self.cost_per_point

    def evaluate(self, coordinates: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Estimate L.

        Args:
            coordinates: Points, shape (k, dim).

        Returns:
            Losses and their standard errors, shape (k,) each. A standard error is that of choosing
            the samples, inflated to agree with the errors at the pilots. It is 0 where L is known
            on all data, and NaN where the loss is not finite.
        """
        points = np.array(coordinates, dtype=np.float64).reshape(-1, self._full.dim)
        found = [self._known.get(identify_point(point)) for point in points]
        losses = np.array([np.nan if loss is None else loss for loss in found])
        errors = np.where(np.isfinite(losses), 0.0, np.nan)
        unknown = np.array([row for row, loss in enumerate(found) if loss is None], np.int64)
        at_once = max(1, _NUMBERS_AT_ONCE // len(self.rows))
        for start in range(0, len(unknown), at_once):
            rows = unknown[start : start + at_once]
            sample_losses = self._subset.sample_losses(points[rows]) * self._unit
            estimates, deviations = self._calibration.estimate(sample_losses)
            losses[rows] = estimates + self._full.penalties(points[rows])
            errors[rows] = np.where(
                np.isfinite(estimates), deviations * self.error.inflation, np.nan
            )
        self.evaluated += len(unknown)
        return losses, errors

    def evaluate_fully(self, coordinates: ArrayLike) -> NDArray[np.float64]:
        """Compute L on all data, and remember it.

        Args:
            coordinates: Points, shape (k, dim).

        Returns:
            Losses, shape (k,); those that are known already are not computed again.
        """
        points = np.array(coordinates, dtype=np.float64).reshape(-1, self._full.dim)
        for point in points:
            if identify_point(point) not in self._known:
                self._known[identify_point(point)] = float(self._full.losses(point[None])[0])
                self._known_points.append(point)
        return np.array([self._known[identify_point(point)] for point in points])

    def settle_minimum(
        self, coordinates: ArrayLike, losses: NDArray[np.float64], errors: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute the smallest loss on all data, until the smallest one is so computed.

        Args:
            coordinates: Points, shape (k, dim).
            losses: What :meth:`evaluate` returned for them.
            errors: Likewise.

        Returns:
            Losses and standard errors, shape (k,) each, the smallest loss being exact.
        """
        points = np.array(coordinates, dtype=np.float64).reshape(-1, self._full.dim)
        losses, errors = losses.copy(), errors.copy()
        while np.isfinite(losses).any():
            lowest = int(np.nanargmin(np.where(np.isfinite(losses), losses, np.nan)))
            if errors[lowest] == 0:
                break
            losses[lowest] = self.evaluate_fully(points[lowest][None])[0]
            errors[lowest] = 0.0 if np.isfinite(losses[lowest]) else np.nan
        return losses, errors

    def bound_error(
        self, losses: NDArray[np.float64], errors: NDArray[np.float64], scale: ArrayLike = ()
    ) -> SubsetError:
        """Bound the relative errors of estimates, by cross-validation and by their standard errors.

        Args:
            losses: What :meth:`evaluate` returned, shape (k,).
            errors: Their standard errors, shape (k,).
            scale: What an error is relative to: a number or shape (k,); the losses when empty.

        Returns:
            The larger one of what cross-validation found and of what normal errors with these
            standard errors exceed with a probability of 5%: at a random point, and anywhere.
        """
        scales = np.abs(losses) if np.size(scale) == 0 else np.broadcast_to(scale, losses.shape)
        finite = np.isfinite(losses) & np.isfinite(errors) & (scales > 0)
        spreads = errors[finite] / scales[finite]
        if not len(spreads):
            return self.error
        everywhere = NormalDist().inv_cdf(1 - _LEVEL / 2 / len(spreads)) * spreads.max()
        return replace(
            self.error,
            quantile95=max(self.error.quantile95, _compute_mixture_quantile(spreads)),
            maximum=max(self.error.maximum, float(everywhere)),
        )

    def __repr__(self) -> str:
        return (
            f"CalibratedSubset of {len(self.rows)} of {self.samples} samples, calibrated at "
            f"{len(self.pilots)} pilots: 95% of relative errors below {self.error.quantile95:.2g}"
        )


def _compute_mixture_quantile(spreads: NDArray[np.float64]) -> float:
    """What |x| exceeds with a probability of 5%, x normal with a random one of these deviations."""
    low, high = 0.0, 2 * float(spreads.max())
    scaled = spreads[spreads > 0] * math.sqrt(2)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        tails = sum(math.erfc(middle / scale) for scale in scaled.tolist())
        low, high = (middle, high) if tails > _LEVEL * len(spreads) else (low, middle)
    return high


def identify_point(point: NDArray[np.float64]) -> bytes:
    """The bytes by which a point is found among those that are known."""
    return (np.asarray(point, np.float64) + 0.0).tobytes()  # -0 is 0
