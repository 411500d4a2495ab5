"""Intervals of shares, of their differences and of quantiles, from independent samples."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

__all__ = ["compute_newcombe_interval", "compute_wilson_interval", "find_quantile_ranks"]


def compute_wilson_interval(count: int, total: int, level: float) -> tuple[float, float]:
    r"""Wilson's score interval of a probability.

    .. math:: \frac{\hat p + z^2/2n \pm z \sqrt{\hat p (1 - \hat p)/n + z^2/4n^2}}{1 + z^2/n}

    Args:
        count: How often the event occurred.
        total: n, the number of independent trials.
        level: Probability of the interval.

    Reference:
        Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    z, share = NormalDist().inv_cdf((1 + level) / 2), count / total
    scale = 1 + z**2 / total
    centre = (share + z**2 / (2 * total)) / scale
    half = z * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)


def compute_newcombe_interval(
    first: tuple[int, int], second: tuple[int, int], level: float
) -> tuple[float, float]:
    """Newcombe's interval of a difference of two independent shares, from their Wilson intervals.

    Args:
        first: The count and the total of the share from which is subtracted.
        second: Those of the other.
        level: Probability of the interval.

    Reference:
        Newcombe (1998), Interval estimation for the difference between independent proportions,
        method 10.
    """
    (p, (low_p, high_p)), (q, (low_q, high_q)) = (
        (count / total, compute_wilson_interval(count, total, level))
        for count, total in (first, second)
    )
    below, above = math.hypot(p - low_p, high_q - q), math.hypot(high_p - p, q - low_q)
    return p - q - below, p - q + above


def find_quantile_ranks(quantile: float, total: int, level: float) -> tuple[int, int] | None:
    """The ranks, from 1, of the order statistics between which a quantile lies.

    The number of samples below the quantile is binomial, whatever the distribution, so that the
    interval needs no bootstrap.

    Args:
        quantile: Between 0 and 1.
        total: The number of independent samples.
        level: Probability of the interval, which is at least this.

    Returns:
        None where there are too few samples for an interval of this level.

    Reference:
        David and Nagaraja (2003), Order Statistics, section 7.1.
    """
    counts = np.arange(total + 1)
    steps = np.log(np.arange(1, total + 1))
    factorials = np.concatenate([[0.0], np.cumsum(steps)])
    log_shares = counts * math.log(quantile) + (total - counts) * math.log1p(-quantile)
    below = np.cumsum(np.exp(factorials[-1] - factorials - factorials[::-1] + log_shares))
    tail = (1 - level) / 2
    low = int(np.searchsorted(below, tail, side="right"))  # P(count < low) <= tail
    high = int(np.searchsorted(below, 1 - tail, side="left")) + 1  # P(count >= high) <= tail
    return (low, high) if low >= 1 and high <= total else None
