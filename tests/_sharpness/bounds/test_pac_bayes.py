"""PAC-Bayes bounds: by hand, and how often they fail on synthetic data."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import binom, norm

from landscape._sharpness.bounds.kl import compute_binary_kl
from landscape._sharpness.bounds.pac_bayes import (
    PriorGrid,
    bound_by_catoni,
    bound_by_mcallester,
    bound_by_seeger,
    bound_sampled_risk,
)

FORMS = [bound_by_mcallester, bound_by_seeger, bound_by_catoni]
Form = Callable[..., NDArray[np.float64]]


def test_every_form_is_a_computation_by_hand() -> None:
    risk, divergence, n, delta = 0.1, 200.0, 3000, 0.04
    expected = 0.1 + math.sqrt((200 + math.log(25) + 2.5 * math.log(3000) + 8) / 5999)
    assert_allclose(bound_by_mcallester(risk, divergence, n, delta), expected, rtol=1e-12)
    slack = (200 + math.log(2 * math.sqrt(3000) * 25)) / 3000
    root = brentq(lambda p: float(compute_binary_kl(0.1, p)) - slack, 0.1, 0.999, xtol=1e-14)
    assert_allclose(bound_by_seeger(risk, divergence, n, delta), root, rtol=1e-10)
    values = [
        (1 - math.exp(-c * 0.1 - (200 + math.log(25 * 25)) / 3000)) / (1 - math.exp(-c))
        for c in np.geomspace(0.01, 100, 25)
    ]
    assert_allclose(bound_by_catoni(risk, divergence, n, delta), min(values), rtol=1e-12)
    slack = math.log(2 / 0.01) / 150
    root = brentq(lambda p: float(compute_binary_kl(0.03, p)) - slack, 0.03, 0.999, xtol=1e-14)
    assert_allclose(bound_sampled_risk(0.03, 150, 0.01), root, rtol=1e-10)


def test_the_members_of_the_prior_grid_share_the_confidence() -> None:
    grid = PriorGrid(0.1, 100.0)
    assert grid.choose(5.0 * 1000, 1000) == 1  # no prior is wider than the first one
    chosen = grid.choose(0.0123 * 10**6, 10**6)
    assert abs(math.log(grid.variance(chosen) / 0.0123)) < 0.01
    assert_allclose(grid.variance(100), 0.1 / math.e)
    shares = [math.exp(-grid.cost(j)) for j in range(1, 200_000)]
    assert 1 - 1e-5 < sum(shares) <= 1


@pytest.mark.parametrize("form", FORMS)
def test_a_bound_fails_at_most_as_often_as_it_says_and_needs_its_divergence(form: Form) -> None:
    """The best of e^60 classifiers that all guess, on 400 samples: its KL is 60, its risk 1/2.

    Its errors are drawn by their distribution, P(least <= k) = 1 - (1 - F(k))^N, where F is so
    small that the power is an exponential.
    """
    draws, n, delta, divergence = 1000, 400, 0.05, 60.0
    uniform = np.random.default_rng(1).random(draws)
    expected_counts = binom.logcdf(np.arange(n + 1), n, 0.5) + divergence
    risks = np.searchsorted(expected_counts, np.log(-np.log1p(-uniform))) / n
    assert (form(risks, np.full(draws, divergence), n, delta) < 0.5).mean() <= delta
    assert (form(risks, np.zeros(draws), n, delta) < 0.5).mean() > delta


def test_data_dependent_priors_are_tighter_and_still_hold() -> None:
    """Gaussian posteriors over linear classifiers, whose mean 0-1 loss has a closed form."""
    draws, n, dim, delta = 1000, 200, 10, 0.05
    generator = np.random.default_rng(0)

    def sample(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        inputs = generator.standard_normal((draws, count, dim))
        flips = np.where(generator.random((draws, count)) < 0.1, -1.0, 1.0)
        return inputs, np.sign(inputs[..., 0]) * flips

    def risk(
        mean: NDArray[np.float64], data: tuple[NDArray[np.float64], ...]
    ) -> NDArray[np.float64]:
        inputs, labels = data
        scores = labels * np.einsum("kd,kid->ki", mean, inputs) / np.linalg.norm(inputs, axis=2)
        return np.asarray(norm.sf(scores).mean(1))

    def learn(data: tuple[NDArray[np.float64], ...]) -> NDArray[np.float64]:
        mean = np.einsum("kid,ki->kd", *data)
        return np.asarray(6 * mean / np.linalg.norm(mean, axis=1, keepdims=True))

    train, test = sample(n), sample(500)
    first, second = [tuple(part[:, rows] for part in train) for rows in (slice(100), slice(100, n))]
    posterior, prior = learn(train), learn(first)
    truth = risk(posterior, test)
    plain = bound_by_seeger(risk(posterior, train), 0.5 * (posterior**2).sum(1), n, delta)
    moved = 0.5 * ((posterior - prior) ** 2).sum(1)
    informed = bound_by_seeger(risk(posterior, second), moved, n - 100, delta)
    assert informed.mean() < plain.mean()
    for bounds in (plain, informed):
        assert (bounds < truth).mean() <= delta
