"""R-hat and effective sample size: autoregressive chains with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from landscape._sharpness.chains import estimate_ess, estimate_r_hat, summarise_chains


def autoregressive(
    correlation: float, chains: int = 4, draws: int = 2000, seed: int = 0
) -> NDArray[np.float64]:
    """x_t = a x_(t-1) + e_t from its stationary distribution, of variance 1."""
    noise = np.random.default_rng(seed).normal(size=(chains, draws))
    found = np.empty_like(noise)
    found[:, 0] = noise[:, 0]
    for t in range(1, draws):
        found[:, t] = correlation * found[:, t - 1] + (1 - correlation**2) ** 0.5 * noise[:, t]
    return found


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_the_effective_size_of_autoregressive_chains(correlation: float) -> None:
    draws = autoregressive(correlation)
    truth = draws.size * (1 - correlation) / (1 + correlation)
    assert estimate_ess(draws) == pytest.approx(truth, rel=0.15)
    assert estimate_r_hat(draws) < 1.02


def test_anticorrelated_chains_are_worth_more_than_independent_draws() -> None:
    assert estimate_ess(autoregressive(-0.5)) > 1.5 * 8000


def test_chains_at_different_levels_or_scales_disagree() -> None:
    draws = autoregressive(0.3)
    assert estimate_r_hat(draws + np.arange(4)[:, None]) > 1.2
    assert estimate_r_hat(draws * np.array([[1.0], [1], [1], [5]])) > 1.1  # by the folded form
    trend = np.linspace(0, 3, 2000)
    assert estimate_r_hat(draws + trend) > 1.1  # by the halves
    assert estimate_ess(draws + 3 * np.arange(4)[:, None]) < 40


def test_chains_that_do_not_move_have_no_error() -> None:
    found = summarise_chains(np.ones((4, 20)))
    assert found.ess == 0
    assert found.standard_error == np.inf


def test_intervals_of_the_mean_cover_the_truth() -> None:
    held = 0
    for seed in range(200):
        found = summarise_chains(autoregressive(0.8, draws=400, seed=seed))
        held += abs(found.mean) <= 1.96 * found.standard_error
    assert 180 <= held <= 198


def test_a_slow_motion_beneath_fast_ones_is_in_the_error() -> None:
    """Fast noise ends Geyer's sum before it sees that chains wander."""
    held, by_geyer = 0, 0
    for seed in range(40):
        slow = autoregressive(0.995, chains=8, draws=1500, seed=seed)
        draws = autoregressive(0.3, chains=8, draws=1500, seed=seed + 1000) + 0.1 * slow
        found = summarise_chains(draws)
        held += abs(found.mean) <= 1.96 * found.standard_error
        by_geyer += abs(found.mean) <= 1.96 * draws.std() / estimate_ess(draws) ** 0.5
    assert held >= 35
    assert by_geyer <= 32
