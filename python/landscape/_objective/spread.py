"""The standard error of a loss that was averaged over a random subset of the samples.

Depends on NumPy alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Spread"]


@dataclass(frozen=True)
class Spread:
    r"""The ratio estimator's standard error under sampling without replacement.

    L = sum t_i / sum w_i with sample totals t_i and weights w_i has the linearised variance
    (1 - n/N) n/(n-1) sum (t_i - L w_i)^2 / (sum w_i)^2; with unit weights this is the textbook
    standard error of a mean.

    Reference:
        Cochran, Sampling Techniques, 3rd edition (1977), sections 2.6 and 2.11.
    """

    samples: int
    population: int
    squared_weights: float
    """sum w_i^2."""

    def standard_errors(
        self,
        losses: NDArray[np.float64],
        sums: NDArray[np.float64],
        weight: float,
        power: int = 1,
    ) -> NDArray[np.float64]:
        """Standard errors of losses, shape (k,).

        Args:
            losses: L at each point, shape (k,).
            sums: sum t_i^2 and sum t_i w_i at each point, shape (k, 2).
            weight: sum w_i.
            power: That of sum w_i in the denominator: 2 for n sum t_i / (sum w_i)^2, whose
                numerators are then n t_i / sum w_i here.

        Returns:
            One standard error per point; NaN for a single sample, whose spread is unknown.
        """
        n = self.samples
        if n < 2:
            return np.full(len(losses), np.nan)
        with np.errstate(invalid="ignore", over="ignore"):  # non-finite losses are data
            slopes = power * losses
            squares = sums[:, 0] - 2 * slopes * sums[:, 1] + slopes**2 * self.squared_weights
            squares -= ((power - 1) * losses * weight) ** 2 / n  # of their mean, 0 for a ratio
            finite_population = 1 - n / self.population
            variance = finite_population * n / (n - 1) * squares / weight**2
            # rounding can take a vanishing sum of squares just below zero
            return np.sqrt(np.where(variance < 0, 0.0, variance))
