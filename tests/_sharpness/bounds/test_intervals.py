"""Intervals of shares and quantiles against published values, scipy and their coverage."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from landscape._sharpness.bounds.intervals import (
    compute_newcombe_interval,
    compute_wilson_interval,
    find_quantile_ranks,
)


@pytest.mark.parametrize(("count", "total"), [(0, 10), (3, 17), (81, 263), (20, 20)])
def test_wilson_intervals_are_those_of_scipy(count: int, total: int) -> None:
    expected = stats.binomtest(count, total).proportion_ci(0.9, method="wilson")
    assert_allclose(
        compute_wilson_interval(count, total, 0.9), (expected.low, expected.high), atol=1e-14
    )


def test_newcombe_intervals_are_the_published_ones() -> None:
    """Newcombe (1998), table II, column (a), method 10: 56/70 - 48/80."""
    found = compute_newcombe_interval((56, 70), (48, 80), 0.95)
    assert_allclose(found, (0.0524, 0.3339), atol=5e-5)


def test_ranks_of_a_quantile_cover_it() -> None:
    total, quantile, level = 40, 0.3, 0.9
    ranks = find_quantile_ranks(quantile, total, level)
    assert ranks is not None
    low, high = ranks
    counts = stats.binom(total, quantile)
    assert counts.cdf(low - 1) <= 0.05 < counts.cdf(low)
    assert counts.sf(high - 1) <= 0.05 < counts.sf(high - 2)
    samples = np.sort(np.random.default_rng(0).random((4000, total)), axis=1)
    covered = (samples[:, low - 1] <= quantile) & (quantile <= samples[:, high - 1])
    assert covered.mean() == pytest.approx(counts.cdf(high - 1) - counts.cdf(low - 1), abs=0.02)


def test_few_samples_have_no_interval_of_an_outer_quantile() -> None:
    assert find_quantile_ranks(0.1, 5, 0.95) is None
