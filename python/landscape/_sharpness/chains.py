"""Diagnostics of Markov chains: R-hat, effective sample size, and the error of a mean."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ChainSummary", "estimate_ess", "estimate_r_hat", "summarise_chains"]


@dataclass(frozen=True)
class ChainSummary:
    """The mean of several chains.

    Args:
        mean: Over all draws of all chains.
        standard_error: Of the mean: the larger of two estimates, from the autocorrelation
            (:func:`estimate_ess`) and from the spread of the means of half chains.
        r_hat: Rank-normalised split R-hat; 1 where chains agree.
        ess: Effective sample size of the mean: the variance of draws over the squared error.
    """

    mean: float
    standard_error: float
    r_hat: float
    ess: float


def summarise_chains(draws: NDArray[np.float64]) -> ChainSummary:
    """The mean of chains with its error and diagnostics.

    Args:
        draws: Shape (chains, draws), finite, at least 4 draws.
    """
    ess = estimate_ess(draws)
    variance = float(draws.var(ddof=1))
    # Geyer's sum stops at the first pair of autocorrelations that noise makes negative, and misses
    # a slow motion of small amplitude beneath fast ones. The means of half chains differ by it.
    halves = _split(draws).mean(1)
    between = float(halves.var(ddof=1)) / len(halves)
    if ess > 0 and between > 0:
        ess = min(ess, variance / between)
    error = (variance / ess) ** 0.5 if ess > 0 else float("inf")
    return ChainSummary(float(draws.mean()), error, estimate_r_hat(draws), ess)


def estimate_r_hat(draws: NDArray[np.float64]) -> float:
    """Rank-normalised split R-hat, the larger of that of values and of their distances.

    Args:
        draws: Shape (chains, draws).

    Reference:
        Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021), "Rank-Normalization, Folding, and
        Localization: An Improved R-hat for Assessing Convergence of MCMC", section 4.
    """
    halves = _split(draws)
    folded = np.abs(halves - np.median(halves))
    return max(_basic_r_hat(_normalise_ranks(values)) for values in (halves, folded))


def estimate_ess(draws: NDArray[np.float64]) -> float:
    r"""The effective sample size of the mean, by Geyer's initial monotone sequence.

    .. math:: \text{ess} = \frac{C N}{1 + 2 \sum_{t \ge 1} \rho_t}, \quad
        \rho_t = 1 - \frac{W - \bar c_t}{\hat V}

    with the autocovariances c_t of split chains and the variances W within and V over all chains.

    Args:
        draws: Shape (chains, draws).

    Returns:
        At most the number of draws times its logarithm; 0 for chains that do not move.

    Reference:
        Geyer (1992), "Practical Markov Chain Monte Carlo", section 3.3; Vehtari et al. (2021),
        section 3.
    """
    halves = _split(draws)
    chains, count = halves.shape
    covariances = _autocovariances(halves).mean(0)
    within = covariances[0] * count / (count - 1)
    total = covariances[0] + (halves.mean(1).var(ddof=1) if chains > 1 else 0.0)
    if not total > 0:
        return 0.0
    correlations = 1 - (within - covariances * count / (count - 1)) / total
    correlations[0] = 1.0
    pairs = correlations[: count - count % 2].reshape(-1, 2).sum(1)
    is_negative = pairs <= 0
    stop = int(np.argmax(is_negative)) if is_negative.any() else len(pairs)
    time = 2 * float(np.minimum.accumulate(pairs[: max(stop, 1)]).sum()) - 1
    size = chains * count
    return float(min(size / max(time, 1e-12), size * np.log10(size)))


def _split(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every chain as two, so that a trend shows as a difference."""
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _normalise_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normal scores of the ranks of all draws together."""
    ranks = np.empty(values.size)
    ranks[np.argsort(values, axis=None, kind="stable")] = np.arange(1, values.size + 1)
    inverse = NormalDist().inv_cdf
    scores = [inverse((rank - 0.375) / (values.size + 0.25)) for rank in ranks]
    return np.array(scores).reshape(values.shape)


def _basic_r_hat(draws: NDArray[np.float64]) -> float:
    within = float(draws.var(axis=1, ddof=1).mean())
    between = float(draws.mean(1).var(ddof=1))
    count = draws.shape[1]
    if not within > 0:
        return float("inf")
    return float(((count - 1) / count + between / within) ** 0.5)


def _autocovariances(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each chain at all lags, shape (chains, draws), by the fast Fourier transform."""
    count = draws.shape[1]
    centred = draws - draws.mean(1, keepdims=True)
    spectrum = np.fft.rfft(centred, 2 * count, axis=1)
    power = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :count]
    covariances: NDArray[np.float64] = power / count
    return covariances
