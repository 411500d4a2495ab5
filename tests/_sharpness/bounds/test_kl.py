"""Divergences against torch.distributions, scipy and their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.special import rel_entr
from torch.distributions import Independent, Normal, kl_divergence

from landscape._sharpness.bounds.kl import (
    compute_binary_kl,
    compute_gaussian_kl,
    invert_binary_kl,
)


@pytest.mark.parametrize("dim", [1, 7, 1000])
def test_the_divergence_of_gaussians_is_that_of_pytorch(dim: int) -> None:
    generator = np.random.default_rng(dim)
    shift, deviations = generator.standard_normal(dim), generator.uniform(0.1, 3, dim)
    posterior = Independent(Normal(torch.tensor(shift), torch.tensor(deviations)), 1)
    prior = Independent(
        Normal(torch.zeros(dim).double(), torch.full((dim,), 0.7, dtype=torch.float64)), 1
    )
    expected = float(kl_divergence(posterior, prior))
    found = compute_gaussian_kl(shift, deviations**2, 0.49)
    assert_allclose(found, expected, rtol=1e-10)
    same = compute_gaussian_kl(shift, np.array([0.3]), 0.49)
    assert_allclose(same, compute_gaussian_kl(shift, np.full(dim, 0.3), 0.49), rtol=1e-12)


def test_equal_gaussians_have_no_divergence() -> None:
    assert compute_gaussian_kl(np.zeros(5), np.full(5, 0.2), 0.2) == 0


def test_the_binary_divergence_is_a_sum_of_relative_entropies() -> None:
    q, p = np.random.default_rng(0).random((2, 50))
    assert_allclose(compute_binary_kl(q, p), rel_entr(q, p) + rel_entr(1 - q, 1 - p), rtol=1e-9)
    assert compute_binary_kl(0.0, 0.0) == compute_binary_kl(1.0, 1.0) == 0
    assert compute_binary_kl(0.5, 1.0) == np.inf
    assert_allclose(compute_binary_kl(0.0, 0.25), -np.log(0.75))


def test_the_inverse_is_the_largest_solution() -> None:
    q = np.array([0.0, 0.01, 0.3, 0.9])
    for limit in (1e-4, 0.1, 2.0):
        p = invert_binary_kl(q, limit)
        assert (p > q).all()
        assert_allclose(compute_binary_kl(q, p), limit, rtol=1e-6)
    assert_allclose(invert_binary_kl(0.0, 0.2), 1 - np.exp(-0.2), rtol=1e-12)
    assert_allclose(invert_binary_kl([0.2, 1.0], [0.0, 3.0]), [0.2, 1.0])
