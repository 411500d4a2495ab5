"""Eigenvectors as directions of surfaces and lines, against the dense matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from models import classes, mlp, seeded
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from torch import nn

import landscape


def case() -> tuple[nn.Module, Any, landscape.Hessian]:
    inputs, targets = classes(40)
    model, data = seeded(mlp, 1).double(), (inputs.double(), targets)
    return model, data, landscape.hessian(model, data)


def second_derivative(line: landscape.Line) -> float:
    """By central differences at the middle."""
    middle, step = len(line.positions) // 2, line.positions[1] - line.positions[0]
    low, here, high = line.losses[middle - 1 : middle + 2]
    return float((low - 2 * here + high) / step**2)


@pytest.mark.parametrize(
    ("directions", "ranks"),
    [
        ("eigen", (1, 2)),
        (landscape.eigenplane(1, -1), (1, -1)),
        (landscape.eigenplane(-2, 3), (-2, 3)),
        (landscape.eigenplane(-1, -2, tolerance=1e-6), (-1, -2)),
    ],
)
def test_axes_have_the_curvature_of_their_eigenvalues(
    directions: Any, ranks: tuple[int, int]
) -> None:
    model, data, hessian = case()
    values = np.linalg.eigvalsh(hessian.dense())[::-1]
    surface = landscape.surface(model, data, directions=directions, points=3, span=1e-2)
    assert surface.recipe.kind == "eigen"
    assert_allclose(surface.recipe.norms, 1, rtol=1e-9)
    assert abs(surface.recipe.cosine or 0.0) < 1e-9
    step = 1e-2
    along_alpha = np.diff(surface.losses[1], 2)[0] / step**2
    along_beta = np.diff(surface.losses[:, 1], 2)[0] / step**2
    for found, rank in zip((along_alpha, along_beta), ranks, strict=True):
        wanted = values[rank - 1 if rank > 0 else rank]
        assert_allclose(found, wanted, atol=2e-2 * values[0])


def test_a_line_goes_along_the_top_eigenvector() -> None:
    model, data, hessian = case()
    line = landscape.line(model, data, direction="eigen", points=5, span=0.02)
    top = float(np.linalg.eigvalsh(hessian.dense())[-1])
    assert_allclose(second_derivative(line), top, rtol=1e-2)
    assert "eigenvalue" in line.recipe.labels[0]


def test_a_spectrum_that_is_known_is_used() -> None:
    model, data, hessian = case()
    spectrum = hessian.eigenvalues(2, "both", 1e-9, vectors=True)
    directions = landscape.eigenplane(1, -1, spectrum=spectrum)
    calls: list[int] = []
    surface = landscape.surface(
        model, data, directions=directions, points=2, progress=lambda done, _: calls.append(done)
    )
    assert calls[-1] == 4
    assert spectrum.vectors is not None
    top: NDArray[Any] = spectrum.vectors[0]
    line = landscape.line(model, data, direction=top, points=2)
    found = sorted(surface.losses.ravel().tolist())
    assert min(abs(line.losses[0] - loss) for loss in found) > 0  # a corner, not an axis
    without = hessian.eigenvalues(2, "both")
    with pytest.raises(ValueError, match="compute it with vectors=True"):
        landscape.surface(model, data, directions=landscape.eigenplane(1, 2, spectrum=without))
    with pytest.raises(ValueError, match=r"'both', does not hold eigenvector 3"):
        landscape.surface(model, data, directions=landscape.eigenplane(1, 3, spectrum=spectrum))
    largest = hessian.eigenvalues(2, vectors=True)
    with pytest.raises(ValueError, match=r"does not hold eigenvector -1"):
        landscape.surface(model, data, directions=landscape.eigenplane(1, -1, spectrum=largest))


def test_ends_of_a_small_matrix_meet() -> None:
    torch.manual_seed(0)
    model = nn.Linear(2, 1).double()
    data = torch.randn(20, 2).double(), torch.randn(20, 1).double()
    with pytest.raises(ValueError, match="eigenvectors 2 and -2 are one of the 3 that there are"):
        landscape.surface(model, data, directions=landscape.eigenplane(2, -2), points=2)
    assert landscape.surface(
        model, data, directions=landscape.eigenplane(1, -2), points=2
    ).losses.shape == (2, 2)


def test_what_is_no_plane_is_refused() -> None:
    model, data, _ = case()
    with pytest.raises(ValueError, match="first=2 and second=2 are one eigenvector"):
        landscape.eigenplane(2, 2)
    with pytest.raises(ValueError, match=r"eigenvectors \(0, 1\), expected numbers from 1"):
        landscape.eigenplane(0, 1)
    with pytest.raises(ValueError, match="would move the models off"):
        landscape.surface(model, data, directions="eigen", normalize="filter")
    with pytest.raises(ValueError, match="k=80, expected 1 to 75"):
        landscape.surface(model, data, directions=landscape.eigenplane(1, 80))
