"""Kullback-Leibler divergences of Gaussians and of Bernoulli variables, and the inverse of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["compute_binary_kl", "compute_gaussian_kl", "invert_binary_kl"]

_BISECTIONS = 60


def compute_gaussian_kl(shift: ArrayLike, variances: ArrayLike, prior_variance: float) -> float:
    r"""The divergence of N(w, diag s) from N(w_0, lambda I), in nats.

    .. math:: \frac{1}{2} \Big( \frac{\sum_j s_j + \lVert w - w_0 \rVert^2}{\lambda} - d
        + d \ln \lambda - \sum_j \ln s_j \Big)

    Args:
        shift: w - w_0, shape (d,).
        variances: s, shape (d,) or one number.
        prior_variance: lambda.
    """
    moved = np.asarray(shift, np.float64)
    ratios = np.broadcast_to(np.asarray(variances, np.float64) / prior_variance, moved.shape)
    # x - 1 - ln x for each coordinate: sums of large numbers that cancel would lose digits
    spread = float((ratios - 1 - np.log(ratios)).sum())
    return 0.5 * (spread + float(moved @ moved) / prior_variance)


def compute_binary_kl(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    r"""The divergence of a Bernoulli variable from another, in nats.

    .. math:: \operatorname{kl}(q \| p) = q \ln \frac{q}{p} + (1 - q) \ln \frac{1 - q}{1 - p}

    Args:
        first: q.
        second: p.
    """
    q, p = np.asarray(first, np.float64), np.asarray(second, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        event = np.where(q > 0, q * np.log(q / p), 0.0)
        other = np.where(q < 1, (1 - q) * np.log((1 - q) / (1 - p)), 0.0)
    return np.asarray(event + other)


def invert_binary_kl(first: ArrayLike, bound: ArrayLike) -> NDArray[np.float64]:
    r"""The largest p with :math:`\operatorname{kl}(q \| p) \le c`, by bisection, rounded upwards.

    Args:
        first: q, between 0 and 1.
        bound: c, at least 0.
    """
    q, limit = np.broadcast_arrays(np.asarray(first, np.float64), np.asarray(bound, np.float64))
    low, high = q.copy(), np.ones_like(q)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        is_below = compute_binary_kl(q, middle) <= limit
        low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
    return high
