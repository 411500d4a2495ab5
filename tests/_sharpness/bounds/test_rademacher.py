"""Rademacher complexities against a sum over all signs, closed forms and by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from landscape._sharpness.bounds.rademacher import (
    bound_linear_complexity,
    bound_network_complexity,
    estimate_linear_complexity,
)


@pytest.mark.parametrize("dim", [10, 100, 1000])
def test_linear_functions_of_unit_norm_on_the_sphere(dim: int) -> None:
    inputs = np.random.default_rng(0).standard_normal((400, dim))
    inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    value, error = estimate_linear_complexity(inputs, 1.0, 1000, seed=1)
    assert value == pytest.approx(0.05, abs=0.002)
    assert (
        value
        <= bound_linear_complexity(float(np.linalg.norm(inputs)), 1.0, 400)
        == pytest.approx(0.05)
    )
    assert 0 < error < 0.001


def test_an_estimate_is_within_its_error_of_the_sum_over_all_signs() -> None:
    inputs = np.random.default_rng(2).standard_normal((8, 3))
    signs = np.array(list(itertools.product((-1, 1), repeat=8)))
    truth = 2.5 * np.linalg.norm(signs @ inputs, axis=1).mean() / 8
    found = [estimate_linear_complexity(inputs, 2.5, 50, seed) for seed in range(200)]
    covered = [abs(value - truth) <= 1.96 * error for value, error in found]
    assert np.mean(covered) > 0.9
    assert_allclose(np.mean([value for value, _ in found]), truth, rtol=0.02)


def test_the_bound_of_networks_is_a_computation_by_hand() -> None:
    expected = 2 * 3 * 0.5 * (math.sqrt(2 * math.log(2) * 3) + 1) * 7 / 100
    assert_allclose(bound_network_complexity([2, 3, 0.5], 7.0, 100), expected, rtol=1e-12)
