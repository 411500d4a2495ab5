"""Geometry of surfaces: closed forms of quadratics and waves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from result_examples import make_run

import landscape
from landscape import Recipe, Surface


def make_surface(function: Any, points: int = 21, **recipe: Any) -> Surface:
    axis = np.linspace(-1, 1, points)
    made = {
        "kind": "user",
        "normalize": None,
        "one_dimensional": "include",
        "seed": None,
        "cosine": 0.0,
        "norms": (1.0, 1.0),
        "labels": ("alpha", "beta"),
        **recipe,
    }
    losses = np.broadcast_to(function(*np.meshgrid(axis, axis)), (points, points))
    return Surface(axis, axis, losses, recipe=Recipe(**made), run=make_run())


def test_a_quadratic_has_its_curvatures_in_parameter_space() -> None:
    """L = x'Hx / 2 on skew directions of other lengths than 1."""
    u, v = np.array([2.0, 0.0, 0.0]), np.array([1.5, 1.5, 0.0])
    norms = (2.0, float(np.linalg.norm(v)))
    full = np.diag([9.0, 4.0, 1.0])

    def loss(x: Any, y: Any) -> Any:
        theta = x[..., None] * u + y[..., None] * v
        return 0.5 * np.einsum("...i,ij,...j", theta, full, theta) + 3.0 * x

    surface = make_surface(loss, norms=norms, cosine=float(u @ v) / norms[0] / norms[1])
    geometry = surface.geometry()
    assert geometry.curvatures == pytest.approx([9.0, 4.0])
    assert geometry.condition == pytest.approx(2.25)
    basis = np.stack([u, v])
    assert geometry.hessian == pytest.approx(basis @ full @ basis.T)
    assert geometry.gradient == pytest.approx([3.0, 0.0], abs=1e-9)
    assert geometry.residual < 1e-10
    assert geometry.fitted_points == 25
    assert geometry.convex_share == 1.0
    assert geometry.violation <= geometry.tolerance
    assert geometry.convex_share_error == 0.0


def test_a_saddle_is_neither_convex_nor_conditioned() -> None:
    geometry = make_surface(lambda x, y: x**2 - y**2).geometry(chords=10**6)
    assert np.isnan(geometry.condition)
    assert 0.2 < geometry.convex_share < 0.8
    assert geometry.violation == pytest.approx(1.0)
    ends = geometry.violation_points
    assert ends[1] == pytest.approx(ends[[0, 2]].mean(axis=0))
    drawn = make_surface(lambda x, y: x**2 - y**2).geometry(chords=20_000, seed=3)
    assert drawn.drawn
    assert not geometry.drawn
    assert drawn.convex_share == pytest.approx(
        geometry.convex_share, abs=5 * drawn.convex_share_error
    )


def test_variation_and_roughness_tell_waves_from_bowls() -> None:
    bowl = make_surface(lambda x, y: x**2 + y**2).geometry()
    assert bowl.total_variation == pytest.approx(2.0)
    assert bowl.roughness == pytest.approx(0.0, abs=1e-9)
    wave = make_surface(lambda x, y: np.cos(3 * 2 * np.pi * x) + y, 61).geometry()
    variations = np.repeat([12.0, 1.0], 61)
    assert np.sort(wave.variations) == pytest.approx(np.sort(variations))
    assert wave.roughness == pytest.approx(5.5 / 6.5)


def test_the_centre_is_the_model_or_the_lowest_point_or_the_callers() -> None:
    function = make_surface(lambda x, y: (x - 0.4) ** 2 + 2 * (y + 0.3) ** 2)
    assert function.geometry().centre == pytest.approx([0.0, 0.0])
    away = Surface(
        function.alpha + 5, function.beta, function.losses, recipe=function.recipe,
        run=function.run,
    )  # fmt: skip
    assert away.geometry().centre == pytest.approx([5.4, -0.3])
    assert away.geometry(centre=(5.02, 0.0)).centre == pytest.approx([5.0, 0.0])
    with pytest.raises(ValueError, match=r"centre=\(0.0, 0.0\), expected two coordinates"):
        away.geometry(centre=(0.0, 0.0))


def test_what_is_not_finite_is_left_out() -> None:
    losses = make_surface(lambda x, y: x**2 + 3 * y**2).losses.copy()
    losses[0, 0], losses[10, 13], losses[3, 3] = np.nan, np.inf, np.nan
    surface = make_surface(lambda x, y: losses)
    geometry = surface.geometry(reach=4)
    assert geometry.curvatures == pytest.approx([6.0, 2.0])
    assert geometry.convex_share == 1.0
    assert geometry.fitted_points == 80
    assert len(geometry.variations) == 2 * (21 - 3)
    with pytest.raises(ValueError, match="do not determine a quadratic"):
        make_surface(lambda x, y: x * np.nan).geometry()


def test_a_geometry_is_saved_and_printed(tmp_path: Path) -> None:
    for surface in (
        make_surface(lambda x, y: np.exp(x) + y**2),
        make_surface(lambda x, y: 0 * x + 1.0),
    ):
        geometry = surface.geometry(chords=5000)
        geometry.save(tmp_path / "geometry")
        assert landscape.load(tmp_path / "geometry").equals(geometry)
        assert "roughness index" in repr(geometry)


@pytest.mark.parametrize(
    "options", [{"reach": 0}, {"chords": 0}, {"tolerance": -1.0}, {"tolerance": np.inf}], ids=str
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=f"{name}="):
        make_surface(lambda x, y: x + y).geometry(**options)


def test_chords_need_equal_steps() -> None:
    surface = make_surface(lambda x, y: x + y)
    bent = Surface(
        surface.alpha**3, surface.beta, surface.losses, recipe=surface.recipe, run=surface.run
    )
    with pytest.raises(ValueError, match="alpha has steps from"):
        bent.geometry()
