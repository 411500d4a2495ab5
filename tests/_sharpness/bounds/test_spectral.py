"""The spectral margin bound against a computation by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from landscape._sharpness.bounds.spectral import (
    bound_error_by_margins,
    compute_spectral_complexity,
)


def test_the_complexity_is_the_formula_of_the_paper() -> None:
    norms, distances, lipschitz = [2.0, 3.0, 0.5], [1.0, 4.0, 2.0], [1.0, 0.5, 1.0]
    ratios = sum((b / s) ** (2 / 3) for b, s in zip(distances, norms, strict=True))
    expected = 0.5 * 3.0 * ratios**1.5
    assert_allclose(compute_spectral_complexity(norms, distances, lipschitz), expected)
    assert compute_spectral_complexity([1.0, 2.0], [0.0, 0.0], [1.0, 1.0]) == 0


def test_the_bound_is_a_computation_by_hand() -> None:
    """One layer whose norms lie just below the grid e^(k/10)."""
    n, delta = 1000, 0.1
    margins = np.full(n, 2.0 * math.exp(0.5))  # the candidates are this and twice this
    margins[:10] = -1.0
    found = bound_error_by_margins(
        margins, [math.exp(0.19)], [math.exp(0.09)], [1.0], input_norm=3.0, width=7, delta=delta
    )
    gamma = math.exp(math.floor(10 * math.log(2 * math.exp(0.5))) / 10)
    powers = [2, 1, round(10 * math.log(gamma))]
    cost = math.log(2 / delta) + sum(math.log(3) + 2 * math.log(1 + abs(k)) for k in powers)
    slope = 72 * math.log(n) * 3.0 * math.sqrt(math.log(2 * 49)) * math.exp(0.1) / (gamma * n)
    expected = 0.01 + 8 / n**1.5 + slope + 3 * math.sqrt(cost / (2 * n))
    assert_allclose(found.margin, gamma, rtol=1e-6)
    assert found.margin_error == 0.01
    assert_allclose(found.value, expected, rtol=1e-6)


def test_the_bound_falls_with_samples_and_without_distance() -> None:
    def bound(n: int, distance: float) -> float:
        margins = np.full(n, 1.0)
        options = {"input_norm": math.sqrt(n), "width": 10, "delta": 0.05}
        return bound_error_by_margins(
            margins,
            [1.0, 1.0],
            [distance] * 2,
            [1.0, 1.0],
            **options,  # type: ignore[arg-type]
        ).value

    values = [bound(n, 1e-3) for n in (10**3, 10**5, 10**7)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.2
    assert bound(10**5, 1.0) > bound(10**5, 0.1) > bound(10**5, 0.0)


def test_wrong_samples_alone_give_a_vacuous_bound() -> None:
    found = bound_error_by_margins(
        np.full(5, -1.0), [1.0], [1.0], [1.0], input_norm=1.0, width=2, delta=0.5
    )
    assert found.margin_error == 1
    assert found.value > 1
    assert found.margin == pytest.approx(1.0)
