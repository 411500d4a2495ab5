"""The plane of a surface's random directions: the same bits, and projections by least squares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from models import classes, mlp, seeded
from numpy.testing import assert_allclose
from torch import nn
from untouched import untouched

import landscape
from landscape._directions import RandomDirections

DATA = classes(20)
pytestmark = pytest.mark.filterwarnings("ignore:the barrier:UserWarning")


def other() -> nn.Module:
    """The same network with other weights."""
    return seeded(lambda: nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)), 7)


@pytest.mark.parametrize(
    "options", [{}, {"normalize": None, "seed": 4}, {"one_dimensional": "include"}]
)
def test_the_vectors_are_those_of_a_surface_to_the_bit(options: Any) -> None:
    model = mlp()
    with untouched(model):
        plane = landscape.random_plane(model, **options)
        plain = landscape.surface(model, DATA, points=3, **options)
        again = landscape.surface(model, DATA, points=3, directions=plane)
    assert plane.recipe.fingerprint == plain.recipe.fingerprint == again.recipe.fingerprint
    assert_allclose(again.losses, plain.losses, rtol=1e-5)  # the engine is chosen by a clock
    assert again.recipe.labels == plain.recipe.labels
    objective = landscape.Objective(model, DATA)
    drawn = RandomDirections(
        2,
        options.get("seed", 0),
        options.get("normalize", "filter"),
        options.get("one_dimensional", "zero"),
    ).axes(objective.theta, objective.layout)
    assert (plane.vectors == np.stack(drawn.basis)).all()
    u, v = plane.vectors.astype(np.float64)
    assert plane.cosine == pytest.approx(u @ v / np.linalg.norm(u) / np.linalg.norm(v), rel=1e-6)


def test_projections_are_those_of_least_squares() -> None:
    model, second = mlp().double(), other().double()
    plane = landscape.random_plane(model, seed=3)
    assert abs(plane.cosine) > 1e-4  # the axes are not orthogonal
    theta = landscape.Objective(second, classes(20, dtype=torch.float64)).theta
    step = theta - plane.origin
    expected, *_ = np.linalg.lstsq(plane.vectors.T, step, rcond=None)
    distance = np.linalg.norm(step - plane.vectors.T @ expected)
    for source in (second, second.state_dict(), theta, torch.from_numpy(theta)):
        found = plane.project(source)
        assert_allclose(found.coordinates, expected, rtol=1e-9)
        assert found.residual == pytest.approx(distance)
    inside = plane.theta_at(0.3, -1.2)
    several = plane.project(np.stack([inside, theta]))
    assert_allclose(several.coordinates[0], [0.3, -1.2], rtol=1e-9)
    assert_allclose(several.coordinates[1], expected, rtol=1e-9)
    assert several.residual == pytest.approx(np.array([0.0, distance]), abs=1e-12)


def test_a_path_fits_on_the_plane() -> None:
    data = classes(20, dtype=torch.float64)
    model, second = mlp().double(), other().double()
    path = landscape.barrier(model, second, data, points=3)
    plane = landscape.random_plane(landscape.Objective(model, data))
    found = plane.project(path.points)
    assert found.coordinates.shape == (2, 2)
    assert_allclose(found.coordinates[0], 0, atol=1e-14)
    surface = landscape.surface(model, data, directions=plane, points=3)
    assert surface.losses[1, 1] == pytest.approx(path.losses[0])


def test_bad_input_is_named() -> None:
    model = mlp()
    plane = landscape.random_plane(model)
    with pytest.raises(ValueError, match=r"through another model.*directions=plane\.vectors"):
        landscape.surface(other(), DATA, points=2, directions=plane)
    landscape.surface(other(), DATA, points=2, directions=plane.vectors)
    with pytest.raises(ValueError, match="drawn in float32 for a surface in float64"):
        landscape.surface(model, DATA, points=2, directions=plane, dtype="float64")
    with pytest.raises(ValueError, match="leave it out"):
        landscape.surface(model, DATA, points=2, directions=plane, normalize="layer")
    with pytest.raises(ValueError, match="normalize='auto'"):
        landscape.random_plane(model, normalize="auto")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one_dimensional='no'"):
        landscape.random_plane(model, one_dimensional="no")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="its own parameters="):
        landscape.random_plane(landscape.Objective(model, DATA), parameters="0")
    with pytest.raises(ValueError, match="do not fit the model"):
        plane.project(nn.Linear(2, 2))
    assert not plane.origin.flags.writeable
    assert landscape.random_plane(model, parameters="2").vectors.shape == (2, 27)
