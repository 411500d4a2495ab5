"""Surfaces and lines against closed forms, a brute-force twin, and the invariance they promise."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from torch import nn

import landscape
from landscape import _core
from landscape._parameters import ParameterLayout


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images[:300] / 16, dtype=torch.float32), torch.tensor(labels[:300])


def mlp(activation: type[nn.Module] = nn.Tanh) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 16), activation(), nn.Linear(16, 10))


def plain_loss(model: nn.Module, data: Any) -> float:
    with torch.no_grad():
        return float(nn.functional.cross_entropy(model(data[0]), data[1]))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_quadratic_surface_is_exact(dtype: torch.dtype, tolerance: float) -> None:
    """A linear model under squared error is a paraboloid, known in closed form."""
    generator = np.random.default_rng(0)
    inputs, weight, targets = (
        generator.standard_normal(shape) for shape in ((40, 3), (2, 3), (40, 2))
    )
    model = nn.Linear(3, 2, bias=False).to(dtype)
    with torch.no_grad():
        model.weight.copy_(torch.tensor(weight))
    weight, inputs = model.weight.detach().double().numpy(), inputs.astype(_numpy(dtype))
    targets = targets.astype(_numpy(dtype))
    u, v = (generator.standard_normal(6).astype(_numpy(dtype)) for _ in range(2))
    surface = landscape.surface(
        model, (inputs, targets), directions=(u, v), span=((-2, 3), (-1, 1)), points=(7, 5)
    )
    residual = inputs.astype(float) @ weight.T - targets
    along = [inputs.astype(float) @ w.astype(float).reshape(2, 3).T for w in (u, v)]
    alpha, beta = np.meshgrid(surface.alpha, surface.beta)
    moved = residual + alpha[..., None, None] * along[0] + beta[..., None, None] * along[1]
    assert_allclose(surface.losses, (moved**2).mean(axis=(2, 3)), rtol=tolerance)
    assert surface.losses.shape == (5, 7)
    assert_allclose(surface.alpha, np.linspace(-2, 3, 7))


def _numpy(dtype: torch.dtype) -> Any:
    return np.float64 if dtype == torch.float64 else np.float32


def test_surface_equals_its_brute_force_twin(digits: Any) -> None:
    """Directions by definition, points by deepcopy, losses by one plain PyTorch call each."""
    model = mlp()
    surface = landscape.surface(
        model, digits, points=(5, 4), span=((-1, 1), (-0.5, 0.5)), seed=7, metrics="accuracy"
    )
    parameters = list(model.parameters())
    gaussians = [
        _core.gaussian(sum(p.numel() for p in parameters), seed=7, stream=s, dtype="float32")
        for s in (0, 1)
    ]
    moving = np.concatenate([np.full(p.numel(), p.ndim == 2) for p in parameters])
    u, v = (g.astype(float) * moving for g in gaussians)
    v = v - (u @ v) / (u @ u) * u
    for j, beta in enumerate(surface.beta):
        for i, alpha in enumerate(surface.alpha):
            twin = copy.deepcopy(model).double()
            start = 0
            for parameter in twin.parameters():
                size = parameter.numel()
                for step, direction in ((alpha, u), (beta, v)):
                    d = torch.tensor(direction[start : start + size]).view(parameter.shape)
                    if parameter.ndim == 2:
                        theta = parameters_before(model, parameter, twin)
                        d = d * theta.norm(dim=1, keepdim=True) / d.norm(dim=1, keepdim=True)
                        parameter.data += step * d
                start += size
            outputs = twin(digits[0].double())
            expected = nn.functional.cross_entropy(outputs, digits[1])
            assert_allclose(surface.losses[j, i], float(expected.detach()), rtol=2e-6)
            accuracy = float((outputs.argmax(1) == digits[1]).double().mean())
            assert abs(surface.metrics["accuracy"][j, i] - accuracy) < 1 / 150


def parameters_before(model: nn.Module, parameter: Any, twin: nn.Module) -> torch.Tensor:
    name = next(n for n, p in twin.named_parameters() if p is parameter)
    return model.get_parameter(name).detach().double()


def test_filter_normalised_surface_is_blind_to_relu_rescaling(digits: Any) -> None:
    """Layer 1 times 10 and layer 2 by 10 is the same function, so the picture must be the same."""
    model = mlp(nn.ReLU).double()
    scaled = copy.deepcopy(model)
    factors = {"0.weight": 10, "0.bias": 10, "2.weight": 0.1}
    with torch.no_grad():
        for name, factor in factors.items():
            scaled.get_parameter(name).mul_(factor)
    data = (digits[0].double(), digits[1])
    options: dict[str, Any] = {"points": 7, "seed": 1}
    first, second = (landscape.surface(m, data, **options).losses for m in (model, scaled))
    assert np.max(np.abs(first - second) / first) <= 1e-6
    raw = [landscape.surface(m, data, normalize=None, **options).losses for m in (model, scaled)]
    assert np.max(np.abs(raw[0] - raw[1]) / raw[0]) > 0.1


def test_line_between_two_models_ends_at_both(digits: Any) -> None:
    a = mlp()
    torch.manual_seed(5)
    b = nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 10))
    line = landscape.line(a, digits, to=b, test=(digits[0][:50], digits[1][:50]))
    for model, t in ((a, 0.0), (b, 1.0)):
        index = int(np.flatnonzero(line.positions == t)[0])
        assert_allclose(line.losses[index], plain_loss(model, digits), rtol=1e-5)
        assert line.test is not None
        part = (digits[0][:50], digits[1][:50])
        assert_allclose(line.test.losses[index], plain_loss(model, part), rtol=1e-5)


def test_batch_norm_is_frozen_around_one_model_and_recalibrated_between_two(digits: Any) -> None:
    torch.manual_seed(0)
    a, b = (
        nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 10)).eval()
        for _ in range(2)
    )
    assert landscape.surface(a, digits, points=3).run.policy["batch_norm"] == "frozen"
    joined = landscape.line(a, digits, to=b, points=3)
    assert joined.run.policy["batch_norm"] == "recalibrated"
    kept = landscape.line(a, digits, to=b, points=3, batch_norm="frozen")
    assert kept.run.policy["batch_norm"] == "frozen"
    plane = landscape.surface(a, digits, directions=landscape.plane(b, mlp_like(a)), points=3)
    assert plane.run.policy["batch_norm"] == "recalibrated"


def mlp_like(model: nn.Module) -> nn.Module:
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(torch.randn_like(parameter))
    return twin


def test_plane_surface_passes_through_its_models(digits: Any) -> None:
    a = mlp()
    b, c = mlp_like(a), mlp_like(a)
    layout = ParameterLayout.of(a)
    axes = landscape.plane(b, c).axes(layout.flatten(a), layout)
    x, y = axes.recipe.markers["C"]
    surface = landscape.surface(
        a, digits, directions=landscape.plane(b, c), span=((x, x + 1), (y, y + 1)), points=2
    )
    expected = plain_loss(c, digits)
    assert_allclose(surface.losses[0, 0], expected, rtol=1e-5)


def test_overflow_and_nan_are_data(digits: Any) -> None:
    model = mlp(nn.ReLU)
    surface = landscape.surface(model, digits, span=1e30, points=3)
    assert np.isfinite(surface.losses[1, 1])
    assert surface.non_finite > 0


def test_a_subset_carries_its_standard_error(digits: Any) -> None:
    surface = landscape.surface(mlp(), digits, samples=100, points=3)
    assert surface.standard_error is not None
    assert (surface.standard_error > 0).all()
    assert surface.run.policy["samples"] == 100
    assert landscape.surface(mlp(), digits, points=3).standard_error is None


def test_test_data_metrics_and_objective_in_place_of_model(digits: Any) -> None:
    model = mlp()
    objective = landscape.Objective(model, digits)

    def half(outputs: torch.Tensor, targets: torch.Tensor) -> float:
        return 0.5

    surface = landscape.surface(
        objective, points=3, metrics=["error", half], test=(digits[0][:9], digits[1][:9])
    )
    assert list(surface.metrics) == ["error", "half"]
    assert_array_equal(surface.metrics["half"], 0.5)
    assert surface.test is not None
    expected = plain_loss(model, (digits[0][:9], digits[1][:9]))
    assert_allclose(surface.test.losses[1, 1], expected, rtol=1e-5)
    with pytest.raises(TypeError, match="already holds"):
        landscape.surface(objective, digits)


def test_plot_surface_takes_a_tolerance_unless_points_are_given(digits: Any) -> None:
    drawn = landscape.plot_surface(mlp(), digits, engine="torch", evaluations=81)
    assert drawn.error is not None
    assert drawn.error.tolerance == 0.05
    for options in ({"points": 5}, {"points": 5, "metrics": "accuracy"}):
        assert landscape.plot_surface(mlp(), digits, **options).error is None
    both = landscape.plot_surface(mlp(), digits, points=9, tolerance=0.5)
    assert both.error is not None
    assert both.losses.shape == (9, 9)


def test_plot_surface_returns_the_figure_and_saves_it(digits: Any, tmp_path: Any) -> None:
    path = tmp_path / "surface.png"
    surface = landscape.plot_surface(mlp(), digits, points=5, path=path)
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert surface.figure is not None
    surface.save(tmp_path / "surface.npz")
    loaded = landscape.load(tmp_path / "surface.npz")
    assert isinstance(loaded, landscape.Surface)
    assert loaded.figure is None
    assert loaded.equals(surface)
