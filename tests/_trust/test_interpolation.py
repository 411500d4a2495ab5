"""The error at held-out points of a full grid."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from result_examples import make_run

from landscape import Recipe, Surface
from landscape._trust.interpolation import compute_held_out_error


def make_surface(values: Any, count: int = 9) -> Surface:
    axis = np.linspace(-1, 1, count)
    losses = values(*np.meshgrid(axis, axis)) if callable(values) else values
    recipe = Recipe("random", "filter", "zero", 0, 0.0, (1.0, 1.0), ("alpha", "beta"))
    return Surface(axis, axis, losses, recipe=recipe, run=make_run())


def bicubic(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return (1 + x - x**2 + 2 * x**3) * (y - 3 * y**3) - x**3


def test_the_held_out_error_of_bicubics_is_zero_and_of_others_of_fourth_order() -> None:
    (high, most), scale = compute_held_out_error(make_surface(bicubic, 12))
    assert scale == "range"
    assert 0 <= high <= most < 1e-12
    errors = [
        compute_held_out_error(make_surface(lambda x, y: np.exp(np.sin(3 * x) + y**2), n))
        for n in (65, 129, 257)
    ]
    assert {scale for _, scale in errors} == {"loss"}
    ratios = [a[0][0] / b[0][0] for a, b in pairwise(errors)]
    assert all(13 < ratio < 25 for ratio in ratios)


def test_the_error_is_that_of_the_points_left_out() -> None:
    """A spike on a held-out point is what is not predicted, relative to the range."""
    losses = np.zeros((9, 9))
    losses[3, 3] = 2.0
    losses[7, 7] = -2.0
    (_, most), _ = compute_held_out_error(make_surface(losses))
    assert most == pytest.approx(0.5)


def test_the_percentile_is_that_of_the_points_left_out_alone() -> None:
    """Errors at 6% of the held-out points, which are 4.5% of all."""
    held_out = np.ones((65, 65), bool)
    held_out[::2, ::2] = False
    losses = np.zeros((65, 65))
    rows, columns = np.nonzero(held_out)
    few = np.linspace(0, len(rows) - 1, int(0.06 * len(rows))).astype(int)
    losses[rows[few], columns[few]] = -1.0
    (high, most), _ = compute_held_out_error(make_surface(losses, 65))
    assert high == pytest.approx(1.0)
    assert most == pytest.approx(1.0)


def test_values_that_are_not_finite_stay_local() -> None:
    surface = make_surface(bicubic, 21)
    losses = surface.losses.copy()
    losses[0, 0], losses[20, 20] = np.nan, np.inf
    (high, most), _ = compute_held_out_error(make_surface(losses, 21))
    assert 0 <= high < 1e-3
    assert most < 0.1
    with pytest.raises(ValueError, match="no held-out point"):
        compute_held_out_error(make_surface(np.full((9, 9), np.nan)))
    with pytest.raises(ValueError, match="too few"):
        compute_held_out_error(make_surface(bicubic, 6))
