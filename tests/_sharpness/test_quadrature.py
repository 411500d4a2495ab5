"""Quadratures of Gauss and Gauss-Radau bound an integral."""

from __future__ import annotations

import numpy as np

from landscape._sharpness.quadrature import bound_resolvents, rebuild_jacobi


def test_quadratures_bound_the_resolvent() -> None:
    values = np.geomspace(1e-4, 5, 80)
    start = np.random.default_rng(0).normal(size=80) ** 2
    weights = start / start.sum()
    for steps in (3, 6, 30):
        diagonal, beside = rebuild_jacobi(values, weights)
        small = np.diag(diagonal[:steps])
        small += np.diag(beside[: steps - 1], 1) + np.diag(beside[: steps - 1], -1)
        nodes, vectors = np.linalg.eigh(small)
        low, high = bound_resolvents(nodes, vectors[0] ** 2, 0.01, 0.0)
        truth = weights @ (0.01 / (values + 0.01))
        assert low < truth < high
    assert high - low < 0.01 * truth
