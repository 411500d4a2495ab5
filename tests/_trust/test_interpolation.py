"""Bicubic interpolation and the error at held-out points."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from result_examples import make_run

import landscape
from landscape import Recipe, Surface
from landscape._trust.interpolation import compute_held_out_error, interpolate


def make_surface(values: Any, count: int = 9) -> Surface:
    axis = np.linspace(-1, 1, count)
    losses = values(*np.meshgrid(axis, axis)) if callable(values) else values
    recipe = Recipe("random", "filter", "zero", 0, 0.0, (1.0, 1.0), ("alpha", "beta"))
    return Surface(axis, axis, losses, recipe=recipe, run=make_run())


def bicubic(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return (1 + x - x**2 + 2 * x**3) * (y - 3 * y**3) - x**3


def test_bicubic_polynomials_are_exact_on_uneven_axes() -> None:
    alpha, beta = np.array([-1.0, -0.4, 0.0, 0.7, 1.0]), np.array([-2.0, -1.0, 0.5, 1.5])
    points = np.random.default_rng(0).uniform([-1, -2], [1, 1.5], (50, 2))
    found = interpolate(alpha, beta, bicubic(*np.meshgrid(alpha, beta)), points)
    assert_allclose(found, bicubic(*points.T), rtol=1e-10, atol=1e-10)
    outside = interpolate(alpha, beta, np.ones((4, 5)), np.array([[1.1, 0.0], [0.0, 2.0]]))
    assert np.isnan(outside).all()


def test_the_held_out_error_of_bicubics_is_zero_and_of_others_of_fourth_order() -> None:
    (high, most), scale = compute_held_out_error(make_surface(bicubic, 12))
    assert scale == "range"
    assert 0 <= high <= most < 1e-12
    errors = [
        compute_held_out_error(make_surface(lambda x, y: np.exp(np.sin(3 * x) + y**2), n))
        for n in (17, 33, 65)
    ]
    assert {scale for _, scale in errors} == {"loss"}
    ratios = [a[0][0] / b[0][0] for a, b in pairwise(errors)]
    assert all(12 < ratio < 24 for ratio in ratios)


def test_the_error_is_that_of_the_points_left_out() -> None:
    """A spike on a held-out point is what is not predicted, relative to the range."""
    losses = np.zeros((9, 9))
    losses[3, 3] = 2.0
    losses[7, 7] = -2.0
    (_, most), _ = compute_held_out_error(make_surface(losses))
    assert most == pytest.approx(0.5)


def test_values_that_are_not_finite_stay_local() -> None:
    surface = make_surface(bicubic, 21)
    losses = surface.losses.copy()
    losses[0, 0], losses[20, 20] = np.nan, np.inf
    (high, most), _ = compute_held_out_error(make_surface(losses, 21))
    assert 0 <= high <= most < 1e-12
    with pytest.raises(ValueError, match="no held-out point"):
        compute_held_out_error(make_surface(np.full((9, 9), np.nan)))
    with pytest.raises(ValueError, match="too few"):
        compute_held_out_error(make_surface(bicubic, 6))


def test_a_surface_with_a_bound_reports_it() -> None:
    """Adaptive surfaces know their error; the field is read, not estimated again."""
    from landscape._trust.examination import _read_interpolation_error  # noqa: PLC0415

    class Known:
        class error:  # noqa: N801
            quantile95, maximum, scale, confidence = 0.01, 0.02, "loss", 0.95

    known: Any = Known()
    assert _read_interpolation_error(known) == {
        "interpolation_error": (0.01, 0.02),
        "interpolation_scale": "loss",
        "interpolation_source": "bound",
    }
    assert landscape.Surface is Surface
