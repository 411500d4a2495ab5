"""Confidence intervals of means by resampling: the percentile bootstrap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 1000
_COLUMNS = 512  # at a time: 4 MB of resampled means


def bootstrap(rows: NDArray[np.float64], level: float, seed: int) -> NDArray[np.float64]:
    """Pointwise intervals of the mean of independent rows.

    Args:
        rows: (m, n) one row for each independent observation.
        level: probability that an interval contains the expected mean, as m grows.
        seed: of the resampling.

    Returns:
        (n, 2) quantiles of the means of resampled rows.

    Reference:
        Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), section 13.3.
    """
    count = len(rows)
    draw = np.random.default_rng(seed)
    shares = draw.multinomial(count, np.full(count, 1 / count), _RESAMPLES) / count
    ends = (1 - level) / 2, (1 + level) / 2
    parts = [
        np.quantile(shares @ rows[:, start : start + _COLUMNS], ends, axis=0)
        for start in range(0, rows.shape[1], _COLUMNS)
    ]
    return np.concatenate(parts, axis=1).T
