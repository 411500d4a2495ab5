"""Both ends of the spectrum over a plane: against dense matrices, resumed and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import classes, mlp, seeded
from torch import nn

import landscape
from landscape._runs import checkpoint


def case() -> tuple[nn.Module, Any]:
    inputs, targets = classes(40)
    return seeded(mlp, 1).double(), (inputs.double(), targets)


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_ends_lie_within_their_bounds(engine: Any) -> None:
    model, data = case()
    options: Any = {"points": (4, 3), "seed": 2, "span": 0.5, "engine": engine}
    found = landscape.curvature_map(model, data, tolerance=1e-3, **options)
    surface = landscape.surface(model, data, **options)
    assert found.recipe.fingerprint == surface.recipe.fingerprint
    np.testing.assert_allclose(found.losses, surface.losses, rtol=1e-12)
    objective = landscape.Objective(model, data, engine=engine)
    axes = _axes(objective, seed=2)
    for j, beta in enumerate(found.beta):
        for i, alpha in enumerate(found.alpha):
            theta = objective.theta + alpha * axes[0] + beta * axes[1]
            values = np.linalg.eigvalsh(landscape.Hessian(objective, theta).dense())
            for name, exact in (("lambda_max", values[-1]), ("lambda_min", values[0])):
                bound = found.metrics[f"{name} bound"][j, i]
                assert abs(found.metrics[name][j, i] - exact) <= bound + 1e-9
    scale = np.maximum(np.abs(found.metrics["lambda_max"]), np.abs(found.metrics["lambda_min"]))
    np.testing.assert_allclose(found.metrics["ratio"], found.metrics["lambda_min"] / scale)
    assert found.run.evaluations == found.metrics["products"].sum()


def _axes(objective: landscape.Objective, seed: int) -> Any:
    from landscape._directions import RandomDirections  # noqa: PLC0415  (the same plane)

    return RandomDirections(2, seed, "filter", "zero").axes(objective.theta, objective.layout).basis


def test_neighbours_save_products() -> None:
    torch.manual_seed(0)
    model, data = (
        nn.Linear(200, 3).double(),
        (torch.randn(300, 200).double(), torch.arange(300) % 3),
    )
    found = landscape.curvature_map(model, data, points=5, span=0.2, tolerance=1e-5)
    products = found.metrics["products"]
    assert products[0, 0] == products.max()
    assert np.median(products) < 0.8 * products[0, 0]


def test_a_narrow_bulk_does_not_hide_negative_curvature() -> None:
    random = np.random.default_rng(0)
    values = np.concatenate([[1.0], random.uniform(0.006, 0.016, 1998), [-0.01]])

    class Bowl(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.x = nn.Parameter(torch.zeros(2000, dtype=torch.float64))
            self.values = torch.from_numpy(values)

        def forward(self, inputs: Any) -> Any:
            return (self.values * self.x**2 / 2).sum().expand(len(inputs), 1)

    data = torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    axes = np.eye(2000)[:2]
    found = landscape.curvature_map(
        Bowl(), data, lambda out, _: out.mean(), directions=tuple(axes), points=2
    )
    off = np.abs(found.metrics["lambda_min"] + 0.01)
    assert (off <= found.metrics["lambda_min bound"] + 1e-12).all()
    assert (found.metrics["lambda_min"] < 0).all()
    few = landscape.curvature_map(*case(), points=2, max_products=3, tolerance=1e-6)
    assert few.run.status.endswith("; 4 of 4 points stopped at max_products=3")


def test_a_map_goes_on_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint.Checkpoint, "due", True)
    model, data = case()
    whole = landscape.curvature_map(model, data, points=4)

    def stop(done: int, _: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    file = tmp_path / "map.run"
    with pytest.raises(KeyboardInterrupt):
        landscape.curvature_map(model, data, points=4, resume=file, progress=stop)
    again = landscape.curvature_map(model, data, points=4, resume=file)
    for name, values in whole.metrics.items():
        assert np.array_equal(values, again.metrics[name]), name
    with pytest.raises(ValueError, match="tolerance"):
        landscape.curvature_map(model, data, points=4, tolerance=0.5, resume=file)
    whole.save(tmp_path / "map.npz")
    assert whole.equals(landscape.load(tmp_path / "map.npz"))


def test_points_without_a_curvature_hold_nan() -> None:
    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.x = nn.Parameter(torch.tensor([1.0, 1.0], dtype=torch.float64))

        def forward(self, inputs: Any) -> Any:
            return self.x.sqrt().sum().expand(len(inputs), 1)

    data = torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    found = landscape.curvature_map(
        Root(),
        data,
        lambda out, _: out.mean(),
        directions=(np.array([1.0, 0]), np.array([0, 1.0])),
        points=5,
        span=2,
    )
    wrong = (found.alpha < -1)[None] | (found.beta < -1)[:, None]
    assert np.isnan(found.metrics["lambda_max"][wrong]).all()
    right = (found.alpha > -1)[None] & (found.beta > -1)[:, None]
    exact = -0.25 * (1 + np.maximum.outer(found.beta, found.alpha)[right]) ** -1.5
    np.testing.assert_allclose(found.metrics["lambda_max"][right], exact, rtol=1e-6)
    axes = landscape.plot.curvature(found)
    assert len(axes) == 3


def test_it_is_drawn_with_what_is_not_known() -> None:
    model, data = case()
    found = landscape.curvature_map(model, data, points=5, tolerance=0.5)
    axes = landscape.plot.curvature(found)
    assert [ax.get_title(loc="left") for ax in axes][1] == "largest eigenvalue"
    undecided = found.metrics["lambda_min bound"] > np.abs(found.metrics["lambda_min"])
    legend = axes[2].get_legend()
    assert (legend is not None) == bool(undecided.any())
    with pytest.raises(ValueError, match="2 axes; expected three"):
        landscape.plot.curvature(found, axes[:2])
    with pytest.raises(ValueError, match="ratio"):
        landscape.plot.curvature(landscape.surface(model, data, points=3))


def test_options_out_of_range_are_refused() -> None:
    model, data = case()
    with pytest.raises(ValueError, match="tolerance=0, expected a number between 0 and 1"):
        landscape.curvature_map(model, data, tolerance=0)
    with pytest.raises(ValueError, match="max_products=0, expected at least 1"):
        landscape.curvature_map(model, data, max_products=0)


def test_layers_are_drawn_with_their_values() -> None:
    model, data = case()
    blocks = landscape.hessian(model, data).blocks()
    spectra = {name: block.eigenvalues(2) for name, block in blocks.items()}
    ax = landscape.plot.layers(spectra)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(blocks)
    texts = [text.get_text().strip("()") for text in ax.texts]
    for row, spectrum in enumerate(spectra.values()):
        assert float(texts[2 * row]) == pytest.approx(spectrum.values[0], rel=0.05)
    with pytest.raises(ValueError, match=r"spectra of \[\]; expected those of one end"):
        landscape.plot.layers({})
