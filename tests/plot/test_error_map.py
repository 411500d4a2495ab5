"""The error map: what it shows, not its pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.text import Text
from result_examples import make_run

from landscape import EvaluatedPoints, Recipe, Surface, SurfaceError, plot


def make_surface(errors: Any) -> Surface:
    axis = np.linspace(-1.0, 1.0, 5)
    alpha, beta = np.meshgrid(axis, axis)
    points = np.stack([alpha.ravel(), beta.ravel()], axis=1)
    losses = 1.0 + alpha**2
    return Surface(
        axis,
        axis,
        losses,
        evaluated=EvaluatedPoints(points, losses.ravel(), 0, "log cubic"),
        error=SurfaceError(0.04, 0.3, "loss", 0.05, 0.04, map=errors),
        recipe=Recipe("user", None, "include", None, 0.0, (1.0, 1.0), ("alpha (x)", "beta (y)")),
        run=make_run(),
    )


def test_every_evaluated_point_has_a_dot() -> None:
    surface = make_surface(np.linspace(0.001, 0.3, 25).reshape(5, 5))
    ax = plot.error_map(surface)
    assert surface.evaluated is not None
    (dots,) = (c for c in ax.collections if np.shape(c.get_offsets()) == (25, 2))
    np.testing.assert_array_equal(dots.get_offsets(), surface.evaluated.coordinates)
    assert "25 evaluations; 95% of the area within 0.04" in ax.get_title(loc="left")
    written = [text.get_text() for text in ax.figure.findobj(Text)]
    assert any("relative to the loss" in text for text in written)


@pytest.mark.parametrize("errors", [np.zeros((5, 5)), np.diag([np.inf, 0.1, 0.2, 0.1, 0.0])])
def test_exact_and_unknown_errors_are_drawn(errors: Any) -> None:
    plot.error_map(make_surface(errors)).figure.canvas.draw()


def test_a_full_grid_has_no_error_map() -> None:
    surface = make_surface(np.zeros((5, 5)))
    full = Surface(
        surface.alpha, surface.beta, surface.losses, recipe=surface.recipe, run=surface.run
    )
    with pytest.raises(ValueError, match="full grid"):
        plot.error_map(full)


def test_points_and_error_belong_together() -> None:
    surface = make_surface(np.zeros((5, 5)))
    fields: Any = {"recipe": surface.recipe, "run": surface.run}
    with pytest.raises(ValueError, match="pass both"):
        Surface(surface.alpha, surface.beta, surface.losses, error=surface.error, **fields)
    with pytest.raises(ValueError, match="error map has shape"):
        make_surface(np.zeros((4, 5)))
    with pytest.raises(ValueError, match="expected \\(k, axes\\)"):
        EvaluatedPoints(np.zeros(3), np.zeros(3), 0, "cubic")
