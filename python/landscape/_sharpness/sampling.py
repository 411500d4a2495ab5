"""Statistics of random draws: means of exponentials and shares, with their errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LogMean", "average_exponentials", "bound_share"]

_FEW = 10.0  # draws below which neither the mean nor its error can be trusted


@dataclass(frozen=True)
class LogMean:
    """The logarithm of a mean of exponentials.

    Args:
        value: log mean exp.
        standard_error: By the jackknife.
        effective: The effective sample size, (sum w)^2 / sum w^2.
        count: The number of draws.
    """

    value: float
    standard_error: float
    effective: float
    count: int

    @property
    def status(self) -> str:
        """The word complete, or that a few draws decide the mean."""
        if self.effective >= min(_FEW, 0.5 * self.count):
            return "complete"
        return (
            f"{self.effective:.1f} of {self.count} draws decide the mean, which is likely too low, "
            "and so is its error"
        )


def average_exponentials(logarithms: NDArray[np.float64]) -> LogMean:
    """The logarithm of the mean of exponentials of independent draws.

    Args:
        logarithms: Shape (m,), m at least 2; minus infinity is a weight of 0.

    Reference:
        Efron and Tibshirani (1993), "An Introduction to the Bootstrap", chapter 11; Kong (1992) for
        the effective sample size.
    """
    count = len(logarithms)
    top = float(logarithms.max())
    if not np.isfinite(top):
        return LogMean(top, float("nan"), 0.0, count)
    weights = np.exp(logarithms - top)
    total = weights.sum()
    value = top + float(np.log(total / count))
    with np.errstate(divide="ignore"):
        without = np.log(np.maximum(total - weights, 0.0) / (count - 1))
    spread = without - without.mean() if np.isfinite(without).all() else np.full(count, np.inf)
    error = float(np.sqrt((count - 1) / count * (spread**2).sum()))
    return LogMean(value, error, float(total**2 / (weights**2).sum()), count)


def bound_share(successes: int, count: int, level: float) -> tuple[float, float]:
    """The interval of Clopper and Pearson for the probability of a success.

    Args:
        successes: Out of the count.
        count: Independent trials.
        level: Probability with which the interval contains it, at least.

    Reference:
        Clopper and Pearson (1934), "The Use of Confidence or Fiducial Limits".
    """
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else _solve_share(successes - 1, count, 1 - tail)
    high = 1.0 if successes == count else _solve_share(successes, count, tail)
    return low, high


def _solve_share(successes: int, count: int, probability: float) -> float:
    """The p at which at most so many successes have a given probability, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _cumulate(successes, count, middle) > probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _cumulate(successes: int, count: int, p: float) -> float:
    """The probability of at most so many successes."""
    if p <= 0 or successes >= count:
        return 1.0
    if p >= 1:
        return 0.0
    terms = [
        math.exp(
            math.lgamma(count + 1)
            - math.lgamma(k + 1)
            - math.lgamma(count - k + 1)
            + k * math.log(p)
            + (count - k) * math.log1p(-p)
        )
        for k in range(successes + 1)
    ]
    return min(1.0, math.fsum(terms))
