"""Logarithms of means and shares, with their errors."""

from __future__ import annotations

import numpy as np
from quadratic_models import assert_close
from scipy.stats import beta

from landscape._sharpness.sampling import average_exponentials, bound_share


def test_logarithms_of_means_have_jackknife_errors() -> None:
    draws = np.random.default_rng(0).normal(size=(300, 200)) * 0.5
    found = [average_exponentials(row) for row in draws]
    spread = np.std([mean.value for mean in found])
    assert_close(np.mean([mean.standard_error for mean in found]), spread, rtol=0.1)
    assert abs(np.mean([mean.value for mean in found]) - 0.125) < 0.01
    assert average_exponentials(np.array([-np.inf, -np.inf])).effective == 0


def test_intervals_of_shares_are_those_of_the_beta_distribution() -> None:
    for good, count in ((3, 20), (7, 50), (49, 50)):
        low, high = bound_share(good, count, 0.9)
        assert_close(low, beta.ppf(0.05, good, count - good + 1), rtol=1e-9)
        assert_close(high, beta.ppf(0.95, good + 1, count - good), rtol=1e-9)
