"""The largest singular value by products against dense decompositions."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from landscape._sharpness.bounds.singular import compute_matrix_norm, compute_spectral_norm


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (40, 20), (300, 280)])
def test_the_largest_singular_value_is_that_of_a_dense_decomposition(
    shape: tuple[int, int],
) -> None:
    matrix = np.random.default_rng(1).standard_normal(shape)
    expected = np.linalg.svd(matrix, compute_uv=False)[0]
    found = compute_spectral_norm(lambda x: matrix @ x, lambda y: matrix.T @ y, shape[1])
    assert_allclose(found, expected, rtol=1e-9)
    assert_allclose(compute_matrix_norm(matrix), expected, rtol=1e-9)


def test_degenerate_maps_end_early() -> None:
    assert compute_spectral_norm(lambda x: 0 * x, lambda y: 0 * y, 9) == 0
    assert_allclose(compute_spectral_norm(lambda x: -3 * x, lambda y: -3 * y, 9), 3, rtol=1e-12)
