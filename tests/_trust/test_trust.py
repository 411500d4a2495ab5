"""surface.trust(): closed forms on quadratics, what is remembered, refused and not available."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import classes, mlp, seeded
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from quadratic_models import quadratic, rotation
from torch import nn

import landscape
from landscape._directions import RandomDirections
from landscape._objective import Objective

DIM = 12
VALUES = np.concatenate([[40.0, 9.0], np.linspace(1.0, 0.1, DIM - 2)])
THETA = np.linspace(1.0, 2.0, DIM)
OFF: Any = {"progress": "off"}


def matrix() -> NDArray[np.float64]:
    q = rotation(DIM)
    product: NDArray[np.float64] = q @ np.diag(VALUES) @ q.T
    return product


def make(theta: Any = THETA, **options: Any) -> landscape.Surface:
    model, data = quadratic(VALUES, theta, rotation(DIM))
    return landscape.surface(model, data, **{"points": 9, "engine": "torch", **OFF, **options})


def axes_of(surface: landscape.Surface, theta: Any = THETA) -> NDArray[np.float64]:
    model, data = quadratic(VALUES, theta, rotation(DIM))
    objective = Objective(model, data, engine="torch")
    drawn = RandomDirections(2, surface.recipe.seed or 0, "filter", "zero")
    return np.stack(drawn.axes(objective.theta, objective.layout).basis)


def assert_found(found: Any, truth: Any, rtol: float = 1e-6) -> None:
    assert found is not None
    assert_allclose(found, truth, rtol=rtol, atol=1e-12)


def test_numbers_are_those_of_the_quadratic() -> None:
    surface, hessian = make(seed=2), matrix()
    trust = surface.trust(planes=4, radii=2, angles=6, tolerance=1e-6, seed=0, **OFF)
    assert trust.plane_seeds == (1, 3, 4, 5)  # the surface's own is left out
    angles = np.arange(6) * np.pi / 3
    for row, seed in enumerate((2, *trust.plane_seeds)):
        basis = axes_of(make(seed=seed))
        for column, radius in enumerate((0.5, 1.0)):
            steps = radius * np.column_stack([np.cos(angles), np.sin(angles)]) @ basis
            rises = steps @ hessian @ THETA + 0.5 * ((steps @ hessian) * steps).sum(axis=1)
            assert trust.rises is not None
            assert_found(trust.rises[row, column], rises)
    u, v = axes_of(surface)
    units = np.stack([u / np.linalg.norm(u), v / np.linalg.norm(v)])
    assert_found(trust.slice_curvature, units @ hessian @ units.T)
    orthonormal = np.linalg.qr(units.T)[0]
    within = np.linalg.eigvalsh(orthonormal.T @ hessian @ orthonormal)[::-1]
    assert_found(trust.plane_eigenvalues, within)
    assert_found(trust.eigenvalues, [VALUES.max(), VALUES.min()])
    assert_found(trust.mean_curvature, VALUES.mean())  # a small matrix is summed exactly
    gradient = hessian @ THETA
    assert_found(trust.gradient_norm, np.linalg.norm(gradient))
    assert_found(trust.plane_gradient_norm, np.linalg.norm(orthonormal.T @ gradient))
    assert_found(trust.curvature_share, within[0] / VALUES.max())
    assert_found(trust.centre_loss, 0.5 * THETA @ hessian @ THETA)
    assert trust.descent_gain is not None
    assert trust.descent_gain > 0.01 * trust.centre_loss
    assert any(sentence.startswith("The centre is no minimum") for sentence in trust.verdict)
    assert trust.run.evaluations == 1 + 5 * 12 + 6


def test_the_plane_of_the_sharpest_directions_is_recognised() -> None:
    trust = make(directions="eigen").trust(**OFF)
    assert_found(trust.curvature_share, 1.0, rtol=1e-3)
    assert trust.rank == 6
    text = " ".join(trust.verdict)
    assert "contains a direction about as sharp as any" in text
    assert "higher than 95%" in text
    lengths = trust.profiles
    assert lengths is not None
    # random directions of the same length 1 have the mean curvature, on average
    assert lengths[1:, -1].mean() < 0.5 * lengths[0, -1]


def test_both_engines_agree() -> None:
    found = [make(engine=engine).trust(**OFF) for engine in ("torch", "native")]
    assert "native" in found[1].run.engine
    for name in ("rises", "slice_curvature", "eigenvalues", "gradient_norm", "mean_curvature"):
        assert_found(getattr(found[0], name), getattr(found[1], name), rtol=1e-8)


def test_the_same_seed_gives_the_same_bits() -> None:
    surface = make()
    first, second, other = (surface.trust(seed=seed, **OFF) for seed in (0, 0, 9))
    assert first.rises is not None
    assert second.rises is not None
    assert other.rises is not None
    assert first.rises.tobytes() == second.rises.tobytes()
    assert (first.rises[0] == other.rises[0]).all()
    assert not np.isclose(first.rises[1:], other.rises[1:]).any()


def checkpoints() -> list[NDArray[np.float64]]:
    """A spiral around the minimum with a drift out of every plane."""
    out, steps = rotation(DIM, 1), np.linspace(0, 5, 9)
    return [
        (5 - t) * (np.cos(t) * out[0] + np.sin(t) * out[1]) + 0.3 * np.sin(3 * t) * out[2] + 0.2
        for t in steps
    ]


def test_a_trajectory_is_compared_with_its_projections() -> None:
    rows, hessian = checkpoints(), matrix()
    surface = make(rows[-1], directions=landscape.pca(rows), points=41)
    trust = surface.trust(**OFF)
    steps = np.array(rows) - rows[-1]
    centred = np.array(rows) - np.mean(rows, axis=0)
    basis = np.linalg.svd(centred)[2][:2]
    below = rows[-1] + steps @ basis.T @ basis
    assert_found(trust.distances, np.linalg.norm(steps, axis=1))
    assert trust.outside is not None
    assert_allclose(trust.outside, np.linalg.norm(np.array(rows) - below, axis=1), atol=1e-6)
    assert_found(trust.checkpoint_losses, [0.5 * row @ hessian @ row for row in rows])
    assert_found(trust.plane_losses, [0.5 * row @ hessian @ row for row in below], rtol=1e-2)
    assert_found(trust.outside_share, (trust.outside**2).sum() / (steps**2).sum())


def test_checkpoints_that_have_moved_are_not_compared() -> None:
    rows = checkpoints()
    surface = make(rows[-1], directions=landscape.pca(rows))
    rows[0] += 1.0
    trust = surface.trust(**OFF)
    assert "have changed" in trust.unavailable["trajectory"]
    assert trust.checkpoint_losses is None


def test_the_objective_is_remembered_and_takes_no_part_in_equality_or_saving(
    tmp_path: Path,
) -> None:
    surface = make()
    assert surface.context is not None
    copied = pickle.loads(pickle.dumps(surface))
    assert copied.context is None
    assert copied.equals(surface)
    surface.save(tmp_path / "surface")
    loaded = landscape.load(tmp_path / "surface")
    assert isinstance(loaded, landscape.Surface)
    assert loaded.equals(surface)
    with pytest.raises(ValueError, match=r"surface\.trust\(landscape\.Objective\(model, data\)\)"):
        loaded.trust()
    model, data = quadratic(VALUES, THETA, rotation(DIM))
    again = loaded.trust(Objective(model, data, engine="torch"), **OFF)
    first = surface.trust(**OFF)
    assert again.rises is not None
    assert first.rises is not None
    assert again.rises.tobytes() == first.rises.tobytes()
    again.save(tmp_path / "trust")
    assert landscape.load(tmp_path / "trust").equals(again)
    assert "mean rise" in repr(again)


def test_another_function_or_plane_is_refused() -> None:
    surface = make()
    model, data = quadratic(VALUES, THETA + 1, rotation(DIM))
    with pytest.raises(ValueError, match="another one than the surface's"):
        surface.trust(Objective(model, data))
    model, _ = quadratic(VALUES, THETA, rotation(DIM))
    with pytest.raises(ValueError, match="another function"):
        surface.trust(Objective(model, (data[0] + 1, data[1])))
    with pytest.raises(TypeError, match="expected a landscape"):
        surface.trust(model)
    with pytest.raises(ValueError, match="go with an Objective"):
        surface.trust(directions="random")


def test_planes_that_were_not_drawn_need_their_directions_again() -> None:
    rows = checkpoints()
    surface = make(rows[-1], directions=landscape.pca(rows))
    model, data = quadratic(VALUES, rows[-1], rotation(DIM))
    objective = Objective(model, data, engine="torch")
    with pytest.raises(ValueError, match="directions of this surface"):
        surface.trust(objective)
    found = surface.trust(objective, directions=landscape.pca(rows), **OFF)
    assert found.checkpoint_losses is not None
    with pytest.raises(ValueError, match="another one than the surface's"):
        surface.trust(objective, directions=landscape.pca(rows[::-1]), **OFF)


def test_recalibrated_statistics_have_no_gradients_and_the_rest_is_reported() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3))
    data = (torch.randn(40, 4), torch.randint(3, (40,)))
    surface = landscape.surface(model, data, batch_norm="recalibrated", points=9, **OFF)
    trust = surface.trust(planes=3, **OFF)
    assert set(trust.unavailable) == {"gradient", "curvature"}
    assert all("recalibrated" in why for why in trust.unavailable.values())
    assert trust.rank is not None
    assert trust.interpolation_error is not None
    assert trust.eigenvalues is None
    assert trust.gradient_norm is None
    assert trust.products == 0
    assert sum("Not examined" in sentence for sentence in trust.verdict) == 2
    repr(trust)


def test_a_subset_has_its_standard_errors() -> None:
    torch.manual_seed(0)
    model, data = nn.Linear(4, 3), (torch.randn(90, 4), torch.randint(3, (90,)))
    surface = landscape.surface(model, data, samples=20, points=9, **OFF)
    trust = surface.trust(planes=0, max_products=0, **OFF)
    assert surface.standard_error is not None
    errors = (np.median(surface.standard_error), surface.standard_error.max())
    assert trust.subset_error == pytest.approx(errors)
    assert trust.rises is None
    assert trust.eigenvalues is None
    assert trust.gradient_norm is not None
    assert trust.centre_loss == pytest.approx(surface.centre_loss)


@pytest.mark.parametrize("share", [0.1, 0.7, 0.9])
def test_ctrl_c_raises_or_returns_the_parts_that_are_complete(share: float) -> None:
    surface = make()
    calls: list[int] = []
    stop_at = np.inf

    def progress(done: int, total: int) -> None:
        calls.append(done)
        if len(calls) >= stop_at:
            raise KeyboardInterrupt

    surface.trust(progress=progress)
    stop_at = max(2, share * len(calls))
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        surface.trust(progress=progress)
    calls.clear()
    trust = surface.trust(progress=progress, interrupt="return")
    assert trust.status == "interrupted"
    assert "curvature" in trust.unavailable or "trajectory" in trust.unavailable
    assert (trust.rises is None) == ("planes" in trust.unavailable)
    assert trust.verdict


@pytest.mark.parametrize(
    "options",
    [
        {"planes": 2},
        {"planes": -1},
        {"radii": 0},
        {"angles": 1},
        {"tolerance": 0.0},
        {"trace_error": 2.0},
        {"max_products": 5},
        {"interrupt": "stop"},
        {"seed": -1},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=f"{name}="):
        make().trust(**options)


def test_test_data_have_no_objective() -> None:
    model, data = quadratic(VALUES, THETA, rotation(DIM))
    surface = landscape.surface(model, data, test=data, points=3, **OFF)
    assert surface.test is not None
    with pytest.raises(ValueError, match="surface of test data"):
        surface.test.trust()


def _curvature_map(model: nn.Module, data: Any) -> landscape.Surface:
    return landscape.curvature_map(model, data, points=3, **OFF)


def _picture(model: nn.Module, data: Any) -> landscape.Surface:
    return landscape.plot_surface(model, data, points=3, **OFF)


@pytest.mark.parametrize("make_surface", [_curvature_map, _picture])
def test_other_functions_that_return_surfaces_remember_too(
    make_surface: Callable[[nn.Module, Any], landscape.Surface],
) -> None:
    model, data = quadratic(VALUES, THETA, rotation(DIM))
    trust = make_surface(model, data).trust(planes=3, max_products=0, **OFF)
    assert "too few" in trust.unavailable["interpolation"]
    assert trust.rank is not None


def test_random_planes_of_a_network_are_typical_as_often_as_promised() -> None:
    """95% of planes: of 60, at most 8 misses with probability 0.997."""
    inputs, targets = classes(40)
    objective = Objective(seeded(mlp, 1), (inputs, targets), engine="native", check="off")
    hits = 0
    for seed in range(60):
        surface = landscape.surface(objective, points=2, seed=seed, **OFF)
        trust = surface.trust(max_products=0, seed=1000 + 10 * seed, **OFF)
        assert trust.profiles is not None
        assert trust.typical_range is not None
        low, high = trust.typical_range
        hits += low <= trust.profiles[0, -1] <= high
    assert hits >= 52


def test_skew_directions_of_unequal_lengths_span_the_same_plane() -> None:
    u, v = np.eye(DIM)[0] * 3.0, np.eye(DIM)[0] * 0.5 + np.eye(DIM)[1] * 0.7
    skew, plain = (
        make(directions=pair, span=0.1).trust(planes=3, tolerance=1e-6, **OFF)
        for pair in ((u, v), (np.eye(DIM)[0], np.eye(DIM)[1]))
    )
    hessian = matrix()
    assert_found(skew.gradient_norm, np.linalg.norm(hessian @ THETA))
    assert_found(skew.plane_gradient_norm, np.linalg.norm((hessian @ THETA)[:2]))
    assert_found(skew.plane_eigenvalues, np.linalg.eigvalsh(hessian[:2, :2])[::-1])
    assert_found(skew.plane_eigenvalues, plain.plane_eigenvalues)


@pytest.mark.parametrize(("confidence", "source"), [(None, "estimate"), (0.95, "bound")])
def test_surfaces_to_a_tolerance_report_their_own_error(
    confidence: float | None, source: str
) -> None:
    surface = make(points=None, tolerance=0.05, confidence=confidence)
    trust = surface.trust(planes=3, max_products=0, **OFF)
    assert surface.error is not None
    assert trust.interpolation_error == (surface.error.quantile95, surface.error.maximum)
    assert (trust.interpolation_scale, trust.interpolation_source) == ("loss", source)
