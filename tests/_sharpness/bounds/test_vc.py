"""VC dimensions and their bound against computations by hand."""

from __future__ import annotations

import itertools
import math

import pytest
from numpy.testing import assert_allclose

from landscape._sharpness.bounds.vc import (
    UnitLayer,
    bound_error_by_dimension,
    bound_vc_dimension,
)


def test_the_dimension_is_a_computation_by_hand() -> None:
    """2 inputs, 3 ReLU units, 1 output: W = (9, 13), R = 3 + 2 * 1 = 5."""
    layers = [UnitLayer(3, 9, 1), UnitLayer(1, 4)]
    base = 2 * math.e * 5
    expected = 2 + 22 * math.log2(2 * base * math.log2(base))
    assert bound_vc_dimension(layers) == math.floor(expected)
    assert bound_vc_dimension([UnitLayer(3, 9, 2), UnitLayer(1, 4)]) == math.floor(
        2 + 22 * math.log2(4 * base * math.log2(2 * base))
    )


def test_the_dimension_is_at_least_that_of_linear_classifiers() -> None:
    """Half spaces of d inputs have the VC dimension d + 1."""
    for inputs in (1, 5, 100):
        assert bound_vc_dimension([UnitLayer(1, inputs + 1)]) >= inputs + 1


def test_the_bound_is_a_computation_by_hand() -> None:
    growth = 10 * math.log(math.e * 5000 / 10)
    expected = 0.1 + math.sqrt(2 * growth / 5000) + math.sqrt(math.log(20) / 10_000)
    assert_allclose(bound_error_by_dimension(0.1, 10, 5000, 0.05), expected, rtol=1e-12)
    growth = 9000 * math.log(5001)
    expected = 0.1 + math.sqrt(2 * growth / 5000) + math.sqrt(math.log(20) / 10_000)
    assert_allclose(bound_error_by_dimension(0.1, 9000, 5000, 0.05), expected, rtol=1e-12)


@pytest.mark.parametrize("samples", [1, 3, 100])
def test_the_bound_grows_with_the_dimension(samples: int) -> None:
    values = [bound_error_by_dimension(0.0, d, samples, 0.1) for d in range(300)]
    assert all(a < b for a, b in itertools.pairwise(values))
